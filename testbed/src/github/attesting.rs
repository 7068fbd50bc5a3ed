//! How an attestation in GitHub's store is made.

use super::{Snappy, StoredAttestation};
use crate::{
    Claims, Format, World,
    edit::apply,
    sealing::{Bends, Sealing},
};
use jiff::Timestamp;
use serde_json::Value;
use std::{collections::BTreeSet, fmt, sync::Arc};

/// An attestation in GitHub's store. Made honest, then bent by small methods.
#[derive(Clone, Default)]
pub struct Attesting {
    at: Option<Timestamp>,
    bends: Bends,
    inline: bool,
    snappy: Snappy,
}

impl fmt::Debug for Attesting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Attesting")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl Attesting {
    /// When it is logged or stamped, instead of when the build signed.
    #[must_use]
    pub fn at(mut self, at: Timestamp) -> Self {
        self.at = Some(at);
        self
    }

    /// Lets GitHub's own instance of Sigstore certify and stamp it, as it does for private repositories.
    #[must_use]
    pub fn by_github(self) -> Self {
        self.sealing(Sealing::by_github)
    }

    /// Changes what the certificate claims, and nothing else.
    #[must_use]
    pub fn certificate(mut self, edit: impl Fn(&mut Claims) + Send + Sync + 'static) -> Self {
        self.bends.certificate.push(Arc::new(edit));
        self
    }

    /// Changes how it is signed: the instance, the parties, the times, the shape of the bundle.
    #[must_use]
    pub fn sealing(mut self, edit: impl Fn(&mut Sealing) + Send + Sync + 'static) -> Self {
        self.bends.sealing.push(Arc::new(edit));
        self
    }

    /// Changes the statement before it is signed. The store keeps it under the digests that it would have had.
    #[must_use]
    pub fn statement(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.bends.statement.push(Arc::new(edit));
        self
    }

    /// Changes the bundle after it was signed.
    #[must_use]
    pub fn bundle(mut self, edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        self.bends.signed.push(Arc::new(edit));
        self
    }

    /// Lists the bundle itself, as GitHub did before July 2026.
    #[must_use]
    pub fn inline(mut self) -> Self {
        self.inline = true;
        self
    }

    /// How the bundle is compressed behind its address.
    #[must_use]
    pub fn snappy(mut self, snappy: Snappy) -> Self {
        self.snappy = snappy;
        self
    }

    /// When it is logged or stamped, if that was said.
    pub(crate) fn time(&self) -> Option<Timestamp> {
        self.at
    }

    /// Signs a statement, and files it under each digest of its subjects.
    pub(crate) fn store(
        &self,
        world: &World,
        at: Timestamp,
        claims: Claims,
        mut statement: Value,
    ) -> Vec<StoredAttestation> {
        let subjects = statement.get("subject").and_then(Value::as_array).into_iter().flatten();
        let digests: BTreeSet<String> = subjects
            .filter_map(|subject| subject.get("digest")?.as_object())
            .flatten()
            .filter_map(|(algorithm, digest)| Some(format!("{algorithm}:{}", digest.as_str()?)))
            .collect();
        let sealing = Sealing::at(world, Format::v03(), self.at.unwrap_or(at));
        let mut bundle = self.bends.seal(sealing, claims, &mut statement);
        apply(&self.bends.signed, &mut bundle);
        digests
            .into_iter()
            .map(|digest| StoredAttestation {
                digest,
                bundle: bundle.clone(),
                inline: self.inline,
                snappy: self.snappy,
            })
            .collect()
    }
}
