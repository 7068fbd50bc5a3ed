//! Nothing that was tampered with, and nothing that lacks what a required check needs, is ever attested or verified.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hekate::dossier::{Answer, Body, Kept, Subject};
use hekate::verdict::Status;
use hekate_tests::path::Judged;
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use testbed::attestation::PUBLISH;
use testbed::{Answer as Reply, Claims, Flavour, Release, SignatureEncoding, World};

use crate::attestations::item;
use crate::shape::shape;
use crate::theorems::serve_items;

type Bend = fn(Release) -> Release;

/// Every way in which a release is honest.
fn honest() -> Vec<(&'static str, Release)> {
    let widget = || Release::honest("@acme/widget", "1.2.3");
    vec![
        ("2023", Release::honest_of_2023("goggles", "1.0.5")),
        ("2024", Release::honest_of_2024("goggles", "2.0.0")),
        ("2026", widget()),
        ("Rekor v2", widget().rekor_v2()),
        (
            "P1363",
            widget().publish_attestation(|plan| plan.encoding = SignatureEncoding::P1363),
        ),
        (
            "P1363 in 2023",
            Release::honest_of_2023("goggles", "1.0.5")
                .publish_attestation(|plan| plan.encoding = SignatureEncoding::P1363),
        ),
        ("generator", widget().flavour(Flavour::NodeBuilder)),
    ]
}

fn judged(release: Release) -> Judged {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(shape(release).judged_without_sockets()).unwrap()
}

struct Sample {
    name: &'static str,
    judged: Judged,
    items: [Value; 2],
}

fn samples() -> &'static [Sample] {
    static SAMPLES: OnceLock<Vec<Sample>> = OnceLock::new();
    SAMPLES.get_or_init(|| {
        let sample = |(name, release): (&'static str, Release)| {
            let published = release.publish(&World::shared());
            let items = [item(&published, false), item(&published, true)];
            // Another publication of the same release has other signatures, so that the items are put in place of its own.
            let judged = with_items(&judged(release), &items);
            Sample { name, judged, items }
        };
        honest().into_iter().map(sample).collect()
    })
}

fn with_items(judged: &Judged, items: &[Value]) -> Judged {
    let mut case = judged.case.clone();
    let items: Vec<_> = items
        .iter()
        .map(|item| RawValue::from_string(item.to_string()).unwrap())
        .collect();
    serve_items(&mut case.dossier, &items);
    Judged {
        verdict: case.replay().unwrap(),
        case,
    }
}

/// How the bytes of a value stand in a bundle.
#[derive(Clone, Copy, PartialEq)]
enum Coded {
    Base64,
    Text,
    /// A signed note: its text, or the signature on its last line. The name before the signature is not signed.
    Note,
}

const ENTRY: &str = "/bundle/verificationMaterial/tlogEntries/0";

/// Where signed material stands in an item, and how. Each value is covered by a signature or binds one.
fn places(item: &Value) -> Vec<(String, Coded)> {
    let kind = item
        .pointer(&format!("{ENTRY}/kindVersion/version"))
        .and_then(Value::as_str);
    let is_rekor_v2 = kind == Some("0.0.2")
        && item
            .pointer(&format!("{ENTRY}/integratedTime"))
            .is_none_or(|time| time == "0");
    let bundle = [
        ("/bundle/dsseEnvelope/payload", Coded::Base64),
        ("/bundle/dsseEnvelope/payloadType", Coded::Text),
        ("/bundle/dsseEnvelope/signatures/0/sig", Coded::Base64),
        ("/bundle/dsseEnvelope/signatures/0/keyid", Coded::Text),
        ("/bundle/verificationMaterial/certificate/rawBytes", Coded::Base64),
        (
            "/bundle/verificationMaterial/x509CertificateChain/certificates/0/rawBytes",
            Coded::Base64,
        ),
        ("/bundle/verificationMaterial/publicKey/hint", Coded::Text),
    ];
    let entry = [
        ("/canonicalizedBody", Coded::Base64),
        ("/inclusionPromise/signedEntryTimestamp", Coded::Base64),
        ("/inclusionProof/rootHash", Coded::Base64),
        ("/inclusionProof/hashes/0", Coded::Base64),
        ("/inclusionProof/hashes/1", Coded::Base64),
        ("/inclusionProof/checkpoint/envelope", Coded::Note),
        ("/inclusionProof/treeSize", Coded::Text),
        ("/inclusionProof/logIndex", Coded::Text),
        ("/logId/keyId", Coded::Base64),
        ("/logIndex", Coded::Text),
    ];
    // An entry of Rekor v2 has unsigned copies of what its checkpoint says, which nobody reads.
    let copies = [
        "/inclusionProof/rootHash",
        "/inclusionProof/treeSize",
        "/inclusionProof/logIndex",
        "/logId/keyId",
    ];
    let entry = entry
        .into_iter()
        .filter(|(pointer, _)| !is_rekor_v2 || !copies.contains(pointer));
    bundle
        .into_iter()
        .map(|(pointer, coded)| (pointer.to_owned(), coded))
        .chain(entry.map(|(pointer, coded)| (format!("{ENTRY}{pointer}"), coded)))
        .collect()
}

