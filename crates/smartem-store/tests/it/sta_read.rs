//! What is read of SensorThings entities. Questions are written as in URLs.

use serde_json::{Value, json};
use smartem_sta::{Answer, Entity, Expansion, Page, Query, Record, ResourcePath, Version};
use smartem_store::{ReadLimits, StaError, Store};

use crate::servers::{On, World};
use crate::sta_data::{FIRST, GARDEN, fill, town};
use crate::support::now;

pub(crate) async fn world(on: On) -> World {
    let world = World::on(on).await;
    fill(&world, &town());
    world
}

/// The answer to a question of version 1.1: `Things?$top=1`.
pub(crate) async fn ask(store: &Store, url: &str) -> Result<Answer, StaError> {
    ask_with(store, url, &ReadLimits::at(now())).await
}

pub(crate) async fn ask_with(
    store: &Store,
    url: &str,
    limits: &ReadLimits,
) -> Result<Answer, StaError> {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let path = ResourcePath::parse(path, Version::V1_1).unwrap();
    let query = Query::parse(query, path.entity_type(), Version::V1_1, path.is_single());
    let query = query.unwrap_or_else(|error| panic!("{url}: {error}"));
    store.sta_read(&path, &query, limits).await
}

async fn page(store: &Store, url: &str) -> Page {
    match ask(store, url).await {
        Ok(Answer::Many(page)) => page,
        other => panic!("{url}: {other:?}"),
    }
}

fn ids(page: &Page) -> Vec<i64> {
    page.entities.iter().map(|it| it.id).collect()
}

/// The ids of a page; of observations `(datastream, number)`, of refined ones hours after the first.
async fn ids_of(store: &Store, url: &str) -> Vec<i64> {
    ids(&page(store, url).await)
}

fn pairs(page: &Page) -> Vec<(i64, i64)> {
    let pair = |it: &Entity| {
        let n = it.id & 0xffff_ffff;
        (it.id >> 32, if n >= FIRST { n - FIRST } else { n })
    };
    page.entities.iter().map(pair).collect()
}

async fn pairs_of(store: &Store, url: &str) -> Vec<(i64, i64)> {
    pairs(&page(store, url).await)
}

async fn one(store: &Store, url: &str) -> Option<Entity> {
    match ask(store, url).await {
        Ok(Answer::One(one)) => one.map(|it| *it),
        other => panic!("{url}: {other:?}"),
    }
}

async fn is_not_found(store: &Store, url: &str) -> bool {
    matches!(ask(store, url).await, Err(StaError::NotFound { .. }))
}

async fn count(store: &Store, url: &str) -> u64 {
    match ask(store, url).await {
        Ok(Answer::Count(count)) => count,
        other => panic!("{url}: {other:?}"),
    }
}

/// The id of a refined observation.
fn refined(datastream: i64, n: i64) -> i64 {
    (datastream << 32) | (FIRST + n)
}

pub(crate) async fn sets_and_entities_of_all_types_are_read(on: On) {
    let world = world(on).await;
    let store = &world.store;
    assert_eq!(ids_of(store, "Things").await, [1, 2, GARDEN]);
    assert_eq!(ids_of(store, "Locations").await, [10, 20, 21, 100]);
    assert_eq!(ids_of(store, "HistoricalLocations").await, [10, 20, 21]);
    assert_eq!(ids_of(store, "Datastreams").await, [1, 2, 3, 4, 11, 12, 13]);
    assert_eq!(ids_of(store, "MultiDatastreams").await, [14]);
    assert_eq!(ids_of(store, "Sensors").await, [1, 2, 3]);
    assert_eq!(ids_of(store, "ObservedProperties").await, [1, 2, 3]);
    assert_eq!(
        ids_of(store, "FeaturesOfInterest").await,
        [10, 20, 21, 100, 101]
    );
    let all = page(store, "Observations?$top=1000").await;
    assert_eq!(all.entities.len(), 45);
    for entity in &all.entities {
        let url = format!("Observations({})", entity.id);
        assert_eq!(one(store, &url).await.as_ref(), Some(entity));
    }
    assert!(is_not_found(store, "Things(5)").await);
    assert!(is_not_found(store, "Datastreams(14)").await);
    assert!(is_not_found(store, "Observations(5)").await);
    let mut together = ReadLimits::at(now());
    together.multi_apart = false;
    let answer = ask_with(store, "Datastreams?$filter=id gt 12", &together).await;
    let Ok(Answer::Many(page)) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(ids(&page), [13, 14]);
}

