//! Who may write, by the tokens of the store.

use std::time::Duration;

use jiff::ToSpan;
use smartem_collect::receive::first_admin_token;
use smartem_http::auth::{Authority, Credentials, Right};
use smartem_store::{NewToken, Secret, SecretHash};

use super::Bench;

fn alone(secret: &str) -> Credentials {
    Credentials::new(None, secret)
}

fn named(name: &str, secret: &str) -> Credentials {
    Credentials::new(Some(name.to_owned()), secret)
}

#[tokio::test]
async fn a_secret_is_good_alone_and_with_its_name_only() {
    let bench = Bench::new().await;
    let secret = bench.token("ada", "write", Some("air")).await;
    bench.token("ben", "write", None).await;
    let authority = bench.authority();
    for (credentials, expected) in [
        (alone(&secret), Some("ada")),
        (named("ada", &secret), Some("ada")),
        (named("ben", &secret), None),
        (named("cleo", &secret), None),
        (named("ada", ""), None),
        (alone(""), None),
        (alone("ada"), None),
        (alone(&secret[..secret.len() - 1]), None),
    ] {
        let found = authority.identify(&credentials).await.unwrap();
        assert_eq!(found.as_ref().map(|who| &*who.name), expected);
        if let Some(principal) = found {
            assert!(principal.may(Right::Write, Some("air")));
            assert!(!principal.may(Right::Write, Some("water")));
            assert!(!principal.may(Right::Admin, Some("air")));
        }
    }
}

#[tokio::test]
async fn a_password_is_good_with_its_name() {
    let bench = Bench::new().await;
    let hash = SecretHash::of_password("letmein").unwrap();
    bench.add_token("old-firmware", hash, "write", None).await;
    let authority = bench.authority();
    for (credentials, is_good) in [
        (named("old-firmware", "letmein"), true),
        (named("old-firmware", "letmeout"), false),
        (named("other", "letmein"), false),
        (alone("letmein"), false),
        // What was found right before does not make others right.
        (named("old-firmware", "letmei"), false),
        (named("old-firmware", "letmein"), true),
    ] {
        let found = authority.identify(&credentials).await.unwrap();
        assert_eq!(found.is_some(), is_good);
    }
}

#[tokio::test]
async fn many_requests_with_a_password_compare_it_once() {
    let bench = Bench::new().await;
    let hash = SecretHash::of_password("letmein").unwrap();
    bench.add_token("old-firmware", hash, "write", None).await;
    let authority = bench.authority();
    let credentials = named("old-firmware", "letmein");
    // Comparing each time would take minutes.
    for _ in 0..5_000 {
        assert!(authority.identify(&credentials).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_revoked_token_is_refused_within_seconds_and_an_expired_one_at_once() {
    let bench = Bench::new().await;
    let revoked = bench.token("revoked", "write", None).await;
    let secret = Secret::generate();
    let now = *bench.now.lock().unwrap();
    let token = NewToken {
        name: "expiring".to_owned(),
        hash: secret.hash(),
        rights: vec!["write".to_owned()],
        project: None,
        now,
        expires_at: Some(now + 1.hour()),
    };
    bench.store.add_token(token).await.unwrap();
    let authority = bench.authority();
    let is_good = async |secret: &str| authority.identify(&alone(secret)).await.unwrap().is_some();
    assert!(is_good(&revoked).await && is_good(secret.reveal()).await);

    *bench.now.lock().unwrap() = now + 1.hour();
    assert!(!is_good(secret.reveal()).await);
    assert!(bench.store.revoke_token("revoked", now).await.unwrap());
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(2)).await;
    tokio::time::resume();
    assert!(!is_good(&revoked).await);
}

#[tokio::test]
async fn the_last_use_is_noted() {
    let bench = Bench::new().await;
    let secret = bench.token("ada", "write", None).await;
    let authority = bench.authority();
    let now = *bench.now.lock().unwrap();
    for later in [0, 10, 70] {
        *bench.now.lock().unwrap() = now + later.seconds();
        assert!(authority.identify(&alone(&secret)).await.unwrap().is_some());
        let noted = now + if later == 70 { 70 } else { 0 }.seconds();
        // Noted beside the request.
        while bench.store.tokens().await.unwrap()[0].last_used != Some(noted) {
            tokio::task::yield_now().await;
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_first_token_is_made_once_and_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new().await;
    let now = *bench.now.lock().unwrap();
    let dir = bench.store.dir().to_owned();
    std::fs::write(dir.join("admin-token"), "of an earlier store").unwrap();
    let made = first_admin_token(&bench.store, &dir, now).await.unwrap();
    let path = made.unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let secret = std::fs::read_to_string(&path).unwrap();
    let who = bench.authority().identify(&alone(secret.trim())).await;
    assert!(who.unwrap().unwrap().may(Right::Admin, Some("any")));

    std::fs::remove_file(&path).unwrap();
    assert!(bench.store.revoke_token("admin", now).await.unwrap());
    let again = first_admin_token(&bench.store, &dir, now).await.unwrap();
    assert_eq!(again, None, "a revoked token does not come back");
}
