//! Attestations: what they say, who signed them, and whether both are authentic.
//!
//! [`UnverifiedAttestation`] becomes [`VerifiedAttestation`] through [`TrustMaterial::verify`] and nothing else.

mod certificate;
mod provenance;
mod statement;
mod trust;
mod verify;

pub use certificate::{CertificateIdentity, Issuer, RepositoryUri, RunInvocation, WorkflowRef};
pub use provenance::{BuildType, Claim, ProvenanceClaims, ProvenanceError, Row};
pub use statement::{PredicateType, PublishPredicate, STATEMENT_TYPES, Statement, StatementError, StatementSubject};
pub use trust::{NpmKey, NpmKeyUsage, SavedTrust, TrustError, TrustMaterial, TrustOrigin};
pub use verify::{LogEvidence, Refusal, RefusedPart, Signer, UnverifiedAttestation, VerifiedAttestation};
