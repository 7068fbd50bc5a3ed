//! What holds of every release on PyPI: no order matters, nothing is not an attestation, no file makes another better, and no
//! wrong answer accuses anybody.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use hekate::check::{CheckId, Finding};
use hekate::dossier::{Answer, Body, Dossier, Kept, Subject};
use hekate::ecosystem::LookFault;
use hekate::package::{Coordinate, Ecosystem};
use hekate::verdict::{Decision, Status, Verdict};
use hekate_tests::fetch::{Parties, ScenarioFetch};
use hekate_tests::path::{Judged, no_address};
use hekate_tests::recollection::Recollection;
use jiff::SignedDuration;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};
use testbed::{Build, Party, PypiFile, PypiPredicate, PypiPublished, PypiRelease, Reply, Scenario, World};

use crate::forge::minutes;
use crate::shape::{judge, listed, now, on_pypi};
use crate::theorems::{cases, comparable, runs, said, shuffled, silence};

/// What came of every shape of PyPI.
fn on_the_index() -> &'static [&'static (&'static str, Judged)] {
    static CASES: OnceLock<Vec<&'static (&'static str, Judged)>> = OnceLock::new();
    CASES.get_or_init(|| {
        let is_pypi = |(_, judged): &&(&str, Judged)| judged.case.dossier.package.ecosystem() == Ecosystem::PyPi;
        cases().iter().filter(is_pypi).collect()
    })
}

fn widget() -> PypiRelease {
    PypiRelease::honest("Acme.Widget", "1.2.3")
}

async fn judged(release: PypiRelease) -> Judged {
    on_pypi(release).judged_without_sockets().await.unwrap()
}

/// The same by somebody who has looked before: each look follows one run of those that a release comes from.
async fn judged_after_looks(release: PypiRelease) -> Judged {
    let looks = on_pypi(release).seen_at(minutes(30)).seen_at(minutes(40));
    looks.judged_without_sockets().await.unwrap()
}

/// Changes the documents that were kept of a question; says whether there were any.
fn edit_documents(dossier: &mut Dossier, subject: Subject, edit: &mut dyn FnMut(&mut Value)) -> bool {
    let mut edited = false;
    for observation in dossier.observations.iter_mut().filter(|one| one.subject == subject) {
        let Answer::Answered(response) = &mut observation.answer else {
            continue;
        };
        let (Kept::Whole { body: Body(bytes) } | Kept::Excerpt { body: Body(bytes) }) = &mut response.kept else {
            continue;
        };
        if let Ok(mut document) = serde_json::from_slice::<Value>(bytes) {
            edit(&mut document);
            *bytes = document.to_string().into_bytes();
            edited = true;
        }
    }
    edited
}

fn shuffle(list: Option<&mut Value>, seed: u64) {
    if let Some(items) = list.and_then(Value::as_array_mut) {
        shuffled(items, seed);
    }
}

/// Bundles of a provenance object.
fn bundles(provenance: &mut Value) -> Option<&mut Vec<Value>> {
    provenance.get_mut("attestation_bundles")?.as_array_mut()
}

/// Every bundle once for each of its attestations, so that there are bundles to put into another order.
fn each_by_itself(provenance: &mut Value) {
    let Some(bundles) = bundles(provenance) else { return };
    let split = |bundle: &Value| match bundle["attestations"].as_array() {
        Some(attestations) if !attestations.is_empty() => {
            let alone = |attestation: &Value| json!({"publisher": bundle["publisher"], "attestations": [attestation]});
            attestations.iter().map(alone).collect()
        }
        Some(_) | None => vec![bundle.clone()],
    };
    *bundles = bundles.iter().flat_map(split).collect();
}

