//! One connection to the other broker, with a session of its own: what is not acknowledged is ours to
//! send again.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, Packet, PublishNotice, PublishOptions};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::client::{AbortOnDrop, Ended};

/// So long the last packet may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Connects and publishes what is in the queue until the end.
pub(super) async fn connect(shared: &Arc<Shared>) -> Ended {
    let mut was_connected = false;
    match exchange(shared, &mut was_connected).await {
        Ok(()) => Ended::Stopped,
        Err(problem) => Ended::Broken {
            problem,
            was_connected,
        },
    }
}

async fn exchange(shared: &Arc<Shared>, was_connected: &mut bool) -> Result<(), String> {
    let options = shared.settings.server().options();
    let mut options = options.map_err(|problem| problem.to_string())?;
    let window = shared.settings.max_inflight.max(1);
    options.set_clean_session(true).set_inflight(window);
    let (client, mut events) = AsyncClient::builder(options)
        .capacity(usize::from(window))
        .try_build()
        .map_err(|problem| problem.to_string())?;
    let lost = CancellationToken::new();
    let mut _publishing = None;
    loop {
        let event = tokio::select! {
            event = events.poll() => event.map_err(|problem| problem.to_string())?,
            () = lost.cancelled() => return Err("a message got lost on its way".to_owned()),
            () = shared.stop.cancelled() => break,
        };
        if let Event::Incoming(Packet::ConnAck(_)) = event {
            *was_connected = true;
            shared.connected.store(true, Ordering::Relaxed);
            let task = tokio::spawn(publish(shared.clone(), client.clone(), lost.clone()));
            _publishing = Some(AbortOnDrop(task.abort_handle()));
        }
    }
    if *was_connected {
        let goodbye = async {
            client.disconnect().await.map_err(|it| it.to_string())?;
            while events.poll().await.is_ok() {}
            Ok::<(), String>(())
        };
        // Without a goodbye the broker notices by itself.
        let _ = timeout(GOODBYE, goodbye).await;
    }
    Ok(())
}

type Notices = VecDeque<Pin<Box<dyn Future<Output = bool> + Send>>>;

/// Publishes the messages of the queue in their order, some of them at a time.
async fn publish(shared: Arc<Shared>, client: AsyncClient, lost: CancellationToken) {
    let window = usize::from(shared.settings.max_inflight.max(1));
    let mut notices = Notices::new();
    loop {
        while notices.len() < window
            && let Some(message) = shared.queue.at(notices.len())
        {
            let options = PublishOptions::new(rumqttc::QoS::AtLeastOnce).retain(message.retain);
            let (topic, payload) = (message.topic.to_string(), message.payload);
            match client.publish_tracked(topic, payload, options).await {
                Ok(notice) => notices.push_back(Box::pin(is_acknowledged(notice))),
                Err(_) => return lost.cancel(),
            }
        }
        tokio::select! {
            acknowledged = oldest(&mut notices) => {
                if !acknowledged {
                    return lost.cancel();
                }
                notices.pop_front();
                shared.queue.pop();
            }
            () = shared.queue.wake.notified(), if notices.len() < window => {}
        }
    }
}

async fn is_acknowledged(notice: PublishNotice) -> bool {
    notice.wait_completion_async().await.is_ok()
}

/// Whether the oldest message was acknowledged, once that is known. Where later ones are before it, they
/// wait: brokers acknowledge in order (MQTT 3.1.1, 4.6).
async fn oldest(notices: &mut Notices) -> bool {
    match notices.front_mut() {
        Some(notice) => notice.await,
        None => std::future::pending().await,
    }
}
