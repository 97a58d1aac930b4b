//! Values, and expressions over the values of a row.

use std::sync::Arc;

use regex::Regex;

use super::ast::{DataType, Operator};

/// A cell of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A float.
    Float(f64),
    /// A whole number.
    Integer(i64),
    /// A whole number without sign.
    Unsigned(u64),
    /// `true` or `false`.
    Boolean(bool),
    /// A text.
    String(Arc<str>),
    /// A time, ns since 1970.
    Time(i64),
}

impl Value {
    pub(crate) fn string(text: &str) -> Self {
        Self::String(text.into())
    }

    /// As a float, where it is a number.
    pub(crate) fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Integer(value) => Some(*value as f64),
            Self::Unsigned(value) => Some(*value as f64),
            _ => None,
        }
    }

    /// In another type, as far as InfluxDB casts: between numbers, and to what it is already.
    pub(crate) fn cast(self, to: DataType) -> Self {
        match (to, &self) {
            (DataType::Float, _) => match self.as_float() {
                Some(value) => Self::Float(value),
                None => Self::Null,
            },
            (DataType::Integer, Self::Float(value)) => Self::Integer(float_to_integer(*value)),
            (DataType::Integer, Self::Unsigned(value)) => Self::Integer(value.cast_signed()),
            (DataType::Unsigned, Self::Float(value)) => {
                Self::Unsigned(float_to_integer(*value).cast_unsigned())
            }
            (DataType::Unsigned, Self::Integer(value)) => Self::Unsigned(value.cast_unsigned()),
            (DataType::Integer, Self::Integer(_))
            | (DataType::Unsigned, Self::Unsigned(_))
            | (DataType::Boolean, Self::Boolean(_))
            | (DataType::String | DataType::Tag, Self::String(_))
            | (DataType::Unknown | DataType::AnyField, _) => self,
            _ => Self::Null,
        }
    }
}

/// Cut at the point; what is too great becomes the greatest.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates, as is wanted"
)]
pub(crate) fn float_to_integer(value: f64) -> i64 {
    value as i64
}

/// An expression whose variables are places in a row.
#[derive(Clone, Debug)]
pub(crate) enum Eval {
    Slot(usize),
    Constant(Value),
    Regex(Regex),
    Binary(Operator, Box<Eval>, Box<Eval>),
    Math(Math, Vec<Eval>),
}

impl Eval {
    /// The value over a row; `divide` makes the quotient of integers a float.
    pub(crate) fn value(&self, row: &[Value], divide: bool) -> Value {
        match self {
            Self::Slot(slot) => row.get(*slot).cloned().unwrap_or(Value::Null),
            Self::Constant(value) => value.clone(),
            Self::Regex(_) => Value::Null,
            Self::Binary(operator, left, right) => {
                let left = left.value(row, divide);
                if let Self::Regex(regex) = &**right {
                    return matches(*operator, &left, regex);
                }
                binary(*operator, left, right.value(row, divide), divide)
            }
            Self::Math(function, args) => {
                let args: Vec<Value> = args.iter().map(|it| it.value(row, divide)).collect();
                function.value(&args)
            }
        }
    }

    /// Whether the row fulfils it.
    pub(crate) fn holds(&self, row: &[Value]) -> bool {
        self.value(row, false) == Value::Boolean(true)
    }

    /// With every part that has no slot worked out.
    pub(crate) fn folded(self) -> Self {
        match self {
            Self::Binary(operator, left, right) => {
                let (left, right) = (left.folded(), right.folded());
                let known = |it: &Self| match it {
                    Self::Constant(Value::Boolean(value)) => Some(*value),
                    _ => None,
                };
                match (operator, known(&left), known(&right)) {
                    (Operator::And, Some(false), _) | (Operator::And, _, Some(false)) => {
                        Self::Constant(Value::Boolean(false))
                    }
                    (Operator::Or, Some(true), _) | (Operator::Or, _, Some(true)) => {
                        Self::Constant(Value::Boolean(true))
                    }
                    (Operator::And, Some(true), _) | (Operator::Or, Some(false), _) => right,
                    (Operator::And, _, Some(true)) | (Operator::Or, _, Some(false)) => left,
                    _ => {
                        let constant = matches!(left, Self::Constant(_))
                            && matches!(right, Self::Constant(_) | Self::Regex(_));
                        let whole = Self::Binary(operator, Box::new(left), Box::new(right));
                        if constant {
                            Self::Constant(whole.value(&[], false))
                        } else {
                            whole
                        }
                    }
                }
            }
            Self::Math(function, args) => {
                let args: Vec<Self> = args.into_iter().map(Self::folded).collect();
                let constant = args.iter().all(|it| matches!(it, Self::Constant(_)));
                let whole = Self::Math(function, args);
                if constant {
                    Self::Constant(whole.value(&[], false))
                } else {
                    whole
                }
            }
            other => other,
        }
    }
}

