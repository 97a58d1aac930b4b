//! The kinds of stores that tests run on, and databases of a real PostgreSQL.

use std::path::Path;
use std::sync::OnceLock;

use rusqlite::types::ValueRef;
use smartem_simulate::postgres::{self, PgBouncer, Postgres};
use smartem_store::{Access, PostgresSettings, Store, StoreError};
use tempfile::TempDir;

use crate::support::open;

/// Who the programs of the platform are, in the database.
pub(crate) const WRITER: &str = "smartem_writer";

/// On what a case runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    Sqlite,
    /// As the role that the collector and the ETL processes have.
    Postgres,
    /// The same, each transaction on any connection.
    PgBouncer,
}

/// An empty store of its own, gone with the test.
pub(crate) struct World {
    pub(crate) store: Store,
    dir: TempDir,
    database: Option<Database>,
    on: On,
}

impl World {
    pub(crate) async fn on(on: On) -> Self {
        let dir = TempDir::new().unwrap();
        let database = match on {
            On::Sqlite => None,
            On::Postgres | On::PgBouncer => Some(Database::migrated()),
        };
        let store = connect(dir.path(), database.as_ref(), on).await;
        Self {
            store,
            dir,
            database,
            on,
        }
    }

    /// The store as another program opens it.
    pub(crate) async fn another(&self) -> Store {
        connect(self.dir.path(), self.database.as_ref(), self.on).await
    }

    /// What a question of the tables gives, a line a row, values with `|` between them. `{thing}` stands for the
    /// table of SensorThings on either backend, `{epoch:column}` for the seconds of a time.
    pub(crate) fn rows(&self, question: &str) -> Vec<String> {
        let question = self.in_words_of_the_backend(question);
        if let Some(database) = &self.database {
            return database.lines(&question);
        }
        let file = self.dir.path().join(Store::FILE_NAME);
        let connection = rusqlite::Connection::open(file).unwrap();
        let mut statement = connection.prepare(&question).unwrap();
        let columns = statement.column_count();
        let rows = statement.query_map([], |row| {
            let values = (0..columns).map(|at| match row.get_ref(at).unwrap() {
                ValueRef::Null => String::new(),
                ValueRef::Integer(value) => value.to_string(),
                ValueRef::Real(value) => value.to_string(),
                ValueRef::Text(value) | ValueRef::Blob(value) => {
                    String::from_utf8_lossy(value).into_owned()
                }
            });
            Ok(values.collect::<Vec<_>>().join("|"))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    /// Changes tables as no program does; see [`World::rows`].
    pub(crate) fn damage(&self, statement: &str) {
        let statement = self.in_words_of_the_backend(statement);
        if let Some(database) = &self.database {
            database.lines(&statement);
            return;
        }
        let file = self.dir.path().join(Store::FILE_NAME);
        let connection = rusqlite::Connection::open(file).unwrap();
        connection.execute_batch(&statement).unwrap();
    }

    fn in_words_of_the_backend(&self, question: &str) -> String {
        let is_embedded = self.database.is_none();
        let mut words = String::new();
        let mut rest = question;
        while let Some((before, after)) = rest.split_once('{') {
            let (word, after) = after.split_once('}').unwrap();
            words.push_str(before);
            let word = match (word.split_once(':'), is_embedded) {
                (Some((_, column)), true) => format!("({column} / 1000000)"),
                (Some((_, column)), false) => format!("extract(epoch FROM {column})::bigint"),
                (None, true) => format!("sta_{word}"),
                (None, false) => format!("smartem_sta.{word}"),
            };
            words.push_str(&word);
            rest = after;
        }
        words + rest
    }

    /// The store of a PostgreSQL as another user opens it.
    pub(crate) async fn as_user(&self, user: &str) -> Result<Store, StoreError> {
        let settings = self.database().settings_of(user);
        Store::connect(self.dir.path(), &settings, Access::Existing).await
    }

    /// On what it runs.
    pub(crate) fn kind(&self) -> On {
        self.on
    }

    /// Where the store is of a PostgreSQL.
    pub(crate) fn database(&self) -> &Database {
        self.database.as_ref().unwrap()
    }
}

async fn connect(dir: &Path, database: Option<&Database>, on: On) -> Store {
    let Some(database) = database else {
        return open(dir).await;
    };
    let url = match on {
        On::PgBouncer => pgbouncer().url(database.name(), WRITER),
        On::Sqlite | On::Postgres => database.database.url_of(WRITER),
    };
    Store::connect(dir, &PostgresSettings::new(url), Access::Existing)
        .await
        .unwrap()
}

/// The server of all tests.
pub(crate) fn server() -> &'static Postgres {
    Postgres::shared().unwrap()
}

fn pgbouncer() -> &'static PgBouncer {
    static SHARED: OnceLock<PgBouncer> = OnceLock::new();
    // It takes those who have a role when it starts.
    let _ = template();
    SHARED.get_or_init(|| server().pgbouncer().unwrap())
}

/// A database with the schema of this program, of which others are copies.
fn template() -> &'static postgres::Database {
    static TEMPLATE: OnceLock<postgres::Database> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let database = server().create_database().unwrap();
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

/// A PostgreSQL database of its own, gone with the test.
pub(crate) struct Database {
    database: postgres::Database,
    settings: PostgresSettings,
}

impl Database {
    /// One in which there is nothing yet.
    pub(crate) fn empty() -> Self {
        // The first migration makes the roles of the whole server; others meanwhile would do so too.
        let _ = template();
        Self::of(server().create_database().unwrap())
    }

    /// One with the schema of this program.
    pub(crate) fn migrated() -> Self {
        Self::of(server().copy_database(template()).unwrap())
    }

    fn of(database: postgres::Database) -> Self {
        let settings = PostgresSettings::new(database.url());
        Self { database, settings }
    }

    pub(crate) fn name(&self) -> &str {
        self.database.name()
    }

    /// As its owner.
    pub(crate) fn settings(&self) -> &PostgresSettings {
        &self.settings
    }

    pub(crate) fn settings_of(&self, user: &str) -> PostgresSettings {
        PostgresSettings::new(self.database.url_of(user))
    }

    /// Waits until nobody is connected.
    pub(crate) fn wait_until_alone(&self) {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}'",
            self.name()
        );
        while server().psql(postgres::SUPERUSER, &sql).unwrap() != "0" {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    /// What a statement gives, a line a row.
    pub(crate) fn lines(&self, sql: &str) -> Vec<String> {
        let told = self.database.psql(sql).unwrap();
        told.lines().map(str::to_owned).collect()
    }

    /// The same of another user; the refusal where there is one.
    pub(crate) fn lines_of(&self, user: &str, sql: &str) -> Result<Vec<String>, String> {
        let told = self.database.psql_as(user, sql);
        let told = told.map_err(|refused| refused.to_string())?;
        Ok(told.lines().map(str::to_owned).collect())
    }
}
