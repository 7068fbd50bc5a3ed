//! `hekate verify-bundle`.
//!
//! The cases of Sigstore's conformance suite are in the folder that `HEKATE_CORPUS` names, below
//! `conformance/bundle-verify`: a folder for each, whose name says whether the bundle must be refused. `INDEX.tsv` says
//! which of the inputs that several cases share belong to each. Without the variable they are not run.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Ran, hekate, run};

/// The signer of every case that does not bring a key: the suite's own beacon.
const IDENTITY: &str = "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/\
                        extremely-dangerous-oidc-beacon.yml@refs/heads/main";
const ISSUER: &str = "https://token.actions.githubusercontent.com";

/// One case with its inputs.
struct Case {
    name: String,
    bundle: PathBuf,
    inputs: Vec<PathBuf>,
}

impl Case {
    fn input(&self, is: impl Fn(&str) -> bool) -> Option<&Path> {
        self.inputs
            .iter()
            .map(PathBuf::as_path)
            .find(|path| is(path.file_name().unwrap().to_str().unwrap()))
    }

    fn artifact(&self) -> &Path {
        self.input(|name| name == "a.txt" || name == "artifact.txt").unwrap()
    }

    fn must_fail(&self) -> bool {
        self.name.ends_with("_fail")
    }

    fn command(&self) -> Command {
        let mut command = hekate();
        command.arg("verify-bundle").arg("--bundle").arg(&self.bundle);
        match self.input(|name| name == "key.pub") {
            Some(key) => command.arg("--key").arg(key),
            None => command.args(["--certificate-identity", IDENTITY, "--certificate-oidc-issuer", ISSUER]),
        };
        if let Some(root) = self.input(|name| name == "trusted_root.json") {
            command.arg("--trusted-root").arg(root);
        }
        command
    }
}

/// The cases of the index, with the inputs that it names; `None`, with a word about it, without a corpus.
#[expect(clippy::print_stderr, reason = "a test that was not run should say so")]
fn cases() -> Option<Vec<Case>> {
    let Some(corpus) = std::env::var_os("HEKATE_CORPUS").map(PathBuf::from) else {
        eprintln!("not run: HEKATE_CORPUS names no folder");
        return None;
    };
    let index = std::fs::read_to_string(corpus.join("INDEX.tsv")).unwrap();
    let mut rows = index.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header = rows.next().unwrap();
    let column = |name: &str| header.iter().position(|title| *title == name).unwrap();
    let (path, kind, inputs) = (column("path"), column("kind"), column("inputs_for_verification"));
    let cases = rows
        .filter(|row| row[kind] == "conformance-case" && corpus.join(row[path]).exists())
        .map(|row| {
            let bundle = corpus.join(row[path]);
            Case {
                name: bundle
                    .parent()
                    .unwrap()
                    .file_name()
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned(),
                bundle,
                inputs: row[inputs]
                    .split(", ")
                    .map(|input| corpus.join(input))
                    .filter(|input| input.exists())
                    .collect(),
            }
        })
        .collect();
    Some(cases)
}

#[test]
fn the_conformance_suites_bundles_are_accepted_and_refused_as_they_must_be() {
    let Some(cases) = cases() else { return };
    assert!(cases.iter().any(Case::must_fail) && !cases.iter().all(Case::must_fail));
    let wrong: Vec<(&str, Ran)> = cases
        .iter()
        .map(|case| (case, run(case.command().arg(case.artifact()))))
        .filter(|(case, ran)| ran.status != i32::from(case.must_fail()))
        .map(|(case, ran)| (case.name.as_str(), ran))
        .collect();
    assert!(wrong.is_empty(), "of {}: {wrong:#?}", cases.len());
}

#[test]
fn an_artifact_can_be_given_by_its_digest() {
    use sha2::{Digest as _, Sha256};

    let Some(cases) = cases() else { return };
    for case in cases.iter().filter(|case| !case.must_fail()) {
        let digest = hex::encode(Sha256::digest(std::fs::read(case.artifact()).unwrap()));
        assert_eq!(
            run(case.command().arg(format!("sha256:{digest}"))).status,
            0,
            "{}",
            case.name
        );
        assert_eq!(
            run(case.command().arg(format!("sha256:{}", "0".repeat(64)))).status,
            1,
            "{}",
            case.name
        );
    }
}

#[test]
fn another_signer_is_refused() {
    let Some(cases) = cases() else { return };
    let case = cases.iter().find(|case| case.name == "happy-path-v0.2").unwrap();
    let ran = run(hekate()
        .arg("verify-bundle")
        .arg("--bundle")
        .arg(&case.bundle)
        .args([
            "--certificate-identity",
            "https://github.com/somebody/else",
            "--certificate-oidc-issuer",
            ISSUER,
        ])
        .arg(case.artifact()));
    assert_eq!(ran.status, 1, "{ran:?}");
}

#[test]
fn a_signer_must_be_named_and_files_must_be_there() {
    for arguments in [
        &["--bundle", "b.json", "a.txt"] as &[&str],
        &["--bundle", "b.json", "--certificate-identity", "x", "a.txt"],
        &[
            "--bundle",
            "/nowhere",
            "--certificate-identity",
            "x",
            "--certificate-oidc-issuer",
            "y",
            "/nowhere",
        ],
        &["--bundle", "/nowhere", "--key", "/nowhere", "sha256:12"],
    ] {
        assert_eq!(
            run(hekate().arg("verify-bundle").args(arguments)).status,
            2,
            "{arguments:?}"
        );
    }
}
