//! Whether two verdicts on one version are of the same evidence, and what it means where they are not.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use serde::Serialize;

use super::{Agreement, Testimony};
use crate::check::{CheckId, Family};
use crate::verdict::{Build, Status};

/// Two looks that are no further apart were at the same time: what both could have seen, both should have seen.
pub const AT_ONCE: SignedDuration = SignedDuration::from_hours(1);

/// How two verdicts lie to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// In one word.
    pub agreement: Agreement,
    /// In what they differ.
    pub differences: Vec<Difference>,
}

/// In what two verdicts differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What is different: `status`, `file`, `file.sha512`, `file.run`, `build`, a field of the build, or a check.
    pub what: String,
    /// Of which file, where a version has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What this verifier says; `None`, nothing.
    pub ours: Option<String>,
    /// What the other one says; `None`, nothing.
    pub theirs: Option<String>,
    #[serde(skip)]
    weight: Weight,
}

/// What a difference means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// The bytes of a published file never change: whoever saw others was shown others, whenever that was.
    Bytes,
    /// Who looked at the same time, and judges by the same rules, would have seen the same.
    Observation,
    /// One knows more than the other, by its memory or since somebody did not answer.
    Knowledge,
}

/// Compares what two verifiers say of one version. What was seen is compared first, and what was made of it then:
///
/// 1. Other bytes of a file are a split view, always.
/// 2. Where nothing is different they agree, whatever rules each judges by.
/// 3. A difference between other rules, between looks more than [`AT_ONCE`] apart, or of a verdict that is not decided, is a skew.
/// 4. Another build, another answer of a check to which memory contributes nothing, or a file or an attestation that the later
///    look has not found any more, is a split view. What only the later one found may have come in between.
/// 5. Everything else is a skew: the same evidence with another memory.
pub fn compare(ours: &Testimony, theirs: &Testimony) -> Comparison {
    let mut differences = Vec::new();
    if ours.evidence() != theirs.evidence() {
        files(ours, theirs, &mut differences);
        builds(ours, theirs, &mut differences);
    }
    findings(ours, theirs, &mut differences);
    if ours.status != theirs.status {
        differences.push(Difference {
            what: "status".to_owned(),
            file: None,
            ours: Some(ours.status.to_string()),
            theirs: Some(theirs.status.to_string()),
            weight: Weight::Knowledge,
        });
    }
    let weighs = |weight| differences.iter().any(|difference| difference.weight == weight);
    let apart = ours.checked_at.duration_since(theirs.checked_at).abs();
    let is_decided = [ours, theirs]
        .iter()
        .all(|testimony| testimony.status != Status::Indeterminate);
    let agreement = if weighs(Weight::Bytes) {
        Agreement::SplitView
    } else if differences.is_empty() {
        Agreement::Agree
    } else if !ours.judges_like(theirs) || apart > AT_ONCE || !is_decided {
        Agreement::Skew
    } else if weighs(Weight::Observation) {
        Agreement::SplitView
    } else {
        Agreement::Skew
    };
    Comparison { agreement, differences }
}

/// The weight of what one of two saw and the other did not.
fn of_absence(ours: &Testimony, theirs: &Testimony, is_ours: bool) -> Weight {
    let (with, without) = if is_ours { (ours, theirs) } else { (theirs, ours) };
    if without.checked_at > with.checked_at {
        Weight::Observation
    } else {
        Weight::Knowledge
    }
}

fn files(ours: &Testimony, theirs: &Testimony, differences: &mut Vec<Difference>) {
    let (our_files, their_files) = (ours.files(), theirs.files());
    let mut names: Vec<&str> = our_files.keys().chain(their_files.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let mut differ = |what: &str, ours: Option<&str>, theirs: Option<&str>, weight| {
            if ours != theirs {
                differences.push(Difference {
                    what: what.to_owned(),
                    file: Some(name.to_owned()),
                    ours: ours.map(str::to_owned),
                    theirs: theirs.map(str::to_owned),
                    weight,
                });
            }
        };
        match (our_files.get(name), their_files.get(name)) {
            (Some(our), Some(their)) => {
                let both_saw = our.sha512.is_some() && their.sha512.is_some();
                let weight = if both_saw { Weight::Bytes } else { Weight::Knowledge };
                differ("file.sha512", our.sha512, their.sha512, weight);
                let weight = match (our.run, their.run) {
                    (Some(_), Some(_)) => Weight::Observation,
                    (our_run, _) => of_absence(ours, theirs, our_run.is_some()),
                };
                differ("file.run", our.run, their.run, weight);
            }
            (our, their) => {
                // A version of one file has no list: that it is not named says that its bytes were not seen.
                let is_known = ours.names_every_file() && theirs.names_every_file();
                let weight = if is_known {
                    of_absence(ours, theirs, our.is_some())
                } else {
                    Weight::Knowledge
                };
                differ("file", our.map(|_| name), their.map(|_| name), weight);
            }
        }
    }
}

