//! The write faces of InfluxDB, beside a real InfluxDB.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::http::StatusCode;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use reqwest::header::{HeaderMap, HeaderValue};
use smartem_collect::receive::PointSink;
use smartem_collect::receive::influxdb::{DatabaseCounts, InfluxdbSettings, PointCounts, part};
use smartem_http::auth::{Authority, Credentials, Guard, GuardSettings, Principal, Right};
use smartem_http::{HttpMetrics, Limits, Problem, Readiness, assemble, serve};
use smartem_points::{FieldValue, MemoryPoints, PointBatch, PointSource as _};
use smartem_simulate::influxd::{ADMIN, Influxd, InfluxdError};
use smartem_store::{Access, Points, PointsError, PointsSettings, Refusal, Store, WriteReport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// The time of the faces.
pub(crate) const NOW: i64 = 1_764_331_200_123_456_789;

/// Databases in memory. `air` belongs to a project; `full` cannot be written.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) points: Mutex<MemoryPoints>,
}

impl Memory {
    pub(crate) fn create(&self, name: &str) {
        self.points.lock().unwrap().create_database(name);
    }
}

#[async_trait]
impl PointSink for Memory {
    async fn write(&self, database: &str, batch: PointBatch) -> Result<WriteReport, PointsError> {
        let mut points = self.points.lock().unwrap();
        if database == "full" {
            let problem = "no space left on device".to_owned();
            return Err(PointsError::Unavailable { problem });
        }
        if !points.databases().iter().any(|name| name == database) {
            let name = database.to_owned();
            return Err(PointsError::NoDatabase { name });
        }
        let lines = points.write(database, &batch);
        let mut refused = Vec::new();
        for point in batch.points().filter(|it| lines.contains(&it.line)) {
            let measurement = batch.series()[point.series.index()].measurement.to_string();
            let types = points.fields(database, &measurement);
            let conflict = point.fields().find_map(|(field, value)| {
                let name = batch.fields()[field.index()].to_string();
                let (_, known) = types.iter().find(|(other, _)| *other == name)?;
                (*known != value.field_type()).then(|| (name, value.field_type(), *known))
            });
            let (field, sent, known) = conflict.unwrap();
            let line = point.line;
            refused.push(Refusal {
                line,
                measurement,
                field,
                sent,
                known,
            });
        }
        let written = (batch.len() - refused.len()) as u64;
        Ok(WriteReport { written, refused })
    }

    fn project_of(&self, database: &str) -> Option<String> {
        (database == "air").then(|| "nijmegen".to_owned())
    }
}

/// Who may write: the administrator everywhere, `w` in the project of another city, `n` in Nijmegen.
struct Names;

#[async_trait]
impl Authority for Names {
    async fn identify(&self, credentials: &Credentials) -> Result<Option<Principal>, Problem> {
        let project = match (credentials.name(), credentials.secret()) {
            pair if pair == (Some(ADMIN.0), ADMIN.1) => None,
            (None, "token of all") => None,
            (Some("w"), "w's own") => Some("arnhem".into()),
            (None, "token of nijmegen") => Some("nijmegen".into()),
            _ => return Ok(None),
        };
        let rights = vec![Right::Write];
        let name = credentials.name().unwrap_or("token").into();
        Ok(Some(Principal {
            name,
            rights,
            project,
        }))
    }
}

/// The faces on a port of their own.
pub(crate) struct Face {
    pub(crate) address: SocketAddr,
    pub(crate) memory: Arc<Memory>,
    counts: PointCounts,
}

impl Face {
    pub(crate) async fn start(settings: InfluxdbSettings) -> Self {
        let memory = Arc::new(Memory::default());
        Self::over(memory.clone(), memory, settings).await
    }

