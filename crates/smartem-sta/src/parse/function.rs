//! The functions of expressions, and what their arguments are (18-088, section 9.3.3.5.2).

use crate::{Function, Type};

/// What an argument may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Argument {
    Text,
    Number,
    /// A time.
    Moment,
    /// A time or a date.
    MomentOrDate,
    /// A time or a time of day.
    MomentOrTimeOfDay,
    Duration,
    Geometry,
    /// The nine characters of `st_relate`.
    Pattern,
}

impl Argument {
    /// As it is told to clients.
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Number => "a number",
            Self::Moment => "a time",
            Self::MomentOrDate => "a time or date",
            Self::MomentOrTimeOfDay => "a time or time of day",
            Self::Duration => "a duration such as duration'PT1H'",
            Self::Geometry => "a geometry such as geography'POINT(5.8 51.8)'",
            Self::Pattern => "a pattern of nine characters of `012TF*` such as 'T*****FF*'",
        }
    }

    pub(super) fn admits(self, ty: Type) -> bool {
        match self {
            Self::Text | Self::Pattern => matches!(ty, Type::Text | Type::Json),
            Self::Number => matches!(ty, Type::Number | Type::Json),
            Self::Moment => matches!(ty, Type::Instant | Type::Time),
            Self::MomentOrDate => matches!(ty, Type::Instant | Type::Time | Type::Date),
            Self::MomentOrTimeOfDay => matches!(ty, Type::Instant | Type::Time | Type::TimeOfDay),
            Self::Duration => ty == Type::Duration,
            Self::Geometry => ty == Type::Geometry,
        }
    }
}

/// How a function is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signature {
    pub(super) function: Function,
    pub(super) arguments: &'static [Argument],
    /// How many of them may be left out, from the last.
    pub(super) optional: usize,
    pub(super) result: Type,
}

impl Function {
    /// All, in the order of the standard.
    pub const ALL: [Self; 47] = [
        Self::SubstringOf,
        Self::Contains,
        Self::StartsWith,
        Self::EndsWith,
        Self::Length,
        Self::IndexOf,
        Self::Substring,
        Self::ToLower,
        Self::ToUpper,
        Self::Trim,
        Self::Concat,
        Self::Year,
        Self::Month,
        Self::Day,
        Self::Hour,
        Self::Minute,
        Self::Second,
        Self::FractionalSeconds,
        Self::Date,
        Self::Time,
        Self::TotalOffsetMinutes,
        Self::Now,
        Self::MinDateTime,
        Self::MaxDateTime,
        Self::TotalSeconds,
        Self::Round,
        Self::Floor,
        Self::Ceiling,
        Self::GeoDistance,
        Self::GeoLength,
        Self::GeoIntersects,
        Self::StEquals,
        Self::StDisjoint,
        Self::StTouches,
        Self::StWithin,
        Self::StOverlaps,
        Self::StCrosses,
        Self::StIntersects,
        Self::StContains,
        Self::StRelate,
        Self::Before,
        Self::After,
        Self::Meets,
        Self::During,
        Self::Overlaps,
        Self::Starts,
        Self::Finishes,
    ];

    /// As it is written: `geo.distance`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SubstringOf => "substringof",
            Self::Contains => "contains",
            Self::StartsWith => "startswith",
            Self::EndsWith => "endswith",
            Self::Length => "length",
            Self::IndexOf => "indexof",
            Self::Substring => "substring",
            Self::ToLower => "tolower",
            Self::ToUpper => "toupper",
            Self::Trim => "trim",
            Self::Concat => "concat",
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Minute => "minute",
            Self::Second => "second",
            Self::FractionalSeconds => "fractionalseconds",
            Self::Date => "date",
            Self::Time => "time",
            Self::TotalOffsetMinutes => "totaloffsetminutes",
            Self::Now => "now",
            Self::MinDateTime => "mindatetime",
            Self::MaxDateTime => "maxdatetime",
            Self::TotalSeconds => "totalseconds",
            Self::Round => "round",
            Self::Floor => "floor",
            Self::Ceiling => "ceiling",
            Self::GeoDistance => "geo.distance",
            Self::GeoLength => "geo.length",
            Self::GeoIntersects => "geo.intersects",
            Self::StEquals => "st_equals",
            Self::StDisjoint => "st_disjoint",
            Self::StTouches => "st_touches",
            Self::StWithin => "st_within",
            Self::StOverlaps => "st_overlaps",
            Self::StCrosses => "st_crosses",
            Self::StIntersects => "st_intersects",
            Self::StContains => "st_contains",
            Self::StRelate => "st_relate",
            Self::Before => "before",
            Self::After => "after",
            Self::Meets => "meets",
            Self::During => "during",
            Self::Overlaps => "overlaps",
            Self::Starts => "starts",
            Self::Finishes => "finishes",
        }
    }

    /// The function of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name)
    }

    pub(super) fn signature(self) -> Signature {
        use Argument as A;
        let (arguments, optional, result): (&'static [Argument], usize, Type) = match self {
            Self::SubstringOf | Self::Contains | Self::StartsWith | Self::EndsWith => {
                (&[A::Text, A::Text], 0, Type::Bool)
            }
            Self::Length => (&[A::Text], 0, Type::Number),
            Self::IndexOf => (&[A::Text, A::Text], 0, Type::Number),
            Self::Substring => (&[A::Text, A::Number, A::Number], 1, Type::Text),
            Self::ToLower | Self::ToUpper | Self::Trim => (&[A::Text], 0, Type::Text),
            Self::Concat => (&[A::Text, A::Text], 0, Type::Text),
            Self::Year | Self::Month | Self::Day => (&[A::MomentOrDate], 0, Type::Number),
            Self::Hour | Self::Minute | Self::Second | Self::FractionalSeconds => {
                (&[A::MomentOrTimeOfDay], 0, Type::Number)
            }
            Self::Date => (&[A::Moment], 0, Type::Date),
            Self::Time => (&[A::Moment], 0, Type::TimeOfDay),
            Self::TotalOffsetMinutes => (&[A::Moment], 0, Type::Number),
            Self::Now | Self::MinDateTime | Self::MaxDateTime => (&[], 0, Type::Instant),
            Self::TotalSeconds => (&[A::Duration], 0, Type::Number),
            Self::Round | Self::Floor | Self::Ceiling => (&[A::Number], 0, Type::Number),
            Self::GeoDistance => (&[A::Geometry, A::Geometry], 0, Type::Number),
            Self::GeoLength => (&[A::Geometry], 0, Type::Number),
            Self::GeoIntersects
            | Self::StEquals
            | Self::StDisjoint
            | Self::StTouches
            | Self::StWithin
            | Self::StOverlaps
            | Self::StCrosses
            | Self::StIntersects
            | Self::StContains => (&[A::Geometry, A::Geometry], 0, Type::Bool),
            Self::StRelate => (&[A::Geometry, A::Geometry, A::Pattern], 0, Type::Bool),
            Self::Before
            | Self::After
            | Self::Meets
            | Self::During
            | Self::Overlaps
            | Self::Starts
            | Self::Finishes => (&[A::Moment, A::Moment], 0, Type::Bool),
        };
        Signature {
            function: self,
            arguments,
            optional,
            result,
        }
    }
}
