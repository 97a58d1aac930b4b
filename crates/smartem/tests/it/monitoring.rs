//! The files of the monitoring agree with each other and with `/metrics`: alerts, their tests and pages,
//! dashboards, names of metrics.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use regex::Regex;
use serde_json::Value;

/// The dashboards with their uids: links from outside hold on to them.
const DASHBOARDS: [(&str, &str); 4] = [
    ("collectors.json", "smartem-collectors"),
    ("etl.json", "smartem-etl"),
    ("platform.json", "smartem-platform"),
    ("stations.json", "smartem-stations"),
];

/// What others export: Prometheus itself, kube-state-metrics, cAdvisor and cert-manager.
const OF_OTHERS: [&str; 12] = [
    "ALERTS",
    "certmanager_certificate_expiration_timestamp_seconds",
    "certmanager_certificate_not_before_timestamp_seconds",
    "container_memory_working_set_bytes",
    "kube_cronjob_created",
    "kube_cronjob_spec_suspend",
    "kube_cronjob_status_last_successful_time",
    "kube_job_failed",
    "kube_job_owner",
    "kube_job_status_start_time",
    "kube_pod_container_resource_limits",
    "up",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a folder whose names end so, sorted.
fn names(folder: &str, end: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(end)).collect();
    names.sort();
    assert!(!names.is_empty(), "{folder} has no file *{end}");
    names
}

fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Every rule of every file.
fn rules() -> Vec<Value> {
    let mut rules = Vec::new();
    for name in names("deploy/prometheus", ".rules.yml") {
        let file = yaml(&format!("deploy/prometheus/{name}"));
        for group in list(&file, "groups") {
            rules.extend_from_slice(list(group, "rules"));
        }
    }
    rules
}

fn alerts() -> BTreeSet<String> {
    let rules = rules();
    let alerts = rules.iter().filter_map(|rule| rule["alert"].as_str());
    alerts.map(str::to_owned).collect()
}

fn dashboards() -> Vec<(String, Value)> {
    let files = names("deploy/grafana/dashboards", ".json").into_iter();
    let dashboard = |name: String| {
        let json = read(&format!("deploy/grafana/dashboards/{name}"));
        let json = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, json)
    };
    files.map(dashboard).collect()
}

/// The panels of a dashboard, and those in its rows.
fn panels(of: &Value) -> Vec<&Value> {
    let of = list(of, "panels").iter();
    of.flat_map(|panel| std::iter::once(panel).chain(panels(panel)))
        .collect()
}

/// The metrics that an expression reads: names that are no function, keyword, label or duration.
fn metrics_of(expression: &str) -> BTreeSet<String> {
    let without = [
        r#""[^"]*""#,
        r"\{[^}]*\}",
        r"\[[^\]]*\]",
        r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)",
        r"\b(offset)\s+\w+",
        r"\b(and|or|unless|bool|by|on)\b",
        r"\b[0-9][\w.]*",
        r"\b[a-z_0-9]+\(",
        // `sum by (job) (`: what is left of the function.
        r"\b(sum|min|max|count)\b",
    ];
    let mut rest = expression.to_owned();
    for pattern in without {
        rest = Regex::new(pattern)
            .unwrap()
            .replace_all(&rest, " ")
            .into_owned();
    }
    let name = Regex::new(r"[A-Za-z_:][A-Za-z0-9_:]*").unwrap();
    name.find_iter(&rest)
        .map(|found| found.as_str().to_owned())
        .collect()
}

