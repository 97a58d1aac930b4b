//! What objects point at with selectors, names and ports.

use super::Report;
use crate::objects::{Object, Render, list, map, number, selects, text};
use crate::tables::Tables;
use crate::workloads::{Workload, template_at, workloads};

/// Pods that a selector takes in the namespace of an object.
fn chosen<'a>(
    render: &'a Render,
    by: &'a Object,
    place: &'a str,
) -> impl Iterator<Item = Workload<'a>> {
    let selector = by.0.pointer(place);
    workloads(render).filter(move |workload| {
        workload.object.namespace() == by.namespace()
            && selector.is_some_and(|selector| selects(selector, &workload.labels()))
    })
}

/// Every selector takes pods, and that of a workload its own and nobody else's.
pub(super) fn selectors_match_templates(render: &Render, _: &Tables, report: &mut Report) {
    for object in &render.objects {
        match object.kind() {
            "Deployment" | "StatefulSet" | "DaemonSet" => {
                let found: Vec<_> = chosen(render, object, "/spec/selector")
                    .map(|workload| workload.object)
                    .collect();
                if found != [object] {
                    report.object(
                        object,
                        format!("its selector takes pods of {} workloads", found.len()),
                        "its own, and no others",
                    );
                }
            }
            "PodDisruptionBudget" if chosen(render, object, "/spec/selector").next().is_none() => {
                report.object(
                    object,
                    "its selector takes no pod",
                    "use the labels of the workload",
                );
            }
            "NetworkPolicy" if chosen(render, object, "/spec/podSelector").next().is_none() => {
                report.object(
                    object,
                    "it is about no pod",
                    "use the labels of the workload, or drop it",
                );
            }
            "Service" => {
                let selector = map(&object.0, "/spec/selector");
                let external = text(&object.0, "/spec/type") == "ExternalName";
                if !external && !selector.is_empty() && behind(render, object).next().is_none() {
                    report.object(
                        object,
                        "its selector takes no pod",
                        "use the labels of the workload",
                    );
                }
            }
            "ServiceMonitor" => {
                let found = render.of_kind("Service").any(|service| {
                    service.namespace() == object.namespace()
                        && object.0.pointer("/spec/selector").is_some_and(|selector| {
                            selects(selector, &map(&service.0, "/metadata/labels"))
                        })
                });
                if !found {
                    report.object(
                        object,
                        "it watches no Service",
                        "use the labels of the Service",
                    );
                }
            }
            _ => {}
        }
        for constraint in template_at(object.kind())
            .and_then(|place| object.0.pointer(place))
            .map_or(&[][..], |template| {
                list(template, "/spec/topologySpreadConstraints")
            })
        {
            let own = workloads(render).find(|workload| workload.object == object);
            let labels = own.map(|own| own.labels()).unwrap_or_default();
            if constraint
                .get("labelSelector")
                .is_none_or(|selector| !selects(selector, &labels))
            {
                report.object(
                    object,
                    "it spreads other pods than its own",
                    "use its own labels",
                );
            }
        }
    }
}

/// Workloads behind a Service.
fn behind<'a>(render: &'a Render, service: &'a Object) -> impl Iterator<Item = Workload<'a>> {
    let selector = map(&service.0, "/spec/selector");
    workloads(render).filter(move |workload| {
        let labels = workload.labels();
        workload.object.namespace() == service.namespace()
            && !selector.is_empty()
            && !workload.is_job()
            && selector
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
    })
}

