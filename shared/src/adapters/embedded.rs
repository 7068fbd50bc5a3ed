//! A DynamoDB inside the process, for local mode and tests: the store that AWS runs, in front of a file or of memory.
//!
//! The server listens on a loopback port of its own choice. It checks no signature: while it runs, every process on the
//! machine that finds the port can read and write the store, just as every process of the same user can read and write
//! its file. Do not keep verdicts there that others rely on.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Builder, Credentials, Region, SharedHttpClient};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use dynoxide::storage_backend::error::from_rusqlite;
use dynoxide::{BackendError, Database, DynoxideError};
use thiserror::Error;
use tokio::sync::oneshot;

use crate::adapters::dynamodb::DynamoDbStore;
use crate::ports::StoreFault;

/// The name of the one table.
pub const TABLE: &str = "hekate";

/// How long requests that are under way may take to finish once the server is told to stop.
const GRACE: Duration = Duration::from_secs(1);

/// Why the embedded store cannot be used.
#[derive(Debug, Error)]
pub enum EmbeddedError {
    /// The folder of the file cannot be made.
    #[error("the folder of the store {path} cannot be created", path = path.display())]
    Folder {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The path of the file is not Unicode.
    #[error("the path of the store {path} is not UTF-8: choose another one with HEKATE_STORE", path = path.display())]
    Path {
        /// The file.
        path: PathBuf,
    },
    /// Another program keeps the file locked. Several processes of Hekate share a file and do not lock each other out.
    #[error(
        "the store {path} has been kept locked by another program for half a minute: close what has it open (a database \
         browser, a backup), or choose another file with HEKATE_STORE",
        path = path.display()
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be opened: it is something else, or was written by a newer version.
    #[error(
        "{path} cannot be opened as a store, choose another file with HEKATE_STORE: {detail}",
        path = path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// What the database says.
        detail: String,
    },
    /// No loopback port, or no thread.
    #[error("the embedded store cannot be served")]
    Serve(#[source] std::io::Error),
    /// The table cannot be made.
    #[error("the table of the embedded store cannot be created")]
    Table(#[source] StoreFault),
}

/// A running DynamoDB. Dropping it stops the server, lets requests under way finish within a second, and closes the file.
///
/// Several processes can use one file at the same time: every write is one SQLite transaction that holds the file's write
/// lock from its condition to its end. A write that waits for others for more than five seconds fails, and is repeated
/// by the client.
#[derive(Debug)]
pub struct EmbeddedDynamoDb {
    address: SocketAddr,
    client: Client,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<()>>,
}

impl EmbeddedDynamoDb {
    /// Opens the file, or a store in memory that ends with the process, and creates the table if it is not there.
    ///
    /// The server has a thread and a runtime of its own: SQLite blocks the thread that it runs on.
    pub async fn start(path: Option<&Path>) -> Result<Self, EmbeddedError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(EmbeddedError::Serve)?;
        listener.set_nonblocking(true).map_err(EmbeddedError::Serve)?;
        let address = listener.local_addr().map_err(EmbeddedError::Serve)?;
        let (stop, stopped) = oneshot::channel();
        let (opened, opening) = oneshot::channel();
        let path = path.map(Path::to_owned);
        let server = std::thread::Builder::new()
            .name("embedded-dynamodb".to_owned())
            .spawn(move || match open(path) {
                Ok(database) => {
                    // Nobody waits any more only if `start` itself was dropped, and then `stopped` resolves at once.
                    let _unheard = opened.send(Ok(()));
                    serve(listener, database, stopped);
                }
                Err(fault) => {
                    let _unheard = opened.send(Err(fault));
                }
            })
            .map_err(EmbeddedError::Serve)?;
        let started = Self {
            address,
            client: Client::from_conf(config(address).http_client(plain_http()).build()),
            stop: Some(stop),
            server: Some(server),
        };
        opening
            .await
            .map_err(|source| EmbeddedError::Serve(std::io::Error::other(source)))??;
        DynamoDbStore::create_table(&started.client, TABLE)
            .await
            .map_err(EmbeddedError::Table)?;
        Ok(started)
    }

    /// A client of this server.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// The store in the server's table. It answers for as long as the server runs.
    pub fn store(&self) -> DynamoDbStore {
        DynamoDbStore::new(self.client(), TABLE)
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for EmbeddedDynamoDb {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // The server has ended already if nobody listens.
            let _ended = stop.send(());
        }
        if let Some(server) = self.server.take() {
            // A panic of the server has been reported by the requests that failed with it.
            let _panicked = server.join();
        }
    }
}

/// The configuration of a client of the server at `address`, without an HTTP client. Nothing of it is looked up.
pub(crate) fn config(address: SocketAddr) -> Builder {
    aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("local"))
        .credentials_provider(Credentials::new("hekate", "hekate", None, None, "embedded"))
        .endpoint_url(format!("http://{address}"))
        .retry_config(RetryConfig::standard())
}

