//! Functions.

use jiff::Timestamp;
use smartem_sta::{Expr, Function};

use crate::sta::error::Fault;
use crate::sta::sql::{Dialect, Param};

use super::compare::micros;
use super::value::{to_int, to_real, unfit};
use super::{Compiler, Number, Value, time};

/// What `trim` takes away: the white space of ASCII.
const BLANKS: &str = " \t\n\r\u{b}\u{c}";
const DAY: &str = "86400000000";

impl Compiler {
    pub(super) fn call(
        &mut self,
        function: Function,
        arguments: &[Expr],
        expr: &Expr,
    ) -> Result<Value, Fault> {
        use Function as F;
        match function {
            F::SubstringOf
            | F::Contains
            | F::StartsWith
            | F::EndsWith
            | F::Length
            | F::IndexOf
            | F::Substring
            | F::ToLower
            | F::ToUpper
            | F::Trim
            | F::Concat => self.of_texts(function, arguments, expr),
            F::Year
            | F::Month
            | F::Day
            | F::Hour
            | F::Minute
            | F::Second
            | F::FractionalSeconds
            | F::Date
            | F::Time
            | F::TotalOffsetMinutes => self.of_time(function, arguments, expr),
            F::Now => Ok(self.instant(self.now)),
            F::MinDateTime => Ok(self.instant(moment(-62_135_596_800))),
            F::MaxDateTime => Ok(self.instant(Timestamp::MAX)),
            F::TotalSeconds | F::Round | F::Floor | F::Ceiling => {
                self.of_number(function, arguments, expr)
            }
            F::GeoDistance | F::GeoLength => self.measure(function, arguments, expr),
            F::GeoIntersects
            | F::StEquals
            | F::StDisjoint
            | F::StTouches
            | F::StWithin
            | F::StOverlaps
            | F::StCrosses
            | F::StIntersects
            | F::StContains
            | F::StRelate => self.relate(function, arguments, expr),
            F::Before | F::After | F::Meets | F::During | F::Overlaps | F::Starts | F::Finishes => {
                let left = self.value(argument(arguments, 0, expr)?)?;
                let right = self.value(argument(arguments, 1, expr)?)?;
                let related = time::related(function, &left, &right);
                Ok(Value::Bool(
                    related.ok_or_else(|| unfit(expr, "a relation of times"))?,
                ))
            }
        }
    }

    fn instant(&mut self, at: Timestamp) -> Value {
        Value::Instant(self.param(Param::time(at)))
    }

    fn of_texts(
        &mut self,
        function: Function,
        arguments: &[Expr],
        expr: &Expr,
    ) -> Result<Value, Fault> {
        use Function as F;
        let dialect = self.dialect();
        let is_postgres = dialect == Dialect::Postgres;
        let first = argument(arguments, 0, expr)?;
        let a = self.text(first)?;
        let sql = match function {
            F::Length if is_postgres => return whole(format!("char_length({a})")),
            F::Length => return whole(format!("sta_length({a})")),
            F::ToLower => return Ok(Value::Text(case(dialect, "lower", &a))),
            F::ToUpper => return Ok(Value::Text(case(dialect, "upper", &a))),
            F::Trim => {
                let blanks = self.param(Param::text(BLANKS));
                return Ok(Value::Text(match dialect {
                    Dialect::Sqlite => format!("trim({a}, {blanks})"),
                    Dialect::Postgres => format!("btrim({a}, {blanks})"),
                }));
            }
            F::Substring => return self.substring(&a, arguments, expr),
            _ => {
                let b = self.text(argument(arguments, 1, expr)?)?;
                match function {
                    F::Concat => return Ok(Value::Text(format!("({a} || {b})"))),
                    F::IndexOf if is_postgres => return whole(format!("(strpos({a}, {b}) - 1)")),
                    F::IndexOf => return whole(format!("sta_index_of({a}, {b})")),
                    F::StartsWith if is_postgres => format!("starts_with({a}, {b})"),
                    F::StartsWith => format!("sta_starts_with({a}, {b})"),
                    F::EndsWith if is_postgres => format!("(right({a}, char_length({b})) = {b})"),
                    F::EndsWith => format!("sta_ends_with({a}, {b})"),
                    F::SubstringOf if is_postgres => format!("(strpos({b}, {a}) > 0)"),
                    F::SubstringOf => format!("(sta_index_of({b}, {a}) >= 0)"),
                    _ if is_postgres => format!("(strpos({a}, {b}) > 0)"),
                    _ => format!("(sta_index_of({a}, {b}) >= 0)"),
                }
            }
        };
        Ok(Value::Bool(sql))
    }

