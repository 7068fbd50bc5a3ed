//! What the steps of a run are, by their names.
//!
//! GitHub shows of a step its name, how it ended and when. Names are chosen in the workflow, so that a name is no proof:
//! what is recognised here decides which step to look at, and what that step did is GitHub's to say.

use jiff::{SignedDuration, Timestamp};

use super::wire::{Job, Step};

/// What a step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepKind {
    /// Runs a command or an action that publishes packages.
    Publishes,
    /// Says in its own words that it publishes or releases.
    SaysPublish,
    /// Prepares, fetches, installs, tests or cleans up: nothing of this publishes.
    NeverPublishes,
    /// Anything else.
    Other,
}

/// Package managers and release tools that publish with the word `publish`, whatever options stand between.
const TOOLS: &[&str] = &[
    "npm",
    "pnpm",
    "yarn",
    "bun",
    "lerna",
    "rush",
    "beachball",
    "changeset",
    "@changesets/cli",
    "jsr",
    "uv",
    "poetry",
    "flit",
    "hatch",
    "pdm",
    "maturin",
];

/// Commands and actions that publish by themselves, as words that follow each other.
const PUBLISHERS: &[&[&str]] = &[
    &["changesets/action"],
    &["semantic-release"],
    &["cycjimmy/semantic-release-action"],
    &["js-devtools/npm-publish"],
    &["pypa/gh-action-pypi-publish"],
    &["release-it"],
    &["auto", "shipit"],
    &["nx", "release"],
    &["npm", "stage"],
    &["npm", "run", "release"],
    &["pnpm", "run", "release"],
    &["pnpm", "release"],
    &["yarn", "run", "release"],
    &["yarn", "release"],
    &["bun", "run", "release"],
    &["twine", "upload"],
    &["maturin", "upload"],
    &["python-semantic-release/publish-action"],
];

/// Words of a command that only fetches or looks at what it names, or pretends.
const INERT: &[&str] = &[
    "install",
    "i",
    "add",
    "uninstall",
    "remove",
    "view",
    "info",
    "cache",
    "--dry-run",
    "--dry-run=true",
    "-n",
];

/// Actions that attest what was built (<https://docs.github.com/en/actions/concepts/security/artifact-attestations>).
const ATTESTERS: &[&str] = &["actions/attest-build-provenance", "actions/attest"];

/// Words that a step has in its name that attests.
const ATTESTING: &[&str] = &["attest", "attests", "attestation", "attestations", "provenance"];

/// Words that say that a step does something else with attestations than making them.
const READING: &[&str] = &[
    "verify", "verifies", "check", "checks", "download", "fetch", "list", "view", "test", "tests", "install", "setup",
];

/// Words that say that a step publishes.
const PUBLISHING: &[&str] = &["publish", "publishes", "publishing", "release", "releases", "releasing"];

/// Words that say that it publishes something else than a package, or prepares to.
const ELSEWHERE: &[&str] = &[
    "docs",
    "documentation",
    "pages",
    "site",
    "website",
    "storybook",
    "coverage",
    "codecov",
    "results",
    "report",
    "reports",
    "summary",
    "comment",
    "notes",
    "draft",
    "image",
    "images",
    "docker",
    "artifact",
    "artifacts",
    "github",
    "slack",
    "discord",
    "notify",
    "validate",
    "verify",
    "check",
    "prepare",
    "pr",
    "dry",
];

/// Words of steps that make what another step releases: `build:release`.
const BUILDING: &[&str] = &[
    "build", "builds", "building", "compile", "pack", "bundle", "test", "tests", "lint",
];

/// First words of steps that fetch, install or test.
const PREPARING: &[&str] = &[
    "checkout",
    "setup",
    "install",
    "installing",
    "test",
    "tests",
    "testing",
    "lint",
    "linting",
    "typecheck",
    "cache",
    "restore",
    "bootstrap",
];

