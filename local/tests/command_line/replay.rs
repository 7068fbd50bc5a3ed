//! `hekate replay`.

use crate::{Bed, hekate, nowhere, run, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_prints_the_same_bytes_without_network_and_store() {
    let bed = Bed::demo().await;
    for case in testbed::demo().cases {
        for format in ["json", "text"] {
            let file = bed.path("case.json");
            let verified = bed.verify(&[&case.purl, "--format", format, "--dossier", text(&file)]);
            let replayed = run(hekate()
                .env("HEKATE_NPM_URL", nowhere())
                .env("HEKATE_TUF_URL", nowhere())
                .env("HEKATE_TRUSTED_ROOT", "/nowhere")
                .env("HEKATE_STORE", "/dev/null/nowhere")
                .args(["replay", text(&file), "--format", format]));
            assert_eq!(replayed.out, verified.out);
            assert_eq!(replayed.status, verified.status, "{replayed:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_remembered_verdict_is_looked_at_again_so_that_there_is_a_case() {
    let bed = Bed::demo().await;
    let file = bed.path("case.json");
    let package = "npm:@acme/widget@1.2.3";
    assert_eq!(bed.verify(&[package]).status, 0);
    assert_eq!(bed.verify(&[package, "--dossier", text(&file)]).status, 0);
    assert_eq!(run(hekate().args(["replay", text(&file)])).status, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_case_that_settled_less_than_the_store_knows_is_told() {
    let bed = Bed::demo().await;
    let file = bed.path("case.json");
    let package = "npm:@acme/widget@1.2.3";
    assert_eq!(bed.verify(&[package]).status, 0);
    let ran = run(bed
        .hekate()
        .env("HEKATE_NPM_URL", nowhere())
        .args(["verify", package, "--dossier", text(&file)]));
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.err.contains("`indeterminate`"), "{ran:?}");
    assert_eq!(run(hekate().args(["replay", text(&file)])).status, 75);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_case_is_wrong_input() {
    let bed = Bed::demo().await;
    for (name, content) in [("empty", ""), ("other", r#"{"schema":"urn:hekate:verdict:1"}"#)] {
        let file = bed.path(name);
        std::fs::write(&file, content).unwrap();
        let ran = run(hekate().args(["replay", text(&file)]));
        assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{ran:?}");
        assert!(ran.err.contains("--dossier"), "{}", ran.err);
    }
    let ran = run(hekate().args(["replay", text(&bed.path("nowhere"))]));
    assert_eq!(ran.status, 2, "{ran:?}");
}
