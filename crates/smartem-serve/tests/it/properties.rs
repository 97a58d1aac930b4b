use std::fmt::Write as _;
use std::sync::LazyLock;

use proptest::prelude::*;
use tokio::runtime::Runtime;

use crate::support::World;

struct Fixture {
    runtime: Runtime,
    world: World,
}

static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let world = runtime.block_on(World::filled());
    Fixture { runtime, world }
});

fn status(uri: &str) -> u16 {
    let answer = FIXTURE.runtime.block_on(FIXTURE.world.get(uri));
    answer.status.as_u16()
}

fn encoded(bytes: &[u8]) -> String {
    form_urlencoded::byte_serialize(bytes).collect()
}

fn path() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "/api/v1/",
        "/api/v1/viewer",
        "/api/v1/indicators",
        "/api/v1/units",
        "/api/v1/stations",
        "/api/v1/stations/1001",
        "/api/v1/stations/1001/observations",
        "/metrics",
        "/readyz",
        "/openapi.json",
    ])
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<Vec<u8>>(),
        "\\PC{0,40}".prop_map(String::into_bytes),
        "-?[0-9]{1,25}".prop_map(String::into_bytes),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{0,12})?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
            .prop_map(String::into_bytes),
        "\\[(true|false),-?[0-9]{1,19},\"[a-z]{0,5}\",\"\",\"\"\\]".prop_map(String::into_bytes),
        "-?[0-9.]{1,6},-?[0-9.]{1,6},-?[0-9.]{1,6},-?[0-9.e]{1,6}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_query_string_is_a_fault_of_the_server(
        path in path(),
        raw in "[!-\"$-~]{0,60}",
    ) {
        // Not every such text is a URI; what is none never reaches the server.
        let uri = format!("{path}?{raw}");
        if uri.parse::<axum::http::Uri>().is_ok() {
            prop_assert!(status(&uri) < 500, "{uri}");
        }
    }

    #[test]
    fn no_value_of_a_parameter_is_a_fault_of_the_server(
        path in path(),
        name in prop::sample::select(vec!["indicator", "from", "to", "limit", "cursor", "bbox"]),
        value in value(),
        other in prop::sample::select(vec!["indicator", "from", "to", "limit", "cursor"]),
        second in value(),
    ) {
        let (value, second) = (encoded(&value), encoded(&second));
        for uri in [format!("{path}?{name}={value}"), format!("{path}?{name}={value}&{other}={second}")] {
            prop_assert!(status(&uri) < 500, "{uri}");
        }
    }

    #[test]
    fn no_station_id_is_a_fault_of_the_server(id in any::<Vec<u8>>()) {
        let mut encoded = String::new();
        for byte in id {
            write!(encoded, "%{byte:02X}").unwrap();
        }
        for uri in [format!("/api/v1/stations/{encoded}"), format!("/api/v1/stations/{encoded}/observations")] {
            prop_assert!(status(&uri) < 500, "{uri}");
        }
    }
}
