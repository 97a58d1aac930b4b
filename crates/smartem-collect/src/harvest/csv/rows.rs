//! From bytes to rows of fields (RFC 4180): quoted fields, any end of line, no row longer than agreed.

use std::io::{self, BufRead, Read};

use csv_core::{ReaderBuilder, Terminator};

/// A row may be so long, in bytes. What is longer is no row: a quote that is never closed.
const LONGEST_ROW: usize = 64 * 1024;

/// Splits a stream into rows.
pub(super) struct Rows<R> {
    input: R,
    /// Number of the line that comes next, from 1.
    next_line: u64,
    /// Lines read ahead in search of the end of a quoted field that has none.
    ahead: Vec<Vec<u8>>,
}

/// One row as it stands in the file, possibly over several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The line on which it begins, from 1.
    pub line: u64,
    /// Its text, without the end of line.
    pub text: Vec<u8>,
    /// Why its fields cannot be told.
    pub fault: Option<&'static str>,
}

impl<R: BufRead> Rows<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            next_line: 1,
            ahead: Vec::new(),
        }
    }

    /// The next row that is not empty; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Row>> {
        loop {
            let line = self.next_line;
            let Some(text) = self.line()? else {
                return Ok(None);
            };
            if text.len() > LONGEST_ROW {
                let fault = Some("the line is longer than 64 KiB");
                return Ok(Some(Row { line, text, fault }));
            }
            if text.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            if text.contains(&END) {
                let fault = Some("it holds a zero byte; write the file as UTF-8");
                return Ok(Some(Row { line, text, fault }));
            }
            if is_closed(&text) {
                return Ok(Some(Row {
                    line,
                    text,
                    fault: None,
                }));
            }
            return self.quoted_over_lines(line, text).map(Some);
        }
    }

    /// A row whose quoted field goes on in the next lines; without an end of it the first line alone
    /// is at fault.
    fn quoted_over_lines(&mut self, line: u64, first: Vec<u8>) -> io::Result<Row> {
        let mut text = first.clone();
        let mut taken = Vec::new();
        while text.len() <= LONGEST_ROW {
            let Some(more) = self.line()? else { break };
            text.push(b'\n');
            text.extend_from_slice(&more);
            taken.push(more);
            if is_closed(&text) {
                return Ok(Row {
                    line,
                    text,
                    fault: None,
                });
            }
        }
        self.next_line -= taken.len() as u64;
        // Last in, first out: `line` pops from the end.
        self.ahead.extend(taken.into_iter().rev());
        Ok(Row {
            line,
            text: first,
            fault: Some("a quote is opened and not closed"),
        })
    }

    /// The next line without its end; of one that is too long only the beginning is kept.
    fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(line) = self.ahead.pop() {
            self.next_line += 1;
            return Ok(Some(line));
        }
        let mut line = Vec::new();
        let limit = LONGEST_ROW as u64 + 2;
        (&mut self.input).take(limit).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        if !line.ends_with(b"\n") && line.len() as u64 == limit {
            self.skip_line()?;
        }
        if line.ends_with(b"\n") {
            line.pop();
        }
        if line.ends_with(b"\r") {
            line.pop();
        }
        if self.next_line == 1 && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        self.next_line += 1;
        Ok(Some(line))
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            let end = buffer.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(buffer.len(), |end| end + 1);
            self.input.consume(used);
            if end.is_some() {
                return Ok(());
            }
        }
    }
}

/// Whether every quote that is opened is closed; a doubled one in a quoted field counts twice.
fn is_closed(text: &[u8]) -> bool {
    text.iter()
        .fold(true, |is_closed, byte| is_closed ^ (*byte == b'"'))
}

