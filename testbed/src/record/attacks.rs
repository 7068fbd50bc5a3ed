//! Attacks that happened, with the honest releases before them.

use super::{Entry, Group, and, by_hand, day, from_the_repository_of, line, tell};
use crate::{
    BASE_TIME, Release,
    github::{Person, Repository, Run},
    npm::registry::Publisher,
};
use jiff::{SignedDuration, Timestamp};

pub(super) fn entries() -> Vec<Entry> {
    [lost_attestations(), hijacked_pipelines(), never_attested()].concat()
}

/// A release that somebody made with a token.
fn by_token(name: &str, version: &str) -> Release {
    Release::honest(name, version)
        .unattested()
        .published_by(Publisher::maintainer())
}

/// Provenance made with a token, as before there were trusted publishers.
fn with_a_token(release: Release) -> Release {
    release.published_by(Publisher::maintainer())
}

fn lost_attestations() -> Vec<Entry> {
    let lost = |name,
                told,
                package: &'static str,
                honest: &'static [&'static str],
                edit: fn(Release) -> Release,
                attacked: &'static str,
                signs| {
        tell(name, Group::LostAttestation, told, move || {
            and(line(package, honest, edit), by_token(package, attacked))
        })
        .expects("downgraded", signs)
    };
    let trusted = |release| release;
    let lost_alone: &[&str] = &["hist.downgrade"];
    let lost_and_less_guarded: &[&str] = &["hist.downgrade", "hist.publish_mode_changed"];
    vec![
        lost(
            "rspack",
            "published locally with a leaked token",
            "@rspack/core",
            &["1.1.4", "1.1.5", "1.1.6"],
            with_a_token,
            "1.1.7",
            lost_alone,
        ),
        lost(
            "nx-s1ngularity",
            "published with a token that a pull request had stolen",
            "nx",
            &["21.3.0", "21.4.0", "21.4.1"],
            trusted,
            "21.5.0",
            lost_and_less_guarded,
        ),
        lost(
            "shai-hulud-1",
            "published by a worm with stolen tokens, without a tag",
            "ngx-bootstrap",
            &["18.1.0", "18.1.1", "18.1.2"],
            with_a_token,
            "18.1.4",
            lost_alone,
        ),
        lost(
            "shai-hulud-2",
            "published by a worm with stolen tokens, without a commit",
            "spec-json-schemas",
            &["6.8.1", "6.9.0", "6.10.0"],
            with_a_token,
            "6.10.1",
            lost_alone,
        ),
        tell(
            "axios-1.14.1",
            Group::LostAttestation,
            "published from a maintainer's machine that an attacker held",
            || and(axios(), by_token("axios", "1.14.1")),
        )
        .expects("downgraded", lost_and_less_guarded),
        tell(
            "axios-0.30.4",
            Group::LostAttestation,
            "the same attack, 39 minutes later, on a line that always was published by hand",
            || {
                [
                    axios(),
                    vec![
                        by_token("axios", "1.14.1"),
                        by_token("axios", "0.30.4")
                            .tag("legacy")
                            .at(BASE_TIME + SignedDuration::from_mins(39)),
                    ],
                ]
                .concat()
            },
        )
        .before_that("pkg:npm/axios@1.14.1", "downgraded")
        .limits(
            "a line that never was attested looks like this whenever it is kept up by hand: a warning and no more; two lines \
             within 39 minutes are no burst of half an hour",
        )
        .expects("unattested", &["hist.downgrade_crossline"]),
        tell(
            "builder.io-dev-tools",
            Group::LostAttestation,
            "a prerelease published with a personal token",
            || {
                and(
                    line("@builder.io/dev-tools", &["1.62.0", "1.63.0", "1.64.0"], |release| release),
                    by_token("@builder.io/dev-tools", "1.64.2-dev.1").tag("dev"),
                )
            },
        )
        .expects(
            "downgraded",
            &["hist.downgrade_crossline", "hist.publish_mode_changed"],
        ),
    ]
}

/// Two lines: one that a build publishes, and one that always was published by hand.
fn axios() -> Vec<Release> {
    [
        by_hand("axios", &["0.30.0", "0.30.1", "0.30.2", "0.30.3"], "legacy"),
        line("axios", &["1.13.4", "1.13.5", "1.14.0"], |release| release),
    ]
    .concat()
}

/// A release by a push to the default branch, as most of these projects make them.
fn from_main(release: Release) -> Release {
    release.build(|build| build.from_branch("main"))
}

/// No pull request brought the commit of a release.
pub(super) fn without_pull_request(repository: &mut Repository, commit: &str) {
    repository
        .pulls
        .retain(|pull| pull.merge_commit.as_deref() != Some(commit) && !pull.commits.iter().any(|sha| sha == commit));
}

