//! Kinds that a cluster learns from others (Gateway API, cert-manager, the operators of Prometheus and of
//! external secrets): the fields that are used here, and no others.

#![expect(dead_code, reason = "the fields are there to be read, not used")]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::objects::Object;

/// API versions with kinds that no cluster has by itself.
pub(crate) const KINDS: [(&str, &str); 10] = [
    ("cert-manager.io/v1", "Certificate"),
    ("cert-manager.io/v1", "ClusterIssuer"),
    ("cert-manager.io/v1", "Issuer"),
    ("external-secrets.io/v1", "ClusterSecretStore"),
    ("external-secrets.io/v1", "ExternalSecret"),
    ("gateway.networking.k8s.io/v1", "Gateway"),
    ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    ("gateway.networking.k8s.io/v1", "TLSRoute"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
    ("monitoring.coreos.com/v1", "ServiceMonitor"),
];

/// As for built-in kinds; `None` when it is not one of these.
pub(crate) fn faults(object: &Object) -> Option<Vec<String>> {
    let known = (object.api_version(), object.kind());
    KINDS.contains(&known).then_some(())?;
    Some(match known.1 {
        "Certificate" => read::<Certificate>(object),
        "ClusterIssuer" | "Issuer" => read::<Issuer>(object),
        "ClusterSecretStore" => read::<SecretStore>(object),
        "ExternalSecret" => read::<ExternalSecret>(object),
        "Gateway" => read::<Gateway>(object),
        "HTTPRoute" => read::<HttpRoute>(object),
        "TLSRoute" => read::<TlsRoute>(object),
        "PrometheusRule" => read::<PrometheusRule>(object),
        _ => read::<ServiceMonitor>(object),
    })
}

fn read<T: DeserializeOwned>(object: &Object) -> Vec<String> {
    Whole::<T>::deserialize(&object.0)
        .err()
        .map(|error| error.to_string())
        .into_iter()
        .collect()
}

macro_rules! types {
    ($($name:ident { $($(#[$of_field:meta])* $field:ident : $type:ty),* $(,)? })*) => {
        $(
            #[derive(Deserialize)]
            #[serde(rename_all = "camelCase", deny_unknown_fields)]
            struct $name { $($(#[$of_field])* $field: $type),* }
        )*
    };
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Whole<T> {
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: T,
}

type Labels = BTreeMap<String, String>;

types! {
    Metadata { name: String, namespace: Option<String>, labels: Option<Labels>, annotations: Option<Labels> }
    Selector { match_labels: Labels }
    Name { name: String }

    Certificate {
        secret_name: String, dns_names: Vec<String>, issuer_ref: IssuerRef, private_key: Option<PrivateKey>,
        renew_before_percentage: Option<u8>,
    }
    IssuerRef { kind: String, name: String }
    PrivateKey { algorithm: String, size: Option<u32>, rotation_policy: String }
    Issuer { acme: Option<Acme>, self_signed: Option<SelfSigned> }
    SelfSigned {}
    Acme { email: String, server: String, private_key_secret_ref: Name, solvers: Vec<Solver> }
    Solver { http01: Http01 }
    Http01 {
        #[serde(rename = "gatewayHTTPRoute")] gateway_http_route: Option<SolverRoute>,
        ingress: Option<SolverIngress>,
    }
    SolverRoute { parent_refs: Vec<ParentRef>, service_type: Option<String> }
    SolverIngress { ingress_class_name: String, service_type: Option<String> }

    SecretStore { conditions: Option<Vec<StoreCondition>>, provider: Provider }
    StoreCondition { namespaces: Vec<String> }
    Provider { azurekv: KeyVault }
    KeyVault { auth_type: String, vault_url: String, service_account_ref: AccountRef }
    AccountRef { name: String, namespace: String }
    ExternalSecret {
        refresh_interval: String, secret_store_ref: IssuerRef, target: SecretTarget, data: Vec<SecretData>,
    }
    SecretTarget { name: String, creation_policy: String, deletion_policy: String }
    SecretData { secret_key: String, remote_ref: RemoteRef }
    RemoteRef { key: String }

    Gateway { gateway_class_name: String, listeners: Vec<Listener> }
    Listener {
        name: String, port: u16, protocol: Protocol, hostname: Option<String>, tls: Option<ListenerTls>,
        allowed_routes: AllowedRoutes,
    }
    ListenerTls { mode: TlsMode, certificate_refs: Option<Vec<Name>> }
    AllowedRoutes { namespaces: RouteNamespaces, kinds: Option<Vec<RouteKind>> }
    RouteNamespaces { from: From, selector: Option<Selector> }
    RouteKind { kind: String }
    ParentRef {
        name: String, kind: Option<String>, namespace: Option<String>, section_name: Option<String>,
    }
    HttpRoute { hostnames: Vec<String>, parent_refs: Vec<ParentRef>, rules: Vec<HttpRule> }
    HttpRule {
        matches: Option<Vec<HttpMatch>>, filters: Option<Vec<HttpFilter>>, backend_refs: Option<Vec<Backend>>,
        timeouts: Option<Timeouts>,
    }
    Timeouts { request: Option<String>, backend_request: Option<String> }
    HttpMatch { path: PathMatch }
    PathMatch { #[serde(rename = "type")] kind: PathKind, value: String }
    HttpFilter { #[serde(rename = "type")] kind: String, request_redirect: Option<Redirect> }
    Redirect { scheme: String, status_code: u16 }
    Backend { name: String, port: u16, namespace: Option<String> }
    TlsRoute { hostnames: Vec<String>, parent_refs: Vec<ParentRef>, rules: Vec<TlsRule> }
    TlsRule { backend_refs: Vec<Backend> }

    PrometheusRule { groups: Vec<RuleGroup> }
    RuleGroup { name: String, interval: Option<String>, rules: Vec<AlertOrRecord> }
    AlertOrRecord {
        alert: Option<String>, record: Option<String>, expr: String,
        #[serde(rename = "for")] pending: Option<String>, keep_firing_for: Option<String>,
        labels: Option<Labels>, annotations: Option<Labels>,
    }
    ServiceMonitor { selector: Selector, endpoints: Vec<Endpoint> }
    Endpoint { port: String, path: Option<String>, interval: Option<String>, scrape_timeout: Option<String> }
}

#[derive(Deserialize)]
enum Protocol {
    #[serde(rename = "HTTP")]
    Http,
    #[serde(rename = "HTTPS")]
    Https,
    #[serde(rename = "TLS")]
    Tls,
    #[serde(rename = "TCP")]
    Tcp,
}

#[derive(Deserialize)]
enum TlsMode {
    Terminate,
    Passthrough,
}

#[derive(Deserialize)]
enum From {
    Same,
    Selector,
    All,
}

#[derive(Deserialize)]
enum PathKind {
    Exact,
    PathPrefix,
}
