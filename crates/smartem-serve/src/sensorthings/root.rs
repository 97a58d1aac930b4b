//! The document that a client begins with.

use axum::http::StatusCode;
use serde_json::{Value, json};
use smartem_sta::write::Body;
use smartem_sta::{EntityType, Version};

use super::Sta;
use super::call::{Call, Reply};

/// Where requirements classes of version 1.1 begin.
const V1_1: &str = "http://www.opengis.net/spec/iot_sensing/1.1/req/";

/// Those of version 1.1 that hold here.
const CLASSES: [&str; 8] = [
    "datamodel",
    "resource-path/resource-path-to-entities",
    "request-data",
    "create-update-delete",
    "create-update-delete/historical-location-auto-creation",
    "batch-request/batch-request",
    "multi-datastream",
    "data-array/data-array",
];

/// Those of version 1.1 that hold where there is a broker.
const MQTT_CLASSES: [&str; 2] = [
    "create-observations-via-mqtt/observations-creation",
    "receive-updates-via-mqtt/receive-updates",
];

/// What is beyond the standard.
const EXTENSIONS: [&str; 15] = [
    "urn:smartem:sta:aggregation",
    "urn:smartem:sta:any",
    "urn:smartem:sta:csv",
    "urn:smartem:sta:filtered-delete",
    "urn:smartem:sta:geojson",
    "urn:smartem:sta:id-alias",
    "urn:smartem:sta:in",
    "urn:smartem:sta:json-batch",
    "urn:smartem:sta:json-members",
    "urn:smartem:sta:json-patch",
    "urn:smartem:sta:lenient-queries",
    "urn:smartem:sta:links",
    "urn:smartem:sta:resample",
    "urn:smartem:sta:select-distinct",
    "urn:smartem:sta:upsert",
];

/// The functions of `$filter` and `$orderby`.
const FUNCTIONS: &[&str] = &[
    "substringof",
    "contains",
    "startswith",
    "endswith",
    "length",
    "indexof",
    "substring",
    "tolower",
    "toupper",
    "trim",
    "concat",
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "second",
    "fractionalseconds",
    "date",
    "time",
    "totaloffsetminutes",
    "now",
    "mindatetime",
    "maxdatetime",
    "totalseconds",
    "round",
    "floor",
    "ceiling",
    "geo.distance",
    "geo.length",
    "geo.intersects",
    "st_equals",
    "st_disjoint",
    "st_touches",
    "st_within",
    "st_overlaps",
    "st_crosses",
    "st_intersects",
    "st_contains",
    "st_relate",
    "before",
    "after",
    "meets",
    "during",
    "overlaps",
    "starts",
    "finishes",
];

pub(super) fn answer(sta: &Sta, call: &Call) -> Reply {
    let (version, root) = (call.version, &call.root);
    let listed = EntityType::ALL.into_iter().filter(|it| {
        it.is_in(version) && !(sta.settings.core_only && *it == EntityType::MultiDatastream)
    });
    let sets: Vec<Value> = listed
        .map(|it| {
            let name = it.set_name(version);
            json!({"name": name, "url": format!("{root}/{name}")})
        })
        .collect();
    let mut body = json!({"value": sets});
    if version != Version::V1_0 {
        body["serverSettings"] = settings(sta, version, root);
    }
    let bytes = body.to_string().into_bytes();
    super::reply(StatusCode::OK, Body::JSON, bytes)
}

/// What the server can do, and how much at a time.
fn settings(sta: &Sta, version: Version, root: &str) -> Value {
    let mqtt: Vec<String> = sta
        .settings
        .mqtt
        .iter()
        .map(|it| endpoint(it, root))
        .collect();
    let limits = sta.limits(version);
    let mut conformance: Vec<String> = Vec::new();
    if version == Version::V1_1 {
        let mqtt_classes = MQTT_CLASSES.iter().filter(|_| !mqtt.is_empty());
        let classes = CLASSES.iter().chain(mqtt_classes);
        let is_shown = |class: &&&str| !(sta.settings.core_only && **class == "multi-datastream");
        let classes = classes.filter(is_shown);
        conformance.extend(classes.map(|class| format!("{V1_1}{class}")));
        conformance.extend(EXTENSIONS.map(str::to_owned));
    }
    let mut settings = json!({
        "conformance": conformance,
        "functions": FUNCTIONS,
        "limits": {
            "topDefault": limits.top_default,
            "topMax": limits.top_max,
            "expandedDefault": limits.expanded_default,
            "expandDepth": limits.expand_depth,
            "entitiesMax": limits.entities_max,
            "bodyBytesMax": super::BODY_MAX,
            "largeBodyBytesMax": super::LARGE_BODY_MAX,
        },
        "version": sta.version,
    });
    if version == Version::V1_1 && !mqtt.is_empty() {
        for class in MQTT_CLASSES {
            settings[format!("{V1_1}{class}")] = json!({"endpoints": mqtt});
        }
    }
    settings
}

/// An endpoint of MQTT with the names by which the root of the service is reached.
fn endpoint(named: &str, root: &str) -> String {
    let (scheme, rest) = root.split_once("://").unwrap_or(("http", root));
    let server = rest.split('/').next().unwrap_or_default();
    // An address of IPv6 has colons of its own, within brackets.
    let host = match server.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => host,
        _ => server,
    };
    let web = if scheme == "https" { "wss" } else { "ws" };
    named
        .replace("{host}", host)
        .replace("{ws}", &format!("{web}://{server}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_have_the_name_by_which_the_service_is_reached() {
        for (named, root, expected) in [
            (
                "mqtt://{host}:1883",
                "https://sta.example.org:8443/sta/v1.1",
                "mqtt://sta.example.org:1883",
            ),
            (
                "mqtt://{host}:1883",
                "http://[2001:db8::1]/sta/v1.1",
                "mqtt://[2001:db8::1]:1883",
            ),
            (
                "{ws}/mqtt",
                "https://sta.example.org:8443/sta/v1.1",
                "wss://sta.example.org:8443/mqtt",
            ),
            (
                "{ws}/mqtt",
                "http://[::1]:8080/sta/v1.1",
                "ws://[::1]:8080/mqtt",
            ),
            (
                "mqtt://mqtt.example.org",
                "http://sta.example.org/sta/v1.1",
                "mqtt://mqtt.example.org",
            ),
        ] {
            assert_eq!(endpoint(named, root), expected);
        }
    }
}
