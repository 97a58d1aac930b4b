//! The manifests of `deploy/` and the program agree: processes, arguments, settings, paths.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use serde_json::Value;
use smartem_deploy::{Render, Tables, workloads};

use crate::support::{Place, Service, root, text};

const OVERLAYS: [&str; 4] = ["local", "generic", "azure", "edge"];

/// What an overlay gives, as it is committed.
fn render(overlay: &str) -> Render {
    let place = root().join(format!("deploy/kubernetes/rendered/{overlay}.yaml"));
    Render::read(overlay, &std::fs::read_to_string(place).unwrap()).unwrap()
}

fn tables() -> Tables {
    Tables::load(&root()).unwrap_or_else(|error| panic!("{error}"))
}

fn texts(value: &Value) -> Vec<String> {
    let items = value.as_array().into_iter().flatten();
    items
        .filter_map(|item| item.as_str().map(str::to_owned))
        .collect()
}

/// A container that runs the program: where, its arguments, its environment.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Started {
    place: String,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    settings: String,
}

/// All containers with the image of the program in an overlay.
fn containers(render: &Render) -> Vec<Started> {
    let mut found = Vec::new();
    for workload in workloads(render) {
        // The ConfigMap that is mounted where the program reads its settings.
        let settings = workload
            .volumes()
            .iter()
            .filter_map(|volume| volume["configMap"]["name"].as_str())
            .filter_map(|name| render.find("ConfigMap", workload.object.namespace(), name))
            .find_map(|config| config.0["data"]["smartem.toml"].as_str())
            .unwrap_or_default();
        for container in workload.all_containers() {
            let image = container["image"].as_str().unwrap_or_default();
            if image.starts_with("smartem:") {
                let env = container["env"].as_array().into_iter().flatten();
                found.push(Started {
                    place: format!("{}: {}", render.overlay, workload.object.id()),
                    args: texts(&container["args"]),
                    env: env
                        .filter_map(|own| Some((own["name"].as_str()?, own["value"].as_str()?)))
                        .filter(|(name, _)| name.starts_with("SMARTEM_"))
                        .map(|(name, value)| (name.to_owned(), expanded(value)))
                        .collect(),
                    settings: settings.to_owned(),
                });
            }
        }
    }
    found
}

/// With what Kubernetes and Compose put in for variables.
fn expanded(value: &str) -> String {
    let value = value
        .replace("$(POSTGRES_HOST)", "postgres")
        .replace("$(POSTGRES_PORT)", "5432")
        .replace("$(POSTGRES_DATABASE)", "smartem")
        .replace("$(POSTGRES_SSLMODE)", "require");
    // `${NAME:-default}`
    let Some((before, rest)) = value.split_once("${") else {
        return value;
    };
    let (variable, after) = rest.split_once('}').unwrap();
    let default = variable.split_once(":-").map_or("", |(_, default)| default);
    format!("{before}{default}{}", expanded(after))
}

/// Services of Compose that run the program.
fn of_compose() -> Vec<Started> {
    let written = std::fs::read_to_string(root().join("deploy/compose/compose.yaml")).unwrap();
    let compose: Value = serde_saphyr::from_str(&written).unwrap();
    let services = compose["services"].as_object().unwrap();
    let own = services.iter().filter(|(_, service)| {
        service["image"]
            .as_str()
            .is_some_and(|image| image.contains("smartem:"))
    });
    own.map(|(name, service)| Started {
        place: format!("compose: {name}"),
        args: texts(&service["command"]),
        env: service["environment"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| name.starts_with("SMARTEM_"))
            .filter_map(|(name, value)| Some((name.clone(), expanded(value.as_str()?))))
            .collect(),
        settings: String::new(),
    })
    .collect()
}

