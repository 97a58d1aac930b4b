//! Orders, and places in them.
//!
//! NULL is before everything else. Equal ones are by id. A place in an order is the values of its terms at an
//! entity, so that going on from there costs as much as beginning; where a term is computed it is how many
//! were before.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value as JsonValue;
use smartem_sta::{Cursor, EntityType, Expr, ExprKind, OrderBy, Property, Relation};

use crate::sta::error::Fault;
use crate::sta::sql::{Cell, Dialect, Param};

use super::compile::{Compiler, Node, Value};
use super::invalid;
use super::locate::Stream;
use super::table::Kind;

/// An order of the rows of a statement.
#[derive(Clone, Debug)]
pub(super) struct Order {
    terms: Vec<Term>,
    /// Whether places are values of terms.
    has_places: bool,
    /// Tells it from other orders.
    mark: u32,
}

#[derive(Clone, Debug)]
struct Term {
    sql: String,
    is_descending: bool,
    is_nullable: bool,
    ty: TermType,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TermType {
    Int,
    Real,
    Text,
    Time,
    Bool,
}

/// Where to go on.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Position {
    Start,
    After(Vec<JsonValue>),
    Skip(u64),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    o: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    k: Option<Vec<JsonValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    s: Option<u64>,
}

impl Order {
    /// The order of the rows of a statement. Of observations of one datastream it is as short as their key
    /// allows.
    pub(super) fn new(
        compiler: &mut Compiler,
        order_by: &[OrderBy],
        relation: Option<(Relation, &str)>,
        stream: Option<Stream>,
    ) -> Result<Self, Fault> {
        let node = compiler.root();
        let mut order = Self {
            terms: Vec::new(),
            has_places: true,
            mark: mark(node.entity_type, order_by, stream.is_some()),
        };
        for by in order_by {
            order.add(compiler, by)?;
        }
        if node.kind.is_observation() {
            order.end_observations(compiler, &node, order_by.is_empty(), stream);
            return Ok(order);
        }
        if order_by.is_empty()
            && let Some((relation, parent)) = relation
            && relation.is_many
            && relation.from != EntityType::Thing
            && relation.to == EntityType::ObservedProperty
        {
            // They are in the order of the values of a result.
            let link = compiler.dialect().table("datastream_property");
            order.push(
                format!(
                    "(SELECT min(position) FROM {link} WHERE datastream_id = {parent} \
                     AND observed_property_id = {}.id)",
                    node.alias
                ),
                false,
                false,
                TermType::Int,
            );
        }
        order.end(format!("{}.id", node.alias), TermType::Int);
        Ok(order)
    }

    fn push(&mut self, sql: String, is_descending: bool, is_nullable: bool, ty: TermType) {
        self.terms.push(Term {
            sql,
            is_descending,
            is_nullable,
            ty,
        });
    }

    /// Adds what tells entities apart, unless the order has it already.
    fn end(&mut self, sql: String, ty: TermType) {
        if self.terms.iter().all(|it| it.sql != sql) {
            self.push(sql, false, false, ty);
        }
    }

    fn add(&mut self, compiler: &mut Compiler, by: &OrderBy) -> Result<(), Fault> {
        let dialect = compiler.dialect();
        let before = compiler.statement.params.len();
        let is_nullable = !is_always_there(&by.expr, compiler.root().entity_type);
        let down = by.is_descending;
        let mut add = |sql: String, ty| self.push(sql, down, is_nullable, ty);
        match compiler.value(&by.expr)? {
            Value::Bool(sql) => add(sql, TermType::Bool),
            Value::Number(number) if number.is_int => add(number.sql, TermType::Int),
            Value::Number(number) => add(number.sql, TermType::Real),
            Value::Text(sql) => add(sql, TermType::Text),
            Value::Instant(sql) => add(sql, TermType::Time),
            Value::Time(start, end) => {
                add(start, TermType::Time);
                add(end, TermType::Time);
            }
            Value::Duration(sql) | Value::Date(sql) | Value::TimeOfDay(sql) => {
                add(sql, TermType::Int);
            }
            // By type: what is no number, text or truth, then truths, texts and numbers.
            Value::Json(json) => {
                for (sql, ty) in [
                    (json.number(dialect), TermType::Real),
                    (json.text(dialect), TermType::Text),
                    (json.boolean(dialect), TermType::Bool),
                ] {
                    self.push(sql, down, true, ty);
                }
            }
            // As text: one order is as good as another, but clients ask for one.
            Value::Geometry(..) => {
                let text = compiler.geometry_text(&by.expr)?;
                self.push(text, down, true, TermType::Text);
            }
            Value::Null => {
                return Err(invalid(
                    "null has no order; order by a number, text or time",
                    Some(by.expr.at.clone()),
                ));
            }
        }
        // Terms with parameters stand more than once in a statement, which is fine; but a place among values
        // that are computed would be as costly as counting.
        if !matches!(by.expr.kind, ExprKind::Path(_)) || compiler.statement.params.len() > before {
            self.has_places = false;
        }
        Ok(())
    }

