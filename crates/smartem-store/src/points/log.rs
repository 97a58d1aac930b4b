//! The append log: what was written, in order, on disk before it is acknowledged.
//!
//! One thread appends. Entries that arrive while it waits for the disk go together in the next
//! write, so that many writers share one `fdatasync`. The log is a row of segments, files with a
//! number that grows; a flush begins a new one, and those before it are removed when what they hold
//! is committed.
//!
//! When the disk refuses (it is full, or read-only), the entries are kept and tried again: nothing
//! that was applied is ever missing in front of what comes later. Until that succeeds no more is taken.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{error, info};

use super::PointsError;
use crate::StoreError;

/// What a segment begins with: its format.
const MAGIC: &[u8; 8] = b"SMPTLOG1";
/// Length and checksum in front of each entry.
const HEAD: usize = 8;
/// How long after a failure the next attempt is made.
const RETRY: Duration = Duration::from_millis(500);
/// A longer entry was not written by this program.
const MAX_ENTRY: usize = 1 << 30;

/// The log as its writers see it.
pub(crate) struct Log {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
}

struct Queue {
    waiting: VecDeque<Waiting>,
    /// The segment that entries go to from now on.
    segment: u64,
    /// Segments before this one are not needed any more.
    needed: u64,
    /// Why the disk refuses.
    trouble: Option<String>,
    is_closed: bool,
}

struct Waiting {
    segment: u64,
    bytes: Vec<u8>,
    done: Option<oneshot::Sender<Result<(), PointsError>>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    /// Starts writing at a segment, which must be after all that are there.
    pub(crate) fn start(folder: &Path, segment: u64, needed: u64) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue {
                waiting: VecDeque::new(),
                segment,
                needed,
                trouble: None,
                is_closed: false,
            }),
            arrived: Condvar::new(),
        });
        let writer = Writer {
            folder: folder.to_owned(),
            shared: shared.clone(),
            open: None,
            owed: VecDeque::new(),
        };
        let thread = std::thread::Builder::new()
            .name("points-log".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| StoreError::File {
                action: "starting the writer of the log in",
                path: folder.to_owned(),
                source,
            })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Puts an entry into the queue; the answer comes when it is on disk.
    pub(crate) fn append(&self, entry: &[u8]) -> oneshot::Receiver<Result<(), PointsError>> {
        let (done, answer) = oneshot::channel();
        let mut queue = self.shared.lock();
        let segment = queue.segment;
        queue.waiting.push_back(Waiting {
            segment,
            bytes: framed(entry),
            done: Some(done),
        });
        drop(queue);
        self.shared.arrived.notify_one();
        answer
    }

    /// Why nothing can be written just now.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.shared.lock().trouble.clone()
    }

    /// Lets entries go to a new segment from now on; gives its number.
    pub(crate) fn rotate(&self) -> u64 {
        let mut queue = self.shared.lock();
        queue.segment += 1;
        queue.segment
    }

    /// Says that segments before this one are not needed any more.
    pub(crate) fn trim(&self, needed: u64) {
        self.shared.lock().needed = needed;
        self.shared.arrived.notify_one();
    }
}

impl Drop for Log {
    /// Writes what is waiting, then ends.
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.arrived.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told by it.
            let _ = thread.join();
        }
    }
}

/// The thread that writes.
struct Writer {
    folder: PathBuf,
    shared: Arc<Shared>,
    open: Option<Segment>,
    /// What the disk refused, to be tried again.
    owed: VecDeque<Waiting>,
}

struct Segment {
    number: u64,
    file: File,
    /// How far it is known to be on disk.
    durable: u64,
}

impl Writer {
    fn run(mut self) {
        loop {
            let Some((entries, needed)) = self.next() else {
                return;
            };
            self.owed.extend(entries);
            self.forget_committed(needed);
            let written = self.write();
            self.answer(written);
            remove_before(&self.folder, needed);
        }
    }

    /// Waits for entries; `None` when it is over.
    fn next(&self) -> Option<(VecDeque<Waiting>, u64)> {
        let mut queue = self.shared.lock();
        let needed = queue.needed;
        loop {
            if !queue.waiting.is_empty() || queue.needed != needed {
                let entries = std::mem::take(&mut queue.waiting);
                return Some((entries, queue.needed));
            }
            if queue.is_closed {
                return None;
            }
            if self.owed.is_empty() {
                let woken = self.shared.arrived.wait(queue);
                queue = woken.unwrap_or_else(PoisonError::into_inner);
            } else {
                let woken = self.shared.arrived.wait_timeout(queue, RETRY);
                let (again, timeout) = woken.unwrap_or_else(PoisonError::into_inner);
                queue = again;
                if timeout.timed_out() {
                    return Some((VecDeque::new(), queue.needed));
                }
            }
        }
    }

