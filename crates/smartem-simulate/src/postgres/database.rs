//! Databases of one test.

use std::sync::atomic::{AtomicU32, Ordering};

use super::{Access, PostgresError, SUPERUSER};

/// A database; dropped, with whoever is connected to it, when this is dropped.
#[derive(Debug)]
pub struct Database {
    name: String,
    access: Access,
}

impl Database {
    pub(super) fn create(access: &Access, template: &str) -> Result<Self, PostgresError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        // Copying files is quicker than writing all of a template into the log.
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY");
        access.psql(SUPERUSER, SUPERUSER, &sql)?;
        let access = access.clone();
        Ok(Self { name, access })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address for the administrator, over TCP.
    pub fn url(&self) -> String {
        self.url_of(SUPERUSER)
    }

    /// Its address for a user, over TCP.
    pub fn url_of(&self, user: &str) -> String {
        let (name, port) = (&self.name, self.access.port);
        format!("postgresql://{user}@127.0.0.1:{port}/{name}")
    }

    /// Runs statements in it as the administrator; their rows, the fields of each between `|`.
    ///
    /// # Errors
    /// When a statement fails; nothing of them is done then.
    pub fn psql(&self, sql: &str) -> Result<String, PostgresError> {
        self.psql_as(SUPERUSER, sql)
    }

    /// As [`Database::psql`], as another user.
    pub fn psql_as(&self, user: &str, sql: &str) -> Result<String, PostgresError> {
        self.access.psql(user, &self.name, sql)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // Where the server is gone, so is the database.
        let _ = self.access.psql(SUPERUSER, SUPERUSER, &sql);
    }
}
