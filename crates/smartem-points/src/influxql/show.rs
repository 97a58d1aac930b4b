//! SHOW.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::ControlFlow;

use super::ast::{Cardinality, DataType, Expr, Measurement, ShowClauses, Statement};
use super::condition::{Known, split};
use super::eval::{Eval, Value};
use super::run::resolve_measurement;
use super::schema::data_type;
use super::{Header, Query, QueryError, Sink};
use crate::SeriesKey;

type Shown = Result<(), QueryError>;

/// Answers a SHOW statement.
pub(crate) fn show(statement: &Statement, query: &Query<'_>, sink: &mut dyn Sink) -> Shown {
    match statement {
        Statement::ShowDatabases => {
            let names = query.source.databases().into_iter();
            table(
                sink,
                Some("databases"),
                &["name"],
                names.map(|it| vec![text(&it)]),
            )
        }
        Statement::ShowMeasurements(clauses) => measurements(clauses, query, sink),
        Statement::ShowFieldKeys(clauses) => field_keys(clauses, query, sink),
        Statement::ShowTagKeys(clauses) => tag_keys(clauses, query, sink),
        Statement::ShowTagValues(clauses) => tag_values(clauses, query, sink),
        Statement::ShowSeries(clauses) => series(clauses, query, sink),
        Statement::ShowCardinality(of, exact, clauses) => {
            cardinality(*of, *exact, clauses, query, sink)
        }
        Statement::ShowRetentionPolicies(database) => {
            known_database(database.as_deref(), query)?;
            let columns = [
                "name",
                "duration",
                "shardGroupDuration",
                "replicaN",
                "default",
            ];
            let row = vec![
                text("autogen"),
                text("0s"),
                text("168h0m0s"),
                Value::Integer(1),
                Value::Boolean(true),
            ];
            table(sink, None, &columns, [row])
        }
        Statement::ShowUsers => header(sink, None, &["user", "admin"]),
        Statement::ShowGrants(_) => header(sink, None, &["database", "privilege"]),
        Statement::ShowQueries => header(
            sink,
            None,
            &["qid", "query", "database", "duration", "status"],
        ),
        Statement::ShowContinuousQueries => query
            .source
            .databases()
            .iter()
            .try_for_each(|it| header(sink, Some(it), &["name", "query"])),
        Statement::ShowShards => {
            let columns = [
                "id",
                "database",
                "retention_policy",
                "shard_group",
                "start_time",
                "end_time",
                "expiry_time",
                "owners",
            ];
            query
                .source
                .databases()
                .iter()
                .try_for_each(|it| header(sink, Some(it), &columns))
        }
        Statement::ShowShardGroups => {
            let columns = [
                "id",
                "database",
                "retention_policy",
                "start_time",
                "end_time",
                "expiry_time",
            ];
            header(sink, Some("shard groups"), &columns)
        }
        Statement::ShowDiagnostics => {
            let row = vec![text(env!("CARGO_PKG_VERSION"))];
            table(sink, Some("build"), &["Version"], [row])
        }
        Statement::ShowStats | Statement::ShowSubscriptions => Ok(()),
        Statement::Explain => Err(QueryError::Statement(
            "EXPLAIN is not answered here".to_owned(),
        )),
        _ => Err(QueryError::NotARead),
    }
}

fn text(text: &str) -> Value {
    Value::string(text)
}

fn header(sink: &mut dyn Sink, name: Option<&str>, columns: &[&str]) -> Shown {
    sink.series(&Header::plain(name, columns))
}

/// A series of rows.
fn table(
    sink: &mut dyn Sink,
    name: Option<&str>,
    columns: &[&str],
    rows: impl IntoIterator<Item = Vec<Value>>,
) -> Shown {
    header(sink, name, columns)?;
    for row in rows {
        if sink.row(&row)? == ControlFlow::Break(()) {
            break;
        }
    }
    Ok(())
}

/// The database that is meant, if there is one.
fn known_database(named: Option<&str>, query: &Query<'_>) -> Result<String, QueryError> {
    let name = named.or(query.database).filter(|it| !it.is_empty());
    let Some(name) = name else {
        return Err(QueryError::Statement("database name required".to_owned()));
    };
    if !query.source.databases().iter().any(|it| it == name) {
        return Err(QueryError::Statement(format!("database not found: {name}")));
    }
    Ok(name.to_owned())
}

/// The part of a list that LIMIT and OFFSET want.
fn page<T>(
    list: impl IntoIterator<Item = T>,
    limit: usize,
    offset: usize,
) -> impl Iterator<Item = T> {
    let limit = if limit == 0 { usize::MAX } else { limit };
    list.into_iter().skip(offset).take(limit)
}

