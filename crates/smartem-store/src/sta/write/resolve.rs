//! From paths and references to entities.

use smartem_sta::{EntityType, Reference, Relation, ResourcePath, WriteTarget};

use super::error::{invalid, no_such_link, not_found};
use super::stream::split;
use super::{Named, Writer};
use crate::sta::error::Fault;
use crate::sta::sql::Param;

/// A question for the entity that a relation leads to; `{1}` is where it begins, `{2}` the one of many.
fn question(relation: Relation) -> Option<&'static str> {
    use EntityType as E;
    Some(match (relation.from, relation.to) {
        (E::HistoricalLocation, E::Thing) => {
            "SELECT thing_id FROM {historical_location} WHERE id = {1}"
        }
        (E::Datastream | E::MultiDatastream, E::Thing) => {
            "SELECT thing_id FROM {datastream} WHERE id = {1}"
        }
        (E::Datastream | E::MultiDatastream, E::Sensor) => {
            "SELECT sensor_id FROM {datastream} WHERE id = {1}"
        }
        (E::Datastream, E::ObservedProperty) if !relation.is_many => {
            "SELECT observed_property_id FROM {datastream_property} WHERE datastream_id = {1}
             ORDER BY position"
        }
        (E::Datastream | E::MultiDatastream, E::ObservedProperty) => {
            "SELECT observed_property_id FROM {datastream_property}
             WHERE datastream_id = {1} AND observed_property_id = {2}"
        }
        (E::Thing, E::Datastream) => {
            "SELECT id FROM {datastream} WHERE thing_id = {1} AND id = {2} AND multi_types IS NULL"
        }
        (E::Thing, E::MultiDatastream) => {
            "SELECT id FROM {datastream} WHERE thing_id = {1} AND id = {2} AND multi_types IS NOT NULL"
        }
        (E::Sensor, E::Datastream) => {
            "SELECT id FROM {datastream} WHERE sensor_id = {1} AND id = {2} AND multi_types IS NULL"
        }
        (E::Sensor, E::MultiDatastream) => {
            "SELECT id FROM {datastream} WHERE sensor_id = {1} AND id = {2} AND multi_types IS NOT NULL"
        }
        (E::ObservedProperty, E::Datastream) => {
            "SELECT d.id FROM {datastream_property} p JOIN {datastream} d ON d.id = p.datastream_id
             WHERE p.observed_property_id = {1} AND d.id = {2} AND d.multi_types IS NULL"
        }
        (E::ObservedProperty, E::MultiDatastream) => {
            "SELECT d.id FROM {datastream_property} p JOIN {datastream} d ON d.id = p.datastream_id
             WHERE p.observed_property_id = {1} AND d.id = {2} AND d.multi_types IS NOT NULL"
        }
        (E::Thing, E::Location) => {
            "SELECT location_id FROM {thing_location} WHERE thing_id = {1} AND location_id = {2}"
        }
        (E::Location, E::Thing) => {
            "SELECT thing_id FROM {thing_location} WHERE location_id = {1} AND thing_id = {2}"
        }
        (E::Thing, E::HistoricalLocation) => {
            "SELECT id FROM {historical_location} WHERE thing_id = {1} AND id = {2}"
        }
        (E::Location, E::HistoricalLocation) => {
            "SELECT historical_location_id FROM {historical_location_location}
             WHERE location_id = {1} AND historical_location_id = {2}"
        }
        (E::HistoricalLocation, E::Location) => {
            "SELECT location_id FROM {historical_location_location}
             WHERE historical_location_id = {1} AND location_id = {2}"
        }
        _ => return None,
    })
}

