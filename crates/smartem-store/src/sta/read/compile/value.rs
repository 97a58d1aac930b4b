//! Values: what an expression is in SQL.

use smartem_sta::{BinaryOp, EntityType, Expr, ExprKind, Literal, Path, Property};

use crate::sta::error::Fault;
use crate::sta::sql::{Dialect, Param};

use super::super::invalid;
use super::super::table::Kind;
use super::{Compiler, Node};

/// What an expression is in SQL. Durations are microseconds, dates days since 1970, times of day
/// microseconds since midnight, on both backends.
#[derive(Clone, Debug)]
pub(in super::super) enum Value {
    Null,
    Bool(String),
    Number(Number),
    Text(String),
    Instant(String),
    /// Where it begins and ends; an instant ends where it begins.
    Time(String, String),
    Duration(String),
    Date(String),
    TimeOfDay(String),
    /// As the functions for geometries take it, and whether there is none: a document that is no geometry is
    /// not nothing.
    Geometry(String, String),
    Json(Json),
}

#[derive(Clone, Debug)]
pub(in super::super) struct Number {
    pub(in super::super) sql: String,
    /// Whether it is a whole number, as the standard has it: dividing two of them gives one.
    pub(in super::super) is_whole: bool,
    /// Whether the database has it as an integer.
    pub(in super::super) is_int: bool,
}

/// JSON of which only the value tells its type.
#[derive(Clone, Debug)]
pub(in super::super) struct Json {
    /// The document, and the place of the members within it (`["a","b"]`), if any.
    document: String,
    members: Option<String>,
    /// A column that has the value instead where it is a number: `result`.
    number: Option<String>,
}

impl Number {
    pub(super) fn real(sql: String) -> Self {
        Self {
            sql,
            is_whole: false,
            is_int: false,
        }
    }

    pub(super) fn int(sql: String) -> Self {
        Self {
            sql,
            is_whole: true,
            is_int: true,
        }
    }

    /// As a double.
    pub(super) fn as_real(&self, dialect: Dialect) -> String {
        if self.is_int {
            to_real(dialect, &self.sql)
        } else {
            self.sql.clone()
        }
    }
}

pub(super) fn to_real(dialect: Dialect, sql: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!("CAST({sql} AS REAL)"),
        Dialect::Postgres => format!("({sql})::float8"),
    }
}

pub(super) fn to_int(dialect: Dialect, sql: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!("CAST({sql} AS INTEGER)"),
        Dialect::Postgres => format!("({sql})::bigint"),
    }
}

impl Json {
    /// The value where it is of a type, else NULL.
    fn typed(&self, dialect: Dialect, ty: &str) -> String {
        let document = &self.document;
        match (dialect, &self.members) {
            (Dialect::Sqlite, Some(members)) => format!("sta_{ty}({document}, {members})"),
            (Dialect::Sqlite, None) => format!("sta_{ty}({document}, '[]')"),
            (Dialect::Postgres, _) => {
                let value = self.value();
                let (name, cast) = match ty {
                    "number" => ("number", "::float8"),
                    "boolean" => ("boolean", "::boolean"),
                    _ => ("string", ""),
                };
                format!(
                    "(CASE WHEN jsonb_typeof({value}) = '{name}' THEN ({value} #>> '{{}}'){cast} END)"
                )
            }
        }
    }

    /// On PostgreSQL: the value as jsonb.
    fn value(&self) -> String {
        match &self.members {
            Some(members) => format!(
                "({} #> ARRAY(SELECT jsonb_array_elements_text({members})))",
                self.document
            ),
            None => self.document.clone(),
        }
    }

    pub(in super::super) fn number(&self, dialect: Dialect) -> String {
        let typed = self.typed(dialect, "number");
        match &self.number {
            Some(number) if self.document.is_empty() => number.clone(),
            Some(number) => format!("COALESCE({number}, {typed})"),
            None => typed,
        }
    }

    pub(in super::super) fn text(&self, dialect: Dialect) -> String {
        if self.document.is_empty() {
            return match dialect {
                Dialect::Sqlite => "NULL".to_owned(),
                Dialect::Postgres => "NULL::text".to_owned(),
            };
        }
        self.typed(dialect, "text")
    }

