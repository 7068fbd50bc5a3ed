//! Reading a body within its limit.

use std::io::{self, BufRead, Read};
use std::panic::resume_unwind;
use std::sync::Arc;

use bytes::Bytes;
use sha2::Digest as _;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::task::spawn_blocking;

use super::npm_manifest::read_npm_manifest;
use super::python_metadata::{ZIP_LIMIT, read_core_metadata};
use super::{Trouble, broken};
use crate::availability::UnavailableReason;
use crate::dossier::{ArchiveMember, Body, Kept};
use crate::package::{Digest, DigestAlgorithm};
use crate::ports::Keep;

/// The most bytes that are read of the body of an answer whose status alone matters, and the most that are kept of a
/// body that nothing could be selected from.
pub(super) const GLIMPSE: u64 = 64 * 1024;
/// Chunks of an archive on their way from the socket to the digests. A chunk is at most what the connection reads at
/// once, about 400 kB.
const CHUNKS_IN_FLIGHT: usize = 8;
/// How much of the process's memory large bodies may take at once, in MiB: two of the largest zip archives, however many transfers
/// and messages there are. A function has 512.
static HELD: Semaphore = Semaphore::const_new(HELD_MIB);
const HELD_MIB: usize = 2 * (1 + (ZIP_LIMIT >> 20) as usize);
/// Up to how many bytes of a document are read without asking whether there is memory for more. Few are longer.
const SMALL: usize = 4 * 1024 * 1024;

/// A body that has been read.
pub(super) struct ReadBody {
    pub(super) size: u64,
    pub(super) sha256: Digest,
    pub(super) kept: Kept,
}

/// Reads the whole body of a success as `keep` says; beyond `limit` bytes it is too large.
pub(super) async fn read(response: reqwest::Response, keep: &Keep, limit: u64) -> Result<ReadBody, Trouble> {
    // A length is declared only where no transfer encoding hides the real one.
    if response.content_length().is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    match keep {
        Keep::Whole => {
            let (body, _memory) = collect(response, limit).await?;
            off_the_reactor(move || {
                ReadBody::of(&body, |body| Kept::Whole {
                    body: Body(body.to_vec()),
                })
            })
            .await
        }
        Keep::Excerpt(select) => {
            let select = Arc::clone(select);
            let (body, _memory) = collect(response, limit).await?;
            off_the_reactor(move || {
                ReadBody::of(&body, |body| match select(body) {
                    Some(excerpt) => Kept::Excerpt { body: Body(excerpt) },
                    None => Kept::Whole {
                        body: Body(body.iter().copied().take(glimpse()).collect()),
                    },
                })
            })
            .await
        }
        Keep::NpmTarball => archive(response, limit, |chunks| read_npm_manifest(chunks)).await,
        Keep::Distribution => {
            // One that does not say how long it is may be as long as any that is looked into.
            let _memory = memory_for(response.content_length().unwrap_or(ZIP_LIMIT).min(ZIP_LIMIT)).await?;
            archive(response, limit, |chunks| read_core_metadata(chunks)).await
        }
        Keep::Digests => digested(response, limit).await,
    }
}

/// Reads the beginning of a body whose content does not matter.
pub(super) async fn glance(response: reqwest::Response) -> Result<ReadBody, Trouble> {
    let body = beginning(response).await?;
    Ok(ReadBody::of(&body, |_body| Kept::Nothing))
}

/// The beginning of a body, up to [`GLIMPSE`].
pub(super) async fn beginning(mut response: reqwest::Response) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        body.extend(chunk.iter().take(glimpse() - body.len()));
        if body.len() == glimpse() {
            break;
        }
    }
    Ok(body)
}

impl ReadBody {
    fn of(body: &[u8], keep: impl FnOnce(&[u8]) -> Kept) -> Self {
        Self {
            size: body.len() as u64,
            sha256: Digest::sha256_of(body),
            kept: keep(body),
        }
    }
}

