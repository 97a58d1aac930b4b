//! What columns are called, and what types go together.

use super::super::ast::{DataType, Expr, Field, Operator};
use super::super::eval::{Value, binary};

/// The name of a column that has no other.
pub(crate) fn natural_name(field: &Field) -> String {
    if let Some(alias) = &field.alias {
        return alias.clone();
    }
    match &field.expr {
        Expr::Call { name, .. } | Expr::Var { name, .. } => name.clone(),
        Expr::Distinct(_) => "distinct".to_owned(),
        Expr::Paren(inner) => natural_name(&Field {
            expr: (**inner).clone(),
            alias: None,
        }),
        Expr::Binary(..) => {
            let mut names = Vec::new();
            names_in(&field.expr, &mut names);
            names.join("_")
        }
        _ => String::new(),
    }
}

fn names_in(expr: &Expr, names: &mut Vec<String>) {
    match expr {
        Expr::Var { name, .. } | Expr::Call { name, .. } => names.push(name.clone()),
        Expr::Binary(_, left, right) => {
            names_in(left, names);
            names_in(right, names);
        }
        Expr::Paren(inner) => names_in(inner, names),
        _ => {}
    }
}

/// What an operator gives for two types, `None` when they do not go together.
pub(crate) fn operator_type(
    operator: Operator,
    left: DataType,
    right: DataType,
) -> Option<DataType> {
    let zero = |it: DataType| match it {
        DataType::Float => Value::Float(0.0),
        DataType::Integer => Value::Integer(0),
        DataType::Unsigned => Value::Unsigned(0),
        DataType::Boolean => Value::Boolean(false),
        DataType::String | DataType::Tag => Value::string(""),
        DataType::Unknown | DataType::AnyField => Value::Null,
    };
    match binary(operator, zero(left), zero(right), false) {
        Value::Float(_) => Some(DataType::Float),
        Value::Integer(_) => Some(DataType::Integer),
        Value::Unsigned(_) => Some(DataType::Unsigned),
        Value::Boolean(_) => Some(DataType::Boolean),
        Value::String(_) => Some(DataType::String),
        Value::Null | Value::Time(_) => None,
    }
}
