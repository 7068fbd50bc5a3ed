//! The world of the year: what is published and changed in it, and how it answers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};
use testbed::github::{Person, Run};
use testbed::{Body, Party, Publisher, Quota, Release, Reply, Request, Universe};

use super::chance::Chance;
use super::ledger::{Ledger, Upstream};
use super::population::{Act, Attack, Pipeline, Planned, Population, Project};
use super::weather::{Affected, Manner, Weather};
use super::{HOUR, Plan, SECOND};
use crate::fetch::Parties;

/// How many questions GitHub answers in an hour.
pub const QUOTA: u64 = 5_000;
/// How often a single request fails by itself.
const HICCUPS: f64 = 0.004;
/// Among how many releases the others of a run are: somebody else may release something at the same moment.
const NEXT: usize = 100;
/// How long the two steps take that every run has after the publication.
const REST: SignedDuration = SignedDuration::from_secs(2);

/// What happens after a publication.
#[derive(Clone, Debug)]
enum Event {
    /// A run ends that was in progress.
    RunEnds(u64, Box<Run>),
    /// A tag is pushed.
    Tagged(u64, String, String),
    /// A run is deleted.
    RunDeleted(u64, u64),
    /// The retention ends of a repository's runs that were created before then.
    Forgotten(u64, Timestamp),
    /// A version is taken back.
    Removed(String, String),
    /// A package is taken back.
    Withdrawn(String),
    /// Other bytes are served.
    Swapped(String, String),
    /// A repository gets another name.
    Renamed(u64, String),
}

/// The world.
pub struct Earth {
    /// Who releases what.
    pub population: Population,
    /// What is out of order when.
    pub weather: Weather,
    /// The names of all packages.
    names: BTreeSet<String>,
    authorities: testbed::World,
    chance: Chance,
    state: Mutex<State>,
    ledger: Mutex<Ledger>,
}

struct State {
    /// The time to which everything has happened.
    now: Timestamp,
    /// How many releases were published.
    published: usize,
    universe: Universe,
    /// What will happen: when, in which order, and what.
    events: BinaryHeap<(Reverse<Timestamp>, Reverse<u64>)>,
    what: BTreeMap<u64, Event>,
    scheduled: u64,
    /// The runs that go on to publish other packages, as they will have been.
    whole: BTreeMap<u64, Run>,
    /// The documents of packages as npm last served them for each media type, until something is released or taken back.
    documents: BTreeMap<String, Vec<(Option<String>, Reply)>>,
    /// How often each question was asked, for what fails by itself.
    asked: u64,
    /// For how long releases were made, in real time.
    making: Duration,
}

impl Earth {
    /// The world before the first release.
    pub fn new(plan: &Plan) -> Self {
        let authorities = testbed::World::generate();
        let population = Population::plan(plan);
        let mut state = State {
            now: Timestamp::MIN,
            published: 0,
            universe: Universe::in_world(&authorities),
            events: BinaryHeap::new(),
            what: BTreeMap::new(),
            scheduled: 0,
            whole: BTreeMap::new(),
            documents: BTreeMap::new(),
            asked: 0,
            making: Duration::ZERO,
        };
        for project in &population.projects {
            if let Some((at, name)) = &project.renamed {
                state.schedule(*at, Event::Renamed(project.id, name.clone()));
            }
        }
        for (package, at) in &population.withdrawn {
            if let Some(package) = population.packages.get(*package) {
                state.schedule(*at, Event::Withdrawn(package.name.clone()));
            }
        }
        Self {
            weather: Weather::plan(plan),
            chance: Chance::new(plan.seed).of("earth"),
            authorities,
            names: population.packages.iter().map(|package| package.name.clone()).collect(),
            population,
            state: Mutex::new(state),
            ledger: Mutex::default(),
        }
    }

    /// The keys of everybody.
    pub fn authorities(&self) -> &testbed::World {
        &self.authorities
    }

