//! Reads a file piece by piece: each piece is grouped by station, so that a station's hours are
//! written together even where a file holds many stations hour by hour.

use std::collections::BTreeSet;
use std::io::{self, BufRead};

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::Sender;

use super::files::Content;
use super::layout::Format;
use super::table::{Entry, Table, TableError};
use crate::harvest::samples::Hours;

/// Samples of one piece, which is in memory at a time with the one before it.
const PIECE_SAMPLES: usize = 20_000;
/// Rows of one piece, whether they gave a sample or not.
const PIECE_ROWS: u64 = 100_000;
/// Bad rows of a file that are set aside one by one; of more there is the number.
pub(in crate::harvest) const BAD_ROWS: u64 = 100;

/// How far a file was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Position {
    /// The number of the member in an archive.
    pub member: usize,
    /// Rows of it that are done.
    pub rows: u64,
    /// Bad ones among them.
    pub bad: u64,
}

/// A piece of a file.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub hours: Hours,
    /// The member it is of.
    pub name: String,
    /// Place, reason and text of bad rows.
    pub bad: Vec<(String, String, Vec<u8>)>,
    /// Places in quarantine that are read well now.
    pub understood: Vec<String>,
    /// Rows without any value.
    pub empty: u64,
    /// Bad rows that were not set aside one by one.
    pub bad_not_kept: u64,
    /// What is done with this piece.
    pub position: Position,
}

/// What a reading thread needs.
pub(super) struct Reading {
    pub format: Format,
    pub name: String,
    pub content: Content,
    pub from: Position,
    /// Open quarantine places of this source.
    pub open: BTreeSet<String>,
    pub pieces: Sender<Piece>,
}

impl Reading {
    /// Reads to the end, or until nobody takes the pieces any more. What is wrong with the file itself
    /// comes as a bad row of its name.
    ///
    /// # Errors
    /// When the file cannot be opened or the disk fails.
    pub(super) fn run(self) -> io::Result<()> {
        let read =
            self.content
                .members(&self.name, self.from.member, &mut |number, name, input| {
                    self.member(number, name, input)
                });
        match read {
            Err(error) if is_damage(&error) => {
                self.file_fault(&self.name, &error.to_string());
                Ok(())
            }
            other => other,
        }
    }

    /// False when nobody takes the pieces any more.
    fn member(&self, number: usize, name: &str, input: Box<dyn BufRead + '_>) -> io::Result<bool> {
        let from = if number == self.from.member {
            self.from
        } else {
            Position {
                member: number,
                ..Position::default()
            }
        };
        let mut table = match Table::open(input, &self.format, name) {
            Ok(Some(table)) => table,
            Ok(None) => return Ok(true),
            Err(TableError::NotUnderstood(problem)) => return Ok(self.file_fault(name, &problem)),
            Err(TableError::Io(error)) if is_damage(&error) => {
                return Ok(self.file_fault(name, &error.to_string()));
            }
            Err(TableError::Io(error)) => return Err(error),
        };
        for _ in 0..from.rows {
            if !table.skip()? {
                break;
            }
        }
        let mut member = Member {
            reading: self,
            open: self.open_lines(name),
            from_line: 0,
            first_not_kept: None,
            piece: Piece {
                name: name.to_owned(),
                position: from,
                ..Piece::default()
            },
        };
        loop {
            match table.next() {
                Ok(Some((line, entry))) => {
                    if !member.take(line, entry) {
                        return Ok(false);
                    }
                }
                Ok(None) => return Ok(member.end()),
                Err(error) if is_damage(&error) => {
                    return Ok(member.send() && self.file_fault(name, &error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Lines of a member that are in quarantine.
    fn open_lines(&self, name: &str) -> BTreeSet<u64> {
        let after = self.open.range(format!("{name}:")..);
        let mine = after.map_while(|place| place.strip_prefix(name)?.strip_prefix(':'));
        mine.filter_map(|line| line.parse().ok()).collect()
    }

    fn file_fault(&self, name: &str, problem: &str) -> bool {
        let piece = Piece {
            bad: vec![(name.to_owned(), problem.to_owned(), Vec::new())],
            name: name.to_owned(),
            position: self.from,
            ..Piece::default()
        };
        self.pieces.blocking_send(piece).is_ok()
    }
}

/// A file that is cut short or not what it says, as opposed to a disk that fails.
fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof
    )
}

/// A member under way.
struct Member<'a> {
    reading: &'a Reading,
    /// Lines in quarantine that were not met yet.
    open: BTreeSet<u64>,
    /// The first line that was met.
    from_line: u64,
    /// The first bad row that was not set aside.
    first_not_kept: Option<String>,
    piece: Piece,
}

impl Member<'_> {
    fn place(&self, line: u64) -> String {
        format!("{}:{line}", self.piece.name)
    }

    /// The place of the bad rows that are only counted.
    fn rest_place(&self) -> String {
        format!("{}#rest", self.piece.name)
    }

    /// False when nobody takes the pieces any more.
    fn take(&mut self, line: u64, entry: Entry) -> bool {
        if self.from_line == 0 {
            self.from_line = line;
        }
        let was_open = self.open.remove(&line);
        let piece = &mut self.piece;
        piece.position.rows += 1;
        let mut fault = None;
        match entry {
            Entry::Sample(station, sample) => {
                let time = sample.time();
                if !piece.hours.add(station, sample) {
                    fault = Some((format!("{time} is in no hour"), Vec::new()));
                }
            }
            Entry::Empty => piece.empty += 1,
            Entry::Bad(detail, text) => fault = Some((detail, text)),
        }
        match fault {
            Some((detail, text)) => self.set_aside(line, detail, text),
            None if was_open => {
                let place = self.place(line);
                self.piece.understood.push(place);
            }
            None => {}
        }
        let is_full = self.piece.hours.samples() >= PIECE_SAMPLES
            || self.piece.position.rows.is_multiple_of(PIECE_ROWS);
        !is_full || self.send()
    }

    fn set_aside(&mut self, line: u64, detail: String, text: Vec<u8>) {
        self.piece.position.bad += 1;
        if self.piece.position.bad <= BAD_ROWS {
            let place = self.place(line);
            self.piece.bad.push((place, detail, text));
        } else {
            self.piece.bad_not_kept += 1;
            self.first_not_kept
                .get_or_insert_with(|| format!("line {line}: {detail}"));
        }
    }

    /// The last piece, with what is only known at the end.
    fn end(mut self) -> bool {
        let from_line = self.from_line;
        // Lines that are no more, or belong to another row now.
        let gone = std::mem::take(&mut self.open).into_iter();
        for line in gone.filter(|line| *line >= from_line) {
            let place = self.place(line);
            self.piece.understood.push(place);
        }
        let rest = self.rest_place();
        let more = self.piece.position.bad.saturating_sub(BAD_ROWS);
        if let Some(first) = self.first_not_kept.take() {
            let detail = format!("{more} further bad rows; the first of them: {first}");
            self.piece.bad.push((rest, detail, Vec::new()));
        } else if more == 0 && self.reading.open.contains(&rest) {
            self.piece.understood.push(rest);
        }
        if self.reading.open.contains(&self.piece.name) {
            self.piece.understood.push(self.piece.name.clone());
        }
        self.send()
    }

    fn send(&mut self) -> bool {
        let next = Piece {
            name: self.piece.name.clone(),
            position: self.piece.position,
            ..Piece::default()
        };
        let piece = std::mem::replace(&mut self.piece, next);
        self.reading.pieces.blocking_send(piece).is_ok()
    }
}
