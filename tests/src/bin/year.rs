//! Simulates a year of a registry, and prints what came of it.
//!
//! `year [--seed N] [--packages N] [--releases N] [--days N] [--attacks N] [--outages PERCENT]
//! [--sweeps-every MINUTES] [--format text|json] [--quiet]`
//!
//! Exit status: 0 if every bar was kept, 1 if one was broken, 2 for wrong usage.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use hekate_tests::year::{Plan, run};
use jiff::SignedDuration;

/// How the result is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Json,
}

struct Arguments {
    plan: Plan,
    format: Format,
    quiet: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Nobody is left to hear that standard error is closed.
            let _ = writeln!(std::io::stderr(), "{error:#}");
            return ExitCode::from(2);
        }
    };
    match simulate(&arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn simulate(arguments: &Arguments) -> Result<bool> {
    let tell = |line: &str| {
        if !arguments.quiet {
            let _ = writeln!(std::io::stderr(), "{line}");
        }
    };
    let report = run(&arguments.plan, tell).await?;
    let broken = report.broken_bars();
    let mut out = std::io::stdout().lock();
    match arguments.format {
        Format::Json => writeln!(out, "{:#}", report.json())?,
        Format::Text => {
            writeln!(out, "{}", report.table())?;
            for bar in &broken {
                writeln!(out, "BROKEN: {bar}")?;
            }
        }
    }
    Ok(broken.is_empty())
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Arguments> {
    let (mut seed, mut packages, mut releases, mut days, mut attacks) = (1, 2_000, 50_000, 365, None);
    let (mut outages, mut sweeps_every) = (100, 1);
    let (mut format, mut quiet) = (Format::Text, false);
    while let Some(name) = arguments.next() {
        if name == "--quiet" {
            quiet = true;
            continue;
        }
        let value = arguments.next().with_context(|| format!("{name} needs a value"))?;
        let number = || {
            value
                .parse::<usize>()
                .with_context(|| format!("{name} {value}: a number is needed"))
        };
        match name.as_str() {
            "--seed" => seed = u64::try_from(number()?)?,
            "--packages" => packages = number()?,
            "--releases" => releases = number()?,
            "--days" => days = i64::try_from(number()?)?,
            "--attacks" => attacks = Some(number()?),
            "--outages" => outages = u32::try_from(number()?)?,
            "--sweeps-every" => sweeps_every = i64::try_from(number()?)?.max(1),
            "--format" if value == "json" => format = Format::Json,
            "--format" if value == "text" => format = Format::Text,
            _ => bail!("{name} {value} is not understood: see the first lines of this program"),
        }
    }
    let mut plan = Plan::new(seed, packages, releases, days);
    plan.sweeps_every = SignedDuration::from_mins(sweeps_every);
    plan.outages = f64::from(outages) / 100.0;
    if let Some(attacks) = attacks {
        plan.attacks = attacks;
    }
    Ok(Arguments { plan, format, quiet })
}