/// The item with one bit of a value flipped; `None` where it has no such value.
fn flipped(item: &Value, pointer: &str, coded: Coded, position: u16, bit: u8) -> Option<Value> {
    let mut item = item.clone();
    let value = item.pointer_mut(pointer)?;
    let text = value.as_str()?;
    *value = json!(bent(text, coded, position, bit)?);
    Some(item)
}

/// The text with one bit of what it stands for flipped.
fn bent(text: &str, coded: Coded, position: u16, bit: u8) -> Option<String> {
    let mut bytes = match coded {
        Coded::Base64 => STANDARD.decode(text).ok()?,
        Coded::Text => text.as_bytes().to_vec(),
        Coded::Note => {
            let (body, signature) = text.split_once("\n\n")?;
            let (name, signature) = signature.trim_end().rsplit_once(' ')?;
            return Some(if position.is_multiple_of(2) {
                format!(
                    "{}\n\n{name} {signature}\n",
                    bent(body, Coded::Text, position / 2, bit)?
                )
            } else {
                format!(
                    "{body}\n\n{name} {}\n",
                    bent(signature, Coded::Base64, position / 2, bit)?
                )
            });
        }
    };
    if bytes.is_empty() {
        return None;
    }
    let at = usize::from(position) % bytes.len();
    // A text stays a text: the lower bits of a plain character lead to another one.
    let bit = match coded {
        Coded::Base64 => bit % 8,
        Coded::Text | Coded::Note => bit % 5,
    };
    bytes[at] ^= 1 << bit;
    match coded {
        Coded::Base64 => Some(STANDARD.encode(bytes)),
        Coded::Text | Coded::Note => String::from_utf8(bytes).ok(),
    }
}

fn is_accepted(status: Status) -> bool {
    matches!(status, Status::Attested | Status::Verified)
}