/// The whole body, and the right to the memory of a large one. A body that turns out to be large waits for that once, for as much
/// as it may become, so that no two wait for each other.
async fn collect(
    mut response: reqwest::Response,
    limit: u64,
) -> Result<(Vec<u8>, Option<SemaphorePermit<'static>>), Trouble> {
    let mut memory = None;
    let longest = response.content_length().unwrap_or(limit).min(limit);
    let declared = response
        .content_length()
        .and_then(|length| usize::try_from(length).ok());
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut body = Vec::with_capacity(declared.unwrap_or(0).min(most).min(SMALL));
    while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
        let length = body.len().saturating_add(chunk.len());
        if length > most {
            return Err(too_large(limit));
        }
        if length > SMALL && memory.is_none() {
            memory = Some(memory_for(longest).await?);
        }
        if length > body.capacity() {
            // Doubling as usual, but never beyond the limit.
            let capacity = body.capacity().saturating_mul(2).clamp(length, most);
            body.reserve_exact(capacity - body.len());
        }
        body.extend_from_slice(&chunk);
    }
    Ok((body, memory))
}

/// Whether an answer says how long it is. Where it does not, a connection that was cut looks like its end.
fn is_framed(response: &reqwest::Response) -> bool {
    response.content_length().is_some()
        || response.headers().contains_key(reqwest::header::TRANSFER_ENCODING)
        || response.version() >= reqwest::Version::HTTP_2
}

/// Digests whatever the body is.
async fn digested(response: reqwest::Response, limit: u64) -> Result<ReadBody, Trouble> {
    if !is_framed(&response) {
        return Err(Trouble::unreachable(
            "the answer does not say how long it is, so that its end cannot be told from a cut",
            false,
        ));
    }
    streamed(response, limit, |mut chunks| {
        chunks.drain();
        let (body, sha512, sha1) = chunks.digests();
        ReadBody {
            kept: Kept::Digests { sha512, sha1 },
            ..body
        }
    })
    .await
}

/// Waits until there is memory for a body of so many bytes that is held as a whole.
async fn memory_for(length: u64) -> Result<SemaphorePermit<'static>, Trouble> {
    let mebibytes = usize::try_from(length >> 20).unwrap_or(usize::MAX).saturating_add(1);
    HELD.acquire_many(u32::try_from(mebibytes.min(HELD_MIB)).unwrap_or(u32::MAX))
        .await
        .map_err(|_closed| Trouble::unreachable("this verifier is shutting down", false))
}

