//! Entities that are to be changed, chosen by a filter.

use jiff::Timestamp;
use smartem_sta::{Expr, Query, ResourcePath};

use super::{ReadLimits, Reader};
use crate::sta::error::Fault;
use crate::sta::sql::Sql;

/// Ids of entities of a set for which a filter holds, at most so many of them, in a transaction that is open.
pub(crate) async fn ids(
    sql: &mut dyn Sql,
    path: &ResourcePath,
    filter: &Expr,
    now: Timestamp,
    most: u64,
) -> Result<Vec<i64>, Fault> {
    let mut reader = Reader {
        sql,
        limits: ReadLimits::at(now),
        entities: 0,
    };
    let query = Query {
        filter: Some(filter.clone()),
        top: Some(most),
        ..Query::default()
    };
    let set = reader.locate(path).await?.set_or_refuse()?;
    let page = reader.page(&set, &query).await?;
    Ok(page.entities.into_iter().map(|it| it.id).collect())
}