    /// What a text is compared with: a text, or a number as it is written.
    pub(super) fn text_or_number(&self, dialect: Dialect) -> String {
        let (text, number) = (self.text(dialect), self.number(dialect));
        match dialect {
            Dialect::Sqlite => format!("COALESCE({text}, sta_number_text({number}))"),
            Dialect::Postgres => format!("COALESCE({text}, ({number})::text)"),
        }
    }

    pub(in super::super) fn boolean(&self, dialect: Dialect) -> String {
        if self.document.is_empty() {
            return match dialect {
                Dialect::Sqlite => "NULL".to_owned(),
                Dialect::Postgres => "NULL::boolean".to_owned(),
            };
        }
        self.typed(dialect, "boolean")
    }

    /// Whether there is no value, or a null.
    pub(super) fn is_null(&self, dialect: Dialect) -> String {
        if self.document.is_empty() {
            let number = self.number.as_deref().unwrap_or("NULL");
            return format!("({number} IS NULL)");
        }
        let document = match (dialect, &self.members) {
            (Dialect::Sqlite, Some(members)) => {
                format!("sta_is_null({}, {members})", self.document)
            }
            (Dialect::Sqlite, None) => format!("sta_is_null({}, '[]')", self.document),
            (Dialect::Postgres, _) => {
                let value = self.value();
                format!("(COALESCE(jsonb_typeof({value}), 'null') = 'null')")
            }
        };
        match &self.number {
            Some(number) => format!("({number} IS NULL AND {document})"),
            None => document,
        }
    }
}

impl Compiler {
    /// What an expression is.
    pub(in super::super) fn value(&mut self, expr: &Expr) -> Result<Value, Fault> {
        match &expr.kind {
            ExprKind::Literal(literal) => self.literal(literal, expr),
            ExprKind::Path(path) => self.path(path, expr),
            ExprKind::Negate(inner) => {
                let number = self.number(inner)?;
                Ok(Value::Number(Number {
                    sql: format!("(-{})", number.sql),
                    ..number
                }))
            }
            ExprKind::Binary(
                op
                @ (BinaryOp::Add | BinaryOp::Sub | BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod),
                left,
                right,
            ) => self.arithmetic(*op, left, right, expr),
            ExprKind::Call(function, arguments) => self.call(*function, arguments, expr),
            ExprKind::Binary(..) | ExprKind::Not(_) | ExprKind::In(..) | ExprKind::Any { .. } => {
                Ok(Value::Bool(self.truth(expr)?))
            }
        }
    }

    fn literal(&mut self, literal: &Literal, expr: &Expr) -> Result<Value, Fault> {
        Ok(match literal {
            Literal::Null => Value::Null,
            Literal::Bool(value) => Value::Bool(self.constant(*value).to_owned()),
            Literal::Int(value) => Value::Number(Number::int(self.param(Param::int(*value)))),
            Literal::Real(value) => {
                Value::Number(Number::real(self.param(Param::Real(Some(*value)))))
            }
            Literal::Text(text) => {
                if text.contains('\0') {
                    return Err(invalid(
                        "a text has no character U+0000",
                        Some(expr.at.clone()),
                    ));
                }
                Value::Text(self.param(Param::text(text.as_str())))
            }
            Literal::Instant(at) => Value::Instant(self.param(Param::time(*at))),
            Literal::Interval(period) => Value::Time(
                self.param(Param::time(period.start)),
                self.param(Param::time(period.end)),
            ),
            Literal::Duration(duration) => {
                let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
                Value::Duration(self.param(Param::int(micros)))
            }
            Literal::Date(date) => Value::Date(self.param(Param::int(days(*date)))),
            Literal::TimeOfDay(time) => Value::TimeOfDay(self.param(Param::int(micros_of(*time)))),
            Literal::Geometry(text) => {
                let text = self.param(Param::text(text.as_str()));
                let sql = match self.dialect() {
                    Dialect::Sqlite => text,
                    Dialect::Postgres => format!("ST_GeomFromText({text}, 4326)"),
                };
                Value::Geometry(sql, self.constant(false).to_owned())
            }
        })
    }

