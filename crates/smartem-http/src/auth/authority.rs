use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;

use super::Credentials;
use crate::{Kind, Problem};

/// What a principal may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Send samples and points.
    Write,
    /// Everything: write, make and drop databases.
    Admin,
}

impl Right {
    /// Its name in the configuration, the store and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no right.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownRight(String);

impl fmt::Display for UnknownRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "there is no right `{}`; there are `write` and `admin`",
            self.0
        )
    }
}

impl std::error::Error for UnknownRight {}

impl FromStr for Right {
    type Err = UnknownRight;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "write" => Ok(Self::Write),
            "admin" => Ok(Self::Admin),
            _ => Err(UnknownRight(text.to_owned())),
        }
    }
}

/// Somebody whose credentials were found good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The name, for logs and messages; that of the token.
    pub name: Arc<str>,
    /// What it may do.
    pub rights: Vec<Right>,
    /// The only project in which it may; `None`: in all.
    pub project: Option<Arc<str>>,
}

impl Principal {
    /// Whether it may do this in a project (`None`: in what belongs to no project).
    ///
    /// [`Right::Admin`] includes [`Right::Write`]. One that is bound to a project may nothing in
    /// another and nothing in what belongs to none.
    pub fn may(&self, right: Right, project: Option<&str>) -> bool {
        let has_right = self.rights.contains(&right) || self.rights.contains(&Right::Admin);
        has_right && self.reaches(project)
    }

    /// Whether it may do anything at all in a project.
    fn reaches(&self, project: Option<&str>) -> bool {
        self.project
            .as_deref()
            .is_none_or(|own| project == Some(own))
    }

    /// Refuses with 403 what it may not do.
    ///
    /// # Errors
    /// [`Kind::Forbidden`], saying what is missing.
    pub fn demand(&self, right: Right, project: Option<&str>) -> Result<(), Problem> {
        if self.may(right, project) {
            return Ok(());
        }
        let name = &self.name;
        let detail = match (&self.project, project) {
            (Some(own), Some(project)) if **own != *project => format!(
                "The token `{name}` may write in project `{own}` only, and this belongs to project \
                 `{project}`; use a token of that project."
            ),
            (Some(own), None) => format!(
                "The token `{name}` may write in project `{own}` only, and this belongs to no \
                 project; use a token without a project."
            ),
            _ => format!(
                "The token `{name}` lacks the right `{right}`; whoever runs the server gives it \
                 with `smartem token add NAME --right {right}`."
            ),
        };
        Err(Problem::new(Kind::Forbidden, detail))
    }
}

/// Who knows the principals.
#[async_trait]
pub trait Authority: Send + Sync {
    /// The principal with these credentials; `None` when they are wrong, expired or revoked.
    ///
    /// # Errors
    /// A problem when it cannot be told now.
    async fn identify(&self, credentials: &Credentials) -> Result<Option<Principal>, Problem>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(rights: &[Right], project: Option<&str>) -> Principal {
        Principal {
            name: "ada".into(),
            rights: rights.to_vec(),
            project: project.map(Into::into),
        }
    }

    #[test]
    fn a_principal_may_what_its_rights_and_its_project_say() {
        use Right::{Admin, Write};
        let cases = [
            (&[Write][..], None, Write, Some("p"), true),
            (&[Write], None, Write, None, true),
            (&[Write], None, Admin, None, false),
            (&[Write], Some("p"), Write, Some("p"), true),
            (&[Write], Some("p"), Write, Some("q"), false),
            (&[Write], Some("p"), Write, None, false),
            (&[Admin], None, Write, Some("p"), true),
            (&[Admin], Some("p"), Admin, Some("q"), false),
            (&[], None, Write, None, false),
        ];
        for (rights, own, right, project, may) in cases {
            let principal = principal(rights, own);
            assert_eq!(principal.may(right, project), may, "{principal:?} {right}");
            assert_eq!(principal.demand(right, project).is_ok(), may);
        }
    }

    #[test]
    fn a_refusal_says_what_is_missing() {
        let of = |principal: Principal, right, project| {
            let problem = principal.demand(right, project).unwrap_err();
            assert_eq!(problem.kind(), Kind::Forbidden);
            problem.detail().to_owned()
        };
        let bound = principal(&[Right::Write], Some("p"));
        assert!(of(bound.clone(), Right::Write, Some("q")).contains("project `q`"));
        assert!(of(bound, Right::Write, None).contains("no project"));
        let free = principal(&[Right::Write], None);
        assert!(of(free, Right::Admin, None).contains("the right `admin`"));
    }
}
