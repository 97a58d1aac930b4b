//! From templates to arguments, without podman.

use std::collections::BTreeMap;
use std::path::PathBuf;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::environment::expand;
use super::files::{self, Files};
use super::plan::{Content, Place, bytes, cores};
use super::{Launch, Objects, Plan, PodError, Workload};

const RENDER: &str = r"
apiVersion: v1
kind: ConfigMap
metadata: {name: postgres-abc12, namespace: area}
data: {host: pgbouncer, port: '5432'}
---
apiVersion: v1
kind: Service
metadata: {name: door, namespace: area}
spec: {selector: {app: server}}
---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: area}
spec: {selector: {app: another}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: server, namespace: area}
spec:
  serviceName: door
  selector: {matchLabels: {app: server}}
  template:
    metadata: {labels: {app: server, more: than-that}}
    spec:
      terminationGracePeriodSeconds: 60
      securityContext: {runAsUser: 65532, runAsGroup: 65532, runAsNonRoot: true, fsGroup: 65532}
      initContainers:
      - name: before
        image: tool:1
        command: [/bin/sh, -c, 'echo $(HOST)']
        env:
        - {name: HOST, valueFrom: {configMapKeyRef: {name: postgres-abc12, key: host}}}
      containers:
      - name: main
        image: program:2
        args: [serve, '$(URL)', '$(UNKNOWN)', '$$(URL)']
        workingDir: /etc/program
        env:
        - {name: HOST, valueFrom: {configMapKeyRef: {name: postgres-abc12, key: host}}}
        - {name: NONE, valueFrom: {configMapKeyRef: {name: none, key: none, optional: true}}}
        - {name: PASSWORD, valueFrom: {secretKeyRef: {name: login, key: password}}}
        - {name: URL, value: 'x://$(HOST)/$(LATER)'}
        - {name: LATER, value: unknown above}
        ports: [{name: http, containerPort: 8080}]
        lifecycle: {preStop: {sleep: {seconds: 5}}}
        resources: {limits: {memory: 64Mi, cpu: 250m}}
        securityContext:
          allowPrivilegeEscalation: false
          readOnlyRootFilesystem: true
          capabilities: {drop: [ALL]}
        volumeMounts:
        - {name: data, mountPath: /data}
        - {name: login, mountPath: /run/login, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        - {name: fast, mountPath: /fast}
      volumes:
      - {name: login, secret: {secretName: login, defaultMode: 288}}
      - {name: tmp, emptyDir: {sizeLimit: 16Mi}}
      - {name: fast, emptyDir: {medium: Memory, sizeLimit: 1Mi}}
  volumeClaimTemplates:
  - metadata: {name: data}
";

fn objects() -> Objects {
    let mut objects = Objects::read(RENDER).unwrap();
    objects.put_secret("area", "login", "password", "tells-nobody");
    objects
}

fn place() -> Place {
    Place {
        folder: PathBuf::from("/place"),
        prefix: "pre".to_owned(),
        label: "made=by".to_owned(),
    }
}

fn plan_of(objects: &Objects) -> Result<Plan, PodError> {
    let mut launch = Launch::new("area", "server-0");
    launch.claims = objects.claims("area", "server");
    let template = objects.template(Workload::StatefulSet, "area", "server")?;
    Plan::new(template, objects, &launch, &place())
}

fn template(change: impl FnOnce(&mut PodTemplateSpec)) -> PodTemplateSpec {
    let objects = objects();
    let mut template = objects
        .template(Workload::StatefulSet, "area", "server")
        .unwrap()
        .clone();
    change(&mut template);
    template
}

#[test]
fn a_container_is_given_all_that_its_template_says() {
    let plan = plan_of(&objects()).unwrap();
    let main = &plan.containers[0];
    let mut wanted = vec![
        "--name=pre-area-server-0-main",
        "--label=made=by",
        "--no-healthcheck",
        "--pull=never",
        "--pids-limit=1024",
        "--env=HOST=pgbouncer",
        "--env=PASSWORD=tells-nobody",
        "--env=URL=x://pgbouncer/$(LATER)",
        "--env=LATER=unknown above",
        "--workdir=/etc/program",
        "--user=65532:65532",
        "--group-add=65532",
        "--read-only",
        "--read-only-tmpfs=false",
        "--security-opt=no-new-privileges",
        "--cap-drop=all",
        "--memory=67108864b",
        "--memory-swap=67108864b",
        "--cpus=0.250",
        "--mount=type=bind,source=/place/claims/area/data-server-0,destination=/data",
        "--mount=type=bind,source=/place/pods/area/server-0/login,destination=/run/login,readonly=true",
        "--mount=type=bind,source=/place/pods/area/server-0/tmp,destination=/tmp",
        "--tmpfs=/fast:mode=1777,size=1048576",
    ];
    assert_eq!(main.options, wanted);
    assert_eq!(
        main.command,
        [
            "program:2",
            "serve",
            "x://pgbouncer/$(LATER)",
            "$(UNKNOWN)",
            "$(URL)"
        ]
    );
    assert_eq!(main.ports, BTreeMap::from([("http".to_owned(), 8080)]));
    assert_eq!(
        (main.pre_stop_s, plan.grace_s, plan.group),
        (5, 60, Some(65532))
    );

    wanted = vec![
        "--hostname=server-0",
        "--network=pre-area:alias=door",
        "--network=pre:alias=door.area",
    ];
    assert_eq!(main.network, wanted);
}

#[test]
fn a_command_takes_the_place_of_the_entry_point() {
    let plan = plan_of(&objects()).unwrap();
    let before = &plan.init[0];
    assert!(
        before.options.contains(&"--entrypoint=/bin/sh".to_owned()),
        "{:?}",
        before.options
    );
    assert_eq!(before.command, ["tool:1", "-c", "echo pgbouncer"]);
}

#[test]
fn scratch_has_its_limit_and_secrets_their_mode() {
    let plan = plan_of(&objects()).unwrap();
    let content = |name: &str| {
        plan.volumes
            .iter()
            .find(|volume| volume.name == name)
            .unwrap()
            .content
            .clone()
    };
    assert_eq!(
        content("tmp"),
        Content::Scratch {
            limit: Some(16 << 20)
        }
    );
    assert_eq!(content("data"), Content::Claim);
    let login = Files::from([("password".to_owned(), ("tells-nobody".to_owned(), 0o440))]);
    assert_eq!(content("login"), Content::Files(login));
}

#[test]
fn what_is_missing_is_named() {
    let mut without = objects();
    without.secrets.clear();
    let error = plan_of(&without).unwrap_err().to_string();
    assert_eq!(
        error,
        "volume `login` names the Secret `area/login`, which is not there"
    );

    let mut without = objects();
    without.config_map("area", "postgres-abc12").remove("host");
    let error = plan_of(&without).unwrap_err().to_string();
    assert_eq!(
        error,
        "container `before`, variable HOST names the ConfigMap `area/postgres-abc12, key host`, which is not there"
    );
}

#[test]
fn what_is_not_supported_is_refused() {
    let objects = objects();
    let refused = |template: &PodTemplateSpec| {
        Plan::new(
            template,
            &objects,
            &Launch::new("area", "server-0"),
            &place(),
        )
        .unwrap_err()
        .to_string()
    };
    let host = template(|template| template.spec.as_mut().unwrap().host_network = Some(true));
    assert!(
        refused(&host).contains("`hostNetwork`"),
        "{}",
        refused(&host)
    );
    let root = template(|template| {
        template
            .spec
            .as_mut()
            .unwrap()
            .security_context
            .as_mut()
            .unwrap()
            .run_as_user = Some(0);
    });
    assert!(
        refused(&root).contains("runAsNonRoot"),
        "{}",
        refused(&root)
    );
    let sub_path = template(|template| {
        let containers = &mut template.spec.as_mut().unwrap().containers;
        containers[0].volume_mounts.as_mut().unwrap()[1].sub_path_expr = Some("x".to_owned());
    });
    let mut launch = Launch::new("area", "server-0");
    launch.claims = vec!["data".to_owned()];
    let error = Plan::new(&sub_path, &objects, &launch, &place())
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "main: `subPathExpr` is not supported by the pods of the tests"
    );
}