fn builds(ours: &Testimony, theirs: &Testimony, differences: &mut Vec<Difference>) {
    let run = |build: &Option<Build>| build.as_ref().map(|build| build.run.clone().unwrap_or_default());
    let mut differ = |what: &str, ours: Option<String>, theirs: Option<String>, weight| {
        if ours != theirs {
            differences.push(Difference {
                what: what.to_owned(),
                file: None,
                ours,
                theirs,
                weight,
            });
        }
    };
    match (&ours.build, &theirs.build) {
        (Some(our), Some(their)) => {
            let their = fields(their);
            for (name, value) in fields(our) {
                let theirs = their.get(name).cloned().flatten();
                differ(&format!("build.{name}"), value, theirs, Weight::Observation);
            }
        }
        (our, their) => {
            let weight = of_absence(ours, theirs, our.is_some());
            differ("build", run(our), run(their), weight);
        }
    }
}

/// What certificate and log entry say of a build, by the names that verdicts have for it.
fn fields(build: &Build) -> BTreeMap<&'static str, Option<String>> {
    let Build {
        repository,
        repository_id,
        owner_id,
        commit,
        r#ref,
        workflow,
        signer,
        run,
        trigger,
        runner,
        log_index,
        signed_at,
    } = build.clone();
    BTreeMap::from([
        ("repository", repository),
        ("repositoryId", repository_id),
        ("ownerId", owner_id),
        ("commit", commit),
        ("ref", r#ref),
        ("workflow", workflow),
        ("signer", signer),
        ("run", run),
        ("trigger", trigger),
        ("runner", runner),
        ("logIndex", log_index),
        ("signedAt", signed_at.map(|at| at.to_string())),
    ])
}

/// Checks that passed at one verifier and failed at the other.
fn findings(ours: &Testimony, theirs: &Testimony, differences: &mut Vec<Difference>) {
    let their = answers(theirs);
    for ((check, file), our) in answers(ours) {
        let Some(&their) = their.get(&(check, file)).filter(|their| **their != our) else {
            continue;
        };
        let spelled = |passed| Some(if passed { "pass" } else { "fail" }.to_owned());
        differences.push(Difference {
            what: check.to_string(),
            file: file.map(str::to_owned),
            ours: spelled(our),
            theirs: spelled(their),
            weight: Weight::Observation,
        });
    }
}

/// Whether each check passed or failed, of each file or of all, where it did either and is one that can be compared.
fn answers(testimony: &Testimony) -> BTreeMap<(CheckId, Option<&str>), bool> {
    let mut answers = BTreeMap::new();
    for finding in &testimony.findings {
        let known = CheckId::ALL
            .iter()
            .copied()
            .find(|check| check.as_str() == finding.check);
        let Some(check) = known.filter(|check| !rests_on_memory(*check)) else {
            continue;
        };
        let passed = match finding.result.as_str() {
            "pass" => true,
            "fail" => false,
            _ => continue,
        };
        // What is said of all files is said of each.
        let about = |file: &&str| finding.artifacts.is_empty() || finding.artifacts.iter().any(|named| named == file);
        if testimony.names_every_file() {
            for file in testimony.files().into_keys().filter(about) {
                answers.insert((check, Some(file)), passed);
            }
        } else {
            answers.insert((check, None), passed);
        }
    }
    answers
}

