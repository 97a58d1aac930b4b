//! Expressions of `$filter` and `$orderby`: operators by precedence climbing, operands by recursive descent.

mod path;

use crate::{BinaryOp, EntityType, Expr, ExprKind, Function, Literal, Path, Type, Version};

use super::error::{Fault, excerpt, suggest};
use super::scan::Scanner;
use super::{DEPTH_MAX, NODES_MAX, check, literal};

pub(super) use path::members;

impl BinaryOp {
    /// As it is written: `eq`.
    pub fn name(self) -> &'static str {
        match self {
            Self::And => "and",
            Self::Or => "or",
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::Lt => "lt",
            Self::Le => "le",
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Mul => "mul",
            Self::Div => "div",
            Self::Mod => "mod",
        }
    }
}

/// How strongly operators bind.
mod strength {
    pub(super) const OR: u8 = 1;
    pub(super) const AND: u8 = 2;
    pub(super) const NOT: u8 = 3;
    pub(super) const COMPARISON: u8 = 4;
    pub(super) const SUM: u8 = 5;
    pub(super) const PRODUCT: u8 = 6;
}

/// What stands between two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Binary(BinaryOp),
    In,
}

impl Operator {
    fn of_word(word: &str) -> Option<(Self, u8)> {
        let (op, strength) = match word {
            "or" => (BinaryOp::Or, strength::OR),
            "and" => (BinaryOp::And, strength::AND),
            "eq" => (BinaryOp::Eq, strength::COMPARISON),
            "ne" => (BinaryOp::Ne, strength::COMPARISON),
            "gt" => (BinaryOp::Gt, strength::COMPARISON),
            "ge" => (BinaryOp::Ge, strength::COMPARISON),
            "lt" => (BinaryOp::Lt, strength::COMPARISON),
            "le" => (BinaryOp::Le, strength::COMPARISON),
            "add" => (BinaryOp::Add, strength::SUM),
            "sub" => (BinaryOp::Sub, strength::SUM),
            "mul" => (BinaryOp::Mul, strength::PRODUCT),
            "div" => (BinaryOp::Div, strength::PRODUCT),
            "mod" => (BinaryOp::Mod, strength::PRODUCT),
            "in" => return Some((Self::In, strength::COMPARISON)),
            _ => return None,
        };
        Some((Self::Binary(op), strength))
    }
}

const OPERATORS: [&str; 14] = [
    "eq", "ne", "gt", "ge", "lt", "le", "in", "and", "or", "add", "sub", "mul", "div", "mod",
];

/// How much of a query was read, against [`NODES_MAX`].
#[derive(Debug, Default)]
pub(super) struct Budget {
    nodes: usize,
}

impl Budget {
    /// Counts one more part.
    pub(super) fn spend(&mut self, at: usize) -> Result<(), Fault> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(Fault::new(
                at,
                format!("the query has more than {NODES_MAX} parts; split it"),
            ));
        }
        Ok(())
    }
}

/// Reads expressions over entities of a type.
pub(super) struct ExprReader<'s, 'a> {
    scan: &'s mut Scanner<'a>,
    budget: &'s mut Budget,
    of: EntityType,
    version: Version,
    /// Variables of the `any` around the place, the outermost first; `None` for one without.
    variables: Vec<(&'a str, EntityType)>,
    /// How many expressions are around the place.
    depth: usize,
    /// How many levels the expression has that was read last.
    height: usize,
}

impl<'s, 'a> ExprReader<'s, 'a> {
    pub(super) fn new(
        scan: &'s mut Scanner<'a>,
        budget: &'s mut Budget,
        of: EntityType,
        version: Version,
    ) -> Self {
        Self {
            scan,
            budget,
            of,
            version,
            variables: Vec::new(),
            depth: 0,
            height: 0,
        }
    }

    /// A condition, up to the end of the window.
    pub(super) fn condition_to_end(&mut self) -> Result<Expr, Fault> {
        let condition = self.condition()?;
        self.scan.skip_blanks();
        if !self.scan.is_at_end() {
            return Err(self.no_operator());
        }
        Ok(condition)
    }

    /// A value, such as a term of an order; what follows it is left.
    pub(super) fn value(&mut self) -> Result<Expr, Fault> {
        self.expr(strength::SUM)
    }

    /// A path to a property.
    pub(super) fn path(&mut self) -> Result<(Path, Type), Fault> {
        self.scan.skip_blanks();
        let start = self.scan.at();
        let expr = self.named()?;
        match expr.kind {
            ExprKind::Path(path) => Ok((path, expr.ty)),
            _ => Err(Fault::new(start, "expected a path to a property here")),
        }
    }

    fn condition(&mut self) -> Result<Expr, Fault> {
        let expr = self.expr(strength::OR)?;
        check::condition(expr)
    }

    /// Operands with operators between them that bind at least so strongly (precedence climbing).
    fn expr(&mut self, least: u8) -> Result<Expr, Fault> {
        if self.depth == DEPTH_MAX {
            return Err(too_deep(self.scan.at()));
        }
        self.depth += 1;
        let expr = self.operations(least);
        self.depth -= 1;
        expr
    }

