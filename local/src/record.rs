//! `hekate demo --record`: what is said of attacks that happened, of packages that only looked like one, and of ordinary
//! life.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use comfy_table::{Cell, ColumnConstraint, Width};
use hekate::check::{CheckId, Family, Finding, Outcome, Severity, Shade};
use hekate::config::Config;
use hekate::package::Coordinate;
use hekate::service::{Looked, Service};
use hekate::verdict::{Status, Verdict};
use serde::Serialize;
use testbed::Served;
use testbed::record::{Entry, Group, Look, record};

use crate::cli::Format;
use crate::exit::{Exit, Failure};
use crate::screen::{self, Screen};
use crate::verify::{Progress, service};
use crate::{Done, store};

/// What came of one entry.
struct Told {
    entry: Entry,
    verdict: Verdict,
    /// How often GitHub was asked by the last look.
    calls: usize,
    /// Everything that is not as expected.
    surprises: Vec<String>,
}

/// Walks every entry in a store of its own, and compares.
pub(crate) async fn run(format: Format) -> Done {
    let entries = record();
    let progress = Progress::start(entries.len());
    let mut results = Vec::new();
    for entry in entries {
        let name = entry.name;
        let told = walk(entry).await.map_err(|failure| Failure {
            error: failure.error.context(name),
            ..failure
        })?;
        progress.advance();
        results.push(told);
    }
    drop(progress);
    match format {
        Format::Text => print_table(&results)?,
        Format::Json => print_lines(&results)?,
    }
    Ok(Exit::worst(results.iter().map(|told| {
        if told.surprises.is_empty() {
            Exit::Acceptable
        } else {
            Exit::NotAcceptable
        }
    })))
}

async fn walk(entry: Entry) -> Result<Told, Failure> {
    let served = (entry.scenario)()
        .serve()
        .await
        .context("the supply chain of the record cannot be served")
        .map_err(Failure::passing)?;
    let trust = tempfile::tempdir()?;
    served.write_trust(trust.path())?;
    let config = config(&served, trust.path()).map_err(Failure::input)?;
    let embedded = store::in_memory().await?;
    let mut service = service(&config, &embedded)?;
    let mut surprises = Vec::new();
    for before in &entry.before {
        let looked = look(&service, before).await?;
        surprises.extend(surprise(before, &looked.verdict));
    }
    if let Some(change) = &entry.change {
        change(&mut served.scenario().github());
        // What a process learnt of GitHub's quota is no part of the record: a later look is made by another process.
        service = self::service(&config, &embedded)?;
    }
    served.forget_requests();
    let looked = look(&service, &entry.subject).await?;
    let verdict = looked.verdict;
    surprises.extend(surprise(&entry.subject, &verdict));
    let signs: Vec<&str> = signs(&verdict).map(|finding| finding.check.as_str()).collect();
    if signs != entry.signs {
        surprises.push(format!("expected the signs {:?}, got {signs:?}", entry.signs));
    }
    let calls = served.github_paths().len();
    if calls > entry.calls {
        surprises.push(format!("GitHub was asked {calls} times, of {} at most", entry.calls));
    }
    match looked.case.map(|case| case.replay()) {
        Some(Ok(replayed)) if replayed == verdict => {}
        Some(_) => surprises.push("the case replays to another verdict".to_owned()),
        None => surprises.push("no look was made".to_owned()),
    }
    Ok(Told {
        entry,
        verdict,
        calls,
        surprises,
    })
}

fn config(served: &Served, trust: &Path) -> anyhow::Result<Config> {
    let file = |name: &str| trust.join(name).to_str().map(str::to_owned);
    Ok(Config::parse(|name| match name {
        "HEKATE_NPM_URL" => Some(served.npm_url()),
        "HEKATE_PYPI_URL" | "HEKATE_PYPI_FILES_URL" => Some(served.pypi_url()),
        "HEKATE_GITHUB_URL" => Some(served.github_url()),
        "HEKATE_TRUSTED_ROOT" => file("trusted_root.json"),
        "HEKATE_NPM_KEYS" => file("npm-keys.json"),
        "HEKATE_TUF_URL" => Some("off".to_owned()),
        "HEKATE_VERIFIER_ID" => Some("urn:hekate:verifier:record".to_owned()),
        _ => None,
    })?)
}

