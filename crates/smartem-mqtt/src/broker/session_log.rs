//! The sessions that outlive a restart, in a file.
//!
//! A client that is told that its session is gone forgets the messages that it has sent and that
//! nobody acknowledged (MQTT 5, 3.2.2.1.1). So the broker keeps in mind which clients have a session.
//! A session with subscriptions is not kept: its client subscribes again when it is told that the
//! session is gone. A record is `+` or `-`, then user and client id, each with its length (32 bits,
//! big endian) before it.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::session::SessionKey;

pub(super) struct SessionLog {
    file: Mutex<File>,
}

impl SessionLog {
    /// Reads the file, and writes it anew with what it says in the end.
    pub(super) fn open(path: &Path) -> io::Result<(Self, Vec<SessionKey>)> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(problem) => return Err(problem),
        };
        let known = replay(&bytes);
        let mut compact = Vec::new();
        for (user, client) in &known {
            compact.extend(record(true, user, client));
        }
        let fresh = path.with_extension("new");
        let mut file = File::create(&fresh)?;
        file.write_all(&compact)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)?;
        let file = OpenOptions::new().append(true).open(path)?;
        let keys = known
            .into_iter()
            .map(|(user, client)| SessionKey { user, client });
        let file = Mutex::new(file);
        Ok((Self { file }, keys.collect()))
    }

    /// Notes a new session; it is durable when this returns.
    pub(super) fn add(&self, key: &SessionKey) -> io::Result<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&record(true, &key.user, &key.client))?;
        file.sync_data()
    }

    /// Notes that a session is gone. Lost by a crash, the session is only kept for too long.
    pub(super) fn remove(&self, key: &SessionKey) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(problem) = file.write_all(&record(false, &key.user, &key.client)) {
            tracing::warn!(%problem, "the end of an MQTT session cannot be noted");
        }
    }
}

fn record(here: bool, user: &Arc<str>, client: &Arc<str>) -> Vec<u8> {
    let mut record = vec![if here { b'+' } else { b'-' }];
    for text in [user, client] {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        record.extend(length.to_be_bytes());
        record.extend(text.as_bytes());
    }
    record
}

/// The sessions that are there after all whole records; a torn one at the end is left out.
fn replay(mut bytes: &[u8]) -> BTreeSet<(Arc<str>, Arc<str>)> {
    let mut known = BTreeSet::new();
    while let Some((here, user, client)) = next(&mut bytes) {
        let key = (user.into(), client.into());
        if here {
            known.insert(key);
        } else {
            known.remove(&key);
        }
    }
    known
}

fn next<'a>(bytes: &mut &'a [u8]) -> Option<(bool, &'a str, &'a str)> {
    let (kind, mut rest) = bytes.split_first()?;
    let user = text(&mut rest)?;
    let client = text(&mut rest)?;
    *bytes = rest;
    Some((*kind == b'+', user, client))
}

fn text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    let (text, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(client: &str) -> SessionKey {
        SessionKey {
            user: "ü\n".into(),
            client: client.into(),
        }
    }

    fn clients(path: &Path) -> Vec<String> {
        let (_, keys) = SessionLog::open(path).unwrap();
        keys.iter().map(|key| key.client.to_string()).collect()
    }

    #[test]
    fn sessions_come_back_and_a_torn_record_does_no_harm() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions");
        let (log, keys) = SessionLog::open(&path).unwrap();
        assert!(keys.is_empty());
        for client in ["a", "b\n+", "c"] {
            log.add(&key(client)).unwrap();
        }
        log.remove(&key("a"));
        assert_eq!(clients(&path), ["b\n+", "c"]);
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
        assert_eq!(clients(&path), ["b\n+"]);
    }
}