    /// From a place counted from 0, in characters; from before the text: from its beginning.
    fn substring(&mut self, text: &str, arguments: &[Expr], expr: &Expr) -> Result<Value, Fault> {
        let dialect = self.dialect();
        let from = self.number(argument(arguments, 1, expr)?)?.as_real(dialect);
        let length = match arguments.get(2) {
            Some(length) => Some(self.number(length)?.as_real(dialect)),
            None => None,
        };
        Ok(Value::Text(match (dialect, length) {
            (Dialect::Sqlite, None) => format!("sta_substring({text}, {from}, 1e9)"),
            (Dialect::Sqlite, Some(length)) => format!("sta_substring({text}, {from}, {length})"),
            (Dialect::Postgres, length) => {
                let count = length.unwrap_or_else(|| "1e9::float8".to_owned());
                // `least` and `greatest` leave out NULLs; a substring of an unknown length is unknown.
                let bounded =
                    |number: &str| format!("trunc(least(greatest({number}, 0), 1e9))::int");
                format!(
                    "CASE WHEN {from} IS NULL OR {count} IS NULL THEN NULL \
                     ELSE substr({text}, {} + 1, {}) END",
                    bounded(&from),
                    bounded(&count)
                )
            }
        }))
    }

    fn of_time(
        &mut self,
        function: Function,
        arguments: &[Expr],
        expr: &Expr,
    ) -> Result<Value, Fault> {
        use Function as F;
        let dialect = self.dialect();
        // Of an interval: of its start. All times are UTC.
        let us = match self.value(argument(arguments, 0, expr)?)? {
            Value::Instant(at) | Value::Time(at, _) => micros(dialect, &at),
            Value::Date(days) => format!("({days} * {DAY})"),
            Value::TimeOfDay(us) => us,
            _ => return Err(unfit(expr, "a function of a time")),
        };
        let part = |unit: &str, of: &str| format!("({} / {unit})", remainder(&us, of));
        match function {
            F::Year | F::Month | F::Day => {
                let name = match function {
                    F::Year => "year",
                    F::Month => "month",
                    _ => "day",
                };
                whole(match dialect {
                    Dialect::Sqlite => format!("sta_{name}({us})"),
                    Dialect::Postgres => format!(
                        "extract({name} FROM timestamp 'epoch' + {us} * interval '1 microsecond')::int"
                    ),
                })
            }
            F::Hour => whole(part("3600000000", DAY)),
            F::Minute => whole(part("60000000", "3600000000")),
            F::Second => whole(part("1000000", "60000000")),
            F::FractionalSeconds => {
                let fraction = to_real(dialect, &remainder(&us, "1000000"));
                Ok(Value::Number(Number::real(format!(
                    "({fraction} / 1000000.0)"
                ))))
            }
            F::Date => Ok(Value::Date(format!(
                "(({us} - {}) / {DAY})",
                remainder(&us, DAY)
            ))),
            F::Time => Ok(Value::TimeOfDay(remainder(&us, DAY))),
            _ => whole(to_int(dialect, &format!("({us} * 0)"))),
        }
    }

