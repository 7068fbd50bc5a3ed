//! A registry that answers from memory, so that dossiers are collected on the path that collects real ones.

use std::io::Read as _;

use anyhow::Context as _;
use async_trait::async_trait;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use flate2::read::GzDecoder;
use futures::FutureExt as _;
use hekate::dossier::{Answer, ArchiveMember, Body, Dossier, Kept, Observation, Response};
use hekate::ecosystem::{Look, Upstreams, look};
use hekate::package::{Coordinate, Digest, DigestAlgorithm};
use hekate::ports::{Fetch, Keep, Request};
use jiff::Timestamp;
use url::Url;

/// Status and body for a path.
type Resources = dyn Fn(&str) -> (u16, Vec<u8>) + Send + Sync;

struct Registry {
    resources: Box<Resources>,
}

#[async_trait]
impl Fetch for Registry {
    async fn fetch(&self, request: Request) -> Observation {
        let (status, bytes) = (self.resources)(request.url.path());
        let kept = match &request.keep {
            _ if status != 200 => Kept::Nothing,
            Keep::Whole => Kept::Whole {
                body: Body(bytes.clone()),
            },
            Keep::Excerpt(select) => Kept::Excerpt {
                body: Body(select(&bytes).unwrap_or_else(|| bytes.clone())),
            },
            Keep::NpmTarball => archive(&bytes, package_manifest(&bytes)),
            // Nothing but npm is measured.
            Keep::Distribution => archive(&bytes, ArchiveMember::Missing),
            Keep::Digests => Kept::Nothing,
        };
        Observation {
            subject: request.subject,
            about: String::new(),
            url: request.url.to_string(),
            at: request.at,
            answer: Answer::Answered(Response {
                status,
                content_type: Some(request.accept.to_owned()),
                etag: None,
                size: u64::try_from(bytes.len()).unwrap_or(u64::MAX),
                sha256: Digest::sha256_of(&bytes),
                kept,
                redirects: 0,
                last_modified: None,
            }),
        }
    }
}

/// Collects the dossier of a version from `resources`.
pub(crate) fn collect(
    coordinate: &str,
    at: Timestamp,
    resources: impl Fn(&str) -> (u16, Vec<u8>) + Send + Sync + 'static,
) -> anyhow::Result<Dossier> {
    let coordinate: Coordinate = coordinate.parse()?;
    let registry = Registry {
        resources: Box::new(resources),
    };
    // The forge is not asked: what is measured is the verification of what the registry serves.
    let registry_url = Url::parse("https://registry.example/")?;
    let upstreams = Upstreams {
        npm_feed: None,
        npm: registry_url.clone(),
        pypi: registry_url.clone(),
        pypi_files: registry_url.clone(),
        pypi_feed: None,
        homebrew: registry_url.clone(),
        bottles: registry_url,
        github: Url::parse("https://forge.example/")?,
    };
    let wanted = Look {
        fetch: &registry,
        upstreams: &upstreams,
        at,
        previous: None,
    };
    let dossier = look(&coordinate, &wanted).now_or_never();
    Ok(dossier.context("the registry in memory answers at once")??)
}

fn package_manifest(bytes: &[u8]) -> ArchiveMember {
    match package_json(bytes) {
        Ok(Some(bytes)) => ArchiveMember::Found { body: Body(bytes) },
        Ok(None) => ArchiveMember::Missing,
        Err(source) => ArchiveMember::Unreadable {
            detail: source.to_string(),
        },
    }
}

fn archive(bytes: &[u8], manifest: ArchiveMember) -> Kept {
    let sha1 = digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes);
    match Digest::new(DigestAlgorithm::Sha1, sha1.as_ref()) {
        Ok(sha1) => Kept::Archive {
            sha512: Digest::sha512_of(bytes),
            sha1,
            manifest,
        },
        Err(_impossible) => Kept::Nothing,
    }
}

/// The `package.json` in the top folder of a tarball.
pub(crate) fn package_json(tarball: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
    let mut archive = tar::Archive::new(GzDecoder::new(tarball));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?;
        if path.components().count() == 2 && path.ends_with("package.json") {
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes)?;
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}
