//! Whether the SensorThings entities are whole.
//!
//! That what they name is there the databases see to themselves. What they do not know of is looked at here:
//! counts and extents that are kept, and the entities of stations.

use super::error::Fault;
use super::sql::{Dialect, Sql};

/// What names rows that should not be, in words.
type Question = (&'static str, String);

/// What is wrong, in words.
pub(crate) async fn problems(sql: &mut dyn Sql) -> Result<Vec<String>, Fault> {
    let mut problems = Vec::new();
    for (problem, question) in questions(sql.dialect()) {
        for row in sql.query(&question, &[]).await? {
            problems.push(format!("{problem} {}", row.text(0)?));
        }
    }
    Ok(problems)
}

fn questions(dialect: Dialect) -> Vec<Question> {
    let mut questions = of_observations(dialect);
    questions.extend(of_entities(dialect));
    questions
}

/// `Datastreams(5)`, in either language.
fn shown(set: &str) -> String {
    format!("'{set}(' || CAST(it.id AS text) || ')'")
}

/// Whether something that is kept of `it` is not what was found.
fn differs(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs
        .iter()
        .map(|(kept, found)| format!("it.{kept} IS DISTINCT FROM o.{found}"));
    pairs.collect::<Vec<_>>().join(" OR ")
}

/// Whether what datastreams tell of their observations is so. Of refined ones series tell it.
fn of_observations(dialect: Dialect) -> Vec<Question> {
    let (stream, observation) = (dialect.table("datastream"), dialect.table("observation"));
    let feature = dialect.table("feature");
    let one = shown("Datastreams");
    let summary = format!(
        "SELECT {one} FROM {stream} it LEFT JOIN (SELECT datastream_id, count(*) AS counted,
             min(start_time) AS first, max(coalesce(end_time, start_time)) AS last,
             min(result_time) AS result_first, max(result_time) AS result_last, max(n) AS newest
         FROM {observation} GROUP BY datastream_id) o ON o.datastream_id = it.id WHERE"
    );
    let area = format!(
        "SELECT {one} FROM {stream} it LEFT JOIN (SELECT x.datastream_id, min(f.west) AS west,
             min(f.south) AS south, max(f.east) AS east, max(f.north) AS north
         FROM (SELECT DISTINCT datastream_id, feature_id FROM {observation}) x
         JOIN {feature} f ON f.id = x.feature_id GROUP BY x.datastream_id) o
         ON o.datastream_id = it.id WHERE"
    );
    let extent = differs(&[
        ("phenomenon_start", "first"),
        ("phenomenon_end", "last"),
        ("result_start", "result_first"),
        ("result_end", "result_last"),
    ]);
    let bounds = differs(&[
        ("west", "west"),
        ("south", "south"),
        ("east", "east"),
        ("north", "north"),
    ]);
    vec![
        (
            "the total of observations is not their number in",
            format!("{summary} NOT it.is_refined AND it.observations <> coalesce(o.counted, 0)"),
        ),
        (
            "observations begin or end elsewhere than is said of",
            format!("{summary} NOT it.is_refined AND ({extent})"),
        ),
        (
            "observations are of features elsewhere than is said of",
            format!("{area} NOT it.is_refined AND ({bounds})"),
        ),
        (
            "a number would be given again in",
            format!("{summary} o.newest >= it.next_n"),
        ),
        (
            "observations of clients are in the refined",
            format!("{summary} it.is_refined AND o.counted > 0"),
        ),
    ]
}

/// Whether there is what there must be, and nothing that there must not.
fn of_entities(dialect: Dialect) -> Vec<Question> {
    let (stream, thing) = (dialect.table("datastream"), dialect.table("thing"));
    let history = dialect.table("historical_location");
    let links = dialect.table("historical_location_location");
    let (observed, stale) = (dialect.table("datastream_property"), dialect.table("stale"));
    let station = dialect.other_table("smartem", "station");
    let series = dialect.other_table("smartem_refined", "series");
    let one = shown("Datastreams");
    let placed = shown("HistoricalLocations");
    vec![
        (
            "nothing is observed by",
            format!(
                "SELECT {one} FROM {stream} it WHERE NOT EXISTS
                     (SELECT 1 FROM {observed} p WHERE p.datastream_id = it.id)"
            ),
        ),
        (
            "there is no series of the refined",
            format!(
                "SELECT {one} FROM {stream} it WHERE it.is_refined AND NOT EXISTS
                     (SELECT 1 FROM {series} s WHERE s.key = it.id)"
            ),
        ),
        (
            "no locations are of",
            format!(
                "SELECT {placed} FROM {history} it WHERE NOT EXISTS
                     (SELECT 1 FROM {links} l WHERE l.historical_location_id = it.id)"
            ),
        ),
        (
            "there is no thing of station",
            format!(
                "SELECT it.id FROM {station} it WHERE NOT EXISTS
                     (SELECT 1 FROM {thing} t WHERE t.station_key = it.key)"
            ),
        ),
        (
            "there is no datastream of series",
            format!(
                "SELECT CAST(it.key AS text) FROM {series} it WHERE NOT EXISTS
                     (SELECT 1 FROM {stream} d WHERE d.id = it.key AND d.is_refined)"
            ),
        ),
        (
            "entities are not in line with station",
            format!("SELECT it.id FROM {station} it JOIN {stale} x ON x.station_key = it.key"),
        ),
    ]
}
