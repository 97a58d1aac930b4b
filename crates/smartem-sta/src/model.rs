//! Entity types, their properties and relations (18-088, section 8; 23-019 for the names of version 2.0).

/// A version of the standard, that is one face of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// 15-078r6.
    V1_0,
    /// 18-088.
    V1_1,
    /// 23-019.
    V2_0,
}

impl Version {
    /// As it stands in URLs: `v1.1`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "v1.0",
            Self::V1_1 => "v1.1",
            Self::V2_0 => "v2.0",
        }
    }

    /// Whether this is one of the versions 1.x, whose JSON has `@iot.` annotations.
    pub fn is_1(self) -> bool {
        self < Self::V2_0
    }
}

/// A type of entities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntityType {
    /// A station, or anything else that observes.
    Thing,
    /// Where things are.
    Location,
    /// Where a thing was from a time on.
    HistoricalLocation,
    /// Observations of one thing by one sensor; in the versions 1.x of one observed property.
    Datastream,
    /// In versions 1.x: a datastream whose results are arrays, one value for each observed property.
    MultiDatastream,
    /// An instrument.
    Sensor,
    /// What is observed.
    ObservedProperty,
    /// A result and its times.
    Observation,
    /// What an observation is of (`FeatureOfInterest` in 1.x).
    Feature,
}

impl EntityType {
    /// All, in the order of a root document.
    pub const ALL: [Self; 9] = [
        Self::Thing,
        Self::Location,
        Self::HistoricalLocation,
        Self::Datastream,
        Self::MultiDatastream,
        Self::Sensor,
        Self::ObservedProperty,
        Self::Observation,
        Self::Feature,
    ];

