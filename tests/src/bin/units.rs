//! Prints how many requests and units of DynamoDB each kind of work takes, as counted on the product's own service and adapter.
//!
//! `units [--format text|json]`
//!
//! Exit status: 0 if it was counted, 1 if not, 2 for wrong usage.

use std::io::Write as _;
use std::process::ExitCode;

use hekate_tests::units;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let is_json = match arguments[..] {
        [] | ["--format", "text"] => false,
        ["--format", "json"] => true,
        _ => {
            // Nobody is left to hear that standard error is closed.
            let _ = writeln!(std::io::stderr(), "usage: units [--format text|json]");
            return ExitCode::from(2);
        }
    };
    let printed = match units::measure().await {
        Ok(all) if is_json => writeln!(std::io::stdout(), "{}", units::json(&all)).map_err(anyhow::Error::from),
        Ok(all) => write!(std::io::stdout(), "{}", units::text(&all)).map_err(anyhow::Error::from),
        Err(fault) => Err(fault),
    };
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            let _ = writeln!(std::io::stderr(), "{fault:#}");
            ExitCode::FAILURE
        }
    }
}
