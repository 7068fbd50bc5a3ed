//! Files that somebody released on GitHub, or anywhere: named by the repository that is to have built them and by their digest.
//!
//! Nobody serves them here: whoever asks has the bytes, and answers the question for the artifact with them. What attests them
//! is in GitHub's store, under the digest: provenances of the build, and for files of an immutable release GitHub's own
//! attestation of it.

use std::collections::BTreeSet;

use async_trait::async_trait;
use url::Url;

use super::answer::{digested, response, unavailable};
use super::{
    ExpectedSubject, FeedPage, Listing, Look, LookFault, Metadata, Registry, Release, Resolved, Terms, Upstreams,
};
use crate::attestation::{PredicateType, RepositoryUri, TrustMaterial, UnverifiedAttestation};
use crate::availability::{Availability, UnavailableReason};
use crate::dossier::{Dossier, Subject};
use crate::forge::github::attestations as store;
use crate::history::{Channel, Line};
use crate::package::{Coordinate, Digest, DigestAlgorithm, PackageName, PackageVersion, Selector};
use crate::ports::{Keep, REDIRECTS, Request};

/// What is evaluated: how a file was built, and that it is one of an immutable release.
const EVALUATED: &[PredicateType] = &[
    PredicateType::SlsaProvenanceV1,
    PredicateType::SlsaProvenanceV02,
    PredicateType::GitHubReleaseV02,
];

/// The largest file that is hashed, in bytes.
const FILE_LIMIT: u64 = 64 << 30;

/// Files that somebody released on GitHub.
pub(super) struct GitHub;

/// By which address the bytes with a SHA-256 are asked for. It leads nowhere: only who has them can answer.
pub fn address_of(digest: &Digest) -> String {
    format!("urn:sha256:{}", digest.to_hex())
}

/// The digest that stands for a version.
fn digest_of(package: &PackageVersion) -> Option<Digest> {
    let digits = package.version().strip_prefix("sha256:")?;
    Digest::from_hex(DigestAlgorithm::Sha256, digits).ok()
}

/// The repository that a name stands for.
fn repository_of(name: &PackageName) -> Option<RepositoryUri> {
    let (owner, repository) = name.as_str().split_once('/')?;
    RepositoryUri::new(owner, repository)
}

#[async_trait]
impl Registry for GitHub {
    fn purl_type(&self) -> &'static str {
        "github"
    }

    fn title(&self) -> &'static str {
        "GitHub"
    }

    /// A digest stands for one file, whose name may be said.
    fn has_files(&self) -> bool {
        true
    }

    /// `owner/name` in lower case, as the purl specification has it: GitHub's names are case-insensitive.
    fn name(&self, text: &str) -> Result<String, &'static str> {
        let rule = "a repository on GitHub is named owner/name";
        let (owner, name) = text.split_once('/').ok_or(rule)?;
        RepositoryUri::new(owner, name).ok_or(rule)?;
        Ok(text.to_ascii_lowercase())
    }

    fn selector(&self, text: &str) -> Result<Selector, &'static str> {
        let digits = text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("sha256:"));
        let digits = digits.and_then(|_scheme| text.get(7..));
        digits
            .and_then(|digits| Digest::from_hex(DigestAlgorithm::Sha256, &digits.to_ascii_lowercase()).ok())
            .map(|digest| Selector::Version(format!("sha256:{}", digest.to_hex())))
            .ok_or("a released file is named by its digest, sha256: and 64 hexadecimal digits")
    }

    fn is_same_version(&self, inner: &str, requested: &str) -> bool {
        inner == requested
    }

    /// Digests come in no order.
    fn line(&self, _version: &str) -> Option<Line> {
        None
    }

    fn channel(&self, _version: &str) -> Channel {
        Channel::Stable
    }

    fn manifest(&self) -> Option<&'static str> {
        None
    }

    fn has_inner_manifest(&self) -> bool {
        false
    }

    fn is_versioned_by_its_source(&self) -> bool {
        false
    }

    fn is_served(&self) -> bool {
        false
    }

    fn keeps_attestations(&self) -> bool {
        false
    }

    /// Files are attested where they are built, before they are uploaded.
    fn attesting_publishes(&self) -> bool {
        true
    }

    async fn resolve(&self, coordinate: &Coordinate, look: &Look<'_>) -> Result<Resolved, LookFault> {
        let not_found = |detail: String| LookFault::NotFound(detail);
        let package = PackageVersion::try_from(coordinate.clone()).map_err(|source| not_found(source.to_string()))?;
        let not_at_hand = || {
            not_found(format!(
                "the file {} is not at hand: a released file is verified where it lies, by \
                 `hekate verify --file FILE --repository {}`",
                package.version(),
                package.name()
            ))
        };
        let digest = digest_of(&package).ok_or_else(not_at_hand)?;
        let url = Url::parse(&address_of(&digest)).map_err(|_impossible| not_at_hand())?;
        let observed = look
            .fetch
            .fetch(Request {
                subject: Subject::Artifact,
                url,
                accept: "*/*",
                keep: Keep::Digests,
                limit: FILE_LIMIT,
                at: look.at,
                previous: None,
                modified_since: None,
                post: None,
                uncached: false,
                insist: false,
                redirects: REDIRECTS,
            })
            .await;
        match digested(&observed, package.version()) {
            Availability::Present(file) if file.sha256 == digest => Ok(Resolved {
                package,
                observations: vec![observed],
            }),
            Availability::Present(_) | Availability::Absent { .. } | Availability::Unavailable(_) => Err(not_at_hand()),
        }
    }

    async fn collect(&self, resolved: Resolved, look: &Look<'_>) -> Dossier {
        let mut dossier = Dossier::new(resolved.package, resolved.observations);
        let wanted = repository_of(dossier.package.name()).zip(digest_of(&dossier.package));
        if let Some((repository, digest)) = wanted {
            for observation in store::ask(&repository, &digest, look).await {
                dossier.observe(observation);
            }
        }
        dossier
    }

    /// There is no list of what a repository released before.
    async fn look_back(&self, _dossier: &Dossier, _look: &Look<'_>, _known: &BTreeSet<String>) -> Vec<Dossier> {
        Vec::new()
    }

    async fn versions(&self, name: &PackageName, _look: &Look<'_>) -> Result<Listing, LookFault> {
        Err(LookFault::NotFound(no_list(name)))
    }

    fn feed(&self, _upstreams: &Upstreams) -> Option<Url> {
        None
    }

    async fn feed_end(&self, _feed: &Url, _look: &Look<'_>) -> Result<u64, LookFault> {
        Ok(0)
    }

    async fn feed_page(&self, _feed: &Url, since: u64, _limit: usize, _look: &Look<'_>) -> Result<FeedPage, LookFault> {
        Ok(FeedPage {
            names: Vec::new(),
            rows: 0,
            until: since,
        })
    }

    fn read(&self, dossier: &Dossier) -> Vec<Release> {
        vec![read(dossier)]
    }
}