pub(crate) async fn a_path_leads_from_entity_to_entity(on: On) {
    let world = world(on).await;
    let store = &world.store;
    assert_eq!(ids_of(store, "Things(1)/Datastreams").await, [1, 2]);
    assert_eq!(ids_of(store, "Things(2)/Locations").await, [21]);
    assert_eq!(ids_of(store, "Locations(21)/Things").await, [2]);
    assert_eq!(ids_of(store, "Locations(20)/Things").await, [0_i64; 0]);
    assert_eq!(
        ids_of(store, "Locations(20)/HistoricalLocations").await,
        [20]
    );
    assert_eq!(
        ids_of(store, "Things(2)/HistoricalLocations(20)/Locations").await,
        [20]
    );
    assert_eq!(
        ids_of(store, "ObservedProperties(3)/Datastreams").await,
        [11, 12, 13]
    );
    assert_eq!(
        ids_of(store, "ObservedProperties(3)/MultiDatastreams").await,
        [14]
    );
    assert_eq!(
        ids_of(store, "MultiDatastreams(14)/ObservedProperties").await,
        [3, 1]
    );
    assert_eq!(ids_of(store, "Sensors(3)/Datastreams").await, [11, 12, 13]);
    let refined = refined(3, 6);
    let feature = format!("Things(2)/Datastreams(3)/Observations({refined})/FeatureOfInterest");
    assert_eq!(one(store, &feature).await.unwrap().id, 21);
    let thing = format!("Observations({refined})/Datastream/Thing");
    assert_eq!(one(store, &thing).await.unwrap().id, 2);
    // The observation at hour 0 has no feature.
    let bare = (11_i64 << 32) | 6;
    let none = format!("Datastreams(11)/Observations({bare})/FeatureOfInterest");
    assert_eq!(one(store, &none).await, None);
    assert_eq!(
        one(store, &format!("Observations({bare})/MultiDatastream")).await,
        None
    );
    assert!(is_not_found(store, "Things(1)/Datastreams(3)").await);
    assert!(is_not_found(store, "Things(5)/Datastreams").await);
    assert!(is_not_found(store, &format!("Datastreams(1)/Observations({refined})")).await);
    assert!(is_not_found(store, &format!("{none}/Observations")).await);
    assert_eq!(
        pairs_of(store, "FeaturesOfInterest(20)/Observations").await,
        [
            (3, 0),
            (3, 1),
            (3, 2),
            (3, 3),
            (3, 4),
            (4, 0),
            (4, 1),
            (4, 2),
            (4, 3),
            (4, 4)
        ]
    );
    assert_eq!(
        pairs_of(store, "FeaturesOfInterest(100)/Observations").await,
        [(11, 4), (11, 2)]
    );
    assert_eq!(
        count(store, "FeaturesOfInterest(21)/Observations/$count").await,
        5
    );
}

/// All pages of a question, by its links; none holds more than its part.
async fn walked(store: &Store, url: &str, top: usize) -> Vec<i64> {
    let mut all = Vec::new();
    let mut token = String::new();
    let glue = if url.contains('?') { '&' } else { '?' };
    loop {
        let page = page(store, &format!("{url}{glue}$top={top}{token}")).await;
        assert!(page.entities.len() <= top, "{url}");
        all.extend(ids(&page));
        let Some(next) = page.next else {
            return all;
        };
        assert_eq!(page.entities.len(), top, "{url}");
        token = format!("&$skiptoken={}", next.0);
    }
}

