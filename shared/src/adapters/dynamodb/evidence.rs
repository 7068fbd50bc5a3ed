//! A dossier apart from its large bodies, and together with them again.
//!
//! Documents that are served again and again for one version are large, and are kept once under their digest. Small ones stay with
//! the dossier: a row of their own would cost more than they are long. So do all of those of a first look, where no other is meant
//! to follow, as long as that fits into one row.

use std::collections::BTreeMap;

use super::blobs::PART;
use crate::dossier::{Answer, ArchiveMember, Body, Dossier, Kept, Observation};
use crate::package::Digest;
use crate::ports::StoreFault;

/// From how many bytes on a body has rows of its own.
const LARGE: usize = 4 * 1024;

/// A dossier as it is written.
pub(super) struct Packed {
    /// The dossier's digest.
    pub(super) digest: Digest,
    /// Its JSON, in which every large body is replaced by its SHA-256.
    pub(super) outline: Vec<u8>,
    /// The large bodies.
    pub(super) bodies: BTreeMap<Digest, Vec<u8>>,
}

impl Packed {
    /// A dossier with its large bodies apart, unless it is the only one of its version for all that is known.
    pub(super) fn new(dossier: &Dossier, is_only: bool) -> Result<Self, StoreFault> {
        if is_only {
            let whole = Self::apart(dossier, usize::MAX)?;
            if whole.outline.len() <= PART {
                return Ok(whole);
            }
        }
        Self::apart(dossier, LARGE)
    }

    /// A dossier without the bodies of at least so many bytes.
    fn apart(dossier: &Dossier, large: usize) -> Result<Self, StoreFault> {
        let digest = dossier.digest();
        let mut outline = dossier.clone();
        let mut bodies = BTreeMap::new();
        for body in outline.observations.iter_mut().filter_map(body_of) {
            // What reads like a stand-in would be taken for one.
            if body.0.len() < large && stand_in(body).is_none() {
                continue;
            }
            let digest = Digest::sha256_of(&body.0);
            let bytes = std::mem::replace(&mut body.0, digest.to_string().into_bytes());
            bodies.insert(digest, bytes);
        }
        let outline = serde_json::to_vec(&outline).map_err(|source| StoreFault::Corrupt(source.to_string()))?;
        Ok(Self {
            digest,
            outline,
            bodies,
        })
    }
}

/// A dossier as it is read: the digests of its large bodies stand in for them.
pub(super) struct Outline {
    digest: Digest,
    dossier: Dossier,
    bodies: Vec<Digest>,
}

impl Outline {
    pub(super) fn from_json(digest: &Digest, json: &[u8]) -> Result<Self, StoreFault> {
        let mut dossier: Dossier = serde_json::from_slice(json)
            .map_err(|source| StoreFault::Corrupt(format!("dossier {digest}: {source}")))?;
        let bodies = dossier.observations.iter_mut().filter_map(body_of);
        let mut bodies: Vec<Digest> = bodies.filter_map(|body| stand_in(body)).collect();
        bodies.sort();
        bodies.dedup();
        Ok(Self {
            digest: digest.clone(),
            dossier,
            bodies,
        })
    }

    /// The digests of the large bodies, each once.
    pub(super) fn bodies(&self) -> impl Iterator<Item = &Digest> {
        self.bodies.iter()
    }

    /// Puts the bodies back, and compares the whole with the digest that was asked for.
    pub(super) fn into_dossier<'a>(self, find: impl Fn(&Digest) -> Option<&'a Vec<u8>>) -> Result<Dossier, StoreFault> {
        let Self {
            digest, mut dossier, ..
        } = self;
        for body in dossier.observations.iter_mut().filter_map(body_of) {
            let Some(stand_in) = stand_in(body) else { continue };
            let bytes =
                find(&stand_in).ok_or_else(|| StoreFault::Corrupt(format!("dossier {digest}: a body is missing")))?;
            body.0.clone_from(bytes);
        }
        if dossier.digest() == digest {
            Ok(dossier)
        } else {
            Err(StoreFault::Corrupt(format!(
                "dossier {digest}: what is stored has another digest"
            )))
        }
    }
}

fn stand_in(body: &Body) -> Option<Digest> {
    std::str::from_utf8(&body.0).ok()?.parse().ok()
}

/// The body in an observation. A new kind of answer has to say here whether it holds one.
fn body_of(observation: &mut Observation) -> Option<&mut Body> {
    match &mut observation.answer {
        Answer::Unanswered { .. } => None,
        Answer::Answered(response) => match &mut response.kept {
            Kept::Whole { body }
            | Kept::Excerpt { body }
            | Kept::Archive {
                manifest: ArchiveMember::Found { body },
                ..
            } => Some(body),
            Kept::Archive {
                manifest: ArchiveMember::Missing | ArchiveMember::NotAnArchive | ArchiveMember::Unreadable { .. },
                ..
            }
            | Kept::Digests { .. }
            | Kept::Nothing => None,
        },
    }
}