    /// The book of what happened.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For how long releases were made so far, in real time, and how many.
    pub fn making(&self) -> (Duration, usize) {
        let state = self.state();
        (state.making, state.published)
    }

    /// Where npm's feed ends.
    pub fn feed_end(&self) -> u64 {
        let mut state = self.state();
        state.universe.npm().feed_rows().last().map_or(0, |row| row.seq)
    }

    /// When something happens next.
    pub fn next_at(&self) -> Option<Timestamp> {
        let state = self.state();
        let release = self.population.releases.get(state.published).map(|release| release.at);
        let event = state.events.peek().map(|(Reverse(at), _)| *at);
        release.into_iter().chain(event).min()
    }

    /// Lets everything happen until a time, in its order.
    pub fn advance(&self, to: Timestamp) {
        let mut state = self.state();
        loop {
            let event = state.events.peek().map(|(Reverse(at), _)| *at).filter(|at| *at <= to);
            let release = self
                .population
                .releases
                .get(state.published)
                .filter(|release| release.at <= to);
            match (release, event) {
                (Some(release), event) if event.is_none_or(|at| release.at <= at) => {
                    state.published += 1;
                    let next = self.population.releases.get(state.published..).unwrap_or_default();
                    let goes_on = release.run.is_some() && next.iter().take(NEXT).any(|next| next.run == release.run);
                    self.publish(&mut state, release, goes_on);
                }
                (_, Some(_)) => state.happen(),
                (_, None) => break,
            }
        }
        state.now = to;
    }

    /// Publishes a release. Its run may go on afterwards, and release other packages.
    fn publish(&self, state: &mut State, planned: &Planned, goes_on: bool) {
        let begin = Instant::now();
        let project = self.population.project(planned);
        let made = self.release(planned, project).publish(&self.authorities);
        state.making += begin.elapsed();
        let name = self.population.name(planned).to_owned();
        let at = planned.at;
        state.documents.remove(&name);
        let run = run_id(planned, &name);
        if let Some(project) = project {
            state.show_whole(project.id, run);
        }
        state.universe.publish(made);
        if let Some(project) = project.filter(|_| goes_on) {
            state.show_unfinished(project.id, run, at);
        }
        if let Some(after) = planned.removed_after {
            state.schedule(at + after, Event::Removed(name.clone(), planned.version.clone()));
        }
        if let Some(after) = planned.swapped_after {
            state.schedule(at + after, Event::Swapped(name.clone(), planned.version.clone()));
        }
        let Some(project) = project.filter(|_| planned.leaves_a_run()) else {
            return;
        };
        if let Some(after) = planned.run_ends_after {
            state.keep_running(project.id, run, at, after);
        }
        if let Some(after) = planned.run_deleted_after {
            state.schedule(at + after, Event::RunDeleted(project.id, run));
        }
        // A clean-up comes along every few hours.
        state.schedule(
            at + project.retention + HOUR * 3,
            Event::Forgotten(project.id, at + SECOND),
        );
        if let (Pipeline::Branches, Some(after)) = (project.pipeline, project.tags_after) {
            let tag = match planned.run {
                Some(_) => format!("{name}@{}", planned.version),
                None => format!("v{}", planned.version),
            };
            let is_attack = matches!(planned.act, Act::Attack(Attack::ThrowAwayBranch | Attack::Comment));
            if !is_attack {
                state.schedule(at + after, Event::Tagged(project.id, tag, commit_of(planned, &name)));
            }
        }
    }

