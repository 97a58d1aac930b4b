//! The examples of the documentation work as they are written.

use super::support::Place;

const PAGES: [&str; 2] = [
    include_str!("../../../../../docs/reference/sensorthings.md"),
    include_str!("../../../../../docs/how-to/use-sensorthings.md"),
];

/// A call of curl: method, path with query, media type, body.
fn call(line: &str) -> (String, String, String, String) {
    let (mut method, mut uri) = ("GET".to_owned(), String::new());
    let (mut media_type, mut body) = (String::new(), String::new());
    let mut words = words(line).into_iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "curl" | "-s" => {}
            "-X" => method = words.next().unwrap(),
            "-d" => body = words.next().unwrap(),
            "-H" => {
                let header = words.next().unwrap();
                let (name, value) = header.split_once(": ").unwrap();
                assert_eq!(name, "Content-Type", "{line}");
                value.clone_into(&mut media_type);
            }
            ">" => {
                words.next();
            }
            url => {
                let path = url.strip_prefix("http://127.0.0.1:8080");
                path.expect(line).clone_into(&mut uri);
            }
        }
    }
    (method, uri, media_type, body)
}

/// The words of a line; single quotes keep blanks together.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            _ => words.last_mut().unwrap().push(letter),
        }
    }
    words
}

#[tokio::test]
async fn every_call_of_curl_is_answered() {
    let mut calls = 0;
    for page in PAGES {
        // The pages speak of the first thing and the first datastream.
        calls += try_page(&Place::filled().await, page).await;
    }
    assert!(calls >= 10, "{calls}");
}

/// How many calls a page has.
async fn try_page(place: &Place, page: &str) -> usize {
    let mut calls = 0;
    for line in page.lines() {
        let Some(line) = line.strip_prefix("$ ").filter(|it| it.starts_with("curl")) else {
            continue;
        };
        let (method, uri, media_type, body) = call(line);
        let headers = [("content-type", media_type.as_str())];
        let answer = place.send(&method, &uri, &headers, body).await;
        assert!(
            answer.status.is_success(),
            "{line}: {} {}",
            answer.status,
            answer.text()
        );
        assert!(
            method == "DELETE" || answer.body.len() > 10,
            "{line}: {}",
            answer.text()
        );
        calls += 1;
    }
    calls
}
