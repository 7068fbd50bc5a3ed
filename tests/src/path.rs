//! The path of the product, from a coordinate to a verdict.

use hekate::attestation::{TrustError, TrustMaterial, TrustOrigin};
use hekate::dossier::{Dossier, Observation};
use hekate::ecosystem::{self, Look, LookFault, Upstreams};
use hekate::forge::github::{self, BUDGET, Destination};
use hekate::package::Coordinate;
use hekate::policy::Policy;
use hekate::ports::{Fetch, Memory};
use hekate::verdict::{Verdict, VerifierIdentity};
use hekate::verifier::{Case, Judge};
use jiff::Timestamp;
use testbed::World;
use url::Url;

/// A judge with the default policy.
pub fn judge(trust: TrustMaterial) -> Judge {
    Judge {
        trust,
        policy: Policy::default(),
        verifier: VerifierIdentity {
            id: "integration".to_owned(),
            version: "0.0.0".to_owned(),
        },
    }
}

/// The material that trusts the authorities of `world`.
pub fn trust_in(world: &World, origin: TrustOrigin) -> Result<TrustMaterial, TrustError> {
    TrustMaterial::new(&world.trusted_root_json(), &world.npm_keys_json(), origin)?
        .with_github_root(&world.github_trusted_root_json())
}

/// Base URLs for a `Fetch` that opens no socket: each party is a host of its own.
///
/// # Panics
///
/// Never: the URLs are literals.
#[expect(clippy::expect_used, reason = "literals")]
pub fn no_address() -> Upstreams {
    let url = |text| Url::parse(text).expect("a URL");
    Upstreams {
        npm_feed: None,
        npm: url("http://npm.testbed.example/"),
        pypi: url("http://pypi.testbed.example/"),
        pypi_files: url("http://files.testbed.example/"),
        pypi_feed: None,
        homebrew: url("http://formulae.testbed.example/"),
        bottles: url("http://bottles.testbed.example/"),
        github: url("http://github.testbed.example/"),
    }
}

/// Looks at a version for the first time: resolve, collect, and trace what `judge` finds authentic.
pub async fn look(
    judge: &Judge,
    fetch: &dyn Fetch,
    upstreams: &Upstreams,
    coordinate: &Coordinate,
    at: Timestamp,
) -> Result<Dossier, LookFault> {
    look_again(judge, fetch, upstreams, coordinate, at, None, |_destination| Vec::new()).await
}

/// Looks at a version of which there is an earlier dossier, and of whose run and commit `recall` knows what was seen.
pub async fn look_again(
    judge: &Judge,
    fetch: &dyn Fetch,
    upstreams: &Upstreams,
    coordinate: &Coordinate,
    at: Timestamp,
    previous: Option<&Dossier>,
    recall: impl Fn(&Destination) -> Vec<Observation>,
) -> Result<Dossier, LookFault> {
    let look = Look {
        fetch,
        upstreams,
        at,
        previous,
    };
    let mut dossier = ecosystem::look(coordinate, &look).await?;
    let mut left = BUDGET;
    for destination in Destination::all_of(&judge.authenticate(&dossier, at)) {
        dossier = github::trace(dossier, &destination, recall(&destination), &look, &mut left).await;
    }
    Ok(dossier)
}

/// A verdict with what it was derived from.
#[derive(Debug)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Everything that it is a function of.
    pub case: Case,
}

/// Judges a dossier.
pub fn decide(judge: &Judge, dossier: Dossier, memory: &Memory, now: Timestamp) -> Judged {
    Judged {
        verdict: judge.judge(&dossier, memory, now).verdict,
        case: Case::new(judge, dossier, memory.clone(), now),
    }
}
