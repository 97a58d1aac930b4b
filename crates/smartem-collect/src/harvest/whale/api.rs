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

    /// The hour that an address of [`Api::hour_place`] names.
    pub(super) fn hour_of_place(place: &str) -> Option<(StationId, Day, HourNumber)> {
        let path = place.strip_prefix("/devices/")?;
        let mut parts = path.split('/');
        let (station, timeseries) = (parts.next()?, parts.next()?);
        let (day, hour) = (parts.next()?, parts.next()?);
        if timeseries != "timeseries" || parts.next().is_some() {
            return None;
        }
        Some((
            StationId::new(station)?,
            Day::parse(day)?,
            hour.parse().ok()?,
        ))
    }

    /// Ids of the devices listed.
    pub(super) async fn devices(&self, run: &Run) -> Result<Vec<StationId>, ApiError> {
        self.listing(run, &Self::devices_place(), "devices", |entry| {
            entry.as_str()?.rsplit('/').next().and_then(StationId::new)
        })
        .await
    }

    /// Days listed for a device, in order.
    pub(super) async fn days(&self, run: &Run, station: &StationId) -> Result<Vec<Day>, ApiError> {
        let mut days = self
            .listing(run, &Self::days_place(station), "days", |entry| {
                entry.as_str()?.rsplit('/').next().and_then(Day::parse)
            })
            .await?;
        days.sort_unstable();
        days.dedup();
        Ok(days)
    }

    /// Hours listed for a day, in order.
    pub(super) async fn hours(
        &self,
        run: &Run,
        station: &StationId,
        day: Day,
    ) -> Result<Vec<HourNumber>, ApiError> {
        let mut hours = self
            .listing(
                run,
                &Self::hours_place(station, day),
                "hours",
                Value::as_i64,
            )
            .await?;
        hours.sort_unstable();
        hours.dedup();
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

    /// The entries of a list; one that is not as described makes the whole list not understood.
    async fn listing<T>(
        &self,
        run: &Run,
        place: &str,
        member: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Vec<T>, ApiError> {
        let body = self.body(run, place).await?;
        let entries = |body: &[u8]| -> Result<Vec<T>, String> {
            let document: Value =
                serde_json::from_slice(body).map_err(|error| error.to_string())?;
            let list = document.get(member).and_then(Value::as_array);
            let list = list.ok_or_else(|| format!("no list `{member}`"))?;
            list.iter()
                .map(|entry| read(entry).ok_or_else(|| format!("`{member}` holds {entry}")))
                .collect()
        };
        entries(&body).map_err(|detail| ApiError::NotUnderstood { detail, body })
    }
}
