//! Hekate.