    fn path(&mut self, path: &Path, expr: &Expr) -> Result<Value, Fault> {
        let node = self.node(path, expr)?;
        let value = self.property(&node, path.property);
        let Some(value) = value else {
            let detail = format!("{} cannot be compared or ordered by", path.property.name());
            return Err(invalid(detail, Some(expr.at.clone())));
        };
        if path.members.is_empty() {
            return Ok(value);
        }
        match value {
            Value::Json(json) => self.members(json, path),
            // Geometries are JSON too, where a path goes on into them.
            Value::Geometry(..) => {
                let column = geometry_column(path.property);
                let json = Json {
                    document: format!("{}.{column}", node.alias),
                    members: None,
                    number: None,
                };
                self.members(json, path)
            }
            _ => Err(invalid(
                format!("{} has no members", path.property.name()),
                Some(expr.at.clone()),
            )),
        }
    }

    /// The document of a geometry as text.
    pub(in super::super) fn geometry_text(&mut self, expr: &Expr) -> Result<String, Fault> {
        let ExprKind::Path(path) = &expr.kind else {
            return Err(unfit(expr, "a property"));
        };
        let node = self.node(path, expr)?;
        let column = format!("{}.{}", node.alias, geometry_column(path.property));
        Ok(match self.dialect() {
            Dialect::Sqlite => column,
            Dialect::Postgres => format!("{column}::text"),
        })
    }

    fn members(&mut self, json: Json, path: &Path) -> Result<Value, Fault> {
        if path.members.iter().any(|it| it.contains('\0')) {
            return Err(invalid("a name has no character U+0000", None));
        }
        if json.document.is_empty() {
            // A number has no members.
            let document = match self.dialect() {
                Dialect::Sqlite => "NULL",
                Dialect::Postgres => "NULL::jsonb",
            };
            return Ok(Value::Json(Json {
                document: document.to_owned(),
                members: None,
                number: None,
            }));
        }
        let members = self.param(Param::json(&serde_json::json!(path.members)));
        Ok(Value::Json(Json {
            members: Some(members),
            number: None,
            ..json
        }))
    }

    /// A property of a row; `None` for what has no value in the database.
    pub(in super::super) fn property(&mut self, node: &Node, property: Property) -> Option<Value> {
        let dialect = self.dialect();
        let a = &node.alias;
        let text = |column: &str| Some(Value::Text(format!("{a}.{column}")));
        match property {
            Property::Id => Some(Value::Number(Number::int(node.kind.id(dialect, a)))),
            Property::SelfLink => None,
            Property::Name => text("name"),
            Property::Description => text("description"),
            Property::Definition => text("definition"),
            Property::EncodingType => text("encoding_type"),
            Property::ObservationType => text("observation_type"),
            Property::Time => Some(Value::Instant(format!("{a}.time"))),
            Property::Location | Property::Feature | Property::ObservedArea => {
                let column = geometry_column(property);
                let and_west = match property {
                    Property::ObservedArea => format!(" AND {a}.west IS NULL"),
                    _ => String::new(),
                };
                let is_null = format!("({a}.{column} IS NULL{and_west})");
                Some(Value::Geometry(self.geometry(node, property), is_null))
            }
            Property::PhenomenonTime | Property::ResultTime | Property::ValidTime => {
                Some(self.time_property(node, property))
            }
            Property::Result => Some(Value::Json(result(node.kind, a))),
            _ => Some(Value::Json(json_column(dialect, node.kind, property, a))),
        }
    }

    fn geometry(&self, node: &Node, property: Property) -> String {
        let a = &node.alias;
        let column = geometry_column(property);
        if property != Property::ObservedArea {
            return match self.dialect() {
                Dialect::Sqlite => format!("{a}.{column}"),
                Dialect::Postgres => format!("{a}.geom"),
            };
        }
        let sides = format!("{a}.west, {a}.south, {a}.east, {a}.north");
        match self.dialect() {
            Dialect::Sqlite => format!("COALESCE({a}.area, sta_box({sides}))"),
            Dialect::Postgres => format!(
                "COALESCE({a}.geom, CASE WHEN {a}.west < {a}.east AND {a}.south < {a}.north \
                 THEN ST_MakeEnvelope({sides}, 4326) \
                 WHEN {a}.west < {a}.east OR {a}.south < {a}.north \
                 THEN ST_SetSRID(ST_MakeLine(ST_MakePoint({a}.west, {a}.south), \
                 ST_MakePoint({a}.east, {a}.north)), 4326) \
                 ELSE ST_SetSRID(ST_MakePoint({a}.west, {a}.south), 4326) END)"
            ),
        }
    }

