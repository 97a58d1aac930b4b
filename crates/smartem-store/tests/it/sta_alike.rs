//! Both backends give the same answers to questions of any kind about entities of any kind.
//!
//! `PROPTEST_CASES` tells how many questions are asked of how many sets of entities; few by default.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Value, json};
use smartem_sta::{EntityType, Query, ResourcePath, Version};
use smartem_store::{ReadLimits, StaError};

use crate::servers::{On, World};
use crate::sta_data::{GARDEN, Row, Val, fill, hour, row, time, town};
use crate::support::now;

/// Questions about one set of entities.
const QUESTIONS: u32 = 150;

#[tokio::test]
#[expect(
    clippy::disallowed_methods,
    reason = "the length of the test is chosen from outside"
)]
async fn both_backends_give_the_same_answers() {
    let cases = std::env::var("PROPTEST_CASES").ok();
    let cases: u32 = cases.map_or(QUESTIONS, |it| it.parse().unwrap());
    let first = std::env::var("PROPTEST_SEED").ok();
    let first: u64 = first.map_or(1, |it| it.parse().unwrap());
    let mut asked = 0;
    for seed in first..first + u64::from(cases.div_ceil(QUESTIONS)) {
        asked += compare(seed, cases.min(QUESTIONS)).await;
    }
    assert!(
        asked > cases / 10 * 8,
        "only {asked} questions were understood"
    );
}

/// Asks questions that come of a seed; how many made sense.
async fn compare(seed: u64, questions: u32) -> u32 {
    let mut random = Random(StdRng::seed_from_u64(seed));
    let mut rows = town();
    rows.extend(random.rows());
    let (embedded, server) = (World::on(On::Sqlite).await, World::on(On::Postgres).await);
    fill(&embedded, &rows);
    fill(&server, &rows);
    let limits = ReadLimits::at(now());
    let mut understood = 0;
    for number in 0..questions {
        let (path, options) = random.question();
        let path = ResourcePath::parse(&path, Version::V1_1).unwrap();
        let raw = options
            .replace('+', "%2B")
            .replace('%', "%25")
            .replace("%252B", "%2B");
        let parsed = Query::parse(&raw, path.entity_type(), Version::V1_1, path.is_single());
        // Some combinations of constants make no sense.
        let Ok(query) = parsed else {
            continue;
        };
        let left = embedded.store.sta_read(&path, &query, &limits).await;
        let right = server.store.sta_read(&path, &query, &limits).await;
        match (left, right) {
            (Ok(left), Ok(right)) => {
                assert_eq!(
                    left, right,
                    "seed {seed}, question {number}: {path:?} {options}"
                );
                understood += 1;
            }
            (Err(left), Err(right)) => {
                let kinds = (is_refusal(&left), is_refusal(&right));
                assert_eq!(kinds, (true, true), "{options}: {left} {right}");
            }
            (left, right) => {
                panic!("seed {seed}, question {number}: {options}\n{left:?}\n{right:?}")
            }
        }
    }
    understood
}

fn is_refusal(error: &StaError) -> bool {
    !matches!(error, StaError::Store(_))
}

struct Random(StdRng);

