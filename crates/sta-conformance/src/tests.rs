//! A run against tiny servers that are wrong in one way.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::client::Client;
use crate::outcome::Stop;
use crate::report::{self, Counts};
use crate::run::{Choice, Ran, run};
use crate::server::Server;
use crate::{FAILED, NOTHING, status};

/// A request as the tiny servers see it: method and address, and the body.
struct Asked {
    line: String,
}

/// An answer: status, further headers and body.
type Answering = dyn Fn(&Asked) -> (u16, String, String) + Send + Sync;

/// Serves on a free port until the runtime ends, and gives the address.
async fn serve(answer: Arc<Answering>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, Arc::clone(&answer)));
        }
    });
    format!("http://{address}/v1.1")
}

/// Answers requests on a connection.
async fn talk(mut stream: TcpStream, answer: Arc<Answering>) {
    let mut bytes = Vec::new();
    loop {
        let head = loop {
            if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        };
        let text = String::from_utf8_lossy(&bytes[..head]).into_owned();
        let length: usize = text
            .lines()
            .find_map(|l| {
                l.to_lowercase()
                    .strip_prefix("content-length:")?
                    .trim()
                    .parse()
                    .ok()
            })
            .unwrap_or(0);
        while bytes.len() < head + length {
            if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                return;
            }
        }
        bytes.drain(..head + length);
        let line = text.lines().next().unwrap_or_default();
        let line = line.trim_end_matches(" HTTP/1.1").to_owned();
        let (status, headers, body) = answer(&Asked { line });
        let length = body.len();
        let text =
            format!("HTTP/1.1 {status} X\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Runs all cases against a server.
async fn ran(answer: Arc<Answering>, choice: &Choice) -> (Ran, Server, Client) {
    let url = serve(answer).await;
    let client = Client::new(&url, &[]).unwrap();
    let server = Server::ask(&client).await.unwrap();
    let ran = run(&client, &server, choice, "mark".to_owned()).await;
    (ran, server, client)
}

/// The names of the cases that passed.
fn passed(ran: &Ran) -> Vec<String> {
    let passed = ran.tried.iter().filter(|t| t.result.is_ok());
    passed.map(|t| t.case.full_name()).collect()
}

#[tokio::test]
async fn a_server_that_answers_everything_with_an_empty_object_fails_every_case() {
    let answer = |_: &Asked| (200, String::new(), "{}".to_owned());
    let (ran, ..) = ran(Arc::new(answer), &Choice::default()).await;
    let counts = Counts::of(ran.tried.iter());
    assert_eq!(passed(&ran), [""; 0]);
    assert_eq!(counts.skipped, 0, "nothing says that it cannot be tried");
    assert_eq!(status(&ran), FAILED);
}

#[tokio::test]
async fn a_server_that_refuses_everything_passes_nothing() {
    for refusal in [400, 404, 500, 501] {
        let answer = move |_: &Asked| (refusal, String::new(), String::new());
        let (ran, ..) = ran(Arc::new(answer), &Choice::default()).await;
        assert_eq!(passed(&ran), [""; 0], "all answered with {refusal}");
    }
}

#[tokio::test]
async fn a_server_whose_lists_are_always_empty_passes_only_what_an_empty_server_can() {
    let answer = |asked: &Asked| {
        if asked.line.starts_with("POST") {
            return (401, String::new(), String::new());
        }
        (
            200,
            String::new(),
            "{\"value\":[],\"@iot.count\":0}".to_owned(),
        )
    };
    let (ran, ..) = ran(Arc::new(answer), &Choice::default()).await;
    for name in passed(&ran) {
        let fair = ["resource-path/set/", "multi-datastream/set"];
        let fair = fair.iter().any(|f| name.starts_with(f))
            || ["resource-path/root-with-a-slash", "request-data/top-zero"]
                .contains(&name.as_str());
        assert!(fair, "{name} passes without data");
    }
}

#[tokio::test]
async fn where_nobody_may_write_the_cases_say_so() {
    let answer = |asked: &Asked| {
        let status = if asked.line.starts_with("GET") {
            200
        } else {
            403
        };
        (status, String::new(), "{\"value\":[]}".to_owned())
    };
    let choice = Choice {
        only: Some("create-update-delete/delete-thing".to_owned()),
        ..Choice::default()
    };
    let (ran, server, client) = ran(Arc::new(answer), &choice).await;
    let Err(Stop::Skip(why)) = &ran.tried[0].result else {
        panic!("the case was tried");
    };
    assert!(why.contains("does not let this client write"), "{why}");
    assert_eq!(status(&ran), NOTHING);
    let text = report::text(client.root(), &server, &ran, false);
    assert!(
        text.contains("1  the server does not let this client write"),
        "{text}"
    );
}

#[tokio::test]
async fn a_class_that_is_not_declared_is_said_to_be_so_and_can_be_tried_all_the_same() {
    let answer = |_: &Asked| {
        let root = "{\"value\":[],\"serverSettings\":{\"conformance\":[\
            \"http://www.opengis.net/spec/iot_sensing/1.1/req/datamodel\"]}}";
        (200, String::new(), root.to_owned())
    };
    let mut choice = Choice {
        only: Some("data-array/".to_owned()),
        ..Choice::default()
    };
    let (run, server, client) = ran(Arc::new(answer), &choice).await;
    assert_eq!(status(&run), NOTHING);
    let text = report::text(client.root(), &server, &run, false);
    assert!(
        text.contains("Data array extension\n  not declared, 14 cases skipped"),
        "{text}"
    );
    choice.undeclared = true;
    let (run, ..) = ran(Arc::new(answer), &choice).await;
    assert_eq!(status(&run), FAILED);
}

#[tokio::test]
async fn what_the_run_did_not_make_is_never_deleted() {
    let deleted = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&deleted);
    // Answers every list with a foreign entity, whatever the filter says, and makes no entity.
    let answer = move |asked: &Asked| {
        if asked.line.starts_with("DELETE") && !asked.line.contains("9223372036854775807") {
            seen.lock().unwrap().push(asked.line.clone());
        }
        let body = "{\"value\":[{\"@iot.id\":1,\"name\":\"foreign\"}],\"@iot.id\":1}";
        (200, String::new(), body.to_owned())
    };
    ran(Arc::new(answer), &Choice::default()).await;
    assert_eq!(*deleted.lock().unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_fault_is_told_with_its_exchange_in_every_format() {
    let answer = |_: &Asked| (200, String::new(), "{\"a\": \"<&>\"}".to_owned());
    let choice = Choice {
        only: Some("resource-path/set/Things".to_owned()),
        ..Choice::default()
    };
    let (ran, server, client) = ran(Arc::new(answer), &choice).await;
    let text = report::text(client.root(), &server, &ran, false);
    for part in [
        "FAIL  resource-path/set/Things",
        "[OGC 18-088 §9.2.3]",
        "found: the body has no array `value`",
        "/v1.1/Things",
        "answer: 200 {\"a\": \"<&>\"}",
        "In all: 0 passed, 1 failed, 0 skipped.",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&report::as_json(client.root(), &server, &ran)).unwrap();
    assert_eq!(json["failed"], 1);
    let case = &json["classes"][0]["cases"][0];
    assert_eq!(case["name"], "resource-path/set/Things");
    assert_eq!(case["detail"]["answer"], "200 {\"a\": \"<&>\"}");
    let junit = report::junit(&server, &ran);
    assert!(junit.contains(
        "<testsuites name=\"SensorThings 1.1\" tests=\"1\" failures=\"1\" skipped=\"0\">"
    ));
    assert!(
        junit.contains("answer: 200 {&quot;a&quot;: &quot;&lt;&amp;&gt;&quot;}"),
        "{junit}"
    );
}
