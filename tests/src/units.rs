//! How many requests and units of DynamoDB each kind of work takes.
//!
//! The work is done by the product's own service on an AWS inside the process ([`cloud`](crate::cloud)), for releases of the
//! usual size: a watched npm package with a provenance, three earlier releases, a run and a commit; and in a batch, as of a
//! lockfile, versions of packages that nobody watches or has asked about, with a dozen earlier releases each: some with a
//! provenance, and some without attestations. The units are those that the emulation reports, which charges as AWS does
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html>): a strongly consistent read
//! takes one for each 4 KB, an eventually consistent one half, a write one for each 1 KB, in a transaction two, and a write of
//! the index is one more.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, PoisonError};

use anyhow::{Context as _, Result, ensure};
use hekate::adapters::pem::PemSigner;
use hekate::package::PackageVersion;
use hekate::ports::{Target, VerdictStore as _, WatchStore as _, WorkItem, WorkReason};
use hekate::verdict::Status;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testbed::keys::P256Key;
use testbed::{BASE_TIME, Release, Scenario, dependency};

use crate::cloud::{Cloud, Spent};
use crate::deployment::{Deployment, shared_judge};
use crate::fetch::ScenarioFetch;

const PACKAGE: &str = "@acme/widget";
const PURL: &str = "pkg:npm/%40acme/widget";
const BATCH: &str = "0123456789abcdef0123456789abcdef";

/// How many versions the batch has.
const HANDED_IN: usize = 500;

/// How many packages of it are there, every other one with a provenance.
const DEPENDENCIES: usize = 2 * (AT_ONCE + 1);

/// How many messages one event has.
const AT_ONCE: usize = 10;

/// What of it is looked at: how many versions in one event, whether they have a provenance, and the name of that work.
const IN_BATCH: [(usize, bool, &str); 3] = [
    (AT_ONCE, true, "ten versions of a batch, first verdicts"),
    (
        AT_ONCE,
        false,
        "ten versions of a batch without attestations, first verdicts",
    ),
    (1, true, "a version of a batch alone, first verdict"),
];

/// What one piece of work took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Taken {
    /// The name of the work.
    pub work: &'static str,
    /// How many requests there were, by operation.
    pub requests: BTreeMap<String, u64>,
    /// Read request units.
    pub reads: f64,
    /// Write request units, those of the index included.
    pub writes: f64,
    /// Write request units of the index.
    pub index_writes: f64,
}

impl Taken {
    fn by(work: &'static str, spent: &[Spent]) -> Self {
        let mut taken = Self {
            work,
            ..Self::default()
        };
        for request in spent {
            *taken.requests.entry(request.operation.clone()).or_default() += 1;
            taken.reads += request.reads;
            taken.writes += request.writes;
            taken.index_writes += request.index_writes;
        }
        taken
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        json!({
            "work": self.work,
            "requests": self.requests,
            "readUnits": self.reads,
            "writeUnits": self.writes,
            "indexWriteUnits": self.index_writes,
        })
    }
}

/// All of it as a table for people.
pub fn text(all: &[Taken]) -> String {
    let mut text = format!(
        "{:60} {:>8} {:>8} {:>8} {:>8}\n",
        "work", "requests", "reads", "writes", "of index"
    );
    for taken in all {
        let requests: u64 = taken.requests.values().sum();
        let (reads, writes, index) = (taken.reads, taken.writes, taken.index_writes);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{:60} {requests:>8} {reads:>8.1} {writes:>8.1} {index:>8.1}",
            taken.work
        );
    }
    text
}

/// All of it as JSON, for what computes costs.
pub fn json(all: &[Taken]) -> Value {
    json!({ "units": all.iter().map(Taken::json).collect::<Vec<_>>() })
}

fn day(days: i64) -> Timestamp {
    BASE_TIME + SignedDuration::from_hours(24 * days)
}

fn version(text: &str) -> Result<PackageVersion> {
    Ok(format!("{PURL}@{text}").parse()?)
}

/// The releases of which there is work.
fn scenario() -> Scenario {
    let mut scenario = Scenario::new();
    for (text, days) in [("1.0.0", -60), ("1.1.0", -50), ("1.2.0", -40), ("1.3.0", -20)] {
        scenario = scenario.release(Release::honest(PACKAGE, text).at(day(days)));
    }
    for release in (0..DEPENDENCIES).flat_map(dependency) {
        scenario = scenario.release(release);
    }
    scenario
}

