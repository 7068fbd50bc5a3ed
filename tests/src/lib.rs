//! What the integration tests share: the path from a coordinate to a verdict, a `Fetch` without sockets, and the corpus of
//! recordings.

pub mod corpus;
pub mod fetch;
pub mod path;
