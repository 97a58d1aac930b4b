//! Which program this is.

use std::sync::LazyLock;

/// The commit it was built from; whoever builds it says so in `SMARTEM_COMMIT`.
pub(crate) const COMMIT: Option<&str> = match option_env!("SMARTEM_COMMIT") {
    Some(commit) if !commit.is_empty() => Some(commit),
    // An argument of an image build that nobody gave is empty.
    _ => None,
};

static VERSION: LazyLock<String> = LazyLock::new(|| with_commit(COMMIT));

/// The version, and the commit where it is known.
pub(crate) fn version() -> &'static str {
    &VERSION
}

fn with_commit(commit: Option<&str>) -> String {
    let version = env!("CARGO_PKG_VERSION");
    match commit {
        Some(commit) => format!("{version} (commit {commit})"),
        None => version.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commit_is_told_where_it_is_known() {
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(with_commit(None), version);
        assert_eq!(
            with_commit(Some("a1b2c3")),
            format!("{version} (commit a1b2c3)")
        );
    }
}