    /// Over other databases than those in memory.
    async fn over(
        databases: Arc<dyn PointSink>,
        memory: Arc<Memory>,
        settings: InfluxdbSettings,
    ) -> Self {
        let counts = PointCounts::default();
        let now = Timestamp::from_nanosecond(NOW.into()).unwrap();
        let guard = GuardSettings {
            failures_per_minute: 1_000,
            ..GuardSettings::default()
        };
        let part = part(
            databases,
            Guard::new(Arc::new(Names), guard),
            Arc::new(move || now),
            settings,
            counts.clone(),
        );
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
        Self {
            address,
            memory,
            counts,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The administrator's name and password as parameters.
pub(crate) const WHO: &str = "u=admin&p=admin%27s%20own";

/// A request to both servers.
#[derive(Clone, Debug, Default)]
struct Request {
    /// Path and query.
    place: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

/// What of an answer is compared.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    body: String,
    error: Option<String>,
}

fn write(place: &str, body: impl Into<Vec<u8>>) -> Request {
    Request {
        place: format!("/write?{place}"),
        headers: Vec::new(),
        body: body.into(),
    }
}

impl Request {
    /// With the administrator's name and password.
    fn known(mut self) -> Self {
        let joint = if self.place.ends_with('?') { "" } else { "&" };
        self.place = format!("{}{joint}{WHO}", self.place);
        self
    }

    fn with(mut self, header: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((header, value.into()));
        self
    }

    async fn send(&self, url: &str) -> Answer {
        let (answer, _) = self.send_for_headers(url).await;
        answer
    }

    async fn send_for_headers(&self, url: &str) -> (Answer, HeaderMap) {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        let sent = reqwest::Client::new()
            .post(format!("{url}{}", self.place))
            .headers(headers)
            .body(self.body.clone())
            .send();
        let answer = sent.await.unwrap();
        let status = answer.status().as_u16();
        let headers = answer.headers().clone();
        let error = headers.get("x-influxdb-error");
        let error = error.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned());
        let body = answer.text().await.unwrap();
        let answer = Answer {
            status,
            body,
            error,
        };
        (answer, headers)
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text).unwrap();
    gzip.finish().unwrap()
}

/// Requests whose answers must be the same, in this order: types of fields stay.
fn requests() -> Vec<Request> {
    let lines = [
        "m v=1",
        "",
        "# a comment",
        "m v=1\nbad <>& \"é\nm v=2",
        "bad\nm v=",
        "m v=1i",
        "m v=1i\nm v=3\nm v=\"s\"\nbad",
        "m v=1i,w=3",
        "m time=1",
        "m time=1,v=2",
        "m,time=1 v=1",
        "m,time=1 v=1\nm v=1i\nm time=2\nm v=4\nbad",
        "m time=2\nm v=1i",
        "m v=1i\nm time=2",
        "m time=2\nm,time=1 v=1",
        "m v=\"s\"\nm v=1i",
        "m v=1 9223372036854775807",
        "m v=1 99999999999999999999",
        "m v=1 -",
        "m v=1 1.5",
        "m v=1 1 2",
        "m v=1i5",
        "m v=9223372036854775808i",
        "m v=1e400",
        "m v=nan",
        "m v=yes",
        "m v=\"a",
        "m\\\nv=1",
        "m v=1\r\nm v=2\r\n",
        ",a=b v=1",
        "m,a v=1",
        "m,a=1,a=2 v=1",
        "m,=1 v=1",
        "m,a=b=c v=1",
        "m =1",
        "m v=1,",
        "m v=1\u{2028}",
    ];
    let lines = lines.map(|line| write("db=c", line).known());
    let mut cut = gzip(b"m v=1\n");
    cut.truncate(15);
    let mut two = gzip(b"m v=1\n");
    two.extend(gzip(b"m v=2\n"));
    let packed = |body: Vec<u8>| {
        let request = write("db=c", body).known();
        request.with("content-encoding", "gzip")
    };
    let basic = |text: &str| {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(text);
        write("db=c", "m v=1").with("authorization", format!("Basic {text}"))
    };
    let others = [
        write("", "m v=1").known(),
        write("db=", "m v=1").known(),
        write("db=nope", "m v=1").known(),
        write("db=nope", "bad").known(),
        write("db=nope", "").known(),
        write("db=no%22p%3Ce%0A", "m v=1").known(),
        write("db=c&db=d", "m v=1").known(),
        write("db=c&precision=n", "m v=1 1").known(),
        write("db=c&precision=u", "m v=1 1").known(),
        write("db=c&precision=ms", "m v=1 1").known(),
        write("db=c&precision=s", "m v=1 1").known(),
        write("db=c&precision=m", "m v=1 1").known(),
        write("db=c&precision=h", "m v=1 1").known(),
        write("db=c&precision=h", "m v=1 9999999").known(),
        write("db=c&rp=autogen", "m v=1").known(),
        write("db=c&rp=nope", "m v=1").known(),
        write("db=c&consistency=ALL", "m v=1").known(),
        write("db=c&consistency=bad", "m v=1").known(),
        packed(gzip(b"m v=1\n")),
        packed(two),
        packed(cut),
        packed(Vec::new()),
        packed(b"m v=1".to_vec()),
        packed(b"air,box=1 no2=1.5,o3=2".to_vec()),
        packed(gzip(b"bad")),
        // Who
        write("db=c", "m v=1"),
        write("db=nope", "m v=1"),
        write("", "m v=1"),
        write("db=c&u=admin&p=wrong", "m v=1"),
        write("db=c&u=nobody&p=x", "m v=1"),
        write("db=c&u=w&p=w%27s%20own", "m v=1"),
        basic(&format!("{}:{}", ADMIN.0, ADMIN.1)),
        basic("admin:wrong"),
        write("db=c", "m v=1").with("authorization", "Odd x"),
    ];
    let mut all = lines.to_vec();
    all.extend(others);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_those_of_influxdb() {
    let influxd = tokio::task::spawn_blocking(|| {
        let influxd = Influxd::start_with_authentication()?;
        influxd.execute("CREATE DATABASE c")?;
        influxd
            .execute("CREATE USER w WITH PASSWORD 'w''s own'")
            .or_else(|_| influxd.execute(r"CREATE USER w WITH PASSWORD 'w\'s own'"))?;
        Ok::<_, InfluxdError>(influxd)
    });
    let influxd = influxd.await.unwrap().unwrap_or_else(|error| {
        panic!("{error}; scripts/need.sh influxd installs it");
    });
    let face = Face::start(InfluxdbSettings::default()).await;
    face.memory.create("c");
    let mut differences = Vec::new();
    for request in requests() {
        let theirs = request.send(&influxd.url()).await;
        let ours = request.send(&face.url()).await;
        if ours != theirs {
            differences.push(format!("{request:?}\n  {theirs:?}\n  {ours:?}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[tokio::test]
async fn what_is_larger_than_the_limits_is_refused() {
    let settings = InfluxdbSettings {
        body_limit: 1_000,
        unpacked_limit: 2_000,
        memory: 0,
    };
    let face = Face::start(settings).await;
    face.memory.create("c");
    let too_large = |answer: &Answer| {
        assert_eq!(answer.status, 413);
        assert_eq!(answer.body, "{\"error\":\"Request Entity Too Large\"}\n");
    };
    let line = |length: usize| format!("m v=\"{}\"", "x".repeat(length - 6));
    let fits = write("db=c", line(1_000)).known();
    assert_eq!(fits.send(&face.url()).await.status, 204);
    too_large(&write("db=c", line(1_001)).known().send(&face.url()).await);
    let packed = |length| {
        let request = write("db=c", gzip(line(length).as_bytes())).known();
        request.with("content-encoding", "gzip")
    };
    assert_eq!(packed(2_000).send(&face.url()).await.status, 204);
    too_large(&packed(2_001).send(&face.url()).await);
    too_large(&packed(100_000).send(&face.url()).await);

    // In chunks, without saying how long it is.
    let mut stream = tokio::net::TcpStream::connect(face.address).await.unwrap();
    let head =
        format!("POST /write?db=c&{WHO} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("{:x}\r\n{}\r\n", 600, "x".repeat(600));
    stream.write_all(chunk.repeat(2).as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[tokio::test]
async fn a_body_that_is_cut_short_leaves_nothing() {
    let face = Face::start(InfluxdbSettings::default()).await;
    face.memory.create("c");
    for ends in [
        "content-length: 100\r\n\r\nm v=1\nm v=2",
        "transfer-encoding: chunked\r\n\r\n6\r\nm v=1\n\r\n",
    ] {
        let mut stream = tokio::net::TcpStream::connect(face.address).await.unwrap();
        let request = format!("POST /write?db=c&{WHO} HTTP/1.1\r\nhost: x\r\n{ends}");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            "{answer}"
        );
    }
    let points = face.memory.points.lock().unwrap();
    assert_eq!(points.measurements("c"), [""; 0]);
}

#[tokio::test]
async fn ping_says_which_version_it_is_like() {
    let face = Face::start(InfluxdbSettings::default()).await;
    let client = reqwest::Client::new();
    let url = format!("{}/ping", face.url());
    for request in [client.get(&url), client.head(&url), client.post(&url)] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(answer.headers()["x-influxdb-version"], "1.6.7");
        let build = answer.headers()["x-influxdb-build"].to_str().unwrap();
        assert!(build.starts_with("smartem-"), "{build}");
    }
    for (value, status) in [
        ("true", 200),
        ("1", 200),
        ("false", 204),
        ("0", 204),
        ("", 204),
    ] {
        let answer = client
            .get(format!("{url}?verbose={value}"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status().as_u16(), status, "{value}");
    }
    let answer = client
        .get(format!("{url}?verbose=true"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.text().await.unwrap(), "{\"version\":\"1.6.7\"}\n");
}

#[tokio::test]
async fn who_may_write_where() {
    let face = Face::start(InfluxdbSettings::default()).await;
    for database in ["air", "common"] {
        face.memory.create(database);
    }
    let sent = async |place: &str, authorization: &str| {
        let request = Request {
            place: place.to_owned(),
            body: b"m v=1".to_vec(),
            ..Request::default()
        };
        let request = request.with("authorization", authorization);
        request.send(&face.url()).await.status
    };
    let all = "Token token of all";
    let nijmegen = "Token token of nijmegen";
    for (database, token, status) in [
        ("air", all, 204),
        ("common", all, 204),
        ("gone", all, 404),
        ("air", nijmegen, 204),
        ("common", nijmegen, 403),
        ("gone", nijmegen, 403),
        ("air", "Token wrong", 401),
        ("air", "Odd", 401),
    ] {
        assert_eq!(sent(&format!("/write?db={database}"), token).await, status);
        let place = format!("/api/v2/write?org=x&bucket={database}");
        assert_eq!(sent(&place, token).await, status, "{database} {token}");
    }
    let missing = write("db=air", "m v=1");
    let (answer, headers) = missing.send_for_headers(&face.url()).await;
    assert_eq!(answer.status, 401);
    assert!(headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn the_face_of_influxdb_2_answers_in_its_words() {
    let face = Face::start(InfluxdbSettings::default()).await;
    face.memory.create("c");
    face.memory.create("full");
    let sent = async |query: &str, body: &str| {
        let request = Request {
            place: format!("/api/v2/write?{query}"),
            body: body.into(),
            ..Request::default()
        };
        let request = request.with("authorization", "Token token of all");
        let answer = request.send(&face.url()).await;
        format!("{} {}", answer.status, answer.body)
    };
    for (query, body, expected) in [
        ("bucket=c&org=o", "m v=1,u=2u 1", "204 "),
        ("bucket=c/autogen", "m v=1 1\r\n", "204 "),
        ("bucket=c&precision=us", "m v=1 1", "204 "),
        (
            "bucket=c&precision=d",
            "m v=1",
            r#"400 {"code":"invalid","message":"invalid precision; valid precision units are ns, us, ms, and s"}"#,
        ),
        (
            "org=o",
            "m v=1",
            r#"400 {"code":"invalid","message":"bucket is required"}"#,
        ),
        (
            "bucket=gone",
            "m v=1",
            r#"404 {"code":"not found","message":"bucket \"gone\" not found"}"#,
        ),
        (
            "bucket=c",
            "m v=1\nbad\nm v=2",
            r#"400 {"code":"invalid","message":"partial write: unable to parse 'bad': missing fields dropped=0","line":2}"#,
        ),
        (
            "bucket=c",
            "bad",
            r#"400 {"code":"invalid","message":"unable to parse 'bad': missing fields","line":1}"#,
        ),
        (
            "bucket=c",
            "m v=1i",
            r#"422 {"code":"unprocessable entity","message":"failure writing points to database: partial write: field type conflict: input field \"v\" on measurement \"m\" is type integer, already exists as type float dropped=1"}"#,
        ),
        (
            "bucket=full",
            "m v=1",
            r#"503 {"code":"unavailable","message":"no space left on device; send the points again, with the same times"}"#,
        ),
    ] {
        assert_eq!(sent(query, body).await, expected, "{query} {body}");
    }
}

#[tokio::test]
async fn what_came_in_is_counted_by_database() {
    let face = Face::start(InfluxdbSettings::default()).await;
    face.memory.create("c");
    for body in [
        "m v=1 1\nm v=2 2\nbad",
        "m v=1i\nm time=1\nm v=3 3\nm v=",
        "",
    ] {
        write("db=c", body).known().send(&face.url()).await;
    }
    write("db=gone", "m v=1").known().send(&face.url()).await;
    let counts = DatabaseCounts {
        written: 3,
        faulty: 2,
        refused: 2,
    };
    assert_eq!(face.counts.all(), [("c".to_owned(), counts)]);
}

#[tokio::test]
async fn a_large_body_is_taken_in_whole() {
    let face = Face::start(InfluxdbSettings::default()).await;
    face.memory.create("c");
    let lines: Vec<String> = (0..5_000)
        .map(|number| format!("m,box={} v={number} {number}", number % 10))
        .collect();
    let body = lines.join("\n");
    for request in [
        write("db=c", body.clone()).known(),
        write("db=c", gzip(body.as_bytes()))
            .known()
            .with("content-encoding", "gzip"),
    ] {
        assert_eq!(request.send(&face.url()).await.status, 204);
    }
    assert_eq!(
        face.memory.points.lock().unwrap().series("c", "m").len(),
        10
    );
    assert_eq!(face.counts.all()[0].1.written, 10_000);
    let unavailable = write("db=full", "m v=1").known();
    let (answer, headers) = unavailable.send_for_headers(&face.url()).await;
    assert_eq!(answer.status, 503);
    assert!(headers.contains_key("retry-after"));
}

#[tokio::test(flavor = "multi_thread")]
async fn points_are_kept_in_the_store() {
    let dir = tempfile::TempDir::new().unwrap();
    let now = Timestamp::from_nanosecond(NOW.into()).unwrap();
    let access = Access::Create { now };
    let store = Store::open(dir.path(), access).await.unwrap();
    let settings = PointsSettings::new(Vec::new(), Arc::new(move || now));
    let points = Points::open(&store, settings).await.unwrap();
    points.create_database("c").await.unwrap();
    let face = Face::over(
        Arc::new(points.clone()),
        Arc::default(),
        InfluxdbSettings::default(),
    );
    let face = face.await;
    let lines = "m,box=1 v=1.5,n=2i 1\nbad\nm,box=1 v=2.5 2\nm,box=2 s=\"x\"";
    for (database, body, status) in [
        ("c", lines, 400),
        ("c", "m v=1i", 400),
        ("c", "", 204),
        ("gone", "m v=1", 404),
        ("gone", "", 404),
    ] {
        let request = write(&format!("db={database}"), body).known();
        let answer = request.send(&face.url()).await;
        assert_eq!(answer.status, status, "{body:?} {answer:?}");
    }
    let read = move || {
        let series = points.series("c", "m");
        let newest = |number: usize, field| points.newest(series[number].id, field).unwrap();
        (series.len(), newest(0, "v"), newest(0, "n"), newest(1, "s"))
    };
    let read = tokio::task::spawn_blocking(read).await.unwrap();
    let text = FieldValue::String("x".into());
    let expected = (
        2,
        Some((2, FieldValue::Float(2.5))),
        Some((1, FieldValue::Integer(2))),
        Some((NOW, text)),
    );
    assert_eq!(read, expected);
}
