//! Query options (18-088, section 9.3).

use crate::{
    Cursor, EntityType, OrderBy, Property, Query, Relation, Resample, ResultFormat, SelectItem,
    Version,
};

use super::error::{Fault, SyntaxError, excerpt, suggest};
use super::expr::{Budget, ExprReader, members};
use super::scan::Scanner;
use super::{OPTION_MAX, apply, check, decode, expand, time};

/// The options of the standard, and `resample`.
pub(super) const OPTIONS: [&str; 11] = [
    "$filter",
    "$count",
    "$top",
    "$skip",
    "$skiptoken",
    "$select",
    "$expand",
    "$orderby",
    "$resultFormat",
    "$apply",
    "resample",
];

/// What a set of options is about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope {
    pub(super) of: EntityType,
    pub(super) version: Version,
    /// Whether it is about one entity.
    pub(super) is_single: bool,
    /// How many relations it is expanded along.
    pub(super) depth: usize,
}

impl Query {
    /// Reads the query string of a URL (without `?`), about entities of a type; `single`: about one entity.
    ///
    /// Of one entity, `$filter`, `$apply` and `resample` are refused, and what only orders or counts is without
    /// effect. Parameters that do not begin with `$` are ignored, except `resample`.
    ///
    /// # Errors
    /// What is wrong, with its place.
    pub fn parse(
        raw: &str,
        of: EntityType,
        version: Version,
        single: bool,
    ) -> Result<Self, SyntaxError> {
        let scope = Scope {
            of,
            version,
            is_single: single,
            depth: 0,
        };
        let mut query = Self::default();
        let mut budget = Budget::default();
        for (name, value) in decode::options(raw)? {
            if !is_ours(&name)? {
                continue;
            }
            let fail = |fault: Fault| fault.within(Some(&name), &value);
            if value.len() > OPTION_MAX {
                return Err(SyntaxError {
                    option: Some(name),
                    at: None,
                    message: format!("the value is longer than {OPTION_MAX} bytes"),
                });
            }
            check_first(&query, &name).map_err(fail)?;
            read_option(&mut query, &name, Scanner::new(&value), scope, &mut budget)
                .map_err(fail)?;
            query.source.push((name, value));
        }
        check_together(&query)?;
        settle(&mut query, single);
        Ok(query)
    }

    /// The query string of the options that it was read of ([`Query::source`]), encoded, without `?`.
    pub fn to_url(&self) -> String {
        self.to_url_with(&[])
    }

    /// The same with options replaced or added (`("$skiptoken", Some("..."))`) or left out (`("$skip", None)`).
    pub fn to_url_with(&self, changes: &[(&str, Option<&str>)]) -> String {
        let mut url = String::new();
        let kept = self
            .source
            .iter()
            .filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name))
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let changed = changes
            .iter()
            .filter_map(|(name, value)| value.map(|value| (*name, value)));
        for (name, value) in kept.chain(changed) {
            if !url.is_empty() {
                url.push('&');
            }
            decode::encode_into(&mut url, name);
            url.push('=');
            decode::encode_into(&mut url, value);
        }
        url
    }
}

/// Whether an option is one to read; others are ignored, unless they were surely meant to be one.
fn is_ours(name: &str) -> Result<bool, SyntaxError> {
    if OPTIONS.contains(&name) {
        return Ok(true);
    }
    let fail = |message| {
        Err(SyntaxError {
            option: Some(excerpt(name)),
            at: None,
            message,
        })
    };
    if let Some(option) = OPTIONS.iter().find(|it| it.strip_prefix('$') == Some(name)) {
        return fail(format!("write it with a dollar sign: `{option}`"));
    }
    if name.starts_with('$') {
        return fail(unknown(name));
    }
    Ok(false)
}

/// What is said of an option that is not known.
pub(super) fn unknown(name: &str) -> String {
    format!("there is no option `{}`", excerpt(name)) + &suggest(name, OPTIONS)
}

/// Fails if an option was there before.
fn check_first(query: &Query, name: &str) -> Result<(), Fault> {
    if query.source.iter().any(|(earlier, _)| earlier == name) {
        return Err(Fault::new(
            0,
            format!("`{name}` is given twice; give it once"),
        ));
    }
    Ok(())
}

