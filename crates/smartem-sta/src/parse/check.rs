//! Types of expressions: which operands fit, and what literals become beside them.

use crate::{BinaryOp, Expr, ExprKind, Function, Literal, Property, Type};

use super::error::Fault;
use super::function::{Argument, Signature};
use super::literal;
use super::time::Moment;

/// `left op right`, whatever the operator.
pub(super) fn binary(op: BinaryOp, left: Expr, right: Expr) -> Result<Expr, Fault> {
    match op {
        BinaryOp::And | BinaryOp::Or => {
            Ok(joined(op, Type::Bool, condition(left)?, condition(right)?))
        }
        BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Gt | BinaryOp::Ge | BinaryOp::Lt | BinaryOp::Le => {
            comparison(op, left, right)
        }
        BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod => {
            arithmetic(op, left, right)
        }
    }
}

/// An expression that is true or false; a JSON value is it when it is `true`.
pub(super) fn condition(expr: Expr) -> Result<Expr, Fault> {
    match expr.ty {
        Type::Bool => Ok(expr),
        Type::Json => {
            let truth = Expr {
                kind: ExprKind::Literal(Literal::Bool(true)),
                ty: Type::Bool,
                at: expr.at.clone(),
            };
            Ok(joined(BinaryOp::Eq, Type::Bool, expr, truth))
        }
        ty => Err(Fault::new(
            expr.at.start,
            format!(
                "this is {} where a condition is needed; compare it, as in `name eq 'x'`",
                describe(ty)
            ),
        )),
    }
}

/// `not` of a condition.
pub(super) fn negation(start: usize, operand: Expr) -> Result<Expr, Fault> {
    let operand = condition(operand)?;
    Ok(Expr {
        at: start..operand.at.end,
        ty: Type::Bool,
        kind: ExprKind::Not(Box::new(operand)),
    })
}

/// A number with the other sign; literals become negative ones.
pub(super) fn minus(start: usize, operand: Expr) -> Result<Expr, Fault> {
    let at = start..operand.at.end;
    let literal = match &operand.kind {
        ExprKind::Literal(Literal::Int(value)) => value.checked_neg().map(Literal::Int),
        ExprKind::Literal(Literal::Real(value)) => Some(Literal::Real(-value)),
        ExprKind::Literal(Literal::Duration(value)) => value.checked_neg().map(Literal::Duration),
        _ => None,
    };
    if let Some(literal) = literal {
        return Ok(Expr {
            ty: literal.ty(),
            kind: ExprKind::Literal(literal),
            at,
        });
    }
    match operand.ty {
        Type::Number | Type::Json => Ok(Expr {
            at,
            ty: Type::Number,
            kind: ExprKind::Negate(Box::new(operand)),
        }),
        ty => Err(Fault::new(
            operand.at.start,
            format!("`-` needs a number, and this is {}", describe(ty)),
        )),
    }
}

/// `needle in (...)`; the list has literals.
pub(super) fn membership(needle: Expr, list: Vec<Expr>, end: usize) -> Result<Expr, Fault> {
    let members = list
        .into_iter()
        .map(|member| {
            if !matches!(member.kind, ExprKind::Literal(_)) {
                return Err(Fault::new(
                    member.at.start,
                    "the list of `in` has constants, as in `in (1,2,3)`",
                ));
            }
            let member = adapted(member, &needle)?;
            check_comparable(BinaryOp::Eq, &needle, &member)?;
            Ok(member)
        })
        .collect::<Result<_, _>>()?;
    Ok(Expr {
        at: needle.at.start..end,
        ty: Type::Bool,
        kind: ExprKind::In(Box::new(needle), members),
    })
}