fn commit_of(release: Release) -> (Release, String) {
    let mut commit = String::new();
    let release = release.build(|build| commit.clone_from(&build.commit));
    (release, commit)
}

/// A release whose commit nobody reviewed and nobody signed.
fn pushed_by_an_attacker(release: Release) -> Release {
    let (release, commit) = commit_of(release);
    release
        .commit(|commit| {
            commit.unsigned();
            commit.author = Person::account("alice", "alice@example.com");
            commit.committer = Person::account("alice", "alice@example.com");
        })
        .repository(move |repository| without_pull_request(repository, &commit))
}

/// The commit hangs on a branch that is deleted as soon as the release is out.
fn from_a_branch_that_is_gone(release: Release, branch: &'static str) -> Release {
    pushed_by_an_attacker(release.build(move |build| build.from_branch(branch))).repository(move |repository| {
        repository.branches.remove(branch);
    })
}

fn hijacked_pipelines() -> Vec<Entry> {
    let attack = |name, told, releases: fn() -> Vec<Release>| tell(name, Group::HijackedPipeline, told, releases);
    vec![
        attack(
            "sap-cap-js",
            "pushed commits that made the release workflow publish",
            || {
                and(
                    line("@cap-js/sqlite", &["2.0.0", "2.0.1", "2.0.2"], |release| {
                        from_main(release).repository(tag_releases)
                    }),
                    pushed_by_an_attacker(from_main(Release::honest("@cap-js/sqlite", "2.0.3")))
                        .commit(|commit| {
                            commit.files = vec![(".github/workflows/publish.yml".to_owned(), "modified".to_owned())];
                            commit.at = BASE_TIME - SignedDuration::from_mins(3);
                        })
                        .repository(tag_releases),
                )
            },
        )
        .limits("warned of by the source alone; needs the history of publishing to be more than that")
        .expects("verified", &["src.commit_signature", "src.commit_to_publish_age"]),
        attack(
            "tanstack",
            "a poisoned cache let a test step steal the identity token; the run failed, its publishing step never ran",
            || {
                and(
                    line("@tanstack/router", &["1.160.0", "1.161.0", "1.162.0"], from_main),
                    from_main(Release::honest("@tanstack/router", "1.169.5"))
                        .run(|run: &mut Run| run.skip_publish_and_sign_in("Run npm test")),
                )
            },
        )
        .expects(
            "suspicious",
            &["run.conclusion", "run.publish_step", "run.signing_step"],
        ),
        attack(
            "tanstack-mid-run",
            "the same, looked at while the run went on and again when it had failed",
            || {
                and(
                    line("@tanstack/router", &["1.160.0", "1.161.0", "1.162.0"], from_main),
                    from_main(Release::honest("@tanstack/router", "1.169.5"))
                        .run(|run: &mut Run| run.in_progress_at(BASE_TIME + SignedDuration::from_secs(1))),
                )
            },
        )
        .looked_at_before(BASE_TIME + SignedDuration::from_mins(1), "attested")
        .then(|github| {
            if let Some(run) = github.repository_mut("tanstack/router").runs.last_mut() {
                run.conclude("failure");
                run.skip_publish_and_sign_in("Run npm test");
            }
        })
        .looked_at(BASE_TIME + SignedDuration::from_mins(12))
        .expects(
            "suspicious",
            &["run.conclusion", "run.publish_step", "run.signing_step"],
        ),
        attack(
            "tanstack-in-a-build-step",
            "the identity was stolen in a step that builds, and the publishing step succeeded afterwards",
            || {
                and(
                    line("@tanstack/router", &["1.160.0", "1.161.0", "1.162.0"], from_main),
                    from_main(Release::honest("@tanstack/router", "1.169.6")).run(|run: &mut Run| {
                        let after = run.publish_step_mut().completed_at;
                        let step = run.publish_step_mut();
                        step.started_at = after.map(|after| after + SignedDuration::from_secs(30));
                        step.completed_at = after.map(|after| after + SignedDuration::from_secs(40));
                        let build = run.step_mut("Run npm test");
                        "Run pnpm build".clone_into(&mut build.name);
                        build.completed_at = after;
                        for step in run.jobs.iter_mut().flat_map(|job| &mut job.steps) {
                            if step.name.starts_with("Post") || step.name == "Complete job" {
                                step.started_at = after.map(|after| after + SignedDuration::from_secs(41));
                                step.completed_at = step.started_at;
                            }
                        }
                    }),
                )
            },
        )
        .limits("a signature in a step that may sign for all that its name says is a warning")
        .expects("attested", &["run.signing_step"]),
        attack(
            "miasma",
            "orphan commits, pushed with a stolen account, ran the release workflow",
            || {
                let honest = line(
                    "@redhat-cloud-services/types",
                    &["1.0.0", "1.0.1", "1.0.2"],
                    |release| from_main(release).build(|build| build.environment = Some("npm".to_owned())),
                );
                let attacked = [("1.0.3", -8), ("1.0.4", -4), ("1.0.5", 0)].map(|(version, minutes)| {
                    let release = Release::honest("@redhat-cloud-services/types", version)
                        .at(BASE_TIME + SignedDuration::from_mins(minutes));
                    from_a_branch_that_is_gone(release, "oidc-7a1f").commit(|commit| commit.parents.clear())
                });
                [honest, attacked.into()].concat()
            },
        )
        .not_looked_at_within(SignedDuration::from_hours(1))
        .expects(
            "suspicious",
            &[
                "id.ref_novel",
                "id.environment_missing",
                "hist.burst",
                "src.commit_reachable",
                "src.commit_signature",
            ],
        ),
        attack(
            "snapshot-branch",
            "a worm pushed a throw-away branch with a release workflow of its own",
            || {
                and(
                    line("@arrange/assert", &["3.1.0", "3.2.0", "3.3.0"], |release| release),
                    from_a_branch_that_is_gone(Release::honest("@arrange/assert", "3.3.1"), "snapshot-4f2a"),
                )
            },
        )
        .expects(
            "suspicious",
            &[
                "id.trigger_novel",
                "id.ref_novel",
                "id.ref_disttag_mismatch",
                "src.commit_reachable",
                "src.tag_matches_version",
                "src.commit_signature",
            ],
        ),
        attack(
            "snapshot-branch-at-once",
            "the same, looked at five minutes after the publication",
            || {
                and(
                    line("@arrange/assert", &["3.1.0", "3.2.0", "3.3.0"], |release| release),
                    from_a_branch_that_is_gone(Release::honest("@arrange/assert", "3.3.1"), "snapshot-4f2a"),
                )
            },
        )
        .looked_at(BASE_TIME + SignedDuration::from_mins(5))
        .expects(
            "suspicious",
            &[
                "id.trigger_novel",
                "id.ref_novel",
                "id.ref_disttag_mismatch",
                "src.commit_reachable",
                "src.commit_signature",
            ],
        ),
        attack(
            "immobiliarelabs",
            "a worm's commit, two days old, ran the release workflow for many old lines at once",
            || {
                let name = "@immobiliarelabs/backstage-plugin";
                let honest = ["4.0.0", "5.0.0", "6.11.0", "6.12.0", "6.13.0"];
                let attacked = [("4.0.1", -9), ("5.0.1", -5), ("6.13.1", 0)].map(|(version, minutes)| {
                    pushed_by_an_attacker(
                        Release::honest(name, version).at(BASE_TIME + SignedDuration::from_mins(minutes)),
                    )
                });
                [line(name, &honest, |release| release), attacked.into()].concat()
            },
        )
        .not_looked_at_within(SignedDuration::from_hours(1))
        .expects("suspicious", &["hist.burst", "src.commit_signature"]),
        attack(
            "asyncapi",
            "a commit by nobody on a prerelease branch was published as the latest version",
            || {
                and(
                    line("@asyncapi/specs", &["6.9.0", "6.10.0", "6.11.1"], from_main),
                    pushed_by_an_attacker(
                        Release::honest("@asyncapi/specs", "6.11.2").build(|build| build.from_branch("alpha")),
                    )
                    .commit(|commit| {
                        commit.author = Person {
                            name: "Your Name".to_owned(),
                            email: "you@example.com".to_owned(),
                            login: None,
                            is_bot: false,
                        };
                        commit.committer = commit.author.clone();
                    }),
                )
            },
        )
        .expects(
            "suspicious",
            &[
                "id.ref_novel",
                "id.ref_disttag_mismatch",
                "src.commit_reachable",
                "src.commit_signature",
                "src.author_committer_spoof",
            ],
        ),
        attack(
            "keyv",
            "an unsigned commit on the default branch, by a bot's name, from a maintainer's account: six packages at once",
            || keyv(|index| day(-3 - index)),
        )
        .before_that("pkg:npm/%40keyv/etcd@6.0.0", "suspicious")
        .limits("told by how much was released at once, beside the source: where that is the habit, the next entry")
        .expects(
            "suspicious",
            &["hist.burst", "src.commit_signature", "src.author_committer_spoof"],
        ),
        attack(
            "keyv-where-all-is-released-at-once",
            "the same in a repository whose packages are always released at once",
            || keyv(|index| day(-3) + SignedDuration::from_mins(index)),
        )
        .limits(
            "run, ref, trigger and time are in order; the guards allow warnings by the source, which are not enough alone",
        )
        .expects("verified", &["src.commit_signature", "src.author_committer_spoof"]),
        attack(
            "7nohe",
            "a workflow that publishes on anybody's comment published old majors",
            || {
                let name = "@7nohe/openapi-react-query-codegen";
                let honest = ["0.5.3", "1.6.2", "2.0.0", "2.1.0", "2.2.0"];
                let attacked = [("2.2.1", -21), ("1.6.3", -14), ("0.6.1", -7), ("0.5.4", 0)].map(|(version, minutes)| {
                    let release = Release::honest(name, version).at(BASE_TIME + SignedDuration::from_mins(minutes));
                    pushed_by_an_attacker(release.build(|build| {
                        build.from_branch("main");
                        "issue_comment".clone_into(&mut build.event);
                    }))
                });
                [line(name, &honest, |release| release), attacked.into()].concat()
            },
        )
        .not_looked_at_within(SignedDuration::from_hours(1))
        .looked_at(day(1))
        .expects(
            "suspicious",
            &[
                "id.trigger_novel",
                "id.ref_novel",
                "hist.burst",
                "src.tag_matches_version",
                "src.commit_signature",
            ],
        ),
    ]
}