pub(crate) async fn pages_hold_each_entity_once_in_every_order(on: On) {
    let world = world(on).await;
    let store = &world.store;
    for url in [
        "Things",
        "Datastreams?$orderby=name desc",
        "Datastreams?$orderby=name,description desc",
        "Datastreams?$orderby=phenomenonTime desc",
        "Datastreams?$orderby=Thing/name desc,unitOfMeasurement/name",
        "Datastreams?$orderby=length(name) desc",
        "Observations",
        "Observations?$filter=result gt 0.5",
        "Observations?$orderby=phenomenonTime desc",
        "Observations?$orderby=result",
        "Observations?$orderby=result desc,phenomenonTime",
        "Observations?$orderby=id desc",
        "Observations?$orderby=resultTime desc",
        "Observations?$orderby=resultTime",
        "Datastreams(11)/Observations",
        "Datastreams(11)/Observations?$orderby=phenomenonTime desc",
        "Datastreams(11)/Observations?$orderby=resultTime desc",
        "Datastreams(11)/Observations?$orderby=validTime",
        "Datastreams(3)/Observations?$orderby=phenomenonTime desc",
        "Datastreams(3)/Observations?$orderby=id desc",
        "FeaturesOfInterest(100)/Observations?$orderby=result desc",
    ] {
        let glue = if url.contains('?') { '&' } else { '?' };
        let all = ids_of(store, &format!("{url}{glue}$top=1000")).await;
        for top in [1, 2, 7] {
            assert_eq!(walked(store, url, top).await, all, "{url} by {top}");
        }
        for skip in [1, 3, 20, 44, 100] {
            let rest = ids_of(store, &format!("{url}{glue}$top=1000&$skip={skip}")).await;
            assert_eq!(rest, all[skip.min(all.len())..], "{url} but {skip}");
        }
    }
}

pub(crate) async fn all_observations_by_time_are_those_of_each_table(on: On) {
    let world = world(on).await;
    let store = &world.store;
    for direction in ["", " desc"] {
        // With the id, which tells equal ones apart anyway, the tables are merged.
        let url = format!("Observations?$top=1000&$orderby=phenomenonTime{direction}");
        let merged = ids_of(store, &format!("{url},id")).await;
        assert_eq!(ids_of(store, &url).await, merged);
        let filter = "$filter=result gt 1 and Datastream/Thing/name ne '20001'";
        let merged = ids_of(store, &format!("{url},id&{filter}")).await;
        assert!(!merged.is_empty());
        assert_eq!(ids_of(store, &format!("{url}&{filter}")).await, merged);
    }
}

pub(crate) async fn a_cursor_of_another_order_or_of_nothing_is_refused(on: On) {
    let world = world(on).await;
    let store = &world.store;
    let first = page(store, "Datastreams?$orderby=name&$top=1").await;
    let token = first.next.unwrap().0;
    for url in [
        format!("Datastreams?$skiptoken={token}"),
        format!("Datastreams?$orderby=name desc&$skiptoken={token}"),
        format!("Sensors?$orderby=name&$skiptoken={token}"),
        "Datastreams?$skiptoken=abc".to_owned(),
        format!("Datastreams?$orderby=name&$skiptoken={}", &token[1..]),
    ] {
        let answer = ask(store, &url).await;
        assert!(
            matches!(answer, Err(StaError::Invalid { .. })),
            "{url}: {answer:?}"
        );
    }
}

pub(crate) async fn counts_are_those_of_all_pages(on: On) {
    let world = world(on).await;
    let store = &world.store;
    for (url, expected) in [
        ("Things", 3),
        ("Datastreams", 7),
        ("MultiDatastreams", 1),
        ("Things(1)/Datastreams", 2),
        ("Observations", 45),
        ("Datastreams(3)/Observations", 10),
        ("Datastreams(11)/Observations", 6),
        ("Datastreams(13)/Observations", 0),
    ] {
        assert_eq!(
            count(store, &format!("{url}/$count")).await,
            expected,
            "{url}"
        );
        let page = page(store, &format!("{url}?$count=true&$top=1")).await;
        assert_eq!(page.count, Some(expected), "{url}");
    }
    for filter in [
        "result gt 100",
        "Datastream/id eq 3",
        "phenomenonTime lt 2024-01-01T03:00:00Z",
    ] {
        let url = format!("Observations?$count=true&$top=1000&$filter={filter}");
        let page = page(store, &url).await;
        assert!(!page.entities.is_empty(), "{filter}");
        assert_eq!(page.count, Some(page.entities.len() as u64), "{filter}");
    }
    let none = page(store, "Observations?$count=true&$top=0").await;
    assert_eq!(
        (none.entities.len(), none.count, none.next),
        (0, Some(45), None)
    );
}

