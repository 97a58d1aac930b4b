//! Whether a SELECT makes sense, before anybody knows what there is to read.

use super::super::ast::{Expr, Field, Fill, Measurement, Select, Source};
use super::super::condition::{Bounds, Known, reduce, split};
use super::super::eval::Math;
use super::super::time::{Zone, looks_like_time};

/// A SELECT that makes sense.
#[derive(Clone, Debug)]
pub(crate) struct Checked {
    pub(crate) fields: Vec<Field>,
    pub(crate) sources: Vec<CheckedSource>,
    pub(crate) condition: Option<Expr>,
    /// What its own condition says of the time.
    pub(crate) bounds: Bounds,
    /// Length of the windows of time, ns; 0 for none.
    pub(crate) interval: i64,
    /// Where windows begin, ns.
    pub(crate) interval_offset: i64,
    pub(crate) dimensions: Vec<Expr>,
    pub(crate) fill: Fill,
    pub(crate) ascending: bool,
    pub(crate) limit: usize,
    pub(crate) offset: usize,
    pub(crate) slimit: usize,
    pub(crate) soffset: usize,
    pub(crate) zone: Option<Zone>,
    /// What the column of the time is called.
    pub(crate) time_column: String,
}

/// Where it reads.
#[derive(Clone, Debug)]
pub(crate) enum CheckedSource {
    Measurement(Measurement),
    Subquery(Box<Checked>),
}

/// What a SELECT around says.
#[derive(Clone, Copy)]
struct Outer {
    ascending: bool,
    interval: (i64, i64),
}

/// Checks a SELECT; errors are InfluxDB's.
pub(crate) fn check(select: &Select, now: i64) -> Result<Checked, String> {
    check_inside(select, now, None)
}

fn check_inside(select: &Select, now: i64, outer: Option<Outer>) -> Result<Checked, String> {
    let known = Known {
        now: Some(now),
        zone: select.zone,
        math: false,
    };
    let (condition, bounds) = split(select.condition.as_ref(), known)?;
    if let Some(condition) = &condition {
        check_condition(condition)?;
    }
    let mut compiler = Compiler {
        now,
        limit: select.limit,
        only_selectors: true,
        ..Compiler::default()
    };
    let dimensions = compiler.dimensions(&select.dimensions)?;
    let mut ascending = select.ascending.unwrap_or(true);
    let mut fill = select.fill.clone();
    if let Some(outer) = outer {
        if select.ascending.is_some() && ascending != outer.ascending {
            return Err(
                "subqueries must be ordered in the same direction as the query itself".to_owned(),
            );
        }
        ascending = outer.ascending;
        // Whoever reads a subquery passes over nothing anyway.
        if fill == Fill::Null {
            fill = Fill::None;
        }
        if compiler.interval.0 == 0 {
            compiler.interval = outer.interval;
            compiler.inherited = outer.interval.0 != 0;
        }
    }
    let (fields, time_column) = compiler.fields(&select.fields)?;
    compiler.validate(&fields, &select.fill)?;
    let inner = Outer {
        ascending,
        interval: compiler.interval,
    };
    let sources = select.sources.iter().map(|source| match source {
        Source::Measurement(it) => Ok(CheckedSource::Measurement(it.clone())),
        Source::Subquery(it) => {
            let checked = check_inside(it, now, Some(inner))?;
            Ok(CheckedSource::Subquery(Box::new(checked)))
        }
    });
    Ok(Checked {
        fields,
        sources: sources.collect::<Result<_, String>>()?,
        condition,
        bounds,
        interval: compiler.interval.0,
        interval_offset: compiler.interval.1,
        dimensions,
        fill,
        ascending,
        limit: select.limit,
        offset: select.offset,
        slimit: select.slimit,
        soffset: select.soffset,
        zone: select.zone,
        time_column,
    })
}

fn check_condition(condition: &Expr) -> Result<(), String> {
    match condition {
        Expr::Binary(_, left, right) => {
            check_condition(left)?;
            check_condition(right)
        }
        Expr::Call { name, args } => {
            let Some(math) = Math::named(name) else {
                return Err(format!("invalid function call in condition: {condition}"));
            };
            count_arguments(name, math.arguments(), args.len())?;
            args.iter().try_for_each(check_condition)
        }
        _ => Ok(()),
    }
}

pub(super) fn count_arguments(name: &str, expected: usize, got: usize) -> Result<(), String> {
    if expected == got {
        return Ok(());
    }
    Err(format!(
        "invalid number of arguments for {name}, expected {expected}, got {got}"
    ))
}

/// What is found out of the fields on the way.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Compiler {
    pub(super) now: i64,
    pub(super) limit: usize,
    pub(super) interval: (i64, i64),
    pub(super) inherited: bool,
    pub(super) only_selectors: bool,
    pub(super) calls: usize,
    pub(super) distinct: bool,
    pub(super) top: Option<String>,
    pub(super) plain_fields: bool,
    /// Whether `*` may stand where we are.
    pub(super) wildcard: bool,
}

impl Compiler {
    /// The dimensions without `time()`, which becomes the interval.
    fn dimensions(&mut self, dimensions: &[Expr]) -> Result<Vec<Expr>, String> {
        let mut kept = Vec::new();
        for dimension in dimensions {
            let dimension = reduce(dimension.clone(), Known::default());
            match &dimension {
                Expr::Var { name, .. } if name.eq_ignore_ascii_case("time") => {
                    return Err("time() is a function and expects at least one argument".to_owned());
                }
                Expr::Call { name, args } => self.time_dimension(name, args)?,
                Expr::Var { .. } | Expr::Wildcard(_) | Expr::Regex(_) => kept.push(dimension),
                _ => return Err("only time and tag dimensions allowed".to_owned()),
            }
        }
        Ok(kept)
    }

