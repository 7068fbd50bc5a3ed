//! What a registry says of a version, in the terms that the checks use: claims, all of it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::attestation::{PredicateType, UnverifiedAttestation};
use crate::availability::Availability;
use crate::package::{Digest, DigestAlgorithm, PackageVersion};

/// How a version was published, as the registry's metadata claims.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PublishMode {
    /// With somebody's token.
    Token,
    /// By a trusted publisher of this kind, with a short-lived identity token.
    TrustedPublisher(String),
    /// Staged, and approved by a person.
    Staged,
}

impl PublishMode {
    /// How much stands between a thief and the registry: a token, then an identity that lives for minutes, then a person
    /// besides.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Token => 1,
            Self::TrustedPublisher(_) => 2,
            Self::Staged => 3,
        }
    }

    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::TrustedPublisher(_) => "trusted publisher",
            Self::Staged => "staged",
        }
    }
}

/// Another version of the package, as the registry lists it. Claims, all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherVersion {
    /// The version.
    pub version: String,
    /// When it was published.
    pub published_at: Timestamp,
    /// What else the registry says; of a bounded number of versions.
    pub described: Option<Described>,
}

/// How another version was published, as the registry describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// How; `None` where the metadata does not say.
    pub publish_mode: Option<PublishMode>,
    /// The account that published; `None` for a build service, whose account is everybody's.
    pub publisher: Option<String>,
    /// Whether it announces attestations.
    pub announces_attestations: bool,
}

/// A signature of the registry over name, version and digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrySignature {
    /// Id of the key.
    pub key_id: String,
    /// The signature's bytes; `None` if they do not decode.
    pub signature: Option<Vec<u8>>,
}

/// What the registry's metadata says about a version. Claims, all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// The collision-resistant digest of the artifact, in the algorithm in which the ecosystem attests.
    pub declared_digest: Option<Digest>,
    /// Its SHA-1, for versions that have nothing better.
    pub declared_sha1: Option<Digest>,
    /// The text that the registry signs, where there is enough metadata for it.
    pub signed_text: Option<String>,
    /// The registry's signatures over that text.
    pub signatures: Vec<RegistrySignature>,
    /// Whether something is missing that the registry says of every version, as behind a mirror that strips what it does not know:
    /// then it may have been stripped of attestations, too.
    pub is_stripped: bool,
    /// Whether the metadata announces attestations.
    pub announces_attestations: bool,
    /// When the version was published.
    pub published_at: Option<Timestamp>,
    /// How; `None` where the metadata does not say.
    pub publish_mode: Option<PublishMode>,
    /// The account that published; `None` for a build service, whose account is everybody's.
    pub publisher: Option<String>,
    /// The dist-tags that lead to the version now.
    pub tags: Vec<String>,
    /// The repository that the metadata names.
    pub declared_repository: Option<String>,
    /// The commit that the publisher's client noted.
    pub declared_commit: Option<String>,
    /// Versions that were published before this one, newest first; a bounded number of them.
    pub earlier: Vec<OtherVersion>,
    /// Versions that were published within half an hour after this one, oldest first.
    pub soon_after: Vec<OtherVersion>,
    /// Digest of the document.
    pub evidence: Digest,
}

/// The artifact as it was downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// File name.
    pub name: String,
    /// SHA-512.
    pub sha512: Digest,
    /// SHA-256.
    pub sha256: Digest,
    /// SHA-1.
    pub sha1: Digest,
    /// Size in bytes.
    pub size: u64,
    /// The package manifest inside.
    pub manifest: Availability<InnerManifest>,
}

impl Downloaded {
    /// The digest of these bytes in an algorithm.
    pub fn digest(&self, algorithm: DigestAlgorithm) -> &Digest {
        match algorithm {
            DigestAlgorithm::Sha512 => &self.sha512,
            DigestAlgorithm::Sha256 => &self.sha256,
            DigestAlgorithm::Sha1 => &self.sha1,
        }
    }

    /// Whether these bytes have this digest.
    pub fn has_digest(&self, digest: &Digest) -> bool {
        [&self.sha512, &self.sha256, &self.sha1].contains(&digest)
    }
}

/// The package manifest inside an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InnerManifest {
    /// What it is called, for people.
    pub place: &'static str,
    /// Name.
    pub name: Option<String>,
    /// Name under which the manifest asks to be published, where it renames itself.
    pub published_name: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// Source repository.
    pub repository: Option<String>,
    /// The package's folder in it.
    pub directory: Option<String>,
}

/// What a dossier holds of one artifact, in the terms that the checks use. Where a version has several files, there is one for
/// each.
#[derive(Clone, Debug)]
pub struct Release {
    /// The version.
    pub package: PackageVersion,
    /// The name of the file, where the version may have several; empty where it has but one.
    pub about: String,
    /// The registry's metadata.
    pub metadata: Availability<Metadata>,
    /// The attestations, as served.
    pub attestations: Availability<Vec<UnverifiedAttestation>>,
    /// What kind of nothing the registry serves, where what it serves as attestations holds none.
    pub served_nothing: Option<&'static str>,
    /// Digest of the attestations' document.
    pub attestations_evidence: Option<Digest>,
    /// The artifact. Where its bytes first contradicted the metadata, the second download.
    pub artifact: Availability<Downloaded>,
    /// What the ecosystem's attestations are, and what they have to say.
    pub terms: Terms,
}

/// What the attestations of an ecosystem are, and what they have to say.
#[derive(Clone, Debug)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "facts about a registry that do not depend on each other"
)]
pub struct Terms {
    /// The types of predicates that are evaluated. All others are listed.
    pub evaluates: &'static [PredicateType],
    /// Whether the repository that a package names has to be the one that is built: the registry demands it, or it is no claim of
    /// the package's.
    pub binds_repository: bool,
    /// Whether the registry's metadata says who published a version, and how.
    pub names_publishers: bool,
    /// Whether the registry signs its metadata. Where it does, metadata without a signature was stripped.
    pub registry_signs: bool,
    /// The publish attestation that the registry signs with a key of its own, by the value of its `registry`; `None` where
    /// certificates sign everything.
    pub countersigned_by: Option<&'static str>,
    /// How subjects name what they are about.
    pub subject: ExpectedSubject,
    /// The algorithm of subjects' digests.
    pub digest: DigestAlgorithm,
    /// Where the registry's metadata names the digest of an artifact, for people.
    pub digest_place: &'static str,
    /// Whether an account that is nobody's build may sign, where the registry names it. Such are not correlated.
    pub accounts_sign: bool,
}

/// How the subject of an attestation names what it is about.
#[derive(Clone, Debug)]
pub enum ExpectedSubject {
    /// By the purl of the version.
    Purl,
    /// By a file's name.
    File {
        /// The names that the file may have.
        names: Vec<String>,
        /// Whether a subject's name is one of these.
        is_same: fn(&str, &str) -> bool,
    },
    /// By its digest alone.
    Digest,
}

impl Release {
    /// Whether the name of an attestation's subject is that of this artifact.
    pub fn is_named_by(&self, subject: &str) -> bool {
        match &self.terms.subject {
            ExpectedSubject::Purl => self.package.is_named_by(subject),
            ExpectedSubject::File { names, is_same } => names.iter().any(|name| is_same(subject, name)),
            ExpectedSubject::Digest => true,
        }
    }

    /// How a subject should name it, for people.
    pub fn expected_name(&self) -> String {
        match &self.terms.subject {
            ExpectedSubject::Purl => self.package.to_purl(),
            ExpectedSubject::File { names, .. } => names.join(" or "),
            ExpectedSubject::Digest => "any name".to_owned(),
        }
    }
}
