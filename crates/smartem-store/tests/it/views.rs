//! The views have the names and columns of the original platform.

use serde_json::json;
use smartem_store::{Access, Store};

use crate::servers::Database;
use crate::support::{record, refine_all, sample, take_in};

/// Indicators that have views of their own: the end of the name, and the indicator.
const SUFFIXES: [(&str, &str); 16] = [
    ("co2", "co2"),
    ("co", "co"),
    ("co_raw", "coraw"),
    ("no", "no"),
    ("no_raw", "noraw"),
    ("no2", "no2"),
    ("no2_raw", "no2raw"),
    ("o3", "o3"),
    ("o3_raw", "o3raw"),
    ("pm10", "pm10"),
    ("pm25", "pm2_5"),
    ("temperature", "temperature"),
    ("humidity", "humidity"),
    ("barometer", "pressure"),
    ("noise_avg", "noiseavg"),
    ("noise_level_avg", "noiselevelavg"),
];

const RAW: &str =
    "gid unique_id insert_time device_id day hour data complete device_type device_version";
const REFINED: &str = "gid gid_raw insert_time device_id device_meta sensor_meta name label unit time day hour \
    value_min value_max value_raw value sample_count altitude point";
const OF_INDICATOR: &str = "device_id device_meta sensor_meta name label unit value value_raw value_min value_max \
    time day hour sample_count point gid gid_raw";
const LAST: &str = "device_id device_name device_meta sensor_meta label unit name value_raw value_stale \
    sample_time value point gid unique_id";
const CURRENT: &str = "gid unique_id device_id device_name device_meta sensor_meta label unit name value_raw \
    value_stale sample_time value point altitude lon lat timestamp";
const STATIONS: &str = "gid device_id device_subid project_id device_name device_meta point altitude value_stale \
    last_update lon lat";

/// All relations of the original and their columns.
fn original() -> Vec<(String, String)> {
    let with_numbers = |columns: &str| format!("{columns} lon lat timestamp");
    let mut all: Vec<(String, String)> = [
        ("smartem_raw.timeseries", RAW.to_owned()),
        ("smartem_raw.timeseries_current", RAW.to_owned()),
        ("smartem_raw.timeseries_last", RAW.to_owned()),
        ("smartem_raw.harvester_progress", "gid insert_time unique_id device_id day hour".to_owned()),
        ("smartem_refined.timeseries", REFINED.to_owned()),
        ("smartem_refined.refiner_progress", "gid insert_time gid_raw device_id day hour".to_owned()),
        ("smartem_refined.etl_progress", "gid worker source_table last_gid last_update".to_owned()),
        (
            "smartem_refined.stations",
            "gid device_id device_meta point altitude last_update lon lat".to_owned(),
        ),
        ("smartem_refined.v_timeseries", with_numbers(OF_INDICATOR)),
        (
            "smartem_rt.last_device_output",
            "gid unique_id insert_time device_id device_name device_meta sensor_meta name label unit time \
             value_raw value_stale value altitude point"
                .to_owned(),
        ),
        ("smartem_rt.stations", STATIONS.to_owned()),
        ("smartem_rt.v_last_measurements", with_numbers(LAST)),
        ("smartem_rt.v_cur_measurements", CURRENT.to_owned()),
        ("smartem_rt.v_cur_stations", STATIONS.to_owned()),
        ("smartem_extracted.extractor_progress", "id last_gid name last_update".to_owned()),
        ("smartem_harvest_rivm.progress", "id timestamp name last_update".to_owned()),
        (
            "smartem_calibrated.calibration_models",
            "id parameters model input_order predicts score n invalid timestamp".to_owned(),
        ),
        (
            "smartem_calibrated.calibration_parameters",
            "id search_id setting_id predicts parameter value mean_test_score std_test_score rank_test_score \
             mean_train_score std_train_score mean_fit_time std_fit_time n timestamp"
                .to_owned(),
        ),
        (
            "smartem_calibrated.calibration_state",
            "id process model_id state timestamp".to_owned(),
        ),
        (
            "smartem_meta.project",
            "id sub_id full_id name sub_name tag device description last_update".to_owned(),
        ),
    ]
    .map(|(name, columns)| (name.to_owned(), columns))
    .to_vec();
    for (suffix, _) in SUFFIXES {
        all.push((
            format!("smartem_refined.v_timeseries_{suffix}"),
            OF_INDICATOR.to_owned(),
        ));
        all.push((
            format!("smartem_rt.v_last_measurements_{suffix}"),
            LAST.to_owned(),
        ));
        if !suffix.ends_with("_raw") {
            all.push((
                format!("smartem_rt.v_cur_measurements_{suffix}"),
                CURRENT.to_owned(),
            ));
        }
    }
    all
}

