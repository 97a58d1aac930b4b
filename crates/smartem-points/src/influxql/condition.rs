//! Constants worked out, and conditions taken apart into a time range and the rest.

use super::ast::{Expr, Operator};
use super::eval::{self, Value, float_to_integer};
use super::time::{MAX_TIME, MIN_TIME, Zone, looks_like_time, parse_time};

/// What constants may be worked out with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known {
    /// The time that `now()` is, ns.
    pub(crate) now: Option<i64>,
    /// Where times without a zone are.
    pub(crate) zone: Option<Zone>,
    /// Whether mathematical functions of constants are worked out.
    pub(crate) math: bool,
}

/// With constants worked out, without parentheses around the whole.
pub(crate) fn reduce(expr: Expr, known: Known) -> Expr {
    match reduce_inner(expr, known) {
        Expr::Paren(inner) => *inner,
        expr => expr,
    }
}

fn reduce_inner(expr: Expr, known: Known) -> Expr {
    match expr {
        Expr::Binary(operator, left, right) => {
            let left = reduce_inner(*left, known);
            let right = reduce_inner(*right, known);
            reduce_binary(operator, left, right, known)
        }
        Expr::Paren(inner) => match reduce_inner(*inner, known) {
            inner @ Expr::Binary(..) => Expr::Paren(Box::new(inner)),
            inner => inner,
        },
        Expr::Call { name, args } => {
            let args: Vec<Expr> = args.into_iter().map(|it| reduce_inner(it, known)).collect();
            if name == "now" && args.is_empty() {
                return known.now.map_or(Expr::Call { name, args }, Expr::Time);
            }
            let constants: Option<Vec<Value>> = args.iter().map(value_of).collect();
            let math = eval::Math::named(&name).filter(|it| it.arguments() == args.len());
            match (known.math, math, constants) {
                (true, Some(math), Some(constants)) => {
                    literal(&math.value(&constants)).unwrap_or(Expr::Call { name, args })
                }
                _ => Expr::Call { name, args },
            }
        }
        other => other,
    }
}

fn value_of(expr: &Expr) -> Option<Value> {
    Some(match expr {
        Expr::Number(value) => Value::Float(*value),
        Expr::Integer(value) => Value::Integer(*value),
        Expr::Unsigned(value) => Value::Unsigned(*value),
        Expr::Boolean(value) => Value::Boolean(*value),
        Expr::String(text) => Value::string(text),
        _ => return None,
    })
}

fn literal(value: &Value) -> Option<Expr> {
    Some(match *value {
        Value::Float(value) => Expr::Number(value),
        Value::Integer(value) => Expr::Integer(value),
        Value::Unsigned(value) => Expr::Unsigned(value),
        Value::Boolean(value) => Expr::Boolean(value),
        _ => return None,
    })
}

fn reduce_binary(operator: Operator, left: Expr, right: Expr, known: Known) -> Expr {
    match (operator, &left, &right) {
        (Operator::And, Expr::Boolean(false), _) | (Operator::And, _, Expr::Boolean(false)) => {
            return Expr::Boolean(false);
        }
        (Operator::And, Expr::Boolean(true), _) | (Operator::Or, Expr::Boolean(false), _) => {
            return right;
        }
        (Operator::And, _, Expr::Boolean(true)) | (Operator::Or, _, Expr::Boolean(false)) => {
            return left;
        }
        (Operator::Or, Expr::Boolean(true), _) | (Operator::Or, _, Expr::Boolean(true)) => {
            return Expr::Boolean(true);
        }
        _ => {}
    }
    if let Some(result) = fold(operator, &left, &right, known) {
        return result;
    }
    Expr::Binary(operator, Box::new(left), Box::new(right))
}

/// Two constants made one, if they go together.
fn fold(operator: Operator, left: &Expr, right: &Expr, known: Known) -> Option<Expr> {
    if let (Expr::String(a), Expr::String(b)) = (left, right) {
        return match operator {
            Operator::Add => Some(Expr::String(format!("{a}{b}"))),
            Operator::Eq => Some(Expr::Boolean(a == b)),
            Operator::Neq => Some(Expr::Boolean(a != b)),
            _ => None,
        };
    }
    if let (Some(left), Some(right)) = (value_of(left), value_of(right))
        && !matches!(left, Value::String(_))
        && !matches!(right, Value::String(_))
    {
        return literal(&eval::binary(operator, left, right, true));
    }
    fold_times(operator, left, right, known)
}

fn fold_times(operator: Operator, left: &Expr, right: &Expr, known: Known) -> Option<Expr> {
    use Expr::{Duration, Integer, Number, Time};
    let timed = |expr: &Expr| match expr {
        Expr::String(text) => parse_time(text, known.zone).map(Time),
        other => Some(other.clone()),
    };
    let (left, right) = (timed(left)?, timed(right)?);
    Some(match (operator, &left, &right) {
        (Operator::Add, Duration(a), Duration(b)) => Duration(a.saturating_add(*b)),
        (Operator::Sub, Duration(a), Duration(b)) | (Operator::Sub, Time(a), Time(b)) => {
            Duration(a.saturating_sub(*b))
        }
        (Operator::Mul, Duration(a), Integer(b)) => Duration(a.saturating_mul(*b)),
        (Operator::Mul, Duration(a), Number(b)) => Duration(a.saturating_mul(float_to_integer(*b))),
        (Operator::Div, Duration(a), Integer(b)) => Duration(a.checked_div(*b).unwrap_or(0)),
        (Operator::Div, Duration(a), Number(b)) => {
            Duration(a.checked_div(float_to_integer(*b)).unwrap_or(0))
        }
        (Operator::Add, Integer(a) | Time(a), Duration(b))
        | (Operator::Add, Duration(a) | Integer(a), Time(b))
        | (Operator::Add, Time(a), Integer(b)) => Time(a.saturating_add(*b)),
        (Operator::Sub, Integer(a) | Time(a), Duration(b))
        | (Operator::Sub, Time(a), Integer(b)) => Time(a.saturating_sub(*b)),
        (_, Duration(a), Duration(b)) | (_, Time(a), Time(b)) => {
            let compared = eval::binary(operator, Value::Integer(*a), Value::Integer(*b), true);
            match compared {
                Value::Boolean(value) => Expr::Boolean(value),
                _ => return None,
            }
        }
        _ => return None,
    })
}

