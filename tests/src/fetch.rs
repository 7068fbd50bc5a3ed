//! The `Fetch` port over a scenario, without sockets.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use async_trait::async_trait;
use flate2::read::GzDecoder;
use hekate::availability::UnavailableReason;
use hekate::dossier::{Answer, ArchiveMember, Body, Kept, Observation, Response, Subject};
use hekate::package::{Digest, DigestAlgorithm};
use hekate::ports::{Fetch, Keep, Request};
use sha2::Digest as _;
use testbed::{Party, Reply, Scenario};

/// How often a question is asked at most that is worth insisting on.
const ATTEMPTS: u32 = 3;
/// The most bytes that are kept of a body that nothing could be selected from.
const GLIMPSE: usize = 64 << 10;

/// Those who are asked.
pub trait Parties: Send + Sync {
    /// The reply of a party, to a path below its address.
    fn reply(&self, party: Party, request: &testbed::Request) -> Reply;
}

impl Parties for Scenario {
    fn reply(&self, party: Party, request: &testbed::Request) -> Reply {
        Self::reply(self, party, request)
    }
}

/// Asks the parties of a scenario, each under hosts whose names begin in their own way: `github.`, `feed.` for npm's feed,
/// `pypi.` and `files.` for PyPI, `formulae.` for Homebrew's API and `bottles.` for its registry. Any other host is npm's.
///
/// It keeps the contract of the port with the simplest means and shares no code with the adapter that speaks HTTP, so that
/// a test that runs over both compares two readings of the contract.
#[derive(Clone)]
pub struct ScenarioFetch {
    parties: Arc<dyn Parties>,
    token: Option<String>,
    silenced: BTreeMap<Subject, UnavailableReason>,
    silenced_paths: BTreeMap<String, UnavailableReason>,
}

