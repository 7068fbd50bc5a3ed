//! Whether two verdicts on one version are of the same evidence, and what it means where they are not.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use serde::Serialize;

use super::PeerAgreement;
use super::testimony::{Seen, Testimony, Told};
use crate::check::{CheckId, Family};
use crate::verdict::Build;

/// Two looks that are no further apart were at the same time: what both could have seen, both should have seen.
const SAME_TIME: SignedDuration = SignedDuration::from_hours(1);

/// For how long an attestation had been signed by when everybody should see it. Its signature comes before its publication.
const SETTLED: SignedDuration = SignedDuration::from_hours(1);

/// The most differences that are told, the weightiest first, and the most characters of each value.
const MOST: usize = 20;
const VALUE: usize = 200;

/// How two verdicts compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// In one word.
    pub agreement: PeerAgreement,
    /// In what they differ, the weightiest first.
    pub differences: Vec<Difference>,
}

impl Comparison {
    /// Whether it is a split view for good: of other bytes, which no later look makes one view again.
    pub fn is_final(&self) -> bool {
        self.differences
            .first()
            .is_some_and(|difference| difference.weight == Weight::Bytes)
    }
}

/// In what two verdicts differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What is different: `status`, `removedAt`, `artifacts`, `file`, `file.sha512`, `file.run`, `build`, a field of the build, or a
    /// check.
    pub what: String,
    /// Of which file, where a version may have several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What this verifier says; `None`, nothing.
    pub ours: Option<String>,
    /// What the other one says; `None`, nothing.
    pub theirs: Option<String>,
    #[serde(skip)]
    weight: Weight,
}

/// What a difference means, the weightiest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// The bytes of a published file never change: whoever saw others was shown others, whenever that was.
    Bytes,
    /// Who looks at the same time, and judges by the same rules, sees the same.
    Observation,
    /// One knows more than the other: by its memory, since somebody did not answer, or since something came or went between.
    Knowledge,
}

/// Compares what two verifiers say of one version. What was seen is compared first, and what was made of it then:
///
/// 1. Other bytes of a file are a split view, always.
/// 2. Where nothing is different, and something was decided, they agree, whatever rules each judges by.
/// 3. A difference between other rules, or between looks more than an hour apart, is a skew.
/// 4. A split view is, of what is published for good: another build of the same bytes; another answer of a check on them to which no
///    memory contributes; and authoritatively no attestation where there is one. What is of attestations had to be signed an hour
///    before either look. Silence of an upstream is none of these.
/// 5. Everything else is a skew.
pub fn compare(ours: &Testimony, theirs: &Testimony) -> Comparison {
    let mut differences = Differences {
        ours,
        theirs,
        found: Vec::new(),
    };
    if ours.evidence() != theirs.evidence() {
        // One tells the run of each file and the other one a build: what built the file cannot be put against each other.
        let listed = |testimony: &Testimony| testimony.lists_files().then(|| "listed".to_owned());
        differences.note("artifacts", None, (listed(ours), listed(theirs)), Weight::Knowledge);
        if ours.lists_files() || theirs.lists_files() {
            differences.of_files();
        } else {
            differences.of_the_only_file();
            differences.of_builds();
        }
    }
    differences.of_checks();
    let removed_at = |testimony: &Testimony| testimony.removed_at.map(|at| at.to_string());
    differences.note(
        "removedAt",
        None,
        (removed_at(ours), removed_at(theirs)),
        Weight::Knowledge,
    );
    let status = |testimony: &Testimony| Some(testimony.status.to_string());
    differences.note("status", None, (status(ours), status(theirs)), Weight::Knowledge);
    let mut differences = differences.found;
    differences.sort_by_key(|difference| difference.weight);
    let is_comparable =
        ours.judges_like(theirs) && ours.checked_at.duration_since(theirs.checked_at).abs() <= SAME_TIME;
    let agreement = match differences.first().map(|difference| difference.weight) {
        // Two who could not see anything have seen the same, and that is nothing.
        None if !ours.status.is_settled() => PeerAgreement::Skew,
        None => PeerAgreement::Agree,
        Some(Weight::Bytes) => PeerAgreement::SplitView,
        Some(Weight::Observation) if is_comparable => PeerAgreement::SplitView,
        Some(Weight::Observation | Weight::Knowledge) => PeerAgreement::Skew,
    };
    differences.truncate(MOST);
    Comparison { agreement, differences }
}

