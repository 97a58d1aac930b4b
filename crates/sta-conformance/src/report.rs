//! What a run is told as: for people, as JSON, and as JUnit XML.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::cases::Class;
use crate::outcome::{Fault, Stop};
use crate::run::{Ran, Tried, UNDECLARED};
use crate::server::Server;

/// How many cases came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Requirements that are met.
    pub(crate) passed: usize,
    /// Requirements that are not.
    pub(crate) failed: usize,
    /// Cases that were not tried.
    pub(crate) skipped: usize,
}

impl Counts {
    /// Counts cases.
    pub(crate) fn of<'a>(tried: impl Iterator<Item = &'a Tried>) -> Self {
        tried.fold(Self::default(), |mut counts, tried| {
            match tried.result {
                Ok(()) => counts.passed += 1,
                Err(Stop::Fault(_)) => counts.failed += 1,
                Err(Stop::Skip(_)) => counts.skipped += 1,
            }
            counts
        })
    }
}

/// The cases of each class that has any.
fn classes(ran: &Ran) -> impl Iterator<Item = (Class, Vec<&Tried>)> {
    Class::ALL.into_iter().filter_map(|class| {
        let of_class: Vec<_> = ran.tried.iter().filter(|t| t.case.class == class).collect();
        (!of_class.is_empty()).then_some((class, of_class))
    })
}

/// Whether a class was skipped as a whole, since the server does not declare it.
fn undeclared(tried: &[&Tried]) -> bool {
    tried
        .iter()
        .all(|t| t.result == Err(Stop::Skip(UNDECLARED.to_owned())))
}

/// The report for people.
pub(crate) fn text(root: &str, server: &Server, ran: &Ran, verbose: bool) -> String {
    let mut out = String::new();
    let version = server.version;
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "SensorThings {} ({}) at {root}\n",
        version.name(),
        version.document()
    );
    let mut shown = Vec::new();
    for (class, tried) in classes(ran) {
        if undeclared(&tried) {
            let _ = writeln!(
                out,
                "{}\n  not declared, {} cases skipped\n",
                class.title(),
                tried.len()
            );
            continue;
        }
        let _ = writeln!(
            out,
            "{}\n  {}",
            class.title(),
            sentence(Counts::of(tried.iter().copied()))
        );
        for tried in tried {
            one(&mut out, server, tried, verbose, &mut shown);
        }
        out.push('\n');
    }
    reasons(&mut out, ran);
    if ran.broken_off {
        out.push_str("The run was broken off.\n");
    }
    let cleaning = &ran.cleaning;
    let _ = writeln!(out, "Removed {} entities of the run.", cleaning.removed);
    if !cleaning.left.is_empty() {
        let _ = writeln!(out, "NOT removed: {}", cleaning.left.join(", "));
    }
    let counts = Counts::of(ran.tried.iter());
    let _ = writeln!(out, "In all: {}.", sentence(counts));
    out
}

/// Counts in words.
fn sentence(counts: Counts) -> String {
    format!(
        "{} passed, {} failed, {} skipped",
        counts.passed, counts.failed, counts.skipped
    )
}

/// One case in the report for people.
///
/// A fault that was shown before is only named: where no data can be made, it is that of many cases.
fn one<'a>(
    out: &mut String,
    server: &Server,
    tried: &'a Tried,
    verbose: bool,
    shown: &mut Vec<&'a Fault>,
) {
    let name = tried.case.full_name();
    match &tried.result {
        Ok(()) => {
            if verbose {
                let _ = writeln!(out, "  ok    {name}");
            }
        }
        Err(Stop::Skip(why)) => {
            if verbose {
                let _ = writeln!(out, "  skip  {name}: {why}");
            }
        }
        Err(Stop::Fault(fault)) => {
            let _ = writeln!(out, "  FAIL  {name}");
            let _ = writeln!(
                out,
                "        asked: {} [{} {}]",
                tried.case.requirement,
                server.version.document(),
                section(tried)
            );
            if shown.contains(&fault.as_ref()) {
                let _ = writeln!(out, "        found: {}, as above", fault.what);
            } else {
                let _ = writeln!(out, "        found: {}", fault.what);
                exchange(out, fault);
                shown.push(fault);
            }
        }
    }
}

/// The request and the answer that showed a fault.
fn exchange(out: &mut String, fault: &Fault) {
    for (word, text) in [("request", &fault.request), ("answer", &fault.answer)] {
        if let Some(text) = text {
            let text = text.replace('\n', "\n          ");
            let _ = writeln!(out, "        {word}: {text}");
        }
    }
}