/// A range of times, both ends in it, ns; open where `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
}

impl Bounds {
    pub(crate) fn and(self, other: Self) -> Self {
        let both = |a: Option<i64>, b: Option<i64>, pick: fn(i64, i64) -> i64| match (a, b) {
            (Some(a), Some(b)) => Some(pick(a, b)),
            (a, b) => a.or(b),
        };
        Self {
            min: both(self.min, other.min, i64::max),
            max: both(self.max, other.max, i64::min),
        }
    }
}

/// Takes a condition apart: what is said of the time, and the rest.
pub(crate) fn split(
    condition: Option<&Expr>,
    known: Known,
) -> Result<(Option<Expr>, Bounds), String> {
    let Some(condition) = condition else {
        return Ok((None, Bounds::default()));
    };
    let (rest, bounds) = split_inner(condition, known)?;
    let rest = match rest {
        Some(Expr::Paren(inner)) => Some(*inner),
        Some(Expr::Boolean(true)) => None,
        rest => rest,
    };
    Ok((rest, bounds))
}

fn is_time(expr: &Expr) -> bool {
    matches!(expr, Expr::Var { name, .. } if name.eq_ignore_ascii_case("time"))
}

fn split_inner(condition: &Expr, known: Known) -> Result<(Option<Expr>, Bounds), String> {
    match condition {
        Expr::Binary(operator @ (Operator::And | Operator::Or), left, right) => {
            let (left, before) = split_inner(left, known)?;
            let (right, after) = split_inner(right, known)?;
            let rest = match (left, right) {
                (Some(left), Some(right)) => {
                    Some(reduce_binary(*operator, left, right, Known::default()))
                }
                (left, right) => left.or(right),
            };
            Ok((rest, before.and(after)))
        }
        Expr::Binary(operator, left, right) if is_time(left) => {
            Ok((None, bounds(*operator, right, known)?))
        }
        Expr::Binary(operator, left, right) if is_time(right) => {
            let operator = match operator {
                Operator::Gt => Operator::Lt,
                Operator::Lt => Operator::Gt,
                Operator::Gte => Operator::Lte,
                Operator::Lte => Operator::Gte,
                other => *other,
            };
            Ok((None, bounds(operator, left, known)?))
        }
        Expr::Binary(..) => Ok((
            Some(reduce_inner(condition.clone(), known)),
            Bounds::default(),
        )),
        Expr::Paren(inner) => {
            let (rest, bounds) = split_inner(inner, known)?;
            let rest = rest.map(|it| reduce_inner(Expr::Paren(Box::new(it)), Known::default()));
            Ok((rest, bounds))
        }
        Expr::Boolean(_) => Ok((Some(condition.clone()), Bounds::default())),
        other => Err(format!("invalid condition expression: {other}")),
    }
}

fn bounds(operator: Operator, limit: &Expr, known: Known) -> Result<Bounds, String> {
    let limit = match limit {
        Expr::String(text) if looks_like_time(text) => {
            let time = parse_time(text, known.zone);
            Expr::Time(time.ok_or("invalid timestamp string")?)
        }
        other => reduce(other.clone(), known),
    };
    let value = match limit {
        Expr::Time(value) => value.clamp(MIN_TIME + 1, MAX_TIME),
        Expr::Duration(value) | Expr::Integer(value) => value,
        Expr::Number(value) => float_to_integer(value),
        other => {
            let kind = kind(&other);
            return Err(format!(
                "invalid operation: time and *influxql.{kind} are not compatible"
            ));
        }
    };
    let (min, max) = match operator {
        Operator::Gt => (Some(value.saturating_add(1)), None),
        Operator::Gte => (Some(value), None),
        Operator::Lt => (None, Some(value.saturating_sub(1))),
        Operator::Lte => (None, Some(value)),
        Operator::Eq => (Some(value), Some(value)),
        other => {
            return Err(format!(
                "invalid time comparison operator: {}",
                other.sign()
            ));
        }
    };
    Ok(Bounds { min, max })
}

/// What InfluxDB calls such an expression in its errors.
pub(crate) fn kind(expr: &Expr) -> &'static str {
    match expr {
        Expr::Var { .. } => "VarRef",
        Expr::Call { .. } => "Call",
        Expr::Distinct(_) => "Distinct",
        Expr::Binary(..) => "BinaryExpr",
        Expr::Paren(_) => "ParenExpr",
        Expr::Number(_) => "NumberLiteral",
        Expr::Integer(_) => "IntegerLiteral",
        Expr::Unsigned(_) => "UnsignedLiteral",
        Expr::Boolean(_) => "BooleanLiteral",
        Expr::String(_) => "StringLiteral",
        Expr::Duration(_) => "DurationLiteral",
        Expr::Time(_) => "TimeLiteral",
        Expr::Regex(_) => "RegexLiteral",
        Expr::Wildcard(_) => "Wildcard",
    }
}
