//! The path, from a coordinate to a verdict.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::attestation::{Issuer, Refusal, SavedTrust, TrustError, TrustMaterial, VerifiedAttestation};
use crate::authenticate::{Authenticated, AuthenticatedRelease, Examination, Examined, authenticate};
use crate::availability::Availability;
use crate::check::{
    CheckId, Evidence, Finding, Outcome, Shade, UnknownReason, correlate, is_signed_by_registry, past_release,
};
use crate::dossier::Dossier;
use crate::ecosystem::{self, OtherVersion};
use crate::forge::github::{Destination, Trace};
use crate::history::{PastRelease, SETTLED};
use crate::package::Digest;
use crate::policy::Policy;
use crate::ports::{FirstSeen, Memory};
use crate::verdict::{Inputs, Judged, Verdict, VerifierIdentity, decide};

/// What a deployment judges by: built once, used for every version.
#[derive(Debug)]
pub struct Judge {
    /// The trust material.
    pub trust: TrustMaterial,
    /// The policy.
    pub policy: Policy,
    /// Who decides.
    pub verifier: VerifierIdentity,
}

/// A verdict with what is to be remembered of the version.
#[derive(Debug)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The digests that the registry's metadata names now: by file, where the version may have several, and by the empty name
    /// otherwise.
    pub declared: BTreeMap<String, Digest>,
    /// What the release proved about itself, if it is to be remembered.
    pub release: Option<PastRelease>,
}

impl Judge {
    /// Derives the verdict on a dossier that has been traced: authenticate, correlate, decide.
    ///
    /// A function of its arguments alone: the same dossier, memory, judge and time give the same verdict on any machine,
    /// years later.
    pub fn judge(&self, dossier: &Dossier, memory: &Memory, now: Timestamp) -> Judgement {
        self.conclude(&self.authenticate(dossier, now), dossier, memory, now)
    }

    /// The first stage: what of a dossier is authentic. It reads what the registry served, and nothing of the forge.
    pub fn authenticate(&self, dossier: &Dossier, now: Timestamp) -> AuthenticatedRelease {
        let artifacts = ecosystem::read(dossier).into_iter();
        AuthenticatedRelease {
            artifacts: artifacts
                .map(|artifact| authenticate(artifact, &self.trust, now))
                .collect(),
        }
    }

    /// What a look back has shown: the releases before the judged one, and whether that is everything that was to be found
    /// out. `back` is what [`look_back`](ecosystem::look_back) returned for the dossier that `judged` was read from.
    ///
    /// 1. Versions that announce no attestation are entered as the registry describes them.
    /// 2. Of the others those are entered whose provenance is authentic, by a build service that is known, and about the very
    ///    digest that the registry names. What is refused for good, under a digest that the registry has signed, is entered as
    ///    refused, so that it is not asked for again: it is neither a release like this one nor one without an attestation.
    ///    What may be read one day is left out. So is what could not be asked about, and then not everything was found out.
    ///
    /// Nobody has judged these releases. Those of the last day before the judged one are entered as not accepted, so that
    /// the releases of one attack teach nothing about each other.
    pub fn timeline(
        &self,
        judged: &AuthenticatedRelease,
        back: &[Dossier],
        now: Timestamp,
    ) -> (Vec<PastRelease>, bool) {
        let (Some(metadata), Some(published_at)) = (judged.metadata(), judged.published_at()) else {
            return (Vec::new(), false);
        };
        let described = |other: &OtherVersion| {
            let told = other.described.as_ref()?;
            Some(PastRelease {
                accepted: published_at.duration_since(other.published_at) >= SETTLED,
                declared_publish_mode: told.publish_mode.clone(),
                declared_publisher: told.publisher.clone(),
                ..PastRelease::unattested(&other.version, other.published_at)
            })
        };
        let announces = |other: &OtherVersion| other.described.as_ref().map(|told| told.announces_attestations);
        // 1.
        let mut releases: Vec<PastRelease> = metadata
            .earlier
            .iter()
            .filter(|other| announces(other) == Some(false))
            .filter_map(described)
            .collect();
        // 2.
        let mut is_complete = true;
        for dossier in back {
            let version = dossier.package.version();
            let release = metadata
                .earlier
                .iter()
                .find(|other| other.version == version)
                .and_then(described);
            // Of several files one is asked about.
            for artifact in &self.authenticate(dossier, now).artifacts {
                match &artifact.examination {
                    Availability::Present(_) => {
                        // Without its digest nothing that was signed can be told to be about it.
                        let metadata = artifact.release.metadata.present();
                        is_complete &= metadata.is_some_and(|metadata| metadata.declared_digest.is_some());
                        let release = release.clone().and_then(|release| self.shown(release, artifact));
                        releases
                            .extend(release.filter(|new| releases.iter().all(|known| known.version != new.version)));
                    }
                    Availability::Unavailable(trouble) => {
                        is_complete &= !UnknownReason::from(trouble.reason).may_pass();
                    }
                    Availability::Absent { .. } => {}
                }
            }
        }
        releases.sort_by(|one, other| (other.published_at, &other.version).cmp(&(one.published_at, &one.version)));
        (releases, is_complete)
    }

