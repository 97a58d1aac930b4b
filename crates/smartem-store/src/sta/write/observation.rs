//! Observations.

use std::collections::{BTreeMap, HashMap};

use smartem_sta::{
    EntityType, Fields, NewObservation, OnDuplicate, Outcome, Property, ResultValue, TimeValue,
};

use super::error::{conflict, invalid, missing, no_such_link, not_found, shown};
use super::fields::{self, time_value};
use super::geometry::Bounds;
use super::owner::kept;
use super::stream::{Measured, joined, row_bounds, split};
use super::{Named, Writer};
use crate::sta::changes::ChangeKind;
use crate::sta::error::Fault;
use crate::sta::sql::{Param, Row};

/// When an observation was: start and end.
type When = (i64, Option<i64>);

/// The numbers of observations that are there already, by datastream and phenomenon time.
pub(super) type Known = HashMap<(i64, When), i64>;

/// Numbers beyond do not fit into an id.
const MOST: i64 = 0xffff_ffff;

/// What follows the key in a row of [`super::stream::COLUMNS`]: from the end on.
const STORED: &str = "SELECT start_time, end_time, result, result_json, result_time, feature_id,
        valid_start, valid_end, quality, parameters
    FROM {observation} WHERE datastream_id = {1} AND n = {2}";

/// An observation made of properties; the mandatory ones are there.
pub(super) fn of_fields(datastream: i64, fields: &Fields) -> Result<NewObservation, Fault> {
    let given = |property: Property| fields.get(&property).filter(|value| !value.is_null());
    // A result may well be null, but it must be said.
    let result = fields
        .get(&Property::Result)
        .ok_or_else(|| missing(EntityType::Observation, "`result`"))?;
    let period = |property: Property| -> Result<_, Fault> {
        let time = given(property).map(|value| time_value(property, value));
        Ok(time.transpose()?.map(|time| smartem_model::Period {
            start: time.start(),
            end: time.end(),
        }))
    };
    Ok(NewObservation {
        datastream,
        phenomenon_time: given(Property::PhenomenonTime)
            .map(|value| time_value(Property::PhenomenonTime, value))
            .transpose()?,
        result_time: given(Property::ResultTime)
            .map(|value| fields::instant(Property::ResultTime, value))
            .transpose()?,
        result: fields::result(result),
        result_quality: given(Property::ResultQuality).cloned(),
        valid_time: period(Property::ValidTime)?,
        parameters: given(Property::Parameters).cloned(),
        feature: None,
    })
}