/// What one says and what the other says.
type Pair = (Option<String>, Option<String>);

/// The differences that were found between two.
struct Differences<'a> {
    ours: &'a Testimony,
    theirs: &'a Testimony,
    found: Vec<Difference>,
}

impl Differences<'_> {
    /// Notes two values, if they differ.
    fn note(&mut self, what: &str, file: Option<&str>, (ours, theirs): Pair, weight: Weight) {
        if ours != theirs {
            let short = |text: String| text.chars().take(VALUE).collect();
            self.found.push(Difference {
                what: what.to_owned(),
                file: file.map(|file| short(file.to_owned())),
                ours: ours.map(short),
                theirs: theirs.map(short),
                weight,
            });
        }
    }

    /// The weight of what is published for good with a file.
    fn for_good(&self) -> Weight {
        if self.ours.package.ecosystem().registry().keeps_attestations() {
            Weight::Observation
        } else {
            Weight::Knowledge
        }
    }

    fn of_files(&mut self) {
        let (our_files, their_files) = (self.ours.files(), self.theirs.files());
        let names: BTreeSet<&String> = our_files.keys().chain(their_files.keys()).collect();
        for name in names {
            let of = Some(name.as_str());
            match (our_files.get(name), their_files.get(name)) {
                (Some(our), Some(their)) => {
                    self.of_bytes(of, our.sha512.clone(), their.sha512.clone());
                    let weight = self.of_attestations(of, our.run.is_some(), their.run.is_some());
                    self.note("file.run", of, (our.run.clone(), their.run.clone()), weight);
                }
                // Files are added and deleted, and one whose bytes were not seen may be left out.
                (our, their) => {
                    let told = |file: Option<&Seen>| file.map(|_seen| name.clone());
                    self.note("file", of, (told(our), told(their)), Weight::Knowledge);
                }
            }
        }
    }

    fn of_the_only_file(&mut self) {
        let sha512 = |testimony: &Testimony| testimony.only_file().and_then(|file| file.sha512.clone());
        self.of_bytes(None, sha512(self.ours), sha512(self.theirs));
    }

    fn of_bytes(&mut self, file: Option<&str>, ours: Option<String>, theirs: Option<String>) {
        let both_saw = ours.is_some() && theirs.is_some();
        let weight = if both_saw { Weight::Bytes } else { Weight::Knowledge };
        self.note("file.sha512", file, (ours, theirs), weight);
    }

    /// What a version of one file says of its build. Where there may be several, that is of one of them, and each says its run.
    fn of_builds(&mut self) {
        let (ours, theirs) = (self.ours, self.theirs);
        let weight = self.of_attestations(None, ours.build.is_some(), theirs.build.is_some());
        match (&ours.build, &theirs.build) {
            (Some(our), Some(their)) => {
                let mut their = fields(their);
                for (name, our) in fields(our) {
                    let their = their.remove(name).flatten();
                    self.note(&format!("build.{name}"), None, (our, their), weight);
                }
            }
            (our, their) => {
                let run = |build: &Option<Build>| build.as_ref().map(|build| build.run.clone().unwrap_or_default());
                self.note("build", None, (run(our), run(their)), weight);
            }
        }
    }

    /// The weight of a difference between attestations that each of the two saw or did not see.
    fn of_attestations(&self, file: Option<&str>, ours: bool, theirs: bool) -> Weight {
        // Nothing is what a registry answers that has none, and not what nobody answered.
        let has_none = |testimony: &Testimony| testimony.told(CheckId::AttPresent, file) == Told::NotApplicable;
        let is_seen = (ours || has_none(self.ours)) && (theirs || has_none(self.theirs));
        if is_seen && self.is_settled(file) {
            self.for_good()
        } else {
            Weight::Knowledge
        }
    }

    /// Whether the attestations of a file had been signed long enough for everybody to see them when the first of the two looked.
    fn is_settled(&self, file: Option<&str>) -> bool {
        let signed_at = self.ours.signed_at(file).max(self.theirs.signed_at(file));
        let first = self.ours.checked_at.min(self.theirs.checked_at);
        signed_at.is_some_and(|signed_at| first.duration_since(signed_at) >= SETTLED)
    }

    /// Checks that came to one result here and to another one there.
    fn of_checks(&mut self) {
        let (ours, theirs) = (self.ours, self.theirs);
        let files: Vec<Option<&str>> = if ours.lists_files() && theirs.lists_files() {
            let names = ours.files().keys().filter(|name| theirs.files().contains_key(*name));
            names.map(|name| Some(name.as_str())).collect()
        } else {
            vec![None]
        };
        for &check in CheckId::ALL
            .iter()
            .filter(|check| follows_from_what_is_published(**check))
        {
            for &file in &files {
                let (our, their) = (ours.told(check, file).answer(), theirs.told(check, file).answer());
                if let (Some(our), Some(their)) = (our, their) {
                    let is_of_attestations = matches!(check.family(), Family::Attestation | Family::Log);
                    let is_settled = !is_of_attestations || self.is_settled(file);
                    let weight = if is_settled { self.for_good() } else { Weight::Knowledge };
                    self.note(
                        check.as_str(),
                        file,
                        (Some(our.to_owned()), Some(their.to_owned())),
                        weight,
                    );
                }
            }
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

/// Whether a check follows from what the registry serves for good of a version, and from the rules: not from what this verifier
/// has seen before, nor from what a forge shows now, and not from times.
fn follows_from_what_is_published(check: CheckId) -> bool {
    match check {
        CheckId::ArtTarballIntegrity
        | CheckId::ArtTarballManifest
        | CheckId::RegSignature
        | CheckId::AttNonempty
        | CheckId::AttUnique
        | CheckId::AttPublishSig
        | CheckId::AttProvenanceSig
        | CheckId::AttSubjectDigest
        | CheckId::AttSubjectName
        | CheckId::AttPredicateKnown
        | CheckId::AttStmtVsCert
        | CheckId::LogInclusion => true,
        CheckId::ArtExists
        | CheckId::RegIntegrityStable
        | CheckId::RegPublishMode
        | CheckId::AttPresent
        | CheckId::LogTimeOrder
        | CheckId::IdIssuer
        | CheckId::IdSourceRepo
        | CheckId::IdOwnerId
        | CheckId::IdRepoChanged
        | CheckId::IdWorkflowChanged
        | CheckId::IdRunnerEnv
        | CheckId::IdSignerWorkflow
        | CheckId::IdTriggerNovel
        | CheckId::IdRefNovel
        | CheckId::IdRefDisttagMismatch
        | CheckId::IdEnvironmentMissing
        | CheckId::HistDowngrade
        | CheckId::HistDowngradeCrossline
        | CheckId::HistPublishModeChanged
        | CheckId::HistPublisherChanged
        | CheckId::HistBurst
        | CheckId::RunExists
        | CheckId::RunDisappeared
        | CheckId::RunMatchesCert
        | CheckId::RunConclusion
        | CheckId::RunPublishStep
        | CheckId::RunSigningStep
        | CheckId::RunAttemptSane
        | CheckId::RunActor
        | CheckId::RunForkHead
        | CheckId::RunEnvironmentGate
        | CheckId::SrcRepoState
        | CheckId::SrcCommitExists
        | CheckId::SrcCommitReachable
        | CheckId::SrcRefExists
        | CheckId::SrcTagMatchesVersion
        | CheckId::SrcGitHeadMatches
        | CheckId::SrcCommitSignature
        | CheckId::SrcAuthorCommitterSpoof
        | CheckId::SrcPrAssociated
        | CheckId::SrcCommitToPublishAge
        | CheckId::SrcVersionInCommit => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::PeerAgreement::{Agree, Skew, SplitView};
    use super::*;
    use crate::verdict::Status;

    fn testimony(edit: impl FnOnce(&mut Value)) -> Testimony {
        serde_json::from_value(json_of(edit)).unwrap()
    }

    fn json_of(edit: impl FnOnce(&mut Value)) -> Value {
        let mut verdict = json!({
            "schema": crate::verdict::SCHEMA,
            "package": "pkg:npm/a@1.0.0",
            "status": "verified",
            "artifact": { "name": "a-1.0.0.tgz", "sha512": "aa", "sha256": "bb", "size": 8 },
            "build": { "run": "r", "commit": "c1", "logIndex": "7", "signedAt": SIGNED },
            "findings": [
                { "check": "reg.signature", "result": "pass" },
                { "check": "att.present", "result": "pass" },
                { "check": "att.unique", "result": "pass" },
                { "check": "hist.burst", "result": "pass" },
                { "check": "reg.integrity_stable", "result": "pass" },
                { "check": "from.tomorrow", "result": "pass" },
            ],
            "checkedAt": "2026-11-22T10:00:00Z",
            "checkSet": "2026.11",
            "policy": "sha256:00",
            "trust": { "trustedRoot": "sha256:01", "npmKeys": "sha256:02", "origin": "here" },
            "verifier": { "id": "urn:one", "version": "1.0.0" },
        });
        edit(&mut verdict);
        verdict
    }

    /// Lets it be one that saw no attestation.
    fn unattested(verdict: &mut Value) {
        verdict["build"] = Value::Null;
        verdict["findings"][1]["result"] = json!("notApplicable");
        verdict["status"] = json!("unattested");
    }

    /// A version of two files.
    fn of_files(names: &[&str], edit: impl FnOnce(&mut Value)) -> Testimony {
        testimony(|verdict| {
            verdict.as_object_mut().unwrap().remove("artifact");
            let artifact = json!({ "name": "x", "sha512": "aa", "sha256": "bb", "size": 8 });
            let files = names
                .iter()
                .map(|name| json!({ "name": name, "run": "r", "signedAt": SIGNED, "artifact": artifact }));
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

    const SIGNED: &str = "2026-11-22T08:30:00Z";
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
        let same = Comparison {
            agreement: Agree,
            differences: Vec::new(),
        };
        assert_eq!(compare(&ours, &theirs), same);
        assert_eq!(ours.evidence(), theirs.evidence());
    }

    /// What a second verifier says otherwise, and what that is.
    #[test]
    fn what_differs_is_told_and_weighed() {
        type Case = (&'static str, PeerAgreement, &'static [&'static str], fn(&mut Value));
        let other_build: fn(&mut Value) = |v| v["build"]["commit"] = json!("c2");
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
            ("other bytes under another name", SplitView, &["file.sha512"], |v| {
                v["artifact"]["name"] = json!("a-1.0.0-x.tgz");
                v["artifact"]["sha512"] = json!("ab");
            }),
            ("the same bytes under another name", Agree, &[], |v| {
                v["artifact"]["name"] = json!("a-1.0.0-x.tgz");
            }),
            ("bytes that were not seen", Skew, &["file.sha512"], |v| {
                v["artifact"] = Value::Null;
            }),
            ("another build", SplitView, &["build.commit", "build.logIndex"], |v| {
                v["build"]["commit"] = json!("c2");
                v["build"]["logIndex"] = json!("8");
            }),
            ("another build, by another version", Skew, &["build.commit"], |v| {
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
            ("another build, an hour later", SplitView, &["build.commit"], |v| {
                v["build"]["commit"] = json!("c2");
                v["checkedAt"] = json!("2026-11-22T11:00:00Z");
            }),
            ("another build, much later", Skew, &["build.commit"], |v| {
                v["build"]["commit"] = json!("c2");
                v["checkedAt"] = json!(MUCH_LATER);
            }),
            ("no attestation, later", SplitView, &["build", "status"], |v| {
                unattested(v);
                v["checkedAt"] = json!(LATER);
            }),
            ("no attestation, before", SplitView, &["build", "status"], |v| {
                unattested(v);
                v["checkedAt"] = json!("2026-11-22T09:59:00Z");
            }),
            (
                "no attestation, before it was an hour old",
                Skew,
                &["build", "status"],
                |v| {
                    unattested(v);
                    v["checkedAt"] = json!("2026-11-22T09:29:00Z");
                },
            ),
            ("no answer about attestations", Skew, &["build", "status"], |v| {
                unattested(v);
                v["findings"][1]["result"] = json!("unknown");
            }),
            (
                "no answer about attestations, and told for something else",
                Skew,
                &["build", "status"],
                |v| {
                    unattested(v);
                    v["findings"][1]["result"] = json!("unknown");
                    v["status"] = json!("mismatch");
                },
            ),
            ("an invalid signature", SplitView, &["reg.signature", "status"], |v| {
                v["findings"][0]["result"] = json!("fail");
                v["status"] = json!("mismatch");
            }),
            ("one more attestation", SplitView, &["att.unique"], |v| {
                v["findings"][2]["result"] = json!("warn");
            }),
            ("one more attestation, within the hour", Skew, &["att.unique"], |v| {
                v["findings"][2]["result"] = json!("warn");
                v["checkedAt"] = json!("2026-11-22T09:29:00Z");
            }),
            ("a stripped signature", Agree, &[], |v| {
                v["findings"][0]["result"] = json!("unknown");
            }),
            ("another memory", Skew, &["status"], |v| {
                v["findings"][3]["result"] = json!("fail");
                v["status"] = json!("suspicious");
            }),
            ("what was first seen", Skew, &["status"], |v| {
                v["findings"][4]["result"] = json!("fail");
                v["status"] = json!("mismatch");
            }),
            ("a check of tomorrow", Agree, &[], |v| {
                v["findings"][5]["result"] = json!("fail");
            }),
            ("removed", Skew, &["removedAt"], |v| v["removedAt"] = json!(LATER)),
            (
                "another build and no check that was known",
                SplitView,
                &["build.commit"],
                |v| {
                    v["build"]["commit"] = json!("c2");
                    v["findings"] = json!([]);
                },
            ),
        ];
        for (case, agreement, differences, edit) in cases {
            let compared = compare(&testimony(|_| {}), &testimony(edit));
            assert_eq!(compared.agreement, *agreement, "{case}: {compared:?}");
            assert_eq!(whats(&compared), *differences, "{case}");
        }
        // Homebrew's attestations lie in a store of GitHub's.
        let of_homebrew = |edit: fn(&mut Value)| {
            testimony(|v| {
                v["package"] = json!("pkg:brew/a@1.0.0");
                edit(v);
            })
        };
        for (edit, agreement) in [
            (other_build, Skew),
            (unattested, Skew),
            ((|v| v["artifact"]["sha512"] = json!("ab")) as fn(&mut Value), SplitView),
        ] {
            let compared = compare(&of_homebrew(|_| {}), &of_homebrew(edit));
            assert_eq!(compared.agreement, agreement, "{compared:?}");
        }
    }

    #[test]
    fn files_are_compared_one_by_one() {
        type Case = (
            &'static str,
            PeerAgreement,
            &'static [&'static str],
            &'static [&'static str],
            fn(&mut Value),
        );
        let cases: &[Case] = &[
            ("the same", Agree, &["f", "g"], &[], |_| {}),
            ("one that is gone", Skew, &["f"], &["file g"], |v| {
                v["checkedAt"] = json!(LATER);
            }),
            ("one that is new", Skew, &["f", "g", "h"], &["file h"], |v| {
                v["checkedAt"] = json!(LATER);
            }),
            ("other bytes of one", SplitView, &["f", "g"], &["file.sha512 g"], |v| {
                v["artifacts"][1]["artifact"]["sha512"] = json!("ab");
            }),
            (
                "bytes of one that were not seen",
                Skew,
                &["f", "g"],
                &["file.sha512 g"],
                |v| {
                    v["artifacts"][1]["artifact"] = Value::Null;
                },
            ),
            ("another run of one", SplitView, &["f", "g"], &["file.run g"], |v| {
                v["artifacts"][1]["run"] = json!("s");
            }),
            ("no attestation of one", SplitView, &["f", "g"], &["file.run g"], |v| {
                v["artifacts"][1]["run"] = Value::Null;
                v["findings"][1] = json!({ "check": "att.present", "result": "notApplicable", "artifacts": ["g"] });
            }),
            // Then the build that is told may be that of another file.
            ("no answer about one", Skew, &["f", "g"], &["file.run f"], |v| {
                v["artifacts"][0]["run"] = Value::Null;
                v["build"]["commit"] = json!("c2");
                v["findings"][1] = json!({ "check": "att.present", "result": "unknown", "artifacts": ["f"] });
            }),
            ("a check of one", SplitView, &["f", "g"], &["reg.signature g"], |v| {
                v["findings"][0] = json!({ "check": "reg.signature", "result": "fail", "artifacts": ["g"] });
            }),
            (
                "a check of all",
                SplitView,
                &["f", "g"],
                &["reg.signature f", "reg.signature g"],
                |v| v["findings"][0]["result"] = json!("fail"),
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

    #[test]
    fn each_file_has_a_time_of_its_own_whichever_of_several_builds_is_told() {
        let of_two_runs = |signed_at: Value, run: &str| {
            of_files(&["f", "g"], |v| {
                v["artifacts"][1]["run"] = json!(run);
                v["artifacts"][1]["signedAt"] = signed_at;
            })
        };
        for (signed_at, agreement) in [
            (json!(SIGNED), SplitView),
            (json!("2026-11-22T09:30:00Z"), Skew),
            // As verdicts are that were made before it was told.
            (Value::Null, Skew),
        ] {
            let [ours, theirs] = ["s", "t"].map(|run| of_two_runs(signed_at.clone(), run));
            let compared = compare(&ours, &theirs);
            assert_eq!((compared.agreement, whats(&compared)), (agreement, vec!["file.run"]));
        }
    }

    #[test]
    fn one_that_lists_files_does_not_agree_with_one_that_tells_a_build() {
        type Case = (PeerAgreement, &'static [&'static str], fn(&mut Value));
        let only = |edit: fn(&mut Value)| {
            testimony(|v| {
                v["artifact"]["name"] = json!("f");
                edit(v);
            })
        };
        let listed = |edit: fn(&mut Value)| of_files(&["f"], edit);
        let cases: &[Case] = &[
            (Skew, &["artifacts"], |v| v["artifacts"][0]["run"] = Value::Null),
            (Skew, &["artifacts"], |v| {
                v["artifacts"][0]["run"] = Value::Null;
                v["build"]["commit"] = json!("c2");
            }),
            (SplitView, &["file.sha512", "artifacts"], |v| {
                v["artifacts"][0]["run"] = Value::Null;
                v["artifacts"][0]["artifact"]["sha512"] = json!("ab");
            }),
        ];
        for (agreement, differences, edit) in cases {
            for (ours, theirs) in [(only(|_| {}), listed(*edit)), (listed(*edit), only(|_| {}))] {
                let compared = compare(&ours, &theirs);
                assert_eq!(
                    (compared.agreement, whats(&compared)),
                    (*agreement, differences.to_vec())
                );
            }
        }
    }

    #[test]
    fn a_split_view_is_final_by_bytes_alone() {
        type Case = (bool, fn(&mut Value));
        let cases: [Case; 4] = [
            (false, |_| {}),
            (false, |v| v["build"]["commit"] = json!("c2")),
            (false, |v| v["artifact"] = Value::Null),
            (true, |v| v["artifact"]["sha512"] = json!("ab")),
        ];
        for (is_final, edit) in cases {
            let compared = compare(&testimony(|_| {}), &testimony(edit));
            assert_eq!(compared.is_final(), is_final, "{compared:?}");
        }
    }

    #[test]
    fn what_a_peer_says_is_told_within_bounds() {
        let long = "x".repeat(10_000);
        let names: Vec<String> = (0..1000).map(|number| format!("{number}{long}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let compared = compare(
            &of_files(&["f"], |_| {}),
            &of_files(&names, |v| v["artifacts"][0]["name"] = json!("f")),
        );
        assert_eq!((compared.agreement, compared.differences.len()), (Skew, MOST));
        let length = |difference: &Difference| difference.file.as_ref().map_or(0, String::len);
        assert_eq!(compared.differences.iter().map(length).max(), Some(VALUE));
        // What weighs most is told first, and is not crowded out.
        let compared = compare(
            &of_files(&["f"], |_| {}),
            &of_files(&names, |v| {
                v["artifacts"][0]["name"] = json!("f");
                v["artifacts"][0]["artifact"]["sha512"] = json!("ab");
            }),
        );
        assert_eq!((compared.agreement, whats(&compared)[0]), (SplitView, "file.sha512"));
        let read = |edit: fn(&mut Value, &str)| {
            let mut verdict = serde_json::to_value(json_of(|_| {})).unwrap();
            edit(&mut verdict, &long);
            serde_json::from_value::<Testimony>(verdict)
        };
        assert!(read(|_, _| {}).is_ok());
        // Words that are not known take no room, however often they are said.
        let unknown = read(|v, long| {
            let files: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
            v["findings"] = json!([{ "check": "att.unique", "result": long, "artifacts": files }]);
        });
        assert_eq!(unknown.unwrap().told(CheckId::AttUnique, Some("7")), Told::Unknown);
        assert!(read(|v, long| v["verifier"]["id"] = json!(long)).is_err());
        assert!(read(|v, long| v["policy"] = json!(long)).is_err());
        assert!(read(|v, _| v["schema"] = json!("urn:hekate:verdict:2")).is_err());
    }

    /// Whether versions list their files is up to the ecosystem, for a peer that does not lie.
    fn any_testimony() -> impl Strategy<Value = Testimony> {
        let files = proptest::collection::btree_map("[fg]", proptest::option::of("[ab]"), 0..3);
        let build = proptest::option::of(("[cd]", "[rs]"));
        let status = proptest::sample::select(Status::ALL);
        let findings = proptest::collection::vec(
            (
                "(reg.signature|hist.burst|att.present)",
                "(pass|fail|warn|unknown|notApplicable)",
            ),
            0..4,
        );
        (files, build, status, findings, 0_u32..120, any::<bool>(), any::<bool>()).prop_map(
            |(files, build, status, findings, minute, is_old, is_listed)| {
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
                    verdict["build"] = build.map_or(
                        Value::Null,
                        |(commit, run)| json!({ "commit": commit, "run": run, "signedAt": "2026-11-22T09:30:00Z" }),
                    );
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
            (one, other) in (any_testimony(), any_testimony()),
        ) {
            let (there, back) = (compare(&one, &other), compare(&other, &one));
            prop_assert_eq!(there.agreement, back.agreement);
            prop_assert_eq!(whats(&there), whats(&back));
            let is_settled = one.status.is_settled();
            prop_assert_eq!(compare(&one, &one).agreement, if is_settled { Agree } else { Skew });
            // Who agrees says the same of the same.
            if there.agreement == Agree {
                prop_assert_eq!(one.evidence(), other.evidence());
                prop_assert_eq!(one.status, other.status);
            }
        }
    }
}
