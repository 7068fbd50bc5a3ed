//! Forges: where builds run and sources live.

pub mod github;
