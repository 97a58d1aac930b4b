//! Where the database is and how it is reached.

use std::path::PathBuf;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use url::Url;

use crate::StoreError;

/// How a PostgreSQL database is reached.
#[derive(Clone)]
pub struct PostgresSettings {
    /// `postgresql://user@host:port/database?sslmode=verify-full`, as libpq has it (PostgreSQL 15,
    /// section 34.1.1.2).
    pub url: String,
    /// A file that holds the password; read again for each connection, so that it may be changed.
    pub password_file: Option<PathBuf>,
    /// A file with the certificates (PEM) that the server's is signed by; `None`: those of the system.
    pub ca_file: Option<PathBuf>,
    /// Connections of this program at the same time.
    pub connections: usize,
    /// How long work goes on being tried while the database cannot be reached or restarts.
    pub patience: Duration,
}

impl PostgresSettings {
    /// A database at an address: eight connections, tried for 30 seconds.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            password_file: None,
            ca_file: None,
            connections: 8,
            patience: Duration::from_secs(30),
        }
    }

    /// Where the database is, for messages: without user and password.
    ///
    /// # Errors
    /// [`StoreError::Address`] for an address that cannot be used.
    pub fn place(&self) -> Result<String, StoreError> {
        Ok(Address::of(self)?.shown.display().to_string())
    }
}

impl std::fmt::Debug for PostgresSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresSettings")
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

/// How much of TLS is wanted (PostgreSQL 15, table 34.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verify {
    /// No TLS.
    Disable,
    /// TLS, whoever answers.
    Require,
    /// A certificate of the right authority.
    Authority,
    /// And for the right host.
    Full,
}

/// An address as it is understood.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) config: Config,
    pub(super) verify: Verify,
    /// For messages: host and database, without password.
    pub(super) shown: PathBuf,
}

impl Address {
    /// Understands the address of some settings.
    pub(super) fn of(settings: &PostgresSettings) -> Result<Self, StoreError> {
        let refused = |problem: String| StoreError::Address { problem };
        let form = "write postgresql://USER@HOST:PORT/DATABASE?sslmode=verify-full";
        let mut url = Url::parse(&settings.url)
            .map_err(|error| refused(format!("it is no address ({error}); {form}")))?;
        if !["postgresql", "postgres"].contains(&url.scheme()) {
            return Err(refused(format!(
                "it begins with `{}:`; {form}",
                url.scheme()
            )));
        }
        let mode = take_sslmode(&mut url);
        let mut config: Config = url
            .as_str()
            .parse()
            .map_err(|error: tokio_postgres::Error| {
                // The error itself only says that the address is none.
                let source = std::error::Error::source(&error);
                let problem = source.map_or_else(|| error.to_string(), ToString::to_string);
                refused(format!("{problem}; {form}"))
            })?;
        if config.get_hosts().is_empty() {
            return Err(refused(format!("it names no host; {form}")));
        }
        if config.get_dbname().is_none() {
            return Err(refused(format!("it names no database; {form}")));
        }
        let verify = match mode.as_deref() {
            Some("disable") => Verify::Disable,
            Some("require") => Verify::Require,
            Some("verify-ca") => Verify::Authority,
            // Within a machine nothing is to be listened to.
            None if config.get_hosts().iter().all(is_this_machine) => Verify::Disable,
            Some("verify-full") | None => Verify::Full,
            Some(other) => {
                return Err(refused(format!(
                    "its sslmode is `{other}`; write disable, require, verify-ca or verify-full"
                )));
            }
        };
        config.ssl_mode(match verify {
            Verify::Disable => SslMode::Disable,
            _ => SslMode::Require,
        });
        config.application_name("smartem");
        config.connect_timeout(Duration::from_secs(10));
        config.tcp_user_timeout(Duration::from_secs(30));
        Ok(Self {
            shown: shown(&config).into(),
            config,
            verify,
        })
    }
}

/// libpq's modes are more than the client library has, so they are read here.
fn take_sslmode(url: &mut Url) -> Option<String> {
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let mode = pairs.iter().find(|(name, _)| name == "sslmode");
    let mode = mode.map(|(_, value)| value.clone());
    let rest: Vec<_> = pairs.iter().filter(|(name, _)| name != "sslmode").collect();
    url.set_query(None);
    if !rest.is_empty() {
        url.query_pairs_mut().extend_pairs(rest);
    }
    mode
}

fn is_this_machine(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => ["localhost", "127.0.0.1", "::1"].contains(&name.as_str()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

fn shown(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        #[cfg(unix)]
        Some(Host::Unix(path)) => path.display().to_string(),
        None => String::new(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config.get_dbname().unwrap_or_default();
    format!("postgresql://{host}:{port}/{database}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Result<Address, StoreError> {
        Address::of(&PostgresSettings::new(url))
    }

    #[test]
    fn a_host_elsewhere_must_prove_who_it_is_unless_said_otherwise() {
        let verify = |url: &str| address(url).unwrap().verify;
        assert_eq!(verify("postgresql://u@db.example/smartem"), Verify::Full);
        assert_eq!(verify("postgres://u@localhost/smartem"), Verify::Disable);
        assert_eq!(
            verify("postgresql:///smartem?host=/run/postgresql"),
            Verify::Disable
        );
        let required = verify("postgresql://u@db.example/smartem?sslmode=require&keepalives=1");
        assert_eq!(required, Verify::Require);
    }

    #[test]
    fn what_is_wrong_with_an_address_is_told_without_the_password() {
        for (url, told) in [
            ("db.example", "it is no address"),
            ("https://u:secret@db.example/x", "it begins with `https:`"),
            ("postgresql://u:secret@db.example", "names no database"),
            (
                "postgresql://u:secret@db.example/x?sslmode=prefer",
                "`prefer`",
            ),
            ("postgresql://u:secret@db.example/x?colour=red", "colour"),
        ] {
            let error = address(url).err().unwrap().to_string();
            assert!(error.contains(told) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn an_address_is_shown_without_user_and_password() {
        let shown = address("postgresql://u:secret@db.example:6432/smartem")
            .unwrap()
            .shown;
        assert_eq!(shown.to_str(), Some("postgresql://db.example:6432/smartem"));
    }
}
