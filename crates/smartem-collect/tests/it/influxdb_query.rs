//! The face `/query`, beside a real InfluxDB.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use smartem_collect::receive::influxdb::{Queried, QuerySettings, query_part};
use smartem_http::auth::{Authority, Credentials, Guard, GuardSettings, Principal, Right};
use smartem_http::{HttpMetrics, Limits, Problem, Readiness, assemble, serve};
use smartem_points::line_protocol::{Dialect, read};
use smartem_points::{MemoryPoints, PointBatch, PointSource, Precision};
use smartem_simulate::influxd::Influxd;
use smartem_store::PointsError;
use tokio::net::TcpListener;

const LINES: &str = "air,box=1 no2=1.5,pm=3i 1585425600000000000\n\
                     air,box=1 no2=2.25,note=\"a \\\"b\\\",<c>\" 1585425660000000001\n\
                     air,box=2 no2=-3e-9 1585425600000000000\n\
                     noise laeq=1e21,ok=true 1585425600000000000\n";

struct Memory {
    points: MemoryPoints,
    made: Mutex<Vec<String>>,
}

#[async_trait]
impl Queried for Memory {
    fn points(&self) -> &dyn PointSource {
        &self.points
    }

    async fn create_database(&self, name: &str) -> Result<(), PointsError> {
        self.made.lock().unwrap().push(name.to_owned());
        Ok(())
    }
}

/// The token `all` may everything, `few` only write.
struct Names;

#[async_trait]
impl Authority for Names {
    async fn identify(&self, credentials: &Credentials) -> Result<Option<Principal>, Problem> {
        let right = match credentials.secret() {
            "all" => Right::Admin,
            "few" => Right::Write,
            _ => return Ok(None),
        };
        Ok(Some(Principal {
            name: "name".into(),
            rights: vec![right],
            project: None,
        }))
    }
}

async fn start(settings: QuerySettings) -> (SocketAddr, Arc<Memory>) {
    let mut batch = PointBatch::new();
    let errors = read(
        LINES.as_bytes(),
        Precision::Nanoseconds,
        0,
        Dialect::V1,
        &mut batch,
    );
    assert!(errors.is_empty());
    let mut points = MemoryPoints::new();
    points.create_database("db");
    points.write("db", &batch);
    let memory = Arc::new(Memory {
        points,
        made: Mutex::default(),
    });
    let guard = Guard::new(Arc::new(Names), GuardSettings::default());
    let now = Timestamp::from_second(1_600_000_000).unwrap();
    let part = query_part(memory.clone(), guard, Arc::new(move || now), settings);
    let router = assemble(vec![part], Limits::default(), HttpMetrics::default());
    let listener = TcpListener::bind((IpAddr::from([127, 0, 0, 1]), 0))
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(
        listener,
        router,
        Readiness::default(),
        std::future::pending(),
    ));
    (address, memory)
}

/// Status, kind, error and body of an answer.
type Answer = (u16, String, Option<String>, String);

