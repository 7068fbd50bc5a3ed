//! Names of things: which package, which version, which bytes.

mod coordinate;
mod digest;
mod inventory;
mod tag;

pub use crate::ecosystem::Ecosystem;
pub use coordinate::{Coordinate, CoordinateError, PackageName, PackageVersion, Selector};
pub use digest::{Digest, DigestAlgorithm, DigestError, Integrity};
pub use inventory::{Inventory, InventoryError, Skipped};
pub use tag::names_version;
