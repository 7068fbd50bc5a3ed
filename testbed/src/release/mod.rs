//! One version of one package, as its maintainers, its build and the registry made it, or as somebody bent it.

mod publish;

use crate::{
    Answer, BASE_TIME, Build, Claims, Flavour, Format, Parties, SignatureEncoding, World, archive,
    edit::Edits,
    github::{Commit, Origin, Repository, Run},
    npm::{self, registry::Publisher},
    sealing::{Bends, Sealing},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::{fmt, sync::Arc};

/// Which key of the registry signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryKeyChoice {
    /// The one that was in use at the time of publication.
    InUse,
    /// The present one.
    Current,
    /// The expired one.
    Expired,
    /// One that nobody knows.
    Unknown,
}

/// How the publish attestation is made.
#[derive(Debug, Clone)]
pub struct PublishAttestation {
    /// The shape of the bundle.
    pub format: Format,
    /// The encoding of the signature.
    pub encoding: SignatureEncoding,
    /// The key that signs.
    pub key: RegistryKeyChoice,
    /// The bundle's `publicKey.hint`; the signing key's id unless given.
    pub hint: Option<String>,
    /// The envelope's `keyid`; the signing key's id unless given.
    pub keyid: Option<String>,
    /// The parties.
    pub parties: Parties,
    /// When the log integrated the entry.
    pub logged_at: Timestamp,
}

/// A release: one version of one package. Made honest, then bent by small methods.
///
/// Nothing is signed before [`Release::publish`]; edits apply in the order in which they were given, each at the moment
/// that its method names.
#[derive(Clone)]
pub struct Release {
    name: String,
    version: String,
    at: Timestamp,
    published_at: Option<Timestamp>,
    build: Build,
    flavour: Flavour,
    format: Format,
    publish_format: Format,
    provenance_attested: bool,
    publish_attested: bool,
    publisher: Option<Publisher>,
    registry_key: RegistryKeyChoice,
    registry_world: Option<World>,
    tag: Option<String>,
    unpublished: bool,
    bends: Bends,
    publish: Edits<PublishAttestation>,
    publish_statement: Edits<Value>,
    publish_bundle: Edits<Value>,
    package_json: Edits<Value>,
    tarball: Edits<Vec<u8>>,
    metadata: Edits<Value>,
    packument: Edits<Value>,
    attestations: Edits<Vec<Value>>,
    run: Edits<Run>,
    commit: Edits<Commit>,
    repository: Edits<Repository>,
    answers: Answers,
}

/// How the registry answers for the resources of one release.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers {
    pub(crate) attestations: Answer,
    pub(crate) packument: Option<Answer>,
    pub(crate) manifest: Answer,
    pub(crate) tarball: Answer,
}

/// A release with everything that was made for it.
#[derive(Clone)]
pub struct Published {
    /// The package's name.
    pub name: String,
    /// The version.
    pub version: String,
    /// `time[version]` of the packument.
    pub published_at: Timestamp,
    /// The version manifest.
    pub manifest: Value,
    /// The bytes that the registry serves as the tarball.
    pub tarball: Vec<u8>,
    /// The items that the registry lists as attestations.
    pub attestations: Vec<Value>,
    /// The dist-tag that this release moves.
    pub(crate) tag: Option<String>,
    /// Whether it was taken back.
    pub(crate) unpublished: bool,
    pub(crate) packument: Edits<Value>,
    pub(crate) answers: Answers,
    /// Where it comes from.
    pub(crate) origin: Origin,
}

impl fmt::Debug for Release {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Release")
            .field("purl", &self.purl())
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Published {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let purl = npm::purl(&self.name, &self.version);
        formatter
            .debug_struct("Published")
            .field("purl", &purl)
            .finish_non_exhaustive()
    }
}

