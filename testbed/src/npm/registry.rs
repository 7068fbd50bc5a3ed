//! The registry's endpoints as a pure function from a request to a reply.

use super::feed::{Feed, FeedRow};
use crate::{
    answer::{Answer, Reply, Request},
    attempts::Attempts,
    edit::apply,
    encoding::{insert, percent_decode},
    release::Published,
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// The media type of the abbreviated packument.
const ABBREVIATED: &str = "application/vnd.npm.install-v1+json";

/// Who published a version, as `_npmUser` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publisher {
    /// The account's name.
    pub name: String,
    /// Its address.
    pub email: String,
    /// The provider of a trusted publisher, such as `github`, and the id of its configuration.
    pub trusted_publisher: Option<(String, String)>,
    /// Name and address of the person who approved a staged publication.
    pub approver: Option<(String, String)>,
}

impl Publisher {
    /// A build of `provider` that the maintainers trust to publish.
    pub fn trusted(provider: &str) -> Self {
        let (name, email) = match provider {
            "gitlab" => ("GitLab CI/CD", "npm-oidc-no-reply@gitlab.com"),
            _ => ("GitHub Actions", "npm-oidc-no-reply@github.com"),
        };
        Self {
            name: name.to_owned(),
            email: email.to_owned(),
            trusted_publisher: Some((
                provider.to_owned(),
                "oidc:5b7ae5a6-0e0d-4c53-9c1b-9d6d2f3c8a11".to_owned(),
            )),
            approver: None,
        }
    }

    /// A maintainer with a token.
    pub fn maintainer() -> Self {
        Self::account("alice")
    }

    /// Whoever has a token of this account.
    pub fn account(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            email: format!("{name}@example.com"),
            trusted_publisher: None,
            approver: None,
        }
    }

    /// With a person who approved the staged publication.
    #[must_use]
    pub fn approved_by(mut self, name: &str, email: &str) -> Self {
        self.approver = Some((name.to_owned(), email.to_owned()));
        self
    }

    pub(crate) fn npm_user(&self) -> Value {
        let mut user = json!({"name": self.name, "email": self.email});
        if let Some((id, configuration)) = &self.trusted_publisher {
            insert(
                &mut user,
                "trustedPublisher",
                json!({"id": id, "oidcConfigId": configuration}),
            );
        }
        if let Some((name, email)) = &self.approver {
            insert(&mut user, "approver", json!({"name": name, "email": email}));
        }
        user
    }
}

/// The registry: what was published, what was taken back, and the feed that tells of both.
#[derive(Debug, Default)]
pub struct Npm {
    packages: BTreeMap<String, Vec<Arc<Published>>>,
    feed: Feed,
    keys: Value,
    /// How the registry answers whatever it is asked.
    pub(crate) answer: Answer,
    /// How it answers for its keys.
    pub(crate) keys_answer: Answer,
    attempts: Attempts,
}

impl Npm {
    pub(crate) fn new(keys: Value) -> Self {
        Self {
            keys,
            ..Self::default()
        }
    }

    /// Publishes a version.
    pub fn publish(&mut self, release: Published) {
        let name = release.name.clone();
        self.feed.append(&name, false);
        self.packages.entry(name).or_default().push(Arc::new(release));
    }

    /// Takes a version back: it stays in the packument's `time`, and is nowhere else. False if it is not served.
    pub fn unpublish(&mut self, name: &str, version: &str) -> bool {
        let changed = self.change(name, version, |release| release.unpublished = true);
        if changed {
            self.feed.append(name, false);
        }
        changed
    }

    /// Takes a whole package back: there is no packument any more. False if there is no such package.
    pub fn unpublish_package(&mut self, name: &str) -> bool {
        let changed = self.packages.remove(name).is_some();
        if changed {
            self.feed.append(name, true);
        }
        changed
    }

    /// Serves other bytes than were published, and tells nobody. False if the version is not served.
    pub fn replace_tarball(&mut self, name: &str, version: &str, edit: impl FnOnce(&mut Vec<u8>)) -> bool {
        self.change(name, version, |release| edit(&mut release.tarball))
    }

    fn change(&mut self, name: &str, version: &str, edit: impl FnOnce(&mut Published)) -> bool {
        let served = |release: &&mut Arc<Published>| release.version == version && !release.unpublished;
        let mut releases = self.packages.get_mut(name).into_iter().flatten().rev();
        let found = releases.find(served);
        found.map(|release| edit(Arc::make_mut(release))).is_some()
    }

    /// The rows of the feed.
    pub fn feed_rows(&self) -> &[FeedRow] {
        self.feed.rows()
    }

    /// How the feed answers whatever it is asked.
    pub fn answer_feed(&mut self, answer: Answer) {
        self.feed.answer = answer;
    }

    /// The feed's reply to `request`, whose path is below the feed's own.
    pub(crate) fn respond_feed(&self, request: &Request) -> Reply {
        self.feed.respond(request)
    }

    pub(crate) fn published(&self, name: &str, version: &str) -> Option<&Arc<Published>> {
        self.packages
            .get(name)?
            .iter()
            .rev()
            .find(|release| release.version == version)
    }

    /// The reply to `request`. It depends on earlier requests only where [`Answer::FailTimes`] says so.
    pub(crate) fn respond(&self, request: &Request) -> Reply {
        let path = percent_decode(request.path.split('?').next().unwrap_or_default());
        let attempt = self.attempts.count(&path);
        self.answer.reply(attempt, || self.resource(request, &path, attempt))
    }

