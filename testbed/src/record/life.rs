//! What happens every day, and must not be taken for an attack.

use super::{Entry, Group, Telling, and, day, from_the_repository_of, line, tell};
use crate::{
    Answer, BASE_TIME, Flavour, Release,
    build::Signer,
    github::{Approval, Job, Person, Quota, Run, Step},
    npm::registry::Publisher,
};
use jiff::SignedDuration;

pub(super) fn entries() -> Vec<Entry> {
    [repositories(), pipelines(), runs(), forges(), publications(), bursts()].concat()
}

fn life(
    name: &'static str,
    told: &'static str,
    releases: impl Fn() -> Vec<Release> + Send + Sync + 'static,
) -> Telling {
    tell(name, Group::Life, told, releases)
}

const WIDGET: &str = "@acme/widget";

/// Three honest releases of the widget.
fn earlier() -> Vec<Release> {
    line(WIDGET, &["1.0.0", "1.1.0", "1.2.0"], |release| release)
}

fn widget() -> Release {
    Release::honest(WIDGET, "1.3.0")
}

fn on_main(release: Release) -> Release {
    release.build(|build| build.from_branch("main"))
}

fn repositories() -> Vec<Entry> {
    vec![
        life("first-release", "the first version that anybody looks at", || {
            vec![widget()]
        })
        .expects("verified", &[]),
        life("tenth-release", "one more version, like those before", || {
            and(earlier(), widget())
        })
        .expects("verified", &[]),
        life("second-look", "nothing has changed since the first look", || {
            and(earlier(), widget())
        })
        .looked_at_before(day(1), "verified")
        .looked_at(day(2))
        .calls(1)
        .expects("verified", &[]),
        life(
            "renamed-repository",
            "the repository was renamed after the release",
            || and(earlier(), widget()),
        )
        .then(|github| github.rename("acme/widget", "acme/gadget"))
        .expects("verified", &[]),
        life("transferred-repository", "the repository went to another owner", || {
            and(earlier(), widget())
        })
        .then(|github| github.rename("acme/widget", "umbrella/widget"))
        .expects("verified", &[]),
        life("archived-repository", "the repository was archived", || {
            and(earlier(), widget())
        })
        .then(|github| github.repository_mut("acme/widget").archived = true)
        .expects("verified", &[]),
        life(
            "squash-merged",
            "built on a release branch that was squashed into the default branch and deleted",
            || {
                let mut commit = String::new();
                let release = widget().build(|build| {
                    build.from_branch("release/1.3");
                    commit.clone_from(&build.commit);
                });
                vec![release.repository(move |repository| {
                    repository.branches.remove("release/1.3");
                    for pull in &mut repository.pulls {
                        "main".clone_into(&mut pull.base_ref);
                        pull.commits.push(commit.clone());
                    }
                })]
            },
        )
        .expects("verified", &[]),
        life(
            "deleted-release-branch",
            "built on a release branch that was deleted, with a tag",
            || {
                let mut commit = String::new();
                let release = widget().build(|build| {
                    build.from_branch("release/1.3");
                    commit.clone_from(&build.commit);
                });
                vec![release.repository(move |repository| {
                    repository.branches.remove("release/1.3");
                    repository.pulls.clear();
                    repository.tag("v1.3.0", &commit);
                })]
            },
        )
        .expects("verified", &[]),
        life("maintenance-branch", "a fix of an old line, from its branch", || {
            and(
                line(WIDGET, &["2.0.0", "2.1.0", "2.2.0"], on_main),
                Release::honest(WIDGET, "1.9.1").build(|build| build.from_branch("1.x")),
            )
        })
        .expects("verified", &["id.ref_novel"]),
        life(
            "prerelease-channel",
            "a prerelease from the branch of its channel",
            || {
                and(
                    line(WIDGET, &["1.0.0", "1.1.0", "1.2.0"], on_main),
                    Release::honest(WIDGET, "2.0.0-next.0").build(|build| build.from_branch("next")),
                )
            },
        )
        .expects("verified", &[]),
        life(
            "unsigned-project",
            "nobody in the project signs commits or opens pull requests",
            || {
                let plain = |release: Release| {
                    on_main(release)
                        .commit(|commit| {
                            commit.unsigned();
                            commit.committer = Person::account("alice", "alice@example.com");
                        })
                        .repository(|repository| repository.pulls.clear())
                };
                and(line(WIDGET, &["1.0.0", "1.1.0", "1.2.0"], plain), plain(widget()))
            },
        )
        .expects("verified", &[]),
        life("release-bot", "a bot commits and tags the release", || {
            vec![on_main(widget()).commit(|commit| {
                commit.author = Person {
                    name: "release-please[bot]".to_owned(),
                    email: "55107282+release-please[bot]@users.noreply.github.com".to_owned(),
                    login: Some("release-please[bot]".to_owned()),
                    is_bot: true,
                };
            })]
        })
        .expects("verified", &[]),
        life(
            "tag-follows",
            "the tag is pushed after the publication, and has not come yet",
            || {
                let tagged = |release: Release| release;
                and(
                    line(WIDGET, &["1.0.0", "1.1.0", "1.2.0"], tagged),
                    widget().repository(|repository| repository.tags.retain(|tag| tag.name != "v1.3.0")),
                )
            },
        )
        .looked_at(BASE_TIME + SignedDuration::from_mins(5))
        .limits("a tag that other versions have may still come; the next look tells")
        .expects("attested", &[]),
        life("tag-came", "the tag was pushed after the first look", || {
            and(
                earlier(),
                widget().repository(|repository| repository.tags.retain(|tag| tag.name != "v1.3.0")),
            )
        })
        .looked_at_before(BASE_TIME + SignedDuration::from_mins(5), "attested")
        .then(|github| {
            let repository = github.repository_mut("acme/widget");
            if let Some(commit) = repository.runs.last().map(|run| run.head_sha.clone()) {
                repository.tag("v1.3.0", &commit);
            }
        })
        .looked_at(BASE_TIME + SignedDuration::from_mins(15))
        .expects("verified", &[]),
        life(
            "tagged-by-the-run",
            "the run commits the new version itself, and tags that commit",
            || {
                let beside = |release: Release| {
                    let mut built = String::new();
                    on_main(release)
                        .build(|build| built.clone_from(&build.commit))
                        .repository(move |repository| {
                            let version = repository.commits.get(&built).and_then(|commit| {
                                let version = commit.package_jsons.get("package.json")?.get("version")?;
                                Some(version.as_str()?.to_owned())
                            });
                            if let Some(version) = version {
                                let stamped = format!("{built:.36}beef");
                                repository.tag(&format!("v{version}"), &stamped);
                            }
                        })
                };
                and(line(WIDGET, &["1.0.0", "1.1.0", "1.2.0"], beside), beside(widget()))
            },
        )
        .expects("verified", &[]),
        life("nightly-channel", "the first build of a new nightly channel", || {
            and(
                earlier(),
                Release::honest(WIDGET, "1.4.0-nightly.20261102").build(|build| {
                    build.from_branch("main");
                    "schedule".clone_into(&mut build.event);
                }),
            )
        })
        .expects("verified", &[]),
        life("hundreds-of-tags", "more tags than one page shows", || {
            and(earlier(), widget())
                .into_iter()
                .map(|release| {
                    release.repository(|repository| {
                        let tip = repository.branches.get("main").cloned().unwrap_or_default();
                        for index in 0..120 {
                            repository.tag(&format!("zz-{index:03}"), &tip);
                        }
                        repository.tags.retain(|tag| !tag.name.starts_with('v'));
                    })
                })
                .collect()
        })
        .expects("verified", &[]),
        life(
            "force-pushed",
            "the commit was force-pushed away before anybody looked",
            || {
                let mut commit = String::new();
                let release = on_main(widget()).build(|build| commit.clone_from(&build.commit));
                vec![release.repository(move |repository| {
                    repository.withdraw(&commit);
                })]
            },
        )
        .looked_at(day(15))
        .limits("the commit cannot be examined any more")
        .expects("attested", &["src.commit_exists"]),
        life("private-repository", "built in a private repository", || {
            vec![widget().build(|build| "private".clone_into(&mut build.visibility))]
        })
        .limits("GitHub shows nothing of a private repository")
        .expects("attested", &[]),
        life(
            "deleted-repository",
            "the repository is gone before anybody looked",
            || vec![widget()],
        )
        .then(|github| github.repository_mut("acme/widget").deleted = true)
        .limits("what is gone and was never seen cannot be examined")
        .expects("attested", &[]),
        life("deleted-later", "the repository is gone, and was seen before", || {
            vec![widget()]
        })
        .looked_at_before(day(0) + SignedDuration::from_hours(1), "verified")
        .then(|github| github.repository_mut("acme/widget").deleted = true)
        .looked_at(day(10))
        .expects("verified", &[]),
    ]
}