proptest! {
    #![proptest_config(runs(96))]

    /// In the order of observations, of files and versions in the index, of bundles, and of attestations in a bundle.
    #[test]
    fn any_order_of_files_bundles_and_attestations_gives_the_same_verdict(shape in any::<Index>(), seed in any::<u64>()) {
        let (name, judged) = shape.get(on_the_index());
        let mut case = judged.case.clone();
        let is_listed = edit_documents(&mut case.dossier, Subject::PackageIndex, &mut |index| {
            shuffle(index.get_mut("files"), seed);
            shuffle(index.get_mut("versions"), seed);
        });
        prop_assert!(is_listed || judged.verdict.status == Status::Indeterminate, "{}", name);
        edit_documents(&mut case.dossier, Subject::Attestations, &mut |provenance| {
            if seed % 2 == 0 {
                each_by_itself(provenance);
            }
            for bundle in bundles(provenance).into_iter().flatten() {
                shuffle(bundle.get_mut("attestations"), seed);
            }
            shuffle(provenance.get_mut("attestation_bundles"), seed);
        });
        shuffled(&mut case.dossier.observations, seed);
        prop_assert_eq!(comparable(case.replay().unwrap()), comparable(judged.verdict.clone()), "{}", name);
    }

    /// One question about one file that is not answered hides what was wrong with it, and proves nothing.
    #[test]
    fn silence_about_one_file_never_makes_a_release_better(
        shape in any::<Index>(),
        question in any::<Index>(),
        reason in proptest::sample::select(&crate::theorems::REASONS[..]),
    ) {
        let (name, judged) = shape.get(on_the_index());
        let mut case = judged.case.clone();
        let asked = question.get_mut(&mut case.dossier.observations);
        prop_assume!(!asked.subject.is_of_the_trace());
        asked.answer = silence(reason);
        let (subject, about) = (asked.subject, asked.about.clone());
        let status = case.replay().unwrap().status;
        let is_no_better = status <= judged.verdict.status || status < Status::Unattested;
        prop_assert!(is_no_better, "{} without {:?} of {}: {} became {}", name, subject, about, judged.verdict.status, status);
    }
}

/// An authentic attestation of a kind that is not evaluated, in a bundle of its own.
fn stranger() -> Value {
    let review = widget()
        .statement(|statement| statement["predicateType"] = json!("https://example.com/review/v1"))
        .publish(&World::shared());
    let provenance = review.files[0].provenance.clone().unwrap();
    provenance["attestation_bundles"][0].clone()
}

#[test]
fn an_attestation_of_a_kind_that_is_not_evaluated_changes_nothing_on_pypi() {
    let stranger = stranger();
    let mut tried = 0;
    for (name, judged) in on_the_index() {
        for first in [true, false] {
            let mut case = judged.case.clone();
            let mut is_among_others = false;
            edit_documents(&mut case.dossier, Subject::Attestations, &mut |provenance| {
                let Some(bundles) = bundles(provenance) else { return };
                // Where there was nothing, there would be something that is not evaluated.
                let has_some = |bundle: &Value| bundle["attestations"].as_array().is_some_and(|list| !list.is_empty());
                if bundles.iter().any(has_some) {
                    bundles.insert(if first { 0 } else { bundles.len() }, stranger.clone());
                    is_among_others = true;
                }
            });
            if !is_among_others {
                continue;
            }
            let verdict = case.replay().unwrap();
            assert_eq!(verdict.status, judged.verdict.status, "{name}");
            assert_eq!(verdict.decided_by, judged.verdict.decided_by, "{name}");
            assert_eq!(said(&verdict), said(&judged.verdict), "{name}");
            tried += 1;
        }
    }
    assert!(tried > 40, "{tried}");
}

#[test]
fn the_status_of_a_release_is_the_worst_of_its_files_and_follows_from_the_findings() {
    let mut several = 0;
    for (name, judged) in on_the_index() {
        let verdict = &judged.verdict;
        let own = Decision {
            status: verdict.status,
            decided_by: verdict.decided_by.clone(),
        };
        assert_eq!(Decision::from_findings(&verdict.findings), own, "{name}");
        if verdict.artifacts.is_empty() {
            continue;
        }
        let of_each = verdict.artifacts.iter().map(|file| Decision {
            status: file.status,
            decided_by: file.decided_by.clone(),
        });
        assert_eq!(Decision::worst(of_each), Some(own), "{name}");
        for file in &verdict.artifacts {
            let mut about: Vec<Finding> = verdict.findings.clone();
            about.retain(|finding| finding.is_about(&file.name));
            let checks: Vec<CheckId> = about.iter().map(|finding| finding.check).collect();
            assert_eq!(checks, CheckId::ALL, "{name}: {}", file.name);
            for finding in &mut about {
                finding.artifacts.clear();
            }
            let alone = Decision::from_findings(&about);
            assert_eq!(
                (alone.status, alone.decided_by),
                (file.status, file.decided_by.clone()),
                "{name}: {}",
                file.name
            );
        }
        several += usize::from(verdict.artifacts.len() > 1);
    }
    assert!(several > 40, "{several}");
}

