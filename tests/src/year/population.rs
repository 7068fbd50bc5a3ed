//! Who releases what in the year, honestly or not.
//!
//! Everything is planned before the year begins; what is signed is made when it is published.

use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::Plan;
use super::planner::Planner;

/// How a release line is named by the oracle: the major version; the minor one below 1.0.0; prereleases apart.
pub type Line = (u64, Option<u64>, bool);

/// What somebody did who was not allowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Attack {
    /// Published with a token, on a line whose releases are attested.
    Token,
    /// The same on an older line that was attested, too.
    TokenOnOldLine,
    /// The same on an older line that never was.
    TokenOnUnattestedLine,
    /// A test took the run's identity; the run failed, and its publishing step was skipped.
    StolenIdentity,
    /// A branch that is deleted at once ran the release workflow.
    ThrowAwayBranch,
    /// A comment ran the release workflow.
    Comment,
    /// The registry serves other bytes, some time after an honest publication.
    SwappedTarball,
    /// The provenance is genuine, and about other bytes.
    OtherBytes,
    /// Published with a token, on a package that never was attested.
    NeverAttested,
}

impl Attack {
    /// Every kind.
    pub const ALL: &[Self] = &[
        Self::Token,
        Self::TokenOnOldLine,
        Self::TokenOnUnattestedLine,
        Self::StolenIdentity,
        Self::ThrowAwayBranch,
        Self::Comment,
        Self::SwappedTarball,
        Self::OtherBytes,
        Self::NeverAttested,
    ];

    /// What the report calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token on an attested line",
            Self::TokenOnOldLine => "token on an old attested line",
            Self::TokenOnUnattestedLine => "token on an old line without attestations",
            Self::StolenIdentity => "identity stolen in a test, run failed",
            Self::ThrowAwayBranch => "throw-away branch",
            Self::Comment => "comment as trigger",
            Self::SwappedTarball => "tarball swapped later",
            Self::OtherBytes => "attested other bytes",
            Self::NeverAttested => "never attested package",
        }
    }

    /// Whether the evidence tells it from an honest release: what never was attested lacks nothing.
    pub fn is_tellable(self) -> bool {
        match self {
            Self::Token
            | Self::TokenOnOldLine
            | Self::StolenIdentity
            | Self::ThrowAwayBranch
            | Self::Comment
            | Self::SwappedTarball
            | Self::OtherBytes => true,
            Self::TokenOnUnattestedLine | Self::NeverAttested => false,
        }
    }
}

impl fmt::Display for Attack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// How a release came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// The project's pipeline made it.
    Pipeline,
    /// A maintainer published it by hand, as always on this package or line.
    ByHand,
    /// A maintainer published it by hand, on a line whose releases are attested.
    Lapse,
    /// Somebody else did.
    Attack(Attack),
}

/// Where the pipeline of a project runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pipeline {
    /// On tags.
    Tags,
    /// On pushes to the default branch, and to those of older lines and channels.
    Branches,
}

/// A repository.
#[derive(Clone, Debug)]
pub struct Project {
    /// `owner/name`.
    pub full_name: String,
    /// The forge's number of it.
    pub id: u64,
    /// Where its pipeline runs.
    pub pipeline: Pipeline,
    /// Whether a release gets a tag, and how long after the publication if its pipeline does not run on tags.
    pub tags_after: Option<SignedDuration>,
    /// Whether its commits are signed and come through pull requests.
    pub reviews: bool,
    /// Whether its release job has an environment.
    pub environment: bool,
    /// For how long its runs are kept.
    pub retention: SignedDuration,
    /// When it gets another name, and which.
    pub renamed: Option<(Timestamp, String)>,
    /// From when on the release workflow has another file name.
    pub workflow_moved: Option<Timestamp>,
}

impl Project {
    /// The name at a time.
    pub fn name_at(&self, at: Timestamp) -> &str {
        match &self.renamed {
            Some((since, name)) if *since <= at => name,
            Some(_) | None => &self.full_name,
        }
    }
}

/// A package.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Which of the projects it comes from; none if nobody can tell.
    pub project: Option<usize>,
}

/// Why an honest release may look like an attack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Oddity {
    /// A maintainer went around the pipeline.
    Lapse,
    /// Several lines, or many packages, were released at once.
    Burst,
    /// It was built from the branch of an old line or of a channel.
    OtherBranch,
}

/// A release that is to be made.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Which of the packages.
    pub package: usize,
    /// The version.
    pub version: String,
    /// Its line.
    pub line: Line,
    /// Whether it is no release of the newest line.
    pub is_backport: bool,
    /// When it is published.
    pub at: Timestamp,
    /// How it comes about.
    pub act: Act,
    /// Why it may look odd.
    pub oddities: Vec<Oddity>,
    /// Releases of one run, if several packages are released at once.
    pub run: Option<u64>,
    /// How long after the publication the run ends, if it goes on.
    pub run_ends_after: Option<SignedDuration>,
    /// Whether a step after the publication fails.
    pub fails_afterwards: bool,
    /// Whether it takes a second attempt.
    pub second_attempt: bool,
    /// How long after the publication somebody deletes the run.
    pub run_deleted_after: Option<SignedDuration>,
    /// How long after the publication the version is taken back.
    pub removed_after: Option<SignedDuration>,
    /// How long after the publication other bytes are served.
    pub swapped_after: Option<SignedDuration>,
}

