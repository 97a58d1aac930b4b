//! What an overlay needs at most: connections of the database, memory, and whether the quotas admit it.

use std::collections::{BTreeMap, BTreeSet};

use crate::cron;
use crate::objects::{Render, is_true, list, map, number, text};
use crate::quantity::{mebibytes, thousandths, units};
use crate::rules::Report;
use crate::tables::Tables;
use crate::workloads::{Workload, workloads};

/// The sets of jobs, by index, that can be running at the same time.
///
/// A job is taken to run from its start until its deadline; a run at the end of the week goes on at its beginning.
fn together(jobs: &[Workload]) -> BTreeSet<BTreeSet<usize>> {
    let mut minutes: Vec<BTreeSet<usize>> =
        vec![BTreeSet::new(); usize::try_from(cron::WEEK).unwrap_or_default()];
    for (at, job) in jobs.iter().enumerate() {
        let schedule = text(&job.object.0, "/spec/schedule");
        let deadline = number(
            &job.object.0,
            "/spec/jobTemplate/spec/activeDeadlineSeconds",
        )
        .unwrap_or(cron::WEEK * 60);
        for from in cron::starts(schedule, cron::WEEK) {
            for minute in from..from + ((deadline + 59) / 60).min(cron::WEEK) {
                if let Some(running) = usize::try_from(minute % cron::WEEK)
                    .ok()
                    .and_then(|minute| minutes.get_mut(minute))
                {
                    running.insert(at);
                }
            }
        }
    }
    // Many minutes are alike.
    minutes.into_iter().collect()
}

/// The set whose jobs weigh most.
fn heaviest(
    sets: &BTreeSet<BTreeSet<usize>>,
    jobs: &[Workload],
    weight: impl Fn(&Workload) -> i128,
) -> Vec<usize> {
    let weights: Vec<i128> = jobs.iter().map(weight).collect();
    sets.iter()
        .max_by_key(|running| running.iter().map(|at| weights[*at]).sum::<i128>())
        .into_iter()
        .flatten()
        .copied()
        .collect()
}

/// `CronJobs` that run by themselves.
fn scheduled(render: &Render) -> Vec<Workload<'_>> {
    workloads(render)
        .filter(|workload| {
            workload.object.kind() == "CronJob" && !is_true(&workload.object.0, "/spec/suspend")
        })
        .collect()
}

/// What a pod asks for: its containers together, or the largest of those before them.
fn asked(workload: &Workload, place: &str) -> i128 {
    let of =
        |container: &serde_json::Value| thousandths(text(container, place)).unwrap_or_default();
    let together: i128 = workload.containers().iter().map(of).sum();
    let before = workload
        .init_containers()
        .iter()
        .map(of)
        .max()
        .unwrap_or_default();
    together.max(before)
}

const MEMORY: &str = "/resources/requests/memory";

/// A row of the table of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryRow {
    /// Kind and name.
    pub who: String,
    /// How many pods.
    pub pods: i64,
    /// MiB that they request together.
    pub mebibytes: i128,
}

/// What smartem's own pods request at most: those that run for ever, and the largest set of jobs at one time.
pub fn memory(render: &Render) -> Vec<MemoryRow> {
    let own = |workload: &Workload| {
        workload
            .all_containers()
            .any(|container| text(container, "/image").starts_with("smartem:"))
    };
    let row = |workload: &Workload, pods: i64| MemoryRow {
        who: format!(
            "{} {}/{}",
            workload.object.kind(),
            workload.object.namespace(),
            workload.object.name()
        ),
        pods,
        mebibytes: mebibytes(asked(workload, MEMORY) / 1000) * i128::from(pods),
    };
    let mut rows: Vec<MemoryRow> = workloads(render)
        .filter(|workload| !workload.is_job() && own(workload))
        .map(|workload| row(&workload, workload.most_pods(render)))
        .collect();
    let jobs: Vec<Workload> = scheduled(render).into_iter().filter(own).collect();
    rows.extend(
        heaviest(&together(&jobs), &jobs, |job| asked(job, MEMORY))
            .into_iter()
            .map(|at| row(&jobs[at], 1)),
    );
    rows
}

/// Smartem's own pods request less than the overlay says.
pub(crate) fn memory_budget(render: &Render, tables: &Tables, report: &mut Report) {
    let Some(most) = tables
        .limits
        .get(&render.overlay)
        .and_then(|limits| units(&limits.memory))
    else {
        report.place(
            "deploy/limits.toml",
            format!("no memory for overlay `{}`", render.overlay),
            "state it",
        );
        return;
    };
    let rows = memory(render);
    let sum: i128 = rows.iter().map(|row| row.mebibytes).sum();
    if sum >= mebibytes(most) {
        let rows: Vec<String> = rows
            .iter()
            .map(|row| format!("{} {} MiB", row.who, row.mebibytes))
            .collect();
        report.place(
            format!("overlay {}", render.overlay),
            format!("its pods request {sum} MiB: {}", rows.join(", ")),
            format!("stay below {} MiB", mebibytes(most)),
        );
    }
}

