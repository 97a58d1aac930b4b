//! Who can open a connection to whom: the `NetworkPolicies`, worked out and held against `deploy/network.toml`.
//!
//! A block of addresses counts for what is outside the cluster only; whether it also takes pods depends on the
//! network plugin, and the policies of the other side decide then.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::objects::{Object, Render, list, map, number, selects, text};
use crate::rules::Report;
use crate::tables::Tables;
use crate::workloads::{Workload, workloads};

type Labels = BTreeMap<String, String>;

/// A connection that is possible: from, to, port.
pub type Connection = (String, String, i64);

/// A port that nobody has: open only where a policy names none.
const ANY_PORT: i64 = 65_000;

/// An end of connections.
struct Peer<'a> {
    name: String,
    place: Place<'a>,
}

enum Place<'a> {
    /// Pods of the overlay, all with the same component.
    Pods {
        namespace: String,
        labels: Labels,
        workloads: Vec<Workload<'a>>,
    },
    /// Pods of others: only the policies of this side count.
    Others { namespace: Labels, labels: Labels },
    /// Outside of the cluster.
    Address { public: bool },
}

/// All possible connections.
pub fn connections(render: &Render, tables: &Tables) -> BTreeSet<Connection> {
    let peers = peers(render);
    let ports = candidate_ports(render, tables);
    let mut found = BTreeSet::new();
    for from in &peers {
        for to in &peers {
            if matches!(
                (&from.place, &to.place),
                (Place::Pods { .. }, _) | (_, Place::Pods { .. })
            ) {
                for &port in &ports {
                    if is_open(render, from, to, port) {
                        found.insert((from.name.clone(), to.name.clone(), port));
                    }
                }
            }
        }
    }
    name_addresses(found)
}

/// `private` and `internet` at the same port are `anywhere`.
fn name_addresses(found: BTreeSet<Connection>) -> BTreeSet<Connection> {
    let open: BTreeSet<Connection> = found.clone();
    let both = |end: &str, other: &dyn Fn(&str) -> Connection| {
        (end == "internet" || end == "private")
            && open.contains(&other("internet"))
            && open.contains(&other("private"))
    };
    found
        .into_iter()
        .map(|(from, to, port)| {
            if both(&to, &|name| (from.clone(), name.to_owned(), port)) {
                (from, "anywhere".to_owned(), port)
            } else if both(&from, &|name| (name.to_owned(), to.clone(), port)) {
                ("anywhere".to_owned(), to, port)
            } else {
                (from, to, port)
            }
        })
        .collect()
}

fn peers(render: &Render) -> Vec<Peer<'_>> {
    let mut pods: BTreeMap<String, Vec<Workload>> = BTreeMap::new();
    for workload in workloads(render) {
        let name = format!("{}/{}", workload.object.namespace(), workload.component());
        pods.entry(name).or_default().push(workload);
    }
    let mut peers: Vec<Peer> = pods
        .into_iter()
        .filter_map(|(name, workloads)| {
            let first = workloads.first()?;
            let (namespace, labels) = (first.object.namespace().to_owned(), first.labels());
            let place = Place::Pods {
                namespace,
                labels,
                workloads,
            };
            Some(Peer { name, place })
        })
        .collect();
    let of = |pairs: &[(&str, &str)]| -> Labels {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    };
    let mut others = vec![
        (
            "edge",
            of(&[
                ("smartem.edge", "true"),
                ("kubernetes.io/metadata.name", "edge-of-a-test"),
            ]),
            Labels::new(),
        ),
        (
            "dns",
            of(&[("kubernetes.io/metadata.name", "kube-system")]),
            of(&[("k8s-app", "kube-dns")]),
        ),
        (
            "stranger",
            of(&[("kubernetes.io/metadata.name", "elsewhere")]),
            Labels::new(),
        ),
        (
            "kube-system/stranger",
            of(&[("kubernetes.io/metadata.name", "kube-system")]),
            Labels::new(),
        ),
    ];
    if !peers
        .iter()
        .any(|peer| peer.name == "monitoring/prometheus")
    {
        let namespace = of(&[("kubernetes.io/metadata.name", "monitoring")]);
        let labels = of(&[
            ("app.kubernetes.io/name", "prometheus"),
            ("app.kubernetes.io/component", "prometheus"),
        ]);
        others.push(("monitoring/prometheus", namespace.clone(), labels));
        others.push(("monitoring/stranger", namespace, Labels::new()));
    }
    peers.extend(others.into_iter().map(|(name, namespace, labels)| Peer {
        name: name.to_owned(),
        place: Place::Others { namespace, labels },
    }));
    peers.extend(
        [("internet", true), ("private", false)].map(|(name, public)| Peer {
            name: name.to_owned(),
            place: Place::Address { public },
        }),
    );
    peers
}

/// Ports that are asked about: all that pods, policies and the table name, and one that nobody names.
fn candidate_ports(render: &Render, tables: &Tables) -> BTreeSet<i64> {
    let pods = workloads(render).flat_map(|workload| {
        workload
            .ports()
            .filter_map(|port| number(port, "/containerPort"))
            .collect::<Vec<_>>()
    });
    let policies = render.of_kind("NetworkPolicy").flat_map(|policy| {
        ["/spec/ingress", "/spec/egress"]
            .iter()
            .flat_map(|way| list(&policy.0, way))
            .flat_map(|rule| list(rule, "/ports"))
            .filter_map(|port| number(port, "/port"))
    });
    let table = tables
        .allowed
        .iter()
        .flat_map(|row| row.ports.iter().copied());
    pods.chain(policies)
        .chain(table)
        .chain([ANY_PORT])
        .collect()
}