/// Whether what a check finds depends on what its verifier has seen of the package before, or on what the forge shows at one
/// moment and not at the next: two verifiers may then answer otherwise about the same evidence.
fn rests_on_memory(check: CheckId) -> bool {
    match check.family() {
        Family::Artifact | Family::Registry | Family::Attestation | Family::Log => false,
        Family::Run => !matches!(check, CheckId::RunMatchesCert | CheckId::RunForkHead),
        Family::Identity | Family::History | Family::Source => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::Agreement::{Agree, Skew, SplitView};
    use super::*;

    fn testimony(edit: impl FnOnce(&mut Value)) -> Testimony {
        let mut verdict = json!({
            "schema": crate::verdict::SCHEMA,
            "package": "pkg:npm/a@1.0.0",
            "status": "verified",
            "artifact": { "name": "a-1.0.0.tgz", "sha512": "aa", "sha256": "bb", "size": 8 },
            "build": { "run": "https://github.com/o/r/actions/runs/1/attempts/1", "commit": "c1", "logIndex": "7" },
            "findings": [
                { "check": "reg.signature", "result": "pass" },
                { "check": "hist.burst", "result": "pass" },
                { "check": "from.tomorrow", "result": "pass" },
            ],
            "checkedAt": "2026-11-22T10:00:00Z",
            "checkSet": "2026.11",
            "policy": "sha256:00",
            "trust": { "trustedRoot": "sha256:01", "npmKeys": "sha256:02", "origin": "here" },
            "verifier": { "id": "urn:one", "version": "1.0.0" },
        });
        edit(&mut verdict);
        serde_json::from_value(verdict).unwrap()
    }

    /// A version of two files.
    fn of_files(names: &[&str], edit: impl FnOnce(&mut Value)) -> Testimony {
        testimony(|verdict| {
            verdict.as_object_mut().unwrap().remove("artifact");
            let artifact = json!({ "name": "x", "sha512": "aa", "sha256": "bb", "size": 8 });
            let files = names
                .iter()
                .map(|name| json!({ "name": name, "run": "r", "artifact": artifact }));
            verdict["artifacts"] = files.collect();
            edit(verdict);
        })
    }

    fn whats(comparison: &Comparison) -> Vec<&str> {
        comparison
            .differences
            .iter()
            .map(|difference| &*difference.what)
            .collect()
    }

    const LATER: &str = "2026-11-22T10:59:00Z";
    const MUCH_LATER: &str = "2026-11-22T11:00:01Z";

    #[test]
    fn who_saw_the_same_and_says_the_same_agrees_whatever_the_rules_and_the_time() {
        let theirs = testimony(|verdict| {
            verdict["checkedAt"] = json!("2027-01-01T00:00:00Z");
            verdict["verifier"] = json!({ "id": "urn:two", "version": "2.0.0" });
            verdict["checkSet"] = json!("2027.01");
            verdict["trust"]["origin"] = json!("elsewhere");
            verdict["unknown"] = json!("passed over");
        });
        let ours = testimony(|_| {});
        assert_eq!(
            compare(&ours, &theirs),
            Comparison {
                agreement: Agree,
                differences: Vec::new()
            }
        );
        assert_eq!(ours.evidence(), theirs.evidence());
    }

    /// What a second verifier says otherwise, and what that is.
    #[test]
    fn what_differs_is_told_and_weighed() {
        type Case = (&'static str, Agreement, &'static [&'static str], fn(&mut Value));
        let cases: &[Case] = &[
            ("other bytes", SplitView, &["file.sha512"], |v| {
                v["artifact"]["sha512"] = json!("ab");
            }),
            (
                "other bytes, by other rules, much later",
                SplitView,
                &["file.sha512"],
                |v| {
                    v["artifact"]["sha512"] = json!("ab");
                    v["checkSet"] = json!("2027.01");
                    v["checkedAt"] = json!("2027-01-01T00:00:00Z");
                },
            ),
            ("other bytes, undecided", SplitView, &["file.sha512", "status"], |v| {
                v["artifact"]["sha512"] = json!("ab");
                v["status"] = json!("indeterminate");
            }),
            ("bytes that were not seen", Skew, &["file"], |v| {
                v["artifact"] = Value::Null;
            }),
            ("another build", SplitView, &["build.commit", "build.logIndex"], |v| {
                v["build"]["commit"] = json!("c2");
                v["build"]["logIndex"] = json!("8");
            }),
            ("another build, by other rules", Skew, &["build.commit"], |v| {
                v["build"]["commit"] = json!("c2");
                v["verifier"]["version"] = json!("1.0.1");
            }),
            ("another build, by another policy", Skew, &["build.commit"], |v| {
                v["build"]["commit"] = json!("c2");
                v["policy"] = json!("sha256:03");
            }),
            ("another build, with other keys", Skew, &["build.commit"], |v| {
                v["build"]["commit"] = json!("c2");
                v["trust"]["npmKeys"] = json!("sha256:03");
            }),
            ("another build, much later", Skew, &["build.commit"], |v| {
                v["build"]["commit"] = json!("c2");
                v["checkedAt"] = json!(MUCH_LATER);
            }),
            ("an attestation that is gone", SplitView, &["build", "status"], |v| {
                v["build"] = Value::Null;
                v["status"] = json!("unattested");
                v["checkedAt"] = json!(LATER);
            }),
            ("an attestation that had not come", Skew, &["build", "status"], |v| {
                v["build"] = Value::Null;
                v["status"] = json!("unattested");
                v["checkedAt"] = json!("2026-11-22T09:59:00Z");
            }),
            (
                "a signature that is not valid",
                SplitView,
                &["reg.signature", "status"],
                |v| {
                    v["findings"][0]["result"] = json!("fail");
                    v["status"] = json!("mismatch");
                },
            ),
            ("a signature that is stripped", Agree, &[], |v| {
                v["findings"][0]["result"] = json!("unknown");
            }),
            ("another memory", Skew, &["status"], |v| {
                v["findings"][1]["result"] = json!("fail");
                v["status"] = json!("suspicious");
            }),
            ("a check of tomorrow", Agree, &[], |v| {
                v["findings"][2]["result"] = json!("fail");
            }),
            ("undecided", Skew, &["reg.signature", "status"], |v| {
                v["findings"][0]["result"] = json!("fail");
                v["status"] = json!("indeterminate");
            }),
        ];
        for (case, agreement, differences, edit) in cases {
            let compared = compare(&testimony(|_| {}), &testimony(edit));
            assert_eq!(compared.agreement, *agreement, "{case}: {compared:?}");
            assert_eq!(whats(&compared), *differences, "{case}");
        }
    }

    #[test]
    fn files_are_compared_one_by_one() {
        type Case = (
            &'static str,
            Agreement,
            &'static [&'static str],
            &'static [&'static str],
            fn(&mut Value),
        );
        let cases: &[Case] = &[
            ("the same", Agree, &["f", "g"], &[], |_| {}),
            ("one that is gone", SplitView, &["f"], &["file g"], |v| {
                v["checkedAt"] = json!(LATER);
            }),
            ("one that is new", Skew, &["f", "g", "h"], &["file h"], |v| {
                v["checkedAt"] = json!(LATER);
            }),
            ("other bytes of one", SplitView, &["f", "g"], &["file.sha512 g"], |v| {
                v["artifacts"][1]["artifact"]["sha512"] = json!("ab");
            }),
            ("another run of one", SplitView, &["f", "g"], &["file.run g"], |v| {
                v["artifacts"][1]["run"] = json!("s");
            }),
            ("a check of one", SplitView, &["f", "g"], &["reg.signature g"], |v| {
                v["findings"][0] = json!({ "check": "reg.signature", "result": "fail", "artifacts": ["g"] });
            }),
            (
                "a check of all",
                SplitView,
                &["f", "g"],
                &["reg.signature f", "reg.signature g"],
                |v| {
                    v["findings"][0]["result"] = json!("fail");
                },
            ),
        ];
        for (case, agreement, names, differences, edit) in cases {
            let compared = compare(&of_files(&["f", "g"], |_| {}), &of_files(names, edit));
            assert_eq!(compared.agreement, *agreement, "{case}: {compared:?}");
            let told: Vec<String> = compared
                .differences
                .iter()
                .map(|difference| format!("{} {}", difference.what, difference.file.as_deref().unwrap()))
                .collect();
            assert_eq!(told, *differences, "{case}");
        }
    }

    fn any_testimony() -> impl Strategy<Value = Testimony> {
        let files = proptest::collection::btree_map("[fg]", proptest::option::of("[ab]"), 0..3);
        let build = proptest::option::of(("[cd]", "[rs]"));
        let status = proptest::sample::select(Status::ALL);
        let findings = proptest::collection::vec(
            ("(reg.signature|hist.burst|run.matches_cert)", "(pass|fail|warn)"),
            0..4,
        );
        (files, build, status, findings, 0_u32..120, any::<bool>(), any::<bool>()).prop_map(
            |(files, build, status, findings, minute, is_listed, is_old)| {
                testimony(|verdict| {
                    let seen =
                        |name: &str, sha512: &str| json!({ "name": name, "sha512": sha512, "sha256": "", "size": 1 });
                    verdict["artifact"] = Value::Null;
                    if is_listed {
                        let files = files.iter().map(|(name, sha512)| {
                            json!({ "name": name, "artifact": sha512.as_ref().map(|sha512| seen(name, sha512)) })
                        });
                        verdict["artifacts"] = files.collect();
                    } else if let Some((_, Some(sha512))) = files.first_key_value() {
                        verdict["artifact"] = seen("f", sha512);
                    }
                    verdict["build"] =
                        build.map_or(Value::Null, |(commit, run)| json!({ "commit": commit, "run": run }));
                    verdict["status"] = json!(status);
                    let findings = findings
                        .into_iter()
                        .map(|(check, result)| json!({ "check": check, "result": result }));
                    verdict["findings"] = findings.collect();
                    verdict["checkedAt"] = json!(format!("2026-11-22T{:02}:{:02}:00Z", 10 + minute / 60, minute % 60));
                    if is_old {
                        verdict["checkSet"] = json!("2025.01");
                    }
                })
            },
        )
    }

    proptest! {
        #[test]
        fn what_two_see_of_each_other_is_the_same_from_both_sides(
            one in any_testimony(),
            other in any_testimony(),
        ) {
            let (there, back) = (compare(&one, &other), compare(&other, &one));
            prop_assert_eq!(there.agreement, back.agreement);
            prop_assert_eq!(whats(&there), whats(&back));
            prop_assert_eq!(compare(&one, &one).agreement, Agree);
            // Who agrees says the same of the same.
            if there.agreement == Agree {
                prop_assert_eq!(one.evidence(), other.evidence());
                prop_assert_eq!(one.status, other.status);
            }
        }
    }
}
