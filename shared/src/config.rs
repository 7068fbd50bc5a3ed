//! Configuration: every environment variable, in one place. Parsing is a pure function of a lookup and reports all errors
//! at once. A variable that is set to nothing counts as unset, since templates cannot leave one out.

use std::fmt;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use thiserror::Error;
use url::Url;

use crate::ecosystem::Upstreams;
use crate::network::Peer;
use crate::summary::PublicKey;

/// The variables that are read, with what each means and its default: what `hekate help config` and the documents show.
pub const VARIABLES: &[(&str, &str, &str)] = &[
    (
        "HEKATE_NPM_URL",
        "base URL of npm's registry API",
        "the public registry",
    ),
    (
        "HEKATE_NPM_FEED_URL",
        "base URL of npm's feed of changes, or `off`; read by the sweeper",
        "the public feed; `off` with another registry",
    ),
    (
        "HEKATE_PYPI_URL",
        "base URL of PyPI: the simple index and the integrity API",
        "the public index",
    ),
    (
        "HEKATE_PYPI_FILES_URL",
        "base URL under which PyPI's files are served",
        "the public host; with another index, the index itself",
    ),
    (
        "HEKATE_PYPI_FEED_URL",
        "URL of PyPI's journal of changes, or `off`; read by the sweeper",
        "the public journal; `off` with another index",
    ),
    (
        "HEKATE_HOMEBREW_URL",
        "base URL of Homebrew's formula API",
        "the public service",
    ),
    (
        "HEKATE_HOMEBREW_BOTTLES_URL",
        "base URL of the container registry that serves bottles",
        "the public registry; with another formula API, that",
    ),
    (
        "HEKATE_HOMEBREW_STORAGE_URL",
        "where that registry may lead to for the bottles themselves",
        "the public store; none with another registry",
    ),
    (
        "HEKATE_GITHUB_URL",
        "base URL of GitHub's REST API",
        "the public service",
    ),
    (
        "HEKATE_GITHUB_TOKEN",
        "token for GitHub's REST API, sent nowhere else",
        "none: 60 requests an hour",
    ),
    (
        "HEKATE_GITHUB_TOKEN_SECRET",
        "the Secrets Manager secret that holds this token; read by the functions",
        "none",
    ),
    (
        "HEKATE_TUF_URL",
        "base URL of Sigstore's TUF repository, or `off`",
        "the public-good instance",
    ),
    (
        "HEKATE_TRUSTED_ROOT",
        "file: a Sigstore trusted_root.json",
        "embedded, refreshed by TUF",
    ),
    (
        "HEKATE_GITHUB_TRUSTED_ROOT",
        "file: a trusted_root.json of GitHub's own Sigstore instance",
        "embedded",
    ),
    (
        "HEKATE_NPM_KEYS",
        "file: npm's keys.json in the TUF target's shape",
        "embedded, refreshed by TUF",
    ),
    ("HEKATE_POLICY", "file: the policy", "built in"),
    ("HEKATE_TABLE", "name of the DynamoDB table", "none"),
    ("HEKATE_QUEUE_URL", "URL of the SQS queue", "none"),
    (
        "HEKATE_BATCH_QUEUE_URL",
        "URL of the SQS queue for the versions of batches, so that nothing else waits for them",
        "that of HEKATE_QUEUE_URL",
    ),
    (
        "HEKATE_FRESH_AFTER",
        "after how many seconds the API looks again for whoever asks for a fresh verdict",
        "600",
    ),
    (
        "HEKATE_EVENT_BUS",
        "name or ARN of the EventBridge bus that is told of changed verdicts",
        "none: changes are logged",
    ),
    (
        "HEKATE_SIGNING_KEY",
        "what signs verification summaries: id, ARN or alias of a KMS key, read by the functions; or a file whose name ends in \
         .pem with a PKCS#8 key of ECDSA P-256",
        "none: nothing is signed",
    ),
    (
        "HEKATE_EARLIER_KEYS",
        "public keys that signed before and stay published: the base64 of each one's DER form, blanks between them",
        "none",
    ),
    (
        "HEKATE_PEERS",
        "other verifiers to compare with, each as URL#KEY, blanks between them: the base URL of its API, and the base64 of its \
         public key's DER form; one that changes its key is named with each",
        "none",
    ),
    (
        "HEKATE_STORE",
        "local mode: file of the embedded store",
        "in the user's data folder",
    ),
    (
        "HEKATE_CACHE",
        "folder for trust material that TUF delivered",
        "a folder for temporary files",
    ),
    (
        "HEKATE_VERIFIER_ID",
        "the name of this verifier, in its verdicts",
        "urn:hekate:verifier:unnamed",
    ),
    (
        "HEKATE_CONTACT",
        "how upstreams reach the operator, in the User-Agent",
        "none",
    ),
];

