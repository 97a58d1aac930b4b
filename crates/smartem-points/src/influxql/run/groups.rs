//! Which series go together.

use std::sync::Arc;

use super::super::ast::{DataType, Expr, Operator};
use super::super::eval::{Eval, Math, Value};
use super::super::plan::{Input, Level, constant};
use super::super::schema::Table;
use super::Run;
use crate::influxql::QueryError;
use crate::{SeriesId, SeriesKey};

/// Series of one name with the same values of the tags that are grouped by.
pub(crate) struct Group<'a> {
    pub(crate) name: Arc<str>,
    /// The values of the tags that are grouped by, empty where there is none.
    pub(crate) tags: Vec<Arc<str>>,
    pub(crate) members: Vec<Member<'a>>,
}

/// What a group reads from.
pub(crate) enum Member<'a> {
    Series(Series),
    /// A group of a SELECT within.
    Group(&'a Level, Group<'a>),
}

/// A series with what remains of the condition once its tags are known.
pub(crate) struct Series {
    pub(crate) id: SeriesId,
    pub(crate) key: Arc<SeriesKey>,
    pub(crate) table: std::rc::Rc<Table>,
    /// Over the fields in `condition_fields`.
    pub(crate) condition: Option<Eval>,
    pub(crate) condition_fields: Arc<[String]>,
}

impl Group<'_> {
    /// How many series it reads.
    pub(crate) fn series(&self) -> usize {
        let members = self.members.iter();
        members
            .map(|member| match member {
                Member::Series(_) => 1,
                Member::Group(_, group) => group.series(),
            })
            .sum()
    }
}

impl Run<'_> {
    /// The groups of a SELECT, by name and tags.
    pub(crate) fn groups<'a>(&'a self, level: &'a Level) -> Result<Vec<Group<'a>>, QueryError> {
        let mut groups = Vec::new();
        for input in &level.inputs {
            match input {
                Input::Measurement { database, name } => {
                    self.check_cancel()?;
                    groups.extend(self.measurement_groups(level, database, name));
                }
                Input::Level(inner) => {
                    for group in self.groups(inner)? {
                        let tags = level.group_by.iter().map(|key| {
                            let place = inner.group_by.iter().position(|it| it == key);
                            place.map_or_else(|| "".into(), |place| Arc::clone(&group.tags[place]))
                        });
                        groups.push(Group {
                            name: Arc::clone(&group.name),
                            tags: tags.collect(),
                            members: vec![Member::Group(inner, group)],
                        });
                    }
                }
            }
        }
        Ok(joined(groups))
    }

    fn measurement_groups<'a>(&self, level: &Level, database: &str, name: &str) -> Vec<Group<'a>> {
        let table = self.schema.table(database, name);
        let shared: Arc<str> = name.into();
        let fields = condition_fields(level.condition.as_ref(), &table);
        let mut needed = Vec::new();
        if let Some(condition) = &level.condition {
            needed_tags(condition, &table, &mut needed);
        }
        let mut groups = Vec::new();
        for series in &table.series {
            let tag = |name: &str| series.key.tag(name).unwrap_or_default();
            if needed.iter().any(|(name, value)| tag(name) != *value) {
                continue;
            }
            let condition = level.condition.as_ref().map(|condition| {
                let place = |name: &str| fields.iter().position(|it| it == name);
                series_condition(condition, &series.key, &place).folded()
            });
            let condition = match condition {
                None | Some(Eval::Constant(Value::Boolean(true))) => None,
                Some(Eval::Constant(_)) => continue,
                rest => rest,
            };
            let tags = level
                .group_by
                .iter()
                .map(|key| series.key.tag(key).unwrap_or_default().into());
            groups.push(Group {
                name: Arc::clone(&shared),
                tags: tags.collect(),
                members: vec![Member::Series(Series {
                    id: series.id,
                    key: Arc::clone(&series.key),
                    table: std::rc::Rc::clone(&table),
                    condition,
                    condition_fields: Arc::clone(&fields),
                })],
            });
        }
        let mut groups = joined(groups);
        if level.soffset == 0 && level.slimit == 0 {
            return groups;
        }
        groups.sort_by_cached_key(|it| limit_key(&level.group_by, &it.tags));
        groups.drain(..level.soffset.min(groups.len()));
        if level.slimit > 0 {
            groups.truncate(level.slimit);
        }
        groups
    }
}

