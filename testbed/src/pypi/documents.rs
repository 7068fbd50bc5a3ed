//! The documents of the simple index and of the JSON API.

use super::{FILES_HOST, INDEX_HOST, PypiPublished, PypiServed, SIMPLE_JSON, file::Link, normalize, version::Rank};
use crate::{
    answer::{Reply, Request},
    edit::apply,
    encoding::sha256,
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt::Write as _, sync::Arc};

/// The version of the simple index (PEP 792).
const API_VERSION: &str = "1.4";

/// A project.
#[derive(Debug, Default)]
pub(super) struct Project {
    /// Its name, as its last release writes it.
    pub(super) name: String,
    /// The number of its last change.
    pub(super) serial: u64,
    /// In the order of their publication.
    pub(super) releases: Vec<Arc<PypiPublished>>,
    /// Whether it is set aside.
    pub(super) quarantined: bool,
}

/// A file of a release.
type Listed<'a> = (&'a PypiPublished, &'a PypiServed);

impl Project {
    /// Its files, by version and name.
    fn files(&self) -> Vec<Listed<'_>> {
        let releases = self.releases.iter().filter(|_| !self.quarantined);
        let mut files: Vec<Listed<'_>> = releases
            .flat_map(|release| release.files.iter().map(move |file| (&**release, file)))
            .collect();
        files.sort_by_key(|(release, file)| (Rank::of(&release.version), file.filename.clone()));
        files
    }

    /// The versions of these files, without repetition.
    fn versions(files: &[Listed<'_>]) -> Vec<String> {
        let mut versions: Vec<_> = files.iter().map(|(release, _)| release.version.clone()).collect();
        versions.dedup();
        versions
    }
}

/// The list of all projects.
pub(super) fn root(projects: &BTreeMap<String, Project>, serial: u64, request: &Request) -> Reply {
    let listed = projects.iter().filter(|(_, project)| !project.quarantined);
    let reply = if wants_json(request) {
        let projects: Vec<_> = listed
            .map(|(_, project)| json!({"_last-serial": project.serial, "name": project.name}))
            .collect();
        let document = json!({"meta": {"_last-serial": serial, "api-version": API_VERSION}, "projects": projects});
        Reply::bytes_of(SIMPLE_JSON, document.to_string().into_bytes())
    } else {
        let links = listed.map(|(normalized, project)| (format!("/simple/{normalized}/"), project.name.clone()));
        page("Simple index", links)
    };
    finished(reply, serial, request)
}

/// The files of a project.
pub(super) fn simple(project: &Project, request: &Request) -> Reply {
    let reply = if wants_json(request) {
        let mut document = project.document();
        for release in &project.releases {
            apply(&release.simple, &mut document);
        }
        Reply::bytes_of(SIMPLE_JSON, document.to_string().into_bytes())
    } else {
        let files = project.files().into_iter();
        let links = files.map(|(_, file)| {
            let address = format!("{FILES_HOST}{}#sha256={}", file.path(), file.sha256);
            (address, file.filename.clone())
        });
        page(&format!("Links for {}", normalize(&project.name)), links)
    };
    finished(reply, project.serial, request)
}

impl Project {
    /// The document of the simple index.
    fn document(&self) -> Value {
        let files = self.files();
        let status = if self.quarantined { "quarantined" } else { "active" };
        json!({
            "alternate-locations": [],
            "files": files.iter().map(|(release, file)| self.listing(release, file)).collect::<Vec<_>>(),
            "meta": {"_last-serial": self.serial, "api-version": API_VERSION},
            "name": normalize(&self.name),
            "project-status": {"status": status},
            "versions": Self::versions(&files),
        })
    }

    /// What the simple index lists of a file.
    fn listing(&self, release: &PypiPublished, file: &PypiServed) -> Value {
        let yanked = match release.yanked.as_deref() {
            None => json!(false),
            Some("") => json!(true),
            Some(reason) => json!(reason),
        };
        let core_metadata = file.core_metadata();
        let mut listing = json!({
            "core-metadata": core_metadata,
            "data-dist-info-metadata": core_metadata,
            "filename": file.filename,
            "hashes": {"sha256": file.sha256},
            "provenance": self.provenance_address(release, file),
            "requires-python": file.metadata.requires_python,
            "size": file.size,
            "upload-time": format!("{:.6}", file.uploaded_at),
            "url": format!("{FILES_HOST}{}", file.path()),
            "yanked": yanked,
        });
        apply(&file.listing, &mut listing);
        listing
    }

    /// Where the Integrity API has the provenance of a file, if it is said to have one.
    fn provenance_address(&self, release: &PypiPublished, file: &PypiServed) -> Option<String> {
        let is_listed = match file.link {
            Link::AsMade => file.provenance.is_some(),
            Link::Stripped => false,
            Link::Announced => true,
        };
        is_listed.then(|| {
            let (name, version) = (normalize(&self.name), &release.version);
            format!("{INDEX_HOST}/integrity/{name}/{version}/{}/provenance", file.filename)
        })
    }
}