fn pipelines() -> Vec<Entry> {
    vec![
        life(
            "reusable-workflow",
            "a reusable workflow of the same owner publishes",
            || {
                vec![widget().build(|build| {
                    build.signer = Some(Signer {
                        uri: "https://github.com/acme/workflows/.github/workflows/publish.yml@refs/heads/main"
                            .to_owned(),
                        digest: "a".repeat(40),
                    });
                })]
            },
        )
        .expects("verified", &[]),
        life("slsa-generator", "the SLSA project's generator signs", || {
            vec![widget().flavour(Flavour::NodeBuilder)]
        })
        .expects("verified", &[]),
        life(
            "workflow-run",
            "released by a workflow that runs after another one",
            || {
                vec![
                    on_main(widget())
                        .build(|build| "workflow_run".clone_into(&mut build.event))
                        .run(|run: &mut Run| run.head_sha = "b".repeat(40)),
                ]
            },
        )
        .expects("verified", &[]),
        life("workflow-dispatch", "released by hand, from the Actions page", || {
            vec![on_main(widget()).build(|build| "workflow_dispatch".clone_into(&mut build.event))]
        })
        .expects("verified", &[]),
        life(
            "released-by-comment",
            "a project that always releases by a comment",
            || {
                let commented =
                    |release: Release| on_main(release).build(|build| "issue_comment".clone_into(&mut build.event));
                and(
                    line(WIDGET, &["1.0.0", "1.1.0", "1.2.0"], commented),
                    commented(widget()),
                )
            },
        )
        .expects("verified", &[]),
        life(
            "new-trigger",
            "the project changed from tags to releases by hand",
            || {
                and(
                    line(WIDGET, &["1.0.0", "1.1.0", "1.2.0"], |release| {
                        release.build(|build| "push".clone_into(&mut build.event))
                    }),
                    widget().build(|build| "workflow_dispatch".clone_into(&mut build.event)),
                )
            },
        )
        .expects("verified", &["id.trigger_novel"]),
        life(
            "continuous-release",
            "the project changed from tags to the default branch, and keeps its tags",
            || {
                let mut commit = String::new();
                let release = on_main(widget()).build(|build| commit.clone_from(&build.commit));
                and(
                    earlier(),
                    release.repository(move |repository| repository.tag("v1.3.0", &commit)),
                )
            },
        )
        .expects("verified", &["id.trigger_novel", "id.ref_novel"]),
        life(
            "tags-given-up",
            "the project changed to the default branch, and gave up its tags",
            || and(earlier(), on_main(widget())),
        )
        .limits("a changed pipeline without a tag is what an attack looks like, and it is not learnt from")
        .expects(
            "suspicious",
            &["id.trigger_novel", "id.ref_novel", "src.tag_matches_version"],
        ),
        life("monorepo", "thirty packages from one run", || {
            (0..30)
                .map(|index| {
                    let name = format!("@acme/part-{index}");
                    let mut build = None;
                    let whole = Release::honest("@acme/parts", "4.0.0").build(|of| build = Some(of.clone()));
                    drop(whole);
                    Release::honest(&name, "4.0.0")
                        .at(BASE_TIME + SignedDuration::from_secs(2 * index))
                        .build(|of| {
                            if let Some(build) = build {
                                *of = build;
                            }
                        })
                })
                .collect()
        })
        .calls(3)
        .expects("verified", &[]),
        life("self-hosted", "built on a runner of the project's own", || {
            vec![widget().build(|build| "self-hosted".clone_into(&mut build.runner_environment))]
        })
        .expects("verified", &[]),
        life("deployment-environment", "a person approved the deployment", || {
            let gated = |release: Release| {
                release
                    .build(|build| build.environment = Some("npm".to_owned()))
                    .run(|run: &mut Run| {
                        run.approvals.push(Approval {
                            environment: "npm".to_owned(),
                            state: "approved".to_owned(),
                            user: "alice".to_owned(),
                        });
                    })
            };
            and(line(WIDGET, &["1.0.0", "1.1.0", "1.2.0"], gated), gated(widget()))
        })
        .expects("verified", &[]),
        life(
            "own-script-beside-a-skipped-step",
            "a step that drafts a release is skipped, and a script publishes",
            || {
                vec![with_own_script(widget()).run(|run: &mut Run| {
                    let draft = run.step_mut("Run npm test");
                    "Create a release".clone_into(&mut draft.name);
                    draft.conclusion = Some("skipped".to_owned());
                })]
            },
        )
        .limits("which step publishes cannot be told from a name; the next releases learn it")
        .expects("attested", &[]),
        life("own-script", "a script of the project's own publishes", || {
            vec![with_own_script(widget())]
        })
        .limits("which step publishes cannot be told from a name; the next releases learn it")
        .expects("attested", &[]),
        life("own-script-learnt", "the same, for the third time", || {
            and(
                line(WIDGET, &["1.0.0", "1.1.0"], with_own_script),
                with_own_script(widget()),
            )
        })
        .before("attested")
        .expects("verified", &[]),
        life("gitlab", "built on GitLab", || vec![widget().flavour(Flavour::GitLab)])
            .limits("builds on GitLab are authenticated and not correlated")
            .expects("attested", &[]),
        life("early-2023", "published in 2023", || {
            vec![Release::honest_of_2023(WIDGET, "0.1.0")]
        })
        .looked_at(BASE_TIME)
        .limits("GitHub keeps runs for 90 days at most")
        .expects("attested", &[]),
    ]
}