impl Writer<'_> {
    /// The entity that a target names, to be changed or removed: whether there is one is seen when it is taken
    /// for that. To take it first for a reference would let two who remove it wait for each other.
    ///
    /// # Errors
    /// When there is none on the way to it, or when it names a set.
    pub(super) async fn entity_at(&mut self, target: &WriteTarget) -> Result<Named, Fault> {
        match target {
            WriteTarget::Path(ResourcePath {
                root,
                root_id: Some(id),
                steps,
                ..
            }) if steps.is_empty() && *root != EntityType::Observation => Ok((*root, *id)),
            WriteTarget::Path(path) => self.entity_of(path).await,
            WriteTarget::Earlier(at, None) => self.earlier(*at),
            WriteTarget::Earlier(..) => Err(names_a_set()),
        }
    }

    /// The entity that a path names.
    pub(super) async fn entity_of(&mut self, path: &ResourcePath) -> Result<Named, Fault> {
        let id = path.root_id.ok_or_else(names_a_set)?;
        let mut at = (path.root, id);
        self.must_be(at).await?;
        for step in &path.steps {
            if step.relation.is_many && step.id.is_none() {
                return Err(names_a_set());
            }
            let to = step.relation.to;
            let next = self.follow(at, step.relation, step.id).await?;
            let wanted = step.id.unwrap_or_default();
            at = (to, next.ok_or_else(|| not_found((to, wanted)))?);
        }
        Ok(at)
    }

    /// From where a path goes its last step, and that step; `None` for a set of its own.
    pub(super) async fn origin_of(
        &mut self,
        path: &ResourcePath,
    ) -> Result<Option<(Named, Relation, Option<i64>)>, Fault> {
        let Some((last, before)) = path.steps.split_last() else {
            return Ok(None);
        };
        let origin = ResourcePath {
            steps: before.to_vec(),
            ..path.clone()
        };
        let origin = self.entity_of(&origin).await?;
        Ok(Some((origin, last.relation, last.id)))
    }

    /// The entity that a relation leads to, if it does.
    pub(super) async fn follow(
        &mut self,
        (from, id): Named,
        relation: Relation,
        one: Option<i64>,
    ) -> Result<Option<i64>, Fault> {
        use EntityType as E;
        match (from, relation.to) {
            (E::Observation, E::Datastream | E::MultiDatastream) => {
                let (stream, _) = split(id);
                let named = (relation.to, stream);
                return Ok(self.is_there(named).await?.then_some(stream));
            }
            (E::Observation, E::Feature) => return self.feature_of(id).await,
            (E::Datastream | E::MultiDatastream, E::Observation) => {
                let one = one.filter(|one| split(*one).0 == id);
                let Some(one) = one else { return Ok(None) };
                return Ok(self.is_there((E::Observation, one)).await?.then_some(one));
            }
            (E::Feature, E::Observation) => {
                let Some(one) = one else { return Ok(None) };
                return Ok((self.feature_of(one).await? == Some(id)).then_some(one));
            }
            _ => {}
        }
        let Some(question) = question(relation) else {
            return Ok(None);
        };
        let mut params = vec![Param::int(id)];
        if question.contains("{2}") {
            params.push(Param::Int(one));
        }
        let row = self.find(question, &params).await?;
        row.map(|row| row.int(0)).transpose()
    }

    /// The entity that an earlier operation made.
    pub(super) fn earlier(&self, at: usize) -> Result<Named, Fault> {
        self.made.get(at).copied().flatten().ok_or_else(|| {
            invalid(format!(
                "request {at} of the batch made no entity that could be referred to"
            ))
        })
    }

    /// The id that a body links to, which must be of a type.
    pub(super) async fn linked(
        &mut self,
        reference: Reference,
        entity_type: EntityType,
    ) -> Result<i64, Fault> {
        let id = match reference {
            Reference::Id(id) => id,
            Reference::Earlier(at) => self.earlier(at)?.1,
        };
        let named = (entity_type, id);
        if self.is_there(named).await? {
            Ok(id)
        } else {
            Err(no_such_link(named))
        }
    }

    pub(super) async fn must_be(&mut self, named: Named) -> Result<(), Fault> {
        if self.is_there(named).await? {
            Ok(())
        } else {
            Err(not_found(named))
        }
    }

    /// Whether there is such an entity; nobody removes it before this transaction ends.
    pub(super) async fn is_there(&mut self, (entity_type, id): Named) -> Result<bool, Fault> {
        use EntityType as E;
        let from = match entity_type {
            E::Observation => return self.has_observation(id).await,
            E::Thing => "{thing} WHERE",
            E::Location => "{location} WHERE",
            E::HistoricalLocation => "{historical_location} WHERE",
            E::Datastream => "{datastream} WHERE multi_types IS NULL AND",
            E::MultiDatastream => "{datastream} WHERE multi_types IS NOT NULL AND",
            E::Sensor => "{sensor} WHERE",
            E::ObservedProperty => "{observed_property} WHERE",
            E::Feature => "{feature} WHERE",
        };
        let lock = self.words.for_reference();
        let question = format!("SELECT id FROM {from} id = {{1}}{lock}");
        let found = self.find(&question, &[Param::int(id)]).await?;
        Ok(found.is_some())
    }
}

fn names_a_set() -> Fault {
    invalid("the path names a set; name one entity, as in Things(1)")
}