/// The public services. Nothing else in the program names a host to ask.
mod public {
    pub(super) const NPM: &str = "https://registry.npmjs.org";
    pub(super) const NPM_FEED: &str = "https://replicate.npmjs.com/registry";
    pub(super) const PYPI: &str = "https://pypi.org";
    pub(super) const PYPI_FILES: &str = "https://files.pythonhosted.org";
    pub(super) const PYPI_FEED: &str = "https://pypi.org/pypi";
    pub(super) const HOMEBREW: &str = "https://formulae.brew.sh";
    pub(super) const BOTTLES: &str = "https://ghcr.io";
    pub(super) const BOTTLES_STORAGE: &str = "https://pkg-containers.githubusercontent.com";
    pub(super) const GITHUB: &str = "https://api.github.com";
    pub(super) const TUF: &str = "https://tuf-repo-cdn.sigstore.dev";
}

/// The default of `HEKATE_FRESH_AFTER`.
const FRESH_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// The TUF target with npm's keys. It bears the name of npm's public registry, whichever mirror serves the packages.
pub fn npm_keys_target() -> String {
    format!("{}/keys.json", public::NPM.trim_start_matches("https://"))
}

/// A text that is sent to one upstream and shown to nobody: neither logs nor error messages have it.
///
/// It stays in memory as it is; whoever can read the process can read it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A text that cannot be sent as a secret. It says nothing about the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be visible ASCII without blanks, since it is sent in a header")]
pub struct SecretError;

impl Secret {
    /// A secret of visible ASCII characters, which is what a header's credentials may consist of; blanks around it are none
    /// of it.
    pub fn new(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretError);
        }
        Ok(Self(text.to_owned()))
    }

    /// The text itself, for the one header that carries it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// Where the key is that signs verification summaries (`HEKATE_SIGNING_KEY`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SigningKey {
    /// A file whose name ends in `.pem`.
    File(PathBuf),
    /// Id, ARN or alias of a key in KMS.
    Kms(String),
}

impl SigningKey {
    /// An alias has a slash as a path has, so that the end of the name tells them apart; what looks like neither is refused here
    /// rather than by KMS at the first signature.
    fn parse(text: &str) -> Result<Self, &'static str> {
        let is_pem = Path::new(text)
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("pem"));
        let is_arn = text.starts_with("arn:") && text.split(':').nth(2) == Some("kms");
        let is_id = text
            .strip_prefix("mrk-")
            .unwrap_or(text)
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if is_pem {
            Ok(Self::File(text.into()))
        } else if is_arn || is_id || text.starts_with("alias/") {
            Ok(Self::Kms(text.to_owned()))
        } else {
            Err("is neither the name of a .pem file nor the id, ARN or alias of a KMS key")
        }
    }
}

/// Where trust material comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustConfig {
    /// File of the Sigstore trusted root (`HEKATE_TRUSTED_ROOT`).
    pub trusted_root: Option<PathBuf>,
    /// File of the trusted root of GitHub's own instance (`HEKATE_GITHUB_TRUSTED_ROOT`).
    pub github_root: Option<PathBuf>,
    /// File of npm's keys (`HEKATE_NPM_KEYS`).
    pub npm_keys: Option<PathBuf>,
    /// Base URL of the TUF repository (`HEKATE_TUF_URL`); `None` for `off`.
    pub tuf: Option<Url>,
    /// Folder for what TUF delivered (`HEKATE_CACHE`).
    pub cache: Option<PathBuf>,
}

