//! One thing that a registry and a forge can serve, with what a verifier has to say to it.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use hekate::adapters::http::{HttpFetch, HttpFetchConfig};
use hekate::attestation::{TrustMaterial, TrustOrigin};
use hekate::check::{CheckId, Outcome};
use hekate::ecosystem::{LookFault, Upstreams};
use hekate::history::PastRelease;
use hekate::package::Coordinate;
use hekate::policy::Policy;
use hekate::ports::{Fetch, FirstSeen, Memory, Sibling};
use hekate::verdict::{Decision, Status};
use hekate::verifier::Judge;
use hekate_tests::fetch::ScenarioFetch;
use hekate_tests::path::{self, Judged, no_address};
use hekate_tests::recollection::Recollection;
use jiff::Timestamp;
use testbed::{GitHub, PypiRelease, Release, Scenario, World, moment};
use url::Url;

/// Declares shapes: a test of each over the `Fetch` without sockets and over HTTP, and a list of all.
macro_rules! shapes {
    ($($name:ident => $shape:expr;)+) => {
        /// Every shape, by name.
        pub(crate) fn all() -> Vec<(&'static str, Shape)> {
            vec![$((stringify!($name), $shape),)+]
        }

        mod without_sockets {
            use super::*;

            $(#[tokio::test]
            async fn $name() {
                let shape = $shape;
                shape.meets(stringify!($name), &shape.judged_without_sockets().await);
            })+
        }

        mod over_http {
            use super::*;

            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let mut shape = $shape;
                let judged = shape.judged_over_http().await;
                shape.meets(stringify!($name), &judged);
            })+
        }
    };
}

/// When everything is looked at, unless a shape says otherwise: after every release of the catalogue.
pub(crate) fn now() -> Timestamp {
    moment("2026-11-12T12:00:00Z")
}

/// What has to come of a shape.
#[derive(Debug, Clone)]
pub(crate) enum Expected {
    /// A verdict.
    Status(Status),
    /// No verdict: there is no such version. The text is part of the reason.
    NotFound(&'static str),
    /// No verdict: the registry did not say which version is meant, and asked to wait for so many seconds.
    Upstream(Option<u64>),
}

/// A change of GitHub between two looks.
type Change = Box<dyn Fn(&mut GitHub) + Send + Sync>;

/// A shape.
pub(crate) struct Shape {
    scenario: Arc<Scenario>,
    coordinate: String,
    memory: Memory,
    before: Vec<Timestamp>,
    change: Option<Change>,
    trust: (String, String, TrustOrigin),
    at: Timestamp,
    pub(crate) expected: Option<Expected>,
    findings: Vec<(CheckId, Outcome)>,
    decided_by: Option<Vec<CheckId>>,
}

/// A release in the shared world.
pub(crate) fn shape(release: Release) -> Shape {
    let purl = release.purl();
    among(Scenario::new().release(release), &purl)
}

/// A release on PyPI in the shared world.
pub(crate) fn on_pypi(release: PypiRelease) -> Shape {
    let purl = release.purl();
    among(Scenario::new().release(release), &purl)
}

/// A version of a scenario.
pub(crate) fn among(scenario: Scenario, coordinate: &str) -> Shape {
    let world = World::shared();
    Shape {
        scenario: Arc::new(scenario),
        coordinate: coordinate.to_owned(),
        memory: Memory::default(),
        before: Vec::new(),
        change: None,
        trust: (world.trusted_root_json(), world.npm_keys_json(), TrustOrigin::Files),
        at: now(),
        expected: None,
        findings: Vec::new(),
        decided_by: None,
    }
}

impl Shape {
    pub(crate) fn is(mut self, status: Status) -> Self {
        self.expected = Some(Expected::Status(status));
        self
    }

    pub(crate) fn not_found(mut self, because: &'static str) -> Self {
        self.expected = Some(Expected::NotFound(because));
        self
    }

    pub(crate) fn not_resolved(mut self, retry_after: Option<u64>) -> Self {
        self.expected = Some(Expected::Upstream(retry_after));
        self
    }

