//! What a command says on the terminal: results to standard output, errors to standard error.

use std::io::Write as _;

/// Prints a line of a result.
///
/// A closed pipe (`smartem … | head`) is no reason to fail.
pub(crate) fn line(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Prints a document that somebody will read as a whole; a failed write is an error.
pub(crate) fn document(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Prints an error with its causes, each once.
pub(crate) fn error(error: &anyhow::Error) {
    let mut text = format!("error: {error}");
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text.push_str("\n  because: ");
            text.push_str(&cause);
        }
    }
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
