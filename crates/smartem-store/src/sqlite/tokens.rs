//! Tokens: who may write.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Row, params};

use super::Sqlite;
use super::convert::{micros, optional_time, time};
use super::fault::Fault;
use crate::{NewToken, SecretHash, StoreError, TokenRow};

const LIST: &str = "SELECT id, name, hash, rights, project, created_at, last_used, expires_at,
       revoked_at
    FROM token ORDER BY name, id";

const ADD: &str = "INSERT INTO token (name, hash, rights, project, created_at, expires_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

const REVOKE: &str = "UPDATE token SET revoked_at = ?2 WHERE name = ?1 AND revoked_at IS NULL";

const NOTE_USE: &str = "UPDATE token SET last_used = max(coalesce(last_used, 0), ?2) WHERE id = ?1";

impl Sqlite {
    pub(crate) async fn add_token(&self, token: NewToken) -> Result<(), StoreError> {
        self.write("adding a token", move |transaction| {
            let is_taken = transaction
                .prepare_cached("SELECT 1 FROM token WHERE name = ?1 AND revoked_at IS NULL")?
                .exists([&token.name])?;
            if is_taken {
                return Err(StoreError::TokenExists { name: token.name }.into());
            }
            transaction.execute(
                ADD,
                params![
                    token.name,
                    token.hash.as_str(),
                    token.rights.join(" "),
                    token.project,
                    micros(token.now),
                    token.expires_at.map(micros),
                ],
            )?;
            Ok(())
        })
        .await
    }

    pub(crate) async fn tokens(self: &Arc<Self>) -> Result<Vec<TokenRow>, StoreError> {
        self.read("reading the tokens", |transaction| {
            let mut statement = transaction.prepare_cached(LIST)?;
            let mut rows = statement.query([])?;
            let mut tokens = Vec::new();
            while let Some(row) = rows.next()? {
                tokens.push(token(row)?);
            }
            Ok(tokens)
        })
        .await
    }

    pub(crate) async fn revoke_token(
        &self,
        name: String,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write("revoking a token", move |transaction| {
            Ok(transaction.execute(REVOKE, params![name, micros(now)])? > 0)
        })
        .await
    }

    pub(crate) async fn note_token_use(
        &self,
        used: Vec<(i64, Timestamp)>,
    ) -> Result<(), StoreError> {
        self.write("noting the use of tokens", move |transaction| {
            let mut statement = transaction.prepare_cached(NOTE_USE)?;
            for (id, at) in used {
                statement.execute((id, micros(at)))?;
            }
            Ok(())
        })
        .await
    }
}

fn token(row: &Row<'_>) -> Result<TokenRow, Fault> {
    let (hash, rights): (String, String) = (row.get(2)?, row.get(3)?);
    Ok(TokenRow {
        id: row.get(0)?,
        name: row.get(1)?,
        hash: SecretHash::from_stored(&hash),
        rights: rights.split_whitespace().map(str::to_owned).collect(),
        project: row.get(4)?,
        created_at: time(row.get(5)?)?,
        last_used: optional_time(row.get(6)?)?,
        expires_at: optional_time(row.get(7)?)?,
        revoked_at: optional_time(row.get(8)?)?,
    })
}
