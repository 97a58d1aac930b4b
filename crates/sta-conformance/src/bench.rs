//! What a case works with: the client, the server's words about itself, the data of the run, and a scribe that makes
//! more and remembers what it made.

use std::cell::{Cell, RefCell};

use reqwest::Method;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::model::{DELETION, Kind};
use crate::outcome::{Check, fault, skip};
use crate::own::{Own, Station, key_of, unmade};
use crate::server::{Server, Version};

/// Sets whose entities have no name.
const NAMELESS: [&str; 2] = ["Observations", "HistoricalLocations"];

/// Makes entities and remembers them.
pub(crate) struct Scribe<'a> {
    /// Speaks with the service.
    pub(crate) client: &'a Client,
    version: Version,
    mark: String,
    made: RefCell<Vec<String>>,
    piecewise: Cell<bool>,
}

impl<'a> Scribe<'a> {
    /// A scribe whose entities carry `mark` at the beginning of their names.
    pub(crate) fn new(client: &'a Client, version: Version, mark: String) -> Self {
        Self {
            client,
            version,
            mark,
            made: RefCell::default(),
            piecewise: Cell::default(),
        }
    }

    /// How the version that is tested calls GeoJSON.
    pub(crate) fn geojson(&self) -> &'static str {
        match self.version {
            Version::V10 => "application/vnd.geo+json",
            Version::V11 => "application/geo+json",
        }
    }

    /// The mark of the run.
    pub(crate) fn mark(&self) -> &str {
        &self.mark
    }

    /// A name with the mark of the run.
    pub(crate) fn name(&self, label: &str) -> String {
        format!("{} {label}", self.mark)
    }

    /// Counts an entity among those of the run.
    pub(crate) fn adopt(&self, path: &str) {
        self.made.borrow_mut().push(path.to_owned());
    }

    /// Makes a Thing with its Locations and its Datastreams, by a deep insert; where the server does not take those,
    /// piece by piece.
    ///
    /// # Errors
    /// A skip, where the server says that this client may not write; a fault where it fails otherwise.
    pub(crate) async fn station(&self, body: &Value) -> Check<Own> {
        if self.piecewise.get() {
            return self.by_pieces(body).await;
        }
        let answer = self.client.json(Method::POST, "Things", body).await?;
        match answer.status {
            401 | 403 | 405 | 501 => Err(skip(format!(
                "the server does not let this client write: POST Things is answered with {}",
                answer.status
            ))),
            400.. => {
                self.piecewise.set(true);
                self.by_pieces(body).await
            }
            _ => self.made_by("Things", answer),
        }
    }

    /// Makes what a deep insert would make, one entity after the other.
    async fn by_pieces(&self, body: &Value) -> Check<Own> {
        let mut thing = body.clone();
        let mut part = |name: &str| -> Vec<Value> {
            let part = thing.as_object_mut().and_then(|thing| thing.remove(name));
            part.and_then(|list| list.as_array().cloned())
                .unwrap_or_default()
        };
        let (places, streams) = (part("Locations"), part("Datastreams"));
        let mut references = Vec::new();
        for place in &places {
            references.push(self.post("Locations", place).await?.reference());
        }
        thing["Locations"] = json!(references);
        let thing = self.post("Things", &thing).await?;
        for mut stream in streams {
            for (name, set) in [
                ("Sensor", "Sensors"),
                ("ObservedProperty", "ObservedProperties"),
            ] {
                if stream[name].get("@iot.id").is_none() {
                    stream[name] = self.post(set, &stream[name]).await?.reference();
                }
            }
            stream["Thing"] = thing.reference();
            self.post("Datastreams", &stream).await?;
        }
        Ok(thing)
    }

    /// Makes an entity.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Check<Own> {
        let answer = self.client.json(Method::POST, path, body).await?;
        self.made_by(path, answer)
    }

    /// Sends a body that must be refused; what is made all the same is remembered.
    pub(crate) async fn refused(&self, path: &str, body: &Value) -> Check<Answer> {
        let answer = self.client.json(Method::POST, path, body).await?;
        if answer.status < 300
            && let Some(own) = own_of(path, &answer)
        {
            self.adopt(&own.path);
        }
        answer.refused()
    }

    /// The entity that an answer tells of.
    fn made_by(&self, path: &str, answer: Answer) -> Check<Own> {
        let answer = answer.expect(&[201])?;
        let own = own_of(path, &answer).ok_or_else(|| {
            answer.fault("a header `Location` with the address of the new entity was expected")
        })?;
        self.adopt(&own.path);
        Ok(own)
    }

    /// An entity that was read, labelled with what its name says behind the mark.
    pub(crate) fn own(&self, set: &str, entity: &Value) -> Check<Own> {
        let id = entity
            .get("@iot.id")
            .ok_or_else(|| fault(format!("`@iot.id` is missing in {entity}")))?;
        let name = entity.get("name").and_then(Value::as_str).unwrap_or("");
        let label = name.strip_prefix(&self.mark).unwrap_or(name).trim();
        Ok(Own {
            label: label.to_owned(),
            path: format!("{set}({})", key_of(id)),
        })
    }

    /// Removes what the run made.
    pub(crate) async fn clean(&self) -> Cleaning {
        let mut paths = self.made.borrow().clone();
        let mut all_found = true;
        for set in DELETION {
            match self.marked(set).await {
                Ok(found) => paths.extend(found),
                Err(_) => all_found = false,
            }
        }
        if all_found {
            // Those go with the Datastreams and Things, which are all known by their names.
            let goes = |path: &String| NAMELESS.iter().any(|set| path.starts_with(set));
            paths.retain(|path| !goes(path));
        }
        paths.sort_by_cached_key(|path| {
            let rank = DELETION.iter().position(|set| path.starts_with(set));
            (rank, path.clone())
        });
        paths.dedup();
        let mut cleaning = Cleaning::default();
        for path in paths {
            match self.client.delete(&path).await {
                Ok(answer) if matches!(answer.status, 200 | 202 | 204) => cleaning.removed += 1,
                Ok(answer) if matches!(answer.status, 404 | 410) => {}
                _ => cleaning.left.push(path),
            }
        }
        cleaning
    }

    /// The entities of a set whose names begin with the mark.
    async fn marked(&self, set: &str) -> Check<Vec<String>> {
        let mut found = Vec::new();
        if NAMELESS.contains(&set) {
            return Ok(found);
        }
        let filter = format!("startswith(name,'{}')", self.mark);
        let mut answer = self.client.query(set, &[("$filter", &filter)]).await?;
        for _ in 0..50 {
            let page = answer.ok()?;
            for entity in page.list()? {
                let name = entity.get("name").and_then(Value::as_str).unwrap_or("");
                // Asked for already; asked again, since a server may take no notice of the filter.
                if name.starts_with(&self.mark) {
                    found.push(self.own(set, &entity)?.path);
                }
            }
            match page.value()?.get("@iot.nextLink").and_then(Value::as_str) {
                Some(next) => answer = self.client.get(next).await?,
                None => break,
            }
        }
        Ok(found)
    }
}