/// Makes a release.
type Make = fn() -> PypiRelease;
/// Bends a file.
type Bend = Box<dyn Fn(PypiFile) -> PypiFile>;

/// Everything that stands where an attestation should be and is none.
fn nothings() -> Vec<(String, Bend)> {
    let mut nothings: Vec<(String, Bend)> = vec![
        ("no bundles".to_owned(), Box::new(PypiFile::empty_bundles)),
        ("an empty bundle".to_owned(), Box::new(PypiFile::empty_attestations)),
        (
            "nothing behind the link".to_owned(),
            Box::new(PypiFile::provenance_missing),
        ),
        (
            "no body".to_owned(),
            Box::new(|file: PypiFile| file.integrity_answer(testbed::Answer::EmptyBody)),
        ),
        (
            "204".to_owned(),
            Box::new(|file: PypiFile| file.integrity_answer(testbed::Answer::Status(204, None))),
        ),
    ];
    let publisher = json!({"kind": "GitHub", "repository": "acme-widget-py/acme-widget", "workflow": "publish.yml"});
    let of = |bundle: Value| json!({"version": 1, "attestation_bundles": [bundle]});
    for document in [
        json!(null),
        json!([]),
        json!({}),
        json!({"version": 1}),
        json!({"version": 1, "attestation_bundles": null}),
        json!({"version": 1, "attestation_bundles": {}}),
        of(json!(null)),
        of(json!({})),
        of(json!({"publisher": publisher})),
        of(json!({"publisher": publisher, "attestations": null})),
        of(json!({"publisher": publisher, "attestations": [null]})),
        of(json!({"publisher": publisher, "attestations": [{}]})),
        of(json!({"publisher": publisher, "attestations": [{"version": 1}]})),
        of(json!({"publisher": null, "attestations": []})),
    ] {
        let bend = {
            let document = document.clone();
            move |file: PypiFile| {
                let document = document.clone();
                file.provenance(move |provenance| *provenance = document.clone())
            }
        };
        nothings.push((format!("the object {document}"), Box::new(bend)));
    }
    for (part, empty) in [
        ("/envelope", json!({})),
        ("/envelope/statement", json!("")),
        ("/envelope/signature", json!("")),
        ("/verification_material", json!({})),
        ("/verification_material/certificate", json!("")),
        ("/verification_material/transparency_entries", json!([])),
    ] {
        let what = format!("{part} is {empty}");
        let bend = move |file: PypiFile| {
            let empty = empty.clone();
            file.attestation(move |attestation| *attestation.pointer_mut(part).unwrap() = empty.clone())
        };
        nothings.push((what, Box::new(bend)));
    }
    // Signed by the very build, about nothing.
    for (part, empty) in [
        ("", json!({})),
        ("/subject", json!([])),
        ("/subject/0", json!({})),
        ("/subject/0/digest", json!({})),
        ("/subject/0/digest/sha256", json!("")),
        ("/subject/0/name", json!("")),
        ("/predicateType", json!("")),
    ] {
        let what = format!("the statement's {part} is {empty}");
        let bend = move |file: PypiFile| {
            let empty = empty.clone();
            file.statement(move |statement| *statement.pointer_mut(part).unwrap() = empty.clone())
        };
        nothings.push((what, Box::new(bend)));
    }
    nothings
}

/// Whether nothing was taken for an attestation of these files, and nothing but them was touched.
fn assert_nothing_attests(what: &str, verdict: &Verdict, is_bent: impl Fn(&str) -> bool) {
    assert!(verdict.status < Status::Unattested, "{what}: {}", verdict.status);
    assert!(verdict.artifacts.len() > 1, "{what}");
    for file in &verdict.artifacts {
        if is_bent(&file.name) {
            assert!(
                file.status < Status::Unattested,
                "{what}: {} is {}",
                file.name,
                file.status
            );
        } else {
            assert_eq!(file.status, Status::Verified, "{what}: {}", file.name);
        }
    }
}

fn is_wheel(name: &str) -> bool {
    std::path::Path::new(name)
        .extension()
        .is_some_and(|ending| ending == "whl")
}

