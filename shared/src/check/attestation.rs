//! The family `att`: what the attestations say, and whether they say it of this package.

use std::collections::{BTreeMap, BTreeSet};

use super::correlate::{Evidence, not_run, refusal, worst};
use super::{CheckId, Finding, Outcome, Shade, UnknownReason};
use crate::attestation::{
    Agreement, BuildType, CertificateIdentity, Claim, DeclaredPublisher, Issuer, ProvenanceClaims, Refusal,
    RefusedPart, RepositoryUri, Row, RunInvocation, Signer, Statement, WorkflowRef,
};
use crate::authenticate::{Examination, Examined, Provenance};
use crate::availability::Availability;

/// Whether the registry signs a publish attestation of its own besides what the build signs.
fn is_countersigned(evidence: &Evidence<'_>) -> bool {
    evidence.authenticated.release.terms.countersigned_by.is_some()
}

/// Passes if the attestations of the ecosystem are served: npm's provenance and publish attestation. Absence is neither a failure nor trouble.
pub(super) fn present(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::AttPresent;
    let examination = match evidence.examination(check) {
        Ok(examination) => examination,
        Err(finding) => return finding,
    };
    let countersigned = is_countersigned(evidence);
    let complete = !(examination.provenances.is_empty() || countersigned && examination.publishes.is_empty());
    let (outcome, summary) = match (complete, countersigned) {
        (false, false) if is_of_a_release_only(evidence, examination) => (
            Outcome::NotApplicable(Some(Shade::Absent)),
            "GitHub attests the release that the file is of, and nothing attests its build",
        ),
        (true, true) => (
            Outcome::Pass(None),
            "the registry serves a provenance and a publish attestation",
        ),
        (true, false) => (Outcome::Pass(None), "attestations of the build are served"),
        (false, true) => (
            Outcome::Warn(None),
            "the registry serves attestations, but not both a provenance and a publish attestation",
        ),
        (false, false) => (Outcome::Warn(None), "attestations are served, and none of the build"),
    };
    let finding =
        Finding::new(check, outcome, summary).citing(evidence.authenticated.release.attestations_evidence.clone());
    if examination.unrecognised.is_empty() {
        finding
    } else {
        finding.observing(
            "predicate types that are not evaluated",
            examination.unrecognised.join(", "),
        )
    }
}

/// Whether all that there is are attestations of an immutable release, which say nothing of a build.
fn is_of_a_release_only(evidence: &Evidence<'_>, examination: &Examination) -> bool {
    !is_countersigned(evidence) && examination.provenances.is_empty() && !examination.publishes.is_empty()
}

/// The vacuity rule: an empty list verifies nothing. At least one attestation of the build must be authentic, and one publish
/// attestation where the registry signs those.
pub(super) fn nonempty(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::AttNonempty;
    let examination = match evidence.examination(check) {
        Ok(examination) => examination,
        Err(finding) => return finding,
    };
    if is_of_a_release_only(evidence, examination) {
        let summary = "nothing attests a build";
        return Finding::new(check, Outcome::NotApplicable(Some(Shade::Absent)), summary);
    }
    let provenances = examination.authentic_provenances().len();
    let publications = examination.authentic_publications().len();
    let count = |finding: Finding| {
        finding
            .observing("authentic provenances", provenances.to_string())
            .observing("authentic publish attestations", publications.to_string())
    };
    let countersigned = is_countersigned(evidence);
    if provenances > 0 && (publications > 0 || !countersigned) {
        let summary = if countersigned {
            "at least one provenance and one publish attestation are authentic"
        } else {
            "at least one attestation of the build is authentic"
        };
        return count(Finding::new(check, Outcome::Pass(None), summary));
    }
    // What is missing may be there in a form that cannot be judged, which is no vacuity.
    let missing: &[&[Examined]] = match (provenances, publications) {
        (0, 0) if countersigned => &[&examination.provenances, &examination.publishes],
        (0, _) => &[&examination.provenances],
        (_, _) => &[&examination.publishes],
    };
    let undecided = missing
        .iter()
        .flat_map(|list| list.iter())
        .find_map(|examined| match &examined.result {
            Err(Refusal::Unsupported(detail) | Refusal::UnknownSigner(detail) | Refusal::NoTrustedTime(detail)) => {
                Some(detail)
            }
            Err(Refusal::Forged { .. }) | Ok(_) => None,
        });
    let count = |finding: Finding| match evidence.authenticated.release.served_nothing {
        Some(nothing) => count(finding).observing("the registry serves", nothing),
        None => count(finding),
    };
    count(match undecided {
        Some(detail) => Finding::new(check, Outcome::Unknown(UnknownReason::Unsupported), detail.clone()),
        None => Finding::new(
            check,
            Outcome::Fail(Some(Shade::Vacuous)),
            "the registry announces attestations, and what it serves proves nothing",
        ),
    })
}

