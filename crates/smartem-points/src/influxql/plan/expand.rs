//! Wildcards and regular expressions become what they stand for; variables get their types.

use std::collections::{BTreeMap, BTreeSet};

use super::super::ast::{DataType, Expr, Field};
use super::super::eval::Math;
use super::super::schema::Schema;
use super::check::{Checked, CheckedSource};
use super::names::{natural_name, operator_type};

/// Expands a SELECT and those within; errors are InfluxDB's.
pub(crate) fn expand(checked: &mut Checked, schema: &Schema<'_>) -> Result<(), String> {
    let mut sources = Vec::new();
    for source in std::mem::take(&mut checked.sources) {
        match source {
            CheckedSource::Measurement(meant) => {
                let database = meant.database.clone().unwrap_or_default();
                for name in schema.names(&database, &meant) {
                    let mut one = meant.clone();
                    (one.name, one.regex) = (name, None);
                    sources.push(CheckedSource::Measurement(one));
                }
            }
            CheckedSource::Subquery(mut inner) => {
                expand(&mut inner, schema)?;
                sources.push(CheckedSource::Subquery(inner));
            }
        }
    }
    checked.sources = sources;
    let mut assign = |expr: &mut Expr| {
        let Expr::Var { name, data_type } = expr else {
            return;
        };
        if !matches!(data_type, DataType::Unknown | DataType::AnyField) {
            return;
        }
        let found = variable_type(name, &checked.sources, schema);
        if found != DataType::Tag || *data_type != DataType::AnyField {
            *data_type = found;
        }
    };
    for field in &mut checked.fields {
        field.expr.walk_mut(&mut |expr| {
            if let Expr::Distinct(name) = expr {
                *expr = Expr::Call {
                    name: "distinct".to_owned(),
                    args: vec![Expr::var(name, DataType::Unknown)],
                };
            }
        });
        field.expr.walk_mut(&mut assign);
    }
    if let Some(condition) = &mut checked.condition {
        condition.walk_mut(&mut assign);
    }
    expand_wildcards(checked, schema)?;
    for field in &checked.fields {
        expr_type(&field.expr)?;
    }
    Ok(())
}

/// The type of a variable over some sources.
fn variable_type(name: &str, sources: &[CheckedSource], schema: &Schema<'_>) -> DataType {
    let mut best = DataType::Unknown;
    let mut take = |found: DataType| {
        if best.yields_to(found) {
            best = found;
        }
    };
    for source in sources {
        match source {
            CheckedSource::Measurement(it) => {
                let database = it.database.as_deref().unwrap_or_default();
                take(schema.table(database, &it.name).data_type(name));
            }
            CheckedSource::Subquery(inner) => {
                if let Some(found) = column_type(inner, name) {
                    take(found);
                }
                let dimension = |it: &Expr| matches!(it, Expr::Var { name: it, .. } if it == name);
                if inner.dimensions.iter().any(dimension) {
                    take(DataType::Tag);
                }
            }
        }
    }
    best
}

/// The type of a column of a subquery.
fn column_type(inner: &Checked, name: &str) -> Option<DataType> {
    for field in &inner.fields {
        if natural_name(field) == name {
            return expr_type(&field.expr).ok();
        }
        if let Some(args) = top_arguments(&field.expr)
            && args
                .iter()
                .any(|it| matches!(it, Expr::Var { name: it, .. } if it == name))
        {
            return Some(DataType::String);
        }
    }
    None
}

/// What stands between field and number in `top()` and `bottom()`; each becomes a column.
pub(crate) fn top_arguments(expr: &Expr) -> Option<&[Expr]> {
    match expr {
        Expr::Call { name, args } if matches!(name.as_str(), "top" | "bottom") => {
            args.get(1..args.len().saturating_sub(1))
        }
        _ => None,
    }
}