pub(crate) async fn relations_are_expanded_to_any_depth(on: On) {
    let world = world(on).await;
    let store = &world.store;
    let url = "Things?$expand=Datastreams($filter=name eq 'no2';$expand=Observations($top=1;\
        $orderby=phenomenonTime desc;$count=true;$expand=FeatureOfInterest)),Locations";
    let things = page(store, url).await;
    let mut newest = Vec::new();
    for thing in &things.entities {
        let Expansion::Many(streams) = &thing.expanded[0].content else {
            panic!("{thing:?}");
        };
        for stream in &streams.entities {
            let Expansion::Many(observations) = &stream.expanded[0].content else {
                panic!("{stream:?}");
            };
            assert!(observations.next.is_some());
            let Expansion::One(feature) = &observations.entities[0].expanded[0].content else {
                panic!("{observations:?}");
            };
            newest.push((
                stream.id,
                pairs(observations),
                observations.count,
                feature.as_ref().unwrap().id,
            ));
        }
    }
    assert_eq!(
        newest,
        [
            (1, vec![(1, 9)], Some(10), 10),
            (3, vec![(3, 9)], Some(10), 21)
        ]
    );
    let features = page(
        store,
        "FeaturesOfInterest?$expand=Observations($count=true;$top=2)",
    )
    .await;
    let counts: Vec<_> = features
        .entities
        .iter()
        .map(|it| match &it.expanded[0].content {
            Expansion::Many(page) => (it.id, page.count, page.entities.len(), page.next.is_some()),
            Expansion::One(_) => panic!("{it:?}"),
        })
        .collect();
    assert_eq!(
        counts,
        [
            (10, Some(15), 2, true),
            (20, Some(10), 2, true),
            (21, Some(5), 2, true),
            (100, Some(2), 2, false),
            (101, Some(3), 2, true)
        ]
    );
    // A link from an expanded page goes on where that ended.
    let expanded = page(
        store,
        "Datastreams?$expand=Observations($top=2)&$filter=id eq 3 or id eq 11",
    )
    .await;
    for stream in &expanded.entities {
        let Expansion::Many(first) = &stream.expanded[0].content else {
            panic!("{stream:?}");
        };
        let all = ids_of(store, &format!("Datastreams({})/Observations", stream.id)).await;
        let next = &first.next.as_ref().unwrap().0;
        let url = format!("Datastreams({})/Observations?$skiptoken={next}", stream.id);
        let mut found = ids(first);
        found.extend(ids_of(store, &url).await);
        assert_eq!(found, all);
    }
}

pub(crate) async fn answers_that_are_too_large_are_refused(on: On) {
    let world = world(on).await;
    let store = &world.store;
    let mut limits = ReadLimits::at(now());
    limits.entities_max = 20;
    let url = "Datastreams?$expand=Observations";
    let answer = ask_with(store, url, &limits).await;
    assert!(
        matches!(answer, Err(StaError::TooMuch { .. })),
        "{answer:?}"
    );
    let url = "Datastreams?$expand=Observations($top=1)";
    assert!(ask_with(store, url, &limits).await.is_ok());
    limits.expand_depth = 1;
    let url = "Things?$expand=Datastreams($expand=Sensor)";
    let answer = ask_with(store, url, &limits).await;
    assert!(
        matches!(answer, Err(StaError::TooMuch { .. })),
        "{answer:?}"
    );
}

