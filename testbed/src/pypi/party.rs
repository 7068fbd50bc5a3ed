//! The index: what was uploaded, what was taken back, and how a request is answered.

use super::{
    INTEGRITY_JSON, PypiPublished, PypiServed,
    documents::{self, Project},
    feeds,
    journal::Journal,
    normalize,
};
use crate::{
    answer::{Answer, Reply, Request},
    attempts::Attempts,
    encoding::percent_decode,
};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc};

/// PyPI.
#[derive(Debug, Default)]
pub struct Pypi {
    /// By normalised name.
    projects: BTreeMap<String, Project>,
    journal: Journal,
    attempts: Attempts,
    /// Whether attestations are switched off for everybody.
    pub attestations_disabled: bool,
    /// How the index answers whatever it is asked.
    pub answer: Answer,
}

impl Pypi {
    /// Uploads a release. Files of a version that is there already are added to it.
    pub fn publish(&mut self, release: PypiPublished) {
        let project = self.projects.entry(normalize(&release.name)).or_default();
        let version = Some(release.version.as_str());
        let is_new = project
            .releases
            .iter()
            .all(|known| Some(known.version.as_str()) != version);
        let first = release.files.iter().map(|file| file.uploaded_at).min();
        if is_new {
            self.journal
                .note(&release.name, version, first, "new release".to_owned());
        }
        for file in &release.files {
            let kind = if file.is_sdist { "source" } else { "py3" };
            let action = format!("add {kind} file {}", file.filename);
            self.journal
                .note(&release.name, version, Some(file.uploaded_at), action);
        }
        let serial = self.journal.serial();
        project.name.clone_from(&release.name);
        project.serial = serial;
        project.releases.push(Arc::new(release));
    }

    /// Yanks a release, with a reason unless it is empty. False if there is none.
    pub fn yank(&mut self, name: &str, version: &str, reason: &str) -> bool {
        self.change(name, version, "yank release", |release| {
            release.yanked = Some(reason.to_owned());
        })
    }

    /// Removes a release with its files. False if there is none.
    pub fn remove(&mut self, name: &str, version: &str) -> bool {
        self.touch(name, Some(version), "remove release", |project| {
            let before = project.releases.len();
            project.releases.retain(|release| release.version != version);
            project.releases.len() != before
        })
    }

    /// Removes a file. False if there is none.
    pub fn remove_file(&mut self, name: &str, version: &str, filename: &str) -> bool {
        let mut found = false;
        self.change(name, version, &format!("remove file {filename}"), |release| {
            let before = release.files.len();
            release.files.retain(|file| file.filename != filename);
            found = release.files.len() != before;
        });
        found
    }

    /// Removes a project with everything. False if there is none.
    pub fn remove_project(&mut self, name: &str) -> bool {
        let removed = self.projects.remove(&normalize(name));
        if let Some(project) = &removed {
            self.journal
                .note(&project.name, None, None, "remove project".to_owned());
        }
        removed.is_some()
    }

    /// Sets a project aside: it stays known, without files, and is not listed (PEP 792). False if there is none.
    pub fn quarantine(&mut self, name: &str) -> bool {
        self.touch(name, None, "quarantine project", |project| {
            project.quarantined = true;
            true
        })
    }

    /// Serves other bytes than were uploaded, and tells nobody. False if there is no such file.
    pub fn replace_file(&mut self, name: &str, filename: &str, edit: impl FnOnce(&mut Vec<u8>)) -> bool {
        let project = self.projects.get_mut(&normalize(name));
        let mut releases = project.into_iter().flat_map(|project| &mut project.releases);
        let holds = |release: &&mut Arc<PypiPublished>| release.files.iter().any(|file| file.filename == filename);
        let Some(release) = releases.find(holds) else {
            return false;
        };
        let mut files = Arc::make_mut(release).files.iter_mut();
        files
            .find(|file| file.filename == filename)
            .map(|file| edit(&mut file.bytes))
            .is_some()
    }

