//! A SELECT ready to run: its functions and variables have places, its expressions use these.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::super::ast::{DataType, Expr, Field, Fill};
use super::super::condition::Bounds;
use super::super::eval::{Eval, Math, Value};
use super::super::functions::Function;
use super::super::time::Zone;
use super::check::{Checked, CheckedSource};
use super::expand::{expr_type, top_arguments};
use super::names::natural_name;

/// A field or tag that is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) data_type: DataType,
}

/// A function over something.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) function: Function,
    /// How it is called.
    pub(crate) name: String,
    pub(crate) argument: Box<Argument>,
    /// The type of what it gives.
    pub(crate) output: DataType,
}

/// What a function is over.
#[derive(Clone, Debug)]
pub(crate) enum Argument {
    Field(Reference),
    Call(Call),
}

impl Call {
    /// Whether there is no such field.
    pub(crate) fn is_over_nothing(&self) -> bool {
        match &*self.argument {
            Argument::Call(inner) => inner.is_over_nothing(),
            Argument::Field(field) => matches!(
                field.data_type,
                DataType::Unknown | DataType::Tag | DataType::AnyField
            ),
        }
    }
}

/// Where a level reads.
pub(crate) enum Input {
    Measurement { database: String, name: String },
    Level(Box<Level>),
}

/// One SELECT.
pub(crate) struct Level {
    /// Its columns without the time, over places: first the functions, then the variables.
    pub(crate) columns: Vec<Eval>,
    /// What its columns are called in the answer, the time first.
    pub(crate) titles: Vec<String>,
    /// What its columns are called by a SELECT around.
    pub(crate) names: Vec<String>,
    pub(crate) calls: Vec<Call>,
    pub(crate) references: Vec<Reference>,
    /// Whether its one function picks a point, whose time and other fields then count.
    pub(crate) selector: bool,
    pub(crate) inputs: Vec<Input>,
    pub(crate) condition: Option<Expr>,
    pub(crate) bounds: Bounds,
    pub(crate) interval: i64,
    pub(crate) interval_offset: i64,
    /// Its own dimensions.
    pub(crate) dimensions: BTreeSet<String>,
    /// Its own and those of all around, sorted.
    pub(crate) group_by: Vec<String>,
    pub(crate) fill: Fill,
    pub(crate) ascending: bool,
    pub(crate) limit: usize,
    pub(crate) offset: usize,
    pub(crate) slimit: usize,
    pub(crate) soffset: usize,
    pub(crate) zone: Option<Zone>,
}

impl Level {
    /// The place of a column for a SELECT around.
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|it| it == name)
    }

    /// What a missing value becomes; `None` when the one before stays.
    pub(crate) fn default_value(&self, data_type: DataType) -> Option<Value> {
        let cast = |value: Value| match data_type {
            DataType::Float | DataType::Integer | DataType::Unsigned => value.cast(data_type),
            // Texts and booleans get the number as it is.
            _ => value,
        };
        Some(match self.fill {
            Fill::Previous => return None,
            Fill::Integer(value) => cast(Value::Integer(value)),
            Fill::Number(value) => cast(Value::Float(value)),
            _ => Value::Null,
        })
    }
}

/// Makes a checked and expanded SELECT ready.
pub(crate) fn build(checked: Checked, outer: &BTreeSet<String>) -> Result<Level, String> {
    let titles = titles(&checked);
    let mut places = Places::default();
    for field in &checked.fields {
        places.find(&field.expr)?;
        for arg in top_arguments(&field.expr).unwrap_or_default() {
            places.find(arg)?;
        }
    }
    let (mut columns, mut names) = (Vec::new(), Vec::new());
    for field in &checked.fields {
        columns.push(places.eval(&field.expr)?);
        names.push(natural_name(field));
        for arg in top_arguments(&field.expr).unwrap_or_default() {
            columns.push(places.eval(arg)?);
            names.push(natural_name(&plain(arg)));
        }
    }
    let dimensions: BTreeSet<String> = checked
        .dimensions
        .iter()
        .filter_map(|it| match it {
            Expr::Var { name, .. } => Some(name.clone()),
            _ => None,
        })
        .collect();
    let all: BTreeSet<String> = dimensions.union(outer).cloned().collect();
    let inputs = checked.sources.into_iter().map(|source| match source {
        CheckedSource::Measurement(it) => Ok(Input::Measurement {
            database: it.database.unwrap_or_default(),
            name: it.name,
        }),
        CheckedSource::Subquery(inner) => Ok(Input::Level(Box::new(build(*inner, &all)?))),
    });
    Ok(Level {
        columns,
        titles,
        names,
        selector: matches!(places.calls.as_slice(), [call] if call.function.is_selector()),
        calls: places.calls,
        references: places.references,
        inputs: inputs.collect::<Result<_, String>>()?,
        condition: checked.condition,
        bounds: checked.bounds,
        interval: checked.interval,
        interval_offset: checked.interval_offset,
        dimensions,
        group_by: all.into_iter().collect(),
        fill: checked.fill,
        ascending: checked.ascending,
        limit: checked.limit,
        offset: checked.offset,
        slimit: checked.slimit,
        soffset: checked.soffset,
        zone: checked.zone,
    })
}

