//! Between the packets of the codec and those of the broker.

use std::num::{NonZeroU16, NonZeroU32};

use bytestring::ByteString;
use rmqtt_codec::types::{Publish, QoS as Level};
use rmqtt_codec::{v3, v5};

use super::{Connect, Granted, Inbound, Retained, Wish, qos};
use crate::incoming::QoS;

pub(super) fn connect_v3(it: v3::Connect) -> Connect {
    Connect {
        client_id: it.client_id,
        clean: it.clean_session,
        keep_alive_s: it.keep_alive,
        expiry_s: it.clean_session.then_some(0),
        user: it.username,
        password: it.password,
        will: it
            .last_will
            .map(|it| will(it.topic, it.message, it.qos, it.retain)),
        receive_max: u16::MAX,
        max_packet: None,
    }
}

pub(super) fn connect_v5(it: v5::Connect) -> Connect {
    Connect {
        client_id: it.client_id,
        clean: it.clean_start,
        keep_alive_s: it.keep_alive,
        expiry_s: Some(it.session_expiry_interval_secs),
        user: it.username,
        password: it.password,
        will: it
            .last_will
            .map(|it| will(it.topic, it.message, it.qos, it.retain)),
        receive_max: it.receive_max.map_or(u16::MAX, NonZeroU16::get),
        max_packet: it.max_packet_size.map(NonZeroU32::get),
    }
}

fn will(topic: ByteString, payload: bytes::Bytes, qos: Level, retain: bool) -> Publish {
    Publish {
        dup: false,
        retain,
        qos,
        topic,
        packet_id: None,
        payload,
        properties: None,
    }
}

pub(super) fn inbound_v3(packet: v3::Packet) -> Inbound {
    match packet {
        v3::Packet::Publish(it) => Inbound::Publish(it),
        v3::Packet::PublishAck { packet_id } => Inbound::Acknowledged(packet_id),
        v3::Packet::PublishRelease { packet_id } => Inbound::Released(packet_id),
        v3::Packet::Subscribe {
            packet_id,
            topic_filters,
        } => {
            let wish = |level| Wish {
                qos: qos(level),
                not_own: false,
                retain_as_published: false,
                retained: Retained::Always,
            };
            let filters = topic_filters
                .into_iter()
                .map(|(filter, level)| (filter, wish(level)));
            Inbound::Subscribe(packet_id, None, filters.collect())
        }
        v3::Packet::Unsubscribe {
            packet_id,
            topic_filters,
        } => Inbound::Unsubscribe(packet_id, topic_filters),
        v3::Packet::PingRequest => Inbound::Ping,
        v3::Packet::Disconnect => Inbound::Disconnect {
            with_will: false,
            expiry_s: None,
        },
        _ => Inbound::Unexpected,
    }
}

pub(super) fn inbound_v5(packet: v5::Packet) -> Inbound {
    match packet {
        v5::Packet::Publish(it) => Inbound::Publish(it),
        v5::Packet::PublishAck(it) => Inbound::Acknowledged(it.packet_id),
        v5::Packet::PublishRelease(it) => Inbound::Released(it.packet_id),
        v5::Packet::Subscribe(it) => {
            let wish = |options: v5::SubscriptionOptions| Wish {
                qos: qos(options.qos),
                not_own: options.no_local,
                retain_as_published: options.retain_as_published,
                retained: match options.retain_handling {
                    v5::RetainHandling::AtSubscribe => Retained::Always,
                    v5::RetainHandling::AtSubscribeNew => Retained::IfNew,
                    v5::RetainHandling::NoAtSubscribe => Retained::Never,
                },
            };
            let filters = it.topic_filters.into_iter();
            let filters = filters.map(|(filter, options)| (filter, wish(options)));
            Inbound::Subscribe(it.packet_id, it.id, filters.collect())
        }
        v5::Packet::Unsubscribe(it) => Inbound::Unsubscribe(it.packet_id, it.topic_filters),
        v5::Packet::PingRequest => Inbound::Ping,
        v5::Packet::Disconnect(it) => Inbound::Disconnect {
            with_will: it.reason_code != v5::DisconnectReasonCode::NormalDisconnection,
            expiry_s: it.session_expiry_interval_secs,
        },
        _ => Inbound::Unexpected,
    }
}

pub(super) fn granted_v3(granted: Granted) -> v3::SubscribeReturnCode {
    match granted {
        Granted::Yes(QoS::AtMostOnce) => v3::SubscribeReturnCode::Success(Level::AtMostOnce),
        Granted::Yes(_) => v3::SubscribeReturnCode::Success(Level::AtLeastOnce),
        _ => v3::SubscribeReturnCode::Failure,
    }
}

pub(super) fn granted_v5(granted: Granted) -> v5::SubscribeAckReason {
    use v5::SubscribeAckReason as Reason;
    match granted {
        Granted::Yes(QoS::AtMostOnce) => Reason::GrantedQos0,
        Granted::Yes(_) => Reason::GrantedQos1,
        Granted::NotAuthorized => Reason::NotAuthorized,
        Granted::Invalid => Reason::TopicFilterInvalid,
        Granted::Shared => Reason::SharedSubscriptionNotSupported,
        Granted::TooMany => Reason::QuotaExceeded,
    }
}
