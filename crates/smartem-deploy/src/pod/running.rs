//! A pod that runs.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{PodTemplateSpec, Probe};

use super::node::at;
use super::plan::{Content, Launch, Place, Plan, PlannedContainer, port};
use super::podman::podman;
use super::{Objects, PodError, files, http};

/// A pod; killed and removed when dropped.
pub struct Pod {
    plan: Plan,
    template: PodTemplateSpec,
    launch: Launch,
    place: Place,
    /// Of its first container.
    process: u32,
    address: IpAddr,
    memory: Arc<Sampled>,
}

/// How a pod ended.
#[derive(Clone, Debug)]
pub struct End {
    /// The exit code of its first container; 137 after a kill.
    pub code: i32,
    /// What its first container wrote.
    pub logs: String,
    /// From the request to stop, or from the call, to the end.
    pub took: Duration,
    /// Most that it used.
    pub memory: Memory,
    /// Whether the grace period ran out, so that it was killed.
    pub killed: bool,
    /// A volume that became larger than its limit, for which a kubelet evicts.
    pub over: Option<String>,
}

/// Memory of a container, at its highest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Resident memory of its first process.
    pub resident: u64,
    /// What the control group was charged, with cached files.
    pub group: u64,
}

#[derive(Default)]
struct Sampled {
    resident: AtomicU64,
    group: AtomicU64,
    over: AtomicBool,
}

