//! Whether a broker lets us in: asked once, and without a session that stays.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::client::RemoteTls;
use crate::subscription::SubscriptionSettings;
use crate::tls::{self, TlsError};

/// Why a broker does not let us in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReachError {
    /// There is no connection.
    #[error("{0}")]
    Connect(std::io::Error),
    /// The other side is not known by its certificate, or there is no TLS.
    #[error("TLS: {0}")]
    Tls(String),
    /// The files of TLS.
    #[error(transparent)]
    Files(#[from] TlsError),
    /// The password cannot be read.
    #[error("reading the password in {}: {source}", path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// It knows neither user nor password, or does not let them in.
    #[error("the broker refuses the user (code {0})")]
    Denied(u8),
    /// It refuses for another reason.
    #[error("the broker refuses (code {0})")]
    Refused(u8),
    /// What answers is no broker.
    #[error("what answers does not speak MQTT: {0}")]
    NotMqtt(String),
}

/// Connects as MQTT 3.1.1 has it, with a client id of its own, and disconnects; it takes no messages.
///
/// # Errors
/// As [`ReachError`] says. It waits as long as the network does: the caller has the patience.
pub async fn reach(settings: &SubscriptionSettings) -> Result<(), ReachError> {
    let (host, port) = (settings.host.as_str(), settings.port);
    let password = match &settings.password_file {
        None => None,
        Some(path) => {
            let read = std::fs::read_to_string(path);
            Some(read.map_err(|source| ReachError::Password {
                path: path.clone(),
                source,
            })?)
        }
    };
    let connect = connect_packet(settings.user.as_deref(), password.as_deref().map(str::trim));
    let config = match &settings.tls {
        RemoteTls::Off => None,
        RemoteTls::System => Some(system()?),
        RemoteTls::Roots(path) => Some(tls::client_config(path)?),
    };
    let connection = TcpStream::connect((host, port)).await;
    let connection = connection.map_err(ReachError::Connect)?;
    let Some(config) = config else {
        return greet(connection, &connect).await;
    };
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| ReachError::Tls(error.to_string()))?;
    let connector = TlsConnector::from(Arc::new(config));
    let encrypted = connector.connect(name, connection).await;
    let encrypted = encrypted.map_err(|error| ReachError::Tls(error.to_string()))?;
    greet(encrypted, &connect).await
}

/// TLS by the certificates that the system trusts.
fn system() -> Result<ClientConfig, ReachError> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        return Err(ReachError::Tls(
            "this system trusts no certificates; install them (Debian package `ca-certificates`) or set \
             `ca_file`"
                .to_owned(),
        ));
    }
    tls::with_roots(roots).map_err(|error| ReachError::Tls(error.to_string()))
}

/// CONNECT (MQTT 3.1.1, section 3.1) with a clean session.
fn connect_packet(user: Option<&str>, password: Option<&str>) -> Vec<u8> {
    const CLIENT: &str = "smartem-doctor";
    let mut body = Vec::new();
    let text = |body: &mut Vec<u8>, text: &str| {
        // Longer texts than the field can tell are cut; no broker knows such a user.
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        body.extend(length.to_be_bytes());
        body.extend(text.bytes().take(length.into()));
    };
    text(&mut body, "MQTT");
    let user_flag = if user.is_some() { 0x80 } else { 0 };
    let password_flag = match (user, password) {
        (Some(_), Some(_)) => 0x40,
        _ => 0,
    };
    body.extend([4, 0x02 | user_flag | password_flag, 0, 30]);
    text(&mut body, CLIENT);
    if let Some(user) = user {
        text(&mut body, user);
        if let Some(password) = password {
            text(&mut body, password);
        }
    }
    let mut packet = vec![0x10];
    let mut left = body.len();
    loop {
        // Seven bits at a time, the lowest first.
        let low = u8::try_from(left % 128).unwrap_or_default();
        left /= 128;
        packet.push(if left > 0 { low | 0x80 } else { low });
        if left == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

/// Sends CONNECT and judges CONNACK (section 3.2).
async fn greet(
    mut connection: impl AsyncRead + AsyncWrite + Unpin,
    connect: &[u8],
) -> Result<(), ReachError> {
    const DISCONNECT: [u8; 2] = [0xE0, 0];
    let mut answer = [0; 4];
    let spoken = async {
        connection.write_all(connect).await?;
        connection.flush().await?;
        connection.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(())
    };
    spoken
        .await
        .map_err(|error| ReachError::NotMqtt(error.to_string()))?;
    match answer {
        [0x20, 2, _, 0] => {
            // It may be gone already; it let us in.
            let _ = connection.write_all(&DISCONNECT).await;
            Ok(())
        }
        [0x20, 2, _, code @ (4 | 5)] => Err(ReachError::Denied(code)),
        [0x20, 2, _, code] => Err(ReachError::Refused(code)),
        other => Err(ReachError::NotMqtt(format!("it begins with {other:02x?}"))),
    }
}