#[test]
fn every_honest_sample_is_accepted_and_has_most_places() {
    for sample in samples() {
        // GitHub keeps no runs of years ago.
        let expected = if sample.name.contains("2023") || sample.name == "2024" {
            Status::Attested
        } else {
            Status::Verified
        };
        assert_eq!(sample.judged.verdict.status, expected, "{}", sample.name);
        for item in &sample.items {
            let found = places(item)
                .iter()
                .filter(|(pointer, _)| item.pointer(pointer).is_some())
                .count();
            assert!(found >= 7, "{}: {found}", sample.name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(12),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// One bit in every place of both attestations of every honest sample.
    #[test]
    fn a_flipped_bit_in_signed_material_is_never_attested(position in any::<u16>(), bit in any::<u8>()) {
        let mut accepted = Vec::new();
        for sample in samples() {
            for (which, kind) in ["provenance", "publish attestation"].into_iter().enumerate() {
                for (pointer, coded) in places(&sample.items[which]) {
                    let Some(bent) = flipped(&sample.items[which], &pointer, coded, position, bit) else {
                        continue;
                    };
                    let mut items = sample.items.clone();
                    items[which] = bent;
                    if is_accepted(with_items(&sample.judged, &items).verdict.status) {
                        accepted.push(format!("{} {kind} {pointer}", sample.name));
                    }
                }
            }
        }
        prop_assert!(accepted.is_empty(), "byte {position}, bit {bit}: {accepted:#?}");
    }

    #[test]
    fn a_flipped_bit_in_the_tarball_is_a_mismatch(position in any::<u16>(), bit in 0_u8..8) {
        let release = Release::honest("@acme/widget", "1.2.3").tarball(move |bytes| {
            // The first two bytes make it an archive at all.
            let at = 2 + usize::from(position) % (bytes.len() - 2);
            bytes[at] ^= 1 << bit;
        });
        prop_assert_eq!(judged(release).verdict.status, Status::Mismatch);
    }

    #[test]
    fn a_flipped_bit_in_the_integrity_is_a_mismatch(position in 0_usize..64, bit in 0_u8..8) {
        let release = Release::honest("@acme/widget", "1.2.3").metadata(move |manifest| {
            let text = manifest["dist"]["integrity"].as_str().unwrap().strip_prefix("sha512-").unwrap();
            let mut digest = STANDARD.decode(text).unwrap();
            digest[position] ^= 1 << bit;
            manifest["dist"]["integrity"] = json!(format!("sha512-{}", STANDARD.encode(digest)));
        });
        prop_assert_eq!(judged(release).verdict.status, Status::Mismatch);
    }

    #[test]
    fn a_flipped_bit_in_the_registry_signature_is_a_mismatch(position in any::<u16>(), bit in 0_u8..8) {
        let release = Release::honest("@acme/widget", "1.2.3").metadata(move |manifest| {
            let signature = &mut manifest["dist"]["signatures"][0]["sig"];
            let mut bytes = STANDARD.decode(signature.as_str().unwrap()).unwrap();
            let at = usize::from(position) % bytes.len();
            bytes[at] ^= 1 << bit;
            *signature = json!(STANDARD.encode(bytes));
        });
        prop_assert_eq!(judged(release).verdict.status, Status::Mismatch);
    }
}

/// What a required check needs, taken away entirely; whatever is signed is signed without it.
const REMOVALS: [(&str, Bend); 17] = [
    ("the integrity and the SHA-1", |release| {
        release.metadata(|manifest| {
            let dist = manifest["dist"].as_object_mut().unwrap();
            dist.remove("integrity");
            dist.remove("shasum");
        })
    }),
    ("dist", |release| {
        release.metadata(|manifest| {
            manifest.as_object_mut().unwrap().remove("dist");
        })
    }),
    ("the tarball", |release| {
        release.tarball_answer(Reply::Status(404, None))
    }),
    ("the list of attestations", |release| {
        release.attestation_answer(Reply::Status(404, None))
    }),
    ("every attestation", |release| release.attestations(Vec::clear)),
    ("the provenance", |release| {
        release.attestations(|list| list.retain(|item| item["predicateType"] == PUBLISH))
    }),
    ("the publish attestation", |release| {
        release.attestations(|list| list.retain(|item| item["predicateType"] != PUBLISH))
    }),
    ("the provenance's signature", |release| {
        release.bundle(|bundle| bundle["dsseEnvelope"]["signatures"] = json!([]))
    }),
    ("the publish attestation's signature", |release| {
        release.publish_bundle(|bundle| bundle["dsseEnvelope"]["signatures"] = json!([]))
    }),
    ("the provenance's log entry", |release| {
        release.bundle(|bundle| bundle["verificationMaterial"]["tlogEntries"] = json!([]))
    }),
    ("the publish attestation's log entry", |release| {
        release.publish_bundle(|bundle| bundle["verificationMaterial"]["tlogEntries"] = json!([]))
    }),
    ("proof and promise", |release| {
        release.bundle(|bundle| {
            let entry = bundle["verificationMaterial"]["tlogEntries"][0]
                .as_object_mut()
                .unwrap();
            entry.remove("inclusionProof");
            entry.remove("inclusionPromise");
        })
    }),
    ("the subject's digests", |release| {
        release.statement(|statement| statement["subject"][0]["digest"] = json!({}))
    }),
    ("the publish subject's digests", |release| {
        release.publish_statement(|statement| statement["subject"][0]["digest"] = json!({}))
    }),
    ("the subject's name", |release| {
        release.statement(|statement| {
            statement["subject"][0].as_object_mut().unwrap().remove("name");
        })
    }),
    ("the certificate's claims", |release| {
        release.certificate(|claims| {
            *claims = Claims {
                identity: claims.identity.clone(),
                ..Claims::none()
            };
        })
    }),
    ("the certificate's issuer", |release| {
        release.certificate(|claims| {
            claims.issuer = None;
            claims.issuer_raw = None;
        })
    }),
];

#[test]
fn whatever_lacks_what_a_required_check_needs_is_never_attested() {
    for (name, release) in honest() {
        for (what, remove) in REMOVALS {
            let verdict = judged(remove(release.clone())).verdict;
            assert!(
                !is_accepted(verdict.status),
                "{name} without {what}: {}",
                verdict.status
            );
        }
    }
}

#[test]
fn a_dossier_without_an_answer_to_a_question_is_never_attested() {
    for sample in samples() {
        for subject in [Subject::Packument, Subject::Attestations, Subject::Artifact] {
            let mut case = sample.judged.case.clone();
            case.dossier
                .observations
                .retain(|observation| observation.subject != subject);
            let status = case.replay().unwrap().status;
            assert_eq!(status, Status::Indeterminate, "{} without {subject:?}", sample.name);
        }
    }
}

#[test]
fn a_dossier_with_an_emptied_body_is_never_attested() {
    for sample in samples() {
        let mut case = sample.judged.case.clone();
        for observation in &mut case.dossier.observations {
            if let Answer::Answered(response) = &mut observation.answer
                && let Kept::Whole { body } | Kept::Excerpt { body } = &mut response.kept
            {
                *body = Body(Vec::new());
            }
        }
        assert_eq!(case.replay().unwrap().status, Status::Indeterminate, "{}", sample.name);
    }
}
