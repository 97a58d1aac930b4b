//! The eight sets of entities and the MultiDatastreams, as the standard describes them.

use serde_json::Value;

/// The kind of JSON value that a property has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Shape {
    /// A string.
    Text,
    /// A string with an instant, or `null`.
    Instant,
    /// A string with an instant or an interval.
    Time,
    /// An object.
    Object,
    /// An array.
    List,
    /// Anything but absence.
    Any,
}

impl Shape {
    /// Whether a value is of this kind.
    pub(crate) fn fits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Instant => value.is_null() || value.as_str().is_some_and(is_instant),
            Self::Time => value.as_str().is_some_and(|text| {
                text.split_once('/')
                    .map_or(is_instant(text), |(begin, end)| {
                        is_instant(begin) && is_instant(end)
                    })
            }),
            Self::Object => value.is_object(),
            Self::List => value.is_array(),
            Self::Any => true,
        }
    }
}

/// Whether a text is an ISO 8601 instant with its zone.
fn is_instant(text: &str) -> bool {
    text.parse::<jiff::Timestamp>().is_ok()
}

/// A set of entities.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The name of the set, as in paths: `Things`.
    pub(crate) set: &'static str,
    /// The section that describes it.
    pub(crate) section: &'static str,
    /// The properties that each must show.
    pub(crate) properties: &'static [(&'static str, Shape)],
    /// Navigation to one: its name, and the set of the other end.
    pub(crate) to_one: &'static [(&'static str, &'static str)],
    /// Navigation to many, by the names of the sets.
    pub(crate) to_many: &'static [&'static str],
}

impl Kind {
    /// The names of all navigation.
    pub(crate) fn relations(&self) -> impl Iterator<Item = &'static str> {
        let one = self.to_one.iter().map(|(name, _)| *name);
        one.chain(self.to_many.iter().copied())
    }
}

use Shape::{Any, Instant, List, Object, Text, Time};

/// The eight sets that every service has.
pub(crate) const KINDS: [Kind; 8] = [
    Kind {
        set: "Things",
        section: "8.2.1",
        properties: &[("name", Text), ("description", Text)],
        to_one: &[],
        to_many: &["Datastreams", "Locations", "HistoricalLocations"],
    },
    Kind {
        set: "Locations",
        section: "8.2.2",
        properties: &[
            ("name", Text),
            ("description", Text),
            ("encodingType", Text),
            ("location", Any),
        ],
        to_one: &[],
        to_many: &["Things", "HistoricalLocations"],
    },
    Kind {
        set: "HistoricalLocations",
        section: "8.2.3",
        properties: &[("time", Instant)],
        to_one: &[("Thing", "Things")],
        to_many: &["Locations"],
    },
    Kind {
        set: "Datastreams",
        section: "8.2.4",
        properties: &[
            ("name", Text),
            ("description", Text),
            ("unitOfMeasurement", Object),
            ("observationType", Text),
        ],
        to_one: &[
            ("Thing", "Things"),
            ("Sensor", "Sensors"),
            ("ObservedProperty", "ObservedProperties"),
        ],
        to_many: &["Observations"],
    },
    Kind {
        set: "Sensors",
        section: "8.2.5",
        properties: &[
            ("name", Text),
            ("description", Text),
            ("encodingType", Text),
            ("metadata", Any),
        ],
        to_one: &[],
        to_many: &["Datastreams"],
    },
    Kind {
        set: "ObservedProperties",
        section: "8.2.6",
        properties: &[("name", Text), ("definition", Text), ("description", Text)],
        to_one: &[],
        to_many: &["Datastreams"],
    },
    Kind {
        set: "Observations",
        section: "8.2.7",
        properties: &[
            ("phenomenonTime", Time),
            ("result", Any),
            ("resultTime", Instant),
        ],
        to_one: &[
            ("Datastream", "Datastreams"),
            ("FeatureOfInterest", "FeaturesOfInterest"),
        ],
        to_many: &[],
    },
    Kind {
        set: "FeaturesOfInterest",
        section: "8.2.8",
        properties: &[
            ("name", Text),
            ("description", Text),
            ("encodingType", Text),
            ("feature", Any),
        ],
        to_one: &[],
        to_many: &["Observations"],
    },
];

/// The set of the MultiDatastream extension.
pub(crate) const MULTI_DATASTREAMS: Kind = Kind {
    set: "MultiDatastreams",
    section: "12",
    properties: &[
        ("name", Text),
        ("description", Text),
        ("observationType", Text),
        ("multiObservationDataTypes", List),
        ("unitOfMeasurements", List),
    ],
    to_one: &[("Thing", "Things"), ("Sensor", "Sensors")],
    to_many: &["ObservedProperties", "Observations"],
};

/// Where sets can be deleted one after the other: what hangs on others first.
pub(crate) const DELETION: [&str; 9] = [
    "Observations",
    "MultiDatastreams",
    "Datastreams",
    "HistoricalLocations",
    "Things",
    "FeaturesOfInterest",
    "Locations",
    "Sensors",
    "ObservedProperties",
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_need_a_zone_and_intervals_two_instants() {
        assert!(Time.fits(&json!("2021-01-01T00:00:00Z")));
        assert!(Time.fits(&json!("2021-01-01T00:00:00.000Z/2021-01-02T01:00:00+01:00")));
        assert!(!Time.fits(&json!("2021-01-01T00:00:00")));
        assert!(!Time.fits(&json!("2021-01-01T00:00:00Z/")));
        assert!(!Time.fits(&json!(null)));
        assert!(Instant.fits(&json!(null)));
        assert!(!Instant.fits(&json!("2021-01-01T00:00:00Z/2021-01-02T00:00:00Z")));
    }

    #[test]
    fn every_set_can_be_deleted() {
        for kind in &KINDS {
            assert!(DELETION.contains(&kind.set));
        }
        assert!(DELETION.contains(&MULTI_DATASTREAMS.set));
    }
}
