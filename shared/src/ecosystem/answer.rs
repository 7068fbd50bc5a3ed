//! What the answers of registries amount to.

use jiff::Timestamp;
use url::Url;

use super::{Downloaded, Look, LookFault, Metadata, Release, Terms};
use crate::availability::{Availability, Unavailable, UnavailableReason};
use crate::dossier::{Answer, ArchiveMember, Dossier, Kept, Observation, Response, Subject};
use crate::package::Digest;
use crate::ports::{Keep, REDIRECTS, Request};

/// A question to a registry: a path below a base URL that is configured. An answer that is known is asked for again on condition
/// that it has changed.
pub(super) struct Ask<'a> {
    /// The question.
    pub subject: Subject,
    /// The configured base URL.
    pub base: &'a Url,
    /// The path below it, with its slash.
    pub path: String,
    /// The `Accept` header.
    pub accept: &'static str,
    /// How the body is read.
    pub keep: Keep,
    /// The most bytes of it.
    pub limit: u64,
    /// The answer of an earlier look.
    pub previous: Option<&'a Observation>,
}

impl Ask<'_> {
    /// The request. Every URL is built from a validated name and a configured base, so that this fails only if the base itself
    /// cannot carry a path, which configuration refuses.
    pub(super) fn request(self, at: Timestamp) -> Result<Request, LookFault> {
        let base = self.base.as_str().trim_end_matches('/');
        let url = Url::parse(&format!("{base}{}", self.path)).map_err(|source| LookFault::Upstream {
            detail: format!("the configured base URL {base} cannot carry {}: {source}", self.path),
            retry_after: None,
        })?;
        Ok(Request {
            subject: self.subject,
            url,
            accept: self.accept,
            keep: self.keep,
            limit: self.limit,
            at,
            previous: self.previous.cloned(),
            modified_since: None,
            post: None,
            uncached: false,
            insist: true,
            redirects: REDIRECTS,
        })
    }

    /// Asks; `None` if the base cannot carry the path.
    pub(super) async fn observe(self, look: &Look<'_>) -> Option<Observation> {
        match self.request(look.at) {
            Ok(request) => Some(look.fetch.fetch(request).await),
            Err(_unbuildable) => None,
        }
    }
}

/// The complete answer, whatever its status.
pub(super) fn response(observation: &Observation) -> Option<&Response> {
    match &observation.answer {
        Answer::Answered(response) => Some(response),
        Answer::Unanswered { .. } => None,
    }
}

/// Digest of the bytes that an answer had, to cite them by: of none, where nobody answered.
pub(super) fn digest_of_answer(observation: Option<&Observation>) -> Digest {
    observation
        .and_then(response)
        .map_or_else(|| Digest::sha256_of(b""), |response| response.sha256.clone())
}

/// A version of which the registry's `document` says nothing that could be read: nothing else was asked of `source`.
pub(super) fn unread(
    dossier: &Dossier,
    source: &str,
    document: &str,
    metadata: Availability<Metadata>,
    terms: Terms,
) -> Release {
    let detail = format!("it was not asked for, since the {document} could not be read");
    let not_asked = || unavailable(source, UnavailableReason::Unreachable, detail.clone());
    Release {
        package: dossier.package.clone(),
        about: dossier.package.file().unwrap_or_default().to_owned(),
        metadata,
        attestations: Availability::Unavailable(not_asked()),
        served_nothing: None,
        attestations_evidence: None,
        artifact: Availability::Unavailable(not_asked()),
        terms,
    }
}

/// Trouble at a place.
pub(super) fn unavailable(source: &str, reason: UnavailableReason, detail: impl Into<String>) -> Unavailable {
    Unavailable {
        source: source.to_owned(),
        reason,
        detail: detail.into(),
    }
}

/// A complete answer with status 200, an authoritative absence, or trouble.
pub(super) fn successful(observation: &Observation) -> Availability<&Response> {
    match &observation.answer {
        Answer::Unanswered { reason, detail, .. } => {
            Availability::Unavailable(unavailable(&observation.url, *reason, detail.clone()))
        }
        Answer::Answered(response) => match (response.status, unavailable_status(response.status)) {
            (200, _) => Availability::Present(response),
            (status, None) => Availability::Absent {
                because: format!("the registry answered {status} to {}", observation.url),
            },
            (status, Some(reason)) => Availability::Unavailable(unavailable(
                &observation.url,
                reason,
                format!("the registry answered with status {status}"),
            )),
        },
    }
}

/// The document that a complete answer with status 200 holds, an authoritative absence, or trouble.
pub(super) fn document<T>(
    observation: &Observation,
    parse: impl Fn(&[u8]) -> Option<T>,
    what: &str,
) -> Availability<T> {
    let response = match successful(observation) {
        Availability::Present(response) => response,
        Availability::Absent { because } => return Availability::Absent { because },
        Availability::Unavailable(trouble) => return Availability::Unavailable(trouble),
    };
    response.kept.document().and_then(parse).map_or_else(
        || {
            let kind = response.content_type.as_deref().unwrap_or("no content type");
            let detail = format!("the answer ({} bytes, {kind}) is not {what}", response.size);
            Availability::Unavailable(unavailable(&observation.url, UnavailableReason::Malformed, detail))
        },
        Availability::Present,
    )
}

