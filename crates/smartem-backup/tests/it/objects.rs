//! S3 and Azure Blob, played by moto's server and by azurite (`scripts/object-storage.sh` installs them).

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use smartem_backup::{Credentials, Keep};
use tempfile::TempDir;

use crate::support::{count, look, make, open, put_back, repository_at, time, write};

/// The key that azurite has built in, for everybody.
const AZURITE: (&str, &str) = (
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
);

/// Makes a container, with the signature that Azure asks for.
const MAKE_CONTAINER: &str = r"
const [account, key, base, name] = process.argv.slice(1);
const date = new Date().toUTCString();
const headers = `x-ms-date:${date}\nx-ms-version:2021-08-06`;
const text = `PUT\n\n\n\n\n\n\n\n\n\n\n\n${headers}\n/${account}/${account}/${name}\nrestype:container`;
const hmac = require('crypto').createHmac('sha256', Buffer.from(key, 'base64'));
const signature = hmac.update(text, 'utf8').digest('base64');
fetch(`${base}/${name}?restype=container`, { method: 'PUT', headers: { 'x-ms-date': date,
  'x-ms-version': '2021-08-06', authorization: `SharedKey ${account}:${signature}` } })
  .then(async answer => { if (answer.status !== 201) { console.error(answer.status, await answer.text()); process.exit(1); } });
";

/// A server that ends with the test.
struct Server {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// Starts a tool of `target/test-tools`; `None`, said aloud, when it is not installed.
    fn start(tool: &str, arguments: impl Fn(u16, &Path) -> Vec<String>) -> Option<Self> {
        let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/test-tools");
        let program: PathBuf = tools.join(tool);
        if !program.exists() {
            println!("SKIPPED: {tool} is not installed; scripts/object-storage.sh installs it");
            return None;
        }
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let folder = TempDir::new().unwrap();
        let child = Command::new(program)
            .args(arguments(port, folder.path()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self {
            child,
            port,
            _folder: folder,
        };
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "{tool} does not answer"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(server)
    }
}

fn credentials(pairs: &[(&str, &str)]) -> Credentials {
    let pairs = pairs.iter();
    Credentials::among(pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

/// Makes two backups, verifies, forgets the first, and restores.
async fn round_trip(place: &str, credentials: &Credentials) {
    let (data, new) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let (store, points) = open(data.path()).await;
    let repository = repository_at(place, credentials);
    write(&points, "a", 0..150_000).await;
    points.commit().await.unwrap();
    make(&store, &repository, "2026-11-27T02:17:00Z").await;
    write(&points, "b", 0..10).await;
    points.commit().await.unwrap();
    make(&store, &repository, "2026-11-28T02:17:00Z").await;
    let again = make(&store, &repository, "2026-11-28T02:18:00Z").await;
    assert!(
        again.sent.new_chunks < again.sent.chunks,
        "{:?}",
        again.sent
    );
    look(&repository, new.path()).await.unwrap();
    let keep = Keep {
        daily: 1,
        weekly: 0,
        monthly: 0,
    };
    let now = time("2026-11-28T03:00:00Z");
    let pruned = repository.prune("store", keep, now).await.unwrap();
    assert_eq!(pruned.backups, 2);
    assert!(pruned.chunks > 0, "{pruned:?}");
    put_back(&repository, new.path(), None, false)
        .await
        .unwrap();
    let (_, points) = open(new.path()).await;
    assert_eq!((count(&points, "a"), count(&points, "b")), (150_000, 10));
    let other = repository_at(&format!("{place}/other"), credentials);
    let elsewhere = TempDir::new().unwrap();
    let error = put_back(&other, elsewhere.path(), None, true)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("there is no backup of store"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_of_s3() {
    let arguments = |port: u16, _: &Path| {
        ["-H", "127.0.0.1", "-p", &port.to_string()]
            .map(str::to_owned)
            .to_vec()
    };
    let Some(server) = Server::start("moto/bin/moto_server", arguments) else {
        return;
    };
    let mut connection = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    write!(
        connection,
        "PUT /bucket HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 200 "), "{answer}");
    let folder = TempDir::new().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "hush\n").unwrap();
    let endpoint = format!("http://127.0.0.1:{}", server.port);
    let with = |secret: &str| {
        credentials(&[
            ("AWS_ENDPOINT", &endpoint),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "smartem"),
            ("AWS_SECRET_ACCESS_KEY_FILE", secret),
        ])
    };
    round_trip("s3://bucket/some/prefix", &with(secret.to_str().unwrap())).await;
    let missing = with("/no/such/file");
    let error = smartem_backup::Target::open("s3://bucket", &missing, true)
        .err()
        .unwrap();
    assert!(error.to_string().contains("/no/such/file"), "{error}");
    let nowhere = repository_at("s3://nowhere/x", &with(secret.to_str().unwrap()));
    let error = nowhere.backups("store").await.unwrap_err().to_string();
    assert!(
        error.contains("s3://nowhere/x") && error.contains("NoSuchBucket"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_of_azure() {
    let arguments = |port: u16, folder: &Path| {
        let port = port.to_string();
        let folder = folder.to_str().unwrap();
        [
            "--blobHost",
            "127.0.0.1",
            "--blobPort",
            &port,
            "--location",
            folder,
            "--silent",
            "--skipApiVersionCheck",
            "--disableTelemetry",
        ]
        .map(str::to_owned)
        .to_vec()
    };
    let Some(server) = Server::start("azurite/node_modules/.bin/azurite-blob", arguments) else {
        return;
    };
    let endpoint = format!("http://127.0.0.1:{}/{}", server.port, AZURITE.0);
    let made = Command::new("node")
        .args([
            "-e",
            MAKE_CONTAINER,
            AZURITE.0,
            AZURITE.1,
            &endpoint,
            "backups",
        ])
        .output()
        .unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let credentials = credentials(&[
        ("AZURE_STORAGE_ACCOUNT_NAME", AZURITE.0),
        ("AZURE_STORAGE_ACCOUNT_KEY", AZURITE.1),
        ("AZURE_STORAGE_ENDPOINT", &endpoint),
        ("AZURE_ALLOW_HTTP", "true"),
    ]);
    round_trip("azblob://backups/smartem", &credentials).await;
}
