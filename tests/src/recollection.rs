//! What a verifier remembers from look to look, held in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use hekate::authenticate::AuthenticatedRelease;
use hekate::dossier::{Dossier, Observation, Scope, keep};
use hekate::ecosystem::{self, Look, LookFault, Upstreams};
use hekate::forge::github::{Destination, to_remember};
use hekate::history::{LIMIT, PastRelease, SIBLINGS};
use hekate::package::{Coordinate, PackageVersion};
use hekate::ports::{Fetch, FirstSeen, Memory, Sibling};
use hekate::verifier::{Case, Judge, first_seen, publisher, supplement};
use jiff::{SignedDuration, Timestamp};

use crate::path::{Judged, look_again};

/// How long after a publication others of the same publisher are part of the same burst.
const SOON: SignedDuration = SignedDuration::from_mins(30);

/// What is remembered of a repository with this id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Run(String, u64, u64),
    Commit(String, String),
}

impl Key {
    fn scope(&self) -> Scope {
        match self {
            Self::Run(..) => Scope::Run,
            Self::Commit(..) => Scope::Commit,
        }
    }
}

/// By what it is remembered where a certificate leads.
fn keys(destination: &Destination) -> impl Iterator<Item = Key> + use<> {
    let key = destination.trace_key();
    let run = key
        .as_ref()
        .map(|key| Key::Run(key.repository.clone(), key.run, key.attempt));
    let commit = key.and_then(|key| Some(Key::Commit(key.repository, key.commit?)));
    run.into_iter().chain(commit)
}

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
    /// What each publisher released.
    published: BTreeMap<String, Vec<Sibling>>,
    dossiers: BTreeMap<String, Dossier>,
    seen: HashMap<Key, Vec<Observation>>,
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
        let authenticated = judge.authenticate(&dossier, at);
        let published_at = authenticated.published_at();
        let look = Look {
            fetch,
            upstreams,
            at,
            previous: None,
        };
        let known = self.known(&package);
        let back = ecosystem::look_back(&dossier, &look, &known).await;
        let (mut before, is_complete) = judge.timeline(&authenticated, &back, at);
        before.retain(|release| !known.contains(&release.version));
        self.fill(&package, &before);
        let mut memory = self.memory(&package, published_at);
        supplement(&mut memory, self.described(&authenticated), is_complete);
        let by = publisher(&authenticated).zip(published_at);
        if let Some((by, at)) = &by {
            memory.siblings = self.published_by(by, *at + SOON);
        }
        let judgement = judge.conclude(&authenticated, &dossier, &memory, at);
        for destination in Destination::all_of(&authenticated) {
            for seen in to_remember(&destination, &dossier, at) {
                let scope = Scope::of(seen.subject);
                for key in keys(&destination).filter(|key| scope == Some(key.scope())) {
                    let kept = self.seen.remove(&key).unwrap_or_default();
                    self.seen.insert(key, keep(kept, std::slice::from_ref(&seen)));
                }
            }
        }
        if let Some(first) = first_seen(&judgement, &memory, at) {
            self.first_seen.insert(package.to_purl(), first);
        }
        if let Some(release) = &judgement.release {
            self.learn(&package, release);
        }
        if let Some((by, published_at)) = by {
            let siblings = self.published.entry(by).or_default();
            siblings.retain(|sibling| sibling.package != package);
            siblings.push(Sibling {
                package: package.clone(),
                published_at,
            });
        }
        if judgement.verdict.status.is_settled() || !self.dossiers.contains_key(&asked) {
            self.dossiers.insert(asked, dossier.clone());
        }
        Ok(Judged {
            verdict: judgement.verdict,
            case: Case::new(judge, dossier, memory, at),
        })
    }

    /// What is remembered of a version that was published at this time, but for what its publisher released.
    pub fn memory(&self, package: &PackageVersion, until: Option<Timestamp>) -> Memory {
        let first_seen = self.first_seen.get(&package.to_purl());
        let mut history = self.releases.get(package.name().as_str()).cloned().unwrap_or_default();
        history.extend(self.beforehand.history.clone());
        history.retain(|release| until.is_none_or(|until| release.published_at <= until));
        history.sort_by_key(|release| std::cmp::Reverse(release.published_at));
        let mut accepted = BTreeMap::<bool, usize>::new();
        history.retain(|release| {
            let channel = package.ecosystem().channel(&release.version);
            let count = accepted.entry(channel.is_stable()).or_default();
            *count += usize::from(release.accepted);
            *count <= LIMIT
        });
        Memory {
            first_seen: first_seen.or(self.beforehand.first_seen.as_ref()).cloned(),
            history,
            ..self.beforehand.clone()
        }
    }

    /// What a publisher released until then, newest first.
    fn published_by(&self, publisher: &str, until: Timestamp) -> Vec<Sibling> {
        let mut siblings = self.published.get(publisher).cloned().unwrap_or_default();
        siblings.extend(self.beforehand.siblings.clone());
        siblings.retain(|sibling| sibling.published_at <= until);
        siblings.sort_by_key(|sibling| std::cmp::Reverse(sibling.published_at));
        siblings.truncate(SIBLINGS);
        siblings
    }

    /// The versions of the package of which something is remembered.
    fn known(&self, package: &PackageVersion) -> BTreeSet<String> {
        let releases = self.releases.get(package.name().as_str());
        let known = releases.into_iter().flatten().chain(&self.beforehand.history);
        known.map(|release| release.version.clone()).collect()
    }

    /// What is remembered of the versions that the registry describes.
    fn described(&self, authenticated: &AuthenticatedRelease) -> Vec<PastRelease> {
        let metadata = authenticated.metadata();
        let described = |release: &&PastRelease| {
            metadata.is_some_and(|metadata| {
                let mut earlier = metadata.earlier.iter();
                earlier.any(|other| other.described.is_some() && other.version == release.version)
            })
        };
        let package = authenticated
            .artifacts
            .first()
            .map(|artifact| &artifact.release.package);
        let releases = package.and_then(|package| self.releases.get(package.name().as_str()));
        releases.into_iter().flatten().filter(described).cloned().collect()
    }

    /// Enters releases of which nothing is known yet.
    fn fill(&mut self, package: &PackageVersion, before: &[PastRelease]) {
        let releases = self.releases.entry(package.name().as_str().to_owned()).or_default();
        releases.extend(before.iter().cloned());
    }

    /// What was seen of a run and a commit, by whatever version.
    fn recall(&self, destination: &Destination) -> Vec<Observation> {
        keys(destination)
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
