//! The tutorials do what they say: their files are written, their commands run, and what is
//! printed compared.

use std::process::{Command, Stdio};

use crate::support::{Place, Service, get, root, text};

/// Where the pages say that services are.
const ADDRESS: &str = "http://127.0.0.1:8080";

#[test]
fn a_station_type_can_be_added_as_the_tutorial_says() {
    let steps = follow("docs/tutorials/add-a-station-type.md");
    assert!(steps >= 9, "only {steps} commands were found");
}

#[test]
fn a_process_can_be_declared_as_the_how_to_says() {
    let steps = follow("docs/how-to/declare-a-process.md");
    assert!(steps >= 6, "only {steps} commands were found");
}

/// Follows a page from top to bottom; gives back how many commands it has.
fn follow(page: &str) -> usize {
    let text = std::fs::read_to_string(root().join(page)).unwrap();
    let mut reader = Reader {
        place: Place::new(),
        service: None,
    };
    let mut commands = 0;
    for block in blocks(&text) {
        if let Some(file) = block.attribute("title") {
            reader.place.write(file, block.body.join("\n") + "\n");
        } else if block.language == "console" {
            for (at, command, expected) in block.commands() {
                commands += 1;
                let (status, said) = reader.run(command);
                assert!(
                    agree(&said.lines().collect::<Vec<_>>(), &expected),
                    "{page}:{at}: `{command}` says\n{said}\ninstead of\n{}",
                    expected.join("\n")
                );
                let expected: i32 = block
                    .attribute("status")
                    .map_or(0, |status| status.parse().unwrap());
                assert_eq!(status, Some(expected), "{page}:{at}: `{command}`: {said}");
            }
        }
    }
    commands
}

/// Someone who follows a page in a folder of their own.
struct Reader {
    place: Place,
    service: Option<Service>,
}

impl Reader {
    /// Does what a command line says; gives back the exit status and what was printed.
    fn run(&mut self, command: &str) -> (Option<i32>, String) {
        if command == "smartem serve" {
            let mut serve = Command::new(env!("CARGO_BIN_EXE_smartem"));
            serve
                .args(["serve", "--listen", "127.0.0.1:0"])
                .current_dir(self.place.path())
                .env_remove("RUST_LOG");
            self.service = Some(Service::start(serve));
            return (Some(0), format!("smartem is at {ADDRESS}/\n"));
        }
        if let Some(url) = command.strip_prefix("curl -s ") {
            let service = self.service.as_ref().unwrap();
            let own = service.url.trim_end_matches('/');
            let (status, body) = get(&url.trim_matches('\'').replace(ADDRESS, own));
            assert_eq!(status, 200, "{command}: {body}");
            return (Some(0), body);
        }
        // `smartem` is this one, wherever it stands in the line.
        let line = format!(
            "smartem() {{ '{}' \"$@\"; }}; {command}",
            env!("CARGO_BIN_EXE_smartem")
        );
        let output = Command::new("sh")
            .args(["-c", &line])
            .current_dir(self.place.path())
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = text(&output.stdout);
        if output.status.code() != Some(0) && said.is_empty() {
            return (output.status.code(), text(&output.stderr));
        }
        (output.status.code(), said)
    }
}

/// A fenced block of a page.
struct Block<'a> {
    language: &'a str,
    attributes: &'a str,
    /// Number of its first line.
    first: usize,
    body: Vec<&'a str>,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut is_open = false;
    for (number, line) in page.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if is_open => is_open = false,
            Some(info) => {
                let (language, attributes) = info.split_once(' ').unwrap_or((info, ""));
                is_open = true;
                blocks.push(Block {
                    language,
                    attributes,
                    first: number + 2,
                    body: Vec::new(),
                });
            }
            None if is_open => blocks.last_mut().unwrap().body.push(line),
            None => {}
        }
    }
    blocks
}

impl<'a> Block<'a> {
    /// An attribute of the opening line: `title="x"` or `status=1`.
    fn attribute(&self, name: &str) -> Option<&'a str> {
        let words = self.attributes.split_whitespace();
        let mut pairs = words.filter_map(|word| word.split_once('='));
        let (_, value) = pairs.find(|(key, _)| *key == name)?;
        Some(value.trim_matches('"'))
    }

    /// The commands, each with its line in the page and the lines that it should print.
    fn commands(&self) -> Vec<(usize, &'a str, Vec<&'a str>)> {
        let mut commands: Vec<(usize, &str, Vec<&str>)> = Vec::new();
        for (number, line) in (self.first..).zip(&self.body) {
            match line.strip_prefix("$ ") {
                Some(command) => commands.push((number, command, Vec::new())),
                None => commands.last_mut().unwrap().2.push(line),
            }
        }
        commands
    }
}

/// Whether lines are as expected; an expected line `...` stands for any number of lines.
fn agree(lines: &[&str], expected: &[&str]) -> bool {
    match (lines, expected) {
        ([], []) => true,
        (_, [first, rest @ ..]) if first.trim() == "..." => {
            (0..=lines.len()).any(|skipped| agree(&lines[skipped..], rest))
        }
        ([line, lines @ ..], [first, rest @ ..]) => line_agrees(line, first) && agree(lines, rest),
        _ => false,
    }
}

/// Whether a line is as expected; `...` within it stands for any text.
fn line_agrees(line: &str, expected: &str) -> bool {
    let mut pieces = expected.split("...");
    let Some(mut left) = pieces.next().and_then(|first| line.strip_prefix(first)) else {
        return false;
    };
    let mut pieces: Vec<&str> = pieces.collect();
    let Some(last) = pieces.pop() else {
        return left.is_empty();
    };
    for piece in pieces {
        match left.split_once(piece) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    left.ends_with(last)
}

#[test]
fn other_output_than_the_page_says_is_seen() {
    let lines = ["a: good", "", "value 8.6, of 5"];
    for expected in [
        &["a: good", "", "value 8.6, of 5"][..],
        &["..."],
        &["a: good", "..."],
        &["...", "value ..., of 5"],
        &["a: ...", "  ...", "...8.6...5"],
        &["...", "a: good", "", "value 8.6...", "..."],
    ] {
        assert!(agree(&lines, expected), "{expected:?}");
    }
    for expected in [
        &[][..],
        &["a: good"],
        &["a: bad", "..."],
        &["...", "value 8.7..."],
        &["...", "value ..., of 6"],
        &["...", "...5...8.6..."],
        &["a: good", "", "value 8.6, of 5", "more"],
    ] {
        assert!(!agree(&lines, expected), "{expected:?}");
    }
    let page =
        "x\n```toml title=\"a.toml\"\nk = 1\n```\n```console status=1\n$ one\nout\n$ two\n```\n";
    let found = blocks(page);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].body, ["k = 1"]);
    assert_eq!(found[1].attribute("status"), Some("1"));
    assert_eq!(
        found[1].commands(),
        [(6, "one", vec!["out"]), (8, "two", vec![])]
    );
}
