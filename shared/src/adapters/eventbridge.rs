//! Announcements on an Amazon EventBridge bus.

use async_trait::async_trait;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::DisplayErrorContext;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use url::Url;

use crate::ports::{Announce, Announcement, Change};

/// What rules of the bus match as `source`.
const SOURCE: &str = "hekate";

/// What rules of the bus match as `detail-type`.
const DETAIL_TYPE: &str = "Hekate Verdict Changed";

/// The type of the CloudEvent.
const EVENT_TYPE: &str = "dev.hekate.verdict.changed";

/// The most entries of one request
/// (<https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html>).
const BATCH: usize = 10;

/// How many requests are under way at the same time.
const CONCURRENCY: usize = 4;

/// Announces on an event bus.
///
/// The detail of each event is a CloudEvent in its JSON format
/// (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>), whose `data` is the [`Change`]. A
/// change may be announced more than once; then the `id` is the same.
#[derive(Clone, Debug)]
pub struct EventBridgeAnnouncer {
    client: Client,
    bus: String,
}

impl EventBridgeAnnouncer {
    /// The bus with this name or ARN.
    pub fn new(client: Client, bus: impl Into<String>) -> Self {
        Self {
            client,
            bus: bus.into(),
        }
    }

    /// Sends one request, and returns the ids of the announcements that the bus took. What it refused is not sent again
    /// here: it stays owed, and the next delivery is the retry.
    async fn put(&self, announcements: &[Announcement]) -> Vec<String> {
        let mut request = self.client.put_events();
        for announcement in announcements {
            match CloudEvent::of(announcement).to_json() {
                Ok(detail) => {
                    let entry = PutEventsRequestEntry::builder()
                        .event_bus_name(&self.bus)
                        .source(SOURCE)
                        .detail_type(DETAIL_TYPE)
                        .detail(detail)
                        .build();
                    request = request.entries(entry);
                }
                // Answers are told apart by their place in the request, so that none may be left out.
                Err(fault) => {
                    tracing::error!(id = announcement.id, error = %fault, "announcements cannot be written");
                    return Vec::new();
                }
            }
        }
        let output = match request.send().await {
            Ok(output) => output,
            Err(fault) => {
                tracing::warn!(
                    count = announcements.len(),
                    error = %DisplayErrorContext(&fault),
                    "announcements were not delivered"
                );
                return Vec::new();
            }
        };
        let mut accepted = Vec::new();
        // The answer lists its entries in the order of the request. An entry that it does not list was not accepted.
        for (announcement, entry) in announcements.iter().zip(output.entries()) {
            if entry.event_id().is_some() && entry.error_code().is_none() {
                accepted.push(announcement.id.clone());
            } else {
                tracing::warn!(
                    id = announcement.id,
                    package = %announcement.change.package,
                    code = entry.error_code(),
                    error = entry.error_message(),
                    "an announcement was not delivered"
                );
            }
        }
        accepted
    }
}

#[async_trait]
impl Announce for EventBridgeAnnouncer {
    /// Sends the announcements in groups of ten, several at a time. A group that fails does not keep the others back.
    async fn announce(&self, announcements: &[Announcement]) -> Vec<String> {
        let sending: Vec<_> = announcements.chunks(BATCH).map(|group| self.put(group)).collect();
        stream::iter(sending)
            .buffered(CONCURRENCY)
            .collect::<Vec<_>>()
            .await
            .concat()
    }
}

/// A CloudEvent (<https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md>).
#[derive(Serialize)]
struct CloudEvent<'a> {
    specversion: &'static str,
    id: &'a str,
    source: String,
    r#type: &'static str,
    subject: String,
    time: Timestamp,
    datacontenttype: &'static str,
    data: &'a Change,
}

impl<'a> CloudEvent<'a> {
    fn of(Announcement { id, change }: &'a Announcement) -> Self {
        Self {
            specversion: "1.0",
            id,
            source: uri_reference(&change.verifier.id),
            r#type: EVENT_TYPE,
            subject: change.package.to_purl(),
            time: change.checked_at,
            datacontenttype: "application/json",
            data: change,
        }
    }

    fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

/// A verifier's name as a URI-reference: "source: MUST be a non-empty URI-reference". Whoever deploys a verifier may have
/// given it a name that is none.
fn uri_reference(name: &str) -> String {
    /// Everything but unreserved characters (RFC 3986, section 2.3) and the slashes between them.
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~')
        .remove(b'/');
    if name.is_empty() {
        return SOURCE.to_owned();
    }
    match Url::parse(name) {
        Ok(url) => url.into(),
        Err(_not_absolute) => utf8_percent_encode(name, ESCAPED).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_eventbridge::config::{BehaviorVersion, Credentials, Region};
    use serde_json::{Value, json};

    use super::*;
    use crate::adapters::conformance::announcements;
    use crate::adapters::conformance::wire::{Call, Reply, Wire};

    fn announcer(
        script: impl Fn(&Call, usize) -> Option<Reply> + Send + Sync + 'static,
    ) -> (EventBridgeAnnouncer, Wire) {
        let wire = Wire::new(None, script);
        let config = aws_sdk_eventbridge::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("local"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .http_client(wire.clone())
            .build();
        (EventBridgeAnnouncer::new(Client::from_conf(config), "verdicts"), wire)
    }

    fn entries(call: &Call) -> &Vec<Value> {
        call.input["Entries"].as_array().unwrap()
    }

    fn detail(entry: &Value) -> Value {
        serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap()
    }

    /// Accepts every entry but those that `refuse` names.
    fn reply(call: &Call, refuse: impl Fn(&str) -> bool) -> Reply {
        let answers: Vec<Value> = entries(call)
            .iter()
            .map(|entry| {
                if refuse(detail(entry)["subject"].as_str().unwrap()) {
                    json!({ "ErrorCode": "ThrottlingException", "ErrorMessage": "slow down" })
                } else {
                    json!({ "EventId": "11710aed-b79e-4468-a20b-bb3c0c3b4860" })
                }
            })
            .collect();
        let failed = answers.iter().filter(|answer| answer["EventId"].is_null()).count();
        (200, json!({ "FailedEntryCount": failed, "Entries": answers }))
    }

    fn ids(announcements: &[Announcement]) -> Vec<String> {
        announcements
            .iter()
            .map(|announcement| announcement.id.clone())
            .collect()
    }

    #[tokio::test]
    async fn an_announcement_is_a_cloud_event_in_an_entry_of_the_bus() {
        let (announcer, wire) = announcer(|call, _| Some(reply(call, |_| false)));
        let announcements = announcements(1);
        assert_eq!(announcer.announce(&announcements).await, ids(&announcements));
        let calls = wire.take_calls();
        assert_eq!((calls.len(), calls[0].operation.as_str()), (1, "PutEvents"));
        let [entry] = &entries(&calls[0])[..] else {
            panic!("one entry")
        };
        let members: Vec<&String> = entry.as_object().unwrap().keys().collect();
        assert_eq!(members, ["Detail", "DetailType", "EventBusName", "Source"]);
        assert_eq!(entry["EventBusName"], "verdicts");
        assert_eq!(entry["Source"], "hekate");
        assert_eq!(entry["DetailType"], "Hekate Verdict Changed");
        assert_eq!(
            detail(entry),
            json!({
                "specversion": "1.0",
                "id": announcements[0].id,
                "source": "urn:hekate:verifier:test",
                "type": "dev.hekate.verdict.changed",
                "subject": "pkg:npm/%40scope/name@0.0.0",
                "time": "2026-11-22T10:00:00Z",
                "datacontenttype": "application/json",
                "data": serde_json::to_value(&announcements[0].change).unwrap(),
            })
        );
    }

    #[tokio::test]
    async fn nothing_to_announce_asks_nobody() {
        let (announcer, wire) = announcer(|call, _| Some(reply(call, |_| false)));
        assert_eq!(announcer.announce(&[]).await, [""; 0]);
        assert_eq!(wire.take_operations(), [""; 0]);
    }

    #[tokio::test]
    async fn announcements_go_in_groups_of_ten() {
        let (announcer, wire) = announcer(|call, _| Some(reply(call, |_| false)));
        let announcements = announcements(25);
        assert_eq!(announcer.announce(&announcements).await, ids(&announcements));
        let mut sizes: Vec<_> = wire.take_calls().iter().map(|call| entries(call).len()).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [5, 10, 10]);
    }

    #[tokio::test]
    async fn what_the_bus_refuses_is_not_accepted() {
        let (announcer, wire) = announcer(|call, _| Some(reply(call, |subject| subject.ends_with("@3.0.0"))));
        let announcements = announcements(12);
        let mut expected = ids(&announcements);
        expected.remove(3);
        assert_eq!(announcer.announce(&announcements).await, expected);
        assert_eq!(wire.take_calls().len(), 2, "it stays owed, and is not sent again here");
    }

    #[tokio::test]
    async fn what_the_answer_does_not_list_is_not_accepted() {
        let (announcer, _) = announcer(|_, _| {
            Some((
                200,
                json!({ "FailedEntryCount": 0, "Entries": [{ "EventId": "e" }, {}] }),
            ))
        });
        let announcements = announcements(3);
        assert_eq!(announcer.announce(&announcements).await, ids(&announcements[..1]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_that_fails_does_not_keep_the_others_back() {
        let (announcer, _) = announcer(|call, _| {
            let refused = entries(call)
                .iter()
                .any(|entry| detail(entry)["subject"] == "pkg:npm/%40scope/name@3.0.0");
            Some(if refused {
                (403, json!({ "__type": "AccessDeniedException", "message": "no" }))
            } else {
                reply(call, |_| false)
            })
        });
        let announcements = announcements(30);
        assert_eq!(announcer.announce(&announcements).await, ids(&announcements[10..]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_request_is_retried() {
        let (announcer, wire) = announcer(|call, before| {
            Some(if before == 0 {
                (400, json!({ "__type": "ThrottlingException", "message": "slow down" }))
            } else {
                reply(call, |_| false)
            })
        });
        let announcements = announcements(1);
        assert_eq!(announcer.announce(&announcements).await, ids(&announcements));
        assert_eq!(wire.take_calls().len(), 2);
    }

    #[test]
    fn every_name_of_a_verifier_makes_a_source() {
        for (name, source) in [
            ("urn:hekate:verifier:unnamed", "urn:hekate:verifier:unnamed"),
            ("https://hekate.example/", "https://hekate.example/"),
            ("hekate.example/eu", "hekate.example/eu"),
            ("my verifier: \u{e4}%", "my%20verifier%3A%20%C3%A4%25"),
            ("", "hekate"),
        ] {
            assert_eq!(uri_reference(name), source);
            assert!(
                Url::parse("https://base.example/")
                    .unwrap()
                    .join(&uri_reference(name))
                    .is_ok()
            );
        }
    }
}
