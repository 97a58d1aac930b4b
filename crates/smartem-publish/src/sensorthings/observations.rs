//! Observations of a datastream: what is there is not written again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Map, Value, json};
use smartem_etl::{OutputError, Row, Run};

use super::client::{Answer, Client, Id, Posted};
use super::config::TimeForm;

/// An observation that is to be there.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    /// Start and end of the phenomenon time.
    pub(super) start: Timestamp,
    /// See `start`.
    pub(super) end: Timestamp,
    /// The value.
    pub(super) result: Value,
    /// How good it is.
    pub(super) quality: Value,
    /// How it came about.
    pub(super) parameters: Value,
    /// How its time is written.
    pub(super) form: TimeForm,
    /// Of this feature.
    pub(super) feature: Option<Id>,
}

/// How far the observations of a datastream go, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// It was not looked.
    Unknown,
    /// There is none.
    Empty,
    /// The newest begins then.
    Newest(Timestamp),
}

impl Reach {
    /// Whether an observation that begins then cannot be there.
    pub(super) fn is_before(self, start: Timestamp) -> bool {
        match self {
            Self::Unknown => false,
            Self::Empty => true,
            Self::Newest(newest) => newest < start,
        }
    }

    /// With an observation that begins then.
    pub(super) fn with(self, start: Timestamp) -> Self {
        match self {
            Self::Newest(newest) if newest >= start => self,
            Self::Unknown => self,
            _ => Self::Newest(start),
        }
    }
}

/// An observation that the service does not take.
pub(super) struct Refused {
    /// Which.
    pub(super) wanted: Wanted,
    /// Its words.
    pub(super) text: String,
}

/// An observation that is there.
struct Held {
    id: Id,
    result: Value,
    /// Others that begin at the same time: an answer was lost, and what it told of was sent again.
    doubles: Vec<Id>,
}

impl Wanted {
    /// The observation of a row of `store.observations`; `None` where it has no result or start.
    pub(super) fn of(row: &Row, feature: Option<Id>, form: TimeForm) -> Option<Self> {
        let of = |name: &str| row.attributes.get(name).cloned().unwrap_or_default();
        let flags = of("flags");
        let flags: Vec<&str> = flags
            .as_str()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        let number = |name: &str| of(name).as_f64().unwrap_or_default();
        let all = number("accepted_count") + number("rejected_count");
        let fraction = if all > 0.0 {
            json!(number("accepted_count") / all)
        } else {
            Value::Null
        };
        Some(Self {
            start: start_of(row)?,
            end: row.time,
            result: row
                .attributes
                .get("value")
                .filter(|it| it.is_number())?
                .clone(),
            quality: json!({"fraction": fraction, "coverage": of("coverage"), "flags": flags}),
            parameters: json!({
                "min": of("min"), "max": of("max"), "raw": of("raw"), "rawUnit": of("raw_unit"),
                "acceptedCount": of("accepted_count"), "rejectedCount": of("rejected_count"),
                "definition": of("definition"), "model": of("model"),
            }),
            form,
            feature,
        })
    }

    fn phenomenon_time(&self) -> String {
        match self.form {
            TimeForm::Interval => format!("{}/{}", self.start, self.end),
            TimeForm::Start => self.start.to_string(),
        }
    }

    /// Its properties, and its feature.
    fn members(&self) -> Map<String, Value> {
        let mut members = Map::new();
        members.insert("phenomenonTime".to_owned(), self.phenomenon_time().into());
        members.insert("result".to_owned(), self.result.clone());
        members.insert("resultQuality".to_owned(), self.quality.clone());
        members.insert("parameters".to_owned(), self.parameters.clone());
        if let Some(feature) = &self.feature {
            let link = json!({"@iot.id": feature.0});
            members.insert("FeatureOfInterest".to_owned(), link);
        }
        members
    }
}

/// When the observation of a row begins.
pub(super) fn start_of(row: &Row) -> Option<Timestamp> {
    row.attributes.get("start")?.as_str()?.parse().ok()
}

fn phenomenon_start(observation: &Value) -> Option<Timestamp> {
    let time = observation["phenomenonTime"].as_str()?;
    time.split('/').next()?.parse().ok()
}

/// What is to be done for observations of a datastream.
pub(super) struct Comparison {
    /// These are to be made.
    pub(super) missing: Vec<Wanted>,
    /// These are there with other values.
    pub(super) changed: Vec<(Id, Wanted)>,
    /// These are there besides another one of the same time.
    pub(super) doubles: Vec<Id>,
    /// How far those that were there go.
    pub(super) reach: Reach,
}