async fn look(service: &Arc<Service>, look: &Look) -> Result<Looked, Failure> {
    let coordinate: Coordinate = look.purl.parse().map_err(Failure::input)?;
    service
        .verdict(&coordinate, true, look.at)
        .await
        .map_err(|fault| Failure::passing(anyhow::Error::new(fault).context(format!("{coordinate} has no verdict"))))
}

fn surprise(look: &Look, verdict: &Verdict) -> Option<String> {
    (verdict.status.as_str() != look.expected).then(|| {
        let decided_by: Vec<&str> = verdict.decided_by.iter().map(|check| check.as_str()).collect();
        format!(
            "{} at {}: expected {}, got {} by {}",
            look.purl,
            look.at,
            look.expected,
            verdict.status,
            decided_by.join(", ")
        )
    })
}

/// What fails or warns with at least medium weight, and is no explained fact of ordinary life.
fn signs(verdict: &Verdict) -> impl Iterator<Item = &Finding> {
    verdict.findings.iter().filter(|finding| {
        finding.check.severity() >= Severity::Medium
            && match finding.outcome {
                Outcome::Fail(_) | Outcome::Warn(None) => true,
                Outcome::Warn(Some(shade)) => !shade.is_harmless(),
                Outcome::Pass(_) | Outcome::Unknown(_) | Outcome::NotApplicable(_) => false,
            }
    })
}

fn print_table(results: &[Told]) -> std::io::Result<()> {
    let screen = Screen::of_standard_output();
    let mut table = screen::table(
        &screen,
        ["what was done", "expected", "got, by what, with how many calls"],
    );
    // The first column has what the others leave.
    for (column, width) in [(1, 12), (2, 28)] {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
    }
    for told in results {
        let entry = &told.entry;
        let limits = entry.limits.map(|limits| format!("({limits})"));
        let done = [
            Some(format!("{} [{}]", entry.name, entry.group.as_str())),
            Some(entry.told.to_owned()),
            limits,
        ];
        let done: Vec<String> = done.into_iter().flatten().collect();
        let mut got = vec![screen.outcome(told.verdict.status.as_str(), entry.subject.expected)];
        got.extend(signs(&told.verdict).map(|finding| finding.check.to_string()));
        got.push(calls(told.calls));
        table.add_row([done.join("\n"), entry.subject.expected.to_owned(), got.join("\n")].map(Cell::new));
    }
    let mut output = anstream::stdout().lock();
    writeln!(output, "{table}")?;
    writeln!(output, "{}", summary(results))?;
    writeln!(output, "{}", rates_table(&screen, &rates(results)))?;
    for told in results {
        for surprise in &told.surprises {
            writeln!(output, "{}: {surprise}", told.entry.name)?;
        }
    }
    let surprising = results.iter().filter(|told| !told.surprises.is_empty()).count();
    if surprising == 0 {
        writeln!(output, "All {} entries are as expected.", results.len())
    } else {
        writeln!(output, "{surprising} of {} entries are not as expected.", results.len())
    }
}

fn calls(number: usize) -> String {
    match number {
        0 => "no call".to_owned(),
        1 => "1 call".to_owned(),
        several => format!("{several} calls"),
    }
}

/// How often honest packages were taken for more than they are.
fn summary(results: &[Told]) -> String {
    let honest: Vec<&Told> = results.iter().filter(|told| !told.entry.group.is_attack()).collect();
    let of = |status: Status| honest.iter().filter(|told| told.verdict.status == status).count();
    let hijacked: Vec<&Told> = results
        .iter()
        .filter(|told| told.entry.group == Group::HijackedPipeline)
        .collect();
    let told = hijacked
        .iter()
        .filter(|told| {
            matches!(
                told.verdict.status,
                Status::Mismatch | Status::Suspicious | Status::Downgraded
            )
        })
        .count();
    let lost: Vec<&Told> = results
        .iter()
        .filter(|told| told.entry.group == Group::LostAttestation)
        .collect();
    let told_of_lost = lost
        .iter()
        .filter(|told| told.verdict.status == Status::Downgraded)
        .count();
    format!(
        "Of {} honest entries {} are suspicious, {} downgraded and {} a mismatch.\n\
         Of {} hijacked pipelines {told} are told, of {} lost attestations {told_of_lost}.",
        honest.len(),
        of(Status::Suspicious),
        of(Status::Downgraded),
        of(Status::Mismatch),
        hijacked.len(),
        lost.len(),
    )
}