    fn operations(&mut self, least: u8) -> Result<Expr, Fault> {
        let mut left = self.operand()?;
        let mut height = self.height;
        while let Some((operator, strength)) = self.take_operator(least) {
            let at = self.scan.at();
            self.budget.spend(at)?;
            left = match operator {
                Operator::In => {
                    let list = self.list()?;
                    height += 1;
                    check::membership(left, list, self.scan.at())?
                }
                Operator::Binary(op @ (BinaryOp::And | BinaryOp::Or)) => {
                    self.height = height;
                    let joined = self.chain(op, strength, left)?;
                    height = self.height;
                    joined
                }
                Operator::Binary(op) => {
                    let right = self.expr(strength + 1)?;
                    height = height.max(self.height) + 1;
                    check::binary(op, left, right)?
                }
            };
            if height > DEPTH_MAX {
                return Err(too_deep(at));
            }
        }
        if least <= strength::NOT {
            self.check_what_follows()?;
        }
        self.height = height;
        Ok(left)
    }

    /// Operands of `and` or `or` after the first, as a balanced tree.
    fn chain(&mut self, op: BinaryOp, strength: u8, first: Expr) -> Result<Expr, Fault> {
        let mut height = self.height;
        let mut operands = vec![first];
        loop {
            operands.push(self.expr(strength + 1)?);
            height = height.max(self.height);
            if !self.take_word(op.name()) {
                break;
            }
            self.budget.spend(self.scan.at())?;
        }
        while operands.len() > 1 {
            height += 1;
            operands = in_pairs(op, operands)?;
        }
        self.height = height;
        operands
            .pop()
            .ok_or_else(|| self.scan.fault("expected an expression here"))
    }

    /// Fails unless a condition may end here: this says more than that the operand is no condition.
    fn check_what_follows(&mut self) -> Result<(), Fault> {
        self.scan.skip_blanks();
        let is_end = matches!(self.scan.peek(), None | Some(b')' | b','));
        if is_end || matches!(self.scan.peek_name(), "and" | "or") {
            return Ok(());
        }
        Err(self.no_operator())
    }

    /// `(1, 2, 3)`
    fn list(&mut self) -> Result<Vec<Expr>, Fault> {
        self.scan
            .expect("(", "before the list of `in`, as in `in (1,2,3)`")?;
        let mut members = vec![self.expr(strength::SUM)?];
        while self.take_symbol(",") {
            members.push(self.expr(strength::SUM)?);
        }
        self.scan.expect(")", "after the list of `in`")?;
        Ok(members)
    }

    fn operand(&mut self) -> Result<Expr, Fault> {
        self.scan.skip_blanks();
        let start = self.scan.at();
        self.budget.spend(start)?;
        self.height = 1;
        match self.scan.peek() {
            Some(b'(') => self.parenthesis(start),
            Some(b'\'') => {
                let text = literal::text(self.scan)?;
                Ok(self.constant(start, Literal::Text(text)))
            }
            Some(b'0'..=b'9' | b'+') => self.number_or_time(start),
            Some(b'-') => {
                let next = self.scan.rest().as_bytes().get(1);
                if next.is_some_and(u8::is_ascii_digit) {
                    self.number_or_time(start)
                } else {
                    self.minus(start)
                }
            }
            _ if self.scan.peek_name() == "not" => self.negation(start),
            _ => self.named(),
        }
    }

    fn parenthesis(&mut self, open: usize) -> Result<Expr, Fault> {
        self.scan.skip(1);
        let inner = self.expr(strength::OR)?;
        self.close(open)?;
        Ok(inner)
    }

    fn number_or_time(&mut self, start: usize) -> Result<Expr, Fault> {
        let literal = literal::number_or_time(self.scan)?;
        Ok(self.constant(start, literal))
    }

    fn minus(&mut self, start: usize) -> Result<Expr, Fault> {
        self.scan.skip(1);
        let operand = self.expr(strength::PRODUCT + 1)?;
        self.height += 1;
        check::minus(start, operand)
    }

    /// `not` stands before a whole comparison: for booleans it is the same as the stronger binding of OData, and
    /// `not name eq 'x'` means what it says.
    fn negation(&mut self, start: usize) -> Result<Expr, Fault> {
        self.scan.take_name();
        let operand = self.expr(strength::COMPARISON)?;
        self.height += 1;
        check::negation(start, operand)
    }

    /// The parenthesis that closes the one at `open`.
    fn close(&mut self, open: usize) -> Result<(), Fault> {
        self.scan.skip_blanks();
        if self.scan.take(")") {
            return Ok(());
        }
        if self.scan.is_at_end() {
            return Err(Fault::new(open, "this `(` is not closed"));
        }
        Err(self.no_operator())
    }

