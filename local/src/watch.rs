//! `hekate watch`: the list of packages that are looked after.

use std::io::Write as _;

use hekate::adapters::embedded::EmbeddedDynamoDb;
use hekate::package::PackageName;
use hekate::ports::{StoreFault, WatchStore as _, Watched};
use hekate::wiring;

use crate::cli::{Format, Watch, WatchList, WatchPackages};
use crate::exit::{Exit, Failure};
use crate::verify::say;
use crate::{Done, list, screen, store};

/// How many entries are read at once.
const PAGE: usize = 1000;

/// Changes or shows the list in the user's store.
pub(crate) async fn run(command: Watch) -> Done {
    let config = wiring::config_from_environment().map_err(Failure::input)?;
    match command {
        Watch::Add(packages) => add(&names(&packages)?, &store::open(&config).await?).await,
        Watch::Remove(packages) => remove(&names(&packages)?, &store::open(&config).await?).await,
        Watch::List(arguments) => show(&arguments, &store::open(&config).await?).await,
    }
}

/// All names, or everything that is wrong with them.
fn names(packages: &WatchPackages) -> Result<Vec<PackageName>, Failure> {
    let mut names = Vec::new();
    let mut errors = Vec::new();
    for text in &packages.packages {
        match text.parse::<PackageName>() {
            Ok(name) => names.push(name),
            Err(error) => errors.push(error.to_string()),
        }
    }
    if !errors.is_empty() {
        return Err(Failure::input(anyhow::anyhow!(errors.join("\n       "))));
    }
    if let Some(path) = &packages.list {
        names.extend(list::read(path)?.names());
    }
    names.sort();
    names.dedup();
    if names.is_empty() {
        return Err(Failure::input(anyhow::anyhow!(
            "the list names no package of a registry"
        )));
    }
    Ok(names)
}

async fn add(names: &[PackageName], embedded: &EmbeddedDynamoDb) -> Done {
    let store = embedded.store();
    let now = wiring::now();
    let mut new = 0;
    for name in names {
        let entry = store.watch(name, now).await.map_err(failure)?;
        new += usize::from(entry.since == now);
    }
    let known = names.len() - new;
    say(&format!(
        "{new} put on the watch list, {known} on it already; `hekate serve` looks after them"
    ));
    Ok(Exit::Acceptable)
}

async fn remove(names: &[PackageName], embedded: &EmbeddedDynamoDb) -> Done {
    let store = embedded.store();
    let mut missing = 0;
    for name in names {
        if !store.unwatch(name).await.map_err(failure)? {
            missing += 1;
            say(&screen::note(&format!("{} is not on the watch list", name.to_purl())));
        }
    }
    say(&format!("{} taken off the watch list", names.len() - missing));
    Ok(if missing == 0 {
        Exit::Acceptable
    } else {
        Exit::WrongInput
    })
}

async fn show(arguments: &WatchList, embedded: &EmbeddedDynamoDb) -> Done {
    let store = embedded.store();
    let mut after = None;
    let mut count = 0;
    loop {
        let page = store.watch_list(after.as_ref(), PAGE).await.map_err(failure)?;
        for entry in &page {
            print(entry, arguments.format)?;
        }
        count += page.len();
        after = page.last().map(|entry| entry.package.clone());
        if page.len() < PAGE {
            break;
        }
    }
    if count == 0 && arguments.format == Format::Text {
        say("the watch list is empty; `hekate watch add npm:NAME` puts a package on it");
    }
    Ok(Exit::Acceptable)
}

fn print(entry: &Watched, format: Format) -> std::io::Result<()> {
    let mut output = anstream::stdout();
    match format {
        Format::Json => writeln!(output, "{}", serde_json::to_string(entry)?)?,
        Format::Text => {
            let seen = entry.seen_until.map_or_else(
                || "not looked at yet".to_owned(),
                |seen| format!("versions until {seen:.0}"),
            );
            writeln!(
                output,
                "{:40} since {:.0}  {seen}, next {:.0}",
                entry.package.to_purl(),
                entry.since,
                entry.next_look_at
            )?;
        }
    }
    Ok(())
}

fn failure(fault: StoreFault) -> Failure {
    Failure::passing(fault)
}
