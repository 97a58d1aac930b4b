//! A real `PgBouncer` in front of a server.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::keeper::{Keeper, Signal};
use super::programs::in_path;
use super::{Access, PATIENCE, PostgresError, SUPERUSER, free_port, new_folder};

/// A running `pgbouncer` in transaction mode: it gives each transaction any of its connections; stopped when
/// dropped.
pub struct PgBouncer {
    _keeper: Keeper,
    port: u16,
}

impl PgBouncer {
    pub(super) fn start(server: &Access) -> Result<Self, PostgresError> {
        let missing = || PostgresError::Missing {
            missing: "`pgbouncer`".to_owned(),
        };
        let program = in_path("pgbouncer")
            .or_else(|| Some(PathBuf::from("/usr/sbin/pgbouncer")).filter(|path| path.exists()))
            .ok_or_else(missing)?;
        let folder = new_folder("pgbouncer", &server.programs)?;
        let port = free_port()?;
        let sql = "SELECT format('\"%s\" \"\"', rolname) FROM pg_roles WHERE rolcanlogin";
        let users = server.psql(SUPERUSER, SUPERUSER, sql)?;
        let config = folder.join("pgbouncer.ini");
        server
            .programs
            .write(&folder.join("users"), users.as_bytes())?;
        let text = configuration(server, &folder, port, keeps_statements(&program)?);
        server.programs.write(&config, text.as_bytes())?;
        let mut command = server.programs.as_server(&program);
        command.arg(&config);
        let mut keeper = Keeper::start(&folder, Signal::Terminate, &command)?;
        let begin = Instant::now();
        let failed = |problem: String| PostgresError::Failed {
            program: "pgbouncer",
            problem,
        };
        loop {
            if let Some(problem) = keeper.ended()? {
                let _ = std::fs::remove_dir_all(&folder);
                return Err(failed(problem));
            }
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(Self {
                    _keeper: keeper,
                    port,
                });
            }
            if begin.elapsed() > PATIENCE {
                return Err(failed("does not answer".to_owned()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The address of a database for a user by way of it.
    pub fn url(&self, database: &str, user: &str) -> String {
        format!("postgresql://{user}@127.0.0.1:{}/{database}", self.port)
    }
}

/// Whether it is one that keeps statements with names for its clients (since 1.21); that is turned off, for
/// not everybody's does.
fn keeps_statements(program: &Path) -> Result<bool, PostgresError> {
    let output = Command::new(program).arg("--version").output()?;
    let told = String::from_utf8_lossy(&output.stdout);
    let version = told.split_whitespace().nth(1).unwrap_or_default();
    let mut numbers = version.split('.').map_while(|it| it.parse::<u32>().ok());
    Ok((numbers.next(), numbers.next()) >= (Some(1), Some(21)))
}

fn configuration(server: &Access, folder: &Path, port: u16, keeps_statements: bool) -> String {
    let statements = if keeps_statements {
        "max_prepared_statements = 0\n"
    } else {
        ""
    };
    format!(
        "[databases]\n\
         * = host={sockets} port={server_port}\n\
         [pgbouncer]\n\
         listen_addr = 127.0.0.1\n\
         listen_port = {port}\n\
         unix_socket_dir =\n\
         auth_type = trust\n\
         auth_file = {folder}/users\n\
         pool_mode = transaction\n\
         max_client_conn = 500\n\
         default_pool_size = 4\n\
         {statements}",
        sockets = server.sockets.display(),
        server_port = server.port,
        folder = folder.display(),
    )
}
