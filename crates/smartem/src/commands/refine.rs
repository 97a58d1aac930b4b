//! `smartem refine FILE`: no store, no network (R1).

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use smartem_refine::request;

use crate::cli::Refine;
use crate::{output, platform};

/// The file cannot be read, or a model is refused.
const UNREADABLE: u8 = 2;
const QUARANTINED: u8 = 1;

pub(super) fn run(args: &Refine) -> ExitCode {
    answer(args).unwrap_or_else(|error| {
        output::error(&error);
        ExitCode::from(UNREADABLE)
    })
}

fn answer(args: &Refine) -> anyhow::Result<ExitCode> {
    let file = &args.file;
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    let catalogue = platform::catalogue(args.devices.as_deref())?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let answer = request::answer(&text, &catalogue, &|path| read_model(folder, path))
        .with_context(|| file.display().to_string())?;
    let document = if args.explain {
        answer.explanation()
    } else {
        serde_json::to_string_pretty(&answer.refined).context("writing the output")?
    };
    output::document(&document).context("writing the output")?;
    Ok(match answer.refined.quarantine {
        None => ExitCode::SUCCESS,
        Some(_) => ExitCode::from(QUARANTINED),
    })
}

/// Reads a model by its path relative to the folder of the request, else to the folder above.
fn read_model(folder: &Path, path: &str) -> Result<String, String> {
    let own = std::fs::read_to_string(folder.join(path));
    own.or_else(|error| {
        // The folder above `cases/` is `.`, whose own `..` would be the wrong one for "".
        let above = if folder.as_os_str().is_empty() {
            Path::new("..").to_owned()
        } else {
            folder.join("..")
        };
        std::fs::read_to_string(above.join(path)).map_err(|_| error.to_string())
    })
}