impl Writer<'_> {
    /// Makes observations; one that is refused does not hold up the others.
    pub(super) async fn create_observations(
        &mut self,
        observations: &[NewObservation],
        on_duplicate: OnDuplicate,
    ) -> Result<Outcome, Fault> {
        let mut known = match on_duplicate {
            OnDuplicate::Keep => Known::new(),
            OnDuplicate::Update | OnDuplicate::Refuse => self.known(observations).await?,
        };
        let mut outcomes = Vec::with_capacity(observations.len());
        for observation in observations {
            match self.add(observation, on_duplicate, &mut known).await {
                Ok((id, _)) => outcomes.push(Ok(id)),
                Err(Fault::Sta(refused)) => outcomes.push(Err(refused.to_string())),
                Err(fault) => return Err(fault),
            }
        }
        Ok(Outcome::Observations(outcomes))
    }

    /// Makes one observation; its id, and whether it was there.
    pub(super) async fn create_observation(
        &mut self,
        observation: &NewObservation,
        on_duplicate: OnDuplicate,
    ) -> Result<(i64, bool), Fault> {
        // Whoever makes the same at the same time has to wait.
        self.stream(observation.datastream).await?;
        let mut known = match on_duplicate {
            OnDuplicate::Keep => Known::new(),
            OnDuplicate::Update | OnDuplicate::Refuse => {
                self.known(std::slice::from_ref(observation)).await?
            }
        };
        self.add(observation, on_duplicate, &mut known).await
    }

    /// Those of some observations that are there.
    async fn known(&mut self, observations: &[NewObservation]) -> Result<Known, Fault> {
        const KNOWN: &str = "SELECT start_time, end_time, n FROM {observation}
            WHERE datastream_id = {1} AND start_time ";
        self.write_rows().await?;
        let mut starts: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for observation in observations {
            // A time that cannot be stored is refused later.
            if let Ok((start, _)) = self.when(observation) {
                starts
                    .entry(observation.datastream)
                    .or_default()
                    .push(start);
            }
        }
        let among = match self.words {
            crate::sta::sql::Dialect::Sqlite => self.words.among("?2"),
            crate::sta::sql::Dialect::Postgres => "= ANY (SELECT timestamptz 'epoch'
                + micros * interval '1 microsecond' FROM unnest($2::bigint[]) AS micros)"
                .to_owned(),
        };
        let question = format!("{KNOWN}{among} ORDER BY n DESC");
        let mut known = Known::new();
        for (stream, starts) in starts {
            let params = [Param::int(stream), Param::Ints(starts)];
            // Of several at one time the first is the one that counts.
            for row in self.query(&question, &params).await? {
                let when = (row.int(0)?, row.optional_int(1)?);
                known.insert((stream, when), row.int(2)?);
            }
        }
        Ok(known)
    }

    fn when(&self, observation: &NewObservation) -> Result<When, Fault> {
        let time = observation.phenomenon_time;
        let time = time.unwrap_or(TimeValue::Instant(self.now));
        fields::ends(Property::PhenomenonTime, time)
    }

    async fn add(
        &mut self,
        observation: &NewObservation,
        on_duplicate: OnDuplicate,
        known: &mut Known,
    ) -> Result<(i64, bool), Fault> {
        let id = observation.datastream;
        self.may_observe(id).await?;
        let when = self.when(observation)?;
        let fresh = self.values(observation)?;
        if on_duplicate != OnDuplicate::Keep
            && let Some(&n) = known.get(&(id, when))
        {
            let named = (EntityType::Observation, joined(id, n));
            if on_duplicate == OnDuplicate::Refuse {
                return Err(conflict(format!(
                    "{} is of the same datastream and phenomenon time; change that, or ask for duplicates \
                     to be updated",
                    shown(named)
                )));
            }
            self.replace_observation(id, n, observation, fresh).await?;
            return Ok((named.1, true));
        }
        let (feature, bounds) = self.feature_for(id, observation.feature).await?;
        let stream = self.taken(id)?;
        let n = stream.next_n;
        if n > MOST {
            return Err(conflict(format!(
                "Datastreams({id}) has as many observations as can be numbered; make another datastream"
            )));
        }
        stream.next_n += 1;
        let (start, end) = when;
        stream.add(Measured {
            start,
            end,
            result_time: fresh.result_time,
            bounds,
        });
        if on_duplicate != OnDuplicate::Keep {
            known.insert((id, when), n);
        }
        self.changes
            .note_observations(id, ChangeKind::Created, Some((n, n)));
        let row = fresh.row(id, (start, n), end, Some(feature));
        self.hold(row).await?;
        Ok((joined(id, n), false))
    }

    /// Whether the author may add observations to a datastream or change them, which is taken.
    async fn may_observe(&mut self, id: i64) -> Result<(), Fault> {
        let Some(stream) = self.stream(id).await? else {
            return Err(no_such_link((EntityType::Datastream, id)));
        };
        let named = (stream.entity_type(), id);
        let (is_refined, project) = (stream.is_refined, stream.project.clone());
        if is_refined {
            return Err(conflict(format!(
                "{} holds what the pipeline refined; make a datastream of your own for other observations",
                shown(named)
            )));
        }
        self.allow(named, project.as_deref())
    }

    /// The values of an observation as they are stored.
    fn values(&mut self, observation: &NewObservation) -> Result<Values, Fault> {
        let id = observation.datastream;
        let many = self.taken(id)?.values;
        check_result(id, many, &observation.result)?;
        let json = |property: Property, value: &Option<serde_json::Value>| {
            let value = value.as_ref();
            value.map_or(Ok(()), |value| fields::writable(property, value))?;
            Ok::<_, Fault>(value.map(ToString::to_string))
        };
        let micros = |property, time| fields::micros(property, time);
        let valid = observation.valid_time;
        let valid =
            valid.map(|period| fields::ends(Property::ValidTime, TimeValue::Interval(period)));
        let valid = valid.transpose()?;
        let (result, result_json) = match &observation.result {
            ResultValue::Number(number) => (Some(*number), None),
            ResultValue::Json(value) => {
                fields::writable(Property::Result, value)?;
                (None, Some(value.to_string()))
            }
        };
        Ok(Values {
            result,
            result_json,
            result_time: observation
                .result_time
                .map(|time| micros(Property::ResultTime, time))
                .transpose()?,
            valid_start: valid.map(|it| it.0),
            valid_end: valid.and_then(|it| it.1),
            quality: json(Property::ResultQuality, &observation.result_quality)?,
            parameters: json(Property::Parameters, &observation.parameters)?,
        })
    }

    /// The feature that an observation is of, and its extent: the one that is named, else the one made of the
    /// location of the thing.
    async fn feature_for(
        &mut self,
        stream: i64,
        named: Option<i64>,
    ) -> Result<(i64, Option<Bounds>), Fault> {
        let id = match (named, self.taken(stream)?.default_feature) {
            (Some(id), _) | (None, Some(id)) => id,
            (None, None) => {
                let thing = self.taken(stream)?.thing;
                let id = self.default_feature(thing).await?;
                self.taken(stream)?.default_feature = Some(id);
                id
            }
        };
        Ok((id, self.extent_of(id).await?))
    }

    /// The extent of a feature, which nobody removes before this transaction ends.
    async fn extent_of(&mut self, feature: i64) -> Result<Option<Bounds>, Fault> {
        if let Some(bounds) = self.features.get(&feature) {
            return Ok(*bounds);
        }
        let lock = self.words.for_reference();
        let question =
            format!("SELECT west, south, east, north FROM {{feature}} WHERE id = {{1}}{lock}");
        let row = self.find(&question, &[Param::int(feature)]).await?;
        let row = row.ok_or_else(|| no_such_link((EntityType::Feature, feature)))?;
        let bounds = row_bounds(&row, 0)?;
        self.features.insert(feature, bounds);
        Ok(bounds)
    }

    /// The feature made of the location of a thing: once for each location. Of several locations that with
    /// GeoJSON counts.
    async fn default_feature(&mut self, thing: i64) -> Result<i64, Fault> {
        const LOCATION: &str = "SELECT l.id, f.id FROM {thing_location} x
            JOIN {location} l ON l.id = x.location_id
            LEFT JOIN {feature} f ON f.location_id = l.id
            WHERE x.thing_id = {1}
            ORDER BY CASE WHEN l.west IS NULL THEN 1 ELSE 0 END, l.id LIMIT 1";
        const MAKE: &str = "INSERT INTO {feature} (location_id, project, name, description, encoding_type,
                feature, properties, west, south, east, north)
            SELECT id, project, name, description, encoding_type, location, NULL, west, south, east, north
            FROM {location} WHERE id = {1}
            ON CONFLICT (location_id) DO NOTHING RETURNING id";
        const MADE: &str = "SELECT id FROM {feature} WHERE location_id = {1}";
        let row = self.find(LOCATION, &[Param::int(thing)]).await?;
        let row = row.ok_or_else(|| {
            conflict(format!(
                "an observation needs a FeatureOfInterest, and none can be made, since Things({thing}) has no \
                 Location; give the observation one, or the thing a Location"
            ))
        })?;
        if let Some(feature) = row.optional_int(1)? {
            return Ok(feature);
        }
        let location = [Param::int(row.int(0)?)];
        if let Some(row) = self.find(MAKE, &location).await? {
            let id = row.int(0)?;
            self.note((EntityType::Feature, id), ChangeKind::Created);
            return Ok(id);
        }
        // Somebody else made it meanwhile.
        let row = self.find(MADE, &location).await?;
        row.ok_or_else(|| Fault::unknown("a location without a feature", &thing))?
            .int(0)
    }

    /// Puts the values of an observation in place of those of one that is there.
    async fn replace_observation(
        &mut self,
        stream: i64,
        n: i64,
        observation: &NewObservation,
        fresh: Values,
    ) -> Result<(), Fault> {
        let stored = self.stored(stream, n).await?;
        let feature = match observation.feature {
            Some(feature) => Some(feature),
            None => stored.feature,
        };
        let when = self.when(observation)?;
        self.put(stream, n, &stored, when, fresh, feature).await
    }

    /// Gives an observation other values and relations (PATCH, PUT). `feature` is the new one, if it changes.
    pub(super) async fn update_observation(
        &mut self,
        id: i64,
        changed: &Fields,
        feature: Option<i64>,
        replace: bool,
    ) -> Result<(), Fault> {
        let (stream, n) = split(id);
        let named = (EntityType::Observation, id);
        if self.stream(stream).await?.is_none() {
            return Err(not_found(named));
        }
        if self.taken(stream)?.is_refined {
            self.must_be(named).await?;
            return Err(kept(named));
        }
        self.may_observe(stream).await?;
        let stored = self.stored(stream, n).await?;
        let mut all = Fields::new();
        if !replace {
            stored.fields(&mut all)?;
        }
        all.extend(
            changed
                .iter()
                .map(|(property, value)| (*property, value.clone())),
        );
        let observation = of_fields(stream, &all)?;
        let fresh = self.values(&observation)?;
        let when = match (observation.phenomenon_time, replace) {
            // It stays where it is: the time of an observation cannot be emptied.
            (None, _) => (stored.start, stored.end),
            (Some(_), _) => self.when(&observation)?,
        };
        let feature = feature.or(stored.feature);
        self.put(stream, n, &stored, when, fresh, feature).await
    }

    /// Takes the feature of an observation away.
    pub(super) async fn leave_feature(&mut self, id: i64) -> Result<(), Fault> {
        const LEAVE: &str = "UPDATE {observation} SET feature_id = NULL
            WHERE datastream_id = {1} AND n = {2}";
        let (stream, n) = split(id);
        self.may_observe(stream).await?;
        let stored = self.stored(stream, n).await?;
        let bounds = self.extent_if_alone(stream, n, &stored).await?;
        self.taken(stream)?.leave(stored.measured(bounds));
        self.execute(LEAVE, &[Param::int(stream), Param::int(n)])
            .await?;
        self.changes
            .note_observations(stream, ChangeKind::Updated, Some((n, n)));
        Ok(())
    }

    async fn put(
        &mut self,
        stream: i64,
        n: i64,
        stored: &Stored,
        (start, end): When,
        fresh: Values,
        feature: Option<i64>,
    ) -> Result<(), Fault> {
        const PUT: &str = "UPDATE {observation} SET start_time = {4}, end_time = {5}, result = {6},
                result_json = {7}, result_time = {8}, feature_id = {9}, valid_start = {10},
                valid_end = {11}, quality = {12}, parameters = {13}
            WHERE datastream_id = {1} AND start_time = {2} AND n = {3}";
        let bounds = match feature {
            Some(feature) => self.extent_of(feature).await?,
            None => None,
        };
        let left = if feature == stored.feature {
            None
        } else {
            self.extent_if_alone(stream, n, stored).await?
        };
        let measured = Measured {
            start,
            end,
            result_time: fresh.result_time,
            bounds,
        };
        let before = stored.measured(left);
        let of = self.taken(stream)?;
        if (before.start, before.end, before.result_time) != (start, end, fresh.result_time)
            || left.is_some()
        {
            of.leave(before);
        }
        of.reach(measured);
        let mut params = vec![
            Param::int(stream),
            Param::Time(Some(stored.start)),
            Param::int(n),
            Param::Time(Some(start)),
        ];
        params.extend(fresh.row(stream, (start, n), end, feature).split_off(3));
        self.execute(PUT, &params).await?;
        self.changes
            .note_observations(stream, ChangeKind::Updated, Some((n, n)));
        Ok(())
    }

    /// Removes an observation.
    pub(super) async fn remove_observation(&mut self, id: i64) -> Result<(), Fault> {
        const REMOVE: &str = "DELETE FROM {observation}
            WHERE datastream_id = {1} AND start_time = {2} AND n = {3}";
        let (stream, n) = split(id);
        let named = (EntityType::Observation, id);
        match self.stream(stream).await? {
            None => return Err(not_found(named)),
            Some(of) if of.is_refined => {
                self.must_be(named).await?;
                return Err(kept(named));
            }
            Some(_) => self.may_observe(stream).await?,
        }
        let stored = self.stored(stream, n).await?;
        let bounds = self.extent_if_alone(stream, n, &stored).await?;
        let params = [
            Param::int(stream),
            Param::Time(Some(stored.start)),
            Param::int(n),
        ];
        self.execute(REMOVE, &params).await?;
        self.taken(stream)?.remove(stored.measured(bounds));
        self.changes
            .note_observations(stream, ChangeKind::Deleted, Some((n, n)));
        Ok(())
    }

    /// The extent of the feature of an observation, unless another of the same datastream is of it too.
    async fn extent_if_alone(
        &mut self,
        stream: i64,
        n: i64,
        stored: &Stored,
    ) -> Result<Option<Bounds>, Fault> {
        const OTHER: &str = "SELECT n FROM {observation}
            WHERE feature_id = {1} AND datastream_id = {2} AND n <> {3} LIMIT 1";
        let Some(feature) = stored.feature else {
            return Ok(None);
        };
        self.write_rows().await?;
        let params = [Param::int(feature), Param::int(stream), Param::int(n)];
        if self.find(OTHER, &params).await?.is_some() {
            return Ok(None);
        }
        self.extent_of(feature).await
    }

    async fn stored(&mut self, stream: i64, n: i64) -> Result<Stored, Fault> {
        self.write_rows().await?;
        let named: Named = (EntityType::Observation, joined(stream, n));
        let row = self
            .find(STORED, &[Param::int(stream), Param::int(n)])
            .await?;
        Stored::of(&row.ok_or_else(|| not_found(named))?)
    }

    /// Whether there is an observation of this id, of a client or refined.
    pub(super) async fn has_observation(&mut self, id: i64) -> Result<bool, Fault> {
        const OWN: &str = "SELECT n FROM {observation} WHERE datastream_id = {1} AND n = {2}";
        let (stream, n) = split(id);
        let Some(of) = self.stream(stream).await? else {
            return Ok(false);
        };
        if of.is_refined {
            let table = self.words.other_table("smartem_refined", "observation");
            let question = format!(
                "SELECT 1 FROM {table} WHERE series_key = {{1}} AND start_time >= {{2}}
                     AND start_time < {{3}} LIMIT 1"
            );
            let starts = [n, n + 1].map(|hour| Param::Time(Some(hour * 3_600_000_000)));
            let [from, to] = starts;
            let params = [Param::int(stream), from, to];
            return Ok(self.find(&question, &params).await?.is_some());
        }
        self.write_rows().await?;
        let found = self.find(OWN, &[Param::int(stream), Param::int(n)]).await?;
        Ok(found.is_some())
    }

    /// The feature of an observation; that of a refined one is of the location of its hour.
    pub(super) async fn feature_of(&mut self, id: i64) -> Result<Option<i64>, Fault> {
        const OWN: &str =
            "SELECT feature_id FROM {observation} WHERE datastream_id = {1} AND n = {2}";
        const REFINED: &str = "SELECT f.id FROM {datastream} d
            JOIN {historical_location} h ON h.thing_id = d.thing_id
            JOIN {historical_location_location} x ON x.historical_location_id = h.id
            JOIN {feature} f ON f.location_id = x.location_id
            WHERE d.id = {1}
            ORDER BY CASE WHEN h.time <= {2} THEN 0 ELSE 1 END,
                CASE WHEN h.time <= {2} THEN h.time END DESC, h.time LIMIT 1";
        let (stream, n) = split(id);
        let Some(of) = self.stream(stream).await? else {
            return Ok(None);
        };
        let row = if of.is_refined {
            let start = Param::Time(Some(n * 3_600_000_000));
            self.find(REFINED, &[Param::int(stream), start]).await?
        } else {
            self.write_rows().await?;
            self.find(OWN, &[Param::int(stream), Param::int(n)]).await?
        };
        row.map_or(Ok(None), |row| row.optional_int(0))
    }
}

