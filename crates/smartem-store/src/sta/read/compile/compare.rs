//! Comparisons and arithmetic.

use smartem_sta::{BinaryOp, Expr, ExprKind, Literal, Property};

use crate::sta::error::Fault;
use crate::sta::sql::Dialect;

use super::super::locate::id_is;
use super::value::{to_int, unfit};
use super::{Compiler, Json, Number, Value};

impl Compiler {
    /// A condition that is no `and`, `or`, `not` or `any`.
    pub(super) fn comparison(&mut self, expr: &Expr) -> Result<String, Fault> {
        match &expr.kind {
            ExprKind::Binary(
                op @ (BinaryOp::Eq
                | BinaryOp::Ne
                | BinaryOp::Gt
                | BinaryOp::Ge
                | BinaryOp::Lt
                | BinaryOp::Le),
                left,
                right,
            ) => {
                if let Some(condition) = self.is_observation(*op, left, right)? {
                    return Ok(condition);
                }
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.compared(*op, &left, &right, expr)
            }
            ExprKind::In(needle, members) => self.is_in(needle, members, expr),
            _ => {
                let dialect = self.dialect();
                match self.value(expr)? {
                    Value::Bool(sql) => Ok(sql),
                    Value::Json(json) => Ok(json.boolean(dialect)),
                    Value::Null => Ok(self.unknown().to_owned()),
                    _ => Err(unfit(expr, "a condition")),
                }
            }
        }
    }

    /// `id eq 5` of observations, along their key.
    fn is_observation(
        &mut self,
        op: BinaryOp,
        left: &Expr,
        right: &Expr,
    ) -> Result<Option<String>, Fault> {
        let (path, id) = match (&left.kind, &right.kind) {
            (ExprKind::Path(path), ExprKind::Literal(Literal::Int(id)))
            | (ExprKind::Literal(Literal::Int(id)), ExprKind::Path(path)) => (path, *id),
            _ => return Ok(None),
        };
        if op != BinaryOp::Eq || path.property != Property::Id {
            return Ok(None);
        }
        let node = self.node(path, left)?;
        if !node.kind.is_observation() {
            return Ok(None);
        }
        let is = id_is(&mut self.statement, node.kind, &node.alias, id);
        Ok(Some(format!("({is})")))
    }

    fn is_in(&mut self, needle: &Expr, members: &[Expr], expr: &Expr) -> Result<String, Fault> {
        let mut each = Vec::with_capacity(members.len());
        let needle = self.value(needle)?;
        for member in members {
            let member = self.value(member)?;
            each.push(self.compared(BinaryOp::Eq, &needle, &member, expr)?);
        }
        if each.is_empty() {
            return Ok(self.constant(false).to_owned());
        }
        Ok(format!("({})", each.join(" OR ")))
    }

    fn compared(
        &mut self,
        op: BinaryOp,
        left: &Value,
        right: &Value,
        expr: &Expr,
    ) -> Result<String, Fault> {
        let dialect = self.dialect();
        let plain = |left: &str, right: &str| Ok(simple(op, left, right));
        match (left, right) {
            (Value::Null, value) | (value, Value::Null) => Ok(self.compared_with_null(op, value)),
            (Value::Number(left), Value::Number(right)) => Ok(numbers(dialect, op, left, right)),
            (Value::Text(left), Value::Text(right)) => Ok(texts(dialect, op, left, right)),
            (Value::Bool(left), Value::Bool(right)) => Ok(simple(op, left, right)),
            (Value::Duration(left), Value::Duration(right))
            | (Value::Date(left), Value::Date(right))
            | (Value::TimeOfDay(left), Value::TimeOfDay(right))
            | (Value::Instant(left), Value::Instant(right)) => plain(left, right),
            (Value::Instant(_) | Value::Time(..), Value::Instant(_) | Value::Time(..)) => {
                super::time::compared(op, left, right).ok_or_else(|| unfit(expr, "a time"))
            }
            (Value::Json(left), Value::Json(right)) => Ok(jsons(dialect, op, left, right)),
            (Value::Json(json), Value::Number(number)) => {
                plain(&json.number(dialect), &number.as_real(dialect))
            }
            (Value::Number(number), Value::Json(json)) => {
                plain(&number.as_real(dialect), &json.number(dialect))
            }
            // A number as it is written: the servers of version 1.0 compared so, and its tests ask for it.
            (Value::Json(json), Value::Text(text)) => {
                Ok(texts(dialect, op, &json.text_or_number(dialect), text))
            }
            (Value::Text(text), Value::Json(json)) => {
                Ok(texts(dialect, op, text, &json.text_or_number(dialect)))
            }
            (Value::Json(json), Value::Bool(truth)) => plain(&json.boolean(dialect), truth),
            (Value::Bool(truth), Value::Json(json)) => plain(truth, &json.boolean(dialect)),
            _ => Err(unfit(expr, "a comparison of values of one type")),
        }
    }

