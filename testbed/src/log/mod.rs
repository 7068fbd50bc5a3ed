//! The signature logs.

pub mod merkle;
mod note;
pub mod rekor_v1;
pub mod rekor_v2;

pub use rekor_v1::RekorV1;
pub use rekor_v2::RekorV2;