/// Reads the value of an option, which is the window of `scan`.
pub(super) fn read_option(
    query: &mut Query,
    name: &str,
    mut scan: Scanner<'_>,
    scope: Scope,
    budget: &mut Budget,
) -> Result<(), Fault> {
    scan.skip_blanks();
    let is_set_only = matches!(name, "$filter" | "$apply" | "resample");
    if is_set_only && scope.is_single {
        return Err(scan.fault(format!(
            "`{name}` is for sets, and this is one {}",
            scope.of.name(scope.version)
        )));
    }
    let is_list = matches!(name, "$filter" | "$select" | "$expand" | "$orderby");
    if is_list && scan.is_at_end() {
        return Ok(());
    }
    match name {
        "$filter" => {
            let mut reader = ExprReader::new(&mut scan, budget, scope.of, scope.version);
            query.filter = Some(reader.condition_to_end()?);
        }
        "$count" => query.count = boolean(scan)?,
        "$top" => query.top = Some(whole_number(scan)?),
        "$skip" => query.skip = Some(whole_number(scan)?),
        "$skiptoken" => query.after = Some(Cursor(scan.rest().to_owned())),
        "$select" => select(query, scan, scope)?,
        "$expand" => expand::read(&mut query.expand, scan, scope, budget)?,
        "$orderby" => query.order_by = order(scan, scope, budget)?,
        "$resultFormat" => query.result_format = result_format(scan, scope)?,
        "$apply" => query.apply = Some(apply::read(scan, scope, budget)?),
        "resample" => query.resample = Some(resample(scan, scope)?),
        _ => return Err(scan.fault(unknown(name))),
    }
    Ok(())
}

/// Fails where options do not go together.
fn check_together(query: &Query) -> Result<(), SyntaxError> {
    let sums = if query.apply.is_some() {
        "$apply"
    } else if query.resample.is_some() {
        "resample"
    } else {
        return Ok(());
    };
    let others = [
        (
            query.apply.is_some() && query.resample.is_some(),
            "resample",
        ),
        (query.apply.is_some() && query.filter.is_some(), "$filter"),
        (
            query.apply.is_some() && !query.order_by.is_empty(),
            "$orderby",
        ),
        (!query.select.is_empty(), "$select"),
        (!query.expand.is_empty(), "$expand"),
    ];
    let Some((_, other)) = others.iter().find(|(is_given, _)| *is_given) else {
        return Ok(());
    };
    let remedy = if *other == "$filter" {
        "; write the filter into it, as in `$apply=filter(...)/aggregate(...)`"
    } else {
        ""
    };
    Err(SyntaxError {
        option: Some((*other).to_owned()),
        at: None,
        message: format!("it does not go together with `{sums}`{remedy}"),
    })
}

/// Takes away what has no effect on one entity.
pub(super) fn settle(query: &mut Query, is_single: bool) {
    if is_single {
        query.count = false;
        query.top = None;
        query.skip = None;
        query.after = None;
        query.order_by.clear();
    }
}

fn boolean(scan: Scanner<'_>) -> Result<bool, Fault> {
    let text = scan.rest().trim();
    if text.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if text.eq_ignore_ascii_case("false") {
        Ok(false)
    } else {
        Err(scan.fault(format!("expected true or false, {}", scan.found())))
    }
}

fn whole_number(scan: Scanner<'_>) -> Result<u64, Fault> {
    let text = scan.rest().trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number {
        return Err(scan.fault(format!(
            "expected a whole number that is not negative, {}",
            scan.found()
        )));
    }
    text.parse()
        .map_err(|_| scan.fault("the number is too large"))
}

fn select(query: &mut Query, mut scan: Scanner<'_>, scope: Scope) -> Result<(), Fault> {
    query.distinct = scan.take("distinct:");
    let mut is_all = false;
    loop {
        scan.skip_blanks();
        if scan.take("*") {
            is_all = true;
        } else {
            let item = select_item(&mut scan, scope)?;
            if !query.select.contains(&item) {
                query.select.push(item);
            }
        }
        scan.skip_blanks();
        if !scan.take(",") {
            break;
        }
    }
    if is_all {
        query.select.clear();
    }
    scan.expect_end()
}

fn select_item(scan: &mut Scanner<'_>, scope: Scope) -> Result<SelectItem, Fault> {
    let at = scan.at();
    let name = scan.take_name();
    if let Some(property) = Property::of_name(scope.of, name) {
        let members = members(scan, property, property.kind(scope.of))?;
        return Ok(SelectItem::Property(property, members));
    }
    let relation = name
        .strip_suffix("@iot.navigationLink")
        .or_else(|| name.strip_suffix("@navigationLink"))
        .unwrap_or(name);
    if let Some(relation) = Relation::of_name(scope.of, relation, scope.version) {
        return Ok(SelectItem::Relation(relation));
    }
    let message = if name.is_empty() {
        format!("expected the name of a property here, {}", scan.found())
    } else {
        let known = ["id"]
            .into_iter()
            .chain(scope.of.properties().iter().map(|it| it.name()))
            .chain(relation_names(scope));
        format!(
            "`{}` is no property or relation of {}{}",
            excerpt(name),
            scope.of.name(scope.version),
            suggest(name, known)
        )
    };
    Err(Fault::new(at, message))
}