/// The path of a URL from metadata, relative to the configured base. Its host is thrown away: hosts never come from
/// metadata.
pub(super) fn path_on(base: &Url, declared: &str) -> Option<String> {
    let declared = Url::parse(declared).ok()?;
    let prefix = base.path().trim_end_matches('/');
    let path = declared.path().strip_prefix(prefix).unwrap_or(declared.path());
    path.starts_with('/').then(|| path.to_owned())
}

/// What an answer that proves nothing amounts to.
pub(super) fn unavailable_status(status: u16) -> Option<UnavailableReason> {
    match status {
        200 | 404 | 410 => None,
        401 | 403 | 451 => Some(UnavailableReason::Private),
        429 => Some(UnavailableReason::RateLimited),
        500.. => Some(UnavailableReason::Unreachable),
        _ => Some(UnavailableReason::Malformed),
    }
}

/// How long an upstream asked to wait, in seconds.
pub(super) fn retry_after(observation: &Observation) -> Option<u64> {
    match &observation.answer {
        Answer::Unanswered { retry_after, .. } => *retry_after,
        Answer::Answered(_) => None,
    }
}

/// Trouble that leaves nothing to give a verdict on.
pub(super) fn upstream(observed: &Observation, detail: &str) -> LookFault {
    LookFault::Upstream {
        detail: format!("{}: {detail}", observed.url),
        retry_after: retry_after(observed),
    }
}

/// The digests of an archive that was downloaded, and what of it is kept.
pub(super) struct Archive<'a> {
    pub(super) response: &'a Response,
    pub(super) sha512: &'a Digest,
    pub(super) sha1: &'a Digest,
    pub(super) member: &'a ArchiveMember,
}

/// The archive in an answer. A version whose metadata is served and whose bytes are not is trouble, not proof; so are bytes that
/// nobody could install.
pub(super) fn archive(observation: &Observation) -> Result<Archive<'_>, Unavailable> {
    let trouble = |reason, detail: String| Err(unavailable(&observation.url, reason, detail));
    let response = match successful(observation) {
        Availability::Present(response) => response,
        Availability::Absent { because } => return trouble(UnavailableReason::NotRetained, because),
        Availability::Unavailable(problem) => return Err(problem),
    };
    let Kept::Archive { sha512, sha1, manifest } = &response.kept else {
        let detail = "the answer was not read as an archive";
        return trouble(UnavailableReason::Malformed, detail.to_owned());
    };
    if response.size == 0 {
        return trouble(UnavailableReason::Malformed, "the artifact is empty".to_owned());
    }
    Ok(Archive {
        response,
        sha512,
        sha1,
        member: manifest,
    })
}

/// A file that is no archive that is read, by its digests. One whose metadata is served and whose bytes are not is trouble, not
/// proof; so is one without any.
pub(super) fn digested(observation: &Observation, name: &str) -> Availability<Downloaded> {
    let trouble = |reason, detail: &str| Availability::Unavailable(unavailable(&observation.url, reason, detail));
    let response = match successful(observation) {
        Availability::Present(response) => response,
        Availability::Absent { because } => return trouble(UnavailableReason::NotRetained, &because),
        Availability::Unavailable(problem) => return Availability::Unavailable(problem),
    };
    let Kept::Digests { sha512, sha1 } = &response.kept else {
        return trouble(UnavailableReason::Malformed, "the answer was not digested");
    };
    if response.size == 0 {
        return trouble(UnavailableReason::Malformed, "the file is empty");
    }
    Availability::Present(Downloaded {
        name: name.to_owned(),
        sha512: sha512.clone(),
        sha256: response.sha256.clone(),
        sha1: sha1.clone(),
        size: response.size,
        manifest: Availability::Absent {
            because: "it has no manifest of its own".to_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_tarball_url_is_thrown_away() {
        let base = Url::parse("http://127.0.0.1:1/").unwrap();
        assert_eq!(
            path_on(&base, "https://evil.example/a/-/a-1.0.0.tgz").as_deref(),
            Some("/a/-/a-1.0.0.tgz")
        );
    }

    #[test]
    fn a_base_with_a_path_is_not_doubled() {
        let base = Url::parse("https://mirror.example/api/npm/").unwrap();
        let declared = "https://mirror.example/api/npm/a/-/a-1.0.0.tgz";
        assert_eq!(path_on(&base, declared).as_deref(), Some("/a/-/a-1.0.0.tgz"));
    }

    #[test]
    fn a_tarball_url_that_is_none_gives_no_path() {
        let base = Url::parse("http://127.0.0.1:1/").unwrap();
        assert_eq!(path_on(&base, "../../etc"), None);
        assert_eq!(path_on(&base, "data:text/plain,x"), None);
    }
}