/// Everything that is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Base URLs of everybody who is asked (`HEKATE_…_URL`). The feeds are `None` for `off`, and for a registry other than the
    /// public one whose feed is not named: the public feed tells of other packages.
    pub upstreams: Upstreams,
    /// Where the registry of bottles may lead to for their bytes (`HEKATE_HOMEBREW_STORAGE_URL`): another host is followed nowhere.
    pub bottles_storage: Option<Url>,
    /// The token for GitHub's REST API (`HEKATE_GITHUB_TOKEN`).
    pub github_token: Option<Secret>,
    /// Name or ARN of the secret that holds the token (`HEKATE_GITHUB_TOKEN_SECRET`). Only the functions read it.
    pub github_token_secret: Option<String>,
    /// Where trust material comes from.
    pub trust: TrustConfig,
    /// File of the policy (`HEKATE_POLICY`).
    pub policy: Option<PathBuf>,
    /// The DynamoDB table (`HEKATE_TABLE`).
    pub table: Option<String>,
    /// The SQS queue (`HEKATE_QUEUE_URL`).
    pub queue_url: Option<String>,
    /// The SQS queue for the versions of batches (`HEKATE_BATCH_QUEUE_URL`); `None`, it is that of everything else.
    pub batch_queue_url: Option<String>,
    /// How old the last look at a version has to be before the API looks again for whoever asks for a fresh verdict
    /// (`HEKATE_FRESH_AFTER`). Anybody can ask, and a look spends what upstreams allow.
    pub fresh_after: SignedDuration,
    /// The event bus that is told of changes (`HEKATE_EVENT_BUS`); `None`, the log is.
    pub event_bus: Option<String>,
    /// The key that signs verification summaries (`HEKATE_SIGNING_KEY`).
    pub signing_key: Option<SigningKey>,
    /// Keys that signed before, which stay published (`HEKATE_EARLIER_KEYS`): what they signed can be verified for good.
    pub earlier_keys: Vec<PublicKey>,
    /// Other verifiers (`HEKATE_PEERS`).
    pub peers: Vec<Peer>,
    /// File of the embedded store (`HEKATE_STORE`).
    pub store: Option<PathBuf>,
    /// The name of this verifier (`HEKATE_VERIFIER_ID`).
    pub verifier_id: String,
    /// How upstreams reach the operator (`HEKATE_CONTACT`).
    pub contact: Option<String>,
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the configuration is wrong: ")?;
        formatter.write_str(&self.0.join("; "))
    }
}

impl std::error::Error for ConfigErrors {}