/// The section as it is cited.
fn section(tried: &Tried) -> String {
    let section = tried.case.section;
    if section.starts_with(|c: char| c.is_ascii_digit()) {
        format!("§{section}")
    } else {
        section.to_owned()
    }
}

/// Why cases were skipped, each reason once.
fn reasons(out: &mut String, ran: &Ran) {
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for tried in &ran.tried {
        let Err(Stop::Skip(why)) = &tried.result else {
            continue;
        };
        match reasons.iter_mut().find(|(known, _)| known == why) {
            Some((_, count)) => *count += 1,
            None => reasons.push((why, 1)),
        }
    }
    if reasons.is_empty() {
        return;
    }
    out.push_str("Skipped\n");
    for (why, count) in reasons {
        let _ = writeln!(out, "  {count:>4}  {why}");
    }
    out.push('\n');
}

/// The report as JSON.
pub(crate) fn as_json(root: &str, server: &Server, ran: &Ran) -> String {
    let classes: Vec<Value> = classes(ran)
        .map(|(class, tried)| {
            let counts = Counts::of(tried.iter().copied());
            json!({
                "class": class.key(),
                "title": class.title(),
                "declared": !undeclared(&tried),
                "passed": counts.passed,
                "failed": counts.failed,
                "skipped": counts.skipped,
                "cases": tried.iter().map(|tried| case_as_json(tried)).collect::<Vec<_>>(),
            })
        })
        .collect();
    let counts = Counts::of(ran.tried.iter());
    let report = json!({
        "service": root,
        "version": server.version.name(),
        "document": server.version.document(),
        "conformance": server.conformance,
        "passed": counts.passed,
        "failed": counts.failed,
        "skipped": counts.skipped,
        "brokenOff": ran.broken_off,
        "removed": ran.cleaning.removed,
        "left": ran.cleaning.left,
        "classes": classes,
    });
    format!("{report:#}\n")
}

/// One case as JSON.
fn case_as_json(tried: &Tried) -> Value {
    let (result, detail) = match &tried.result {
        Ok(()) => ("passed", Value::Null),
        Err(Stop::Skip(why)) => ("skipped", json!({ "why": why })),
        Err(Stop::Fault(fault)) => (
            "failed",
            json!({ "what": fault.what, "request": fault.request, "answer": fault.answer }),
        ),
    };
    json!({
        "name": tried.case.full_name(),
        "requirement": tried.case.requirement,
        "section": tried.case.section,
        "result": result,
        "detail": detail,
        "milliseconds": u64::try_from(tried.took.as_millis()).unwrap_or(u64::MAX),
    })
}

/// The report as JUnit XML, a suite for each class.
pub(crate) fn junit(server: &Server, ran: &Ran) -> String {
    let counts = Counts::of(ran.tried.iter());
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuites name=\"SensorThings {}\" {}>",
        server.version.name(),
        attributes(counts)
    );
    for (class, tried) in classes(ran) {
        let counts = Counts::of(tried.iter().copied());
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" {}>",
            escaped(class.title()),
            attributes(counts)
        );
        for tried in tried {
            case_as_junit(&mut out, tried);
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Counts as attributes.
fn attributes(counts: Counts) -> String {
    let tests = counts.passed + counts.failed + counts.skipped;
    format!(
        "tests=\"{tests}\" failures=\"{}\" skipped=\"{}\"",
        counts.failed, counts.skipped
    )
}

/// One case as JUnit XML.
fn case_as_junit(out: &mut String, tried: &Tried) {
    let name = tried.case.full_name();
    let short = name
        .split_once('/')
        .map_or(name.as_str(), |(_, short)| short);
    let _ = write!(
        out,
        "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
        tried.case.class.key(),
        escaped(short),
        tried.took.as_secs_f64()
    );
    match &tried.result {
        Ok(()) => out.push_str("/>\n"),
        Err(Stop::Skip(why)) => {
            let _ = writeln!(out, "><skipped message=\"{}\"/></testcase>", escaped(why));
        }
        Err(Stop::Fault(fault)) => {
            let mut detail = format!("asked: {}\n", tried.case.requirement);
            exchange(&mut detail, fault);
            let _ = writeln!(
                out,
                "><failure message=\"{}\">{}</failure></testcase>",
                escaped(&fault.what),
                escaped(&detail)
            );
        }
    }
}

/// Text for XML; characters that XML cannot hold become question marks.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' | '\r' => out.push(c),
            c if c.is_control() => out.push('?'),
            c => out.push(c),
        }
    }
    out
}