/// Whether both sides allow it. Between two that are not of the overlay nothing is asked.
fn is_open(render: &Render, from: &Peer, to: &Peer, port: i64) -> bool {
    let listens = match &to.place {
        Place::Pods { workloads, .. } => {
            port == ANY_PORT
                || workloads.iter().any(|workload| {
                    workload
                        .ports()
                        .any(|own| number(own, "/containerPort") == Some(port))
                })
        }
        _ => true,
    };
    listens && side(render, from, to, port, "Egress") && side(render, to, from, port, "Ingress")
}

/// Whether the policies of one side allow the other.
fn side(render: &Render, own: &Peer, other: &Peer, port: i64, way: &str) -> bool {
    let Place::Pods {
        namespace, labels, ..
    } = &own.place
    else {
        return true;
    };
    let policies: Vec<&Object> = render
        .of_kind("NetworkPolicy")
        .filter(|policy| {
            policy.namespace() == namespace
                && policy
                    .0
                    .pointer("/spec/podSelector")
                    .is_some_and(|selector| selects(selector, labels))
                && applies(policy, way)
        })
        .collect();
    let (rules, peers) = if way == "Egress" {
        ("/spec/egress", "/to")
    } else {
        ("/spec/ingress", "/from")
    };
    // The port is that of the pod which is connected to.
    let listener = if way == "Egress" { other } else { own };
    policies.is_empty()
        || policies.iter().any(|policy| {
            list(&policy.0, rules).iter().any(|rule| {
                ports_take(rule, listener, port)
                    && (list(rule, peers).is_empty()
                        || list(rule, peers)
                            .iter()
                            .any(|peer| takes(render, peer, other, namespace)))
            })
        })
}

/// Without `policyTypes` a policy is about ingress, and about egress when it has rules for it.
fn applies(policy: &Object, way: &str) -> bool {
    let types = list(&policy.0, "/spec/policyTypes");
    if types.is_empty() {
        return way == "Ingress" || policy.0.pointer("/spec/egress").is_some();
    }
    types.iter().any(|own| own == way)
}

fn ports_take(rule: &Value, listener: &Peer, port: i64) -> bool {
    let ports = list(rule, "/ports");
    ports.is_empty()
        || ports.iter().any(|allowed| match allowed.get("port") {
            None => true,
            Some(Value::String(name)) => match &listener.place {
                Place::Pods { workloads, .. } => workloads
                    .iter()
                    .any(|workload| workload.port(&Value::String(name.clone())) == Some(port)),
                // What the port of somebody else's pod is called is not known; Prometheus calls it so.
                _ => listener.name == "monitoring/prometheus" && port == 9090,
            },
            Some(first) => {
                let first = first.as_i64().unwrap_or_default();
                let last = number(allowed, "/endPort").unwrap_or(first);
                (first..=last).contains(&port)
            }
        })
}

/// Whether an entry of `from` or `to` means this peer.
fn takes(render: &Render, entry: &Value, peer: &Peer, own_namespace: &str) -> bool {
    let pods = entry.get("podSelector");
    let namespaces = entry.get("namespaceSelector");
    let by_labels = |namespace: &Labels, labels: &Labels| {
        let in_namespace = match namespaces {
            Some(selector) => selects(selector, namespace),
            None => {
                namespace
                    .get("kubernetes.io/metadata.name")
                    .map(String::as_str)
                    == Some(own_namespace)
            }
        };
        entry.get("ipBlock").is_none()
            && in_namespace
            && pods.is_none_or(|selector| selects(selector, labels))
    };
    match &peer.place {
        Place::Pods {
            namespace, labels, ..
        } => by_labels(&namespace_labels(render, namespace), labels),
        Place::Others { namespace, labels } => by_labels(namespace, labels),
        Place::Address { public } => entry.get("ipBlock").is_some_and(|block| {
            let everything = matches!(text(block, "/cidr"), "0.0.0.0/0" | "::/0");
            let private = list(block, "/except")
                .iter()
                .any(|range| range == "10.0.0.0/8" || range == "fc00::/7");
            if *public {
                everything
            } else {
                everything && !private || text(block, "/cidr").starts_with("10.")
            }
        }),
    }
}

/// Labels of a namespace, with the one the server adds.
fn namespace_labels(render: &Render, name: &str) -> Labels {
    let mut labels = render
        .find("Namespace", "", name)
        .map(|object| map(&object.0, "/metadata/labels"))
        .unwrap_or_default();
    labels.insert("kubernetes.io/metadata.name".to_owned(), name.to_owned());
    labels
}

/// The possible connections are exactly those of the table.
pub(crate) fn network_matrix(render: &Render, tables: &Tables, report: &mut Report) {
    let wanted: BTreeSet<Connection> = tables
        .allowed
        .iter()
        .filter(|row| row.overlays.contains(&render.overlay))
        .flat_map(|row| {
            row.ports
                .iter()
                .map(|port| (row.from.clone(), row.to.clone(), *port))
        })
        .collect();
    let found = connections(render, tables);
    for (from, to, port) in found.difference(&wanted) {
        report.place(
            from,
            format!("it can connect to {to}, port {port}"),
            "add the pair to deploy/network.toml, or close it",
        );
    }
    for (from, to, port) in wanted.difference(&found) {
        report.place(
            from,
            format!("it cannot connect to {to}, port {port}"),
            "allow it on both sides, or drop the pair",
        );
    }
}
