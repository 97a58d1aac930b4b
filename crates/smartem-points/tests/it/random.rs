//! Random queries, the same each time: answers equal those of a real InfluxDB, and no text ends in a panic.

use proptest::prelude::*;
use smartem_points::influxql::Format;

use crate::data::{self, Numbers};
use crate::{differential, server};

const FUNCTIONS: [&str; 12] = [
    "mean", "min", "max", "sum", "count", "first", "last", "median", "spread", "stddev", "mode",
    "distinct",
];
const FIELDS: [&str; 3] = ["no2", "pm", "laeq"];

/// A random SELECT over the data.
pub(crate) fn select(numbers: &mut Numbers) -> String {
    let (mut windows, mut raw_rows) = (false, false);
    let field = *numbers.of(&FIELDS);
    let function = *numbers.of(&FUNCTIONS);
    let call = match numbers.below(6) {
        // Which of equal values is picked is not said, and a window without any ends the answer of InfluxDB.
        0 => format!("percentile(laeq, {})", 50 + numbers.below(51)),
        1 => format!("{function}({field}) * 2"),
        2 if function != "distinct" => {
            format!("{function}({field}), count({})", numbers.of(&FIELDS))
        }
        _ => format!("{function}({field})"),
    };
    let raw = ["no2, pm, box", "*", "no2 + pm, ok", "laeq, place"];
    let picked = match numbers.below(8) {
        0 | 1 => {
            raw_rows = true;
            (*numbers.of(&raw)).to_owned()
        }
        2 => format!("max({field}), box"),
        _ => {
            windows = numbers.below(3) > 0;
            call
        }
    };
    let source = *numbers.of(&["air", "noise", "air, noise", "/air|noise/"]);
    let mut conditions = Vec::new();
    let begin = data::BASE / 1_000_000 + i64::try_from(numbers.below(300)).unwrap() * 60_000;
    let end = begin + i64::try_from(numbers.below(300)).unwrap() * 61_000 + 1;
    if windows || numbers.below(2) == 0 {
        conditions.push(format!("time >= {begin}ms AND time < {end}ms"));
    }
    if numbers.below(3) == 0 {
        let list = [
            "box = '1'",
            "box =~ /[13]/",
            "area != ''",
            "no2 > 100",
            "(pm < 5 OR box = '2')",
            "ok = true",
            "place = 'a'",
            "box != '4' AND no2 < 200",
        ];
        conditions.push((*numbers.of(&list)).to_owned());
    }
    let condition = if conditions.is_empty() {
        String::new()
    } else {
        format!(" WHERE {}", conditions.join(" AND "))
    };
    let mut group = Vec::new();
    if windows {
        let interval = *numbers.of(&["5m", "17m", "30m", "1h", "1h, 10m", "3h", "1d"]);
        group.push(format!("time({interval})"));
    }
    if numbers.below(2) == 0 {
        group.push((*numbers.of(&["box", "*", "area", "box, place"])).to_owned());
    }
    let group = if group.is_empty() {
        String::new()
    } else {
        format!(" GROUP BY {}", group.join(", "))
    };
    let fill = if windows {
        *numbers.of(&[
            "",
            " fill(none)",
            " fill(0)",
            " fill(previous)",
            " fill(linear)",
            " fill(2.5)",
        ])
    } else {
        ""
    };
    let order = *numbers.of(&["", "", " ORDER BY time DESC"]);
    let limit = *numbers.of(&[
        "",
        "",
        " LIMIT 3",
        " LIMIT 2 OFFSET 1",
        " SLIMIT 2",
        " SLIMIT 1 SOFFSET 1",
    ]);
    // Which of the rows of one time come first is not said.
    let limit = if raw_rows && !limit.contains("SL") {
        ""
    } else {
        limit
    };
    let zone = *numbers.of(&["", "", " tz('Europe/Amsterdam')"]);
    format!("SELECT {picked} FROM {source}{condition}{group}{fill}{order}{limit}{zone}")
}

#[test]
fn answers_to_random_queries_equal_those_of_influxdb() {
    let mut numbers = Numbers::new(2020);
    let queries: Vec<String> = (0..400).map(|_| select(&mut numbers)).collect();
    differential::compare(queries.iter().map(String::as_str));
}

/// Queries with something lost, doubled or exchanged.
fn mutated() -> impl Strategy<Value = String> {
    let queries: Vec<&str> = differential::queries().collect();
    let pieces = [
        "(", ")", ",", "'", "\"", "/", "SELECT ", "time(", "*", ";", "::", "$", "9", "µ", "\\",
        "ä", "\0",
    ];
    (
        proptest::sample::select(queries),
        any::<(usize, usize, u8)>(),
        proptest::sample::select(pieces.to_vec()),
    )
        .prop_map(|(query, (from, length, kind), piece)| {
            let characters: Vec<char> = query.chars().collect();
            let from = from % (characters.len() + 1);
            let to = (from + length % 5).min(characters.len());
            let (head, middle, tail): (String, String, String) = (
                characters[..from].iter().collect(),
                characters[from..to].iter().collect(),
                characters[to..].iter().collect(),
            );
            match kind % 4 {
                0 => format!("{head}{tail}"),
                1 => format!("{head}{middle}{middle}{tail}"),
                2 => format!("{head}{piece}{tail}"),
                _ => format!("{head}{piece}{middle}{tail}"),
            }
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_answered_without_a_panic(text in any::<String>()) {
        let memory = data::memory(&data::points()[..20]);
        let answer = server::answer(&memory, &text, Format::Json, None, data::BASE);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&answer).is_ok(), "{}", answer);
    }

    #[test]
    fn mutated_queries_are_answered_without_a_panic(text in mutated()) {
        let memory = data::memory(&data::points()[..20]);
        let answer = server::answer(&memory, &text, Format::Json, None, data::BASE + 3_600_000_000_000);
        prop_assert!(serde_json::from_str::<serde_json::Value>(&answer).is_ok(), "{}", answer);
    }
}