/// Six packages of one repository, each released once before, at `before`, and then all at once.
fn keyv(before: fn(i64) -> Timestamp) -> Vec<Release> {
    let names = [
        "@keyv/redis",
        "@keyv/mongo",
        "@keyv/sqlite",
        "@keyv/postgres",
        "@keyv/etcd",
        "keyv",
    ];
    let honest = line("keyv", &["5.5.3", "5.5.4", "5.5.5"], |release| {
        from_main(release).repository(tag_releases)
    });
    let earlier = names.into_iter().zip(0..).map(|(name, index)| {
        from_main(from_the_repository_of("keyv", name, "5.6.0"))
            .at(before(index))
            .repository(tag_releases)
    });
    let attacked = names.into_iter().zip(-5..).map(|(name, minutes)| {
        let release = from_the_repository_of("keyv", name, "6.0.0").at(BASE_TIME + SignedDuration::from_mins(minutes));
        pushed_by_an_attacker(from_main(release))
            .commit(|commit| {
                commit.author = Person {
                    name: "github-actions[bot]".to_owned(),
                    email: "41898282+github-actions[bot]@users.noreply.github.com".to_owned(),
                    login: None,
                    is_bot: true,
                };
            })
            .repository(tag_releases)
    });
    honest.into_iter().chain(earlier).chain(attacked).collect()
}