impl Config {
    /// Parses the configuration from a lookup of variables.
    pub fn parse(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigErrors> {
        let mut errors = Vec::new();
        let get = |name: &str| {
            lookup(name)
                .map(|text| text.trim().to_owned())
                .filter(|text| !text.is_empty())
        };
        let mut url = |name: &str, default: &str| match base_url(get(name).as_deref().unwrap_or(default)) {
            Ok(url) => Some(url),
            Err(error) => {
                errors.push(format!("{name} {error}"));
                None
            }
        };
        let is = |url: &Option<Url>, public: &str| url.as_ref() == base_url(public).as_ref().ok();
        let npm = url("HEKATE_NPM_URL", public::NPM);
        let npm_feed = match get("HEKATE_NPM_FEED_URL").as_deref() {
            Some("off") => None,
            None if !is(&npm, public::NPM) => None,
            Some(_) | None => url("HEKATE_NPM_FEED_URL", public::NPM_FEED),
        };
        let pypi = url("HEKATE_PYPI_URL", public::PYPI);
        let pypi_files = match get("HEKATE_PYPI_FILES_URL") {
            None if !is(&pypi, public::PYPI) => pypi.clone(),
            Some(_) | None => url("HEKATE_PYPI_FILES_URL", public::PYPI_FILES),
        };
        let pypi_feed = match get("HEKATE_PYPI_FEED_URL").as_deref() {
            Some("off") => None,
            None if !is(&pypi, public::PYPI) => None,
            Some(_) | None => url("HEKATE_PYPI_FEED_URL", public::PYPI_FEED),
        };
        let homebrew = url("HEKATE_HOMEBREW_URL", public::HOMEBREW);
        let bottles = match get("HEKATE_HOMEBREW_BOTTLES_URL") {
            None if !is(&homebrew, public::HOMEBREW) => homebrew.clone(),
            Some(_) | None => url("HEKATE_HOMEBREW_BOTTLES_URL", public::BOTTLES),
        };
        let bottles_storage = match get("HEKATE_HOMEBREW_STORAGE_URL") {
            None if !is(&bottles, public::BOTTLES) => None,
            Some(_) | None => url("HEKATE_HOMEBREW_STORAGE_URL", public::BOTTLES_STORAGE),
        };
        let github = url("HEKATE_GITHUB_URL", public::GITHUB);
        let tuf = if get("HEKATE_TUF_URL").as_deref() == Some("off") {
            None
        } else {
            Some(url("HEKATE_TUF_URL", public::TUF))
        };
        let contact = get("HEKATE_CONTACT");
        if contact
            .as_ref()
            .is_some_and(|text| !text.chars().all(|character| (' '..='~').contains(&character)))
        {
            errors.push("HEKATE_CONTACT must be printable ASCII, since it is sent in a header".to_owned());
        }
        let github_token = get("HEKATE_GITHUB_TOKEN").and_then(|text| match Secret::new(&text) {
            Ok(token) => Some(token),
            Err(error) => {
                errors.push(format!("HEKATE_GITHUB_TOKEN {error}"));
                None
            }
        });
        let fresh_after = match get("HEKATE_FRESH_AFTER").as_deref().map(str::parse::<u32>) {
            Some(Ok(seconds)) => SignedDuration::from_secs(i64::from(seconds)),
            Some(Err(error)) => {
                errors.push(format!("HEKATE_FRESH_AFTER must be a number of seconds: {error}"));
                FRESH_AFTER
            }
            None => FRESH_AFTER,
        };
        let signing_key = get("HEKATE_SIGNING_KEY").and_then(|text| match SigningKey::parse(&text) {
            Ok(key) => Some(key),
            Err(error) => {
                errors.push(format!("HEKATE_SIGNING_KEY {error}"));
                None
            }
        });
        let mut earlier_keys = Vec::new();
        for text in get("HEKATE_EARLIER_KEYS").unwrap_or_default().split_whitespace() {
            match PublicKey::from_base64(text) {
                Ok(key) => earlier_keys.push(key),
                Err(error) => errors.push(format!("HEKATE_EARLIER_KEYS names {text:?}, which {error}")),
            }
        }
        let peers = peers(&get("HEKATE_PEERS").unwrap_or_default()).unwrap_or_else(|wrong| {
            errors.extend(wrong.into_iter().map(|wrong| format!("HEKATE_PEERS {wrong}")));
            Vec::new()
        });
        let github_token_secret = get("HEKATE_GITHUB_TOKEN_SECRET");
        if github_token_secret.is_some() && get("HEKATE_GITHUB_TOKEN").is_some() {
            errors.push("only one of HEKATE_GITHUB_TOKEN and HEKATE_GITHUB_TOKEN_SECRET can be set".to_owned());
        }
        let upstreams = npm
            .zip(pypi.zip(pypi_files))
            .zip(homebrew.zip(bottles))
            .zip(github)
            .map(|(((npm, (pypi, pypi_files)), (homebrew, bottles)), github)| Upstreams {
                npm,
                npm_feed,
                pypi,
                pypi_files,
                pypi_feed,
                homebrew,
                bottles,
                github,
            });
        match (upstreams, errors.is_empty()) {
            (Some(upstreams), true) => Ok(Self {
                upstreams,
                bottles_storage,
                github_token,
                github_token_secret,
                trust: TrustConfig {
                    trusted_root: get("HEKATE_TRUSTED_ROOT").map(PathBuf::from),
                    github_root: get("HEKATE_GITHUB_TRUSTED_ROOT").map(PathBuf::from),
                    npm_keys: get("HEKATE_NPM_KEYS").map(PathBuf::from),
                    tuf: tuf.flatten(),
                    cache: get("HEKATE_CACHE").map(PathBuf::from),
                },
                policy: get("HEKATE_POLICY").map(PathBuf::from),
                table: get("HEKATE_TABLE"),
                queue_url: get("HEKATE_QUEUE_URL"),
                batch_queue_url: get("HEKATE_BATCH_QUEUE_URL"),
                fresh_after,
                event_bus: get("HEKATE_EVENT_BUS"),
                signing_key,
                earlier_keys,
                peers,
                store: get("HEKATE_STORE").map(PathBuf::from),
                verifier_id: get("HEKATE_VERIFIER_ID").unwrap_or_else(|| "urn:hekate:verifier:unnamed".to_owned()),
                contact,
            }),
            (_, _) => Err(ConfigErrors(errors)),
        }
    }
}

/// Reads `URL#KEY URL#KEY …`. One URL may come with several keys, and each key is one verifier's: who counts voices has to count
/// different ones.
///
/// What is refused is named by its place in the list and not by its text, in which there may be a password.
fn peers(text: &str) -> Result<Vec<Peer>, Vec<String>> {
    let mut peers: Vec<Peer> = Vec::new();
    let mut errors = Vec::new();
    for (place, entry) in (1..).zip(text.split_whitespace()) {
        let Some((url, key)) = entry.split_once('#') else {
            errors.push(format!("names peer {place} without a public key: write URL#KEY"));
            continue;
        };
        let (url, key) = match (base_url(url), PublicKey::from_base64(key)) {
            // With and without a slash at its end it is the same verifier.
            (Ok(mut url), Ok(key)) => {
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments.pop_if_empty();
                }
                (url, key)
            }
            (url, key) => {
                errors.extend(url.err().map(|error| format!("names peer {place}, whose URL {error}")));
                errors.extend(key.err().map(|error| format!("names peer {place}, whose key {error}")));
                continue;
            }
        };
        if peers.iter().any(|peer| peer.keys.contains(&key)) {
            errors.push(format!("names the key of peer {place} twice"));
            continue;
        }
        match peers.iter_mut().find(|peer| peer.url == url) {
            Some(peer) => peer.keys.push(key),
            None => peers.push(Peer { url, keys: vec![key] }),
        }
    }
    if errors.is_empty() { Ok(peers) } else { Err(errors) }
}

