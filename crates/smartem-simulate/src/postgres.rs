//! A real PostgreSQL with PostGIS for tests: a server of its own in a folder, on a port of its own, with the
//! programs of Debian's packages.
//!
//! Its text is not in the order of bytes and its time zone is not UTC, so that a statement which relies on
//! either is found out.

mod database;
mod keeper;
mod pgbouncer;
mod programs;

use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

pub use database::Database;
pub use pgbouncer::PgBouncer;

use keeper::{Keeper, Signal};
use programs::Programs;

/// The administrator.
pub const SUPERUSER: &str = "postgres";

/// Who is a member of this role must give a password over TCP; all others are trusted.
pub const WITH_PASSWORD: &str = "with_password";

/// So long a start may take, and a stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// With these it speaks TLS, and nothing else over TCP.
    pub tls: Option<ServerTls>,
    /// Whether what is committed is on the disk; else it outlives a kill of the server, not of the machine.
    pub durable: bool,
}

/// What a server proves with who it is.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// The certificate (PEM).
    pub certificate: PathBuf,
    /// Its key (PEM).
    pub key: PathBuf,
}

/// A running server; stopped, and its folder deleted, when dropped or when the program ends.
pub struct Postgres {
    access: Access,
    keeper: Option<Keeper>,
    folder: PathBuf,
}

/// What is needed to reach a server with `psql`.
#[derive(Clone, Debug)]
struct Access {
    programs: Programs,
    sockets: PathBuf,
    port: u16,
}

/// Why there is none, or why it refuses.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// Programs are not installed.
    #[error(
        "{missing} is not installed (Debian packages `postgresql-15`, `postgresql-15-postgis-3` and `pgbouncer`)"
    )]
    Missing {
        /// Which.
        missing: String,
    },
    /// A program did not start, or does not answer.
    #[error("{program}: {problem}")]
    Failed {
        /// Which.
        program: &'static str,
        /// What it says.
        problem: String,
    },
    /// A statement was refused; what `psql` says.
    #[error("{0}")]
    Refused(String),
    /// A file or program could not be used.
    #[error("PostgreSQL for tests: {0}")]
    Io(#[from] io::Error),
}

impl Postgres {
    /// Starts one without TLS that does not wait for the disk.
    pub fn start() -> Result<Self, PostgresError> {
        Self::start_with(&PostgresOptions::default())
    }

    /// The one of this program, started by the first who asks; it ends with the program.
    pub fn shared() -> Result<&'static Self, &'static PostgresError> {
        static SHARED: OnceLock<Result<Postgres, PostgresError>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// Starts one.
    pub fn start_with(options: &PostgresOptions) -> Result<Self, PostgresError> {
        // A free port may be taken by another before the server has it.
        let mut attempts = 0;
        loop {
            attempts += 1;
            match Self::try_start(options) {
                Err(PostgresError::Failed { .. }) if attempts < 3 => {}
                result => return result,
            }
        }
    }

    fn try_start(options: &PostgresOptions) -> Result<Self, PostgresError> {
        let programs = Programs::find()?;
        let folder = new_folder("postgres", &programs)?;
        let access = Access {
            programs,
            sockets: folder.clone(),
            port: free_port()?,
        };
        // From here on the folder is deleted when something fails.
        let mut postgres = Self {
            access,
            keeper: None,
            folder,
        };
        postgres.initialise(options)?;
        postgres.start_again()?;
        postgres.psql(SUPERUSER, &format!("CREATE ROLE {WITH_PASSWORD} NOLOGIN"))?;
        let sql = "SELECT count(*) FROM pg_available_extensions WHERE name = 'postgis'";
        if postgres.psql(SUPERUSER, sql)? != "1" {
            return Err(PostgresError::Missing {
                missing: "PostGIS".to_owned(),
            });
        }
        Ok(postgres)
    }

    /// Makes the files of a server.
    fn initialise(&self, options: &PostgresOptions) -> Result<(), PostgresError> {
        let programs = &self.access.programs;
        let data = self.data();
        let mut initdb = programs.as_server(&programs.server("initdb"));
        initdb
            .args(["--no-sync", "--auth=trust", "--encoding=UTF8"])
            .args(["--locale=C.UTF-8", "--locale-provider=icu"])
            .args(["--icu-locale=en-US", "--username", SUPERUSER, "--pgdata"])
            .arg(&data);
        ended_well("initdb", &initdb.output()?)?;
        if let Some(tls) = &options.tls {
            for (from, name) in [(&tls.certificate, "server.crt"), (&tls.key, "server.key")] {
                programs.write(&data.join(name), &std::fs::read(from)?)?;
            }
        }
        let config = configuration(&self.access, options);
        programs.write(&data.join("postgresql.auto.conf"), config.as_bytes())?;
        let rules = rules(options);
        programs.write(&data.join("pg_hba.conf"), rules.as_bytes())?;
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.access.port
    }

    /// The folder of its socket.
    pub fn sockets(&self) -> &Path {
        &self.access.sockets
    }

    /// The address of a database for a user, over TCP.
    pub fn url(&self, database: &str, user: &str) -> String {
        format!("postgresql://{user}@127.0.0.1:{}/{database}", self.port())
    }

    /// Runs statements as the administrator; their rows, the fields of each between `|`.
    ///
    /// # Errors
    /// When a statement fails; nothing of them is done then.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String, PostgresError> {
        self.psql_as(SUPERUSER, database, sql)
    }

