//! Sums over groups of entities (`$apply`).
//!
//! A row is an object with the properties that tell the group and the sums, in the order of groups. Results of
//! observations are never put together across units.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as JsonValue};
use smartem_model::Averaging;
use smartem_sta::{
    Aggregate, AggregateMethod, Answer, Apply, Expr, ExprKind, Path, Property, Query, Type, Version,
};

use crate::sta::StaError;
use crate::sta::error::Fault;
use crate::sta::sql::{Cell, Row};

use super::average::{Measure, Sum, no_average};
use super::compile::{Compiler, Value};
use super::locate::Set;
use super::order::{decode, encode};
use super::scan::Scan;
use super::{Reader, invalid};

/// Where to go on: so many rows were before.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    apply: u64,
}

/// A group.
struct Group {
    values: Vec<JsonValue>,
    sums: Vec<Column>,
    streams: BTreeSet<i64>,
}

/// What one aggregate needs.
#[derive(Clone, Default)]
struct Column {
    sum: Sum,
    count: u64,
    distinct: BTreeSet<String>,
    /// The least and greatest of what are no numbers.
    least: Option<String>,
    greatest: Option<String>,
}

/// How a value comes in the columns of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Number, text or whole number.
    Plain,
    Bool,
    Time,
    /// Start and end.
    Interval,
    /// A number, text or boolean.
    Json,
}

impl Form {
    fn len(self) -> usize {
        match self {
            Self::Plain | Self::Bool | Self::Time => 1,
            Self::Interval => 2,
            Self::Json => 3,
        }
    }
}

impl Reader<'_> {
    /// The rows of a question.
    pub(super) async fn apply(
        &mut self,
        set: &Set,
        query: &Query,
        apply: &Apply,
    ) -> Result<Answer, Fault> {
        let Some(set) = self.narrowed(set, query).await? else {
            return Ok(Answer::Rows(Vec::new(), None));
        };
        let paths: Vec<&Path> = apply
            .group_by
            .iter()
            .chain(apply.aggregates.iter().filter_map(|it| it.path.as_ref()))
            .collect();
        let forms = self.forms(&set, &paths)?;
        let columns = |compiler: &mut Compiler| Ok(values(compiler, &paths)?.0);
        let mut scan = Scan {
            set: &set,
            filters: query.filter.iter().chain(&apply.filter).collect(),
            columns: &columns,
            from: None,
            scanned: 0,
        };
        let first = if set.entity_type == smartem_sta::EntityType::Observation {
            2
        } else {
            1
        };
        let most = self.limits.entities_max;
        let mut groups: BTreeMap<String, Group> = BTreeMap::new();
        let mut take = |stream: i64, row: &Row| {
            let read = read(row, first, &forms)?;
            let (by, of) = read.split_at(apply.group_by.len());
            let key = JsonValue::from(by.to_vec()).to_string();
            let group = groups.entry(key).or_insert_with(|| Group {
                values: by.to_vec(),
                sums: vec![Column::default(); apply.aggregates.len()],
                streams: BTreeSet::new(),
            });
            group.streams.insert(stream);
            group.add(&apply.aggregates, of);
            if groups.len() > most {
                let detail = format!("there are more than {most} groups; group by less");
                return Err(StaError::TooMuch { detail }.into());
            }
            Ok(true)
        };
        self.scan(&mut scan, &mut take).await?;
        let streams: BTreeSet<i64> = groups.values().flat_map(|it| it.streams.clone()).collect();
        let streams: Vec<i64> = streams.into_iter().collect();
        let measures = self.measures(&streams).await?;
        let skip = match &query.after {
            Some(after) => decode::<Place>(after)?.apply,
            None => query.skip.unwrap_or(0),
        };
        let top = self.top(query, self.limits.top_default);
        let amount = groups.len() as u64;
        let place = |it: u64| usize::try_from(it).unwrap_or(usize::MAX);
        let rows = groups
            .into_values()
            .skip(place(skip))
            .take(place(top))
            .map(|group| group.row(apply, &measures));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let passed = skip.saturating_add(top);
        let next = (top > 0 && passed < amount).then(|| encode(&Place { apply: passed }));
        Ok(Answer::Rows(rows, next))
    }

    fn forms(&self, set: &Set, paths: &[&Path]) -> Result<Vec<Form>, Fault> {
        let kind = super::table::Kind::of(set.entity_type);
        let kind = kind.unwrap_or(super::table::Kind::Made);
        let mut compiler = Compiler::new(self.sql.dialect(), &self.limits, set.entity_type, kind);
        Ok(values(&mut compiler, paths)?.1)
    }
}

