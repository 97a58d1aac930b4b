//! What all our connections to brokers of others have in common.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rumqttc::{MqttOptions, Transport};
use tokio_util::sync::CancellationToken;

use crate::tls::{self, TlsError};

/// Whether a connection is encrypted, and by what the other side is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemoteTls {
    /// Not encrypted.
    Off,
    /// By the certificates that the system trusts.
    System,
    /// By the certificates in this file (PEM).
    Roots(PathBuf),
}

/// Why no connection to another broker is begun.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The filters cannot be subscribed to.
    #[error("`{filter}` is no topic filter: `+` and `#` stand alone in their level, `#` last")]
    NoFilter {
        /// The filter.
        filter: String,
    },
    /// No filters.
    #[error("there are no topics to subscribe to")]
    NoTopics,
    /// No client id.
    #[error("a client id is needed: the broker keeps messages under it")]
    NoClientId,
    /// A password without a user.
    #[error("a password needs a user")]
    NoUser,
    /// The file with the password cannot be read.
    #[error("{path}: {source}")]
    Password {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file with the certificates cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The certificates of the system cannot be used.
    #[error("the certificates that the system trusts: {problem}")]
    SystemTls {
        /// Why not.
        problem: String,
    },
}

/// Where a broker is, and how it is logged in to.
pub(crate) struct Server<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) tls: &'a RemoteTls,
    pub(crate) user: Option<&'a str>,
    pub(crate) password_file: Option<&'a Path>,
    pub(crate) client_id: &'a str,
    pub(crate) keep_alive_s: u16,
    pub(crate) max_packet_bytes: u32,
}

impl Server<'_> {
    /// Whether this can work, as far as it can be told without a connection.
    pub(crate) fn check(&self) -> Result<(), ConnectError> {
        if self.client_id.is_empty() {
            return Err(ConnectError::NoClientId);
        }
        if self.password_file.is_some() && self.user.is_none() {
            return Err(ConnectError::NoUser);
        }
        self.password()?;
        if let RemoteTls::Roots(path) = self.tls {
            tls::client_config(path)?;
        }
        Ok(())
    }

    /// The password, if there is to be one.
    fn password(&self) -> Result<Option<String>, ConnectError> {
        let Some(path) = self.password_file else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(path).map_err(|source| ConnectError::Password {
            path: path.to_owned(),
            source,
        })?;
        Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// What the library needs; files are read anew.
    pub(crate) fn options(&self) -> Result<MqttOptions, ConnectError> {
        let mut options = MqttOptions::new(self.client_id, (self.host, self.port));
        let max_packet = usize::try_from(self.max_packet_bytes).unwrap_or(usize::MAX);
        options
            .set_keep_alive(self.keep_alive_s.max(1))
            .set_max_packet_size(max_packet, max_packet);
        match (self.user, self.password()?) {
            (Some(user), Some(password)) => {
                options.set_credentials(user, password);
            }
            (Some(user), None) => {
                options.set_username(user);
            }
            (None, _) => {}
        }
        match self.tls {
            RemoteTls::Off => {}
            RemoteTls::System => {
                let transport = Transport::try_tls_with_default_config().map_err(|problem| {
                    ConnectError::SystemTls {
                        problem: problem.to_string(),
                    }
                })?;
                options.set_transport(transport);
            }
            RemoteTls::Roots(path) => {
                let config = tls::client_config(path)?;
                options.set_transport(Transport::tls_with_config(config.into()));
            }
        }
        Ok(options)
    }
}

/// How a connection ended.
pub(crate) enum Ended {
    Stopped,
    Broken {
        problem: String,
        was_connected: bool,
    },
}

/// Connects again and again, with pauses that grow while it does not succeed.
pub(crate) struct Again<'a> {
    pub(crate) server: (&'a str, u16),
    pub(crate) backoff: (Duration, Duration),
    pub(crate) connected: &'a AtomicBool,
    pub(crate) stop: &'a CancellationToken,
    pub(crate) kill: &'a CancellationToken,
}

impl Again<'_> {
    /// Until it is stopped.
    pub(crate) async fn and_again<F>(&self, mut connect: impl FnMut() -> F)
    where
        F: Future<Output = Ended>,
    {
        let (shortest, longest) = self.backoff;
        let mut pause = shortest;
        loop {
            let ended = self.kill.run_until_cancelled(connect()).await;
            self.connected.store(false, Ordering::Relaxed);
            let server = self.server;
            match ended {
                None | Some(Ended::Stopped) => return,
                Some(Ended::Broken {
                    problem,
                    was_connected,
                }) => {
                    if was_connected {
                        pause = shortest;
                    }
                    tracing::warn!(?server, %problem, pause_s = pause.as_secs_f64(), "MQTT connection");
                }
            }
            // Not all clients of a broker come back at the same instant.
            let jitter = pause.mul_f64(rand::random_range(0.0..0.25));
            let wait = tokio::time::sleep(pause + jitter);
            tokio::select! {
                () = wait => {}
                () = self.stop.cancelled() => return,
                () = self.kill.cancelled() => return,
            }
            pause = (pause * 2).min(longest);
        }
    }
}

/// A task that ends with who has this.
pub(crate) struct AbortOnDrop(pub(crate) tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