/// Sorts out which of some observations, in order of time, are to be made and which to be changed.
pub(super) async fn compare(
    client: &Client,
    run: &Run,
    datastream: &Id,
    reach: Reach,
    wanted: Vec<Wanted>,
) -> Result<Comparison, OutputError> {
    let (new, perhaps): (Vec<Wanted>, Vec<Wanted>) =
        wanted.into_iter().partition(|it| reach.is_before(it.start));
    let mut comparison = Comparison {
        missing: Vec::new(),
        changed: Vec::new(),
        doubles: Vec::new(),
        reach,
    };
    if let (Some(first), Some(last)) = (perhaps.first(), perhaps.last()) {
        let span = (first.start, last.start);
        let mut held = match reach {
            Reach::Unknown => {
                let (held, reach) = held_from(client, run, datastream, span).await?;
                comparison.reach = reach;
                held
            }
            _ => held_between(client, run, datastream, span).await?,
        };
        for wanted in perhaps {
            let Some(it) = held.remove(&wanted.start) else {
                comparison.missing.push(wanted);
                continue;
            };
            comparison.doubles.extend(it.doubles);
            if is_same(&it.result, &wanted.result) {
                run.counters.add("observations_there", 1);
            } else {
                comparison.changed.push((it.id, wanted));
            }
        }
    }
    comparison.missing.extend(new);
    Ok(comparison)
}

/// Numbers are the same whether they are written `20` or `20.0`.
fn is_same(held: &Value, wanted: &Value) -> bool {
    held == wanted || held.as_f64().is_some_and(|it| wanted.as_f64() == Some(it))
}

/// Services compare intervals with instants in different ways, so it is asked for more than is needed.
const MARGIN: SignedDuration = SignedDuration::from_hours(2);

/// So many pages are read to know how far the observations of a datastream go.
const REACH_PAGES: usize = 20;

/// Observations by their start. Of several the first: services list in the order of making, or of time.
fn by_start(found: &[Value]) -> HashMap<Timestamp, Held> {
    let mut held: HashMap<Timestamp, Held> = HashMap::new();
    for observation in found {
        if let Some((start, id)) = phenomenon_start(observation).zip(Id::of(observation)) {
            match held.entry(start) {
                Entry::Occupied(mut it) => it.get_mut().doubles.push(id),
                Entry::Vacant(free) => {
                    free.insert(Held {
                        id,
                        result: observation["result"].clone(),
                        doubles: Vec::new(),
                    });
                }
            }
        }
    }
    held
}

fn listing(client: &Client, datastream: &Id, filter: String) -> String {
    let path = format!("Datastreams{datastream}/Observations");
    client.address(&path, &[("$filter", filter)])
}

/// The observations that begin in a span of time.
async fn held_between(
    client: &Client,
    run: &Run,
    datastream: &Id,
    (first, last): (Timestamp, Timestamp),
) -> Result<HashMap<Timestamp, Held>, OutputError> {
    let (from, to) = (first - MARGIN, last + MARGIN);
    let filter = format!("phenomenonTime gt {from} and phenomenonTime lt {to}");
    let found = client.list(run, listing(client, datastream, filter));
    Ok(by_start(&found.await?))
}

/// The observations that begin in a span of time, and how far those after it go, where they are not too many.
/// No order is asked for: not every service has one by time.
async fn held_from(
    client: &Client,
    run: &Run,
    datastream: &Id,
    span: (Timestamp, Timestamp),
) -> Result<(HashMap<Timestamp, Held>, Reach), OutputError> {
    let from = span.0 - MARGIN;
    let address = listing(client, datastream, format!("phenomenonTime gt {from}"));
    let (found, is_whole) = client.first_pages(run, address, REACH_PAGES).await?;
    if !is_whole {
        let held = held_between(client, run, datastream, span).await?;
        return Ok((held, Reach::Unknown));
    }
    let held = by_start(&found);
    let newest = held.keys().max().copied();
    Ok((held, Reach::Newest(newest.unwrap_or(from))))
}

/// What became of new observations.
pub(super) enum Made {
    /// All are there but these.
    But(Vec<Refused>),
    /// An answer was lost: some may be there.
    Unknown,
}

/// Makes observations of a datastream one by one.
pub(super) async fn make_each(
    client: &Client,
    run: &Run,
    datastream: &Id,
    wanted: Vec<Wanted>,
    attempt: u32,
) -> Result<Made, OutputError> {
    let mut refused = Vec::new();
    for wanted in wanted {
        let mut body = wanted.members();
        body.insert("Datastream".to_owned(), json!({"@iot.id": datastream.0}));
        let body = Value::Object(body);
        match client.post(run, "Observations", &body, attempt).await? {
            Posted::Unknown => return Ok(Made::Unknown),
            Posted::Answered(Answer::Done { .. }) => {
                run.counters.add("observations_written", 1);
            }
            Posted::Answered(Answer::Refused { status, text }) => refused.push(Refused {
                wanted,
                text: format!("{status}: {text}"),
            }),
        }
    }
    Ok(Made::But(refused))
}

