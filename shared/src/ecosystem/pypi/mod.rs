//! PyPI: <https://docs.pypi.org/api/>, with attestations as PEP 740 defines them (<https://peps.python.org/pep-0740/>).

mod bundle;
pub mod changes;
pub mod document;
pub mod excerpt;
pub mod filename;
pub mod index;
pub mod metadata;
pub mod provenance;
pub mod version;
mod xml_rpc;
