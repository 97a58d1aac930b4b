//! Servers that end with the program that started them, even when that is killed.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Runs a server as long as its own input is open: that ends with the program that started it. Then it stops
/// the server and deletes the folder, which stays when the server ended in another way.
const KEEPER: &str = r#"
folder=$1
signal=$2
shift 2
exec 3<&0
"$@" 3<&- &
server=$!
{
  # What ends the program may be sent to all of its group.
  trap '' HUP INT TERM
  cat <&3 >/dev/null
  : >"$folder/closing"
  if ! [ -e "$folder/ended" ]; then
    kill -s "$signal" "$server"
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
      kill -0 "$server" || break
      sleep 0.1
    done
    kill -s KILL "$server"
  fi
  rm -rf "$folder"
} 2>/dev/null &
guard=$!
wait "$server"
status=$?
{
  : >"$folder/ended"
  [ -e "$folder/closing" ] || kill -s KILL "$guard"
  wait "$guard"
} 2>/dev/null
exit "$status"
"#;

/// How a server is told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signal {
    Interrupt,
    Kill,
    Quit,
    Terminate,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "INT",
            Self::Kill => "KILL",
            Self::Quit => "QUIT",
            Self::Terminate => "TERM",
        }
    }
}

/// A server with the one who watches over it; dropped, it ends and its folder is deleted.
pub(super) struct Keeper {
    process: Child,
    folder: PathBuf,
}

impl Keeper {
    /// Starts a server; `signal` is how it ends with this program.
    pub(super) fn start(folder: &Path, signal: Signal, server: &Command) -> io::Result<Self> {
        let _ = std::fs::remove_file(folder.join("ended"));
        let process = Command::new("sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(folder)
            .arg(signal.name())
            .arg(server.get_program())
            .args(server.get_args())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(folder.join("log"))?)
            .spawn()?;
        Ok(Self {
            process,
            folder: folder.to_owned(),
        })
    }

    /// What it said, when it has ended.
    pub(super) fn ended(&mut self) -> io::Result<Option<String>> {
        let Some(status) = self.process.try_wait()? else {
            return Ok(None);
        };
        let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        Ok(Some(format!("ended with {status}: {log}")))
    }

    /// Ends the server, whose folder stays.
    pub(super) fn end_with(mut self, signal: Signal, pid: &str) -> io::Result<()> {
        let command = format!("kill -s {} \"$1\"", signal.name());
        let sent = Command::new("sh")
            .args(["-c", &command, "kill", pid])
            .status()?;
        if !sent.success() {
            return Err(io::Error::other(format!("process {pid} is not there")));
        }
        // Waiting would close it, and so delete the folder.
        let input = self.process.stdin.take();
        self.process.wait()?;
        drop(input);
        Ok(())
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
