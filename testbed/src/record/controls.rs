//! Real maintainers, who lost provenance or never had it on a line.

use super::{Entry, Group, and, by_hand, line, tell};
use crate::{BASE_TIME, Release, npm::registry::Publisher};
use jiff::SignedDuration;

/// A release by a maintainer with a token.
fn by_token(package: &str, version: &str) -> Release {
    Release::honest(package, version)
        .unattested()
        .published_by(Publisher::maintainer())
}

/// Provenance made with a token, as before there were trusted publishers.
fn with_a_token(release: Release) -> Release {
    release.published_by(Publisher::maintainer())
}

pub(super) fn entries() -> Vec<Entry> {
    [backports(), lost()].concat()
}

fn backports() -> Vec<Entry> {
    vec![
        tell(
            "semver-6.3.1",
            Group::Control,
            "a security backport to a line that never had provenance, minutes after one to another such line",
            || {
                [
                    by_hand("semver", &["5.7.0", "5.7.1", "6.2.0", "6.3.0"], "legacy"),
                    line("semver", &["7.5.2", "7.5.3", "7.5.4"], with_a_token),
                    vec![
                        by_token("semver", "5.7.2")
                            .tag("legacy-5")
                            .at(BASE_TIME - SignedDuration::from_mins(10)),
                        by_token("semver", "6.3.1").tag("legacy"),
                    ],
                ]
                .concat()
            },
        )
        .expects("unattested", &["hist.downgrade_crossline", "hist.burst"]),
        tell(
            "eslint-config-prettier-8.10.2",
            Group::Control,
            "a backport by hand",
            || {
                [
                    by_hand("eslint-config-prettier", &["8.8.0", "8.9.0", "8.10.0"], "legacy"),
                    line("eslint-config-prettier", &["10.1.3", "10.1.4", "10.1.5"], with_a_token),
                    vec![by_token("eslint-config-prettier", "8.10.2").tag("legacy")],
                ]
                .concat()
            },
        )
        .expects("unattested", &["hist.downgrade_crossline"]),
    ]
}

const LOOKS_THE_SAME: &str = "a maintainer who falls back to a token once leaves the same evidence as a thief with one";

fn lost() -> Vec<Entry> {
    let lost = |name,
                told,
                package: &'static str,
                honest: &'static [&'static str],
                edit: fn(Release) -> Release,
                version: &'static str,
                signs| {
        tell(name, Group::Control, told, move || {
            and(line(package, honest, edit), by_token(package, version))
        })
        .limits(LOOKS_THE_SAME)
        .expects("downgraded", signs)
    };
    let trusted = |release| release;
    vec![
        lost(
            "undici-types-6.19.8",
            "a version of a second package that was published by hand",
            "undici-types",
            &["6.19.5", "6.19.6", "6.19.7"],
            with_a_token,
            "6.19.8",
            &["hist.downgrade"],
        ),
        tell(
            "fastq-1.20.2",
            Group::Control,
            "published by hand after two trusted publications",
            || {
                [
                    by_hand("fastq", &["1.18.0", "1.19.0", "1.19.1"], "latest"),
                    line("fastq", &["1.20.0", "1.20.1"], |release| release),
                    vec![by_token("fastq", "1.20.2")],
                ]
                .concat()
            },
        )
        .limits(LOOKS_THE_SAME)
        .expects("downgraded", &["hist.downgrade", "hist.publish_mode_changed"]),
        lost(
            "novu-2.12.0",
            "provenance lost in a change of the pipeline",
            "@novu/framework",
            &["2.10.0", "2.11.0", "2.11.1"],
            with_a_token,
            "2.12.0",
            &["hist.downgrade"],
        ),
        lost(
            "ai-sdk-ollama-3.8.6",
            "provenance lost once, and back with the next version",
            "ai-sdk-ollama",
            &["3.8.3", "3.8.4", "3.8.5"],
            trusted,
            "3.8.6",
            &["hist.downgrade", "hist.publish_mode_changed"],
        ),
        lost(
            "ts-api-utils-2.1.1",
            "provenance lost for good",
            "ts-api-utils",
            &["2.0.0", "2.0.1", "2.1.0"],
            with_a_token,
            "2.1.1",
            &["hist.downgrade"],
        ),
        lost(
            "pnpm-modules-yaml-1002.0.1",
            "one package of a repository lost it",
            "@pnpm/modules-yaml",
            &["1000.3.5", "1001.0.0", "1002.0.0"],
            with_a_token,
            "1002.0.1",
            &["hist.downgrade"],
        ),
    ]
}
