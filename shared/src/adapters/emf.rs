//! Measurements as CloudWatch metrics, through the log.
//!
//! A line in CloudWatch's embedded metric format (EMF,
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>) on a
//! function's standard output becomes metrics without a request and without a permission of its own.
//!
//! Each combination of a metric's name and its dimensions' values is a metric that is paid for. So nothing that the outside
//! world can make up is a dimension: only the function's name, the ecosystem, the status, the kind of poison and
//! the agreement with peers are.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::network::PeerAgreement;
use crate::ports::{Measurement, Meter};

/// The namespace of all metrics.
pub const NAMESPACE: &str = "Hekate";

/// The dimension that every metric has: the name of the function, which tells the stacks of an account apart.
const FUNCTION: &str = "Function";

/// Counts nothing: local mode has no metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unmeasured;

impl Meter for Unmeasured {
    fn measure_all(&self, _measurements: &[Measurement], _at: Timestamp) {}
}

/// Writes each measurement as one line, and those that come together and are about the same as one.
///
/// Invocations of one process may write at once: a line is handed over whole, under a lock.
pub struct EmfMeter {
    function: String,
    lines: Mutex<Box<dyn Write + Send>>,
}

impl EmfMeter {
    /// Writes lines about the function of this name.
    pub fn new(function: String, lines: Box<dyn Write + Send>) -> Self {
        Self {
            function,
            lines: Mutex::new(lines),
        }
    }
}