/// Why there is no answer, and how long the upstream asked to wait.
type Trouble = (UnavailableReason, &'static str, Option<u64>);

impl ScenarioFetch {
    /// Asks a scenario, or other parties.
    pub fn new(parties: Arc<impl Parties + 'static>) -> Self {
        Self {
            parties,
            token: None,
            silenced: BTreeMap::new(),
            silenced_paths: BTreeMap::new(),
        }
    }

    /// Shows GitHub a token.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.token = Some(format!("Bearer {token}"));
        self
    }

    /// Leaves questions of this kind unanswered.
    #[must_use]
    pub fn silencing(mut self, subject: Subject, reason: UnavailableReason) -> Self {
        self.silenced.insert(subject, reason);
        self
    }

    /// Leaves questions unanswered whose path ends like this.
    #[must_use]
    pub fn silencing_path(mut self, end: &str, reason: UnavailableReason) -> Self {
        self.silenced_paths.insert(end.to_owned(), reason);
        self
    }

    fn silence(&self, request: &Request) -> Option<&UnavailableReason> {
        let path = request.url.path();
        let by_path = self.silenced_paths.iter().find(|(end, _)| path.ends_with(end.as_str()));
        self.silenced
            .get(&request.subject)
            .or(by_path.map(|(_, reason)| reason))
    }

    fn answer(&self, request: &Request) -> Answer {
        let mut trouble = (UnavailableReason::Unreachable, "nothing was asked", None);
        if let Some(reason) = self.silence(request) {
            trouble = (*reason, "silence", None);
        } else {
            let attempts = if request.insist { ATTEMPTS } else { 1 };
            for _attempt in 0..attempts {
                match self.attempt(request) {
                    Ok(answer) => return answer,
                    Err(again) => trouble = again,
                }
            }
        }
        let (reason, detail, retry_after) = trouble;
        Answer::Unanswered {
            reason,
            detail: detail.to_owned(),
            retry_after,
        }
    }

    /// GitHub redirects what was renamed, and PyPI what is not in its normal form, to a path of its own below `prefix`.
    /// Gives the reply with the number of redirects before it.
    fn follow(
        &self,
        party: Party,
        prefix: &str,
        mut asked: testbed::Request,
        allowed: u8,
    ) -> Result<(Reply, u8), Trouble> {
        let mut redirects = 0;
        loop {
            let reply = self.parties.reply(party, &asked);
            let location = reply
                .header("location")
                .filter(|_| matches!(reply.status, 301 | 302 | 307));
            match location.and_then(|location| location.strip_prefix(prefix)) {
                None => return Ok((reply, redirects)),
                Some(_) if redirects == allowed => {
                    return Err((UnavailableReason::Malformed, "more redirects than are followed", None));
                }
                Some(path) => path.clone_into(&mut asked.path),
            }
            redirects += 1;
        }
    }

    fn attempt(&self, request: &Request) -> Result<Answer, Trouble> {
        let path = request.url.query().map_or_else(
            || request.url.path().to_owned(),
            |query| format!("{}?{query}", request.url.path()),
        );
        let earlier = earlier_answer(request);
        let asked = testbed::Request {
            path,
            accept: Some(request.accept.to_owned()),
            if_none_match: earlier.and_then(|response| response.etag.clone()),
            if_modified_since: request.modified_since.and_then(|since| {
                let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
                printer.timestamp_to_rfc9110_string(&since).ok()
            }),
            body: request
                .post
                .as_ref()
                .map(|post| post.body.clone().into_bytes())
                .unwrap_or_default(),
            ..testbed::Request::default()
        };
        let party = party_at(request.url.host_str().unwrap_or_default());
        let (reply, redirects) = match party {
            Party::GitHub => {
                let authorization = self.token.clone();
                // Addresses in GitHub's documents stand below the party's own prefix.
                let path = asked
                    .path
                    .strip_prefix(testbed::github::PREFIX)
                    .unwrap_or(&asked.path)
                    .to_owned();
                let asked = testbed::Request {
                    path,
                    authorization,
                    ..asked
                };
                self.follow(party, testbed::github::PREFIX, asked, request.redirects)?
            }
            Party::Pypi => self.follow(party, testbed::pypi::PREFIX, asked, request.redirects)?,
            Party::Bottles => {
                let authorization = Some(testbed::homebrew::ANONYMOUS.to_owned());
                let asked = testbed::Request { authorization, ..asked };
                self.follow(party, testbed::homebrew::PREFIX, asked, request.redirects)?
            }
            Party::Npm | Party::NpmFeed | Party::Rekor | Party::Homebrew => (self.parties.reply(party, &asked), 0),
        };
        if let Some(trouble) = trouble_of(&reply) {
            return Err(trouble);
        }
        if reply.status == 304 && (earlier.is_some() || request.modified_since.is_none()) {
            let unasked = (UnavailableReason::Malformed, "304 to an unconditional request", None);
            let response = earlier.ok_or(unasked)?.clone();
            return Ok(Answer::Answered(Response { redirects, ..response }));
        }
        let bytes = match &reply.body {
            testbed::Body::Bytes(bytes) if bytes.len() as u64 <= request.limit => bytes,
            testbed::Body::Bytes(_) | testbed::Body::Huge(_) => {
                return Err((UnavailableReason::TooLarge, "the body is larger than the limit", None));
            }
            testbed::Body::Truncated { .. } | testbed::Body::Hang | testbed::Body::Reset => {
                return Err((UnavailableReason::Unreachable, "no complete response", None));
            }
        };
        Ok(Answer::Answered(Response {
            status: reply.status,
            content_type: reply.header("content-type").map(str::to_owned),
            etag: reply.header("etag").map(str::to_owned),
            last_modified: request
                .modified_since
                .and_then(|_since| jiff::fmt::rfc2822::parse(reply.header("last-modified")?).ok())
                .map(|time| time.timestamp()),
            size: bytes.len() as u64,
            sha256: Digest::sha256_of(bytes),
            kept: if reply.status == 200 {
                keep(&request.keep, bytes)
            } else {
                Kept::Nothing
            },
            redirects,
        }))
    }
}

