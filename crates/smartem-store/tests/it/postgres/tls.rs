//! Who answers must prove who it is, as far as `sslmode` says.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use smartem_simulate::postgres::{Database, Postgres, PostgresOptions, ServerTls};
use smartem_store::{Access, PostgresSettings, Store, StoreError};
use tempfile::TempDir;

use crate::support::now;

/// The host of the server's certificate.
const HOST: &str = "db.example.org";

/// An authority with a certificate of the server, and another authority.
struct Certificates {
    dir: TempDir,
}

impl Certificates {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| std::fs::write(dir.path().join(name), text).unwrap();
        for name in ["ca", "other-ca"] {
            let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            write(
                &format!("{name}.pem"),
                params.self_signed(&key).unwrap().pem(),
            );
            if name == "ca" {
                let issuer = Issuer::new(params, key);
                let key = KeyPair::generate().unwrap();
                let server = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
                write("server.pem", server.signed_by(&key, &issuer).unwrap().pem());
                write("server.key", key.serialize_pem());
            }
        }
        Self { dir }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

struct World {
    certificates: Certificates,
    database: Database,
    server: Postgres,
}

impl World {
    fn new() -> Self {
        let certificates = Certificates::new();
        let server = Postgres::start_with(&PostgresOptions {
            tls: Some(ServerTls {
                certificate: certificates.file("server.pem"),
                key: certificates.file("server.key"),
            }),
            ..PostgresOptions::default()
        })
        .unwrap();
        let database = server.create_database().unwrap();
        Self {
            certificates,
            database,
            server,
        }
    }

    /// Reaches the server under a name.
    async fn reach(&self, host: &str, mode: &str, ca_file: Option<&Path>) -> Result<(), String> {
        let (port, name) = (self.server.port(), self.database.name());
        let mode = match mode {
            "" => String::new(),
            mode => format!("&sslmode={mode}"),
        };
        let settings = PostgresSettings {
            ca_file: ca_file.map(Path::to_owned),
            patience: Duration::from_millis(100),
            ..PostgresSettings::new(format!(
                "postgresql://postgres@{host}:{port}/{name}?hostaddr=127.0.0.1{mode}"
            ))
        };
        let dir = tempfile::tempdir().unwrap();
        let opened = Store::connect(dir.path(), &settings, Access::Create { now: now() }).await;
        let store = opened.map_err(|error| all_of(&error))?;
        let all_encrypted = "SELECT bool_and(s.ssl) FROM pg_stat_activity a
            JOIN pg_stat_ssl s USING (pid) WHERE a.application_name = 'smartem'";
        assert_eq!(self.database.psql(all_encrypted).unwrap(), "t");
        drop(store);
        Ok(())
    }
}

fn all_of(error: &StoreError) -> String {
    let mut told = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        told = format!("{told}: {cause}");
        source = cause.source();
    }
    told
}

#[tokio::test]
async fn the_server_must_prove_what_the_mode_asks_for() {
    let world = World::new();
    let (ca, other) = (
        world.certificates.file("ca.pem"),
        world.certificates.file("other-ca.pem"),
    );
    let (ca, other) = (Some(ca.as_path()), Some(other.as_path()));
    let stranger = "127.0.0.1";

    for mode in ["verify-full", ""] {
        world.reach(HOST, mode, ca).await.unwrap();
    }
    for (host, mode, ca_file, told) in [
        (HOST, "verify-full", other, "UnknownIssuer"),
        (HOST, "verify-full", None, "UnknownIssuer"),
        (HOST, "", other, "UnknownIssuer"),
        (HOST, "verify-ca", other, "UnknownIssuer"),
        (stranger, "verify-full", ca, "not valid for name"),
        ("another.example.org", "", ca, "not valid for name"),
        // A server that speaks nothing but TLS.
        (HOST, "disable", None, "no encryption"),
    ] {
        let error = world.reach(host, mode, ca_file).await.unwrap_err();
        assert!(error.contains(told), "{host} {mode}: {error}");
    }
    world.reach(stranger, "verify-ca", ca).await.unwrap();
    world.reach(stranger, "require", None).await.unwrap();
    world.reach(HOST, "require", other).await.unwrap();
}

#[tokio::test]
async fn a_file_of_certificates_that_changes_is_read_again() {
    let mut world = World::new();
    let file = world.certificates.file("of-now.pem");
    let put = |world: &World, name: &str| {
        std::fs::copy(world.certificates.file(name), &file).unwrap();
    };
    put(&world, "ca.pem");
    let (port, name) = (world.server.port(), world.database.name());
    let settings = PostgresSettings {
        ca_file: Some(file.clone()),
        patience: Duration::from_millis(100),
        ..PostgresSettings::new(format!(
            "postgresql://postgres@{HOST}:{port}/{name}?hostaddr=127.0.0.1"
        ))
    };
    let dir = tempfile::tempdir().unwrap();
    let store = Store::connect(dir.path(), &settings, Access::Create { now: now() }).await;
    let store = store.map_err(|error| all_of(&error)).unwrap();
    // A restart ends the connections that were made.
    put(&world, "other-ca.pem");
    world.server.restart().unwrap();
    let told = all_of(&store.change().await.unwrap_err());
    assert!(told.contains("UnknownIssuer"), "{told}");
    put(&world, "ca.pem");
    store.change().await.unwrap();
    // What is no certificate leaves those before.
    std::fs::write(&file, "half a certific").unwrap();
    world.server.restart().unwrap();
    tokio::time::timeout(Duration::from_secs(30), async {
        while store.change().await.is_err() {}
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_file_of_certificates_that_cannot_be_used_is_told_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let (missing, empty, key) = ("missing.pem", "empty.pem", "key.pem");
    std::fs::write(dir.path().join(empty), "").unwrap();
    let pem = KeyPair::generate().unwrap().serialize_pem();
    std::fs::write(dir.path().join(key), pem).unwrap();
    for name in [missing, empty, key] {
        let settings = PostgresSettings {
            ca_file: Some(dir.path().join(name)),
            ..PostgresSettings::new("postgresql://ada@db.example.org/smartem")
        };
        let opened = Store::connect(dir.path(), &settings, Access::Existing).await;
        let error = opened.err().unwrap();
        assert!(matches!(error, StoreError::Address { .. }), "{error:?}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_wanted() {
    let database = crate::servers::Database::migrated();
    let mut settings = database.settings().clone();
    settings.patience = Duration::from_millis(100);
    settings.url.push_str("?sslmode=require");
    let dir = tempfile::tempdir().unwrap();
    let opened = Store::connect(dir.path(), &settings, Access::Existing).await;
    let told = all_of(&opened.err().unwrap());
    assert!(told.contains("does not support TLS"), "{told}");
}