    /// As [`Postgres::psql`], as another user.
    pub fn psql_as(&self, user: &str, database: &str, sql: &str) -> Result<String, PostgresError> {
        self.access.psql(user, database, sql)
    }

    /// Makes a database with nothing in it.
    pub fn create_database(&self) -> Result<Database, PostgresError> {
        Database::create(&self.access, "template1")
    }

    /// Makes a copy of a database, to which nobody is connected meanwhile.
    pub fn copy_database(&self, template: &Database) -> Result<Database, PostgresError> {
        Database::create(&self.access, template.name())
    }

    /// Starts a `PgBouncer` in front of it that gives each transaction any connection.
    pub fn pgbouncer(&self) -> Result<PgBouncer, PostgresError> {
        PgBouncer::start(&self.access)
    }

    /// Ends what is going on and starts again, as when it is upgraded.
    pub fn restart(&mut self) -> Result<(), PostgresError> {
        self.stop()?;
        self.start_again()
    }

    /// Ends what is going on, and stops.
    pub fn stop(&mut self) -> Result<(), PostgresError> {
        self.end(Signal::Interrupt)
    }

    /// Ends at once, as when it runs out of memory (SIGKILL).
    pub fn kill(&mut self) -> Result<(), PostgresError> {
        self.end(Signal::Kill)
    }

    fn end(&mut self, signal: Signal) -> Result<(), PostgresError> {
        let Some(keeper) = self.keeper.take() else {
            return Ok(());
        };
        let file = std::fs::read_to_string(self.data().join("postmaster.pid"))?;
        let pid = file.lines().next().unwrap_or_default();
        keeper.end_with(signal, pid)?;
        Ok(())
    }

    /// Starts what was stopped, on the same port.
    pub fn start_again(&mut self) -> Result<(), PostgresError> {
        let begin = Instant::now();
        loop {
            match self.try_start_again(begin) {
                // What a killed server leaves behind takes a moment to end.
                Err(PostgresError::Failed { problem, .. })
                    if problem.contains("shared memory block") && begin.elapsed() < PATIENCE =>
                {
                    std::thread::sleep(Duration::from_millis(50));
                }
                result => return result,
            }
        }
    }

