//! Trust material from a TUF repository: Sigstore's trusted root, and npm's keys.
//!
//! The verification is `sigstore-tuf`'s. This module gives it a transport with limits, and remembers the last good
//! answer: not the two documents, but every signed file that led to them. What is remembered is verified again from the
//! starting root before it is used, so a file that somebody put into the folder, or the table, is worth no more than the
//! repository's own words at the time that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sigstore_tuf::transport::FetchFuture;
use sigstore_tuf::{FileStore, MemoryStore, MetadataStore as _, Repository, TrustedMetadataSet, Updater};
use thiserror::Error;
use tokio::time::timeout;
use url::Url;

use super::http::{HttpFetch, chain};
use crate::availability::UnavailableReason;
use crate::dossier::{Answer, Body, Kept};
use crate::ports::TrustStore;

const TRUSTED_ROOT_TARGET: &str = "trusted_root.json";
/// The one file in the cache folder.
const CACHE_FILE: &str = "trust.json";
const CACHE_SCHEMA: &str = "urn:hekate:trust-cache:1";

/// Where trust material comes from, and how old it may be.
#[derive(Clone)]
pub struct TrustConfig {
    /// Base URL of the repository: metadata lies directly below it, targets below `targets/`.
    pub repository: Url,
    /// The root to start from, the only thing that is trusted unseen.
    pub root: Vec<u8>,
    /// The target with npm's keys: `{host of the npm registry}/keys.json`.
    pub npm_keys_target: String,
    /// A folder of this process's own for the last good answer; without this and the next, every call asks the repository.
    pub cache: Option<PathBuf>,
    /// Where the processes of a deployment leave the last good answer to each other.
    pub shared: Option<Arc<dyn TrustStore>>,
    /// Up to this age a cached answer is used without asking; one day by default.
    pub refresh_after: SignedDuration,
    /// Up to this age a cached answer is used when the repository cannot be asked or answers wrongly, even if its
    /// metadata has expired meanwhile; seven days by default. This bounds how long somebody who keeps the repository from
    /// us can hide that a key was revoked.
    pub usable_for: SignedDuration,
    /// Time for a whole refresh; 20 s by default.
    pub budget: Duration,
}

impl TrustConfig {
    /// The defaults for this repository.
    pub fn new(repository: Url, root: impl Into<Vec<u8>>, npm_keys_target: impl Into<String>) -> Self {
        Self {
            repository,
            root: root.into(),
            npm_keys_target: npm_keys_target.into(),
            cache: None,
            shared: None,
            refresh_after: SignedDuration::from_hours(24),
            usable_for: SignedDuration::from_hours(7 * 24),
            budget: Duration::from_secs(20),
        }
    }
}

/// Trust material, with where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedTrust {
    /// Sigstore's `trusted_root.json`.
    pub trusted_root: Vec<u8>,
    /// npm's `keys.json`, in the target's shape.
    pub npm_keys: Vec<u8>,
    /// When the repository said so.
    pub fetched_at: Timestamp,
    /// When the first of the signed files that say so expires.
    pub expires: Timestamp,
    /// How it was come by.
    pub origin: TrustOrigin,
}

/// How trust material was come by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrustOrigin {
    /// From the repository, now.
    Repository,
    /// From the cache, without asking.
    Cache,
    /// From the cache, because asking failed.
    LastKnownGood {
        /// What went wrong, for people.
        because: String,
    },
}

