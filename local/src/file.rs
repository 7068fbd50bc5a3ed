//! Files on this machine, as artifacts that are verified by their digest.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use hekate::attestation::RepositoryUri;
use hekate::dossier::{Answer, Kept, Observation, Response};
use hekate::ecosystem::github::address_of;
use hekate::package::{Coordinate, Digest, DigestAlgorithm, Ecosystem};
use hekate::ports::{Fetch, Request};
use sha2::Digest as _;

/// How much of a file is read at once, in bytes.
const BLOCK: usize = 1 << 16;

/// What was read of a file, once: the coordinate by which it is asked about, and the answer to the question for its bytes.
/// A file that changes meanwhile is verified as it was.
pub(crate) struct Brought {
    /// By its digest, as one of a repository.
    pub(crate) coordinate: Coordinate,
    address: String,
    response: Response,
}

impl Brought {
    /// Reads a file that this repository is to have built.
    pub(crate) fn read(path: &Path, repository: &RepositoryUri) -> anyhow::Result<Self> {
        let shown = path.display();
        let metadata = std::fs::metadata(path).with_context(|| format!("{shown} cannot be read"))?;
        if metadata.is_dir() {
            bail!("{shown} is a folder; give the files in it, each with --file");
        }
        let response = digest(path).with_context(|| format!("{shown} cannot be read"))?;
        if response.size == 0 {
            bail!("{shown} is empty; was it downloaded to its end?");
        }
        let whole = Coordinate::new(Ecosystem::GitHub, &repository.path(), &response.sha256.to_string())?;
        let named = path.file_name().and_then(|name| name.to_str());
        // A name that no registry would carry is left out: the digest says which file is meant.
        let of_file = named.and_then(|name| whole.clone().of_file(name).ok());
        Ok(Self {
            coordinate: of_file.unwrap_or(whole),
            address: address_of(&response.sha256),
            response,
        })
    }

    /// Reads all files, or says everything that is wrong with them.
    pub(crate) fn read_all(paths: &[PathBuf], repository: &str) -> anyhow::Result<Vec<Self>> {
        let named = match repository.split_once('/') {
            Some((owner, name)) if !repository.contains(':') => RepositoryUri::new(owner, name),
            Some(_) | None => RepositoryUri::parse(repository).filter(|_| repository.contains("://")),
        };
        let repository = named.with_context(|| {
            format!("{repository:?} is no repository on GitHub; give --repository as owner/name, such as cli/cli")
        })?;
        let (good, bad): (Vec<_>, Vec<_>) = paths
            .iter()
            .map(|path| Self::read(path, &repository))
            .partition(Result::is_ok);
        if bad.is_empty() {
            return Ok(good.into_iter().flatten().collect());
        }
        let errors: Vec<String> = bad
            .into_iter()
            .filter_map(Result::err)
            .map(|error| format!("{error:#}"))
            .collect();
        bail!(errors.join("\n       "))
    }
}

/// The digests of a file, as an answer that keeps nothing of it.
fn digest(path: &Path) -> anyhow::Result<Response> {
    let mut file = File::open(path)?;
    let (mut sha512, mut sha256, mut sha1) = (sha2::Sha512::new(), sha2::Sha256::new(), sha1::Sha1::new());
    let (mut size, mut block) = (0, vec![0; BLOCK]);
    loop {
        let read = file.read(&mut block)?;
        let Some(bytes) = block.get(..read).filter(|bytes| !bytes.is_empty()) else {
            break;
        };
        size += u64::try_from(read)?;
        sha512.update(bytes);
        sha256.update(bytes);
        sha1.update(bytes);
    }
    let of = |algorithm, bytes: &[u8]| Digest::new(algorithm, bytes);
    Ok(Response {
        status: 200,
        content_type: None,
        etag: None,
        size,
        sha256: of(DigestAlgorithm::Sha256, &sha256.finalize())?,
        kept: Kept::Digests {
            sha512: of(DigestAlgorithm::Sha512, &sha512.finalize())?,
            sha1: of(DigestAlgorithm::Sha1, &sha1.finalize())?,
        },
        redirects: 0,
        last_modified: None,
    })
}

/// Answers questions for files that were brought, and hands every other question on.
pub(crate) struct AtHand {
    inner: Arc<dyn Fetch>,
    files: BTreeMap<String, Response>,
}

impl AtHand {
    /// Asks `inner` for everything but these files.
    pub(crate) fn new(inner: Arc<dyn Fetch>, files: &[Brought]) -> Self {
        let files = files.iter().map(|file| (file.address.clone(), file.response.clone()));
        Self {
            inner,
            files: files.collect(),
        }
    }
}

#[async_trait]
impl Fetch for AtHand {
    async fn fetch(&self, request: Request) -> Observation {
        match self.files.get(request.url.as_str()) {
            Some(response) => Observation {
                subject: request.subject,
                about: String::new(),
                url: request.url.to_string(),
                at: request.at,
                answer: Answer::Answered(response.clone()),
            },
            None => self.inner.fetch(request).await,
        }
    }
}