    /// Whether what the registry says of every artifact is its own word: its signature over name, version and digest is valid, or
    /// it signs nothing, and nothing is missing that it says of all. Otherwise anybody between the registry and here may have
    /// written the metadata, and nothing is learnt from it.
    pub fn is_vouched_for(&self, authenticated: &AuthenticatedRelease) -> bool {
        let mut artifacts = authenticated.artifacts.iter();
        artifacts.all(|artifact| self.is_the_registrys_word(artifact))
    }

    fn is_the_registrys_word(&self, artifact: &Authenticated) -> bool {
        let metadata = artifact.release.metadata.present();
        metadata.is_some_and(|metadata| {
            if artifact.release.terms.registry_signs {
                is_signed_by_registry(metadata, &self.trust)
            } else {
                !metadata.is_stripped
            }
        })
    }

    /// What an earlier release proves of itself, or that it never will prove anything.
    fn shown(&self, release: PastRelease, artifact: &Authenticated) -> Option<PastRelease> {
        let is_for_good = self.is_the_registrys_word(artifact) && is_refused_for_good(artifact);
        let refused = is_for_good.then(|| PastRelease {
            accepted: false,
            refused: true,
            ..release.clone()
        });
        attested(release, artifact).or(refused)
    }

    /// The stages after the trace, which has grown the dossier since it was authenticated: correlate, decide.
    pub fn conclude(
        &self,
        authenticated: &AuthenticatedRelease,
        dossier: &Dossier,
        memory: &Memory,
        now: Timestamp,
    ) -> Judgement {
        let traces: Vec<_> = authenticated
            .artifacts
            .iter()
            .map(|artifact| Destination::of(artifact).map(|destination| Trace::read(destination, dossier)))
            .collect();
        let siblings: Vec<&Authenticated> = authenticated.artifacts.iter().collect();
        let evidence: Vec<Evidence<'_>> = authenticated
            .artifacts
            .iter()
            .zip(&traces)
            .map(|(artifact, trace)| Evidence {
                authenticated: artifact,
                siblings: &siblings,
                trace,
                memory,
                policy: &self.policy,
                trust: &self.trust,
            })
            .collect();
        let judged: Vec<Judged<'_>> = evidence
            .iter()
            .map(|evidence| Judged {
                authenticated: evidence.authenticated,
                findings: correlate(evidence),
            })
            .collect();
        let inputs = Inputs {
            dossier,
            memory,
            policy: &self.policy,
            trust: self.trust.identity(),
            verifier: &self.verifier,
            now,
        };
        let verdict = decide(&judged, &inputs);
        Judgement {
            declared: declared_digests(authenticated),
            release: past_release(&verdict, &evidence),
            verdict,
        }
    }
}

/// Whether nothing that is served of a release can ever become a provenance of it: all of it is forged, or authentic and
/// about something else. What is not supported here, or by a signer whom the trust material does not know, may be authentic
/// for a later version of either.
fn is_refused_for_good(authenticated: &Authenticated) -> bool {
    let Availability::Present(examination) = &authenticated.examination else {
        return false;
    };
    let never = |examined: &Examined| match &examined.result {
        Ok(attestation) => !is_about(attestation, authenticated),
        Err(Refusal::Forged { .. }) => true,
        Err(Refusal::Unsupported(_) | Refusal::UnknownSigner(_) | Refusal::NoTrustedTime(_)) => false,
    };
    examination.unrecognised.is_empty() && examination.provenances.iter().all(never)
}

/// Whether an attestation is about the very artifact and digest that the registry names.
fn is_about(attestation: &VerifiedAttestation, authenticated: &Authenticated) -> bool {
    let release = &authenticated.release;
    let declared = release
        .metadata
        .present()
        .and_then(|metadata| metadata.declared_digest.as_ref());
    let subject = &attestation.statement.subject;
    attestation.statement.names().any(|name| release.is_named_by(name))
        && declared.is_some_and(|declared| subject.digest(declared.algorithm()) == Some(declared))
}

/// The digests that the registry's metadata names of the artifacts of a version.
fn declared_digests(authenticated: &AuthenticatedRelease) -> BTreeMap<String, Digest> {
    let named = authenticated.artifacts.iter().filter_map(|artifact| {
        let metadata = artifact.release.metadata.present()?;
        Some((artifact.release.about.clone(), metadata.declared_digest.clone()?))
    });
    named.collect()
}