fn no_list(name: &PackageName) -> String {
    format!("of the files that {name} releases there is no list")
}

fn read(dossier: &Dossier) -> Release {
    let package = &dossier.package;
    let name = package.file().unwrap_or(package.version());
    let artifact = match dossier.observation(Subject::Artifact) {
        Some(observation) => digested(observation, name),
        None => Availability::Unavailable(unavailable(
            "whoever asks",
            UnavailableReason::Unreachable,
            "the file was not asked for",
        )),
    };
    let list = dossier.observation(Subject::StoredAttestations).and_then(response);
    let declared_digest = digest_of(package);
    Release {
        package: package.clone(),
        about: package.file().unwrap_or_default().to_owned(),
        attestations: attestations(dossier, declared_digest.as_ref()),
        served_nothing: None,
        attestations_evidence: list.map(|list| list.sha256.clone()),
        artifact,
        metadata: Availability::Present(Metadata {
            evidence: declared_digest.clone().unwrap_or_else(|| Digest::sha256_of(b"")),
            declared_digest,
            declared_sha1: None,
            signed_text: None,
            signatures: Vec::new(),
            is_stripped: false,
            announces_attestations: false,
            published_at: None,
            publish_mode: None,
            publisher: None,
            tags: Vec::new(),
            // What is asked is whether this repository built it.
            declared_repository: Some(package.name().as_str().to_owned()),
            declared_commit: None,
            earlier: Vec::new(),
            soon_after: Vec::new(),
        }),
        terms: Terms {
            evaluates: EVALUATED,
            binds_repository: true,
            names_publishers: false,
            registry_signs: false,
            countersigned_by: None,
            subject: ExpectedSubject::Digest,
            digest: DigestAlgorithm::Sha256,
            digest_place: "digest of the file that is asked about",
            accounts_sign: false,
        },
    }
}

/// The attestations that the store has of the digest. What is of another kind than those that are evaluated, such as a bill of
/// materials, attests no build.
fn attestations(dossier: &Dossier, digest: Option<&Digest>) -> Availability<Vec<UnverifiedAttestation>> {
    let found = match store::read(dossier) {
        Availability::Present(found) => found,
        other @ (Availability::Absent { .. } | Availability::Unavailable(_)) => return other,
    };
    let kinds: Vec<PredicateType> = found.iter().map(TrustMaterial::recognises).collect();
    let of_another_kind = |kind: &PredicateType| match kind {
        // One that cannot be read says of no kind that it is of it.
        PredicateType::Unrecognised(uri) => !uri.is_empty(),
        PredicateType::SlsaProvenanceV02
        | PredicateType::SlsaProvenanceV1
        | PredicateType::NpmPublishV01
        | PredicateType::PypiPublishV1
        | PredicateType::GitHubReleaseV02 => false,
    };
    if kinds.iter().all(of_another_kind) {
        let kinds: Vec<&str> = kinds.iter().map(PredicateType::as_uri).collect();
        return Availability::Absent {
            because: format!(
                "GitHub's attestation store has none of a build on these bytes, but {}",
                kinds.join(", ")
            ),
        };
    }
    let about_it = |one: UnverifiedAttestation| match digest {
        Some(digest) => one.about_one_of_many(digest.clone()).of_github_too(),
        None => one,
    };
    Availability::Present(found.into_iter().map(about_it).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_named_by_owner_and_name() {
        assert_eq!(GitHub.name("Acme/Tool.js"), Ok("acme/tool.js".to_owned()));
        for bad in ["acme", "acme/", "/tool", "acme/tool/x", "a b/c", "acme/..", ""] {
            assert!(GitHub.name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_file_is_named_by_its_sha_256() {
        let digest = format!("sha256:{}", "Ab".repeat(32));
        assert_eq!(
            GitHub.selector(&digest),
            Ok(Selector::Version(digest.to_ascii_lowercase()))
        );
        for bad in ["v1.2.3", "latest", "sha256:", "sha256:00", "sha512:00", ""] {
            assert!(GitHub.selector(bad).is_err(), "{bad}");
        }
    }
}
