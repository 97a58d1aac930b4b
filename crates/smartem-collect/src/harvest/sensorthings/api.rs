//! The addresses and pages of a SensorThings service.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use smartem_etl::Run;
use smartem_model::Hour;
use url::Url;

use super::entities::{Datastream, time_of};
use crate::harvest::http::{Client, FetchError};

/// A service never has so many pages of one listing that more would make sense.
const MOST_PAGES: usize = 10_000;

/// Enough to see whether there is one beside those on the edges of the time asked for.
const A_FEW: usize = 10;

/// The service of one source.
pub(super) struct Api {
    client: Client,
    /// Without a slash at its end.
    base: String,
    page: u16,
}

/// Pages that could not be had.
#[derive(Debug)]
pub(super) enum ApiError {
    /// One did not arrive.
    Fetch(FetchError),
    /// One arrived whole and is not what the standard describes.
    NotUnderstood { detail: String, body: Vec<u8> },
}

impl Api {
    pub(super) fn new(client: Client, url: &Url, page: u16) -> Self {
        Self {
            client,
            base: url.as_str().trim_end_matches('/').to_owned(),
            page: page.max(1),
        }
    }

    /// Requests under way at the same time.
    pub(super) fn parallel(&self) -> usize {
        self.client.parallel()
    }

    /// Places are addresses below the base, so that they stay the same when the source moves.
    pub(super) fn things_place() -> String {
        "/Things".to_owned()
    }

    pub(super) fn thing_place(id: &str) -> String {
        format!("/Things({id})")
    }

    pub(super) fn observations_place(datastream: &str) -> String {
        format!("/Datastreams({datastream})/Observations")
    }

    /// All Things that the filter lets through, with Locations and Datastreams; with the newest
    /// Observation of each Datastream if wanted.
    pub(super) async fn things(
        &self,
        run: &Run,
        filter: Option<&str>,
        with_newest: bool,
    ) -> Result<Vec<Value>, ApiError> {
        let mut query = vec![("$expand", expand(with_newest))];
        query.extend(filter.map(|filter| ("$filter", filter.to_owned())));
        // With everything expanded a page is large: fewer Things than Observations.
        query.push(("$top", self.page.min(100).to_string()));
        let url = self.url("/Things", &query)?;
        let mut all = self.pages(run, url, &|_| true).await?;
        for thing in &mut all {
            self.rest_of_datastreams(run, thing).await?;
        }
        Ok(all)
    }

    /// One Thing by its id, as [`Api::things`] gives it.
    pub(super) async fn thing(
        &self,
        run: &Run,
        id: &str,
        with_newest: bool,
    ) -> Result<Value, ApiError> {
        let url = self.url(&Self::thing_place(id), &[("$expand", expand(with_newest))])?;
        let body = self.client.get(run, &url).await.map_err(ApiError::Fetch)?;
        let mut thing = match serde_json::from_slice(&body) {
            Ok(thing) => thing,
            Err(error) => {
                let detail = error.to_string();
                return Err(ApiError::NotUnderstood { detail, body });
            }
        };
        self.rest_of_datastreams(run, &mut thing).await?;
        Ok(thing)
    }

    /// An expanded list may be cut off with a link to its rest.
    async fn rest_of_datastreams(&self, run: &Run, thing: &mut Value) -> Result<(), ApiError> {
        let link = thing
            .get("Datastreams@iot.nextLink")
            .and_then(Value::as_str);
        let Some(link) = link else {
            return Ok(());
        };
        let base = self.url("/Things", &[])?;
        let url = follow(&base, link).map_err(|detail| ApiError::NotUnderstood {
            detail,
            body: thing.to_string().into_bytes(),
        })?;
        let rest = self.pages(run, url, &|_| true).await?;
        if let Some(list) = thing.get_mut("Datastreams").and_then(Value::as_array_mut) {
            list.extend(rest);
        }
        Ok(())
    }

    /// The Observations of a Datastream from one hour up to another.
    ///
    /// Of what a server gives beside them, what `keep` refuses is dropped page by page.
    pub(super) async fn observations(
        &self,
        run: &Run,
        datastream: &Datastream,
        (from, to): (Hour, Hour),
        keep: &(dyn Fn(&Value) -> bool + Sync),
    ) -> Result<Vec<Value>, ApiError> {
        let url = self.between(datastream, (from, to), self.page.into())?;
        self.pages(run, url, keep).await
    }

    /// A few Observations of a Datastream from one hour up to another, and whether these are all.
    pub(super) async fn some_observations(
        &self,
        run: &Run,
        datastream: &Datastream,
        hours: (Hour, Hour),
    ) -> Result<(Vec<Value>, bool), ApiError> {
        let url = self.between(datastream, hours, A_FEW)?;
        let (entities, link) = self.page(run, &url).await?;
        let is_all = link.is_none() && entities.len() < A_FEW;
        Ok((entities, is_all))
    }