/// Connections that a pod may open: what its settings say.
fn pool(render: &Render, tables: &Tables, workload: &Workload) -> i64 {
    let default = tables
        .settings
        .get("store")
        .and_then(|store| store.get("postgres")?.get("connections")?.as_integer())
        .unwrap_or(8);
    workload
        .volumes()
        .iter()
        .map(|volume| text(volume, "/configMap/name"))
        .filter_map(|name| render.find("ConfigMap", workload.object.namespace(), name))
        .find_map(|config| {
            let settings: toml::Table = text(&config.0, "/data/smartem.toml").parse().ok()?;
            settings
                .get("store")?
                .get("postgres")?
                .get("connections")?
                .as_integer()
        })
        .unwrap_or(default)
}

/// The host that the pods connect to for the database; `None`: they have no such.
fn database_host(render: &Render, workload: &Workload) -> Option<String> {
    let variable = workload
        .all_containers()
        .flat_map(|container| list(container, "/env"))
        .find(|variable| text(variable, "/name") == "POSTGRES_HOST")?;
    let (name, key) = (
        text(variable, "/valueFrom/configMapKeyRef/name"),
        text(variable, "/valueFrom/configMapKeyRef/key"),
    );
    let config = render.find("ConfigMap", workload.object.namespace(), name)?;
    map(&config.0, "/data").remove(key)
}

/// The pools of all pods that can be there at once fit into the server. Those that go through `PgBouncer` fit into it,
/// and its own into the server.
pub(crate) fn connection_budget(render: &Render, tables: &Tables, report: &mut Report) {
    let place = format!("overlay {}", render.overlay);
    let users: Vec<(Workload, String)> = workloads(render)
        .filter_map(|workload| Some((workload, database_host(render, &workload)?)))
        .collect();
    let Some(most) = tables
        .limits
        .get(&render.overlay)
        .and_then(|limits| limits.connections)
    else {
        if !users.is_empty() {
            report.place(
                "deploy/limits.toml",
                format!("no connections for {place}"),
                "state them",
            );
        }
        return;
    };
    let mut sums: BTreeMap<bool, i64> = BTreeMap::new();
    let pooled = |host: &str| host == "pgbouncer" || host.starts_with("pgbouncer.");
    for (workload, host) in users.iter().filter(|(workload, _)| !workload.is_job()) {
        let pods = workload.most_pods(render) + workload.surge();
        *sums.entry(pooled(host)).or_default() += pods * pool(render, tables, workload);
    }
    for through in [true, false] {
        let jobs: Vec<Workload> = users
            .iter()
            .filter(|(workload, host)| {
                workload.object.kind() == "CronJob"
                    && !is_true(&workload.object.0, "/spec/suspend")
                    && pooled(host) == through
            })
            .map(|(workload, _)| *workload)
            .collect();
        let weight = |job: &Workload| i128::from(pool(render, tables, job));
        let most_jobs: i64 = heaviest(&together(&jobs), &jobs, weight)
            .into_iter()
            .map(|at| pool(render, tables, &jobs[at]))
            .sum();
        *sums.entry(through).or_default() += most_jobs;
    }
    // One of those that are started by hand, such as a migration.
    let by_hand = users
        .iter()
        .filter(|(workload, host)| is_true(&workload.object.0, "/spec/suspend") && !pooled(host))
        .map(|(workload, _)| pool(render, tables, workload))
        .max()
        .unwrap_or_default();
    let clients = sums.get(&true).copied().unwrap_or_default();
    let mut direct = sums.get(&false).copied().unwrap_or_default() + by_hand;
    if let Some(bouncer) = render.find("Deployment", "smartemission", "pgbouncer") {
        let config = render
            .of_kind("ConfigMap")
            .find(|config| config.name().starts_with("pgbouncer"))
            .map_or("", |config| text(&config.0, "/data/pgbouncer.ini"));
        let setting = |name: &str| -> Option<i64> {
            config
                .lines()
                .filter_map(|line| line.split_once('='))
                .find(|(key, _)| key.trim() == name)?
                .1
                .trim()
                .parse()
                .ok()
        };
        let replicas = number(&bouncer.0, "/spec/replicas").unwrap_or(1);
        // One goes on while the other is replaced.
        let taken = setting("max_client_conn").unwrap_or(100) * (replicas - 1).max(1);
        if clients > taken {
            report.place(
                &place,
                format!("pods may open {clients} connections to PgBouncer, which takes {taken}"),
                "raise max_client_conn",
            );
        }
        // A pool for each role that logs in through it.
        let of_one = 2
            * (setting("default_pool_size").unwrap_or(20)
                + setting("reserve_pool_size").unwrap_or(0));
        direct += (replicas + 1)
            * setting("max_db_connections")
                .filter(|most| *most > 0)
                .map_or(of_one, |most| most.min(of_one));
    } else {
        direct += clients;
    }
    if direct > most {
        report.place(
            &place,
            format!("{direct} connections to a database that takes {most}"),
            "lower `connections`, or pools of PgBouncer",
        );
    }
}