/// A result of a multi datastream is an array with a value for each observed property.
fn check_result(stream: i64, many: Option<usize>, result: &ResultValue) -> Result<(), Fault> {
    let Some(many) = many else { return Ok(()) };
    let found = match result {
        ResultValue::Json(value) => value.as_array().map(Vec::len),
        ResultValue::Number(_) => None,
    };
    if found == Some(many) {
        return Ok(());
    }
    let is = found.map_or("no array".to_owned(), |found| format!("one of {found}"));
    Err(invalid(format!(
        "`result` is {is}; one of MultiDatastreams({stream}) is an array of {many} values"
    )))
}

/// What is written of an observation beside its key, time and feature.
struct Values {
    result: Option<f64>,
    result_json: Option<String>,
    result_time: Option<i64>,
    valid_start: Option<i64>,
    valid_end: Option<i64>,
    quality: Option<String>,
    parameters: Option<String>,
}

impl Values {
    /// A row of [`super::stream::COLUMNS`].
    fn row(
        self,
        stream: i64,
        (start, n): (i64, i64),
        end: Option<i64>,
        feature: Option<i64>,
    ) -> Vec<Param> {
        vec![
            Param::int(stream),
            Param::Time(Some(start)),
            Param::int(n),
            Param::Time(end),
            Param::Real(self.result),
            Param::Json(self.result_json),
            Param::Time(self.result_time),
            Param::Int(feature),
            Param::Time(self.valid_start),
            Param::Time(self.valid_end),
            Param::Json(self.quality),
            Param::Json(self.parameters),
        ]
    }
}

