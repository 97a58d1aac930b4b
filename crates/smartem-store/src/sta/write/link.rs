//! Relations between entities that are there.

use smartem_sta::{EntityType, Fields, Outcome, Relation, ResourcePath};

use super::error::{conflict, invalid, name_of, not_found, shown};
use super::owner::For;
use super::stream::split;
use super::{Named, Writer};
use crate::sta::changes::ChangeKind;
use crate::sta::error::Fault;
use crate::sta::sql::Param;

impl Writer<'_> {
    pub(super) async fn link_at(&mut self, path: &ResourcePath, id: i64) -> Result<Outcome, Fault> {
        let (from, relation, _) = self.relation_of(path).await?;
        let to = (relation.to, id);
        self.must_be(to).await?;
        self.relate(from, to).await?;
        Ok(Outcome::Linked)
    }

    pub(super) async fn unlink_at(
        &mut self,
        path: &ResourcePath,
        id: Option<i64>,
    ) -> Result<Outcome, Fault> {
        let (from, relation, one) = self.relation_of(path).await?;
        let one = id.or(one);
        if relation.is_many && one.is_none() {
            return Err(invalid(
                "the link to be removed is not named; name it, as in Things(1)/Locations(2)/$ref",
            ));
        }
        let to = self.follow(from, relation, one).await?;
        let to = to.ok_or_else(|| not_found((relation.to, one.unwrap_or_default())))?;
        self.unrelate(from, (relation.to, to)).await?;
        Ok(Outcome::Linked)
    }

    async fn relation_of(
        &mut self,
        path: &ResourcePath,
    ) -> Result<(Named, Relation, Option<i64>), Fault> {
        let origin = self.origin_of(path).await?;
        origin.ok_or_else(|| {
            invalid("the path names no relation; name one, as in Things(1)/Locations")
        })
    }

    /// Links two entities; where only one can be, it takes the place of the former.
    pub(super) async fn relate(&mut self, from: Named, to: Named) -> Result<(), Fault> {
        use EntityType as E;
        match (from, to) {
            ((E::Thing, thing), (E::Location, location))
            | ((E::Location, location), (E::Thing, thing)) => {
                self.move_thing(thing, &[location]).await
            }
            ((E::HistoricalLocation, history), (E::Location, location))
            | ((E::Location, location), (E::HistoricalLocation, history)) => {
                self.take((E::HistoricalLocation, history), For::Change)
                    .await?;
                self.put_history(history, &[location]).await?;
                self.note((E::HistoricalLocation, history), ChangeKind::Updated);
                self.follow_history(history).await
            }
            ((E::HistoricalLocation, history), (E::Thing, thing))
            | ((E::Thing, thing), (E::HistoricalLocation, history)) => {
                self.take((E::Thing, thing), For::Change).await?;
                self.set((E::HistoricalLocation, history), "thing_id", thing)
                    .await?;
                self.follow_history(history).await
            }
            ((E::Datastream | E::MultiDatastream, _), (E::Thing, thing)) => {
                self.take_thing(thing).await?;
                self.set(from, "thing_id", thing).await?;
                self.moved_stream(from.1).await
            }
            ((E::Thing, thing), (E::Datastream | E::MultiDatastream, _)) => {
                self.take_thing(thing).await?;
                self.set(to, "thing_id", thing).await?;
                self.moved_stream(to.1).await
            }
            ((E::Datastream | E::MultiDatastream, _), (E::Sensor, sensor)) => {
                self.set(from, "sensor_id", sensor).await
            }
            ((E::Sensor, sensor), (E::Datastream | E::MultiDatastream, _)) => {
                self.set(to, "sensor_id", sensor).await
            }
            ((E::Datastream, stream), (E::ObservedProperty, property))
            | ((E::ObservedProperty, property), (E::Datastream, stream)) => {
                self.take((E::Datastream, stream), For::Change).await?;
                self.observe(stream, &[property]).await
            }
            ((E::Observation, observation), (E::Feature, feature))
            | ((E::Feature, feature), (E::Observation, observation)) => {
                let none = Fields::new();
                self.update_observation(observation, &none, Some(feature), false)
                    .await
            }
            ((E::Observation, observation), (E::Datastream | E::MultiDatastream, stream))
            | ((E::Datastream | E::MultiDatastream, stream), (E::Observation, observation))
                if split(observation).0 == stream =>
            {
                Ok(())
            }
            _ => Err(super::create::cannot_link(from, to)),
        }
    }

    /// Removes the link of two entities, where both can be without.
    async fn unrelate(&mut self, from: Named, to: Named) -> Result<(), Fault> {
        use EntityType as E;
        match (from, to) {
            ((E::Thing, thing), (E::Location, location))
            | ((E::Location, location), (E::Thing, thing)) => {
                const LEAVE: &str =
                    "DELETE FROM {thing_location} WHERE thing_id = {1} AND location_id = {2}";
                self.take((E::Thing, thing), For::Change).await?;
                let params = [Param::int(thing), Param::int(location)];
                self.execute(LEAVE, &params).await?;
                self.forget_default_features();
                self.note((E::Thing, thing), ChangeKind::Updated);
                Ok(())
            }
            ((E::HistoricalLocation, history), (E::Location, location))
            | ((E::Location, location), (E::HistoricalLocation, history)) => {
                self.leave_history(history, location).await
            }
            ((E::Observation, observation), (E::Feature, _))
            | ((E::Feature, _), (E::Observation, observation)) => {
                self.leave_feature(observation).await
            }
            _ => Err(conflict(format!(
                "{} cannot be without its {}; link another in its place",
                shown(from),
                name_of(to.0)
            ))),
        }
    }

    async fn leave_history(&mut self, history: i64, location: i64) -> Result<(), Fault> {
        const LEFT: &str = "SELECT count(*) FROM {historical_location_location}
            WHERE historical_location_id = {1}";
        const LEAVE: &str = "DELETE FROM {historical_location_location}
            WHERE historical_location_id = {1} AND location_id = {2}";
        let named = (EntityType::HistoricalLocation, history);
        self.take(named, For::Change).await?;
        let all = self.numbers(LEFT, &[Param::int(history)]).await?;
        if all.first().is_none_or(|all| *all < 2) {
            return Err(conflict(format!(
                "{} cannot be without a Location; link another first, or remove it",
                shown(named)
            )));
        }
        let params = [Param::int(history), Param::int(location)];
        self.execute(LEAVE, &params).await?;
        self.note(named, ChangeKind::Updated);
        Ok(())
    }

    /// Points a relation to one elsewhere.
    async fn set(&mut self, named: Named, column: &str, to: i64) -> Result<(), Fault> {
        self.take(named, For::Change).await?;
        let table = super::update::table_of(named.0);
        let statement = format!("UPDATE {{{table}}} SET {column} = {{2}} WHERE id = {{1}}");
        let params = [Param::int(named.1), Param::int(to)];
        self.execute(&statement, &params).await?;
        self.note(named, ChangeKind::Updated);
        Ok(())
    }

    /// A datastream is of another thing: what is known of it is read again.
    async fn moved_stream(&mut self, id: i64) -> Result<(), Fault> {
        if self.streams.contains_key(&id) {
            self.settle_streams().await?;
        }
        Ok(())
    }

    /// Says anew what a datastream observes, which is taken.
    pub(super) async fn observe(&mut self, stream: i64, observed: &[i64]) -> Result<(), Fault> {
        const COUNT: &str = "SELECT count(*) FROM {datastream_property} WHERE datastream_id = {1}";
        const LEAVE: &str = "DELETE FROM {datastream_property} WHERE datastream_id = {1}";
        let params = [Param::int(stream)];
        let many = self.numbers(COUNT, &params).await?;
        let many = many.first().copied().unwrap_or_default();
        if usize::try_from(many).ok() != Some(observed.len()) {
            return Err(conflict(format!(
                "{} observed properties are given, and a result has {many} values; give one for each, or make \
                 another datastream",
                observed.len()
            )));
        }
        self.execute(LEAVE, &params).await?;
        self.put_observed(stream, observed).await?;
        self.note((EntityType::Datastream, stream), ChangeKind::Updated);
        Ok(())
    }

    /// Brings a thing to locations, in place of those where it was, and notes that in its history.
    pub(super) async fn move_thing(&mut self, thing: i64, locations: &[i64]) -> Result<(), Fault> {
        const ADD: &str = "INSERT INTO {historical_location} (thing_id, time) VALUES ({1}, {2})
            RETURNING id";
        if !self.place_thing(thing, locations).await? {
            return Ok(());
        }
        let params = [Param::int(thing), Param::time(self.now)];
        let row = self.find(ADD, &params).await?;
        let row = row.ok_or_else(|| Fault::unknown("the id of a historical location", "none"))?;
        let history = row.int(0)?;
        self.put_history(history, locations).await?;
        self.note(
            (EntityType::HistoricalLocation, history),
            ChangeKind::Created,
        );
        Ok(())
    }

    /// Says where a thing is; whether that is elsewhere than before.
    async fn place_thing(&mut self, thing: i64, locations: &[i64]) -> Result<bool, Fault> {
        const CURRENT: &str =
            "SELECT location_id FROM {thing_location} WHERE thing_id = {1} ORDER BY location_id";
        const LEAVE: &str = "DELETE FROM {thing_location} WHERE thing_id = {1}";
        let named = (EntityType::Thing, thing);
        self.take(named, For::Change).await?;
        let mut wanted = locations.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let params = [Param::int(thing)];
        if self.numbers(CURRENT, &params).await? == wanted {
            return Ok(false);
        }
        self.execute(LEAVE, &params).await?;
        let rows: Vec<Vec<Param>> = wanted
            .iter()
            .map(|id| vec![Param::int(thing), Param::int(*id)])
            .collect();
        let table = self.words.table("thing_location");
        let head = format!("INSERT INTO {table} (thing_id, location_id)");
        self.sql.insert(&head, &rows, "").await?;
        self.forget_default_features();
        self.note(named, ChangeKind::Updated);
        Ok(true)
    }

    /// Links a historical location to locations.
    pub(super) async fn put_history(
        &mut self,
        history: i64,
        locations: &[i64],
    ) -> Result<(), Fault> {
        let rows: Vec<Vec<Param>> = locations
            .iter()
            .map(|id| vec![Param::int(history), Param::int(*id)])
            .collect();
        let table = self.words.table("historical_location_location");
        let head = format!("INSERT INTO {table} (historical_location_id, location_id)");
        self.sql
            .insert(&head, &rows, "ON CONFLICT DO NOTHING")
            .await?;
        Ok(())
    }

    /// A thing is where the newest of its historical locations says (18-088, section 8.2.3).
    pub(super) async fn follow_history(&mut self, history: i64) -> Result<(), Fault> {
        const NEWEST: &str = "SELECT h.thing_id, (SELECT n.id FROM {historical_location} n
                WHERE n.thing_id = h.thing_id ORDER BY n.time DESC, n.id DESC LIMIT 1)
            FROM {historical_location} h WHERE h.id = {1}";
        const LOCATIONS: &str = "SELECT location_id FROM {historical_location_location}
            WHERE historical_location_id = {1}";
        let params = [Param::int(history)];
        let row = self.find(NEWEST, &params).await?;
        let row = row.ok_or_else(|| not_found((EntityType::HistoricalLocation, history)))?;
        if row.optional_int(1)? == Some(history) {
            let locations = self.numbers(LOCATIONS, &params).await?;
            self.place_thing(row.int(0)?, &locations).await?;
        }
        Ok(())
    }
}