    /// The release as it is made.
    fn release(&self, planned: &Planned, project: Option<&Project>) -> Release {
        let name = self.population.name(planned);
        // The registry publishes three seconds after the provenance is logged.
        let release = Release::honest(name, &planned.version).at(planned.at - SECOND * 3);
        let maintainer = Publisher {
            name: format!("maintainer-{}", planned.package),
            email: format!("maintainer-{}@example.com", planned.package),
            ..Publisher::maintainer()
        };
        let (_, _, is_prerelease) = planned.line;
        let release = match (is_prerelease, planned.is_backport) {
            (true, _) => release.tag("next"),
            (false, true) => release.tag("previous"),
            (false, false) => release,
        };
        let Some(project) = project else {
            return by_hand(release, maintainer);
        };
        let release = from_project(release, planned, project, name);
        match planned.act {
            Act::ByHand | Act::Lapse => by_hand(release, maintainer),
            Act::Pipeline => release,
            Act::Attack(attack) => match attack {
                Attack::Token | Attack::TokenOnOldLine | Attack::TokenOnUnattestedLine | Attack::NeverAttested => {
                    by_hand(release, maintainer)
                }
                Attack::SwappedTarball => release,
                Attack::OtherBytes => release.statement(|statement| {
                    if let Some(digest) = statement.pointer_mut("/subject/0/digest/sha512") {
                        *digest = hex_of_other_bytes().into();
                    }
                }),
                Attack::StolenIdentity => release.run(|run| run.skip_publish_and_sign_in("Run npm test")),
                Attack::ThrowAwayBranch => {
                    let branch = format!("snapshot-{:04x}", planned.at.as_second() & 0xffff);
                    let gone = branch.clone();
                    pushed_by_an_attacker(release.build(|build| build.from_branch(&branch))).repository(
                        move |repository| {
                            repository.branches.remove(&gone);
                        },
                    )
                }
                Attack::Comment => pushed_by_an_attacker(release.build(|build| {
                    build.from_branch("main");
                    "issue_comment".clone_into(&mut build.event);
                })),
            },
        }
    }

    /// What a party answers that is in order, or the trouble that there is.
    fn reply(&self, upstream: Upstream, request: &Request, proper: impl FnOnce(&mut State) -> Reply) -> Reply {
        let mut state = self.state();
        let now = state.now;
        self.ledger().asked(upstream, now);
        let affected = match upstream {
            Upstream::Npm | Upstream::NpmFeed => Affected::Npm,
            Upstream::GitHub => Affected::GitHub,
            Upstream::Rekor => Affected::Rekor,
        };
        let note_trouble = || {
            if upstream == Upstream::GitHub {
                self.ledger().github_is_in_trouble(now);
            }
        };
        if let Some(manner) = self.weather.upstream_outage(affected, now) {
            note_trouble();
            // GitHub shows no pages to tell people from machines.
            return trouble(match (upstream, manner) {
                (Upstream::GitHub, Manner::Challenge) => Manner::Unavailable,
                (_, manner) => manner,
            });
        }
        state.asked += 1;
        let path = &request.path;
        if self
            .chance
            .of(&format!("{now} {path} {}", state.asked))
            .happens(HICCUPS)
        {
            note_trouble();
            return trouble(Manner::Unavailable);
        }
        proper(&mut state)
    }

    /// The quota is that of the hour, and told in every answer.
    fn github(&self, request: &Request) -> Reply {
        self.reply(Upstream::GitHub, request, |state| {
            let hour = state.now.as_second().div_euclid(3600);
            let reset = Timestamp::from_second((hour + 1) * 3600).unwrap_or(state.now);
            let quota = state.universe.quota.get_or_insert(Quota {
                limit: QUOTA,
                remaining: QUOTA,
                reset,
            });
            if quota.reset != reset {
                (quota.remaining, quota.reset) = (QUOTA, reset);
            }
            let reply = state.universe.github_reply(request);
            self.note_run(&request.path, &reply, state.now);
            reply
        })
    }

