//! A dossier apart from its bodies, and together with them again.

use std::collections::BTreeMap;

use crate::dossier::{Answer, ArchiveMember, Body, Dossier, Kept, Observation};
use crate::package::Digest;
use crate::ports::StoreFault;

/// A dossier as it is written.
pub(super) struct Packed {
    /// The dossier's digest.
    pub(super) digest: Digest,
    /// Its JSON, in which every body is replaced by its SHA-256.
    pub(super) outline: Vec<u8>,
    /// The bodies.
    pub(super) bodies: BTreeMap<Digest, Vec<u8>>,
}

impl Packed {
    pub(super) fn new(dossier: &Dossier) -> Result<Self, StoreFault> {
        let digest = dossier.digest();
        let mut outline = dossier.clone();
        let mut bodies = BTreeMap::new();
        for body in outline.observations.iter_mut().filter_map(body_of) {
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

/// A dossier as it is read: the digests of its bodies stand in for them.
pub(super) struct Outline {
    digest: Digest,
    dossier: Dossier,
    bodies: Vec<Digest>,
}

impl Outline {
    pub(super) fn from_json(digest: &Digest, json: &[u8]) -> Result<Self, StoreFault> {
        let corrupt = |detail: String| StoreFault::Corrupt(format!("dossier {digest}: {detail}"));
        let mut dossier: Dossier = serde_json::from_slice(json).map_err(|source| corrupt(source.to_string()))?;
        let mut bodies = Vec::new();
        for body in dossier.observations.iter_mut().filter_map(body_of) {
            bodies.push(stand_in(body).ok_or_else(|| corrupt("a body is not replaced by its digest".to_owned()))?);
        }
        bodies.sort();
        bodies.dedup();
        Ok(Self {
            digest: digest.clone(),
            dossier,
            bodies,
        })
    }

    /// The digests of the bodies, each once.
    pub(super) fn bodies(&self) -> impl Iterator<Item = &Digest> {
        self.bodies.iter()
    }

    /// Puts the bodies back, and compares the whole with the digest that was asked for.
    pub(super) fn into_dossier<'a>(self, find: impl Fn(&Digest) -> Option<&'a Vec<u8>>) -> Result<Dossier, StoreFault> {
        let Self {
            digest, mut dossier, ..
        } = self;
        for body in dossier.observations.iter_mut().filter_map(body_of) {
            let bytes = stand_in(body)
                .as_ref()
                .and_then(&find)
                .ok_or_else(|| StoreFault::Corrupt(format!("dossier {digest}: a body is missing")))?;
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