/// The measurements that a statement is about, each with its database.
fn meant(clauses: &ShowClauses, query: &Query<'_>) -> Result<Vec<(String, String)>, QueryError> {
    let database = known_database(clauses.database.as_deref(), query)?;
    if clauses.sources.is_empty() {
        let names = query.source.measurements(&database).into_iter();
        return Ok(names.map(|name| (database.clone(), name)).collect());
    }
    let mut all = BTreeSet::new();
    for source in &clauses.sources {
        let mut source: Measurement = source.clone();
        if source.database.is_none() {
            source.database = Some(database.clone());
        }
        resolve_measurement(&mut source, query).map_err(QueryError::Statement)?;
        let database = source.database.clone().unwrap_or_default();
        for name in query.source.measurements(&database) {
            let wanted = match &source.regex {
                Some(regex) => regex.is_match(&name),
                None => source.name == name,
            };
            if wanted {
                all.insert((database.clone(), name));
            }
        }
    }
    Ok(all.into_iter().collect())
}

/// The condition without what it says of the time, which is not looked at.
fn condition(clauses: &ShowClauses, query: &Query<'_>) -> Result<Option<Expr>, QueryError> {
    let known = Known {
        now: Some(query.now),
        ..Known::default()
    };
    let (condition, _) = split(clauses.condition.as_ref(), known).map_err(QueryError::Statement)?;
    Ok(condition)
}

/// Whether a series fulfils a condition over its tags.
fn accepts(condition: Option<&Expr>, key: &SeriesKey) -> bool {
    let Some(condition) = condition else {
        return true;
    };
    let eval = super::run::condition_eval(condition, &|name: &str, _: DataType| {
        let value = if name == "_name" {
            Some(&*key.measurement)
        } else {
            key.tag(name)
        };
        Eval::Constant(text(value.unwrap_or_default()))
    });
    eval.holds(&[])
}

/// The series of a measurement that a statement is about.
fn keys(
    database: &str,
    measurement: &str,
    condition: Option<&Expr>,
    query: &Query<'_>,
) -> Vec<std::sync::Arc<SeriesKey>> {
    let series = query.source.series(database, measurement).into_iter();
    series
        .map(|it| it.key)
        .filter(|it| accepts(condition, it))
        .collect()
}

fn measurements(clauses: &ShowClauses, query: &Query<'_>, sink: &mut dyn Sink) -> Shown {
    // InfluxDB minds an unknown database everywhere but here.
    let database = clauses.database.as_deref().or(query.database);
    if database.is_some_and(|it| {
        !it.is_empty() && !query.source.databases().iter().any(|known| known == it)
    }) {
        return Ok(());
    }
    let condition = condition(clauses, query)?;
    let mut names: Vec<String> = meant(clauses, query)?
        .into_iter()
        .map(|(_, name)| name)
        .collect();
    let database = known_database(clauses.database.as_deref(), query)?;
    if condition.is_some() {
        names.retain(|name| !keys(&database, name, condition.as_ref(), query).is_empty());
    }
    let names: Vec<String> = page(names, clauses.limit, clauses.offset).collect();
    if names.is_empty() {
        return Ok(());
    }
    table(
        sink,
        Some("measurements"),
        &["name"],
        names.iter().map(|it| vec![text(it)]),
    )
}

fn field_keys(clauses: &ShowClauses, query: &Query<'_>, sink: &mut dyn Sink) -> Shown {
    for (database, measurement) in meant(clauses, query)? {
        let fields = query.source.fields(&database, &measurement);
        let rows: Vec<Vec<Value>> = page(fields, clauses.limit, clauses.offset)
            .map(|(name, it)| vec![text(&name), text(data_type(it).name())])
            .collect();
        if !rows.is_empty() {
            table(sink, Some(&measurement), &["fieldKey", "fieldType"], rows)?;
        }
    }
    Ok(())
}

/// Tag keys and the values of each, of the series that a statement is about.
fn tags(
    database: &str,
    measurement: &str,
    clauses: &ShowClauses,
    condition: Option<&Expr>,
    query: &Query<'_>,
) -> BTreeMap<String, BTreeSet<String>> {
    let mut tags: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for series in keys(database, measurement, condition, query) {
        for (key, value) in &series.tags {
            if clauses.key.as_ref().is_some_and(|it| !it.accepts(key)) {
                continue;
            }
            let values = match tags.get_mut(&**key) {
                Some(values) => values,
                None => tags.entry(key.to_string()).or_default(),
            };
            if !values.contains(&**value) {
                values.insert(value.to_string());
            }
        }
    }
    tags
}

