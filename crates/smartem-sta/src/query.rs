//! What the query options of a URL ask for (18-088, section 9.3; the grammar is that of OData 4.0).

use std::ops::Range;

use jiff::{SignedDuration, Timestamp};
use smartem_model::Period;

use crate::{EntityType, Property, Relation};

/// The options of a request, or of an expanded relation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// Only entities for which it is true.
    pub filter: Option<Expr>,
    /// Whether their number is asked for.
    pub count: bool,
    /// At most so many.
    pub top: Option<u64>,
    /// Leave out so many.
    pub skip: Option<u64>,
    /// Go on after this place (`$skiptoken`, of links that were given out).
    pub after: Option<Cursor>,
    /// Only these; empty: all.
    pub select: Vec<SelectItem>,
    /// Each combination of what is selected once (`$select=distinct:...`).
    pub distinct: bool,
    /// With these others; at most one for each relation.
    pub expand: Vec<Expand>,
    /// The order; equal ones by id.
    pub order_by: Vec<OrderBy>,
    /// Sums instead of entities (`$apply`).
    pub apply: Option<Apply>,
    /// Averages by time instead of observations (`resample`).
    pub resample: Option<Resample>,
    /// How the answer is written.
    pub result_format: ResultFormat,
    /// The options as they were given, decoded (`("$top", "5")`), in their order: what a link that goes on
    /// repeats. Of a relation that several items of `$expand` name, they are united.
    pub source: Vec<(String, String)>,
}

/// Which form an answer has (`$resultFormat`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResultFormat {
    /// The JSON of the standard.
    #[default]
    Json,
    /// Observations as rows of arrays (18-088, section 12).
    DataArray,
    /// Comma-separated values.
    Csv,
    /// A GeoJSON feature collection.
    GeoJson,
}

/// A property or relation that is selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectItem {
    /// A property, or a member of its JSON.
    Property(Property, Vec<String>),
    /// The link of a relation.
    Relation(Relation),
}

/// Entities of a relation, within the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Expand {
    /// Which.
    pub relation: Relation,
    /// Which of them, and how.
    pub query: Query,
}

/// A term of an order.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderBy {
    /// By this.
    pub expr: Expr,
    /// The greatest first.
    pub is_descending: bool,
}

/// A place in an order: the values of its terms at an entity, and its id. Opaque to clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

/// An expression, with its place and type.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// What its values are.
    pub ty: Type,
    /// Where it stands in the value of its option: bytes after decoding.
    pub at: Range<usize>,
}

/// What an expression gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// True or false.
    Bool,
    /// A number.
    Number,
    /// A text.
    Text,
    /// An instant.
    Instant,
    /// An instant or an interval.
    Time,
    /// A length of time.
    Duration,
    /// A day.
    Date,
    /// A time of day.
    TimeOfDay,
    /// A geometry.
    Geometry,
    /// The null literal.
    Null,
    /// Known only of each value: members of JSON, and `result`. It compares with a number, text or boolean:
    /// only where the value is of that type.
    Json,
}

/// An expression.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// A constant.
    Literal(Literal),
    /// A property, of the entity or of related ones.
    Path(Path),
    /// An operator between two.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `not`.
    Not(Box<Expr>),
    /// A number with the other sign.
    Negate(Box<Expr>),
    /// A function.
    Call(Function, Vec<Expr>),
    /// Whether the first is one of the others.
    In(Box<Expr>, Vec<Expr>),
    /// Whether there is one among the related entities for which it is true (`Datastreams/any(d: ...)`); paths
    /// within `predicate` that begin with the variable begin at that entity and have `depth` of it.
    Any {
        /// Where the way begins, as in [`Path::outer`].
        outer: usize,
        /// The way there; the last leads to many.
        relations: Vec<Relation>,
        /// `None`: whether there is any at all.
        predicate: Option<Box<Expr>>,
    },
}

/// The way from an entity to a value.
///
/// Where a relation on the way leads to many, a comparison holds when it holds for one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// How many `any` further out the entity is that it begins at: 0 for the innermost.
    pub outer: usize,
    /// Along these relations.
    pub relations: Vec<Relation>,
    /// The property at the end.
    pub property: Property,
    /// Members of its JSON.
    pub members: Vec<String>,
}

/// A constant.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Real(f64),
    /// `'text'`.
    Text(String),
    /// A moment.
    Instant(Timestamp),
    /// `start/end`.
    Interval(Period),
    /// `duration'P1D'`.
    Duration(SignedDuration),
    /// `2020-01-01`.
    Date(jiff::civil::Date),
    /// `12:00:00`.
    TimeOfDay(jiff::civil::Time),
    /// `geography'POINT(5.8 51.8)'`: the well-known text in it, which was parsed and found good.
    Geometry(String),
}

/// An operator between two expressions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum BinaryOp {
    And,
    Or,
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
}

/// A function; its arguments are of the right number and types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum Function {
    /// Whether the second argument contains the first; the parser put them so (both orders are met).
    SubstringOf,
    Contains,
    StartsWith,
    EndsWith,
    Length,
    IndexOf,
    Substring,
    ToLower,
    ToUpper,
    Trim,
    Concat,
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    FractionalSeconds,
    Date,
    Time,
    TotalOffsetMinutes,
    Now,
    MinDateTime,
    MaxDateTime,
    TotalSeconds,
    Round,
    Floor,
    Ceiling,
    GeoDistance,
    GeoLength,
    GeoIntersects,
    StEquals,
    StDisjoint,
    StTouches,
    StWithin,
    StOverlaps,
    StCrosses,
    StIntersects,
    StContains,
    StRelate,
    Before,
    After,
    Meets,
    During,
    Overlaps,
    Starts,
    Finishes,
}

/// `$apply`: filter, group and sum (OData Extension for Data Aggregation 4.0, a subset).
#[derive(Clone, Debug, PartialEq)]
pub struct Apply {
    /// Only these take part (`filter(...)/`).
    pub filter: Option<Expr>,
    /// By these; empty: one sum of all.
    pub group_by: Vec<Path>,
    /// What is computed.
    pub aggregates: Vec<Aggregate>,
    /// The entity type that it is of.
    pub of: EntityType,
}

/// A sum.
#[derive(Clone, Debug, PartialEq)]
pub struct Aggregate {
    /// Of this; `None` for `$count`.
    pub path: Option<Path>,
    /// How.
    pub method: AggregateMethod,
    /// Under which name.
    pub name: String,
}

/// How a sum is made. Averages of sound levels are energetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum AggregateMethod {
    Sum,
    Min,
    Max,
    Average,
    CountDistinct,
    Count,
}

/// `resample=1h`, `1d`, ...: averages over spans of time that begin at whole multiples since 1970 (UTC; weeks
/// on Mondays; months and years by the calendar).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resample {
    /// So many seconds.
    Seconds(i64),
    /// So many months.
    Months(i64),
}