/// The type of an expression whose variables have theirs.
pub(crate) fn expr_type(expr: &Expr) -> Result<DataType, String> {
    Ok(match expr {
        Expr::Var { data_type, .. } => *data_type,
        Expr::Number(_) => DataType::Float,
        Expr::Integer(_) => DataType::Integer,
        Expr::Unsigned(_) => DataType::Unsigned,
        Expr::Boolean(_) => DataType::Boolean,
        Expr::String(_) => DataType::String,
        Expr::Paren(inner) => expr_type(inner)?,
        Expr::Call { name, args } => {
            let first = args.first().map_or(Ok(DataType::Unknown), expr_type)?;
            for arg in args.iter().skip(1) {
                expr_type(arg)?;
            }
            match (name.as_str(), Math::named(name)) {
                (_, Some(math)) if math.keeps_type() => first,
                ("count" | "elapsed", _) => DataType::Integer,
                (_, Some(_))
                | (
                    "mean"
                    | "median"
                    | "integral"
                    | "stddev"
                    | "derivative"
                    | "non_negative_derivative"
                    | "moving_average",
                    _,
                ) => DataType::Float,
                _ => first,
            }
        }
        Expr::Binary(operator, left, right) => {
            let (a, b) = (expr_type(left)?, expr_type(right)?);
            let explicit = |hint: &str| {
                Err(format!(
                    "type error: {expr}: cannot use {} {hint}",
                    operator.sign()
                ))
            };
            let mixed = matches!(
                (a, b),
                (DataType::Unsigned, DataType::Integer) | (DataType::Integer, DataType::Unsigned)
            );
            if mixed {
                let (integer, unsigned) = match a {
                    DataType::Integer => (left, right),
                    _ => (right, left),
                };
                if unsigned.is_literal() {
                    return explicit("with an integer and unsigned literal");
                }
                if !integer.is_literal() {
                    return explicit(
                        "between an integer and unsigned, an explicit cast is required",
                    );
                }
            }
            match (a, b) {
                (DataType::Unknown, other) | (other, DataType::Unknown) => other,
                (a, b) => operator_type(*operator, a, b).ok_or_else(|| {
                    format!("type error: {expr}: incompatible types: {a} and {b}")
                })?,
            }
        }
        _ => DataType::Unknown,
    })
}

/// All fields and tags of some sources.
fn fields_and_tags(
    sources: &[CheckedSource],
    schema: &Schema<'_>,
) -> (BTreeMap<String, DataType>, BTreeSet<String>) {
    let mut fields: BTreeMap<String, DataType> = BTreeMap::new();
    let mut tags = BTreeSet::new();
    let mut take = |name: String, data_type: DataType| {
        let known = fields.entry(name).or_insert(DataType::Unknown);
        if known.yields_to(data_type) {
            *known = data_type;
        }
    };
    for source in sources {
        match source {
            CheckedSource::Measurement(it) => {
                let table = schema.table(it.database.as_deref().unwrap_or_default(), &it.name);
                for (name, data_type) in &table.fields {
                    take(name.clone(), *data_type);
                }
                tags.extend(table.tags().iter().cloned());
            }
            CheckedSource::Subquery(inner) => {
                for field in &inner.fields {
                    take(
                        natural_name(field),
                        expr_type(&field.expr).unwrap_or(DataType::Unknown),
                    );
                }
                let names = inner.dimensions.iter().filter_map(|it| match it {
                    Expr::Var { name, .. } => Some(name.clone()),
                    _ => None,
                });
                tags.extend(names);
            }
        }
    }
    (fields, tags)
}

fn expand_wildcards(checked: &mut Checked, schema: &Schema<'_>) -> Result<(), String> {
    let is_wild = |it: &Expr| matches!(it, Expr::Wildcard(_) | Expr::Regex(_));
    let wild_dimensions = checked.dimensions.iter().any(is_wild);
    let mut wild_fields = false;
    for field in &checked.fields {
        field.expr.walk(&mut |it| wild_fields |= is_wild(it));
    }
    if !wild_dimensions && !wild_fields {
        return Ok(());
    }
    let (fields, mut tags) = fields_and_tags(&checked.sources, schema);
    let mut columns: Vec<(String, DataType)> = fields.into_iter().collect();
    if !wild_dimensions {
        for dimension in &checked.dimensions {
            if let Expr::Var { name, .. } = dimension {
                tags.remove(name);
            }
        }
        if !columns.is_empty() {
            columns.extend(tags.iter().map(|it| (it.clone(), DataType::Tag)));
            columns.sort_by(|a, b| {
                a.0.cmp(&b.0)
                    .then((a.1 == DataType::Tag).cmp(&(b.1 == DataType::Tag)))
            });
        }
    }
    if wild_fields {
        let mut expanded = Vec::new();
        for field in &checked.fields {
            expand_field(field, &columns, &mut expanded)?;
        }
        checked.fields = expanded;
    }
    if wild_dimensions {
        let mut dimensions = Vec::new();
        for dimension in &checked.dimensions {
            let names: Vec<&String> = match dimension {
                Expr::Wildcard(_) => tags.iter().collect(),
                Expr::Regex(regex) => tags.iter().filter(|it| regex.is_match(it)).collect(),
                other => {
                    dimensions.push(other.clone());
                    continue;
                }
            };
            dimensions.extend(names.iter().map(|it| Expr::var(it, DataType::Unknown)));
        }
        checked.dimensions = dimensions;
    }
    Ok(())
}

