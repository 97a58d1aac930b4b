/// The versions of the API that have topics.
const VERSIONS: [&str; 2] = ["v1.0", "v1.1"];

/// The sets of entities in which messages create some.
const ENTITY_SETS: [&str; 9] = [
    "Things",
    "Locations",
    "HistoricalLocations",
    "Datastreams",
    "MultiDatastreams",
    "Sensors",
    "ObservedProperties",
    "Observations",
    "FeaturesOfInterest",
];

/// A topic, or a filter of topics, of the SensorThings API: `v1.1/Datastreams(1)/Observations`, also with
/// `sta/` before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaTopic<'a> {
    /// `v1.0` or `v1.1`.
    pub version: &'static str,
    /// What follows the version: the path of a resource, with the options of a query where there are any.
    pub path: &'a str,
}

impl<'a> StaTopic<'a> {
    /// Takes a topic or filter apart; `None`: it is of something else, or may be.
    pub fn of(topic: &'a str) -> Option<Self> {
        let rest = topic.strip_prefix("sta/").unwrap_or(topic);
        let (version, path) = rest.split_once('/')?;
        let version = VERSIONS.into_iter().find(|it| *it == version)?;
        (!path.is_empty()).then_some(Self { version, path })
    }

    /// Whether a message to this topic creates an entity: it is the path of a set of entities.
    pub fn creates(&self) -> bool {
        let last = self.path.rsplit('/').next();
        last.is_some_and(|last| ENTITY_SETS.contains(&last))
    }

    /// Whether the filter has wildcards.
    pub fn has_wildcards(&self) -> bool {
        self.path.contains(['+', '#'])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_of_the_api_are_known_in_all_their_forms() {
        for (topic, version, path) in [
            ("v1.1/Observations", "v1.1", "Observations"),
            ("sta/v1.0/Things(1)/name", "v1.0", "Things(1)/name"),
            ("v1.1/#", "v1.1", "#"),
            (
                "v1.1/Datastreams(1)/Observations?$select=result",
                "v1.1",
                "Datastreams(1)/Observations?$select=result",
            ),
        ] {
            assert_eq!(StaTopic::of(topic), Some(StaTopic { version, path }));
        }
        for other in [
            "#",
            "+/Observations",
            "sta/#",
            "sta/+/Observations",
            "v1.1",
            "v1.1/",
            "v1.10/Things",
            "V1.1/Things",
            "/v1.1/Things",
            "smartem/v1.1/Things",
            "sta/sta/v1.1/Things",
            "$SYS/v1.1/Things",
        ] {
            assert_eq!(StaTopic::of(other), None, "{other}");
        }
    }

    #[test]
    fn entities_are_created_in_sets() {
        let creates = |topic| StaTopic::of(topic).is_some_and(|it| it.creates());
        for topic in [
            "v1.1/Observations",
            "sta/v1.1/Datastreams(1)/Observations",
            "v1.0/Things('a/b')/Locations",
        ] {
            assert!(creates(topic), "{topic}");
        }
        for topic in [
            "v1.1/Things(1)",
            "v1.1/Things(1)/name",
            "v1.1/Observations?$select=result",
            "v1.1/observations",
            "v1.1/Observations/",
            "v1.1/Datastreams(1)/Thing",
            "smartem/Observations",
        ] {
            assert!(!creates(topic), "{topic}");
        }
    }
}
