//! An AWS inside the process: DynamoDB, SQS and EventBridge behind the SDK's own clients, without sockets, with a script for what
//! becomes of each request.
//!
//! The adapters under test are the product's own; they serialise each request, repeat it and parse each response as ever.
//! Trouble is made between the SDK and the service, where AWS makes it, and not at the ports: one call of a port is several
//! requests, and a process can end between any two of them. A request and what the SDK repeats of it have one number, by the
//! SDK's name for the invocation.
//!
//! Of every request to DynamoDB the units that it consumed are noted, as the emulation reports them.

#![expect(
    clippy::indexing_slicing,
    reason = "of a JSON value, where what is not there is null, and every request and answer is an object"
)]

use std::collections::BTreeMap;
use std::fmt;
use std::future::{Future, pending};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};
use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition};
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedHttpClient};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use dynoxide::Database;
use hekate::adapters::dynamodb::DynamoDbStore;
use hekate::adapters::eventbridge::EventBridgeAnnouncer;
use hekate::adapters::sqs::SqsQueue;
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Notify;

use crate::year::chance::Chance;
use crate::year::queue::Queue;
use crate::year::table;

/// The name of the table.
pub const TABLE: &str = "hekate";

/// The queues.
const WORK: &str = "http://sqs.testbed.example/1/work";
const BATCHES: &str = "http://sqs.testbed.example/1/batches";

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It does not happen, and the process that made it ends.
    KilledBefore,
    /// It happens, and the process ends before it hears of it.
    KilledAfter,
    /// It does not happen, and is answered with a fault: of throttling, of the server or, of a transaction, that it was
    /// cancelled.
    Refused,
    /// It happens, and is answered with a fault of the server.
    Unheard,
    /// Of the things that a request consists of the first half is done, and the others are reported as left over. A request that
    /// is one thing is answered.
    Half,
}

/// How much of what is to come has this fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// One attempt: what the SDK repeats is answered.
    Attempt,
    /// One request, however often the SDK repeats it.
    Request,
    /// Everything from that request on, until the work ends.
    Onward,
}

/// Trouble for one piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Which request it begins with, from 0.
    pub at: u64,
    /// What becomes of it.
    pub fate: Fate,
    /// And of what else.
    pub extent: Extent,
}

/// An announcement that came to the bus.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Heard {
    /// Its name.
    pub id: String,
    /// The version.
    pub package: String,
    /// The status before, if there was one, and now.
    pub change: (Option<String>, String),
}

/// What a request to DynamoDB consumed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spent {
    /// The operation.
    pub operation: String,
    /// Read request units.
    pub reads: f64,
    /// Write request units of the table and of its index.
    pub writes: f64,
    /// Those of them that the index took.
    pub index_writes: f64,
}

/// What the requests of one piece of work met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Met {
    /// How many there were, each counted once however often the SDK repeated it.
    pub requests: u64,
    /// The numbers of those that consist of several things.
    pub of_parts: Vec<u64>,
    /// How many attempts met the trouble.
    pub troubled: u64,
}

/// What is under way.
#[derive(Default)]
struct Underway {
    trouble: Option<Trouble>,
    /// The number of each request, by the SDK's name for the invocation.
    numbers: BTreeMap<String, u64>,
    met: Met,
}

/// The services.
pub struct Cloud {
    database: Database,
    /// The queue.
    pub queue: Mutex<Queue>,
    /// Another queue, for a sender that keeps [the versions of batches apart](Self::sender_with_batches_apart).
    pub batches: Mutex<Queue>,
    heard: Mutex<Vec<Heard>>,
    spent: Mutex<Vec<Spent>>,
    now: Mutex<Timestamp>,
    underway: Mutex<Underway>,
    dead: AtomicBool,
    died: Notify,
}

