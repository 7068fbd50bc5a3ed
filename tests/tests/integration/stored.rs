//! GitHub's store of attestations, by the digest of what they attest.

use std::sync::OnceLock;

use hekate::adapters::http::{HttpFetch, HttpFetchConfig};
use hekate::attestation::{RepositoryUri, UnverifiedAttestation};
use hekate::availability::Availability;
use hekate::dossier::Dossier;
use hekate::ecosystem::{Look, Upstreams};
use hekate::forge::github::attestations;
use hekate::package::Digest;
use hekate_tests::path::no_address;
use serde_json::{Value, json};
use testbed::github::{Snappy, StoredAttestation};
use testbed::{Answer, GitHub, Release, Scenario};
use url::Url;

use crate::attestations::provenance_of;
use crate::shape::now;

fn subject() -> Digest {
    Digest::sha256_of(b"a released file")
}

/// One bundle: another one would be signed with another key.
fn bundle() -> &'static Value {
    static BUNDLE: OnceLock<Value> = OnceLock::new();
    BUNDLE.get_or_init(|| provenance_of(&Release::honest("@acme/widget", "1.2.3"))["bundle"].clone())
}

/// What the store holds after `change`, over HTTP.
async fn stored(change: impl FnOnce(&mut GitHub)) -> Availability<Vec<UnverifiedAttestation>> {
    let scenario = Scenario::new().release(Release::honest("@acme/widget", "1.2.3"));
    change(&mut scenario.github());
    let served = scenario.serve().await.unwrap();
    let mut config = HttpFetchConfig::new("hekate-tests");
    config.use_proxies = false;
    config.attempts = 1;
    let upstreams = Upstreams {
        npm_feed: None,
        npm: Url::parse(&served.npm_url()).unwrap(),
        github: Url::parse(&served.github_url()).unwrap(),
        ..no_address()
    };
    let look = Look {
        fetch: &HttpFetch::new(config).unwrap(),
        upstreams: &upstreams,
        at: now(),
        previous: None,
    };
    let repository = RepositoryUri::new("acme", "widget").unwrap();
    let observations = attestations::ask(&repository, &subject(), &look).await;
    attestations::read(&Dossier::new("pkg:npm/widget@1.2.3".parse().unwrap(), observations))
}

fn holding(inline: bool, snappy: Snappy) -> impl FnOnce(&mut GitHub) {
    move |github| {
        github
            .repository_mut("acme/widget")
            .attestations
            .push(StoredAttestation {
                digest: format!("sha256:{}", subject().to_hex()),
                bundle: bundle().clone(),
                inline,
                snappy,
            });
    }
}

#[tokio::test]
async fn a_bundle_is_read_from_the_list_and_from_every_form_of_the_store() {
    for (inline, snappy) in [
        (true, Snappy::None),
        (false, Snappy::None),
        (false, Snappy::Raw),
        (false, Snappy::Framed),
    ] {
        let Availability::Present(attestations) = stored(holding(inline, snappy)).await else {
            panic!("{inline} {snappy:?}");
        };
        assert_eq!(attestations.len(), 1, "{inline} {snappy:?}");
        let expected = UnverifiedAttestation::new(
            String::new(),
            serde_json::value::RawValue::from_string(bundle().to_string()).unwrap(),
        );
        assert_eq!(attestations[0].digest(), expected.digest(), "{inline} {snappy:?}");
    }
}

#[tokio::test]
async fn an_empty_list_and_a_404_say_that_there_is_none() {
    assert!(matches!(stored(|_github| {}).await, Availability::Absent { .. }));
    let gone = |github: &mut GitHub| github.answer_for("/attestations/", Answer::Status(404, None));
    assert!(matches!(stored(gone).await, Availability::Absent { .. }));
}

#[tokio::test]
async fn a_list_or_a_bundle_that_cannot_be_read_says_nothing() {
    for answer in [
        Answer::Status(503, None),
        Answer::Html200,
        Answer::Truncated,
        Answer::EmptyBody,
    ] {
        for part in ["/attestations/", "/blobs/"] {
            let answer = answer.clone();
            let found = stored(move |github| {
                holding(false, Snappy::Raw)(github);
                github.answer_for(part, answer);
            });
            assert!(matches!(found.await, Availability::Unavailable(_)), "{part}");
        }
    }
    let elsewhere = |github: &mut GitHub| {
        holding(false, Snappy::Raw)(github);
        github.edit("/attestations/", |list| {
            list["attestations"][0]["bundle_url"] = json!("http://192.0.2.1/bundle");
        });
    };
    assert!(matches!(stored(elsewhere).await, Availability::Unavailable(_)));
}