    /// The name of the set: `Things`.
    pub fn set_name(self, version: Version) -> &'static str {
        match self {
            Self::Thing => "Things",
            Self::Location => "Locations",
            Self::HistoricalLocation => "HistoricalLocations",
            Self::Datastream => "Datastreams",
            Self::MultiDatastream => "MultiDatastreams",
            Self::Sensor => "Sensors",
            Self::ObservedProperty => "ObservedProperties",
            Self::Observation => "Observations",
            Self::Feature if version.is_1() => "FeaturesOfInterest",
            Self::Feature => "Features",
        }
    }

    /// The name of one: `Thing`.
    pub fn name(self, version: Version) -> &'static str {
        match self {
            Self::Thing => "Thing",
            Self::Location => "Location",
            Self::HistoricalLocation => "HistoricalLocation",
            Self::Datastream => "Datastream",
            Self::MultiDatastream => "MultiDatastream",
            Self::Sensor => "Sensor",
            Self::ObservedProperty => "ObservedProperty",
            Self::Observation => "Observation",
            Self::Feature if version.is_1() => "FeatureOfInterest",
            Self::Feature => "Feature",
        }
    }

    /// Whether a version has it.
    pub fn is_in(self, version: Version) -> bool {
        self != Self::MultiDatastream || version.is_1()
    }

    /// The type whose set has this name in a version.
    pub fn of_set(name: &str, version: Version) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|it| it.is_in(version) && it.set_name(version) == name)
    }

    /// What leads from it to others.
    pub fn relations(self) -> &'static [Relation] {
        use EntityType as E;
        const fn one(from: EntityType, to: EntityType) -> Relation {
            Relation {
                from,
                to,
                is_many: false,
            }
        }
        const fn many(from: EntityType, to: EntityType) -> Relation {
            Relation {
                from,
                to,
                is_many: true,
            }
        }
        const THING: &[Relation] = &[
            many(E::Thing, E::Datastream),
            many(E::Thing, E::MultiDatastream),
            many(E::Thing, E::Location),
            many(E::Thing, E::HistoricalLocation),
        ];
        const LOCATION: &[Relation] = &[
            many(E::Location, E::Thing),
            many(E::Location, E::HistoricalLocation),
        ];
        const HISTORICAL: &[Relation] = &[
            one(E::HistoricalLocation, E::Thing),
            many(E::HistoricalLocation, E::Location),
        ];
        const DATASTREAM: &[Relation] = &[
            one(E::Datastream, E::Thing),
            one(E::Datastream, E::Sensor),
            one(E::Datastream, E::ObservedProperty),
            many(E::Datastream, E::Observation),
        ];
        const MULTI: &[Relation] = &[
            one(E::MultiDatastream, E::Thing),
            one(E::MultiDatastream, E::Sensor),
            many(E::MultiDatastream, E::ObservedProperty),
            many(E::MultiDatastream, E::Observation),
        ];
        const SENSOR: &[Relation] = &[
            many(E::Sensor, E::Datastream),
            many(E::Sensor, E::MultiDatastream),
        ];
        const OBSERVED_PROPERTY: &[Relation] = &[
            many(E::ObservedProperty, E::Datastream),
            many(E::ObservedProperty, E::MultiDatastream),
        ];
        const OBSERVATION: &[Relation] = &[
            one(E::Observation, E::Datastream),
            one(E::Observation, E::MultiDatastream),
            one(E::Observation, E::Feature),
        ];
        const FEATURE: &[Relation] = &[many(E::Feature, E::Observation)];
        match self {
            E::Thing => THING,
            E::Location => LOCATION,
            E::HistoricalLocation => HISTORICAL,
            E::Datastream => DATASTREAM,
            E::MultiDatastream => MULTI,
            E::Sensor => SENSOR,
            E::ObservedProperty => OBSERVED_PROPERTY,
            E::Observation => OBSERVATION,
            E::Feature => FEATURE,
        }
    }

    /// What leads from it to others in a version: in 2.0 a datastream may have several observed properties, and
    /// there are no `MultiDatastreams`.
    pub fn relations_in(self, version: Version) -> impl Iterator<Item = Relation> {
        self.relations()
            .iter()
            .filter(move |it| it.to.is_in(version))
            .map(move |it| Relation {
                is_many: it.is_many
                    || (!version.is_1()
                        && (it.from, it.to) == (Self::Datastream, Self::ObservedProperty)),
                ..*it
            })
    }

    /// The relation to another type, if there is one.
    pub fn relation_to(self, to: Self) -> Option<Relation> {
        self.relations().iter().copied().find(|it| it.to == to)
    }

    /// Its properties, in the order in which they are written; `Id` and `SelfLink` are not among them.
    pub fn properties(self) -> &'static [Property] {
        use Property as P;
        match self {
            Self::Thing => &[P::Name, P::Description, P::Properties],
            Self::Location => &[
                P::Name,
                P::Description,
                P::EncodingType,
                P::Location,
                P::Properties,
            ],
            Self::HistoricalLocation => &[P::Time],
            Self::Datastream => &[
                P::Name,
                P::Description,
                P::ObservationType,
                P::UnitOfMeasurement,
                P::ObservedArea,
                P::PhenomenonTime,
                P::ResultTime,
                P::Properties,
            ],
            Self::MultiDatastream => &[
                P::Name,
                P::Description,
                P::ObservationType,
                P::MultiObservationDataTypes,
                P::UnitOfMeasurements,
                P::ObservedArea,
                P::PhenomenonTime,
                P::ResultTime,
                P::Properties,
            ],
            Self::Sensor => &[
                P::Name,
                P::Description,
                P::EncodingType,
                P::Metadata,
                P::Properties,
            ],
            Self::ObservedProperty => &[P::Name, P::Definition, P::Description, P::Properties],
            Self::Observation => &[
                P::PhenomenonTime,
                P::ResultTime,
                P::Result,
                P::ResultQuality,
                P::ValidTime,
                P::Parameters,
            ],
            Self::Feature => &[
                P::Name,
                P::Description,
                P::EncodingType,
                P::Feature,
                P::Properties,
            ],
        }
    }
}