pub(crate) async fn filters_select_what_they_say(on: On) {
    let world = world(on).await;
    let store = &world.store;
    for (url, expected) in [
        ("Things?$filter=name eq 'Garden'", vec![10]),
        ("Things?$filter=name ne 'Garden'", vec![1, 2]),
        (
            "Things?$filter=startswith(tolower(description),'über')",
            vec![10],
        ),
        ("Things?$filter=toupper(description) eq 'ÜBERALL'", vec![10]),
        ("Things?$filter=indexof(description,'all') eq 4", vec![10]),
        (
            "Things?$filter=substring(description,1,2) eq 'be'",
            vec![10],
        ),
        ("Things?$filter=length(description) eq 7", vec![10]),
        (
            "Things?$filter=endswith(name,'1') or contains(name,'arde')",
            vec![1, 10],
        ),
        ("Things?$filter=concat(name,'!') eq '20001!'", vec![1]),
        ("Things?$filter=properties/cadence gt 300", vec![2]),
        ("Things?$filter=properties/cadence div 2 eq 150", vec![1]),
        ("Things?$filter=properties/owner/name eq 'Ada'", vec![10]),
        ("Things?$filter=properties/open", vec![10]),
        ("Things?$filter=not properties/open", vec![]),
        ("Things?$filter=properties/odd eq null", vec![1, 2, 10]),
        ("Things?$filter=properties/size ne null", vec![10]),
        ("Things?$filter=properties/size eq '12.5'", vec![]),
        ("Sensors?$filter=metadata/maker/name eq 'ACME'", vec![3]),
        ("Sensors?$filter=metadata eq 'no2-S27'", vec![1]),
        ("Sensors?$filter=properties/tags/1 eq 'b'", vec![3]),
        ("Datastreams?$filter=Thing/name eq '20001'", vec![1, 2]),
        (
            "Datastreams?$filter=Thing/Locations/name eq 'Garden'",
            vec![11, 12, 13],
        ),
        (
            "Datastreams?$filter=Observations/result gt 200",
            vec![3, 4, 12],
        ),
        (
            "Datastreams?$filter=Observations/result eq 'rain'",
            vec![12],
        ),
        (
            "Datastreams?$filter=not Observations/any(o:o/id gt 0)",
            vec![13],
        ),
        (
            "Datastreams?$filter=Observations/any()",
            vec![1, 2, 3, 4, 11, 12],
        ),
        (
            "Datastreams?$filter=unitOfMeasurement/symbol eq '°C'",
            vec![11, 12, 13],
        ),
        ("Datastreams?$filter=phenomenonTime eq null", vec![13]),
        (
            "Datastreams?$filter=name in ('no2','empty')",
            vec![1, 3, 13],
        ),
        (
            "Things?$filter=Datastreams/any(d:d/Observations/any(o:o/result gt 250))",
            vec![2, 10],
        ),
        (
            "Things?$filter=Datastreams/any(d:d/Sensor/name eq 'Thermometer' and d/name eq 'empty')",
            vec![10],
        ),
        (
            "Locations?$filter=st_within(location,geography'POLYGON((5.5 51,6.5 51,6.5 52,5.5 52,5.5 51))')",
            vec![10],
        ),
        (
            "Locations?$filter=geo.distance(location,geography'POINT(6 51.5)') lt 0.5",
            vec![10, 100],
        ),
        (
            "Locations?$filter=geo.intersects(location,geography'LINESTRING(7 51,7 52)')",
            vec![20, 100],
        ),
        (
            "FeaturesOfInterest?$filter=st_contains(feature,geography'POINT(5 51)')",
            vec![100],
        ),
        ("FeaturesOfInterest?$filter=feature eq null", vec![]),
        (
            "Datastreams?$filter=st_equals(observedArea,geography'POINT(6 51.5)')",
            vec![1, 2],
        ),
    ] {
        assert_eq!(ids_of(store, url).await, expected, "{url}");
    }
}

