//! From configuration to a running service: the only file that names adapters, and with the hosts the only place that
//! reads the environment, files and the clock.
#![expect(
    clippy::disallowed_methods,
    reason = "this is the shell: it hands the core what it reads here"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use jiff::Timestamp;
use sigstore_trust_root::SigstoreInstance;
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::adapters::announcements::LogAnnouncer;
use crate::adapters::dynamodb::DynamoDbStore;
use crate::adapters::emf::{EmfMeter, Unmeasured};
use crate::adapters::eventbridge::EventBridgeAnnouncer;
use crate::adapters::http::{HttpConfigFault, HttpFetch, HttpFetchConfig, POOL_IDLE, Upstream, chain};
use crate::adapters::judges::{FixedJudge, RefreshedJudge};
use crate::adapters::kms::KmsSigner;
use crate::adapters::pem::{PemError, PemSigner};
use crate::adapters::secrets;
use crate::adapters::sqs::SqsQueue;
use crate::adapters::tuf;
use crate::attestation::{TrustError, TrustMaterial, TrustOrigin};
use crate::config::{Config, ConfigErrors, Secret, SigningKey, npm_keys_target};
use crate::policy::{Policy, PolicyError};
use crate::ports::{Announce, Judges, Sign, Store, TrustStore, WorkQueue};
use crate::service::{Service, Signing};
use crate::verdict::VerifierIdentity;
use crate::verifier::Judge;

/// Why a service cannot be built.
#[derive(Debug, Error)]
pub enum WiringError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    /// A variable is missing that this function cannot do without.
    #[error("{0} is not set; this function needs it")]
    Missing(&'static str),
    /// A file that a variable names cannot be read.
    #[error("the file of {variable}, {path}, cannot be read")]
    File {
        /// The variable.
        variable: &'static str,
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The trust material cannot be used.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The policy cannot be used.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The file of the signing key has none that can be used.
    #[error("the file of HEKATE_SIGNING_KEY, {path}, {source}")]
    SigningKey {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: PemError,
    },
    /// A key in KMS is for functions.
    #[error(
        "HEKATE_SIGNING_KEY names a key in KMS, which only the functions on AWS use: name a file that ends in .pem here"
    )]
    KmsElsewhere,
    /// The HTTP client cannot be configured.
    #[error(transparent)]
    Http(#[from] HttpConfigFault),
}

/// The configuration from the process's environment.
pub fn config_from_environment() -> Result<Config, ConfigErrors> {
    Config::parse(|name| std::env::var(name).ok())
}

/// What a function's process runs on: one thread, unless its host hands it several invocations at once and says so, as Lambda does
/// in `AWS_LAMBDA_MAX_CONCURRENCY`. With one at a time more threads only hand the same work to each other.
///
/// # Errors
///
/// The operating system gives it no thread or no way to wait.
pub fn function_runtime() -> std::io::Result<Runtime> {
    let concurrency = std::env::var("AWS_LAMBDA_MAX_CONCURRENCY").ok();
    let is_shared = concurrency
        .and_then(|number| number.parse::<u32>().ok())
        .is_some_and(|number| number > 1);
    let mut builder = if is_shared {
        Builder::new_multi_thread()
    } else {
        Builder::new_current_thread()
    };
    builder.enable_all().build()
}

/// What time it is. Entry points read it once and pass it down.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// How long AWS has to begin its answer before it is asked once more, on another connection. A process that was frozen may hold
/// connections that nobody hears any more, and the SDK by itself waits on one without an end.
const SILENCE: Duration = Duration::from_secs(5);

