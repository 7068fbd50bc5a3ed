//! Attestations: what they say, who signed them, and whether both are authentic.
//!
//! [`UnverifiedAttestation`] becomes [`VerifiedAttestation`] through [`TrustMaterial::verify`] and nothing else.

mod certificate;
mod provenance;
mod publisher;
mod statement;
mod trust;
mod verify;

pub use certificate::{CertificateIdentity, Issuer, RepositoryUri, RunInvocation, WorkflowRef};
pub use provenance::{BuildType, Claim, ProvenanceClaims, ProvenanceError, Row};
pub use publisher::{Agreement, DeclaredPublisher};
pub use statement::{
    PredicateType, PublishPredicate, STATEMENT_TYPES, Statement, StatementError, StatementSubject, Subjects,
};
pub use trust::{NpmKey, NpmKeyUsage, SavedTrust, TrustError, TrustMaterial, TrustOrigin};
pub use verify::{Instances, LogEvidence, Refusal, RefusedPart, Signer, UnverifiedAttestation, VerifiedAttestation};
