//! A real InfluxDB 1.x for tests: Debian's `influxd` in a folder and on ports of its own.
//!
//! What a simulator of InfluxDB would have to guess (its query language, its errors, when it writes
//! some points of a request and refuses others), the real one knows.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Name and password of the administrator, where authentication is on.
pub const ADMIN: (&str, &str) = ("admin", "admin's own");

/// So long a start may take.
const START: Duration = Duration::from_secs(30);

/// Runs influxd as long as its own input is open: that ends with the program that started it, even
/// when that is killed. Then it stops influxd and deletes the folder.
const KEEPER: &str = r#"
command -v influxd >/dev/null || exit 127
exec 3<&0
influxd -config "$1" 3<&- &
influxd=$!
{ cat <&3 >/dev/null; kill -9 "$influxd"; rm -rf "$2"; } 2>/dev/null &
wait "$influxd"
"#;

/// The status by which a shell says that there is no such program.
const MISSING: i32 = 127;

/// A running `influxd`; stopped, and its folder deleted, when dropped.
pub struct Influxd {
    process: Child,
    folder: PathBuf,
    address: SocketAddr,
    rpc: SocketAddr,
    admin: Option<(&'static str, &'static str)>,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum InfluxdError {
    /// The program is not installed.
    #[error("`influxd` is not installed (Debian package `influxdb`)")]
    Missing,
    /// It did not start, or does not answer.
    #[error("influxd: {0}")]
    Failed(String),
    /// A file or connection failed.
    #[error("influxd: {0}")]
    Io(#[from] io::Error),
}

/// An answer: status and body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

impl Influxd {
    /// Starts one without authentication.
    pub fn start() -> Result<Self, InfluxdError> {
        Self::start_with(false)
    }

    /// Starts one with authentication on; [`ADMIN`] may do everything.
    pub fn start_with_authentication() -> Result<Self, InfluxdError> {
        let mut influxd = Self::start_with(true)?;
        let (name, password) = ADMIN;
        let password = password.replace('\'', "\\'");
        influxd.execute(&format!(
            "CREATE USER \"{name}\" WITH PASSWORD '{password}' WITH ALL PRIVILEGES"
        ))?;
        influxd.admin = Some(ADMIN);
        Ok(influxd)
    }

    /// Starts one, without authentication, on the `meta`, `data` and `wal` of a folder that stays.
    pub fn start_in(folder: &Path) -> Result<Self, InfluxdError> {
        Self::retry(|| Self::try_start(false, Some(folder)))
    }

    fn start_with(authentication: bool) -> Result<Self, InfluxdError> {
        Self::retry(|| Self::try_start(authentication, None))
    }

    /// A free port may be taken by another before influxd has it.
    fn retry(start: impl Fn() -> Result<Self, InfluxdError>) -> Result<Self, InfluxdError> {
        let mut attempts = 0;
        loop {
            attempts += 1;
            match start() {
                Err(InfluxdError::Failed(_)) if attempts < 3 => {}
                result => return result,
            }
        }
    }

    fn try_start(authentication: bool, data: Option<&Path>) -> Result<Self, InfluxdError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("smartem-influxd-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder)?;
        let (http, rpc) = (free_address()?, free_address()?);
        let config = folder.join("influxdb.conf");
        std::fs::write(
            &config,
            configuration(data.unwrap_or(&folder), http, rpc, authentication),
        )?;
        let process = Command::new("sh")
            .args(["-c", KEEPER, "influxd"])
            .arg(&config)
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("log"))?)
            .spawn()?;
        let mut influxd = Self {
            process,
            folder,
            address: http,
            rpc,
            admin: None,
        };
        influxd.wait_until_ready()?;
        Ok(influxd)
    }

    fn wait_until_ready(&mut self) -> Result<(), InfluxdError> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait()? {
                if status.code() == Some(MISSING) {
                    return Err(InfluxdError::Missing);
                }
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                return Err(InfluxdError::Failed(format!("ended with {status}: {log}")));
            }
            if matches!(
                self.request("GET", "/ping", ""),
                Ok(Answer { status: 204, .. })
            ) {
                return Ok(());
            }
            if begin.elapsed() > START {
                return Err(InfluxdError::Failed("does not answer".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// The base address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it takes backups.
    pub fn rpc(&self) -> SocketAddr {
        self.rpc
    }

    /// Runs a statement as the administrator; the JSON of its results.
    ///
    /// # Errors
    /// When the statement is refused or fails.
    pub fn execute(&self, statement: &str) -> Result<String, InfluxdError> {
        let body = format!("epoch=ns&q={}", encoded(statement));
        let answer = self.request("POST", &format!("/query?{}", self.user()), &body)?;
        if answer.status == 200 && !answer.body.contains(r#""error":"#) {
            Ok(answer.body)
        } else {
            Err(InfluxdError::Failed(format!(
                "{statement}: {}",
                answer.body
            )))
        }
    }

    /// Writes lines to a database as the administrator; the answer, whatever it is.
    pub fn write(&self, database: &str, lines: &str) -> Result<Answer, InfluxdError> {
        let place = format!("/write?db={}&{}", encoded(database), self.user());
        Ok(self.request("POST", &place, lines)?)
    }

    fn user(&self) -> String {
        self.admin.map_or_else(String::new, |(name, password)| {
            format!("u={}&p={}", encoded(name), encoded(password))
        })
    }

    /// One request on a connection of its own, without the parts of HTTP/1.1 that would need a
    /// client library.
    fn request(&self, method: &str, place: &str, body: &str) -> io::Result<Answer> {
        let mut connection = TcpStream::connect_timeout(&self.address, Duration::from_secs(5))?;
        connection.set_read_timeout(Some(Duration::from_secs(60)))?;
        write!(
            connection,
            "{method} {place} HTTP/1.0\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        let parsed = answer.split_once("\r\n\r\n").and_then(|(head, body)| {
            let status = head.split(' ').nth(1)?.parse().ok()?;
            Some(Answer {
                status,
                body: body.to_owned(),
            })
        });
        parsed.ok_or_else(|| io::Error::other(format!("no HTTP answer: {answer}")))
    }
}

impl Drop for Influxd {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn configuration(folder: &Path, http: SocketAddr, rpc: SocketAddr, authentication: bool) -> String {
    let folder = folder.display();
    format!(
        r#"reporting-disabled = true
bind-address = "{rpc}"
[meta]
dir = "{folder}/meta"
[data]
dir = "{folder}/data"
wal-dir = "{folder}/wal"
query-log-enabled = false
[http]
bind-address = "{http}"
log-enabled = false
auth-enabled = {authentication}
[monitor]
store-enabled = false
"#
    )
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// Percent-encoded, so that it can stand in a query or form.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(encode).collect()
}