/// A call of a function; `end` is where it ends.
pub(super) fn call(
    function: Function,
    start: usize,
    arguments: Vec<Expr>,
    end: usize,
) -> Result<Expr, Fault> {
    let signature = function.signature();
    check_number(&signature, start, arguments.len())?;
    let mut arguments = arguments
        .into_iter()
        .zip(signature.arguments)
        .enumerate()
        .map(|(index, (argument, kind))| fitting(&signature, index, argument, *kind))
        .collect::<Result<Vec<_>, _>>()?;
    // The standard has the needle first, and many clients write it second; only a literal can be told from a path.
    if function == Function::SubstringOf
        && let [first, second] = arguments.as_mut_slice()
        && !matches!(first.kind, ExprKind::Literal(_))
        && matches!(second.kind, ExprKind::Literal(_))
    {
        std::mem::swap(first, second);
    }
    Ok(Expr {
        at: start..end,
        ty: signature.result,
        kind: ExprKind::Call(function, arguments),
    })
}

fn check_number(signature: &Signature, start: usize, given: usize) -> Result<(), Fault> {
    let most = signature.arguments.len();
    let least = most - signature.optional;
    if (least..=most).contains(&given) {
        return Ok(());
    }
    let wanted: Vec<&str> = signature.arguments.iter().map(|it| it.describe()).collect();
    let name = signature.function.name();
    let needs = match wanted.as_slice() {
        [] => "no arguments".to_owned(),
        some => format!("{}{}", some.join(", "), optional_note(signature.optional)),
    };
    Err(Fault::new(
        start,
        format!("`{name}` needs {needs}; the number of arguments here is {given}"),
    ))
}

fn optional_note(optional: usize) -> &'static str {
    if optional == 0 {
        ""
    } else {
        " (the last may be left out)"
    }
}

/// The argument as the function takes it.
fn fitting(
    signature: &Signature,
    index: usize,
    argument: Expr,
    kind: Argument,
) -> Result<Expr, Fault> {
    let argument = match kind {
        Argument::Moment => with_literal(argument, as_time),
        Argument::MomentOrDate if argument.ty != Type::Date => with_literal(argument, as_time),
        Argument::MomentOrTimeOfDay => {
            with_literal(argument, |it| as_time(it).or_else(|| as_time_of_day(it)))
        }
        Argument::Duration => with_literal(argument, as_duration),
        _ => argument,
    };
    let is_good_pattern = match (&argument.kind, kind) {
        (ExprKind::Literal(Literal::Text(pattern)), Argument::Pattern) => is_pattern(pattern),
        (_, Argument::Pattern) => false,
        _ => true,
    };
    if kind.admits(argument.ty) && is_good_pattern {
        return Ok(argument);
    }
    Err(Fault::new(
        argument.at.start,
        format!(
            "argument {} of {} must be {}, and this is {}",
            index + 1,
            signature.function.name(),
            kind.describe(),
            describe(argument.ty)
        ),
    ))
}

/// A pattern of the DE-9IM model.
fn is_pattern(text: &str) -> bool {
    text.len() == 9
        && text
            .bytes()
            .all(|byte| matches!(byte, b'0' | b'1' | b'2' | b'T' | b'F' | b'*'))
}

fn comparison(op: BinaryOp, left: Expr, right: Expr) -> Result<Expr, Fault> {
    let right = adapted(right, &left)?;
    let left = adapted(left, &right)?;
    check_comparable(op, &left, &right)?;
    Ok(joined(op, Type::Bool, left, right))
}

fn check_comparable(op: BinaryOp, left: &Expr, right: &Expr) -> Result<(), Fault> {
    let is_equality = matches!(op, BinaryOp::Eq | BinaryOp::Ne);
    let is_good = match (left.ty, right.ty) {
        (Type::Null, _)
        | (_, Type::Null)
        | (Type::Bool, Type::Bool | Type::Json)
        | (Type::Json, Type::Bool) => is_equality,
        (Type::Json, Type::Number | Type::Text | Type::Json)
        | (Type::Number | Type::Text, Type::Json)
        | (Type::Instant | Type::Time, Type::Instant | Type::Time) => true,
        (Type::Geometry, Type::Geometry) => false,
        (left, right) => left == right,
    };
    if is_good {
        return Ok(());
    }
    let at = match (&left.kind, &right.kind) {
        (ExprKind::Literal(_), kind) if !matches!(kind, ExprKind::Literal(_)) => left.at.start,
        _ => right.at.start,
    };
    Err(Fault::new(at, mismatch(left.ty, right.ty)))
}