impl Planned {
    /// When it became an attack, or was published.
    pub fn done_at(&self) -> Timestamp {
        self.swapped_after.map_or(self.at, |after| self.at + after)
    }
}

/// Everything that will happen to packages.
#[derive(Clone, Debug)]
pub struct Population {
    /// The repositories.
    pub projects: Vec<Project>,
    /// The packages.
    pub packages: Vec<Package>,
    /// The releases before and in the year, in the order of their publication.
    pub releases: Vec<Planned>,
    /// Packages that are taken back whole: which, and when.
    pub withdrawn: Vec<(usize, Timestamp)>,
}

impl Population {
    /// Plans everything.
    pub fn plan(plan: &Plan) -> Self {
        let mut population = Planner::new(plan).population();
        population.releases.sort_by_key(|release| release.at);
        population
    }

    /// The project of a release.
    pub fn project(&self, release: &Planned) -> Option<&Project> {
        self.packages
            .get(release.package)
            .and_then(|package| self.projects.get(package.project?))
    }

    /// The name of the package of a release.
    pub fn name(&self, release: &Planned) -> &str {
        self.packages.get(release.package).map_or("", |package| &package.name)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    fn plan() -> Plan {
        Plan::new(1, 300, 6_000, 365)
    }

    #[test]
    fn as_much_is_released_as_was_asked_for_and_every_version_once() {
        for plan in [plan(), Plan::new(2, 40, 600, 120)] {
            let population = Population::plan(&plan);
            let in_the_year = population.releases.iter().filter(|release| release.at >= plan.start());
            let count = in_the_year.count();
            // A package that is taken back has no releases any more.
            assert!(
                count <= plan.releases && count * 10 >= plan.releases * 9,
                "{count} of {}",
                plan.releases
            );
            assert_eq!(population.packages.len(), plan.packages);
            let versions: BTreeSet<_> = population
                .releases
                .iter()
                .map(|release| (release.package, &release.version))
                .collect();
            assert_eq!(versions.len(), population.releases.len());
            assert!(population.releases.iter().all(|release| release.at < plan.end()));
            assert!(population.releases.is_sorted_by_key(|release| release.at));
        }
    }

    #[test]
    fn the_same_seed_plans_the_same() {
        let told = |seed| {
            let population = Population::plan(&Plan { seed, ..plan() });
            format!("{:?}", population.releases)
        };
        assert_eq!(told(1), told(1));
        assert_ne!(told(1), told(2));
    }

    #[test]
    fn every_kind_of_attack_is_planted_on_packages_of_their_own() {
        for (seed, packages, releases, days) in [
            (1, 300, 6_000, 365),
            (1, 40, 600, 120),
            (2, 40, 600, 120),
            (3, 40, 600, 120),
        ] {
            let plan = Plan::new(seed, packages, releases, days);
            let population = Population::plan(&plan);
            let mut kinds: BTreeMap<Attack, usize> = BTreeMap::new();
            let mut attacked = BTreeSet::new();
            for release in &population.releases {
                if let Act::Attack(attack) = release.act {
                    *kinds.entry(attack).or_default() += 1;
                    assert!(attacked.insert(release.package));
                    assert!(release.done_at() < plan.end() - SignedDuration::from_hours(24 * 20));
                }
            }
            assert!(
                kinds.values().sum::<usize>() * 10 >= plan.attacks * 9,
                "seed {seed}: {kinds:?}"
            );
            assert_eq!(kinds.len(), Attack::ALL.len(), "seed {seed}: {kinds:?}");
        }
    }

    #[test]
    fn a_fifth_of_the_packages_has_a_pipeline_and_most_of_them_attest_everything() {
        let population = Population::plan(&plan());
        let with_project = population.packages.iter().filter(|package| package.project.is_some());
        assert_eq!(with_project.count(), 60);
        let of = |wanted: Act| {
            population
                .releases
                .iter()
                .filter(|release| release.act == wanted)
                .count()
        };
        assert!(of(Act::Pipeline) > of(Act::Lapse) * 10);
        assert!(of(Act::Lapse) > 0);
        assert!(of(Act::ByHand) > of(Act::Pipeline));
        let prereleases = population
            .releases
            .iter()
            .filter(|release| release.version.contains('-'));
        assert!(prereleases.count() > 20);
        assert!(population.releases.iter().filter(|release| release.is_backport).count() > 100);
        assert!(
            population
                .releases
                .iter()
                .any(|release| release.oddities.contains(&Oddity::Burst))
        );
    }
}