    /// `eq null` tells whether there is a value; null is not less or more than anything.
    fn compared_with_null(&self, op: BinaryOp, value: &Value) -> String {
        let is_null = match value {
            Value::Null => self.constant(true).to_owned(),
            Value::Json(json) => json.is_null(self.dialect()),
            Value::Number(Number { sql, .. })
            | Value::Bool(sql)
            | Value::Text(sql)
            | Value::Instant(sql)
            | Value::Time(sql, _)
            | Value::Duration(sql)
            | Value::Date(sql)
            | Value::TimeOfDay(sql) => format!("({sql} IS NULL)"),
            Value::Geometry(_, is_null) => is_null.clone(),
        };
        match op {
            BinaryOp::Eq => is_null,
            BinaryOp::Ne => format!("(NOT {is_null})"),
            _ => self.unknown().to_owned(),
        }
    }

    pub(super) fn arithmetic(
        &mut self,
        op: BinaryOp,
        left: &Expr,
        right: &Expr,
        expr: &Expr,
    ) -> Result<Value, Fault> {
        use Value as V;
        let dialect = self.dialect();
        let (left_value, right_value) = (self.value(left)?, self.value(right)?);
        let sign = if op == BinaryOp::Sub { "-" } else { "+" };
        let shifted = |time: &str, by: &str| super::time::shifted(dialect, time, sign, by);
        Ok(match (left_value, right_value) {
            (V::Instant(time), V::Duration(by)) | (V::Duration(by), V::Instant(time)) => {
                V::Instant(shifted(&time, &by))
            }
            (V::Time(start, end), V::Duration(by)) | (V::Duration(by), V::Time(start, end)) => {
                V::Time(shifted(&start, &by), shifted(&end, &by))
            }
            (V::Instant(left) | V::Time(left, _), V::Instant(right) | V::Time(right, _)) => {
                let (left, right) = (micros(dialect, &left), micros(dialect, &right));
                V::Duration(format!("({left} - {right})"))
            }
            // Whole days only: what is left of a day does not show in a date.
            (V::Date(day), V::Duration(by)) | (V::Duration(by), V::Date(day)) => {
                V::Date(format!("({day} {sign} {by} / 86400000000)"))
            }
            (V::Date(left), V::Date(right)) => {
                V::Duration(format!("(({left} - {right}) * 86400000000)"))
            }
            (V::Duration(left), V::Duration(right)) => {
                V::Duration(format!("({left} {sign} {right})"))
            }
            (V::Duration(duration), other) if !matches!(other, V::Duration(_)) => {
                let number = self.number(right)?.as_real(dialect);
                let duration = super::value::to_real(dialect, &duration);
                let sql = if op == BinaryOp::Div {
                    format!("{duration} / NULLIF({number}, 0)")
                } else {
                    format!("{duration} * {number}")
                };
                V::Duration(to_int(dialect, &truncated(dialect, &format!("({sql})"))))
            }
            (_, V::Duration(duration)) => {
                let number = self.number(left)?.as_real(dialect);
                let duration = super::value::to_real(dialect, &duration);
                let sql = format!("({duration} * {number})");
                V::Duration(to_int(dialect, &truncated(dialect, &sql)))
            }
            (left_value, right_value) => {
                let left = self.as_number(left_value, left)?;
                let right = self.as_number(right_value, right)?;
                V::Number(
                    calculated(dialect, op, &left, &right)
                        .ok_or_else(|| unfit(expr, "arithmetic"))?,
                )
            }
        })
    }