/// Subcommands of package managers that install or test.
const INSTALLING: &[&str] = &["ci", "install", "i", "test", "t", "lint", "typecheck", "audit"];

/// Words that may stand for publishing in somebody's own words, so that a step with one of them is not merely preparing.
const BRINGING_OUT: &[&str] = &["ship", "deploy", "push", "upload", "promote", "deliver"];

impl StepKind {
    /// What a step of this name is for.
    pub fn of(name: &str) -> Self {
        let name = name.trim().to_ascii_lowercase();
        let runner_made = ["set up job", "complete job", "initialize containers", "stop containers"];
        if runner_made.contains(&name.as_str()) {
            return Self::NeverPublishes;
        }
        // The runner names what follows a step after it. Somebody's own step may begin with the same word.
        for prefix in ["post ", "pre "] {
            if let Some(rest) = name.strip_prefix(prefix) {
                let follows = rest.starts_with("run ") || Self::of(rest) == Self::NeverPublishes;
                return if follows { Self::NeverPublishes } else { Self::Other };
            }
        }
        let is_command = name.starts_with("run ");
        let text = name.strip_prefix("run ").unwrap_or(&name);
        let (mut inert, mut other) = (false, false);
        for command in text.split(['&', ';', '|', '\n']) {
            let words: Vec<&str> = command.split_whitespace().map(tool).collect();
            match command_kind(&words) {
                Self::Publishes => return Self::Publishes,
                Self::NeverPublishes => inert = true,
                Self::SaysPublish | Self::Other => other |= !words.is_empty(),
            }
        }
        if inert && !other && is_command {
            return Self::NeverPublishes;
        }
        let words: Vec<&str> = text
            .split(|character: char| !character.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let says = |list: &[&str]| words.iter().any(|word| list.contains(word));
        // What is built or tested for a release is not yet released.
        let only_for_a_release = says(BUILDING) && !says(&["publish", "publishes", "publishing"]);
        if says(PUBLISHING) && !only_for_a_release {
            return if says(ELSEWHERE) {
                Self::Other
            } else {
                Self::SaysPublish
            };
        }
        let prepares = match words.as_slice() {
            ["set", "up", ..] => true,
            [first, ..] => PREPARING.contains(first),
            [] => false,
        };
        if prepares && !says(BRINGING_OUT) {
            Self::NeverPublishes
        } else {
            Self::Other
        }
    }
}

/// Whether a step of this name attests what was built, by the action that it uses or in its own words.
pub fn attests(name: &str) -> bool {
    let name = name.trim().to_ascii_lowercase();
    let command = name.strip_prefix("run ");
    let uses = command.and_then(|command| command.split_whitespace().next()).map(tool);
    if uses.is_some_and(|action| ATTESTERS.contains(&action)) {
        return true;
    }
    // What the runner adds after a step cleans up, and a command is known by what it runs.
    if command.is_some() || name.starts_with("post ") || name.starts_with("pre ") {
        return false;
    }
    let words: Vec<&str> = name
        .split(|character: char| !character.is_ascii_alphanumeric())
        .collect();
    let says = |list: &[&str]| words.iter().any(|word| list.contains(word));
    says(ATTESTING) && !says(READING)
}

/// A word of a command without the folder that a program lies in and without a version. An action keeps its owner.
fn tool(word: &str) -> &str {
    let word = word.trim_matches(['"', '\'', '`', '(', ')', ',']);
    let word = match word.rfind('@') {
        Some(at) if at > 0 => word.get(..at).unwrap_or(word),
        Some(_) | None => word,
    };
    match word.strip_prefix('.').or_else(|| word.strip_prefix('/')) {
        Some(path) => path.rsplit('/').next().unwrap_or(path),
        None => word,
    }
}

/// The first part of a script's name: `test` of `test:unit`.
fn stem<'a>(script: &&'a str) -> &'a str {
    let (stem, rest) = script.split_once(':').unwrap_or((script, ""));
    // `ci:publish` publishes for all that its first part says.
    let brings_out = |word: &str| PUBLISHING.contains(&word) || BRINGING_OUT.contains(&word);
    if rest.split([':', '-']).any(brings_out) {
        script
    } else {
        stem
    }
}

