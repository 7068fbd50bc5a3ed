//! What every party of a supply chain does.

use crate::{
    Answer, GitHub, Homebrew, Party, Published, Pypi, PypiPublished, PypiRelease, Release, Reply, Request, Served,
    World, encoding::pem, github::Origin, npm::Npm,
};
use serde_json::Value;
use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A supply chain with what was released in it. Parties that are not mentioned are honest and have nothing.
#[derive(Debug)]
pub struct Scenario {
    world: World,
    npm: Mutex<Npm>,
    pypi: Mutex<Pypi>,
    homebrew: Mutex<Homebrew>,
    rekor: Answer,
    github: Mutex<GitHub>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self::new()
    }
}

impl Scenario {
    /// An empty scenario in the shared world.
    pub fn new() -> Self {
        Self::in_world(&World::shared())
    }

    /// An empty scenario in `world`.
    pub fn in_world(world: &World) -> Self {
        Self {
            world: world.clone(),
            npm: Mutex::new(Npm::new(world.npm_keys_endpoint())),
            pypi: Mutex::default(),
            homebrew: Mutex::default(),
            rekor: Answer::Normal,
            github: Mutex::default(),
        }
    }

    /// The world that the scenario plays in.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// Releases something, with the repository, the commit and the run on GitHub that it comes from. The order is that of
    /// the registry: a later release moves npm's dist-tag.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a scenario reads as a list of what was released"
    )]
    pub fn release(self, release: impl Releasable) -> Self {
        self.publish(&release);
        self
    }

    /// Adds a release while the scenario is in use.
    pub fn publish(&self, release: &impl Releasable) {
        release.release_in(self);
    }

    /// Adds a release that was made already.
    #[must_use]
    pub fn published(self, release: impl Releasable) -> Self {
        self.release(release)
    }

    /// Leaves on GitHub what releases come from.
    pub(crate) fn leave(&self, origins: &[Origin]) {
        let mut github = self.github();
        for origin in origins {
            github.add(origin);
        }
    }

    /// How npm answers every request.
    #[must_use]
    pub fn npm_answer(self, answer: Answer) -> Self {
        self.npm().answer = answer;
        self
    }

    /// How npm answers for its keys.
    #[must_use]
    pub fn npm_keys_answer(self, answer: Answer) -> Self {
        self.npm().keys_answer = answer;
        self
    }

    /// How the logs answer every request.
    #[must_use]
    pub fn rekor_answer(mut self, answer: Answer) -> Self {
        self.rekor = answer;
        self
    }

    /// What was published as `name` and `version` on npm.
    pub fn npm_release(&self, name: &str, version: &str) -> Option<Arc<Published>> {
        self.npm().published(name, version).cloned()
    }

    /// npm, to change it: before it is served, and between two looks while it is.
    ///
    /// Nobody is answered while the guard is held.
    pub fn npm(&self) -> MutexGuard<'_, Npm> {
        self.npm.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// PyPI, to change it: before it is served, and between two looks while it is.
    ///
    /// Nobody is answered while the guard is held.
    pub fn pypi(&self) -> MutexGuard<'_, Pypi> {
        self.pypi.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// GitHub, to change it: before it is served, and between two looks while it is.
    ///
    /// Nobody is answered while the guard is held.
    pub fn github(&self) -> MutexGuard<'_, GitHub> {
        self.github.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// GitHub's reply to a plain `GET` of `path`, without a socket.
    pub fn github_response(&self, path: &str) -> Reply {
        self.github_reply(&Request::get(path))
    }

    /// GitHub's reply to `request`, without a socket.
    pub fn github_reply(&self, request: &Request) -> Reply {
        self.github().respond(request)
    }

    /// npm's reply to a plain `GET` of `path`, without a socket.
    pub fn npm_response(&self, path: &str) -> Reply {
        self.npm_reply(&Request::get(path))
    }

    /// npm's reply to `request`, without a socket.
    pub fn npm_reply(&self, request: &Request) -> Reply {
        self.npm().respond(request)
    }

    /// The reply of npm's feed of changes to a plain `GET` of `path` below the feed's own, without a socket.
    pub fn npm_feed_response(&self, path: &str) -> Reply {
        self.npm_feed_reply(&Request::get(path))
    }

    /// The reply of npm's feed of changes to `request`, whose path is below the feed's own, without a socket.
    pub fn npm_feed_reply(&self, request: &Request) -> Reply {
        self.npm().respond_feed(request)
    }

    /// PyPI's reply to a plain `GET` of `path`, without a socket.
    pub fn pypi_response(&self, path: &str) -> Reply {
        self.pypi_reply(&Request::get(path))
    }

    /// PyPI's reply to `request`, without a socket.
    pub fn pypi_reply(&self, request: &Request) -> Reply {
        self.pypi().respond(request)
    }

    /// Homebrew, to change it: before it is served, and between two looks while it is.
    ///
    /// Nobody is answered while the guard is held.
    pub fn homebrew(&self) -> MutexGuard<'_, Homebrew> {
        self.homebrew.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The reply of Homebrew's formula API to a plain `GET` of `path`, without a socket.
    pub fn homebrew_response(&self, path: &str) -> Reply {
        self.reply(Party::Homebrew, &Request::get(path))
    }

    /// The logs' reply to a plain `GET` of `path`, without a socket.
    pub fn rekor_response(&self, path: &str) -> Reply {
        self.rekor_reply(&Request::get(path))
    }

    /// The logs' reply to `request`: the first generation below `/api/v1`, the second below `/api/v2`.
    ///
    /// The search index of the first generation knows digests only: those of the statement and of its subjects.
    pub fn rekor_reply(&self, request: &Request) -> Reply {
        self.rekor
            .reply(0, || self.log_resource(request).unwrap_or_else(Reply::not_found))
    }

    fn log_resource(&self, request: &Request) -> Option<Reply> {
        let path = request.path.as_str();
        if let Some(resource) = path.strip_prefix("/api/v2/") {
            let content_type = if resource == "checkpoint" {
                "text/plain"
            } else {
                "application/octet-stream"
            };
            return Some(Reply::bytes_of(content_type, self.world.rekor_v2.resource(resource)?));
        }
        let log = &self.world.rekor_v1;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let number = |name: &str| {
            let value = query
                .split('&')
                .filter_map(|pair| pair.split_once('='))
                .find(|(key, _)| *key == name)?;
            value.1.parse().ok()
        };
        match path {
            "/api/v1/log" => Some(Reply::json(&log.info())),
            "/api/v1/log/publicKey" => Some(Reply::bytes_of(
                "application/x-pem-file",
                pem("PUBLIC KEY", log.spki()).into_bytes(),
            )),
            "/api/v1/log/proof" => Some(Reply::json(
                &log.consistency(number("firstSize").unwrap_or(1), number("lastSize")?)?,
            )),
            "/api/v1/index/retrieve" => {
                let query: Value = serde_json::from_slice(&request.body).ok()?;
                let hash = query.get("hash")?.as_str()?;
                Some(Reply::json(&log.search(hash).into()))
            }
            "/api/v1/log/entries" => Some(Reply::json(&log.entry(number("logIndex")?)?)),
            _ => Some(Reply::json(
                &log.entry_by_uuid(path.strip_prefix("/api/v1/log/entries/")?)?,
            )),
        }
    }

    /// The reply of a party to `request`, without a socket.
    pub fn reply(&self, party: Party, request: &Request) -> Reply {
        match party {
            Party::Npm => self.npm_reply(request),
            Party::NpmFeed => self.npm_feed_reply(request),
            Party::Rekor => self.rekor_reply(request),
            Party::GitHub => self.github_reply(request),
            Party::Pypi => self.pypi_reply(request),
            Party::Homebrew => self.homebrew().respond(request),
            Party::Bottles => self.homebrew().respond_bottles(request),
        }
    }

    /// Writes `trusted_root.json`, `trusted_root.github.json` and `npm-keys.json` into `directory`.
    pub fn write_trust(&self, directory: &Path) -> io::Result<()> {
        self.world.write_trust(directory)
    }

    /// Serves every party on a loopback port until the result is dropped. Needs a Tokio runtime.
    pub async fn serve(self) -> io::Result<Served> {
        Served::start(Arc::new(self)).await
    }
}

/// What can be released in a scenario: a release of whatever ecosystem, or one with everything that was made for it.
pub trait Releasable {
    /// Leaves it, and what it comes from, with the parties of the scenario.
    fn release_in(&self, scenario: &Scenario);
}

impl Releasable for Release {
    fn release_in(&self, scenario: &Scenario) {
        self.publish(scenario.world()).release_in(scenario);
    }
}

impl Releasable for Published {
    fn release_in(&self, scenario: &Scenario) {
        scenario.leave(std::slice::from_ref(&self.origin));
        scenario.npm().publish(self.clone());
    }
}

impl Releasable for PypiRelease {
    fn release_in(&self, scenario: &Scenario) {
        self.publish(scenario.world()).release_in(scenario);
    }
}

impl Releasable for PypiPublished {
    fn release_in(&self, scenario: &Scenario) {
        scenario.leave(&self.origins);
        scenario.pypi().publish(self.clone());
    }
}