    fn resource(&self, request: &Request, path: &str, attempt: u32) -> Reply {
        let path = path.trim_start_matches('/');
        if path == "-/npm/v1/keys" {
            return self
                .keys_answer
                .reply(attempt, || Reply::json(&self.keys).conditional(request));
        }
        if let Some(coordinate) = path.strip_prefix("-/npm/v1/attestations/") {
            return self.attestations(request, coordinate, attempt);
        }
        let mut segments = path.split('/');
        let name = match segments.next().unwrap_or_default() {
            scope if scope.starts_with('@') => {
                format!("{scope}/{}", segments.next().unwrap_or_default())
            }
            name => name.to_owned(),
        };
        let Some(releases) = self.packages.get(&name) else {
            return Reply::not_found();
        };
        match (segments.next(), segments.next(), segments.next()) {
            (None, ..) => Self::packument(request, &name, releases, attempt),
            (Some("-"), Some(file), None) => Self::tarball(releases, file, attempt),
            (Some(version), None, _) => Self::manifest(request, releases, version, attempt),
            _ => Reply::not_found(),
        }
    }

    fn attestations(&self, request: &Request, coordinate: &str, attempt: u32) -> Reply {
        let found = coordinate
            .rsplit_once('@')
            .and_then(|(name, version)| self.published(name, version));
        let Some(release) = found else {
            return Reply::not_found();
        };
        release.answers.attestations.reply(attempt, || {
            if release.attestations.is_empty() || release.unpublished {
                Reply::not_found()
            } else {
                Reply::json(&json!({"attestations": release.attestations})).conditional(request)
            }
        })
    }

    fn tarball(releases: &[Arc<Published>], file: &str, attempt: u32) -> Reply {
        let wanted = |release: &&Arc<Published>| {
            let base = release.name.rsplit('/').next().unwrap_or_default();
            file == format!("{base}-{}.tgz", release.version) && !release.unpublished
        };
        releases
            .iter()
            .rev()
            .find(wanted)
            .map_or_else(Reply::not_found, |release| {
                release.answers.tarball.reply(attempt, || {
                    Reply::bytes_of("application/octet-stream", release.tarball.clone())
                })
            })
    }

    fn manifest(request: &Request, releases: &[Arc<Published>], version: &str, attempt: u32) -> Reply {
        let tags = tags(releases);
        let version = tags.get(version).and_then(Value::as_str).unwrap_or(version);
        let wanted = |release: &&Arc<Published>| release.version == version && !release.unpublished;
        match releases.iter().rev().find(wanted) {
            Some(release) => release
                .answers
                .manifest
                .reply(attempt, || Reply::json(&release.manifest).conditional(request)),
            None => Reply {
                status: 404,
                ..Reply::json(&json!(format!("version not found: {version}")))
            },
        }
    }

    fn packument(request: &Request, name: &str, releases: &[Arc<Published>], attempt: u32) -> Reply {
        let answer = releases
            .iter()
            .rev()
            .find_map(|release| release.answers.packument.as_ref());
        answer.unwrap_or(&Answer::Normal).reply(attempt, || {
            let document = packument(name, releases);
            let accept = request.accept.as_deref().unwrap_or_default();
            if accept.trim_start().starts_with(ABBREVIATED) {
                let reply = Reply::bytes_of(ABBREVIATED, abbreviated(&document).to_string().into_bytes());
                reply.conditional(request)
            } else {
                Reply::json(&document).conditional(request)
            }
        })
    }
}

fn tags(releases: &[Arc<Published>]) -> Map<String, Value> {
    releases
        .iter()
        .filter(|release| !release.unpublished)
        .filter_map(|release| Some((release.tag.clone()?, json!(release.version))))
        .collect()
}

/// The full packument.
fn packument(name: &str, releases: &[Arc<Published>]) -> Value {
    let served = || releases.iter().filter(|release| !release.unpublished);
    let versions: Map<_, _> = served()
        .map(|release| (release.version.clone(), release.manifest.clone()))
        .collect();
    let moments = || releases.iter().map(|release| release.published_at);
    let mut time = Map::new();
    time.insert("created".to_owned(), json!(moments().min().map(time_text)));
    time.insert("modified".to_owned(), json!(moments().max().map(time_text)));
    for release in releases {
        time.insert(release.version.clone(), json!(time_text(release.published_at)));
    }
    let latest = served().next_back().map(|release| &release.manifest);
    let member = |name: &str| {
        latest
            .and_then(|manifest| manifest.get(name))
            .cloned()
            .unwrap_or_default()
    };
    let mut document = json!({
        "_id": name,
        "_rev": format!("{}-{}", releases.len(), hex::encode(crate::encoding::sha1(name.as_bytes()))),
        "name": name,
        "description": member("description"),
        "dist-tags": tags(releases),
        "versions": versions,
        "time": time,
        "maintainers": member("maintainers"),
        "repository": member("repository"),
        "license": member("license"),
        "readme": "",
    });
    for release in releases {
        apply(&release.packument, &mut document);
    }
    document
}

/// RFC 3339 with milliseconds, as the registry writes times.
fn time_text(at: jiff::Timestamp) -> String {
    format!("{at:.3}")
}

/// The packument without times and publishers, for installing.
fn abbreviated(document: &Value) -> Value {
    let versions: Map<_, _> = document
        .get("versions")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(version, manifest)| {
            let kept = ["name", "version", "dependencies", "bin", "engines", "dist"];
            let kept = kept
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), manifest.get(name)?.clone())));
            (version.clone(), Value::Object(kept.collect()))
        })
        .collect();
    json!({
        "name": document.get("name"),
        "modified": document.pointer("/time/modified"),
        "dist-tags": document.get("dist-tags"),
        "versions": versions,
    })
}