    /// Every run that is shown is written down.
    fn note_run(&self, path: &str, reply: &Reply, now: Timestamp) {
        let mut ledger = self.ledger();
        let refused = reply.status == 403 && reply.header("x-ratelimit-remaining") == Some("0");
        ledger.refused += u64::from(refused);
        if refused {
            ledger.github_is_in_trouble(now);
        }
        ledger.free += u64::from(reply.status == 304);
        let id = path
            .split_once("/actions/runs/")
            .and_then(|(_, rest)| rest.split('/').next()?.parse().ok());
        if let (Some(id), 200 | 304) = (id, reply.status) {
            ledger.shown_runs.entry(id).or_insert(now);
        }
    }
}

impl Parties for Earth {
    fn reply(&self, party: Party, request: &Request) -> Reply {
        match party {
            Party::Npm => self.reply(Upstream::Npm, request, |state| {
                let path = request.path.trim_start_matches('/');
                let name = path.replace("%2f", "/").replace("%40", "@");
                if self.names.contains(&name) {
                    state.document(&name, request)
                } else {
                    state.universe.npm_reply(request)
                }
            }),
            Party::NpmFeed => self.reply(Upstream::NpmFeed, request, |state| {
                state.universe.npm_feed_reply(request)
            }),
            Party::GitHub => self.github(request),
            // Nobody in this world publishes there.
            Party::Rekor | Party::Pypi | Party::Homebrew | Party::Bottles => trouble(Manner::Unavailable),
        }
    }
}

impl State {
    fn schedule(&mut self, at: Timestamp, event: Event) {
        self.scheduled += 1;
        self.events.push((Reverse(at), Reverse(self.scheduled)));
        self.what.insert(self.scheduled, event);
    }

    /// Lets the next event happen.
    fn happen(&mut self) {
        let Some((_, Reverse(number))) = self.events.pop() else {
            return;
        };
        let universe = &mut self.universe;
        match self.what.remove(&number) {
            Some(Event::RunEnds(project, ended)) => {
                if let Some(run) = run_mut(universe, project, ended.id, ended.attempt) {
                    let purged = run.purged;
                    *run = Run { purged, ..*ended };
                }
            }
            Some(Event::Tagged(project, tag, commit)) => {
                let forge = universe.forge(project);
                let repository = forge.and_then(|forge| forge.repositories.first_mut());
                if let Some(repository) = repository {
                    repository.tag(&tag, &commit);
                }
            }
            Some(Event::RunDeleted(project, run)) => {
                if let Some(forge) = universe.forge(project) {
                    forge.purge_run(run);
                }
            }
            Some(Event::Forgotten(project, before)) => universe.purge_runs_before(project, before),
            Some(Event::Removed(name, version)) => {
                self.documents.remove(&name);
                universe.npm().unpublish(&name, &version);
            }
            Some(Event::Withdrawn(name)) => {
                self.documents.remove(&name);
                universe.npm().unpublish_package(&name);
            }
            Some(Event::Swapped(name, version)) => {
                // Another valid archive: what comes after the end of the last member is of no account.
                universe.npm().replace_tarball(&name, &version, |bytes| {
                    if let Some(byte) = bytes.get_mut(9) {
                        *byte ^= 0xfc;
                    }
                });
            }
            Some(Event::Renamed(project, name)) => {
                universe.rename(project, &name);
            }
            None => {}
        }
    }

    /// The document of a package. It has thousands of lines where there are many versions, and is asked for every day.
    fn document(&mut self, name: &str, request: &Request) -> Reply {
        let known = self.documents.entry(name.to_owned()).or_default();
        if known.iter().all(|(accept, _reply)| *accept != request.accept) {
            let unconditional = Request {
                if_none_match: None,
                ..request.clone()
            };
            known.push((request.accept.clone(), self.universe.npm_reply(&unconditional)));
        }
        match known.iter().find(|(accept, _reply)| *accept == request.accept) {
            Some((_accept, reply)) if reply.is_known_to(request) => reply.not_modified(),
            Some((_accept, reply)) => reply.clone(),
            None => self.universe.npm_reply(request),
        }
    }