impl Meter for EmfMeter {
    fn measure_all(&self, measurements: &[Measurement], at: Timestamp) {
        let mut text = String::new();
        for document in documents(&self.function, measurements, at) {
            text.push_str(&document.to_string());
            text.push('\n');
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(fault) = lines.write_all(text.as_bytes()).and_then(|()| lines.flush()) {
            tracing::warn!(error = %fault, "measurements were not written");
        }
    }
}

/// One metric: its name, its unit and its value.
type Metric = (&'static str, &'static str, Value);

/// Metrics that share their dimensions: those besides the function's name. Each metric is there once without and, if there are
/// any, once with all of them.
struct Group {
    by: Vec<(&'static str, &'static str)>,
    metrics: Vec<Metric>,
}

fn count(name: &'static str, value: impl Into<Value>) -> Metric {
    (name, "Count", value.into())
}

fn groups(measurement: &Measurement) -> Vec<Group> {
    let plain = |metrics| {
        vec![Group {
            by: Vec::new(),
            metrics,
        }]
    };
    match measurement {
        Measurement::Verdict {
            ecosystem,
            status,
            took,
            asked,
        } => {
            let ecosystem = ("Ecosystem", ecosystem.purl_type());
            // Milliseconds of a look fit by far.
            let took = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            vec![
                Group {
                    by: vec![ecosystem, ("Status", status.as_str())],
                    metrics: vec![count("VerdictsMade", 1)],
                },
                Group {
                    by: vec![ecosystem],
                    metrics: vec![
                        ("VerdictDuration", "Milliseconds", took.into()),
                        count("UpstreamRequests", *asked),
                    ],
                },
            ]
        }
        Measurement::CachedAnswer { ecosystem } => vec![Group {
            by: vec![("Ecosystem", ecosystem.purl_type())],
            metrics: vec![count("CachedAnswers", 1)],
        }],
        Measurement::MessagesReturned(messages) => plain(vec![count("MessagesReturned", *messages)]),
        Measurement::MessageHopeless => plain(vec![count("MessagesHopeless", 1)]),
        Measurement::MessagePoison(poison) => vec![Group {
            by: vec![("Reason", poison.as_str())],
            metrics: vec![count("MessagesPoison", 1)],
        }],
        Measurement::Sweep { tasks, troubles } => {
            plain(vec![count("SweepTasks", *tasks), count("SweepTroubles", *troubles)])
        }
        Measurement::OldestDue(age) => plain(vec![("OldestDueAge", "Seconds", age.as_secs().max(0).into())]),
        Measurement::Comparison(agreement) => {
            let compared = Group {
                by: vec![("Agreement", agreement.as_str())],
                metrics: vec![count("PeerComparisons", 1)],
            };
            let is_split = *agreement == PeerAgreement::SplitView;
            let split = is_split.then(|| plain(vec![count("SplitViews", 1)]));
            [compared].into_iter().chain(split.into_iter().flatten()).collect()
        }
        Measurement::Announcements { delivered, owed } => plain(vec![
            count("AnnouncementsDelivered", *delivered),
            count("AnnouncementsOwed", *owed),
        ]),
    }
}

/// The most values of a metric in one line, by the specification.
const VALUES: usize = 100;

/// A line for all measurements that have the same dimensions, in the order of the first of each.
fn documents(function: &str, measurements: &[Measurement], at: Timestamp) -> Vec<Value> {
    let mut alike: Vec<Vec<Vec<Group>>> = Vec::new();
    for groups in measurements.iter().map(groups) {
        let is_alike = |others: &&mut Vec<Vec<Group>>| {
            others.len() < VALUES && others.first().is_some_and(|first| are_alike(first, &groups))
        };
        match alike.iter_mut().find(is_alike) {
            Some(others) => others.push(groups),
            None => alike.push(vec![groups]),
        }
    }
    alike.iter().map(|alike| document(function, alike, at)).collect()
}

/// Whether two measurements can share a line: the same metrics with the same dimensions.
fn are_alike(one: &[Group], other: &[Group]) -> bool {
    let names = |group: &Group| group.metrics.iter().map(|(name, _, _)| *name).collect::<Vec<_>>();
    let mut pairs = one.iter().zip(other);
    one.len() == other.len() && pairs.all(|(one, other)| one.by == other.by && names(one) == names(other))
}

/// The line: "the root node MUST be an object with a member `_aws`"; dimensions and metrics are named there, and their values
/// are members beside it, those of several measurements as a list.
fn document(function: &str, alike: &[Vec<Group>], at: Timestamp) -> Value {
    let mut members = Map::new();
    members.insert(FUNCTION.to_owned(), function.into());
    let mut directives = Vec::new();
    for Group { by, metrics } in alike.first().into_iter().flatten() {
        let mut sets = vec![vec![FUNCTION]];
        if !by.is_empty() {
            sets.push([FUNCTION].into_iter().chain(by.iter().map(|(name, _)| *name)).collect());
        }
        let named: Vec<Value> = metrics
            .iter()
            .map(|(name, unit, _)| json!({ "Name": name, "Unit": unit }))
            .collect();
        directives.push(json!({ "Namespace": NAMESPACE, "Dimensions": sets, "Metrics": named }));
        members.extend(by.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())));
    }
    let mut values: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (name, _, value) in alike.iter().flatten().flat_map(|group| &group.metrics) {
        values.entry(name).or_default().push(value.clone());
    }
    for (name, mut values) in values {
        let value = match values.pop() {
            Some(only) if values.is_empty() => only,
            last => values.into_iter().chain(last).collect(),
        };
        members.insert(name.to_owned(), value);
    }
    let metadata = json!({ "Timestamp": at.as_millisecond(), "CloudWatchMetrics": directives });
    members.insert("_aws".to_owned(), metadata);
    Value::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecosystem::Ecosystem;
    use crate::verdict::Status;

    #[test]
    fn a_verdict_is_one_line_with_its_counts_under_the_function_and_under_what_it_is_about() {
        let measurement = Measurement::Verdict {
            ecosystem: Ecosystem::Npm,
            status: Status::Verified,
            took: std::time::Duration::from_millis(1500),
            asked: 11,
        };
        let at: Timestamp = "2026-11-22T10:00:00.5Z".parse().unwrap();
        assert_eq!(
            documents("stack-Worker-1", &[measurement], at),
            [json!({
                "_aws": {
                    "Timestamp": 1_795_341_600_500_i64,
                    "CloudWatchMetrics": [
                        {
                            "Namespace": "Hekate",
                            "Dimensions": [["Function"], ["Function", "Ecosystem", "Status"]],
                            "Metrics": [{ "Name": "VerdictsMade", "Unit": "Count" }],
                        },
                        {
                            "Namespace": "Hekate",
                            "Dimensions": [["Function"], ["Function", "Ecosystem"]],
                            "Metrics": [
                                { "Name": "VerdictDuration", "Unit": "Milliseconds" },
                                { "Name": "UpstreamRequests", "Unit": "Count" },
                            ],
                        },
                    ],
                },
                "Function": "stack-Worker-1",
                "Ecosystem": "npm",
                "Status": "verified",
                "VerdictsMade": 1,
                "VerdictDuration": 1500,
                "UpstreamRequests": 11,
            })]
        );
    }

    #[test]
    fn measurements_that_come_together_share_a_line_where_they_are_about_the_same() {
        let verdict = |status, took| Measurement::Verdict {
            ecosystem: Ecosystem::Npm,
            status,
            took: std::time::Duration::from_millis(took),
            asked: 11,
        };
        let lines = documents(
            "f",
            &[
                verdict(Status::Verified, 1),
                Measurement::MessageHopeless,
                verdict(Status::Unattested, 2),
                verdict(Status::Verified, 3),
            ],
            Timestamp::UNIX_EPOCH,
        );
        let of = |line: usize, name: &str| lines[line][name].clone();
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert_eq!(
            (of(0, "Status"), of(0, "VerdictDuration")),
            (json!("verified"), json!([1, 3]))
        );
        assert_eq!(
            (of(0, "VerdictsMade"), of(0, "UpstreamRequests")),
            (json!([1, 1]), json!([11, 11]))
        );
        assert_eq!(of(1, "MessagesHopeless"), 1);
        assert_eq!(
            (of(2, "Status"), of(2, "VerdictDuration")),
            (json!("unattested"), json!(2))
        );

        let many = vec![verdict(Status::Verified, 1); VALUES + 1];
        let lines = documents("f", &many, Timestamp::UNIX_EPOCH);
        let lengths: Vec<Option<usize>> = lines
            .iter()
            .map(|line| line["VerdictsMade"].as_array().map(Vec::len))
            .collect();
        assert_eq!(lengths, [Some(VALUES), None], "and the last one alone");
    }

    #[test]
    fn what_is_due_in_the_future_is_not_late() {
        let early = Measurement::OldestDue(jiff::SignedDuration::from_secs(-5));
        assert_eq!(documents("f", &[early], Timestamp::UNIX_EPOCH)[0]["OldestDueAge"], 0);
    }
}