/// The party at a host.
fn party_at(host: &str) -> Party {
    match host.split('.').next().unwrap_or_default() {
        "github" => Party::GitHub,
        "feed" => Party::NpmFeed,
        "pypi" | "files" => Party::Pypi,
        "formulae" => Party::Homebrew,
        "bottles" => Party::Bottles,
        _ => Party::Npm,
    }
}

fn earlier_answer(request: &Request) -> Option<&Response> {
    let previous = request
        .previous
        .as_ref()
        .filter(|previous| previous.url == request.url.as_str())?;
    match &previous.answer {
        Answer::Answered(response) if response.status == 200 && response.etag.is_some() => Some(response),
        Answer::Answered(_) | Answer::Unanswered { .. } => None,
    }
}

fn trouble_of(reply: &Reply) -> Option<Trouble> {
    let wait = reply.header("retry-after").and_then(|text| text.parse().ok());
    match reply.status {
        300..=303 | 305..=399 => Some((UnavailableReason::Unreachable, "a redirect to another host", wait)),
        403 if wait.is_some() || reply.header("x-ratelimit-remaining") == Some("0") => {
            Some((UnavailableReason::RateLimited, "no question is left", wait))
        }
        401 | 403 => Some((UnavailableReason::Private, "access is refused", wait)),
        429 => Some((UnavailableReason::RateLimited, "asked to slow down", wait)),
        500.. => Some((UnavailableReason::Unreachable, "the upstream is in trouble", wait)),
        _ => None,
    }
}

fn keep(keep: &Keep, bytes: &[u8]) -> Kept {
    let body = |bytes: &[u8]| Body(bytes.to_vec());
    match keep {
        Keep::Whole => Kept::Whole { body: body(bytes) },
        Keep::Excerpt(select) => match select(bytes) {
            Some(excerpt) => Kept::Excerpt { body: Body(excerpt) },
            None => Kept::Whole {
                body: Body(bytes.iter().copied().take(GLIMPSE).collect()),
            },
        },
        Keep::Digests => Kept::Digests {
            sha512: Digest::sha512_of(bytes),
            sha1: sha1_of(bytes),
        },
        Keep::NpmTarball => Kept::Archive {
            sha512: Digest::sha512_of(bytes),
            sha1: sha1_of(bytes),
            manifest: manifest(bytes),
        },
        Keep::Distribution => Kept::Archive {
            sha512: Digest::sha512_of(bytes),
            sha1: sha1_of(bytes),
            manifest: hekate::adapters::http::read_core_metadata(bytes),
        },
    }
}

/// SHA-1 of bytes.
///
/// # Panics
///
/// Never: the hash has the length of its algorithm.
#[expect(clippy::expect_used, reason = "SHA-1 has twenty bytes")]
pub fn sha1_of(bytes: &[u8]) -> Digest {
    Digest::new(DigestAlgorithm::Sha1, sha1::Sha1::digest(bytes).to_vec()).expect("a digest of its length")
}

fn manifest(bytes: &[u8]) -> ArchiveMember {
    if !bytes.is_empty() && !bytes.starts_with(&[0x1f, 0x8b]) {
        return ArchiveMember::NotAnArchive;
    }
    match manifest_in(bytes) {
        Ok(Some(bytes)) => ArchiveMember::Found { body: Body(bytes) },
        Ok(None) => ArchiveMember::Missing,
        Err(error) => ArchiveMember::Unreadable {
            detail: error.to_string(),
        },
    }
}

/// `package.json` in the top folder of a gzipped tar archive; the last one, as an installer would have it.
pub fn manifest_in(bytes: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    let mut found = None;
    for entry in tar::Archive::new(GzDecoder::new(bytes)).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let mut parts = path.components().skip(1);
        let is_manifest = parts.next().is_some_and(|part| part.as_os_str() == "package.json") && parts.next().is_none();
        if is_manifest {
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            found = Some(content);
        }
    }
    Ok(found)
}

#[async_trait]
impl Fetch for ScenarioFetch {
    async fn fetch(&self, request: Request) -> Observation {
        let answer = self.answer(&request);
        Observation {
            subject: request.subject,
            about: String::new(),
            url: request.url.to_string(),
            at: request.at,
            answer,
        }
    }
}
