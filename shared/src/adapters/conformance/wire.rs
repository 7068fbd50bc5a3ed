//! An AWS service whose answers a test writes: an HTTP client that counts requests, answers some of them itself, and forwards
//! the others.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// A request: the operation and its input.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Call {
    pub(crate) operation: String,
    pub(crate) input: Value,
}

/// Status and body of an answer.
pub(crate) type Reply = (u16, Value);

/// A row as it is on the wire.
pub(crate) fn wire_item(item: &HashMap<String, AttributeValue>) -> Value {
    let attribute = |value: &AttributeValue| {
        let of = value.as_s().map(|text| json!({ "S": text }));
        of.or_else(|_| value.as_n().map(|text| json!({ "N": text })))
            .or_else(|_| value.as_b().map(|bytes| json!({ "B": STANDARD.encode(bytes) })))
            .or_else(|_| value.as_ss().map(|texts| json!({ "SS": texts })))
            .unwrap()
    };
    item.iter()
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Reads [`wire_item`].
pub(crate) fn item_of(row: &Value) -> HashMap<String, AttributeValue> {
    let attribute = |value: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        match value.as_object().unwrap().iter().next().unwrap() {
            (kind, value) if kind == "S" => AttributeValue::S(text(value)),
            (kind, value) if kind == "N" => AttributeValue::N(text(value)),
            (kind, value) if kind == "B" => AttributeValue::B(Blob::new(STANDARD.decode(text(value)).unwrap())),
            (kind, value) if kind == "SS" => AttributeValue::Ss(value.as_array().unwrap().iter().map(text).collect()),
            other => panic!("no row has {other:?}"),
        }
    };
    let row = row.as_object().unwrap();
    row.iter()
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect()
}

type Script = dyn Fn(&Call, usize) -> Option<Reply> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Wire {
    script: Arc<Script>,
    onward: Option<SharedHttpClient>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Wire")
    }
}

impl Wire {
    /// `script` gets each request and how many requests of the same operation came before it.
    pub(crate) fn new(
        onward: Option<SharedHttpClient>,
        script: impl Fn(&Call, usize) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        Self {
            script: Arc::new(script),
            onward,
            calls: Arc::default(),
        }
    }

    /// What was asked since the last time that this was asked.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    /// The operations of [`take_calls`](Self::take_calls).
    pub(crate) fn take_operations(&self) -> Vec<String> {
        self.take_calls().into_iter().map(|call| call.operation).collect()
    }

    fn answer(&self, request: &HttpRequest) -> Option<Reply> {
        let target = request.headers().get("x-amz-target").unwrap();
        let call = Call {
            operation: target.rsplit('.').next().unwrap().to_owned(),
            input: serde_json::from_slice(request.body().bytes().unwrap()).unwrap(),
        };
        let mut calls = self.calls.lock().unwrap();
        let before = calls
            .iter()
            .filter(|earlier| earlier.operation == call.operation)
            .count();
        calls.push(call.clone());
        (self.script)(&call, before)
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let onward = self
            .onward
            .as_ref()
            .map(|onward| onward.http_connector(settings, components));
        SharedHttpConnector::new(Connector {
            wire: self.clone(),
            onward,
        })
    }
}

#[derive(Debug)]
struct Connector {
    wire: Wire,
    onward: Option<SharedHttpConnector>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        match (self.wire.answer(&request), &self.onward) {
            (Some((status, body)), _) => HttpConnectorFuture::ready(Ok(HttpResponse::new(
                StatusCode::try_from(status).unwrap(),
                SdkBody::from(body.to_string()),
            ))),
            (None, Some(onward)) => onward.call(request),
            (None, None) => panic!("the script has no answer to a request"),
        }
    }
}
