//! From the template of a pod to the arguments of podman.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, KeyToPath, PodSpec, PodTemplateSpec, Probe,
    ProjectedVolumeSource, SecretVolumeSource, Volume,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::environment::{Identity, environment, expand};
use super::files::Files;
use super::{Objects, PodError};

/// So many processes and threads a kubelet of a usual node allows a pod.
const PIDS: u32 = 1024;

/// What is known of a pod beside its template.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Its namespace.
    pub namespace: String,
    /// Its name, such as `influxdb-0`.
    pub pod: String,
    /// Names of the volumes that are claims of its `StatefulSet`.
    pub claims: Vec<String>,
    /// Further names under which it is found in its namespace, beside those of Services that select it.
    pub aliases: Vec<String>,
    /// More variables, as `kubectl set env` gives them.
    pub environment: Vec<(String, String)>,
    /// Arguments instead of those of the template.
    pub arguments: Option<Vec<String>>,
}

impl Launch {
    /// A pod with nothing special.
    pub fn new(namespace: &str, pod: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            claims: Vec::new(),
            aliases: Vec::new(),
            environment: Vec::new(),
            arguments: None,
        }
    }
}

/// Where a test keeps what its pods need.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Folder of all volumes.
    pub(super) folder: PathBuf,
    /// The first part of all names.
    pub(super) prefix: String,
    /// Label of everything that is made, `name=value`.
    pub(super) label: String,
}

/// A pod, ready to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) volumes: Vec<PlannedVolume>,
    pub(super) init: Vec<PlannedContainer>,
    pub(super) containers: Vec<PlannedContainer>,
    pub(super) group: Option<u32>,
    pub(super) grace_s: u64,
}

/// A container with the arguments of `podman run`, without how it runs (`--detach`).
#[derive(Clone, Debug)]
pub(super) struct PlannedContainer {
    /// In the template.
    pub(super) name: String,
    /// For podman.
    pub(super) full_name: String,
    /// Options; for containers that join the network of another, without the network.
    pub(super) options: Vec<String>,
    /// `--network` of the container that is the first of its pod.
    pub(super) network: Vec<String>,
    /// Image and arguments.
    pub(super) command: Vec<String>,
    pub(super) pre_stop_s: u64,
    pub(super) ports: BTreeMap<String, u16>,
    pub(super) readiness: Option<Probe>,
    pub(super) liveness: Option<Probe>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PlannedVolume {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) content: Content,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Written anew for each pod.
    Files(Files),
    /// Gone with the pod; a kubelet evicts a pod that writes more.
    Scratch { limit: Option<u64> },
    /// In memory, of this size.
    Memory { bytes: Option<u64> },
    /// Kept.
    Claim,
}

impl Plan {
    /// Plans a pod.
    pub(super) fn new(
        template: &PodTemplateSpec,
        objects: &Objects,
        launch: &Launch,
        place: &Place,
    ) -> Result<Self, PodError> {
        let spec = template.spec.as_ref().ok_or_else(|| PodError::Render {
            name: launch.pod.clone(),
            problem: "the template has no spec".to_owned(),
        })?;
        refuse(spec, launch)?;
        let group = spec
            .security_context
            .as_ref()
            .and_then(|context| context.fs_group)
            .map(number)
            .transpose()?;
        let volumes = volumes(spec, objects, launch, place)?;
        let labels = template
            .metadata
            .as_ref()
            .and_then(|metadata| metadata.labels.clone());
        let mut aliases = objects.services(&launch.namespace, &labels.unwrap_or_default());
        aliases.extend(launch.aliases.iter().cloned());
        let planner = Planner {
            spec,
            objects,
            launch,
            place,
            group,
            volumes: &volumes,
            aliases: &aliases,
        };
        let plan = |containers: &[Container]| -> Result<Vec<PlannedContainer>, PodError> {
            containers
                .iter()
                .map(|container| planner.container(container))
                .collect()
        };
        Ok(Self {
            init: plan(spec.init_containers.as_deref().unwrap_or_default())?,
            containers: plan(&spec.containers)?,
            group,
            grace_s: spec
                .termination_grace_period_seconds
                .and_then(|s| u64::try_from(s).ok())
                .unwrap_or(30),
            volumes,
        })
    }
}

