//! Expressions as SQL.
//!
//! A statement has frames: that of the rows that are asked for, one for each `any`, and one around each
//! predicate with a path over a relation to many, which holds when it holds for one of the related entities.
//! Relations to one are joined in the frame where they begin, once for all paths along them.
//!
//! Observations are in two tables. Where a predicate leads to them it is made for each of the two, and one
//! of both must hold.

mod call;
mod compare;
mod time;
mod value;

use std::fmt::Write as _;

use jiff::Timestamp;
use smartem_sta::{BinaryOp, EntityType, Expr, ExprKind, Literal, Path, Relation};

use crate::sta::error::Fault;
use crate::sta::sql::{Dialect, Param, Statement};

use super::relation::{only, to_many, to_one};
use super::table::{BOTH, Kind};
use super::{ReadLimits, invalid};

pub(super) use value::{Json, Number, Value};

/// At most so many relations of one predicate may lead to observations.
const OBSERVATIONS_MAX: usize = 2;

/// Makes a statement.
pub(super) struct Compiler {
    pub(super) statement: Statement,
    pub(super) multi_apart: bool,
    now: Timestamp,
    frames: Vec<Frame>,
    /// Where paths begin: the entity that is asked for, then those of `any`.
    begins: Vec<Node>,
    /// Frames of predicates that are being made.
    predicates: Vec<Predicate>,
    aliases: usize,
}

/// Tables that are joined.
#[derive(Default)]
struct Frame {
    /// `table alias`, then joins.
    tables: String,
    conditions: Vec<String>,
    /// What relations that were followed lead to.
    known: Vec<(String, Relation, Node)>,
}

/// A row of a table.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) alias: String,
    pub(super) kind: Kind,
    pub(super) entity_type: EntityType,
    frame: usize,
}

struct Predicate {
    /// Its frame, if it has one yet.
    frame: Option<usize>,
    /// Which table of observations each relation to them leads to, in the order in which they are met.
    kinds: Vec<Kind>,
    met: usize,
}

impl Compiler {
    /// For rows of a table, called `e`.
    pub(super) fn new(
        dialect: Dialect,
        limits: &ReadLimits,
        entity_type: EntityType,
        kind: Kind,
    ) -> Self {
        Self::within(Statement::new(dialect), limits, entity_type, kind)
    }

    /// Likewise, going on with the parameters of a statement.
    pub(super) fn within(
        statement: Statement,
        limits: &ReadLimits,
        entity_type: EntityType,
        kind: Kind,
    ) -> Self {
        let alias = "e".to_owned();
        let frame = Frame {
            tables: format!("{} {alias}", kind.table(statement.dialect)),
            ..Frame::default()
        };
        let begin = Node {
            alias,
            kind,
            entity_type,
            frame: 0,
        };
        let mut made = Self {
            statement,
            multi_apart: limits.multi_apart,
            now: limits.now,
            frames: vec![frame],
            begins: vec![begin],
            predicates: Vec::new(),
            aliases: 0,
        };
        made.condition(only(entity_type, limits.multi_apart, "e"));
        made
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.statement.dialect
    }

    /// The row that is asked for.
    pub(super) fn root(&self) -> Node {
        self.begins[0].clone()
    }

    pub(super) fn param(&mut self, param: Param) -> String {
        self.statement.param(param)
    }

    /// Adds a condition on the rows that are asked for.
    pub(super) fn condition(&mut self, condition: String) {
        if !condition.is_empty() {
            self.frames[0].conditions.push(condition);
        }
    }

    /// Adds a filter of the rows that are asked for. Its conjuncts stand by themselves, so that those that an
    /// index serves are seen.
    pub(super) fn filter(&mut self, filter: &Expr) -> Result<(), Fault> {
        if let ExprKind::Binary(BinaryOp::And, left, right) = &filter.kind {
            self.filter(left)?;
            return self.filter(right);
        }
        let condition = self.truth(filter)?;
        self.condition(condition);
        Ok(())
    }

    /// `table e JOIN ... WHERE ...` of the rows that are asked for.
    pub(super) fn from(&self) -> String {
        self.frames[0].text()
    }

    /// The series of a datastream, which has the counts and extent of a refined one.
    pub(super) fn series(&mut self, of: &Node) -> String {
        let table = self.dialect().other_table("smartem_refined", "series");
        let alias = format!("{}_series", of.alias);
        let frame = &mut self.frames[of.frame];
        let join = format!(
            " LEFT JOIN {table} {alias} ON {alias}.key = {}.id",
            of.alias
        );
        if !frame.tables.contains(&join) {
            frame.tables.push_str(&join);
        }
        alias
    }