/// What of a quota is summed up from containers.
const SUMMED: [(&str, &str); 6] = [
    ("requests.cpu", "/resources/requests/cpu"),
    ("requests.memory", "/resources/requests/memory"),
    (
        "requests.ephemeral-storage",
        "/resources/requests/ephemeral-storage",
    ),
    ("limits.cpu", "/resources/limits/cpu"),
    ("limits.memory", "/resources/limits/memory"),
    (
        "limits.ephemeral-storage",
        "/resources/limits/ephemeral-storage",
    ),
];

/// The quota of a namespace admits all pods that can be there at once: with the autoscaler at its most, an update of
/// each Deployment, the largest set of jobs, and one job by hand.
pub(crate) fn quota_admits(render: &Render, _: &Tables, report: &mut Report) {
    for quota in render.of_kind("ResourceQuota") {
        let hard = map(&quota.0, "/spec/hard");
        let here = |workload: &Workload| workload.object.namespace() == quota.namespace();
        let fixed: Vec<Workload> = workloads(render)
            .filter(|workload| here(workload) && !workload.is_job())
            .collect();
        let jobs: Vec<Workload> = scheduled(render).into_iter().filter(here).collect();
        let sets = together(&jobs);
        let by_hand: Vec<Workload> = workloads(render)
            .filter(|workload| here(workload) && is_true(&workload.object.0, "/spec/suspend"))
            .collect();
        let need = |weight: &dyn Fn(&Workload) -> i128| -> i128 {
            let standing: i128 = fixed
                .iter()
                .map(|own| weight(own) * i128::from(own.most_pods(render) + own.surge()))
                .sum();
            let running: i128 = heaviest(&sets, &jobs, weight)
                .into_iter()
                .map(|at| weight(&jobs[at]))
                .sum();
            standing + running + by_hand.iter().map(weight).max().unwrap_or_default()
        };
        let mut compare = |name: &str, needed: i128| {
            let Some(most) = hard.get(name).and_then(|amount| thousandths(amount)) else {
                return;
            };
            if needed > most {
                let shown = |amount: i128| {
                    if amount > 1 << 30 {
                        format!("{} MiB", mebibytes(amount / 1000))
                    } else {
                        format!("{amount} thousandths")
                    }
                };
                report.place(
                    quota.id(),
                    format!(
                        "{name} is {}, and {} can be needed",
                        shown(most),
                        shown(needed)
                    ),
                    "raise it, or ask for less",
                );
            }
        };
        for (name, place) in SUMMED {
            compare(name, need(&|workload| asked(workload, place)));
        }
        compare("pods", need(&|_| 1000));
        let claims: Vec<i128> = claims(render, quota.namespace());
        let scratch = |workload: &Workload| -> Vec<i128> {
            workload
                .volumes()
                .iter()
                .filter_map(|volume| {
                    thousandths(text(
                        volume,
                        "/ephemeral/volumeClaimTemplate/spec/resources/requests/storage",
                    ))
                })
                .collect()
        };
        compare(
            "requests.storage",
            claims.iter().sum::<i128>() + need(&|workload| scratch(workload).iter().sum()),
        );
        let count = |amount: usize| i128::try_from(amount).unwrap_or(i128::MAX) * 1000;
        compare(
            "persistentvolumeclaims",
            count(claims.len()) + need(&|workload| count(scratch(workload).len())),
        );
        let services = render
            .of_kind("Service")
            .filter(|service| service.namespace() == quota.namespace())
            .count();
        compare("services", count(services));
    }
}

/// Sizes of the claims of a namespace.
fn claims(render: &Render, namespace: &str) -> Vec<i128> {
    let size =
        |claim: &serde_json::Value| thousandths(text(claim, "/spec/resources/requests/storage"));
    let alone = render
        .of_kind("PersistentVolumeClaim")
        .filter(|claim| claim.namespace() == namespace)
        .filter_map(|claim| size(&claim.0));
    let of_sets = render
        .of_kind("StatefulSet")
        .filter(|set| set.namespace() == namespace)
        .flat_map(|set| {
            list(&set.0, "/spec/volumeClaimTemplates")
                .iter()
                .filter_map(size)
        });
    alone.chain(of_sets).collect()
}
