//! The attestation store: lists by subject digest, of a repository and of an owner, and the bundles behind addresses of
//! their own.

use super::{
    GitHub, Repository, Snappy, StoredAttestation,
    reply::{Query, Resource},
    route::Look,
    snappy::{framed, raw},
};
use crate::encoding::base64;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

/// How many attestations a page has unless the client says otherwise.
const PAGE: usize = 30;
/// The predicate type of GitHub's attestations of immutable releases.
pub const RELEASE: &str = "https://in-toto.io/attestation/release/v0.2";

/// An item of the store with its repository and its place there.
type Filed<'a> = (&'a Repository, usize, &'a StoredAttestation);

impl Look<'_> {
    /// The attestations of a subject in the repository.
    pub(super) fn attestations(&self, digest: &str) -> Resource {
        let path = format!("/repositories/{}/{}", self.repository.id, self.below);
        let found = self.repository.filed(digest).collect();
        self.github.page_of_attestations(found, &self.query, &path)
    }
}

impl Repository {
    /// Its attestations of a subject.
    fn filed<'a>(&'a self, digest: &'a str) -> impl Iterator<Item = Filed<'a>> {
        let stored = self.attestations.iter().enumerate();
        let wanted = stored.filter(move |(_, stored)| stored.digest == digest);
        wanted.map(move |(index, stored)| (self, index, stored))
    }
}

impl GitHub {
    /// The attestations of a subject in all repositories of an owner that are shown.
    pub(super) fn attestations_of_owner(&self, owner: &str, digest: &str, query: &Query, path: &str) -> Resource {
        let is_theirs =
            |repository: &&Repository| repository.owner().eq_ignore_ascii_case(owner) && repository.is_shown();
        let repositories = self.repositories.iter().filter(is_theirs);
        let found = repositories.flat_map(|repository| repository.filed(digest)).collect();
        self.page_of_attestations(found, query, path)
    }

    /// The page that a query asks for: the kind of predicate, how many, and what they come after or before.
    fn page_of_attestations(&self, mut found: Vec<Filed<'_>>, query: &Query, path: &str) -> Resource {
        if let Some(wanted) = query.get("predicate_type") {
            found.retain(|(_, _, stored)| stored.is_of(wanted));
        }
        if found.is_empty() && self.no_attestations_are_404 {
            return Resource::not_found();
        }
        let size = query.get("per_page").and_then(|text| text.parse::<usize>().ok());
        let size = size.map_or(PAGE, |size| size.clamp(1, 100));
        let place = |name| query.get(name).and_then(place_at);
        let begin = match (place("after"), place("before")) {
            (Some(after), _) => after + 1,
            (None, Some(before)) => before.saturating_sub(size),
            (None, None) => 0,
        };
        let shown: Vec<_> = found.iter().skip(begin).take(size).map(item).collect();
        let end = begin + shown.len();
        let link = |relation: &str, name: &str, place: usize| {
            let prefix = super::PREFIX;
            format!(
                "<{prefix}{path}?per_page={size}&{name}={}>; rel=\"{relation}\"",
                cursor(place)
            )
        };
        let next = (end < found.len()).then(|| link("next", "after", end - 1));
        let previous = (begin > 0).then(|| link("prev", "before", begin));
        let links: Vec<_> = next.into_iter().chain(previous).collect();
        let mut resource = Resource::document(json!({"attestations": shown}));
        if !links.is_empty() {
            resource.headers.push(("link".to_owned(), links.join(", ")));
        }
        resource
    }

    /// The stored bundle of that file name, whatever became of its repository.
    pub(super) fn blob(&self, name: &str) -> Resource {
        let name = name.split(['.', '?']).next().unwrap_or_default();
        let mut stored = self.repositories.iter().flat_map(|repository| {
            let stored = repository.attestations.iter().enumerate();
            stored.map(|(index, stored)| (format!("{}-{index}", repository.id), stored))
        });
        let found = stored.find(|(number, _)| number == name);
        found.map_or_else(Resource::not_found, |(_, stored)| stored.blob())
    }
}

/// An item of a list.
fn item((repository, index, stored): &Filed<'_>) -> Value {
    let by_github = stored.predicate_type().is_some_and(|predicate| predicate == RELEASE);
    json!({
        "repository_id": repository.id,
        "bundle_url": format!("{}/blobs/{}-{index}.json.sn", super::PREFIX, repository.id),
        "initiator": if by_github { "github" } else { "user" },
        "bundle": stored.inline.then_some(&stored.bundle),
    })
}

/// A place in a list, as clients send it back without a look at it.
fn cursor(place: usize) -> String {
    base64(format!("cursor:v2:{place}")).replace('=', "%3D")
}

/// The place that a cursor stands for.
fn place_at(cursor: &str) -> Option<usize> {
    let text = String::from_utf8(STANDARD.decode(cursor).ok()?).ok()?;
    text.strip_prefix("cursor:v2:")?.parse().ok()
}

impl StoredAttestation {
    /// The predicate type that the statement in the bundle has.
    fn predicate_type(&self) -> Option<String> {
        let payload = self.bundle.pointer("/dsseEnvelope/payload")?.as_str()?;
        let statement: Value = serde_json::from_slice(&STANDARD.decode(payload).ok()?).ok()?;
        Some(statement.get("predicateType")?.as_str()?.to_owned())
    }

    /// Whether it is of a kind that clients ask for by a short name or by the predicate type.
    fn is_of(&self, wanted: &str) -> bool {
        self.predicate_type().is_some_and(|predicate| match wanted {
            "provenance" => predicate.starts_with("https://slsa.dev/provenance/"),
            "release" => predicate == RELEASE,
            _ => predicate == wanted,
        })
    }

    /// The bundle as it is stored.
    fn blob(&self) -> Resource {
        let bundle = self.bundle.to_string().into_bytes();
        match self.snappy {
            Snappy::None => Resource::bytes("application/json", bundle),
            Snappy::Raw => Resource::bytes("application/x-snappy", raw(&bundle)),
            Snappy::Framed => Resource::bytes("application/x-snappy-framed", framed(&bundle)),
        }
    }
}
