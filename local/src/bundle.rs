//! `hekate verify-bundle`: the client protocol of Sigstore's conformance suite
//! (<https://github.com/sigstore/sigstore-conformance/blob/main/docs/cli_protocol.md>).

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use hekate::attestation::TrustMaterial;
use sigstore::trust_root::{SIGSTORE_STAGING_TRUSTED_ROOT, TrustedRoot};
use sigstore::types::{Bundle, DerPublicKey, Sha256Hash};
use sigstore::{Policy, PublicKeyVerificationPolicy, VerificationPolicy, Verifier};

use crate::Done;
use crate::cli::VerifyBundle;
use crate::exit::{Exit, Failure};
use crate::screen;
use crate::verify::say;

/// The most that is read of a bundle, a key or a trusted root, in bytes. Real bundles have some tens of kilobytes.
const DOCUMENT_LIMIT: u64 = 16 << 20;

/// Verifies one bundle. What is wrong with the bundle is an answer; what is wrong with the question is a failure.
pub(crate) fn run(arguments: &VerifyBundle) -> Done {
    let question = Question::read(arguments).map_err(Failure::input)?;
    match question.verify() {
        Ok(()) => {
            say("the bundle verifies");
            Ok(Exit::Acceptable)
        }
        Err(refusal) => {
            say(&screen::error(&format!("the bundle does not verify: {refusal:#}")));
            Ok(Exit::NotAcceptable)
        }
    }
}

/// What is asked about a bundle.
struct Question {
    bundle: String,
    trusted_root: String,
    policy: Box<dyn Policy>,
    artifact: Artifact,
}

enum Artifact {
    Digest(Sha256Hash),
    File(File),
}

impl Question {
    fn read(arguments: &VerifyBundle) -> anyhow::Result<Self> {
        let (embedded, _npm_keys) = TrustMaterial::embedded_json();
        let trusted_root = match (&arguments.trusted_root, arguments.staging) {
            (Some(path), _) => text(path)?,
            (None, true) => SIGSTORE_STAGING_TRUSTED_ROOT.to_owned(),
            (None, false) => embedded.to_owned(),
        };
        let identity = arguments
            .certificate_identity
            .as_ref()
            .zip(arguments.certificate_oidc_issuer.as_ref());
        let policy: Box<dyn Policy> = match (&arguments.key, identity) {
            (Some(path), _) => {
                let key = DerPublicKey::from_pem(&text(path)?)
                    .with_context(|| format!("{} is no public key in PEM form", path.display()))?;
                Box::new(PublicKeyVerificationPolicy::new(key))
            }
            (None, Some((identity, issuer))) => Box::new(VerificationPolicy::new(identity, issuer)),
            (None, None) => {
                anyhow::bail!("say who signed: --certificate-identity with --certificate-oidc-issuer, or --key")
            }
        };
        Ok(Self {
            bundle: text(&arguments.bundle)?,
            trusted_root,
            policy,
            artifact: artifact(&arguments.artifact)?,
        })
    }

    /// A trusted root that cannot be used refuses every bundle: the suite counts it as a refusal.
    fn verify(self) -> anyhow::Result<()> {
        let root = TrustedRoot::from_json(&self.trusted_root).context("the trusted root cannot be used")?;
        let verifier = Verifier::new(&root).context("the trusted root cannot be used")?;
        let bundle = Bundle::from_json(&self.bundle).context("the bundle cannot be read")?;
        match self.artifact {
            Artifact::Digest(digest) => verifier.verify(digest, &bundle, self.policy.as_ref())?,
            Artifact::File(file) => verifier.verify_reader(file, &bundle, self.policy.as_ref())?,
        };
        Ok(())
    }
}

/// A digest if it looks like one and no file has that name; a file otherwise, as the protocol says.
fn artifact(text: &str) -> anyhow::Result<Artifact> {
    let digest = text.strip_prefix("sha256:").filter(|_| !Path::new(text).exists());
    if let Some(digest) = digest.and_then(|hex| Sha256Hash::from_hex(hex).ok()) {
        return Ok(Artifact::Digest(digest));
    }
    let file = File::open(text)
        .with_context(|| format!("{text} is neither sha256: with 64 hexadecimal digits nor a file that can be read"))?;
    Ok(Artifact::File(file))
}

fn text(path: &Path) -> anyhow::Result<String> {
    let mut text = String::new();
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let read = file.take(DOCUMENT_LIMIT + 1).read_to_string(&mut text);
    let bytes = read.with_context(|| format!("{} is no text", path.display()))?;
    anyhow::ensure!(
        u64::try_from(bytes)? <= DOCUMENT_LIMIT,
        "{} is too large",
        path.display()
    );
    Ok(text)
}
