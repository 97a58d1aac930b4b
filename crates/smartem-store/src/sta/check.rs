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
    let table = |name: &str| dialect.table(name);
    let (stream, observation) = (table("datastream"), table("observation"));
    let (thing, feature) = (table("thing"), table("feature"));
    let (history, links) = (
        table("historical_location"),
        table("historical_location_location"),
    );
    let station = dialect.other_table("smartem", "station");
    let series = dialect.other_table("smartem_refined", "series");
    // Ids as texts, in either language.
    let shown = |set: &str, id: &str| format!("'{set}(' || CAST({id} AS text) || ')'");
    let one = |set: &str| shown(set, "it.id");
    // Of refined datastreams series keep these.
    let summary = format!(
        "LEFT JOIN (SELECT datastream_id, count(*) AS counted, min(start_time) AS first,
             max(coalesce(end_time, start_time)) AS last, min(result_time) AS result_first,
             max(result_time) AS result_last, max(n) AS newest
         FROM {observation} GROUP BY datastream_id) o ON o.datastream_id = it.id"
    );
    let area = format!(
        "LEFT JOIN (SELECT x.datastream_id, min(f.west) AS west, min(f.south) AS south,
             max(f.east) AS east, max(f.north) AS north
         FROM (SELECT DISTINCT datastream_id, feature_id FROM {observation}) x
         JOIN {feature} f ON f.id = x.feature_id GROUP BY x.datastream_id) o ON o.datastream_id = it.id"
    );
    let differs = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(kept, found)| format!("it.{kept} IS DISTINCT FROM o.{found}"));
        pairs.collect::<Vec<_>>().join(" OR ")
    };
    vec![
        (
            "the total of observations is not their number in",
            format!(
                "SELECT {} FROM {stream} it {summary}
                 WHERE NOT it.is_refined AND it.observations <> coalesce(o.counted, 0)",
                one("Datastreams")
            ),
        ),
        (
            "observations begin or end elsewhere than is said of",
            format!(
                "SELECT {} FROM {stream} it {summary} WHERE NOT it.is_refined AND ({})",
                one("Datastreams"),
                differs(&[
                    ("phenomenon_start", "first"),
                    ("phenomenon_end", "last"),
                    ("result_start", "result_first"),
                    ("result_end", "result_last"),
                ])
            ),
        ),
        (
            "observations are of features elsewhere than is said of",
            format!(
                "SELECT {} FROM {stream} it {area} WHERE NOT it.is_refined AND ({})",
                one("Datastreams"),
                differs(&[
                    ("west", "west"),
                    ("south", "south"),
                    ("east", "east"),
                    ("north", "north"),
                ])
            ),
        ),
        (
            "a number would be given again in",
            format!(
                "SELECT {} FROM {stream} it {summary} WHERE o.newest >= it.next_n",
                one("Datastreams")
            ),
        ),
        (
            "observations of clients are in the refined",
            format!(
                "SELECT {} FROM {stream} it {summary} WHERE it.is_refined AND o.counted > 0",
                one("Datastreams")
            ),
        ),
        (
            "nothing is observed by",
            format!(
                "SELECT {} FROM {stream} it WHERE NOT EXISTS (SELECT 1 FROM {} p
                     WHERE p.datastream_id = it.id)",
                one("Datastreams"),
                table("datastream_property")
            ),
        ),
        (
            "there is no series of the refined",
            format!(
                "SELECT {} FROM {stream} it WHERE it.is_refined AND NOT EXISTS
                     (SELECT 1 FROM {series} s WHERE s.key = it.id)",
                one("Datastreams")
            ),
        ),
        (
            "no locations are of",
            format!(
                "SELECT {} FROM {history} it WHERE NOT EXISTS (SELECT 1 FROM {links} l
                     WHERE l.historical_location_id = it.id)",
                one("HistoricalLocations")
            ),
        ),
        (
            "there is no thing of station",
            format!(
                "SELECT it.id FROM {station} it WHERE NOT EXISTS (SELECT 1 FROM {thing} t
                     WHERE t.station_key = it.key)"
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
            format!(
                "SELECT it.id FROM {station} it JOIN {} x ON x.station_key = it.key",
                table("stale")
            ),
        ),
    ]
}
