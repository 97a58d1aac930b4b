//! The platform of the overlay `generic`: its objects, Secrets that are made for the test, and its pods.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::PodTemplateSpec;
use smartem_deploy::pod::{self, End, Launch, Node, Objects, Pod, Workload};

use crate::Told;

pub(crate) const AREA: &str = "smartemission";
pub(crate) const COLLECTORS: &str = "collectors";
const USER: u32 = 65532;

/// So long a pod may take to be ready.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Pods that go on between scenarios.
pub(crate) struct Platform {
    // Dropped in this order: pods before the node.
    pub(crate) pods: BTreeMap<String, Pod>,
    pub(crate) objects: Objects,
    pub(crate) node: Node,
    certificates: PathBuf,
    runs: u32,
}

impl Platform {
    pub(crate) fn start() -> Result<Self, String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let rendered = root.join("deploy/kubernetes/rendered");
        let read = |name: &str| {
            let path = rendered.join(name);
            fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
        };
        let mut objects = Objects::read(&read("generic.yaml")?).unwrap();
        let local = Objects::read(&read("local.yaml")?).unwrap();
        objects.take_workload(
            &local,
            Workload::StatefulSet,
            AREA,
            "postgres",
            "postgres-server",
        );

        for (image, command) in [
            ("smartem", ["--version"].as_slice()),
            ("postgres", &["true"]),
        ] {
            let name = image_of(&root, image);
            pod::available(&name, command).map_err(|error| error.to_string())?;
        }