/// Why two types do not compare, and what would.
fn mismatch(left: Type, right: Type) -> String {
    if left == right || left == Type::Null || right == Type::Null {
        let one = if left == Type::Null { right } else { left };
        return match one {
            Type::Geometry => "geometries compare with st_equals and the other functions for them",
            Type::Bool => "true and false compare with `eq` and `ne` only",
            _ => "null compares with `eq` and `ne` only",
        }
        .to_owned();
    }
    let has = |ty| left == ty || right == ty;
    let remedy = if has(Type::Text) && has(Type::Number) {
        "; write the number in quotes to compare texts, as in `'5'`"
    } else if (has(Type::Json) || has(Type::Text)) && (has(Type::Instant) || has(Type::Time)) {
        "; write the time in quotes to compare texts, as in `'2020-01-31T12:00:00Z'`"
    } else if has(Type::Date) && (has(Type::Instant) || has(Type::Time)) {
        "; take the date of the time, as in `date(phenomenonTime)`"
    } else {
        ""
    };
    format!(
        "{} does not compare with {}{remedy}",
        describe(left),
        describe(right)
    )
}

fn arithmetic(op: BinaryOp, left: Expr, right: Expr) -> Result<Expr, Fault> {
    use Type::{Date, Duration, Instant, Json, Number, Time};
    let is_sum = matches!(op, BinaryOp::Add | BinaryOp::Sub);
    let is_product = matches!(op, BinaryOp::Mul | BinaryOp::Div);
    let ty = match (left.ty, right.ty) {
        (Number | Json, Number | Json) => Some(Number),
        (Instant | Time | Date, Duration) if is_sum => Some(left.ty),
        (Duration, Instant | Time | Date) if op == BinaryOp::Add => Some(right.ty),
        (Duration, Duration) if is_sum => Some(Duration),
        (Instant | Time, Instant | Time) | (Date, Date) if op == BinaryOp::Sub => Some(Duration),
        (Duration, Number) if is_product => Some(Duration),
        (Number, Duration) if op == BinaryOp::Mul => Some(Duration),
        _ => None,
    };
    match ty {
        Some(ty) => Ok(joined(op, ty, left, right)),
        None => Err(Fault::new(
            right.at.start,
            format!(
                "`{}` cannot combine {} and {}",
                op.name(),
                describe(left.ty),
                describe(right.ty)
            ),
        )),
    }
}

fn joined(op: BinaryOp, ty: Type, left: Expr, right: Expr) -> Expr {
    Expr {
        at: left.at.start.min(right.at.start)..left.at.end.max(right.at.end),
        ty,
        kind: ExprKind::Binary(op, Box::new(left), Box::new(right)),
    }
}

/// A literal in the type of what it is compared with: texts become times, numbers of ids and so on.
fn adapted(expr: Expr, beside: &Expr) -> Result<Expr, Fault> {
    let is_text = expr.ty == Type::Text;
    let is_literal = matches!(expr.kind, ExprKind::Literal(_));
    let adapted = match beside.ty {
        Type::Instant | Type::Time => with_literal(expr, as_time),
        Type::Date => with_literal(expr, as_date),
        Type::TimeOfDay => with_literal(expr, as_time_of_day),
        Type::Duration => with_literal(expr, as_duration),
        Type::Number if is_id(beside) => with_literal(expr, as_id),
        _ => return Ok(expr),
    };
    if !is_text || !is_literal || adapted.ty != Type::Text {
        return Ok(adapted);
    }
    let message = if beside.ty == Type::Number {
        "this text is no id; ids are whole numbers".to_owned()
    } else {
        format!("this text is not {}", describe(beside.ty))
    };
    Err(Fault::new(adapted.at.start, message))
}

