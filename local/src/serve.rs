//! `hekate serve`: what is three functions on AWS, in one process.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use hekate::adapters::announcements::LogAnnouncer;
use hekate::adapters::embedded::EmbeddedDynamoDb;
use hekate::adapters::in_process::{self, Receiver};
use hekate::config::Config;
use hekate::entrypoints::api::{self, Api, router};
use hekate::ports::WorkItem;
use hekate::service::{Service, Worked};
use hekate::wiring;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::cli::Serve;
use crate::exit::{Exit, Failure};
use crate::verify::say;
use crate::{Done, store};

/// How much work the queue holds: several of the largest batches, so that no worker that hands over new versions waits for
/// room that only workers make.
const QUEUED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(99_999);
/// How many versions the worker looks at, at once.
const AT_ONCE: usize = 5;
/// How many items are in the worker's hands, those that wait for another attempt included.
const IN_HAND: usize = 200;
/// After how long work is tried again. What still fails after the last of these is left to the next sweep.
const AGAIN_AFTER: [Duration; 4] = [
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
];
/// How often what is due is looked for.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// How long requests and looks under way may take once the process is told to end.
const GRACE: Duration = Duration::from_secs(10);

/// Serves on the user's store until a signal ends it.
pub(crate) async fn run(arguments: &Serve) -> Done {
    let config = wiring::config_from_environment().map_err(Failure::input)?;
    let embedded = store::open(&config).await?;
    host(&config, &embedded, arguments.listen, |address| {
        say(&format!("Hekate listens on http://{address}, until Ctrl-C or SIGTERM"));
        say(&format!("Try: curl http://{address}/v1/verdicts/npm/sigstore/latest"));
    })
    .await
}

/// Runs API, worker and sweeper until a signal. `ready` is told the address once it answers.
pub(crate) async fn host(
    config: &Config,
    embedded: &EmbeddedDynamoDb,
    listen: SocketAddr,
    ready: impl FnOnce(SocketAddr),
) -> Done {
    let (queue, receiver) = in_process::queue(QUEUED);
    let service = wiring::service(
        config,
        Arc::new(embedded.store()),
        Arc::new(queue),
        Arc::new(LogAnnouncer),
    )
    .map_err(Failure::input)?;
    let service = Arc::new(service);
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("{listen} cannot be listened on: choose another address with --listen"))
        .map_err(Failure::input)?;
    let address = listener.local_addr()?;

    let (stop, stopped) = watch::channel(false);
    let worker = tokio::spawn(work(Arc::clone(&service), receiver, stopped.clone()));
    let sweeper = tokio::spawn(sweep(Arc::clone(&service), stopped.clone()));
    let api = router(Api {
        service,
        clock: wiring::now,
        fresh_after: config.fresh_after,
    })
    .layer(from_fn(to_its_end));
    let server = tokio::spawn(
        axum::serve(listener, api)
            .with_graceful_shutdown(until_stopped(stopped))
            .into_future(),
    );
    ready(address);

    signalled().await?;
    say("ending after what is under way");
    stop.send_replace(true);
    let ended = timeout(GRACE, async { tokio::join!(server, worker, sweeper) }).await;
    match ended {
        Ok((Ok(Ok(())), Ok(()), Ok(()))) => {}
        Ok(results) => tracing::error!(?results, "not everything ended as it should"),
        Err(_elapsed) => tracing::warn!("what was still under way after ten seconds was given up"),
    }
    Ok(Exit::Acceptable)
}

/// Answers even who does not wait any more, as a function on AWS does: as long as the server runs, a look that was begun is recorded,
/// so that the next one who asks has it, and nobody waits for a lease that nobody holds.
async fn to_its_end(request: Request, next: Next) -> Response {
    tokio::spawn(next.run(request)).await.unwrap_or_else(|fault| {
        tracing::error!(error = %fault, "a request was not answered");
        api::fault()
    })
}