impl Pod {
    pub(super) fn start(
        plan: Plan,
        template: PodTemplateSpec,
        launch: Launch,
        place: Place,
    ) -> Result<Self, PodError> {
        let started = start_containers(&plan, &launch);
        if started.is_err() {
            for container in &plan.containers {
                let _ = podman(&["rm", "--force", "--time", "0", &container.full_name]);
            }
        }
        started?;
        let Some(first) = plan.containers.first() else {
            return Err(no_container(&launch));
        };
        let process = inspect(&first.full_name, "{{.State.Pid}}")?
            .parse()
            .unwrap_or(0);
        let format = format!(
            "{{{{(index .NetworkSettings.Networks \"{}\").IPAddress}}}}",
            place.prefix
        );
        // One that has ended already has no address.
        let address = inspect(&first.full_name, &format)?
            .parse()
            .unwrap_or(IpAddr::from([0, 0, 0, 0]));
        let memory = Arc::new(Sampled::default());
        watch_memory(process, Arc::clone(&memory));
        Ok(Self {
            plan,
            template,
            launch,
            place,
            process,
            address,
            memory,
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.launch.pod
    }

    /// Where a named port, or a number, is reached from this machine.
    pub fn address(&self, name: &str) -> Option<SocketAddr> {
        let known = self
            .plan
            .containers
            .iter()
            .find_map(|container| container.ports.get(name));
        let number = known.copied().or_else(|| name.parse().ok())?;
        Some(SocketAddr::new(self.address, number))
    }

    /// Whether all of its containers that have a readiness probe answer it.
    pub fn ready(&self) -> bool {
        self.running()
            && self
                .plan
                .containers
                .iter()
                .all(|container| self.probe(container, container.readiness.as_ref()))
    }

    /// Whether all of its containers that have a liveness probe answer it.
    pub fn live(&self) -> bool {
        self.running()
            && self
                .plan
                .containers
                .iter()
                .all(|container| self.probe(container, container.liveness.as_ref()))
    }

    fn probe(&self, container: &PlannedContainer, probe: Option<&Probe>) -> bool {
        let Some(probe) = probe else { return true };
        let patience =
            Duration::from_secs(probe.timeout_seconds.map_or(1, i32::unsigned_abs).into());
        let address =
            |number: Option<u16>| number.map(|number| SocketAddr::new(self.address, number));
        if let Some(get) = &probe.http_get {
            let target = get.path.as_deref().unwrap_or("/");
            return address(port(&get.port, &container.ports)).is_some_and(|address| {
                http::request(address, "GET", target, &[], "", patience)
                    .is_ok_and(|answer| (200..400).contains(&answer.status))
            });
        }
        if let Some(socket) = &probe.tcp_socket {
            return address(port(&socket.port, &container.ports))
                .is_some_and(|address| TcpStream::connect_timeout(&address, patience).is_ok());
        }
        false
    }

    /// Waits until it is ready.
    pub fn wait_ready(&self, patience: Duration) -> Result<Duration, PodError> {
        let begin = Instant::now();
        while begin.elapsed() < patience {
            if self.ready() {
                return Ok(begin.elapsed());
            }
            if !self.running() {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        Err(PodError::Late {
            what: format!(
                "`{}` is not ready; it wrote:\n{}",
                self.launch.pod,
                self.logs()
            ),
            seconds: begin.elapsed().as_secs(),
        })
    }

    /// Whether its first container runs.
    pub fn running(&self) -> bool {
        alive(self.process)
    }

    /// What its first container has written.
    pub fn logs(&self) -> String {
        self.plan
            .containers
            .first()
            .map(|first| logs(&first.full_name))
            .unwrap_or_default()
    }

    /// The user its first container runs as, and whether that can write to its root file system.
    pub fn rights(&self) -> Option<(u32, bool)> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process)).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        let user = line.split_whitespace().next()?.parse().ok()?;
        let mounts = fs::read_to_string(format!("/proc/{}/mounts", self.process)).ok()?;
        let root = mounts.lines().find_map(|line| {
            let mut words = line.split(' ').skip(1);
            (words.next()? == "/").then(|| words.nth(1))?
        })?;
        Some((user, !root.split(',').any(|option| option == "ro")))
    }

    /// Most memory so far.
    pub fn memory(&self) -> Memory {
        Memory {
            resident: self.memory.resident.load(Ordering::Relaxed),
            group: self.memory.group.load(Ordering::Relaxed),
        }
    }

    /// What it uses now.
    pub fn memory_now(&self) -> u64 {
        status(self.process, "VmRSS:").unwrap_or(0)
    }

    /// Writes its `ConfigMaps` and Secrets anew, as a kubelet does within a minute of a change.
    pub fn refresh(&self, objects: &Objects) -> Result<(), PodError> {
        let plan = Plan::new(&self.template, objects, &self.launch, &self.place)?;
        for volume in &plan.volumes {
            if let Content::Files(values) = &volume.content {
                files::write(&volume.path, values, plan.group)?;
            }
        }
        Ok(())
    }

    /// Runs a program in its first container.
    pub fn exec(&self, command: &[&str]) -> Result<String, PodError> {
        let first = self
            .plan
            .containers
            .first()
            .map(|first| first.full_name.as_str())
            .unwrap_or_default();
        let mut arguments = vec!["exec", first];
        arguments.extend(command);
        podman(&arguments)
    }

    /// Waits for its end.
    pub fn wait(self, patience: Duration) -> Result<End, PodError> {
        let begin = Instant::now();
        if !self.ended(patience) {
            return Err(PodError::Late {
                what: format!(
                    "`{}` has not ended; it wrote:\n{}",
                    self.launch.pod,
                    self.logs()
                ),
                seconds: patience.as_secs(),
            });
        }
        self.end(begin, false)
    }

    /// Stops it as a kubelet does: the hook, SIGTERM, and SIGKILL when the grace period is over.
    pub fn stop(self) -> Result<End, PodError> {
        let begin = Instant::now();
        let grace = Duration::from_secs(self.plan.grace_s);
        let hook = self
            .plan
            .containers
            .iter()
            .map(|container| container.pre_stop_s)
            .max()
            .unwrap_or(0);
        thread::sleep(Duration::from_secs(hook).min(grace));
        self.signal("TERM")?;
        let killed = !self.ended(grace.saturating_sub(begin.elapsed()));
        if killed {
            self.signal("KILL")?;
            self.ended(Duration::from_secs(10));
        }
        self.end(begin, killed)
    }

    /// Ends it without a word.
    pub fn kill(self) -> Result<End, PodError> {
        let begin = Instant::now();
        self.signal("KILL")?;
        self.ended(Duration::from_secs(10));
        self.end(begin, true)
    }

    /// Sends a signal to all of its containers that run.
    pub fn signal(&self, signal: &str) -> Result<(), PodError> {
        for container in &self.plan.containers {
            if let Err(error) = podman(&["kill", "--signal", signal, &container.full_name])
                && self.running()
            {
                return Err(error);
            }
        }
        Ok(())
    }

    fn ended(&self, patience: Duration) -> bool {
        let begin = Instant::now();
        while alive(self.process) {
            if begin.elapsed() > patience {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        true
    }

    fn end(&self, begin: Instant, killed: bool) -> Result<End, PodError> {
        let took = begin.elapsed();
        let first = self
            .plan
            .containers
            .first()
            .map(|first| first.full_name.clone())
            .unwrap_or_default();
        let code = podman(&["wait", &first])?.parse().unwrap_or(-1);
        Ok(End {
            code,
            logs: logs(&first),
            took,
            memory: self.memory(),
            killed,
            over: self
                .plan
                .volumes
                .iter()
                .find_map(|volume| match volume.content {
                    Content::Scratch { limit: Some(limit) } => {
                        let size = size(&volume.path);
                        (size > limit)
                            .then(|| format!("`{}` has {size} of {limit} bytes", volume.name))
                    }
                    _ => None,
                }),
        })
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.memory.over.store(true, Ordering::Relaxed);
        for container in self.plan.containers.iter().rev() {
            let _ = podman(&["rm", "--force", "--time", "0", &container.full_name]);
        }
        let _ = fs::remove_dir_all(self.place.own(&self.launch));
    }
}

impl End {
    /// The last lines that it wrote.
    pub fn tail(&self, lines: usize) -> String {
        let all: Vec<&str> = self.logs.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

fn no_container(launch: &Launch) -> PodError {
    PodError::Render {
        name: launch.pod.clone(),
        problem: "it has no container".to_owned(),
    }
}

/// Runs the init containers to their end, and starts the others.
fn start_containers(plan: &Plan, launch: &Launch) -> Result<(), PodError> {
    for container in &plan.init {
        run_init(container)?;
    }
    let Some((first, others)) = plan.containers.split_first() else {
        return Err(no_container(launch));
    };
    run(first, &first.network)?;
    for container in others {
        run(
            container,
            &[format!("--network=container:{}", first.full_name)],
        )?;
    }
    Ok(())
}

fn run_init(container: &PlannedContainer) -> Result<(), PodError> {
    let result = run_arguments(container, &container.network, &[]);
    let output = logs(&container.full_name);
    let code = inspect(&container.full_name, "{{.State.ExitCode}}");
    let _ = podman(&["rm", "--force", "--time", "0", &container.full_name]);
    match (result, code) {
        (Ok(_), _) => Ok(()),
        (Err(_), Ok(code)) if code.parse::<i32>().is_ok_and(|code| code != 0) => {
            Err(PodError::Init {
                name: container.name.clone(),
                code: code.parse().unwrap_or(-1),
                logs: output,
            })
        }
        (Err(error), _) => Err(error),
    }
}

fn run(container: &PlannedContainer, network: &[String]) -> Result<(), PodError> {
    run_arguments(container, network, &["--detach"]).map(|_| ())
}

fn run_arguments(
    container: &PlannedContainer,
    network: &[String],
    how: &[&str],
) -> Result<String, PodError> {
    let mut arguments = vec!["run"];
    arguments.extend(how);
    arguments.extend(network.iter().map(String::as_str));
    arguments.extend(container.options.iter().map(String::as_str));
    arguments.extend(container.command.iter().map(String::as_str));
    podman(&arguments)
}

fn inspect(container: &str, format: &str) -> Result<String, PodError> {
    podman(&["container", "inspect", "--format", format, container])
}

fn logs(container: &str) -> String {
    let output = Command::new("podman")
        .args(["logs", container])
        .stdin(Stdio::null())
        .output();
    output.map_or_else(
        |error| error.to_string(),
        |output| {
            let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.push_str(&String::from_utf8_lossy(&output.stderr));
            text
        },
    )
}

fn alive(process: u32) -> bool {
    if process == 0 {
        return false;
    }
    // A process that ended and was not looked at yet is a zombie.
    fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .trim_start()
            .starts_with('Z')
    })
}

fn status(process: u32, field: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

fn watch_memory(process: u32, sampled: Arc<Sampled>) {
    thread::spawn(move || {
        let group = group_peak(process);
        while alive(process) && !sampled.over.load(Ordering::Relaxed) {
            if let Some(resident) = status(process, "VmHWM:") {
                sampled.resident.fetch_max(resident, Ordering::Relaxed);
            }
            let peak = group
                .as_ref()
                .and_then(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
            if let Some(peak) = peak {
                sampled.group.fetch_max(peak, Ordering::Relaxed);
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
}

/// The file with the highest charge of the control group of a process, of version 1 or 2.
fn group_peak(process: u32) -> Option<PathBuf> {
    let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?;
    groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
        let file = match controllers {
            "memory" => Path::new("/sys/fs/cgroup/memory")
                .join(path)
                .join("memory.max_usage_in_bytes"),
            "" => Path::new("/sys/fs/cgroup").join(path).join("memory.peak"),
            _ => return None,
        };
        file.exists().then_some(file)
    })
}

fn size(path: &Path) -> u64 {
    let Ok(metadata) = at(path, fs::symlink_metadata(path)) else {
        return 0;
    };
    if !metadata.is_dir() {
        return metadata.len();
    }
    fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| size(&entry.path()))
        .sum()
}
