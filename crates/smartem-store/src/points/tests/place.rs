//! Where the points of a test are kept.

use std::sync::OnceLock;

use smartem_simulate::postgres::{Database, Postgres};
use tempfile::TempDir;

use super::*;
use crate::PostgresSettings;

/// The role of the collector, in the database.
const WRITER: &str = "smartem_writer";

/// A folder, and where there is one a database of its own; gone with the test.
pub(super) struct Place {
    pub(super) dir: TempDir,
    pub(super) database: Option<Arc<Database>>,
}

impl Place {
    pub(super) fn sqlite() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            database: None,
        }
    }

    pub(super) fn postgres() -> Self {
        let server = Postgres::shared().unwrap();
        Self {
            dir: tempfile::tempdir().unwrap(),
            database: Some(Arc::new(server.copy_database(template()).unwrap())),
        }
    }

    /// The same database from another machine.
    pub(super) fn elsewhere(&self) -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            database: self.database.clone(),
        }
    }

    /// Another of the same kind.
    pub(super) fn another(&self) -> Self {
        if self.database.is_some() {
            Self::postgres()
        } else {
            Self::sqlite()
        }
    }

    pub(super) async fn store(&self) -> Store {
        let dir = self.dir.path();
        let opened = match &self.database {
            None => Store::open(dir, Access::Create { now: now() }).await,
            Some(database) => {
                let settings = PostgresSettings::new(database.url_of(WRITER));
                Store::connect(dir, &settings, Access::Existing).await
            }
        };
        opened.unwrap()
    }

    pub(super) async fn open(&self) -> (Store, Points) {
        let store = self.store().await;
        (store.clone(), reopened(&store, settings()).await)
    }

    /// What a statement gives, where there is a server.
    pub(super) fn psql(&self, sql: &str) -> String {
        self.database.as_ref().unwrap().psql(sql).unwrap()
    }
}

/// A database with the schema of this program, of which others are copies.
fn template() -> &'static Database {
    static TEMPLATE: OnceLock<Database> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let database = Postgres::shared().unwrap().create_database().unwrap();
        let settings = PostgresSettings::new(database.url());
        // With a runtime of its own, at whose end all connections are closed.
        let migrating = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(Store::migrate_postgres(&settings))
        });
        migrating.join().unwrap().unwrap();
        database
    })
}

/// Runs tests, which take a [`Place`], on both backends.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Place::sqlite()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(super::Place::postgres()).await;
            })*
        }
    };
}

pub(super) use on_both;