/// By what SLIMIT and SOFFSET count groups: the keys of the tags that there are, then their values.
fn limit_key(keys: &[String], values: &[Arc<str>]) -> String {
    let there = || {
        keys.iter()
            .zip(values)
            .filter(|(_, value)| !value.is_empty())
    };
    let keys = there().map(|(key, _)| key.as_str());
    let values = there().map(|(_, value)| &**value);
    keys.chain(values).collect::<Vec<_>>().join("|")
}

/// Groups of the same name and tags made one, in their order.
fn joined(mut groups: Vec<Group<'_>>) -> Vec<Group<'_>> {
    groups.sort_by(|a, b| (&a.name, &a.tags).cmp(&(&b.name, &b.tags)));
    let mut joined: Vec<Group<'_>> = Vec::with_capacity(groups.len());
    for group in groups {
        match joined.last_mut() {
            Some(last) if last.name == group.name && last.tags == group.tags => {
                last.members.extend(group.members);
            }
            _ => joined.push(group),
        }
    }
    joined
}

/// The tags that a condition wants to have a value in any case: most series are passed over by
/// these alone, without working the condition out for each.
fn needed_tags<'e>(condition: &'e Expr, table: &Table, needed: &mut Vec<(&'e str, &'e str)>) {
    match condition {
        Expr::Paren(inner) => needed_tags(inner, table, needed),
        Expr::Binary(Operator::And, left, right) => {
            needed_tags(left, table, needed);
            needed_tags(right, table, needed);
        }
        Expr::Binary(Operator::Eq, left, right) => {
            if let (Expr::Var { name, data_type }, Expr::String(value)) = (&**left, &**right)
                && (*data_type == DataType::Tag || table.field(name).is_none())
                && name != "_name"
            {
                needed.push((name, value));
            }
        }
        _ => {}
    }
}

/// The fields that a condition looks at.
fn condition_fields(condition: Option<&Expr>, table: &Table) -> Arc<[String]> {
    let mut fields = Vec::new();
    if let Some(condition) = condition {
        condition.walk(&mut |expr| {
            if let Expr::Var { name, data_type } = expr
                && *data_type != DataType::Tag
                && table.field(name).is_some()
                && !fields.contains(name)
            {
                fields.push(name.clone());
            }
        });
    }
    fields.into()
}

/// The condition of a series: its tags are constants; a tag that it has not is empty.
fn series_condition(expr: &Expr, key: &SeriesKey, place: &dyn Fn(&str) -> Option<usize>) -> Eval {
    condition_eval(expr, &|name, data_type| {
        if data_type != DataType::Tag
            && let Some(place) = place(name)
        {
            return Eval::Slot(place);
        }
        if name == "_name" {
            return Eval::Constant(Value::string(&key.measurement));
        }
        Eval::Constant(Value::string(key.tag(name).unwrap_or_default()))
    })
}

/// A condition as an expression over places.
pub(crate) fn condition_eval(expr: &Expr, variable: &dyn Fn(&str, DataType) -> Eval) -> Eval {
    match expr {
        Expr::Var { name, data_type } => variable(name, *data_type),
        Expr::Call { name, args } => match Math::named(name) {
            Some(math) => {
                let args = args.iter().map(|it| condition_eval(it, variable));
                Eval::Math(math, args.collect())
            }
            None => Eval::Constant(Value::Null),
        },
        Expr::Binary(operator, left, right) => Eval::Binary(
            *operator,
            Box::new(condition_eval(left, variable)),
            Box::new(condition_eval(right, variable)),
        ),
        Expr::Paren(inner) => condition_eval(inner, variable),
        other => constant(other),
    }
}
