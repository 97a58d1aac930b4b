//! One connection to the other broker. Each begins anew, so that an acknowledgement never meets a
//! message of another connection with the same number.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytestring::ByteString;
use rumqttc::mqttbytes::v4::PubAck;
use rumqttc::{
    AckMode, AsyncClient, Event, ManualAck, Packet, Publish, SubscribeFilter, SubscribeReasonCode,
};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::client::{AbortOnDrop, Ended};
use crate::incoming::{Answer, Incoming, Outcome, QoS, Receipt, Topic};

/// So long messages that were taken in may become durable when the subscription stops.
const FINISH: Duration = Duration::from_secs(5);
/// So long the last packet may take.
const GOODBYE: Duration = Duration::from_secs(1);
/// So many acknowledgements wait for the connection.
const REQUESTS: usize = 1_000;

/// Connects, subscribes, and hands on what comes until the end.
pub(super) async fn connect(shared: &Shared) -> Ended {
    let mut was_connected = false;
    match exchange(shared, &mut was_connected).await {
        Ok(()) => Ended::Stopped,
        Err(problem) => Ended::Broken {
            problem,
            was_connected,
        },
    }
}

async fn exchange(shared: &Shared, was_connected: &mut bool) -> Result<(), String> {
    let options = shared.settings.server().options();
    let mut options = options.map_err(|problem| problem.to_string())?;
    options
        .set_ack_mode(AckMode::Manual)
        .set_clean_session(false)
        .set_request_channel_capacity(REQUESTS);
    let (client, mut events) = AsyncClient::builder(options)
        .capacity(REQUESTS)
        .try_build()
        .map_err(|problem| problem.to_string())?;
    let (answer, answers) = mpsc::unbounded_channel();
    let unanswered = Arc::new(AtomicUsize::new(0));
    let lost = CancellationToken::new();
    let acknowledging = acknowledge(client.clone(), answers, unanswered.clone(), lost.clone());
    let acknowledging = tokio::spawn(acknowledging);
    let _ends_with_us = AbortOnDrop(acknowledging.abort_handle());
    let mut finish: Option<Instant> = None;
    loop {
        if finish.is_some() && unanswered.load(Ordering::Acquire) == 0 {
            break;
        }
        let deadline = finish.unwrap_or_else(|| Instant::now() + FINISH);
        let event = tokio::select! {
            event = events.poll() => event.map_err(|problem| problem.to_string())?,
            () = shared.stop.cancelled(), if finish.is_none() => {
                if !*was_connected {
                    return Ok(());
                }
                finish = Some(Instant::now() + FINISH);
                continue;
            }
            () = lost.cancelled() => return Err("a message was not taken".to_owned()),
            () = sleep_until(deadline), if finish.is_some() => break,
        };
        match event {
            Event::Incoming(Packet::ConnAck(_)) => subscribe(shared, &client).await?,
            Event::Incoming(Packet::SubAck(ack)) => {
                check_granted(shared, &ack.return_codes)?;
                *was_connected = true;
                shared.connected.store(true, Ordering::Relaxed);
            }
            // What comes after the end stays with the broker.
            Event::Incoming(Packet::Publish(publish)) if finish.is_none() => {
                let message = incoming(shared, publish, &answer, &unanswered);
                let Some(message) = message else { continue };
                shared.received.fetch_add(1, Ordering::Relaxed);
                if shared.sink.send(vec![message]).await.is_err() {
                    return Err("nobody takes the messages".to_owned());
                }
            }
            _ => {}
        }
    }
    let goodbye = async {
        client.disconnect().await.map_err(|it| it.to_string())?;
        while events.poll().await.is_ok() {}
        Ok::<(), String>(())
    };
    // Without a goodbye the broker notices by itself.
    let _ = timeout(GOODBYE, goodbye).await;
    Ok(())
}

/// Subscribes, also in a session that the broker kept: its subscriptions may be of other settings.
async fn subscribe(shared: &Shared, client: &AsyncClient) -> Result<(), String> {
    let qos = match shared.settings.qos {
        QoS::AtMostOnce => rumqttc::QoS::AtMostOnce,
        QoS::AtLeastOnce | QoS::ExactlyOnce => rumqttc::QoS::AtLeastOnce,
    };
    let filters = shared.settings.topics.iter();
    let filters = filters.map(|filter| SubscribeFilter::new(filter.clone(), qos));
    let filters: Vec<SubscribeFilter> = filters.collect();
    let sent = client.subscribe_many(filters).await;
    sent.map_err(|problem| problem.to_string())
}

fn check_granted(shared: &Shared, codes: &[SubscribeReasonCode]) -> Result<(), String> {
    let refused: Vec<&str> = shared
        .settings
        .topics
        .iter()
        .zip(codes)
        .filter(|(_, code)| matches!(code, SubscribeReasonCode::Failure))
        .map(|(filter, _)| filter.as_str())
        .collect();
    if refused.is_empty() {
        Ok(())
    } else {
        Err(format!(
            "the broker refuses the subscription to `{}`; the user needs the right to read it",
            refused.join("`, `")
        ))
    }
}

fn incoming(
    shared: &Shared,
    publish: Publish,
    answer: &mpsc::UnboundedSender<Answer>,
    unanswered: &AtomicUsize,
) -> Option<Incoming> {
    // A broker that sends no UTF-8 breaks the protocol; such a message is left with it.
    let topic = Topic(ByteString::try_from(publish.topic).ok()?);
    let (qos, id) = match (publish.qos, NonZeroU16::new(publish.pkid)) {
        (rumqttc::QoS::AtLeastOnce, Some(id)) => (QoS::AtLeastOnce, Some(id)),
        (rumqttc::QoS::ExactlyOnce, Some(id)) => (QoS::ExactlyOnce, Some(id)),
        _ => (QoS::AtMostOnce, None),
    };
    let receipt = id.map(|id| {
        unanswered.fetch_add(1, Ordering::AcqRel);
        Receipt::new(id, qos, answer.clone())
    });
    Some(Incoming {
        topic,
        payload: publish.payload,
        qos,
        again: publish.dup,
        kept: publish.retain,
        client: shared.settings.client_id.as_str().into(),
        user: None,
        receipt,
    })
}

async fn acknowledge(
    client: AsyncClient,
    mut answers: mpsc::UnboundedReceiver<Answer>,
    unanswered: Arc<AtomicUsize>,
    lost: CancellationToken,
) {
    while let Some(answer) = answers.recv().await {
        if matches!(answer.outcome, Outcome::Lost) {
            lost.cancel();
            return;
        }
        let ack = match answer.qos {
            QoS::ExactlyOnce => {
                ManualAck::PubRec(rumqttc::mqttbytes::v4::PubRec::new(answer.id.get()))
            }
            _ => ManualAck::PubAck(PubAck::new(answer.id.get())),
        };
        if client.manual_ack(ack).await.is_err() {
            return;
        }
        unanswered.fetch_sub(1, Ordering::AcqRel);
    }
}