/// How versions are published changes, and what earlier ones had is given up.
fn publications() -> Vec<Entry> {
    let by_account = |name: &str, version: &str, account: &str| {
        Release::honest(name, version)
            .unattested()
            .published_by(Publisher::account(account))
    };
    vec![
        life(
            "never-attested",
            "one more version of a package that never was attested",
            || {
                and(
                    line(WIDGET, &["1.0.0", "1.1.0", "1.2.0"], Release::unattested),
                    widget().unattested(),
                )
            },
        )
        .expects("unattested", &[]),
        life(
            "gave-up-provenance",
            "the project gave up provenance two months ago",
            || {
                let attested = line(WIDGET, &["1.0.0", "1.1.0", "1.2.0"], |release| {
                    release
                        .published_by(Publisher::maintainer())
                        .later(SignedDuration::from_hours(-24 * 50))
                });
                let since = line(
                    WIDGET,
                    &["1.2.1", "1.2.2", "1.2.3", "1.2.4", "1.2.5"],
                    Release::unattested,
                );
                [attested, since, vec![widget().unattested()]].concat()
            },
        )
        .before_that("pkg:npm/%40acme/widget@1.2.1", "downgraded")
        .before_that("pkg:npm/%40acme/widget@1.2.2", "downgraded")
        .before_that("pkg:npm/%40acme/widget@1.2.3", "downgraded")
        .before_that("pkg:npm/%40acme/widget@1.2.4", "downgraded")
        .before_that("pkg:npm/%40acme/widget@1.2.5", "downgraded")
        .expects("unattested", &[]),
        life(
            "adopts-trusted-publishing",
            "a project that published by hand lets its pipeline publish",
            || {
                and(
                    line(WIDGET, &["1.0.0", "1.1.0", "1.2.0"], Release::unattested),
                    widget(),
                )
            },
        )
        .expects("verified", &[]),
        life(
            "token-in-the-pipeline",
            "a pipeline that was a trusted publisher uses a token again, and attests as before",
            || and(earlier(), widget().published_by(Publisher::maintainer())),
        )
        .expects("verified", &["hist.publish_mode_changed"]),
        life("stages-its-releases", "a person approves releases from now on", || {
            and(
                earlier(),
                widget().published_by(Publisher::trusted("github").approved_by("alice", "alice@example.com")),
            )
        })
        .expects("verified", &[]),
        life(
            "prereleases-by-hand",
            "releases are attested, and prereleases always were published by hand",
            move || {
                let by_hand = |release: Release| release.unattested().tag("dev");
                [
                    line(WIDGET, &["1.3.0-dev.1", "1.3.0-dev.2", "1.3.0-dev.3"], |release| {
                        by_hand(release).later(SignedDuration::from_hours(-24 * 60))
                    }),
                    earlier(),
                    vec![by_hand(Release::honest(WIDGET, "1.3.0-dev.4"))],
                ]
                .concat()
            },
        )
        .limits("a channel of its own that never was attested is a warning")
        .expects("unattested", &["hist.downgrade_crossline"]),
        life(
            "new-maintainer",
            "a maintainer publishes for the first time",
            move || {
                and(
                    line(WIDGET, &["1.0.0", "1.1.0", "1.2.0"], Release::unattested),
                    by_account(WIDGET, "1.3.0", "bob"),
                )
            },
        )
        .expects("unattested", &["hist.publisher_changed"]),
        life(
            "moved-to-a-monorepo",
            "the package moved to another repository of its owner",
            || {
                and(
                    earlier(),
                    Release::honest(WIDGET, "1.3.0").build(|build| {
                        "acme/everything".clone_into(&mut build.repository);
                        "800000001".clone_into(&mut build.repository_id);
                    }),
                )
            },
        )
        .expects("verified", &[]),
        life(
            "transferred-before-the-release",
            "the repository went to another owner before the release",
            || {
                and(
                    earlier(),
                    widget().build(|build| {
                        "umbrella/widget".clone_into(&mut build.repository);
                        "90000001".clone_into(&mut build.owner_id);
                    }),
                )
            },
        )
        .expects("verified", &["id.owner_id"]),
        life(
            "renamed-workflow",
            "the workflow that publishes has another name",
            || {
                and(
                    earlier(),
                    widget().build(|build| ".github/workflows/release.yml".clone_into(&mut build.workflow_path)),
                )
            },
        )
        .expects("verified", &[]),
        life(
            "latest-from-next",
            "a project whose latest versions always come from its branch next",
            || {
                let from_next = |release: Release| release.build(|build| build.from_branch("next"));
                and(
                    line(WIDGET, &["1.0.0", "1.1.0", "1.2.0"], from_next),
                    from_next(widget()),
                )
            },
        )
        .expects("verified", &[]),
    ]
}

