//! Packets of MQTT 3.1.1 and 5 in one form.

mod convert;

use std::num::{NonZeroU16, NonZeroU32};

use bytes::BytesMut;
use bytestring::ByteString;
use rmqtt_codec::error::{DecodeError, EncodeError};
use rmqtt_codec::types::{Publish, QoS as Level};
use rmqtt_codec::version::{ProtocolVersion, VersionCodec};
use rmqtt_codec::{v3, v5};
use tokio_util::codec::{Decoder as _, Encoder as _};

use self::convert::{connect_v3, connect_v5, granted_v3, granted_v5, inbound_v3, inbound_v5};
use super::authority::LoginRefused;
use crate::incoming::{Outcome, QoS, Refused};

/// The codec of one connection.
pub(super) enum Codec {
    V3(v3::Codec),
    V5(v5::Codec),
}

/// What a client asks for when it connects.
pub(super) struct Connect {
    pub(super) client_id: ByteString,
    pub(super) clean: bool,
    pub(super) keep_alive_s: u16,
    /// How long the session outlives the connection; `None`: as the broker likes.
    pub(super) expiry_s: Option<u32>,
    pub(super) user: Option<ByteString>,
    pub(super) password: Option<bytes::Bytes>,
    pub(super) will: Option<Publish>,
    /// So many messages of QoS 1 it takes at once.
    pub(super) receive_max: u16,
    /// The largest packet that it takes, in bytes.
    pub(super) max_packet: Option<u32>,
}

/// What a client asks for later.
pub(super) enum Inbound {
    Publish(Box<Publish>),
    /// PUBACK for a message that we sent.
    Acknowledged(NonZeroU16),
    /// PUBREL
    Released(NonZeroU16),
    Subscribe(NonZeroU16, Option<NonZeroU32>, Vec<(ByteString, Wish)>),
    Unsubscribe(NonZeroU16, Vec<ByteString>),
    Ping,
    Disconnect {
        with_will: bool,
        expiry_s: Option<u32>,
    },
    /// What a client never sends, or not at this time.
    Unexpected,
}

/// How a client wants to be told of what a filter takes.
#[derive(Clone, Copy)]
pub(super) struct Wish {
    pub(super) qos: QoS,
    pub(super) not_own: bool,
    pub(super) retain_as_published: bool,
    pub(super) retained: Retained,
}

/// When a client wants the retained messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Retained {
    Always,
    IfNew,
    Never,
}

/// The answer to a filter.
#[derive(Clone, Copy)]
pub(super) enum Granted {
    Yes(QoS),
    NotAuthorized,
    Invalid,
    Shared,
    TooMany,
}

/// Why we end a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    Protocol,
    Malformed,
    TooLarge,
    Topic,
    TakenOver,
    KeepAlive,
    Stopping,
    NotTaken,
}

/// What the broker says when a client is in.
pub(super) struct Welcome {
    pub(super) session_present: bool,
    pub(super) assigned_id: Option<ByteString>,
    pub(super) keep_alive_s: Option<u16>,
    pub(super) expiry_s: u32,
    pub(super) receive_max: NonZeroU16,
    pub(super) max_packet: u32,
}

pub(super) fn qos(level: Level) -> QoS {
    match level {
        Level::AtMostOnce => QoS::AtMostOnce,
        Level::AtLeastOnce => QoS::AtLeastOnce,
        Level::ExactlyOnce => QoS::ExactlyOnce,
    }
}

impl Codec {
    /// The codec of the version that the first bytes name, once they are there.
    pub(super) fn detect(
        buffer: &mut BytesMut,
        max_packet: u32,
    ) -> Result<Option<Self>, DecodeError> {
        let version = VersionCodec.decode(buffer)?;
        Ok(version.map(|version| match version {
            ProtocolVersion::MQTT3 => Self::V3(v3::Codec::new(max_packet)),
            ProtocolVersion::MQTT5 => Self::V5(v5::Codec::new(max_packet, 0)),
        }))
    }

