//! `hekate verify`: verdicts on versions of packages.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::{Stream, StreamExt as _};
use hekate::adapters::announcements::LogAnnouncer;
use hekate::adapters::{in_process, pem};
use hekate::config::Config;
use hekate::package::Coordinate;
use hekate::service::{Looked, Service, ServiceFault};
use hekate::verifier::Case;
use hekate::wiring;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::{Format, VerdictFormat, Verify};
use crate::exit::{Exit, Failure};
use crate::file::{AtHand, Brought};
use crate::screen::{self, Printer};
use crate::{Done, store};

/// How many versions are looked at, at once. The limit per upstream host lies in the fetch port.
const AT_ONCE: usize = 5;
/// How often the spinner turns.
const TICK: Duration = Duration::from_millis(100);

/// Prints the verdict on each package, in the order given.
pub(crate) async fn run(arguments: Verify) -> Done {
    let mut coordinates = parse(&arguments.packages)?;
    let repository = arguments.repository.as_deref().unwrap_or_default();
    let files = if arguments.files.is_empty() {
        Vec::new()
    } else {
        Brought::read_all(&arguments.files, repository).map_err(Failure::input)?
    };
    coordinates.extend(files.iter().map(|file| file.coordinate.clone()));
    if arguments.dossier.is_some() && coordinates.len() > 1 {
        return Err(Failure::input(anyhow::anyhow!(
            "--dossier saves one case: give one package"
        )));
    }
    let config = wiring::config_from_environment().map_err(Failure::input)?;
    let embedded = store::open(&config).await?;
    let mut service = alone(&config, &embedded)?;
    if !files.is_empty() {
        service.fetch = Arc::new(AtHand::new(service.fetch, &files));
    }
    let service = Arc::new(service);
    if arguments.format == VerdictFormat::Vsa && service.signing.signer.is_none() {
        return Err(Failure::input(anyhow::anyhow!(
            "--format vsa signs, and there is no key: set HEKATE_SIGNING_KEY to a file that ends in .pem; {}",
            pem::MAKE_ONE
        )));
    }
    // A remembered verdict has no case to save.
    let fresh = arguments.fresh || arguments.dossier.is_some();

    let progress = Progress::start(coordinates.len());
    let mut printer = match arguments.format {
        VerdictFormat::Text => Some(Printer::new(Format::Text)),
        VerdictFormat::Json => Some(Printer::new(Format::Json)),
        VerdictFormat::Vsa => None,
    };
    let mut exits = Vec::new();
    let mut looks = looks(&service, coordinates, fresh);
    while let Some((coordinate, result)) = looks.next().await {
        progress.advance();
        let told = |fault: &ServiceFault| progress.aside(|| tell(&coordinate, fault));
        let looked = match result {
            Ok(looked) => looked,
            Err(fault) => {
                exits.push(told(&fault));
                continue;
            }
        };
        match &mut printer {
            Some(printer) => progress.aside(|| {
                printer.print(&looked.verdict)?;
                if looked.case.is_none() && !fresh && arguments.format == VerdictFormat::Text {
                    say(&screen::note("this verdict was remembered; --fresh looks again"));
                }
                Ok::<_, Failure>(())
            })?,
            None => match service.attest(&looked.verdict).await {
                Ok(envelope) => progress.aside(|| screen::print_line(&envelope))?,
                // What it is worth is told by the exit status, as always.
                Err(fault @ ServiceFault::NoSummary(_)) => {
                    told(&fault);
                }
                Err(fault) => exits.push(told(&fault)),
            },
        }
        if let Some(path) = &arguments.dossier {
            progress.aside(|| save(path, &looked))?;
        }
        exits.push(Exit::of(looked.verdict.status, arguments.require));
    }
    Ok(Exit::worst(exits))
}

/// Says why there is nothing to print, and what that amounts to.
fn tell(coordinate: &Coordinate, fault: &ServiceFault) -> Exit {
    let source = std::error::Error::source(fault)
        .map(|source| format!(": {source}"))
        .unwrap_or_default();
    say(&screen::error(&format!("{coordinate}: {fault}{source}")));
    Exit::of_fault(fault)
}

