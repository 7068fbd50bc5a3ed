//! Real maintainers, who lost provenance or never had it on a line.

use super::{Entry, Group, and, line, tell};
use crate::{Release, npm::registry::Publisher};

pub(super) fn entries() -> Vec<Entry> {
    let control = |name, told, package: &'static str, honest: &'static [&'static str], version: &'static str| {
        tell(name, Group::Control, told, move || {
            and(
                line(package, honest, |release| release),
                Release::honest(package, version)
                    .unattested()
                    .published_by(Publisher::maintainer()),
            )
        })
        .expects("unattested", &[])
    };
    vec![
        control(
            "semver-6.3.1",
            "a backport to a line that never had provenance",
            "semver",
            &["7.5.1", "7.5.2", "7.5.3"],
            "6.3.1",
        ),
        control(
            "eslint-config-prettier-8.10.2",
            "a backport by hand",
            "eslint-config-prettier",
            &["10.1.5", "10.1.6", "10.1.7"],
            "8.10.2",
        ),
        control(
            "undici-types-6.19.8",
            "a version of a second package that was published by hand",
            "undici-types",
            &["6.19.5", "6.19.6", "6.19.7"],
            "6.19.8",
        ),
        control(
            "fastq-1.20.2",
            "published by hand after two trusted publications",
            "fastq",
            &["1.19.1", "1.20.0", "1.20.1"],
            "1.20.2",
        ),
        control(
            "novu-2.12.0",
            "provenance lost in a change of the pipeline",
            "@novu/framework",
            &["2.10.0", "2.11.0", "2.11.1"],
            "2.12.0",
        ),
        control(
            "ai-sdk-ollama-3.8.6",
            "provenance lost once, and back with the next version",
            "ai-sdk-ollama",
            &["3.8.3", "3.8.4", "3.8.5"],
            "3.8.6",
        ),
        control(
            "ts-api-utils-2.1.1",
            "provenance lost for good",
            "ts-api-utils",
            &["2.0.0", "2.0.1", "2.1.0"],
            "2.1.1",
        ),
        control(
            "pnpm-modules-yaml-1002.0.1",
            "one package of a repository lost it",
            "@pnpm/modules-yaml",
            &["1000.3.5", "1001.0.0", "1002.0.0"],
            "1002.0.1",
        ),
    ]
}
