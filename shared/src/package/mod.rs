//! Names of things: which package, which version, which bytes.

mod coordinate;
mod digest;

pub use coordinate::{Coordinate, CoordinateError, Ecosystem, PackageName, PackageVersion, Selector};
pub use digest::{Digest, DigestAlgorithm, DigestError, Integrity};