/// Why there is no trust material.
#[derive(Debug, Error)]
pub enum TufFault {
    /// The starting root is not a root that signs itself.
    #[error("the TUF root to start from cannot be used")]
    Root(#[source] sigstore_tuf::Error),
    /// Asking failed, and nothing usable is cached.
    #[error("the trust material could not be fetched, and none is cached")]
    Unavailable(#[source] RefreshFault),
    /// Asking failed, and what is cached is too old.
    #[error("the trust material could not be fetched, and what is cached is of {fetched_at}")]
    TooOld {
        /// When the cached material was fetched.
        fetched_at: Timestamp,
        /// Why asking failed.
        #[source]
        source: RefreshFault,
    },
}

/// Why asking the repository failed.
#[derive(Debug, Error)]
pub enum RefreshFault {
    /// It could not be reached, or what it said was refused.
    #[error("the TUF repository was not believed or not reached")]
    Refused(#[source] sigstore_tuf::Error),
    /// It took too long.
    #[error("the TUF repository did not answer within {0:?}")]
    TimedOut(Duration),
}

/// Trust material that is fresh enough: cached, fetched, or, if fetching fails, the last known good.
///
/// The steps: (1) what is cached, here or by another process of the deployment, is verified again, as of the time of its
/// fetching; (2) if it is young, it is used; (3) otherwise the repository is asked, and must not go back behind what is
/// cached; (4) if that fails, what is cached is used up to its greatest age.
pub async fn refresh_trust(
    config: &TrustConfig,
    http: &Arc<HttpFetch>,
    now: Timestamp,
) -> Result<FetchedTrust, TufFault> {
    TrustedMetadataSet::from_root(&config.root).map_err(TufFault::Root)?;
    let is_young =
        |known: &Known| now.duration_since(known.trust.fetched_at) < config.refresh_after && now < known.trust.expires;
    // 1
    let mut known = recall(config, now).await;
    if !known.as_ref().is_some_and(is_young)
        && let Some(shared) = recall_shared(config, now).await
    {
        let is_younger = |known: &Known| shared.trust.fetched_at > known.trust.fetched_at;
        if known.as_ref().is_none_or(is_younger) {
            known = Some(shared);
        }
    }
    // 2
    if let Some(known) = known.as_ref().filter(|known| is_young(known)) {
        return Ok(known.trust.clone());
    }
    // 3
    let fault = match timeout(config.budget, ask(config, http, known.as_ref(), now)).await {
        Ok(Ok((trust, files))) => {
            remember(config, files, now).await;
            return Ok(trust);
        }
        Ok(Err(error)) => RefreshFault::Refused(error),
        Err(_elapsed) => RefreshFault::TimedOut(config.budget),
    };
    // 4
    let Some(known) = known else {
        return Err(TufFault::Unavailable(fault));
    };
    let fetched_at = known.trust.fetched_at;
    if now.duration_since(fetched_at) > config.usable_for {
        return Err(TufFault::TooOld {
            fetched_at,
            source: fault,
        });
    }
    Ok(FetchedTrust {
        origin: TrustOrigin::LastKnownGood { because: chain(&fault) },
        ..known.trust
    })
}

/// Files of a repository by their path below its base.
type Files = BTreeMap<String, Vec<u8>>;

/// What the cache folder holds, verified.
struct Known {
    trust: FetchedTrust,
    files: Files,
    /// The metadata that the repository must not go back behind.
    floor: Arc<MemoryStore>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CacheWire {
    schema: String,
    fetched_at: Timestamp,
    files: BTreeMap<String, Body>,
}

/// Says why what is cached is as good as absent.
fn refuse(reason: &str) {
    tracing::warn!(reason, "cached trust material is not used");
}

/// Reads the cache of this process.
async fn recall(config: &TrustConfig, now: Timestamp) -> Option<Known> {
    match FileStore::new(config.cache.as_ref()?).load(CACHE_FILE) {
        Ok(bytes) => verified(&bytes?, config, now).await,
        Err(error) => {
            refuse(&chain(&error));
            None
        }
    }
}

/// Reads what another process has left.
async fn recall_shared(config: &TrustConfig, now: Timestamp) -> Option<Known> {
    match config.shared.as_ref()?.trust().await {
        Ok(bytes) => verified(&bytes?, config, now).await,
        Err(error) => {
            refuse(&chain(&error));
            None
        }
    }
}

/// What was cached, verified. What cannot be read or verified, or claims to be from the future, is as good as absent.
async fn verified(bytes: &[u8], config: &TrustConfig, now: Timestamp) -> Option<Known> {
    let wire = match serde_json::from_slice::<CacheWire>(bytes) {
        Ok(wire) if wire.schema == CACHE_SCHEMA && wire.fetched_at <= now => wire,
        Ok(wire) => {
            refuse(&format!("it has schema {} and is of {}", wire.schema, wire.fetched_at));
            return None;
        }
        Err(error) => {
            refuse(&error.to_string());
            return None;
        }
    };
    let files: Files = wire
        .files
        .into_iter()
        .map(|(name, Body(bytes))| (name, bytes))
        .collect();
    let floor = Arc::new(MemoryStore::new());
    let (repository, _used) = Remembered::new(files.clone());
    match resolve(repository, config, &floor, wire.fetched_at, TrustOrigin::Cache).await {
        Ok(trust) => Some(Known { trust, files, floor }),
        Err(error) => {
            refuse(&chain(&error));
            None
        }
    }
}

/// Asks the repository; returns what it said with the files that say it.
async fn ask(
    config: &TrustConfig,
    http: &Arc<HttpFetch>,
    known: Option<&Known>,
    now: Timestamp,
) -> Result<(FetchedTrust, Files), sigstore_tuf::Error> {
    let floor = known.map(|known| Arc::clone(&known.floor)).unwrap_or_default();
    let fetched = Arc::new(Mutex::new(known.map(|known| known.files.clone()).unwrap_or_default()));
    let repository = Asked {
        http: Arc::clone(http),
        base: base(&config.repository),
        now,
        fetched: Arc::clone(&fetched),
    };
    let trust = resolve(repository, config, &floor, now, TrustOrigin::Repository).await?;
    let files = std::mem::take(&mut *fetched.lock().unwrap_or_else(PoisonError::into_inner));
    Ok((trust, files))
}

/// Writes the caches, reduced to the files that a verification from the starting root reads. A cache that cannot be
/// written costs a refresh next time and nothing else.
async fn remember(config: &TrustConfig, files: Files, now: Timestamp) {
    if config.cache.is_none() && config.shared.is_none() {
        return;
    }
    let (repository, used) = Remembered::new(files.clone());
    if let Err(error) = resolve(repository, config, &Arc::default(), now, TrustOrigin::Cache).await {
        tracing::warn!(reason = chain(&error), "the trust material cannot be cached");
        return;
    }
    let used = std::mem::take(&mut *used.lock().unwrap_or_else(PoisonError::into_inner));
    let files = files.into_iter().filter(|(name, _bytes)| used.contains(name));
    let wire = CacheWire {
        schema: CACHE_SCHEMA.to_owned(),
        fetched_at: now,
        files: files.map(|(name, bytes)| (name, Body(bytes))).collect(),
    };
    let bytes = match serde_json::to_vec(&wire) {
        Ok(bytes) => bytes,
        Err(error) => {
            tracing::warn!(%error, "the trust material cannot be cached");
            return;
        }
    };
    if let Some(folder) = &config.cache
        && let Err(error) = FileStore::new(folder).store(CACHE_FILE, &bytes)
    {
        tracing::warn!(reason = chain(&error), "the trust material was not cached");
    }
    if let Some(shared) = &config.shared
        && let Err(error) = shared.keep_trust(&bytes, now).await
    {
        tracing::warn!(
            reason = chain(&error),
            "the trust material was not left to other processes"
        );
    }
}

/// The whole TUF workflow (the specification's section 5) and both targets, as of `at`.
async fn resolve(
    repository: impl Repository + 'static,
    config: &TrustConfig,
    store: &Arc<MemoryStore>,
    at: Timestamp,
    origin: TrustOrigin,
) -> Result<FetchedTrust, sigstore_tuf::Error> {
    let mut updater = Updater::new(repository, &config.root)?.with_store(Arc::clone(store));
    updater.refresh(at).await?;
    let trusted_root = updater.get_target(TRUSTED_ROOT_TARGET, at).await?;
    let npm_keys = updater.get_target(&config.npm_keys_target, at).await?;
    let expires = first_expiry(updater.trusted());
    Ok(FetchedTrust {
        trusted_root,
        npm_keys,
        fetched_at: at,
        expires,
        origin,
    })
}

fn first_expiry(trusted: &TrustedMetadataSet) -> Timestamp {
    let top = trusted.targets_role("targets");
    let delegated = top
        .and_then(|targets| targets.delegations.as_ref())
        .into_iter()
        .flat_map(|delegations| &delegations.roles)
        .filter_map(|role| trusted.targets_role(&role.name));
    let signed = [
        trusted.timestamp().map(|role| role.expires),
        trusted.snapshot().map(|role| role.expires),
    ];
    top.into_iter()
        .chain(delegated)
        .map(|targets| targets.expires)
        .chain(signed.into_iter().flatten())
        .fold(trusted.root().expires, Timestamp::min)
}

/// The base with a trailing slash, without which joining replaces its last component.
fn base(repository: &Url) -> Url {
    let mut base = repository.clone();
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", repository.path()));
    }
    base
}

/// The repository over HTTP; remembers the files that it handed out.
struct Asked {
    http: Arc<HttpFetch>,
    base: Url,
    now: Timestamp,
    fetched: Arc<Mutex<Files>>,
}

impl Asked {
    async fn fetch(&self, name: String, limit: u64) -> Result<Option<Vec<u8>>, sigstore_tuf::Error> {
        let trouble = |detail: &str| Err(sigstore_tuf::Error::transport(format!("{name}: {detail}")));
        // Names come from metadata: one that leads elsewhere is not asked for.
        let url = match self.base.join(&name) {
            Ok(url) if url.origin() == self.base.origin() && url.path().starts_with(self.base.path()) => url,
            Ok(_) | Err(_) => return trouble("the name leads out of the repository"),
        };
        match self.http.get(&url, limit, self.now).await {
            Answer::Answered(response) => match (response.status, response.kept) {
                (200, Kept::Whole { body: Body(bytes) }) => {
                    let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
                    fetched.insert(name, bytes.clone());
                    Ok(Some(bytes))
                }
                (404 | 410, _) => Ok(None),
                (status, _) => trouble(&format!("the answer has status {status}")),
            },
            // Object stores answer so for what they do not have; the end of the chain of roots is found by asking.
            Answer::Unanswered {
                reason: UnavailableReason::Private,
                ..
            } => Ok(None),
            Answer::Unanswered { detail, .. } => trouble(&detail),
        }
    }
}

impl Repository for Asked {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        Box::pin(self.fetch(name.to_owned(), max_length))
    }

    fn fetch_target<'a>(&'a self, path: &'a str, max_length: u64) -> FetchFuture<'a> {
        Box::pin(self.fetch(format!("targets/{path}"), max_length))
    }
}

/// A repository of remembered files; tells which of them were read.
struct Remembered {
    files: Files,
    used: Arc<Mutex<BTreeSet<String>>>,
}

impl Remembered {
    fn new(files: Files) -> (Self, Arc<Mutex<BTreeSet<String>>>) {
        let used = Arc::default();
        (
            Self {
                files,
                used: Arc::clone(&used),
            },
            used,
        )
    }

    fn read(&self, name: String, limit: u64) -> Result<Option<Vec<u8>>, sigstore_tuf::Error> {
        let bytes = self.files.get(&name).cloned();
        if bytes.as_ref().is_some_and(|bytes| bytes.len() as u64 > limit) {
            return Err(sigstore_tuf::Error::transport(format!(
                "{name} is larger than {limit} bytes"
            )));
        }
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(name);
        Ok(bytes)
    }
}

impl Repository for Remembered {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        let file = self.read(name.to_owned(), max_length);
        Box::pin(async move { file })
    }

    fn fetch_target<'a>(&'a self, path: &'a str, max_length: u64) -> FetchFuture<'a> {
        let file = self.read(format!("targets/{path}"), max_length);
        Box::pin(async move { file })
    }
}

#[cfg(test)]
mod tests;