    /// The number of the last change.
    pub fn serial(&self) -> u64 {
        self.journal.serial()
    }

    /// What was uploaded as `name` and `version`.
    pub fn published(&self, name: &str, version: &str) -> Option<&Arc<PypiPublished>> {
        let project = self.projects.get(&normalize(name))?;
        project.releases.iter().find(|release| release.version == version)
    }

    fn change(&mut self, name: &str, version: &str, action: &str, mut edit: impl FnMut(&mut PypiPublished)) -> bool {
        self.touch(name, Some(version), action, |project| {
            let mut found = false;
            for release in project.releases.iter_mut().filter(|release| release.version == version) {
                edit(Arc::make_mut(release));
                found = true;
            }
            found
        })
    }

    /// Changes a project, and notes that in the journal if it was one.
    fn touch(
        &mut self,
        name: &str,
        version: Option<&str>,
        action: &str,
        edit: impl FnOnce(&mut Project) -> bool,
    ) -> bool {
        let Some(project) = self.projects.get_mut(&normalize(name)) else {
            return false;
        };
        let changed = edit(project);
        if changed {
            self.journal.note(&project.name, version, None, action.to_owned());
            project.serial = self.journal.serial();
        }
        changed
    }

    /// The reply to `request`. It depends on earlier requests only where [`Answer::FailTimes`] says so.
    pub(crate) fn respond(&self, request: &Request) -> Reply {
        let path = percent_decode(request.path.split('?').next().unwrap_or_default());
        let attempt = self.attempts.count(&path);
        self.answer.reply(attempt, || self.resource(request, &path, attempt))
    }

    fn resource(&self, request: &Request, path: &str, attempt: u32) -> Reply {
        let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match segments.as_slice() {
            ["simple"] => moved("/simple/"),
            ["simple", ""] => documents::root(&self.projects, self.serial(), request),
            ["simple", name] => moved(&format!("/simple/{name}/")),
            ["simple", name, ""] => self.simple(request, name, attempt),
            ["pypi"] if !request.body.is_empty() => self.journal.respond(request),
            ["pypi", name, "json"] => self.json(request, name, None, attempt),
            ["pypi", name, version, "json"] => self.json(request, name, Some(version), attempt),
            ["integrity", name, version, filename, "provenance"] => {
                self.integrity(request, name, version, filename, attempt)
            }
            ["packages", ..] => self.file(path, attempt),
            ["rss", path @ ..] => feeds::feed(&self.projects, path, request).unwrap_or_else(page_not_found),
            _ => page_not_found(),
        }
    }

    fn simple(&self, request: &Request, name: &str, attempt: u32) -> Reply {
        let Some(project) = self.projects.get(&normalize(name)) else {
            return not_found_as("text/plain", "404 Not Found");
        };
        if name != normalize(name) {
            return moved(&format!("/simple/{}/", normalize(name)));
        }
        let mut releases = project.releases.iter().rev();
        let answer = releases.find_map(|release| release.answers.simple.as_ref());
        answer
            .unwrap_or(&Answer::Normal)
            .reply(attempt, || documents::simple(project, request))
    }

