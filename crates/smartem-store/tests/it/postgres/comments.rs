//! Who looks into the database finds what everything is.

use crate::servers::{Database, On, World};
use crate::support::{record, refine_all, sample, take_in};

/// What is there, with its comment: schemas, tables with views and partitions, columns, functions.
const ALL: &str = "
    SELECT nspname::text, obj_description(oid, 'pg_namespace')
    FROM pg_namespace WHERE nspname LIKE 'smartem%'
    UNION ALL
    SELECT c.oid::regclass::text, obj_description(c.oid, 'pg_class')
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname LIKE 'smartem%' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    UNION ALL
    SELECT c.oid::regclass || '.' || a.attname, col_description(c.oid, a.attnum)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname LIKE 'smartem%' AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    UNION ALL
    SELECT p.oid::regprocedure::text, obj_description(p.oid, 'pg_proc')
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname LIKE 'smartem%'";

fn missing(database: &Database) -> Vec<String> {
    let sql = format!(
        "SELECT what FROM ({ALL}) AS it (what, comment) WHERE coalesce(trim(comment), '') = ''"
    );
    database.lines(&sql)
}

#[tokio::test]
async fn everything_has_a_comment() {
    let world = World::on(On::Postgres).await;
    // So that there is a partition.
    take_in(&world.store, vec![record("23", 0, &sample(1, 0.0))]).await;
    refine_all(&world.store).await;
    let database = world.database();
    let there = database.lines(&format!("SELECT what FROM ({ALL}) AS it (what, comment)"));
    for what in [
        "smartem_refined",
        "smartem_refined.observation",
        "smartem_refined.observation_2016_01",
        "smartem_refined.observation_2016_01.value",
        "smartem_refined.ensure_month(timestamp with time zone)",
    ] {
        assert!(there.iter().any(|it| it == what), "{what}: {there:?}");
    }
    assert_eq!(missing(database), Vec::<String>::new());
}

#[tokio::test]
async fn what_has_no_comment_is_found() {
    let database = Database::migrated();
    database.lines("CREATE TABLE smartem.bare (a int); COMMENT ON TABLE smartem.bare IS ' '");
    assert_eq!(missing(&database), ["smartem.bare", "smartem.bare.a"]);
}