/// Every expression with the place where it is.
fn expressions() -> Vec<(String, String)> {
    let mut all = Vec::new();
    for rule in rules() {
        let place = format!("rule {}{}", text(&rule, "alert"), text(&rule, "record"));
        all.push((place, text(&rule, "expr").to_owned()));
    }
    let variable = Regex::new(r"^label_values\((.*), \w+\)$").unwrap();
    for (name, dashboard) in dashboards() {
        for panel in panels(&dashboard) {
            let place = format!("{name}, panel {}", text(panel, "title"));
            for target in list(panel, "targets") {
                if let Some(expression) = target["expr"].as_str() {
                    all.push((place.clone(), expression.to_owned()));
                }
            }
        }
        for one in list(&dashboard["templating"], "list") {
            if let Some(query) = one["query"]["query"].as_str() {
                let place = format!("{name}, variable {}", text(one, "name"));
                let read = variable.captures(query);
                let read = read.unwrap_or_else(|| panic!("{place}: `{query}` is no label_values"));
                all.push((place, read[1].to_owned()));
            }
        }
    }
    all
}

/// The metrics of `docs/reference/metrics.md`.
fn documented() -> BTreeSet<String> {
    let row = Regex::new(r"^\| `([a-z_0-9]+)` \| *([a-z]*) *\|").unwrap();
    let mut found = BTreeSet::new();
    let mut section = "";
    let page = read("docs/reference/metrics.md");
    for line in page.lines() {
        section = line.strip_prefix("## ").unwrap_or(section);
        let Some(row) = row.captures(line) else {
            continue;
        };
        let name = &row[1];
        if section == "What processes count" {
            found.insert(format!("smartem_etl_{name}_total"));
        } else if &row[2] == "histogram" {
            found.extend(["bucket", "count", "sum"].map(|part| format!("{name}_{part}")));
        } else {
            found.insert(name.to_owned());
        }
    }
    assert!(found.len() > 80, "the page was not understood: {found:?}");
    found
}

#[test]
fn every_alert_has_a_page_and_every_page_an_alert() {
    let pages = names("docs/runbooks", ".md").into_iter();
    let pages = pages.filter_map(|name| name.strip_suffix(".md").map(str::to_owned));
    let pages: BTreeSet<String> = pages.filter(|name| name != "README").collect();
    assert_eq!(pages, alerts());
    let listed = read("docs/runbooks/README.md");
    for alert in &pages {
        assert!(
            listed.contains(&format!("[{alert}]({alert}.md)")),
            "{alert}"
        );
        let page = read(&format!("docs/runbooks/{alert}.md"));
        assert!(page.starts_with(&format!("# {alert}\n")), "{alert}");
        for part in ["What users notice", "Look", "Causes", "When to do nothing"] {
            assert!(page.contains(&format!("\n## {part}\n")), "{alert}: {part}");
        }
    }
}

#[test]
fn every_alert_fires_in_a_case_and_is_silent_in_another() {
    let mut fires = BTreeSet::new();
    let mut silent = BTreeSet::new();
    for name in names("deploy/prometheus/tests", ".test.yml") {
        let file = yaml(&format!("deploy/prometheus/tests/{name}"));
        for case in list(&file, "tests") {
            for check in list(case, "alert_rule_test") {
                let expected = if list(check, "exp_alerts").is_empty() {
                    &mut silent
                } else {
                    &mut fires
                };
                expected.insert(text(check, "alertname").to_owned());
            }
        }
    }
    assert_eq!(fires, alerts());
    assert_eq!(silent, alerts());
}

#[test]
fn alerts_say_what_is_the_matter_and_where_to_read_on() {
    for rule in rules() {
        let Some(alert) = rule["alert"].as_str() else {
            continue;
        };
        let annotations = &rule["annotations"];
        assert!(!text(annotations, "summary").is_empty(), "{alert}");
        let description = text(annotations, "description");
        assert!(description.contains("{{ $"), "{alert}: {description}");
        let page = format!("docs/runbooks/{alert}.md");
        assert_eq!(text(annotations, "runbook"), page, "{alert}");
        let severity = text(&rule["labels"], "severity");
        assert!(["critical", "warning"].contains(&severity), "{alert}");
    }
}