    fn end_observations(
        &mut self,
        compiler: &Compiler,
        node: &Node,
        is_default: bool,
        stream: Option<Stream>,
    ) {
        let (dialect, a) = (compiler.dialect(), &node.alias);
        let start = format!("{a}.start_time");
        let datastream = match (node.kind, dialect) {
            (Kind::Refined, Dialect::Postgres) if stream.is_none() => {
                format!("{a}.series_key::bigint")
            }
            _ => format!("{a}.{}", node.kind.datastream_column()),
        };
        if stream.is_none() {
            self.end(datastream, TermType::Int);
        }
        if is_default {
            self.end(start.clone(), TermType::Time);
        }
        let by_start = self.terms.iter().position(|it| it.sql == start);
        match (by_start, stream) {
            // There is one for each hour.
            (Some(at), Some(stream)) if stream.kind == Kind::Refined => self.terms.truncate(at + 1),
            _ => self.end(node.kind.n(dialect, a), TermType::Int),
        }
    }

    /// The terms as columns, each with a comma before it.
    pub(super) fn columns(&self, dialect: Dialect) -> String {
        let columns = self
            .terms
            .iter()
            .map(|it| format!(", {}", it.collated(dialect)));
        columns.collect()
    }

    /// `ORDER BY` of the terms.
    pub(super) fn clause(&self, dialect: Dialect) -> String {
        let terms = self.terms.iter();
        let terms: Vec<String> = terms
            .map(|it| format!("{}{}", it.collated(dialect), it.direction(dialect)))
            .collect();
        terms.join(", ")
    }

    /// The same by the places of columns, the first of which is at `first`.
    pub(super) fn clause_at(&self, dialect: Dialect, first: usize) -> String {
        let terms = self.terms.iter().enumerate();
        let terms: Vec<String> = terms
            .map(|(at, it)| format!("{}{}", first + at, it.direction(dialect)))
            .collect();
        terms.join(", ")
    }

    /// Where a cursor goes on.
    pub(super) fn position(&self, after: Option<&Cursor>) -> Result<Position, Fault> {
        let Some(cursor) = after else {
            return Ok(Position::Start);
        };
        let written: Written = decode(cursor)?;
        if written.o != self.mark {
            return Err(invalid(
                "this $skiptoken is of another order; ask with the $orderby it was given out for",
                None,
            ));
        }
        match (written.k, written.s) {
            (Some(values), None) if self.has_places && values.len() == self.terms.len() => {
                let mut terms = self.terms.iter().zip(&values);
                if terms.all(|(term, value)| term.admits(value)) {
                    Ok(Position::After(values))
                } else {
                    Err(refused())
                }
            }
            (None, Some(skip)) => Ok(Position::Skip(skip)),
            _ => Err(refused()),
        }
    }

    /// The cursor behind a row with these values of the terms, so many rows from the start.
    pub(super) fn cursor(&self, values: &[Cell], passed: u64) -> Cursor {
        let written = if self.has_places {
            Written {
                o: self.mark,
                k: Some(values.iter().map(to_json).collect()),
                s: None,
            }
        } else {
            Written {
                o: self.mark,
                k: None,
                s: Some(passed),
            }
        };
        encode(&written)
    }

    /// Whether a row is behind a place.
    pub(super) fn after(&self, compiler: &mut Compiler, values: &[JsonValue]) -> String {
        let dialect = compiler.dialect();
        let is_plain = self
            .terms
            .iter()
            .all(|it| !it.is_nullable && it.is_descending == self.terms[0].is_descending);
        let places: Vec<Option<String>> = self
            .terms
            .iter()
            .zip(values)
            .map(|(term, value)| term.param(value).map(|param| compiler.param(param)))
            .collect();
        if is_plain {
            let terms: Vec<String> = self.terms.iter().map(|it| it.collated(dialect)).collect();
            let places: Vec<String> = places.into_iter().flatten().collect();
            let than = if self.terms[0].is_descending {
                "<"
            } else {
                ">"
            };
            return format!("({}) {than} ({})", terms.join(", "), places.join(", "));
        }
        let mut condition = match dialect {
            Dialect::Sqlite => "0",
            Dialect::Postgres => "false",
        }
        .to_owned();
        for (term, place) in self.terms.iter().zip(&places).rev() {
            let sql = term.collated(dialect);
            let (behind, equal) = match place {
                Some(place) if term.is_descending && term.is_nullable => (
                    format!("({sql} < {place} OR {sql} IS NULL)"),
                    format!("{sql} = {place}"),
                ),
                Some(place) => {
                    let than = if term.is_descending { "<" } else { ">" };
                    (format!("{sql} {than} {place}"), format!("{sql} = {place}"))
                }
                None if term.is_descending => ("1 = 0".to_owned(), format!("{sql} IS NULL")),
                None => (format!("{sql} IS NOT NULL"), format!("{sql} IS NULL")),
            };
            condition = format!("({behind} OR ({equal} AND {condition}))");
        }
        // The first term alone, so that an index leads there.
        match (&self.terms[0], &places[0]) {
            (term, Some(place)) if !term.is_nullable => {
                let than = if term.is_descending { "<=" } else { ">=" };
                let sql = term.collated(dialect);
                format!("{sql} {than} {place} AND {condition}")
            }
            _ => condition,
        }
    }
}