        let folder = Path::new("/var/tmp/smartem-e2e");
        let node = Node::start(folder).map_err(|error| error.to_string())?;
        let certificates = node.claim(AREA, "data-postgres-0");
        let mut platform = Self {
            pods: BTreeMap::new(),
            objects,
            node,
            certificates,
            runs: 0,
        };
        platform.make_secrets();
        platform.configure();
        Ok(platform)
    }

    /// Passwords, hashes and certificates, as scripts/make-secrets.sh and cert-manager make them.
    fn make_secrets(&mut self) {
        let objects = &mut self.objects;
        for role in ["admin", "owner", "api", "writer"] {
            let password = format!("{role}-of-the-test");
            objects.put_secret(AREA, &format!("postgres-{role}"), "password", &password);
        }
        objects.put_secret(
            COLLECTORS,
            "postgres-writer",
            "password",
            "writer-of-the-test",
        );
        self.put_user_list("api-of-the-test");
        for space in [AREA, COLLECTORS] {
            for role in ["admin", "writer", "reader"] {
                let name = format!("influxdb-{role}");
                self.objects.put_secret(space, &name, "username", role);
                // With what hurts in a statement.
                self.objects
                    .put_secret(space, &name, "password", &format!("{role}'s \\ \"pass\""));
            }
        }

        let folder = tempfile::tempdir().unwrap();
        let key = folder.path().join("tls.key");
        let certificate = folder.path().join("tls.crt");
        let made = Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ])
            .args(["-subj", "/CN=pgbouncer", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let (key, certificate) = (
            fs::read_to_string(key).unwrap(),
            fs::read_to_string(certificate).unwrap(),
        );
        self.objects
            .put_secret(AREA, "pgbouncer-tls", "tls.key", &key);
        self.objects
            .put_secret(AREA, "pgbouncer-tls", "tls.crt", &certificate);

        // The server's own, beside its cluster; it wants a key that nobody else can read.
        fs::create_dir_all(&self.certificates).unwrap();
        fs::set_permissions(&self.certificates, fs::Permissions::from_mode(0o2770)).unwrap();
        chown(&self.certificates, Some(USER), Some(USER)).unwrap();
        for (name, text) in [("tls.key", &key), ("tls.crt", &certificate)] {
            let path = self.certificates.join(name);
            fs::write(&path, text).unwrap();
            chown(&path, Some(USER), Some(USER)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }

        let image = image_of(
            &Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."),
            "mosquitto",
        );
        let script = "cd /tmp && touch passwd && chmod 0600 passwd && mosquitto_passwd -b passwd collect of-the-test 2>/dev/null && cat passwd";
        let hashes = pod::podman(&[
            "run",
            "--rm",
            "--network=none",
            "--entrypoint=/bin/sh",
            &image,
            "-c",
            script,
        ])
        .unwrap();
        self.objects
            .put_secret(AREA, "mosquitto", "passwd", &format!("{hashes}\n"));
        self.objects
            .put_secret(COLLECTORS, "mosquitto-collect", "password", "of-the-test");
    }

    pub(crate) fn put_user_list(&mut self, api: &str) {
        let list =
            format!("\"smartem_writer\" \"writer-of-the-test\"\n\"smartem_api\" \"{api}\"\n");
        self.objects
            .put_secret(AREA, "pgbouncer", "userlist.txt", &list);
    }

    /// A remote to harvest, and TLS for the server.
    fn configure(&mut self) {
        let name = self.objects.config_map_name(AREA, "smartem").unwrap();
        let settings = self
            .objects
            .config_map(AREA, &name)
            .get_mut("smartem.toml")
            .unwrap();
        settings.push_str("\n[[process.harvester-whale.source]]\nname = \"city\"\nurl = \"http://whale:8091/sensors/v1\"\n");
        let name = self.objects.config_map_name(COLLECTORS, "smartem").unwrap();
        let settings = self
            .objects
            .config_map(COLLECTORS, &name)
            .get_mut("smartem.toml")
            .unwrap();
        settings.push_str("\n[[collect.database]]\nname = \"load\"\n");
        let name = self
            .objects
            .config_map_name(AREA, "postgres-server")
            .unwrap();
        let start = self
            .objects
            .config_map(AREA, &name)
            .get_mut("start.sh")
            .unwrap();
        let plain = "-c password_encryption=scram-sha-256";
        assert!(start.contains(plain), "{start}");
        let folder = "/var/lib/postgresql/data";
        let with = format!(
            "{plain} -c ssl=on -c ssl_cert_file={folder}/tls.crt -c ssl_key_file={folder}/tls.key"
        );
        *start = start.replace(plain, &with);
    }

    /// Starts again what a scenario that failed has left out.
    pub(crate) fn mend(&mut self) {
        for (workload, namespace, object, name) in [
            (Workload::StatefulSet, AREA, "postgres", "postgres-0"),
            (Workload::Deployment, AREA, "pgbouncer", "pgbouncer-a"),
            (Workload::StatefulSet, AREA, "influxdb", "influxdb-0"),
            (Workload::Deployment, AREA, "serve", "serve-a"),
            (Workload::StatefulSet, COLLECTORS, "collect", "collect-0"),
        ] {
            let missing = !self.pods.keys().any(|known| {
                known == &format!("{namespace}/{name}")
                    || (object == "serve" && known.starts_with("smartemission/serve"))
            });
            if missing {
                self.up(workload, namespace, object, name);
            }
        }
    }

    /// Starts a workload as pod `name` and waits until it is ready.
    pub(crate) fn up(
        &mut self,
        workload: Workload,
        namespace: &str,
        object: &str,
        name: &str,
    ) -> Duration {
        let launch = Self::launch(namespace, object, name);
        let begin = Instant::now();
        let pod = self
            .node
            .workload(&self.objects, workload, object, &launch)
            .unwrap();
        pod.wait_ready(PATIENCE).unwrap();
        let took = begin.elapsed();
        self.pods.insert(format!("{namespace}/{name}"), pod);
        took
    }

    fn launch(namespace: &str, object: &str, name: &str) -> Launch {
        let mut launch = Launch::new(namespace, name);
        if object == "postgres" {
            // Found from other namespaces too, as the ExternalName Service has it.
            launch.aliases.push("postgres".to_owned());
        }
        launch
    }

    /// Starts a pod of a `CronJob` under a name of its own.
    pub(crate) fn begin(&mut self, job: &str, arguments: Option<&[&str]>) -> Pod {
        let launch = self.job_launch(job, arguments);
        self.node
            .workload(&self.objects, Workload::CronJob, job, &launch)
            .unwrap()
    }

    pub(crate) fn job_launch(&mut self, job: &str, arguments: Option<&[&str]>) -> Launch {
        self.runs += 1;
        let mut launch = Launch::new(AREA, &format!("{job}-{}", self.runs));
        launch.arguments = arguments.map(|words| words.iter().map(ToString::to_string).collect());
        launch
    }

    /// Runs a pod of a `CronJob` to its end.
    pub(crate) fn run(&mut self, job: &str) -> End {
        self.begin(job, None)
            .wait(Duration::from_secs(600))
            .unwrap()
    }

    /// Runs it and wants 0.
    pub(crate) fn done(&mut self, job: &str) -> End {
        let end = self.run(job);
        assert_eq!(end.code, 0, "{job}: {}", end.logs);
        assert_eq!(end.over, None, "{job}");
        end
    }

    pub(crate) fn pod(&self, namespace: &str, name: &str) -> &Pod {
        &self.pods[&format!("{namespace}/{name}")]
    }

    /// Asks the database as its administrator.
    pub(crate) fn sql(&self, statement: &str) -> String {
        let query = [
            "psql",
            "-h",
            "/tmp",
            "-U",
            "postgres",
            "-d",
            "smartem",
            "-qAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            statement,
        ];
        self.pod(AREA, "postgres-0").exec(&query).unwrap()
    }

    /// What is stored, so that two states can be compared: records, hours and observations with all that
    /// does not depend on when or by whom they were written.
    pub(crate) fn state(&self) -> String {
        self.sql(
            "SELECT (SELECT count(*) FROM smartem_raw.raw_record) || ' records, ' ||
                (SELECT count(*) FROM smartem_refined.observation) || ' observations, ' ||
                (SELECT md5(coalesce(string_agg(line, E'\\n' ORDER BY line), '')) FROM (
                    SELECT concat_ws('|', t.id, s.indicator, s.sensor, s.unit, o.start_time, o.end_time, o.value,
                        o.min, o.max, o.raw, o.coverage, ST_AsText(o.point), o.accepted, o.rejected, o.flags) AS line
                    FROM smartem_refined.observation o JOIN smartem_refined.series s ON s.key = o.series_key
                        JOIN smartem.station t ON t.key = s.station_key) AS lines)",
        )
    }

    /// Starts a simulated remote of this many stations over so many hours, in place of the one before.
    pub(crate) fn remote(&mut self, stations: u32, since: &str) {
        self.pods.remove("smartemission/whale");
        let mut text = String::new();
        let _ = write!(
            text,
            "{{\"spec\": {{\"securityContext\": {{\"runAsUser\": {USER}, \"runAsGroup\": {USER}}}, \"containers\": [{{
                \"name\": \"whale\", \"image\": \"{}\",
                \"args\": [\"simulate\", \"whale\", \"--listen\", \"0.0.0.0:8091\", \"--stations\", \"{stations}\",
                    \"--since\", \"{since}\", \"--until\", \"2026-11-02T00:00:00Z\", \"--log\", \"json\"],
                \"workingDir\": \"/etc/smartem\",
                \"ports\": [{{\"name\": \"http\", \"containerPort\": 8091}}],
                \"readinessProbe\": {{\"tcpSocket\": {{\"port\": \"http\"}}}},
                \"securityContext\": {{\"readOnlyRootFilesystem\": true, \"capabilities\": {{\"drop\": [\"ALL\"]}}}}
            }}]}}}}",
            image_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."), "smartem")
        );
        let template: PodTemplateSpec = serde_json::from_str(&text).unwrap();
        let mut launch = Launch::new(AREA, "whale");
        launch.aliases.push("whale".to_owned());
        let pod = self.node.run(&template, &self.objects, &launch).unwrap();
        pod.wait_ready(PATIENCE).unwrap();
        self.pods.insert(format!("{AREA}/whale"), pod);
    }

    /// Forgets all that was taken in.
    pub(crate) fn forget(&self) {
        self.sql(
            "TRUNCATE smartem_raw.raw_record, smartem_raw.raw_payload, smartem_refined.observation,
                smartem_refined.station_hour, smartem_refined.series, smartem.checkpoint, smartem.source_reach,
                smartem.quarantine, smartem_rt.last_value, smartem.location, smartem.station CASCADE",
        );
    }
}

