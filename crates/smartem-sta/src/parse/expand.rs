//! `$expand`: relations with options of their own, in parentheses or along slashes.

use crate::{Expand, Query, Relation};

use super::EXPAND_DEPTH_MAX;
use super::error::{Fault, excerpt, suggest};
use super::expr::Budget;
use super::option::{self, Scope, relation_names};
use super::scan::Scanner;

/// Reads the items of the window into `expand`; items of the same relation are united.
pub(super) fn read(
    expand: &mut Vec<Expand>,
    mut scan: Scanner<'_>,
    scope: Scope,
    budget: &mut Budget,
) -> Result<(), Fault> {
    loop {
        scan.skip_blanks();
        let end = scan.end_of_part(b",")?;
        item(expand, scan.until(end), scope, budget)?;
        scan.skip(end - scan.at());
        if !scan.take(",") {
            return scan.expect_end();
        }
    }
}

/// `Datastreams($top=1)` or `Datastreams/Thing`
fn item(
    expand: &mut Vec<Expand>,
    mut scan: Scanner<'_>,
    scope: Scope,
    budget: &mut Budget,
) -> Result<(), Fault> {
    let at = scan.at();
    let relation = relation(&mut scan, scope)?;
    budget.spend(at)?;
    let within = Scope {
        of: relation.to,
        is_single: !relation.is_many,
        depth: scope.depth + 1,
        ..scope
    };
    if within.depth > EXPAND_DEPTH_MAX {
        return Err(Fault::new(
            at,
            format!("relations expand to a depth of {EXPAND_DEPTH_MAX}"),
        ));
    }
    let query = query_of(expand, relation);
    if scan.take("/") {
        scan.skip_blanks();
        let rest = scan.rest().trim_end();
        item(&mut query.expand, scan, within, budget)?;
        add_source(query, "$expand", rest);
        return Ok(());
    }
    scan.skip_blanks();
    if scan.take("(") {
        let close = scan.end_of_part(b")")?;
        options(query, scan.until(close), within, budget)?;
        scan.skip(close - scan.at());
        scan.expect(")", "after the options of a relation")?;
    }
    option::settle(query, within.is_single);
    scan.expect_end()
}

fn relation(scan: &mut Scanner<'_>, scope: Scope) -> Result<Relation, Fault> {
    let at = scan.at();
    let name = scan.take_name();
    if let Some(relation) = Relation::of_name(scope.of, name, scope.version) {
        return Ok(relation);
    }
    let message = if name.is_empty() {
        format!("expected the name of a relation here, {}", scan.found())
    } else {
        format!(
            "`{}` is no relation of {}{}",
            excerpt(name),
            scope.of.name(scope.version),
            suggest(name, relation_names(scope))
        )
    };
    Err(Fault::new(at, message))
}

/// The query of a relation, a new one if it is not there.
fn query_of(expand: &mut Vec<Expand>, relation: Relation) -> &mut Query {
    let known = expand.iter().position(|it| it.relation == relation);
    let index = known.unwrap_or_else(|| {
        expand.push(Expand {
            relation,
            query: Query::default(),
        });
        expand.len() - 1
    });
    &mut expand[index].query
}

/// `$filter=...;$top=1`, up to the end of the window; an `&` separates as well.
fn options(
    query: &mut Query,
    mut scan: Scanner<'_>,
    scope: Scope,
    budget: &mut Budget,
) -> Result<(), Fault> {
    loop {
        scan.skip_blanks();
        let at = scan.at();
        let end = scan.end_of_part(b";&")?;
        let name = scan.take_name();
        if name.is_empty() && scan.at() == end {
            // `(;$top=1)`
        } else {
            if !name.starts_with('$') {
                return Err(Fault::new(
                    at,
                    format!(
                        "expected an option here, as in `($top=1;$orderby=name)`, found `{}`",
                        excerpt(if name.is_empty() { scan.rest() } else { name })
                    ),
                ));
            }
            scan.expect("=", "after the name of an option")?;
            let is_list = name == "$expand";
            if !is_list && query.source.iter().any(|(earlier, _)| earlier == name) {
                return Err(Fault::new(at, format!("`{name}` is given twice")));
            }
            let value = scan.until(end);
            if !option::OPTIONS.contains(&name) {
                return Err(Fault::new(at, option::unknown(name)));
            }
            option::read_option(query, name, value, scope, budget)
                .map_err(|fault| Fault::new(fault.at, format!("{name}: {}", fault.message)))?;
            add_source(query, name, value.rest().trim());
            scan.skip(end - scan.at());
        }
        if !scan.take(";") && !scan.take("&") {
            return scan.expect_end();
        }
    }
}

/// Remembers an option; lists of relations are united.
fn add_source(query: &mut Query, name: &str, value: &str) {
    match query.source.iter_mut().find(|(known, _)| known == name) {
        Some((_, list)) => {
            list.push(',');
            list.push_str(value);
        }
        None => query.source.push((name.to_owned(), value.to_owned())),
    }
}
