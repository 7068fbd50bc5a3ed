//! A ready scenario with one package for each kind of answer.

use crate::{Answer, BASE_TIME, Release, Scenario, World};
use jiff::SignedDuration;
use serde_json::json;

/// One package of the demonstration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoCase {
    /// The package URL.
    pub purl: String,
    /// What was done, in one line.
    pub description: &'static str,
    /// The status that a verifier should give: the worst that follows from what npm and the logs say.
    pub expected: &'static str,
}

/// The demonstration.
#[derive(Debug)]
pub struct Demo {
    /// What is served.
    pub scenario: Scenario,
    /// What there is to look at.
    pub cases: Vec<DemoCase>,
}

/// How many releases a [dependency] had before its last.
const EARLIER: i64 = 12;

/// The thirteen releases of a package as a lockfile has many, the oldest first: one every ten days until weeks ago, by the pipeline
/// with a provenance for even numbers, and by hand for odd ones.
pub fn dependency(number: usize) -> Vec<Release> {
    let release = |minor: i64| {
        let version = format!("1.{minor}.0");
        let days = 40 + 10 * (EARLIER - minor);
        let at = BASE_TIME - SignedDuration::from_hours(24 * days);
        if number.is_multiple_of(2) {
            Release::honest(&format!("@acme/part-{number}"), &version).at(at)
        } else {
            Release::honest(&format!("part-{number}"), &version).unattested().at(at)
        }
    };
    (0..=EARLIER).map(release).collect()
}

impl Demo {
    /// Adds as many [dependencies](dependency), of which the last release is one of the cases.
    #[must_use]
    pub fn with_dependencies(mut self, count: usize) -> Self {
        for number in 0..count {
            let mut releases = dependency(number);
            let Some(last) = releases.pop() else { continue };
            for release in releases {
                self.scenario = self.scenario.release(release);
            }
            self = if number.is_multiple_of(2) {
                self.case(last, "a dependency, built and published by GitHub Actions", "verified")
            } else {
                self.case(last, "a dependency, published by hand", "unattested")
            };
        }
        self
    }

    fn case(mut self, release: Release, description: &'static str, expected: &'static str) -> Self {
        self.cases.push(DemoCase {
            purl: release.purl(),
            description,
            expected,
        });
        self.scenario = self.scenario.release(release);
        self
    }
}

/// A scenario with one package for each kind of answer, in the shared world.
pub fn demo() -> Demo {
    let world = World::shared();
    let foreign = World::foreign();
    let another = Release::honest("@acme/borrowed", "2.0.0").publish(&world);
    Demo {
        scenario: Scenario::in_world(&world),
        cases: Vec::new(),
    }
    .case(
        Release::honest("@acme/widget", "1.2.3"),
        "built and published by GitHub Actions, with provenance",
        "verified",
    )
    .case(
        Release::honest("@acme/tiles", "2.0.0").rekor_v2(),
        "the same, recorded in the new generation of the signature log",
        "verified",
    )
    .case(
        Release::honest_of_2023("goggles", "1.0.5"),
        "published in 2023, with the first format of provenance; GitHub has purged the run",
        "attested",
    )
    .case(
        Release::honest("@acme/hijacked", "1.169.5").run(|run| run.skip_publish_and_sign_in("Run npm test")),
        "a test stole the run's identity and published; the run failed, its own publishing step never ran",
        "suspicious",
    )
    .case(
        Release::honest("left-out", "1.3.0").unattested(),
        "published by hand and without any attestation, like most packages",
        "unattested",
    )
    .case(
        Release::honest("one-byte-off", "1.0.0").tarball_swapped_by_one_byte(),
        "the registry serves a tarball that differs in one byte from the one that was attested",
        "mismatch",
    )
    .case(
        Release::honest("self-made", "3.1.0").certificate_by(&foreign),
        "provenance signed with a certificate of an authority that nobody trusts",
        "mismatch",
    )
    .case(
        Release::honest("@acme/borrower", "2.0.0").attestations_of(&another),
        "the attestations are genuine, but were made for another package",
        "mismatch",
    )
    .case(
        Release::honest("detour", "4.4.0")
            .build(|build| "self-hosted".clone_into(&mut build.runner_environment))
            .package_json(|package| {
                if let Some(repository) = package.get_mut("repository") {
                    *repository = json!({"type": "git", "url": "git+https://github.com/well-known/detour.git"});
                }
            }),
        "built on somebody's own machine from another repository than package.json names",
        "suspicious",
    )
    .case(
        Release::honest("@acme/unlucky", "1.0.0").attestation_answer(Answer::Status(503, None)),
        "the registry's attestation endpoint is out of order",
        "indeterminate",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn every_package_of_the_demonstration_is_served() {
        let demo = demo();
        assert_eq!(demo.cases.len(), 10);
        for case in demo.cases {
            let path = case.purl.replace("pkg:npm/", "/").replace("%40", "@");
            let (name, version) = path.rsplit_once('@').unwrap();
            assert_eq!(
                demo.scenario.npm_response(&format!("{name}/{version}")).status,
                200,
                "{}",
                case.purl
            );
        }
    }
}