/// Which image a key of deploy/images.toml is.
fn image_of(root: &Path, key: &str) -> String {
    let text = fs::read_to_string(root.join("deploy/images.toml")).unwrap();
    let table: toml::Table = text.parse().unwrap();
    table["images"][key].as_str().unwrap().to_owned()
}

/// On an empty database, in the order in which a person applies things.
pub(crate) fn first_start(platform: &mut Platform) -> Told {
    platform.up(Workload::StatefulSet, AREA, "postgres", "postgres-0");
    platform.up(Workload::Deployment, AREA, "pgbouncer", "pgbouncer-a");

    // Not migrated: a person is needed.
    let early = platform.run("etl-refiner");
    assert_eq!(early.code, 78, "{}", early.logs);

    platform.done("store-migrate");
    platform.done("store-migrate");
    let serve = platform.up(Workload::Deployment, AREA, "serve", "serve-a");
    platform.up(Workload::StatefulSet, AREA, "influxdb", "influxdb-0");
    platform.up(Workload::StatefulSet, COLLECTORS, "influxdb", "influxdb-0");
    platform.up(Workload::StatefulSet, AREA, "mosquitto", "mosquitto-0");
    let collect = platform.up(Workload::StatefulSet, COLLECTORS, "collect", "collect-0");
    for (space, database) in [(AREA, "smartemission"), (COLLECTORS, "airsenseur")] {
        let shown = platform.influx(space, "SHOW DATABASES");
        assert!(shown.lines().any(|line| line == database), "{shown}");
        let users = platform.influx(space, "SHOW USERS");
        for wanted in ["admin  true", "writer false", "reader false"] {
            assert!(users.contains(wanted), "{users}");
        }
    }
    format!(
        "ready: serve {:.1} s, collect {:.1} s",
        serve.as_secs_f64(),
        collect.as_secs_f64()
    )
}

