//! The commands and their options.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// How a run ends, for the help of the commands that judge.
const EXIT_STATUS: &str = "\
Exit status:
  0   every package is acceptable
  1   a package is not: mismatch, suspicious, downgraded, or below --require
  2   wrong usage or input: a name that is none, a version that does not exist
  75  it could not be told: indeterminate, or an upstream is down; try again

Over several packages the first of 1, 2, 75 and 0 that applies to any of them
is the status.";

/// Did the registry publish what the build produced from the source that it says it used?
#[derive(Debug, Parser)]
#[command(
    name = "hekate",
    version,
    propagate_version = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "`hekate demo` shows every kind of answer without the internet. `hekate config` lists the environment\n\
                  variables. RUST_LOG sets what is logged on standard error."
)]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Verify versions of packages, or released files
    ///
    /// Fetches what the registry serves of each version, verifies its attestations, and compares all of it. The verdict is
    /// kept in the store, so that a second look is fast and remembers the first.
    ///
    /// With --file, verifies files that you have, by what GitHub's store holds of their digests: whether a workflow of the
    /// repository that you expect built them.
    #[command(after_help = EXIT_STATUS)]
    Verify(Verify),
    /// Verify every package of a lockfile or a bill of materials
    ///
    /// Reads package-lock.json of any lockfile version, CycloneDX, SPDX, or an object with an array `packages` of purls, and prints
    /// every package that is not verified or attested, then the counts.
    #[command(after_help = EXIT_STATUS)]
    Audit(Audit),
    /// Keep the list of packages that are looked after
    ///
    /// `hekate serve` on the same store looks for new versions of them, and at each version again and again.
    #[command(subcommand)]
    Watch(Watch),
    /// Derive the verdict of a saved case again, offline
    ///
    /// Reads what `hekate verify --dossier FILE` saved, and needs neither the network nor the store: a verdict is a function
    /// of its case. Prints what `verify` printed.
    #[command(after_help = EXIT_STATUS)]
    Replay(Replay),
    /// Serve the HTTP API, with worker and sweeper, in this process
    ///
    /// Ends on SIGINT or SIGTERM after the requests under way, within ten seconds. Nobody is asked who they are: keep it on
    /// a loopback address, or behind something that asks.
    Serve(Serve),
    /// Verify a generated supply chain with honest and attacked packages
    ///
    /// Everything is made in memory with real cryptography and served on a loopback port: nothing is asked of the internet,
    /// and nothing is kept. The exit status is 1 if any verdict is another than expected.
    Demo(Demo),
    /// Verify a Sigstore bundle, by the protocol of Sigstore's conformance suite
    ///
    /// Exit status: 0 if the bundle verifies for the artifact and the signer, 1 if not, 2 on wrong usage.
    VerifyBundle(VerifyBundle),
    /// Show the environment variables that configure this program
    Config,
}

/// How verdicts are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// One screen for people
    Text,
    /// One JSON document per line
    Json,
}

/// How `hekate verify` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum VerdictFormat {
    /// One screen for people
    Text,
    /// One verdict per line, as JSON
    Json,
    /// One signed verification summary per line, by the key of HEKATE_SIGNING_KEY
    Vsa,
}

/// The least that is acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Requirement {
    /// An authentic build attested these bytes
    Attested,
    /// Besides, the build run itself was examined
    Verified,
}

/// `hekate verify`.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A purl such as pkg:npm/%40scope/name@1.2.3, or npm:@scope/name@1.2.3; without a version, what `latest` names
    #[arg(required_unless_present = "files", value_name = "PACKAGE")]
    pub(crate) packages: Vec<String>,
    /// A file that was released, wherever it comes from; may be given several times
    #[arg(long = "file", value_name = "FILE", requires = "repository")]
    pub(crate) files: Vec<PathBuf>,
    /// The repository on GitHub that is to have built the files
    #[arg(long, value_name = "OWNER/NAME", requires = "files")]
    pub(crate) repository: Option<String>,
    /// How verdicts are printed on standard output
    #[arg(long, value_enum, default_value_t = VerdictFormat::Text)]
    pub(crate) format: VerdictFormat,
    /// Save everything that the verdict is a function of, for `hekate replay`; one package at a time
    #[arg(long, value_name = "FILE")]
    pub(crate) dossier: Option<PathBuf>,
    /// Look again, even if a verdict is remembered
    #[arg(long)]
    pub(crate) fresh: bool,
    /// The least that is acceptable; without it, a package without attestations is
    #[arg(long, value_enum, value_name = "STATUS")]
    pub(crate) require: Option<Requirement>,
}

