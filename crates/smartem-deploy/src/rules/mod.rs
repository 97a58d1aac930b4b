//! The rules: each looks at all objects of an overlay, beside the tables, and tells what it finds.

use crate::objects::{Object, Render};
use crate::tables::Tables;

mod documents;
mod hardening;
mod images;
mod jobs;
mod names;
mod probes;
mod references;
mod resources;
mod routes;
mod security;
mod settings;
mod targets;
mod volumes;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: &'static str,
    /// Kind, namespace and name of the object, or a file.
    pub object: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            rule,
            object,
            problem,
            remedy,
        } = self;
        write!(f, "{rule}: {object}: {problem}; {remedy}")
    }
}

/// Where a rule writes what it finds.
pub struct Report {
    rule: &'static str,
    findings: Vec<Finding>,
}

impl Report {
    /// Something is wrong with an object.
    fn object(&mut self, object: &Object, problem: impl Into<String>, remedy: impl Into<String>) {
        self.place(object.id(), problem, remedy);
    }

    /// Something is wrong with what is not one object.
    pub(crate) fn place(
        &mut self,
        place: impl Into<String>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.findings.push(Finding {
            rule: self.rule,
            object: place.into(),
            problem: problem.into(),
            remedy: remedy.into(),
        });
    }
}

/// What a rule does.
pub type Rule = fn(&Render, &Tables, &mut Report);

/// All rules by name. The first 22 are the defects of the original deployment.
pub const RULES: &[(&str, Rule)] = &[
    ("names_unique", names::names_unique),
    ("service_names_resolve", names::service_names_resolve),
    ("typed_roundtrip", names::typed_roundtrip),
    ("claims_are_used", volumes::claims_are_used),
    ("secret_refs_local", references::secret_refs_local),
    ("read_only_root", volumes::read_only_root),
    ("liveness_is_cheap", probes::liveness_is_cheap),
    ("images_pinned", images::images_pinned),
    ("resources_declared", resources::resources_declared),
    ("psa_restricted", security::psa_restricted),
    (
        "exposed_routes_equal_table",
        routes::exposed_routes_equal_table,
    ),
    ("least_privilege_roles", security::least_privilege_roles),
    ("cron_policy", jobs::cron_policy),
    (
        "cron_deadline_below_period",
        jobs::cron_deadline_below_period,
    ),
    (
        "unknown_settings_rejected",
        settings::unknown_settings_rejected,
    ),
    (
        "every_service_has_a_client",
        targets::every_service_has_a_client,
    ),
    ("docs_paths_exist", documents::docs_paths_exist),
    ("alerts_have_unit_tests", documents::alerts_have_unit_tests),
    ("hardening_complete", hardening::hardening_complete),
    ("backup_cronjobs_present", jobs::backup_cronjobs_present),
    ("mqtt_route", routes::mqtt_route),
    ("schedules_are_staggered", jobs::schedules_are_staggered),
    ("namespace_set", names::namespace_set),
    ("cron_parses", jobs::cron_parses),
    ("process_schedules_equal", jobs::process_schedules_equal),
    ("job_restart_policy", jobs::job_restart_policy),
    (
        "selectors_match_templates",
        targets::selectors_match_templates,
    ),
    ("named_ports_exist", targets::named_ports_exist),
    ("targets_exist", targets::targets_exist),
    (
        "disruption_budget_has_one_field",
        targets::disruption_budget_has_one_field,
    ),
    ("tcp_route_not_on_tls", routes::tcp_route_not_on_tls),
    ("secrets_have_no_data", references::secrets_have_no_data),
    ("env_refers_to_earlier", references::env_refers_to_earlier),
    ("config_refs_exist", references::config_refs_exist),
    ("network_matrix", crate::network::network_matrix),
    ("connection_budget", crate::budget::connection_budget),
    ("memory_budget", crate::budget::memory_budget),
    ("quota_admits", crate::budget::quota_admits),
];

/// The defects of the original deployment, each of which is a rule.
pub const DEFECTS: usize = 22;

/// Holds an overlay against all rules.
pub fn check(render: &Render, tables: &Tables) -> Vec<Finding> {
    RULES
        .iter()
        .flat_map(|(name, rule)| check_rule(name, *rule, render, tables))
        .collect()
}

/// Holds an overlay against one rule.
pub fn check_rule(
    name: &'static str,
    rule: Rule,
    render: &Render,
    tables: &Tables,
) -> Vec<Finding> {
    let mut report = Report {
        rule: name,
        findings: Vec::new(),
    };
    rule(render, tables, &mut report);
    report.findings
}