/// How often one heuristic check speaks of an honest package.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rate {
    check: CheckId,
    /// How many honest entries there are.
    honest: usize,
    /// In how many it fails.
    fails: usize,
    /// In how many it warns with weight.
    warns: usize,
    /// In how many it warns of an explained fact of ordinary life.
    harmless: usize,
    /// How many it makes suspicious, alone or with others.
    suspicious: usize,
    /// How many it makes downgraded.
    downgraded: usize,
}

/// Of every check that compares with habits, how often it speaks of an honest package.
fn rates(results: &[Told]) -> Vec<Rate> {
    let honest: Vec<&Verdict> = results
        .iter()
        .filter(|told| !told.entry.group.is_attack())
        .map(|told| &told.verdict)
        .collect();
    let rate = |check: CheckId| {
        // Of several files one is enough.
        let count = |wanted: fn(Outcome) -> bool| {
            let speaks = |finding: &Finding| finding.check == check && wanted(finding.outcome);
            honest
                .iter()
                .filter(|verdict| verdict.findings.iter().any(speaks))
                .count()
        };
        let is_harmless = |outcome| matches!(outcome, Outcome::Warn(Some(shade)) if shade.is_harmless());
        let is_weighty = |outcome| match outcome {
            Outcome::Warn(shade) => !shade.is_some_and(Shade::is_harmless),
            Outcome::Pass(_) | Outcome::Fail(_) | Outcome::Unknown(_) | Outcome::NotApplicable(_) => false,
        };
        let decided = |status: Status| {
            honest
                .iter()
                .filter(|verdict| verdict.status == status && verdict.decided_by.contains(&check))
                .count()
        };
        Rate {
            check,
            honest: honest.len(),
            fails: count(Outcome::is_fail),
            warns: count(is_weighty),
            harmless: count(is_harmless),
            suspicious: decided(Status::Suspicious),
            downgraded: decided(Status::Downgraded),
        }
    };
    CheckId::ALL
        .iter()
        .copied()
        .filter(|check| is_heuristic(*check))
        .map(rate)
        .collect()
}

/// Whether a check compares with habits rather than with proofs.
fn is_heuristic(check: CheckId) -> bool {
    match check.family() {
        Family::History | Family::Source => true,
        Family::Identity => !matches!(
            check,
            CheckId::IdIssuer | CheckId::IdSourceRepo | CheckId::IdSignerWorkflow
        ),
        Family::Artifact | Family::Registry | Family::Attestation | Family::Log | Family::Run => false,
    }
}

fn rates_table(screen: &Screen, rates: &[Rate]) -> comfy_table::Table {
    let honest = rates.first().map_or(0, |rate| rate.honest);
    let heading = format!("of {honest} honest entries");
    let columns = [heading.as_str(), "fails", "warns", "calm", "suspicious", "downgraded"];
    let mut table = screen::table(screen, columns);
    for (index, heading) in columns.iter().enumerate() {
        // The longest name of a check has 26 characters, and a terminal 80.
        let width = if index == 0 { 27 } else { heading.len() };
        let width = u16::try_from(width).unwrap_or(u16::MAX) + 2;
        if let Some(column) = table.column_mut(index) {
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)));
        }
    }
    for rate in rates {
        let numbers = [rate.fails, rate.warns, rate.harmless, rate.suspicious, rate.downgraded];
        let cells = numbers.map(|number| number.to_string());
        table.add_row([rate.check.to_string()].into_iter().chain(cells).map(Cell::new));
    }
    table
}

/// One entry, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    name: &'a str,
    group: &'a str,
    done: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<&'a str>,
    expected: &'a str,
    got: Status,
    signs: Vec<&'a str>,
    calls: usize,
    surprises: &'a [String],
    verdict: &'a Verdict,
}

fn print_lines(results: &[Told]) -> std::io::Result<()> {
    let mut output = anstream::stdout().lock();
    for told in results {
        let line = Line {
            name: told.entry.name,
            group: told.entry.group.as_str(),
            done: told.entry.told,
            limits: told.entry.limits,
            expected: told.entry.subject.expected,
            got: told.verdict.status,
            signs: signs(&told.verdict).map(|finding| finding.check.as_str()).collect(),
            calls: told.calls,
            surprises: &told.surprises,
            verdict: &told.verdict,
        };
        writeln!(output, "{}", serde_json::to_string(&line)?)?;
    }
    for rate in rates(results) {
        writeln!(output, "{}", serde_json::to_string(&rate)?)?;
    }
    output.flush()
}
