//! Who gets which message: filters in a tree by level, and the retained messages.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;

use bytestring::ByteString;
use rmqtt_codec::types::Publish;

use super::packet::{Wish, qos};
use super::session::{Delivery, Message, Session};
use super::topic;
use crate::incoming::QoS;

/// A filter may have so many levels; trees are walked by recursion.
pub(super) const MAX_LEVELS: usize = 128;

#[derive(Default)]
pub(super) struct Router {
    root: Node,
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
    pub(super) fn subscribe(
        &mut self,
        filter: &str,
        session: &Arc<Session>,
        wish: Wish,
        id: Option<NonZeroU32>,
    ) {
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
    }

    pub(super) fn unsubscribe(&mut self, filter: &str, session: &Arc<Session>) {
        self.root.remove(&mut filter.split('/'), session);
    }

    /// Who gets a message that `from` published.
    pub(super) fn targets(&self, publish: &Publish, from: &Arc<Session>) -> Vec<Target> {
        let mut targets: BTreeMap<usize, Target> = BTreeMap::new();
        let own = publish.topic.starts_with('$');
        let levels: Vec<&str> = publish.topic.split('/').collect();
        self.root.visit(&levels, own, &mut |subscriber| {
            if subscriber.wish.not_own && Arc::ptr_eq(&subscriber.session, from) {
                return;
            }
            let qos = subscriber.wish.qos.min(qos(publish.qos));
            let retain = publish.retain && subscriber.wish.retain_as_published;
            let place = Arc::as_ptr(&subscriber.session) as usize;
            let target = targets.entry(place).or_insert_with(|| Target {
                session: subscriber.session.clone(),
                qos,
                retain,
                ids: Vec::new(),
            });
            target.qos = target.qos.max(qos);
            target.retain |= retain;
            target.ids.extend(subscriber.id);
        });
        targets.into_values().collect()
    }

    /// Keeps a message for later subscribers, or forgets the kept one where it is empty; whether
    /// there was room.
    pub(super) fn retain(&mut self, publish: &Publish, limit: usize) -> bool {
        if publish.payload.is_empty() {
            self.retained.remove(&publish.topic);
            return true;
        }
        if self.retained.len() >= limit && !self.retained.contains_key(&publish.topic) {
            return false;
        }
        let message = Message::of(publish);
        let kept = (message.topic().clone(), Arc::new(message));
        self.retained.insert(kept.0, (kept.1, qos(publish.qos)));
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

impl Node {
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

    /// Removes a subscriber and the nodes that are empty then.
    fn remove<'a>(&mut self, levels: &mut impl Iterator<Item = &'a str>, session: &Arc<Session>) {
        let Some(level) = levels.next() else {
            self.subscribers
                .retain(|it| !Arc::ptr_eq(&it.session, session));
            return;
        };
        if let Some(child) = self.children.get_mut(level) {
            child.remove(levels, session);
            if child.children.is_empty() && child.subscribers.is_empty() {
                self.children.remove(level);
            }
        }
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

    fn message(topic: &str) -> Publish {
        Publish {
            dup: false,
            retain: false,
            qos: rmqtt_codec::types::QoS::AtLeastOnce,
            topic: topic.into(),
            packet_id: None,
            payload: "1".into(),
            properties: None,
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
            let publisher = session("p");
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
            let mut found: Vec<String> = router
                .targets(&message(&name), &publisher)
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
        assert_eq!(router.targets(&message("a/b"), &session).len(), 1);
        for filter in ["a/#", "a/+", "a/b"] {
            router.unsubscribe(filter, &session);
        }
        assert!(router.root.children.is_empty());
    }
}
