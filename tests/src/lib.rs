//! What the integration tests share: the path from a coordinate to a verdict, what is remembered from look to look, a
//! `Fetch` without sockets, the corpus of recordings, and a simulated year.

pub mod corpus;
pub mod fetch;
pub mod path;
pub mod recollection;
pub mod year;