#[tokio::test]
async fn nothing_is_never_an_attestation_of_one_file_or_of_all() {
    let predicates: [&[PypiPredicate]; 4] = [
        &[PypiPredicate::Publish],
        &[PypiPredicate::PublishEmpty],
        &[PypiPredicate::Slsa],
        &[PypiPredicate::Publish, PypiPredicate::Slsa],
    ];
    for (nothing, bend) in nothings() {
        for predicates in predicates {
            let release = || widget().files(|file| file.predicates(predicates.iter().copied()));
            let what = format!("{nothing}, {predicates:?}");
            let one = judged(release().wheels(&bend)).await;
            assert_nothing_attests(&what, &one.verdict, is_wheel);
            if predicates == [PypiPredicate::Publish] {
                let all = judged(release().files(&bend)).await;
                assert_nothing_attests(&what, &all.verdict, |_name| true);
            }
        }
    }
}

/// One more file, and whether it is as good as those of an honest release.
fn more_files() -> Vec<(&'static str, PypiFile)> {
    let wheel = || PypiFile::wheel("cp312-cp312-win_amd64");
    vec![
        ("an attested file", wheel()),
        ("one without attestation", wheel().unattested()),
        ("one with an empty provenance", wheel().empty_bundles()),
        ("one whose provenance is not there", wheel().provenance_missing()),
        ("one with other bytes", wheel().swapped_by_one_byte()),
        ("one with an attestation of other bytes", wheel().other_digest()),
        (
            "one with an attestation of another name",
            wheel().subject_named("other-1.tar.gz"),
        ),
        ("one whose certificate is forged", {
            let parties = testbed::Parties::of(&World::foreign());
            wheel().sealing(move |sealing| sealing.parties = parties.clone())
        }),
        ("a draft", wheel().as_draft()),
        ("one of another run", wheel().build(|build| build.run_id += 1)),
    ]
}

#[tokio::test]
async fn one_more_file_never_makes_a_release_better() {
    let releases: Vec<(&str, Make)> = vec![
        ("an honest release", widget),
        ("one without attestations", || widget().unattested()),
        ("one half attested", || widget().wheels(PypiFile::unattested)),
        ("one with an empty provenance", || {
            widget().wheels(PypiFile::empty_bundles)
        }),
        ("one with other bytes", || widget().sdist(PypiFile::swapped_by_one_byte)),
        ("one of a run that failed", || {
            widget().run(|run| run.skip_publish_and_sign_in("Run pytest"))
        }),
        ("one built on GitLab", || widget().build(Build::on_gitlab)),
        ("one that cannot be asked for", || {
            widget().files(|file| file.integrity_answer(testbed::Answer::Status(503, None)))
        }),
    ];
    for (which, release) in releases {
        let before = judged(release()).await.verdict;
        for (added, file) in more_files() {
            let after = judged_after_looks(release().with(file)).await;
            let (old, new) = (before.status, after.verdict.status);
            assert!(
                new <= old,
                "{which} and {added}: {old} became {new}\n{}",
                listed(&after)
            );
            // What is told of the files that were there already becomes no better either.
            for file in &before.artifacts {
                let named = after
                    .verdict
                    .artifacts
                    .iter()
                    .find(|other| other.name == file.name)
                    .unwrap();
                assert!(
                    named.status <= file.status,
                    "{which} and {added}: {} of {}",
                    named.status,
                    file.name
                );
            }
            // Only a file that is as good leaves an honest release as it is.
            let is_as_good = ["an attested file", "one of another run"].contains(&added);
            assert_eq!(
                new == Status::Verified,
                is_as_good && old == Status::Verified,
                "{which} and {added}: {new}"
            );
        }
    }
}

/// A question to PyPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Index,
    Provenance,
    File,
}

impl Endpoint {
    fn begin(self) -> &'static str {
        match self {
            Self::Index => "/simple/",
            Self::Provenance => "/integrity/",
            Self::File => "/packages/",
        }
    }
}

/// What is wrong with an answer.
#[derive(Clone)]
enum Wrong {
    Status(u16, Option<u64>),
    Text(&'static str, &'static str),
    /// The beginning of the proper one, which claims to be all of it.
    Half,
    /// The proper one, which breaks off.
    BreaksOff,
    Reset,
    Huge,
    ElseWhere,
    Edited(fn(&mut Value)),
}

