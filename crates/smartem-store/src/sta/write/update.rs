//! Other values and relations of entities.

use smartem_sta::{
    EntityType, Fields, OnDuplicate, Outcome, Property, Related, Version, WriteTarget,
};

use super::create::{RelatedTo, related_to};
use super::error::{conflict, invalid, name_of, shown};
use super::fields::columns;
use super::owner::For;
use super::{Named, Writer};
use crate::sta::changes::ChangeKind;
use crate::sta::error::Fault;
use crate::sta::sql::Param;

impl Writer<'_> {
    pub(super) async fn update_at(
        &mut self,
        target: &WriteTarget,
        fields: &Fields,
        related: &RelatedTo,
        replace: bool,
    ) -> Result<Outcome, Fault> {
        let named = self.entity_at(target).await?;
        self.update(named, fields, related, replace, OnDuplicate::Keep)
            .await?;
        let (entity_type, id) = named;
        Ok(Outcome::Updated { entity_type, id })
    }

    /// Gives an entity other values and relations. With `replace`, properties that are not given are emptied.
    pub(super) async fn update(
        &mut self,
        named: Named,
        fields: &Fields,
        related: &RelatedTo,
        replace: bool,
        on_duplicate: OnDuplicate,
    ) -> Result<(), Fault> {
        let (of, id) = named;
        if of == EntityType::Observation {
            let feature = self.new_feature(named, related, on_duplicate).await?;
            return self.update_observation(id, fields, feature, replace).await;
        }
        self.take(named, For::Change).await?;
        let changed = columns(of, fields, replace)?;
        if of == EntityType::MultiDatastream {
            self.same_length(id, fields).await?;
        }
        if !changed.is_empty() {
            let set: Vec<String> = (2..)
                .zip(&changed)
                .map(|(at, (column, _))| format!("{column} = {{{at}}}"))
                .collect();
            let table = table_of(of);
            let statement = format!("UPDATE {{{table}}} SET {} WHERE id = {{1}}", set.join(", "));
            let mut params = vec![Param::int(id)];
            params.extend(changed.into_iter().map(|(_, param)| param));
            self.execute(&statement, &params).await?;
        }
        self.note(named, ChangeKind::Updated);
        match of {
            EntityType::Location if fields.contains_key(&Property::Location) => {
                self.leave_made_feature(id).await?;
            }
            EntityType::Feature if fields.contains_key(&Property::Feature) => {
                self.renew_extents_of(id).await?;
            }
            _ => {}
        }
        self.put_related(named, related, on_duplicate).await?;
        if of == EntityType::HistoricalLocation {
            self.follow_history(id).await?;
        }
        Ok(())
    }

    /// The feature that an observation is to be of. Its datastream is in its id, and stays.
    async fn new_feature(
        &mut self,
        named: Named,
        related: &RelatedTo,
        on_duplicate: OnDuplicate,
    ) -> Result<Option<i64>, Fault> {
        let (stream, _) = super::stream::split(named.1);
        let mut feature = None;
        for (relation, members) in related {
            for member in members {
                match (relation.to, member) {
                    (EntityType::Feature, member) => {
                        let to = EntityType::Feature;
                        feature = Some(self.obtained(member, to, on_duplicate).await?);
                    }
                    (to, Related::Link(reference))
                        if self.linked(*reference, to).await? == stream => {}
                    _ => {
                        return Err(conflict(format!(
                            "{} stays in its datastream, which its id names; make it anew in the other, and \
                             remove this one",
                            shown(named)
                        )));
                    }
                }
            }
        }
        Ok(feature)
    }

    /// The number of values of a result cannot change: those that are there would have another.
    async fn same_length(&mut self, id: i64, fields: &Fields) -> Result<(), Fault> {
        let given = fields.get(&Property::MultiObservationDataTypes);
        let Some(given) = given.and_then(serde_json::Value::as_array) else {
            return Ok(());
        };
        let many = match self.stream(id).await? {
            Some(stream) => stream.values,
            None => None,
        };
        if many.is_some_and(|many| many != given.len()) {
            return Err(conflict(format!(
                "`multiObservationDataTypes` has {} values, and results of MultiDatastreams({id}) have {}; \
                 make another MultiDatastream",
                given.len(),
                many.unwrap_or_default()
            )));
        }
        Ok(())
    }

    /// The location is elsewhere: observations from now on are of a feature that is made of what it is now.
    async fn leave_made_feature(&mut self, location: i64) -> Result<(), Fault> {
        const LEAVE: &str = "UPDATE {feature} SET location_id = NULL WHERE location_id = {1}";
        self.execute(LEAVE, &[Param::int(location)]).await?;
        self.forget_default_features();
        Ok(())
    }

    /// The areas of datastreams whose observations are of a feature that is elsewhere now.
    async fn renew_extents_of(&mut self, feature: i64) -> Result<(), Fault> {
        self.features.remove(&feature);
        for stream in self.streams_of_feature(feature).await? {
            if let Some(stream) = self.stream(stream).await? {
                stream.lose(0);
            }
        }
        Ok(())
    }

    /// Relates an entity to those that are given with it.
    pub(super) async fn put_related(
        &mut self,
        named: Named,
        related: &RelatedTo,
        on_duplicate: OnDuplicate,
    ) -> Result<(), Fault> {
        use EntityType as E;
        let (of, id) = named;
        match of {
            E::Thing => {
                let locations = self.all_of(related, E::Location, on_duplicate).await?;
                if !locations.is_empty() {
                    self.move_thing(id, &locations).await?;
                }
            }
            E::HistoricalLocation => {
                let locations = self.all_of(related, E::Location, on_duplicate).await?;
                for location in locations {
                    self.relate(named, (E::Location, location)).await?;
                }
            }
            E::Location => {
                for thing in self.all_of(related, E::Thing, on_duplicate).await? {
                    self.move_thing(thing, &[id]).await?;
                }
            }
            E::MultiDatastream => {
                let observed = self
                    .all_of(related, E::ObservedProperty, on_duplicate)
                    .await?;
                if !observed.is_empty() {
                    self.observe(id, &observed).await?;
                }
            }
            _ => {}
        }
        // What is made there needs the entity; observations come last, when their thing is somewhere.
        for to in [
            E::HistoricalLocation,
            E::Datastream,
            E::MultiDatastream,
            E::Observation,
        ] {
            if of != E::Observation && of.relation_to(to).is_some_and(|it| it.is_many) {
                self.put_new_members(named, related, to, on_duplicate)
                    .await?;
            }
        }
        // Relations to one.
        for (relation, members) in related {
            let own = of.relation_to(relation.to);
            let Some(own) = own else {
                let (from, to) = (name_of(of), relation.to.set_name(Version::V1_1));
                return Err(invalid(format!("a {from} has no {to}")));
            };
            if own.is_many {
                continue;
            }
            for member in members {
                let to = self.obtained(member, relation.to, on_duplicate).await?;
                self.relate(named, (relation.to, to)).await?;
            }
        }
        Ok(())
    }

    /// The ids of all related entities of a type, those that are new being made.
    async fn all_of(
        &mut self,
        related: &RelatedTo,
        to: EntityType,
        on_duplicate: OnDuplicate,
    ) -> Result<Vec<i64>, Fault> {
        let mut all = Vec::new();
        for member in related_to(related, to) {
            let id = self.obtained(member, to, on_duplicate).await?;
            if !all.contains(&id) {
                all.push(id);
            }
        }
        Ok(all)
    }
}

/// The table of a type that is no observation.
pub(super) fn table_of(of: EntityType) -> &'static str {
    match of {
        EntityType::Thing => "thing",
        EntityType::Location => "location",
        EntityType::HistoricalLocation => "historical_location",
        EntityType::Datastream | EntityType::MultiDatastream => "datastream",
        EntityType::Sensor => "sensor",
        EntityType::ObservedProperty => "observed_property",
        EntityType::Feature => "feature",
        EntityType::Observation => "observation",
    }
}
