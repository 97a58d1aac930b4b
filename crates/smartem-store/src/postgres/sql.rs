//! Statements with the types of their parameters, and transactions that are tried again.

pub(super) use super::convert::At;

/// Parameters of a statement, each with its type: `params![key => INT4, ids => TEXT_ARRAY]`.
///
/// With the types told, a statement needs no name on the server and no question before it is run.
macro_rules! params {
    ($($value:expr => $type:ident),* $(,)?) => {
        &[$((
            &$value as &(dyn tokio_postgres::types::ToSql + Sync),
            tokio_postgres::types::Type::$type,
        )),*]
    };
}

/// Does work, all over again while that may help: `tried!(backend, action, work)`.
///
/// The work is an expression that gives a `Result<_, Fault>`; it may be evaluated several times, so it takes
/// nothing it cannot take again.
macro_rules! tried {
    ($backend:expr, $action:expr, $work:expr) => {{
        let mut patience = $backend.patience();
        loop {
            let done: Result<_, $crate::postgres::fault::Fault> = async { $work }.await;
            match done {
                Ok(done) => break Ok(done),
                Err(fault) => {
                    if let Err(fault) = patience.wait(fault).await {
                        break Err(fault.during($action, $backend.place()));
                    }
                }
            }
        }
    }};
}

/// Runs work in a transaction and commits it, [`tried!`] again while that may help:
/// `attempt!(backend, action, kind, |transaction| work)`.
macro_rules! attempt {
    ($backend:expr, $action:expr, $kind:expr, |$transaction:ident| $work:expr) => {
        $crate::postgres::sql::tried!($backend, $action, {
            let mut client = $backend.client().await?;
            let $transaction = $kind.begin(&mut client).await?;
            let done: Result<_, $crate::postgres::fault::Fault> = async { $work }.await;
            let done = done?;
            $transaction.commit().await?;
            Ok(done)
        })
    };
}

pub(super) use {attempt, params, tried};
