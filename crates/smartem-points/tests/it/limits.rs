//! What a query may take, and answers in other forms.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use smartem_points::influxql::{self, Answer, Format, Limits, Query, QueryError};
use smartem_points::{MemoryPoints, Precision};

use crate::{data, server};

const NOW: i64 = data::BASE + 40 * 86_400_000_000_000;

fn ask(memory: &MemoryPoints, text: &str, limits: Limits, max_rows: usize) -> String {
    let cancel = AtomicBool::new(false);
    let query = Query {
        source: memory,
        database: Some("db"),
        now: NOW,
        limits: &limits,
        cancel: &cancel,
    };
    let mut answer = Answer::new(Format::Json, Some(Precision::Seconds), max_rows);
    for statement in influxql::parse(text).unwrap() {
        answer.statement(&statement, &query).unwrap();
    }
    answer.end();
    answer.take()
}

#[test]
fn limits_end_a_query_with_their_numbers() {
    let memory = data::memory(&data::points());
    let by_minute = "SELECT mean(no2) FROM air WHERE time >= '2020-03-28' AND time < '2020-03-29' GROUP BY time(1m)";
    let endless = "SELECT mean(v) FROM old GROUP BY time(1s)";
    for (text, limits, error) in [
        (
            "SELECT no2 FROM air GROUP BY box",
            Limits {
                max_series: 3,
                ..Limits::default()
            },
            "max-select-series limit exceeded: (4/3)",
        ),
        (
            by_minute,
            Limits {
                max_buckets: 100,
                ..Limits::default()
            },
            "max-select-buckets limit exceeded: (1440/100)",
        ),
        (
            endless,
            Limits {
                max_buckets: 100,
                ..Limits::default()
            },
            "max-select-buckets limit exceeded: (101/100)",
        ),
        (
            "SELECT count(no2) FROM air",
            Limits {
                max_points: 10,
                ..Limits::default()
            },
            "max-select-point limit exceeed: (12/10)",
        ),
    ] {
        let answer = ask(&memory, text, limits, 0);
        assert!(
            answer.contains(&format!("\"error\":\"{error}\"")),
            "{text}: {answer}"
        );
    }
}

#[test]
fn after_so_many_rows_an_answer_is_partial() {
    let memory = data::memory(&data::points());
    let answer = ask(&memory, "SELECT total FROM counter", Limits::default(), 2);
    assert_eq!(
        answer,
        "{\"results\":[{\"statement_id\":0,\"series\":[{\"name\":\"counter\",\"columns\":[\"time\",\"total\"],\
         \"values\":[[1585425600,0],[1585429200,1]],\"partial\":true}],\"partial\":true}]}\n"
    );
}

#[test]
fn after_a_statement_that_fails_none_is_carried_out() {
    let memory = data::memory(&data::points());
    let answer = ask(
        &memory,
        "SELECT nope(a) FROM air; SHOW DATABASES",
        Limits::default(),
        0,
    );
    assert_eq!(
        answer,
        "{\"results\":[{\"statement_id\":0,\"error\":\"undefined function nope()\"},\
         {\"statement_id\":1,\"error\":\"not executed\"}]}\n"
    );
}

#[test]
fn a_query_ends_when_nobody_waits() {
    let memory = data::memory(&data::points());
    let (limits, cancel) = (Limits::default(), AtomicBool::new(true));
    let query = Query {
        source: &memory,
        database: Some("db"),
        now: NOW,
        limits: &limits,
        cancel: &cancel,
    };
    let statements = influxql::parse("SELECT mean(no2) FROM air").unwrap();
    let mut answer = Answer::new(Format::Json, None, 0);
    let ended = answer.statement(&statements[0], &query);
    assert!(matches!(ended, Err(QueryError::Interrupted)));
    cancel.store(false, Ordering::Relaxed);
    answer.statement(&statements[0], &query).unwrap();
}

#[test]
fn large_answers_are_handed_on_in_pieces() {
    let memory = data::memory(&data::points());
    let whole = server::answer(
        &memory,
        "SELECT * FROM air; SELECT * FROM noise",
        Format::Json,
        None,
        NOW,
    );
    let pieces = Arc::new(Mutex::new(Vec::new()));
    let (limits, cancel) = (Limits::default(), AtomicBool::new(false));
    let query = Query {
        source: &memory,
        database: Some("db"),
        now: NOW,
        limits: &limits,
        cancel: &cancel,
    };
    let taken = Arc::clone(&pieces);
    let mut answer = Answer::new(Format::Json, None, 0).handing_on(move |piece| {
        taken.lock().unwrap().push(piece);
        true
    });
    for statement in influxql::parse("SELECT * FROM air; SELECT * FROM noise").unwrap() {
        answer.statement(&statement, &query).unwrap();
    }
    answer.end();
    let rest = answer.take();
    let pieces = pieces.lock().unwrap();
    assert!(pieces.len() > 1, "{} pieces", pieces.len());
    assert_eq!(pieces.concat() + &rest, whole);
}

#[test]
fn comma_separated_values_have_a_head_for_each_form() {
    let memory = data::memory(&data::points());
    let text = "SELECT mean(total) FROM counter GROUP BY meter; SHOW DATABASES";
    assert_eq!(
        server::answer(&memory, text, Format::Csv, None, NOW),
        "name,tags,time,mean\ncounter,\"meter=m,1 =x\",0,215.41666666666666\n\nname,tags,name\ndatabases,,db\n"
    );
}
