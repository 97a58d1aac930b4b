//! What a service says of itself: its version, its sets and the requirements it declares to meet.

use serde_json::Value;

use crate::client::{Answer, Client};
use crate::outcome::Check;

/// The versions of the standard that are known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    /// OGC 15-078r6.
    V10,
    /// OGC 18-088.
    V11,
}

impl Version {
    /// The version as in addresses.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::V10 => "1.0",
            Self::V11 => "1.1",
        }
    }

    /// The document that describes it.
    pub(crate) fn document(self) -> &'static str {
        match self {
            Self::V10 => "OGC 15-078r6",
            Self::V11 => "OGC 18-088",
        }
    }
}

/// Whether a service declares something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Declared {
    /// It does.
    Yes,
    /// It declares other things, not this.
    No,
    /// It declares nothing at all, as every service of 1.0.
    Unknown,
}

/// A service, by its root document.
#[derive(Debug)]
pub(crate) struct Server {
    /// The version that is tested.
    pub(crate) version: Version,
    /// The root document as it came.
    pub(crate) root: Answer,
    /// The names of its sets, if it lists any.
    pub(crate) sets: Option<Vec<String>>,
    /// The requirements it declares, if it does.
    pub(crate) conformance: Option<Vec<String>>,
}

impl Server {
    /// Asks a service for its root document.
    ///
    /// # Errors
    /// A fault when there is no answer at all; whatever the answer is, the cases judge it.
    pub(crate) async fn ask(client: &Client) -> Check<Self> {
        let root = client.get("").await?;
        let mut document = serde_json::from_str(&root.text).unwrap_or(Value::Null);
        if root.status != 200 {
            // That is a fault, but no reason to know nothing of the server.
            let slash = client.get(&format!("{}/", client.root())).await?;
            document = serde_json::from_str(&slash.text).unwrap_or(Value::Null);
        }
        let names = |list: &Value, member: Option<&str>| -> Option<Vec<String>> {
            let list = list.as_array()?.iter();
            let text = |value: &Value| {
                let text = member.map_or(Some(value), |member| value.get(member));
                text.and_then(Value::as_str).map(str::to_owned)
            };
            Some(list.filter_map(text).collect())
        };
        let sets = document.get("value").and_then(|v| names(v, Some("name")));
        let conformance = document
            .pointer("/serverSettings/conformance")
            .and_then(|list| names(list, None));
        Ok(Self {
            version: version(client.root(), conformance.as_deref()),
            root,
            sets,
            conformance,
        })
    }

    /// Whether it declares a requirement, or a class, by the end of its address: `request-data/filter`.
    ///
    /// A declared class covers its requirements.
    pub(crate) fn declares(&self, requirement: &str) -> Declared {
        let Some(conformance) = &self.conformance else {
            return Declared::Unknown;
        };
        let covers = |uri: &String| {
            requirement_of(uri).is_some_and(|declared| {
                requirement == declared || requirement.starts_with(&format!("{declared}/"))
            })
        };
        yes_or_no(conformance.iter().any(covers))
    }

    /// Whether it declares a class or any requirement in it.
    pub(crate) fn declares_class(&self, class: &str) -> Declared {
        let Some(conformance) = &self.conformance else {
            return Declared::Unknown;
        };
        let within = |uri: &String| {
            requirement_of(uri).is_some_and(|declared| {
                declared == class || declared.starts_with(&format!("{class}/"))
            })
        };
        yes_or_no(conformance.iter().any(within) || self.declares(class) == Declared::Yes)
    }

    /// Whether it declares something whose address contains all these words, in any spelling.
    pub(crate) fn mentions(&self, words: &[&str]) -> Declared {
        let Some(conformance) = &self.conformance else {
            return Declared::Unknown;
        };
        let all = |uri: &String| {
            let uri = uri.to_lowercase();
            words.iter().all(|word| uri.contains(word))
        };
        yes_or_no(conformance.iter().any(all))
    }

    /// Whether its root document lists a set; unknown where it lists none.
    pub(crate) fn lists(&self, set: &str) -> Declared {
        match &self.sets {
            Some(sets) => yes_or_no(sets.iter().any(|name| name == set)),
            None => Declared::Unknown,
        }
    }
}

fn yes_or_no(yes: bool) -> Declared {
    if yes { Declared::Yes } else { Declared::No }
}

/// The part of the address of a requirement of SensorThings behind `/req/` or `/conf/`.
fn requirement_of(uri: &str) -> Option<&str> {
    let (_, behind) = uri.split_once("/spec/iot_sensing/")?;
    let (_, behind) = behind.split_once('/')?;
    let behind = behind
        .strip_prefix("req/")
        .or_else(|| behind.strip_prefix("conf/"))?;
    Some(behind.trim_end_matches('/'))
}

/// The version by the address, else by what is declared.
fn version(root: &str, conformance: Option<&[String]>) -> Version {
    if root.contains("v1.1") {
        return Version::V11;
    }
    if root.contains("v1.0") {
        return Version::V10;
    }
    let newer = |uri: &String| uri.contains("iot_sensing/1.1/");
    if conformance.is_some_and(|list| list.iter().any(newer)) {
        Version::V11
    } else {
        Version::V10
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declaring(uris: &[&str]) -> Server {
        Server {
            version: Version::V11,
            root: Answer::of_nothing(),
            sets: None,
            conformance: Some(uris.iter().map(|uri| (*uri).to_owned()).collect()),
        }
    }

    #[test]
    fn a_class_covers_its_requirements_and_a_requirement_not_its_neighbours() {
        let server = declaring(&[
            "http://www.opengis.net/spec/iot_sensing/1.1/req/request-data",
            "http://www.opengis.net/spec/iot_sensing/1.1/req/create-update-delete/create-entity",
        ]);
        assert_eq!(server.declares("request-data/filter"), Declared::Yes);
        assert_eq!(
            server.declares("create-update-delete/update-entity-put"),
            Declared::No
        );
        assert_eq!(server.declares_class("create-update-delete"), Declared::Yes);
        assert_eq!(server.declares_class("request-data/filter"), Declared::Yes);
        assert_eq!(server.declares_class("data-array"), Declared::No);
        assert_eq!(server.declares("request-datasets"), Declared::No);
    }

    #[test]
    fn the_address_tells_the_version_before_the_declaration_does() {
        let newer = ["http://www.opengis.net/spec/iot_sensing/1.1/req/datamodel".to_owned()];
        assert_eq!(version("http://h/v1.0", Some(&newer)), Version::V10);
        assert_eq!(version("http://h/sta", Some(&newer)), Version::V11);
        assert_eq!(version("http://h/sta", None), Version::V10);
    }
}