fn plain(expr: &Expr) -> Field {
    Field {
        expr: expr.clone(),
        alias: None,
    }
}

/// What the columns are called, each name once.
fn titles(checked: &Checked) -> Vec<String> {
    let mut fields = Vec::new();
    for field in &checked.fields {
        fields.push(field.clone());
        fields.extend(
            top_arguments(&field.expr)
                .unwrap_or_default()
                .iter()
                .map(plain),
        );
    }
    let mut taken: BTreeMap<String, usize> = BTreeMap::new();
    taken.insert(checked.time_column.clone(), 1);
    for alias in fields.iter().filter_map(|it| it.alias.clone()) {
        taken.insert(alias, 1);
    }
    let mut titles = vec![checked.time_column.clone()];
    for field in &fields {
        let name = natural_name(field);
        if field.alias.is_some() {
            titles.push(name);
            continue;
        }
        let Some(mut count) = taken.get(&name).copied() else {
            taken.insert(name.clone(), 1);
            titles.push(name);
            continue;
        };
        let mut numbered = format!("{name}_{count}");
        while taken.contains_key(&numbered) {
            count += 1;
            numbered = format!("{name}_{count}");
        }
        taken.insert(name, count + 1);
        taken.insert(numbered.clone(), 1);
        titles.push(numbered);
    }
    titles
}

/// Gives functions and variables their places.
#[derive(Default)]
struct Places {
    calls: Vec<Call>,
    references: Vec<Reference>,
    by_text: HashMap<String, usize>,
}

impl Places {
    fn find(&mut self, expr: &Expr) -> Result<(), String> {
        match expr {
            Expr::Var { name, data_type } => {
                let reference = Reference {
                    name: name.clone(),
                    data_type: *data_type,
                };
                if !self.references.contains(&reference) {
                    self.references.push(reference);
                }
            }
            Expr::Call { name, args } if Math::named(name).is_some() => {
                args.iter().try_for_each(|it| self.find(it))?;
            }
            Expr::Call { .. } => {
                let text = expr.to_string();
                if !self.by_text.contains_key(&text) {
                    self.by_text.insert(text, self.calls.len());
                    self.calls.push(call(expr)?);
                }
            }
            Expr::Binary(_, left, right) => {
                self.find(left)?;
                self.find(right)?;
            }
            Expr::Paren(inner) => self.find(inner)?,
            _ => {}
        }
        Ok(())
    }

    fn eval(&self, expr: &Expr) -> Result<Eval, String> {
        Ok(match expr {
            Expr::Var { name, data_type } => {
                let place = self
                    .references
                    .iter()
                    .position(|it| it.name == *name && it.data_type == *data_type);
                Eval::Slot(self.calls.len() + place.unwrap_or_default())
            }
            Expr::Call { name, args } => match Math::named(name) {
                Some(math) => {
                    let args = args.iter().map(|it| self.eval(it));
                    Eval::Math(math, args.collect::<Result<_, String>>()?)
                }
                None => Eval::Slot(
                    self.by_text
                        .get(&expr.to_string())
                        .copied()
                        .unwrap_or_default(),
                ),
            },
            Expr::Binary(operator, left, right) => Eval::Binary(
                *operator,
                Box::new(self.eval(left)?),
                Box::new(self.eval(right)?),
            ),
            Expr::Paren(inner) => self.eval(inner)?,
            other => constant(other),
        })
    }
}

/// A constant as an expression to work with.
pub(crate) fn constant(expr: &Expr) -> Eval {
    Eval::Constant(match expr {
        Expr::Number(value) => Value::Float(*value),
        Expr::Integer(value) => Value::Integer(*value),
        Expr::Unsigned(value) => Value::Unsigned(*value),
        Expr::Boolean(value) => Value::Boolean(*value),
        Expr::String(text) => Value::string(text),
        Expr::Regex(regex) => return Eval::Regex(regex.clone()),
        _ => Value::Null,
    })
}

fn call(expr: &Expr) -> Result<Call, String> {
    let Expr::Call { name, args } = expr else {
        return Err(format!("not a function: {expr}"));
    };
    let argument = match args.first() {
        Some(Expr::Var { name, data_type }) => Argument::Field(Reference {
            name: name.clone(),
            data_type: *data_type,
        }),
        Some(Expr::Distinct(inner)) => Argument::Field(Reference {
            name: inner.clone(),
            data_type: DataType::Unknown,
        }),
        Some(inner @ Expr::Call { name: nested, args }) => {
            if name == "count" && nested == "distinct" {
                let function = Function::CountDistinct;
                let Some(Expr::Var {
                    name: field,
                    data_type,
                }) = args.first()
                else {
                    return Err("expected field argument in distinct()".to_owned());
                };
                return Ok(Call {
                    function,
                    name: name.clone(),
                    argument: Box::new(Argument::Field(Reference {
                        name: field.clone(),
                        data_type: *data_type,
                    })),
                    output: DataType::Integer,
                });
            }
            Argument::Call(call(inner)?)
        }
        _ => return Err(format!("expected field argument in {name}()")),
    };
    Ok(Call {
        function: Function::of(name, args)?,
        name: name.clone(),
        argument: Box::new(argument),
        output: expr_type(expr)?,
    })
}
