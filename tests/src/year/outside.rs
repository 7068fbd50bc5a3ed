//! A runtime in which time passes as it does outside.
//!
//! The service waits for other workers by the clock of its runtime. In a simulated minute nobody has to wait that long: the
//! clock stands still, and jumps to the end of a wait as soon as there is nothing else to do. The client of the store keeps
//! to real time, or every jump would end its patience with a server that has just been asked.

use std::future::{Future, poll_fn};
use std::pin::pin;

use anyhow::Result;
use tokio::runtime::{Builder, Handle, Runtime};

/// Where real time passes.
#[derive(Debug)]
pub struct Outside {
    runtime: Option<Runtime>,
}

impl Outside {
    /// A runtime with a thread of its own.
    pub fn new() -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Awaits something whose timers and sockets belong to this runtime.
    pub async fn of<T>(&self, work: impl Future<Output = T>) -> T {
        let Some(handle) = self.runtime.as_ref().map(Runtime::handle) else {
            return work.await;
        };
        let handle: Handle = handle.clone();
        let mut work = pin!(work);
        poll_fn(|context| {
            let _entered = handle.enter();
            work.as_mut().poll(context)
        })
        .await
    }
}

impl Drop for Outside {
    /// A runtime may not wait for its threads where others are awaited.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