/// The service on AWS: table and queue from the configuration, credentials and region from the function's environment.
pub async fn aws(config: &Config) -> Result<Service, WiringError> {
    let table = config.table.clone().ok_or(WiringError::Missing("HEKATE_TABLE"))?;
    let queue_url = config
        .queue_url
        .clone()
        .ok_or(WiringError::Missing("HEKATE_QUEUE_URL"))?;
    let connections = aws_smithy_http_client::Builder::new()
        .pool_idle_timeout(POOL_IDLE)
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .build_https();
    let sdk = aws_config::from_env()
        .timeout_config(TimeoutConfig::builder().read_timeout(SILENCE).build())
        .http_client(connections)
        .load()
        .await;
    let store = DynamoDbStore::new(aws_sdk_dynamodb::Client::new(&sdk), table);
    let queue = SqsQueue::new(aws_sdk_sqs::Client::new(&sdk), queue_url);
    let queue = match &config.batch_queue_url {
        Some(url) => queue.with_batches_apart(url),
        None => queue,
    };
    let config = match &config.github_token_secret {
        Some(name) => &Config {
            github_token: github_token(&aws_sdk_secretsmanager::Client::new(&sdk), name).await,
            ..config.clone()
        },
        None => config,
    };
    let announcer: Arc<dyn Announce> = match &config.event_bus {
        Some(bus) => Arc::new(EventBridgeAnnouncer::new(
            aws_sdk_eventbridge::Client::new(&sdk),
            bus.clone(),
        )),
        None => Arc::new(LogAnnouncer),
    };
    let signer = signer(config, || Ok(aws_sdk_kms::Client::new(&sdk)))?;
    let store = Arc::new(store);
    // Lambda names every function; whoever runs one elsewhere may leave it out.
    let function = std::env::var("AWS_LAMBDA_FUNCTION_NAME").unwrap_or_else(|_unset| "unnamed".to_owned());
    let meter = Arc::new(EmfMeter::new(function, Box::new(std::io::stdout())));
    let service = assemble(config, store.clone(), Arc::new(queue), announcer, signer, Some(store))?;
    Ok(Service { meter, ..service })
}

/// What signs, if anything does. KMS is asked at the first signature, so that a function which nobody asks for one starts as
/// fast as without.
fn signer(
    config: &Config,
    kms: impl FnOnce() -> Result<aws_sdk_kms::Client, WiringError>,
) -> Result<Option<Arc<dyn Sign>>, WiringError> {
    match &config.signing_key {
        None => Ok(None),
        Some(SigningKey::Kms(name)) => Ok(Some(Arc::new(KmsSigner::new(kms()?, name)))),
        Some(SigningKey::File(path)) => {
            let text = file("HEKATE_SIGNING_KEY", path)?;
            let signer = PemSigner::new(&text).map_err(|source| WiringError::SigningKey {
                path: path.display().to_string(),
                source,
            })?;
            Ok(Some(Arc::new(signer)))
        }
    }
}

/// The token in a secret. A function without a token asks GitHub within the limits for the public, which is less; a function
/// that does not start answers nobody.
async fn github_token(client: &aws_sdk_secretsmanager::Client, name: &str) -> Option<Secret> {
    match secrets::token(client, name).await {
        Ok(token) => Some(token),
        Err(fault) => {
            let source = std::error::Error::source(&fault).map(chain);
            tracing::warn!(
                error = %fault, source,
                "HEKATE_GITHUB_TOKEN_SECRET could not be read: GitHub is asked without a token"
            );
            None
        }
    }
}

/// The service on any store and queue, with what the configuration itself holds: a secret that it names is not read.
pub fn service(
    config: &Config,
    store: Arc<dyn Store>,
    queue: Arc<dyn WorkQueue>,
    announcer: Arc<dyn Announce>,
) -> Result<Service, WiringError> {
    let signer = signer(config, || Err(WiringError::KmsElsewhere))?;
    assemble(config, store, queue, announcer, signer, None)
}

/// The service, whose trust material is shared with other processes by `trust`.
fn assemble(
    config: &Config,
    store: Arc<dyn Store>,
    queue: Arc<dyn WorkQueue>,
    announcer: Arc<dyn Announce>,
    signer: Option<Arc<dyn Sign>>,
    trust: Option<Arc<dyn TrustStore>>,
) -> Result<Service, WiringError> {
    let http = Arc::new(HttpFetch::new(HttpFetchConfig {
        upstreams: vec![
            Upstream::github(config.upstreams.github.clone(), config.github_token.as_ref())?,
            Upstream::bottles(config.upstreams.bottles.clone(), config.bottles_storage.clone()),
        ],
        ..HttpFetchConfig::new(user_agent(config))
    })?);
    Ok(Service {
        fetch: http.clone(),
        store,
        queue,
        announcer,
        judges: judges(config, http, trust)?,
        signing: Signing {
            signer,
            earlier: config.earlier_keys.clone(),
        },
        upstreams: config.upstreams.clone(),
        peers: config.peers.clone().into(),
        meter: Arc::new(Unmeasured),
        holder: format!("{}-{:016x}", std::process::id(), fastrand::u64(..)),
        until: None,
    })
}

