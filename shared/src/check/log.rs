//! The family `log`: what the transparency log says.

use jiff::{SignedDuration, Timestamp};

use super::correlate::{Evidence, not_run, refusal, worst};
use super::{CheckId, Finding, Outcome, Shade};
use crate::attestation::{LogEvidence, RefusedPart};

/// Passes if the log entry of every evaluated attestation verifies and was made for that very envelope.
pub(super) fn inclusion(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::LogInclusion;
    let examination = match evidence.examination(check) {
        Ok(examination) => examination,
        Err(finding) => return finding,
    };
    let findings = examination.recognised().map(|examined| match &examined.result {
        Ok(attestation) => {
            let finding = if let Some(log) = &attestation.log {
                let summary = "every attestation is in the transparency log";
                Finding::new(check, Outcome::Pass(None), summary)
                    .observing(format!("log entry {}", log.index), describe(log))
            } else {
                let summary = "GitHub's own instance has no public log; its timestamp authority says when it signed";
                Finding::new(check, Outcome::NotApplicable(Some(Shade::Timestamped)), summary)
                    .observing("timestamp", attestation.signed_at.to_string())
            };
            finding.citing([examined.bundle.clone()])
        }
        Err(reason) => refusal(check, RefusedPart::Log, examined, reason),
    });
    worst(findings).unwrap_or_else(|| not_run(check, "no attestation was evaluated"))
}

fn describe(log: &LogEvidence) -> String {
    let evidence = match (log.proof, log.promise) {
        (true, true) => "inclusion proof and promise",
        (true, false) => "inclusion proof",
        (false, true) => "inclusion promise only",
        (false, false) => "nothing",
    };
    format!("{}, {evidence}", log.kind)
}

/// Compares the order of the run's begin, of signing, of the registry's acceptance and of publication.
///
/// The certificate was valid when the log or the timestamp authority saw the signature: the verifier demands it. Staged
/// publishing puts days between signing and publishing; the other order has no honest explanation beyond clock skew.
pub(super) fn time_order(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::LogTimeOrder;
    let examination = match evidence.examination(check) {
        Ok(examination) => examination,
        Err(finding) => return finding,
    };
    let publications = examination.authentic_publications();
    let accepted = publications
        .iter()
        .map(|publication| publication.attestation.signed_at)
        .min();
    let published = evidence
        .authenticated
        .release
        .metadata
        .present()
        .and_then(|metadata| metadata.published_at);
    let skew = SignedDuration::from_secs(i64::from(evidence.policy.clock_skew));
    let run = evidence.trace.as_ref().ok().and_then(|trace| trace.run.as_ref()?.run());
    let started = run.and_then(|run| run.value.run_started_at);
    evidence.of_each_provenance(check, |provenance| {
        let signed = provenance.attestation.signed_at;
        let steps: Vec<(&str, Timestamp)> = [
            ("log time of the provenance", Some(signed)),
            ("log time of the publish attestation", accepted),
            ("metadata time", published),
        ]
        .into_iter()
        .filter_map(|(place, time)| time.map(|time| (place, time)))
        .collect();
        let began_before = started.is_none_or(|started| signed.duration_since(started) >= -skew);
        let ordered = began_before
            && steps
                .iter()
                .zip(steps.iter().skip(1))
                .all(|((_, earlier), (_, later))| later.duration_since(*earlier) >= -skew);
        let staged = steps.last().is_some_and(|(_, last)| last.duration_since(signed) > skew);
        let (outcome, summary) = match (ordered, staged, steps.len()) {
            (true, _, 0 | 1) => (Outcome::NotApplicable(None), "only the time of signing is known"),
            (false, _, _) => (
                Outcome::Warn(None),
                "the version was accepted or published before it was signed, or signed before its run began",
            ),
            (true, true, _) => (
                Outcome::Pass(Some(Shade::Staged)),
                "it was signed well before it was published, as with staged publishing",
            ),
            (true, false, _) => (
                Outcome::Pass(None),
                "it was signed, accepted and published in this order",
            ),
        };
        let finding = Finding::new(check, outcome, summary);
        let finding = match started {
            Some(started) => finding.observing("run run_started_at", started.to_string()),
            None => finding,
        };
        steps.iter().fold(finding, |finding, (place, time)| {
            finding.observing(*place, time.to_string())
        })
    })
}