/// Fields that would change what a test shows, if they were left out.
fn refuse(spec: &PodSpec, launch: &Launch) -> Result<(), PodError> {
    let refused = [
        ("hostNetwork", spec.host_network == Some(true)),
        ("hostPID", spec.host_pid == Some(true)),
        ("hostAliases", spec.host_aliases.is_some()),
        ("dnsConfig", spec.dns_config.is_some()),
        (
            "shareProcessNamespace",
            spec.share_process_namespace == Some(true),
        ),
        ("ephemeralContainers", spec.ephemeral_containers.is_some()),
    ];
    for (field, used) in refused {
        if used {
            return Err(unsupported(&launch.pod, field));
        }
    }
    Ok(())
}

struct Planner<'a> {
    spec: &'a PodSpec,
    objects: &'a Objects,
    launch: &'a Launch,
    place: &'a Place,
    group: Option<u32>,
    volumes: &'a [PlannedVolume],
    aliases: &'a [String],
}

impl Planner<'_> {
    fn container(&self, container: &Container) -> Result<PlannedContainer, PodError> {
        let identity = Identity {
            namespace: &self.launch.namespace,
            pod: &self.launch.pod,
        };
        let mut variables = environment(container, self.objects, &identity)?;
        for (name, value) in &self.launch.environment {
            variables.retain(|(known, _)| known != name);
            variables.push((name.clone(), value.clone()));
        }
        let known: BTreeMap<String, String> = variables.iter().cloned().collect();
        let full_name = format!(
            "{}-{}-{}-{}",
            self.place.prefix, self.launch.namespace, self.launch.pod, container.name
        );

        let mut options = vec![
            format!("--name={full_name}"),
            format!("--label={}", self.place.label),
            "--no-healthcheck".to_owned(),
            "--pull=never".to_owned(),
            format!("--pids-limit={PIDS}"),
        ];
        for (name, value) in &variables {
            options.push(format!("--env={name}={value}"));
        }
        if let Some(folder) = &container.working_dir {
            options.push(format!("--workdir={folder}"));
        }
        self.rights(container, &mut options)?;
        limits(container, &mut options)?;
        self.mounts(container, &mut options)?;

        let image = container
            .image
            .clone()
            .ok_or_else(|| unsupported(&container.name, "no image"))?;
        let mut command: Vec<String> = Vec::new();
        let given = |words: &Option<Vec<String>>| -> Vec<String> {
            words
                .iter()
                .flatten()
                .map(|word| expand(word, &known))
                .collect()
        };
        let words = given(&container.command);
        if let Some((first, _)) = words.split_first() {
            options.push(format!("--entrypoint={first}"));
        }
        command.push(image);
        command.extend(words.into_iter().skip(1));
        command.extend(
            self.launch
                .arguments
                .clone()
                .unwrap_or_else(|| given(&container.args)),
        );

        Ok(PlannedContainer {
            name: container.name.clone(),
            full_name,
            options,
            network: self.network(),
            command,
            pre_stop_s: pre_stop(container)?,
            ports: ports(container)?,
            readiness: container.readiness_probe.clone(),
            liveness: container.liveness_probe.clone(),
        })
    }

    /// In the network of its namespace a pod is found by the names of its Services, in the common one with
    /// the namespace behind them.
    fn network(&self) -> Vec<String> {
        let namespace = &self.launch.namespace;
        let prefix = &self.place.prefix;
        let names = |suffix: &str| -> String {
            self.aliases
                .iter()
                .map(|name| format!("alias={name}{suffix}"))
                .collect::<Vec<_>>()
                .join(",")
        };
        let mut network = vec![format!("--hostname={}", self.launch.pod)];
        for (name, aliases) in [
            (format!("{prefix}-{namespace}"), names("")),
            (prefix.clone(), names(&format!(".{namespace}"))),
        ] {
            let separator = if aliases.is_empty() { "" } else { ":" };
            network.push(format!("--network={name}{separator}{aliases}"));
        }
        network
    }

    fn rights(&self, container: &Container, options: &mut Vec<String>) -> Result<(), PodError> {
        let own = container.security_context.as_ref();
        let pod = self.spec.security_context.as_ref();
        let user = own
            .and_then(|c| c.run_as_user)
            .or_else(|| pod.and_then(|c| c.run_as_user));
        let group = own
            .and_then(|c| c.run_as_group)
            .or_else(|| pod.and_then(|c| c.run_as_group));
        let non_root = own
            .and_then(|c| c.run_as_non_root)
            .or_else(|| pod.and_then(|c| c.run_as_non_root))
            .unwrap_or(false);
        if non_root && user.is_none_or(|user| user == 0) {
            return Err(PodError::Render {
                name: container.name.clone(),
                problem: "runAsNonRoot without a user other than 0".to_owned(),
            });
        }
        if let Some(user) = user {
            options.push(format!("--user={user}:{}", group.unwrap_or(0)));
        }
        if let Some(group) = self.group {
            options.push(format!("--group-add={group}"));
        }
        let Some(own) = own else { return Ok(()) };
        if own.privileged == Some(true) {
            return Err(unsupported(&container.name, "privileged"));
        }
        if own.read_only_root_filesystem == Some(true) {
            options.push("--read-only".to_owned());
            options.push("--read-only-tmpfs=false".to_owned());
        }
        if own.allow_privilege_escalation == Some(false) {
            options.push("--security-opt=no-new-privileges".to_owned());
        }
        let Capabilities { add, drop } = own.capabilities.clone().unwrap_or_default();
        options.extend(
            drop.iter()
                .flatten()
                .map(|name| format!("--cap-drop={}", name.to_lowercase())),
        );
        options.extend(
            add.iter()
                .flatten()
                .map(|name| format!("--cap-add={}", name.to_lowercase())),
        );
        Ok(())
    }

    fn mounts(&self, container: &Container, options: &mut Vec<String>) -> Result<(), PodError> {
        for mount in container.volume_mounts.iter().flatten() {
            if mount.sub_path_expr.is_some() {
                return Err(unsupported(&container.name, "subPathExpr"));
            }
            let volume = self
                .volumes
                .iter()
                .find(|volume| volume.name == mount.name)
                .ok_or_else(|| PodError::Missing {
                    place: format!("container `{}`", container.name),
                    kind: "the volume",
                    name: mount.name.clone(),
                })?;
            let target = &mount.mount_path;
            if let Content::Memory { bytes } = volume.content {
                let size = bytes
                    .map(|bytes| format!(",size={bytes}"))
                    .unwrap_or_default();
                options.push(format!("--tmpfs={target}:mode=1777{size}"));
                continue;
            }
            let source = match &mount.sub_path {
                None => volume.path.clone(),
                Some(path) => volume.path.join(path),
            };
            let read_only =
                mount.read_only == Some(true) || matches!(volume.content, Content::Files(_));
            let read_only = if read_only { ",readonly=true" } else { "" };
            options.push(format!(
                "--mount=type=bind,source={},destination={target}{read_only}",
                source.display()
            ));
        }
        Ok(())
    }
}

