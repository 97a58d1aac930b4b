use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::bucket::{Buckets, Rate};
use super::{Authority, Caller, Principal, Right};
use crate::{Kind, Problem};

/// How much a guard allows.
#[derive(Clone, Debug)]
pub struct GuardSettings {
    /// How often a client address may send wrong credentials under one name, or the same wrong
    /// token, in a minute; ten times as many altogether. So one station with a wrong password does
    /// not shut out the others behind the same address.
    pub failures_per_minute: u32,
    /// Requests a principal may send in a second, in the long run; ten times as many at once.
    pub requests_per_second: u32,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
}

impl Default for GuardSettings {
    /// 10 wrong ones a minute, 100,000 requests a second, and no proxy.
    fn default() -> Self {
        Self {
            failures_per_minute: 10,
            requests_per_second: 100_000,
            trusted_proxies: Vec::new(),
        }
    }
}

/// Stands before what not everybody may do; cheap to clone.
///
/// One guard is shared by all parts of a server, so that wrong attempts at one count at all.
#[derive(Clone)]
pub struct Guard {
    inner: Arc<Inner>,
}

struct Inner {
    authority: Arc<dyn Authority>,
    proxies: Vec<IpAddr>,
    /// By address and what was tried.
    failures: Buckets<(Option<IpAddr>, u64)>,
    failures_of_address: Buckets<Option<IpAddr>>,
    hasher: RandomState,
    requests: Buckets<Arc<str>>,
}