    /// Shows a run as it was at the time of one publication, since there are others to come.
    fn show_unfinished(&mut self, project: u64, id: u64, at: Timestamp) {
        if let Some(run) = run_mut(&mut self.universe, project, id, 1) {
            self.whole.insert(id, run.clone());
            run.in_progress_at(at - REST);
        }
    }

    /// Shows a run again as it will have been when it has ended.
    fn show_whole(&mut self, project: u64, id: u64) {
        let whole = self.whole.remove(&id);
        if let (Some(whole), Some(run)) = (whole, run_mut(&mut self.universe, project, id, 1)) {
            let purged = run.purged;
            *run = Run { purged, ..whole };
        }
    }

    /// Shows a run as it was at the time of the publication, until it ends.
    fn keep_running(&mut self, project: u64, id: u64, at: Timestamp, rest: SignedDuration) {
        let Some(forge) = self.universe.forge(project) else {
            return;
        };
        let mut runs = forge
            .repositories
            .iter_mut()
            .flat_map(|repository| &mut repository.runs);
        let Some(run) = runs.find(|run| run.id == id && run.attempt == run.attempts) else {
            return;
        };
        let mut ended = run.clone();
        let end = at + rest;
        ended.updated_at = end;
        for job in &mut ended.jobs {
            job.completed_at = Some(end);
            if let Some(step) = job.steps.last_mut() {
                step.completed_at = Some(end);
            }
        }
        run.in_progress_at(at - REST);
        self.schedule(end + REST, Event::RunEnds(project, Box::new(ended)));
    }
}

impl Planned {
    /// Whether the pipeline ran for it.
    pub fn leaves_a_run(&self) -> bool {
        match self.act {
            Act::Pipeline => true,
            Act::ByHand | Act::Lapse => false,
            Act::Attack(attack) => match attack {
                Attack::Token | Attack::TokenOnOldLine | Attack::TokenOnUnattestedLine | Attack::NeverAttested => false,
                Attack::StolenIdentity
                | Attack::ThrowAwayBranch
                | Attack::Comment
                | Attack::SwappedTarball
                | Attack::OtherBytes => true,
            },
        }
    }
}

/// Published by a maintainer's token; nothing is left on GitHub.
fn by_hand(release: Release, maintainer: Publisher) -> Release {
    release
        .unattested()
        .published_by(maintainer)
        .build(|build| "elsewhere".clone_into(&mut build.repository_id))
}

/// Built by the project's pipeline, in its ways.
fn from_project(release: Release, planned: &Planned, project: &Project, name: &str) -> Release {
    let (major, _, is_prerelease) = planned.line;
    let commit = commit_of(planned, name);
    let run = run_id(planned, name);
    let mut release = release.build(|build| {
        project.name_at(planned.at).clone_into(&mut build.repository);
        build.repository_id = project.id.to_string();
        build.owner_id = (project.id - 400_000_000).to_string();
        build.commit.clone_from(&commit);
        build.workflow_commit.clone_from(&commit);
        build.run_id = run;
        if planned.second_attempt {
            build.run_attempt = 2;
        }
        if project.environment {
            build.environment = Some("npm".to_owned());
        }
        if project.workflow_moved.is_some_and(|moved| moved <= planned.at) {
            ".github/workflows/release.yml".clone_into(&mut build.workflow_path);
        }
        match project.pipeline {
            Pipeline::Tags => {}
            Pipeline::Branches if is_prerelease => build.from_branch("next"),
            Pipeline::Branches if planned.is_backport => build.from_branch(&format!("{major}.x")),
            Pipeline::Branches => build.from_branch("main"),
        }
    });
    if planned.fails_afterwards {
        release = release.run(Run::fail_after_publish);
    }
    if project.reviews { release } else { unreviewed(release) }
}