const TEXTS: [&str; 14] = [
    "", " ", "a", "A", "ab", "Ünï", "straße", "ΣΑΣ", "it''s", "no2", "50%", "a_b", "日本", "x y ",
];

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0.random_range(0..most)
    }

    fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices.choose(&mut self.0).unwrap().clone()
    }

    fn text(&mut self) -> String {
        let text = self.of(&TEXTS);
        text.replace("''", "'")
    }

    fn number(&mut self) -> f64 {
        f64::from(self.0.random_range(-20..20_i32)) / 4.0
    }

    fn json(&mut self) -> Value {
        match self.below(8) {
            0 => Value::Null,
            1 => json!(self.one_in(2)),
            2 | 3 => json!(self.number()),
            4 => json!(self.below(5)),
            5 => json!([self.number(), self.text()]),
            6 => json!({"a": self.number(), "b": {"c": self.text()}}),
            _ => json!(self.text()),
        }
    }

    fn properties(&mut self) -> Val {
        if self.one_in(4) {
            return Val::Null;
        }
        json!({"a": self.json(), "b": self.json(), "n": self.number(), "t": self.text()}).into()
    }

    fn geometry(&mut self) -> Value {
        let mut at = || {
            [
                f64::from(self.0.random_range(0..6_i32)),
                f64::from(self.0.random_range(0..6_i32)),
            ]
        };
        let (a, b) = (at(), at());
        match self.below(4) {
            0 => json!({"type": "LineString", "coordinates": [a, [a[0] + 1.0, b[1] + 7.0]]}),
            1 => {
                let (west, south) = (a[0], a[1]);
                let (east, north) = (west + b[0] + 1.0, south + b[1] + 1.0);
                json!({"type": "Polygon", "coordinates":
                    [[[west, south], [east, south], [east, north], [west, north], [west, south]]]})
            }
            2 => {
                json!({"type": "Feature", "properties": {}, "geometry": {"type": "Point", "coordinates": a}})
            }
            _ => json!({"type": "Point", "coordinates": a}),
        }
    }

    /// A number below another one.
    fn whole(&mut self, most: i64) -> i64 {
        self.0.random_range(0..most)
    }

    /// Entities of clients, numbered from 200.
    fn rows(&mut self) -> Vec<Row> {
        let mut rows = Vec::new();
        for id in 200..206_i64 {
            rows.push(row!(
                "sta_thing",
                id = id,
                name = self.text().as_str(),
                description = self.text().as_str(),
                properties = self.properties()
            ));
            let location = self.geometry();
            rows.push(row!(
                "sta_location",
                id = id,
                name = self.text().as_str(),
                description = self.text().as_str(),
                encoding_type = "application/geo+json",
                location = location,
                properties = self.properties()
            ));
            let feature = if self.one_in(5) {
                json!(self.text())
            } else {
                self.geometry()
            };
            rows.push(row!(
                "sta_feature",
                id = id,
                name = self.text().as_str(),
                description = self.text().as_str(),
                encoding_type = "x",
                feature = feature,
                properties = self.properties()
            ));
            rows.push(row!(
                "sta_thing_location",
                thing_id = id,
                location_id = 200 + self.whole(id - 199)
            ));
        }
        for id in 200..212_i64 {
            let thing = if self.one_in(5) {
                GARDEN
            } else {
                200 + self.whole(6)
            };
            let count = if self.one_in(4) { 0 } else { self.whole(9) };
            let multi = self.one_in(4).then(|| json!(["x", "y"]));
            let area = self.one_in(2).then(|| self.geometry());
            rows.push(row!(
                "sta_datastream",
                id = id,
                is_refined = Val::Bool(false),
                thing_id = thing,
                sensor_id = 1 + self.whole(3),
                name = self.text().as_str(),
                description = self.text().as_str(),
                observation_type = "any",
                unit = self.json(),
                multi_types = multi.clone(),
                properties = self.properties(),
                observations = count,
                area = area,
                phenomenon_start = (count > 0).then(|| time(hour(0))),
                phenomenon_end = (count > 0).then(|| time(hour(12)))
            ));
            for position in 0..=i64::from(multi.is_some()) {
                rows.push(row!(
                    "sta_datastream_property",
                    datastream_id = id,
                    position = position,
                    observed_property_id = 1 + self.whole(3)
                ));
            }
            for n in 1..=count {
                let start = hour(self.whole(6));
                let result = self.one_in(2).then(|| self.number());
                let json = if result.is_some() {
                    Val::Null
                } else {
                    self.json().into()
                };
                rows.push(row!(
                    "sta_observation",
                    datastream_id = id,
                    start_time = time(start),
                    n = n,
                    end_time = self
                        .one_in(2)
                        .then(|| time(start + 1_800_000_000 * (1 + self.whole(3)))),
                    result = result,
                    result_json = json,
                    result_time = self.one_in(2).then(|| time(start + 1_234_567)),
                    feature_id = self.one_in(2).then(|| 200 + self.whole(6)),
                    quality = self.one_in(3).then(|| self.json()),
                    parameters = self.one_in(3).then(|| json!({"a": self.json()}))
                ));
            }
        }
        rows
    }

    /// A path and options.
    fn question(&mut self) -> (String, String) {
        use EntityType as E;
        let (path, of) = self.of(&[
            ("Things", E::Thing),
            ("Locations", E::Location),
            ("HistoricalLocations", E::HistoricalLocation),
            ("Datastreams", E::Datastream),
            ("MultiDatastreams", E::MultiDatastream),
            ("Sensors", E::Sensor),
            ("ObservedProperties", E::ObservedProperty),
            ("Observations", E::Observation),
            ("Observations", E::Observation),
            ("FeaturesOfInterest", E::Feature),
            ("Datastreams(11)/Observations", E::Observation),
            ("Datastreams(3)/Observations", E::Observation),
            ("Datastreams(200)/Observations", E::Observation),
            ("FeaturesOfInterest(20)/Observations", E::Observation),
            ("Things(10)/Datastreams", E::Datastream),
        ]);
        let path = if path == "Datastreams(200)/Observations" {
            "Observations"
        } else {
            path
        };
        (path.to_owned(), self.options(of, 2).join("&"))
    }

    fn options(&mut self, of: EntityType, depth: usize) -> Vec<String> {
        let mut options = Vec::new();
        if !self.one_in(4) {
            options.push(format!("$filter={}", self.condition(of, 3, &[])));
        }
        if self.one_in(2) {
            let terms: Vec<String> = (0..=self.below(2)).map(|_| self.order(of)).collect();
            options.push(format!("$orderby={}", terms.join(",")));
        }
        if self.one_in(2) {
            options.push(format!("$top={}", self.below(12)));
        }
        if self.one_in(4) {
            options.push(format!("$skip={}", self.below(12)));
        }
        if self.one_in(3) {
            options.push("$count=true".to_owned());
        }
        if depth > 0 && self.one_in(2) {
            let relation = self.of(of.relations());
            let inner = self.options(relation.to, depth - 1);
            let inner: Vec<String> = inner
                .into_iter()
                .filter(|it| relation.is_many || it.starts_with("$expand"))
                .collect();
            let name = relation.name(Version::V1_1);
            options.push(if inner.is_empty() {
                format!("$expand={name}")
            } else {
                format!("$expand={name}({})", inner.join(";"))
            });
        }
        options
    }

    fn order(&mut self, of: EntityType) -> String {
        let term = match self.below(4) {
            0 => self.number_of(of, 1, &[], false),
            1 => self.text_of(of, 1, &[], false),
            2 => self.time_of(of, &[], false),
            _ => "id".to_owned(),
        };
        // A constant is no order.
        let term =
            if term.starts_with(|it: char| it.is_ascii_lowercase() || it.is_ascii_uppercase()) {
                term
            } else {
                "id".to_owned()
            };
        format!("{term}{}", self.of(&["", " desc", " asc"]))
    }

    /// A condition on an entity, or on those of the variables around it.
    fn condition(
        &mut self,
        of: EntityType,
        depth: usize,
        around: &[(String, EntityType)],
    ) -> String {
        if depth == 0 {
            return self.comparison(of, around);
        }
        match self.below(8) {
            0 => format!(
                "({} and {})",
                self.condition(of, depth - 1, around),
                self.condition(of, depth - 1, around)
            ),
            1 => format!(
                "({} or {})",
                self.condition(of, depth - 1, around),
                self.condition(of, depth - 1, around)
            ),
            2 => format!("not ({})", self.condition(of, depth - 1, around)),
            3 => self.any(of, depth, around),
            4 => self.of_texts(of, around),
            5 => self.of_geometry(of, around),
            6 => self.of_times(of, around),
            _ => self.comparison(of, around),
        }
    }

    fn any(&mut self, of: EntityType, depth: usize, around: &[(String, EntityType)]) -> String {
        let many: Vec<_> = of
            .relations()
            .iter()
            .filter(|it| it.is_many)
            .copied()
            .collect();
        let Some(relation) = many.choose(&mut self.0).copied() else {
            return self.comparison(of, around);
        };
        let way = format!("{}{}", begin(around), relation.name(Version::V1_1));
        if self.one_in(6) {
            return format!("{way}/any()");
        }
        let variable = format!("v{}", around.len());
        let mut inner = around.to_vec();
        inner.push((variable.clone(), relation.to));
        let condition = self.condition(relation.to, depth - 1, &inner);
        format!("{way}/any({variable}:{condition})")
    }

    fn comparison(&mut self, of: EntityType, around: &[(String, EntityType)]) -> String {
        let op = self.of(&["eq", "ne", "lt", "le", "gt", "ge"]);
        let equal = self.of(&["eq", "ne"]);
        match self.below(7) {
            0 | 1 => format!(
                "{} {op} {}",
                self.number_of(of, 2, around, true),
                self.number_of(of, 2, around, true)
            ),
            2 => format!(
                "{} {op} {}",
                self.text_of(of, 2, around, true),
                self.text_of(of, 2, around, true)
            ),
            3 => format!(
                "{} {op} {}",
                self.time_of(of, around, true),
                self.time_of(of, around, true)
            ),
            4 => format!("{} {equal} null", self.json_of(of, around, true)),
            5 => format!(
                "{} {equal} {}",
                self.json_of(of, around, true),
                self.of(&["true", "false", "'a'", "1"])
            ),
            _ => format!(
                "{} {op} {}",
                self.json_of(of, around, true),
                self.json_of(of, around, true)
            ),
        }
    }

    /// The way to an entity and its type: itself, or along a relation.
    fn way(
        &mut self,
        of: EntityType,
        around: &[(String, EntityType)],
        many: bool,
    ) -> (String, EntityType) {
        let mut way = begin(around);
        let mut at = of;
        if !around.is_empty() && self.one_in(4) {
            let (variable, ty) = self.of(around);
            way = format!("{variable}/");
            at = ty;
        }
        while self.one_in(4) {
            let choices: Vec<_> = at
                .relations()
                .iter()
                .filter(|it| many || !it.is_many)
                .copied()
                .collect();
            let Some(relation) = choices.choose(&mut self.0).copied() else {
                break;
            };
            way.push_str(relation.name(Version::V1_1));
            way.push('/');
            at = relation.to;
        }
        (way, at)
    }

    fn json_of(&mut self, of: EntityType, around: &[(String, EntityType)], many: bool) -> String {
        let (way, at) = self.way(of, around, many);
        let member = self.of(&["a", "b", "a/0", "b/c", "n", "t", "a/b/c", "a/-1"]);
        let member = member.replace("a/-1", "a/1");
        let property = match at {
            EntityType::Observation => self
                .of(&[
                    "result",
                    "result/a",
                    "result/0",
                    "parameters/a",
                    "resultQuality",
                ])
                .to_owned(),
            EntityType::HistoricalLocation => return self.of(&["1", "2"]).to_owned(),
            EntityType::Datastream => self.of(&[
                "unitOfMeasurement/name".to_owned(),
                format!("properties/{member}"),
            ]),
            _ => format!("properties/{member}"),
        };
        format!("{way}{property}")
    }

    fn number_of(
        &mut self,
        of: EntityType,
        depth: usize,
        around: &[(String, EntityType)],
        many: bool,
    ) -> String {
        if depth == 0 {
            return match self.below(4) {
                0 => {
                    let (way, _) = self.way(of, around, many);
                    format!("{way}id")
                }
                1 => self.json_of(of, around, many),
                _ => self
                    .of(&["0", "1", "2.5", "-3", "100", "200.5", "11"])
                    .to_owned(),
            };
        }
        let inner = |it: &mut Self| it.number_of(of, depth - 1, around, many);
        match self.below(10) {
            0 => {
                let op = self.of(&["add", "sub", "mul", "div", "mod"]);
                format!("({} {op} {})", inner(self), inner(self))
            }
            1 => format!("round({})", inner(self)),
            2 => format!("floor({})", inner(self)),
            3 => format!("ceiling({})", inner(self)),
            4 => format!("length({})", self.text_of(of, 1, around, many)),
            5 => format!(
                "indexof({},{})",
                self.text_of(of, 1, around, many),
                self.text_of(of, 0, around, many)
            ),
            6 => {
                let part = self.of(&[
                    "year",
                    "month",
                    "day",
                    "hour",
                    "minute",
                    "second",
                    "fractionalseconds",
                    "totaloffsetminutes",
                ]);
                format!("{part}({})", self.time_of(of, around, many))
            }
            _ => self.number_of(of, 0, around, many),
        }
    }

    fn text_of(
        &mut self,
        of: EntityType,
        depth: usize,
        around: &[(String, EntityType)],
        many: bool,
    ) -> String {
        if depth == 0 {
            let (way, at) = self.way(of, around, many);
            let has_name = !matches!(at, EntityType::Observation | EntityType::HistoricalLocation);
            return match self.below(3) {
                0 if has_name => format!("{way}name"),
                1 if has_name => format!("{way}description"),
                _ => format!("'{}'", self.of(&TEXTS)),
            };
        }
        let inner = |it: &mut Self| it.text_of(of, depth - 1, around, many);
        match self.below(8) {
            0 => format!("tolower({})", inner(self)),
            1 => format!("toupper({})", inner(self)),
            2 => format!("trim({})", inner(self)),
            3 => format!("concat({},{})", inner(self), inner(self)),
            4 => format!("substring({},{})", inner(self), self.below(3)),
            5 => format!(
                "substring({},{},{})",
                inner(self),
                self.below(3),
                self.below(3)
            ),
            _ => self.text_of(of, 0, around, many),
        }
    }

    fn of_texts(&mut self, of: EntityType, around: &[(String, EntityType)]) -> String {
        let function = self.of(&["startswith", "endswith", "contains", "substringof"]);
        let (a, b) = (
            self.text_of(of, 1, around, true),
            self.text_of(of, 1, around, true),
        );
        format!("{function}({a},{b})")
    }

    fn time_literal(&mut self) -> String {
        let (from, more) = (self.below(8), self.below(3));
        let at = |half: usize| format!("2024-01-01T{:02}:{:02}:00Z", half / 2, half % 2 * 30);
        if self.one_in(3) {
            return format!("{}/{}", at(from), at(from + more + 1));
        }
        at(from)
    }

    fn time_of(&mut self, of: EntityType, around: &[(String, EntityType)], many: bool) -> String {
        let (way, at) = self.way(of, around, many);
        let property = match at {
            EntityType::Observation => self.of(&["phenomenonTime", "resultTime", "validTime"]),
            EntityType::HistoricalLocation => "time",
            EntityType::Datastream | EntityType::MultiDatastream => {
                self.of(&["phenomenonTime", "resultTime"])
            }
            _ => return self.time_literal(),
        };
        match self.below(6) {
            0 => self.time_literal(),
            1 => format!("({way}{property} add duration'PT30M')"),
            2 => format!("({way}{property} sub duration'P1DT1H')"),
            _ => format!("{way}{property}"),
        }
    }

    fn of_times(&mut self, of: EntityType, around: &[(String, EntityType)]) -> String {
        let (a, b) = (
            self.time_of(of, around, true),
            self.time_of(of, around, true),
        );
        if self.one_in(5) {
            return format!("{a} sub {b} gt duration'PT30M'");
        }
        if self.one_in(5) {
            return format!("date({a}) le 2024-01-01");
        }
        if self.one_in(5) {
            return format!("time({a}) lt 02:15:00");
        }
        let function = self.of(&[
            "before", "after", "meets", "during", "overlaps", "starts", "finishes",
        ]);
        format!("{function}({a},{b})")
    }

    fn geometry_of(&mut self, of: EntityType, around: &[(String, EntityType)]) -> String {
        let (way, at) = self.way(of, around, true);
        let property = match at {
            EntityType::Location => "location",
            EntityType::Feature => "feature",
            EntityType::Datastream => "observedArea",
            _ => return self.geometry_literal(),
        };
        if self.one_in(4) {
            return self.geometry_literal();
        }
        format!("{way}{property}")
    }

    fn geometry_literal(&mut self) -> String {
        let text = self.of(&[
            "POINT(1 1)",
            "POINT(2 3)",
            "POINT(6 51.5)",
            "LINESTRING(0 0,3 3)",
            "LINESTRING(1 1,1 5,4 5)",
            "POLYGON((0 0,4 0,4 4,0 4,0 0))",
            "POLYGON((1 1,2 1,2 2,1 2,1 1))",
            "POLYGON((5 51,7 51,7 52,5 52,5 51))",
        ]);
        format!("geography'{text}'")
    }

    fn of_geometry(&mut self, of: EntityType, around: &[(String, EntityType)]) -> String {
        let (a, b) = (self.geometry_of(of, around), self.geometry_of(of, around));
        match self.below(4) {
            0 => format!("geo.distance({a},{b}) lt {}", self.below(6)),
            1 => format!(
                "st_relate({a},{b},'{}')",
                self.of(&["T*F**F***", "FF*FF****", "T********", "0********"])
            ),
            2 => format!("geo.length({a}) gt {}", self.below(4)),
            _ => {
                let function = self.of(&[
                    "geo.intersects",
                    "st_equals",
                    "st_disjoint",
                    "st_touches",
                    "st_within",
                    "st_overlaps",
                    "st_crosses",
                    "st_intersects",
                    "st_contains",
                ]);
                format!("{function}({a},{b})")
            }
        }
    }
}

/// What a path begins with: the variable of the innermost `any`.
fn begin(around: &[(String, EntityType)]) -> String {
    around
        .last()
        .map_or_else(String::new, |(variable, _)| format!("{variable}/"))
}
