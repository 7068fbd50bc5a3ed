//! Wrong answers from GitHub, each to each question about an honest release: nobody is accused, and nothing panics.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use hekate::check::CheckId;
use hekate::ecosystem::Upstreams;
use hekate::forge::github::BUDGET;
use hekate::history::PastRelease;
use hekate::package::Coordinate;
use hekate::ports::Memory;
use hekate::verdict::Status;
use hekate_tests::fetch::ScenarioFetch;
use hekate_tests::path::{Judged, no_address};
use hekate_tests::recollection::Recollection;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testbed::github::Approval;
use testbed::{Answer, BASE_TIME, Build, GitHub, Published, Release, Scenario, World};
use url::Url;

use crate::forge::{habit, minutes};
use crate::shape::{judge, outcome_of, over_http};

/// A question to GitHub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Endpoint {
    Run,
    Jobs,
    Repository,
    Commit,
    Compare,
    Tags,
    Pulls,
    Contents,
    Approvals,
    OlderRuns,
}

const ENDPOINTS: [Endpoint; 10] = [
    Endpoint::Run,
    Endpoint::Jobs,
    Endpoint::Repository,
    Endpoint::Commit,
    Endpoint::Compare,
    Endpoint::Tags,
    Endpoint::Pulls,
    Endpoint::Contents,
    Endpoint::Approvals,
    Endpoint::OlderRuns,
];

/// What is wrong with an answer.
#[derive(Clone)]
enum Wrong {
    /// It is this one.
    Is(Answer),
    /// It is a JSON document with this text.
    Text(&'static str),
    /// It is the beginning of the proper one, and claims to be all of it.
    Half,
    /// It leads round and round on the same host.
    Hops,
    /// It is the proper one but for this.
    Edited(fn(&mut Value)),
}

impl Endpoint {
    /// The part of a path that tells the question, and the part that tells another question with that part.
    fn parts(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Run => ("/attempts/", Some("/jobs?")),
            Self::Jobs => ("/jobs?", None),
            Self::Repository => ("/repositories/", None),
            Self::Commit => ("/commits/", Some("/pulls?")),
            Self::Compare => ("/compare/", None),
            Self::Tags => ("/tags?", None),
            Self::Pulls => ("/pulls?", None),
            Self::Contents => ("/contents/", None),
            Self::Approvals => ("/approvals", None),
            Self::OlderRuns => ("/workflows/", None),
        }
    }

    /// Whether a document answers this question, among those whose path has its part.
    fn is_answered_by(self, document: &Value) -> bool {
        match self {
            Self::Run => document.get("head_sha").is_some(),
            Self::Commit => document.get("sha").is_some(),
            Self::Jobs
            | Self::Repository
            | Self::Compare
            | Self::Tags
            | Self::Pulls
            | Self::Contents
            | Self::Approvals
            | Self::OlderRuns => true,
        }
    }

    /// The release that the question is asked about.
    fn releases(self) -> Vec<Release> {
        let older = Release::honest(NAME, "1.2.2").at(BASE_TIME - SignedDuration::from_hours(240));
        match self {
            // Only about a deployment is the question asked, and then no question is left for the manifest.
            Self::Approvals => vec![
                widget()
                    .build(|build| build.environment = Some("npm".to_owned()))
                    .run(|run| {
                        run.approvals.push(Approval {
                            environment: "npm".to_owned(),
                            state: "approved".to_owned(),
                            user: "alice".to_owned(),
                        });
                    }),
            ],
            // Only where neither a tag nor a pull request tells.
            Self::Compare => vec![
                widget()
                    .build(|build| build.from_branch("main"))
                    .repository(|repository| repository.pulls.clear()),
            ],
            // Only about a run that is missing.
            Self::OlderRuns => vec![older, widget().run(|run| run.purged = true)],
            Self::Run | Self::Jobs | Self::Repository | Self::Commit | Self::Tags | Self::Pulls | Self::Contents => {
                vec![widget()]
            }
        }
    }

