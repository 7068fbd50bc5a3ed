//! `hekate demo`: the whole of it on a generated supply chain.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use comfy_table::{Cell, ColumnConstraint};
use futures::StreamExt as _;
use hekate::config::Config;
use hekate::package::{Coordinate, PackageVersion};
use hekate::verdict::{Status, Verdict};
use serde::Serialize;
use tempfile::TempDir;
use testbed::keys::P256Key;
use testbed::{Answer, DemoCase, Release, Served};
use tokio::io::AsyncReadExt as _;

use crate::cli::{Demo, Format};
use crate::exit::{Exit, Failure};
use crate::screen::{self, Screen, short_name};
use crate::verify::{Progress, looks, say, service};
use crate::{Done, record, serve, store};

/// What is expected of a version that the registry does not have, and of one that the registry fails for.
const ABSENT: &str = "absent";
const UNAVAILABLE: &str = "unavailable";
/// The file of the key with which a verifier of the supply chain may sign.
const SIGNING_KEY: &str = "signing-key.pem";

/// Runs the demonstration in the way that was asked for.
pub(crate) async fn run(arguments: &Demo) -> Done {
    if arguments.record {
        return record::run(arguments.format).await;
    }
    let dependencies = usize::from(arguments.dependencies);
    let generated = Generated::start(dependencies).await.map_err(Failure::passing)?;
    if arguments.registry {
        return generated.serve_registry().await;
    }
    let config = generated.config().map_err(Failure::input)?;
    let embedded = store::in_memory().await?;
    let service = service(&config, &embedded)?;

    let coordinates = generated.coordinates().map_err(Failure::input)?;
    let progress = Progress::start(coordinates.len());
    let mut results = Vec::new();
    let mut looks = looks(&service, coordinates, false).zip(futures::stream::iter(generated.cases.clone()));
    while let Some(((coordinate, looked), case)) = looks.next().await {
        progress.advance();
        let verdict = looked
            .map_err(|fault| {
                Failure::passing(anyhow::Error::new(fault).context(format!("{coordinate} has no verdict")))
            })?
            .verdict;
        results.push((case, verdict));
    }
    drop(progress);
    match arguments.format {
        Format::Text => print_table(&results)?,
        Format::Json => print_lines(&results)?,
    }
    let exit = Exit::worst(results.iter().map(|(case, verdict)| {
        if verdict.status.as_str() == case.expected {
            Exit::Acceptable
        } else {
            Exit::NotAcceptable
        }
    }));
    if arguments.serve {
        serve::host(&config, &embedded, arguments.listen, |address| {
            print_invitation(address, &results);
        })
        .await?;
    }
    Ok(exit)
}

/// The generated supply chain, on a loopback port, with its trust material in files.
struct Generated {
    served: Served,
    trust: TempDir,
    cases: Vec<DemoCase>,
}

/// The line that tells a consumer of `demo --registry` where everything is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Registry<'a> {
    npm_url: String,
    pypi_url: String,
    homebrew_url: String,
    github_url: String,
    trusted_root: PathBuf,
    npm_keys: PathBuf,
    signing_key: PathBuf,
    packages: Vec<Package<'a>>,
}

#[derive(Serialize)]
struct Package<'a> {
    purl: &'a str,
    expected: &'a str,
}

impl Generated {
    async fn start(dependencies: usize) -> anyhow::Result<Self> {
        let testbed::Demo { scenario, cases } = testbed::demo().with_dependencies(dependencies);
        let failing = out_of_order()
            .packument_answer(Answer::Status(503, None))
            .manifest_answer(Answer::Status(503, None));
        let served = scenario
            .release(failing)
            .serve()
            .await
            .context("the generated registry cannot be served")?;
        let trust = tempfile::tempdir().context("there is no folder for the generated trust material")?;
        served
            .write_trust(trust.path())
            .context("the generated trust material cannot be written")?;
        std::fs::write(trust.path().join(SIGNING_KEY), P256Key::generate().pkcs8_pem())
            .context("the generated key cannot be written")?;
        Ok(Self { served, trust, cases })
    }

    fn trusted_root(&self) -> PathBuf {
        self.trust.path().join("trusted_root.json")
    }

    fn npm_keys(&self) -> PathBuf {
        self.trust.path().join("npm-keys.json")
    }

    /// A key for whoever verifies what this supply chain publishes.
    fn signing_key(&self) -> PathBuf {
        self.trust.path().join(SIGNING_KEY)
    }

    /// The configuration that asks this supply chain and trusts it, whatever the environment says.
    fn config(&self) -> anyhow::Result<Config> {
        let text = |path: &Path| path.to_str().map(str::to_owned);
        Ok(Config::parse(|name| match name {
            "HEKATE_NPM_URL" => Some(self.served.npm_url()),
            "HEKATE_PYPI_URL" => Some(self.served.pypi_url()),
            "HEKATE_HOMEBREW_URL" => Some(self.served.homebrew_url()),
            "HEKATE_HOMEBREW_BOTTLES_URL" => Some(self.served.bottles_url()),
            "HEKATE_GITHUB_URL" => Some(self.served.github_url()),
            "HEKATE_TRUSTED_ROOT" => text(&self.trusted_root()),
            "HEKATE_NPM_KEYS" => text(&self.npm_keys()),
            "HEKATE_SIGNING_KEY" => text(&self.signing_key()),
            "HEKATE_TUF_URL" => Some("off".to_owned()),
            "HEKATE_VERIFIER_ID" => Some("urn:hekate:verifier:demo".to_owned()),
            _ => None,
        })?)
    }

