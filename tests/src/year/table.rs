//! The emulated DynamoDB without a socket.
//!
//! The store under test is the product's adapter over the SDK's own client: it serialises each request and parses each response
//! as ever. Only the connection is replaced: the request is answered by the emulation on the same thread, so that what happens
//! in a year depends on its seed alone, and no real time passes while simulated time stands still.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use aws_smithy_runtime_api::client::auth::AuthSchemeId;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use dynoxide::actions::transact_write_items::TransactWriteItemsRequest;
use dynoxide::{Database, DynoxideError};
use hekate::adapters::dynamodb::DynamoDbStore;
use serde_json::json;
use tempfile::TempDir;

use super::chance::Chance;

/// The name of the table.
const TABLE: &str = "hekate";
/// For how many turns of everybody else a request is on its way at most, and the same of its answer.
const TURNS: i64 = 2;

/// Where files are kept in memory, on systems that have such a place. A database that SQLite itself keeps in memory slows down as it
/// grows: commits look through all the pages that it has in its cache, which are few only where there is a file behind it.
const MEMORY: &str = "/dev/shm";

/// A table, which ends with this.
pub struct Table {
    /// The store in it.
    pub store: Arc<DynamoDbStore>,
    _folder: TempDir,
}

/// A store with an empty table of its own. For how long each request is on its way is left to chance.
pub async fn table(chance: Chance) -> Result<Table> {
    let folder = match tempfile::tempdir_in(MEMORY) {
        Ok(folder) => folder,
        Err(_elsewhere) => tempfile::tempdir().context("a folder for the table")?,
    };
    let file = folder.path().join("table.db");
    let database = Database::new(file.to_str().context("a path that is UTF-8")?).context("the file of the table")?;
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("local"))
        .endpoint_url("http://dynamodb.testbed.example")
        // The emulation checks no signature.
        .allow_no_auth()
        .auth_scheme_preference([AuthSchemeId::from("noAuth")])
        .retry_config(RetryConfig::disabled())
        // Nothing takes any time.
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .http_client(Emulation {
            database: Arc::new(database),
            chance: Arc::new(Mutex::new(chance)),
        });
    let client = Client::from_conf(config.build());
    DynamoDbStore::create_table(&client, TABLE).await?;
    Ok(Table {
        store: Arc::new(DynamoDbStore::new(client, TABLE)),
        _folder: folder,
    })
}

/// The server, as the client of the SDK sees it.
#[derive(Clone)]
struct Emulation {
    database: Arc<Database>,
    chance: Arc<Mutex<Chance>>,
}

impl Emulation {
    /// For how many turns a message is on its way.
    fn turns(&self) -> u64 {
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        chance.between(0, TURNS).unsigned_abs()
    }
}

/// Lets everybody else do something as often as this.
pub async fn pass(turns: u64) {
    let mut left = turns;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

impl std::fmt::Debug for Emulation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Emulation")
    }
}

impl HttpClient for Emulation {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Emulation {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let emulation = self.clone();
        HttpConnectorFuture::new(async move {
            pass(emulation.turns()).await;
            let response = emulation.respond(&request);
            pass(emulation.turns()).await;
            response
        })
    }
}

impl Emulation {
    /// The response to a request.
    fn respond(&self, request: &HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let body = request.body().bytes().unwrap_or_default();
        // No request comes twice, and the emulation looks through every token of the last ten minutes.
        let answered = if operation == "TransactWriteItems" {
            without_token(&self.database, body)
        } else {
            answer(&self.database, operation, body)
        };
        let (status, body) = match answered {
            Ok(body) => (200, body),
            Err(fault) => (fault.status_code(), fault.to_json().into_bytes()),
        };
        StatusCode::try_from(status)
            .map(|status| HttpResponse::new(status, SdkBody::from(body)))
            .map_err(|source| ConnectorError::other(source.into(), None))
    }
}

/// Lets the database write a transaction that does not come again.
fn without_token(database: &Database, body: &[u8]) -> Result<Vec<u8>, DynoxideError> {
    let malformed = |source| malformed("TransactWriteItems", &source);
    let request: TransactWriteItemsRequest = serde_json::from_slice(body).map_err(malformed)?;
    let response = database.transact_write_items(TransactWriteItemsRequest {
        client_request_token: None,
        ..request
    })?;
    serde_json::to_vec(&response).map_err(malformed)
}

/// Lets the database do what is asked.
pub(crate) fn answer(database: &Database, operation: &str, body: &[u8]) -> Result<Vec<u8>, DynoxideError> {
    /// Reads the request, asks, and writes the response.
    macro_rules! ask {
        ($ask:expr) => {{
            let request = serde_json::from_slice(body).map_err(|source| malformed(operation, &source))?;
            let response = $ask(request)?;
            serde_json::to_vec(&response).map_err(|source| malformed(operation, &source))
        }};
    }
    match operation {
        "GetItem" => ask!(|request| database.get_item(request)),
        "PutItem" => ask!(|request| database.put_item(request)),
        "UpdateItem" => ask!(|request| database.update_item(request)),
        "DeleteItem" => ask!(|request| database.delete_item(request)),
        "Query" => ask!(|request| database.query(request)),
        "BatchGetItem" => ask!(|request| database.batch_get_item(request)),
        "BatchWriteItem" => ask!(|request| database.batch_write_item(request)),
        "TransactWriteItems" => ask!(|request| database.transact_write_items(request)),
        "CreateTable" => ask!(|request| database.create_table(request)),
        "DescribeTable" => ask!(|request| database.describe_table(request)),
        "UpdateTimeToLive" => ask!(|request| database.update_time_to_live(request)),
        "DescribeTimeToLive" => ask!(|request| database.describe_time_to_live(request)),
        _ => Err(DynoxideError::InternalServerError(format!(
            "nobody thought that the store would ask for {operation}"
        ))),
    }
}

fn malformed(operation: &str, source: &serde_json::Error) -> DynoxideError {
    DynoxideError::InternalServerError(json!({"operation": operation, "detail": source.to_string()}).to_string())
}
