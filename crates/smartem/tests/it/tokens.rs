//! Tokens from the command line.

use serde_json::Value;
use smartem_store::{Access, Store};

use crate::support::{Place, text};

fn store(place: &Place) {
    let made = place.run(&["store", "migrate"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
}

#[test]
fn a_token_is_made_listed_and_revoked() {
    let place = Place::new();
    store(&place);
    let made = place.run(&["token", "add", "roof", "--right", "write", "--project", "p"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let said = text(&made.stdout);
    let secret = said.lines().next().unwrap();
    assert!(secret.starts_with("smt_") && secret.len() == 47, "{said}");

    let again = place.run(&["token", "add", "roof", "--right", "write"]);
    assert_eq!(again.status.code(), Some(64));
    let remedy = text(&again.stderr);
    assert!(remedy.contains("smartem token revoke roof"), "{remedy}");

    let listed = place.run(&["token", "list"]);
    let said = text(&listed.stdout);
    assert!(!said.contains("smt_"), "{said}");
    let row: Vec<&str> = said.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(row[..4], ["roof", "write", "p", "valid"]);

    let revoked = place.run(&["token", "revoke", "roof"]);
    assert!(revoked.status.success(), "{}", text(&revoked.stderr));
    let again = place.run(&["token", "revoke", "roof"]);
    assert_eq!(again.status.code(), Some(64));
    let listed = text(&place.run(&["token", "list"]).stdout);
    assert_eq!(listed.lines().count(), 1, "{listed}");
    let all = place.run(&["token", "list", "--all", "--json"]);
    let all: Value = serde_json::from_slice(&all.stdout).unwrap();
    assert_eq!(all[0]["state"], "revoked", "{all}");
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the program has the clock of the machine too"
)]
fn a_token_has_an_end_and_an_answer_in_json() {
    let place = Place::new();
    store(&place);
    let made = place.run(&[
        "token",
        "add",
        "guest",
        "--right",
        "write",
        "--right",
        "admin",
        "--expires",
        "90d",
        "--json",
    ]);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert!(made["secret"].as_str().unwrap().starts_with("smt_"));
    assert_eq!(made["rights"], serde_json::json!(["admin", "write"]));
    let ends: jiff::Timestamp = made["expires_at"].as_str().unwrap().parse().unwrap();
    let left = ends.duration_since(jiff::Timestamp::now()).as_hours();
    assert!((90 * 24 - 1..=90 * 24).contains(&left), "{left}");
}

#[tokio::test]
async fn a_password_of_a_file_is_hashed() {
    let place = Place::new();
    store(&place);
    let file = place.write("password.txt", "let-me-in\n");
    let file = file.to_str().unwrap();
    let args = [
        "token",
        "add",
        "old",
        "--right",
        "write",
        "--secret-file",
        file,
    ];
    let made = place.run(&args);
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert!(!text(&made.stdout).contains("let-me-in"));
    let store = Store::open(&place.data(), Access::Existing).await.unwrap();
    let tokens = store.tokens().await.unwrap();
    assert!(tokens[0].hash.matches("let-me-in"));
    assert!(!tokens[0].hash.matches("let-me-in\n"));
}

#[test]
fn what_makes_no_sense_is_refused_and_makes_no_token() {
    let place = Place::new();
    store(&place);
    let empty = place.write("empty.txt", "\n");
    let empty = empty.to_str().unwrap();
    // Seven characters of more bytes.
    let short = place.write("short.txt", "sésamé!\n");
    let short = short.to_str().unwrap();
    for (args, status) in [
        (&["a b", "--right", "write"][..], 64),
        (&["a:b", "--right", "write"], 64),
        (&["a"], 64),
        (&["a", "--right", "read"], 64),
        (&["a", "--right", "write", "--expires", "soon"], 64),
        (&["a", "--right", "write", "--expires", "2020-01-01"], 64),
        (&["a", "--right", "write", "--expires=-5d"], 64),
        (&["a", "--right", "write", "--expires", "-5d"], 64),
        (&["a", "--right", "write", "--secret-file", empty], 64),
        (&["a", "--right", "write", "--secret-file", short], 64),
        (
            &["a", "--right", "write", "--secret-file", "no-such-file"],
            1,
        ),
    ] {
        let output = place.run(&[&["token", "add"], args].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{args:?}: {said}");
        assert!(!said.is_empty());
        if args.contains(&"-5d") {
            assert!(said.contains("90d, 12h or 2027-01-31"), "{said}");
        }
        if args.contains(&short) {
            assert!(said.contains("fewer than 8"), "{said}");
        }
    }
    let listed = text(&place.run(&["token", "list", "--all"]).stdout);
    assert_eq!(listed.lines().count(), 1, "{listed}");
}