    fn as_number(&self, value: Value, expr: &Expr) -> Result<Number, Fault> {
        let dialect = self.dialect();
        match value {
            Value::Number(number) => Ok(number),
            Value::Json(json) => Ok(Number::real(json.number(dialect))),
            Value::Null => Ok(Number::real(super::value::to_real(dialect, "NULL"))),
            _ => Err(unfit(expr, "a number")),
        }
    }
}

fn simple(op: BinaryOp, left: &str, right: &str) -> String {
    format!("({left} {} {right})", symbol(op))
}

pub(super) fn symbol(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Eq => "=",
        BinaryOp::Ne => "<>",
        BinaryOp::Gt => ">",
        BinaryOp::Ge => ">=",
        BinaryOp::Lt => "<",
        BinaryOp::Le => "<=",
        BinaryOp::And => "AND",
        BinaryOp::Or => "OR",
        BinaryOp::Add => "+",
        BinaryOp::Sub => "-",
        BinaryOp::Mul => "*",
        BinaryOp::Div => "/",
        BinaryOp::Mod => "%",
    }
}

/// Integers as such, so that an index serves them.
fn numbers(dialect: Dialect, op: BinaryOp, left: &Number, right: &Number) -> String {
    if left.is_int && right.is_int {
        return simple(op, &left.sql, &right.sql);
    }
    simple(op, &left.as_real(dialect), &right.as_real(dialect))
}

/// Texts are in the order of their code points on both backends.
fn texts(dialect: Dialect, op: BinaryOp, left: &str, right: &str) -> String {
    let collation = match (dialect, op) {
        (Dialect::Sqlite, _) | (_, BinaryOp::Eq | BinaryOp::Ne) => "",
        (Dialect::Postgres, _) => " COLLATE \"C\"",
    };
    format!("({left} {} {right}{collation})", symbol(op))
}

/// Values of the same type; of others it is unknown.
fn jsons(dialect: Dialect, op: BinaryOp, left: &Json, right: &Json) -> String {
    let numbers = simple(op, &left.number(dialect), &right.number(dialect));
    let texts = texts(dialect, op, &left.text(dialect), &right.text(dialect));
    if matches!(op, BinaryOp::Eq | BinaryOp::Ne) {
        let truths = simple(op, &left.boolean(dialect), &right.boolean(dialect));
        return format!("COALESCE({numbers}, {texts}, {truths})");
    }
    format!("COALESCE({numbers}, {texts})")
}

/// Without its fraction.
fn truncated(dialect: Dialect, real: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!("sta_trunc({real})"),
        Dialect::Postgres => format!("trunc({real})"),
    }
}

/// In doubles on both backends; dividing by zero gives NULL, of whole numbers a whole one.
fn calculated(dialect: Dialect, op: BinaryOp, left: &Number, right: &Number) -> Option<Number> {
    let is_whole = left.is_whole && right.is_whole;
    let (a, b) = (left.as_real(dialect), right.as_real(dialect));
    let sql = match op {
        BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul => format!("({a} {} {b})", symbol(op)),
        BinaryOp::Div if is_whole => truncated(dialect, &format!("({a} / NULLIF({b}, 0.0))")),
        BinaryOp::Div => format!("({a} / NULLIF({b}, 0.0))"),
        BinaryOp::Mod => {
            let whole = truncated(dialect, &format!("({a} / NULLIF({b}, 0.0))"));
            format!("({a} - {b} * {whole})")
        }
        _ => return None,
    };
    Some(Number {
        sql,
        is_whole,
        is_int: false,
    })
}

/// Microseconds since 1970.
pub(super) fn micros(dialect: Dialect, time: &str) -> String {
    match dialect {
        Dialect::Sqlite => time.to_owned(),
        Dialect::Postgres => format!("(extract(epoch FROM {time}) * 1000000)::bigint"),
    }
}
