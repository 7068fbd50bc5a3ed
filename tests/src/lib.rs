//! What the integration tests share: the path from a coordinate to a verdict, what is remembered from look to look, a
//! `Fetch` without sockets, and the corpus of recordings.

pub mod corpus;
pub mod fetch;
pub mod path;
pub mod recollection;
