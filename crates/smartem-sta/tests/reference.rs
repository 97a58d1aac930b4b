//! Every example of the reference page is understood, as it stands there.

use smartem_sta::{EntityType, Query, ResourcePath, Version, body};

const PAGE: &str = include_str!("../../../docs/reference/sensorthings-query.md");

/// The code of the page: what stands after the fence, and the lines.
fn blocks() -> Vec<(&'static str, &'static str)> {
    let parts: Vec<&str> = PAGE.split("```").collect();
    let inside = parts.iter().skip(1).step_by(2);
    inside.filter_map(|block| block.split_once('\n')).collect()
}

#[test]
fn every_path_and_query_is_understood() {
    let mut read = 0;
    for (_, lines) in blocks().iter().filter(|(kind, _)| *kind == "text") {
        for line in lines.lines() {
            let url = line.split("  # ").next().unwrap_or(line);
            let (path, query) = url.split_once('?').unwrap_or((url, ""));
            let path = ResourcePath::parse(path, Version::V1_1)
                .unwrap_or_else(|error| panic!("{line}: {error}"));
            // Examples are not encoded; `+` is the only character of theirs that would be decoded.
            let query = query.replace('+', "%2B");
            Query::parse(&query, path.entity_type(), Version::V1_1, path.is_single())
                .unwrap_or_else(|error| panic!("{line}: {error}"));
            read += 1;
        }
    }
    assert!(read > 50, "{read} examples");
}

#[test]
fn every_body_is_understood() {
    let mut read = 0;
    for (kind, text) in blocks() {
        let Some(set) = kind.strip_prefix("json POST ") else {
            continue;
        };
        if let Some(of) = EntityType::of_set(set, Version::V1_1) {
            let value = body::json(text.as_bytes()).expect("JSON");
            body::draft(of, Version::V1_1, &value, body::NO_BATCH)
                .unwrap_or_else(|error| panic!("{text}: {error}"));
        } else {
            let rows =
                body::data_array(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert!(rows.iter().all(Result::is_ok), "{rows:?}");
        }
        read += 1;
    }
    assert_eq!(read, 3);
}

#[test]
fn every_function_is_on_the_page() {
    for function in smartem_sta::Function::ALL {
        let name = format!("`{}`", function.name());
        assert!(PAGE.contains(&name), "{name}");
    }
}