/// Much is published at once.
fn bursts() -> Vec<Entry> {
    let minutes = |minutes| SignedDuration::from_mins(minutes);
    vec![
        life(
            "security-backport",
            "one fix for three release lines, within minutes",
            move || {
                [
                    line(
                        WIDGET,
                        &["1.8.0", "1.9.0", "2.7.0", "2.8.0", "3.0.0", "3.1.0"],
                        |release| release,
                    ),
                    fix_of_three_lines(&["1.9.1", "2.8.1", "3.1.1"], SignedDuration::ZERO),
                ]
                .concat()
            },
        )
        .expects("verified", &["hist.burst"]),
        life(
            "security-backport-as-before",
            "the same in a project that has done so before",
            move || {
                [
                    line(
                        WIDGET,
                        &["1.8.0", "1.9.0", "2.7.0", "2.8.0", "3.0.0", "3.1.0"],
                        |release| release,
                    ),
                    fix_of_three_lines(&["1.9.1", "2.8.1", "3.1.1"], SignedDuration::from_hours(-24 * 4)),
                    fix_of_three_lines(&["1.9.2", "2.8.2", "3.1.2"], SignedDuration::ZERO),
                ]
                .concat()
            },
        )
        .expects("verified", &[]),
        life(
            "many-first-versions",
            "a new package is corrected twice within minutes",
            move || {
                [("0.0.1", -20), ("0.0.2", -9), ("0.0.3", 0)]
                    .map(|(version, ago)| {
                        Release::honest(WIDGET, version)
                            .unattested()
                            .at(BASE_TIME + minutes(ago))
                    })
                    .into()
            },
        )
        .expects("unattested", &[]),
        life(
            "canary-channel",
            "every commit is published as a canary, some within minutes",
            move || {
                let canary = |index: i64, at| {
                    on_main(Release::honest(WIDGET, &format!("1.3.0-canary.{index}")))
                        .tag("canary")
                        .at(at)
                };
                let day_before: Vec<Release> = (0..4)
                    .map(|index| canary(index, day(-2) + minutes(6 * index)))
                    .collect();
                let now = (4..8).map(|index| canary(index, BASE_TIME + minutes(5 * (index - 7))));
                earlier().into_iter().chain(day_before).chain(now).collect()
            },
        )
        .expects("verified", &[]),
        life(
            "release-among-canaries",
            "a release beside canaries of the same minutes",
            move || {
                let canary = |index: i64| {
                    on_main(Release::honest(WIDGET, &format!("1.3.0-canary.{index}")))
                        .tag("canary")
                        .at(BASE_TIME + minutes(5 * (index - 4)))
                };
                earlier()
                    .into_iter()
                    .chain((0..4).map(canary))
                    .chain([widget()])
                    .collect()
            },
        )
        .expects("verified", &[]),
        life(
            "monorepo-as-before",
            "six packages of a repository at once, as at its last release",
            move || {
                let parts = |version: &str, at| -> Vec<Release> {
                    (0..6)
                        .map(|index| {
                            on_main(from_the_repository_of(
                                "@acme/parts",
                                &format!("@acme/part-{index}"),
                                version,
                            ))
                            .at(at + minutes(index))
                        })
                        .collect()
                };
                [parts("4.0.0", day(-10)), parts("4.1.0", day(0))].concat()
            },
        )
        .expects("verified", &[]),
        life(
            "monorepo-for-the-first-time",
            "six packages of a repository at once, that were released one by one before",
            move || {
                let part = |index: i64, version: &str, at| {
                    on_main(from_the_repository_of(
                        "@acme/parts",
                        &format!("@acme/part-{index}"),
                        version,
                    ))
                    .at(at)
                };
                let one_by_one = (0..6).map(|index| part(index, "4.0.0", day(index - 20)));
                let at_once = (0..6).map(|index| part(index, "4.1.0", day(0) + minutes(index)));
                one_by_one.chain(at_once).collect()
            },
        )
        .expects("verified", &["hist.burst"]),
    ]
}