/// Resolves at Ctrl-C or, where there is such a thing, SIGTERM.
#[cfg(unix)]
pub(crate) async fn signalled() -> std::io::Result<()> {
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted,
        _terminated = terminate.recv() => Ok(()),
    }
}

/// Resolves at Ctrl-C.
#[cfg(not(unix))]
pub(crate) async fn signalled() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}

async fn until_stopped(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _gone = stopped.wait_for(|stopped| *stopped).await;
}

/// Drains the queue: the batch verifier's part. An item is taken when there is a turn for it, so that what the queue prefers
/// does not wait behind what was taken before.
async fn work(service: Arc<Service>, mut receiver: Receiver, stopped: watch::Receiver<bool>) {
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut in_hand = JoinSet::new();
    loop {
        while in_hand.len() >= IN_HAND {
            in_hand.join_next().await;
        }
        let taken = tokio::select! {
            () = until_stopped(stopped.clone()) => break,
            taken = async {
                // The semaphore is never closed.
                let turn = Arc::clone(&turns).acquire_owned().await.ok();
                (turn, receiver.receive().await)
            } => taken,
        };
        let (turn, Some(item)) = taken else { break };
        in_hand.spawn(work_on(
            Arc::clone(&service),
            item,
            turn,
            Arc::clone(&turns),
            stopped.clone(),
        ));
        while in_hand.try_join_next().is_some() {}
    }
    while in_hand.join_next().await.is_some() {}
}

/// Works on one item, and again after a while as long as that might help; the first time in a turn that it has.
async fn work_on(
    service: Arc<Service>,
    item: WorkItem,
    mut turn: Option<OwnedSemaphorePermit>,
    turns: Arc<Semaphore>,
    stopped: watch::Receiver<bool>,
) {
    for delay in AGAIN_AFTER.into_iter().map(Some).chain([None]) {
        let worked = {
            let _turn = match turn.take() {
                Some(turn) => Some(turn),
                None => Arc::clone(&turns).acquire_owned().await.ok(),
            };
            service.work(&item, wiring::now()).await
        };
        let why = match worked {
            Worked::Done(_) | Worked::HandedOver(_) => return,
            Worked::Hopeless(fault) => {
                tracing::error!(package = %item.package, error = %fault, "work was dropped: it can never succeed");
                return;
            }
            Worked::TryAgain(why) => why,
        };
        let Some(delay) = delay else {
            tracing::warn!(package = %item.package, why, "work is left to the next sweep");
            return;
        };
        tracing::info!(package = %item.package, why, seconds = delay.as_secs(), "work is tried again later");
        tokio::select! {
            () = until_stopped(stopped.clone()) => return,
            () = sleep(delay) => {}
        }
    }
}

/// Hands over what is due: the sweeper's part.
async fn sweep(service: Arc<Service>, stopped: watch::Receiver<bool>) {
    let mut minutes = interval(SWEEP_EVERY);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = until_stopped(stopped.clone()) => return,
            _tick = minutes.tick() => {}
        }
        tokio::select! {
            () = until_stopped(stopped.clone()) => return,
            swept = service.sweep(wiring::now()) => match swept {
                Ok(swept) if swept.tasks + swept.announced == 0 && swept.feeds.iter().all(|read| read.watched == 0) => {}
                Ok(swept) => tracing::info!(?swept, "what was to be looked at was handed over"),
                Err(fault) => tracing::error!(error = %fault, "the sweep failed"),
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use axum::Router;
    use axum::routing::get;
    use serde_json::{Value, json};

    use super::*;

    #[tokio::test]
    async fn a_request_whose_handling_panics_is_answered_in_the_error_envelope() {
        async fn panics() -> &'static str {
            panic!("a secret of ours")
        }
        let router = Router::new().route("/", get(panics)).layer(from_fn(to_its_end));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, router).into_future());
        let answer = reqwest::get(url).await.unwrap();
        assert_eq!(answer.status(), 500);
        let body: Value = answer.json().await.unwrap();
        let error = json!({ "code": "internal", "message": "this verifier failed to answer" });
        assert_eq!(body, json!({ "error": error }));
    }
}