    /// What the database has by now need not be written any more: it is durable there.
    fn forget_committed(&mut self, needed: u64) {
        self.owed.retain_mut(|entry| {
            let is_committed = entry.segment < needed;
            if is_committed && let Some(done) = entry.done.take() {
                // Who does not wait any more need not be told.
                let _ = done.send(Ok(()));
            }
            !is_committed
        });
    }

    /// Writes what is owed, segment by segment, and waits for the disk.
    fn write(&mut self) -> std::io::Result<()> {
        while let Some(first) = self.owed.front() {
            let number = first.segment;
            if self.open.as_ref().is_none_or(|open| open.number != number) {
                self.open = Some(Segment::open(&self.folder, number)?);
            }
            let Some(segment) = &mut self.open else { break };
            let count = self
                .owed
                .iter()
                .take_while(|it| it.segment == number)
                .count();
            let entries = self.owed.iter().take(count).map(|it| it.bytes.as_slice());
            if let Err(error) = segment.append(entries) {
                // What was written in part must not stand in front of what comes next.
                if let Err(error) = segment.take_back() {
                    error!(%error, "what was written in part cannot be taken back yet");
                }
                self.open = None;
                return Err(error);
            }
            for mut entry in self.owed.drain(..count) {
                if let Some(done) = entry.done.take() {
                    // Who does not wait any more need not be told.
                    let _ = done.send(Ok(()));
                }
            }
        }
        Ok(())
    }

    /// Tells those who wait, when the disk refused; they may come again.
    fn answer(&mut self, written: std::io::Result<()>) {
        let trouble = written.err().map(|error| in_words(&error));
        let mut queue = self.shared.lock();
        match (&queue.trouble, &trouble) {
            (None, Some(trouble)) => {
                error!(folder = %self.folder.display(), problem = %trouble, "points cannot be written");
            }
            (Some(_), None) => info!("points can be written again"),
            _ => {}
        }
        queue.trouble.clone_from(&trouble);
        drop(queue);
        let Some(problem) = trouble else { return };
        for done in self.owed.iter_mut().filter_map(|entry| entry.done.take()) {
            let problem = problem.clone();
            let _ = done.send(Err(PointsError::Unavailable { problem }));
        }
    }
}

/// What went wrong, with the remedy, as senders may know it.
fn in_words(error: &std::io::Error) -> String {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull => {
            "the disk of the server is full; when there is space again, writing goes on by \
                        itself"
                .to_owned()
        }
        ReadOnlyFilesystem | PermissionDenied => {
            "the disk of the server is not writable; when it is, \
                                                  writing goes on by itself"
                .to_owned()
        }
        _ => format!("the disk of the server cannot be written: {error}"),
    }
}

impl Segment {
    /// Opens a segment for appending, making it where needed.
    fn open(folder: &Path, number: u64) -> std::io::Result<Self> {
        let path = path_of(folder, number);
        let is_new = !path.exists();
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&path)?;
        let mut durable = file.metadata()?.len();
        if durable < MAGIC.len() as u64 {
            file.set_len(0)?;
            file.write_all(MAGIC)?;
            file.sync_data()?;
            durable = MAGIC.len() as u64;
        } else if !is_new {
            // Behind whole entries there may be the rest of one.
            let whole = read_segment(&path, &mut |_| Ok(())).map_or(durable, |read| read.whole);
            file.set_len(whole)?;
            durable = whole;
        }
        if is_new {
            // The name of a new file is on disk when its folder is.
            File::open(folder)?.sync_all()?;
        }
        Ok(Self {
            number,
            file,
            durable,
        })
    }

    fn append<'a>(&mut self, entries: impl Iterator<Item = &'a [u8]>) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(self.durable))?;
        let mut length = 0;
        let mut joined = Vec::new();
        for entry in entries {
            length += entry.len() as u64;
            if entry.len() > LARGE && joined.is_empty() {
                self.file.write_all(entry)?;
                continue;
            }
            joined.extend_from_slice(entry);
            if joined.len() > LARGE {
                self.file.write_all(&joined)?;
                joined.clear();
            }
        }
        self.file.write_all(&joined)?;
        self.file.sync_data()?;
        self.durable += length;
        Ok(())
    }

    fn take_back(&mut self) -> std::io::Result<()> {
        self.file.set_len(self.durable)?;
        self.file.sync_data()
    }
}

