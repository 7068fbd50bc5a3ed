//! What a verifier remembers from look to look, held in memory.

use std::collections::{BTreeMap, HashMap};

use hekate::dossier::{Dossier, Observation, keep};
use hekate::ecosystem::{LookFault, Upstreams};
use hekate::forge::github::{Destination, to_remember};
use hekate::history::{LIMIT, PastRelease};
use hekate::package::{Coordinate, PackageVersion};
use hekate::ports::{Fetch, FirstSeen, Memory, TraceKey};
use hekate::verifier::{Case, Judge, first_seen};
use jiff::Timestamp;

use crate::path::{Judged, look_again};

/// Everything that earlier looks left behind, as the contract of the store describes it.
///
/// It is the store's contract with the simplest means, and shares no code with the store: nothing expires, and nobody else
/// writes.
#[derive(Clone, Debug, Default)]
pub struct Recollection {
    /// What is remembered of every version before anything was looked at.
    beforehand: Memory,
    first_seen: BTreeMap<String, FirstSeen>,
    releases: BTreeMap<String, Vec<PastRelease>>,
    dossiers: BTreeMap<String, Dossier>,
    seen: HashMap<TraceKey, Vec<Observation>>,
}

impl Recollection {
    /// Remembers this of whatever version is looked at first.
    pub fn beginning_with(beforehand: Memory) -> Self {
        Self {
            beforehand,
            ..Self::default()
        }
    }

    /// Walks the whole path, and remembers what came of it.
    pub async fn look(
        &mut self,
        judge: &Judge,
        fetch: &dyn Fetch,
        upstreams: &Upstreams,
        coordinate: &Coordinate,
        at: Timestamp,
    ) -> Result<Judged, LookFault> {
        let asked = coordinate.to_string();
        let previous = self.dossiers.get(&asked);
        let recall = |destination: &Destination| self.recall(destination);
        let dossier = look_again(judge, fetch, upstreams, coordinate, at, previous, recall).await?;
        let package = dossier.package.clone();
        let memory = self.memory(&package);
        let authenticated = judge.authenticate(&dossier, at);
        let judgement = judge.conclude(&authenticated, &dossier, &memory, at);
        if let Ok(destination) = Destination::of(&authenticated) {
            for (key, seen) in to_remember(&destination, &dossier.observations, at) {
                let kept = self.seen.remove(&key).unwrap_or_default();
                self.seen.insert(key, keep(kept, &seen));
            }
        }
        if let Some(first) = first_seen(&judgement, &memory, at) {
            self.first_seen.insert(package.to_purl(), first);
        }
        if let Some(release) = &judgement.release {
            self.learn(&package, release);
        }
        if judgement.verdict.status.is_settled() || !self.dossiers.contains_key(&asked) {
            self.dossiers.insert(asked, dossier.clone());
        }
        Ok(Judged {
            verdict: judgement.verdict,
            case: Case::new(judge, dossier, memory, at),
        })
    }

    /// What is remembered of a version.
    pub fn memory(&self, package: &PackageVersion) -> Memory {
        let first_seen = self.first_seen.get(&package.to_purl());
        let mut history = self.releases.get(package.name().as_str()).cloned().unwrap_or_default();
        history.extend(self.beforehand.history.clone());
        history.sort_by_key(|release| std::cmp::Reverse(release.published_at));
        history.truncate(LIMIT);
        Memory {
            first_seen: first_seen.or(self.beforehand.first_seen.as_ref()).cloned(),
            history,
        }
    }

    /// What was seen of a run and a commit, by whatever version.
    fn recall(&self, destination: &Destination) -> Vec<Observation> {
        [destination.run_key(), destination.commit_key()]
            .into_iter()
            .flatten()
            .filter_map(|key| self.seen.get(&key))
            .flatten()
            .cloned()
            .collect()
    }

    fn learn(&mut self, package: &PackageVersion, release: &PastRelease) {
        let releases = self.releases.entry(package.name().as_str().to_owned()).or_default();
        releases.retain(|known| known.version != release.version);
        releases.push(release.clone());
    }
}
