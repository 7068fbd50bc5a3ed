//! Hekate on one machine: the command line, and the three functions in one process on an embedded store.

mod audit;
mod bundle;
mod cli;
mod demo;
mod exit;
mod file;
mod list;
mod record;
mod replay;
mod screen;
mod serve;
mod settings;
mod store;
mod verify;
mod watch;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use hekate::wiring;

use crate::cli::{Arguments, Command};
use crate::exit::Exit;

/// What is logged unless `RUST_LOG` says otherwise: what a person at a terminal should know, and what an operator should.
const QUIET: &str = "error,hekate=warn";
// The embedded store warns whenever it answers that its table is there already.
const OPERATOR: &str = "warn,dynoxide=error,hekate=info";

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = match &arguments.command {
        Command::Serve(_) => OPERATOR,
        Command::Demo(demo) if demo.serve => OPERATOR,
        Command::Verify(_)
        | Command::Audit(_)
        | Command::Watch(_)
        | Command::Replay(_)
        | Command::Demo(_)
        | Command::VerifyBundle(_)
        | Command::Config => QUIET,
    };
    wiring::init_logs(filter);
    let done = match arguments.command {
        Command::Verify(arguments) => verify::run(arguments).await,
        Command::Audit(arguments) => audit::run(arguments).await,
        Command::Watch(command) => watch::run(command).await,
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments).await,
        Command::Demo(arguments) => demo::run(&arguments).await,
        Command::VerifyBundle(arguments) => bundle::run(&arguments),
        Command::Config => settings::run(),
    };
    let exit = done.unwrap_or_else(|failure| {
        // Where even the error stream is closed, the exit status still tells.
        let _closed = writeln!(anstream::stderr(), "{}", screen::error(&format!("{:#}", failure.error)));
        failure.exit
    });
    exit.into()
}

/// The status of a run that ended as it should, or what stopped it.
type Done = Result<Exit, exit::Failure>;