async fn send(url: &str, method: &str, place: &str, form: &str, accept: &str) -> Answer {
    let client = reqwest::Client::new();
    let url = format!("{url}/query{place}");
    let request = match method {
        "GET" => client.get(url),
        _ => client
            .post(url)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.to_owned()),
    };
    let answer = request.header("accept", accept).send().await.unwrap();
    let header = |name: &str| {
        let value = answer.headers().get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    let (kind, error) = (header("content-type").unwrap(), header("x-influxdb-error"));
    assert!(header("x-influxdb-version").is_some(), "{place}");
    (
        answer.status().as_u16(),
        kind,
        error,
        answer.text().await.unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one list of requests")]
async fn answers_are_those_of_influxdb_to_the_byte() {
    let influxd = tokio::task::spawn_blocking(|| {
        let influxd = Influxd::start()?;
        influxd.execute("CREATE DATABASE db")?;
        influxd.write("db", LINES)?;
        Ok::<_, smartem_simulate::influxd::InfluxdError>(influxd)
    });
    let influxd = influxd.await.unwrap().unwrap();
    let (address, _) = start(QuerySettings::default()).await;
    let ours = format!("http://{address}");
    let json = "application/json";
    let both = "?db=db&q=SELECT%20*%20FROM%20air%3BSELECT%20*%20FROM%20noise";
    let mut different = Vec::new();
    for (method, place, form, accept) in [
        ("GET", "", "", json),
        ("GET", "?q=", "", json),
        ("POST", "", "db=db", json),
        ("GET", "?q=SHOW%20DATABASES", "", json),
        ("POST", "", "q=SHOW+DATABASES", json),
        ("GET", "?q=SELEKT", "", json),
        ("POST", "?db=db", "q=SELECT%20FROM%20air", json),
        ("GET", "?q=SELECT%20*%20FROM%20air", "", json),
        ("GET", "?db=nope&q=SELECT%20*%20FROM%20air", "", json),
        ("GET", "?db=db&q=SELECT%20*%20FROM%20nothing", "", json),
        ("GET", both, "", json),
        ("GET", &format!("{both}&epoch=ns"), "", json),
        ("GET", &format!("{both}&epoch=u"), "", json),
        ("GET", &format!("{both}&epoch=ms"), "", json),
        ("GET", &format!("{both}&epoch=s"), "", json),
        ("GET", &format!("{both}&epoch=m"), "", json),
        ("GET", &format!("{both}&epoch=h"), "", json),
        ("GET", &format!("{both}&epoch=odd"), "", json),
        ("GET", &format!("{both}&pretty=true"), "", json),
        ("GET", &format!("{both}&pretty=yes"), "", json),
        ("GET", &format!("{both}&chunked=true"), "", json),
        (
            "GET",
            &format!("{both}&chunked=true&chunk_size=1"),
            "",
            json,
        ),
        (
            "GET",
            &format!("{both}&chunked=true&chunk_size=2"),
            "",
            json,
        ),
        (
            "GET",
            "?db=db&chunked=true&chunk_size=1&q=SELECT%20no2%20FROM%20air%20GROUP%20BY%20box",
            "",
            json,
        ),
        (
            "GET",
            "?db=db&chunked=true&q=SELECT%20x%20FROM%20air%3BSHOW%20MEASUREMENTS",
            "",
            json,
        ),
        (
            "GET",
            "?db=db&q=SELECT%20no2%20FROM%20air%20GROUP%20BY%20box&pretty=true",
            "",
            json,
        ),
        ("GET", "?db=db&q=SELECT%20nope(no2)%20FROM%20air", "", json),
        (
            "GET",
            "?db=db&q=SELECT%20no2%20FROM%20air%20WHERE%20box=$b&params=%7B%22b%22:%222%22%7D",
            "",
            json,
        ),
        (
            "GET",
            "?db=db&q=SELECT%20no2%20FROM%20air%20WHERE%20no2%3E$v&params=%7B%22v%22:2%7D",
            "",
            json,
        ),
        (
            "GET",
            "?db=db&q=SELECT%20no2%20FROM%20air%20WHERE%20box=$x",
            "",
            json,
        ),
        ("POST", "?db=nope", "q=SELECT+no2+FROM+air&db=db", json),
        ("GET", &format!("{both}&epoch=s"), "", "application/csv"),
        (
            "GET",
            "?db=db&q=SELECT%20no2,pm%20FROM%20air%20GROUP%20BY%20box",
            "",
            "application/csv",
        ),
        ("GET", "?q=SHOW%20DATABASES", "", "text/csv"),
        ("GET", "?q=SELEKT,%20x&pretty=true", "", json),
    ] {
        let theirs = send(&influxd.url(), method, place, form, accept).await;
        let ours = send(&ours, method, place, form, accept).await;
        if ours != theirs {
            different.push(format!(
                "{method} {place} {form} {accept}
  ours   {ours:?}
  theirs {theirs:?}"
            ));
        }
    }
    assert!(
        different.is_empty(),
        "{}",
        different.join(
            "
"
        )
    );
}

#[tokio::test]
async fn a_database_is_made_by_whom_may() {
    let (address, memory) = start(QuerySettings::default()).await;
    let url = format!("http://{address}");
    let json = "application/json";
    let text = "q=CREATE+DATABASE+new";
    let done = "{\"results\":[{\"statement_id\":0}]}\n";
    let (_, _, _, body) = send(&url, "POST", "", text, json).await;
    assert!(body.contains("\"error\""), "{body}");
    let (_, _, _, body) = send(&url, "POST", "?u=a&p=few", text, json).await;
    assert!(body.contains("admin"), "{body}");
    let (_, _, _, body) = send(
        &url,
        "GET",
        "?u=a&p=all&q=CREATE%20DATABASE%20new",
        "",
        json,
    )
    .await;
    assert!(body.contains("POST"), "{body}");
    assert_eq!(*memory.made.lock().unwrap(), Vec::<String>::new());
    let (_, _, _, body) = send(&url, "POST", "?u=a&p=all", text, json).await;
    assert_eq!(
        (body.as_str(), memory.made.lock().unwrap().clone()),
        (done, vec!["new".to_owned()])
    );
    // What is there need not be made.
    let (_, _, _, body) = send(&url, "POST", "", "q=CREATE+DATABASE+db", json).await;
    assert_eq!(body, done);
    let (_, _, _, body) = send(
        &url,
        "POST",
        "?u=a&p=all",
        "q=DROP+DATABASE+db;SHOW+DATABASES",
        json,
    )
    .await;
    assert!(
        body.contains("nothing is deleted") && body.contains("not executed"),
        "{body}"
    );
    let (_, _, _, body) = send(
        &url,
        "POST",
        "",
        "q=CREATE+USER+x+WITH+PASSWORD+'secret'",
        json,
    )
    .await;
    assert!(
        body.contains("smartem token add") && !body.contains("secret'"),
        "{body}"
    );
}
