//! SensorThings over MQTT: who may do what.

use std::net::SocketAddr;
use std::sync::Arc;

use smartem_collect::receive::mqtt::{Access, Doorkeeper, Topics};
use smartem_mqtt::{Authority as _, Login, LoginRefused};

use crate::receive::Bench;

fn doorkeeper(bench: &Bench, access: Access) -> Doorkeeper {
    let points = bench.disk.points.clone();
    Doorkeeper::new(
        Arc::new(bench.authority()),
        points,
        Topics::new("smartem"),
        access,
    )
}

async fn login(
    doorkeeper: &Doorkeeper,
    user: Option<&str>,
    password: Option<&str>,
) -> Result<Arc<str>, LoginRefused> {
    let login = Login {
        client: "c",
        user,
        password: password.map(str::as_bytes),
        peer: SocketAddr::from(([127, 0, 0, 1], 1)),
        encrypted: false,
    };
    doorkeeper.connect(login).await
}

const OPEN: Access = Access {
    open_reading: true,
    takes_sta: true,
};

#[tokio::test]
async fn who_shows_nothing_reads_sensorthings_and_nothing_else() {
    let bench = Bench::new().await;
    let doorkeeper = doorkeeper(&bench, OPEN);
    let guest = login(&doorkeeper, None, None).await.unwrap();
    assert_eq!(
        login(&doorkeeper, Some(""), Some("")).await,
        Ok(guest.clone())
    );
    assert!(doorkeeper.is_guest(&guest));
    assert_eq!(doorkeeper.principal(&guest), None);
    for filter in [
        "v1.1/#",
        "v1.0/Observations",
        "sta/v1.1/Datastreams(1)/Observations?$select=result",
        "v1.1/+/name",
    ] {
        assert!(doorkeeper.may_subscribe(&guest, filter), "{filter}");
    }
    for filter in ["#", "+/#", "sta/#", "smartem/#", "v2.0/#", "v1.1", "$SYS/#"] {
        assert!(!doorkeeper.may_subscribe(&guest, filter), "{filter}");
    }
    for topic in ["v1.1/Observations", "smartem/1/no2", "smartem/push", "a"] {
        assert!(!doorkeeper.may_publish(&guest, topic), "{topic}");
    }
}

#[tokio::test]
async fn what_is_shown_must_be_right_and_reading_may_be_closed() {
    let bench = Bench::new().await;
    let refused = Err(LoginRefused::BadCredentials);
    let open = doorkeeper(&bench, OPEN);
    assert_eq!(login(&open, Some("ada"), None).await, refused);
    assert_eq!(login(&open, None, Some("wrong")).await, refused);
    assert_eq!(login(&open, Some(""), Some("wrong")).await, refused);
    let closed = doorkeeper(
        &bench,
        Access {
            open_reading: false,
            ..OPEN
        },
    );
    assert_eq!(login(&closed, None, None).await, refused);
}

#[tokio::test]
async fn who_may_write_may_create_entities_in_any_set() {
    let bench = Bench::new().await;
    let own = bench.token("ada", "write", Some("air")).await;
    let all = bench.token("ben", "write", None).await;
    let takes = doorkeeper(&bench, OPEN);
    let takes_none = doorkeeper(
        &bench,
        Access {
            takes_sta: false,
            ..OPEN
        },
    );
    for (name, secret, project) in [("ada", own, Some("air")), ("ben", all, None)] {
        for doorkeeper in [&takes, &takes_none] {
            let user = login(doorkeeper, Some(name), Some(&secret)).await.unwrap();
            assert!(!doorkeeper.is_guest(&user));
            let principal = doorkeeper.principal(&user).unwrap();
            assert_eq!(principal.project.as_deref(), project);
            assert!(doorkeeper.may_subscribe(&user, "smartem/#"));
            // Nobody but the service itself says what became of an entity.
            assert!(!doorkeeper.may_publish(&user, "v1.1/Things(1)/name"));
            assert!(!doorkeeper.may_publish(&user, "v1.1/Observations?$select=result"));
        }
        for topic in [
            "v1.1/Observations",
            "sta/v1.0/Datastreams(1)/Observations",
            "smartem/sta/v1.1/Things",
        ] {
            assert!(takes.may_publish(name, topic), "{topic}");
            assert!(!takes_none.may_publish(name, topic), "{topic}");
            assert!(!takes.is_shared(topic), "{topic}");
        }
        assert!(takes.is_shared("smartem/1/no2"));
    }
}