    fn try_start_again(&mut self, begin: Instant) -> Result<(), PostgresError> {
        self.keeper = None;
        let programs = &self.access.programs;
        let mut server = programs.as_server(&programs.server("postgres"));
        server.arg("-D").arg(self.data());
        let keeper = self.keeper.insert(Keeper::start(
            &self.folder,
            // Immediately: what it had is deleted.
            Signal::Quit,
            &server,
        )?);
        let ready = programs.server("pg_isready");
        loop {
            if let Some(problem) = keeper.ended()? {
                return Err(PostgresError::Failed {
                    program: "postgres",
                    problem,
                });
            }
            let mut ask = Command::new(&ready);
            ask.arg("--quiet").arg("--host").arg(&self.access.sockets);
            ask.arg("--port").arg(self.access.port.to_string());
            if ask.status()?.success() {
                return Ok(());
            }
            if begin.elapsed() > PATIENCE {
                return Err(PostgresError::Failed {
                    program: "postgres",
                    problem: "does not answer".to_owned(),
                });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.keeper = None;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Access {
    fn psql(&self, user: &str, database: &str, sql: &str) -> Result<String, PostgresError> {
        let mut psql = Command::new(self.programs.server("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"])
            .args(["--no-password", "--set", "ON_ERROR_STOP=1"])
            .arg("--host")
            .arg(&self.sockets)
            .args(["--port", &self.port.to_string()])
            .args(["--username", user, "--dbname", database])
            .args(["--command", sql])
            .stdin(Stdio::null());
        let output = psql.output()?;
        if output.status.success() {
            let told = String::from_utf8_lossy(&output.stdout);
            Ok(told.trim_end().to_owned())
        } else {
            let problem = String::from_utf8_lossy(&output.stderr);
            Err(PostgresError::Refused(problem.trim_end().to_owned()))
        }
    }
}

/// What deviates from the defaults.
fn configuration(access: &Access, options: &PostgresOptions) -> String {
    let yes_or_no = |yes: bool| if yes { "on" } else { "off" };
    format!(
        "listen_addresses = '127.0.0.1'\n\
         port = {port}\n\
         unix_socket_directories = '{sockets}'\n\
         max_connections = 300\n\
         shared_buffers = '64MB'\n\
         max_wal_size = '256MB'\n\
         fsync = {durable}\n\
         full_page_writes = {durable}\n\
         synchronous_commit = on\n\
         ssl = {tls}\n\
         timezone = 'Asia/Kathmandu'\n\
         jit = off\n\
         lc_messages = 'C'\n",
        port = access.port,
        sockets = access.sockets.display(),
        durable = yes_or_no(options.durable),
        tls = yes_or_no(options.tls.is_some()),
    )
}

/// Who may connect (`pg_hba.conf`).
fn rules(options: &PostgresOptions) -> String {
    let host = if options.tls.is_some() {
        "hostssl"
    } else {
        "host"
    };
    format!(
        "local all all trust\n\
         {host} all +{WITH_PASSWORD} 127.0.0.1/32 scram-sha-256\n\
         {host} all all 127.0.0.1/32 trust\n"
    )
}

/// A folder that the server's user can write to.
fn new_folder(of: &str, programs: &Programs) -> io::Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("smartem-{of}-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    // Of a program with the same number that was killed with its keeper.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder)?;
    programs.give(&folder)?;
    Ok(folder)
}

/// A port below those that connections get for their own end: while a server is stopped nobody takes its
/// port by chance, not even who tries to reach it.
fn free_port() -> io::Result<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 20_000;
    const MANY: u32 = 12_000;
    let start = std::process::id().wrapping_mul(37);
    let mut problem = io::Error::other("no port is free");
    for _ in 0..MANY {
        let number = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + number % MANY).unwrap_or_default();
        match TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return Ok(port),
            Err(error) => problem = error,
        }
    }
    Err(problem)
}

fn ended_well(program: &'static str, output: &Output) -> Result<(), PostgresError> {
    if output.status.success() {
        return Ok(());
    }
    let problem = String::from_utf8_lossy(&output.stderr)
        .trim_end()
        .to_owned();
    Err(PostgresError::Failed { program, problem })
}