fn tag_keys(clauses: &ShowClauses, query: &Query<'_>, sink: &mut dyn Sink) -> Shown {
    let condition = condition(clauses, query)?;
    let all = meant(clauses, query)?.into_iter();
    let with_tags = all.filter_map(|(database, measurement)| {
        let tags = tags(&database, &measurement, clauses, condition.as_ref(), query);
        (!tags.is_empty()).then_some((measurement, tags))
    });
    for (measurement, tags) in page(with_tags, clauses.slimit, clauses.soffset) {
        let rows: Vec<Vec<Value>> = page(tags.keys(), clauses.limit, clauses.offset)
            .map(|it| vec![text(it)])
            .collect();
        if !rows.is_empty() {
            table(sink, Some(&measurement), &["tagKey"], rows)?;
        }
    }
    Ok(())
}

fn tag_values(clauses: &ShowClauses, query: &Query<'_>, sink: &mut dyn Sink) -> Shown {
    let condition = condition(clauses, query)?;
    for (database, measurement) in meant(clauses, query)? {
        let tags = tags(&database, &measurement, clauses, condition.as_ref(), query);
        let pairs = tags
            .iter()
            .flat_map(|(key, values)| values.iter().map(move |it| (key, it)));
        let rows: Vec<Vec<Value>> = page(pairs, clauses.limit, clauses.offset)
            .map(|(key, value)| vec![text(key), text(value)])
            .collect();
        if !rows.is_empty() {
            table(sink, Some(&measurement), &["key", "value"], rows)?;
        }
    }
    Ok(())
}

/// A key as line protocol writes it.
fn written(key: &SeriesKey) -> String {
    let escaped = |text: &str, special: &[char]| {
        let mut out = String::with_capacity(text.len());
        for character in text.chars() {
            if special.contains(&character) {
                out.push('\\');
            }
            out.push(character);
        }
        out
    };
    let mut out = escaped(&key.measurement, &[',', ' ']);
    for (name, value) in &key.tags {
        let special = [',', ' ', '='];
        let _ = write!(
            out,
            ",{}={}",
            escaped(name, &special),
            escaped(value, &special)
        );
    }
    out
}

fn series(clauses: &ShowClauses, query: &Query<'_>, sink: &mut dyn Sink) -> Shown {
    let condition = condition(clauses, query)?;
    let mut all = Vec::new();
    for (database, measurement) in meant(clauses, query)? {
        let keys = keys(&database, &measurement, condition.as_ref(), query);
        all.extend(keys.iter().map(|it| written(it)));
    }
    all.sort();
    let rows: Vec<Vec<Value>> = page(all, clauses.limit, clauses.offset)
        .map(|it| vec![text(&it)])
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    table(sink, None, &["key"], rows)
}

fn cardinality(
    of: Cardinality,
    exact: bool,
    clauses: &ShowClauses,
    query: &Query<'_>,
    sink: &mut dyn Sink,
) -> Shown {
    let number = |count: usize| Value::Integer(i64::try_from(count).unwrap_or(i64::MAX));
    let condition = condition(clauses, query)?;
    let all = meant(clauses, query)?;
    let plain = !exact && clauses.sources.is_empty() && condition.is_none();
    match of {
        Cardinality::Measurements => {
            let found = all.iter().filter(|(database, name)| {
                condition.is_none() || !keys(database, name, condition.as_ref(), query).is_empty()
            });
            let column = if plain {
                "cardinality estimation"
            } else {
                "count"
            };
            return table(sink, None, &[column], [vec![number(found.count())]]);
        }
        Cardinality::Series if plain => {
            let count = all
                .iter()
                .map(|(database, name)| query.source.series(database, name).len())
                .sum();
            return table(
                sink,
                None,
                &["cardinality estimation"],
                [vec![number(count)]],
            );
        }
        _ => {}
    }
    for (database, measurement) in all {
        let tags = || tags(&database, &measurement, clauses, condition.as_ref(), query);
        let count = match of {
            Cardinality::Series | Cardinality::Measurements => {
                keys(&database, &measurement, condition.as_ref(), query).len()
            }
            Cardinality::TagKeys => tags().len(),
            Cardinality::TagValues => tags().values().map(BTreeSet::len).sum(),
            Cardinality::FieldKeys => query.source.fields(&database, &measurement).len(),
        };
        if count > 0 {
            table(sink, Some(&measurement), &["count"], [vec![number(count)]])?;
        }
    }
    Ok(())
}
