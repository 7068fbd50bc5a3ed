//! How close a full verification comes to what its signatures alone cost.
//!
//! A full verification is [`Judge::judge`]: from a dossier, as bytes, to the verdict. Parsing, certificates, log proofs,
//! every check and the verdict's digests are in it; asking the registry and hashing the tarball are not, since both
//! happen while a dossier is collected. The limit is the same signature operations, with the same keys, messages and
//! signatures, done by aws-lc-rs and nothing else.
//!
//! ```text
//! cargo run --release -p hekate-bench -- --minimum 0.6
//! ```
//!
//! With `HEKATE_CORPUS` naming a folder of recorded npm responses, two real packages are measured as well.
//!
//! [`Judge::judge`]: hekate::verifier::Judge::judge

mod cases;
mod measure;
mod operations;
mod registry;
mod replay;
mod report;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use hekate::verifier::Case;

use crate::measure::Effort;

/// Measures full verifications against the signature operations that they cannot do without.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Prints JSON instead of a table.
    #[arg(long)]
    json: bool,
    /// Fails if a full verification comes below this share of its limit.
    #[arg(long, value_name = "RATIO")]
    minimum: Option<f64>,
    /// How often everything is measured in turn.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// For how long one thing is measured before the next has its turn, in milliseconds.
    #[arg(long, default_value_t = 100)]
    turn: u64,
    /// A folder of recorded npm responses: `npm/attestations`, `npm/tarballs`, `npm/keys` and `trust`.
    #[arg(long, env = "HEKATE_CORPUS", value_name = "FOLDER")]
    corpus: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Reads a case from standard input and lists the signature operations of its verification.
    #[command(hide = true)]
    Operations,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(Command::Operations) => list_operations(),
        None => benchmark(&arguments),
    }
}

fn list_operations() -> anyhow::Result<()> {
    let case: Case = serde_json::from_reader(io::stdin().lock()).context("standard input is not a case")?;
    serde_json::to_writer(io::stdout().lock(), &operations::record(&case)?)?;
    Ok(())
}

fn benchmark(arguments: &Arguments) -> anyhow::Result<()> {
    let effort = Effort {
        rounds: arguments.rounds,
        turn: Duration::from_millis(arguments.turn),
    };
    let mut specimens = cases::generated()?;
    let mut notes = Vec::new();
    match &arguments.corpus {
        Some(corpus) => specimens.extend(cases::recorded(corpus)?),
        None => notes.push("HEKATE_CORPUS is not set: the real packages were skipped"),
    }
    let results: Vec<_> = specimens
        .iter()
        .map(|specimen| measure::measure(specimen, effort).with_context(|| specimen.name.clone()))
        .collect::<anyhow::Result<_>>()?;

    let text = if arguments.json {
        serde_json::to_string_pretty(&report::document(&results, effort))?
    } else {
        report::table(&results, effort, &notes)
    };
    writeln!(io::stdout().lock(), "{text}")?;

    if let Some(minimum) = arguments.minimum {
        let slow: Vec<String> = results
            .iter()
            .filter(|result| result.ratio < minimum)
            .map(|result| format!("{} is at {:.3}", result.name, result.ratio))
            .collect();
        anyhow::ensure!(slow.is_empty(), "below {minimum} of the limit: {}", slow.join(", "));
    }
    Ok(())
}