/// What one command does: publish, install or test, or neither that is known.
fn command_kind(words: &[&str]) -> StepKind {
    let [first, ..] = words else { return StepKind::Other };
    if [
        "actions/checkout",
        "actions/cache",
        "actions/download-artifact",
        "actions/upload-artifact",
        "pnpm/action-setup",
    ]
    .contains(first)
        || first.starts_with("actions/setup-")
    {
        return StepKind::NeverPublishes;
    }
    let inert = words.iter().any(|word| INERT.contains(word));
    let runs_a_tool = |before: &[&str]| before.iter().take(3).any(|word| TOOLS.contains(word));
    let with_a_tool = words
        .iter()
        .position(|word| *word == "publish")
        .and_then(|place| words.get(..place))
        .is_some_and(runs_a_tool);
    let publishes = with_a_tool
        || PUBLISHERS
            .iter()
            .any(|publisher| words.windows(publisher.len()).any(|window| window == *publisher));
    if publishes && !inert {
        return StepKind::Publishes;
    }
    let installs = matches!(words, [manager, rest @ ..] if ["npm", "pnpm", "yarn", "bun", "pip", "poetry", "pdm"].contains(manager)
    && match rest {
        [] => true,
        ["run", script, ..] => INSTALLING.contains(&stem(script)),
        [subcommand, ..] => INSTALLING.contains(&stem(subcommand)) || inert && !words.contains(&"publish"),
    });
    if installs {
        StepKind::NeverPublishes
    } else {
        StepKind::Other
    }
}

/// A step with its job; the job alone where it was skipped as a whole and has no steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The job.
    pub job: &'a Job,
    /// The step.
    pub step: Option<&'a Step>,
}

impl Place<'_> {
    /// The name, of the job and of the step.
    pub fn name(&self) -> String {
        match self.step {
            Some(step) => format!("{} > {}", self.job.name, step.name),
            None => self.job.name.clone(),
        }
    }

    fn own_name(&self) -> &str {
        self.step.map_or(&self.job.name, |step| &step.name)
    }

    /// How it ended, if it did.
    pub fn conclusion(&self) -> Option<&str> {
        match self.step {
            Some(step) => step.conclusion.as_deref(),
            None => self.job.conclusion.as_deref(),
        }
    }

    /// Whether it was under way at an instant, give or take `tolerance`.
    pub fn was_running_at(&self, at: Timestamp, tolerance: SignedDuration) -> bool {
        let Some(step) = self.step else { return false };
        if step.conclusion.as_deref() == Some("skipped") {
            return false;
        }
        let Some(from) = step.started_at else { return false };
        let until = step.completed_at.unwrap_or(Timestamp::MAX);
        at.duration_since(from) >= -tolerance && until.duration_since(at) >= -tolerance
    }
}

/// Every step of every job; of a job without steps the job itself.
pub fn places(jobs: &[Job]) -> Vec<Place<'_>> {
    jobs.iter()
        .flat_map(|job| {
            let steps = job.steps.as_deref().unwrap_or_default();
            let whole = steps.is_empty().then_some(Place { job, step: None });
            whole
                .into_iter()
                .chain(steps.iter().map(move |step| Place { job, step: Some(step) }))
        })
        .collect()
}

/// The steps of a run that publish, or would have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publishing<'a> {
    /// Those that run a known command or action, or in which earlier releases of the package were signed.
    pub known: Vec<Place<'a>>,
    /// Those that only say so.
    pub said: Vec<Place<'a>>,
}

