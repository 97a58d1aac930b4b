//! Made-up hours of a Josene station to measure with.

use std::fmt::Write as _;

use smartem_model::raw::RawRecord;

/// The hour of a station that sends 70 values every 20 seconds.
pub(crate) fn made_up(date: &str, hour: i64, seed: i64) -> RawRecord {
    let mut text = format!(r#"{{"id":"23","date":"{date}","hour":{hour},"timeseries":["#);
    let mut chance = seed.wrapping_mul(2_654_435_761).wrapping_add(12345);
    for row in 0..180 {
        let separator = if row == 0 { "" } else { "," };
        let (minute, second) = (row / 3, row % 3 * 20);
        let _ = write!(
            text,
            r#"{separator}{{"_id":"569031661b1580258c{row:06x}","time":"{date}T{:02}:{minute:02}:{second:02}.{:03}Z""#,
            hour - 1,
            chance.rem_euclid(1000),
        );
        for column in 0..68_i64 {
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let noise = (chance >> 40).rem_euclid(if column % 3 == 0 { 4 } else { 200 });
            let _ = write!(text, r#","s_{column}":{}"#, column * 65_793 + noise);
        }
        text.push('}');
    }
    text.push_str("]}");
    read(&text)
}

/// The record of a JSON text.
pub(crate) fn read(text: &str) -> RawRecord {
    match RawRecord::from_json(text, &|_| true) {
        Ok(record) => record,
        Err(fault) => panic!("the hour to measure with is no record: {fault}"),
    }
}