/// A fix of each of three lines, four minutes apart, so much later than the base time.
fn fix_of_three_lines(versions: &[&str], later: SignedDuration) -> Vec<Release> {
    let fix = |(version, index): (&&str, i64)| {
        Release::honest(WIDGET, version).at(BASE_TIME + later + SignedDuration::from_mins(4 * index))
    };
    versions.iter().zip(0..).map(fix).collect()
}

fn with_own_script(release: Release) -> Release {
    release.run(|run: &mut Run| "Ship it".clone_into(&mut run.publish_step_mut().name))
}

fn runs() -> Vec<Entry> {
    let minutes = |minutes| BASE_TIME + SignedDuration::from_mins(minutes);
    vec![
        life("second-attempt", "the first attempt failed before it published", || {
            vec![widget().build(|build| build.run_attempt = 2)]
        })
        .expects("verified", &[]),
        life(
            "failed-after-publish",
            "a notification failed after the publication",
            || vec![widget().run(Run::fail_after_publish)],
        )
        .expects("verified", &[]),
        life(
            "later-package-failed",
            "of several packages a later one was refused",
            || {
                vec![widget().run(|run: &mut Run| {
                    run.publish_step_mut().conclusion = Some("failure".to_owned());
                    run.conclusion = Some("failure".to_owned());
                })]
            },
        )
        .limits("the step that published failed: whether it did its part for this package cannot be told")
        .expects("attested", &[]),
        life("in-progress", "the run has not ended yet", || {
            vec![widget().run(|run: &mut Run| run.in_progress_at(BASE_TIME + SignedDuration::from_secs(1)))]
        })
        .looked_at(BASE_TIME + SignedDuration::from_secs(30))
        .limits("an unfinished run is looked at again in ten minutes")
        .expects("attested", &[]),
        life(
            "finished-since",
            "the run had not ended at the first look, and has by the second",
            || vec![widget().run(|run: &mut Run| run.in_progress_at(BASE_TIME + SignedDuration::from_secs(1)))],
        )
        .looked_at_before(minutes(1), "attested")
        .then(|github| {
            for repository in &mut github.repositories {
                repository.runs.iter_mut().for_each(finish);
            }
        })
        .looked_at(minutes(15))
        .expects("verified", &[]),
        life("staged", "approved three days after it was built", || {
            vec![widget().published_at(day(3))]
        })
        .looked_at(day(3) + SignedDuration::from_hours(1))
        .expects("verified", &[]),
        life(
            "staged-and-purged",
            "approved three days after it was built, when the run was purged",
            || vec![widget().published_at(day(3))],
        )
        .then(|github| github.purge_runs_before(day(1)))
        .looked_at(day(3) + SignedDuration::from_mins(5))
        .limits("a run that was purged before anybody looked cannot be examined")
        .expects("attested", &[]),
        life("purged", "the run was purged before anybody looked", || vec![widget()])
            .then(|github| github.purge_runs_before(day(1)))
            .looked_at(day(8))
            .limits("a run that was purged before anybody looked cannot be examined")
            .expects("attested", &[]),
        life(
            "purged-after-a-look",
            "the run was purged, and a snapshot of it is kept",
            || vec![widget()],
        )
        .looked_at_before(minutes(20), "verified")
        .then(|github| github.purge_runs_before(day(1)))
        .looked_at(day(8))
        .expects("verified", &[]),
        life(
            "deleted-run",
            "the run was deleted, older ones of its workflow are there, and a snapshot is kept",
            || and(earlier(), widget()),
        )
        .looked_at_before(minutes(20), "verified")
        .then(|github| {
            let newest = github
                .repository("acme/widget")
                .and_then(|repository| repository.runs.last().map(|run| run.id));
            if let Some(id) = newest {
                github.purge_run(id);
            }
        })
        .looked_at(day(2))
        .expects("verified", &["run.disappeared"]),
        life("thousand-jobs", "a run of a thousand jobs, read over two looks", || {
            vec![widget().run(|run: &mut Run| {
                let Some(publishing) = run.jobs.pop() else { return };
                run.jobs = (0..999).map(|index| test_job(index, &publishing)).collect();
                run.jobs.push(publishing);
            })]
        })
        .looked_at_before(day(1), "attested")
        .looked_at(day(2))
        .expects("verified", &[]),
    ]
}

