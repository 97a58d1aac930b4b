//! Fills a SensorThings service and times what maps and charts ask of it, over HTTP; prints a table.
//!
//! `cargo run --release -p sta-conformance --example sta_load -- URL [--things 1000] [--observations 10000000]
//! [--token TOKEN] [--ask-only]`. The service should be empty before; nothing is removed.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};

/// The names of the datastreams of each thing.
const NAMES: [&str; 10] = [
    "no2",
    "o3",
    "co",
    "pm10",
    "pm2_5",
    "temperature",
    "humidity",
    "pressure",
    "noise",
    "co2",
];
/// The first observation of each datastream, seconds since 1970: 2026-01-01.
const BEGIN: i64 = 1_767_225_600;
/// Observations of one list.
const ROWS: u64 = 5_000;
/// A question is asked so often.
const ROUNDS: usize = 21;

#[derive(Parser)]
struct Arguments {
    /// The root of a service with its version, such as <http://localhost:8080/sta/v1.1>.
    url: String,
    /// How many things, each with ten datastreams.
    #[arg(long, default_value_t = 1000)]
    things: u64,
    /// How many observations in all.
    #[arg(long, default_value_t = 10_000_000)]
    observations: u64,
    /// A token that may write.
    #[arg(long)]
    token: Option<String>,
    /// Connections that write lists at the same time.
    #[arg(long, default_value_t = 2)]
    writers: u64,
    /// Ask only: it was filled before.
    #[arg(long)]
    ask_only: bool,
}

#[derive(Clone)]
struct Service {
    http: reqwest::Client,
    url: Arc<str>,
    token: Option<Arc<str>>,
}

type Fault = Box<dyn std::error::Error + Send + Sync>;

impl Service {
    async fn get(&self, path: &str) -> Result<(usize, Value), Fault> {
        let answer = self.http.get(format!("{}/{path}", self.url)).send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        if !status.is_success() {
            return Err(format!("{path}: {status}: {}", String::from_utf8_lossy(&body)).into());
        }
        Ok((body.len(), serde_json::from_slice(&body)?))
    }

    async fn post(&self, path: &str, body: String) -> Result<Value, Fault> {
        let mut request = self.http.post(format!("{}/{path}", self.url));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let request = request
            .header("content-type", "application/json")
            .body(body);
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.bytes().await?;
        if !status.is_success() {
            return Err(format!("{path}: {status}: {}", String::from_utf8_lossy(&body)).into());
        }
        Ok(serde_json::from_slice(&body).unwrap_or_default())
    }
}

#[tokio::main]
async fn main() -> Result<(), Fault> {
    let arguments = Arguments::parse();
    let service = Service {
        http: reqwest::Client::builder()
            .timeout(Duration::from_secs(600))
            .build()?,
        url: arguments.url.trim_end_matches('/').into(),
        token: arguments.token.as_deref().map(Into::into),
    };
    let mut rows = Vec::new();
    if !arguments.ask_only {
        let datastreams = fill(&service, &arguments, &mut rows).await?;
        single_posts(&service, &datastreams, &mut rows).await?;
    }
    questions(&service, arguments.observations, &mut rows).await?;
    println!("| what | figure |\n|---|---|");
    for (what, figure) in rows {
        println!("| {what} | {figure} |");
    }
    Ok(())
}

