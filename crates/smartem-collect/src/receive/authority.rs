//! The tokens of the store as an authority.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rand::RngCore as _;
use sha2::{Digest, Sha256};
use smartem_etl::Clock;
use smartem_http::auth::{Authority, Credentials, Principal, Right};
use smartem_http::{Kind, Problem};
use smartem_store::{SecretHash, Store, StoreError, TokenRow};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::warn;

/// How old the tokens in memory may be; a token that is revoked is so everywhere after this time.
const REFRESH: Duration = Duration::from_secs(2);
/// How long a password that was found right is not compared again.
const REMEMBER: Duration = Duration::from_secs(300);
/// Passwords that are remembered at most.
const REMEMBERED: usize = 10_000;
/// The use of a token is noted in the store at most so often.
const NOTE_EVERY: jiff::SignedDuration = jiff::SignedDuration::from_secs(60);
/// Comparing a password takes 19 MiB and a core for some 30 ms.
const AT_A_TIME: usize = 2;

/// Knows who may write by the tokens of a store; cheap enough for every request.
pub struct StoreAuthority {
    store: Store,
    clock: Clock,
    known: Mutex<Option<(Arc<Tokens>, Instant)>>,
    refreshing: tokio::sync::Mutex<()>,
    right_passwords: Mutex<HashMap<[u8; 32], Instant>>,
    /// When uses were noted, by token.
    noted: Mutex<HashMap<i64, Timestamp>>,
    comparing: Semaphore,
    /// So that nobody who sees memory can look passwords up in a list.
    key: [u8; 32],
}

/// The tokens as they were at one moment, without revoked ones.
#[derive(Default)]
struct Tokens {
    by_name: HashMap<Arc<str>, Arc<TokenRow>>,
    by_hash: HashMap<SecretHash, Arc<TokenRow>>,
}

impl StoreAuthority {
    /// The authority of a store; the clock says which tokens have expired.
    pub fn new(store: Store, clock: Clock) -> Self {
        let mut key = [0; 32];
        rand::rng().fill_bytes(&mut key);
        Self {
            store,
            clock,
            known: Mutex::new(None),
            refreshing: tokio::sync::Mutex::new(()),
            right_passwords: Mutex::default(),
            noted: Mutex::default(),
            comparing: Semaphore::new(AT_A_TIME),
            key,
        }
    }

    /// The token with these credentials, if it holds now.
    async fn token(&self, credentials: &Credentials) -> Result<Option<Arc<TokenRow>>, StoreError> {
        let tokens = self.tokens().await?;
        let now = (self.clock)();
        let secret = credentials.secret();
        // A secret that was made here is found by its hash, with or without the name.
        let found = tokens.by_hash.get(&SecretHash::of_random(secret));
        let found = match (found, credentials.name()) {
            (Some(token), None) => token,
            (Some(token), Some(name)) if *token.name == *name => token,
            (_, Some(name)) => match tokens.by_name.get(name) {
                Some(token) if token.hash.is_slow() => token,
                _ => return Ok(None),
            },
            (None, None) => return Ok(None),
        };
        if !found.is_valid(now) || !self.is_secret(found, secret).await {
            return Ok(None);
        }
        self.note_use(found, now);
        Ok(Some(Arc::clone(found)))
    }

    /// Compares the secret itself, a password at most once in a while.
    async fn is_secret(&self, token: &Arc<TokenRow>, secret: &str) -> bool {
        if !token.hash.is_slow() {
            return token.hash.matches(secret);
        }
        let mut digest = Sha256::new();
        digest.update(self.key);
        digest.update(token.id.to_le_bytes());
        digest.update(secret.as_bytes());
        let fingerprint: [u8; 32] = digest.finalize().into();
        let is_remembered = |now: Instant| {
            let remembered = lock(&self.right_passwords);
            remembered
                .get(&fingerprint)
                .is_some_and(|since| now < *since + REMEMBER)
        };
        if is_remembered(Instant::now()) {
            return true;
        }
        // It is never closed.
        let _place = self.comparing.acquire().await;
        let now = Instant::now();
        if is_remembered(now) {
            return true;
        }
        let (token, secret) = (Arc::clone(token), secret.to_owned());
        let compared = tokio::task::spawn_blocking(move || token.hash.matches(&secret));
        let is_right = compared.await.unwrap_or(false);
        if is_right {
            let mut remembered = lock(&self.right_passwords);
            if remembered.len() >= REMEMBERED {
                remembered.retain(|_, since| now < *since + REMEMBER);
                if remembered.len() >= REMEMBERED {
                    remembered.clear();
                }
            }
            remembered.insert(fingerprint, now);
        }
        is_right
    }

    /// The tokens, at most [`REFRESH`] old.
    async fn tokens(&self) -> Result<Arc<Tokens>, StoreError> {
        if let Some(fresh) = self.fresh() {
            return Ok(fresh);
        }
        let _one = self.refreshing.lock().await;
        if let Some(fresh) = self.fresh() {
            return Ok(fresh);
        }
        let rows = self.store.tokens().await?;
        let mut tokens = Tokens::default();
        for row in rows.into_iter().filter(|row| row.revoked_at.is_none()) {
            let row = Arc::new(row);
            tokens
                .by_name
                .insert(Arc::clone(&row.name), Arc::clone(&row));
            tokens.by_hash.insert(row.hash.clone(), row);
        }
        let tokens = Arc::new(tokens);
        *lock(&self.known) = Some((Arc::clone(&tokens), Instant::now()));
        Ok(tokens)
    }

    fn fresh(&self) -> Option<Arc<Tokens>> {
        let known = lock(&self.known);
        let (tokens, since) = known.as_ref()?;
        (since.elapsed() < REFRESH).then(|| Arc::clone(tokens))
    }

    /// Notes the use of a token, now and then, beside the request. That it cannot is no reason to
    /// refuse anybody.
    fn note_use(&self, token: &TokenRow, now: Timestamp) {
        {
            let mut noted = lock(&self.noted);
            let newest = noted.get(&token.id).copied().max(token.last_used);
            if newest.is_some_and(|newest| now.duration_since(newest) < NOTE_EVERY) {
                return;
            }
            noted.insert(token.id, now);
        }
        let (store, used) = (self.store.clone(), vec![(token.id, now)]);
        tokio::spawn(async move {
            if let Err(error) = store.note_token_use(used).await {
                warn!(%error, "the use of a token could not be noted");
            }
        });
    }
}

#[async_trait]
impl Authority for StoreAuthority {
    async fn identify(&self, credentials: &Credentials) -> Result<Option<Principal>, Problem> {
        let token = self.token(credentials).await.map_err(|error| {
            let detail = "It cannot be told now who may write; try again.";
            Problem::new(Kind::Unavailable, detail).because(error)
        })?;
        Ok(token.map(|token| Principal {
            name: Arc::clone(&token.name),
            // A right of a newer program gives nothing here.
            rights: token
                .rights
                .iter()
                .filter_map(|right| right.parse::<Right>().ok())
                .collect(),
            project: token.project.clone(),
        }))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