impl PypiServed {
    /// The digest of the metadata that stands beside a wheel.
    fn core_metadata(&self) -> Value {
        if self.is_sdist {
            json!(false)
        } else {
            json!({"sha256": hex::encode(sha256(self.metadata.text().as_bytes()))})
        }
    }

    /// What the JSON API tells of it.
    fn entry(&self, release: &PypiPublished) -> Value {
        let (kind, python) = if self.is_sdist {
            ("sdist", "source")
        } else {
            ("bdist_wheel", "py3")
        };
        json!({
            "comment_text": "",
            "core-metadata": self.core_metadata(),
            "digests": {"sha256": self.sha256},
            "downloads": -1,
            "filename": self.filename,
            "has_sig": false,
            "packagetype": kind,
            "python_version": python,
            "requires_python": self.metadata.requires_python,
            "size": self.size,
            "upload_time": format!("{:.0}", self.uploaded_at).trim_end_matches('Z'),
            "upload_time_iso_8601": format!("{:.6}", self.uploaded_at),
            "url": format!("{FILES_HOST}{}", self.path()),
            "yanked": release.yanked.is_some(),
            "yanked_reason": release.yanked_reason(),
        })
    }
}

impl PypiPublished {
    /// The reason for which it was yanked.
    fn yanked_reason(&self) -> Option<&str> {
        self.yanked.as_deref().filter(|reason| !reason.is_empty())
    }
}

/// The document of the JSON API about a release, with all others where the project was asked for.
pub(super) fn json(project: &Project, release: &PypiPublished, with_releases: bool) -> Reply {
    let metadata = &release.metadata;
    let name = normalize(&project.name);
    let urls: Map<String, Value> = metadata
        .project_urls
        .iter()
        .map(|(label, address)| (label.clone(), json!(address)))
        .collect();
    let same = |other: &&Arc<PypiPublished>| other.version == release.version;
    let files = project.releases.iter().filter(same).flat_map(|release| &release.files);
    let mut document = json!({
        "info": {
            "author": "",
            "home_page": metadata.home_page.clone().unwrap_or_default(),
            "name": metadata.name,
            "package_url": format!("{INDEX_HOST}/project/{name}/"),
            "project_url": format!("{INDEX_HOST}/project/{name}/"),
            "project_urls": if urls.is_empty() { Value::Null } else { Value::Object(urls) },
            "release_url": format!("{INDEX_HOST}/project/{name}/{}/", release.version),
            "requires_dist": null,
            "requires_python": metadata.requires_python,
            "summary": metadata.summary(),
            "version": metadata.version,
            "yanked": release.yanked.is_some(),
            "yanked_reason": release.yanked_reason(),
        },
        "last_serial": project.serial,
        "ownership": {"organization": null, "roles": [{"role": "Owner", "user": "alice"}]},
        "urls": files.map(|file| file.entry(release)).collect::<Vec<_>>(),
        "vulnerabilities": [],
    });
    if with_releases {
        let mut releases: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for release in &project.releases {
            let entries = release.files.iter().map(|file| file.entry(release));
            releases.entry(release.version.clone()).or_default().extend(entries);
        }
        crate::encoding::insert(&mut document, "releases", json!(releases));
    }
    apply(&release.json, &mut document);
    with_serial(Reply::json(&document), project.serial)
}

/// Whether the client gets JSON: one that does not ask for it gets a page.
fn wants_json(request: &Request) -> bool {
    let accept = request.accept.as_deref().unwrap_or_default();
    accept.contains(SIMPLE_JSON)
}

/// A page of links.
fn page(title: &str, links: impl Iterator<Item = (String, String)>) -> Reply {
    let mut text = format!(
        "<!DOCTYPE html>\n<html>\n  <head>\n    <meta name=\"pypi:repository-version\" content=\"{API_VERSION}\">\n    <title>{title}</title>\n  </head>\n  <body>\n"
    );
    for (address, name) in links {
        // Writing to a string does not fail.
        let _ = writeln!(text, "<a href=\"{address}\">{name}</a><br />");
    }
    text.push_str("</body>\n</html>\n");
    Reply::bytes_of("text/html", text.into_bytes())
}

/// The header that lets caches keep an answer for so many seconds.
pub(super) fn cached(seconds: u32) -> (String, String) {
    ("cache-control".to_owned(), format!("max-age={seconds}, public"))
}

fn with_serial(mut reply: Reply, serial: u64) -> Reply {
    reply
        .headers
        .push(("x-pypi-last-serial".to_owned(), serial.to_string()));
    reply
}

/// With what every answer of the simple index has.
fn finished(reply: Reply, serial: u64, request: &Request) -> Reply {
    let mut reply = with_serial(reply, serial);
    reply.headers.push(("vary".to_owned(), "Accept".to_owned()));
    reply.headers.push(cached(600));
    reply.conditional(request)
}
