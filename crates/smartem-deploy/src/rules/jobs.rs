//! `CronJobs`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::Report;
use crate::cron;
use crate::objects::{Object, Render, is_true, list, map, number, text};
use crate::tables::Tables;
use crate::workloads::{Workload, workloads};

/// When nothing runs by itself.
pub(crate) const NEVER: &str = "0 0 31 2 *";

fn is_suspended(job: &Object) -> bool {
    is_true(&job.0, "/spec/suspend")
}

fn process(job: &Object) -> Option<String> {
    map(&job.0, "/metadata/labels").remove("smartem.process")
}

/// Every schedule is one that Kubernetes reads, in UTC.
pub(super) fn cron_parses(render: &Render, _: &Tables, report: &mut Report) {
    for job in render.of_kind("CronJob") {
        let schedule = text(&job.0, "/spec/schedule");
        if let Some(fault) = cron::fault(schedule) {
            report.object(
                job,
                format!("`{schedule}` is no schedule: {fault}"),
                "write five fields",
            );
        }
        if text(&job.0, "/spec/timeZone") != "Etc/UTC" {
            report.object(
                job,
                "its times are those of the controller",
                "set timeZone: Etc/UTC",
            );
        }
    }
}

/// A run is never killed by the next one, failures end, and what a person must look at is not tried again.
pub(super) fn cron_policy(render: &Render, _: &Tables, report: &mut Report) {
    for workload in workloads(render).filter(|workload| workload.object.kind() == "CronJob") {
        let job = workload.object;
        if text(&job.0, "/spec/concurrencyPolicy") != "Forbid" {
            report.object(
                job,
                "the next run ends or doubles the one at work",
                "set concurrencyPolicy: Forbid",
            );
        }
        match number(&job.0, "/spec/startingDeadlineSeconds") {
            Some(seconds) if seconds >= 10 => {}
            _ => report.object(
                job,
                "after 100 missed starts it never starts again",
                "set startingDeadlineSeconds, 10 or more",
            ),
        }
        let spec = job
            .0
            .pointer("/spec/jobTemplate/spec")
            .unwrap_or(&Value::Null);
        if number(spec, "/backoffLimit").is_none_or(|limit| limit > 3) {
            report.object(
                job,
                "it is tried again six times and more",
                "set backoffLimit to 3 or less",
            );
        }
        if number(spec, "/ttlSecondsAfterFinished").is_none() {
            report.object(job, "what has ended stays", "set ttlSecondsAfterFinished");
        }
        if text(spec, "/podReplacementPolicy") != "Failed" {
            report.object(
                job,
                "a new pod starts while the old one ends",
                "set podReplacementPolicy: Failed",
            );
        }
        for field in ["successfulJobsHistoryLimit", "failedJobsHistoryLimit"] {
            if number(&job.0, &format!("/spec/{field}")).is_none() {
                report.object(job, format!("no {field}"), "set it");
            }
        }
        failure_policy(&workload, spec, report);
    }
}

/// Exit codes 64, 65 and 78 end the job, disruptions do not count.
fn failure_policy(workload: &Workload, spec: &Value, report: &mut Report) {
    let rules = list(spec, "/podFailurePolicy/rules");
    let ignores = rules.iter().any(|rule| {
        text(rule, "/action") == "Ignore"
            && list(rule, "/onPodConditions")
                .iter()
                .any(|condition| text(condition, "/type") == "DisruptionTarget")
    });
    if !ignores {
        report.object(
            workload.object,
            "a drained node counts as a failure",
            "ignore DisruptionTarget in podFailurePolicy",
        );
    }
    let names: BTreeSet<&str> = workload
        .all_containers()
        .map(|container| text(container, "/name"))
        .collect();
    let mut covered = BTreeSet::new();
    for rule in rules
        .iter()
        .filter(|rule| text(rule, "/action") == "FailJob")
    {
        let name = text(rule, "/onExitCodes/containerName");
        if !names.contains(name) {
            report.object(
                workload.object,
                format!("its podFailurePolicy names `{name}`, which is no container"),
                "name one that is",
            );
        }
        let values = list(rule, "/onExitCodes/values");
        if [64, 65, 78]
            .iter()
            .all(|code| values.iter().any(|value| value == code))
        {
            covered.insert(name);
        }
        if values.iter().any(|value| value == 75) {
            report.object(
                workload.object,
                "exit code 75 means try again",
                "leave it out of FailJob",
            );
        }
    }
    for container in workload.all_containers() {
        let name = text(container, "/name");
        if text(container, "/image").starts_with("smartem:") && !covered.contains(name) {
            report.object(
                workload.object,
                format!("`{name}` is tried again although a person is needed"),
                "FailJob on exit codes 64, 65 and 78",
            );
        }
    }
}

/// `budget` < `activeDeadlineSeconds` < the shortest pause between two starts.
pub(super) fn cron_deadline_below_period(render: &Render, tables: &Tables, report: &mut Report) {
    for job in render.of_kind("CronJob") {
        let Some(deadline) = number(&job.0, "/spec/jobTemplate/spec/activeDeadlineSeconds") else {
            report.object(job, "it has no end", "set activeDeadlineSeconds");
            continue;
        };
        if let Some(pause) = cron::shortest_pause(text(&job.0, "/spec/schedule")) {
            if deadline >= pause {
                report.object(
                    job,
                    format!("it may run {deadline} s, and starts every {pause} s"),
                    "lower activeDeadlineSeconds",
                );
            }
            if number(&job.0, "/spec/startingDeadlineSeconds").is_some_and(|late| late > pause) {
                report.object(
                    job,
                    format!("it may start later than the next start, {pause} s"),
                    "lower startingDeadlineSeconds",
                );
            }
        }
        let budget = process(job).and_then(|name| tables.processes.get(&name)?.budget_seconds());
        if budget.is_some_and(|budget| deadline <= budget) {
            report.object(
                job,
                format!("it is killed after {deadline} s, within the budget of its process"),
                "raise activeDeadlineSeconds",
            );
        }
    }
}