    /// The first packet; anything but CONNECT is an error.
    pub(super) fn connect(
        &mut self,
        buffer: &mut BytesMut,
    ) -> Result<Option<Connect>, DecodeError> {
        match self {
            Self::V3(codec) => match codec.decode(buffer)? {
                None => Ok(None),
                Some((v3::Packet::Connect(it), _)) => Ok(Some(connect_v3(*it))),
                Some(_) => Err(DecodeError::UnsupportedPacketType),
            },
            Self::V5(codec) => match codec.decode(buffer)? {
                None => Ok(None),
                Some((v5::Packet::Connect(it), _)) => Ok(Some(connect_v5(*it))),
                Some(_) => Err(DecodeError::UnsupportedPacketType),
            },
        }
    }

    /// The next packet that is whole.
    pub(super) fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Inbound>, DecodeError> {
        Ok(match self {
            Self::V3(codec) => codec.decode(buffer)?.map(|(it, _)| inbound_v3(it)),
            Self::V5(codec) => codec.decode(buffer)?.map(|(it, _)| inbound_v5(it)),
        })
    }

    pub(super) fn is_v5(&self) -> bool {
        matches!(self, Self::V5(_))
    }

    fn encode(
        &mut self,
        out: &mut BytesMut,
        v3: impl FnOnce() -> Option<v3::Packet>,
        v5: impl FnOnce() -> v5::Packet,
    ) -> Result<(), EncodeError> {
        match self {
            Self::V3(codec) => v3().map_or(Ok(()), |packet| codec.encode(packet, out)),
            Self::V5(codec) => codec.encode(v5(), out),
        }
    }

    pub(super) fn welcome(
        &mut self,
        welcome: Welcome,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        let session_present = welcome.session_present;
        self.encode(
            out,
            || {
                Some(v3::Packet::ConnectAck(v3::ConnectAck {
                    return_code: v3::ConnectAckReason::ConnectionAccepted,
                    session_present,
                }))
            },
            || {
                v5::Packet::ConnectAck(Box::new(v5::ConnectAck {
                    session_present,
                    session_expiry_interval_secs: Some(welcome.expiry_s),
                    receive_max: welcome.receive_max,
                    max_packet_size: Some(welcome.max_packet),
                    assigned_client_id: welcome.assigned_id,
                    server_keepalive_sec: welcome.keep_alive_s,
                    shared_subscription_available: false,
                    ..v5::ConnectAck::default()
                }))
            },
        )
    }

    pub(super) fn refuse_login(
        &mut self,
        why: LoginRefused,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        use {v3::ConnectAckReason as Reason3, v5::ConnectAckReason as Reason5};
        let (return_code, reason_code) = match why {
            LoginRefused::BadCredentials => (
                Reason3::BadUserNameOrPassword,
                Reason5::BadUserNameOrPassword,
            ),
            LoginRefused::NotAuthorized => (Reason3::NotAuthorized, Reason5::NotAuthorized),
            LoginRefused::Unavailable => (Reason3::ServiceUnavailable, Reason5::ServerUnavailable),
        };
        self.encode(
            out,
            || {
                Some(v3::Packet::ConnectAck(v3::ConnectAck {
                    return_code,
                    session_present: false,
                }))
            },
            || {
                v5::Packet::ConnectAck(Box::new(v5::ConnectAck {
                    reason_code,
                    ..v5::ConnectAck::default()
                }))
            },
        )
    }

    /// PUBACK or PUBREC: a message has arrived.
    pub(super) fn arrived(
        &mut self,
        packet_id: NonZeroU16,
        qos: QoS,
        outcome: Outcome,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        let reason_code = match outcome {
            Outcome::Durable => v5::PublishAckReason::Success,
            Outcome::Refused(Refused::Payload) => v5::PublishAckReason::PayloadFormatInvalid,
            Outcome::Refused(Refused::NotAuthorized) => v5::PublishAckReason::NotAuthorized,
            Outcome::Lost => v5::PublishAckReason::UnspecifiedError,
        };
        let ack = v5::PublishAck {
            packet_id,
            reason_code,
            ..v5::PublishAck::default()
        };
        match qos {
            QoS::ExactlyOnce => self.encode(
                out,
                || Some(v3::Packet::PublishReceived { packet_id }),
                || v5::Packet::PublishReceived(ack),
            ),
            _ => self.encode(
                out,
                || Some(v3::Packet::PublishAck { packet_id }),
                || v5::Packet::PublishAck(ack),
            ),
        }
    }

