//! The built program, as its users run it.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::indexing_slicing, reason = "a member that is not there is the surprise")]

mod bundle;
mod demo;
mod files;
mod replay;
mod serve;
mod signing;
mod verify;
mod watch;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use testbed::{Scenario, Served};

/// A generated supply chain, and a folder for everything that the program keeps.
struct Bed {
    served: Served,
    folder: TempDir,
}

impl Bed {
    async fn of(scenario: Scenario) -> Self {
        let folder = tempfile::tempdir().unwrap();
        scenario.write_trust(folder.path()).unwrap();
        Self {
            served: scenario.serve().await.unwrap(),
            folder,
        }
    }

    async fn demo() -> Self {
        Self::of(testbed::demo().scenario).await
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with this supply chain as its world.
    fn hekate(&self) -> Command {
        let mut command = hekate();
        command
            .env("HEKATE_NPM_URL", self.served.npm_url())
            .env("HEKATE_PYPI_URL", self.served.pypi_url())
            .env("HEKATE_GITHUB_URL", self.served.github_url())
            .env("HEKATE_TRUSTED_ROOT", self.path("trusted_root.json"))
            .env("HEKATE_NPM_KEYS", self.path("npm-keys.json"))
            .env("HEKATE_TUF_URL", "off")
            .env("HEKATE_STORE", self.path("made/on/the/way/store.db"));
        command
    }

    fn verify(&self, arguments: &[&str]) -> Ran {
        run(self.hekate().arg("verify").args(arguments))
    }
}

/// The program with nothing of this machine's environment that could change what it does.
fn hekate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hekate"));
    let ours = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HEKATE_"));
    for (name, _) in ours {
        command.env_remove(name);
    }
    for name in ["RUST_LOG", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "LC_CTYPE", "LANG"] {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

/// What a run left.
#[derive(Debug)]
struct Ran {
    status: i32,
    out: String,
    err: String,
}

impl Ran {
    /// The one JSON document on standard output.
    fn json(&self) -> serde_json::Value {
        assert_eq!(self.out.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.out).unwrap()
    }
}

fn run(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().unwrap();
    Ran {
        status: status.code().unwrap(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// An address on which nobody listens.
fn nowhere() -> &'static str {
    "http://127.0.0.1:9"
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
