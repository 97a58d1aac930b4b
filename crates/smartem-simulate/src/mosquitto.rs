//! A real MQTT broker for tests: Debian's `mosquitto` in a folder and on a port of its own, and its
//! command-line clients.

use std::ffi::OsStr;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// So long a start may take.
const START: Duration = Duration::from_secs(20);

/// Runs mosquitto as long as its own input is open: that ends with the program that started it, even
/// when that is killed. Then it stops mosquitto, which writes down what it keeps, and deletes the
/// folder, unless it is to be started again.
const KEEPER: &str = r#"
command -v mosquitto >/dev/null || exit 127
exec 3<&0
mosquitto -c "$1/mosquitto.conf" 3<&- &
mosquitto=$!
{ cat <&3 >/dev/null; kill "$mosquitto"; } 2>/dev/null &
wait "$mosquitto"
status=$?
[ -e "$1/keep" ] || [ ! -e "$1/ready" ] || rm -rf "$1"
exit "$status"
"#;

/// The status by which a shell says that there is no such program.
const MISSING: i32 = 127;

/// How a broker is started.
#[derive(Clone, Copy, Debug, Default)]
pub struct MosquittoSettings<'a> {
    /// The only user, with the password; without one anybody may do anything.
    pub user: Option<(&'a str, &'a str)>,
    /// Certificate and key (PEM): then it speaks TLS only.
    pub tls: Option<(&'a Path, &'a Path)>,
}

/// A running `mosquitto`; stopped, and its folder deleted, when dropped.
pub struct Mosquitto {
    process: Option<Child>,
    folder: PathBuf,
    address: SocketAddr,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum MosquittoError {
    /// A program is not installed.
    #[error("`{program}` is not installed (Debian packages `mosquitto` and `mosquitto-clients`)")]
    Missing {
        /// Which.
        program: String,
    },
    /// It did not start, or does not answer.
    #[error("mosquitto: {0}")]
    Failed(String),
    /// A file or connection failed.
    #[error("mosquitto: {0}")]
    Io(#[from] io::Error),
}

impl Mosquitto {
    /// Starts one to which anybody may connect without TLS.
    pub fn start() -> Result<Self, MosquittoError> {
        Self::start_with(MosquittoSettings::default())
    }

    /// Starts one.
    pub fn start_with(settings: MosquittoSettings<'_>) -> Result<Self, MosquittoError> {
        // A free port may be taken by another before mosquitto has it.
        let mut attempts = 0;
        loop {
            attempts += 1;
            match Self::try_start(settings) {
                Err(MosquittoError::Failed(_)) if attempts < 3 => {}
                result => return result,
            }
        }
    }

    fn try_start(settings: MosquittoSettings<'_>) -> Result<Self, MosquittoError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("smartem-mosquitto-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        if let Some((user, password)) = settings.user {
            let file = folder.join("passwords");
            let file = file.as_os_str();
            run(
                "mosquitto_passwd",
                ["-c", "-b"].map(OsStr::new).into_iter().chain([
                    file,
                    user.as_ref(),
                    password.as_ref(),
                ]),
            )?;
        }
        let config = configuration(&folder, address, settings);
        std::fs::write(folder.join("mosquitto.conf"), config)?;
        let mut mosquitto = Self {
            process: None,
            folder,
            address,
        };
        mosquitto.spawn()?;
        Ok(mosquitto)
    }

    fn spawn(&mut self) -> Result<(), MosquittoError> {
        let _ = std::fs::remove_file(self.folder.join("keep"));
        let process = Command::new("sh")
            .args(["-c", KEEPER, "mosquitto"])
            .arg(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(self.folder.join("log"))?)
            .spawn()?;
        let process = self.process.insert(process);
        let begin = Instant::now();
        loop {
            if let Some(status) = process.try_wait()? {
                if status.code() == Some(MISSING) {
                    let program = "mosquitto".to_owned();
                    return Err(MosquittoError::Missing { program });
                }
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                let problem = format!("ended with {status}: {log}");
                return Err(MosquittoError::Failed(problem));
            }
            if TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_ok() {
                std::fs::write(self.folder.join("ready"), "")?;
                return Ok(());
            }
            if begin.elapsed() > START {
                return Err(MosquittoError::Failed("does not answer".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it; what it keeps for its clients stays.
    pub fn stop(&mut self) -> Result<(), MosquittoError> {
        std::fs::write(self.folder.join("keep"), "")?;
        self.end();
        Ok(())
    }

    /// Starts it again on the same port, with what it kept.
    pub fn start_again(&mut self) -> Result<(), MosquittoError> {
        self.end();
        self.spawn()
    }

    fn end(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            let _ = process.wait();
        }
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.end();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Runs one of mosquitto's programs to its end; what it wrote, with its status.
pub fn run<A: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Result<Output, MosquittoError> {
    let output = command(program, arguments).output();
    output.map_err(|problem| missing(program, problem))
}

/// Starts one of mosquitto's programs, with its output to be read.
pub fn spawn<A: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Result<Child, MosquittoError> {
    let child = command(program, arguments).spawn();
    child.map_err(|problem| missing(program, problem))
}

fn command<A: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn missing(program: &str, problem: io::Error) -> MosquittoError {
    if problem.kind() == io::ErrorKind::NotFound {
        let program = program.to_owned();
        return MosquittoError::Missing { program };
    }
    MosquittoError::Io(problem)
}

fn configuration(folder: &Path, address: SocketAddr, settings: MosquittoSettings<'_>) -> String {
    let (host, port) = (address.ip(), address.port());
    let folder = folder.display();
    let access = match settings.user {
        Some(_) => format!("allow_anonymous false\npassword_file {folder}/passwords"),
        None => "allow_anonymous true".to_owned(),
    };
    let tls = match settings.tls {
        Some((certificate, key)) => format!(
            "certfile {}\nkeyfile {}\n",
            certificate.display(),
            key.display()
        ),
        None => String::new(),
    };
    // Started by root, mosquitto would become another user who cannot read the folder.
    format!(
        "user root\npersistence true\npersistence_location {folder}/\nlistener {port} {host}\n\
         {access}\n{tls}"
    )
}