pub(crate) async fn filters_of_observations_tell_times_and_results(on: On) {
    let world = world(on).await;
    let store = &world.store;
    let of_numbers = "Datastreams(11)/Observations?$filter=";
    for (filter, expected) in [
        ("result eq 0.5", vec![4]),
        (
            "phenomenonTime ge 2024-01-01T02:00:00Z and phenomenonTime lt 2024-01-01T04:00:00Z",
            vec![4, 3],
        ),
        ("phenomenonTime eq 2024-01-01T02:00:00Z", vec![4]),
        ("phenomenonTime eq 2024-01-01T01:00:00Z", vec![]),
        ("phenomenonTime gt 2024-01-01T03:00:00Z", vec![2, 1]),
        ("phenomenonTime lt 2024-01-01T01:30:00Z", vec![6, 5]),
        ("phenomenonTime lt 2024-01-01T01:29:00Z", vec![6]),
        (
            "during(phenomenonTime,2024-01-01T01:00:00Z/2024-01-01T02:00:00Z)",
            vec![5],
        ),
        (
            "overlaps(phenomenonTime,2024-01-01T01:15:00Z/2024-01-01T02:30:00Z)",
            vec![5, 4],
        ),
        (
            "meets(phenomenonTime,2024-01-01T01:30:00Z/2024-01-01T02:30:00Z)",
            vec![5],
        ),
        (
            "starts(phenomenonTime,2024-01-01T01:00:00Z/2024-01-01T02:30:00Z)",
            vec![5],
        ),
        (
            "finishes(phenomenonTime,2024-01-01T00:00:00Z/2024-01-01T01:30:00Z)",
            vec![5],
        ),
        ("before(phenomenonTime,2024-01-01T01:30:00Z)", vec![6, 5]),
        ("after(phenomenonTime,2024-01-01T04:00:00Z)", vec![1]),
        ("resultTime eq null", vec![4]),
        (
            "resultTime sub phenomenonTime gt duration'PT30M'",
            vec![6, 5, 3, 2, 1],
        ),
        (
            "hour(phenomenonTime) eq 3 or minute(resultTime) eq 1",
            vec![3],
        ),
        ("date(phenomenonTime) eq 2024-01-01", vec![6, 5, 4, 3, 2, 1]),
        (
            "year(phenomenonTime) eq 2024 and month(phenomenonTime) eq 1 and day(phenomenonTime) eq 2",
            vec![],
        ),
        ("FeatureOfInterest/name eq 'Field'", vec![4, 2]),
        ("FeatureOfInterest/id eq null", vec![6]),
        ("validTime ne null", vec![2]),
        ("resultQuality/good eq 'yes'", vec![5]),
        ("parameters/wind add 1 eq 5", vec![3]),
        ("round(result) eq 1", vec![4, 3, 2, 1]),
        ("ceiling(result) eq 1", vec![5, 4, 3, 2]),
        ("id eq 47244640258", vec![2]),
        (
            "phenomenonTime add duration'PT1H' gt now()",
            vec![6, 5, 4, 3, 2, 1],
        ),
    ] {
        let url = format!("{of_numbers}{filter}");
        let expected: Vec<(i64, i64)> = expected.into_iter().map(|n| (11, n)).collect();
        assert_eq!(
            pairs_of(store, &url.replace('+', "%2B")).await,
            expected,
            "{filter}"
        );
    }
    for (filter, expected) in [
        ("result eq 'rain'", vec![(12, 1)]),
        ("result eq true", vec![(12, 2)]),
        ("result/a eq 5", vec![(12, 3)]),
        ("result eq null", vec![(12, 5)]),
        ("result gt 1e18", vec![(12, 6)]),
        (
            "result gt 200 and result lt 220 and phenomenonTime ge 2024-01-01T01:00:00Z",
            vec![(3, 1), (4, 1)],
        ),
        (
            "Datastream/id eq 3 and phenomenonTime ge 2024-01-01T08:00:00Z",
            vec![(3, 8), (3, 9)],
        ),
        ("MultiDatastream/id eq 14", vec![(14, 1), (14, 2), (14, 3)]),
        ("result/1 eq 4", vec![(14, 3)]),
        (
            "FeatureOfInterest/id eq 21 and Datastream/Thing/name eq '20002' and result gt 285",
            vec![(3, 9)],
        ),
    ] {
        let url = format!("Observations?$filter={filter}");
        assert_eq!(pairs_of(store, &url).await, expected, "{filter}");
    }
}

pub(crate) async fn an_observation_tells_how_it_came_about(on: On) {
    let world = world(on).await;
    let found = one(&world.store, &format!("Observations({})", refined(1, 2)))
        .await
        .unwrap();
    let Record::Observation(observation) = found.record else {
        panic!("{found:?}");
    };
    assert_eq!(
        observation.phenomenon_time.to_string(),
        "2024-01-01T02:00:00Z/2024-01-01T03:00:00Z"
    );
    let origin = observation.provenance.unwrap();
    assert_eq!(
        (origin.min, origin.max, origin.raw),
        (119.5, 121.5, Some(12.25))
    );
    assert_eq!(
        (origin.raw_unit.as_deref(), origin.flags.as_slice()),
        (Some("Ohm"), &["station_location"][..])
    );
    assert_eq!((&*origin.definition, origin.model), ("jose/1", None));
}

async fn rows_of(store: &Store, url: &str) -> Vec<Value> {
    match ask(store, url).await {
        Ok(Answer::Rows(rows, None)) => rows,
        other => panic!("{url}: {other:?}"),
    }
}

