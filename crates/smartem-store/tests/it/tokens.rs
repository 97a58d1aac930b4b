//! Who may write.

use smartem_store::{NewToken, Secret, SecretHash, Store, StoreError};

use crate::support::now;

fn new(name: &str, hash: SecretHash) -> NewToken {
    NewToken {
        name: name.to_owned(),
        hash,
        rights: vec!["write".to_owned(), "admin".to_owned()],
        project: Some("air".to_owned()),
        now: now(),
        expires_at: None,
    }
}

pub(crate) async fn a_token_is_kept_without_its_secret(store: Store) {
    let secret = Secret::generate();
    let mut token = new("ada", secret.hash());
    token.expires_at = Some(now() + jiff::SignedDuration::from_hours(1));
    store.add_token(token).await.unwrap();
    let [row] = &store.tokens().await.unwrap()[..] else {
        panic!("one token");
    };
    assert_eq!(&*row.name, "ada");
    assert_eq!(row.rights, ["write", "admin"]);
    assert_eq!(row.project.as_deref(), Some("air"));
    assert_eq!((row.created_at, row.last_used), (now(), None));
    assert!(row.hash.matches(secret.reveal()));
    assert!(row.is_valid(now()));
    assert!(!row.is_valid(now() + jiff::SignedDuration::from_hours(1)));
    if store.is_shared() {
        return;
    }
    let file = store.dir().join("smartem.sqlite");
    for file in [file.clone(), file.with_extension("sqlite-wal")] {
        let bytes = std::fs::read(&file).unwrap();
        let secret = secret.reveal().as_bytes();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
}

pub(crate) async fn a_name_is_given_again_only_when_it_is_revoked(store: Store) {
    let add = async |name: &str| store.add_token(new(name, Secret::generate().hash())).await;
    add("ada").await.unwrap();
    let error = add("ada").await.unwrap_err();
    assert!(matches!(error, StoreError::TokenExists { .. }), "{error}");
    assert!(store.revoke_token("ada", now()).await.unwrap());
    assert!(!store.revoke_token("ada", now()).await.unwrap());
    assert!(!store.revoke_token("ben", now()).await.unwrap());
    add("ada").await.unwrap();
    let tokens = store.tokens().await.unwrap();
    let valid: Vec<bool> = tokens.iter().map(|token| token.is_valid(now())).collect();
    assert_eq!(valid, [false, true]);
}

pub(crate) async fn the_last_use_of_a_token_never_goes_back(store: Store) {
    store
        .add_token(new("ada", SecretHash::of_password("letmein").unwrap()))
        .await
        .unwrap();
    let id = store.tokens().await.unwrap()[0].id;
    let earlier = now() - jiff::SignedDuration::from_hours(1);
    for at in [now(), earlier] {
        store.note_token_use(vec![(id, at)]).await.unwrap();
    }
    let token = &store.tokens().await.unwrap()[0];
    assert_eq!(token.last_used, Some(now()));
    assert!(token.hash.matches("letmein"));
}