impl Guard {
    /// A guard that asks this authority.
    pub fn new(authority: Arc<dyn Authority>, settings: GuardSettings) -> Self {
        let failures = f64::from(settings.failures_per_minute.max(1));
        let requests = f64::from(settings.requests_per_second.max(1));
        let inner = Inner {
            authority,
            proxies: settings.trusted_proxies,
            failures: Buckets::new(Rate {
                burst: failures,
                per_second: failures / 60.0,
            }),
            failures_of_address: Buckets::new(Rate {
                burst: failures * 10.0,
                per_second: failures / 6.0,
            }),
            hasher: RandomState::new(),
            requests: Buckets::new(Rate {
                burst: requests * 10.0,
                per_second: requests,
            }),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Who the caller is.
    ///
    /// # Errors
    /// [`Kind::Unauthorized`] without credentials or with wrong ones, [`Kind::TooManyRequests`]
    /// after too many wrong ones from the address or too many requests of the principal, and what
    /// the authority fails with.
    pub async fn identify(&self, caller: &Caller) -> Result<Principal, Problem> {
        let credentials = caller.credentials.clone()?.ok_or_else(missing)?;
        let inner = &*self.inner;
        let client = caller.client(&inner.proxies);
        let tried = credentials.name().unwrap_or(credentials.secret());
        let attempt = (client, inner.hasher.hash_one(tried));
        let peeked = inner.failures_of_address.peek(&client);
        let peeked = peeked.and_then(|()| inner.failures.peek(&attempt));
        peeked.map_err(too_many_failures)?;
        let Some(principal) = inner.authority.identify(&credentials).await? else {
            let taken = inner.failures_of_address.take(client);
            let taken = taken.and_then(|()| inner.failures.take(attempt));
            taken.map_err(too_many_failures)?;
            return Err(wrong());
        };
        inner
            .requests
            .take(Arc::clone(&principal.name))
            .map_err(|wait| too_many_requests(&principal, wait))?;
        Ok(principal)
    }

    /// Who the caller is, if it may do this in this project.
    ///
    /// # Errors
    /// Those of [`identify`](Self::identify), and [`Kind::Forbidden`] when it may not.
    pub async fn admit(
        &self,
        caller: &Caller,
        right: Right,
        project: Option<&str>,
    ) -> Result<Principal, Problem> {
        let principal = self.identify(caller).await?;
        principal.demand(right, project)?;
        Ok(principal)
    }

    /// The address from which the caller comes, past trusted proxies; where it is known.
    pub fn client(&self, caller: &Caller) -> Option<IpAddr> {
        caller.client(&self.inner.proxies)
    }
}

fn missing() -> Problem {
    let detail = "This needs a token; send it as `Authorization: Bearer TOKEN`. Whoever runs the \
                  server makes one with `smartem token add NAME --right write`.";
    Problem::new(Kind::Unauthorized, detail)
}

fn wrong() -> Problem {
    let detail = "The token, or the name and password, are not known here, or are no longer valid; \
                  `smartem token list` shows whoever runs the server which there are.";
    Problem::new(Kind::Unauthorized, detail)
}

fn too_many_failures(wait: Duration) -> Problem {
    let detail = "Too many wrong tokens or passwords came from this address; correct what is sent, \
                  and try again after the time in `Retry-After`.";
    Problem::new(Kind::TooManyRequests, detail).retry_after(wait)
}

fn too_many_requests(principal: &Principal, wait: Duration) -> Problem {
    let detail = format!(
        "The token `{}` sends more requests than are taken; put more into each, and try again \
         after the time in `Retry-After`.",
        principal.name
    );
    Problem::new(Kind::TooManyRequests, detail).retry_after(wait)
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::auth::Credentials;

    struct One;

    #[async_trait]
    impl Authority for One {
        async fn identify(&self, credentials: &Credentials) -> Result<Option<Principal>, Problem> {
            let principal = Principal {
                name: "ada".into(),
                rights: vec![Right::Write],
                project: Some("air".into()),
            };
            Ok((credentials.secret() == "good").then_some(principal))
        }
    }

    fn guard() -> Guard {
        let settings = GuardSettings {
            failures_per_minute: 3,
            requests_per_second: 1,
            ..GuardSettings::default()
        };
        Guard::new(Arc::new(One), settings)
    }

    fn from(last: u8, secret: Option<&str>) -> Caller {
        let peer = IpAddr::from([192, 0, 2, last]);
        Caller::new(Some(peer), secret.map(|s| Credentials::new(None, s)))
    }

    async fn kind(guard: &Guard, caller: &Caller, project: Option<&str>) -> Option<Kind> {
        let admitted = guard.admit(caller, Right::Write, project).await;
        admitted.err().map(|problem| problem.kind())
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_nobody_is_told_so_and_who_may_not_too() {
        let guard = guard();
        let air = Some("air");
        assert_eq!(kind(&guard, &from(1, Some("good")), air).await, None);
        let none = kind(&guard, &from(1, None), air).await;
        assert_eq!(none, Some(Kind::Unauthorized));
        let bad = kind(&guard, &from(1, Some("bad")), air).await;
        assert_eq!(bad, Some(Kind::Unauthorized));
        let other = kind(&guard, &from(1, Some("good")), Some("water")).await;
        assert_eq!(other, Some(Kind::Forbidden));
    }

    #[tokio::test(start_paused = true)]
    async fn wrong_passwords_are_limited_by_address_and_name() {
        let guard = guard();
        let named = |last: u8, name: &str, secret: &str| {
            let peer = IpAddr::from([192, 0, 2, last]);
            Caller::new(
                Some(peer),
                Some(Credentials::new(Some(name.to_owned()), secret)),
            )
        };
        for _ in 0..3 {
            let bad = kind(&guard, &named(1, "ada", "bad"), None).await;
            assert_eq!(bad, Some(Kind::Unauthorized));
        }
        for secret in ["bad", "good"] {
            let limited = kind(&guard, &named(1, "ada", secret), Some("air")).await;
            assert_eq!(limited, Some(Kind::TooManyRequests), "{secret}");
        }
        // Others behind the same address, and the same name elsewhere, go on.
        for other in [named(1, "ben", "good"), named(2, "ada", "good")] {
            assert_eq!(kind(&guard, &other, Some("air")).await, None);
        }
        tokio::time::advance(Duration::from_secs(20)).await;
        let later = kind(&guard, &named(1, "ada", "good"), Some("air")).await;
        assert_eq!(later, None);
    }

    #[tokio::test(start_paused = true)]
    async fn guessing_is_limited_by_address_whatever_is_tried() {
        let guard = guard();
        for guess in 0..30 {
            let bad = kind(&guard, &from(1, Some(&guess.to_string())), None).await;
            assert_eq!(bad, Some(Kind::Unauthorized));
        }
        let limited = kind(&guard, &from(1, Some("good")), Some("air")).await;
        assert_eq!(limited, Some(Kind::TooManyRequests));
        assert_eq!(
            kind(&guard, &from(2, Some("good")), Some("air")).await,
            None
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_principal_has_a_rate() {
        let guard = guard();
        let caller = from(1, Some("good"));
        for _ in 0..10 {
            assert_eq!(kind(&guard, &caller, Some("air")).await, None);
        }
        let eleventh = kind(&guard, &caller, Some("air")).await;
        assert_eq!(eleventh, Some(Kind::TooManyRequests));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(kind(&guard, &caller, Some("air")).await, None);
    }
}