/// What became of a list.
pub(super) enum Listed {
    /// These are not there; which reason each has is not told.
    Left(Vec<Wanted>),
    /// The service takes no lists.
    NotTaken(Vec<Wanted>),
    /// The answer was lost: some may be there.
    Unknown,
}

/// Makes observations of a datastream by one list (18-088, section 12.2).
pub(super) async fn make_list(
    client: &Client,
    run: &Run,
    datastream: &Id,
    wanted: Vec<Wanted>,
    attempt: u32,
) -> Result<Listed, OutputError> {
    let with_feature = wanted.iter().all(|it| it.feature.is_some());
    let mut components = vec!["phenomenonTime", "result", "resultQuality", "parameters"];
    if with_feature {
        components.push("FeatureOfInterest/id");
    }
    let row = |it: &Wanted| {
        let mut row = vec![
            Value::from(it.phenomenon_time()),
            it.result.clone(),
            it.quality.clone(),
            it.parameters.clone(),
        ];
        if with_feature {
            row.extend(it.feature.as_ref().map(|feature| feature.0.clone()));
        }
        Value::Array(row)
    };
    let rows: Vec<Value> = wanted.iter().map(row).collect();
    let body = json!([{
        "Datastream": {"@iot.id": datastream.0}, "components": components,
        "dataArray@iot.count": rows.len(), "dataArray": rows,
    }]);
    let posted = client.post(run, "CreateObservations", &body, attempt);
    let body = match posted.await? {
        Posted::Unknown => return Ok(Listed::Unknown),
        Posted::Answered(Answer::Refused { .. }) => return Ok(Listed::NotTaken(wanted)),
        Posted::Answered(Answer::Done { body, .. }) => body,
    };
    let told = body.as_array().map(Vec::as_slice).unwrap_or_default();
    let is_made = |at: usize| told.get(at).is_none_or(|it| it != "error");
    let (made, left): (Vec<_>, Vec<_>) = wanted
        .into_iter()
        .enumerate()
        .partition(|(at, _)| is_made(*at));
    run.counters.add("observations_written", made.len() as u64);
    Ok(Listed::Left(left.into_iter().map(|(_, it)| it).collect()))
}

/// Removes observations that are there twice.
pub(super) async fn remove(
    client: &Client,
    run: &Run,
    doubles: Vec<Id>,
) -> Result<(), OutputError> {
    for id in doubles {
        let address = client.address(&format!("Observations{id}"), &[]);
        // Refused: somebody else has removed it.
        client.send(run, &Method::DELETE, &address, None).await?;
        run.counters.add("doubles_removed", 1);
    }
    Ok(())
}

/// Gives observations that are there their new values.
pub(super) async fn change(
    client: &Client,
    run: &Run,
    changed: Vec<(Id, Wanted)>,
) -> Result<Vec<Refused>, OutputError> {
    let mut refused = Vec::new();
    for (id, wanted) in changed {
        let mut body = wanted.members();
        body.remove("FeatureOfInterest");
        let address = client.address(&format!("Observations{id}"), &[]);
        let body = Value::Object(body);
        match client
            .send(run, &Method::PATCH, &address, Some(&body))
            .await?
        {
            Answer::Done { .. } => run.counters.add("observations_changed", 1),
            Answer::Refused { status, text } => refused.push(Refused {
                wanted,
                text: format!("{status}: {text}"),
            }),
        }
    }
    Ok(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn what_begins_after_the_newest_cannot_be_there() {
        let (noon, one) = (at("2026-11-20T12:00:00Z"), at("2026-11-20T13:00:00Z"));
        for (reach, start, cannot) in [
            (Reach::Unknown, noon, false),
            (Reach::Empty, noon, true),
            (Reach::Newest(noon), one, true),
            (Reach::Newest(noon), noon, false),
            (Reach::Newest(one), noon, false),
        ] {
            assert_eq!(reach.is_before(start), cannot, "{reach:?}");
        }
        assert_eq!(Reach::Newest(one).with(noon), Reach::Newest(one));
        assert_eq!(Reach::Newest(noon).with(one), Reach::Newest(one));
        assert_eq!(Reach::Empty.with(noon), Reach::Newest(noon));
        // What was written says nothing of what comes after it.
        assert_eq!(Reach::Unknown.with(noon), Reach::Unknown);
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        assert!(is_same(&json!(20), &json!(20.0)));
        assert!(!is_same(&json!(20), &json!(21)));
        assert!(!is_same(&json!("20"), &json!(20)));
    }
}