/// What is kept of a table, to begin from again and again.
pub struct Kept {
    folder: TempDir,
    heard: Vec<Heard>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cloud {
    /// Services with an empty table, an empty queue that delivers a message twice with this probability, and nobody told of
    /// anything.
    pub async fn start(duplicated: f64) -> Result<Arc<Self>> {
        let cloud = Arc::new(Self::new(Database::memory()?, duplicated));
        DynamoDbStore::create_table(&cloud.dynamodb(), TABLE).await?;
        cloud.take_spent();
        Ok(cloud)
    }

    /// Services that begin with what was kept, and an empty queue that delivers nothing twice.
    pub fn from_kept(kept: &Kept) -> Result<Arc<Self>> {
        let database = Database::memory()?;
        database.restore_from(path(&kept.folder)?.as_str())?;
        let cloud = Self::new(database, 0.0);
        lock(&cloud.heard).clone_from(&kept.heard);
        Ok(Arc::new(cloud))
    }

    fn new(database: Database, duplicated: f64) -> Self {
        Self {
            database,
            queue: Mutex::new(Queue::new(Chance::new(1), duplicated)),
            batches: Mutex::new(Queue::new(Chance::new(2), duplicated)),
            heard: Mutex::default(),
            spent: Mutex::default(),
            now: Mutex::new(Timestamp::MIN),
            underway: Mutex::default(),
            dead: AtomicBool::new(false),
            died: Notify::new(),
        }
    }

    /// Keeps the table as it is, and what was heard.
    pub fn keep(&self) -> Result<Kept> {
        let folder = tempfile::tempdir()?;
        self.database.vacuum_into(path(&folder)?.as_str())?;
        Ok(Kept {
            folder,
            heard: self.heard(),
        })
    }

    /// Every row of the table.
    pub fn rows(&self) -> Result<Vec<Value>> {
        let mut rows = Vec::new();
        let mut start = Value::Null;
        loop {
            let request = json!({ "TableName": TABLE, "ExclusiveStartKey": start });
            let answer = serde_json::to_value(self.database.scan(serde_json::from_value(request)?)?)?;
            rows.extend(answer["Items"].as_array().cloned().unwrap_or_default());
            start = answer["LastEvaluatedKey"].clone();
            if start.is_null() {
                return Ok(rows);
            }
        }
    }

    /// What time it is for the queue.
    pub fn set_now(&self, now: Timestamp) {
        *lock(&self.now) = now;
    }

    /// What came to the bus, repetitions included.
    pub fn heard(&self) -> Vec<Heard> {
        lock(&self.heard).clone()
    }

    /// What was consumed since this was asked last, a line for each request.
    pub fn take_spent(&self) -> Vec<Spent> {
        std::mem::take(&mut *lock(&self.spent))
    }

    /// Lets a process do something, with this trouble; nothing comes of it if that kills the process. One process at a time may be
    /// in trouble.
    pub async fn live<T>(&self, trouble: Option<Trouble>, work: impl Future<Output = T>) -> (Option<T>, Met) {
        *lock(&self.underway) = Underway {
            trouble,
            ..Underway::default()
        };
        self.dead.store(false, Ordering::SeqCst);
        let outcome = tokio::select! {
            biased;
            outcome = work => Some(outcome),
            () = self.died.notified() => None,
        };
        self.dead.store(false, Ordering::SeqCst);
        (outcome, std::mem::take(&mut *lock(&self.underway)).met)
    }

    /// A client of DynamoDB.
    pub fn dynamodb(self: &Arc<Self>) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("local"))
            .endpoint_url("http://dynamodb.testbed.example")
            .credentials_provider(credentials())
            .retry_config(RetryConfig::standard())
            .retry_partition(RetryPartition::new(self.name()))
            .http_client(self.wire());
        aws_sdk_dynamodb::Client::from_conf(config.build())
    }

    /// The store in the table.
    pub fn store(self: &Arc<Self>) -> DynamoDbStore {
        DynamoDbStore::new(self.dynamodb(), TABLE)
    }

    /// Sends to the queue.
    pub fn sender(self: &Arc<Self>) -> SqsQueue {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(aws_sdk_sqs::config::BehaviorVersion::latest())
            .region(Region::from_static("local"))
            .endpoint_url("http://sqs.testbed.example")
            .credentials_provider(credentials())
            .retry_config(RetryConfig::standard())
            .retry_partition(RetryPartition::new(self.name()))
            .http_client(self.wire());
        SqsQueue::new(aws_sdk_sqs::Client::from_conf(config.build()), WORK)
    }

    /// Sends the versions of batches to the other queue, as functions do.
    pub fn sender_with_batches_apart(self: &Arc<Self>) -> SqsQueue {
        self.sender().with_batches_apart(BATCHES)
    }

    /// Announces on the bus.
    pub fn announcer(self: &Arc<Self>) -> EventBridgeAnnouncer {
        let config = aws_sdk_eventbridge::Config::builder()
            .behavior_version(aws_sdk_eventbridge::config::BehaviorVersion::latest())
            .region(Region::from_static("local"))
            .endpoint_url("http://events.testbed.example")
            .credentials_provider(credentials())
            .retry_config(RetryConfig::standard())
            .retry_partition(RetryPartition::new(self.name()))
            .http_client(self.wire());
        EventBridgeAnnouncer::new(aws_sdk_eventbridge::Client::from_conf(config.build()), "hekate")
    }

    /// A name of its own, so that what one of them refuses uses up no other's retries.
    fn name(self: &Arc<Self>) -> String {
        format!("cloud-{:x}-{:016x}", Arc::as_ptr(self) as usize, fastrand::u64(..))
    }

    fn wire(self: &Arc<Self>) -> SharedHttpClient {
        SharedHttpClient::new(Wire(Arc::clone(self)))
    }

    /// The number of a request, and the trouble that it meets.
    fn meet(&self, invocation: &str, parts: Option<usize>) -> (u64, Option<Trouble>) {
        let mut underway = lock(&self.underway);
        let earlier = underway.numbers.get(invocation).copied();
        let is_repeated = earlier.is_some();
        let number = earlier.unwrap_or(underway.met.requests);
        if !is_repeated {
            underway.numbers.insert(invocation.to_owned(), number);
            underway.met.requests += 1;
            if parts.is_some() {
                underway.met.of_parts.push(number);
            }
        }
        let trouble = underway.trouble.filter(|trouble| match trouble.extent {
            Extent::Attempt => trouble.at == number && !is_repeated,
            Extent::Request => trouble.at == number,
            Extent::Onward => trouble.at <= number,
        });
        let trouble = trouble.filter(|trouble| trouble.fate != Fate::Half || parts.is_some());
        underway.met.troubled += u64::from(trouble.is_some());
        (number, trouble)
    }

    async fn serve(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        if self.dead.load(Ordering::SeqCst) {
            return pending().await;
        }
        let target = request.headers().get("x-amz-target").unwrap_or_default().to_owned();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let invocation = request.headers().get("amz-sdk-invocation-id").unwrap_or_default();
        let body = request.body().bytes().unwrap_or_default();
        let mut asked: Value =
            serde_json::from_slice(body).map_err(|fault| ConnectorError::other(fault.into(), None))?;
        let (number, trouble) = self.meet(invocation, parts_of(&operation, &mut asked).map(|parts| parts.len()));
        let (status, answer) = match trouble.map(|trouble| trouble.fate) {
            None => self.answer(&operation, &asked),
            Some(fate @ (Fate::KilledBefore | Fate::KilledAfter)) => {
                if fate == Fate::KilledAfter {
                    self.answer(&operation, &asked);
                }
                self.dead.store(true, Ordering::SeqCst);
                self.died.notify_one();
                return pending().await;
            }
            Some(Fate::Refused) => refusal(&operation, &asked, number),
            Some(Fate::Unheard) => {
                self.answer(&operation, &asked);
                fault(500, "InternalServerError", json!({}))
            }
            Some(Fate::Half) => self.half(&operation, asked),
        };
        let status = StatusCode::try_from(status).map_err(|fault| ConnectorError::other(fault.into(), None))?;
        Ok(HttpResponse::new(status, SdkBody::from(answer.to_string())))
    }

    /// Does what is asked.
    fn answer(&self, operation: &str, asked: &Value) -> (u16, Value) {
        match operation {
            "SendMessageBatch" => (200, self.send(asked)),
            "PutEvents" => (200, self.hear(asked)),
            _ => self.ask_the_table(operation, asked),
        }
    }

    fn ask_the_table(&self, operation: &str, asked: &Value) -> (u16, Value) {
        let mut asked = asked.clone();
        if is_counted(operation) {
            asked["ReturnConsumedCapacity"] = "INDEXES".into();
        }
        match table::answer(&self.database, operation, asked.to_string().as_bytes()) {
            Ok(answer) => {
                let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
                if is_counted(operation) {
                    lock(&self.spent).push(spent(operation, &answer["ConsumedCapacity"]));
                }
                (200, answer)
            }
            Err(fault) => {
                let answer = serde_json::from_str(&fault.to_json()).unwrap_or_default();
                (fault.status_code(), answer)
            }
        }
    }

    /// Does the first half of what is asked, and reports the rest as left over.
    fn half(&self, operation: &str, mut asked: Value) -> (u16, Value) {
        let parts = parts_of(operation, &mut asked);
        let rest = parts.map(|parts| parts.split_off(parts.len() / 2)).unwrap_or_default();
        let is_nothing_left = parts_of(operation, &mut asked).is_none_or(|parts| parts.is_empty());
        let (status, mut answer) = if is_nothing_left {
            (200, json!({}))
        } else {
            self.answer(operation, &asked)
        };
        match operation {
            "SendMessageBatch" => {
                let failed = |entry: &Value| json!({ "Id": entry["Id"], "SenderFault": false, "Code": "InternalError", "Message": "try again" });
                answer["Failed"] = rest.iter().map(failed).collect();
                answer["Successful"] = answer["Successful"].as_array().cloned().unwrap_or_default().into();
            }
            "PutEvents" => {
                let mut entries = answer["Entries"].as_array().cloned().unwrap_or_default();
                let failed = json!({ "ErrorCode": "ThrottlingException", "ErrorMessage": "slow down" });
                entries.extend(rest.iter().map(|_| failed.clone()));
                answer = json!({ "FailedEntryCount": rest.len(), "Entries": entries });
            }
            "BatchWriteItem" => answer["UnprocessedItems"] = json!({ TABLE: rest }),
            _ => {
                let mut left = asked["RequestItems"][TABLE].clone();
                left["Keys"] = rest.into();
                answer["UnprocessedKeys"] = json!({ TABLE: left });
            }
        }
        (status, answer)
    }

    fn send(&self, asked: &Value) -> Value {
        let now = *lock(&self.now);
        let is_apart = asked["QueueUrl"] == BATCHES;
        let mut queue = lock(if is_apart { &self.batches } else { &self.queue });
        let entries = asked["Entries"].as_array().cloned().unwrap_or_default();
        let taken = |entry: &Value| {
            queue.send(entry["MessageBody"].as_str().unwrap_or_default(), now);
            json!({ "Id": entry["Id"], "MessageId": "message", "MD5OfMessageBody": "" })
        };
        json!({ "Successful": entries.iter().map(taken).collect::<Vec<_>>(), "Failed": [] })
    }

    fn hear(&self, asked: &Value) -> Value {
        let entries = asked["Entries"].as_array().cloned().unwrap_or_default();
        let heard = |entry: &Value| {
            let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap_or_default()).unwrap_or_default();
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let change = &detail["data"];
            lock(&self.heard).push(Heard {
                id: text(&detail["id"]).unwrap_or_default(),
                package: text(&change["package"]).unwrap_or_default(),
                change: (
                    text(&change["previousStatus"]),
                    text(&change["status"]).unwrap_or_default(),
                ),
            });
            json!({ "EventId": "event" })
        };
        json!({ "FailedEntryCount": 0, "Entries": entries.iter().map(heard).collect::<Vec<_>>() })
    }
}