/// Names of the relations of the entities in question.
pub(super) fn relation_names(scope: Scope) -> impl Iterator<Item = &'static str> {
    scope
        .of
        .relations_in(scope.version)
        .map(move |it| it.name(scope.version))
}

fn order(mut scan: Scanner<'_>, scope: Scope, budget: &mut Budget) -> Result<Vec<OrderBy>, Fault> {
    let mut terms = Vec::new();
    loop {
        let expr = ExprReader::new(&mut scan, budget, scope.of, scope.version).value()?;
        check::orderable(&expr)?;
        scan.skip_blanks();
        let at = scan.at();
        // Some clients write them in capitals.
        let direction = scan.take_name();
        let is_descending = match direction.to_ascii_lowercase().as_str() {
            "" | "asc" => false,
            "desc" => true,
            _ => {
                let other = direction;
                let unknown = format!("expected `asc` or `desc`, found `{}`", excerpt(other));
                return Err(Fault::new(at, unknown));
            }
        };
        terms.push(OrderBy {
            expr,
            is_descending,
        });
        scan.skip_blanks();
        if !scan.take(",") {
            break;
        }
    }
    scan.expect_end()?;
    Ok(terms)
}

fn result_format(scan: Scanner<'_>, scope: Scope) -> Result<ResultFormat, Fault> {
    const KNOWN: [(&str, ResultFormat); 4] = [
        ("JSON", ResultFormat::Json),
        ("dataArray", ResultFormat::DataArray),
        ("CSV", ResultFormat::Csv),
        ("GeoJSON", ResultFormat::GeoJson),
    ];
    let text = scan.rest().trim();
    let known = KNOWN
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    let Some((name, format)) = known else {
        return Err(scan.fault(format!(
            "there is no format `{}`{}",
            excerpt(text),
            suggest(text, KNOWN.iter().map(|(name, _)| *name))
        )));
    };
    if scope.depth > 0 {
        return Err(scan.fault("the format is that of the whole answer, not of a relation"));
    }
    let is_of_observations = scope.of == EntityType::Observation && !scope.is_single;
    if *format == ResultFormat::DataArray && !is_of_observations {
        return Err(scan.fault(format!("{name} is for sets of Observations")));
    }
    Ok(*format)
}

fn resample(scan: Scanner<'_>, scope: Scope) -> Result<Resample, Fault> {
    if scope.of != EntityType::Observation || scope.depth > 0 {
        return Err(scan.fault("`resample` is for sets of Observations, not within `$expand`"));
    }
    let text = scan.rest().trim();
    parse_resample(text).ok_or_else(|| {
        scan.fault(format!(
            "`{}` is no span of time; write it like 15m, 1h, 1d, 1w, 1M (a month), 1y or PT1H",
            excerpt(text)
        ))
    })
}

fn parse_resample(text: &str) -> Option<Resample> {
    /// A thousand years.
    const MOST_MONTHS: i64 = 12_000;
    /// Likewise.
    const MOST_SECONDS: i64 = 31_622_400_000;
    let span = if text.starts_with(['P', 'p']) {
        let span = time::span(text)?;
        match time::whole_months(&span) {
            Some(months) => Resample::Months(months),
            None => Resample::Seconds(time::whole_seconds(&span)?),
        }
    } else {
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let number: i64 = text[..text.len() - unit.len()].parse().ok()?;
        let times = |size: i64| number.checked_mul(size);
        match unit {
            "s" => Resample::Seconds(number),
            "m" => Resample::Seconds(times(60)?),
            "h" => Resample::Seconds(times(3_600)?),
            "d" => Resample::Seconds(times(86_400)?),
            "w" => Resample::Seconds(times(604_800)?),
            "M" => Resample::Months(number),
            "y" => Resample::Months(times(12)?),
            _ => return None,
        }
    };
    let is_good = match span {
        Resample::Seconds(seconds) => (1..=MOST_SECONDS).contains(&seconds),
        Resample::Months(months) => (1..=MOST_MONTHS).contains(&months),
    };
    is_good.then_some(span)
}