/// Nobody signed the commit, and no pull request brought it.
fn unreviewed(release: Release) -> Release {
    let mut built = String::new();
    release
        .build(|build| built.clone_from(&build.commit))
        .commit(|commit| {
            commit.unsigned();
            commit.author = Person::account("alice", "alice@example.com");
            commit.committer = Person::account("alice", "alice@example.com");
        })
        .repository(move |repository| {
            repository
                .pulls
                .retain(|pull| pull.merge_commit.as_ref() != Some(&built));
        })
}

/// A commit that nobody reviewed and nobody signed, whatever the project does.
fn pushed_by_an_attacker(release: Release) -> Release {
    unreviewed(release)
}

/// The commit of a release: that of the run, where a run publishes several packages.
fn commit_of(planned: &Planned, name: &str) -> String {
    let seed = planned
        .run
        .map_or_else(|| format!("{name}@{}", planned.version), |run| format!("run {run}"));
    let hash = Sha256::digest(seed.as_bytes());
    hexadecimal(hash.iter().take(20))
}

/// The number of the run of a release.
pub fn run_id(planned: &Planned, name: &str) -> u64 {
    let hash = Sha256::digest(commit_of(planned, name).as_bytes());
    let folded = hash
        .iter()
        .take(4)
        .fold(0_u64, |folded, byte| folded << 8 | u64::from(*byte));
    10_000_000_000 + folded
}

fn run_mut(universe: &mut Universe, project: u64, id: u64, attempt: u32) -> Option<&mut Run> {
    let repositories = universe.forge(project)?.repositories.iter_mut();
    let mut runs = repositories.flat_map(|repository| &mut repository.runs);
    runs.find(|run| run.id == id && run.attempt == attempt)
}

fn hex_of_other_bytes() -> String {
    let hash = sha2::Sha512::digest(b"other bytes");
    hexadecimal(hash.iter())
}

fn trouble(manner: Manner) -> Reply {
    let answer = match manner {
        Manner::Unavailable => (503, Body::Bytes(Vec::new()), None),
        Manner::Silent => (503, Body::Reset, None),
        Manner::TooMany => (429, Body::Bytes(Vec::new()), Some(("retry-after", "120"))),
        Manner::Challenge => (
            403,
            Body::Bytes(b"<!doctype html><title>Just a moment...</title>".to_vec()),
            None,
        ),
    };
    let (status, body, header) = answer;
    Reply {
        status,
        headers: header
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        body,
    }
}

fn hexadecimal<'a>(bytes: impl Iterator<Item = &'a u8>) -> String {
    use std::fmt::Write as _;
    bytes.fold(String::new(), |mut text, byte| {
        // Writing to a text never fails.
        let _written = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_publishes_several_packages_is_shown_in_progress_until_the_last_is_out() {
        let earth = Earth::new(&Plan::new(2, 40, 600, 120));
        let releases = &earth.population.releases;
        let first = releases
            .iter()
            .find(|first| first.run.is_some() && releases.iter().filter(|other| other.run == first.run).count() > 2)
            .unwrap();
        let together: Vec<&Planned> = releases.iter().filter(|other| other.run == first.run).collect();
        let project = earth.population.project(first).unwrap().id;
        let id = run_id(first, earth.population.name(first));
        let shown = |at| {
            earth.advance(at);
            run_mut(&mut earth.state().universe, project, id, 1).unwrap().clone()
        };
        let (last, others) = together.split_last().unwrap();
        for other in others {
            let run = shown(other.at);
            assert_eq!((run.status.as_str(), run.conclusion), ("in_progress", None));
        }
        let mut run = shown(last.at);
        assert_eq!(
            (run.status.as_str(), run.conclusion.as_deref()),
            ("completed", Some("success"))
        );
        let step = run.publish_step_mut();
        for release in together {
            let signed_at = release.at - SECOND * 3;
            assert!(step.started_at.unwrap() < signed_at && signed_at < step.completed_at.unwrap());
        }
    }
}