/// Everything of the run ends well.
fn finish(run: &mut Run) {
    let end = Some(BASE_TIME + SignedDuration::from_secs(4));
    "completed".clone_into(&mut run.status);
    run.conclusion = Some("success".to_owned());
    run.updated_at = BASE_TIME + SignedDuration::from_secs(20);
    for job in &mut run.jobs {
        "completed".clone_into(&mut job.status);
        job.conclusion = Some("success".to_owned());
        job.completed_at = end;
        for step in &mut job.steps {
            "completed".clone_into(&mut step.status);
            step.conclusion = Some("success".to_owned());
            step.completed_at = step.completed_at.or(end);
            step.started_at = step.started_at.or(end);
        }
    }
}

/// A job that tests, beside the one that publishes.
fn test_job(index: u64, beside: &Job) -> Job {
    let step = Step {
        name: "Run npm test".to_owned(),
        number: 1,
        status: "completed".to_owned(),
        conclusion: Some("success".to_owned()),
        started_at: beside.started_at,
        completed_at: beside.completed_at,
    };
    Job {
        id: index + 1,
        name: format!("test ({index})"),
        steps: vec![step],
        ..beside.clone()
    }
}

fn forges() -> Vec<Entry> {
    let unreachable = "GitHub did not answer; it is asked again";
    let out = |answer: Answer| move |github: &mut crate::github::GitHub| github.answer = answer.clone();
    vec![
        life("outage", "GitHub is down", || vec![widget()])
            .then(out(Answer::Status(503, None)))
            .limits(unreachable)
            .expects("attested", &[]),
        life(
            "outage-after-a-look",
            "GitHub is down, and a snapshot of the run is kept",
            || vec![widget()],
        )
        .looked_at_before(BASE_TIME + SignedDuration::from_mins(90), "verified")
        .then(out(Answer::Status(503, None)))
        .looked_at(day(1))
        .expects("verified", &[]),
        life("rate-limited", "no request to GitHub is left in this hour", || {
            vec![widget()]
        })
        .then(|github| {
            github.quota = Some(Quota {
                limit: 60,
                remaining: 0,
                reset: day(0) + SignedDuration::from_hours(3),
            });
        })
        .limits(unreachable)
        .expects("attested", &[]),
        life("secondary-limit", "GitHub asks to slow down", || vec![widget()])
            .then(out(Answer::Status(403, Some(60))))
            .limits(unreachable)
            .expects("attested", &[]),
        life(
            "html",
            "a page for people comes instead of an answer",
            || vec![widget()],
        )
        .then(out(Answer::Html200))
        .limits(unreachable)
        .expects("attested", &[]),
        life("truncated", "every answer breaks off", || vec![widget()])
            .then(out(Answer::Truncated))
            .limits(unreachable)
            .expects("attested", &[]),
        life("forbidden", "GitHub refuses access", || vec![widget()])
            .then(out(Answer::Status(403, None)))
            .limits("what this caller may not see cannot be examined")
            .expects("attested", &[]),
        life("not-found", "GitHub answers 404 to everything", || vec![widget()])
            .then(out(Answer::Status(404, None)))
            .limits("a repository that is not visible is private or gone")
            .expects("attested", &[]),
        life("ids-as-text", "GitHub writes its ids as text", || vec![widget()])
            .then(|github| github.ids_as_strings = true)
            .expects("verified", &[]),
        life("unknown-event", "an event that nobody knows yet", || {
            vec![widget().build(|build| "moon_phase".clone_into(&mut build.event))]
        })
        .expects("verified", &[]),
        life(
            "half-an-outage",
            "GitHub shows the run, and fails for everything else",
            || vec![widget()],
        )
        .then(|github| {
            for part in ["/jobs", "/commits", "/compare", "/tags", "/contents"] {
                github.answer_for(part, Answer::Status(500, None));
            }
        })
        .limits(unreachable)
        .expects("attested", &[]),
    ]
}