/// Every port that is named is there: of Services, probes, monitors.
pub(super) fn named_ports_exist(render: &Render, _: &Tables, report: &mut Report) {
    for service in render.of_kind("Service") {
        for port in list(&service.0, "/spec/ports") {
            let target = port.get("targetPort").or_else(|| port.get("port"));
            for workload in behind(render, service) {
                let open = target
                    .and_then(|target| workload.port(target))
                    .is_some_and(|number| {
                        workload.ports().any(|port| port["containerPort"] == number)
                    });
                if !open {
                    report.object(
                        service,
                        format!(
                            "{} has no port `{}`",
                            workload.object.id(),
                            target.map_or(String::new(), ToString::to_string)
                        ),
                        "name one of its containerPorts",
                    );
                }
            }
        }
    }
    for workload in workloads(render) {
        for container in workload.containers() {
            for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                for way in ["httpGet", "tcpSocket"] {
                    let Some(port) = container.pointer(&format!("/{probe}/{way}/port")) else {
                        continue;
                    };
                    let known = list(container, "/ports").iter().any(|own| {
                        own.get("name") == Some(port) || own.get("containerPort") == Some(port)
                    });
                    if !known {
                        report.object(
                            workload.object,
                            format!("{probe} asks port {port}, which it has not"),
                            "name one of its ports",
                        );
                    }
                }
            }
        }
    }
    for monitor in render.of_kind("ServiceMonitor") {
        for endpoint in list(&monitor.0, "/spec/endpoints") {
            let port = text(endpoint, "/port");
            let known = render.of_kind("Service").any(|service| {
                service.namespace() == monitor.namespace()
                    && monitor.0.pointer("/spec/selector").is_some_and(|selector| {
                        selects(selector, &map(&service.0, "/metadata/labels"))
                    })
                    && list(&service.0, "/spec/ports")
                        .iter()
                        .any(|own| text(own, "/name") == port)
            });
            if !known {
                report.object(
                    monitor,
                    format!("its Service has no port `{port}`"),
                    "name one that is",
                );
            }
        }
    }
}

/// What autoscalers, routes and certificates point at is there.
pub(super) fn targets_exist(render: &Render, _: &Tables, report: &mut Report) {
    for scaler in render.of_kind("HorizontalPodAutoscaler") {
        let (kind, name) = (
            text(&scaler.0, "/spec/scaleTargetRef/kind"),
            text(&scaler.0, "/spec/scaleTargetRef/name"),
        );
        match render.find(kind, scaler.namespace(), name) {
            None => report.object(
                scaler,
                format!("there is no {kind} `{name}`"),
                "name one that is",
            ),
            Some(target) if target.0.pointer("/spec/replicas").is_some() => {
                report.object(
                    target,
                    "each apply sets back what the autoscaler chose",
                    "leave spec.replicas out",
                );
            }
            Some(_) => {}
        }
    }
    for kind in ["HTTPRoute", "TLSRoute", "TCPRoute"] {
        for route in render.of_kind(kind) {
            for backend in list(&route.0, "/spec/rules")
                .iter()
                .flat_map(|rule| list(rule, "/backendRefs"))
            {
                let (name, port) = (text(backend, "/name"), number(backend, "/port"));
                let open = render
                    .find("Service", route.namespace(), name)
                    .is_some_and(|service| {
                        list(&service.0, "/spec/ports")
                            .iter()
                            .any(|own| number(own, "/port") == port)
                    });
                if !open {
                    report.object(
                        route,
                        format!(
                            "there is no Service `{name}` with port {}",
                            port.unwrap_or_default()
                        ),
                        "name one of its namespace",
                    );
                }
            }
        }
    }
    for ingress in render.of_kind("Ingress") {
        for path in list(&ingress.0, "/spec/rules")
            .iter()
            .flat_map(|rule| list(rule, "/http/paths"))
        {
            let name = text(path, "/backend/service/name");
            let port = path.pointer("/backend/service/port");
            let open = render
                .find("Service", ingress.namespace(), name)
                .is_some_and(|service| {
                    list(&service.0, "/spec/ports").iter().any(|own| {
                        port.is_some_and(|port| {
                            port.get("name")
                                .is_some_and(|name| own.get("name") == Some(name))
                                || port
                                    .get("number")
                                    .is_some_and(|number| own.get("port") == Some(number))
                        })
                    })
                });
            if !open {
                report.object(
                    ingress,
                    format!("there is no Service `{name}` with such a port"),
                    "name one of its namespace",
                );
            }
        }
    }
    for workload in workloads(render) {
        let namespace = workload.object.namespace();
        let account = text(workload.spec(), "/serviceAccountName");
        if !account.is_empty() && render.find("ServiceAccount", namespace, account).is_none() {
            report.object(
                workload.object,
                format!("there is no ServiceAccount `{account}`"),
                "add it",
            );
        }
        let class = text(workload.spec(), "/priorityClassName");
        if !class.is_empty() && render.find("PriorityClass", "", class).is_none() {
            report.object(
                workload.object,
                format!("there is no PriorityClass `{class}`"),
                "add it",
            );
        }
    }
}