/// Whether one program runs all processes on their schedules by itself: `smartem up`.
fn is_one_program(render: &Render) -> bool {
    render
        .of_kind("StatefulSet")
        .any(|set| text(&set.0, "/spec/template/spec/containers/0/args/0") == "up")
}

/// Each process of `config/smartem.toml` has its `CronJob` with the same schedule, and the other way round. Where one
/// program runs them all there is none.
pub(super) fn process_schedules_equal(render: &Render, tables: &Tables, report: &mut Report) {
    if is_one_program(render) {
        return;
    }
    let jobs: BTreeMap<String, &Object> = render
        .of_kind("CronJob")
        .filter_map(|job| Some((process(job)?, job)))
        .collect();
    for (name, process) in &tables.processes {
        let Some(job) = jobs.get(name) else {
            report.place(
                format!("process {name}"),
                "it has no CronJob",
                "add etl-<process>",
            );
            continue;
        };
        let rests = process.schedule.is_empty();
        let wanted = if rests { NEVER } else { &process.schedule };
        let found = text(&job.0, "/spec/schedule");
        if found != wanted {
            report.object(
                job,
                format!("its schedule is `{found}`"),
                format!("config/smartem.toml has `{wanted}`"),
            );
        }
        if rests != is_suspended(job) {
            report.object(
                job,
                "suspended is what has no schedule, and only that",
                "see config/smartem.toml",
            );
        }
    }
    for (name, job) in &jobs {
        if !tables.processes.contains_key(name) {
            report.object(
                job,
                format!("`{name}` is no process"),
                "see `smartem etl list`",
            );
        }
        if job.name() != format!("etl-{name}") {
            report.object(
                job,
                "its name is not that of its process",
                format!("name it etl-{name}"),
            );
        }
        let runs = workloads(render)
            .filter(|workload| workload.object == *job)
            .flat_map(|workload| workload.containers().to_vec())
            .any(|container| {
                list(&container, "/args")
                    .get(..3)
                    .is_some_and(|args| args == ["etl", "run", name.as_str()])
            });
        if !runs {
            report.object(
                job,
                "no container of it runs this process",
                format!("args: [etl, run, {name}]"),
            );
        }
    }
}

/// A pod of a job is not started again by the node, which knows no podFailurePolicy.
pub(super) fn job_restart_policy(render: &Render, _: &Tables, report: &mut Report) {
    for workload in workloads(render).filter(Workload::is_job) {
        let policy = text(workload.spec(), "/restartPolicy");
        if policy != "Never" {
            report.object(
                workload.object,
                format!("its restartPolicy is `{policy}`"),
                "Never",
            );
        }
    }
}

/// The store and every InfluxDB are backed up and the backups rehearsed, by schedule. Where one program runs
/// everything, it has somewhere to put backups.
pub(super) fn backup_cronjobs_present(render: &Render, _: &Tables, report: &mut Report) {
    let runs = |namespace: &str, name: &str| {
        render.find("CronJob", namespace, name).is_some_and(|job| {
            !is_suspended(job)
                && !cron::starts(text(&job.0, "/spec/schedule"), cron::WEEK).is_empty()
        })
    };
    let mut wanted = Vec::new();
    if !is_one_program(render) {
        wanted.extend([
            ("smartemission", "etl-backup"),
            ("smartemission", "etl-backup-verify"),
        ]);
    }
    for set in render
        .of_kind("StatefulSet")
        .filter(|set| set.name() == "influxdb")
    {
        wanted.extend([
            (set.namespace(), "influxdb-backup"),
            (set.namespace(), "influxdb-verify"),
        ]);
    }
    for (namespace, name) in wanted {
        if !runs(namespace, name) {
            report.place(
                format!("CronJob {namespace}/{name}"),
                "it does not run every week",
                "schedule it, not suspended",
            );
        }
    }
    for config in render.of_kind("ConfigMap") {
        let Ok(settings) = text(&config.0, "/data/smartem.toml").parse::<toml::Table>() else {
            continue;
        };
        // The collector has no processes.
        let collects_only = config.namespace() == "collectors";
        let to = settings
            .get("process")
            .and_then(|processes| processes.get("backup")?.get("backup")?.get("to")?.as_str());
        if !collects_only && !settings.is_empty() && to.is_none_or(str::is_empty) {
            report.object(
                config,
                "backups have no place",
                "set `to` of [process.backup.backup]",
            );
        }
    }
}

/// Most jobs that may start in one minute.
const TOGETHER: usize = 3;

/// Jobs do not all start at once.
pub(super) fn schedules_are_staggered(render: &Render, _: &Tables, report: &mut Report) {
    let mut at: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
    for job in render.of_kind("CronJob").filter(|job| !is_suspended(job)) {
        for minute in cron::starts(text(&job.0, "/spec/schedule"), cron::WEEK) {
            at.entry(minute).or_default().push(job.name());
        }
    }
    if let Some((minute, jobs)) = at.iter().max_by_key(|(_, jobs)| jobs.len())
        && jobs.len() > TOGETHER
    {
        report.place(
            format!("minute {} of hour {}", minute % 60, minute / 60 % 24),
            format!("{} jobs start: {}", jobs.len(), jobs.join(", ")),
            format!("at most {TOGETHER} at a time; shift some"),
        );
    }
}