/// The release, if an authentic provenance by a build service is about what the registry serves.
fn attested(release: PastRelease, authenticated: &Authenticated) -> Option<PastRelease> {
    let provenances = authenticated.examination.present()?.authentic_provenances();
    let about_it: Vec<_> = provenances
        .iter()
        .filter(|provenance| is_about(provenance.attestation, authenticated))
        .collect();
    let by = |wanted: fn(&Issuer) -> bool| {
        about_it
            .iter()
            .find(|provenance| provenance.certificate.issuer.as_ref().is_some_and(wanted))
    };
    if let Some(provenance) = by(|issuer| *issuer == Issuer::GitHubActions) {
        return Some(release.attested_by(provenance.certificate));
    }
    by(|issuer| matches!(issuer, Issuer::OtherCi(_))).map(|_elsewhere| PastRelease {
        attested: true,
        ..release
    })
}

/// Adds to the memory what a look back has shown, if it knows nothing better of those releases; says whether there are gaps.
pub fn supplement(memory: &mut Memory, releases: Vec<PastRelease>, is_complete: bool) {
    for release in releases {
        if memory.history.iter().all(|known| known.version != release.version) {
            memory.history.push(release);
        }
    }
    memory
        .history
        .sort_by(|one, other| (other.published_at, &other.version).cmp(&(one.published_at, &one.version)));
    memory.history_has_gaps = !is_complete;
}

/// Who published a release, as an opaque text by which others of the same publisher are found: the repository that an
/// authentic certificate names, by its id; otherwise the account that the registry's metadata names. `None` if neither is
/// named, or the account is that of a build service.
pub fn publisher(authenticated: &AuthenticatedRelease) -> Option<String> {
    let mut artifacts = authenticated.artifacts.iter();
    let built = artifacts.find_map(|artifact| {
        let provenances = artifact.examination.present().map(Examination::authentic_provenances);
        provenances?
            .iter()
            .find(|provenance| provenance.certificate.issuer == Some(Issuer::GitHubActions))
            .and_then(|provenance| provenance.certificate.source_repository_identifier.clone())
    });
    let claimed = || {
        let first = authenticated.artifacts.first()?;
        let account = authenticated.metadata()?.publisher.as_ref()?;
        Some(format!("{}:{account}", first.release.package.ecosystem().purl_type()))
    };
    built.map(|repository| format!("github:{repository}")).or_else(claimed)
}

/// The media type of a saved case, as `schema` carries it.
pub const CASE_SCHEMA: &str = "urn:hekate:case:1";

/// Everything that one verdict is a function of, in one document: what `--dossier` saves and `replay` reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Case {
    /// The media type: [`CASE_SCHEMA`].
    pub schema: String,
    /// When the verdict was made.
    pub decided_at: Timestamp,
    /// What was observed.
    pub dossier: Dossier,
    /// What was remembered of the version.
    pub memory: Memory,
    /// The policy.
    pub policy: Policy,
    /// The trust material.
    pub trust: SavedTrust,
    /// Who decided.
    pub verifier: VerifierIdentity,
}

impl Case {
    /// The case of a verdict that `judge` makes at `now`.
    pub fn new(judge: &Judge, dossier: Dossier, memory: Memory, now: Timestamp) -> Self {
        Self {
            schema: CASE_SCHEMA.to_owned(),
            decided_at: now,
            dossier,
            memory,
            policy: judge.policy.clone(),
            trust: judge.trust.to_saved(),
            verifier: judge.verifier.clone(),
        }
    }

    /// Derives the verdict again, from this document alone.
    pub fn replay(&self) -> Result<Verdict, TrustError> {
        let judge = Judge {
            trust: TrustMaterial::from_saved(&self.trust)?,
            policy: self.policy.clone(),
            verifier: self.verifier.clone(),
        };
        Ok(judge.judge(&self.dossier, &self.memory, self.decided_at).verdict)
    }
}

/// What to remember of a version whose registry names these digests at this time: at the first look, once more at the first
/// whose metadata the registry has signed, and whenever a file was added.
pub fn first_seen(judgement: &Judgement, memory: &Memory, now: Timestamp) -> Option<FirstSeen> {
    let findings = &judgement.verdict.findings;
    let is_signed = |finding: &Finding| {
        let unsigned = Outcome::NotApplicable(Some(Shade::NotOfEcosystem));
        finding.check == CheckId::RegSignature && (finding.outcome.is_pass() || finding.outcome == unsigned)
    };
    let seen = FirstSeen::of(judgement.declared.clone(), now, findings.iter().any(is_signed))?;
    let stays = seen.after(memory.first_seen.as_ref());
    (memory.first_seen.as_ref() != Some(&stays)).then_some(stays)
}
