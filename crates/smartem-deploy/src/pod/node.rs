//! The machine that pods run on: its networks and folders, made for one program and removed with it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use k8s_openapi::api::core::v1::PodTemplateSpec;

use super::files;
use super::plan::{Content, Launch, Place, Plan};
use super::podman::podman;
use super::running::{End, Pod};
use super::{Objects, PodError, Workload};

/// Everything that is made has this label, with the id of the program that made it.
const LABEL: &str = "smartem.e2e.program";

/// A machine for pods. All that it made is removed when it is dropped, and what a program left that did not
/// come so far is removed at the next start.
pub struct Node {
    place: Place,
    networks: Mutex<BTreeSet<String>>,
}

impl Node {
    /// Begins below `folder`, which is for nothing else.
    pub fn start(folder: &Path) -> Result<Self, PodError> {
        let program = std::process::id();
        remove_left_overs(folder)?;
        let place = Place {
            folder: folder.join(program.to_string()),
            prefix: format!("se{program}"),
            label: format!("{LABEL}={program}"),
        };
        make_folder(&place.folder)?;
        let node = Self {
            place,
            networks: Mutex::new(BTreeSet::new()),
        };
        node.network(&node.place.prefix)?;
        Ok(node)
    }

    /// The first part of all names of containers.
    pub fn prefix(&self) -> &str {
        &self.place.prefix
    }

    fn network(&self, name: &str) -> Result<(), PodError> {
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        if networks.insert(name.to_owned()) {
            podman(&["network", "create", "--label", &self.place.label, name])?;
        }
        Ok(())
    }

    /// Where the claim of a namespace lies on this machine.
    pub fn claim(&self, namespace: &str, name: &str) -> PathBuf {
        self.place.claim(namespace, name)
    }

    /// Runs the init containers to their end and starts the containers.
    pub fn run(
        &self,
        template: &PodTemplateSpec,
        objects: &Objects,
        launch: &Launch,
    ) -> Result<Pod, PodError> {
        self.network(&format!("{}-{}", self.place.prefix, launch.namespace))?;
        let plan = Plan::new(template, objects, launch, &self.place)?;
        for volume in &plan.volumes {
            match &volume.content {
                Content::Files(values) => files::write(&volume.path, values, plan.group)?,
                Content::Scratch { .. } | Content::Claim => {
                    let new = !volume.path.exists();
                    make_folder(&volume.path)?;
                    // As fsGroup does: the group owns the folder, and what is made in it.
                    if new && let Some(group) = plan.group {
                        at(&volume.path, chown(&volume.path, None, Some(group)))?;
                        at(
                            &volume.path,
                            fs::set_permissions(&volume.path, fs::Permissions::from_mode(0o2775)),
                        )?;
                    }
                }
                Content::Memory { .. } => {}
            }
        }
        Pod::start(plan, template.clone(), launch.clone(), self.place.clone())
    }

    /// Runs the pod of a workload of the render, under this name.
    pub fn workload(
        &self,
        objects: &Objects,
        workload: Workload,
        name: &str,
        launch: &Launch,
    ) -> Result<Pod, PodError> {
        let template = objects.template(workload, &launch.namespace, name)?.clone();
        let mut launch = launch.clone();
        if workload == Workload::StatefulSet {
            launch.claims = objects.claims(&launch.namespace, name);
        }
        self.run(&template, objects, &launch)
    }

    /// Runs the pod of a `CronJob` to its end.
    pub fn job(&self, objects: &Objects, name: &str, launch: &Launch) -> Result<End, PodError> {
        let pod = self.workload(objects, Workload::CronJob, name, launch)?;
        pod.wait(std::time::Duration::from_secs(600))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let program = std::process::id().to_string();
        let _ = remove_of(&program);
        let _ = fs::remove_dir_all(&self.place.folder);
    }
}

/// Removes what programs left that run no more.
fn remove_left_overs(folder: &Path) -> Result<(), PodError> {
    let mut programs = BTreeSet::new();
    let format = format!("{{{{index .Labels \"{LABEL}\"}}}}");
    let filter = format!("label={LABEL}");
    let containers = podman(&["ps", "--all", "--filter", &filter, "--format", &format])?;
    let networks = podman(&[
        "network",
        "ls",
        "--filter",
        &filter,
        "--format",
        "{{.Labels}}",
    ])?;
    programs.extend(containers.lines().map(str::to_owned));
    for labels in networks.lines() {
        let mine = labels
            .split(',')
            .find_map(|label| label.trim().strip_prefix(LABEL)?.strip_prefix('='));
        programs.extend(mine.map(str::to_owned));
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        programs.extend(entry.file_name().into_string().ok());
    }
    for program in programs {
        let alive = program
            .parse::<u32>()
            .is_ok_and(|id| Path::new(&format!("/proc/{id}")).exists());
        if program.chars().all(|c| c.is_ascii_digit()) && !program.is_empty() && !alive {
            remove_of(&program)?;
            let left = folder.join(&program);
            if left.exists() {
                at(&left, fs::remove_dir_all(&left))?;
            }
        }
    }
    Ok(())
}

/// Removes the containers and networks that a program made.
fn remove_of(program: &str) -> Result<(), PodError> {
    let filter = format!("label={LABEL}={program}");
    let containers = podman(&["ps", "--all", "--quiet", "--filter", &filter])?;
    for id in containers.lines() {
        podman(&["rm", "--force", "--time", "0", id])?;
    }
    let networks = podman(&["network", "ls", "--quiet", "--filter", &filter])?;
    for name in networks.lines() {
        podman(&["network", "rm", "--force", name])?;
    }
    Ok(())
}

fn make_folder(path: &Path) -> Result<(), PodError> {
    at(path, fs::create_dir_all(path))
}

pub(super) fn at<T>(path: &Path, result: std::io::Result<T>) -> Result<T, PodError> {
    result.map_err(|source| PodError::File {
        path: path.to_owned(),
        source,
    })
}
