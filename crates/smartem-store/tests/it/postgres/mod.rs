//! What only a PostgreSQL has: roles, sessions, a network between.

mod comments;
mod connections;
mod migrations;
mod pgbouncer;
mod restart;
mod roles;
mod sharing;
mod tls;