async fn place() -> (Store, Database, tempfile::TempDir) {
    let database = Database::migrated();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::connect(dir.path(), database.settings(), Access::Existing)
        .await
        .unwrap();
    (store, database, dir)
}

fn ask(database: &Database, sql: &str) -> String {
    database.lines(sql).join("\n")
}

#[tokio::test]
async fn names_and_columns_are_those_of_the_original_in_its_order() {
    let (_store, database, _dir) = place().await;
    for (view, columns) in original() {
        let sql = format!(
            "SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute
             WHERE attrelid = '{view}'::regclass AND attnum > 0"
        );
        let found = ask(&database, &sql);
        let further = found.strip_prefix(&columns);
        assert!(further.is_some(), "{view}: {found}");
        let ours = ["station", "project", "source"];
        let further = further.unwrap().split_whitespace();
        assert!(
            further.into_iter().all(|it| ours.contains(&it)),
            "{view}: {found}"
        );
    }
}

#[tokio::test]
async fn everything_is_explained_and_points_are_found_as_points() {
    let (_store, database, _dir) = place().await;
    let sql = "SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname LIKE 'smartem%' AND c.relkind IN ('r', 'p', 'v') AND obj_description(c.oid) IS NULL";
    assert_eq!(ask(&database, sql), "");
    let sql = "SELECT c.oid::regclass || '.' || a.attname FROM pg_class c
        JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid
        WHERE n.nspname LIKE 'smartem%' AND c.relkind IN ('r', 'p', 'v') AND a.attnum > 0
          AND NOT a.attisdropped AND col_description(c.oid, a.attnum) IS NULL";
    assert_eq!(ask(&database, sql), "");
    // What QGIS and GeoServer look into.
    let sql = "SELECT count(*), count(*) FILTER (WHERE g.type = 'POINT' AND g.srid = 4326 AND g.coord_dimension = 2)
        FROM information_schema.columns c LEFT JOIN geometry_columns g
          ON g.f_table_schema = c.table_schema AND g.f_table_name = c.table_name AND g.f_geometry_column = 'point'
        WHERE c.table_schema LIKE 'smartem\\_%' AND c.column_name = 'point' AND c.table_name <> 'observation'";
    let found = ask(&database, sql);
    let (all, typed) = found.split_once('|').unwrap();
    assert!(all == typed && all.parse::<u32>().unwrap() > 50, "{found}");
}

