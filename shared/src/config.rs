//! Configuration: every environment variable, in one place. Parsing is a pure function of a lookup and reports all errors
//! at once. A variable that is set to nothing counts as unset, since templates cannot leave one out.

use std::fmt;
use std::path::PathBuf;

use url::Url;

/// The variables that are read, with what each means and its default: what `hekate help config` and the documents show.
pub const VARIABLES: &[(&str, &str, &str)] = &[
    (
        "HEKATE_NPM_URL",
        "base URL of npm's registry API",
        "the public registry",
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
        "HEKATE_NPM_KEYS",
        "file: npm's keys.json in the TUF target's shape",
        "embedded, refreshed by TUF",
    ),
    ("HEKATE_POLICY", "file: the policy", "built in"),
    ("HEKATE_TABLE", "name of the DynamoDB table", "none"),
    ("HEKATE_QUEUE_URL", "URL of the SQS queue", "none"),
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
    pub(super) const TUF: &str = "https://tuf-repo-cdn.sigstore.dev";
}

/// The TUF target with npm's keys. It bears the name of npm's public registry, whichever mirror serves the packages.
pub fn npm_keys_target() -> String {
    format!("{}/keys.json", public::NPM.trim_start_matches("https://"))
}

/// Where trust material comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustConfig {
    /// File of the Sigstore trusted root (`HEKATE_TRUSTED_ROOT`).
    pub trusted_root: Option<PathBuf>,
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
    /// Base URL of npm's registry (`HEKATE_NPM_URL`).
    pub npm: Url,
    /// Where trust material comes from.
    pub trust: TrustConfig,
    /// File of the policy (`HEKATE_POLICY`).
    pub policy: Option<PathBuf>,
    /// The DynamoDB table (`HEKATE_TABLE`).
    pub table: Option<String>,
    /// The SQS queue (`HEKATE_QUEUE_URL`).
    pub queue_url: Option<String>,
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
        let npm = url("HEKATE_NPM_URL", public::NPM);
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
        match (npm, errors.is_empty()) {
            (Some(npm), true) => Ok(Self {
                npm,
                trust: TrustConfig {
                    trusted_root: get("HEKATE_TRUSTED_ROOT").map(PathBuf::from),
                    npm_keys: get("HEKATE_NPM_KEYS").map(PathBuf::from),
                    tuf: tuf.flatten(),
                    cache: get("HEKATE_CACHE").map(PathBuf::from),
                },
                policy: get("HEKATE_POLICY").map(PathBuf::from),
                table: get("HEKATE_TABLE"),
                queue_url: get("HEKATE_QUEUE_URL"),
                store: get("HEKATE_STORE").map(PathBuf::from),
                verifier_id: get("HEKATE_VERIFIER_ID").unwrap_or_else(|| "urn:hekate:verifier:unnamed".to_owned()),
                contact,
            }),
            (_, _) => Err(ConfigErrors(errors)),
        }
    }
}

fn base_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|source| format!("is no URL: {source}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(format!("must begin with https:// or http://, not {:?}", url.scheme()));
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
        assert_eq!(config.npm.as_str(), "https://registry.npmjs.org/");
        assert!(config.trust.tuf.is_some());
        assert_eq!(config.table, None);
    }

    #[test]
    fn all_errors_are_reported_at_once() {
        let errors = parse(&[
            ("HEKATE_NPM_URL", "nonsense"),
            ("HEKATE_TUF_URL", "ftp://x"),
            ("HEKATE_CONTACT", "ä"),
        ]);
        assert_eq!(errors.unwrap_err().0.len(), 3);
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        assert_eq!(parse(&[("HEKATE_NPM_URL", ""), ("HEKATE_TABLE", " ")]), parse(&[]));
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
}