impl Wrong {
    fn reply(&self, proper: Reply) -> Reply {
        let bytes = proper.bytes().unwrap_or_default().to_vec();
        let bare = |status: u16, headers: Vec<(String, String)>| Reply {
            status,
            headers,
            body: testbed::Body::Bytes(Vec::new()),
        };
        let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
        match self {
            Self::Status(status, None) => bare(*status, Vec::new()),
            Self::Status(status, Some(wait)) => bare(*status, header("retry-after", &wait.to_string())),
            Self::Text(content_type, text) => Reply {
                status: 200,
                headers: header("content-type", content_type),
                body: testbed::Body::Bytes(text.as_bytes().to_vec()),
            },
            Self::Half => Reply {
                body: testbed::Body::Bytes(bytes[..bytes.len() / 2].to_vec()),
                ..proper
            },
            Self::BreaksOff => Reply {
                body: testbed::Body::Truncated {
                    announced: bytes.len(),
                    bytes: bytes[..bytes.len() / 2].to_vec(),
                },
                ..proper
            },
            Self::Reset => Reply {
                body: testbed::Body::Reset,
                ..proper
            },
            Self::Huge => Reply {
                body: testbed::Body::Huge(1 << 40),
                ..proper
            },
            Self::ElseWhere => bare(302, header("location", "https://evil.example/")),
            Self::Edited(edit) => {
                let mut document: Value = serde_json::from_slice(&bytes).unwrap();
                edit(&mut document);
                // Another document has another entity tag.
                let mut headers = proper.headers;
                headers.retain(|(name, _)| name != "etag");
                Reply {
                    status: proper.status,
                    headers,
                    body: testbed::Body::Bytes(document.to_string().into_bytes()),
                }
            }
        }
    }
}

/// A scenario in which PyPI answers one question wrongly.
struct Bent {
    scenario: Scenario,
    wrong: std::sync::Mutex<Option<(Endpoint, Wrong)>>,
}

impl Parties for Bent {
    fn reply(&self, party: Party, request: &testbed::Request) -> Reply {
        let proper = |request: &testbed::Request| self.scenario.reply(party, request);
        match &*self.wrong.lock().unwrap() {
            Some((endpoint, wrong)) if party == Party::Pypi && request.path.starts_with(endpoint.begin()) => {
                // What is wrong is no answer that the client has already.
                wrong.reply(proper(&testbed::Request {
                    if_none_match: None,
                    ..request.clone()
                }))
            }
            Some(_) | None => proper(request),
        }
    }
}

