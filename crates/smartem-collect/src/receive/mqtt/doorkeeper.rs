//! Who may do what at the broker, by the tokens.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use smartem_http::auth::{self, Credentials, Principal, Right};
use smartem_model::StationId;
use smartem_mqtt::{Login, LoginRefused};
use smartem_store::Points;

use super::sta::StaTopic;
use super::{Target, Topics};

/// The name of those whom nobody knows; no token has it.
const GUEST: &str = "";

/// What is open at the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Whether clients without user and password may connect, and subscribe to topics of SensorThings.
    pub open_reading: bool,
    /// Whether messages create entities of SensorThings.
    pub takes_sta: bool,
}

/// Says to the broker who may do what.
///
/// A token of a project may write to the databases and for the stations of the project. What stations a
/// pushed object is of, is not known here: that needs a token without a project. Who may write may also
/// create entities of SensorThings; of which project those are, their service knows. Guests may
/// subscribe to topics of SensorThings where that is open, and publish nothing.
pub struct Doorkeeper {
    authority: Arc<dyn auth::Authority>,
    points: Points,
    topics: Topics,
    access: Access,
    /// Principals by name, as they were when they connected.
    known: Mutex<HashMap<Arc<str>, Principal>>,
}

impl Doorkeeper {
    /// The doorkeeper of a broker whose messages go to `points`.
    pub fn new(
        authority: Arc<dyn auth::Authority>,
        points: Points,
        topics: Topics,
        access: Access,
    ) -> Self {
        Self {
            authority,
            points,
            topics,
            access,
            known: Mutex::default(),
        }
    }

    /// Somebody who has connected, as he was known then.
    pub fn principal(&self, user: &str) -> Option<Principal> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(user).cloned()
    }

    async fn identify(&self, login: &Login<'_>) -> Result<Principal, LoginRefused> {
        let password = login.password.and_then(|it| std::str::from_utf8(it).ok());
        let password = password.ok_or(LoginRefused::BadCredentials)?;
        let credentials = Credentials::new(login.user.map(ToOwned::to_owned), password);
        let identified = self.authority.identify(&credentials).await;
        let principal = identified.map_err(|_| LoginRefused::Unavailable)?;
        principal
            .filter(|principal| &*principal.name != GUEST)
            .ok_or(LoginRefused::BadCredentials)
    }

    fn may_write(&self, principal: &Principal, topic: &str) -> bool {
        if let Some(sta) = self.topics.sta(topic) {
            let own = principal.project.as_deref();
            return self.access.takes_sta && sta.creates() && principal.may(Right::Write, own);
        }
        let own = principal.project.as_deref();
        let project = match (self.topics.target(topic), own) {
            (Some(Target::Lines { database }), _) => self.points.project_of(database),
            (Some(Target::Number { station, .. }), Some(own)) => {
                let station = StationId::new(station);
                let is_open = station.is_some_and(|it| self.points.is_open_to(&it, own));
                is_open.then(|| own.to_owned())
            }
            _ => None,
        };
        principal.may(Right::Write, project.as_deref())
    }
}

#[async_trait]
impl smartem_mqtt::Authority for Doorkeeper {
    async fn connect(&self, login: Login<'_>) -> Result<Arc<str>, LoginRefused> {
        let shows_nothing =
            login.user.is_none_or(str::is_empty) && login.password.is_none_or(<[u8]>::is_empty);
        if shows_nothing && self.access.open_reading {
            return Ok(GUEST.into());
        }
        let principal = self.identify(&login).await?;
        let name = principal.name.clone();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(name.clone(), principal);
        Ok(name)
    }

    fn may_publish(&self, user: &str, topic: &str) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let principal = known.get(user);
        principal.is_some_and(|principal| self.may_write(principal, topic))
    }

    fn may_subscribe(&self, user: &str, filter: &str) -> bool {
        if user == GUEST {
            return StaTopic::of(filter).is_some();
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.contains_key(user)
    }

    fn is_guest(&self, user: &str) -> bool {
        user == GUEST
    }

    /// What subscribers of SensorThings get is what the service made of a message, not the message.
    fn is_shared(&self, topic: &str) -> bool {
        self.topics.sta(topic).is_none()
    }
}
