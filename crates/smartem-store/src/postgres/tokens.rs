//! Tokens: who may write.

use std::sync::Arc;

use jiff::Timestamp;
use tokio_postgres::Row;

use super::convert::optional_time;
use super::fault::Fault;
use super::sql::{At, attempt, params};
use super::{Kind, Postgres};
use crate::{NewToken, SecretHash, StoreError, TokenRow};

const LIST: &str =
    "SELECT id, name, hash, rights, project, created_at, last_used, expires_at, revoked_at
    FROM smartem.token ORDER BY name COLLATE \"C\", id";

const ADD: &str = "INSERT INTO smartem.token (name, hash, rights, project, created_at, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (name) WHERE revoked_at IS NULL DO NOTHING";

/// Whether this very token is there: a second attempt after a commit whose answer was lost.
const IS_THERE: &str = "SELECT EXISTS (SELECT FROM smartem.token
    WHERE name = $1 AND hash = $2 AND revoked_at IS NULL)";

const REVOKE: &str =
    "UPDATE smartem.token SET revoked_at = $2 WHERE name = $1 AND revoked_at IS NULL";

const NOTE_USE: &str = "UPDATE smartem.token t SET last_used = greatest(t.last_used, w.used)
    FROM (SELECT id, max(used) AS used FROM unnest($1::bigint[], $2::timestamptz[]) AS u (id, used)
        GROUP BY id) w
    WHERE t.id = w.id";

impl Postgres {
    pub(crate) async fn add_token(self: &Arc<Self>, token: NewToken) -> Result<(), StoreError> {
        let rights = token.rights.join(" ");
        let (made, ends) = (At::time(token.now), token.expires_at.map(At::time));
        let hash = token.hash.as_str();
        attempt!(self, "adding a token", Kind::Write, |transaction| {
            let added = transaction
                .execute_typed(
                    ADD,
                    params![token.name => TEXT, hash => TEXT, rights => TEXT,
                        token.project => TEXT, made => TIMESTAMPTZ, ends => TIMESTAMPTZ],
                )
                .await?;
            if added == 0 {
                let parameters = params![token.name => TEXT, hash => TEXT];
                let row = transaction.query_typed_one(IS_THERE, parameters).await?;
                if !row.try_get::<_, bool>(0)? {
                    let name = token.name.clone();
                    return Err(StoreError::TokenExists { name }.into());
                }
            }
            Ok(())
        })
    }

    pub(crate) async fn tokens(self: &Arc<Self>) -> Result<Vec<TokenRow>, StoreError> {
        attempt!(self, "reading the tokens", Kind::Read, |transaction| {
            let rows = transaction.query_typed(LIST, params![]).await?;
            rows.iter().map(token).collect()
        })
    }

    pub(crate) async fn revoke_token(
        self: &Arc<Self>,
        name: String,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let now = At::time(now);
        attempt!(self, "revoking a token", Kind::Write, |transaction| {
            let parameters = params![name => TEXT, now => TIMESTAMPTZ];
            Ok(transaction.execute_typed(REVOKE, parameters).await? > 0)
        })
    }

    pub(crate) async fn note_token_use(
        self: &Arc<Self>,
        used: Vec<(i64, Timestamp)>,
    ) -> Result<(), StoreError> {
        let (ids, times): (Vec<i64>, Vec<At>) = used
            .into_iter()
            .map(|(id, time)| (id, At::time(time)))
            .unzip();
        attempt!(
            self,
            "noting the use of tokens",
            Kind::Write,
            |transaction| {
                transaction
                    .execute_typed(
                        NOTE_USE,
                        params![ids => INT8_ARRAY, times => TIMESTAMPTZ_ARRAY],
                    )
                    .await?;
                Ok(())
            }
        )
    }
}

fn token(row: &Row) -> Result<TokenRow, Fault> {
    let (hash, rights): (&str, &str) = (row.try_get(2)?, row.try_get(3)?);
    Ok(TokenRow {
        id: row.try_get(0)?,
        name: row.try_get::<_, &str>(1)?.into(),
        hash: SecretHash::from_stored(hash),
        rights: rights.split_whitespace().map(str::to_owned).collect(),
        project: row.try_get::<_, Option<&str>>(4)?.map(Into::into),
        created_at: row.try_get::<_, At>(5)?.to_time()?,
        last_used: optional_time(row.try_get(6)?)?,
        expires_at: optional_time(row.try_get(7)?)?,
        revoked_at: optional_time(row.try_get(8)?)?,
    })
}