pub(crate) async fn observations_are_averaged_over_spans_of_time(on: On) {
    let world = world(on).await;
    let store = &world.store;
    let rows = rows_of(store, "Datastreams(1)/Observations?resample=4h").await;
    assert_eq!(
        rows,
        [
            json!({"datastream": 1, "phenomenonTime": "2024-01-01T00:00:00Z/2024-01-01T04:00:00Z",
                "average": 115.5, "min": 100.5, "max": 130.5, "count": 4, "coverage": 1.0}),
            json!({"datastream": 1, "phenomenonTime": "2024-01-01T04:00:00Z/2024-01-01T08:00:00Z",
                "average": 155.5, "min": 140.5, "max": 170.5, "count": 4, "coverage": 1.0}),
            json!({"datastream": 1, "phenomenonTime": "2024-01-01T08:00:00Z/2024-01-01T12:00:00Z",
                "average": 185.5, "min": 180.5, "max": 190.5, "count": 2, "coverage": 0.5}),
        ]
    );
    // Sound levels by their energy: 100.5 to 140.5 dB.
    let rows = rows_of(store, "Datastreams(2)/Observations?resample=1d").await;
    let energy: f64 = (0..5)
        .map(|n| 10_f64.powf((100.5 + f64::from(n) * 10.0) / 10.0))
        .sum();
    let average = rows[0]["average"].as_f64().unwrap();
    assert!(
        (average - 10.0 * (energy / 5.0).log10()).abs() < 1e-9,
        "{average}"
    );
    // Instants count by their hours, intervals by their length; results that are no numbers do not count.
    let rows = rows_of(store, "Datastreams(11)/Observations?resample=6h").await;
    assert_eq!(
        (rows.len(), &rows[0]["coverage"], &rows[0]["count"]),
        (1, &json!(0.75), &json!(6))
    );
    let rows = rows_of(store, "Datastreams(12)/Observations?resample=1h").await;
    assert_eq!(rows.len(), 1);
    let all = rows_of(store, "Observations?resample=4h").await;
    let mut walked = Vec::new();
    let mut token = String::new();
    loop {
        let url = format!("Observations?resample=4h&$top=2{token}");
        let Ok(Answer::Rows(rows, next)) = ask(store, &url).await else {
            panic!("{url}");
        };
        walked.extend(rows);
        let Some(next) = next else {
            break;
        };
        token = format!("&$skiptoken={}", next.0);
    }
    assert_eq!(walked, all);
    let skipped = rows_of(store, "Observations?resample=4h&$skip=3").await;
    assert_eq!(skipped, all[3..]);
    let mut limits = ReadLimits::at(now());
    limits.scanned_max = 20;
    let answer = ask_with(store, "Observations?resample=4h", &limits).await;
    assert!(
        matches!(answer, Err(StaError::TooMuch { .. })),
        "{answer:?}"
    );
}

pub(crate) async fn groups_are_summed_up(on: On) {
    let world = world(on).await;
    let store = &world.store;
    let url = "Observations?$apply=filter(Datastream/name eq 'no2')/groupby((Datastream/Thing/name),\
        aggregate(result with average as mean,result with max as most,$count as n))";
    assert_eq!(
        rows_of(store, url).await,
        [
            json!({"Datastream": {"Thing": {"name": "20001"}}, "mean": 145.5, "most": 190.5, "n": 10}),
            json!({"Datastream": {"Thing": {"name": "20002"}}, "mean": 245.5, "most": 290.5, "n": 10}),
        ]
    );
    let url = "Datastreams?$apply=groupby((unitOfMeasurement/symbol),aggregate($count as n,\
        name with countdistinct as names,name with min as first))";
    assert_eq!(
        rows_of(store, url).await,
        [
            json!({"unitOfMeasurement": {"symbol": "dB(A)"}, "n": 2, "names": 1, "first": "noiseavg"}),
            json!({"unitOfMeasurement": {"symbol": "°C"}, "n": 3, "names": 3, "first": "anything"}),
            json!({"unitOfMeasurement": {"symbol": "µg/m³"}, "n": 2, "names": 1, "first": "no2"}),
        ]
    );
    let url = "Observations?$apply=aggregate(result with average as mean)";
    let answer = ask(store, url).await;
    let Err(StaError::Invalid { detail, .. }) = answer else {
        panic!("{answer:?}");
    };
    assert!(
        detail.contains("dB(A)") && detail.contains("µg/m³"),
        "{detail}"
    );
    let url = "Observations?$apply=aggregate($count as n)";
    assert_eq!(rows_of(store, url).await, [json!({"n": 45})]);
}
