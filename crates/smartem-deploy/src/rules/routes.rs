//! What is reached from outside.

use std::collections::BTreeSet;

use super::Report;
use crate::objects::{Object, Render, is_true, list, number, text};
use crate::tables::{PathKind, Tables};

type Exposed = BTreeSet<(String, PathKind, String)>;

/// The paths that `HTTPRoutes` and Ingresses have, with the Service that answers.
fn exposed(render: &Render) -> Exposed {
    let mut found = Exposed::new();
    for route in render.of_kind("HTTPRoute") {
        for rule in list(&route.0, "/spec/rules") {
            for backend in list(rule, "/backendRefs") {
                for path in list(rule, "/matches") {
                    let kind = match text(path, "/path/type") {
                        "Exact" => PathKind::Exact,
                        _ => PathKind::Prefix,
                    };
                    found.insert((
                        text(path, "/path/value").to_owned(),
                        kind,
                        text(backend, "/name").to_owned(),
                    ));
                }
                if list(rule, "/matches").is_empty() {
                    found.insert((
                        "/".to_owned(),
                        PathKind::Prefix,
                        text(backend, "/name").to_owned(),
                    ));
                }
            }
        }
    }
    for ingress in render.of_kind("Ingress") {
        for path in list(&ingress.0, "/spec/rules")
            .iter()
            .flat_map(|rule| list(rule, "/http/paths"))
        {
            let kind = match text(path, "/pathType") {
                "Exact" => PathKind::Exact,
                _ => PathKind::Prefix,
            };
            let service = text(path, "/backend/service/name");
            found.insert((text(path, "/path").to_owned(), kind, service.to_owned()));
        }
        if ingress.0.pointer("/spec/defaultBackend").is_some() {
            found.insert((
                "defaultBackend".to_owned(),
                PathKind::Prefix,
                ingress.name().to_owned(),
            ));
        }
    }
    found
}

/// Exactly the routes of the table are open, and nothing is opened past them.
pub(super) fn exposed_routes_equal_table(render: &Render, tables: &Tables, report: &mut Report) {
    // One program answers everything.
    let alone = render.of_kind("Deployment").next().is_none();
    let wanted: Exposed = if alone {
        [("/".to_owned(), PathKind::Prefix, "smartem".to_owned())].into()
    } else {
        tables
            .routes
            .iter()
            .filter(|route| !route.old)
            .map(|route| (route.path.clone(), route.kind, route.service.clone()))
            .collect()
    };
    let found = exposed(render);
    for (path, kind, service) in found.difference(&wanted) {
        report.place(
            path,
            format!("{kind:?} to `{service}` is open"),
            "add the row to deploy/routes.toml, or close it",
        );
    }
    for (path, kind, service) in wanted.difference(&found) {
        report.place(
            path,
            format!("{kind:?} to `{service}` is in deploy/routes.toml only"),
            "add the route to gateway or ingress",
        );
    }
    for service in render.of_kind("Service") {
        let kind = text(&service.0, "/spec/type");
        if matches!(kind, "LoadBalancer" | "NodePort")
            || !list(&service.0, "/spec/externalIPs").is_empty()
        {
            report.object(
                service,
                format!("it is open to the outside as {kind}"),
                "use ClusterIP, and a route",
            );
        }
    }
    for object in render.of_kind("Ingress").chain(render.of_kind("HTTPRoute")) {
        let annotated = object
            .0
            .pointer("/metadata/annotations")
            .and_then(|value| value.as_object());
        for name in annotated.into_iter().flatten().map(|(name, _)| name) {
            let of_certificates = name.starts_with("cert-manager.io/");
            if !of_certificates {
                report.object(
                    object,
                    format!("`{name}` is understood by one controller only"),
                    "let the server do it",
                );
            }
        }
    }
    plain_http(render, report);
}

/// Port 80 does nothing but send to port 443.
fn plain_http(render: &Render, report: &mut Report) {
    for gateway in render.of_kind("Gateway") {
        for listener in list(&gateway.0, "/spec/listeners") {
            let plain = text(listener, "/protocol") == "HTTP";
            let others = text(listener, "/allowedRoutes/namespaces/from") != "Same";
            if plain && others {
                report.object(
                    gateway,
                    "routes of others can use the listener without TLS",
                    "allow those of the namespace only",
                );
            }
        }
    }
    for route in render.of_kind("HTTPRoute") {
        let plain = list(&route.0, "/spec/parentRefs")
            .iter()
            .any(|parent| matches!(text(parent, "/sectionName"), "http" | ""));
        let answers = list(&route.0, "/spec/rules")
            .iter()
            .any(|rule| !list(rule, "/backendRefs").is_empty());
        if plain && answers {
            report.object(
                route,
                "it answers without TLS",
                "name the listener `https` in sectionName",
            );
        }
    }
}

