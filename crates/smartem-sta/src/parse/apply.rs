//! `$apply` (OData Extension for Data Aggregation 4.0): `filter(...)/groupby((...),aggregate(...))`.

use crate::{Aggregate, AggregateMethod, Apply, Expr, Path, Type};

use super::check::describe;
use super::error::{Fault, excerpt, suggest};
use super::expr::{Budget, ExprReader};
use super::option::Scope;
use super::scan::Scanner;

const METHODS: [(&str, AggregateMethod); 5] = [
    ("sum", AggregateMethod::Sum),
    ("min", AggregateMethod::Min),
    ("max", AggregateMethod::Max),
    ("average", AggregateMethod::Average),
    ("countdistinct", AggregateMethod::CountDistinct),
];

/// Reads the window.
pub(super) fn read(
    mut scan: Scanner<'_>,
    scope: Scope,
    budget: &mut Budget,
) -> Result<Apply, Fault> {
    if scope.depth > 0 {
        return Err(scan.fault("`$apply` is for the whole answer, not for a relation"));
    }
    let mut apply = Apply {
        filter: None,
        group_by: Vec::new(),
        aggregates: Vec::new(),
        of: scope.of,
    };
    loop {
        scan.skip_blanks();
        let at = scan.at();
        match scan.take_name() {
            "filter" if apply.filter.is_none() => {
                apply.filter = Some(filter(&mut scan, scope, budget)?);
                scan.skip_blanks();
                if scan.take("/") {
                    continue;
                }
                return Err(scan.fault(
                    "after `filter(...)` follows `/groupby(...)` or `/aggregate(...)`; a filter \
                     alone is written as `$filter`",
                ));
            }
            "groupby" => group(&mut apply, &mut scan, scope, budget)?,
            "aggregate" => apply.aggregates = aggregates(&mut scan, scope, budget)?,
            other => {
                return Err(Fault::new(
                    at,
                    format!(
                        "`{}` is not known here{}",
                        excerpt(other),
                        suggest(other, ["filter", "groupby", "aggregate"])
                    ),
                ));
            }
        }
        scan.expect_end()?;
        check_names(&apply, scan.at())?;
        return Ok(apply);
    }
}

fn filter(scan: &mut Scanner<'_>, scope: Scope, budget: &mut Budget) -> Result<Expr, Fault> {
    scan.expect("(", "after `filter`")?;
    let close = scan.end_of_part(b")")?;
    let mut window = scan.until(close);
    let filter =
        ExprReader::new(&mut window, budget, scope.of, scope.version).condition_to_end()?;
    scan.skip(close - scan.at());
    scan.expect(")", "after the filter")?;
    Ok(filter)
}

/// `((a,b),aggregate(...))`, the second of which may be missing.
fn group(
    apply: &mut Apply,
    scan: &mut Scanner<'_>,
    scope: Scope,
    budget: &mut Budget,
) -> Result<(), Fault> {
    scan.expect("(", "after `groupby`")?;
    scan.expect("(", "before the properties, as in `groupby((name))`")?;
    loop {
        let (path, _) = single_path(scan, scope, budget)?;
        apply.group_by.push(path);
        scan.skip_blanks();
        if !scan.take(",") {
            break;
        }
    }
    scan.expect(")", "after the properties of `groupby`")?;
    scan.skip_blanks();
    if scan.take(",") {
        scan.skip_blanks();
        let at = scan.at();
        if scan.take_name() != "aggregate" {
            return Err(Fault::new(
                at,
                "expected `aggregate(...)` after the properties of `groupby`",
            ));
        }
        apply.aggregates = aggregates(scan, scope, budget)?;
    }
    scan.expect(")", "after `groupby`")
}

/// `(result with average as mean,$count as n)`
fn aggregates(
    scan: &mut Scanner<'_>,
    scope: Scope,
    budget: &mut Budget,
) -> Result<Vec<Aggregate>, Fault> {
    scan.expect("(", "after `aggregate`")?;
    let mut aggregates = Vec::new();
    loop {
        aggregates.push(aggregate(scan, scope, budget)?);
        scan.skip_blanks();
        if !scan.take(",") {
            break;
        }
    }
    scan.expect(")", "after the sums of `aggregate`")?;
    Ok(aggregates)
}

