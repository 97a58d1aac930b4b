//! New entities, with those that come with them.

use futures::future::BoxFuture;
use smartem_sta::{
    Draft, EntityType, OnDuplicate, Outcome, Property, Related, Relation, WriteTarget,
};

use super::error::{conflict, invalid, missing, name_of, shown};
use super::fields::{Columns, columns};
use super::observation::of_fields;
use super::{Named, Writer};
use crate::sta::changes::ChangeKind;
use crate::sta::error::Fault;
use crate::sta::sql::{Dialect, Param};

/// What an entity is related to, as a draft or an update has it.
pub(super) type RelatedTo = [(Relation, Vec<Related>)];

impl Writer<'_> {
    pub(super) async fn create_at(
        &mut self,
        target: &WriteTarget,
        draft: &Draft,
        on_duplicate: OnDuplicate,
    ) -> Result<Outcome, Fault> {
        let origin = self.origin(target, draft).await?;
        let (id, updated) = self.create(draft, origin, on_duplicate).await?;
        Ok(Outcome::Created {
            entity_type: draft.entity_type,
            id,
            updated,
        })
    }

    /// The entity in whose set another is made; `None`: in the set of all.
    async fn origin(
        &mut self,
        target: &WriteTarget,
        draft: &Draft,
    ) -> Result<Option<Named>, Fault> {
        let (origin, relation) = match target {
            WriteTarget::Path(path) => match self.origin_of(path).await? {
                None if path.root_id.is_none() && path.root == draft.entity_type => {
                    return Ok(None);
                }
                Some((origin, relation, None)) if relation.is_many => (origin, relation),
                _ => return Err(no_set(draft)),
            },
            WriteTarget::Earlier(at, Some(relation)) if relation.is_many => {
                (self.earlier(*at)?, *relation)
            }
            WriteTarget::Earlier(..) => return Err(no_set(draft)),
        };
        if relation.to != draft.entity_type {
            return Err(no_set(draft));
        }
        Ok(Some(origin))
    }

    /// Makes an entity; its id, and whether it was there. `origin` is one that it is related to.
    pub(super) fn create<'s>(
        &'s mut self,
        draft: &'s Draft,
        origin: Option<Named>,
        on_duplicate: OnDuplicate,
    ) -> BoxFuture<'s, Result<(i64, bool), Fault>> {
        Box::pin(async move {
            use EntityType as E;
            match draft.entity_type {
                E::Observation => {
                    self.create_own_observation(draft, origin, on_duplicate)
                        .await
                }
                E::Datastream | E::MultiDatastream => {
                    self.create_datastream(draft, origin, on_duplicate).await
                }
                E::HistoricalLocation => self.create_history(draft, origin, on_duplicate).await,
                _ => self.create_free(draft, origin, on_duplicate).await,
            }
        })
    }

    /// Makes an entity that needs no other.
    async fn create_free(
        &mut self,
        draft: &Draft,
        origin: Option<Named>,
        on_duplicate: OnDuplicate,
    ) -> Result<(i64, bool), Fault> {
        let of = draft.entity_type;
        if let Some(id) = self.duplicate(draft, None, on_duplicate).await? {
            self.update((of, id), &draft.fields, &draft.related, false, on_duplicate)
                .await?;
            if let Some(origin) = origin {
                self.relate((of, id), origin).await?;
            }
            return Ok((id, true));
        }
        let mut all = columns(of, &draft.fields, true)?;
        let project = self.author.project.as_deref().map(str::to_owned);
        all.push(("project", Param::Text(project)));
        let table = match of {
            EntityType::Thing => "thing",
            EntityType::Location => "location",
            EntityType::Sensor => "sensor",
            EntityType::ObservedProperty => "observed_property",
            _ => "feature",
        };
        let id = self.insert(table, all).await?;
        self.note((of, id), ChangeKind::Created);
        self.put_related((of, id), &draft.related, on_duplicate)
            .await?;
        if let Some(origin) = origin {
            self.relate((of, id), origin).await?;
        }
        Ok((id, false))
    }

    async fn create_datastream(
        &mut self,
        draft: &Draft,
        origin: Option<Named>,
        on_duplicate: OnDuplicate,
    ) -> Result<(i64, bool), Fault> {
        let of = draft.entity_type;
        let thing = self
            .needed(draft, EntityType::Thing, origin, on_duplicate)
            .await?;
        self.take_thing(thing).await?;
        if let Some(id) = self.duplicate(draft, Some(thing), on_duplicate).await? {
            self.update((of, id), &draft.fields, &draft.related, false, on_duplicate)
                .await?;
            return Ok((id, true));
        }
        let sensor = self
            .needed(draft, EntityType::Sensor, origin, on_duplicate)
            .await?;
        let observed = self.observed(draft, origin, on_duplicate).await?;
        let mut all = columns(of, &draft.fields, true)?;
        all.push(("is_refined", Param::Bool(false)));
        all.push(("thing_id", Param::int(thing)));
        all.push(("sensor_id", Param::int(sensor)));
        let number = self.next_datastream().await?;
        all.push(("id", Param::int(number)));
        let id = self.insert("datastream", all).await?;
        self.put_observed(id, &observed).await?;
        self.note((of, id), ChangeKind::Created);
        self.put_new_members(
            (of, id),
            &draft.related,
            EntityType::Observation,
            on_duplicate,
        )
        .await?;
        Ok((id, false))
    }

    /// The number of the next datastream; series are numbered together with them.
    async fn next_datastream(&mut self) -> Result<i64, Fault> {
        let question = match self.words {
            Dialect::Sqlite => {
                "SELECT 1 + max(coalesce((SELECT max(key) FROM series), 0), coalesce((SELECT seq
                     FROM sqlite_sequence WHERE name = 'sta_datastream'), 0))"
            }
            Dialect::Postgres => "SELECT nextval('smartem_refined.series_key_seq')",
        };
        let rows = self.sql.query(question, &[]).await?;
        let row = rows.first();
        row.ok_or_else(|| Fault::unknown("a number for a datastream", "none"))?
            .int(0)
    }

    /// What a new datastream observes, in the order of a result.
    async fn observed(
        &mut self,
        draft: &Draft,
        origin: Option<Named>,
        on_duplicate: OnDuplicate,
    ) -> Result<Vec<i64>, Fault> {
        let of = EntityType::ObservedProperty;
        let mut observed = Vec::new();
        for related in related_to(&draft.related, of) {
            observed.push(self.obtained(related, of, on_duplicate).await?);
        }
        if let Some((EntityType::ObservedProperty, id)) = origin
            && !observed.contains(&id)
        {
            observed.insert(0, id);
        }
        if observed.is_empty() {
            return Err(missing(draft.entity_type, "ObservedProperty"));
        }
        let wanted = match draft.fields.get(&Property::MultiObservationDataTypes) {
            Some(types) if draft.entity_type == EntityType::MultiDatastream => {
                types.as_array().map_or(0, Vec::len)
            }
            _ => 1,
        };
        if observed.len() != wanted {
            return Err(invalid(format!(
                "{} observed properties are given for {wanted}: each value of a result is of one",
                observed.len()
            )));
        }
        Ok(observed)
    }

    /// Says what a datastream observes.
    pub(super) async fn put_observed(
        &mut self,
        datastream: i64,
        observed: &[i64],
    ) -> Result<(), Fault> {
        let rows: Vec<Vec<Param>> = (0..)
            .zip(observed)
            .map(|(at, id)| vec![Param::int(datastream), Param::int(at), Param::int(*id)])
            .collect();
        let table = self.words.table("datastream_property");
        let head = format!("INSERT INTO {table} (datastream_id, position, observed_property_id)");
        self.sql.insert(&head, &rows, "").await?;
        Ok(())
    }

    async fn create_history(
        &mut self,
        draft: &Draft,
        origin: Option<Named>,
        on_duplicate: OnDuplicate,
    ) -> Result<(i64, bool), Fault> {
        let of = draft.entity_type;
        let thing = self
            .needed(draft, EntityType::Thing, origin, on_duplicate)
            .await?;
        self.take((EntityType::Thing, thing), super::owner::For::Change)
            .await?;
        let mut locations = Vec::new();
        if let Some((EntityType::Location, id)) = origin {
            locations.push(id);
        }
        for related in related_to(&draft.related, EntityType::Location) {
            let id = self
                .obtained(related, EntityType::Location, on_duplicate)
                .await?;
            if !locations.contains(&id) {
                locations.push(id);
            }
        }
        if locations.is_empty() {
            return Err(missing(of, "Locations"));
        }
        let found = self.duplicate(draft, Some(thing), on_duplicate).await?;
        let id = if let Some(id) = found {
            const LEAVE: &str =
                "DELETE FROM {historical_location_location} WHERE historical_location_id = {1}";
            self.execute(LEAVE, &[Param::int(id)]).await?;
            self.note((of, id), ChangeKind::Updated);
            id
        } else {
            let mut all = columns(of, &draft.fields, true)?;
            all.push(("thing_id", Param::int(thing)));
            let id = self.insert("historical_location", all).await?;
            self.note((of, id), ChangeKind::Created);
            id
        };
        self.put_history(id, &locations).await?;
        self.follow_history(id).await?;
        Ok((id, found.is_some()))
    }

    async fn create_own_observation(
        &mut self,
        draft: &Draft,
        origin: Option<Named>,
        on_duplicate: OnDuplicate,
    ) -> Result<(i64, bool), Fault> {
        let stream = self.own_stream(draft, origin, on_duplicate).await?;
        let mut observation = of_fields(stream, &draft.fields)?;
        observation.feature = self
            .one_of(draft, EntityType::Feature, origin, on_duplicate)
            .await?;
        self.create_observation(&observation, on_duplicate).await
    }

    /// The datastream of an observation, of either kind.
    async fn own_stream(
        &mut self,
        draft: &Draft,
        origin: Option<Named>,
        on_duplicate: OnDuplicate,
    ) -> Result<i64, Fault> {
        for kind in [EntityType::Datastream, EntityType::MultiDatastream] {
            if let Some(id) = self.one_of(draft, kind, origin, on_duplicate).await? {
                return Ok(id);
            }
        }
        Err(missing(draft.entity_type, "Datastream"))
    }

    /// The one entity of a type that a draft must be related to.
    async fn needed(
        &mut self,
        draft: &Draft,
        to: EntityType,
        origin: Option<Named>,
        on_duplicate: OnDuplicate,
    ) -> Result<i64, Fault> {
        let one = self.one_of(draft, to, origin, on_duplicate).await?;
        one.ok_or_else(|| missing(draft.entity_type, name_of(to)))
    }

    /// The one entity of a type that a draft is related to, if it is.
    async fn one_of(
        &mut self,
        draft: &Draft,
        to: EntityType,
        origin: Option<Named>,
        on_duplicate: OnDuplicate,
    ) -> Result<Option<i64>, Fault> {
        let origin = origin.filter(|(of, _)| *of == to).map(|(_, id)| id);
        let mut related = related_to(&draft.related, to);
        let Some(given) = related.next() else {
            return Ok(origin);
        };
        if related.next().is_some() {
            return Err(twice(draft, to));
        }
        let id = self.obtained(given, to, on_duplicate).await?;
        if origin.is_some_and(|origin| origin != id) {
            return Err(twice(draft, to));
        }
        Ok(Some(id))
    }

    /// The id of an entity that is linked or made.
    pub(super) async fn obtained(
        &mut self,
        related: &Related,
        of: EntityType,
        on_duplicate: OnDuplicate,
    ) -> Result<i64, Fault> {
        match related {
            Related::Link(reference) => self.linked(*reference, of).await,
            Related::New(draft) => {
                let (id, _) = self.create(draft, None, on_duplicate).await?;
                Ok(id)
            }
        }
    }

    /// The entity that is there already, if that matters.
    ///
    /// # Errors
    /// A conflict that names it, where a second one is refused.
    async fn duplicate(
        &mut self,
        draft: &Draft,
        thing: Option<i64>,
        on_duplicate: OnDuplicate,
    ) -> Result<Option<i64>, Fault> {
        if on_duplicate == OnDuplicate::Keep {
            return Ok(None);
        }
        let found = self.namesake(draft, thing).await?;
        match found {
            Some(id) if on_duplicate == OnDuplicate::Refuse => Err(conflict(format!(
                "{} is there already and is named the same; change that, or ask for duplicates to be updated",
                shown((draft.entity_type, id))
            ))),
            found => Ok(found),
        }
    }

    /// Makes new members of a relation to many, each of which needs the entity.
    pub(super) async fn put_new_members(
        &mut self,
        owner: Named,
        related: &RelatedTo,
        to: EntityType,
        on_duplicate: OnDuplicate,
    ) -> Result<(), Fault> {
        for member in related_to(related, to) {
            match member {
                Related::New(draft) => {
                    self.create(draft, Some(owner), on_duplicate).await?;
                }
                Related::Link(reference) => {
                    let id = self.linked(*reference, to).await?;
                    self.relate((to, id), owner).await?;
                }
            }
        }
        Ok(())
    }

    /// Adds a row; its id.
    async fn insert(&mut self, table: &str, columns: Columns) -> Result<i64, Fault> {
        let (names, params): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
        let table = self.words.table(table);
        let head = format!("INSERT INTO {table} ({})", names.join(", "));
        let rows = self.sql.insert(&head, &[params], "RETURNING id").await?;
        let row = rows.first();
        row.ok_or_else(|| Fault::unknown("the id of a new entity", &table))?
            .int(0)
    }
}

/// What of the related entities is of a type.
pub(super) fn related_to(related: &RelatedTo, to: EntityType) -> impl Iterator<Item = &Related> {
    related
        .iter()
        .filter(move |(relation, _)| relation.to == to)
        .flat_map(|(_, members)| members)
}

/// The refusal to make something where it does not belong.
fn no_set(draft: &Draft) -> Fault {
    let name = name_of(draft.entity_type);
    invalid(format!(
        "a {name} cannot be made here; post to a set of such, as Things(1)/Datastreams is one of Datastreams"
    ))
}

fn twice(draft: &Draft, to: EntityType) -> Fault {
    let (of, to) = (name_of(draft.entity_type), name_of(to));
    invalid(format!(
        "two of {to} are given, and a {of} has one; name it in the path or in the body"
    ))
}

/// The refusal of a link that there cannot be.
pub(super) fn cannot_link(from: Named, to: Named) -> Fault {
    invalid(format!("{} cannot be linked to {}", shown(from), shown(to)))
}