    fn alias(&mut self) -> String {
        self.aliases += 1;
        format!("t{}", self.aliases)
    }

    /// Whether an expression is true, in three-valued logic.
    pub(super) fn truth(&mut self, expr: &Expr) -> Result<String, Fault> {
        match &expr.kind {
            ExprKind::Binary(op @ (BinaryOp::And | BinaryOp::Or), left, right) => {
                let word = if *op == BinaryOp::And { "AND" } else { "OR" };
                let (left, right) = (self.truth(left)?, self.truth(right)?);
                Ok(format!("({left} {word} {right})"))
            }
            ExprKind::Not(inner) => Ok(format!("(NOT {})", self.truth(inner)?)),
            ExprKind::Any {
                outer,
                relations,
                predicate,
            } => self.any(expr, *outer, relations, predicate.as_deref()),
            ExprKind::Literal(Literal::Bool(value)) => Ok(self.constant(*value).to_owned()),
            ExprKind::Literal(Literal::Null) => Ok(self.unknown().to_owned()),
            _ => self.predicate(expr),
        }
    }

    fn constant(&self, value: bool) -> &'static str {
        match (self.dialect(), value) {
            (Dialect::Sqlite, true) => "1",
            (Dialect::Sqlite, false) => "0",
            (Dialect::Postgres, true) => "true",
            (Dialect::Postgres, false) => "false",
        }
    }

    fn unknown(&self) -> &'static str {
        match self.dialect() {
            Dialect::Sqlite => "NULL",
            Dialect::Postgres => "NULL::boolean",
        }
    }

    /// A comparison or call, with the entities around it that its paths over relations to many lead to.
    fn predicate(&mut self, expr: &Expr) -> Result<String, Fault> {
        let before = self.statement.params.len();
        let (first, met) = self.predicate_for(expr, Vec::new())?;
        if met == 0 {
            return Ok(first);
        }
        if met > OBSERVATIONS_MAX {
            return Err(invalid(
                "this compares too many different relations to observations; split it with `and`",
                Some(expr.at.clone()),
            ));
        }
        // The first one was made to see where it leads.
        self.statement.params.truncate(before);
        let mut each = Vec::new();
        for choice in 0..(1_usize << met) {
            let kinds = (0..met).map(|place| BOTH[(choice >> place) & 1]).collect();
            each.push(self.predicate_for(expr, kinds)?.0);
        }
        Ok(format!("({})", each.join(" OR ")))
    }

    /// The same with the tables of observations chosen; and how many were to be chosen.
    fn predicate_for(&mut self, expr: &Expr, kinds: Vec<Kind>) -> Result<(String, usize), Fault> {
        self.predicates.push(Predicate {
            frame: None,
            kinds,
            met: 0,
        });
        let made = self.comparison(expr);
        let done = self.predicates.pop();
        let condition = made?;
        let Some(done) = done else {
            return Ok((condition, 0));
        };
        let Some(frame) = done.frame else {
            return Ok((condition, done.met));
        };
        let exists = self.exists(frame, condition);
        Ok((exists, done.met))
    }

    fn exists(&mut self, frame: usize, condition: String) -> String {
        self.frames[frame].conditions.push(condition);
        format!("EXISTS (SELECT 1 FROM {})", self.frames[frame].text())
    }

    /// `Datastreams/any(d: ...)`.
    fn any(
        &mut self,
        expr: &Expr,
        outer: usize,
        relations: &[Relation],
        predicate: Option<&Expr>,
    ) -> Result<String, Fault> {
        let to_observations = relations
            .iter()
            .filter(|it| it.to == EntityType::Observation)
            .count();
        if to_observations > OBSERVATIONS_MAX {
            return Err(invalid(
                "this leads to observations too often",
                Some(expr.at.clone()),
            ));
        }
        let mut each = Vec::new();
        for choice in 0..(1_usize << to_observations) {
            let kinds = (0..to_observations)
                .map(|place| BOTH[(choice >> place) & 1])
                .collect();
            each.push(self.any_of(expr, outer, relations, predicate, kinds)?);
        }
        Ok(format!("({})", each.join(" OR ")))
    }

    fn any_of(
        &mut self,
        expr: &Expr,
        outer: usize,
        relations: &[Relation],
        predicate: Option<&Expr>,
        kinds: Vec<Kind>,
    ) -> Result<String, Fault> {
        self.predicates.push(Predicate {
            frame: None,
            kinds,
            met: 0,
        });
        let begin = self.begin(outer, expr);
        let end = begin.and_then(|begin| self.follow(begin, relations));
        let done = self.predicates.pop();
        let frame = done.and_then(|it| it.frame).ok_or_else(|| {
            invalid(
                "`any` needs a relation that leads to many",
                Some(expr.at.clone()),
            )
        })?;
        self.begins.push(end?);
        let condition = match predicate {
            Some(predicate) => self.truth(predicate),
            None => Ok(self.constant(true).to_owned()),
        };
        self.begins.pop();
        Ok(self.exists(frame, condition?))
    }

    /// The entity that a path's property is of.
    fn node(&mut self, path: &Path, expr: &Expr) -> Result<Node, Fault> {
        let begin = self.begin(path.outer, expr)?;
        self.follow(begin, &path.relations)
    }

    /// The entity of the `any` so far out.
    fn begin(&self, outer: usize, expr: &Expr) -> Result<Node, Fault> {
        let at = self.begins.len().checked_sub(outer + 1);
        let begin = at.and_then(|at| self.begins.get(at).cloned());
        begin.ok_or_else(|| {
            invalid(
                "this variable is of no `any` around it",
                Some(expr.at.clone()),
            )
        })
    }

    fn follow(&mut self, begin: Node, relations: &[Relation]) -> Result<Node, Fault> {
        let mut node = begin;
        for &relation in relations {
            node = self.step(&node, relation)?;
        }
        Ok(node)
    }

    fn step(&mut self, from: &Node, relation: Relation) -> Result<Node, Fault> {
        let frame = if relation.is_many {
            self.predicate_frame()?
        } else {
            from.frame
        };
        let is_it =
            |(alias, it, _): &&(String, Relation, Node)| *alias == from.alias && *it == relation;
        if let Some((_, _, node)) = self.frames[frame].known.iter().find(is_it) {
            return Ok(node.clone());
        }
        let kind = match Kind::of(relation.to) {
            Some(kind) => kind,
            None => self.kind_of_observations(),
        };
        let alias = self.alias();
        let node = Node {
            alias: alias.clone(),
            kind,
            entity_type: relation.to,
            frame,
        };
        self.join(from, relation, &node);
        self.frames[frame]
            .known
            .push((from.alias.clone(), relation, node.clone()));
        Ok(node)
    }

    fn join(&mut self, from: &Node, relation: Relation, to: &Node) {
        let dialect = self.dialect();
        let b = &to.alias;
        let mut condition = if relation.is_many {
            let id = from.kind.id(dialect, &from.alias);
            to_many(dialect, relation, &id, to.kind, b)
        } else {
            let id = to_one(dialect, relation, from.kind, &from.alias);
            format!("{b}.id = {id}")
        };
        let only = only(relation.to, self.multi_apart, b);
        if !only.is_empty() {
            condition = format!("{condition} AND {only}");
        }
        let table = format!("{} {b}", to.kind.table(dialect));
        let frame = &mut self.frames[to.frame];
        if frame.tables.is_empty() {
            frame.tables = table;
            frame.conditions.push(condition);
        } else {
            let how = if relation.is_many {
                "JOIN"
            } else {
                "LEFT JOIN"
            };
            // Writing to a text cannot fail.
            let _ = write!(frame.tables, " {how} {table} ON {condition}");
        }
    }

    /// The frame around the predicate that is being made.
    fn predicate_frame(&mut self) -> Result<usize, Fault> {
        let next = self.frames.len();
        let Some(predicate) = self.predicates.last_mut() else {
            return Err(invalid(
                "a path over a relation to many has a value only within a comparison",
                None,
            ));
        };
        let frame = *predicate.frame.get_or_insert(next);
        if frame == next {
            self.frames.push(Frame::default());
        }
        Ok(frame)
    }

    fn kind_of_observations(&mut self) -> Kind {
        let Some(predicate) = self.predicates.last_mut() else {
            return Kind::Made;
        };
        let kind = predicate.kinds.get(predicate.met).copied();
        predicate.met += 1;
        kind.unwrap_or(Kind::Made)
    }
}

impl Frame {
    fn text(&self) -> String {
        if self.conditions.is_empty() {
            return self.tables.clone();
        }
        format!("{} WHERE {}", self.tables, self.conditions.join(" AND "))
    }
}