    /// One finding that the verdict has.
    pub(crate) fn finds(mut self, check: CheckId, outcome: Outcome) -> Self {
        self.findings.push((check, outcome));
        self
    }

    /// Exactly the checks that decide.
    pub(crate) fn decided_by(mut self, checks: &[CheckId]) -> Self {
        self.decided_by = Some(checks.to_vec());
        self
    }

    /// Looks at another time.
    pub(crate) fn looked_at(mut self, at: Timestamp) -> Self {
        self.at = at;
        self
    }

    /// Trusts the same authorities, with another idea of how current that is.
    pub(crate) fn trusting(mut self, origin: TrustOrigin) -> Self {
        self.trust.2 = origin;
        self
    }

    /// Remembers this integrity.
    pub(crate) fn remembering(mut self, integrity: hekate::package::Digest) -> Self {
        self.memory.first_seen = Some(FirstSeen {
            integrity,
            artifacts: std::collections::BTreeMap::new(),
            at: moment("2026-11-02T10:05:00Z"),
            signed: true,
        });
        self
    }

    /// Remembers this integrity, which the registry had not signed.
    pub(crate) fn remembering_unsigned(self, integrity: hekate::package::Digest) -> Self {
        let mut remembering = self.remembering(integrity);
        if let Some(first_seen) = &mut remembering.memory.first_seen {
            first_seen.signed = false;
        }
        remembering
    }

    /// Remembers these releases of the package, newest first.
    pub(crate) fn after(mut self, history: Vec<PastRelease>) -> Self {
        self.memory.history = history;
        self
    }

    /// Remembers these releases of the same publisher.
    pub(crate) fn beside(mut self, siblings: Vec<Sibling>) -> Self {
        self.memory.siblings = siblings;
        self
    }

    /// Changes GitHub before anybody looks.
    pub(crate) fn where_github(self, change: impl FnOnce(&mut GitHub)) -> Self {
        change(&mut self.scenario.github());
        self
    }

    /// Was looked at before, and what was seen then is remembered.
    pub(crate) fn seen_at(mut self, at: Timestamp) -> Self {
        self.before.push(at);
        self
    }

    /// Changes GitHub before the last look.
    pub(crate) fn then(mut self, change: impl Fn(&mut GitHub) + Send + Sync + 'static) -> Self {
        self.change = Some(Box::new(change));
        self
    }

    /// Whether looking changes what is looked at, so that it can be done once.
    pub(crate) fn changes(&self) -> bool {
        self.change.is_some()
    }

    pub(crate) fn judge(&self) -> Judge {
        let (root, keys, origin) = &self.trust;
        let mut judge = path::judge(TrustMaterial::new(root, keys, *origin).unwrap());
        judge.policy = Policy::default();
        judge
    }

    pub(crate) fn scenario(&self) -> Arc<Scenario> {
        Arc::clone(&self.scenario)
    }

    pub(crate) fn coordinate(&self) -> Coordinate {
        self.coordinate.parse().unwrap()
    }

    /// Walks the whole path, as often as the shape says.
    pub(crate) async fn judged(
        &self,
        scenario: &Scenario,
        fetch: &dyn Fetch,
        upstreams: &Upstreams,
    ) -> Result<Judged, LookFault> {
        let (judge, coordinate) = (self.judge(), self.coordinate());
        let mut recollection = Recollection::beginning_with(self.memory.clone());
        for at in &self.before {
            recollection.look(&judge, fetch, upstreams, &coordinate, *at).await?;
        }
        if let Some(change) = &self.change {
            change(&mut scenario.github());
        }
        recollection.look(&judge, fetch, upstreams, &coordinate, self.at).await
    }

    pub(crate) async fn judged_without_sockets(&self) -> Result<Judged, LookFault> {
        let fetch = ScenarioFetch::new(self.scenario());
        self.judged(&self.scenario, &fetch, &no_address()).await
    }

