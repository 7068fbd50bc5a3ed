//! GitHub's store of attestations: bundles by the SHA-256 of what they attest.
//!
//! The list names each bundle by a pre-signed address on another host, where it lies as a raw Snappy block; earlier answers
//! held bundles inline. Framed Snappy and plain JSON are read as well.

use std::io::Read as _;

use futures::future::join_all;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use url::Url;

use super::ask::parsed;
use super::wire::{Repository, excerpt};
use crate::attestation::{RepositoryUri, UnverifiedAttestation};
use crate::availability::{Availability, Unavailable, UnavailableReason};
use crate::dossier::{Answer, Body, Dossier, Kept, Observation, Subject};
use crate::ecosystem::Look;
use crate::package::{Digest, DigestAlgorithm};
use crate::ports::{Keep, REDIRECTS, Request};

/// The most bundles that are fetched of one subject; the rest is told as unread.
const BUNDLES: u8 = 16;
/// For how long attestations that were read need not be asked for again: less than the day to a scheduled look.
const STAND: SignedDuration = SignedDuration::from_hours(12);
/// The largest list and the largest stored bundle that are read, in bytes.
const LIMIT: u64 = 4 << 20;
/// The largest bundle after decompression, in bytes.
const BUNDLE_LIMIT: usize = 16 << 20;

#[derive(Serialize, Deserialize)]
struct List {
    attestations: Vec<Item>,
}

#[derive(Serialize, Deserialize)]
struct Item {
    #[serde(default)]
    bundle: Option<Box<RawValue>>,
    #[serde(default)]
    bundle_url: Option<String>,
}

impl Item {
    /// The bundle itself, where the list holds it.
    fn inline(&self) -> Option<&RawValue> {
        self.bundle.as_deref().filter(|bundle| bundle.get() != "null")
    }
}

/// Asks for the attestations of a subject in a repository: the list, then every bundle that is not in it.
///
/// The list costs one request of GitHub's quota, one more where there is none, and none of the bundles does. Attestations that
/// were read within the last `STAND` are not asked for again; after that the list is, on condition that it has changed, and of the bundles those whose
/// addresses are new but for how they are signed. That there is nothing is asked every time.
///
/// An address is followed only over HTTPS, or within the configured origin; no header that belongs to GitHub goes with it.
/// Nothing is asked for a digest other than SHA-256, by which the store is keyed.
pub async fn ask(repository: &RepositoryUri, subject: &Digest, look: &Look<'_>) -> Vec<Observation> {
    if subject.algorithm() != DigestAlgorithm::Sha256 {
        return Vec::new();
    }
    let base = &look.upstreams.github;
    let path = format!(
        "{}/repos/{}/attestations/sha256:{}?per_page=100",
        base.as_str().trim_end_matches('/'),
        repository.path(),
        subject.to_hex()
    );
    let Ok(url) = Url::parse(&path) else {
        return Vec::new();
    };
    if let Some(known) = still_standing(&url, look) {
        return known;
    }
    let list = request(
        look,
        Subject::StoredAttestations,
        url,
        Keep::Excerpt(std::sync::Arc::new(excerpt::<List>)),
    );
    let list = look.fetch.fetch(list).await;
    let items = parsed::<List>(&list).map(|list| list.attestations).unwrap_or_default();
    let questions = (0..BUNDLES).zip(&items).filter_map(|(number, item)| {
        let url = address(base, item)?;
        Some((Subject::StoredBundle(number), url))
    });
    let bundles = questions.map(|(subject, url)| async move {
        match known_bundle(&url, look) {
            Some(known) => Observation {
                subject,
                ..known.clone()
            },
            None => look.fetch.fetch(request(look, subject, url, Keep::Whole)).await,
        }
    });
    let bundles = join_all(bundles).await;
    let repository = if is_missing(&list) {
        shown(repository, look).await
    } else {
        None
    };
    [list].into_iter().chain(bundles).chain(repository).collect()
}

/// Whether GitHub answered that it has no such list.
fn is_missing(list: &Observation) -> bool {
    match &list.answer {
        Answer::Answered(response) => matches!(response.status, 404 | 410),
        Answer::Unanswered { .. } => false,
    }
}