/// What leads from an entity to others; a pair of types names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Relation {
    /// From this type.
    pub from: EntityType,
    /// To that.
    pub to: EntityType,
    /// Whether it leads to any number of entities.
    pub is_many: bool,
}

impl Relation {
    /// As it is written: `Thing`, `Datastreams`.
    pub fn name(self, version: Version) -> &'static str {
        if self.is_many {
            self.to.set_name(version)
        } else {
            self.to.name(version)
        }
    }

    /// The relation of this name from a type, if a version has it.
    pub fn of_name(from: EntityType, name: &str, version: Version) -> Option<Self> {
        from.relations_in(version)
            .find(|it| it.name(version) == name)
    }
}

/// A property of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum Property {
    Id,
    SelfLink,
    Name,
    Description,
    Definition,
    EncodingType,
    Metadata,
    Location,
    Feature,
    Time,
    ObservationType,
    MultiObservationDataTypes,
    UnitOfMeasurement,
    UnitOfMeasurements,
    ObservedArea,
    PhenomenonTime,
    ResultTime,
    Result,
    ResultQuality,
    ValidTime,
    Parameters,
    Properties,
}

/// What the values of a property are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PropertyKind {
    /// A whole number.
    Id,
    /// A text.
    Text,
    /// An instant.
    Instant,
    /// An instant or an interval.
    Time,
    /// GeoJSON (or whatever `encodingType` says).
    Geometry,
    /// Any JSON, in which a path may go on.
    Json,
    /// A number, text, boolean or other JSON.
    Result,
}

impl Property {
    /// As it is written in versions 1.x: `phenomenonTime`, `@iot.id`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Id => "@iot.id",
            Self::SelfLink => "@iot.selfLink",
            Self::Name => "name",
            Self::Description => "description",
            Self::Definition => "definition",
            Self::EncodingType => "encodingType",
            Self::Metadata => "metadata",
            Self::Location => "location",
            Self::Feature => "feature",
            Self::Time => "time",
            Self::ObservationType => "observationType",
            Self::MultiObservationDataTypes => "multiObservationDataTypes",
            Self::UnitOfMeasurement => "unitOfMeasurement",
            Self::UnitOfMeasurements => "unitOfMeasurements",
            Self::ObservedArea => "observedArea",
            Self::PhenomenonTime => "phenomenonTime",
            Self::ResultTime => "resultTime",
            Self::Result => "result",
            Self::ResultQuality => "resultQuality",
            Self::ValidTime => "validTime",
            Self::Parameters => "parameters",
            Self::Properties => "properties",
        }
    }

    /// What its values are; a datastream's `resultTime` is an interval, an observation's an instant.
    pub fn kind(self, of: EntityType) -> PropertyKind {
        match self {
            Self::Id => PropertyKind::Id,
            Self::SelfLink
            | Self::Name
            | Self::Description
            | Self::Definition
            | Self::EncodingType
            | Self::ObservationType => PropertyKind::Text,
            Self::Time => PropertyKind::Instant,
            Self::ResultTime if of == EntityType::Observation => PropertyKind::Instant,
            Self::PhenomenonTime | Self::ResultTime | Self::ValidTime => PropertyKind::Time,
            Self::Location | Self::Feature | Self::ObservedArea => PropertyKind::Geometry,
            Self::Result => PropertyKind::Result,
            Self::Metadata
            | Self::MultiObservationDataTypes
            | Self::UnitOfMeasurement
            | Self::UnitOfMeasurements
            | Self::ResultQuality
            | Self::Parameters
            | Self::Properties => PropertyKind::Json,
        }
    }

    /// The property of this name that a type has; `id` stands for `@iot.id` in every version.
    pub fn of_name(of: EntityType, name: &str) -> Option<Self> {
        match name {
            "@iot.id" | "id" | "@id" => return Some(Self::Id),
            "@iot.selfLink" | "selfLink" => return Some(Self::SelfLink),
            _ => {}
        }
        of.properties().iter().copied().find(|it| it.name() == name)
    }
}