    fn between(
        &self,
        datastream: &Datastream,
        (from, to): (Hour, Hour),
        top: usize,
    ) -> Result<Url, ApiError> {
        let (from, to) = (from.period().start, to.period().start);
        let query = [
            (
                "$filter",
                format!("phenomenonTime ge {from} and phenomenonTime le {to}"),
            ),
            ("$orderby", "phenomenonTime asc".to_owned()),
            ("$top", top.to_string()),
        ];
        self.of_datastream(datastream, &query)
    }

    /// The first Observation of a Datastream, if it has any.
    ///
    /// Believed when the service has nothing before it; one that knows no order is read through.
    pub(super) async fn first(
        &self,
        run: &Run,
        datastream: &Datastream,
    ) -> Result<Option<Value>, ApiError> {
        let some = self.in_order(run, datastream, "asc").await?;
        let Some(first) = some.first() else {
            return Ok(None);
        };
        if is_ascending(&some)
            && let Some(time) = time_of(first)
            && let Ok(before) = time.checked_sub(SignedDuration::from_millis(1))
        {
            let query = [
                ("$filter", format!("phenomenonTime le {before}")),
                ("$top", A_FEW.to_string()),
            ];
            let url = self.of_datastream(datastream, &query)?;
            if self.page(run, &url).await?.0.is_empty() {
                return Ok(Some(first.clone()));
            }
        }
        let is_before = |a: Timestamp, b: Timestamp| a < b;
        self.read_through(run, datastream, &is_before).await
    }

    /// The newest Observation of a Datastream, if it has any, in the same way.
    pub(super) async fn newest(
        &self,
        run: &Run,
        datastream: &Datastream,
    ) -> Result<Option<Value>, ApiError> {
        let some = self.in_order(run, datastream, "desc").await?;
        if is_descending(&some) {
            return Ok(some.into_iter().next());
        }
        let is_after = |a: Timestamp, b: Timestamp| a > b;
        self.read_through(run, datastream, &is_after).await
    }

    async fn in_order(
        &self,
        run: &Run,
        datastream: &Datastream,
        order: &str,
    ) -> Result<Vec<Value>, ApiError> {
        let query = [
            ("$orderby", format!("phenomenonTime {order}")),
            ("$top", A_FEW.to_string()),
        ];
        let url = self.of_datastream(datastream, &query)?;
        Ok(self.page(run, &url).await?.0)
    }

    /// Of all Observations the one whose time comes before that of all others.
    async fn read_through(
        &self,
        run: &Run,
        datastream: &Datastream,
        comes_before: &(dyn Fn(Timestamp, Timestamp) -> bool + Sync),
    ) -> Result<Option<Value>, ApiError> {
        let found: Mutex<Option<(Timestamp, Value)>> = Mutex::new(None);
        let look = |entity: &Value| {
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(time) = time_of(entity)
                && found
                    .as_ref()
                    .is_none_or(|(best, _)| comes_before(time, *best))
            {
                *found = Some((time, entity.clone()));
            }
            false
        };
        let query = [("$top", self.page.to_string())];
        let url = self.of_datastream(datastream, &query)?;
        self.pages(run, url, &look).await?;
        let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        Ok(found.map(|(_, entity)| entity))
    }

    fn of_datastream(
        &self,
        datastream: &Datastream,
        query: &[(&str, String)],
    ) -> Result<Url, ApiError> {
        let own = self.url(&Self::observations_place(&datastream.id), &[])?;
        let mut url = match &datastream.observations {
            Some(link) => follow(&own, link).map_err(|detail| ApiError::NotUnderstood {
                detail,
                body: link.clone().into_bytes(),
            })?,
            None => own,
        };
        append(&mut url, query);
        Ok(url)
    }

    fn url(&self, below: &str, query: &[(&str, String)]) -> Result<Url, ApiError> {
        // An id that cannot stand in an address belongs to nothing of this source.
        let parsed = format!("{}{below}", self.base).parse();
        let mut url: Url = parsed
            .map_err(|_| ApiError::Fetch(FetchError::Refused(reqwest::StatusCode::NOT_FOUND)))?;
        append(&mut url, query);
        Ok(url)
    }

    /// Everything from this page to the last.
    async fn pages(
        &self,
        run: &Run,
        first: Url,
        keep: &(dyn Fn(&Value) -> bool + Sync),
    ) -> Result<Vec<Value>, ApiError> {
        let mut all = Vec::new();
        let mut seen = BTreeSet::new();
        let mut next = Some(first);
        let mut previous = None;
        while let Some(url) = next {
            if !seen.insert(url.to_string()) || seen.len() > MOST_PAGES {
                return Err(ApiError::NotUnderstood {
                    detail: "`@iot.nextLink` leads in a circle".to_owned(),
                    body: url.to_string().into_bytes(),
                });
            }
            let (entities, link) = self.page(run, &url).await?;
            // `$top` may be meant for all pages together: then there is more, and no link.
            let top = top_of(&url).filter(|top| entities.len() >= *top);
            let is_again = top.is_some() && previous == entities.first().cloned();
            if is_again && top == Some(entities.len()) {
                return Err(ApiError::NotUnderstood {
                    detail: "pages end at `$top` and `$skip` does not lead on: set `page` to the \
                        most that the service gives"
                        .to_owned(),
                    body: url.to_string().into_bytes(),
                });
            }
            // A service that knows neither gives everything each time.
            let rest = top.filter(|_| !is_again).map(|top| after(&url, top));
            let link = link.or(rest);
            previous = entities.first().cloned();
            all.extend(entities.into_iter().filter(|entity| keep(entity)));
            next = link;
        }
        Ok(all)
    }