impl Release {
    /// A release as they are made in 2026: built on GitHub Actions, by a trusted publisher, with provenance in a v0.3
    /// bundle and a publish attestation in a v0.2 bundle, all of it consistent.
    pub fn honest(name: &str, version: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: version.to_owned(),
            at: BASE_TIME,
            published_at: None,
            build: Build::for_package(name, version),
            flavour: Flavour::SlsaV1,
            format: Format::v03(),
            publish_format: Format::v02(),
            provenance_attested: true,
            publish_attested: true,
            publisher: None,
            registry_key: RegistryKeyChoice::InUse,
            registry_world: None,
            tag: None,
            unpublished: false,
            bends: Bends::default(),
            publish: Vec::new(),
            publish_statement: Vec::new(),
            publish_bundle: Vec::new(),
            package_json: Vec::new(),
            tarball: Vec::new(),
            metadata: Vec::new(),
            packument: Vec::new(),
            attestations: Vec::new(),
            run: Vec::new(),
            commit: Vec::new(),
            repository: Vec::new(),
            answers: Answers::default(),
        }
    }

    /// A release as they were made in May 2023: SLSA v0.2 in v0.1 bundles that carry only the log's promise, signed with
    /// the registry's old key, published with a token.
    pub fn honest_of_2023(name: &str, version: &str) -> Self {
        Self::honest(name, version)
            .at(crate::moment("2023-05-18T17:57:53Z"))
            .flavour(Flavour::SlsaV02)
            .bundle_format(Format::v01())
            .publish_format(Format::v01())
            .certificate(Claims::as_of_mid_2023)
            .published_by(Publisher::maintainer())
    }

    /// A release as they were made in 2024: SLSA v1 in v0.2 bundles with `intoto` entries, published with a token.
    pub fn honest_of_2024(name: &str, version: &str) -> Self {
        Self::honest(name, version)
            .at(crate::moment("2024-05-16T17:12:03Z"))
            .bundle_format(Format::v02_intoto())
            .publish_format(Format::v02_intoto())
            .certificate(Claims::without_environment_and_subject)
            .published_by(Publisher::maintainer())
    }

    /// The package URL.
    pub fn purl(&self) -> String {
        npm::purl(&self.name, &self.version)
    }

    /// Whether a provenance is made for it.
    pub fn is_attested(&self) -> bool {
        self.provenance_attested
    }

    /// When it is published.
    pub fn time(&self) -> Timestamp {
        self.published_at.unwrap_or(self.at)
    }

    /// When the provenance is logged; everything else happens a few seconds around it.
    #[must_use]
    pub fn at(mut self, at: Timestamp) -> Self {
        self.at = at;
        self
    }

    /// Moves the release by `duration`, for the next in a history.
    #[must_use]
    pub fn later(mut self, duration: SignedDuration) -> Self {
        self.at += duration;
        self
    }

    /// When the registry published, instead of three seconds after the provenance was logged: staged publishing lies days
    /// after it.
    #[must_use]
    pub fn published_at(mut self, at: Timestamp) -> Self {
        self.published_at = Some(at);
        self
    }

    /// Changes what the build was. Certificate, statement and metadata all follow.
    #[must_use]
    pub fn build(mut self, edit: impl FnOnce(&mut Build)) -> Self {
        edit(&mut self.build);
        self
    }

    /// Changes the shape of the provenance statement, and the build with it where the shape demands it.
    #[must_use]
    pub fn flavour(mut self, flavour: Flavour) -> Self {
        self.flavour = flavour;
        match flavour {
            Flavour::SlsaV1 | Flavour::SlsaV02 => {}
            Flavour::NodeBuilder => self.build.with_node_builder(),
            Flavour::GitLab => self.build.on_gitlab(),
        }
        self
    }

    /// The shape of the provenance's bundle.
    #[must_use]
    pub fn bundle_format(mut self, format: Format) -> Self {
        self.format = format;
        self
    }

    /// The shape of the publish attestation's bundle.
    #[must_use]
    pub fn publish_format(mut self, format: Format) -> Self {
        self.publish_format = format;
        self
    }

    /// Logs both attestations in Rekor v2.
    #[must_use]
    pub fn rekor_v2(self) -> Self {
        self.bundle_format(Format::rekor_v2())
            .publish_format(Format::rekor_v2())
    }

    /// Without any attestation, published with a token: how most packages are.
    #[must_use]
    pub fn unattested(self) -> Self {
        self.without_provenance().without_publish_attestation()
    }

    /// Without the provenance attestation.
    #[must_use]
    pub fn without_provenance(mut self) -> Self {
        self.provenance_attested = false;
        self
    }

    /// Without the publish attestation.
    #[must_use]
    pub fn without_publish_attestation(mut self) -> Self {
        self.publish_attested = false;
        self
    }

    /// Changes what the certificate claims, and nothing else.
    #[must_use]
    pub fn certificate(mut self, edit: impl Fn(&mut Claims) + Send + Sync + 'static) -> Self {
        self.bends.certificate.push(Arc::new(edit));
        self
    }

    /// Changes how the provenance attestation is made: its parties, its times, its bundle.
    #[must_use]
    pub fn provenance(mut self, edit: impl Fn(&mut Sealing) + Send + Sync + 'static) -> Self {
        self.bends.sealing.push(Arc::new(edit));
        self
    }

    /// Changes the provenance statement before it is signed, and nothing else.
    #[must_use]
    pub fn statement(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.bends.statement.push(Arc::new(edit));
        self
    }

    /// Changes the provenance's bundle after it was signed.
    #[must_use]
    pub fn bundle(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.bends.signed.push(Arc::new(edit));
        self
    }

    /// Changes how the publish attestation is made: its key, its hint, its times.
    #[must_use]
    pub fn publish_attestation(mut self, edit: impl Fn(&mut PublishAttestation) + Send + Sync + 'static) -> Self {
        self.publish.push(Arc::new(edit));
        self
    }

    /// Changes the publish statement before it is signed.
    #[must_use]
    pub fn publish_statement(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.publish_statement.push(Arc::new(edit));
        self
    }

    /// Changes the publish attestation's bundle after it was signed.
    #[must_use]
    pub fn publish_bundle(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.publish_bundle.push(Arc::new(edit));
        self
    }

    /// Lets an attacker make both attestations and the registry signature with the authorities of another world.
    #[must_use]
    pub fn forged_by(self, world: &World) -> Self {
        let (provenance, publish) = (Parties::of(world), Parties::of(world));
        self.provenance(move |plan| plan.parties = provenance.clone())
            .publish_attestation(move |plan| plan.parties = publish.clone())
            .registry_signature_by(world)
    }

    /// Lets an attacker make the provenance with an own certificate authority and its log of certificates.
    #[must_use]
    pub fn certificate_by(self, world: &World) -> Self {
        let world = world.clone();
        self.provenance(move |plan| {
            plan.parties.certificate_authority = world.clone();
            plan.parties.ct_log = world.clone();
        })
    }

    /// Changes `package.json`, in the tarball and in the metadata.
    #[must_use]
    pub fn package_json(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.package_json.push(Arc::new(edit));
        self
    }

    /// Changes the tarball that is served, after everything was signed about the honest one.
    #[must_use]
    pub fn tarball(mut self, edit: impl Fn(&mut Vec<u8>) + Send + Sync + 'static) -> Self {
        self.tarball.push(Arc::new(edit));
        self
    }

    /// Serves a tarball that differs in exactly one byte.
    #[must_use]
    pub fn tarball_swapped_by_one_byte(self) -> Self {
        self.tarball(|bytes| archive::swap_one_byte(bytes))
    }

    /// Changes the version manifest, here and in the packument, after it was signed.
    #[must_use]
    pub fn metadata(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.metadata.push(Arc::new(edit));
        self
    }

    /// Changes the packument.
    #[must_use]
    pub fn packument(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.packument.push(Arc::new(edit));
        self
    }

    /// Changes the list of attestations that is served.
    #[must_use]
    pub fn attestations(mut self, edit: impl Fn(&mut Vec<Value>) + Send + Sync + 'static) -> Self {
        self.attestations.push(Arc::new(edit));
        self
    }

    /// Serves the attestations that were made for another release.
    #[must_use]
    pub fn attestations_of(self, other: &Published) -> Self {
        let items = other.attestations.clone();
        self.attestations(move |list| list.clone_from(&items))
    }

    /// Changes the attempt that published, when everything of the release is on GitHub.
    #[must_use]
    pub fn run(mut self, edit: impl Fn(&mut Run) + Send + Sync + 'static) -> Self {
        self.run.push(Arc::new(edit));
        self
    }

    /// Changes the commit that was built, when everything of the release is on GitHub.
    #[must_use]
    pub fn commit(mut self, edit: impl Fn(&mut Commit) + Send + Sync + 'static) -> Self {
        self.commit.push(Arc::new(edit));
        self
    }

    /// Changes the repository, after its commit and its run.
    #[must_use]
    pub fn repository(mut self, edit: impl Fn(&mut Repository) + Send + Sync + 'static) -> Self {
        self.repository.push(Arc::new(edit));
        self
    }

    /// Who published, instead of the one that follows from the build.
    #[must_use]
    pub fn published_by(mut self, publisher: Publisher) -> Self {
        self.publisher = Some(publisher);
        self
    }

    /// Which key makes the registry signature.
    #[must_use]
    pub fn registry_key(mut self, key: RegistryKeyChoice) -> Self {
        self.registry_key = key;
        self
    }

    /// Takes the registry signature's key from another world.
    #[must_use]
    pub fn registry_signature_by(mut self, world: &World) -> Self {
        self.registry_world = Some(world.clone());
        self
    }

    /// The dist-tag that this release moves, instead of `latest`, which prereleases leave alone.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.tag = Some(tag.to_owned());
        self
    }

    /// Taken back: still in the packument's `time`, and nowhere else.
    #[must_use]
    pub fn unpublished(mut self) -> Self {
        self.unpublished = true;
        self
    }

    /// How the attestation endpoint answers.
    #[must_use]
    pub fn attestation_answer(mut self, answer: Answer) -> Self {
        self.answers.attestations = answer;
        self
    }

    /// How the registry answers for the packument of the whole package.
    #[must_use]
    pub fn packument_answer(mut self, answer: Answer) -> Self {
        self.answers.packument = Some(answer);
        self
    }

    /// How the registry answers for the version manifest.
    #[must_use]
    pub fn manifest_answer(mut self, answer: Answer) -> Self {
        self.answers.manifest = answer;
        self
    }

    /// How the registry answers for the tarball.
    #[must_use]
    pub fn tarball_answer(mut self, answer: Answer) -> Self {
        self.answers.tarball = answer;
        self
    }
}