fn path(folder: &TempDir) -> Result<String> {
    let file = folder.path().join("table.db");
    Ok(file.to_str().context("a path that is UTF-8")?.to_owned())
}

fn credentials() -> Credentials {
    Credentials::new("hekate", "hekate", None, None, "cloud")
}

/// The things that a request consists of, where it is about several that are done one by one.
fn parts_of<'a>(operation: &str, asked: &'a mut Value) -> Option<&'a mut Vec<Value>> {
    match operation {
        "SendMessageBatch" | "PutEvents" => asked["Entries"].as_array_mut(),
        "BatchWriteItem" => asked["RequestItems"][TABLE].as_array_mut(),
        "BatchGetItem" => asked["RequestItems"][TABLE]["Keys"].as_array_mut(),
        _ => None,
    }
}

/// Whether an operation consumes units.
fn is_counted(operation: &str) -> bool {
    matches!(
        operation,
        "GetItem"
            | "PutItem"
            | "UpdateItem"
            | "DeleteItem"
            | "Query"
            | "BatchGetItem"
            | "BatchWriteItem"
            | "TransactWriteItems"
    )
}

/// What a report of the units says. A request that reads reports what it read as its units, one that writes what it wrote.
fn spent(operation: &str, report: &Value) -> Spent {
    // A request about one table reports one.
    let tables = report.as_array().cloned().unwrap_or_else(|| vec![report.clone()]);
    let units = |value: &Value| value["CapacityUnits"].as_f64().unwrap_or_default();
    let all: f64 = tables.iter().map(units).sum();
    let of_index: f64 = tables
        .iter()
        .filter_map(|table| table["GlobalSecondaryIndexes"].as_object())
        .flat_map(|indexes| indexes.values().map(units))
        .sum();
    let operation = operation.to_owned();
    match operation.as_str() {
        "GetItem" | "Query" | "BatchGetItem" => Spent {
            reads: all,
            operation,
            ..Spent::default()
        },
        _ => Spent {
            writes: all,
            index_writes: of_index,
            operation,
            ..Spent::default()
        },
    }
}

