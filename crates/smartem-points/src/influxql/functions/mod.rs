//! The functions of InfluxQL.

mod order;
mod reduce;
mod transform;

pub(crate) use reduce::reducer;
pub(crate) use transform::{Integral, Transformation};

use super::ast::{DataType, Expr};
use super::eval::Value;

/// A point on its way: a time, a value, and further fields of the same point.
#[derive(Clone, Debug)]
pub(crate) struct Point {
    pub(crate) time: i64,
    pub(crate) value: Value,
    pub(crate) others: Vec<Value>,
}

impl Point {
    pub(crate) fn new(time: i64, value: Value) -> Self {
        Self {
            time,
            value,
            others: Vec::new(),
        }
    }
}

/// A function with its settings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Function {
    Count,
    CountDistinct,
    Sum,
    Mean,
    Min,
    Max,
    First,
    Last,
    Spread,
    Stddev,
    Median,
    Mode,
    Percentile(f64),
    Distinct,
    /// The unit, ns.
    Integral(i64),
    /// How many, and the names that make groups of their own.
    Top(usize, Vec<String>),
    Bottom(usize, Vec<String>),
    /// The unit, ns; none for the interval or a second.
    Derivative {
        unit: Option<i64>,
        non_negative: bool,
    },
    Difference {
        non_negative: bool,
    },
    MovingAverage(usize),
    CumulativeSum,
    /// The unit, ns.
    Elapsed(i64),
}

impl Function {
    /// The function of this name with these arguments, which were checked.
    pub(crate) fn of(name: &str, args: &[Expr]) -> Result<Self, String> {
        let unit = match args.get(1) {
            Some(Expr::Duration(unit)) => Some(*unit),
            _ => None,
        };
        let number = match args.last() {
            Some(Expr::Integer(number)) => usize::try_from(*number).unwrap_or(0),
            _ => 0,
        };
        let names = || {
            let between = args
                .get(1..args.len().saturating_sub(1))
                .unwrap_or_default();
            let names = between.iter().filter_map(|it| match it {
                Expr::Var { name, .. } => Some(name.clone()),
                _ => None,
            });
            names.collect()
        };
        Ok(match name {
            "count" => Self::Count,
            "sum" => Self::Sum,
            "mean" => Self::Mean,
            "min" => Self::Min,
            "max" => Self::Max,
            "first" => Self::First,
            "last" => Self::Last,
            "spread" => Self::Spread,
            "stddev" => Self::Stddev,
            "median" => Self::Median,
            "mode" => Self::Mode,
            "percentile" => Self::Percentile(match args.get(1) {
                Some(Expr::Number(value)) => *value,
                Some(Expr::Integer(value)) => *value as f64,
                _ => 0.0,
            }),
            "distinct" => Self::Distinct,
            "integral" => Self::Integral(unit.unwrap_or(1_000_000_000)),
            "top" => Self::Top(number, names()),
            "bottom" => Self::Bottom(number, names()),
            "derivative" => Self::Derivative {
                unit,
                non_negative: false,
            },
            "non_negative_derivative" => Self::Derivative {
                unit,
                non_negative: true,
            },
            "difference" => Self::Difference {
                non_negative: false,
            },
            "non_negative_difference" => Self::Difference { non_negative: true },
            "moving_average" => Self::MovingAverage(number),
            "cumulative_sum" => Self::CumulativeSum,
            "elapsed" => Self::Elapsed(unit.unwrap_or(1)),
            _ => return Err(format!("undefined function {name}()")),
        })
    }

    /// Whether it picks points, which keep their times and other fields.
    pub(crate) fn is_selector(&self) -> bool {
        matches!(
            self,
            Self::Min
                | Self::Max
                | Self::First
                | Self::Last
                | Self::Percentile(_)
                | Self::Top(..)
                | Self::Bottom(..)
        )
    }

    /// Whether it makes each point from those before.
    pub(crate) fn is_transformation(&self) -> bool {
        matches!(
            self,
            Self::Derivative { .. }
                | Self::Difference { .. }
                | Self::MovingAverage(_)
                | Self::CumulativeSum
                | Self::Elapsed(_)
        )
    }

    /// Whether it takes fields of this type.
    pub(crate) fn takes(&self, data_type: DataType) -> bool {
        match data_type {
            DataType::String => matches!(
                self,
                Self::Count
                    | Self::CountDistinct
                    | Self::First
                    | Self::Last
                    | Self::Mode
                    | Self::Distinct
                    | Self::Elapsed(_)
            ),
            DataType::Boolean => matches!(
                self,
                Self::Count
                    | Self::CountDistinct
                    | Self::Min
                    | Self::Max
                    | Self::First
                    | Self::Last
                    | Self::Mode
                    | Self::Distinct
                    | Self::Elapsed(_)
            ),
            _ => true,
        }
    }
}