/// Makes things with their datastreams, and observations by lists; the ids of the datastreams.
async fn fill(
    service: &Service,
    arguments: &Arguments,
    rows: &mut Vec<(String, String)>,
) -> Result<Vec<Value>, Fault> {
    let sensor = json!({"name": "load", "description": "load", "encodingType": "application/pdf",
        "metadata": "none"});
    service.post("Sensors", sensor.to_string()).await?;
    let (_, sensors) = service.get("Sensors?$filter=name eq 'load'&$top=1").await?;
    let sensor = sensors["value"][0]["@iot.id"].clone();
    let mut properties = Vec::new();
    for name in NAMES {
        let property = json!({"name": name, "description": name,
            "definition": format!("urn:load:{name}")});
        service
            .post("ObservedProperties", property.to_string())
            .await?;
        let path = format!("ObservedProperties?$filter=name eq '{name}'&$top=1");
        let (_, found) = service.get(&path).await?;
        properties.push(found["value"][0]["@iot.id"].clone());
    }
    let began = Instant::now();
    for n in 0..arguments.things {
        service
            .post("Things", thing(n, &sensor, &properties))
            .await?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let per_second = arguments.things as f64 / seconds;
    rows.push((
        "Things with a Location and ten Datastreams, deep insert, one connection".to_owned(),
        format!("{per_second:.0}/s"),
    ));
    let datastreams = ids(service, "Datastreams").await?;
    let each = arguments.observations / datastreams.len() as u64;
    let next = Arc::new(AtomicU64::new(0));
    let shared = Arc::new(datastreams.clone());
    let began = Instant::now();
    let mut writers = Vec::new();
    for _ in 0..arguments.writers {
        let (service, next, shared) = (service.clone(), next.clone(), shared.clone());
        writers.push(tokio::spawn(async move {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(list) = list(&shared, each, at) else {
                    return Ok::<(), Fault>(());
                };
                service.post("CreateObservations", list).await?;
            }
        }));
    }
    for writer in writers {
        writer.await??;
    }
    let total = each * datastreams.len() as u64;
    let per_second = total as f64 / began.elapsed().as_secs_f64();
    rows.push((
        format!(
            "{total} Observations by lists of {ROWS}, {} connections",
            arguments.writers
        ),
        format!("{per_second:.0}/s"),
    ));
    Ok(datastreams)
}

fn thing(n: u64, sensor: &Value, properties: &[Value]) -> String {
    let datastream = |(name, property): (&&str, &Value)| {
        json!({
            "name": name, "description": format!("{name} of thing {n}"),
            "observationType":
                "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement",
            "unitOfMeasurement": {"name": "unit", "symbol": "u", "definition": "urn:load:unit"},
            "Sensor": {"@iot.id": sensor}, "ObservedProperty": {"@iot.id": property},
        })
    };
    let datastreams: Vec<Value> = NAMES.iter().zip(properties).map(datastream).collect();
    let (lon, lat) = (3.0 + (n % 40) as f64 / 10.0, 51.0 + (n / 40) as f64 / 50.0);
    json!({
        "name": format!("thing {n}"), "description": "load", "properties": {"n": n},
        "Locations": [{"name": format!("thing {n}"), "description": "load",
            "encodingType": "application/geo+json",
            "location": {"type": "Point", "coordinates": [lon, lat]}}],
        "Datastreams": datastreams,
    })
    .to_string()
}

/// The ids of a set.
async fn ids(service: &Service, set: &str) -> Result<Vec<Value>, Fault> {
    let mut all = Vec::new();
    let mut path = format!("{set}?$select=@iot.id,name&$top=10000");
    loop {
        let (_, page) = service.get(&path).await?;
        let found = page["value"].as_array().ok_or("a page without value")?;
        all.extend(found.iter().map(|it| it["@iot.id"].clone()));
        match page["@iot.nextLink"].as_str() {
            Some(next) => {
                let below = next.replacen(&*service.url, "", 1);
                below.trim_start_matches('/').clone_into(&mut path);
            }
            None => return Ok(all),
        }
    }
}