impl Platform {
    /// Asks an InfluxDB as its administrator.
    pub(crate) fn influx(&self, namespace: &str, statement: &str) -> String {
        let script = "INFLUX_USERNAME=admin INFLUX_PASSWORD=\"$2\" exec influx -host 127.0.0.1 -execute \"$1\"";
        self.pod(namespace, "influxdb-0")
            .exec(&[
                "/bin/sh",
                "-c",
                script,
                "sh",
                statement,
                "admin's \\ \"pass\"",
            ])
            .unwrap()
    }
}

/// What each process uses when nothing happens.
pub(crate) fn memory_at_rest(platform: &mut Platform) -> Told {
    std::thread::sleep(Duration::from_secs(5));
    println!("    {:<28} {:>9} {:>9}", "pod", "now MiB", "most MiB");
    for (name, pod) in &platform.pods {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        println!(
            "    {name:<28} {:>9.1} {:>9.1}",
            mib(pod.memory_now()),
            mib(pod.memory().resident)
        );
        assert!(pod.running(), "{name} has ended: {}", pod.logs());
    }
    format!("{} pods", platform.pods.len())
}

/// Commands that a person runs in a pod, and the pods that go on: all as the user without rights, with a root
/// file system that nobody can write to. That of the jobs is shown by their other scenarios.
pub(crate) fn commands(platform: &mut Platform) -> Told {
    let commands: [&[&str]; 8] = [
        &["store", "check"],
        &["store", "migrate"],
        &["token", "list"],
        &["etl", "status"],
        &["quarantine", "list"],
        &["config", "check"],
        &["device", "list"],
        &["doctor", "--offline"],
    ];
    for words in commands {
        // The extractor has the Secrets of the InfluxDB beside that of the database.
        let job = match words {
            ["store", "migrate"] => "store-migrate",
            ["config" | "doctor", ..] => "etl-extractor",
            _ => "etl-refiner",
        };
        let end = platform.begin(job, Some(words)).wait(PATIENCE).unwrap();
        // A job has no volume of backups, which the doctor finds missing.
        let fine = end.code == 0 || (words[0] == "doctor" && end.code == 1);
        assert!(fine, "{words:?}: {} {}", end.code, end.logs);
    }
    for (name, pod) in &platform.pods {
        assert_eq!(pod.rights(), Some((USER, false)), "{name}");
    }
    format!("{} commands, {} pods", commands.len(), platform.pods.len())
}