/// The entity whose address an answer to a POST has in its header `Location`.
pub(crate) fn own_of(path: &str, answer: &Answer) -> Option<Own> {
    let set = path.rsplit('/').next().unwrap_or(path);
    let location = answer.location.as_deref()?;
    let start = location.rfind(&format!("{set}("))?;
    let path = location[start..].trim_end_matches('/');
    if !path.ends_with(')') {
        return None;
    }
    Some(Own {
        label: String::new(),
        path: path.to_owned(),
    })
}

/// What became of the data of a run.
#[derive(Debug, Default)]
pub(crate) struct Cleaning {
    /// How many entities were removed, not counting those that went with others.
    pub(crate) removed: usize,
    /// Those that could not be removed.
    pub(crate) left: Vec<String>,
}

/// What a case works with.
pub(crate) struct Bench<'a> {
    /// Speaks with the service.
    pub(crate) client: &'a Client,
    /// What the service says of itself.
    pub(crate) server: &'a Server,
    /// Makes entities.
    pub(crate) scribe: Scribe<'a>,
    /// The data of the run.
    pub(crate) own: Station,
}

impl Bench<'_> {
    /// An entity of a set: of the run, or else the first that the service has.
    pub(crate) async fn sample(&self, kind: &Kind) -> Check<Own> {
        if let Some(own) = self.own.any(kind.set) {
            return Ok(own.clone());
        }
        if kind.set == "HistoricalLocations"
            && let Ok(alpha) = self.own.thing("alpha")
        {
            let path = format!("{}/HistoricalLocations", alpha.path);
            if let Some(first) = self.client.get(&path).await?.ok()?.list()?.first() {
                return self.scribe.own(kind.set, first);
            }
        }
        let answer = self.client.query(kind.set, &[("$top", "1")]).await?.ok()?;
        match answer.list()?.first() {
            Some(entity) => self.scribe.own(kind.set, entity),
            None => Err(skip(format!("the service has no {}", kind.set))),
        }
    }

    /// Reads an entity.
    pub(crate) async fn read(&self, path: &str) -> Check<Value> {
        self.client.get(path).await?.ok()?.value()
    }

    /// Reads a list.
    pub(crate) async fn list(&self, path: &str, options: &[(&str, &str)]) -> Check<Vec<Value>> {
        self.client.query(path, options).await?.ok()?.list()
    }

    /// How many entities a list counts.
    pub(crate) async fn count(&self, path: &str, filter: Option<&str>) -> Check<u64> {
        let mut options = vec![("$count", "true"), ("$top", "0")];
        if let Some(filter) = filter {
            options.push(("$filter", filter));
        }
        let answer = self.client.query(path, &options).await?.ok()?;
        let count = answer.member("@iot.count")?;
        count
            .as_u64()
            .ok_or_else(|| answer.fault("`@iot.count` is no number"))
    }

    /// How many entities of a set have a name of the run.
    pub(crate) async fn named(&self, set: &str, label: &str) -> Check<usize> {
        let filter = format!("name eq '{}'", self.scribe.name(label));
        Ok(self.list(set, &[("$filter", &filter)]).await?.len())
    }

    /// A Thing with a Location and a Datastream, for a case that changes or deletes it.
    pub(crate) async fn small_station(&self, label: &str) -> Check<SmallStation> {
        let scribe = &self.scribe;
        let body = json!({
            "name": scribe.name(label),
            "description": "a thing to be changed",
            "properties": { "a": 1, "b": "two" },
            "Locations": [crate::own::location(scribe, label, &self.spot())],
            "Datastreams": [crate::own::datastream(
                scribe,
                label,
                &crate::own::sensor(scribe, label),
                &crate::own::observed_property(scribe, label),
            )],
        });
        let thing = scribe.station(&body).await?;
        let first = async |path: String, set: &str| -> Check<Own> {
            let answer = self.client.get(&path).await?.ok()?;
            let list = answer.list()?;
            let entity = list.first().ok_or_else(|| {
                answer.fault(format!("the {set} of the deep insert were expected"))
            })?;
            scribe.own(set, entity)
        };
        let location = first(format!("{}/Locations", thing.path), "Locations").await?;
        let datastream = first(format!("{}/Datastreams", thing.path), "Datastreams").await?;
        Ok(SmallStation {
            thing,
            location,
            datastream,
        })
    }

    /// A point that hardly any other data have, so that features made from it are known as own.
    pub(crate) fn spot(&self) -> Value {
        let digits = self.scribe.mark().bytes().fold(0_u32, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(u32::from(byte))
        });
        let east = 5.0 + f64::from(digits % 1_000_000) / 1_000_000.0;
        json!({ "type": "Point", "coordinates": [east, 51.25] })
    }

    /// The FeatureOfInterest of an Observation; one that was made from the point of the run counts as own.
    pub(crate) async fn feature_of(&self, observation: &Own) -> Check<(Own, Value)> {
        let path = format!("{}/FeatureOfInterest", observation.path);
        let entity = self.read(&path).await?;
        let own = self.scribe.own("FeaturesOfInterest", &entity)?;
        let spot = self.spot();
        if entity
            .get("feature")
            .is_some_and(|f| crate::client::equal(f, &spot))
        {
            self.scribe.adopt(&own.path);
        }
        Ok((own, entity))
    }

    /// An Observation of a Datastream, with the feature of the run.
    pub(crate) async fn observe(&self, stream: &Own, result: Value) -> Check<Own> {
        let body = json!({
            "phenomenonTime": "2021-03-04T05:06:07Z",
            "result": result,
            "Datastream": stream.reference(),
            "FeatureOfInterest": self.own.feature()?.reference(),
        });
        self.scribe.post("Observations", &body).await
    }

    /// Ends the case unless an entity is gone.
    pub(crate) async fn gone(&self, path: &str) -> Check {
        let answer = self.client.get(path).await?;
        answer.ensure(matches!(answer.status, 404 | 410), || {
            format!("{path} was expected to be gone: 404")
        })
    }

    /// Ends the case unless an entity is there.
    pub(crate) async fn there(&self, path: &str) -> Check {
        self.read(path).await.map(drop)
    }

    /// A request that must be answered with one of these statuses, beside one to the same path that must be answered
    /// well: a server that refuses everything is not right.
    pub(crate) async fn wrong(&self, path: &str, option: (&str, &str), allowed: &[u16]) -> Check {
        self.answers(path).await?;
        let answer = self.client.query(path, &[option]).await?;
        answer.expect(allowed).map(drop)
    }

    /// Ends the case unless a set can be read.
    pub(crate) async fn answers(&self, set: &str) -> Check {
        self.list(set, &[("$top", "1")]).await.map(drop)
    }

    /// Why nothing can be written, if that is so.
    pub(crate) fn writable(&self) -> Check {
        match &self.own.things {
            Ok(_) => Ok(()),
            Err(why) => Err(unmade(why)),
        }
    }
}

/// A Thing with what hangs on it.
pub(crate) struct SmallStation {
    /// The Thing.
    pub(crate) thing: Own,
    /// Its Location.
    pub(crate) location: Own,
    /// Its Datastream.
    pub(crate) datastream: Own,
}