/// `hekate audit`.
#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// The lockfile or bill of materials; `-` reads standard input
    #[arg(value_name = "FILE")]
    pub(crate) list: PathBuf,
    /// How verdicts are printed on standard output; `json` prints all of them
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Look again, even if a verdict is remembered
    #[arg(long)]
    pub(crate) fresh: bool,
    /// The least that is acceptable; without it, a package without attestations is
    #[arg(long, value_enum, value_name = "STATUS")]
    pub(crate) require: Option<Requirement>,
}

/// `hekate watch`.
#[derive(Debug, Subcommand)]
pub(crate) enum Watch {
    /// Put packages on the list
    Add(WatchPackages),
    /// Show the list
    List(WatchList),
    /// Take packages off the list; their verdicts stay
    Remove(WatchPackages),
}

/// Packages, by name or by list.
#[derive(Debug, Args)]
pub(crate) struct WatchPackages {
    /// Names such as npm:sigstore or pkg:npm/%40scope/name, without a version
    #[arg(required_unless_present = "list", value_name = "PACKAGE")]
    pub(crate) packages: Vec<String>,
    /// Every package of this lockfile or bill of materials; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) list: Option<PathBuf>,
}

/// `hekate watch list`.
#[derive(Debug, Args)]
pub(crate) struct WatchList {
    /// How the list is printed on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
}

/// `hekate replay`.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// A file that `hekate verify --dossier` saved
    #[arg(required = true, value_name = "CASE")]
    pub(crate) cases: Vec<PathBuf>,
    /// How verdicts are printed on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// The least that is acceptable; without it, a package without attestations is
    #[arg(long, value_enum, value_name = "STATUS")]
    pub(crate) require: Option<Requirement>,
}

/// `hekate serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where to listen; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
}

/// `hekate demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// How the results are printed on standard output
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub(crate) format: Format,
    /// Leave the HTTP API up on the generated supply chain, to try it out
    #[arg(long)]
    pub(crate) serve: bool,
    /// Where to listen with --serve; port 0 takes any that is free
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080", requires = "serve")]
    pub(crate) listen: SocketAddr,
    /// Verify the record instead: attacks that happened, packages that only looked like one, and ordinary life
    #[arg(long, conflicts_with_all = ["serve", "registry"])]
    pub(crate) record: bool,
    /// Verify nothing: serve the registry alone until standard input ends, and say in one line of JSON where it is
    #[arg(long, conflicts_with_all = ["serve", "format"])]
    pub(crate) registry: bool,
    /// With --registry: so many packages besides, as a lockfile has them, every other one with a provenance
    #[arg(long, value_name = "COUNT", default_value_t = 0, requires = "registry")]
    pub(crate) dependencies: u16,
}

/// `hekate verify-bundle`.
#[derive(Debug, Args)]
pub(crate) struct VerifyBundle {
    /// Trust the staging instance of Sigstore instead of the public-good one
    #[arg(long, conflicts_with = "trusted_root")]
    pub(crate) staging: bool,
    /// The Sigstore bundle
    #[arg(long, value_name = "FILE")]
    pub(crate) bundle: PathBuf,
    /// The signer: the subject alternative name that the certificate must have, exactly
    #[arg(
        long,
        value_name = "IDENTITY",
        required_unless_present = "key",
        requires = "certificate_oidc_issuer"
    )]
    pub(crate) certificate_identity: Option<String>,
    /// Who must have vouched for the signer
    #[arg(long, value_name = "URL", requires = "certificate_identity")]
    pub(crate) certificate_oidc_issuer: Option<String>,
    /// The signer's public key, PEM: for bundles that carry no certificate
    #[arg(long, value_name = "FILE", conflicts_with = "certificate_identity")]
    pub(crate) key: Option<PathBuf>,
    /// Whom to trust: a Sigstore trusted_root.json instead of the one built in
    #[arg(long, value_name = "FILE")]
    pub(crate) trusted_root: Option<PathBuf>,
    /// The artifact's file, or sha256: and its digest in hexadecimal
    #[arg(value_name = "FILE_OR_DIGEST")]
    pub(crate) artifact: String,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_commands_and_options_fit_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_help_text_fits_a_terminal_of_eighty_columns() {
        let command = Arguments::command();
        let help = |command: &clap::Command| command.clone().term_width(80).render_long_help().to_string();
        let mut texts: Vec<String> = command.get_subcommands().map(help).collect();
        texts.push(help(&command));
        for line in texts.iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
