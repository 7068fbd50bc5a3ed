//! The path of the product, from a coordinate to a verdict.

use hekate::attestation::{TrustError, TrustMaterial, TrustOrigin};
use hekate::dossier::Dossier;
use hekate::ecosystem::{self, Look, LookFault, Registries};
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
    TrustMaterial::new(&world.trusted_root_json(), &world.npm_keys_json(), origin)
}

/// A base URL for a `Fetch` that opens no socket.
///
/// # Panics
///
/// Never: the URL is a literal.
#[expect(clippy::expect_used, reason = "a literal")]
pub fn no_address() -> Url {
    Url::parse("http://npm.testbed.example/").expect("a URL")
}

/// Looks at a version.
pub async fn look(fetch: &dyn Fetch, npm: Url, coordinate: &Coordinate, at: Timestamp) -> Result<Dossier, LookFault> {
    let registries = Registries { npm };
    let look = Look {
        fetch,
        registries: &registries,
        at,
        previous: None,
    };
    ecosystem::look(coordinate, &look).await
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
