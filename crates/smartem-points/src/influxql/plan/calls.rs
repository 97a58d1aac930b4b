//! Whether functions have the arguments that they take.

use super::super::ast::Expr;
use super::super::condition::kind;
use super::super::eval::Math;
use super::super::time::format_duration;
use super::check::{Compiler, count_arguments};

impl Compiler {
    /// Checks a function that is not mathematical.
    pub(super) fn call(&mut self, name: &str, args: &[Expr]) -> Result<(), String> {
        match name {
            "max" | "min" | "first" | "last" => {
                count_arguments(name, 1, args.len())?;
                self.symbol(name, &args[0])
            }
            "count" | "sum" | "mean" | "median" | "mode" | "stddev" | "spread" => {
                self.only_selectors = false;
                count_arguments(name, 1, args.len())?;
                match &args[0] {
                    Expr::Call { name: inner, args } if name == "count" && inner == "distinct" => {
                        self.distinct_call(args, true)
                    }
                    Expr::Distinct(_) if name == "count" => Ok(()),
                    arg => self.symbol(name, arg),
                }
            }
            "percentile" => {
                count_arguments(name, 2, args.len())?;
                if !matches!(args[1], Expr::Integer(_) | Expr::Number(_)) {
                    return Err("expected float argument in percentile()".to_owned());
                }
                self.symbol(name, &args[0])
            }
            "distinct" => self.distinct_call(args, false),
            "top" | "bottom" => self.top(name, args),
            "derivative" | "non_negative_derivative" | "elapsed" => {
                Self::unit_argument(name, args, true)?;
                self.transformation(name, args)
            }
            "difference" | "non_negative_difference" | "cumulative_sum" => {
                if args.len() != 1 {
                    let got = args.len();
                    return Err(format!(
                        "invalid number of arguments for {name}, expected 1, got {got}"
                    ));
                }
                self.transformation(name, args)
            }
            "moving_average" => {
                count_arguments(name, 2, args.len())?;
                match &args[1] {
                    Expr::Integer(length) if *length > 1 => {}
                    Expr::Integer(length) => {
                        return Err(format!(
                            "moving_average window must be greater than 1, got {length}"
                        ));
                    }
                    other => {
                        return Err(format!(
                            "second argument for moving_average must be an integer, got *influxql.{}",
                            kind(other)
                        ));
                    }
                }
                self.transformation(name, args)
            }
            "integral" => {
                Self::unit_argument(name, args, false)?;
                self.only_selectors = false;
                self.symbol(name, &args[0])
            }
            "holt_winters" | "holt_winters_with_fit" | "sample" => {
                Err(format!("{name}() is not answered here"))
            }
            _ => Err(format!("undefined function {name}()")),
        }
    }

    /// An optional second argument that is a duration.
    fn unit_argument(name: &str, args: &[Expr], named: bool) -> Result<(), String> {
        if args.is_empty() || args.len() > 2 {
            let got = args.len();
            return Err(format!(
                "invalid number of arguments for {name}, expected at least 1 but no more than 2, got {got}"
            ));
        }
        match args.get(1) {
            None => Ok(()),
            Some(Expr::Duration(unit)) if *unit > 0 => Ok(()),
            Some(Expr::Duration(unit)) => Err(format!(
                "duration argument must be positive, got {}",
                format_duration(*unit)
            )),
            Some(other) if named => Err(format!(
                "second argument to {name} must be a duration, got *influxql.{}",
                kind(other)
            )),
            Some(_) => Err("second argument must be a duration".to_owned()),
        }
    }

    fn transformation(&mut self, name: &str, args: &[Expr]) -> Result<(), String> {
        self.only_selectors = false;
        match &args[0] {
            Expr::Call { name: inner, args } => {
                if self.interval.0 == 0 {
                    return Err(format!("{name} aggregate requires a GROUP BY interval"));
                }
                if inner == "distinct" {
                    return self.distinct_call(args, true);
                }
                if Math::named(inner).is_some() {
                    return Err(format!("expected field argument in {name}()"));
                }
                self.calls += 1;
                self.call(inner, args)
            }
            Expr::Distinct(_) => {
                if self.interval.0 == 0 {
                    return Err(format!("expected field argument in {name}()"));
                }
                Ok(())
            }
            arg => {
                if self.interval.0 != 0 && !self.inherited {
                    return Err(format!(
                        "aggregate function required inside the call to {name}"
                    ));
                }
                self.symbol(name, arg)
            }
        }
    }

    fn symbol(&mut self, name: &str, arg: &Expr) -> Result<(), String> {
        match arg {
            Expr::Var { .. } => Ok(()),
            Expr::Wildcard(_) if !self.wildcard => {
                Err(format!("unsupported expression with wildcard: {name}()"))
            }
            Expr::Regex(_) if !self.wildcard => {
                Err(format!("unsupported expression with regex field: {name}()"))
            }
            Expr::Wildcard(_) | Expr::Regex(_) => {
                self.only_selectors = false;
                Ok(())
            }
            _ => Err(format!("expected field argument in {name}()")),
        }
    }

    fn distinct_call(&mut self, args: &[Expr], nested: bool) -> Result<(), String> {
        match args {
            [] => return Err("distinct function requires at least one argument".to_owned()),
            [Expr::Var { .. }] => {}
            [_] => return Err("expected field argument in distinct()".to_owned()),
            _ => return Err("distinct function can only have one argument".to_owned()),
        }
        if !nested {
            self.distinct = true;
        }
        self.only_selectors = false;
        Ok(())
    }

    fn top(&mut self, name: &str, args: &[Expr]) -> Result<(), String> {
        if let Some(other) = &self.top {
            return Err(format!(
                "selector function {other}() cannot be combined with other functions"
            ));
        }
        let [first, between @ .., last] = args else {
            let got = args.len();
            return Err(format!(
                "invalid number of arguments for {name}, expected at least 2, got {got}"
            ));
        };
        match last {
            Expr::Integer(count) if *count <= 0 => {
                return Err(format!(
                    "limit ({count}) in {name} function must be at least 1"
                ));
            }
            Expr::Integer(count)
                if self.limit > 0 && usize::try_from(*count).unwrap_or(usize::MAX) > self.limit =>
            {
                return Err(format!(
                    "limit ({count}) in {name} function can not be larger than the LIMIT ({}) in the select statement",
                    self.limit
                ));
            }
            Expr::Integer(_) => {}
            other => {
                return Err(format!(
                    "expected integer as last argument in {name}(), found {other}"
                ));
            }
        }
        if !matches!(first, Expr::Var { .. }) {
            return Err(format!(
                "expected first argument to be a field in {name}(), found {first}"
            ));
        }
        for arg in between {
            if !matches!(arg, Expr::Var { .. }) {
                return Err(format!(
                    "only fields or tags are allowed in {name}(), found {arg}"
                ));
            }
            self.plain_fields = true;
        }
        self.top = Some(name.to_owned());
        Ok(())
    }
}