    /// The same over a socket, through the adapter that the product uses. Its patience is short, since shapes hang.
    pub(crate) async fn judged_over_http(&mut self) -> Result<Judged, LookFault> {
        let scenario = std::mem::replace(&mut self.scenario, Arc::new(Scenario::new()));
        let served = Arc::into_inner(scenario).unwrap().serve().await.unwrap();
        let fetch = over_http();
        let upstreams = Upstreams {
            npm_feed: None,
            npm: Url::parse(&served.npm_url()).unwrap(),
            pypi: Url::parse(&served.pypi_url()).unwrap(),
            pypi_files: Url::parse(&served.pypi_url()).unwrap(),
            github: Url::parse(&served.github_url()).unwrap(),
            ..no_address()
        };
        self.judged(served.scenario(), &fetch, &upstreams).await
    }

    /// Walks the path and compares. What a shape does not state about a verdict holds for every verdict.
    pub(crate) fn meets(&self, name: &str, result: &Result<Judged, LookFault>) {
        let expected = self.expected.as_ref().expect("a shape says what it expects");
        match (expected, result) {
            (Expected::NotFound(because), Err(LookFault::NotFound(detail))) => {
                assert!(detail.contains(because), "{name}: {detail}");
            }
            (Expected::Upstream(expected), Err(LookFault::Upstream { retry_after, .. })) => {
                assert_eq!(retry_after, expected, "{name}");
            }
            (Expected::Status(status), Ok(judged)) => self.compare(name, *status, judged),
            (expected, other) => panic!("{name}: expected {expected:?}, got {other:#?}"),
        }
    }

    fn compare(&self, name: &str, status: Status, judged: &Judged) {
        let verdict = &judged.verdict;
        let findings = listed(judged);
        let decided_by: Vec<_> = verdict.decided_by.iter().map(|check| check.as_str()).collect();
        let context = format!("{name}: decided by {decided_by:?}\n{findings}");
        assert_eq!(verdict.status, status, "{context}");
        for (check, outcome) in &self.findings {
            let found = outcomes_of(judged, *check);
            assert!(
                found.contains(outcome),
                "{check}: {outcome:?} is not of {found:?}, {context}"
            );
        }
        if let Some(checks) = &self.decided_by {
            assert_eq!(&verdict.decided_by, checks, "{context}");
        }
        let mut checks: Vec<_> = verdict.findings.iter().map(|finding| finding.check).collect();
        if verdict.artifacts.len() > 1 {
            checks.dedup();
        }
        assert_eq!(
            checks,
            CheckId::ALL,
            "{name}: every check has one finding, in the order of the checks, or one of each kind where there are several files"
        );
        assert_eq!(
            Decision::from_findings(&verdict.findings),
            Decision {
                status: verdict.status,
                decided_by: verdict.decided_by.clone()
            },
            "{name}: the status follows from the findings"
        );
        assert!(!verdict.decided_by.is_empty(), "{context}");
    }
}

/// The adapter that the product uses, with little patience.
pub(crate) fn over_http() -> HttpFetch {
    let mut config = HttpFetchConfig::new("hekate-tests");
    config.use_proxies = false;
    config.connect_timeout = Duration::from_secs(2);
    config.read_timeout = Duration::from_millis(700);
    config.backoff_base = Duration::from_millis(1);
    config.max_retry_after = Duration::ZERO;
    config.attempts = 2;
    HttpFetch::new(config).unwrap()
}

/// The judge of the shared world, with the default policy.
pub(crate) fn judge() -> Judge {
    path::judge(path::trust_in(&World::shared(), TrustOrigin::Files).unwrap())
}

/// What every check found, a line each.
pub(crate) fn listed(judged: &Judged) -> String {
    let mut lines = String::new();
    for finding in &judged.verdict.findings {
        let (check, outcome) = (finding.check.as_str(), finding.outcome);
        writeln!(lines, "{check:24} {outcome:?}: {}", finding.summary).unwrap();
    }
    lines
}

/// What a check found, of the first file where there are several.
pub(crate) fn outcome_of(judged: &Judged, check: CheckId) -> Outcome {
    *outcomes_of(judged, check).first().expect("every check has a finding")
}

/// What a check found of one file and another.
fn outcomes_of(judged: &Judged, check: CheckId) -> Vec<Outcome> {
    let of_check = judged.verdict.findings.iter().filter(|finding| finding.check == check);
    of_check.map(|finding| finding.outcome).collect()
}