fn aggregate(
    scan: &mut Scanner<'_>,
    scope: Scope,
    budget: &mut Budget,
) -> Result<Aggregate, Fault> {
    scan.skip_blanks();
    if scan.peek_name() == "$count" {
        budget.spend(scan.at())?;
        scan.take_name();
        return Ok(Aggregate {
            path: None,
            method: AggregateMethod::Count,
            name: alias(scan)?,
        });
    }
    let at = scan.at();
    let (path, ty) = single_path(scan, scope, budget)?;
    word(scan, "with", "as in `result with average as mean`")?;
    scan.skip_blanks();
    let method_at = scan.at();
    let name = scan.take_name();
    let Some((_, method)) = METHODS.iter().find(|(known, _)| *known == name) else {
        return Err(Fault::new(
            method_at,
            format!(
                "there is no method `{}`{}",
                excerpt(name),
                suggest(name, METHODS.iter().map(|(known, _)| *known))
            ),
        ));
    };
    check_method(*method, name, ty, at)?;
    Ok(Aggregate {
        path: Some(path),
        method: *method,
        name: alias(scan)?,
    })
}

fn check_method(method: AggregateMethod, name: &str, ty: Type, at: usize) -> Result<(), Fault> {
    let is_good = match method {
        AggregateMethod::Sum | AggregateMethod::Average => matches!(ty, Type::Number | Type::Json),
        AggregateMethod::Min | AggregateMethod::Max => ty != Type::Geometry,
        AggregateMethod::CountDistinct | AggregateMethod::Count => true,
    };
    if is_good {
        return Ok(());
    }
    Err(Fault::new(
        at,
        format!("`{name}` is not for {}", describe(ty)),
    ))
}

/// `as name`
fn alias(scan: &mut Scanner<'_>) -> Result<String, Fault> {
    word(scan, "as", "and a name for the sum")?;
    scan.skip_blanks();
    let name = scan.take_while(|c| c.is_alphanumeric() || c == '_');
    if name.is_empty() {
        return Err(scan.fault(format!(
            "expected a name of letters and digits, {}",
            scan.found()
        )));
    }
    Ok(name.to_owned())
}

fn word(scan: &mut Scanner<'_>, word: &str, what: &str) -> Result<(), Fault> {
    scan.skip_blanks();
    if scan.peek_name() == word {
        scan.take_name();
        return Ok(());
    }
    Err(scan.fault(format!("expected `{word}` {what}, {}", scan.found())))
}

/// A path to one value of each entity.
fn single_path(
    scan: &mut Scanner<'_>,
    scope: Scope,
    budget: &mut Budget,
) -> Result<(Path, Type), Fault> {
    scan.skip_blanks();
    let at = scan.at();
    budget.spend(at)?;
    let (path, ty) = ExprReader::new(scan, budget, scope.of, scope.version).path()?;
    if path.relations.iter().any(|it| it.is_many) {
        return Err(Fault::new(
            at,
            "the path leads to many values; aggregate from the other side, as in \
             `Observations?$apply=groupby((Datastream/id),...)`",
        ));
    }
    Ok((path, ty))
}

/// Each column of the answer needs a name of its own.
fn check_names(apply: &Apply, at: usize) -> Result<(), Fault> {
    let mut names: Vec<&str> = apply.aggregates.iter().map(|it| it.name.as_str()).collect();
    names.extend(
        apply
            .group_by
            .iter()
            .map(|path| match path.relations.first() {
                Some(relation) => relation.name(crate::Version::V1_1),
                None => path.property.name(),
            }),
    );
    let columns = apply.aggregates.len();
    for (index, name) in names.iter().take(columns).enumerate() {
        if names[index + 1..].contains(name) {
            return Err(Fault::new(
                at,
                format!("the name `{}` is given twice", excerpt(name)),
            ));
        }
    }
    Ok(())
}