/// The columns of the values of paths.
fn values(compiler: &mut Compiler, paths: &[&Path]) -> Result<(Vec<String>, Vec<Form>), Fault> {
    let dialect = compiler.dialect();
    let (mut columns, mut forms) = (Vec::new(), Vec::new());
    for path in paths {
        let expr = Expr {
            kind: ExprKind::Path((*path).clone()),
            ty: Type::Json,
            at: 0..0,
        };
        let form = match compiler.value(&expr)? {
            Value::Number(number) => {
                columns.push(number.sql);
                Form::Plain
            }
            Value::Text(sql) | Value::Duration(sql) | Value::Date(sql) | Value::TimeOfDay(sql) => {
                columns.push(sql);
                Form::Plain
            }
            Value::Bool(sql) => {
                columns.push(sql);
                Form::Bool
            }
            Value::Instant(sql) => {
                columns.push(sql);
                Form::Time
            }
            Value::Time(start, end) => {
                columns.extend([start, end]);
                Form::Interval
            }
            Value::Json(json) => {
                columns.extend([
                    json.number(dialect),
                    json.text(dialect),
                    json.boolean(dialect),
                ]);
                Form::Json
            }
            Value::Geometry(..) | Value::Null => {
                return Err(invalid(
                    format!(
                        "{} is neither grouped by nor summed up",
                        path.property.name()
                    ),
                    None,
                ));
            }
        };
        forms.push(form);
    }
    Ok((columns, forms))
}

/// The values of a row.
fn read(row: &Row, first: usize, forms: &[Form]) -> Result<Vec<JsonValue>, Fault> {
    let mut at = first;
    let mut values = Vec::with_capacity(forms.len());
    for form in forms {
        values.push(match form {
            Form::Plain => plain(row.0.get(at)),
            Form::Bool => row
                .optional_int(at)?
                .map_or(JsonValue::Null, |it| (it != 0).into()),
            Form::Time => row
                .optional_time(at)?
                .map_or(JsonValue::Null, |it| it.to_string().into()),
            Form::Interval => match row.optional_time(at)? {
                Some(start) => {
                    let end = row.optional_time(at + 1)?.filter(|end| *end != start);
                    super::table::time_value(start, end).to_string().into()
                }
                None => JsonValue::Null,
            },
            Form::Json => match (row.optional_real(at)?, row.optional_text(at + 1)?) {
                (Some(number), _) => number.into(),
                (None, Some(text)) => text.into(),
                (None, None) => row
                    .optional_int(at + 2)?
                    .map_or(JsonValue::Null, |it| (it != 0).into()),
            },
        });
        at += form.len();
    }
    Ok(values)
}

fn plain(cell: Option<&Cell>) -> JsonValue {
    match cell {
        Some(Cell::Int(value)) => (*value).into(),
        Some(Cell::Real(value)) => (*value).into(),
        Some(Cell::Text(text)) => text.as_str().into(),
        Some(Cell::Null) | None => JsonValue::Null,
    }
}

impl Group {
    fn add(&mut self, aggregates: &[Aggregate], values: &[JsonValue]) {
        let mut values = values.iter();
        for (aggregate, column) in aggregates.iter().zip(&mut self.sums) {
            let value = match aggregate.path {
                Some(_) => values.next(),
                None => None,
            };
            match (aggregate.method, value) {
                (AggregateMethod::Count, None) => column.count += 1,
                (_, None | Some(JsonValue::Null)) => {}
                (AggregateMethod::CountDistinct, Some(value)) => {
                    column.distinct.insert(value.to_string());
                }
                (_, Some(value)) => column.take(value),
            }
        }
    }