/// A cursor of what a place is.
pub(super) fn encode(place: &impl Serialize) -> Cursor {
    // Places are of numbers and texts, which become JSON.
    let text = serde_json::to_vec(place).unwrap_or_default();
    Cursor(URL_SAFE_NO_PAD.encode(text))
}

/// The place of a cursor.
pub(super) fn decode<T: DeserializeOwned>(cursor: &Cursor) -> Result<T, Fault> {
    let bytes = URL_SAFE_NO_PAD.decode(&cursor.0).map_err(|_| refused())?;
    serde_json::from_slice(&bytes).map_err(|_| refused())
}

fn refused() -> Fault {
    invalid(
        "this $skiptoken was not given out for this question; begin without it",
        None,
    )
}

impl Term {
    /// Texts are in the order of their code points on both backends.
    fn collated(&self, dialect: Dialect) -> String {
        if dialect == Dialect::Postgres && self.ty == TermType::Text {
            return format!("{} COLLATE \"C\"", self.sql);
        }
        self.sql.clone()
    }

    fn direction(&self, dialect: Dialect) -> &'static str {
        match (
            self.is_descending,
            self.is_nullable && dialect == Dialect::Postgres,
        ) {
            (false, false) => "",
            (true, false) => " DESC",
            (false, true) => " NULLS FIRST",
            (true, true) => " DESC NULLS LAST",
        }
    }

    fn admits(&self, value: &JsonValue) -> bool {
        match value {
            JsonValue::Null => self.is_nullable,
            JsonValue::Number(number) => match self.ty {
                TermType::Int | TermType::Bool => number.is_i64(),
                // Times that the calendar has.
                TermType::Time => number
                    .as_i64()
                    .is_some_and(|it| jiff::Timestamp::from_microsecond(it).is_ok()),
                TermType::Real => true,
                TermType::Text => false,
            },
            JsonValue::String(text) => self.ty == TermType::Text && !text.contains('\0'),
            _ => false,
        }
    }

    /// `None` for NULL.
    fn param(&self, value: &JsonValue) -> Option<Param> {
        match (self.ty, value) {
            (_, JsonValue::Null) => None,
            (TermType::Text, value) => value.as_str().map(Param::text),
            (TermType::Real, value) => Some(Param::Real(value.as_f64())),
            (TermType::Time, value) => Some(Param::Time(value.as_i64())),
            (TermType::Bool, value) => Some(Param::Bool(value.as_i64() == Some(1))),
            (TermType::Int, value) => Some(Param::Int(value.as_i64())),
        }
    }
}

fn to_json(cell: &Cell) -> JsonValue {
    match cell {
        Cell::Null => JsonValue::Null,
        Cell::Int(value) => (*value).into(),
        Cell::Real(value) => (*value).into(),
        Cell::Text(text) => text.as_str().into(),
    }
}

/// Whether a path is to a property that every entity has.
fn is_always_there(expr: &Expr, of: EntityType) -> bool {
    let ExprKind::Path(path) = &expr.kind else {
        return false;
    };
    path.relations.is_empty()
        && match path.property {
            Property::Id
            | Property::Name
            | Property::Description
            | Property::Definition
            | Property::EncodingType
            | Property::ObservationType
            | Property::Time => true,
            Property::PhenomenonTime => of == EntityType::Observation,
            _ => false,
        }
}

/// A number that tells an order from others.
fn mark(entity_type: EntityType, order_by: &[OrderBy], one_stream: bool) -> u32 {
    let mut text = format!("{entity_type:?} {one_stream}");
    for by in order_by {
        let direction = if by.is_descending { '-' } else { '+' };
        text.push(direction);
        text.push_str(&written(&by.expr));
    }
    crc32fast::hash(text.as_bytes())
}

/// An expression without where it stands.
fn written(expr: &Expr) -> String {
    match &expr.kind {
        ExprKind::Binary(op, left, right) => {
            format!("({} {op:?} {})", written(left), written(right))
        }
        ExprKind::Not(inner) => format!("!{}", written(inner)),
        ExprKind::Negate(inner) => format!("-{}", written(inner)),
        ExprKind::Call(function, arguments) => {
            let arguments: Vec<String> = arguments.iter().map(written).collect();
            format!("{function:?}({})", arguments.join(","))
        }
        ExprKind::In(needle, members) => {
            let members: Vec<String> = members.iter().map(written).collect();
            format!("{} in ({})", written(needle), members.join(","))
        }
        ExprKind::Any {
            outer,
            relations,
            predicate,
        } => {
            let predicate = predicate.as_deref().map(written);
            format!("any {outer} {relations:?} {predicate:?}")
        }
        ExprKind::Literal(literal) => format!("{literal:?}"),
        ExprKind::Path(path) => format!("{path:?}"),
    }
}
