//! `hekate replay`: the verdict of a saved case, from the case alone.

use std::path::Path;

use anyhow::Context as _;
use hekate::verdict::Verdict;
use hekate::verifier::{CASE_SCHEMA, Case};

use crate::Done;
use crate::cli::Replay;
use crate::exit::{Exit, Failure};
use crate::screen::Printer;

/// Derives and prints the verdict of each case.
pub(crate) fn run(arguments: &Replay) -> Done {
    let mut printer = Printer::new(arguments.format);
    let mut exits = Vec::new();
    for path in &arguments.cases {
        let verdict = derive(path).map_err(Failure::input)?;
        printer.print(&verdict)?;
        exits.push(Exit::of(verdict.status, arguments.require));
    }
    Ok(Exit::worst(exits))
}

fn derive(path: &Path) -> anyhow::Result<Verdict> {
    let name = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("{name} cannot be read"))?;
    let case: Case = serde_json::from_str(&text)
        .with_context(|| format!("{name} is no case; `hekate verify PACKAGE --dossier FILE` saves one"))?;
    anyhow::ensure!(
        case.schema == CASE_SCHEMA,
        "{name} has the schema {:?}, and this version reads {CASE_SCHEMA:?}",
        case.schema
    );
    case.replay()
        .with_context(|| format!("the trust material in {name} cannot be used"))
}
