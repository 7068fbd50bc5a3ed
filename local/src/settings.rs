//! `hekate config`: what can be configured, and what is.

use std::io::Write as _;

use comfy_table::{Cell, ColumnConstraint};
use hekate::config::VARIABLES;
use hekate::wiring;

use crate::Done;
use crate::exit::{Exit, Failure};
use crate::screen::{Screen, table};

/// Prints the variables; fails if what is set cannot be used.
pub(crate) fn run() -> Done {
    let screen = Screen::of_standard_output();
    let mut table = table(&screen, ["variable", "meaning", "default", "set"]);
    // A name that is broken over two lines cannot be copied.
    if let Some(column) = table.column_mut(0) {
        column.set_constraint(ColumnConstraint::ContentWidth);
    }
    for &(name, meaning, default) in VARIABLES {
        // The value itself stays away from the screen: some variables will hold secrets.
        let set = std::env::var_os(name).is_some_and(|value| !value.is_empty());
        table.add_row([name, meaning, default, if set { "yes" } else { "" }].map(Cell::new));
    }
    writeln!(anstream::stdout().lock(), "{table}")?;
    wiring::config_from_environment().map_err(Failure::input)?;
    Ok(Exit::Acceptable)
}