fn base_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|source| format!("is no URL: {source}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        // What stands before the first colon may be half of a password.
        return Err("must begin with https:// or http://".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("must have neither a query nor a fragment".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not carry credentials".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn parse(pairs: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
        let pairs: Vec<(String, String)> = pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        Config::parse(move |name| {
            pairs
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.clone())
        })
    }

    #[test]
    fn without_variables_everything_has_its_default() {
        let config = parse(&[]).unwrap();
        let upstreams = config.upstreams;
        assert_eq!(upstreams.npm.as_str(), "https://registry.npmjs.org/");
        assert_eq!(upstreams.pypi.as_str(), "https://pypi.org/");
        assert_eq!(upstreams.pypi_files.as_str(), "https://files.pythonhosted.org/");
        assert_eq!(upstreams.homebrew.as_str(), "https://formulae.brew.sh/");
        assert_eq!(upstreams.bottles.as_str(), "https://ghcr.io/");
        assert_eq!(
            upstreams.npm_feed.map(String::from).as_deref(),
            Some("https://replicate.npmjs.com/registry")
        );
        assert_eq!(upstreams.github.as_str(), "https://api.github.com/");
        assert_eq!((config.github_token, config.github_token_secret), (None, None));
        assert!(config.trust.tuf.is_some());
        assert_eq!(config.table, None);
        assert_eq!(config.fresh_after.as_secs(), 600);
    }

    #[test]
    fn all_errors_are_reported_at_once() {
        let errors = parse(&[
            ("HEKATE_NPM_URL", "nonsense"),
            ("HEKATE_GITHUB_URL", "github"),
            ("HEKATE_GITHUB_TOKEN", "two words"),
            ("HEKATE_GITHUB_TOKEN_SECRET", "name"),
            ("HEKATE_TUF_URL", "ftp://x"),
            ("HEKATE_CONTACT", "ä"),
            ("HEKATE_FRESH_AFTER", "-1"),
            ("HEKATE_SIGNING_KEY", "/etc/hekate/key"),
            ("HEKATE_EARLIER_KEYS", "AAAA nonsense"),
        ]);
        assert_eq!(errors.unwrap_err().0.len(), 10);
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        assert_eq!(parse(&[("HEKATE_NPM_URL", ""), ("HEKATE_TABLE", " ")]), parse(&[]));
    }

    #[test]
    fn the_public_feed_tells_nothing_of_another_registry() {
        let feed = |pairs: &[(&str, &str)]| parse(pairs).unwrap().upstreams.npm_feed.map(String::from);
        assert_eq!(feed(&[("HEKATE_NPM_URL", "http://127.0.0.1:1")]), None);
        assert_eq!(feed(&[("HEKATE_NPM_FEED_URL", "off")]), None);
        let own = [
            ("HEKATE_NPM_URL", "http://127.0.0.1:1"),
            ("HEKATE_NPM_FEED_URL", "http://127.0.0.1:2/feed"),
        ];
        assert_eq!(feed(&own).as_deref(), Some("http://127.0.0.1:2/feed"));
    }

    #[test]
    fn tuf_can_be_switched_off() {
        assert_eq!(parse(&[("HEKATE_TUF_URL", "off")]).unwrap().trust.tuf, None);
    }

    #[test]
    fn a_base_url_with_credentials_or_a_query_is_refused() {
        assert!(parse(&[("HEKATE_NPM_URL", "https://user:secret@host/")]).is_err());
        assert!(parse(&[("HEKATE_NPM_URL", "https://host/?a=b")]).is_err());
    }

    #[test]
    fn a_token_is_taken_and_never_shown() {
        let config = parse(&[("HEKATE_GITHUB_TOKEN", " t0p-s3cret\n")]).unwrap();
        assert_eq!(config.github_token.as_ref().map(Secret::expose), Some("t0p-s3cret"));
        assert!(!format!("{config:?}").contains("s3cret"));
    }

    #[test]
    fn a_token_that_is_no_header_value_is_refused_without_being_shown() {
        for text in ["t0p s3cret", "t0p\ns3cret", "s3cret\u{7f}", "s3crét"] {
            let errors = parse(&[("HEKATE_GITHUB_TOKEN", text)]).unwrap_err();
            assert!(!format!("{errors} {errors:?}").contains("s3cr"), "{errors}");
        }
    }

    #[test]
    fn a_token_and_the_name_of_its_secret_exclude_each_other() {
        let secret = ("HEKATE_GITHUB_TOKEN_SECRET", "hekate/github");
        let config = parse(&[secret]).unwrap();
        assert_eq!(config.github_token_secret.as_deref(), Some("hekate/github"));
        assert!(parse(&[secret, ("HEKATE_GITHUB_TOKEN", "token")]).is_err());
        assert!(parse(&[secret, ("HEKATE_GITHUB_TOKEN", "")]).is_ok());
    }

    #[test]
    fn a_signing_key_is_a_file_by_its_ending_and_in_kms_otherwise() {
        let key = |text| parse(&[("HEKATE_SIGNING_KEY", text)]).map(|config| config.signing_key);
        for file in [
            "hekate.pem",
            "./keys/hekate.PEM",
            "/alias/hekate.pem",
            "alias/hekate.pem",
        ] {
            assert_eq!(key(file), Ok(Some(SigningKey::File(file.into()))));
        }
        for name in [
            "1234abcd-12ab-34cd-56ef-1234567890ab",
            "mrk-1234abcd12ab34cd56ef1234567890ab",
            "alias/hekate",
            "arn:aws:kms:eu-central-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
            "arn:aws-cn:kms:cn-north-1:123456789012:alias/hekate",
        ] {
            assert_eq!(key(name), Ok(Some(SigningKey::Kms(name.to_owned()))));
        }
        for neither in [
            "hekate.key",
            "/etc/hekate/pem",
            "hekate",
            "arn:aws:s3:::kms",
            ".pem/key",
        ] {
            assert!(key(neither).is_err(), "{neither}");
        }
        assert_eq!(key(""), Ok(None));
    }

    fn base64_of_a_key() -> String {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        STANDARD.encode(der.as_ref())
    }

    #[test]
    fn earlier_keys_are_read_one_by_one() {
        let keys = [base64_of_a_key(), base64_of_a_key()];
        let text = format!(" {}\n{} ", keys[0], keys[1]);
        let config = parse(&[("HEKATE_EARLIER_KEYS", &text)]).unwrap();
        let expected: Vec<_> = keys.iter().map(|key| PublicKey::from_base64(key).unwrap()).collect();
        assert_eq!(config.earlier_keys, expected);
    }

    #[test]
    fn peers_are_named_by_their_url_and_every_key_of_theirs() {
        let peers = |text: String| parse(&[("HEKATE_PEERS", &text)]).map(|config| config.peers);
        let (one, next, other) = (base64_of_a_key(), base64_of_a_key(), base64_of_a_key());
        let found = peers(format!(
            " https://a.example/hekate#{one}\nhttp://127.0.0.1:8080#{other} https://a.example/hekate/#{next} "
        ));
        let keys = |keys: &[&String]| keys.iter().map(|key| PublicKey::from_base64(key).unwrap()).collect();
        let peer = |url: &str, of: &[&String]| Peer {
            url: Url::parse(url).unwrap(),
            keys: keys(of),
        };
        assert_eq!(
            found,
            Ok(vec![
                peer("https://a.example/hekate", &[&one, &next]),
                peer("http://127.0.0.1:8080/", &[&other]),
            ])
        );
        for (text, says) in [
            ("https://a.example/".to_owned(), "peer 1 without a public key"),
            (
                "https://a.example/#".to_owned(),
                "peer 1, whose key is not the DER form",
            ),
            (
                "https://a.example/#nonsense!".to_owned(),
                "peer 1, whose key is not base64",
            ),
            (format!("a.example#{one}"), "peer 1, whose URL is no URL"),
            (
                format!("https://me:secret@a.example#{one}"),
                "peer 1, whose URL must not carry credentials",
            ),
            (
                format!("https://a.example/#{one} https://b.example/#{one}"),
                "the key of peer 2 twice",
            ),
            (
                format!("https://a.example/#{one} https://a.example/#{one}"),
                "the key of peer 2 twice",
            ),
        ] {
            let errors = peers(text).unwrap_err().to_string();
            assert!(errors.contains(&format!("HEKATE_PEERS names {says}")), "{errors}");
        }
        // Errors are shown and logged.
        for url in [
            "https://me:secret@a.example",
            "https://secret@a.example",
            "secret:me@a.example",
            "https://a.example:secret@",
            "https://a.example/?token=secret",
        ] {
            let texts = [
                url.to_owned(),
                format!("{url}#"),
                format!("{url}#{one}"),
                format!("{url}#secret"),
            ];
            for text in texts {
                let errors = peers(text.clone()).unwrap_err().to_string();
                assert!(!errors.contains("secret"), "{text}: {errors}");
            }
        }
        assert_eq!(peers("nonsense ftp://x#nonsense".to_owned()).unwrap_err().0.len(), 3);
    }

    #[test]
    fn every_variable_that_is_read_is_documented() {
        let read = std::cell::RefCell::new(std::collections::BTreeSet::new());
        Config::parse(|name| {
            read.borrow_mut().insert(name.to_owned());
            None
        })
        .unwrap();
        let documented = VARIABLES.iter().map(|(name, ..)| (*name).to_owned()).collect();
        assert_eq!(read.into_inner(), documented);
    }
}