fn expand_field(
    field: &Field,
    columns: &[(String, DataType)],
    expanded: &mut Vec<Field>,
) -> Result<(), String> {
    let plain = |(name, data_type): &(String, DataType)| Field {
        expr: Expr::var(name, *data_type),
        alias: None,
    };
    match &field.expr {
        Expr::Wildcard(kind) => {
            let wanted = columns.iter().filter(|(_, data_type)| match kind {
                DataType::AnyField => *data_type != DataType::Tag,
                DataType::Tag => *data_type == DataType::Tag,
                _ => true,
            });
            expanded.extend(wanted.map(plain));
        }
        Expr::Regex(regex) => {
            expanded.extend(
                columns
                    .iter()
                    .filter(|(name, _)| regex.is_match(name))
                    .map(plain),
            );
        }
        Expr::Call { name, .. } if Math::named(name).is_none() => {
            expand_call(field, columns, expanded)?;
        }
        Expr::Binary(..) => {
            let (mut wildcard, mut regex) = (false, false);
            field.expr.walk(&mut |it| match it {
                Expr::Wildcard(_) => wildcard = true,
                Expr::Regex(_) => regex = true,
                _ => {}
            });
            if wildcard {
                return Err(format!(
                    "unsupported expression with wildcard: {}",
                    field.expr
                ));
            }
            if regex {
                return Err(format!(
                    "unsupported expression with regex field: {}",
                    field.expr
                ));
            }
            expanded.push(field.clone());
        }
        _ => expanded.push(field.clone()),
    }
    Ok(())
}

/// A function of a wildcard becomes one for each column that it can take.
fn expand_call(
    field: &Field,
    columns: &[(String, DataType)],
    expanded: &mut Vec<Field>,
) -> Result<(), String> {
    let (mut function, mut innermost) = (String::new(), None);
    let mut expr = &field.expr;
    while let Expr::Call { name, args } = expr {
        function.clone_from(name);
        innermost = args.first();
        let Some(first @ Expr::Call { .. }) = innermost else {
            break;
        };
        expr = first;
    }
    let regex = match innermost {
        Some(Expr::Wildcard(DataType::Tag)) => {
            return Err(format!("unable to use tag wildcard in {function}()"));
        }
        Some(Expr::Wildcard(_)) => None,
        Some(Expr::Regex(regex)) => Some(regex.clone()),
        _ => {
            expanded.push(field.clone());
            return Ok(());
        }
    };
    let takes = |data_type: DataType| match data_type {
        DataType::Float | DataType::Integer | DataType::Unsigned => true,
        DataType::String => matches!(
            function.as_str(),
            "count" | "first" | "last" | "distinct" | "elapsed" | "mode"
        ),
        DataType::Boolean => matches!(
            function.as_str(),
            "count" | "first" | "last" | "distinct" | "elapsed" | "mode" | "min" | "max"
        ),
        _ => false,
    };
    for (name, data_type) in columns {
        if !takes(*data_type) || regex.as_ref().is_some_and(|it| !it.is_match(name)) {
            continue;
        }
        let mut expr = field.expr.clone();
        replace_innermost(&mut expr, Expr::var(name, *data_type));
        expanded.push(Field {
            expr,
            alias: Some(format!("{}_{name}", natural_name(field))),
        });
    }
    Ok(())
}

fn replace_innermost(expr: &mut Expr, with: Expr) {
    if let Expr::Call { args, .. } = expr
        && let Some(first) = args.first_mut()
    {
        if matches!(first, Expr::Call { .. }) {
            replace_innermost(first, with);
        } else {
            *first = with;
        }
    }
}