/// Hands the body to a reader on a thread of its own, chunk by chunk.
async fn streamed(
    mut response: reqwest::Response,
    limit: u64,
    read: impl FnOnce(Chunks) -> ReadBody + Send + 'static,
) -> Result<ReadBody, Trouble> {
    let (sender, receiver) = mpsc::channel(CHUNKS_IN_FLIGHT);
    let reading = off_the_reactor(move || read(Chunks::new(receiver)));
    let feeding = async move {
        let mut size = 0_u64;
        while let Some(chunk) = response.chunk().await.map_err(|error| broken(&error))? {
            size = size.saturating_add(chunk.len() as u64);
            if size > limit {
                return Err(too_large(limit));
            }
            // The other end goes away before its time only by a panic, which surfaces where its result is awaited.
            if sender.send(chunk).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    // The feeder's trouble ends both: the reader then sees the end of its chunks, and nobody waits for what it found.
    let ((), body) = tokio::try_join!(feeding, reading)?;
    Ok(body)
}

/// Digests an archive while `read` looks for its manifest.
async fn archive(
    response: reqwest::Response,
    limit: u64,
    read: fn(&mut Chunks) -> ArchiveMember,
) -> Result<ReadBody, Trouble> {
    let framed = is_framed(&response);
    let body = streamed(response, limit, move |chunks| digest(chunks, read)).await?;
    let unreadable = matches!(
        &body.kept,
        Kept::Archive {
            manifest: ArchiveMember::Unreadable { .. },
            ..
        }
    );
    if unreadable && !framed {
        return Err(Trouble::unreachable(
            "the archive ended early, and the answer does not say how long it is",
            true,
        ));
    }
    Ok(body)
}

fn digest(mut chunks: Chunks, read: fn(&mut Chunks) -> ArchiveMember) -> ReadBody {
    let manifest = read(&mut chunks);
    chunks.drain();
    let (body, sha512, sha1) = chunks.digests();
    ReadBody {
        kept: Kept::Archive { sha512, sha1, manifest },
        ..body
    }
}

/// The chunks of an archive as a reader for a blocking thread; every chunk is digested when it arrives.
struct Chunks {
    receiver: mpsc::Receiver<Bytes>,
    current: Bytes,
    size: u64,
    sha512: sha2::Sha512,
    sha256: sha2::Sha256,
    sha1: sha1::Sha1,
}

impl Chunks {
    fn new(receiver: mpsc::Receiver<Bytes>) -> Self {
        Self {
            receiver,
            current: Bytes::new(),
            size: 0,
            sha512: sha2::Sha512::new(),
            sha256: sha2::Sha256::new(),
            sha1: sha1::Sha1::new(),
        }
    }

    /// Takes the next chunk that is not empty; false at the end.
    fn advance(&mut self) -> bool {
        while let Some(chunk) = self.receiver.blocking_recv() {
            self.size = self.size.saturating_add(chunk.len() as u64);
            self.sha512.update(&chunk);
            self.sha256.update(&chunk);
            self.sha1.update(&chunk);
            if !chunk.is_empty() {
                self.current = chunk;
                return true;
            }
        }
        false
    }

    /// What was read, of which nothing is kept yet, with its SHA-512 and its SHA-1.
    fn digests(self) -> (ReadBody, Digest, Digest) {
        let digest = |algorithm, bytes: &[u8]| {
            #[expect(clippy::expect_used, reason = "each hasher's output has its algorithm's length")]
            Digest::new(algorithm, bytes).expect("a digest of its algorithm's length")
        };
        let body = ReadBody {
            size: self.size,
            sha256: digest(DigestAlgorithm::Sha256, &self.sha256.finalize()),
            kept: Kept::Nothing,
        };
        (
            body,
            digest(DigestAlgorithm::Sha512, &self.sha512.finalize()),
            digest(DigestAlgorithm::Sha1, &self.sha1.finalize()),
        )
    }

    fn drain(&mut self) {
        while self.advance() {}
        self.current = Bytes::new();
    }
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl BufRead for Chunks {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.is_empty() {
            self.advance();
        }
        Ok(&self.current)
    }

    fn consume(&mut self, count: usize) {
        let _consumed = self.current.split_to(count.min(self.current.len()));
    }
}

/// Runs what would keep the reactor busy for milliseconds on a thread of its own.
async fn off_the_reactor<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
    spawn_blocking(work)
        .await
        .map_err(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_cancelled) => Trouble {
                reason: UnavailableReason::Unreachable,
                detail: "this verifier is shutting down".to_owned(),
                retry_after: None,
                again: false,
            },
        })
}

fn too_large(limit: u64) -> Trouble {
    Trouble {
        reason: UnavailableReason::TooLarge,
        detail: format!("the body is larger than {limit} bytes"),
        retry_after: None,
        again: false,
    }
}

fn glimpse() -> usize {
    usize::try_from(GLIMPSE).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    fn of_length(bytes: usize) -> reqwest::Response {
        axum::http::Response::new(vec![0; bytes]).into()
    }

    #[tokio::test]
    async fn large_bodies_wait_for_each_others_memory_and_small_ones_do_not() {
        let one = memory_for(ZIP_LIMIT).await.unwrap();
        let other = memory_for(ZIP_LIMIT).await.unwrap();
        let within = Duration::from_millis(50);
        let document = async |bytes: usize| timeout(within, collect(of_length(bytes), u64::MAX)).await;
        assert!(timeout(within, memory_for(1)).await.is_err());
        assert!(document(SMALL).await.unwrap().unwrap().1.is_none());
        assert!(document(SMALL + 1).await.is_err());
        drop(one);
        let (body, memory) = document(SMALL + 1).await.unwrap().unwrap();
        assert_eq!((body.len(), memory.unwrap().num_permits()), (SMALL + 1, 5));
        drop(memory_for(ZIP_LIMIT).await.unwrap());
        drop(other);
    }
}