    /// Answers about something else.
    fn about_something_else(self) -> Vec<Named> {
        match self {
            Self::Run => vec![
                ("another run", Wrong::Edited(|run| run["id"] = json!(1))),
                ("another attempt", Wrong::Edited(|run| run["run_attempt"] = json!(7))),
                ("an unknown status", Wrong::Edited(|run| run["status"] = json!("moon"))),
                (
                    "an unknown conclusion",
                    Wrong::Edited(|run| run["conclusion"] = json!("moon")),
                ),
                ("no conclusion", Wrong::Edited(|run| run["conclusion"] = Value::Null)),
                ("no actor", Wrong::Edited(|run| run["triggering_actor"] = Value::Null)),
                (
                    "no head repository",
                    Wrong::Edited(|run| run["head_repository"] = Value::Null),
                ),
                ("no repository", Wrong::Edited(|run| run["repository"] = Value::Null)),
            ],
            Self::Jobs => vec![
                ("jobs that are null", Wrong::Edited(|page| page["jobs"] = Value::Null)),
                (
                    "jobs of another shape",
                    Wrong::Edited(|page| page["jobs"] = json!([1, "x", null])),
                ),
                (
                    "no jobs",
                    Wrong::Edited(|page| *page = json!({"total_count": 0, "jobs": []})),
                ),
                (
                    "more jobs than there are",
                    Wrong::Edited(|page| page["total_count"] = json!(3000)),
                ),
                (
                    "steps that are null",
                    Wrong::Edited(|page| page["jobs"][0]["steps"] = Value::Null),
                ),
                ("no steps", Wrong::Edited(|page| page["jobs"][0]["steps"] = json!([]))),
                (
                    "an unknown job conclusion",
                    Wrong::Edited(|page| page["jobs"][0]["conclusion"] = json!("moon")),
                ),
            ],
            Self::Repository => vec![
                (
                    "another repository",
                    Wrong::Edited(|document| document["id"] = json!(1)),
                ),
                (
                    "no default branch",
                    Wrong::Edited(|document| document["default_branch"] = Value::Null),
                ),
                (
                    "a strange name",
                    Wrong::Edited(|document| document["full_name"] = json!("../../x?y#z")),
                ),
                (
                    "a strange default branch",
                    Wrong::Edited(|document| document["default_branch"] = json!("../../x?y#z")),
                ),
            ],
            Self::Commit => vec![
                (
                    "another commit",
                    Wrong::Edited(|document| document["sha"] = json!("0".repeat(40))),
                ),
                (
                    "no verification",
                    Wrong::Edited(|document| document["commit"]["verification"] = Value::Null),
                ),
                (
                    "files that are null",
                    Wrong::Edited(|document| document["files"] = Value::Null),
                ),
            ],
            Self::Compare => vec![(
                "an unknown status",
                Wrong::Edited(|document| document["status"] = json!("moon")),
            )],
            Self::Tags => vec![
                (
                    "tags of no commit",
                    Wrong::Edited(|list| list[0]["commit"] = Value::Null),
                ),
                (
                    "tags of other commits",
                    Wrong::Edited(|list| list[0]["commit"]["sha"] = json!("0".repeat(40))),
                ),
            ],
            Self::Pulls => vec![(
                "pull requests that are null",
                Wrong::Edited(|list| list[0] = Value::Null),
            )],
            Self::Contents => vec![],
            Self::Approvals => vec![(
                "an unknown state",
                Wrong::Edited(|list| list[0]["state"] = json!("moon")),
            )],
            Self::OlderRuns => vec![(
                "a count that is none",
                Wrong::Edited(|list| list["total_count"] = json!("x")),
            )],
        }
    }
}

const NAME: &str = "@acme/widget";

fn widget() -> Release {
    Release::honest(NAME, "1.2.3")
}

fn run_id() -> u64 {
    Build::for_package(NAME, "1.2.3").run_id
}