fn limits(container: &Container, options: &mut Vec<String>) -> Result<(), PodError> {
    let limits = container
        .resources
        .as_ref()
        .and_then(|resources| resources.limits.as_ref());
    let Some(limits) = limits else { return Ok(()) };
    if let Some(memory) = limits.get("memory") {
        let memory = bytes(memory)?;
        options.push(format!("--memory={memory}b"));
        options.push(format!("--memory-swap={memory}b"));
    }
    if let Some(cpu) = limits.get("cpu") {
        options.push(format!("--cpus={}", cores(cpu)?));
    }
    Ok(())
}

fn pre_stop(container: &Container) -> Result<u64, PodError> {
    let Some(hook) = container
        .lifecycle
        .as_ref()
        .and_then(|lifecycle| lifecycle.pre_stop.as_ref())
    else {
        return Ok(0);
    };
    hook.sleep
        .as_ref()
        .and_then(|sleep| u64::try_from(sleep.seconds).ok())
        .ok_or_else(|| unsupported(&container.name, "preStop other than sleep"))
}

fn ports(container: &Container) -> Result<BTreeMap<String, u16>, PodError> {
    let mut ports = BTreeMap::new();
    for port in container.ports.iter().flatten() {
        let number = u16::try_from(port.container_port)
            .map_err(|_| unsupported(&container.name, &format!("port {}", port.container_port)))?;
        ports.insert(
            port.name.clone().unwrap_or_else(|| number.to_string()),
            number,
        );
    }
    Ok(ports)
}