/// All coordinates, or everything that is wrong with them.
fn parse(packages: &[String]) -> Result<Vec<Coordinate>, Failure> {
    let (good, bad): (Vec<_>, Vec<_>) = packages
        .iter()
        .map(|text| text.parse::<Coordinate>())
        .partition(Result::is_ok);
    if bad.is_empty() {
        return Ok(good.into_iter().flatten().collect());
    }
    let errors: Vec<String> = bad
        .into_iter()
        .filter_map(Result::err)
        .map(|error| error.to_string())
        .collect();
    Err(Failure::input(anyhow::anyhow!(errors.join("\n       "))))
}

/// The service on an embedded store, for a process that hands no work over.
pub(crate) fn service(
    config: &Config,
    embedded: &hekate::adapters::embedded::EmbeddedDynamoDb,
) -> Result<Arc<Service>, Failure> {
    alone(config, embedded).map(Arc::new)
}

/// The same before anybody shares it.
fn alone(config: &Config, embedded: &hekate::adapters::embedded::EmbeddedDynamoDb) -> Result<Service, Failure> {
    let (queue, _nobody) = in_process::queue(std::num::NonZeroUsize::MIN);
    wiring::service(
        config,
        Arc::new(embedded.store()),
        Arc::new(queue),
        Arc::new(LogAnnouncer),
    )
    .map_err(Failure::input)
}

/// Looks at several coordinates at once, and gives the results in their order.
pub(crate) fn looks(
    service: &Arc<Service>,
    coordinates: Vec<Coordinate>,
    fresh: bool,
) -> impl Stream<Item = (Coordinate, Result<Looked, ServiceFault>)> + Unpin {
    let look = |coordinate: Coordinate| {
        let service = Arc::clone(service);
        Box::pin(async move {
            let mut result = service.verdict(&coordinate, fresh, wiring::now()).await;
            // Somebody who asks again wants to know whether it can be told by now.
            if result
                .as_ref()
                .is_ok_and(|looked| !fresh && looked.case.is_none() && !looked.verdict.status.is_settled())
            {
                result = service.verdict(&coordinate, true, wiring::now()).await;
            }
            (coordinate, result)
        })
    };
    futures::stream::iter(coordinates.into_iter().map(look).collect::<Vec<_>>()).buffered(AT_ONCE)
}

/// Saves the case of a look. The verdict that was printed need not be the case's: one that settled nothing never replaces
/// one that did.
fn save(path: &Path, looked: &Looked) -> Result<(), Failure> {
    let Some(case) = looked.case.as_deref() else {
        let error =
            anyhow::anyhow!("somebody else is verifying it just now, so that there is no case to save; try again");
        return Err(Failure::passing(error));
    };
    write_case(path, case).map_err(Failure::input)?;
    let of_case = case.replay().map_err(Failure::input)?;
    if of_case.dossier != looked.verdict.dossier {
        say(&screen::note(&format!(
            "the saved case is that of the look just made, which came to `{}`; the earlier verdict stays",
            of_case.status
        )));
    }
    Ok(())
}

fn write_case(path: &Path, case: &Case) -> anyhow::Result<()> {
    let text = serde_json::to_vec(case).context("the case cannot be written as JSON")?;
    let folder = path.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    std::fs::write(path, text).with_context(|| {
        format!(
            "{} cannot be written; is {} a folder of yours?",
            path.display(),
            folder.display()
        )
    })
}

/// Writes one line on standard error.
pub(crate) fn say(line: &str) {
    // Where nobody listens any more there is nobody to tell.
    let _closed = writeln!(anstream::stderr(), "{line}");
}

/// Shows on a terminal that something is under way, and how far it is.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Begins; where standard error is no terminal, nothing is ever shown.
    pub(crate) fn start(packages: usize) -> Self {
        if !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let length = u64::try_from(packages).unwrap_or(u64::MAX);
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        let template = if packages == 1 {
            "{spinner} looking"
        } else {
            "{spinner} looking {wide_bar} {pos}/{len}"
        };
        // The templates are constants: one that did not parse would leave the usual style.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        Self(bar)
    }

    /// One more is done.
    pub(crate) fn advance(&self) {
        self.0.inc(1);
    }

    /// Takes the bar away while something is printed.
    pub(crate) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
