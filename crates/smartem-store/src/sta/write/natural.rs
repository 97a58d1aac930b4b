//! Entities that are there already, by what names them (extension).
//!
//! | entity | by |
//! |---|---|
//! | Thing, Location, Sensor, Feature | project and name |
//! | ObservedProperty | project and definition, or name where it has none |
//! | Datastream | thing and name |
//! | HistoricalLocation | thing and time |
//!
//! Those that the store keeps of stations are not looked at.

use smartem_sta::{Draft, EntityType, Property};

use super::Writer;
use super::fields::instant;
use crate::sta::error::Fault;
use crate::sta::sql::{Dialect, Param};

impl Writer<'_> {
    /// The entity that a draft names. Whoever looks for the same at the same time waits until this
    /// transaction ends, so that it is not made twice.
    pub(super) async fn namesake(
        &mut self,
        draft: &Draft,
        thing: Option<i64>,
    ) -> Result<Option<i64>, Fault> {
        use EntityType as E;
        let name = text(draft, Property::Name);
        let (question, params) = match draft.entity_type {
            E::Thing => (
                "SELECT id FROM {thing} WHERE name = {1} AND project IS NOT DISTINCT FROM {2}
                     AND station_key IS NULL ORDER BY id LIMIT 1",
                self.by_project(name),
            ),
            E::Location => (
                "SELECT id FROM {location} WHERE name = {1} AND project IS NOT DISTINCT FROM {2}
                     AND station_key IS NULL ORDER BY id LIMIT 1",
                self.by_project(name),
            ),
            E::Sensor => (
                "SELECT id FROM {sensor} WHERE name = {1} AND project IS NOT DISTINCT FROM {2}
                     AND instrument IS NULL ORDER BY id LIMIT 1",
                self.by_project(name),
            ),
            E::Feature => (
                "SELECT id FROM {feature} WHERE name = {1} AND project IS NOT DISTINCT FROM {2}
                     AND location_id IS NULL ORDER BY id LIMIT 1",
                self.by_project(name),
            ),
            E::ObservedProperty => {
                let definition = text(draft, Property::Definition);
                if definition.is_empty() {
                    (
                        "SELECT id FROM {observed_property} WHERE name = {1}
                             AND project IS NOT DISTINCT FROM {2} AND indicator IS NULL
                         ORDER BY id LIMIT 1",
                        self.by_project(name),
                    )
                } else {
                    (
                        "SELECT id FROM {observed_property} WHERE definition = {1}
                             AND project IS NOT DISTINCT FROM {2} AND indicator IS NULL
                         ORDER BY id LIMIT 1",
                        self.by_project(definition),
                    )
                }
            }
            E::Datastream | E::MultiDatastream => {
                let question = match draft.entity_type {
                    E::Datastream => {
                        "SELECT id FROM {datastream} WHERE name = {1} AND thing_id = {2}
                             AND NOT is_refined AND multi_types IS NULL ORDER BY id LIMIT 1"
                    }
                    _ => {
                        "SELECT id FROM {datastream} WHERE name = {1} AND thing_id = {2}
                             AND NOT is_refined AND multi_types IS NOT NULL ORDER BY id LIMIT 1"
                    }
                };
                (question, vec![Param::text(name), Param::Int(thing)])
            }
            E::HistoricalLocation => {
                let Some(time) = draft.fields.get(&Property::Time) else {
                    return Ok(None);
                };
                let time = instant(Property::Time, time)?;
                (
                    "SELECT id FROM {historical_location} WHERE time = {1} AND thing_id = {2}
                     ORDER BY id LIMIT 1",
                    vec![Param::time(time), Param::Int(thing)],
                )
            }
            E::Observation => return Ok(None),
        };
        self.wait_for_others(&format!("{:?} {params:?}", draft.entity_type))
            .await?;
        let row = self.find(question, &params).await?;
        row.map(|row| row.int(0)).transpose()
    }

    fn by_project(&self, name: &str) -> Vec<Param> {
        let project = self.author.project.as_deref().map(str::to_owned);
        vec![Param::text(name), Param::Text(project)]
    }

    /// One at a time goes on with a name; the embedded store has one writer anyway.
    async fn wait_for_others(&mut self, name: &str) -> Result<(), Fault> {
        const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 7614200)) IS NULL";
        if self.words == Dialect::Postgres {
            self.sql.query(LOCK, &[Param::text(name)]).await?;
        }
        Ok(())
    }
}

fn text(draft: &Draft, property: Property) -> &str {
    let value = draft.fields.get(&property);
    value.and_then(|value| value.as_str()).unwrap_or_default()
}