/// The judge: trust material from files if any are named, embedded and refreshed through TUF otherwise; then what one
/// process of the deployment has refreshed, the others have from `shared`.
fn judges(
    config: &Config,
    http: Arc<HttpFetch>,
    shared: Option<Arc<dyn TrustStore>>,
) -> Result<Arc<dyn Judges>, WiringError> {
    let judge = fixed_judge(config)?;
    let from_files = config.trust.trusted_root.is_some() || config.trust.npm_keys.is_some();
    let (Some(repository), false) = (&config.trust.tuf, from_files) else {
        return Ok(Arc::new(FixedJudge(Arc::new(judge))));
    };
    let cache = config
        .trust
        .cache
        .clone()
        .unwrap_or_else(|| std::env::temp_dir().join("hekate-trust"));
    let tuf = tuf::TrustConfig {
        cache: Some(cache),
        shared,
        ..tuf::TrustConfig::new(
            repository.clone(),
            SigstoreInstance::PublicGood.tuf_root(),
            npm_keys_target(),
        )
    };
    Ok(Arc::new(RefreshedJudge::new(tuf, http, judge)))
}

/// The judge of files and embedded material alone, without any refreshing.
pub fn fixed_judge(config: &Config) -> Result<Judge, WiringError> {
    let (root, keys) = TrustMaterial::embedded_json();
    let trust = &config.trust;
    let trusted_root = trust
        .trusted_root
        .as_deref()
        .map(|path| file("HEKATE_TRUSTED_ROOT", path))
        .transpose()?;
    let npm_keys = trust
        .npm_keys
        .as_deref()
        .map(|path| file("HEKATE_NPM_KEYS", path))
        .transpose()?;
    // Half of the material being the operator's makes the other half no more current.
    let origin = if trusted_root.is_some() && npm_keys.is_some() {
        TrustOrigin::Files
    } else {
        TrustOrigin::Embedded
    };
    let trust = TrustMaterial::new(
        trusted_root.as_deref().unwrap_or(root),
        npm_keys.as_deref().unwrap_or(keys),
        origin,
    )?;
    let trust = match config.trust.github_root.as_deref() {
        Some(path) => trust.with_github_root(&file("HEKATE_GITHUB_TRUSTED_ROOT", path)?)?,
        None => trust,
    };
    let policy = match &config.policy {
        Some(path) => Policy::from_json(&file("HEKATE_POLICY", path)?)?,
        None => Policy::default(),
    };
    let verifier = VerifierIdentity {
        id: config.verifier_id.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    Ok(Judge {
        trust,
        policy,
        verifier,
    })
}

fn user_agent(config: &Config) -> String {
    let version = env!("CARGO_PKG_VERSION");
    match &config.contact {
        Some(contact) => format!("hekate/{version} ({contact})"),
        None => format!("hekate/{version}"),
    }
}

fn file(variable: &'static str, path: &Path) -> Result<String, WiringError> {
    std::fs::read_to_string(path).map_err(|source| WiringError::File {
        variable,
        path: path.display().to_string(),
        source,
    })
}

/// Writes logs to standard error as text for people.
pub fn init_logs(default_filter: &str) {
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter(default_filter))
        .with_writer(std::io::stderr);
    // A second initialisation in one process, as tests do, changes nothing.
    drop(logs.try_init());
}

/// Writes a function's logs to standard error, one line of JSON for each event.
///
/// Standard error is not buffered, so that nothing is left to be written when a process ends. Metrics have standard output to
/// themselves; Lambda sends both to the function's log group.
pub fn init_function_logs() {
    drop(function_logs(std::io::stderr).try_init());
}

/// Logs as a function writes them: the fields of an event beside `timestamp`, `level`, `target` and `message`, and in `spans`,
/// outermost first, what it happened in: the [invocation](crate::entrypoints::of_invocation), and a message of it.
pub fn function_logs<W>(writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(filter("info"))
        .with_writer(writer)
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .finish()
}

/// What `RUST_LOG` selects of the log, or else the default.
fn filter(default: &str) -> EnvFilter {
    EnvFilter::try_from_default_env().unwrap_or_else(|_unset| EnvFilter::new(default))
}