    /// PUBCOMP
    pub(super) fn complete(
        &mut self,
        packet_id: NonZeroU16,
        known: bool,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        let reason_code = if known {
            v5::PublishAck2Reason::Success
        } else {
            v5::PublishAck2Reason::PacketIdNotFound
        };
        self.encode(
            out,
            || Some(v3::Packet::PublishComplete { packet_id }),
            || {
                v5::Packet::PublishComplete(v5::PublishAck2 {
                    packet_id,
                    reason_code,
                    properties: Vec::new(),
                    reason_string: None,
                })
            },
        )
    }

    pub(super) fn publish(
        &mut self,
        publish: Publish,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        match self {
            Self::V3(codec) => codec.encode(v3::Packet::Publish(Box::new(publish)), out),
            Self::V5(codec) => codec.encode(v5::Packet::Publish(Box::new(publish)), out),
        }
    }

    pub(super) fn subscribed(
        &mut self,
        packet_id: NonZeroU16,
        answers: &[Granted],
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        self.encode(
            out,
            || {
                let status = answers.iter().map(|it| granted_v3(*it)).collect();
                Some(v3::Packet::SubscribeAck { packet_id, status })
            },
            || {
                v5::Packet::SubscribeAck(v5::SubscribeAck {
                    packet_id,
                    properties: Vec::new(),
                    reason_string: None,
                    status: answers.iter().map(|it| granted_v5(*it)).collect(),
                })
            },
        )
    }

    pub(super) fn unsubscribed(
        &mut self,
        packet_id: NonZeroU16,
        existed: &[bool],
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        let status = |it: &bool| {
            if *it {
                v5::UnsubscribeAckReason::Success
            } else {
                v5::UnsubscribeAckReason::NoSubscriptionExisted
            }
        };
        self.encode(
            out,
            || Some(v3::Packet::UnsubscribeAck { packet_id }),
            || {
                v5::Packet::UnsubscribeAck(v5::UnsubscribeAck {
                    packet_id,
                    properties: Vec::new(),
                    reason_string: None,
                    status: existed.iter().map(status).collect(),
                })
            },
        )
    }

    pub(super) fn pong(&mut self, out: &mut BytesMut) -> Result<(), EncodeError> {
        self.encode(
            out,
            || Some(v3::Packet::PingResponse),
            || v5::Packet::PingResponse,
        )
    }

    /// DISCONNECT with the reason; MQTT 3.1.1 has none from a broker.
    pub(super) fn disconnect(
        &mut self,
        why: Ending,
        out: &mut BytesMut,
    ) -> Result<(), EncodeError> {
        use v5::DisconnectReasonCode as Code;
        let code = match why {
            Ending::Protocol => Code::ProtocolError,
            Ending::Malformed => Code::MalformedPacket,
            Ending::TooLarge => Code::PacketTooLarge,
            Ending::Topic => Code::TopicNameInvalid,
            Ending::TakenOver => Code::SessionTakenOver,
            Ending::KeepAlive => Code::KeepAliveTimeout,
            Ending::Stopping => Code::ServerShuttingDown,
            Ending::NotTaken => Code::ServerBusy,
        };
        self.encode(
            out,
            || None,
            || v5::Packet::Disconnect(v5::Disconnect::new(code)),
        )
    }
}

/// Why the bytes of a client are no packets, in the words of a disconnection.
pub(super) fn ending(error: &DecodeError) -> Ending {
    match error {
        DecodeError::MaxSizeExceeded { .. } => Ending::TooLarge,
        DecodeError::UnsupportedPacketType => Ending::Protocol,
        _ => Ending::Malformed,
    }
}