#[test]
fn names_are_expanded_as_kubernetes_does() {
    let known = BTreeMap::from([
        ("A".to_owned(), "1".to_owned()),
        ("B".to_owned(), "$(A)".to_owned()),
    ]);
    for (text, wanted) in [
        ("$(A)-$(B)", "1-$(A)"),
        ("$$(A)", "$(A)"),
        ("$(C) $A $", "$(C) $A $"),
        ("$$$(A)", "$1"),
        ("$(A", "$(A"),
    ] {
        assert_eq!(expand(text, &known), wanted, "{text}");
    }
}

#[test]
fn quantities_are_read() {
    let memory = |text: &str| bytes(&Quantity(text.to_owned())).ok();
    assert_eq!(memory("64Mi"), Some(64 << 20));
    assert_eq!(memory("2G"), Some(2_000_000_000));
    assert_eq!(memory("512"), Some(512));
    assert_eq!(memory("1.5Gi"), None);
    let cpu = |text: &str| cores(&Quantity(text.to_owned())).ok();
    assert_eq!(cpu("1").as_deref(), Some("1.000"));
    assert_eq!(cpu("50m").as_deref(), Some("0.050"));
    assert_eq!(cpu("x"), None);
}

#[test]
fn files_are_swapped_in_one_step() {
    let folder = tempfile::tempdir().unwrap();
    let volume = folder.path().join("volume");
    let of = |value: &str| Files::from([("password".to_owned(), (value.to_owned(), 0o400))]);
    files::write(&volume, &of("old"), None).unwrap();
    let before = std::fs::read_link(volume.join("..data")).unwrap();
    assert_eq!(
        std::fs::read_to_string(volume.join("password")).unwrap(),
        "old"
    );
    files::write(&volume, &of("new"), None).unwrap();
    let after = std::fs::read_link(volume.join("..data")).unwrap();
    assert_eq!(
        std::fs::read_to_string(volume.join("password")).unwrap(),
        "new"
    );
    assert_ne!(before, after);
    assert!(!volume.join(before).exists());
    assert_eq!(
        std::fs::read_link(volume.join("password")).unwrap(),
        PathBuf::from("..data/password")
    );
}
