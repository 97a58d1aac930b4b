//! Who gets which message: filters in a tree by level, and the retained messages.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;

use bytestring::ByteString;

use super::packet::Wish;
use super::session::{Delivery, Message, Session};
use super::topic;
use crate::incoming::QoS;

/// A filter may have so many levels; trees are walked by recursion.
pub(super) const MAX_LEVELS: usize = 128;

#[derive(Default)]
pub(super) struct Router {
    root: Node,
    /// The filters with a subscriber.
    filters: BTreeSet<Arc<str>>,
    retained: BTreeMap<ByteString, (Arc<Message>, QoS)>,
}

#[derive(Default)]
struct Node {
    children: HashMap<Box<str>, Node>,
    subscribers: Vec<Subscriber>,
}

struct Subscriber {
    session: Arc<Session>,
    wish: Wish,
    id: Option<NonZeroU32>,
}

/// What the router needs to know of a message.
pub(super) struct Sent<'a> {
    pub(super) topic: &'a str,
    pub(super) qos: QoS,
    pub(super) retain: bool,
}

/// What a session gets of a message, whatever number of its filters takes it.
pub(super) struct Target {
    pub(super) session: Arc<Session>,
    qos: QoS,
    retain: bool,
    ids: Vec<NonZeroU32>,
}

impl Target {
    pub(super) fn delivery(self, message: Arc<Message>) -> (Arc<Session>, Delivery) {
        let delivery = Delivery {
            message,
            qos: self.qos,
            retain: self.retain,
            ids: self.ids,
        };
        (self.session, delivery)
    }
}

impl Router {
    /// Adds a subscriber; whether nobody had subscribed to the filter before.
    pub(super) fn subscribe(
        &mut self,
        filter: &str,
        session: &Arc<Session>,
        wish: Wish,
        id: Option<NonZeroU32>,
    ) -> bool {
        let node = filter.split('/').fold(&mut self.root, |node, level| {
            node.children.entry(level.into()).or_default()
        });
        let subscriber = Subscriber {
            session: session.clone(),
            wish,
            id,
        };
        let known = node
            .subscribers
            .iter_mut()
            .find(|it| Arc::ptr_eq(&it.session, session));
        match known {
            Some(known) => *known = subscriber,
            None => node.subscribers.push(subscriber),
        }
        !self.filters.contains(filter) && self.filters.insert(filter.into())
    }

    /// Takes a subscriber away; whether it was the last one of the filter.
    pub(super) fn unsubscribe(&mut self, filter: &str, session: &Arc<Session>) -> bool {
        let is_last = self.root.remove(&mut filter.split('/'), session);
        is_last && self.filters.remove(filter)
    }

    /// The filters with a subscriber, in their order.
    pub(super) fn filters(&self) -> Vec<Arc<str>> {
        self.filters.iter().cloned().collect()
    }

    /// Whether anybody would get a message of this topic.
    pub(super) fn is_wanted(&self, topic: &str) -> bool {
        let levels: Vec<&str> = topic.split('/').collect();
        self.root.is_wanted(&levels, topic.starts_with('$'))
    }

    /// Who gets a message that `from` published; `None`: the program itself.
    pub(super) fn targets(&self, sent: &Sent<'_>, from: Option<&Arc<Session>>) -> Vec<Target> {
        let mut targets = Targets::new(sent, from);
        let levels: Vec<&str> = sent.topic.split('/').collect();
        let own = sent.topic.starts_with('$');
        self.root
            .visit(&levels, own, &mut |subscriber| targets.add(subscriber));
        targets.by_session.into_values().collect()
    }

    /// Who gets a message that is only for those with exactly this filter.
    pub(super) fn targets_of(&self, filter: &str, sent: &Sent<'_>) -> Vec<Target> {
        let mut targets = Targets::new(sent, None);
        let mut levels = filter.split('/');
        let node = levels.try_fold(&self.root, |node, level| node.children.get(level));
        for subscriber in node.iter().flat_map(|it| &it.subscribers) {
            targets.add(subscriber);
        }
        targets.by_session.into_values().collect()
    }

    /// Keeps a message for later subscribers, or forgets the kept one where it is empty; whether
    /// there was room.
    pub(super) fn retain(&mut self, message: &Arc<Message>, qos: QoS, limit: usize) -> bool {
        if message.is_empty() {
            self.retained.remove(message.topic());
            return true;
        }
        if self.retained.len() >= limit && !self.retained.contains_key(message.topic()) {
            return false;
        }
        let kept = (message.clone(), qos);
        self.retained.insert(message.topic().clone(), kept);
        true
    }

    /// The retained messages that a filter takes.
    pub(super) fn retained(
        &self,
        filter: &str,
        wish: Wish,
        id: Option<NonZeroU32>,
    ) -> Vec<Delivery> {
        let taken = self
            .retained
            .iter()
            .filter(|(name, _)| topic::matches(filter, name));
        taken
            .map(|(_, (message, qos))| Delivery {
                message: message.clone(),
                qos: wish.qos.min(*qos),
                retain: true,
                ids: id.into_iter().collect(),
            })
            .collect()
    }
}

/// Gathers what each session gets of one message.
struct Targets<'a> {
    sent: &'a Sent<'a>,
    from: Option<&'a Arc<Session>>,
    by_session: BTreeMap<usize, Target>,
}