#[tokio::test]
async fn a_view_shows_what_the_store_holds() {
    let (store, database, _dir) = place().await;
    let records = ["23", "20010001", "sensebox:abc"].iter().flat_map(|id| {
        [
            record(id, 0, &sample(3, 0.0)),
            record(id, 1, &json!({"a": 4, "b": 1, "lat": 51.84})),
        ]
    });
    take_in(&store, records.collect()).await;
    refine_all(&store).await;
    // The hour from 22:00 of 12 January 2016.
    let sql = "SELECT device_id, station, device_meta, sensor_meta, label, unit, value, value_raw, value_min,
          value_max, time AT TIME ZONE 'UTC', day, hour, sample_count, ST_X(point), gid_raw =
            (SELECT gid FROM smartem_raw.timeseries r WHERE r.station = v.station AND r.hour = v.hour)
        FROM smartem_refined.v_timeseries_no2 v WHERE hour = 23 ORDER BY device_id";
    let start = ask(
        &database,
        "SELECT min(hour) AT TIME ZONE 'UTC' FROM smartem_raw.raw_record",
    );
    assert_eq!(start, "2016-01-12 22:00:00");
    let row = |ids: &str| {
        format!(
            "{ids}|jose/1|no2-S27|NO2|ug/m3|3|12.25|0.5|99.5|2016-01-12 23:00:00|20160112|23|3|5.86|t"
        )
    };
    let expected = [row("23|23"), row("20010001|20010001"), row("|sensebox:abc")].join("\n");
    assert_eq!(ask(&database, sql), expected);
    let sql = "SELECT unique_id, complete, device_type, data FROM smartem_raw.timeseries WHERE device_id = 23
        ORDER BY day, hour";
    assert_eq!(
        ask(&database, sql),
        "23-20160112-23|t|jose|\n23-20160112-24|t|jose|"
    );
    let sql =
        "SELECT unique_id, day, hour FROM smartem_raw.harvester_progress WHERE device_id = 23";
    assert_eq!(ask(&database, sql), "23-20160112-24|20160112|24");
    let sql = "SELECT count(*), count(DISTINCT gid) FROM smartem_refined.timeseries";
    assert_eq!(ask(&database, sql), "9|9");
    let sql = "SELECT project_id, device_subid, value_stale, project FROM smartem_rt.stations ORDER BY device_id";
    assert_eq!(
        ask(&database, sql),
        "0|23|1|nijmegen\n2001|1|1|nijmegen\n||1|nijmegen"
    );
    // Nothing of 2016 is current.
    assert_eq!(
        ask(
            &database,
            "SELECT count(*) FROM smartem_rt.v_cur_measurements"
        ),
        "0"
    );
    ask(
        &database,
        "UPDATE smartem_rt.last_value SET end_time = now() WHERE from_snapshot = false",
    );
    let sql = "SELECT device_id, device_name, name, value, value_raw, value_stale, lat
        FROM smartem_rt.v_cur_measurements_pm10 ORDER BY device_id LIMIT 1";
    assert_eq!(ask(&database, sql), "23|station 23|pm10|1|12.25|0|51.84");
    assert_eq!(
        ask(
            &database,
            "SELECT count(*) FROM smartem_rt.v_last_measurements"
        ),
        "6"
    );
    assert_eq!(
        ask(&database, "SELECT count(*) FROM smartem_rt.v_cur_stations"),
        "3"
    );
}

#[tokio::test]
async fn each_role_reads_all_views_and_services_write_none() {
    let (_store, database, _dir) = place().await;
    for role in [
        "smartem_reader",
        "smartem_api",
        "smartem_writer",
        "smartem_backup",
    ] {
        for (view, _) in original() {
            let sql = format!("SELECT count(*) FROM {view}");
            assert_eq!(
                database.lines_of(role, &sql).unwrap(),
                ["0"],
                "{role} {view}"
            );
        }
    }
    let sql = "DELETE FROM smartem_calibrated.calibration_models";
    assert!(database.lines_of("smartem_api", sql).is_err());
}

/// A view that is asked for the newest hours does not read the others.
#[tokio::test]
async fn a_window_of_time_gets_through_to_an_index() {
    let (_store, database, _dir) = place().await;
    ask(
        &database,
        "INSERT INTO smartem.station (id, station_type, network, first_seen) VALUES ('23', 'jose', 'n', now());
         INSERT INTO smartem.term (text) VALUES ('jose-1');
         INSERT INTO smartem_refined.series (station_key, indicator, sensor, unit, label)
             SELECT 1, 'no2', i::text, 'ug/m3', 'NO2' FROM generate_series(1, 40) i;
         SELECT smartem_refined.ensure_month('2026-01-01 00:00+00');
         INSERT INTO smartem_refined.observation
             SELECT s.key, t, t + interval '1 hour', 1, 1, 1, NULL, 1, NULL,
                 ST_SetSRID(ST_MakePoint(5.8, 51.8), 4326), NULL, 1, 0, 1, NULL, 0
             FROM generate_series('2026-01-01 00:00+00', '2026-01-31 22:00+00', interval '1 hour') t,
                 smartem_refined.series s ORDER BY t, s.key;",
    );
    let summarize = "ANALYZE smartem_refined.observation;
        SELECT brin_summarize_new_values('smartem_refined.observation_2026_01_end_time_idx')";
    ask(&database, summarize);
    let sql = "EXPLAIN (COSTS OFF) SELECT * FROM smartem_refined.v_timeseries_no2
        WHERE time > '2026-01-31 20:00+00'";
    let plan = ask(&database, sql);
    assert!(
        plan.contains("end_time_idx") && plan.contains("(end_time > '"),
        "{plan}"
    );
    let sql =
        "SELECT count(*) FROM smartem_refined.v_timeseries_no2 WHERE time > '2026-01-31 20:00+00'";
    assert_eq!(ask(&database, sql), "120");
}