/// Where there is a broker, stations reach it with TLS, and it asks for passwords.
pub(super) fn mqtt_route(render: &Render, _: &Tables, report: &mut Report) {
    let brokers: Vec<&Object> = render
        .of_kind("StatefulSet")
        .filter(|set| set.name() == "mosquitto")
        .collect();
    for broker in brokers {
        let to_broker = |route: &Object| {
            list(&route.0, "/spec/rules")
                .iter()
                .flat_map(|rule| list(rule, "/backendRefs"))
                .any(|backend| {
                    text(backend, "/name") == "mosquitto" && number(backend, "/port") == Some(1883)
                })
        };
        let has_gateway = render.of_kind("Gateway").next().is_some();
        if has_gateway && !render.of_kind("TLSRoute").any(to_broker) {
            report.object(
                broker,
                "no TLSRoute leads to it",
                "add one to the listener `mqtts`",
            );
        }
        let websocket = exposed(render)
            .iter()
            .any(|(_, _, service)| service == "mosquitto");
        if !websocket {
            report.object(
                broker,
                "no path leads to it",
                "add MQTT over WebSocket to the routes",
            );
        }
        let config = render
            .of_kind("ConfigMap")
            .find(|config| config.name().starts_with("mosquitto"))
            .map_or("", |config| text(&config.0, "/data/mosquitto.conf"));
        for wanted in ["allow_anonymous false", "password_file ", "acl_file "] {
            if !config.lines().any(|line| line.starts_with(wanted)) {
                report.object(
                    broker,
                    format!("its configuration has no `{}`", wanted.trim()),
                    "ask for passwords, and say who may do what",
                );
            }
        }
    }
}

/// A `TCPRoute` is for a listener with protocol TCP, a `TLSRoute` for one with TLS: others are refused by controllers,
/// although the schema takes them.
pub(super) fn tcp_route_not_on_tls(render: &Render, _: &Tables, report: &mut Report) {
    let listener = |namespace: &str, gateway: &str, name: &str| {
        render
            .find("Gateway", namespace, gateway)
            .and_then(|gateway| {
                list(&gateway.0, "/spec/listeners")
                    .iter()
                    .find(|listener| text(listener, "/name") == name)
            })
    };
    for (kind, protocols) in [
        ("TCPRoute", &["TCP"][..]),
        ("TLSRoute", &["TLS"]),
        ("HTTPRoute", &["HTTP", "HTTPS"]),
    ] {
        for route in render.of_kind(kind) {
            for parent in list(&route.0, "/spec/parentRefs") {
                let namespace = parent
                    .get("namespace")
                    .and_then(|name| name.as_str())
                    .unwrap_or(route.namespace());
                let (gateway, section) = (text(parent, "/name"), text(parent, "/sectionName"));
                match listener(namespace, gateway, section) {
                    None => report.object(
                        route,
                        format!("no listener `{section}` in Gateway `{namespace}/{gateway}`"),
                        "name one that is",
                    ),
                    Some(found) if !protocols.contains(&text(found, "/protocol")) => report.object(
                        route,
                        format!("a {kind} on a listener for {}", text(found, "/protocol")),
                        format!("use one for {}", protocols.join(" or ")),
                    ),
                    Some(found) => {
                        let kinds = list(found, "/allowedRoutes/kinds");
                        if !kinds.is_empty()
                            && !kinds.iter().any(|allowed| text(allowed, "/kind") == kind)
                        {
                            report.object(
                                route,
                                format!("the listener `{section}` takes no {kind}"),
                                "allow it there",
                            );
                        }
                    }
                }
            }
        }
    }
    for gateway in render.of_kind("Gateway") {
        for listener in list(&gateway.0, "/spec/listeners") {
            let encrypted = matches!(text(listener, "/protocol"), "TLS" | "HTTPS");
            if encrypted
                && list(listener, "/tls/certificateRefs").is_empty()
                && !is_true(listener, "/tls/passthrough")
            {
                report.object(
                    gateway,
                    "a listener with TLS has no certificate",
                    "name one in certificateRefs",
                );
            }
        }
    }
}
