//! How one entity leads to another, in SQL.

use smartem_sta::{EntityType, Relation};

use crate::sta::sql::Dialect;

use super::table::Kind;

/// What of the datastreams a type stands for; `d` is a row of theirs. Empty: all.
pub(super) fn only(entity_type: EntityType, multi_apart: bool, d: &str) -> String {
    match entity_type {
        EntityType::Datastream if multi_apart => format!("{d}.multi_types IS NULL"),
        EntityType::MultiDatastream => format!("{d}.multi_types IS NOT NULL"),
        _ => String::new(),
    }
}

/// The id that a relation to one leads to from a row `a` of a table; it may be NULL.
pub(super) fn to_one(dialect: Dialect, relation: Relation, kind: Kind, a: &str) -> String {
    match (kind, relation.to) {
        (Kind::HistoricalLocation | Kind::Datastream, EntityType::Thing) => format!("{a}.thing_id"),
        (Kind::Datastream, EntityType::Sensor) => format!("{a}.sensor_id"),
        (Kind::Datastream, _) => {
            let link = dialect.table("datastream_property");
            format!(
                "(SELECT observed_property_id FROM {link} WHERE datastream_id = {a}.id AND position = 0)"
            )
        }
        (Kind::Made, EntityType::Feature) => format!("{a}.feature_id"),
        (Kind::Refined, EntityType::Feature) => refined_feature(dialect, a),
        (Kind::Made, _) => format!("{a}.datastream_id"),
        (Kind::Refined, _) => match dialect {
            Dialect::Sqlite => format!("{a}.series_key"),
            Dialect::Postgres => format!("{a}.series_key::bigint"),
        },
        // No other table has relations to one.
        _ => "NULL".to_owned(),
    }
}

/// The feature of where the station was: of its last location from before the end of the hour, else of its
/// first one.
fn refined_feature(dialect: Dialect, a: &str) -> String {
    let (feature, location) = (dialect.table("feature"), dialect.table("location"));
    let series = dialect.other_table("smartem_refined", "series");
    let station = format!("(SELECT station_key FROM {series} WHERE key = {a}.series_key)");
    format!(
        "(SELECT f.id FROM {feature} f WHERE f.location_id = COALESCE(\
         (SELECT l.id FROM {location} l WHERE l.station_key = {station} \
         AND l.valid_from <= {a}.start_time ORDER BY l.valid_from DESC LIMIT 1), \
         (SELECT l.id FROM {location} l WHERE l.station_key = {station} \
         AND l.valid_from IS NOT NULL ORDER BY l.valid_from LIMIT 1)))"
    )
}

/// Whether a row `b` is among those that a relation to many leads to from the entity of an id.
pub(super) fn to_many(
    dialect: Dialect,
    relation: Relation,
    id: &str,
    kind: Kind,
    b: &str,
) -> String {
    use EntityType as E;
    let linked = |table: &str, back: &str, own: &str| {
        let table = dialect.table(table);
        format!("{b}.id IN (SELECT {own} FROM {table} WHERE {back} = {id})")
    };
    match (relation.from, relation.to) {
        (E::Thing, E::Location) => linked("thing_location", "thing_id", "location_id"),
        (E::Location, E::Thing) => linked("thing_location", "location_id", "thing_id"),
        (E::Location, E::HistoricalLocation) => linked(
            "historical_location_location",
            "location_id",
            "historical_location_id",
        ),
        (E::HistoricalLocation, _) => linked(
            "historical_location_location",
            "historical_location_id",
            "location_id",
        ),
        (E::Thing, _) => format!("{b}.thing_id = {id}"),
        (E::Sensor, _) => format!("{b}.sensor_id = {id}"),
        (E::ObservedProperty, _) => linked(
            "datastream_property",
            "observed_property_id",
            "datastream_id",
        ),
        (_, E::ObservedProperty) => linked(
            "datastream_property",
            "datastream_id",
            "observed_property_id",
        ),
        (E::Feature, _) if kind == Kind::Refined => refined_of_feature(dialect, id, b),
        (E::Feature, _) => format!("{b}.feature_id = {id}"),
        _ => format!("{b}.{} = {id}", kind.datastream_column()),
    }
}

/// The refined observations of a feature: of the series of the station of its location, from when it was
/// there (the first one: since ever) until it was elsewhere.
fn refined_of_feature(dialect: Dialect, id: &str, b: &str) -> String {
    let (feature, location) = (dialect.table("feature"), dialect.table("location"));
    let series = dialect.other_table("smartem_refined", "series");
    let (never, ever) = match dialect {
        Dialect::Sqlite => ("9223372036854775807", "-9223372036854775808"),
        Dialect::Postgres => ("'infinity'::timestamptz", "'-infinity'::timestamptz"),
    };
    let of =
        format!("FROM {feature} f JOIN {location} l ON l.id = f.location_id WHERE f.id = {id}");
    format!(
        "{b}.series_key IN (SELECT s.key FROM {series} s \
         WHERE s.station_key = (SELECT l.station_key {of} AND l.valid_from IS NOT NULL)) \
         AND {b}.start_time >= (SELECT CASE WHEN EXISTS (SELECT 1 FROM {location} e \
         WHERE e.station_key = l.station_key AND e.valid_from < l.valid_from) \
         THEN l.valid_from ELSE {ever} END {of}) \
         AND {b}.start_time < (SELECT COALESCE((SELECT min(e.valid_from) FROM {location} e \
         WHERE e.station_key = l.station_key AND e.valid_from > l.valid_from), {never}) {of})"
    )
}