/// An observation that is there.
struct Stored {
    start: i64,
    end: Option<i64>,
    result_time: Option<i64>,
    feature: Option<i64>,
    row: Row,
}

impl Stored {
    fn of(row: &Row) -> Result<Self, Fault> {
        Ok(Self {
            start: row.int(0)?,
            end: row.optional_int(1)?,
            result_time: row.optional_int(4)?,
            feature: row.optional_int(5)?,
            row: row.clone(),
        })
    }

    fn measured(&self, bounds: Option<Bounds>) -> Measured {
        Measured {
            start: self.start,
            end: self.end,
            result_time: self.result_time,
            bounds,
        }
    }

    /// Its values as properties, but for the phenomenon time.
    fn fields(&self, into: &mut Fields) -> Result<(), Fault> {
        let row = &self.row;
        let result = match row.optional_real(2)? {
            Some(number) => serde_json::json!(number),
            None => row.optional_json(3)?.unwrap_or_default(),
        };
        into.insert(Property::Result, result);
        if let Some(time) = row.optional_time(4)? {
            into.insert(Property::ResultTime, time.to_string().into());
        }
        if let (Some(start), Some(end)) = (row.optional_time(6)?, row.optional_time(7)?) {
            let period = TimeValue::Interval(smartem_model::Period { start, end });
            into.insert(Property::ValidTime, period.to_string().into());
        }
        if let Some(quality) = row.optional_json(8)? {
            into.insert(Property::ResultQuality, quality);
        }
        if let Some(parameters) = row.optional_json(9)? {
            into.insert(Property::Parameters, parameters);
        }
        Ok(())
    }
}