/// Passes if there is one of each kind, or if several say the same.
pub(super) fn unique(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::AttUnique;
    let examination = match evidence.examination(check) {
        Ok(examination) => examination,
        Err(finding) => return finding,
    };
    let distinct = |list: &[Examined]| {
        list.iter()
            .filter_map(|examined| examined.result.as_ref().ok())
            .map(|attestation| {
                let subject = &attestation.statement.subject;
                let kind = attestation.statement.predicate_type.clone();
                let says = (
                    subject.name.clone(),
                    subject.digests.clone(),
                    attestation.statement.predicate.get().to_owned(),
                );
                (kind, says)
            })
            .fold(BTreeMap::<_, BTreeSet<_>>::new(), |mut kinds, (kind, says)| {
                kinds.entry(kind).or_default().insert(says);
                kinds
            })
            .into_values()
            .map(|says| says.len())
            .max()
            .unwrap_or_default()
    };
    let (provenances, publications) = (distinct(&examination.provenances), distinct(&examination.publishes));
    if provenances == 0 && publications == 0 {
        return not_run(check, "no attestation was authenticated");
    }
    let (outcome, summary) = if provenances > 1 || publications > 1 {
        (
            Outcome::Warn(Some(Shade::Ambiguous)),
            "several authentic attestations of one kind say different things",
        )
    } else {
        (
            Outcome::Pass(None),
            "the authentic attestations of each kind say one thing",
        )
    };
    Finding::new(check, outcome, summary)
        .observing("different provenances", provenances.to_string())
        .observing("different publish attestations", publications.to_string())
}

/// The name under which GitHub itself attests releases (<https://docs.github.com/en/code-security/concepts/supply-chain-security/immutable-releases>).
const GITHUB_RELEASES: &str = "https://dotcom.releases.github.com";

/// Passes if every publish attestation is signed by a key of the registry that was valid at the logged time, or by GitHub
/// where it attests a release.
pub(super) fn publish_sig(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::AttPublishSig;
    let examination = match evidence.examination(check) {
        Ok(examination) => examination,
        Err(finding) => return finding,
    };
    if !is_countersigned(evidence) {
        let findings = examination.publishes.iter().map(|examined| {
            if let Some(other) = about_other_bytes(evidence, examined) {
                return other;
            }
            judge_signature(check, examined, |signer| match signer {
                Signer::Certificate(certificate) => match certificate.subject_alternative_name.as_deref() {
                    Some(name @ GITHUB_RELEASES) => Ok(("certificate subject alternative name", name.to_owned())),
                    Some(_) | None => Err("somebody else than GitHub signed it"),
                },
                Signer::RegistryKey { .. } => Err("a registry's key signed it, where GitHub's certificate must"),
            })
        });
        let summary = "no registry of this ecosystem signs a publish attestation of its own";
        return worst(findings)
            .unwrap_or_else(|| Finding::new(check, Outcome::NotApplicable(Some(Shade::NotOfEcosystem)), summary));
    }
    let findings = examination.publishes.iter().map(|examined| {
        judge_signature(check, examined, |signer| match signer {
            Signer::RegistryKey { key_id } => Ok(("bundle publicKey.hint", key_id.clone())),
            Signer::Certificate(_) => Err("a certificate signed it, where the registry's key must"),
        })
    });
    worst(findings).unwrap_or_else(|| not_run(check, "the registry serves no publish attestation"))
}

/// The finding that an authentic attestation of a release has not these bytes among the files of it.
fn about_other_bytes(evidence: &Evidence<'_>, examined: &Examined) -> Option<Finding> {
    let release = &evidence.authenticated.release;
    let artifact = release.artifact.present()?;
    let subject = &examined.result.as_ref().ok()?.statement.subject;
    let own = artifact.digest(release.terms.digest);
    let attested = subject.digest(release.terms.digest);
    (attested != Some(own)).then(|| {
        let summary = "GitHub attests a release that has not this file";
        Finding::new(CheckId::AttPublishSig, Outcome::Fail(None), summary)
            .observing(
                "release attestation subject",
                attested.map_or_else(|| "(none)".to_owned(), ToString::to_string),
            )
            .observing("the file", own.to_string())
            .citing([examined.bundle.clone()])
    })
}