/// The systemd unit and the one for podman.
fn of_units() -> Vec<Started> {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let unit = read("deploy/systemd/smartem.service");
    let start = unit
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart="))
        .unwrap();
    let quadlet = read("deploy/quadlet/smartem.container");
    let exec = quadlet
        .lines()
        .find_map(|line| line.strip_prefix("Exec="))
        .unwrap_or("up");
    let words = |line: &str, skip: usize| {
        line.split_whitespace()
            .skip(skip)
            .map(str::to_owned)
            .collect()
    };
    let env = |unit: &str| {
        unit.lines()
            .filter_map(|line| {
                line.strip_prefix("Environment=")?
                    .trim_matches('"')
                    .split_once('=')
            })
            .filter(|(name, _)| name.starts_with("SMARTEM_"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    };
    vec![
        Started {
            place: "deploy/systemd".to_owned(),
            args: words(start, 1),
            env: env(&unit),
            settings: read("deploy/systemd/smartem.toml"),
        },
        Started {
            place: "deploy/quadlet".to_owned(),
            args: words(exec, 0),
            env: env(&quadlet),
            settings: String::new(),
        },
    ]
}

fn everything() -> Vec<Started> {
    let overlays = OVERLAYS
        .iter()
        .flat_map(|overlay| containers(&render(overlay)));
    overlays.chain(of_compose()).chain(of_units()).collect()
}

fn smartem() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smartem"));
    command.stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

#[test]
fn every_process_has_its_cron_job_and_no_other_has_one() {
    let output = smartem().args(["etl", "list"]).output().unwrap();
    let listed = text(&output.stdout);
    for overlay in ["local", "generic", "azure"] {
        let render = render(overlay);
        let mut jobs: BTreeMap<&str, &str> = BTreeMap::new();
        for job in render.of_kind("CronJob") {
            if let Some(process) = job.0["metadata"]["labels"]["smartem.process"].as_str() {
                let suspended = job.0["spec"]["suspend"] == true;
                let schedule = job.0["spec"]["schedule"].as_str().unwrap();
                jobs.insert(process, if suspended { "" } else { schedule });
            }
        }
        let mut processes = BTreeSet::new();
        for line in listed.lines().skip(1).filter(|line| !line.is_empty()) {
            let process = line.split_whitespace().next().unwrap();
            let schedule = jobs
                .get(process)
                .unwrap_or_else(|| panic!("{overlay}: no CronJob for {process}"));
            assert!(
                line.contains(schedule),
                "{overlay}: `{schedule}` is not in `{line}`"
            );
            assert_eq!(schedule.is_empty(), !line.contains(" UTC"), "{line}");
            processes.insert(process);
        }
        let with_jobs: BTreeSet<&str> = jobs.keys().copied().collect();
        assert_eq!(processes, with_jobs, "{overlay}");
    }
}

#[test]
fn arguments_of_every_container_and_unit_are_taken() {
    // Many containers have the same arguments.
    let commands: BTreeMap<Vec<String>, String> = everything()
        .into_iter()
        .map(|started| (started.args, started.place))
        .collect();
    assert!(commands.len() > 15, "only {} commands", commands.len());
    for (args, place) in commands {
        let output = smartem().args(&args).arg("--help").output().unwrap();
        let said = text(&output.stderr);
        assert!(output.status.success(), "{place}: {args:?}: {said}");
        // Help is told before arguments are all looked at; a flag that does not exist is not.
        let flags = args.iter().filter(|arg| arg.starts_with("--"));
        let help = text(&output.stdout);
        for flag in flags.map(|flag| flag.split('=').next().unwrap()) {
            assert!(help.contains(flag), "{place}: {args:?}: there is no {flag}");
        }
    }
}

#[test]
fn settings_of_every_container_and_unit_are_taken() {
    let settings: BTreeMap<(String, BTreeMap<String, String>), String> = everything()
        .into_iter()
        .map(|started| ((started.settings, started.env), started.place))
        .collect();
    let check = |file: &str, env: &BTreeMap<String, String>| {
        let place = Place::new();
        // The Secrets are files of this place.
        let moved = |written: &str| {
            for rest in written.split("/run/secrets/").skip(1) {
                let name = rest.split(['"', '\n', ' ']).next().unwrap();
                place.write(&format!("secrets/{name}"), "secret");
            }
            let secrets = format!("{}/secrets/", place.path().display());
            written.replace("/run/secrets/", &secrets)
        };
        place.write("smartem.toml", moved(file));
        let output = smartem()
            .args(["config", "check"])
            .envs(env.iter().map(|(name, value)| (name, moved(value))))
            .current_dir(place.path())
            .output()
            .unwrap();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        (output.status.code(), said)
    };
    for ((file, env), place) in &settings {
        let (status, said) = check(file, env);
        assert_eq!(status, Some(0), "{place}: {said}");
    }
    let misspelt = BTreeMap::from([("SMARTEM_SERVE__LISTENS".to_owned(), "0.0.0.0:1".to_owned())]);
    assert_eq!(check("", &misspelt).0, Some(78));
    assert_eq!(check("[serves]\na = 1\n", &BTreeMap::new()).0, Some(78));
}

/// Starts a command with all its faces on one port of this machine.
fn served(place: &Place, command: &str) -> Service {
    let made = place.run(&["store", "migrate"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let mut started = place.command(&[command, "--listen", "127.0.0.1:0"]);
    // The default port would be one for all tests.
    started.env("SMARTEM_COLLECT__MQTT__LISTEN", "127.0.0.1:0");
    Service::start(started)
}

/// The service of the longest row that takes a path.
fn service<'a>(tables: &'a Tables, path: &str) -> Option<&'a str> {
    use smartem_deploy::PathKind;
    let takes = |own: &str, kind: PathKind| match kind {
        PathKind::Exact => path == own,
        PathKind::Prefix => {
            let own = own.trim_end_matches('/');
            path == own || path.starts_with(&format!("{own}/"))
        }
    };
    tables
        .routes
        .iter()
        .filter(|route| !route.old && takes(&route.path, route.kind))
        .max_by_key(|route| route.path.len())
        .map(|route| route.service.as_str())
}

/// Paths that answer inside of the cluster only.
const INTERNAL: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

#[test]
fn every_public_path_has_the_route_of_its_service_and_every_route_is_answered() {
    let tables = tables();
    let mut of_serve: Vec<String> = Vec::new();
    for name in ["serve", "collect"] {
        let place = Place::new();
        let running = served(&place, name);
        let document = running.json("/openapi.json");
        let paths = document["paths"].as_object().unwrap().keys().cloned();
        // What both tell of themselves is told by serve.
        let paths: Vec<String> = paths.filter(|path| !of_serve.contains(path)).collect();
        assert!(paths.len() > 5, "{name} tells of {paths:?} only");
        for path in paths
            .iter()
            .filter(|path| !INTERNAL.contains(&path.as_str()))
        {
            assert_eq!(
                service(&tables, path),
                Some(name),
                "{path} of {name} is routed elsewhere"
            );
        }
        for route in tables
            .routes
            .iter()
            .filter(|route| !route.old && route.service == name)
        {
            let below = paths
                .iter()
                .any(|path| path == &route.path || path.starts_with(&format!("{}/", route.path)));
            // The Raw Sensor API is in no document, and has nothing at its root.
            let asked = match route.path.as_str() {
                "/sensors/v1" => "/sensors/v1/devices",
                path => path,
            };
            let (status, _) = running.get(asked);
            assert!(
                below || status != 404,
                "{name} does not answer {}",
                route.path
            );
        }
        of_serve.extend(paths);
    }
}

#[test]
fn probes_are_answered() {
    let mut probes: BTreeSet<(String, String)> = BTreeSet::new();
    for overlay in OVERLAYS {
        let render = render(overlay);
        for workload in workloads(&render) {
            for container in workload.containers() {
                let args = texts(&container["args"]);
                let command = args.first().filter(|_| {
                    container["image"]
                        .as_str()
                        .is_some_and(|image| image.starts_with("smartem:"))
                });
                for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
                    if let (Some(command), Some(path)) =
                        (command, container[probe]["httpGet"]["path"].as_str())
                    {
                        probes.insert((command.clone(), path.to_owned()));
                    }
                }
            }
        }
    }
    let commands: BTreeSet<&str> = probes.iter().map(|(command, _)| command.as_str()).collect();
    assert_eq!(commands, BTreeSet::from(["serve", "collect", "up"]));
    for command in commands {
        let place = Place::new();
        let running = served(&place, command);
        for (_, path) in probes.iter().filter(|(own, _)| own == command) {
            assert_eq!(running.get(path).0, 200, "{command} {path}");
        }
    }
}