/// Small entries are joined up to this size before they are written.
const LARGE: usize = 1 << 18;

fn framed(entry: &[u8]) -> Vec<u8> {
    let mut framed = Vec::with_capacity(entry.len() + HEAD);
    let length = u32::try_from(entry.len()).unwrap_or(u32::MAX);
    framed.extend_from_slice(&length.to_le_bytes());
    framed.extend_from_slice(&crc32fast::hash(entry).to_le_bytes());
    framed.extend_from_slice(entry);
    framed
}

pub(crate) fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016}.log"))
}

/// The segments that are there, in order.
pub(crate) fn segments(folder: &Path) -> std::io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|it| it.strip_suffix(".log"));
        numbers.extend(number.and_then(|it| it.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Bytes of all files of the log. A segment that goes meanwhile has none.
pub(crate) fn bytes(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        match entry?.metadata() {
            Ok(file) => bytes += file.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(bytes)
}

fn remove_before(folder: &Path, needed: u64) {
    let Ok(numbers) = segments(folder) else {
        return;
    };
    for number in numbers.into_iter().filter(|number| *number < needed) {
        if let Err(error) = std::fs::remove_file(path_of(folder, number)) {
            error!(%error, number, "a segment of the log cannot be removed");
        }
    }
}

/// How a segment was read.
#[derive(Debug, Default)]
pub(crate) struct SegmentRead {
    /// Where the last of its whole entries ends.
    pub(crate) whole: u64,
    /// Bytes behind that, which are no entry: the rest of a write that was cut short.
    pub(crate) rest: u64,
    /// Bytes between whole entries that are none: damage.
    pub(crate) damaged: u64,
}

/// Gives every whole entry of a segment.
///
/// A write that was cut short by a crash leaves bytes behind the last whole entry; they were never
/// acknowledged. Bytes that are no entry with whole ones behind them are damage, and are left out.
pub(crate) fn read_segment(
    path: &Path,
    take: &mut dyn FnMut(&[u8]) -> Result<(), crate::CodecError>,
) -> std::io::Result<SegmentRead> {
    let bytes = std::fs::read(path)?;
    let mut read = SegmentRead::default();
    if bytes.len() < MAGIC.len() {
        read.rest = bytes.len() as u64;
        return Ok(read);
    }
    if bytes[..MAGIC.len()] != *MAGIC {
        return Err(std::io::Error::other("it is no segment of the append log"));
    }
    let mut at = MAGIC.len();
    read.whole = at as u64;
    while at < bytes.len() {
        let Some(entry) = entry_at(&bytes, at, MAX_ENTRY) else {
            let Some(next) = next_entry(&bytes, at + 1) else {
                break;
            };
            read.damaged += (next - at) as u64;
            at = next;
            continue;
        };
        if take(entry).is_err() {
            read.damaged += (entry.len() + HEAD) as u64;
        }
        at += entry.len() + HEAD;
        read.whole = at as u64;
    }
    read.rest = bytes.len() as u64 - read.whole;
    Ok(read)
}

/// The whole entry at a place, if there is one.
fn entry_at(bytes: &[u8], at: usize, longest: usize) -> Option<&[u8]> {
    let head = bytes.get(at..at + HEAD)?;
    let size = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
    let sum = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    if size == 0 || size > longest {
        return None;
    }
    let entry = bytes.get(at + HEAD..at + HEAD + size)?;
    (crc32fast::hash(entry) == sum).then_some(entry)
}

/// Where the next whole entry begins behind damage; it is looked for byte by byte.
fn next_entry(bytes: &[u8], from: usize) -> Option<usize> {
    /// Longer ones are not looked for: summing up what might be one would take too long.
    const LONGEST: usize = 1 << 20;
    (from..bytes.len()).find(|at| entry_at(bytes, *at, LONGEST).is_some())
}

/// Puts a segment aside under another name, before it is removed as committed.
pub(crate) fn keep_aside(path: &Path) -> std::io::Result<PathBuf> {
    let aside = path.with_extension("log.damaged");
    std::fs::copy(path, &aside)?;
    Ok(aside)
}