/// An HTTP client that does not load the system's certificates, which a loopback address has no use for.
pub(crate) fn plain_http() -> SharedHttpClient {
    let no_certificates = TlsContext::builder().with_trust_store(TrustStore::empty()).build();
    let context = no_certificates.unwrap_or_else(|_source| TlsContext::default());
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .tls_context(context)
        .build_https()
}

/// Opens the database, making the folder of its file if need be.
fn open(path: Option<PathBuf>) -> Result<Database, EmbeddedError> {
    let Some(path) = path else {
        return Database::memory().map_err(|source| EmbeddedError::Open {
            path: "in memory".into(),
            detail: source.to_string(),
        });
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|source| EmbeddedError::Folder {
            path: path.clone(),
            source,
        })?;
    }
    match path.to_str() {
        Some(text) => Database::new(text).map_err(|source| refusal(path, source)),
        None => Err(EmbeddedError::Path { path }),
    }
}

fn refusal(path: PathBuf, fault: DynoxideError) -> EmbeddedError {
    let detail = fault.to_string();
    if let DynoxideError::SqliteError(source) = fault {
        return if matches!(from_rusqlite(source), BackendError::Locked) {
            EmbeddedError::Locked { path }
        } else {
            EmbeddedError::Open { path, detail }
        };
    }
    EmbeddedError::Open { path, detail }
}

/// Serves until `stopped` resolves, and for as long after that as requests take, within [`GRACE`].
fn serve(listener: TcpListener, database: Database, stopped: oneshot::Receiver<()>) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(fault) => {
            tracing::error!(%fault, "the embedded store has no runtime");
            return;
        }
    };
    runtime.block_on(async {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(fault) => {
                tracing::error!(%fault, "the embedded store cannot listen");
                return;
            }
        };
        let (finish, finishing) = oneshot::channel::<()>();
        let server = dynoxide::server::serve_with_shutdown(listener, database, async {
            // A dropped sender ends the server, too.
            let _dropped = finishing.await;
        });
        let deadline = async {
            let _dropped = stopped.await;
            drop(finish);
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            result = server => {
                if let Err(fault) = result {
                    tracing::error!(fault, "the embedded store stopped");
                }
            }
            () = deadline => {}
        }
    });
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "the store under test is a file")]
mod tests {
    use std::process::Command;
    use std::time::Instant;

    use dynoxide::storage::Storage;

    use super::*;
    use crate::adapters::conformance::{at, dossier, package, verdict};
    use crate::ports::VerdictStore as _;
    use crate::verdict::Status;

    const FILE: &str = "store.db";