/// Does each kind of work once, and counts.
pub async fn measure() -> Result<Vec<Taken>> {
    let scenario = Arc::new(scenario());
    let fetch = Arc::new(ScenarioFetch::new(Arc::clone(&scenario)).with_token("token"));
    let cloud = Cloud::start(0.0).await?;
    let mut deployment = Deployment::new(Arc::clone(&cloud), fetch, shared_judge()?)?;
    let signer = PemSigner::new(&P256Key::generate().pkcs8_pem())?;
    deployment.service.signing.signer = Some(Arc::new(signer));
    let deployment = deployment;
    let (service, store) = (&deployment.service, cloud.store());
    let mut all = Vec::new();
    let mut count = |work| {
        let taken = Taken::by(work, &cloud.take_spent());
        all.push(taken);
    };

    // The package is watched, as most that are looked at again are.
    let entry = store.watch(&PURL.parse()?, day(-30)).await?;
    ensure!(
        store.handed_over(&entry, Some(day(-20)), day(1)).await?,
        "nobody else is there"
    );
    service.verdict(&version("1.2.0")?.into(), false, day(-25)).await?;
    cloud.take_spent();

    let package = version("1.3.0")?;
    let look = |reason, at| WorkItem::new(Target::Version(package.clone()), reason, at);
    work(&deployment, &look(WorkReason::Sweep, day(-3)), day(-3)).await?;
    count("a first verdict");
    let verdict = service.verdict(&package.clone().into(), false, day(-3)).await?.verdict;
    count("a verdict that is remembered");
    ensure!(verdict.status.as_str() == "verified", "{}", verdict.status);
    for signed in ["a verdict that is signed", "a verdict that was signed before"] {
        let verdict = service.verdict(&package.clone().into(), false, day(-3)).await?.verdict;
        service.testify(&verdict).await?;
        count(signed);
    }
    work(&deployment, &look(WorkReason::Recheck, day(-2)), day(-2)).await?;
    count("another look that changes nothing");
    ensure!(
        scenario.npm().replace_tarball(PACKAGE, "1.3.0", |bytes| bytes.push(0)),
        "the release is there"
    );
    work(&deployment, &look(WorkReason::Recheck, day(-1)), day(-1)).await?;
    count("another look that changes the verdict");

    let purls = (0..DEPENDENCIES).filter_map(|number| Some(dependency(number).last()?.purl()));
    let mut handed_in: Vec<PackageVersion> = purls.map(|purl| purl.parse()).collect::<Result<_, _>>()?;
    let dependencies = handed_in.clone();
    for number in DEPENDENCIES..HANDED_IN {
        handed_in.push(format!("pkg:npm/dependency-{number}@1.{number}.0").parse()?);
    }
    deployment.set_now(day(0));
    service.create_batch(BATCH.to_owned(), &handed_in, day(0)).await?;
    count("a batch of 500 that is handed in");
    // Its messages are counted one by one, or ten by ten.
    cloud.queue.lock().unwrap_or_else(PoisonError::into_inner).clear();
    let of_batch = |package: &PackageVersion| WorkItem {
        batch: Some(BATCH.to_owned()),
        ..WorkItem::new(Target::Version(package.clone()), WorkReason::Batch, day(0))
    };
    let (mut attested, mut unattested) = (
        dependencies.iter().step_by(2),
        dependencies.get(1..).unwrap_or_default().iter().step_by(2),
    );
    let mut last = Vec::new();
    for (size, is_attested, name) in IN_BATCH {
        let (packages, status) = if is_attested {
            (attested.by_ref(), Status::Verified)
        } else {
            (unattested.by_ref(), Status::Unattested)
        };
        let packages: Vec<&PackageVersion> = packages.take(size).collect();
        last = packages.iter().map(|package| of_batch(package)).collect();
        work_on(&deployment, &last, day(0)).await?;
        count(name);
        for package in packages {
            let verdict = store.current(package).await?.context("it is recorded")?;
            ensure!(verdict.status == status, "{package} is {}", verdict.status);
        }
        cloud.take_spent();
    }
    work_on(&deployment, &last, day(0)).await?;
    count("a version of a batch alone, remembered");
    service.sweep(day(0)).await?;
    cloud.take_spent();
    service.sweep(day(0)).await?;
    count("a sweep with nothing to do");
    Ok(all)
}

async fn work(deployment: &Deployment, item: &WorkItem, now: Timestamp) -> Result<()> {
    work_on(deployment, std::slice::from_ref(item), now).await
}

/// Works on these messages, in one event.
async fn work_on(deployment: &Deployment, items: &[WorkItem], now: Timestamp) -> Result<()> {
    deployment.send(items, now)?;
    let delivered = deployment.deliver(now, None).await?.context("the messages are there")?;
    ensure!(
        delivered.messages == items.len() && delivered.returned == 0,
        "{delivered:?}"
    );
    Ok(())
}
