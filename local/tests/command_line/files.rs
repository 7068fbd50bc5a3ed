//! `hekate verify --file`.

use testbed::{ReleasedFile, Scenario, World};

use crate::{Bed, Ran, run, text};

fn tool() -> ReleasedFile {
    ReleasedFile::honest("acme/tool", "v1.2.3", "tool-linux-amd64.tar.gz").beside("checksums.txt")
}

/// A supply chain with the tool, whose files lie in the folder.
async fn bed(released: ReleasedFile) -> Bed {
    let files = released.publish(&World::shared()).files;
    let bed = Bed::of(Scenario::new().release(released)).await;
    for (name, bytes) in files {
        std::fs::write(bed.path(&name), bytes).unwrap();
    }
    bed
}

fn verify(bed: &Bed, files: &[&str], rest: &[&str]) -> Ran {
    let mut command = bed.hekate();
    command
        .env("HEKATE_GITHUB_TRUSTED_ROOT", bed.path("trusted_root.github.json"))
        .arg("verify")
        .args(rest);
    for file in files {
        command.args(["--file", text(&bed.path(file))]);
    }
    run(&mut command)
}

#[tokio::test(flavor = "multi_thread")]
async fn released_files_are_verified_by_their_digests() {
    let bed = bed(tool()).await;
    let files = ["tool-linux-amd64.tar.gz", "checksums.txt"];
    let ran = verify(&bed, &files, &["--repository", "acme/tool", "--format", "json"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let verdicts: Vec<serde_json::Value> = ran
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(verdicts.len(), 2);
    for (verdict, file) in verdicts.iter().zip(files) {
        assert_eq!(verdict["status"], "verified", "{verdict}");
        let purl = verdict["package"].as_str().unwrap();
        assert!(purl.starts_with("pkg:github/acme/tool@sha256%3A"), "{purl}");
        assert!(purl.ends_with(&format!("?file_name={file}")), "{purl}");
        assert_eq!(verdict["nextLookAt"], serde_json::Value::Null);
    }
    let ran = verify(
        &bed,
        &files,
        &["--repository", "https://github.com/Acme/Tool", "--require", "verified"],
    );
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.out.contains("VERIFIED"), "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_build_that_github_itself_certified_is_verified_too() {
    let bed = bed(tool().provenance(testbed::Attesting::by_github)).await;
    let ran = verify(
        &bed,
        &["checksums.txt"],
        &["--repository", "acme/tool", "--format", "json"],
    );
    assert_eq!((ran.status, &ran.json()["status"]), (0, &"verified".into()), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_nobody_attested_is_acceptable_unless_more_is_required() {
    let bed = bed(tool()).await;
    std::fs::write(bed.path("other"), b"something else").unwrap();
    let ran = verify(&bed, &["other"], &["--repository", "acme/tool"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.out.contains("UNATTESTED"), "{}", ran.out);
    let ran = verify(
        &bed,
        &["other"],
        &["--repository", "acme/tool", "--require", "attested"],
    );
    assert_eq!(ran.status, 1, "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_case_of_a_file_is_saved_and_replayed_without_the_file() {
    let bed = bed(tool()).await;
    let case = bed.path("case.json");
    let arguments = [
        "--repository",
        "acme/tool",
        "--format",
        "json",
        "--dossier",
        text(&case),
    ];
    let ran = verify(&bed, &["checksums.txt"], &arguments);
    assert_eq!(ran.status, 0, "{ran:?}");
    std::fs::remove_file(bed.path("checksums.txt")).unwrap();
    let replayed = run(bed.hekate().args(["replay", text(&case), "--format", "json"]));
    assert_eq!(replayed.json(), ran.json());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_or_no_repository_is_wrong_input_that_says_what_to_do() {
    let bed = bed(tool()).await;
    std::fs::create_dir(bed.path("folder")).unwrap();
    std::fs::write(bed.path("empty"), b"").unwrap();
    let ran = verify(&bed, &["absent", "folder", "empty"], &["--repository", "acme/tool"]);
    assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{ran:?}");
    for told in ["absent cannot be read", "folder is a folder", "empty is empty"] {
        assert!(ran.err.contains(told), "{}", ran.err);
    }
    for repository in ["acme", "acme/tool/x", "https://gitlab.com/acme/tool", ""] {
        let ran = verify(&bed, &["checksums.txt"], &["--repository", repository]);
        assert_eq!(ran.status, 2, "{ran:?}");
        assert!(ran.err.contains("owner/name"), "{}", ran.err);
    }
    assert_eq!(verify(&bed, &["checksums.txt"], &[]).status, 2);
    assert_eq!(verify(&bed, &[], &["--repository", "acme/tool"]).status, 2);
    assert_eq!(bed.served.github_paths(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_asked_about_by_its_digest_alone_is_refused() {
    let bed = bed(tool()).await;
    let coordinate = format!("github:acme/tool@sha256:{}", "ab".repeat(32));
    let ran = verify(&bed, &[], &[&coordinate]);
    assert_eq!(ran.status, 2, "{ran:?}");
    assert!(ran.err.contains("--file"), "{}", ran.err);
    assert_eq!(bed.served.github_paths(), [""; 0]);
}
