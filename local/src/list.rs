//! Lists of packages that a person hands in as a file.

use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use hekate::package::Inventory;

use crate::exit::Failure;
use crate::screen;
use crate::verify::say;

/// The largest list that is read, in bytes.
const LIMIT: u64 = 256 << 20;
/// How many entries that were left out are named.
const NAMED: usize = 5;

/// Reads a lockfile or a bill of materials, and says what of it is left out.
pub(crate) fn read(path: &Path) -> Result<Inventory, Failure> {
    let text = text(path).map_err(Failure::input)?;
    let inventory = Inventory::parse(&text)
        .with_context(|| path.display().to_string())
        .map_err(Failure::input)?;
    let skipped = &inventory.skipped;
    for entry in skipped.iter().take(NAMED) {
        say(&screen::note(&format!(
            "{} is left out: {}",
            entry.entry, entry.because
        )));
    }
    if skipped.len() > NAMED {
        say(&screen::note(&format!("{} more are left out", skipped.len() - NAMED)));
    }
    Ok(inventory)
}

fn text(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(LIMIT).read_to_string(&mut text)
    } else {
        std::fs::File::open(path)
            .with_context(|| format!("{} cannot be opened", path.display()))?
            .take(LIMIT)
            .read_to_string(&mut text)
    };
    read.with_context(|| format!("{} is no text", path.display()))?;
    Ok(text)
}
