//! `smartem token add|list|revoke`.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use jiff::Timestamp;
use serde_json::{Value, json};
use smartem_store::{NewToken, Secret, SecretHash, Store, StoreError, TokenRow};

use super::{load_config, open_store, print_table};
use crate::cli::{Expiry, Global, Token, TokenAdd};
use crate::config::UsageError;
use crate::{clock, output};

pub(super) async fn run(args: &Token, global: &Global) -> anyhow::Result<ExitCode> {
    let store = open_store(&load_config(global)?).await?;
    let now = (clock::system())();
    match args {
        Token::Add(args) => add(&store, args, now).await?,
        Token::List { all, json } => list(&store, *all, *json, now).await?,
        Token::Revoke { name, json } => {
            if !store.revoke_token(name, now).await? {
                return Err(UsageError(format!(
                    "there is no token `{name}` that is not revoked; `smartem token list` shows which there are"
                ))
                .into());
            }
            if *json {
                print_json(&json!({"name": name, "revoked_at": now}))?;
            } else {
                output::line(format_args!(
                    "the token {name} is revoked; running processes know within seconds"
                ));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(store: &Store, args: &TokenAdd, now: Timestamp) -> anyhow::Result<()> {
    let expires_at = args.expires.map(|expiry| expiry.after(now)).transpose()?;
    let (hash, made) = if let Some(file) = &args.secret_file {
        (SecretHash::of_password(&password_of(file)?)?, None)
    } else {
        let secret = Secret::generate();
        (secret.hash(), Some(secret))
    };
    let mut rights = args.right.clone();
    rights.sort_unstable();
    rights.dedup();
    let token = NewToken {
        name: args.name.clone(),
        hash,
        rights: rights.clone(),
        project: args.project.clone(),
        now,
        expires_at,
    };
    store.add_token(token).await.map_err(|error| match error {
        StoreError::TokenExists { .. } => anyhow!(UsageError(error.to_string())),
        error => error.into(),
    })?;
    let secret = made.as_ref().map(Secret::reveal);
    if args.json {
        return print_json(&json!({
            "name": args.name,
            "rights": rights,
            "project": args.project,
            "expires_at": expires_at,
            "secret": secret,
        }));
    }
    let Some(secret) = secret else {
        output::line(format_args!(
            "the token {} is made; its password is the one of the file",
            args.name
        ));
        return Ok(());
    };
    output::line(secret);
    output::line(format_args!(
        "This is the secret of the token {}. Keep it now: it is not shown again.",
        args.name
    ));
    Ok(())
}

impl Expiry {
    fn after(self, now: Timestamp) -> anyhow::Result<Timestamp> {
        let at = match self {
            Self::At(at) => Some(at),
            Self::In(duration) => now.checked_add(duration).ok(),
        };
        at.filter(|at| *at > now).ok_or_else(|| {
            anyhow!(UsageError(
                "`--expires` is over or too far away; give a time to come".to_owned()
            ))
        })
    }
}

/// Characters that a password must have (NIST SP 800-63B, 5.1.1.1).
const SHORTEST_PASSWORD: usize = 8;

/// The password in a file, without the line end after it.
fn password_of(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("reading the password from {}", file.display()))?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() || password.contains(['\r', '\n']) {
        return Err(UsageError(format!(
            "{} must hold a password, in one line",
            file.display()
        ))
        .into());
    }
    let characters = password.chars().count();
    if characters < SHORTEST_PASSWORD {
        return Err(UsageError(format!(
            "the password in {} has {characters} characters, fewer than {SHORTEST_PASSWORD}: it is guessed soon; \
             take a longer one, or leave `--secret-file` out, so that a secret is made",
            file.display()
        ))
        .into());
    }
    Ok(password.to_owned())
}

async fn list(store: &Store, all: bool, as_json: bool, now: Timestamp) -> anyhow::Result<()> {
    let mut tokens = store.tokens().await?;
    tokens.retain(|token| all || token.revoked_at.is_none());
    if as_json {
        let tokens: Vec<Value> = tokens
            .iter()
            .map(|token| {
                json!({
                    "name": &*token.name,
                    "rights": token.rights,
                    "project": token.project.as_deref(),
                    "created_at": token.created_at,
                    "last_used": token.last_used,
                    "expires_at": token.expires_at,
                    "revoked_at": token.revoked_at,
                    "state": state(token, now),
                })
            })
            .collect();
        return print_json(&tokens.into());
    }
    let time = |time: Option<Timestamp>, none: &str| {
        time.map_or_else(|| none.to_owned(), |time| format!("{time:.0}"))
    };
    let rows: Vec<[String; _]> = tokens
        .iter()
        .map(|token| {
            [
                token.name.to_string(),
                token.rights.join(" "),
                token.project.as_deref().unwrap_or("all").to_owned(),
                state(token, now).to_owned(),
                time(Some(token.created_at), ""),
                time(token.last_used, "never"),
                time(token.expires_at, "never"),
            ]
        })
        .collect();
    let header = [
        "name",
        "rights",
        "project",
        "state",
        "made",
        "last used",
        "expires",
    ];
    print_table(&header, &rows);
    Ok(())
}

fn state(token: &TokenRow, now: Timestamp) -> &'static str {
    if token.revoked_at.is_some() {
        "revoked"
    } else if token.is_valid(now) {
        "valid"
    } else {
        "expired"
    }
}

fn print_json(value: &Value) -> anyhow::Result<()> {
    output::document(&serde_json::to_string_pretty(value)?).context("printing the answer")
}