/// Hourly observations of one datastream after the other.
fn list(datastreams: &[Value], each: u64, at: u64) -> Option<String> {
    let first = at * ROWS;
    let total = each * datastreams.len() as u64;
    if first >= total {
        return None;
    }
    let last = total.min(first + ROWS);
    let mut body = String::from("[");
    let mut row = first;
    while row < last {
        let datastream = row / each;
        let end = last.min((datastream + 1) * each);
        if body.len() > 1 {
            body.push(',');
        }
        let id = &datastreams[usize::try_from(datastream).ok()?];
        let _ = write!(
            body,
            r#"{{"Datastream":{{"@iot.id":{id}}},"components":["phenomenonTime","result"],"dataArray":["#
        );
        for n in row..end {
            let hour = i64::try_from(n % each).ok()?;
            let result = ((n * 7919) % 1000) as f64 / 10.0;
            let comma = if n == row { "" } else { "," };
            let at = time(BEGIN + hour * 3600);
            let _ = write!(body, r#"{comma}["{at}",{result}]"#);
        }
        body += "]}";
        row = end;
    }
    body.push(']');
    Some(body)
}

/// ISO 8601 of seconds since 1970.
fn time(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map(|it| it.to_string())
        .unwrap_or_default()
}

/// Single observations by 16 connections for ten seconds.
async fn single_posts(
    service: &Service,
    datastreams: &[Value],
    rows: &mut Vec<(String, String)>,
) -> Result<(), Fault> {
    const CONNECTIONS: usize = 16;
    let until = Instant::now() + Duration::from_secs(10);
    let began = Instant::now();
    let mut tasks = Vec::new();
    for connection in 0..CONNECTIONS {
        let service = service.clone();
        let own: Vec<Value> = datastreams
            .iter()
            .skip(connection)
            .step_by(CONNECTIONS)
            .cloned()
            .collect();
        tasks.push(tokio::spawn(async move {
            let mut made = 0_usize;
            while Instant::now() < until {
                let id = &own[made % own.len()];
                let second = i64::try_from(made / own.len()).unwrap_or(0);
                let at = time(BEGIN + 3 * 365 * 86_400 + second);
                let body = format!(
                    r#"{{"phenomenonTime":"{at}","result":{}.5,"Datastream":{{"@iot.id":{id}}}}}"#,
                    made % 100
                );
                service.post("Observations", body).await?;
                made += 1;
            }
            Ok::<usize, Fault>(made)
        }));
    }
    let mut made = 0;
    for task in tasks {
        made += task.await??;
    }
    let per_second = made as f64 / began.elapsed().as_secs_f64();
    rows.push((
        format!("Observations by single POST, {CONNECTIONS} connections"),
        format!("{per_second:.0}/s"),
    ));
    Ok(())
}

async fn questions(
    service: &Service,
    observations: u64,
    rows: &mut Vec<(String, String)>,
) -> Result<(), Fault> {
    let (_, some) = service
        .get("Datastreams?$filter=name eq 'pm10'&$top=1&$skip=5")
        .await?;
    // A text stands in quotes in a path.
    let id = match &some["value"][0]["@iot.id"] {
        Value::String(text) => format!("'{text}'"),
        other => other.to_string(),
    };
    let span = format!(
        "phenomenonTime ge {} and phenomenonTime lt {}",
        time(BEGIN + 10 * 86_400),
        time(BEGIN + 20 * 86_400)
    );
    let deep = observations / 2;
    let asked = [
        ("first page of Observations", "Observations".to_owned()),
        ("first page of one Datastream", format!("Datastreams({id})/Observations")),
        (
            "newest first of one Datastream",
            format!("Datastreams({id})/Observations?$orderby=phenomenonTime desc"),
        ),
        ("page at the middle, $skip", format!("Observations?$skip={deep}")),
        (
            "page of one Datastream at its middle, $skip",
            format!("Datastreams({id})/Observations?$skip=500"),
        ),
        (
            "1,000 Things, their no2 with the newest Observation",
            "Things?$top=1000&$expand=Datastreams($filter=name eq 'no2';\
             $expand=Observations($top=1;$orderby=phenomenonTime desc))"
                .to_owned(),
        ),
        (
            "count of one Datastream in ten days",
            format!("Datastreams({id})/Observations?$filter={span}&$count=true&$top=0"),
        ),
        ("count of all Observations", "Observations?$count=true&$top=0".to_owned()),
        (
            "Things within a polygon, with Locations",
            "Things?$filter=geo.intersects(Locations/location,geography'POLYGON((4 51,5 51,5 51.4,4 51.4,4 51))')\
             &$expand=Locations"
                .to_owned(),
        ),
        (
            "newest Observation of all",
            "Observations?$orderby=phenomenonTime desc&$top=1".to_owned(),
        ),
        (
            "daily averages of one Datastream",
            format!("Datastreams({id})/Observations?resample=1d&$top=1000"),
        ),
        (
            "count of all with result above 99 (scans)",
            "Observations?$filter=result gt 99&$count=true&$top=0".to_owned(),
        ),
    ];
    for (what, path) in asked {
        let mut times = Vec::new();
        let mut length = 0;
        for round in 0..ROUNDS {
            let began = Instant::now();
            match service.get(&path.replace(' ', "%20")).await {
                Ok((bytes, _)) => length = bytes,
                Err(error) => {
                    rows.push((what.to_owned(), format!("failed: {error}")));
                    break;
                }
            }
            times.push(began.elapsed().as_secs_f64() * 1e3);
            // What takes long is not asked so often.
            if times[0] > 2_000.0 && round >= 2 {
                break;
            }
        }
        if times.len() < 3 {
            continue;
        }
        times.remove(0);
        times.sort_by(f64::total_cmp);
        let (median, most) = (times[times.len() / 2], times[times.len() - 1]);
        rows.push((
            what.to_owned(),
            format!("{median:.1} ms (most {most:.1}; {length} bytes)"),
        ));
    }
    Ok(())
}
