//! The addresses and documents of the Raw Sensor API v1.1.

use serde_json::Value;
use smartem_etl::Run;
use smartem_model::StationId;
use url::Url;

use super::plan::{Day, HourNumber};
use crate::harvest::http::{Client, FetchError};

/// The API of one source.
pub(super) struct Api {
    client: Client,
    /// Without a slash at its end.
    base: String,
}

/// A listing that could not be had.
pub(super) enum ApiError {
    /// It did not arrive.
    Fetch(FetchError),
    /// It arrived whole and is not what the API describes.
    NotUnderstood { detail: String, body: Vec<u8> },
}

impl From<FetchError> for ApiError {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

impl Api {
    pub(super) fn new(client: Client, url: &Url) -> Self {
        Self {
            client,
            base: url.as_str().trim_end_matches('/').to_owned(),
        }
    }

    /// Requests under way at the same time.
    pub(super) fn parallel(&self) -> usize {
        self.client.parallel()
    }

    /// Places are addresses below the base, so that they stay the same when the source moves.
    pub(super) fn devices_place() -> String {
        "/devices".to_owned()
    }

    pub(super) fn days_place(station: &StationId) -> String {
        format!("/devices/{station}/timeseries")
    }

    pub(super) fn hours_place(station: &StationId, day: Day) -> String {
        format!("/devices/{station}/timeseries/{day}")
    }

    pub(super) fn hour_place(station: &StationId, day: Day, hour: HourNumber) -> String {
        format!("/devices/{station}/timeseries/{day}/{hour}")
    }

    pub(super) fn last_place(station: &StationId) -> String {
        format!("/devices/{station}/last")
    }

    /// The day that an address of [`Api::hours_place`] names, or the hour of [`Api::hour_place`].
    pub(super) fn wanted_of_place(place: &str) -> Option<(StationId, Day, Option<HourNumber>)> {
        let path = place.strip_prefix("/devices/")?;
        let mut parts = path.split('/');
        let (station, timeseries, day) = (parts.next()?, parts.next()?, parts.next()?);
        let hour = parts.next().map(str::parse).transpose().ok()?;
        if timeseries != "timeseries" || parts.next().is_some() {
            return None;
        }
        Some((StationId::new(station)?, Day::parse(day)?, hour))
    }

    /// Ids of the devices listed.
    pub(super) async fn devices(&self, run: &Run) -> Result<Listing<StationId>, ApiError> {
        self.listing(run, &Self::devices_place(), "devices", |entry| {
            StationId::new(&last_part(entry)?)
        })
        .await
    }

    /// Days listed for a device, in order.
    pub(super) async fn days(
        &self,
        run: &Run,
        station: &StationId,
    ) -> Result<Listing<Day>, ApiError> {
        let mut days = self
            .listing(run, &Self::days_place(station), "days", |entry| {
                Day::parse(&last_part(entry)?)
            })
            .await?;
        days.entries.sort_unstable();
        days.entries.dedup();
        Ok(days)
    }

    /// Hours listed for a day, in order.
    pub(super) async fn hours(
        &self,
        run: &Run,
        station: &StationId,
        day: Day,
    ) -> Result<Listing<HourNumber>, ApiError> {
        let mut hours = self
            .listing(run, &Self::hours_place(station, day), "hours", |entry| {
                last_part(entry)?.parse().ok()
            })
            .await?;
        hours.entries.sort_unstable();
        hours.entries.dedup();
        Ok(hours)
    }

    /// The body of an hour.
    pub(super) async fn hour(
        &self,
        run: &Run,
        station: &StationId,
        day: Day,
        hour: HourNumber,
    ) -> Result<Vec<u8>, FetchError> {
        self.body(run, &Self::hour_place(station, day, hour)).await
    }

    /// The body of the newest sample.
    pub(super) async fn last(&self, run: &Run, station: &StationId) -> Result<Vec<u8>, FetchError> {
        self.body(run, &Self::last_place(station)).await
    }

    async fn body(&self, run: &Run, place: &str) -> Result<Vec<u8>, FetchError> {
        // An id that cannot stand in an address belongs to no device of this source.
        let url = format!("{}{place}", self.base)
            .parse()
            .map_err(|_| FetchError::Refused(reqwest::StatusCode::NOT_FOUND))?;
        self.client.get(run, &url).await
    }

    /// The entries of a list.
    async fn listing<T>(
        &self,
        run: &Run,
        place: &str,
        member: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Listing<T>, ApiError> {
        let body = self.body(run, place).await?;
        let list = |body: &[u8]| -> Result<Vec<Value>, String> {
            let mut document: Value =
                serde_json::from_slice(body).map_err(|error| error.to_string())?;
            match document.get_mut(member).map(Value::take) {
                Some(Value::Array(list)) => Ok(list),
                _ => Err(format!("no list `{member}`")),
            }
        };
        let list = match list(&body) {
            Ok(list) => list,
            Err(detail) => return Err(ApiError::NotUnderstood { detail, body }),
        };
        let (mut entries, mut odd) = (Vec::with_capacity(list.len()), None);
        for entry in &list {
            match read(entry) {
                Some(entry) => entries.push(entry),
                None => odd = odd.or_else(|| Some(format!("`{member}` holds {entry}"))),
            }
        }
        let odd = odd.map(|detail| (detail, body));
        Ok(Listing { entries, odd })
    }
}

/// What a listing holds.
pub(super) struct Listing<T> {
    /// The entries that are as described.
    pub entries: Vec<T>,
    /// The first that is not, and the whole body.
    pub odd: Option<(String, Vec<u8>)>,
}

/// The last part of a path, or a number: collectors write both.
fn last_part(entry: &Value) -> Option<String> {
    match entry {
        Value::String(path) => path
            .trim_end_matches('/')
            .rsplit('/')
            .next()
            .map(str::to_owned),
        Value::Number(number) => number.as_u64().map(|number| number.to_string()),
        _ => None,
    }
}