/// The number of a port that a probe names.
pub(super) fn port(port: &IntOrString, ports: &BTreeMap<String, u16>) -> Option<u16> {
    match port {
        IntOrString::Int(number) => u16::try_from(*number).ok(),
        IntOrString::String(name) => ports.get(name).copied(),
    }
}

fn volumes(
    spec: &PodSpec,
    objects: &Objects,
    launch: &Launch,
    place: &Place,
) -> Result<Vec<PlannedVolume>, PodError> {
    let own = place
        .folder
        .join("pods")
        .join(&launch.namespace)
        .join(&launch.pod);
    let kept = place.folder.join("claims").join(&launch.namespace);
    let mut planned: Vec<PlannedVolume> = launch
        .claims
        .iter()
        .map(|name| PlannedVolume {
            name: name.clone(),
            path: kept.join(format!("{name}-{}", launch.pod)),
            content: Content::Claim,
        })
        .collect();
    for volume in spec.volumes.iter().flatten() {
        let reader = Reader {
            objects,
            namespace: &launch.namespace,
            volume: &volume.name,
        };
        let path = own.join(&volume.name);
        let (path, content) = if let Some(claim) = &volume.persistent_volume_claim {
            (kept.join(&claim.claim_name), Content::Claim)
        } else {
            (path, reader.content(volume)?)
        };
        planned.push(PlannedVolume {
            name: volume.name.clone(),
            path,
            content,
        });
    }
    Ok(planned)
}

/// Reads what a volume holds.
struct Reader<'a> {
    objects: &'a Objects,
    namespace: &'a str,
    volume: &'a str,
}