/// The wrong answers that any question may get. Other bytes of a file are no wrong answer, but another file.
fn wrong_answers(endpoint: Endpoint) -> Vec<(&'static str, Wrong)> {
    let mut answers = vec![
        ("400", Wrong::Status(400, None)),
        ("401", Wrong::Status(401, None)),
        ("403", Wrong::Status(403, None)),
        ("404", Wrong::Status(404, None)),
        ("406", Wrong::Status(406, None)),
        ("410", Wrong::Status(410, None)),
        ("418", Wrong::Status(418, None)),
        ("429", Wrong::Status(429, Some(60))),
        ("451", Wrong::Status(451, None)),
        ("500", Wrong::Status(500, None)),
        ("503 with a wait", Wrong::Status(503, Some(60))),
        ("204", Wrong::Status(204, None)),
        ("a redirect to another host", Wrong::ElseWhere),
        (
            "HTML",
            Wrong::Text("text/html", "<!doctype html><title>Just a moment...</title>"),
        ),
        ("an answer that breaks off", Wrong::BreaksOff),
        ("a reset", Wrong::Reset),
        ("an answer without end", Wrong::Huge),
    ];
    if endpoint != Endpoint::File {
        answers.extend([
            ("an empty body", Wrong::Text("application/json", "")),
            ("half a document", Wrong::Half),
            ("null", Wrong::Text("application/json", "null")),
            ("[]", Wrong::Text("application/json", "[]")),
            ("{}", Wrong::Text("application/json", "{}")),
            ("7", Wrong::Text("application/json", "7")),
            ("[[]]", Wrong::Text("application/json", "[[]]")),
            (
                "a message",
                Wrong::Text("application/json", r#"{"message":"Server Error"}"#),
            ),
        ]);
    }
    answers.extend(match endpoint {
        Endpoint::Index => of_the_index(),
        Endpoint::Provenance => of_a_provenance(),
        Endpoint::File => Vec::new(),
    });
    answers
}

fn of_each_file(index: &mut Value, member: &str, value: &Value) {
    for file in index["files"].as_array_mut().unwrap() {
        file[member] = value.clone();
    }
}

/// Indexes of other shapes.
fn of_the_index() -> Vec<(&'static str, Wrong)> {
    vec![
        (
            "files that are null",
            Wrong::Edited(|index| index["files"] = Value::Null),
        ),
        (
            "files that are none",
            Wrong::Edited(|index| index["files"] = json!([1, "x", null])),
        ),
        ("another project", Wrong::Edited(|index| index["name"] = json!("other"))),
        ("no name", Wrong::Edited(|index| index["name"] = Value::Null)),
        ("no meta", Wrong::Edited(|index| index["meta"] = Value::Null)),
        (
            "a version of the interface to come",
            Wrong::Edited(|index| index["meta"]["api-version"] = json!("2.0")),
        ),
        (
            "versions that are null",
            Wrong::Edited(|index| index["versions"] = Value::Null),
        ),
        (
            "versions that are none",
            Wrong::Edited(|index| index["versions"] = json!([1, null, {}])),
        ),
        (
            "a status that nobody knows",
            Wrong::Edited(|index| index["project-status"] = json!({"status": "moon"})),
        ),
        (
            "no digests",
            Wrong::Edited(|index| of_each_file(index, "hashes", &json!({}))),
        ),
        (
            "digests that are null",
            Wrong::Edited(|index| of_each_file(index, "hashes", &Value::Null)),
        ),
        (
            "weak digests",
            Wrong::Edited(|index| of_each_file(index, "hashes", &json!({"md5": "0".repeat(32)}))),
        ),
        (
            "short digests",
            Wrong::Edited(|index| of_each_file(index, "hashes", &json!({"sha256": "00"}))),
        ),
        (
            "sizes that are text",
            Wrong::Edited(|index| of_each_file(index, "size", &json!("7"))),
        ),
        (
            "no times",
            Wrong::Edited(|index| of_each_file(index, "upload-time", &Value::Null)),
        ),
        (
            "times that are none",
            Wrong::Edited(|index| of_each_file(index, "upload-time", &json!("yesterday"))),
        ),
        (
            "links that are numbers",
            Wrong::Edited(|index| of_each_file(index, "provenance", &json!(7))),
        ),
        (
            "links that are null",
            Wrong::Edited(|index| of_each_file(index, "provenance", &Value::Null)),
        ),
        (
            "links elsewhere",
            Wrong::Edited(|index| of_each_file(index, "provenance", &json!("https://evil.example/"))),
        ),
        (
            "yanks that are null",
            Wrong::Edited(|index| of_each_file(index, "yanked", &Value::Null)),
        ),
        (
            "addresses that are none",
            Wrong::Edited(|index| of_each_file(index, "url", &json!("ftp:"))),
        ),
        (
            "addresses elsewhere",
            Wrong::Edited(|index| of_each_file(index, "url", &json!("https://evil.example/x"))),
        ),
        (
            "names that are null",
            Wrong::Edited(|index| of_each_file(index, "filename", &Value::Null)),
        ),
    ]
}

fn of_each_bundle(provenance: &mut Value, edit: fn(&mut Value)) {
    for bundle in provenance["attestation_bundles"].as_array_mut().unwrap() {
        edit(bundle);
    }
}

/// Provenance objects of other shapes. One that holds nothing is no wrong answer, but an attack.
fn of_a_provenance() -> Vec<(&'static str, Wrong)> {
    vec![
        (
            "another version",
            Wrong::Edited(|provenance| provenance["version"] = json!(2)),
        ),
        (
            "a version that is text",
            Wrong::Edited(|provenance| provenance["version"] = json!("1")),
        ),
        (
            "bundles that are null",
            Wrong::Edited(|provenance| provenance["attestation_bundles"] = Value::Null),
        ),
        (
            "bundles that are an object",
            Wrong::Edited(|provenance| provenance["attestation_bundles"] = json!({})),
        ),
        (
            "bundles that are none",
            Wrong::Edited(|provenance| provenance["attestation_bundles"] = json!([null, 7])),
        ),
        (
            "attestations that are null",
            Wrong::Edited(|provenance| of_each_bundle(provenance, |bundle| bundle["attestations"] = Value::Null)),
        ),
        (
            "attestations of another version",
            Wrong::Edited(|provenance| {
                of_each_bundle(provenance, |bundle| bundle["attestations"][0]["version"] = json!(2));
            }),
        ),
        (
            "a publisher that is null",
            Wrong::Edited(|provenance| of_each_bundle(provenance, |bundle| bundle["publisher"] = Value::Null)),
        ),
        (
            "a publisher of no kind",
            Wrong::Edited(|provenance| of_each_bundle(provenance, |bundle| bundle["publisher"]["kind"] = Value::Null)),
        ),
        (
            "a publisher without a workflow",
            Wrong::Edited(|provenance| {
                of_each_bundle(provenance, |bundle| bundle["publisher"]["workflow"] = Value::Null);
            }),
        ),
    ]
}

/// One release, published once.
fn published() -> PypiPublished {
    static PUBLISHED: OnceLock<PypiPublished> = OnceLock::new();
    PUBLISHED.get_or_init(|| widget().publish(&World::shared())).clone()
}

/// What came of a look; where there is no verdict, why.
async fn looked(bent: &Arc<Bent>, recollection: &mut Recollection, hours: i64) -> Result<Judged, LookFault> {
    let fetch = ScenarioFetch::new(Arc::clone(bent));
    let coordinate: Coordinate = "pypi:acme-widget@1.2.3".parse().unwrap();
    let at = now() + SignedDuration::from_hours(hours);
    recollection
        .look(&judge(), &fetch, &no_address(), &coordinate, at)
        .await
}

fn told(result: &Result<Judged, LookFault>) -> String {
    match result {
        Ok(judged) => {
            let decided_by: Vec<&str> = judged.verdict.decided_by.iter().map(|check| check.as_str()).collect();
            let status = judged.verdict.status;
            if status == Status::Verified {
                status.to_string()
            } else {
                format!("{status} by {}", decided_by.join(", "))
            }
        }
        Err(LookFault::NotFound(because)) => format!("not found: {because}"),
        Err(LookFault::Upstream { .. }) => "no verdict now".to_owned(),
    }
}

#[tokio::test]
async fn no_wrong_answer_of_pypi_accuses_anybody_or_passes() {
    let mut table = String::new();
    let mut accused = Vec::new();
    for endpoint in [Endpoint::Index, Endpoint::Provenance, Endpoint::File] {
        let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (name, wrong) in wrong_answers(endpoint) {
            let bent = Arc::new(Bent {
                scenario: Scenario::new().published(published()),
                wrong: std::sync::Mutex::new(Some((endpoint, wrong.clone()))),
            });
            // 1. At a first look.
            let mut recollection = Recollection::default();
            let first = looked(&bent, &mut recollection, 0).await;
            // 2. When all is well again.
            *bent.wrong.lock().unwrap() = None;
            let well = looked(&bent, &mut recollection, 1).await;
            assert_eq!(told(&well), "verified", "{endpoint:?}: {name}, and well again");
            // 3. After a look at which all was well.
            *bent.wrong.lock().unwrap() = Some((endpoint, wrong.clone()));
            let later = looked(&bent, &mut recollection, 2).await;
            for result in [&first, &later] {
                if let Ok(judged) = result {
                    let status = judged.verdict.status;
                    let is_edited = matches!(wrong, Wrong::Edited(_));
                    let passes = status >= Status::Unattested && !is_edited;
                    if status.is_told() || passes {
                        accused.push(format!("{endpoint:?}: {name}: {}\n{}", told(result), listed(judged)));
                    }
                }
            }
            let group = if told(&first) == told(&later) {
                told(&first)
            } else {
                format!("{}; after a good look {}", told(&first), told(&later))
            };
            groups.entry(group).or_default().push(name);
        }
        writeln!(table, "{endpoint:?}").unwrap();
        for (group, names) in groups {
            writeln!(table, "    {}: {group}", names.join(", ")).unwrap();
        }
    }
    assert!(accused.is_empty(), "{}", accused.join("\n"));
    insta::assert_snapshot!(table);
}