fn is_id(expr: &Expr) -> bool {
    matches!(&expr.kind, ExprKind::Path(path) if path.property == Property::Id)
}

/// The expression with its literal changed, if it is one that `change` knows.
fn with_literal(expr: Expr, change: impl Fn(&Literal) -> Option<Literal>) -> Expr {
    let ExprKind::Literal(literal) = &expr.kind else {
        return expr;
    };
    match change(literal) {
        Some(literal) => Expr {
            ty: literal.ty(),
            kind: ExprKind::Literal(literal),
            at: expr.at,
        },
        None => expr,
    }
}

fn as_time(literal: &Literal) -> Option<Literal> {
    match literal {
        Literal::Text(text) => literal::quoted_time(text).map(Literal::from),
        Literal::Date(day) => Moment::Date(*day).instant().map(Literal::Instant),
        _ => None,
    }
}

fn as_date(literal: &Literal) -> Option<Literal> {
    match literal {
        Literal::Text(text) => match Moment::parse(text.trim())? {
            Moment::Date(day) => Some(Literal::Date(day)),
            Moment::Instant(_) => None,
        },
        _ => None,
    }
}

fn as_time_of_day(literal: &Literal) -> Option<Literal> {
    match literal {
        Literal::Text(text) => literal::parse_time_of_day(text.trim()).map(Literal::TimeOfDay),
        _ => None,
    }
}

fn as_duration(literal: &Literal) -> Option<Literal> {
    match literal {
        Literal::Text(text) => literal::duration(text).map(Literal::Duration),
        _ => None,
    }
}

fn as_id(literal: &Literal) -> Option<Literal> {
    match literal {
        Literal::Text(text) => text.trim().parse().ok().map(Literal::Int),
        _ => None,
    }
}

/// A type, as it is told to clients.
pub(super) fn describe(ty: Type) -> &'static str {
    match ty {
        Type::Bool => "a condition",
        Type::Number => "a number",
        Type::Text => "a text",
        Type::Instant | Type::Time => "a time",
        Type::Duration => "a duration",
        Type::Date => "a date",
        Type::TimeOfDay => "a time of day",
        Type::Geometry => "a geometry",
        Type::Null => "null",
        Type::Json => "a JSON value",
    }
}

/// Fails for what has no order. Geometries have that of their JSON: the official tests ask for it.
pub(super) fn orderable(expr: &Expr) -> Result<(), Fault> {
    if expr.ty == Type::Null {
        return Err(Fault::new(expr.at.start, "null has no order"));
    }
    each_path(
        expr,
        &mut |path, at| match path.relations.iter().find(|it| it.is_many) {
            Some(_) => Err(Fault::new(
                at,
                "the path leads to many values, and an order needs one of each entity",
            )),
            None => Ok(()),
        },
    )
}

/// Visits the paths of an expression that has no `any`.
fn each_path(
    expr: &Expr,
    visit: &mut impl FnMut(&crate::Path, usize) -> Result<(), Fault>,
) -> Result<(), Fault> {
    match &expr.kind {
        ExprKind::Path(path) => visit(path, expr.at.start),
        ExprKind::Binary(_, left, right) => {
            each_path(left, visit)?;
            each_path(right, visit)
        }
        ExprKind::Not(inner) | ExprKind::Negate(inner) | ExprKind::In(inner, _) => {
            each_path(inner, visit)
        }
        ExprKind::Call(_, arguments) => arguments.iter().try_for_each(|it| each_path(it, visit)),
        ExprKind::Literal(_) | ExprKind::Any { .. } => Ok(()),
    }
}