/// A budget with both fields, or with none, is refused by the server, and `minAvailable` of one pod stops drains.
pub(super) fn disruption_budget_has_one_field(render: &Render, _: &Tables, report: &mut Report) {
    for budget in render.of_kind("PodDisruptionBudget") {
        let least = budget.0.pointer("/spec/minAvailable").is_some();
        let most = budget.0.pointer("/spec/maxUnavailable").is_some();
        if least || !most {
            report.object(
                budget,
                "only maxUnavailable must be set",
                "set it, and leave minAvailable out",
            );
        }
    }
}

/// Every Service is spoken to by somebody: a route, a monitor, a `StatefulSet` that is named after it, or an address
/// in an environment, an argument or a file of settings.
pub(super) fn every_service_has_a_client(render: &Render, _: &Tables, report: &mut Report) {
    for service in render.of_kind("Service") {
        let (name, namespace) = (service.name(), service.namespace());
        let routed = render.objects.iter().any(|object| {
            matches!(
                object.kind(),
                "HTTPRoute" | "TLSRoute" | "TCPRoute" | "Ingress"
            ) && object.namespace() == namespace
                && mentions_backend(object, name)
        });
        let addressed = render.objects.iter().any(|object| {
            let own = object.namespace() == namespace;
            matches!(
                object.kind(),
                "ConfigMap" | "Deployment" | "StatefulSet" | "CronJob" | "Job"
            ) && object.name() != name
                && addresses(object, name, namespace, own)
        });
        if !routed && !addressed {
            report.object(
                service,
                "nobody uses it",
                "connect a client, or drop the component",
            );
        }
    }
}

fn mentions_backend(object: &Object, name: &str) -> bool {
    let rules = list(&object.0, "/spec/rules");
    rules.iter().any(|rule| {
        list(rule, "/backendRefs")
            .iter()
            .any(|backend| text(backend, "/name") == name)
            || list(rule, "/http/paths")
                .iter()
                .any(|path| text(path, "/backend/service/name") == name)
    })
}

/// Whether a text of the object has the host name of a Service: alone, before a colon or slash, or with its namespace.
fn addresses(object: &Object, name: &str, namespace: &str, own: bool) -> bool {
    let mut texts = Vec::new();
    for part in ["/data", "/spec"] {
        if let Some(part) = object.0.pointer(part) {
            crate::objects::all_texts(part, &mut texts);
        }
    }
    let long = format!("{name}.{namespace}");
    texts.iter().any(|whole| {
        whole
            .lines()
            .filter(|line| !line.trim_start().starts_with(['#', ';']))
            .any(|line| {
                let hosts = || line.split(['/', ' ', '=', '"', '\'', '@', ',', '[', ']']);
                hosts().any(|word| {
                    let host = word.split(':').next().unwrap_or_default();
                    host == long
                        || host.starts_with(&format!("{long}."))
                        || (own && host == name && (word != name || is_host(line, name)))
                })
            })
    })
}

/// Whether a line that has the plain name of a Service means its host: `host=postgres`, `-host influxdb`, or only it.
fn is_host(line: &str, name: &str) -> bool {
    line == name
        || line.contains(&format!("host={name}"))
        || line.contains(&format!("-host {name}"))
}