    fn of_number(
        &mut self,
        function: Function,
        arguments: &[Expr],
        expr: &Expr,
    ) -> Result<Value, Fault> {
        let dialect = self.dialect();
        let argument = argument(arguments, 0, expr)?;
        if function == Function::TotalSeconds {
            let Value::Duration(us) = self.value(argument)? else {
                return Err(unfit(argument, "a duration"));
            };
            let seconds = format!("({} / 1000000.0)", to_real(dialect, &us));
            return Ok(Value::Number(Number::real(seconds)));
        }
        let number = self.number(argument)?.as_real(dialect);
        let sql = match (function, dialect) {
            (Function::Floor, Dialect::Sqlite) => format!("sta_floor({number})"),
            (Function::Floor, Dialect::Postgres) => format!("floor({number})"),
            (Function::Ceiling, Dialect::Sqlite) => format!("sta_ceiling({number})"),
            (Function::Ceiling, Dialect::Postgres) => format!("ceil({number})"),
            // Halves away from zero.
            (_, Dialect::Sqlite) => format!("sta_round({number})"),
            (_, Dialect::Postgres) => format!("(sign({number}) * floor(abs({number}) + 0.5))"),
        };
        Ok(Value::Number(Number {
            sql,
            is_whole: true,
            is_int: false,
        }))
    }

    fn geometry_of(&mut self, expr: &Expr) -> Result<String, Fault> {
        match self.value(expr)? {
            Value::Geometry(sql, _) => Ok(sql),
            _ => Err(unfit(expr, "a geometry")),
        }
    }

    fn measure(
        &mut self,
        function: Function,
        arguments: &[Expr],
        expr: &Expr,
    ) -> Result<Value, Fault> {
        let dialect = self.dialect();
        let a = self.geometry_of(argument(arguments, 0, expr)?)?;
        let sql = if function == Function::GeoLength {
            match dialect {
                Dialect::Sqlite => format!("sta_geo_length({a})"),
                Dialect::Postgres => format!("ST_Length({a})"),
            }
        } else {
            let b = self.geometry_of(argument(arguments, 1, expr)?)?;
            match dialect {
                Dialect::Sqlite => format!("sta_geo_distance({a}, {b})"),
                Dialect::Postgres => format!("ST_Distance({a}, {b})"),
            }
        };
        Ok(Value::Number(Number::real(sql)))
    }

    fn relate(
        &mut self,
        function: Function,
        arguments: &[Expr],
        expr: &Expr,
    ) -> Result<Value, Fault> {
        use Function as F;
        let dialect = self.dialect();
        let a = self.geometry_of(argument(arguments, 0, expr)?)?;
        let b = self.geometry_of(argument(arguments, 1, expr)?)?;
        let name = match function {
            F::StEquals => "equals",
            F::StDisjoint => "disjoint",
            F::StTouches => "touches",
            F::StWithin => "within",
            F::StOverlaps => "overlaps",
            F::StCrosses => "crosses",
            F::StContains => "contains",
            F::StRelate => "relate",
            _ => "intersects",
        };
        let prefix = match dialect {
            Dialect::Sqlite => "sta_geo_",
            Dialect::Postgres => "ST_",
        };
        if function == F::StRelate {
            let pattern = self.text(argument(arguments, 2, expr)?)?;
            return Ok(Value::Bool(format!("{prefix}{name}({a}, {b}, {pattern})")));
        }
        Ok(Value::Bool(format!("{prefix}{name}({a}, {b})")))
    }
}

fn argument<'e>(arguments: &'e [Expr], at: usize, expr: &Expr) -> Result<&'e Expr, Fault> {
    arguments
        .get(at)
        .ok_or_else(|| unfit(expr, "a call with all its arguments"))
}

#[expect(clippy::unnecessary_wraps, reason = "it is what its callers return")]
fn whole(sql: String) -> Result<Value, Fault> {
    Ok(Value::Number(Number::int(sql)))
}

/// Upper or lower case of all scripts, whatever the locale of the database.
fn case(dialect: Dialect, name: &str, text: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!("sta_{name}({text})"),
        Dialect::Postgres => format!("{name}({text} COLLATE \"und-x-icu\") COLLATE \"C\""),
    }
}

/// What is left of whole units, also before 1970.
fn remainder(us: &str, unit: &str) -> String {
    format!("((({us} % {unit}) + {unit}) % {unit})")
}

fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
}
