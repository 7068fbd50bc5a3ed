//! What each function does with its events, free of the host that receives them.

pub mod api;
pub mod batch;
mod deadline;
pub mod sweep;

pub use deadline::Deadline;

use tracing::instrument::{Instrument as _, Instrumented};

/// Has everything that is logged in the course of an invocation bear its id and its trace, whatever spans its host has besides.
///
/// Both come from the invocation's context. Where several invocations run in one process at once, the environment, which other
/// tracers read, has the trace of none of them.
pub fn of_invocation<F>(request: &str, trace: Option<&str>, work: F) -> Instrumented<F> {
    let span = tracing::info_span!(parent: None, "invocation", requestId = request, xrayTraceId = trace);
    work.instrument(span)
}