    /// What begins with a name: a word for a constant, a function or a path.
    fn named(&mut self) -> Result<Expr, Fault> {
        let start = self.scan.at();
        let name = self.scan.peek_name();
        if self.scan.peek() == Some(b'"') {
            return Err(self.scan.fault("texts are in single quotes, as in `'x'`"));
        }
        if name.is_empty() {
            return Err(self.scan.fault(format!(
                "expected a value, a property or a function here, {}",
                self.scan.found()
            )));
        }
        let mut ahead = *self.scan;
        ahead.skip(name.len());
        let is_joined = ahead.peek() == Some(b'/');
        let blanks = ahead;
        ahead.skip_blanks();
        let literal = match (name, ahead.peek()) {
            ("duration" | "geography" | "geometry", Some(b'\'')) => {
                let literal = literal::named(name, start, &mut ahead)?;
                *self.scan = ahead;
                return Ok(self.constant(start, literal));
            }
            (_, Some(b'(')) if !is_joined && Function::of_name(name).is_some() => None,
            (_, Some(b'(')) if blanks.peek() == Some(b'(') => None,
            ("null", _) if !is_joined => Some(Literal::Null),
            ("true", _) if !is_joined => Some(Literal::Bool(true)),
            ("false", _) if !is_joined => Some(Literal::Bool(false)),
            _ => return self.path_expr(),
        };
        self.scan.skip(name.len());
        match literal {
            Some(literal) => Ok(self.constant(start, literal)),
            None => self.call(start, name),
        }
    }

    fn call(&mut self, start: usize, name: &str) -> Result<Expr, Fault> {
        let Some(function) = Function::of_name(name) else {
            return Err(self.no_function(start, name));
        };
        self.scan.skip_blanks();
        let open = self.scan.at();
        self.scan.skip(1);
        let mut arguments = Vec::new();
        let mut height = 0;
        self.scan.skip_blanks();
        if self.scan.peek() != Some(b')') {
            loop {
                arguments.push(self.expr(strength::OR)?);
                height = height.max(self.height);
                if !self.take_symbol(",") {
                    break;
                }
            }
        }
        self.close(open)?;
        self.height = height + 1;
        check::call(function, start, arguments, self.scan.at())
    }

    fn no_function(&self, start: usize, name: &str) -> Fault {
        if EntityType::of_set(name, self.version).is_some() {
            return Fault::new(
                start,
                format!("a path in an expression has no keys; write `{name}/id eq 1`"),
            );
        }
        Fault::new(
            start,
            format!(
                "there is no function `{}`{}",
                excerpt(name),
                suggest(name, Function::ALL.iter().map(|it| it.name()))
            ),
        )
    }

    fn constant(&self, start: usize, literal: Literal) -> Expr {
        Expr {
            ty: literal.ty(),
            kind: ExprKind::Literal(literal),
            at: start..self.scan.at(),
        }
    }

    /// An operator that binds at least so strongly, if it is next. A blank after it may be missing, one before it too.
    fn take_operator(&mut self, least: u8) -> Option<(Operator, u8)> {
        let mut ahead = *self.scan;
        ahead.skip_blanks();
        let found = Operator::of_word(ahead.take_name())?;
        (found.1 >= least).then(|| {
            *self.scan = ahead;
            found
        })
    }

    fn take_word(&mut self, word: &str) -> bool {
        let mut ahead = *self.scan;
        ahead.skip_blanks();
        let is_next = ahead.take_name() == word;
        if is_next {
            *self.scan = ahead;
        }
        is_next
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let mut ahead = *self.scan;
        ahead.skip_blanks();
        let is_next = ahead.take(symbol);
        if is_next {
            *self.scan = ahead;
        }
        is_next
    }

    /// What follows an expression is no operator.
    fn no_operator(&self) -> Fault {
        let rest = self.scan.rest();
        for (sign, word) in [
            ("==", "eq"),
            ("=", "eq"),
            ("!=", "ne"),
            ("<>", "ne"),
            (">=", "ge"),
            ("<=", "le"),
            (">", "gt"),
            ("<", "lt"),
            ("&&", "and"),
            ("||", "or"),
            ("+", "add"),
            ("-", "sub"),
            ("*", "mul"),
            ("%", "mod"),
        ] {
            if rest.starts_with(sign) {
                return self.scan.fault(format!(
                    "operators are words here: write `{word}` for `{sign}`"
                ));
            }
        }
        if rest.starts_with(')') {
            return self.scan.fault("this `)` closes nothing");
        }
        match self.scan.peek_name() {
            "" => self
                .scan
                .fault(format!("expected an operator here, {}", self.scan.found())),
            name => self.scan.fault(format!(
                "expected an operator here, found `{}`{}",
                excerpt(name),
                suggest(name, OPERATORS)
            )),
        }
    }
}

fn too_deep(at: usize) -> Fault {
    Fault::new(
        at,
        format!("the expression is more than {DEPTH_MAX} levels deep; make it flatter"),
    )
}

/// The first two operands as one, the next two, and so on.
fn in_pairs(op: BinaryOp, operands: Vec<Expr>) -> Result<Vec<Expr>, Fault> {
    let mut pairs = Vec::with_capacity(operands.len().div_ceil(2));
    let mut rest = operands.into_iter();
    while let Some(left) = rest.next() {
        pairs.push(match rest.next() {
            Some(right) => check::binary(op, left, right)?,
            None => left,
        });
    }
    Ok(pairs)
}