/// Every version that was released so far has a tag.
fn tag_releases(repository: &mut Repository) {
    let tips: Vec<(String, String)> = repository
        .commits
        .values()
        .filter_map(|commit| {
            let version = commit.package_jsons.get("package.json")?.get("version")?.as_str()?;
            Some((format!("v{version}"), commit.sha.clone()))
        })
        .collect();
    for (name, commit) in tips {
        repository.tag(&name, &commit);
    }
}

const NEVER_ATTESTED: &str = "cannot be told from attestations: the package never had any";

fn never_attested() -> Vec<Entry> {
    let never = |name, told, package: &'static str, honest: &'static [&'static str], attacked: &'static str| {
        tell(name, Group::NeverAttested, told, move || {
            and(line(package, honest, Release::unattested), by_token(package, attacked))
        })
        .before("unattested")
        .limits(NEVER_ATTESTED)
        .expects("unattested", &[])
    };
    vec![
        tell(
            "chalk-debug",
            Group::NeverAttested,
            "a maintainer's account was phished, and its packages published at once",
            || {
                let names = ["debug", "ansi-styles", "strip-ansi", "color-name", "wrap-ansi", "chalk"];
                let honest = line("chalk", &["5.4.0", "5.5.0", "5.6.0"], Release::unattested);
                let earlier = names
                    .into_iter()
                    .zip(1..)
                    .map(|(name, index)| by_token(name, "5.6.1").at(day(-index - 1)));
                let attacked = names
                    .into_iter()
                    .zip(-5..)
                    .map(|(name, minutes)| by_token(name, "5.6.2").at(BASE_TIME + SignedDuration::from_mins(minutes)));
                honest.into_iter().chain(earlier).chain(attacked).collect()
            },
        )
        .looked_at(BASE_TIME + SignedDuration::from_hours(3))
        .limits(NEVER_ATTESTED)
        .expects("unattested", &["hist.burst"]),
        never(
            "bitwarden-cli",
            "published from a private repository's pipeline that was taken over",
            "@bitwarden/cli",
            &["2026.1.0", "2026.2.0", "2026.3.0"],
            "2026.4.0",
        ),
        tell(
            "antv",
            Group::NeverAttested,
            "an account was taken over that had published nothing of this package lately",
            || {
                and(
                    line("@antv/g2", &["5.3.0", "5.3.1", "5.3.2"], Release::unattested),
                    by_token("@antv/g2", "5.3.3").published_by(Publisher::account("mallory")),
                )
            },
        )
        .limits(NEVER_ATTESTED)
        .expects("unattested", &["hist.publisher_changed"]),
    ]
}