/// Asks whether GitHub shows the repository: of one that it does not it says the same as of one without attestations
/// (<https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#404-not-found-for-an-existing-resource>).
async fn shown(repository: &RepositoryUri, look: &Look<'_>) -> Option<Observation> {
    let base = look.upstreams.github.as_str().trim_end_matches('/');
    let url = Url::parse(&format!("{base}/repos/{}", repository.path())).ok()?;
    let keep = Keep::Excerpt(std::sync::Arc::new(excerpt::<Repository>));
    let question = request(look, Subject::ListingRepository, url, keep);
    Some(look.fetch.fetch(question).await)
}

/// What an earlier look read of the same list, if it holds something and that was a short while ago.
fn still_standing(url: &Url, look: &Look<'_>) -> Option<Vec<Observation>> {
    let previous = look.previous?;
    let list = previous.observation(Subject::StoredAttestations)?;
    let age = look.at.duration_since(list.at);
    let is_recent = !age.is_negative() && age < STAND;
    let stands = is_recent && list.url == url.as_str() && read(previous).present().is_some();
    let is_of_store = |observation: &&Observation| {
        let asked = matches!(
            observation.subject,
            Subject::StoredAttestations | Subject::StoredBundle(_)
        );
        asked && observation.about.is_empty()
    };
    stands.then(|| previous.observations.iter().filter(is_of_store).cloned().collect())
}

/// The bundle that an earlier look read at the same address. The address is signed anew in every list, and what is stored
/// there is one attestation for good.
fn known_bundle<'a>(url: &Url, look: &Look<'a>) -> Option<&'a Observation> {
    let is_same =
        |known: &str| Url::parse(known).is_ok_and(|known| known.origin() == url.origin() && known.path() == url.path());
    let mut known =
        look.previous?.observations.iter().filter(|observation| {
            matches!(observation.subject, Subject::StoredBundle(_)) && observation.about.is_empty()
        });
    known.find(|known| is_same(&known.url) && bundle_of(known).is_some())
}

fn request(look: &Look<'_>, subject: Subject, url: Url, keep: Keep) -> Request {
    Request {
        subject,
        url,
        accept: "application/json",
        keep,
        limit: LIMIT,
        at: look.at,
        previous: look.previous.and_then(|dossier| dossier.observation(subject)).cloned(),
        modified_since: None,
        post: None,
        uncached: false,
        insist: true,
        redirects: REDIRECTS,
    }
}

/// Where the bundle of an item is to be fetched, if it has to be and may be.
fn address(base: &Url, item: &Item) -> Option<Url> {
    if item.inline().is_some() {
        return None;
    }
    let url = base.join(item.bundle_url.as_deref()?).ok()?;
    let is_plain = url.username().is_empty() && url.password().is_none();
    (is_plain && (url.scheme() == "https" || url.origin() == base.origin())).then_some(url)
}

/// The attestations that a dossier holds of GitHub's store. An empty list says that there is none, and so does a 404 of a
/// repository that GitHub shows; of any other it says nothing.
pub fn read(dossier: &Dossier) -> Availability<Vec<UnverifiedAttestation>> {
    let trouble = |source: &str, reason, detail: &str| {
        Availability::Unavailable(Unavailable {
            source: source.to_owned(),
            reason,
            detail: detail.to_owned(),
        })
    };
    let Some(list) = dossier.observation(Subject::StoredAttestations) else {
        return trouble(
            "GitHub",
            UnavailableReason::Unreachable,
            "the attestation store was not asked",
        );
    };
    let items = match (&list.answer, parsed::<List>(list)) {
        (Answer::Unanswered { reason, detail, .. }, _) => return trouble(&list.url, *reason, detail),
        (_, Some(list)) => list.attestations,
        (Answer::Answered(_), None) if is_missing(list) => {
            let repository = dossier.observation(Subject::ListingRepository);
            match repository.map(|seen| (&seen.answer, parsed::<Repository>(seen))) {
                Some((_, Some(_shown))) => Vec::new(),
                Some((Answer::Unanswered { reason, detail, .. }, None)) => return trouble(&list.url, *reason, detail),
                Some((Answer::Answered(_), None)) | None => {
                    let detail = "GitHub does not show this repository: whether it has attestations is not told";
                    return trouble(&list.url, UnavailableReason::Private, detail);
                }
            }
        }
        (Answer::Answered(_), None) => {
            let detail = "GitHub's answer is no list of attestations";
            return trouble(&list.url, UnavailableReason::Malformed, detail);
        }
    };
    if items.is_empty() {
        return Availability::Absent {
            because: "GitHub's attestation store has nothing on these bytes".to_owned(),
        };
    }
    let mut attestations = Vec::new();
    for (number, item) in items.iter().enumerate() {
        let fetched = u8::try_from(number)
            .ok()
            .and_then(|number| dossier.observation(Subject::StoredBundle(number)));
        let bundle = match (item.inline(), fetched) {
            (Some(bundle), _) => Some(bundle.to_owned()),
            (None, Some(fetched)) => bundle_of(fetched),
            (None, None) => None,
        };
        // One bundle that cannot be read leaves open what it says: nothing may be concluded from the others alone.
        let Some(bundle) = bundle else {
            let source = fetched.map_or(list.url.as_str(), |fetched| fetched.url.as_str());
            return trouble(
                source,
                UnavailableReason::Unreachable,
                "a stored bundle could not be read",
            );
        };
        attestations.push(UnverifiedAttestation::unlabelled(bundle));
    }
    Availability::Present(attestations)
}

