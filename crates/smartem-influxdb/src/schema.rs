//! What is in a server.

use serde::de::DeserializeOwned;
use smartem_points::FieldType;

use crate::server::{Answer, identifier};
use crate::{InfluxError, Server};

/// How long a database keeps points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Its name.
    pub name: String,
    /// Whether points go there when none is named.
    pub is_default: bool,
}

/// A measurement as one retention policy of a database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measurement {
    /// The database.
    pub database: String,
    /// The retention policy.
    pub policy: String,
    /// The measurement.
    pub name: String,
    /// Its fields with their types, by name. Where shards differ, the type that a query gives.
    pub fields: Vec<(String, FieldType)>,
}

impl Measurement {
    /// The name as it stands in statements.
    pub(crate) fn quoted(&self) -> String {
        format!("{}.{}", identifier(&self.policy), identifier(&self.name))
    }
}

impl Server {
    /// The names of its databases, without its own.
    pub async fn databases(&self) -> Result<Vec<String>, InfluxError> {
        let rows: Vec<(String,)> = self.rows_of("", "SHOW DATABASES", &["name"]).await?;
        let names = rows.into_iter().map(|(name,)| name);
        Ok(names.filter(|name| name != "_internal").collect())
    }

    /// The retention policies of a database.
    pub async fn retention_policies(
        &self,
        database: &str,
    ) -> Result<Vec<RetentionPolicy>, InfluxError> {
        let statement = format!("SHOW RETENTION POLICIES ON {}", identifier(database));
        let rows: Vec<(String, bool)> = self.rows_of("", &statement, &["name", "default"]).await?;
        let policies = rows
            .into_iter()
            .map(|(name, is_default)| RetentionPolicy { name, is_default });
        Ok(policies.collect())
    }

    /// Users that may read or write a database, each with its right, as `SHOW GRANTS` tells.
    pub async fn grants(&self, database: &str) -> Result<Vec<(String, String)>, InfluxError> {
        let users: Vec<(String,)> = self.rows_of("", "SHOW USERS", &["user"]).await?;
        let mut grants = Vec::new();
        for (user,) in users {
            let statement = format!("SHOW GRANTS FOR {}", identifier(&user));
            let rows: Vec<(String, String)> = self
                .rows_of("", &statement, &["database", "privilege"])
                .await?;
            let here = rows.into_iter().filter(|(of, _)| of == database);
            grants.extend(here.map(|(_, right)| (user.clone(), right)));
        }
        Ok(grants)
    }

    /// Gives a user a right as [`grants`](Self::grants) told it.
    pub async fn grant(&self, database: &str, user: &str, right: &str) -> Result<(), InfluxError> {
        let right = match right {
            "READ" => "READ",
            "WRITE" => "WRITE",
            "ALL PRIVILEGES" | "ALL" => "ALL",
            _ => return Ok(()),
        };
        let (database, user) = (identifier(database), identifier(user));
        self.execute(&format!("GRANT {right} ON {database} TO {user}"))
            .await
    }

    /// Drops a database; none is fine.
    pub async fn drop_database(&self, database: &str) -> Result<(), InfluxError> {
        self.execute(&format!("DROP DATABASE {}", identifier(database)))
            .await
    }

    /// The measurements of a database in all its retention policies, those with fields, in order.
    pub async fn measurements(&self, database: &str) -> Result<Vec<Measurement>, InfluxError> {
        let statement = format!("SHOW MEASUREMENTS ON {}", identifier(database));
        let names: Vec<(String,)> = self.rows_of(database, &statement, &["name"]).await?;
        let policies = self.retention_policies(database).await?;
        let mut measurements = Vec::new();
        for policy in policies {
            for (name,) in &names {
                let fields = self.fields(database, &policy.name, name).await?;
                if !fields.is_empty() {
                    measurements.push(Measurement {
                        database: database.to_owned(),
                        policy: policy.name.clone(),
                        name: name.clone(),
                        fields,
                    });
                }
            }
        }
        Ok(measurements)
    }

    async fn fields(
        &self,
        database: &str,
        policy: &str,
        measurement: &str,
    ) -> Result<Vec<(String, FieldType)>, InfluxError> {
        let statement = format!(
            "SHOW FIELD KEYS ON {} FROM {}.{}",
            identifier(database),
            identifier(policy),
            identifier(measurement)
        );
        let rows: Vec<(String, String)> = self
            .rows_of(database, &statement, &["fieldKey", "fieldType"])
            .await?;
        let mut fields: Vec<(String, FieldType)> = Vec::new();
        for (name, field_type) in rows {
            let field_type = match field_type.as_str() {
                "float" => FieldType::Float,
                "integer" => FieldType::Integer,
                "unsigned" => FieldType::Unsigned,
                "boolean" => FieldType::Boolean,
                "string" => FieldType::String,
                other => return Err(self.not_understood(&format!("a field of type `{other}`"))),
            };
            // Shards may know it with other types: queries then give the first in this order.
            match fields.iter_mut().find(|(known, _)| *known == name) {
                None => fields.push((name, field_type)),
                Some((_, known)) if rank(field_type) < rank(*known) => *known = field_type,
                Some(_) => {}
            }
        }
        fields.sort();
        Ok(fields)
    }

    /// The rows of the answer to a statement, these columns of them.
    async fn rows_of<T: DeserializeOwned>(
        &self,
        database: &str,
        statement: &str,
        columns: &[&str],
    ) -> Result<Vec<T>, InfluxError> {
        let body = self.ask(database, statement).await?;
        let not_understood = |problem: String| self.not_understood(&problem);
        let answer: Answer<'_> =
            serde_json::from_slice(&body).map_err(|error| not_understood(error.to_string()))?;
        let mut rows = Vec::new();
        for series in answer.results.into_iter().flat_map(|it| it.series) {
            let places: Option<Vec<usize>> = columns
                .iter()
                .map(|name| series.columns.iter().position(|column| column == name))
                .collect();
            let places = places.ok_or_else(|| {
                not_understood(format!("`{statement}` has no column of {columns:?}"))
            })?;
            for values in &series.values {
                let cells: Vec<&str> = places
                    .iter()
                    .filter_map(|place| Some(values.get(*place)?.get()))
                    .collect();
                let row = serde_json::from_str(&format!("[{}]", cells.join(",")));
                rows.push(row.map_err(|error| not_understood(error.to_string()))?);
            }
        }
        Ok(rows)
    }
}

fn rank(field_type: FieldType) -> u8 {
    match field_type {
        FieldType::Float => 0,
        FieldType::Integer => 1,
        FieldType::Unsigned => 2,
        FieldType::String => 3,
        FieldType::Boolean => 4,
    }
}