/// The fields of a row.
#[derive(Clone, Debug)]
pub(super) struct Splitter {
    delimiter: u8,
    ended: Vec<u8>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Ends a row for the splitter: a byte that no row has, since a quoted field may hold line ends.
const END: u8 = 0;

impl Splitter {
    pub(super) fn new(delimiter: u8) -> Self {
        Self {
            delimiter,
            ended: Vec::new(),
            bytes: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// The fields of a row, without blanks around them.
    pub(super) fn fields(&mut self, text: &[u8]) -> Vec<String> {
        let mut reader = ReaderBuilder::new()
            .delimiter(self.delimiter)
            .terminator(Terminator::Any(END))
            .build();
        self.ended.clear();
        self.ended.extend_from_slice(text);
        self.ended.push(END);
        self.bytes.resize(self.ended.len(), 0);
        self.ends.resize(self.ended.len() + 1, 0);
        let (_, _, _, count) = reader.read_record(&self.ended, &mut self.bytes, &mut self.ends);
        let mut start = 0;
        let mut fields = Vec::with_capacity(count);
        for end in &self.ends[..count] {
            fields.push(decoded(&self.bytes[start..*end]));
            start = *end;
        }
        fields
    }
}

/// UTF-8, or else Latin-1, in which every byte is a character.
fn decoded(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.trim().to_owned();
    }
    let text: String = bytes.iter().map(|byte| char::from(*byte)).collect();
    text.trim().to_owned()
}

/// The delimiter among `,`, `;` and tab that stands most often outside quotes; `,` when none does.
pub(super) fn delimiter_of(header: &[u8]) -> u8 {
    let mut is_quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    for byte in header {
        is_quoted ^= *byte == b'"';
        for (candidate, count) in &mut counts {
            *count += usize::from(!is_quoted && byte == candidate);
        }
    }
    // Of equal counts the first one holds.
    let most = counts.iter().rev().max_by_key(|(_, count)| *count);
    most.map_or(b',', |(delimiter, _)| *delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(text: &[u8]) -> Vec<(u64, Vec<String>, bool)> {
        let mut rows = Rows::new(io::Cursor::new(text.to_vec()));
        let mut found = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            let fields = Splitter::new(b',').fields(&row.text);
            found.push((row.line, fields, row.fault.is_some()));
        }
        found
    }

    fn row(line: u64, fields: &[&str]) -> (u64, Vec<String>, bool) {
        let fields = fields.iter().map(|f| (*f).to_owned()).collect();
        (line, fields, false)
    }

    #[test]
    fn byte_order_mark_line_ends_and_quotes() {
        let text = b"\xef\xbb\xbfa,b\r\n1,\"x,\"\"y\"\"\"\r\n\r\n,\n\"two\nlines\",2\n3,";
        assert_eq!(
            rows(text),
            [
                row(1, &["a", "b"]),
                row(2, &["1", "x,\"y\""]),
                row(4, &["", ""]),
                row(5, &["two\nlines", "2"]),
                row(7, &["3", ""]),
            ]
        );
    }

    #[test]
    fn a_quote_that_is_not_closed_spoils_only_its_own_line() {
        let found = rows(b"a,b\n1,\"x\n2,y\n3,z\n");
        assert_eq!(found.len(), 4);
        assert!(found[1].2);
        assert_eq!(found[2], row(3, &["2", "y"]));
        assert_eq!(found[3], row(4, &["3", "z"]));
    }

    #[test]
    fn a_line_without_end_is_cut_and_the_next_one_is_read() {
        let mut text = vec![b'x'; 3 * LONGEST_ROW];
        text.extend_from_slice(b"\n1,2\n");
        let found = rows(&text);
        assert_eq!(found.len(), 2);
        assert!(found[0].2);
        assert_eq!(found[1], row(2, &["1", "2"]));
    }

    #[test]
    fn the_delimiter_is_told_by_the_header() {
        assert_eq!(delimiter_of(b"a;b;c"), b';');
        assert_eq!(delimiter_of(b"\"a;b;c\",d"), b',');
        assert_eq!(delimiter_of(b"a\tb"), b'\t');
        assert_eq!(delimiter_of(b"alone"), b',');
    }

    #[test]
    fn what_is_not_utf_8_is_latin_1() {
        assert_eq!(decoded(b"\xb5g"), "µg");
    }
}
