//! The stage that separates what is authentic from what was merely served.

use jiff::Timestamp;

use crate::attestation::{
    CertificateIdentity, Issuer, PredicateType, ProvenanceClaims, ProvenanceError, PublishPredicate, Refusal,
    RunInvocation, Signer, StatementError, TrustMaterial, UnverifiedAttestation, VerifiedAttestation,
};
use crate::availability::{Availability, Unavailable, UnavailableReason};
use crate::ecosystem::{Metadata, Release};
use crate::package::Digest;

/// An attestation of a kind that is evaluated, with what became of it.
#[derive(Debug)]
pub struct Examined {
    /// Digest of the bundle, by which findings cite it.
    pub bundle: Digest,
    /// The authentic attestation, or why it is refused.
    pub result: Result<VerifiedAttestation, Refusal>,
    /// What an authentic one claims.
    claims: Option<Claims>,
}

/// The claims of an authentic attestation, read once.
#[derive(Debug)]
enum Claims {
    Provenance(Result<ProvenanceClaims, ProvenanceError>),
    Publication(Result<PublishPredicate, StatementError>),
}

impl Examined {
    fn new(bundle: Digest, result: Result<VerifiedAttestation, Refusal>) -> Self {
        let claims = result.as_ref().ok().map(|attestation| {
            let statement = &attestation.statement;
            match &attestation.signer {
                Signer::Certificate(_) => Claims::Provenance(ProvenanceClaims::from_json(
                    &statement.predicate_type,
                    &statement.predicate,
                )),
                Signer::RegistryKey { .. } => Claims::Publication(PublishPredicate::from_json(&statement.predicate)),
            }
        });
        Self { bundle, result, claims }
    }
}

/// The attestations of a release, sorted by kind. Their order as served is forgotten.
#[derive(Debug, Default)]
pub struct Examination {
    /// What the build signed of what it made: provenances, and where builds publish, that they published.
    pub provenances: Vec<Examined>,
    /// What the registry or the forge signed of what it accepted: publish attestations.
    pub publishes: Vec<Examined>,
    /// The labels of all others.
    pub unrecognised: Vec<String>,
}

/// A provenance that a certificate signed, with its claims.
#[derive(Debug)]
pub struct Provenance<'a> {
    /// The attestation.
    pub attestation: &'a VerifiedAttestation,
    /// Facts: what the certificate says.
    pub certificate: &'a CertificateIdentity,
    /// Claims: what the statement says.
    pub claims: &'a Result<ProvenanceClaims, ProvenanceError>,
}

/// A publish attestation that the registry's key signed, with its claims.
#[derive(Debug)]
pub struct Publication<'a> {
    /// The attestation.
    pub attestation: &'a VerifiedAttestation,
    /// What the registry says it accepted.
    pub predicate: &'a Result<PublishPredicate, StatementError>,
}

/// An artifact of a release whose attestations have been examined.
#[derive(Debug)]
pub struct Authenticated {
    /// What was read.
    pub release: Release,
    /// Its attestations.
    pub examination: Availability<Examination>,
}

/// A version whose artifacts have been examined.
#[derive(Debug)]
pub struct AuthenticatedRelease {
    /// Its artifacts: one at least.
    pub artifacts: Vec<Authenticated>,
}

impl AuthenticatedRelease {
    /// What the registry says of the version, by the first artifact of which it says something.
    pub fn metadata(&self) -> Option<&Metadata> {
        self.artifacts
            .iter()
            .find_map(|artifact| artifact.release.metadata.present())
    }

    /// When the version was published, as the registry says: with its first file.
    pub fn published_at(&self) -> Option<Timestamp> {
        let times = self.artifacts.iter().filter_map(|artifact| {
            let metadata = artifact.release.metadata.present()?;
            metadata.published_at
        });
        times.min()
    }
}