    fn time_property(&mut self, node: &Node, property: Property) -> Value {
        let a = node.alias.clone();
        if node.entity_type != EntityType::Observation {
            let s = self.series(node);
            let which = if property == Property::ResultTime {
                "result"
            } else {
                "phenomenon"
            };
            return Value::Time(
                format!("COALESCE({a}.{which}_start, {s}.first_time)"),
                format!("COALESCE({a}.{which}_end, {s}.last_time)"),
            );
        }
        let none = match self.dialect() {
            Dialect::Sqlite => "NULL",
            Dialect::Postgres => "NULL::timestamptz",
        };
        match (node.kind, property) {
            // The value of an hour is there when it ends.
            (Kind::Refined, Property::ResultTime) => Value::Instant(format!("{a}.end_time")),
            (_, Property::ResultTime) => Value::Instant(format!("{a}.result_time")),
            (Kind::Refined, Property::ValidTime) => Value::Time(none.to_owned(), none.to_owned()),
            (_, Property::ValidTime) => {
                Value::Time(format!("{a}.valid_start"), format!("{a}.valid_end"))
            }
            (Kind::Refined, _) => Value::Time(format!("{a}.start_time"), format!("{a}.end_time")),
            _ => Value::Time(
                format!("{a}.start_time"),
                format!("COALESCE({a}.end_time, {a}.start_time)"),
            ),
        }
    }

    /// A number; of JSON where it is one.
    pub(super) fn number(&mut self, expr: &Expr) -> Result<Number, Fault> {
        let dialect = self.dialect();
        match self.value(expr)? {
            Value::Number(number) => Ok(number),
            Value::Json(json) => Ok(Number::real(json.number(dialect))),
            Value::Null => Ok(Number::real(match dialect {
                Dialect::Sqlite => "NULL".to_owned(),
                Dialect::Postgres => "NULL::float8".to_owned(),
            })),
            _ => Err(unfit(expr, "a number")),
        }
    }

    /// A text; of JSON where it is one.
    pub(super) fn text(&mut self, expr: &Expr) -> Result<String, Fault> {
        let dialect = self.dialect();
        match self.value(expr)? {
            Value::Text(text) => Ok(text),
            Value::Json(json) => Ok(json.text(dialect)),
            Value::Null => Ok(match dialect {
                Dialect::Sqlite => "NULL".to_owned(),
                Dialect::Postgres => "NULL::text".to_owned(),
            }),
            _ => Err(unfit(expr, "a text")),
        }
    }
}

pub(super) fn unfit(expr: &Expr, wanted: &str) -> Fault {
    invalid(format!("this is not {wanted}"), Some(expr.at.clone()))
}

fn geometry_column(property: Property) -> &'static str {
    match property {
        Property::Location => "location",
        Property::Feature => "feature",
        _ => "area",
    }
}

fn result(kind: Kind, a: &str) -> Json {
    let refined = kind == Kind::Refined;
    Json {
        document: if refined {
            String::new()
        } else {
            format!("{a}.result_json")
        },
        members: None,
        number: Some(if refined {
            format!("{a}.value")
        } else {
            format!("{a}.result")
        }),
    }
}

/// A column with JSON; those of refined observations have none.
fn json_column(dialect: Dialect, kind: Kind, property: Property, a: &str) -> Json {
    let column = match property {
        Property::Metadata => "metadata",
        Property::UnitOfMeasurement | Property::UnitOfMeasurements => "unit",
        Property::MultiObservationDataTypes => "multi_types",
        Property::ResultQuality => "quality",
        Property::Parameters => "parameters",
        _ => "properties",
    };
    let document = match (kind, dialect) {
        (Kind::Refined, Dialect::Sqlite) => "NULL".to_owned(),
        (Kind::Refined, Dialect::Postgres) => "NULL::jsonb".to_owned(),
        _ => format!("{a}.{column}"),
    };
    Json {
        document,
        members: None,
        number: None,
    }
}

/// Days since 1970.
pub(super) fn days(date: jiff::civil::Date) -> i64 {
    let epoch = jiff::civil::Date::constant(1970, 1, 1);
    // Both are within the calendar of `jiff`, and a span of days between them is.
    epoch
        .until(date)
        .map_or(0, |span| i64::from(span.get_days()))
}

/// Microseconds since midnight.
fn micros_of(time: jiff::civil::Time) -> i64 {
    let seconds =
        i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    seconds * 1_000_000 + i64::from(time.subsec_nanosecond() / 1000)
}
