//! What is wrong with a body.

use std::fmt;

/// How many problems are told at once.
const TOLD_MAX: usize = 20;

/// A body that cannot be used; there is one problem at least.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BodyError {
    /// What is wrong, in the order of the document.
    pub problems: Vec<BodyProblem>,
    /// How many more problems there are.
    pub untold: usize,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyProblem {
    /// Where (RFC 6901); empty: the whole document.
    pub pointer: String,
    /// What, and how it would be right.
    pub message: String,
}

impl BodyError {
    pub(super) fn one(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            problems: vec![BodyProblem {
                pointer: pointer.into(),
                message: message.into(),
            }],
            untold: 0,
        }
    }

    /// Broken JSON.
    pub(super) fn syntax(error: &serde_json::Error) -> Self {
        Self::one("", format!("the body is no JSON: {error}"))
    }

    /// Adds a problem, or counts it.
    pub(super) fn add(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        if self.problems.len() == TOLD_MAX {
            self.untold += 1;
            return;
        }
        self.problems.push(BodyProblem {
            pointer: pointer.into(),
            message: message.into(),
        });
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{problem}")?;
        }
        if self.untold > 0 {
            write!(f, "; and {} more", self.untold)?;
        }
        Ok(())
    }
}

impl fmt::Display for BodyProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.pointer.is_empty() {
            write!(f, "at {}: ", self.pointer)?;
        }
        f.write_str(&self.message)
    }
}

/// A pointer to a member or element of what another points to.
pub(super) fn below(pointer: &str, member: impl fmt::Display) -> String {
    let member = member.to_string();
    if member.contains(['~', '/']) {
        let escaped = member.replace('~', "~0").replace('/', "~1");
        return format!("{pointer}/{escaped}");
    }
    format!("{pointer}/{member}")
}
