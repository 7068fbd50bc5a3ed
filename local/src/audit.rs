//! `hekate audit`: verdicts on everything that a lockfile or a bill of materials names.

use std::collections::BTreeMap;
use std::io::Write as _;

use futures::StreamExt as _;
use hekate::package::Coordinate;
use hekate::verdict::{Status, Verdict};
use hekate::wiring;

use crate::cli::{Audit, Format};
use crate::exit::{Exit, Failure};
use crate::screen::{self, Printer};
use crate::verify::{Progress, looks, say, service};
use crate::{Done, list, store};

/// Judges every version once, and prints those that are worth a look, then how many there are of each status.
pub(crate) async fn run(arguments: Audit) -> Done {
    let inventory = list::read(&arguments.list)?;
    if inventory.packages.is_empty() {
        return Err(Failure::input(anyhow::anyhow!(
            "the list names no version of a package"
        )));
    }
    let config = wiring::config_from_environment().map_err(Failure::input)?;
    let embedded = store::open(&config).await?;
    let service = service(&config, &embedded)?;
    let progress = Progress::start(inventory.packages.len());
    let mut printer = Printer::new(Format::Json);
    let mut counts: BTreeMap<Status, usize> = BTreeMap::new();
    let mut exits = Vec::new();
    let coordinates = inventory.packages.into_iter().map(Coordinate::from).collect();
    let mut looks = looks(&service, coordinates, arguments.fresh);
    while let Some((coordinate, result)) = looks.next().await {
        progress.advance();
        let exit = match result {
            Ok(looked) => {
                let verdict = &looked.verdict;
                *counts.entry(verdict.status).or_default() += 1;
                progress.aside(|| match arguments.format {
                    Format::Json => printer.print(verdict),
                    Format::Text => line(verdict),
                })?;
                Exit::of(verdict.status, arguments.require)
            }
            Err(fault) => progress.aside(|| {
                say(&screen::error(&format!("{coordinate}: {fault}")));
                Exit::of_fault(&fault)
            }),
        };
        exits.push(exit);
    }
    drop(progress);
    let counts: Vec<String> = counts
        .iter()
        .map(|(status, count)| format!("{count} {status}"))
        .collect();
    say(&format!("{} looked at: {}", exits.len(), counts.join(", ")));
    Ok(Exit::worst(exits))
}

/// One line about a version that somebody should look at; nothing about the others.
fn line(verdict: &Verdict) -> std::io::Result<()> {
    match verdict.status {
        Status::Verified | Status::Attested | Status::Unattested => return Ok(()),
        Status::Mismatch | Status::Suspicious | Status::Downgraded | Status::Indeterminate => {}
    }
    let decided_by: Vec<&str> = verdict.decided_by.iter().map(|check| check.as_str()).collect();
    writeln!(
        anstream::stdout(),
        "{:14} {}  {}",
        verdict.status.as_str(),
        verdict.package,
        decided_by.join(", ")
    )?;
    Ok(())
}