    fn time_dimension(&mut self, name: &str, args: &[Expr]) -> Result<(), String> {
        let offset_problem = "time dimension offset must be duration or now()";
        if name != "time" {
            return Err("only time() calls allowed in dimensions".to_owned());
        }
        if args.is_empty() || args.len() > 2 {
            return Err("time dimension expected 1 or 2 arguments".to_owned());
        }
        let Expr::Duration(interval) = args[0] else {
            return Err("time dimension must have duration argument".to_owned());
        };
        if self.interval.0 != 0 {
            return Err("multiple time dimensions not allowed".to_owned());
        }
        // InfluxDB takes an interval below nothing for none.
        let interval = interval.max(0);
        let remainder = |value: i64| value.checked_rem(interval).unwrap_or(0);
        let since = |time: i64| {
            // Times are cut from the year 1 on, as Go does.
            const YEAR_1: i128 = -62_135_596_800_000_000_000;
            let since = i128::from(time) - YEAR_1;
            let rest = since.checked_rem(i128::from(interval)).unwrap_or(0);
            i64::try_from(rest).unwrap_or(0)
        };
        let offset = match args.get(1) {
            None => 0,
            Some(Expr::Duration(value)) => remainder(*value),
            Some(Expr::Time(time)) => since(*time),
            Some(Expr::Call { name, .. }) if name != "now" => {
                return Err("time dimension offset function must be now()".to_owned());
            }
            Some(Expr::Call { args, .. }) if !args.is_empty() => {
                return Err("time dimension offset now() function requires no arguments".to_owned());
            }
            Some(Expr::Call { .. }) => since(self.now),
            Some(offset @ Expr::String(text)) if looks_like_time(text) => {
                return Err(format!("invalid time dimension offset: {offset}"));
            }
            Some(_) => return Err(offset_problem.to_owned()),
        };
        self.interval = (interval, offset);
        Ok(())
    }

    /// The fields without the time, whose column has its own name.
    fn fields(&mut self, fields: &[Field]) -> Result<(Vec<Field>, String), String> {
        let mut time_column = "time".to_owned();
        let mut kept = Vec::new();
        let known = Known {
            math: true,
            ..Known::default()
        };
        for field in fields {
            if matches!(&field.expr, Expr::Var { name, .. } if name == "time") {
                if let Some(alias) = &field.alias {
                    time_column.clone_from(alias);
                }
                continue;
            }
            let expr = reduce(field.expr.clone(), known);
            self.wildcard = true;
            self.expr(&expr)?;
            kept.push(Field {
                expr,
                alias: field.alias.clone(),
            });
        }
        Ok((kept, time_column))
    }

    fn validate(&self, fields: &[Field], fill: &Fill) -> Result<(), String> {
        if fields.is_empty() {
            return Err("at least 1 non-time field must be queried".to_owned());
        }
        if let (Some(top), true) = (&self.top, self.calls > 1) {
            return Err(format!(
                "selector function {top}() cannot be combined with other functions"
            ));
        }
        if self.calls == 0 {
            match fill {
                Fill::None => return Err("fill(none) must be used with a function".to_owned()),
                Fill::Linear => return Err("fill(linear) must be used with a function".to_owned()),
                _ => {}
            }
            if self.interval.0 != 0 && !self.inherited {
                return Err("GROUP BY requires at least one aggregate function".to_owned());
            }
        }
        if self.distinct && (self.calls != 1 || self.plain_fields) {
            return Err(
                "aggregate function distinct() cannot be combined with other functions or fields"
                    .to_owned(),
            );
        }
        if self.plain_fields && !self.only_selectors {
            return Err("mixing aggregate and non-aggregate queries is not supported".to_owned());
        }
        if self.plain_fields && self.calls > 1 {
            return Err(
                "mixing multiple selector functions with tags or fields is not supported"
                    .to_owned(),
            );
        }
        Ok(())
    }

    fn expr(&mut self, expr: &Expr) -> Result<(), String> {
        match expr {
            Expr::Var { .. } => {
                self.plain_fields = true;
                Ok(())
            }
            Expr::Wildcard(_) => {
                self.plain_fields = true;
                if self.wildcard {
                    return Ok(());
                }
                Err("unable to use wildcard in a binary expression".to_owned())
            }
            Expr::Regex(_) if self.wildcard => {
                self.plain_fields = true;
                Ok(())
            }
            Expr::Regex(_) => Err("unable to use regex in a binary expression".to_owned()),
            Expr::Call { name, args } => {
                if let Some(math) = Math::named(name) {
                    count_arguments(name, math.arguments(), args.len())?;
                    let variable = args.iter().filter(|it| !it.is_literal());
                    return variable.into_iter().try_for_each(|it| self.expr(it));
                }
                self.calls += 1;
                self.call(name, args)
            }
            Expr::Distinct(_) => {
                self.calls += 1;
                self.distinct = true;
                self.only_selectors = false;
                Ok(())
            }
            Expr::Binary(_, left, right) => {
                self.wildcard = false;
                match (left.is_literal(), right.is_literal()) {
                    (true, true) => {
                        Err("cannot perform a binary expression on two literals".to_owned())
                    }
                    (true, false) => self.expr(right),
                    (false, true) => self.expr(left),
                    (false, false) => {
                        self.expr(left)?;
                        self.expr(right)
                    }
                }
            }
            Expr::Paren(inner) => self.expr(inner),
            _ => Err("field must contain at least one variable".to_owned()),
        }
    }
}
