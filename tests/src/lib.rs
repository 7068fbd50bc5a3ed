//! What the integration tests share: the path from a coordinate to a verdict, what is remembered from look to look, a
//! `Fetch` without sockets, an AWS without sockets and a deployment on it, what work takes of it, the corpus of recordings, and a
//! simulated year.

pub mod cloud;
pub mod corpus;
pub mod deployment;
pub mod fetch;
pub mod path;
pub mod recollection;
pub mod units;
pub mod year;