impl Examination {
    /// The authentic provenances, earliest first.
    pub fn authentic_provenances(&self) -> Vec<Provenance<'_>> {
        self.provenances
            .iter()
            .filter_map(|examined| {
                let attestation = examined.result.as_ref().ok()?;
                match (&attestation.signer, &examined.claims) {
                    (Signer::Certificate(certificate), Some(Claims::Provenance(claims))) => Some(Provenance {
                        attestation,
                        certificate,
                        claims,
                    }),
                    (_, _) => None,
                }
            })
            .collect()
    }

    /// The authentic provenance whose run is looked at: the earliest that GitHub Actions made, or, where later attempts of its
    /// run made some as well, that of the last attempt, which supersedes them.
    pub fn traced(&self) -> Option<Provenance<'_>> {
        let provenances = self.authentic_provenances();
        let invocation = |provenance: &Provenance<'_>| {
            let uri = provenance.certificate.run_invocation_uri.as_deref();
            uri.and_then(RunInvocation::parse)
        };
        let mut of_github = provenances
            .into_iter()
            .filter(|provenance| provenance.certificate.issuer == Some(Issuer::GitHubActions));
        let mut traced = of_github.next()?;
        for other in of_github {
            if let (Some(so_far), Some(later)) = (invocation(&traced), invocation(&other))
                && (&so_far.repository, so_far.run) == (&later.repository, later.run)
                && so_far.attempt < later.attempt
            {
                traced = other;
            }
        }
        Some(traced)
    }

    /// The authentic publish attestations, earliest first.
    pub fn authentic_publications(&self) -> Vec<Publication<'_>> {
        self.publishes
            .iter()
            .filter_map(|examined| {
                let attestation = examined.result.as_ref().ok()?;
                match &examined.claims {
                    Some(Claims::Publication(predicate)) => Some(Publication { attestation, predicate }),
                    Some(Claims::Provenance(_)) | None => None,
                }
            })
            .collect()
    }

    /// Every attestation of a kind that is evaluated.
    pub fn recognised(&self) -> impl Iterator<Item = &Examined> {
        self.provenances.iter().chain(&self.publishes)
    }
}

/// Verifies every attestation of a release. All of them are verified, so that none hides behind another.
pub fn authenticate(release: Release, trust: &TrustMaterial, now: Timestamp) -> Authenticated {
    let examination = match &release.attestations {
        Availability::Present(served) => examine(served, &release, trust, now),
        Availability::Absent { because } => Availability::Absent {
            because: because.clone(),
        },
        Availability::Unavailable(trouble) => Availability::Unavailable(trouble.clone()),
    };
    Authenticated { release, examination }
}

fn examine(
    served: &[UnverifiedAttestation],
    release: &Release,
    trust: &TrustMaterial,
    now: Timestamp,
) -> Availability<Examination> {
    let mut examination = Examination::default();
    for attestation in served {
        let predicate_type = TrustMaterial::recognises(attestation);
        if !release.terms.evaluates.contains(&predicate_type) {
            examination.unrecognised.push(predicate_type.as_uri().to_owned());
            continue;
        }
        let list = match predicate_type {
            PredicateType::SlsaProvenanceV02 | PredicateType::SlsaProvenanceV1 | PredicateType::PypiPublishV1 => {
                &mut examination.provenances
            }
            PredicateType::NpmPublishV01 | PredicateType::GitHubReleaseV02 => &mut examination.publishes,
            PredicateType::Unrecognised(_) => continue,
        };
        list.push(Examined::new(
            attestation.digest().clone(),
            trust.verify(attestation, now),
        ));
    }
    let announced = release
        .metadata
        .present()
        .is_some_and(|metadata| metadata.announces_attestations);
    if examination.recognised().next().is_none() && !announced {
        return Availability::Unavailable(Unavailable {
            source: "the registry's list of attestations".to_owned(),
            reason: UnavailableReason::Malformed,
            detail:
                "there is a list that holds neither a provenance nor a publish attestation, and not the answer that \
                     proves absence"
                    .to_owned(),
        });
    }
    let key = |one: &Examined| {
        (
            one.result.as_ref().ok().map(|attestation| attestation.signed_at),
            one.bundle.clone(),
        )
    };
    examination.provenances.sort_by_key(key);
    examination.publishes.sort_by_key(key);
    examination.unrecognised.sort();
    Availability::Present(examination)
}