impl<'a> Targets<'a> {
    fn new(sent: &'a Sent<'a>, from: Option<&'a Arc<Session>>) -> Self {
        Self {
            sent,
            from,
            by_session: BTreeMap::new(),
        }
    }

    fn add(&mut self, subscriber: &Subscriber) {
        let Subscriber { session, wish, id } = subscriber;
        let is_own = self.from.is_some_and(|from| Arc::ptr_eq(session, from));
        if wish.not_own && is_own {
            return;
        }
        let qos = wish.qos.min(self.sent.qos);
        let retain = self.sent.retain && wish.retain_as_published;
        let place = Arc::as_ptr(session) as usize;
        let target = self.by_session.entry(place).or_insert_with(|| Target {
            session: session.clone(),
            qos,
            retain,
            ids: Vec::new(),
        });
        target.qos = target.qos.max(qos);
        target.retain |= retain;
        target.ids.extend(*id);
    }
}

impl Node {
    fn is_wanted(&self, levels: &[&str], own: bool) -> bool {
        let wants = |node: Option<&Node>| node.is_some_and(|it| !it.subscribers.is_empty());
        if !own && wants(self.children.get("#")) {
            return true;
        }
        let Some((level, rest)) = levels.split_first() else {
            return !self.subscribers.is_empty();
        };
        let below = |level: &str| {
            let child = self.children.get(level);
            child.is_some_and(|it| it.is_wanted(rest, false))
        };
        below(level) || !own && below("+")
    }

    fn visit(&self, levels: &[&str], own: bool, take: &mut impl FnMut(&Subscriber)) {
        if !own && let Some(all) = self.children.get("#") {
            all.subscribers.iter().for_each(&mut *take);
        }
        let Some((level, rest)) = levels.split_first() else {
            self.subscribers.iter().for_each(take);
            return;
        };
        if let Some(child) = self.children.get(*level) {
            child.visit(rest, false, take);
        }
        if !own && let Some(any) = self.children.get("+") {
            any.visit(rest, false, take);
        }
    }

    /// Removes a subscriber and the nodes that are empty then; whether nobody is left at its node.
    fn remove<'a>(
        &mut self,
        levels: &mut impl Iterator<Item = &'a str>,
        session: &Arc<Session>,
    ) -> bool {
        let Some(level) = levels.next() else {
            self.subscribers
                .retain(|it| !Arc::ptr_eq(&it.session, session));
            return self.subscribers.is_empty();
        };
        let Some(child) = self.children.get_mut(level) else {
            return true;
        };
        let is_last = child.remove(levels, session);
        if child.children.is_empty() && child.subscribers.is_empty() {
            self.children.remove(level);
        }
        is_last
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::packet::Retained;
    use super::super::session::SessionKey;
    use super::*;

    fn session(name: &str) -> Arc<Session> {
        Arc::new(Session::new(SessionKey {
            user: "u".into(),
            client: name.into(),
        }))
    }

    fn wish() -> Wish {
        Wish {
            qos: QoS::AtLeastOnce,
            not_own: false,
            retain_as_published: false,
            retained: Retained::Always,
        }
    }

    fn sent(topic: &str) -> Sent<'_> {
        Sent {
            topic,
            qos: QoS::AtLeastOnce,
            retain: false,
        }
    }

    fn level() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b", "", "$x"])
    }

    proptest! {
        /// The tree says the same as the rule for one filter, also when others have gone again.
        #[test]
        fn the_tree_is_the_rule(
            filters in prop::collection::vec(
                prop::collection::vec(prop::sample::select(vec!["a", "b", "", "+", "$x"]), 1..4),
                1..6,
            ),
            all in prop::collection::vec(any::<bool>(), 6),
            gone in prop::collection::vec(any::<bool>(), 6),
            name in prop::collection::vec(level(), 1..5),
        ) {
            let name = name.join("/");
            prop_assume!(topic::is_name(&name));
            let mut router = Router::default();
            let mut expected = Vec::new();
            for (number, levels) in filters.iter().enumerate() {
                let mut filter = levels.join("/");
                if all[number] {
                    filter.push_str("/#");
                }
                let session = session(&number.to_string());
                router.subscribe(&filter, &session, wish(), None);
                if gone[number] {
                    router.unsubscribe(&filter, &session);
                } else if topic::matches(&filter, &name) {
                    expected.push(number.to_string());
                }
            }
            let mut kept: Vec<Arc<str>> = router.filters();
            kept.retain(|filter| topic::matches(filter, &name));
            prop_assert_eq!(kept.is_empty(), expected.is_empty());
            prop_assert_eq!(router.is_wanted(&name), !expected.is_empty());
            let mut found: Vec<String> = router
                .targets(&sent(&name), None)
                .iter()
                .map(|it| it.session.key.client.to_string())
                .collect();
            found.sort();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_session_gets_a_message_once_and_unsubscribing_leaves_nothing() {
        let mut router = Router::default();
        let session = session("s");
        for filter in ["a/#", "a/+", "a/b"] {
            router.subscribe(filter, &session, wish(), None);
        }
        assert_eq!(router.targets(&sent("a/b"), Some(&session)).len(), 1);
        assert_eq!(router.targets_of("a/+", &sent("a/b")).len(), 1);
        assert!(router.targets_of("a", &sent("a")).is_empty());
        for filter in ["a/#", "a/+", "a/b"] {
            router.unsubscribe(filter, &session);
        }
        assert!(router.root.children.is_empty() && router.filters().is_empty());
    }
}
