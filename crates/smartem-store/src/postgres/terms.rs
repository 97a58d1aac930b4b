//! Texts that many rows share, and the number of each.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use deadpool_postgres::Transaction;
use tokio_postgres::Row;

use super::Postgres;
use super::fault::Fault;
use super::sql::params;

/// Texts whose numbers are known; neither ever changes.
#[derive(Default)]
pub(super) struct Terms {
    keys: RwLock<HashMap<Arc<str>, i32>>,
    texts: RwLock<HashMap<i32, Arc<str>>>,
}

/// The texts of some numbers.
pub(super) struct Texts(HashMap<i32, Arc<str>>);

impl Texts {
    pub(super) fn text(&self, key: i32) -> Result<Arc<str>, Fault> {
        let text = self.0.get(&key).cloned();
        text.ok_or_else(|| Fault::unknown("the number of a text", &key))
    }
}

impl Terms {
    fn of(&self, text: &str) -> Option<i32> {
        let known = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        known.get(text).copied()
    }

    /// The number of a text for which [`Postgres::ensure_terms`] was called.
    pub(super) fn key(&self, text: &str) -> Result<i32, Fault> {
        self.of(text)
            .ok_or_else(|| Fault::unknown("a text without a number", text))
    }

    /// The texts that some columns of rows name by number.
    pub(super) async fn texts(
        &self,
        transaction: &Transaction<'_>,
        rows: &[Row],
        columns: &[usize],
    ) -> Result<Texts, Fault> {
        let mut wanted = BTreeSet::new();
        for row in rows {
            for column in columns {
                wanted.extend(row.try_get::<_, Option<i32>>(*column)?);
            }
        }
        self.texts_of(transaction, &wanted).await
    }

    /// The texts of numbers.
    pub(super) async fn texts_of(
        &self,
        transaction: &Transaction<'_>,
        keys: &BTreeSet<i32>,
    ) -> Result<Texts, Fault> {
        let (found, missing) = self.known(keys);
        let mut texts = found;
        if missing.is_empty() {
            return Ok(Texts(texts));
        }
        let sql = "SELECT key, text FROM smartem.term WHERE key = ANY($1)";
        let rows = transaction
            .query_typed(sql, params![missing => INT4_ARRAY])
            .await?;
        for row in rows {
            texts.insert(row.try_get(0)?, row.try_get::<_, String>(1)?.into());
        }
        let mut known = self.texts.write().unwrap_or_else(PoisonError::into_inner);
        known.extend(texts.iter().map(|(key, text)| (*key, Arc::clone(text))));
        Ok(Texts(texts))
    }

    fn known(&self, keys: &BTreeSet<i32>) -> (HashMap<i32, Arc<str>>, Vec<i32>) {
        let known = self.texts.read().unwrap_or_else(PoisonError::into_inner);
        let (mut found, mut missing) = (HashMap::new(), Vec::new());
        for key in keys {
            match known.get(key) {
                Some(text) => {
                    found.insert(*key, Arc::clone(text));
                }
                None => missing.push(*key),
            }
        }
        (found, missing)
    }
}

impl Postgres {
    /// Gives every text a number, in a transaction of its own: numbers are good whatever becomes of the
    /// rows that they are meant for.
    pub(super) async fn ensure_terms(&self, texts: &BTreeSet<&str>) -> Result<(), Fault> {
        const FIND: &str = "SELECT key, text FROM smartem.term WHERE text = ANY($1)";
        const ADD: &str =
            "INSERT INTO smartem.term (text) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING";
        let missing: Vec<&str> = texts
            .iter()
            .copied()
            .filter(|text| self.terms.of(text).is_none())
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let client = self.client().await?;
        let mut rows = client
            .query_typed(FIND, params![missing => TEXT_ARRAY])
            .await?;
        if rows.len() < missing.len() {
            client
                .execute_typed(ADD, params![missing => TEXT_ARRAY])
                .await?;
            rows = client
                .query_typed(FIND, params![missing => TEXT_ARRAY])
                .await?;
        }
        let mut keys = self
            .terms
            .keys
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            keys.insert(row.try_get::<_, String>(1)?.into(), row.try_get(0)?);
        }
        Ok(())
    }
}