    #[tokio::test]
    async fn a_file_remembers_what_memory_forgets() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("made/on/the/way").join(FILE);
        let dossier = dossier(&package("1.0.0"), 0, b"[]");
        let verdict = verdict(&dossier, Status::Verified, &[], 0);
        for (path, remembered) in [(Some(file.as_path()), true), (None, false)] {
            let server = EmbeddedDynamoDb::start(path).await.unwrap();
            server.store().record(&verdict, &dossier, None, false).await.unwrap();
            drop(server);
            let server = EmbeddedDynamoDb::start(path).await.unwrap();
            assert_eq!(
                server.store().current(&verdict.package).await.unwrap().is_some(),
                remembered
            );
        }
    }

    #[tokio::test]
    async fn dropping_it_stops_the_server_and_closes_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let server = EmbeddedDynamoDb::start(Some(&folder.path().join(FILE))).await.unwrap();
        let (store, address) = (server.store(), server.address());
        store.current(&package("1.0.0")).await.unwrap();
        let stopping = Instant::now();
        drop(server);
        assert!(stopping.elapsed() < GRACE, "an idle connection does not hold it up");
        assert!(std::net::TcpStream::connect(address).is_err());
        assert!(matches!(
            store.current(&package("1.0.0")).await,
            Err(StoreFault::Unreachable(_))
        ));
        let left: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(
            left,
            [FILE],
            "SQLite removes its write-ahead log when it closes the file"
        );
    }

    /// What each of several processes does: records verdicts on one version, and takes the leases that are free.
    async fn work(file: &Path, worker: i64) -> usize {
        let server = EmbeddedDynamoDb::start(Some(file)).await.unwrap();
        let store = server.store();
        let mut leases = 0;
        for round in 0..10 {
            let number = round * PROCESSES + worker;
            let status = if number % 2 == 0 {
                Status::Verified
            } else {
                Status::Attested
            };
            let dossier = dossier(&package("1.0.0"), number, b"[]");
            store
                .record(&verdict(&dossier, status, &[], number), &dossier, None, false)
                .await
                .unwrap();
            let lease = package(&format!("{round}.1.0"));
            leases += usize::from(
                store
                    .acquire_lease(&lease, &worker.to_string(), None, false, at(0), at(60))
                    .await
                    .unwrap(),
            );
        }
        leases
    }

    const PROCESSES: i64 = 3;

    /// Not a test of its own: [`several_processes_can_use_one_file`] runs it in processes that begin in a folder of their
    /// own, where the store is one level up.
    #[tokio::test]
    #[ignore = "several_processes_can_use_one_file runs it"]
    async fn one_of_several_processes() {
        let Ok(file) = Path::new("..").join(FILE).canonicalize() else {
            return;
        };
        let folder = std::env::current_dir().unwrap();
        let worker = folder.file_name().unwrap().to_str().unwrap().parse().unwrap();
        std::fs::create_dir(work(&file, worker).await.to_string()).unwrap();
    }

    #[tokio::test]
    async fn several_processes_can_use_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let server = EmbeddedDynamoDb::start(Some(&file)).await.unwrap();
        let processes: Vec<_> = (0..PROCESSES)
            .map(|worker| {
                let place = folder.path().join(worker.to_string());
                std::fs::create_dir(&place).unwrap();
                Command::new(std::env::current_exe().unwrap())
                    .args([
                        "--exact",
                        "adapters::embedded::tests::one_of_several_processes",
                        "--ignored",
                    ])
                    .current_dir(place)
                    .spawn()
                    .unwrap()
            })
            .collect();
        for mut process in processes {
            assert!(process.wait().unwrap().success());
        }
        let leases: usize = (0..PROCESSES)
            .map(|worker| {
                let mut result = std::fs::read_dir(folder.path().join(worker.to_string())).unwrap();
                result
                    .next()
                    .unwrap()
                    .unwrap()
                    .file_name()
                    .to_str()
                    .unwrap()
                    .parse::<usize>()
                    .unwrap()
            })
            .sum();
        assert_eq!(leases, 10, "each lease was taken once");

        let store = server.store();
        let last = 10 * PROCESSES - 1;
        assert_eq!(
            store.current(&package("1.0.0")).await.unwrap().unwrap().checked_at,
            at(last)
        );
        for verdict in store.history(&package("1.0.0"), None, 100).await.unwrap() {
            assert!(store.dossier(&verdict.dossier).await.unwrap().is_some());
        }
    }

    #[tokio::test]
    async fn a_write_waits_while_another_program_has_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let server = EmbeddedDynamoDb::start(Some(&file)).await.unwrap();
        let other = Storage::new(file.to_str().unwrap()).unwrap();
        other.begin_transaction().unwrap();
        let other = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            other.rollback().unwrap();
        });
        assert!(
            server
                .store()
                .acquire_lease(&package("1.0.0"), "one", None, false, at(0), at(60))
                .await
                .unwrap()
        );
        other.join().unwrap();
    }

    #[test]
    fn a_file_that_stays_locked_is_named_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let [one, two] = [(); 2].map(|()| Storage::new(file.to_str().unwrap()).unwrap());
        one.begin_transaction().unwrap();
        let fault = refusal(file.clone(), two.begin_transaction().unwrap_err());
        assert!(matches!(&fault, EmbeddedError::Locked { path } if *path == file));
        assert!(fault.to_string().contains("HEKATE_STORE"), "{fault}");
    }

    #[tokio::test]
    async fn a_file_that_is_no_store_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        let text = "not a database ".repeat(100);
        std::fs::write(&file, &text).unwrap();
        let fault = EmbeddedDynamoDb::start(Some(&file)).await.unwrap_err();
        assert!(
            matches!(&fault, EmbeddedError::Open { path, .. } if *path == file),
            "{fault:?}"
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_made_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("file"), "").unwrap();
        let path = folder.path().join("file").join(FILE);
        let fault = EmbeddedDynamoDb::start(Some(&path)).await.unwrap_err();
        assert!(matches!(fault, EmbeddedError::Folder { path: named, .. } if named == path));
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn a_path_that_is_not_unicode_is_refused() {
        use std::os::unix::ffi::OsStrExt as _;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(std::ffi::OsStr::from_bytes(b"\xff"));
        let fault = EmbeddedDynamoDb::start(Some(&path)).await.unwrap_err();
        assert!(matches!(fault, EmbeddedError::Path { .. }));
    }
}
