//! What all connections of a broker share.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rmqtt_codec::types::Publish;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;

use super::authority::Authority;
use super::packet::{Retained, Wish, qos};
use super::router::{Router, Sent, Target};
use super::session::{Message, Session, SessionKey};
use super::session_log::SessionLog;
use super::{BrokerCounts, BrokerSettings};
use crate::incoming::{Incoming, QoS};

/// So many filters a session may have.
const MAX_FILTERS: usize = 1_000;
/// So many filters a guest may have.
const MAX_GUEST_FILTERS: usize = 50;

pub(super) struct Hub {
    pub(super) settings: BrokerSettings,
    pub(super) authority: Arc<dyn Authority>,
    pub(super) sink: mpsc::Sender<Vec<Incoming>>,
    pub(super) counters: Counters,
    router: RwLock<Router>,
    /// Told whenever the set of filters has changed.
    pub(super) filters_changed: watch::Sender<()>,
    /// Spares publishers the router while nobody subscribes.
    subscriptions: AtomicUsize,
    sessions: Mutex<HashMap<SessionKey, Arc<Session>>>,
    guests: Arc<Semaphore>,
    guest_subscriptions: AtomicUsize,
    session_log: Option<Arc<SessionLog>>,
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) connections: AtomicU64,
    pub(super) turned_away: AtomicU64,
    pub(super) logins_refused: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) forbidden: AtomicU64,
    pub(super) faults: AtomicU64,
    pub(super) undelivered: AtomicU64,
}

impl Counters {
    pub(super) fn snapshot(&self) -> BrokerCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BrokerCounts {
            connections: read(&self.connections),
            turned_away: read(&self.turned_away),
            logins_refused: read(&self.logins_refused),
            received: read(&self.received),
            forbidden: read(&self.forbidden),
            faults: read(&self.faults),
            undelivered: read(&self.undelivered),
        }
    }
}

/// Adds to a counter.
pub(super) fn count(counter: &AtomicU64, number: usize) {
    counter.fetch_add(number as u64, Ordering::Relaxed);
}

/// There is no room for another session, or another guest.
pub(super) struct Full;

impl Hub {
    pub(super) fn new(
        settings: BrokerSettings,
        authority: Arc<dyn Authority>,
        sink: mpsc::Sender<Vec<Incoming>>,
    ) -> std::io::Result<Self> {
        let mut sessions = HashMap::new();
        let mut session_log = None;
        if let Some(path) = &settings.session_file {
            let (log, keys) = SessionLog::open(path)?;
            for key in keys.into_iter().take(settings.max_sessions) {
                let session = Session::from_before(key.clone(), settings.session_expiry);
                sessions.insert(key, Arc::new(session));
            }
            session_log = Some(Arc::new(log));
        }
        let most = settings.max_guests.min(Semaphore::MAX_PERMITS);
        let guests = Arc::new(Semaphore::new(most));
        Ok(Self {
            settings,
            authority,
            sink,
            counters: Counters::default(),
            router: RwLock::default(),
            filters_changed: watch::Sender::new(()),
            subscriptions: AtomicUsize::new(0),
            sessions: Mutex::new(sessions),
            guests,
            guest_subscriptions: AtomicUsize::new(0),
            session_log,
        })
    }

    /// Notes a session that is to outlive its connection, so that it outlives a restart too.
    pub(super) async fn keep(&self, session: &Arc<Session>) -> std::io::Result<()> {
        let Some(log) = self.session_log.clone() else {
            return Ok(());
        };
        if !session.note() {
            return Ok(());
        }
        let key = session.key.clone();
        let noted = tokio::task::spawn_blocking(move || log.add(&key)).await;
        noted.unwrap_or_else(|problem| Err(std::io::Error::other(problem)))
    }

    fn keep_no_more(&self, session: &Session) {
        if let Some(log) = &self.session_log
            && session.unnote()
        {
            log.remove(&session.key);
        }
    }

