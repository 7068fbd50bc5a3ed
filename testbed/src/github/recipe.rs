//! How the workflows of the ecosystems publish: their steps, and what a release changes in a repository.

use serde_json::Value;
use std::fmt::Write as _;

/// A step of a job, and how many seconds it takes.
type TimedStep = (&'static str, i64);

/// The name of the step in which honest npm packages are published and signed.
pub const PUBLISH_STEP: &str = "Run npm publish";
/// The action of the Python Packaging Authority, which signs and uploads.
const PYPA_STEP: &str = "Run pypa/gh-action-pypi-publish@release/v1";
/// Twine.
const TWINE_STEP: &str = "Run twine upload --attestations dist/*";
/// uv.
const UV_STEP: &str = "Run uv publish";
/// The step in which Homebrew's workflows attest bottles, before they upload them.
const BOTTLES_STEP: &str = "Generate build provenance";
/// The action that attests whatever was built.
const ATTEST_STEP: &str = "Run actions/attest-build-provenance@v3";
/// The steps in which honest releases of every ecosystem are signed.
pub(super) const PUBLISH_STEPS: [&str; 6] = [PUBLISH_STEP, PYPA_STEP, TWINE_STEP, UV_STEP, BOTTLES_STEP, ATTEST_STEP];

const CHECKOUT: TimedStep = ("Run actions/checkout@v6", 3);
const AFTER_CHECKOUT: TimedStep = ("Post Run actions/checkout@v6", 1);
const SET_UP: TimedStep = ("Set up job", 2);
const COMPLETE: TimedStep = ("Complete job", 0);

/// How a workflow publishes.
#[derive(Clone)]
pub(crate) struct Recipe {
    /// The steps before the one that publishes.
    pub(super) before: &'static [TimedStep],
    /// The step that publishes and signs.
    pub(super) publish: &'static str,
    /// The steps after it.
    pub(super) after: &'static [TimedStep],
    /// The files that the commit of a release changes.
    pub(super) changes: Vec<String>,
    /// What says the version in the repository.
    pub(super) manifest: Manifest,
}

/// The file of a repository that says which version of what it holds.
#[derive(Clone)]
pub(super) enum Manifest {
    /// npm's `package.json`, at the root and in the directory that it names.
    PackageJson(Value),
    /// Another file, with its path.
    Text(String, String),
    /// None.
    Absent,
}

impl Recipe {
    /// With the npm command line.
    pub(crate) fn npm(package_json: Value) -> Self {
        Self {
            before: &[
                SET_UP,
                CHECKOUT,
                ("Run actions/setup-node@v6", 5),
                ("Run npm ci", 24),
                ("Run npm test", 38),
            ],
            publish: PUBLISH_STEP,
            after: &[("Post Run actions/setup-node@v6", 1), AFTER_CHECKOUT, COMPLETE],
            changes: changes(["CHANGELOG.md", "package.json"]),
            manifest: Manifest::PackageJson(package_json),
        }
    }

    /// To PyPI, with the action of the Python Packaging Authority.
    pub(crate) fn pypa_action(pyproject: String) -> Self {
        Self {
            before: &[
                SET_UP,
                CHECKOUT,
                ("Run actions/setup-python@v6", 5),
                ("Run python -m pip install build", 11),
                ("Run python -m build", 27),
            ],
            publish: PYPA_STEP,
            after: &[("Post Run actions/setup-python@v6", 1), AFTER_CHECKOUT, COMPLETE],
            changes: changes(["CHANGELOG.md", "pyproject.toml"]),
            manifest: Manifest::Text("pyproject.toml".to_owned(), pyproject),
        }
    }

    /// To PyPI, with Twine.
    pub(crate) fn twine(pyproject: String) -> Self {
        Self {
            publish: TWINE_STEP,
            ..Self::pypa_action(pyproject)
        }
    }

    /// To PyPI, with uv.
    pub(crate) fn uv(pyproject: String) -> Self {
        Self {
            before: &[
                SET_UP,
                CHECKOUT,
                ("Run astral-sh/setup-uv@v7", 3),
                ("Run uv build", 9),
                ("Run uv run pytest", 31),
            ],
            publish: UV_STEP,
            after: &[("Post Run astral-sh/setup-uv@v7", 1), AFTER_CHECKOUT, COMPLETE],
            ..Self::pypa_action(pyproject)
        }
    }

    /// Of files that were built, attested with GitHub's action.
    pub(crate) fn attest() -> Self {
        Self {
            before: &[SET_UP, CHECKOUT, ("Run make dist", 51)],
            publish: ATTEST_STEP,
            after: &[("Run gh release upload", 4), AFTER_CHECKOUT, COMPLETE],
            changes: changes(["CHANGELOG.md"]),
            manifest: Manifest::Absent,
        }
    }

    /// Of Homebrew's bottles, for a formula at `path`.
    pub(crate) fn bottles(path: &str, formula: String) -> Self {
        Self {
            before: &[SET_UP, ("Set up Homebrew", 14), ("Pull bottles", 23)],
            publish: BOTTLES_STEP,
            after: &[("Upload bottles to GitHub Packages", 9), ("Push commits", 4), COMPLETE],
            changes: changes([path]),
            manifest: Manifest::Text(path.to_owned(), formula),
        }
    }

    /// Of Homebrew's bottles of earlier years, whatever they are of.
    pub(crate) fn backfill() -> Self {
        Self {
            before: &[
                SET_UP,
                ("Set up Homebrew", 14),
                ("Tap brew verify", 3),
                ("Fetch bottles", 302),
            ],
            publish: BOTTLES_STEP,
            after: &[COMPLETE],
            changes: changes(["README.md"]),
            manifest: Manifest::Absent,
        }
    }

    /// The workflow file's jobs.
    pub(super) fn workflow(&self) -> String {
        let mut text = "jobs:\n  publish:\n    runs-on: ubuntu-latest\n    steps:\n".to_owned();
        let before = self.before.iter().map(|(name, _)| *name);
        for name in before.chain([self.publish]).filter(|name| *name != SET_UP.0) {
            let (key, value) = match name.strip_prefix("Run ") {
                Some(action) if action.contains('@') => ("uses", action),
                Some(command) => ("run", command),
                None => ("name", name),
            };
            // Writing to a string does not fail.
            let _ = writeln!(text, "      - {key}: {value}");
        }
        text
    }

    /// The step that fails in an attempt that publishes nothing.
    pub(super) fn last_before(&self) -> &'static str {
        self.before.last().map_or(SET_UP.0, |(name, _)| name)
    }
}

/// The paths of the files that a commit changes.
fn changes<const N: usize>(paths: [&str; N]) -> Vec<String> {
    paths.map(str::to_owned).into()
}