fn matches(operator: Operator, left: &Value, regex: &Regex) -> Value {
    match (operator, left) {
        (Operator::EqRegex, Value::String(text)) => Value::Boolean(regex.is_match(text)),
        (Operator::NeqRegex, Value::String(text)) => Value::Boolean(!regex.is_match(text)),
        _ => Value::Boolean(false),
    }
}

/// What an operator makes of two values.
pub(crate) fn binary(operator: Operator, left: Value, right: Value, divide: bool) -> Value {
    use Value::{Boolean, Float, Integer, String, Unsigned};
    match (left, right) {
        (Boolean(left), Boolean(right)) => booleans(operator, left, right),
        (Float(left), right) => match right.as_float() {
            Some(right) => floats(operator, left, right),
            None => incomparable(operator),
        },
        (Integer(left), Float(right)) => floats(operator, left as f64, right),
        (Unsigned(left), Float(right)) => floats(operator, left as f64, right),
        (Integer(left), Integer(right)) => integers(operator, left, right, divide),
        (Unsigned(left), Unsigned(right)) => unsigned(operator, left, right),
        (Integer(left), Unsigned(right)) => {
            match compare(operator, &i128::from(left), &i128::from(right)) {
                Some(result) => Boolean(result),
                None => unsigned(operator, left.cast_unsigned(), right),
            }
        }
        (Unsigned(left), Integer(right)) => {
            match compare(operator, &i128::from(left), &i128::from(right)) {
                Some(result) => Boolean(result),
                None => unsigned(operator, left, right.cast_unsigned()),
            }
        }
        (String(left), String(right)) => match operator {
            Operator::Eq => Boolean(left == right),
            Operator::Neq => Boolean(left != right),
            _ => incomparable(operator),
        },
        _ => incomparable(operator),
    }
}

fn incomparable(operator: Operator) -> Value {
    match operator {
        Operator::Eq
        | Operator::Neq
        | Operator::Lt
        | Operator::Lte
        | Operator::Gt
        | Operator::Gte => Value::Boolean(false),
        _ => Value::Null,
    }
}

fn compare<T: PartialOrd>(operator: Operator, left: &T, right: &T) -> Option<bool> {
    Some(match operator {
        Operator::Eq => left == right,
        Operator::Neq => left != right,
        Operator::Lt => left < right,
        Operator::Lte => left <= right,
        Operator::Gt => left > right,
        Operator::Gte => left >= right,
        _ => return None,
    })
}

fn booleans(operator: Operator, left: bool, right: bool) -> Value {
    Value::Boolean(match operator {
        Operator::And | Operator::BitAnd => left && right,
        Operator::Or | Operator::BitOr => left || right,
        Operator::BitXor | Operator::Neq => left != right,
        Operator::Eq => left == right,
        _ => return incomparable(operator),
    })
}

fn floats(operator: Operator, left: f64, right: f64) -> Value {
    if let Some(result) = compare(operator, &left, &right) {
        return Value::Boolean(result);
    }
    Value::Float(match operator {
        Operator::Add => left + right,
        Operator::Sub => left - right,
        Operator::Mul => left * right,
        Operator::Div if right == 0.0 => 0.0,
        Operator::Div => left / right,
        Operator::Mod => left % right,
        _ => return Value::Null,
    })
}

fn integers(operator: Operator, left: i64, right: i64, divide: bool) -> Value {
    if let Some(result) = compare(operator, &left, &right) {
        return Value::Boolean(result);
    }
    Value::Integer(match operator {
        Operator::Add => left.wrapping_add(right),
        Operator::Sub => left.wrapping_sub(right),
        Operator::Mul => left.wrapping_mul(right),
        Operator::Div if divide && right == 0 => return Value::Float(0.0),
        Operator::Div if divide => return Value::Float(left as f64 / right as f64),
        Operator::Div | Operator::Mod if right == 0 => 0,
        Operator::Div => left.wrapping_div(right),
        Operator::Mod => left.wrapping_rem(right),
        Operator::BitAnd => left & right,
        Operator::BitOr => left | right,
        Operator::BitXor => left ^ right,
        _ => return Value::Null,
    })
}