    fn coordinates(&self) -> anyhow::Result<Vec<Coordinate>> {
        self.cases.iter().map(|case| Ok(case.purl.parse()?)).collect()
    }

    /// Serves until standard input ends or a signal comes.
    async fn serve_registry(&self) -> Done {
        let (absent, failing) = (
            Release::honest("never-published", "1.0.0").purl(),
            out_of_order().purl(),
        );
        let mut packages: Vec<Package<'_>> = self
            .cases
            .iter()
            .map(|case| Package {
                purl: &case.purl,
                expected: case.expected,
            })
            .collect();
        packages.push(Package {
            purl: &absent,
            expected: ABSENT,
        });
        packages.push(Package {
            purl: &failing,
            expected: UNAVAILABLE,
        });
        let registry = Registry {
            npm_url: self.served.npm_url(),
            pypi_url: self.served.pypi_url(),
            homebrew_url: self.served.homebrew_url(),
            github_url: self.served.github_url(),
            trusted_root: self.trusted_root(),
            npm_keys: self.npm_keys(),
            signing_key: self.signing_key(),
            packages,
        };
        let line = serde_json::to_string(&registry).map_err(Failure::input)?;
        let mut output = anstream::stdout();
        writeln!(output, "{line}")?;
        output.flush()?;
        tokio::select! {
            signalled = serve::signalled() => signalled?,
            () = end_of_input() => {}
        }
        Ok(Exit::Acceptable)
    }
}

/// A release that the registry fails for, as often as it is asked.
fn out_of_order() -> Release {
    Release::honest("out-of-order", "1.0.0")
}

async fn end_of_input() {
    let mut input = tokio::io::stdin();
    let mut ignored = [0; 1024];
    // An input that cannot be read has ended.
    while input.read(&mut ignored).await.is_ok_and(|bytes| bytes > 0) {}
}

type Results = [(DemoCase, Verdict)];

fn print_table(results: &Results) -> std::io::Result<()> {
    let screen = Screen::of_standard_output();
    let mut table = screen::table(
        &screen,
        ["package, and what was done", "expected", "got, and decided by"],
    );
    // The first column has what the others leave.
    for (column, width) in [(1, 15), (2, 26)] {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::Absolute(comfy_table::Width::Fixed(width)));
        }
    }
    for (case, verdict) in results {
        let got = screen.outcome(verdict.status.as_str(), case.expected);
        table.add_row(
            [
                format!("{}\n{}", short_name(&verdict.package), case.description),
                case.expected.to_owned(),
                format!("{got}\n{}", decided_by(verdict)),
            ]
            .map(Cell::new),
        );
    }
    let mut output = anstream::stdout().lock();
    writeln!(output, "{table}")?;
    let surprises = results
        .iter()
        .filter(|(case, verdict)| verdict.status.as_str() != case.expected)
        .count();
    if surprises == 0 {
        writeln!(output, "All {} verdicts are as expected.", results.len())
    } else {
        writeln!(output, "{surprises} of {} verdicts are not as expected.", results.len())
    }
}

/// The checks that decided a verdict, as far as they fit into a column.
fn decided_by(verdict: &Verdict) -> String {
    match verdict.decided_by.as_slice() {
        [] => String::new(),
        _ if matches!(verdict.status, Status::Attested | Status::Verified) => {
            format!("{} required checks passed", verdict.decided_by.len())
        }
        [first] => first.to_string(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    }
}

/// One result, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    package: &'a PackageVersion,
    done: &'a str,
    expected: &'a str,
    got: Status,
    verdict: &'a Verdict,
}

fn print_lines(results: &Results) -> std::io::Result<()> {
    let mut output = anstream::stdout().lock();
    for (case, verdict) in results {
        let line = Line {
            package: &verdict.package,
            done: case.description,
            expected: case.expected,
            got: verdict.status,
            verdict,
        };
        writeln!(output, "{}", serde_json::to_string(&line)?)?;
    }
    output.flush()
}

fn print_invitation(address: SocketAddr, results: &Results) {
    say(&format!(
        "\nHekate listens on http://{address}, until Ctrl-C or SIGTERM. Try:"
    ));
    for status in [Status::Verified, Status::Suspicious] {
        let of_status = results.iter().find(|(_, verdict)| verdict.status == status);
        if let Some((_, verdict)) = of_status {
            let package = &verdict.package;
            let path = format!("v1/verdicts/npm/{}/{}", package.name(), package.version());
            say(&format!("  curl http://{address}/{path}    # {status}"));
            say(&format!("  curl http://{address}/{path}/dossier"));
        }
    }
    say(&format!(
        "  curl 'http://{address}/v1/verdicts?purl=pkg:npm/left-out@1.3.0&fresh=true'"
    ));
    say(&format!("  curl http://{address}/"));
}