    async fn page(&self, run: &Run, url: &Url) -> Result<(Vec<Value>, Option<Url>), ApiError> {
        let body = self.client.get(run, url).await.map_err(ApiError::Fetch)?;
        let read = |body: &[u8]| -> Result<_, String> {
            let mut document: Value =
                serde_json::from_slice(body).map_err(|error| error.to_string())?;
            let link = document.get("@iot.nextLink").and_then(Value::as_str);
            let link = link.map(|link| follow(url, link)).transpose()?;
            match document.get_mut("value").map(Value::take) {
                Some(Value::Array(entities)) => Ok((entities, link)),
                _ => Err("no list `value`".to_owned()),
            }
        };
        read(&body).map_err(|detail| ApiError::NotUnderstood { detail, body })
    }
}

fn is_ascending(entities: &[Value]) -> bool {
    entities.iter().map(time_of).is_sorted()
}

/// Whether the first of these is the newest, as far as they tell.
pub(super) fn is_descending(entities: &[Value]) -> bool {
    entities.iter().rev().map(time_of).is_sorted()
}

fn parameter(url: &Url, wanted: &str) -> Option<usize> {
    let mut all = url.query_pairs();
    let found = all.find(|(name, _)| name == wanted)?;
    found.1.parse().ok()
}

fn top_of(url: &Url) -> Option<usize> {
    parameter(url, "$top")
}

/// The address of what comes after so many entities.
fn after(url: &Url, count: usize) -> Url {
    let skipped = parameter(url, "$skip").unwrap_or(0) + count;
    let query = url.query().unwrap_or_default().split('&');
    let kept: Vec<&str> = query
        .filter(|part| {
            !part.is_empty() && !part.starts_with("$skip=") && !part.starts_with("%24skip=")
        })
        .collect();
    let mut next = url.clone();
    next.set_query(Some(&format!("{}&$skip={skipped}", kept.join("&"))));
    next
}

fn expand(with_newest: bool) -> String {
    let newest = if with_newest {
        ",Observations($orderby=phenomenonTime desc;$top=2)"
    } else {
        ""
    };
    format!("Locations,Datastreams($expand=ObservedProperty,Sensor{newest})")
}

/// Blanks as `%20`: not every server reads `+` as one.
fn append(url: &mut Url, query: &[(&str, String)]) {
    if query.is_empty() {
        return;
    }
    let mut text = url.query().unwrap_or_default().to_owned();
    for (name, value) in query {
        if !text.is_empty() {
            text.push('&');
        }
        let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
        text = format!("{text}{name}={}", value.replace('+', "%20"));
    }
    url.set_query(Some(&text));
}

/// The address that a link leads to, from the page it stands on.
///
/// Only to the same host: another would get our requests, and perhaps our token. A service behind
/// another server may write `http` where `https` is meant; that is set right.
fn follow(from: &Url, link: &str) -> Result<Url, String> {
    let mut to = from
        .join(link)
        .map_err(|error| format!("the link `{link}`: {error}"))?;
    if to.origin() == from.origin() {
        return Ok(to);
    }
    let is_same_host = to.host() == from.host() && to.port().is_none() && from.port().is_none();
    if is_same_host && to.scheme() == "http" && to.set_scheme(from.scheme()).is_ok() {
        return Ok(to);
    }
    Err(format!(
        "`{link}` leads to another host, which is not followed"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_on_the_same_host_only() {
        let page: Url = "https://host/v1.0/Things?$top=2".parse().unwrap();
        let to = |link: &str| follow(&page, link).map(|url| url.to_string());
        let next = "https://host/v1.0/Things?$top=2&$skip=2";
        assert_eq!(to(next).unwrap(), next);
        assert_eq!(to("Things?$top=2&$skip=2").unwrap(), next);
        assert_eq!(to("/v1.0/Things?$top=2&$skip=2").unwrap(), next);
        assert_eq!(to("http://host/v1.0/Things?$top=2&$skip=2").unwrap(), next);
        for other in [
            "https://elsewhere/v1.0/Things",
            "https://host:8443/v1.0/Things",
        ] {
            assert!(to(other).unwrap_err().contains("another host"), "{other}");
        }
    }

    #[test]
    fn queries_are_written_so_that_every_server_reads_them() {
        let mut url: Url = "https://host/v1.0/Things".parse().unwrap();
        append(
            &mut url,
            &[("$filter", "a ge 1 and b eq 'x&y+'".to_owned())],
        );
        assert_eq!(
            url.as_str(),
            "https://host/v1.0/Things?$filter=a%20ge%201%20and%20b%20eq%20%27x%26y%2B%27"
        );
    }
}