/// The bundle in an answer of the blob store.
fn bundle_of(fetched: &Observation) -> Option<Box<RawValue>> {
    match &fetched.success()?.kept {
        Kept::Whole { body: Body(bytes) } => RawValue::from_string(String::from_utf8(unpack(bytes)?).ok()?).ok(),
        Kept::Excerpt { .. } | Kept::Archive { .. } | Kept::Digests { .. } | Kept::Nothing => None,
    }
}

/// Undoes the compression, up to the limit: a raw Snappy block, a framed stream, or none where it is JSON already.
fn unpack(bytes: &[u8]) -> Option<Vec<u8>> {
    const FRAMED: &[u8] = b"\xff\x06\x00\x00sNaPpY";
    if bytes.trim_ascii_start().starts_with(b"{") {
        return Some(bytes.to_vec());
    }
    if bytes.starts_with(FRAMED) {
        let mut unpacked = Vec::new();
        let limit = u64::try_from(BUNDLE_LIMIT).ok()?;
        snap::read::FrameDecoder::new(bytes)
            .take(limit + 1)
            .read_to_end(&mut unpacked)
            .ok()?;
        return (unpacked.len() <= BUNDLE_LIMIT).then_some(unpacked);
    }
    // The block says how long it is before anything is allocated.
    (snap::raw::decompress_len(bytes).ok()? <= BUNDLE_LIMIT)
        .then(|| snap::raw::Decoder::new().decompress_vec(bytes).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_bundle_is_read_raw_framed_and_plain() {
        let bundle = br#"{"mediaType":"x"}"#;
        let raw = snap::raw::Encoder::new().compress_vec(bundle).unwrap();
        let mut framed = snap::write::FrameEncoder::new(Vec::new());
        framed.write_all(bundle).unwrap();
        let framed = framed.into_inner().unwrap();
        for stored in [bundle.to_vec(), raw, framed] {
            assert_eq!(unpack(&stored).as_deref(), Some(&bundle[..]));
        }
    }

    #[test]
    fn a_block_that_claims_to_be_huge_is_refused_before_it_is_unpacked() {
        // The length, four gigabytes less one, as a variable-length number.
        assert_eq!(unpack(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x61]), None);
        assert_eq!(unpack(b"nonsense"), None);
        assert_eq!(unpack(b""), None);
    }

    #[test]
    fn a_stream_that_unpacks_beyond_the_limit_is_refused() {
        let mut framed = snap::write::FrameEncoder::new(Vec::new());
        framed.write_all(&vec![b'a'; BUNDLE_LIMIT + 1]).unwrap();
        assert_eq!(unpack(&framed.into_inner().unwrap()), None);
    }

    #[test]
    fn an_address_is_followed_over_https_or_within_the_origin() {
        let item = |url: &str| Item {
            bundle: None,
            bundle_url: Some(url.to_owned()),
        };
        let base = Url::parse("http://127.0.0.1:9/github/").unwrap();
        for good in [
            "https://blobs.example/1.json.sn?sig=x",
            "/github/blobs/1",
            "http://127.0.0.1:9/x",
        ] {
            assert!(address(&base, &item(good)).is_some(), "{good}");
        }
        for bad in [
            "http://169.254.169.254/x",
            "http://127.0.0.1:10/x",
            "file:///etc/passwd",
            "https://u:p@h/x",
        ] {
            assert!(address(&base, &item(bad)).is_none(), "{bad}");
        }
    }
}
