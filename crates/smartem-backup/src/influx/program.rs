//! InfluxDB's own program.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::Form;
use crate::BackupError;
use crate::transfer::Watch;

/// Where `influxd` is, and where its server is reached for backups (RPC, usually port 8088).
#[derive(Clone, Debug)]
pub struct Influxd {
    /// The program.
    pub program: PathBuf,
    /// Host and port.
    pub rpc: String,
}

impl Influxd {
    /// Whether the server can be reached for backups.
    pub async fn reach(&self) -> Result<(), BackupError> {
        let reached = tokio::time::timeout(
            std::time::Duration::from_secs(10),
            tokio::net::TcpStream::connect(&self.rpc),
        );
        let problem = match reached.await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer within 10 s".to_owned(),
        };
        Err(BackupError::Refused(format!(
            "InfluxDB is not reached for backups at {}: {problem}; check `--rpc`, and `bind-address` in \
             influxdb.conf",
            self.rpc
        )))
    }

    /// Makes the files of a database in a folder.
    pub(crate) async fn backup(
        &self,
        database: &str,
        form: Form,
        folder: &Path,
        watch: &Watch,
    ) -> Result<(), BackupError> {
        let mut arguments = vec!["backup"];
        if form == Form::Portable {
            arguments.push("-portable");
        }
        arguments.extend(["-host", &self.rpc, "-database", database]);
        self.run(&arguments, folder, watch).await
    }

    /// Restores a database of the files of a folder into a new one.
    pub(crate) async fn restore(
        &self,
        database: &str,
        form: Form,
        into: &str,
        folder: &Path,
        watch: &Watch,
    ) -> Result<(), BackupError> {
        // Both forms can be restored into a running server.
        let form = match form {
            Form::Portable => "-portable",
            Form::Legacy => "-online",
        };
        let arguments = [
            "restore", form, "-host", &self.rpc, "-db", database, "-newdb", into,
        ];
        self.run(&arguments, folder, watch).await
    }

    async fn run(
        &self,
        arguments: &[&str],
        folder: &Path,
        watch: &Watch,
    ) -> Result<(), BackupError> {
        let folder = &std::path::absolute(folder)
            .map_err(|source| BackupError::file("finding the folder", folder, source))?;
        // A bare name is looked for in `PATH`; a path is from here, not from the folder.
        let program = if self.program.components().count() > 1 {
            std::path::absolute(&self.program).unwrap_or_else(|_| self.program.clone())
        } else {
            self.program.clone()
        };
        let mut command = Command::new(program);
        command
            .args(arguments)
            .arg(without_dots(folder))
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let name = self.program.display();
        let shown = format!("{name} {} {}", arguments.join(" "), folder.display());
        let failed = |problem: String| BackupError::Program {
            command: shown.clone(),
            problem,
        };
        let child = command.spawn().map_err(|error| {
            if error.kind() == std::io::ErrorKind::NotFound {
                failed(
                    "the program is not here; install InfluxDB 1.x (Debian package `influxdb`), name it \
                     with `--influxd`, or let another container make the files and use `--files`"
                        .to_owned(),
                )
            } else {
                failed(error.to_string())
            }
        })?;
        let output = tokio::select! {
            output = child.wait_with_output() => output.map_err(|error| failed(error.to_string()))?,
            () = watch.stop.cancelled() => return Err(BackupError::Stopped),
        };
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let last: Vec<&str> = said.lines().rev().take(4).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        Err(failed(format!("{}: {}", output.status, last.join(" / "))))
    }
}

/// The folder of the program under a name without a dot: `influxd restore -online` 1.6.7 takes the whole
/// path for the name of a file and parts it at its dots.
fn without_dots(folder: &Path) -> &Path {
    const HERE: &str = "/proc/self/cwd";
    let has_dots = folder.to_string_lossy().contains('.');
    if has_dots && Path::new(HERE).exists() {
        Path::new(HERE)
    } else {
        folder
    }
}