    fn row(&self, apply: &Apply, measures: &HashMap<i64, Measure>) -> Result<JsonValue, Fault> {
        let mut row = Map::new();
        for (path, value) in apply.group_by.iter().zip(&self.values) {
            put(&mut row, path, value.clone());
        }
        for (aggregate, column) in apply.aggregates.iter().zip(&self.sums) {
            let averaging = self.averaging(aggregate, measures)?;
            row.insert(
                aggregate.name.clone(),
                column.value(aggregate.method, averaging),
            );
        }
        Ok(row.into())
    }

    /// How an aggregate is averaged; results only where they are of one unit.
    fn averaging(
        &self,
        aggregate: &Aggregate,
        measures: &HashMap<i64, Measure>,
    ) -> Result<Averaging, Fault> {
        let is_result = aggregate
            .path
            .as_ref()
            .is_some_and(|it| it.property == Property::Result && it.relations.is_empty());
        let is_count = matches!(
            aggregate.method,
            AggregateMethod::Count | AggregateMethod::CountDistinct
        );
        if !is_result || is_count {
            return Ok(Averaging::Arithmetic);
        }
        let mut all = self.streams.iter().filter_map(|it| measures.get(it));
        let Some(first) = all.next() else {
            return Ok(Averaging::Arithmetic);
        };
        if let Some(other) =
            all.find(|it| (&it.unit, it.averaging) != (&first.unit, first.averaging))
        {
            return Err(invalid(
                format!(
                    "a group has results of different units, {} ({}) and {} ({}); group by Datastream/id or \
                     Datastream/unitOfMeasurement/name, or filter",
                    first.unit, first.datastream, other.unit, other.datastream
                ),
                None,
            ));
        }
        if first.averaging == Averaging::Class && aggregate.method == AggregateMethod::Average {
            return Err(no_average(first));
        }
        Ok(first.averaging)
    }
}

/// Puts a value where its path leads within a row.
fn put(row: &mut Map<String, JsonValue>, path: &Path, value: JsonValue) {
    let mut at = row;
    let names = path
        .relations
        .iter()
        .map(|it| it.name(Version::V1_1).to_owned());
    let mut names: Vec<String> = names.collect();
    names.push(path.property.name().to_owned());
    names.extend(path.members.iter().cloned());
    let Some(last) = names.pop() else {
        return;
    };
    for name in names {
        let inner = at.entry(name).or_insert_with(|| Map::new().into());
        if !inner.is_object() {
            *inner = Map::new().into();
        }
        let JsonValue::Object(inner) = inner else {
            return;
        };
        at = inner;
    }
    at.insert(last, value);
}

impl Column {
    fn take(&mut self, value: &JsonValue) {
        if let Some(number) = value.as_f64() {
            self.sum.add(number);
            return;
        }
        let Some(text) = value.as_str() else {
            return;
        };
        if self.least.as_deref().is_none_or(|least| text < least) {
            self.least = Some(text.to_owned());
        }
        if self
            .greatest
            .as_deref()
            .is_none_or(|greatest| text > greatest)
        {
            self.greatest = Some(text.to_owned());
        }
    }

    fn value(&self, method: AggregateMethod, averaging: Averaging) -> JsonValue {
        let has_numbers = self.sum.count > 0;
        match method {
            AggregateMethod::Count => self.count.into(),
            AggregateMethod::CountDistinct => self.distinct.len().into(),
            AggregateMethod::Sum => has_numbers.then(|| self.sum.total()).into(),
            AggregateMethod::Average => self.sum.average(averaging).into(),
            AggregateMethod::Min if has_numbers => self.sum.min.into(),
            AggregateMethod::Max if has_numbers => self.sum.max.into(),
            AggregateMethod::Min => self.least.clone().into(),
            AggregateMethod::Max => self.greatest.clone().into(),
        }
    }
}
