use crate::support::World;

#[tokio::test]
async fn a_running_process_lives_and_is_ready() {
    let world = World::empty().await;
    assert_eq!(world.get("/healthz").await.text(), "ok");
    assert_eq!(world.get("/readyz").await.text(), "ready");
}

#[tokio::test]
async fn a_process_that_goes_down_lives_and_is_not_ready() {
    let world = World::empty().await;
    world.state.readiness.stop();
    assert_eq!(world.get("/healthz").await.status.as_u16(), 200);
    let answer = world.get("/readyz").await;
    assert_eq!(answer.detail(503), "The server is going down.");
    assert_eq!(answer.header("retry-after"), "5");
}

#[tokio::test]
async fn the_landing_document_leads_everywhere() {
    let world = World::filled().await;
    let body = world.get("/api/v1/").await.json();
    assert_eq!(body["version"], "0.1.0");
    let links = body["links"].as_array().unwrap();
    assert!(links.len() > 8);
    for link in links {
        let href = link["href"].as_str().unwrap().replace("{id}", "1001");
        let href = href.replace("{hour}", "2026-11-15T10");
        let answer = world.get(&href).await;
        assert_eq!(answer.status.as_u16(), 200, "{href}");
        let media_type = link["type"].as_str().unwrap();
        assert!(
            answer.header("content-type").starts_with(media_type),
            "{href}"
        );
    }
    let moved = world.get("/api/v1").await;
    assert_eq!(
        (moved.status.as_u16(), moved.header("location")),
        (308, "/api/v1/")
    );
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_with_a_request_id() {
    let world = World::empty().await;
    let answer = world
        .ask(
            "GET",
            "/api/v1/statoins",
            &[("x-request-id", "from-the-proxy.7")],
        )
        .await;
    assert!(answer.detail(404).contains("/api/v1/statoins"));
    assert_eq!(answer.header("x-request-id"), "from-the-proxy.7");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}
