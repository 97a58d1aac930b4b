use serde_json::{Value, json};
use smartem_store::ObservationQuery;

use crate::support::{World, id};

const PATH: &str = "/api/v1/stations/1001/observations";

/// Start hour and indicator of each.
fn brief(body: &Value) -> Vec<String> {
    let observations = body["observations"].as_array().unwrap();
    let one = |it: &Value| {
        let start = it["phenomenonTime"]["start"].as_str().unwrap();
        format!("{} {}", &start[11..13], it["indicator"].as_str().unwrap())
    };
    observations.iter().map(one).collect()
}

async fn ask(world: &World, query: &str) -> Vec<String> {
    brief(&world.get(&format!("{PATH}?{query}")).await.json())
}

#[tokio::test]
async fn an_observation_is_sent_as_the_model_writes_it() {
    let world = World::filled().await;
    let mut body = world.get(PATH).await.json();
    for observation in body["observations"].as_array_mut().unwrap() {
        // A link, which is the one thing that the model does not have.
        let raw = observation.as_object_mut().unwrap().remove("raw_record");
        assert!(
            raw.unwrap()["href"]
                .as_str()
                .unwrap()
                .starts_with("/api/v1/stations/1001/hours/")
        );
    }
    let query = ObservationQuery::newest(id("1001"), 100);
    let stored = world.store.observations(query).await.unwrap().observations;
    assert_eq!(
        body,
        json!({"station": "1001", "observations": stored, "next": null})
    );
    assert_eq!(stored.len(), 6);
}

#[tokio::test]
async fn a_window_holds_every_hour_that_it_overlaps() {
    let world = World::filled().await;
    let temperature = "indicator=temperature";
    for (window, hours) in [
        (
            "from=2026-11-15T11:00:00Z&to=2026-11-15T12:00:00Z",
            vec!["11"],
        ),
        (
            "from=2026-11-15T10:59:59Z&to=2026-11-15T12:00:01Z",
            vec!["10", "11", "12"],
        ),
        ("from=2026-11-15T12:30:00Z", vec!["12"]),
        ("to=2026-11-15T10:30:00Z", vec!["10"]),
        ("from=2026-11-15&to=2026-11-16", vec!["10", "11", "12"]),
        ("from=2026-11-16", vec![]),
        ("to=2026-11-15", vec![]),
        (
            "from=2026-11-15T12:30:00%2B01:00&to=2026-11-15T12:30:00%2B01:00",
            vec!["11"],
        ),
    ] {
        let expected: Vec<String> = hours.iter().map(|it| format!("{it} temperature")).collect();
        assert_eq!(
            ask(&world, &format!("{temperature}&{window}")).await,
            expected,
            "{window}"
        );
    }
}

#[tokio::test]
async fn without_a_window_the_newest_come_and_next_leads_to_older_ones() {
    let world = World::filled().await;
    let mut pages = Vec::new();
    let mut next = Some(format!("{PATH}?indicator=temperature&limit=2"));
    while let Some(uri) = next {
        let body = world.get(&uri).await.json();
        pages.push(brief(&body));
        next = body["next"].as_str().map(str::to_owned);
    }
    assert_eq!(
        pages,
        [
            vec!["11 temperature", "12 temperature"],
            vec!["10 temperature"]
        ]
    );
}

#[tokio::test]
async fn with_a_window_next_leads_to_later_ones() {
    let world = World::filled().await;
    let mut all = Vec::new();
    let mut next = Some(format!(
        "{PATH}?from=2026-11-15&to=2026-11-16T00:00:00%2B01:00&limit=4"
    ));
    while let Some(uri) = next {
        let body = world.get(&uri).await.json();
        all.extend(brief(&body));
        next = body["next"].as_str().map(str::to_owned);
    }
    assert_eq!(all.len(), 6);
    assert!(all.is_sorted());
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_with_a_remedy() {
    let world = World::filled().await;
    for (query, detail) in [
        (
            "from=yesterday",
            "`from` is `yesterday`, which is no RFC 3339 time and no date; write \
            for example 2026-11-15T00:00:00Z or 2026-11-15.",
        ),
        (
            "limit=0",
            "`limit` is `0`, which is no whole number from 1 to 10000; write for \
            example 1.",
        ),
        (
            "limit=10001",
            "`limit` is `10001`, which is no whole number from 1 to 10000; write for \
            example 1.",
        ),
        (
            "cursor=x",
            "`cursor` is `x`, which was not given out; use `next` as it is.",
        ),
        (
            "form=2026-11-15",
            "There is no parameter `form`; did you mean `from`?",
        ),
        (
            "from=2026-11-16&to=2026-11-15",
            "`from` is 2026-11-16T00:00:00Z, which is after `to`, \
            2026-11-15T00:00:00Z; exchange them.",
        ),
    ] {
        let answer = world.get(&format!("{PATH}?{query}")).await;
        assert_eq!(answer.detail(400), detail);
    }
    let detail = world
        .get(&format!("{PATH}?indicator=colour"))
        .await
        .detail(400);
    assert!(
        detail.starts_with("`indicator` is `colour`, which is not known; "),
        "{detail}"
    );
    assert!(
        detail.contains("`temperature`") && detail.contains("`noiseavg`"),
        "{detail}"
    );
    let detail = world
        .get("/api/v1/stations/7/observations")
        .await
        .detail(404);
    assert_eq!(
        detail,
        "There is no station `7`; /api/v1/stations lists them."
    );
}

#[tokio::test]
async fn an_indicator_that_only_a_series_has_is_known_there() {
    let world = World::filled().await;
    world
        .newest("2002", "ozone_special", "2026-11-15T13:00:00Z")
        .await;
    let of =
        |station: &str| format!("/api/v1/stations/{station}/observations?indicator=ozone_special");
    assert_eq!(
        world.get(&of("2002")).await.json()["observations"],
        json!([])
    );
    world.get(&of("1001")).await.detail(400);
}

#[tokio::test]
async fn an_unchanged_page_is_not_sent_again() {
    let world = World::filled().await;
    let tag = world.get(PATH).await.header("etag").to_owned();
    world.set_clock("2026-11-16T00:00:00Z");
    let again = world.ask("GET", PATH, &[("if-none-match", &tag)]).await;
    assert_eq!(
        again.status.as_u16(),
        304,
        "observations do not depend on the time"
    );
    world
        .newest("1001", "temperature", "2026-11-15T14:10:00Z")
        .await;
    let after = world.ask("GET", PATH, &[("if-none-match", &tag)]).await;
    assert_eq!(after.status.as_u16(), 200);
}