impl Reader<'_> {
    fn content(&self, volume: &Volume) -> Result<Content, PodError> {
        if let Some(map) = &volume.config_map {
            return self.config_map(map).map(Content::Files);
        }
        if let Some(secret) = &volume.secret {
            return self.secret(secret).map(Content::Files);
        }
        if let Some(projected) = &volume.projected {
            return self.projected(projected).map(Content::Files);
        }
        if let Some(empty) = &volume.empty_dir {
            let limit = empty.size_limit.as_ref().map(bytes).transpose()?;
            return Ok(match empty.medium.as_deref() {
                Some("Memory") => Content::Memory { bytes: limit },
                _ => Content::Scratch { limit },
            });
        }
        if volume.ephemeral.is_some() {
            return Ok(Content::Scratch { limit: None });
        }
        Err(unsupported(self.volume, "a volume of this kind"))
    }

    fn config_map(&self, source: &ConfigMapVolumeSource) -> Result<Files, PodError> {
        let values = &self.objects.config_maps;
        let mode = source.default_mode.unwrap_or(0o644);
        self.files(
            "the ConfigMap",
            values,
            &source.name,
            source.items.as_deref(),
            mode,
            source.optional,
        )
    }

    fn secret(&self, source: &SecretVolumeSource) -> Result<Files, PodError> {
        let name = source.secret_name.clone().unwrap_or_default();
        let mode = source.default_mode.unwrap_or(0o644);
        self.files(
            "the Secret",
            &self.objects.secrets,
            &name,
            source.items.as_deref(),
            mode,
            source.optional,
        )
    }

    fn projected(&self, source: &ProjectedVolumeSource) -> Result<Files, PodError> {
        let mode = source.default_mode.unwrap_or(0o644);
        let mut files = Files::new();
        for source in source.sources.iter().flatten() {
            if let Some(map) = &source.config_map {
                let values = &self.objects.config_maps;
                files.extend(self.files(
                    "the ConfigMap",
                    values,
                    &map.name,
                    map.items.as_deref(),
                    mode,
                    map.optional,
                )?);
            } else if let Some(secret) = &source.secret {
                let values = &self.objects.secrets;
                files.extend(self.files(
                    "the Secret",
                    values,
                    &secret.name,
                    secret.items.as_deref(),
                    mode,
                    secret.optional,
                )?);
            } else {
                return Err(unsupported(self.volume, "a projected source of this kind"));
            }
        }
        Ok(files)
    }

    fn files(
        &self,
        kind: &'static str,
        objects: &BTreeMap<(String, String), BTreeMap<String, String>>,
        name: &str,
        items: Option<&[KeyToPath]>,
        mode: i32,
        optional: Option<bool>,
    ) -> Result<Files, PodError> {
        let missing = |name: String| PodError::Missing {
            place: format!("volume `{}`", self.volume),
            kind,
            name,
        };
        let Some(values) = objects.get(&(self.namespace.to_owned(), name.to_owned())) else {
            if optional == Some(true) {
                return Ok(Files::new());
            }
            return Err(missing(format!("{}/{name}", self.namespace)));
        };
        let mode = mode.unsigned_abs();
        let Some(items) = items else {
            return Ok(values
                .iter()
                .map(|(key, value)| (key.clone(), (value.clone(), mode)))
                .collect());
        };
        let mut files = Files::new();
        for item in items {
            match values.get(&item.key) {
                Some(value) => {
                    let mode = item.mode.map_or(mode, i32::unsigned_abs);
                    files.insert(item.path.clone(), (value.clone(), mode));
                }
                None if optional == Some(true) => {}
                None => {
                    return Err(missing(format!(
                        "{}/{name}, key {}",
                        self.namespace, item.key
                    )));
                }
            }
        }
        Ok(files)
    }
}

/// A quantity of memory in bytes.
pub(super) fn bytes(quantity: &Quantity) -> Result<u64, PodError> {
    let text = quantity.0.as_str();
    let split = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return Err(unsupported("resources", text)),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| unsupported("resources", text))
}

/// A quantity of processor time as podman writes it.
pub(super) fn cores(quantity: &Quantity) -> Result<String, PodError> {
    let text = quantity.0.as_str();
    let milli = match text.strip_suffix('m') {
        Some(milli) => milli.parse::<u64>().ok(),
        None => text
            .parse::<u64>()
            .ok()
            .and_then(|cores| cores.checked_mul(1000)),
    };
    let milli = milli.ok_or_else(|| unsupported("resources", text))?;
    Ok(format!("{}.{:03}", milli / 1000, milli % 1000))
}

fn number(id: i64) -> Result<u32, PodError> {
    u32::try_from(id).map_err(|_| unsupported("securityContext", &id.to_string()))
}

fn unsupported(place: &str, field: &str) -> PodError {
    PodError::Unsupported {
        place: place.to_owned(),
        field: field.to_owned(),
    }
}

impl Place {
    /// The folder of a pod's own volumes.
    pub(super) fn own(&self, launch: &Launch) -> PathBuf {
        self.folder
            .join("pods")
            .join(&launch.namespace)
            .join(&launch.pod)
    }

    /// The folder of a claim.
    pub(super) fn claim(&self, namespace: &str, name: &str) -> PathBuf {
        Path::new(&self.folder)
            .join("claims")
            .join(namespace)
            .join(name)
    }
}