/// The wrong answers that any question may get.
fn wrong_answers() -> Vec<Named> {
    let status = |status| Wrong::Is(Answer::Status(status, None));
    vec![
        ("400", status(400)),
        ("401", status(401)),
        ("403", status(403)),
        ("403 with a wait", Wrong::Is(Answer::Status(403, Some(60)))),
        ("404", status(404)),
        ("410", status(410)),
        ("418", status(418)),
        ("422", status(422)),
        ("429", Wrong::Is(Answer::Status(429, Some(60)))),
        ("451", status(451)),
        ("500", status(500)),
        ("503 with a wait", Wrong::Is(Answer::Status(503, Some(60)))),
        (
            "301 to another host",
            Wrong::Is(Answer::RedirectTo("https://evil.example/".to_owned())),
        ),
        ("301 six times", Wrong::Hops),
        ("HTML", Wrong::Is(Answer::Html200)),
        ("an empty body", Wrong::Is(Answer::EmptyBody)),
        ("an answer that breaks off", Wrong::Is(Answer::Truncated)),
        ("a reset", Wrong::Is(Answer::Reset)),
        ("ten megabytes", Wrong::Is(Answer::Huge(10 << 20))),
        ("half a document", Wrong::Half),
        ("null", Wrong::Text("null")),
        ("[]", Wrong::Text("[]")),
        ("{}", Wrong::Text("{}")),
        ("7", Wrong::Text("7")),
        ("[[]]", Wrong::Text("[[]]")),
        ("a message", Wrong::Text(r#"{"message":"Server Error"}"#)),
        (
            "ids that are text",
            Wrong::Edited(|document| of_ids(document, &|id| json!(id.to_string()))),
        ),
        (
            "ids that are negative",
            Wrong::Edited(|document| of_ids(document, &|id| json!(-id))),
        ),
        (
            "ids that are no numbers",
            Wrong::Edited(|document| of_ids(document, &|_id| json!("seven"))),
        ),
        ("dates that are none", Wrong::Edited(without_dates)),
        ("dates that are null", Wrong::Edited(with_null_dates)),
    ]
}

/// Changes every id in a document.
fn of_ids(document: &mut Value, change: &dyn Fn(i64) -> Value) {
    match document {
        Value::Object(members) => {
            for (name, member) in members {
                let is_id = name == "id" || name == "number" || name.ends_with("_id");
                match member.as_i64().filter(|_| is_id) {
                    Some(id) => *member = change(id),
                    None => of_ids(member, change),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| of_ids(item, change)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn of_dates(document: &mut Value, replacement: &Value) {
    match document {
        Value::Object(members) => members.values_mut().for_each(|member| of_dates(member, replacement)),
        Value::Array(items) => items.iter_mut().for_each(|item| of_dates(item, replacement)),
        Value::String(text) if text.parse::<Timestamp>().is_ok() => *document = replacement.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn without_dates(document: &mut Value) {
    of_dates(document, &json!("yesterday"));
}

fn with_null_dates(document: &mut Value) {
    of_dates(document, &Value::Null);
}

/// Whether a cell of the table is left out, since what comes of it is another test's to say.
fn is_left_out(name: &str, has_a_habit: bool) -> bool {
    has_a_habit && name == "no jobs"
}

/// Lets GitHub answer a question wrongly.
fn bend(github: &mut GitHub, endpoint: Endpoint, wrong: &Wrong, half: &Answer) {
    let (part, but) = endpoint.parts();
    if let Some(but) = but {
        github.answer_for(but, Answer::Normal);
    }
    match wrong {
        Wrong::Is(answer) => github.answer_for(part, answer.clone()),
        Wrong::Text(text) => github.answer_for(part, document(text.as_bytes())),
        Wrong::Half => github.answer_for(part, half.clone()),
        Wrong::Hops => {
            for hop in 1..=6 {
                let next = format!("/github/hop/{}", hop + 1);
                github.answer_for(&format!("/hop/{hop}"), Answer::RedirectTo(next));
            }
            github.answer_for(part, Answer::RedirectTo("/github/hop/1".to_owned()));
        }
        Wrong::Edited(edit) => {
            let edit = *edit;
            github.edit(part, move |document| {
                if endpoint.is_answered_by(document) {
                    edit(document);
                }
            });
        }
    }
}

fn document(bytes: &[u8]) -> Answer {
    Answer::Body {
        status: 200,
        content_type: "application/json; charset=utf-8".to_owned(),
        bytes: bytes.to_vec(),
    }
}

/// A wrong answer with its name.
type Named = (&'static str, Wrong);

/// The honest supply chain in which a question is asked.
struct Chain {
    published: Vec<Published>,
    /// The beginning of the proper answer.
    half: Answer,
}

impl Chain {
    fn of(endpoint: Endpoint) -> Self {
        let releases = endpoint.releases();
        let published: Vec<_> = releases
            .iter()
            .map(|release| release.publish(&World::shared()))
            .collect();
        let build = Build::for_package(NAME, "1.2.3");
        let (repository, commit) = (&build.repository, &build.commit);
        let below = match endpoint {
            Endpoint::Run => format!("actions/runs/{}/attempts/1", run_id()),
            Endpoint::Jobs => format!("actions/runs/{}/attempts/1/jobs?per_page=100", run_id()),
            Endpoint::Repository => String::new(),
            Endpoint::Commit => format!("commits/{commit}"),
            Endpoint::Compare => format!("compare/main...{commit}"),
            Endpoint::Tags => "tags?per_page=100".to_owned(),
            Endpoint::Pulls => format!("commits/{commit}/pulls?per_page=10"),
            Endpoint::Contents => format!("contents/package.json?ref={commit}"),
            Endpoint::Approvals => format!("actions/runs/{}/approvals", run_id()),
            Endpoint::OlderRuns => "actions/workflows/publish.yml/runs".to_owned(),
        };
        let mut chain = Self {
            published,
            half: Answer::Normal,
        };
        let reply = chain
            .scenario()
            .github_response(format!("/repos/{repository}/{below}").trim_end_matches('/'));
        let bytes = reply.bytes().unwrap();
        assert_eq!(reply.status, 200, "{endpoint:?}");
        chain.half = document(&bytes[..bytes.len() / 2]);
        chain
    }

    fn scenario(&self) -> Scenario {
        self.published
            .iter()
            .cloned()
            .fold(Scenario::new(), Scenario::published)
    }
}

/// Two hours after the release: a run that is missing then may have been purged.
fn now() -> Timestamp {
    minutes(120)
}

fn coordinate() -> Coordinate {
    "npm:@acme/widget@1.2.3".parse().unwrap()
}

async fn look(scenario: &Arc<Scenario>, recollection: &mut Recollection, at: Timestamp) -> Judged {
    let fetch = ScenarioFetch::new(Arc::clone(scenario));
    let looked = recollection
        .look(&judge(), &fetch, &no_address(), &coordinate(), at)
        .await;
    looked.unwrap()
}

/// The memory of somebody who knows earlier releases like this one, or none.
fn recollection(endpoint: Endpoint, has_a_habit: bool) -> Recollection {
    let from_main = |past: &mut PastRelease| {
        if endpoint == Endpoint::Compare {
            past.trigger = Some("push".to_owned());
            past.r#ref = Some("refs/heads/main".to_owned());
            past.commit_through_pull_request = None;
        }
    };
    let history = if has_a_habit { habit(3, from_main) } else { Vec::new() };
    Recollection::beginning_with(Memory {
        history,
        ..Memory::default()
    })
}

/// Every question with every wrong answer to it.
fn cells() -> Vec<(Endpoint, Chain, Vec<Named>)> {
    let cells = |endpoint: Endpoint| {
        let answers = [wrong_answers(), endpoint.about_something_else()].concat();
        (endpoint, Chain::of(endpoint), answers)
    };
    ENDPOINTS.into_iter().map(cells).collect()
}

fn is_accepted(judged: &Judged) -> bool {
    matches!(judged.verdict.status, Status::Verified | Status::Attested)
}

/// What differs from the honest verdict.
fn differences(judged: &Judged, honest: &Judged) -> String {
    let mut text = String::new();
    for &check in CheckId::ALL {
        let outcome = outcome_of(judged, check);
        if outcome != outcome_of(honest, check) {
            write!(text, "\n        {:24} {outcome:?}", check.as_str()).unwrap();
        }
    }
    text
}

#[tokio::test]
async fn no_wrong_answer_accuses_anybody() {
    let mut table = String::new();
    for (endpoint, chain, answers) in cells() {
        let honest = look(&Arc::new(chain.scenario()), &mut Recollection::default(), now()).await;
        let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (name, wrong) in &answers {
            // 1. At a first look, with and without a history.
            for has_a_habit in [true, false] {
                if is_left_out(name, has_a_habit) {
                    continue;
                }
                let scenario = Arc::new(chain.scenario());
                bend(&mut scenario.github(), endpoint, wrong, &chain.half);
                let judged = look(&scenario, &mut recollection(endpoint, has_a_habit), now()).await;
                let listed = crate::shape::listed(&judged);
                assert!(
                    is_accepted(&judged),
                    "{endpoint:?}: {name}: {}\n{listed}",
                    judged.verdict.status
                );
                if !has_a_habit {
                    let group = format!("{}{}", judged.verdict.status, differences(&judged, &honest));
                    groups.entry(group).or_default().push(name);
                }
            }
            // 2. After a look at which all was well.
            let scenario = Arc::new(chain.scenario());
            let mut recollection = recollection(endpoint, false);
            look(&scenario, &mut recollection, now()).await;
            bend(&mut scenario.github(), endpoint, wrong, &chain.half);
            let judged = look(&scenario, &mut recollection, now() + SignedDuration::from_hours(1)).await;
            assert!(
                is_accepted(&judged),
                "{endpoint:?}: {name}, seen before: {}",
                judged.verdict.status
            );
        }
        writeln!(table, "{endpoint:?}, {} by an honest answer", honest.verdict.status).unwrap();
        for (group, names) in groups {
            writeln!(table, "    {}: {group}", names.join(", ")).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_answer_is_read_alike_over_http() {
    let (judge, fetch) = (judge(), over_http());
    for (endpoint, chain, answers) in cells() {
        for (name, wrong) in &answers {
            let scenario = Arc::new(chain.scenario());
            bend(&mut scenario.github(), endpoint, wrong, &chain.half);
            let expected = look(&scenario, &mut Recollection::default(), now()).await;
            let scenario = chain.scenario();
            bend(&mut scenario.github(), endpoint, wrong, &chain.half);
            let served = scenario.serve().await.unwrap();
            let upstreams = Upstreams {
                npm_feed: None,
                npm: Url::parse(&served.npm_url()).unwrap(),
                github: Url::parse(&served.github_url()).unwrap(),
                ..no_address()
            };
            let mut recollection = Recollection::default();
            let looked = recollection
                .look(&judge, &fetch, &upstreams, &coordinate(), now())
                .await;
            let judged = looked.unwrap();
            let calls = served.github_paths().len();
            assert!(calls <= BUDGET, "{endpoint:?}: {name}: {calls} requests");
            let differences = differences(&judged, &expected);
            assert!(differences.is_empty(), "{endpoint:?}: {name}:{differences}");
            assert_eq!(judged.verdict.status, expected.verdict.status, "{endpoint:?}: {name}");
        }
    }
}

/// What went wrong once is asked again: nobody stays `attested` for an answer that GitHub has long corrected.
#[tokio::test]
async fn a_wrong_answer_is_forgotten_when_all_is_well_again() {
    let mut stuck = Vec::new();
    for (endpoint, chain, answers) in cells() {
        let honest = look(&Arc::new(chain.scenario()), &mut Recollection::default(), now()).await;
        for (name, wrong) in &answers {
            let scenario = Arc::new(chain.scenario());
            let mut recollection = Recollection::default();
            bend(&mut scenario.github(), endpoint, wrong, &chain.half);
            look(&scenario, &mut recollection, now()).await;
            {
                let mut github = scenario.github();
                github.answers.clear();
                github.edits.clear();
            }
            let judged = look(&scenario, &mut recollection, now() + SignedDuration::from_hours(1)).await;
            if judged.verdict.status != honest.verdict.status {
                let differences = differences(&judged, &honest);
                stuck.push(format!("{endpoint:?}: {name}: {}{differences}", judged.verdict.status));
            }
        }
    }
    assert!(stuck.is_empty(), "{}", stuck.join("\n"));
}