/// A fault of a service.
fn fault(status: u16, kind: &str, mut body: Value) -> (u16, Value) {
    body["__type"] = format!("com.amazonaws.service#{kind}").into();
    body["message"] = kind.into();
    (status, body)
}

/// One of the faults by which a service refuses a request for the moment.
fn refusal(operation: &str, asked: &Value, number: u64) -> (u16, Value) {
    let plain = [
        (400, "ThrottlingException"),
        (500, "InternalServerError"),
        (400, "ProvisionedThroughputExceededException"),
        (503, "ServiceUnavailable"),
        (400, "RequestLimitExceeded"),
    ];
    let which = |count: usize| usize::try_from(number).unwrap_or_default() % count;
    if operation == "TransactWriteItems" {
        let codes = [
            "TransactionConflict",
            "ThrottlingError",
            "ProvisionedThroughputExceeded",
        ];
        if let Some(code) = codes.get(which(codes.len() + 1)) {
            let count = asked["TransactItems"].as_array().map_or(1, Vec::len);
            let reasons: Vec<Value> = (0..count)
                .map(|place| json!({ "Code": if place + 1 == count { code } else { "None" } }))
                .collect();
            return fault(
                400,
                "TransactionCanceledException",
                json!({ "CancellationReasons": reasons }),
            );
        }
    }
    let (status, kind) = plain
        .get(which(plain.len()))
        .copied()
        .unwrap_or((500, "InternalServerError"));
    fault(status, kind, json!({}))
}

/// The services, as a client of the SDK sees them.
#[derive(Clone)]
struct Wire(Arc<Cloud>);

impl fmt::Debug for Wire {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Wire")
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let cloud = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move { cloud.serve(request).await })
    }
}