#[test]
fn rules_and_dashboards_read_metrics_that_exist() {
    let rules = rules();
    let recorded = rules.iter().filter_map(|rule| rule["record"].as_str());
    let mut known: BTreeMap<String, bool> = documented()
        .into_iter()
        .chain(recorded.map(str::to_owned))
        .chain(OF_OTHERS.map(str::to_owned))
        .map(|name| (name, false))
        .collect();
    for (place, expression) in expressions() {
        let read = metrics_of(&expression);
        let constant = expression.contains("vector(");
        assert!(!read.is_empty() || constant, "{place}: `{expression}`");
        for metric in read {
            let used = known.get_mut(&metric);
            *used.unwrap_or_else(|| panic!("{place}: there is no metric `{metric}`")) = true;
        }
    }
    for metric in OF_OTHERS {
        assert!(known[metric], "nothing reads `{metric}`");
    }
}

#[test]
fn metrics_are_found_in_expressions() {
    let expression = r#"sum by (job) (rate(a_total{x=~"b|c{}", y="d"}[5m])) / on (job) group_left () max(e offset 1d)
        > 0.9 * 3600 and on () (time() - f:g < 1e3) unless h and on (x) (i)"#;
    let found: Vec<String> = metrics_of(expression).into_iter().collect();
    assert_eq!(found, ["a_total", "e", "f:g", "h", "i"]);
}

/// Each replica tells the same of the store: a sum would count it as often as there are replicas.
#[test]
fn what_is_in_the_store_is_not_summed_over_replicas() {
    let sum = Regex::new(
        r"\bsum\s*(by\s*\([^)]*\)\s*)?\(\s*(rate\(|increase\()?\s*smartem_(etl|stations|observations|raw|quarantine|backup|last)_?",
    )
    .unwrap();
    assert!(sum.is_match("sum by (process) (smartem_etl_lag_seconds)"));
    for (place, expression) in expressions() {
        assert!(!sum.is_match(&expression), "{place}: {expression}");
    }
}

#[test]
fn dashboards_can_be_linked_to_and_explain_themselves() {
    let alerts = alerts();
    let runbook = Regex::new(r"docs/runbooks/(\w+)\.md").unwrap();
    let mut found = Vec::new();
    for (name, dashboard) in dashboards() {
        let mut ids = BTreeSet::new();
        for panel in panels(&dashboard) {
            let title = text(panel, "title");
            assert!(ids.insert(panel["id"].to_string()), "{name}: id of {title}");
            if text(panel, "type") == "row" {
                continue;
            }
            let description = text(panel, "description");
            assert!(!description.is_empty(), "{name}: {title}");
            assert!(
                !text(&panel["fieldConfig"]["defaults"], "unit").is_empty(),
                "{name}: the unit of {title}"
            );
            for page in runbook.captures_iter(description) {
                assert!(alerts.contains(&page[1]), "{name}: {title}: {}", &page[1]);
            }
            let source = text(&panel["datasource"], "uid");
            assert!(
                ["${datasource}", "influxdb"].contains(&source),
                "{name}: {title}: {source}"
            );
        }
        found.push((name, text(&dashboard, "uid").to_owned()));
    }
    let expected = DASHBOARDS.map(|(name, uid)| (name.to_owned(), uid.to_owned()));
    assert_eq!(found, expected);
}

/// Only the address of Prometheus is another on Kubernetes.
#[test]
fn data_sources_are_the_same_everywhere() {
    let mut compose = yaml("deploy/grafana/provisioning/datasources/datasources.yaml");
    let kubernetes = yaml("deploy/grafana/kubernetes/datasources.yaml");
    assert_eq!(text(&compose["datasources"][0], "uid"), "prometheus");
    assert_eq!(text(&compose["datasources"][1], "uid"), "influxdb");
    assert_ne!(compose, kubernetes);
    compose["datasources"][0]["url"] = kubernetes["datasources"][0]["url"].clone();
    assert_eq!(compose, kubernetes);
}