fn unsigned(operator: Operator, left: u64, right: u64) -> Value {
    if let Some(result) = compare(operator, &left, &right) {
        return Value::Boolean(result);
    }
    Value::Unsigned(match operator {
        Operator::Add => left.wrapping_add(right),
        Operator::Sub => left.wrapping_sub(right),
        Operator::Mul => left.wrapping_mul(right),
        Operator::Div => left.checked_div(right).unwrap_or(0),
        Operator::Mod => left.checked_rem(right).unwrap_or(0),
        Operator::BitAnd => left & right,
        Operator::BitOr => left | right,
        Operator::BitXor => left ^ right,
        _ => return Value::Null,
    })
}

/// A mathematical function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Math {
    Abs,
    Sin,
    Cos,
    Tan,
    Asin,
    Acos,
    Atan,
    Atan2,
    Exp,
    Ln,
    Log,
    Log2,
    Log10,
    Sqrt,
    Pow,
    Floor,
    Ceil,
    Round,
}

impl Math {
    /// The function of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "abs" => Self::Abs,
            "sin" => Self::Sin,
            "cos" => Self::Cos,
            "tan" => Self::Tan,
            "asin" => Self::Asin,
            "acos" => Self::Acos,
            "atan" => Self::Atan,
            "atan2" => Self::Atan2,
            "exp" => Self::Exp,
            "ln" => Self::Ln,
            "log" => Self::Log,
            "log2" => Self::Log2,
            "log10" => Self::Log10,
            "sqrt" => Self::Sqrt,
            "pow" => Self::Pow,
            "floor" => Self::Floor,
            "ceil" => Self::Ceil,
            "round" => Self::Round,
            _ => return None,
        })
    }

    /// How many arguments it takes.
    pub(crate) fn arguments(self) -> usize {
        match self {
            Self::Atan2 | Self::Pow | Self::Log => 2,
            _ => 1,
        }
    }

    /// Whether it gives an integer for integers.
    pub(crate) fn keeps_type(self) -> bool {
        matches!(
            self,
            Self::Abs | Self::Floor | Self::Ceil | Self::Round | Self::Pow
        )
    }

    pub(crate) fn value(self, args: &[Value]) -> Value {
        match (self, args) {
            (Self::Abs, [Value::Integer(it)]) => return Value::Integer(it.wrapping_abs()),
            (Self::Abs | Self::Floor | Self::Ceil | Self::Round, [Value::Unsigned(it)]) => {
                return Value::Unsigned(*it);
            }
            (Self::Floor | Self::Ceil | Self::Round, [Value::Integer(it)]) => {
                return Value::Integer(*it);
            }
            (Self::Pow, [Value::Integer(base), Value::Integer(power)]) => {
                let value = (*base as f64).powf(*power as f64);
                return Value::Integer(float_to_integer(value));
            }
            _ => {}
        }
        let argument = |index: usize| args.get(index).and_then(Value::as_float);
        let Some(x) = argument(0) else {
            return Value::Null;
        };
        let y = argument(1);
        if self.arguments() == 2 && y.is_none() {
            return Value::Null;
        }
        let y = y.unwrap_or_default();
        Value::Float(match self {
            Self::Abs => x.abs(),
            Self::Sin => x.sin(),
            Self::Cos => x.cos(),
            Self::Tan => x.tan(),
            Self::Asin => x.asin(),
            Self::Acos => x.acos(),
            Self::Atan => x.atan(),
            Self::Atan2 => x.atan2(y),
            Self::Exp => x.exp(),
            Self::Ln => x.ln(),
            Self::Log => x.ln() / y.ln(),
            Self::Log2 => x.log2(),
            Self::Log10 => x.log10(),
            Self::Sqrt => x.sqrt(),
            Self::Pow => x.powf(y),
            Self::Floor => x.floor(),
            Self::Ceil => x.ceil(),
            Self::Round => x.round(),
        })
    }
}
