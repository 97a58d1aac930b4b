//! Entities that go, with what cannot be without them (18-088, table 26).

use smartem_sta::{EntityType, Expr, Outcome, ResourcePath, WriteTarget};

use super::owner::{For, kept};
use super::{Named, Writer};
use crate::sta::changes::ChangeKind;
use crate::sta::error::Fault;
use crate::sta::read;
use crate::sta::sql::Param;

impl Writer<'_> {
    pub(super) async fn delete_at(&mut self, target: &WriteTarget) -> Result<Outcome, Fault> {
        let named = self.entity_at(target).await?;
        self.remove(named).await?;
        Ok(Outcome::Deleted(1))
    }

    /// Removes an entity.
    async fn remove(&mut self, named: Named) -> Result<(), Fault> {
        let (of, id) = named;
        if of == EntityType::Observation {
            return self.remove_observation(id).await;
        }
        self.take(named, For::Removal).await?;
        match of {
            EntityType::Thing => self.leave_thing(id).await?,
            EntityType::Location => self.leave_location(id).await?,
            EntityType::Datastream | EntityType::MultiDatastream => self.leave_stream(id).await?,
            EntityType::Sensor => {
                let streams = "SELECT id FROM {datastream} WHERE sensor_id = {1} ORDER BY id";
                self.remove_streams(streams, id).await?;
            }
            EntityType::ObservedProperty => {
                let streams = "SELECT DISTINCT datastream_id FROM {datastream_property}
                    WHERE observed_property_id = {1} ORDER BY 1";
                self.remove_streams(streams, id).await?;
            }
            EntityType::Feature => self.remove_observations_of(id).await?,
            EntityType::HistoricalLocation => {
                let links =
                    "DELETE FROM {historical_location_location} WHERE historical_location_id = {1}";
                self.execute(links, &[Param::int(id)]).await?;
            }
            EntityType::Observation => {}
        }
        let table = super::update::table_of(of);
        let statement = format!("DELETE FROM {{{table}}} WHERE id = {{1}}");
        self.execute(&statement, &[Param::int(id)]).await?;
        self.note(named, ChangeKind::Deleted);
        Ok(())
    }

    async fn leave_thing(&mut self, id: i64) -> Result<(), Fault> {
        const LINKS: &str =
            "DELETE FROM {historical_location_location} WHERE historical_location_id IN
            (SELECT id FROM {historical_location} WHERE thing_id = {1})";
        const HISTORY: &str = "DELETE FROM {historical_location} WHERE thing_id = {1} RETURNING id";
        const CURRENT: &str = "DELETE FROM {thing_location} WHERE thing_id = {1}";
        let streams = "SELECT id FROM {datastream} WHERE thing_id = {1} ORDER BY id";
        self.remove_streams(streams, id).await?;
        let params = [Param::int(id)];
        self.execute(LINKS, &params).await?;
        for history in self.numbers(HISTORY, &params).await? {
            let named = (EntityType::HistoricalLocation, history);
            self.note(named, ChangeKind::Deleted);
        }
        self.execute(CURRENT, &params).await?;
        Ok(())
    }

    /// Things are there no more, and historical locations that only it made are gone; the feature made of it
    /// stays for its observations.
    async fn leave_location(&mut self, id: i64) -> Result<(), Fault> {
        const THINGS: &str =
            "SELECT thing_id FROM {thing_location} WHERE location_id = {1} ORDER BY 1";
        const CURRENT: &str = "DELETE FROM {thing_location} WHERE location_id = {1}";
        const ALONE: &str = "SELECT l.historical_location_id FROM {historical_location_location} l
            WHERE l.location_id = {1} AND NOT EXISTS (SELECT 1 FROM {historical_location_location} o
                WHERE o.historical_location_id = l.historical_location_id AND o.location_id <> {1})
            ORDER BY 1";
        const LINKS: &str = "DELETE FROM {historical_location_location} WHERE location_id = {1}";
        const FEATURE: &str = "UPDATE {feature} SET location_id = NULL WHERE location_id = {1}";
        let params = [Param::int(id)];
        for thing in self.numbers(THINGS, &params).await? {
            let named = (EntityType::Thing, thing);
            self.take(named, For::Change).await?;
            self.note(named, ChangeKind::Updated);
        }
        self.execute(CURRENT, &params).await?;
        for history in self.numbers(ALONE, &params).await? {
            self.boxed_remove((EntityType::HistoricalLocation, history))
                .await?;
        }
        self.execute(LINKS, &params).await?;
        self.execute(FEATURE, &params).await?;
        self.forget_default_features();
        Ok(())
    }

    /// Removes a datastream's observations, all at once, and what it observes.
    async fn leave_stream(&mut self, id: i64) -> Result<(), Fault> {
        const OBSERVATIONS: &str = "DELETE FROM {observation} WHERE datastream_id = {1}";
        const OBSERVED: &str = "DELETE FROM {datastream_property} WHERE datastream_id = {1}";
        self.write_rows().await?;
        self.streams.remove(&id);
        let params = [Param::int(id)];
        if self.execute(OBSERVATIONS, &params).await? > 0 {
            self.changes
                .note_observations(id, ChangeKind::Deleted, None);
        }
        self.execute(OBSERVED, &params).await?;
        Ok(())
    }

    /// Removes the datastreams that a question names.
    async fn remove_streams(&mut self, question: &str, id: i64) -> Result<(), Fault> {
        const TYPE: &str = "SELECT multi_types IS NOT NULL FROM {datastream} WHERE id = {1}";
        for stream in self.numbers(question, &[Param::int(id)]).await? {
            let row = self.find(TYPE, &[Param::int(stream)]).await?;
            let of = match row.map(|row| row.bool(0)).transpose()? {
                Some(true) => EntityType::MultiDatastream,
                Some(false) => EntityType::Datastream,
                // Somebody else removed it meanwhile.
                None => continue,
            };
            self.boxed_remove((of, stream)).await?;
        }
        Ok(())
    }

    fn boxed_remove(&mut self, named: Named) -> futures::future::BoxFuture<'_, Result<(), Fault>> {
        Box::pin(self.remove(named))
    }

    /// The datastreams with observations of a feature.
    pub(super) async fn streams_of_feature(&mut self, feature: i64) -> Result<Vec<i64>, Fault> {
        const STREAMS: &str =
            "SELECT DISTINCT datastream_id FROM {observation} WHERE feature_id = {1} ORDER BY 1";
        self.write_rows().await?;
        self.numbers(STREAMS, &[Param::int(feature)]).await
    }

    /// Removes the observations of a feature, of all datastreams.
    async fn remove_observations_of(&mut self, feature: i64) -> Result<(), Fault> {
        const SPAN: &str = "SELECT min(n), max(n) FROM {observation}
            WHERE feature_id = {1} AND datastream_id = {2}";
        const REMOVE: &str =
            "DELETE FROM {observation} WHERE feature_id = {1} AND datastream_id = {2}";
        for id in self.streams_of_feature(feature).await? {
            let Some(stream) = self.stream(id).await? else {
                continue;
            };
            let named = (stream.entity_type(), id);
            let project = stream.project.clone();
            if stream.is_refined {
                return Err(kept(named));
            }
            self.allow(named, project.as_deref())?;
            let params = [Param::int(feature), Param::int(id)];
            let span = self.find(SPAN, &params).await?;
            let removed = self.execute(REMOVE, &params).await?;
            self.taken(id)?
                .lose(i64::try_from(removed).unwrap_or(i64::MAX));
            if let Some(row) = span {
                let span = row.optional_int(0)?.zip(row.optional_int(1)?);
                self.changes
                    .note_observations(id, ChangeKind::Deleted, span);
            }
        }
        self.features.remove(&feature);
        Ok(())
    }

    /// Removes the entities of a set for which a filter holds.
    pub(super) async fn delete_many(
        &mut self,
        path: &ResourcePath,
        filter: &Expr,
    ) -> Result<Outcome, Fault> {
        /// Read together; they are gone before the next are read.
        const AT_ONCE: u64 = 1000;
        let of = path.entity_type();
        let mut removed = 0;
        loop {
            self.settle_streams().await?;
            let ids = read::ids(self.sql, path, filter, self.now, AT_ONCE).await?;
            if ids.is_empty() {
                return Ok(Outcome::Deleted(removed));
            }
            for id in ids {
                // One may have gone with another.
                if self.is_there((of, id)).await? {
                    self.remove((of, id)).await?;
                    removed += 1;
                }
            }
        }
    }
}
