//! The path, from a coordinate to a verdict.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::attestation::{Issuer, SavedTrust, TrustError, TrustMaterial};
use crate::authenticate::{Authenticated, AuthenticatedRelease, Examination, authenticate};
use crate::availability::Availability;
use crate::check::{Evidence, UnknownReason, correlate, past_release};
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
    /// The digests that the registry's metadata names now.
    pub declared: DeclaredDigests,
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
    ///    digest that the registry names. What is refused is left out: it is neither a release like this one nor one without
    ///    an attestation. So is what could not be asked about, and then not everything was found out.
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
                        let release = release.clone().and_then(|release| attested(release, artifact));
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
            declared: DeclaredDigests::of(authenticated),
            release: past_release(&verdict, &evidence),
            verdict,
        }
    }
}

/// The digests that the registry's metadata names of a version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeclaredDigests {
    /// By file, where the version may have several; by the empty name otherwise.
    by_artifact: BTreeMap<String, Digest>,
}

impl DeclaredDigests {
    fn of(authenticated: &AuthenticatedRelease) -> Self {
        let named = authenticated.artifacts.iter().filter_map(|artifact| {
            let metadata = artifact.release.metadata.present()?;
            Some((artifact.release.about.clone(), metadata.declared_digest.clone()?))
        });
        Self {
            by_artifact: named.collect(),
        }
    }

    /// What is to be remembered of a first sight at `now`, given what was seen first of other files; `None` if that is nothing
    /// new.
    fn first_seen(self, before: Option<&FirstSeen>, now: Timestamp) -> Option<FirstSeen> {
        let mut by_artifact = self.by_artifact;
        if let Some(integrity) = by_artifact.remove("") {
            return before.is_none().then(|| FirstSeen {
                integrity,
                at: now,
                artifacts: BTreeMap::new(),
            });
        }
        let mut artifacts = before.map(|first| first.artifacts.clone()).unwrap_or_default();
        by_artifact.retain(|name, _digest| !artifacts.contains_key(name));
        if by_artifact.is_empty() {
            return None;
        }
        artifacts.extend(by_artifact);
        let (integrity, at) = match before {
            Some(first) => (first.integrity.clone(), first.at),
            None => (FirstSeen::of_all(&artifacts), now),
        };
        Some(FirstSeen {
            integrity,
            at,
            artifacts,
        })
    }
}

/// The release, if an authentic provenance by a build service is about what the registry serves.
fn attested(release: PastRelease, authenticated: &Authenticated) -> Option<PastRelease> {
    let declared = authenticated.release.metadata.present()?.declared_digest.as_ref()?;
    let provenances = authenticated.examination.present()?.authentic_provenances();
    let about_it: Vec<_> = provenances
        .iter()
        .filter(|provenance| {
            let subject = &provenance.attestation.statement.subject;
            authenticated.release.is_named_by(&subject.name) && subject.digest(declared.algorithm()) == Some(declared)
        })
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

/// What to remember of a version whose registry names these digests at this time; `None` if that is nothing new.
pub fn first_seen(judgement: &Judgement, memory: &Memory, now: Timestamp) -> Option<FirstSeen> {
    judgement.declared.clone().first_seen(memory.first_seen.as_ref(), now)
}