impl<'a> Publishing<'a> {
    /// Sorts the steps of a run, given the names of those in which the package's earlier releases were signed, and whether a
    /// step that attests is one that publishes.
    pub fn of(places: &[Place<'a>], habit: &[&str], attesting_publishes: bool) -> Self {
        let kind = |place: &Place<'_>| StepKind::of(place.own_name());
        let is_known = |place: &Place<'_>| {
            let name = place.own_name();
            habit.contains(&name)
                || kind(place) == StepKind::Publishes
                || attesting_publishes && place.step.is_some() && attests(name)
        };
        let (known, others): (Vec<Place<'a>>, Vec<Place<'a>>) = places.iter().copied().partition(is_known);
        // Where a step attests, one that merely says that it publishes has not attested.
        let is_attested = attesting_publishes && known.iter().any(|place| attests(place.own_name()));
        let said = others
            .into_iter()
            .filter(|place| !is_attested && kind(place) == StepKind::SaysPublish)
            .collect();
        Self { known, said }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_and_actions_that_publish_are_known() {
        for name in [
            "Run npm publish --provenance --access public",
            "Run pnpm -r publish --no-git-checks",
            "Run changesets/action@v1",
            "Run npx semantic-release",
            "Run JS-DevTools/npm-publish@v4",
            "Run pypa/gh-action-pypi-publish@release/v1",
            "Run twine upload --attestations dist/*",
            "Run python -m twine upload dist/*",
            "Run uv publish --trusted-publishing always",
            "Run poetry publish --build",
            "Run yarn npm publish",
            "Run lerna publish from-package --yes",
            "Run pnpm --filter widget publish",
            "Run pnpm install && pnpm publish",
            "Run npx semantic-release@24",
            "Run ./node_modules/.bin/semantic-release",
            "Run npx @changesets/cli publish",
        ] {
            assert_eq!(StepKind::of(name), StepKind::Publishes, "{name}");
        }
    }

    #[test]
    fn steps_that_say_so_are_told_from_those_that_publish_something_else() {
        for name in [
            "Run pnpm ci:publish",
            "Publish",
            "Publish to npm",
            "Create Release Pull Request or Publish",
            "Release",
        ] {
            assert_eq!(StepKind::of(name), StepKind::SaysPublish, "{name}");
        }
        for name in [
            "Publish test results",
            "Publish docs",
            "Create GitHub release",
            "Build",
            "Ship it",
            "Build, test and ship",
            "Run make ci",
            "Post to npm",
            "Run npm publish --dry-run",
            "Run pnpm release-notes",
            "Run pnpm build:release",
            "Run npm ci && node scripts/ship.js",
        ] {
            assert_eq!(StepKind::of(name), StepKind::Other, "{name}");
        }
    }

    #[test]
    fn steps_that_attest_are_told_from_those_that_read_attestations() {
        for name in [
            "Run actions/attest-build-provenance@v3",
            "Run actions/attest@59d89421af93a897026c735860bf21b6eb4f7b26",
            "Generate build provenance",
            "Generate artifact attestation",
            "Attest",
        ] {
            assert!(attests(name), "{name}");
        }
        for name in [
            "Verify attestations",
            "Run gh attestation verify tool.tar.gz --repo acme/tool",
            "Run evil/actions/attest@v1",
            "Run echo attest",
            "Post Run actions/attest@v3",
            "Post Attest",
            "Download attestation bundle",
            "Run actions/checkout@v6",
            "Build",
        ] {
            assert!(!attests(name), "{name}");
        }
    }

    #[test]
    fn preparing_and_cleaning_up_never_publishes() {
        for name in [
            "Set up job",
            "Run actions/checkout@v6",
            "Run actions/setup-node@v6",
            "Run poetry install",
            "Run npm ci",
            "Install dependencies",
            "Run tests",
            "Run npm test",
            "Post Run changesets/action@v1",
            "Post Checkout",
            "Run npm install -g semantic-release",
            "Run pnpm add -D release-it",
            "Run yarn",
            "Run npm ci && npm test",
            "Run npm run test:unit",
            "Set up Node",
            "Complete job",
        ] {
            assert_eq!(StepKind::of(name), StepKind::NeverPublishes, "{name}");
        }
    }
}