    fn json(&self, request: &Request, name: &str, version: Option<&str>, attempt: u32) -> Reply {
        let not_found = || not_found_as("application/json", r#"{"message": "Not Found"}"#);
        let Some(project) = self.projects.get(&normalize(name)) else {
            return not_found();
        };
        if name != normalize(name) {
            let version = version.map(|version| format!("/{version}")).unwrap_or_default();
            return moved(&format!("/pypi/{}{version}/json", normalize(name)));
        }
        let release = match version {
            Some(version) => project.releases.iter().find(|release| release.version == version),
            None => project.latest(),
        };
        release.map_or_else(not_found, |release| {
            release.answers.json.reply(attempt, || {
                documents::json(project, release, version.is_none()).conditional(request)
            })
        })
    }

    /// The order is the index's own: a file that does not exist, what the client accepts, the switch, the provenance.
    fn integrity(&self, request: &Request, name: &str, version: &str, filename: &str, attempt: u32) -> Reply {
        let project = self.projects.get(&normalize(name));
        let releases = project.into_iter().flat_map(|project| &project.releases);
        let mut files = releases
            .filter(|release| release.version == version)
            .flat_map(|release| &release.files);
        let Some(file) = files.find(|file| file.filename == filename) else {
            return page_not_found();
        };
        file.answers.integrity.reply(attempt, || self.provenance(request, file))
    }

    fn provenance(&self, request: &Request, file: &PypiServed) -> Reply {
        let message = |status, message: &str| Reply {
            status,
            ..Reply::json(&json!({"message": message}))
        };
        let Some(media_type) = accepted(request.accept.as_deref()) else {
            return message(406, "Request not acceptable");
        };
        if self.attestations_disabled {
            return message(403, "Attestations temporarily disabled");
        }
        match &file.provenance {
            Some(provenance) => {
                let mut reply = Reply::bytes_of(media_type, provenance.to_string().into_bytes());
                reply.headers.push(documents::cached(600));
                reply.conditional(request)
            }
            None => message(404, &format!("No provenance available for {}", file.filename)),
        }
    }

    /// A file, or the metadata of one behind its address and `.metadata` (PEP 658).
    fn file(&self, path: &str, attempt: u32) -> Reply {
        let releases = self.projects.values().flat_map(|project| &project.releases);
        for file in releases.flat_map(|release| &release.files) {
            let served = file.path();
            if path == served {
                let bytes = || Reply::bytes_of("application/octet-stream", file.bytes.clone());
                return file.answers.bytes.reply(attempt, bytes);
            }
            if !file.is_sdist && path.strip_suffix(".metadata") == Some(&served) {
                return Reply::bytes_of("application/octet-stream", file.metadata.text().into_bytes());
            }
        }
        not_found_as("text/plain", "404 Not Found")
    }
}

impl PypiServed {
    /// The path of its address.
    pub fn path(&self) -> String {
        let mut rest = self.sha256.clone();
        let tail = rest.split_off(4.min(rest.len()));
        let second = rest.split_off(2.min(rest.len()));
        format!("/packages/{rest}/{second}/{tail}/{}", self.filename)
    }
}

/// The media type of an answer of the Integrity API, if the client accepts one that there is.
fn accepted(accept: Option<&str>) -> Option<&'static str> {
    let Some(accept) = accept else {
        return Some(INTEGRITY_JSON);
    };
    let offers = [INTEGRITY_JSON, "application/json"];
    let ranges = accept
        .split(',')
        .map(|range| range.split(';').next().unwrap_or_default().trim());
    let any = |range: &str| matches!(range, "*/*" | "application/*");
    let wanted: Vec<&str> = ranges.collect();
    offers
        .into_iter()
        .find(|offer| wanted.iter().any(|range| range == offer || any(range)))
}

/// Status 301 to a path below the party, which the address of the party precedes.
fn moved(path: &str) -> Reply {
    let mut reply = Reply::bytes_of("text/html", Vec::new());
    reply.status = 301;
    reply
        .headers
        .push(("location".to_owned(), format!("{}{path}", super::PREFIX)));
    reply
}

fn not_found_as(content_type: &str, text: &str) -> Reply {
    Reply {
        status: 404,
        ..Reply::bytes_of(content_type, text.as_bytes().to_vec())
    }
}

/// The page for what is not there.
fn page_not_found() -> Reply {
    not_found_as(
        "text/html; charset=UTF-8",
        "<!doctype html><title>Page Not Found</title>",
    )
}

impl Project {
    /// The release that the JSON API tells of unless it is asked for a version.
    pub(super) fn latest(&self) -> Option<&Arc<PypiPublished>> {
        let place = |release: &&Arc<PypiPublished>| {
            let rank = super::version::Rank::of(&release.version);
            (release.yanked.is_none(), !rank.is_prerelease(), rank)
        };
        self.releases.iter().max_by_key(place)
    }
}