/// Passes if every provenance is signed by a certificate of the trusted authority that was logged and valid when it
/// signed.
pub(super) fn provenance_sig(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::AttProvenanceSig;
    let examination = match evidence.examination(check) {
        Ok(examination) => examination,
        Err(finding) => return finding,
    };
    let findings = examination.provenances.iter().map(|examined| {
        judge_signature(check, examined, |signer| match signer {
            Signer::Certificate(certificate) => Ok((
                "certificate subject alternative name",
                certificate
                    .subject_alternative_name
                    .clone()
                    .unwrap_or_else(|| "(none)".to_owned()),
            )),
            Signer::RegistryKey { .. } => Err("the registry's key signed it, where a build's certificate must"),
        })
    });
    worst(findings).unwrap_or_else(|| not_run(check, "the registry serves no provenance"))
}

fn judge_signature(
    check: CheckId,
    examined: &Examined,
    signer: impl Fn(&Signer) -> Result<(&'static str, String), &'static str>,
) -> Finding {
    match &examined.result {
        Ok(attestation) => match signer(&attestation.signer) {
            Ok((place, who)) => Finding::new(check, Outcome::Pass(None), "signature, signer and signed time verify")
                .observing(place, who)
                .observing("trusted time", attestation.signed_at.to_string()),
            Err(why) => Finding::new(check, Outcome::Fail(None), why),
        }
        .citing([examined.bundle.clone()]),
        Err(reason) => refusal(check, RefusedPart::Signature, examined, reason),
    }
}

/// The three-way digest: provenance, publish attestation and downloaded bytes, and with them the digest by which clients
/// install, are one, in the algorithm in which the ecosystem attests.
pub(super) fn subject_digest(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::AttSubjectDigest;
    let examination = match evidence.examination(check) {
        Ok(examination) => examination,
        Err(finding) => return finding,
    };
    let release = &evidence.authenticated.release;
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    let mut cited = Vec::new();
    let provenances = examination.authentic_provenances();
    let publications = examination.authentic_publications();
    if provenances.is_empty() || publications.is_empty() && is_countersigned(evidence) {
        return not_run(check, "there is no authentic set of attestations to compare");
    }
    let algorithm = release.terms.digest;
    let attested = provenances
        .iter()
        .map(|provenance| ("provenance subject", provenance.attestation))
        .chain(
            publications
                .iter()
                .map(|publication| ("publish attestation subject", publication.attestation)),
        );
    let mut gap = None;
    for (index, (place, attestation)) in attested.enumerate() {
        cited.push(attestation.bundle.clone());
        let Some(digest) = attestation.statement.subject.digest(algorithm) else {
            gap = Some(format!("the {place} has no {}", algorithm.name()));
            continue;
        };
        values.insert(format!("{place} {}", index + 1), digest.to_string());
    }
    let declared = release
        .metadata
        .present()
        .and_then(|metadata| metadata.declared_digest.as_ref());
    if let Some(declared) = declared.filter(|digest| digest.algorithm() == algorithm) {
        values.insert(release.terms.digest_place.to_owned(), declared.to_string());
    }
    let missing = match &release.artifact {
        Availability::Present(artifact) => {
            values.insert("downloaded bytes".to_owned(), artifact.digest(algorithm).to_string());
            cited.push(artifact.sha256.clone());
            None
        }
        Availability::Absent { because } => Some(Finding::new(
            check,
            Outcome::Unknown(UnknownReason::NotRetained),
            because.clone(),
        )),
        Availability::Unavailable(trouble) => Some(Finding::unavailable(check, trouble)),
    };
    let agree = values.values().collect::<BTreeSet<_>>().len() == 1;
    let missing = missing
        .or_else(|| gap.map(|summary| Finding::new(check, Outcome::Unknown(UnknownReason::Unsupported), summary)));
    let finding = match (agree, missing) {
        (false, _) => Finding::new(
            check,
            Outcome::Fail(None),
            "what was attested is not what the registry serves",
        ),
        (true, Some(missing)) => missing,
        (true, None) => Finding::new(
            check,
            Outcome::Pass(None),
            "what is attested and the served bytes have one digest",
        ),
    };
    let finding = values
        .into_iter()
        .fold(finding, |finding, (place, value)| finding.observing(place, value));
    finding.citing(cited)
}

/// Compares both subjects with the version, and the publish predicate's name, version and registry.
pub(super) fn subject_name(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::AttSubjectName;
    let examination = match evidence.examination(check) {
        Ok(examination) => examination,
        Err(finding) => return finding,
    };
    let release = &evidence.authenticated.release;
    let package = &release.package;
    let provenances = examination.authentic_provenances();
    let publications = examination.authentic_publications();
    if provenances.is_empty() || publications.is_empty() && is_countersigned(evidence) {
        return not_run(check, "there is no authentic set of attestations to compare");
    }
    let mut wrong = Vec::new();
    let mut cited = Vec::new();
    let subjects = provenances
        .iter()
        .map(|provenance| ("provenance subject", provenance.attestation))
        .chain(
            publications
                .iter()
                .map(|publication| ("publish attestation subject", publication.attestation)),
        );
    let is_named = |statement: &Statement| statement.names().any(|name| release.is_named_by(name));
    // The same bytes may have been released by several names, each with attestations of its own: found by their digest, they
    // are served together, and one that bears this name is enough.
    let is_named_by_one = provenances
        .iter()
        .any(|provenance| is_named(&provenance.attestation.statement));
    for (place, attestation) in subjects {
        cited.push(attestation.bundle.clone());
        let statement = &attestation.statement;
        if !(is_named(statement) || statement.is_found_by_digest() && is_named_by_one) {
            wrong.push((place, statement.subject.name.clone()));
        }
    }
    for publication in &publications {
        match publication.predicate {
            Ok(predicate) => {
                let registry = release.terms.countersigned_by.unwrap_or_default();
                let expected = [package.name().as_str(), package.version(), registry];
                let actual = [
                    &*predicate.name,
                    &*predicate.version,
                    predicate.registry.trim_end_matches('/'),
                ];
                if expected != actual {
                    wrong.push(("publish predicate", actual.join(" ")));
                }
            }
            Err(error) => wrong.push(("publish predicate", error.to_string())),
        }
    }
    let finding = if wrong.is_empty() {
        Finding::new(
            check,
            Outcome::Pass(None),
            "the attestations name this package and version",
        )
    } else {
        Finding::new(
            check,
            Outcome::Fail(None),
            "an attestation of another package, version or registry is served here",
        )
    };
    let finding = finding.observing("requested", release.expected_name());
    wrong
        .into_iter()
        .fold(finding, |finding, (place, value)| finding.observing(place, value))
        .citing(cited)
}

/// Passes if the build type of every provenance is known. An unknown one is not understood, and no forgery.
pub(super) fn predicate_known(evidence: &Evidence<'_>) -> Finding {
    let check = CheckId::AttPredicateKnown;
    evidence.of_each_provenance(check, |provenance| match provenance.claims {
        Ok(ProvenanceClaims {
            build_type: BuildType::Unknown(uri),
            ..
        }) => {
            let summary = "the build type of the provenance is not known here";
            Finding::new(check, Outcome::Unknown(UnknownReason::Unsupported), summary)
                .observing("buildType", uri.clone())
        }
        Ok(claims) => Finding::new(
            check,
            Outcome::Pass(None),
            "predicate type and build type of the provenance are known",
        )
        .observing("builder.id", claims.builder_id.clone()),
        Err(error) => Finding::new(check, Outcome::Warn(None), error.to_string()),
    })
}

/// Compares every value that the statement claims with the certificate, on every extension that the certificate carries, and
/// the publisher that the registry names beside it.
///
/// A hijacked job can write anything into its statement, and nothing into its certificate. A registry that serves somebody
/// else's attestation has to name another publisher than the certificate does.
pub(super) fn statement_against_certificate(evidence: &Evidence<'_>) -> Finding {
    evidence.of_each_provenance(CheckId::AttStmtVsCert, |provenance| {
        let statement = compare_statement(provenance);
        let publisher = provenance.attestation.declared_publisher.as_ref();
        let publisher = publisher.map(|publisher| compare_publisher(publisher, provenance.certificate));
        match (statement, publisher) {
            (Some(statement), publisher) => {
                worst([Some(statement), publisher].into_iter().flatten()).unwrap_or_else(nothing_to_compare)
            }
            (None, publisher) => publisher.unwrap_or_else(nothing_to_compare),
        }
    })
}

/// A statement that claims nothing, served without the name of a publisher.
fn nothing_to_compare() -> Finding {
    let summary = "the statement says nothing of the build, and the registry names no publisher to compare with";
    Finding::new(
        CheckId::AttStmtVsCert,
        Outcome::Unknown(UnknownReason::Malformed),
        summary,
    )
}

fn compare_publisher(publisher: &DeclaredPublisher, certificate: &CertificateIdentity) -> Finding {
    let check = CheckId::AttStmtVsCert;
    let finding = match publisher.against(certificate) {
        Agreement::Agrees => Finding::new(
            check,
            // What is not on GitHub is authentic, and not correlated.
            if certificate.issuer == Some(Issuer::GitHubActions) {
                Outcome::Pass(None)
            } else {
                Outcome::Unknown(UnknownReason::Unsupported)
            },
            "the publisher that the registry names is the one that the certificate proves",
        ),
        Agreement::Contradicts { what, declared, proven } => Finding::new(
            check,
            Outcome::Fail(None),
            format!("the registry names another publisher than the certificate proves: {what}"),
        )
        .observing(format!("registry publisher {what}"), declared)
        .observing(format!("certificate {what}"), proven),
        Agreement::Unsupported => Finding::new(
            check,
            // Elsewhere than on GitHub nothing but the publisher ties the signer to the project.
            Outcome::Unknown(if certificate.issuer == Some(Issuer::GitHubActions) {
                UnknownReason::Unsupported
            } else {
                UnknownReason::Malformed
            }),
            "the registry names a publisher of a kind that is not known here",
        ),
    };
    finding.observing("registry publisher kind", publisher.kind())
}

/// Compares what the statement says of its build; `None` if it says nothing of it.
fn compare_statement(provenance: &Provenance<'_>) -> Option<Finding> {
    let check = CheckId::AttStmtVsCert;
    let certificate = provenance.certificate;
    let claims = match provenance.claims {
        Ok(claims) => claims,
        Err(error) => return Some(Finding::new(check, Outcome::Fail(None), error.to_string())),
    };
    let is_github = certificate.issuer == Some(Issuer::GitHubActions);
    match (&claims.build_type, is_github) {
        (BuildType::Publication, _) => return None,
        (BuildType::GitLab, false) => {
            let summary = "builds on GitLab are recognised and not correlated";
            return Some(Finding::new(
                check,
                Outcome::Unknown(UnknownReason::Unsupported),
                summary,
            ));
        }
        (BuildType::Unknown(uri), _) => {
            let summary = "the statement is of a build type that is not correlated";
            let finding = Finding::new(check, Outcome::Unknown(UnknownReason::Unsupported), summary);
            return Some(finding.observing("buildType", uri.clone()));
        }
        // The family of the build type must fit whoever vouched for the signer.
        (BuildType::GitLab, true)
        | (BuildType::GitHubWorkflow | BuildType::NpmGitHub | BuildType::SlsaGenerator, false) => {
            let summary = "the statement describes a build of another service";
            let issuer = certificate.issuer_url.as_deref().unwrap_or("(none)");
            return Some(
                Finding::new(check, Outcome::Fail(None), summary)
                    .observing("statement builder.id", claims.builder_id.clone())
                    .observing("certificate 1.8 issuer", issuer),
            );
        }
        (BuildType::GitHubWorkflow | BuildType::NpmGitHub | BuildType::SlsaGenerator, true) => {}
    }
    Some(compare_claims(claims, certificate))
}

fn compare_claims(claims: &ProvenanceClaims, certificate: &CertificateIdentity) -> Finding {
    let check = CheckId::AttStmtVsCert;
    let mut compared: BTreeSet<Row> = BTreeSet::new();
    let mut finding = Finding::new(check, Outcome::Pass(None), "");
    let mut contradicted = Vec::new();
    for claim in &claims.claims {
        let Some((extension, fact)) = fact(claim.row, certificate) else {
            continue;
        };
        compared.insert(claim.row);
        if !agrees(claim, fact) {
            contradicted.push(claim.place);
            finding = finding
                .observing(format!("statement {}", claim.place), claim.value.clone())
                .observing(format!("certificate {extension}"), fact);
        }
    }
    if let Some((place, value)) = foreign_builder(claims, certificate) {
        contradicted.push(place);
        finding = finding
            .observing("statement builder.id", value)
            .observing("certificate 1.9 build signer", certificate.signer().unwrap_or("(none)"));
    }
    // What every certificate carries, every statement must claim: leaving it out would leave nothing to contradict.
    let essential: &[(&str, Row, &[Row])] = &[
        ("repository", Row::Repository, &[Row::Repository]),
        ("commit", Row::Commit, &[Row::Commit]),
        ("ref", Row::Ref, &[Row::Ref]),
        ("run", Row::Run, &[Row::Run, Row::RunNumbers]),
        ("workflow", Row::Workflow, &[Row::Workflow, Row::WorkflowPath]),
    ];
    for &(name, row, claimed_by) in essential {
        if fact(row, certificate).is_some() && !claimed_by.iter().any(|row| compared.contains(row)) {
            contradicted.push(name);
            finding = finding.observing(format!("statement {name}"), "(not claimed)");
        }
    }
    let comparable = compared.contains(&Row::Repository) && compared.contains(&Row::Commit);
    if contradicted.is_empty() && !comparable {
        let summary = "the certificate names neither repository nor commit to compare with";
        return Finding::new(check, Outcome::Unknown(UnknownReason::Unsupported), summary);
    }
    if contradicted.is_empty() {
        finding.summary = format!(
            "the statement says what the certificate says, on {} facts",
            compared.len()
        );
    } else {
        finding.outcome = Outcome::Fail(None);
        finding.summary = format!("the statement contradicts the certificate: {}", contradicted.join(", "));
    }
    finding
}

/// The fact in the certificate that a row is compared with, and where it stands.
fn fact(row: Row, certificate: &CertificateIdentity) -> Option<(&'static str, &str)> {
    let (extension, value) = match row {
        Row::Repository => ("1.12 source repository", &certificate.source_repository_uri),
        Row::Commit => ("1.13 source digest", &certificate.source_repository_digest),
        Row::Ref => ("1.14 source ref", &certificate.source_repository_ref),
        Row::RepositoryId => ("1.15 source repository id", &certificate.source_repository_identifier),
        Row::OwnerId => ("1.17 source owner id", &certificate.source_repository_owner_identifier),
        Row::Workflow | Row::WorkflowPath => ("1.18 build config", &certificate.build_config_uri),
        Row::WorkflowDigest => ("1.19 build config digest", &certificate.build_config_digest),
        Row::Runner => ("1.11 runner environment", &certificate.runner_environment),
        Row::Trigger => ("1.20 build trigger", &certificate.build_trigger),
        Row::Run | Row::RunNumbers => ("1.21 run invocation", &certificate.run_invocation_uri),
    };
    value.as_deref().map(|value| (extension, value))
}

/// Whether a claim says what the certificate says, compared as what it is: names of repositories case-insensitively,
/// workflows and runs by their parts.
fn agrees(claim: &Claim, fact: &str) -> bool {
    match claim.row {
        Row::Repository => {
            matches!((RepositoryUri::parse(&claim.value), RepositoryUri::parse(fact)), (Some(a), Some(b)) if a == b)
        }
        Row::Workflow => {
            matches!((WorkflowRef::parse(&claim.value), WorkflowRef::parse(fact)), (Some(a), Some(b)) if a == b)
        }
        Row::WorkflowPath => WorkflowRef::parse(fact).is_some_and(|workflow| workflow.path == claim.value),
        Row::Run => {
            matches!((RunInvocation::parse(&claim.value), RunInvocation::parse(fact)), (Some(a), Some(b)) if a == b)
        }
        Row::RunNumbers => {
            RunInvocation::parse(fact).is_some_and(|run| claim.value == format!("{}-{}", run.run, run.attempt))
        }
        Row::Commit | Row::WorkflowDigest => claim.value.eq_ignore_ascii_case(fact),
        Row::Ref | Row::RepositoryId | Row::OwnerId | Row::Runner | Row::Trigger => claim.value == fact,
    }
}

/// A builder id that is a workflow must be of the signing workflow's repository and ref, or be the triggered workflow: the
/// SLSA generator's builder and its signing workflow are two files of one repository.
fn foreign_builder(claims: &ProvenanceClaims, certificate: &CertificateIdentity) -> Option<(&'static str, String)> {
    let builder = WorkflowRef::parse(&claims.builder_id)?;
    let signer = certificate.signer().and_then(WorkflowRef::parse)?;
    let is_signers = builder.repository == signer.repository && builder.r#ref == signer.r#ref;
    let config = certificate.build_config_uri.as_deref().and_then(WorkflowRef::parse);
    (!is_signers && config.as_ref() != Some(&builder)).then(|| ("builder.id", claims.builder_id.clone()))
}