    /// A place for one more guest, where there is one.
    pub(super) fn guest(&self) -> Result<OwnedSemaphorePermit, Full> {
        self.guests.clone().try_acquire_owned().map_err(|_| Full)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<SessionKey, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of a client, and whether it was there before; an old one is forgotten where the
    /// client wants a new one.
    pub(super) fn session(
        &self,
        key: &SessionKey,
        clean: bool,
    ) -> Result<(Arc<Session>, bool), Full> {
        let mut sessions = self.sessions();
        if let Some(known) = sessions.get(key) {
            if !clean && !known.is_expired(Instant::now()) {
                return Ok((known.clone(), true));
            }
            let known = known.clone();
            sessions.remove(key);
            known.end();
            self.forget(&known);
        }
        if sessions.len() >= self.settings.max_sessions {
            // The client that has been away for the longest time makes room.
            let oldest = sessions
                .values()
                .filter_map(|it| Some((it.away_since()?, it.clone())))
                .min_by_key(|(since, _)| *since);
            let (_, oldest) = oldest.ok_or(Full)?;
            sessions.remove(&oldest.key);
            self.forget(&oldest);
        }
        let session = Arc::new(Session::new(key.clone()));
        sessions.insert(key.clone(), session.clone());
        Ok((session, false))
    }

    /// Forgets sessions whose clients have been away for too long.
    pub(super) fn expire(&self, now: Instant) {
        let mut expired = Vec::new();
        self.sessions().retain(|_, session| {
            let keep = !session.is_expired(now);
            if !keep {
                expired.push(session.clone());
            }
            keep
        });
        for session in expired {
            self.forget(&session);
        }
    }

    /// Forgets a session, unless another has taken its place.
    pub(super) fn remove(&self, session: &Arc<Session>) {
        let mut sessions = self.sessions();
        let known = sessions.get(&session.key);
        if known.is_some_and(|known| Arc::ptr_eq(known, session)) {
            sessions.remove(&session.key);
        }
        drop(sessions);
        self.forget(session);
    }

    /// Forgets what a session without a place may still have noted, after another took its place.
    pub(super) fn tidy(&self, session: &Arc<Session>) {
        let known = self.sessions().get(&session.key).cloned();
        if !known.is_some_and(|known| Arc::ptr_eq(&known, session)) {
            self.forget(session);
        }
    }

    fn forget(&self, session: &Arc<Session>) {
        self.keep_no_more(session);
        let filters = session.take_filters();
        if filters.is_empty() {
            return;
        }
        let mut router = self.router_mut();
        let mut gone = false;
        for filter in &filters {
            gone |= router.unsubscribe(filter, session);
        }
        drop(router);
        self.ended(session, filters.len());
        self.tell_filters(gone);
    }

    /// Takes one of the subscriptions of guests, where there is one left.
    fn has_room_for_guest(&self) -> bool {
        let most = self.settings.max_guest_subscriptions;
        let taken = &self.guest_subscriptions;
        let more = |taken| (taken < most).then_some(taken + 1);
        taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    /// Notes the end of subscriptions of a session.
    fn ended(&self, session: &Session, number: usize) {
        self.subscriptions.fetch_sub(number, Ordering::Relaxed);
        if self.authority.is_guest(&session.key.user) {
            self.guest_subscriptions
                .fetch_sub(number, Ordering::Relaxed);
        }
    }

    /// How many guests there are.
    pub(super) fn guests(&self) -> usize {
        let most = self.settings.max_guests.min(Semaphore::MAX_PERMITS);
        most.saturating_sub(self.guests.available_permits())
    }

    /// How many connections there are, by the places that are left.
    pub(super) fn connected(&self, places: &Semaphore) -> usize {
        let most = self.settings.max_connections.max(1);
        most.saturating_sub(places.available_permits())
    }

    fn router(&self) -> RwLockReadGuard<'_, Router> {
        self.router.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn router_mut(&self) -> RwLockWriteGuard<'_, Router> {
        self.router.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_filters(&self, changed: bool) {
        if changed {
            self.filters_changed.send_replace(());
        }
    }

    /// Subscribes a session, which also gets the retained messages; `false`: it has too many
    /// subscriptions.
    pub(super) fn subscribe(
        &self,
        session: &Arc<Session>,
        filter: &str,
        wish: Wish,
        id: Option<NonZeroU32>,
    ) -> bool {
        let is_guest = self.authority.is_guest(&session.key.user);
        let most = if is_guest {
            MAX_GUEST_FILTERS
        } else {
            MAX_FILTERS
        };
        let Some(new) = session.add_filter(filter, most) else {
            return false;
        };
        if is_guest && new && !self.has_room_for_guest() {
            session.remove_filter(filter);
            return false;
        }
        self.keep_no_more(session);
        let mut router = self.router_mut();
        let changed = router.subscribe(filter, session, wish, id);
        if new {
            self.subscriptions.fetch_add(1, Ordering::Relaxed);
        }
        let retained = match wish.retained {
            Retained::Always => router.retained(filter, wish, id),
            Retained::IfNew if new => router.retained(filter, wish, id),
            Retained::IfNew | Retained::Never => Vec::new(),
        };
        drop(router);
        self.tell_filters(changed);
        for delivery in retained {
            // The number of retained messages is limited already.
            session.offer(delivery, usize::MAX);
        }
        true
    }

    /// How many subscriptions there are.
    pub(super) fn subscriptions(&self) -> usize {
        self.subscriptions.load(Ordering::Relaxed)
    }

    /// Ends a subscription; whether there was one.
    pub(super) fn unsubscribe(&self, session: &Arc<Session>, filter: &str) -> bool {
        if !session.remove_filter(filter) {
            return false;
        }
        let gone = self.router_mut().unsubscribe(filter, session);
        self.ended(session, 1);
        self.tell_filters(gone);
        true
    }

    /// Hands a message of a client to its subscribers, and keeps it where it is to be retained.
    pub(super) fn route(&self, publish: &Publish, from: &Arc<Session>) {
        let sent = Sent {
            topic: &publish.topic,
            qos: qos(publish.qos),
            retain: publish.retain,
        };
        self.hand_out(&sent, Some(from), || Message::of(publish));
    }

    /// Hands a message to its subscribers, and keeps it where it is to be retained; how many
    /// subscribers have it in their queue. The message is made only when somebody gets it.
    pub(super) fn hand_out(
        &self,
        sent: &Sent<'_>,
        from: Option<&Arc<Session>>,
        message: impl FnOnce() -> Message,
    ) -> usize {
        if sent.retain {
            let message = Arc::new(message());
            let most = self.settings.max_retained;
            if !self.router_mut().retain(&message, sent.qos, most) {
                count(&self.counters.undelivered, 1);
            }
            let targets = self.targets(sent, from);
            return self.offer(targets, &message);
        }
        let targets = self.targets(sent, from);
        if targets.is_empty() {
            return 0;
        }
        self.offer(targets, &Arc::new(message()))
    }

    fn targets(&self, sent: &Sent<'_>, from: Option<&Arc<Session>>) -> Vec<Target> {
        if self.subscriptions() == 0 {
            return Vec::new();
        }
        self.router().targets(sent, from)
    }

    /// Puts a message into the queues of those that it is for; how many have it there.
    fn offer(&self, targets: Vec<Target>, message: &Arc<Message>) -> usize {
        let mut taken = 0;
        for target in targets {
            let (session, delivery) = target.delivery(message.clone());
            if session.offer(delivery, self.settings.max_queued) {
                taken += 1;
            } else {
                count(&self.counters.undelivered, 1);
            }
        }
        taken
    }

    /// Hands a message to those who subscribed to exactly this filter, and to nobody else.
    pub(super) fn hand_out_to(&self, filter: &str, message: Message, qos: QoS) -> usize {
        let sent = Sent {
            topic: filter,
            qos,
            retain: false,
        };
        let targets = self.router().targets_of(filter, &sent);
        self.offer(targets, &Arc::new(message))
    }

    /// Whether anybody would get a message of this topic.
    pub(super) fn is_wanted(&self, topic: &str) -> bool {
        self.subscriptions() > 0 && self.router().is_wanted(topic)
    }

    /// The filters with a subscriber.
    pub(super) fn filters(&self) -> Vec<Arc<str>> {
        self.router().filters()
    }
}
