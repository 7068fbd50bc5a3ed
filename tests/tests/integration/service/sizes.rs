//! Answers of the API that are larger than a host hands on.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request};
use hekate::entrypoints::api::{Api, fitting, router};
use hekate::ports::VerdictStore as _;
use hekate::verdict::{Status, Verdict};
use hekate_tests::deployment::{clock, set_clock};
use serde_json::{Value, json};
use testbed::Scenario;
use tower::ServiceExt as _;

use super::{Deployment, WIDGET, at, day, minutes};

/// What Lambda hands on of an answer, in bytes of a string of JSON.
const LIMIT: usize = 6 << 20;
const PATH: &str = "/v1/verdicts/npm/@acme/widget/1.0.0";

impl Deployment {
    /// What a function that hands on so much answers.
    async fn hands_on(&self, limit: usize, method: Method, path: &str, body: Value) -> (u16, Value) {
        set_clock(day(0) + minutes(6));
        let api = Api {
            service: Arc::new(self.service.clone()),
            clock,
            fresh_after: minutes(10),
        };
        let request = Request::builder().method(method).uri(path);
        let request = request.body(Body::from(body.to_string())).unwrap();
        let answer = fitting(router(api).oneshot(request).await.unwrap(), limit).await;
        let (parts, body) = answer.into_parts();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(json!(text).to_string().len() <= limit, "{path}");
        (parts.status.as_u16(), serde_json::from_str(&text).unwrap())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.hands_on(LIMIT, Method::GET, path, Value::Null).await
    }

    /// Another verdict after an earlier one, with so many quotation marks in it, each of which is four bytes where it is handed on.
    async fn another(&self, earlier: &Verdict, minute: i64, status: Status, marks: usize) -> Verdict {
        let store = self.embedded.store();
        let dossier = store.dossier(&earlier.dossier).await.unwrap().unwrap();
        let mut verdict = earlier.clone();
        verdict.checked_at = day(0) + minutes(minute);
        verdict.status = status;
        verdict.findings[0].summary = "\"".repeat(marks);
        store.record(&verdict, &dossier, None, false).await.unwrap();
        verdict
    }

    async fn looked_at() -> (Self, Verdict) {
        let deployment = Self::of(Scenario::new().release(at("1.0.0").at(day(-1)))).await;
        let coordinate = format!("{WIDGET}@1.0.0").parse().unwrap();
        let looked = deployment.service.verdict(&coordinate, false, day(0)).await.unwrap();
        assert_eq!(looked.verdict.status, Status::Verified);
        (deployment, looked.verdict)
    }
}

#[tokio::test]
async fn a_history_that_one_answer_has_no_room_for_is_read_page_by_page() {
    let (deployment, first) = Deployment::looked_at().await;
    let mut expected = vec![json!(first.checked_at)];
    for minute in 1..=5 {
        let status = if minute % 2 == 0 {
            Status::Verified
        } else {
            Status::Attested
        };
        let verdict = deployment.another(&first, minute, status, 300_000).await;
        expected.insert(0, json!(verdict.checked_at));
    }
    let (mut found, mut pages) = (Vec::new(), Vec::new());
    let mut path = format!("{PATH}/history");
    loop {
        let (status, page) = deployment.get(&path).await;
        assert_eq!(status, 200, "{page}");
        let verdicts = page["verdicts"].as_array().unwrap();
        pages.push(verdicts.len());
        found.extend(verdicts.iter().map(|verdict| verdict["checkedAt"].clone()));
        match page["next"].as_str() {
            Some(next) => path = format!("{PATH}/history?until={next}"),
            None => break,
        }
    }
    assert_eq!(found, expected);
    assert_eq!(pages, [3, 3], "1.2 of 4 MiB each, and a small one");

    let (status, error) = deployment.get(&format!("{PATH}/history?until=yesterday")).await;
    assert_eq!((status, &error["error"]["code"]), (400, &json!("bad_query")));
    let (status, _) = deployment
        .get(&format!("{PATH}/history?until=2020-01-01T00:00:00Z"))
        .await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn an_answer_that_is_too_large_says_so_instead_of_failing() {
    let (deployment, first) = Deployment::looked_at().await;
    // Below the limit by its own length, and beyond it as a string.
    let large = deployment.another(&first, 1, Status::Attested, 1_600_000).await;
    assert!(serde_json::to_vec(&large).unwrap().len() < LIMIT);
    let history = format!("{PATH}/history");
    for path in [PATH, &history] {
        let (status, error) = deployment.get(path).await;
        assert_eq!(
            (status, &error["error"]["code"]),
            (500, &json!("answer_too_large")),
            "{path}"
        );
    }
    // What is behind it can be asked for.
    let (status, page) = deployment.get(&format!("{history}?until={}", first.checked_at)).await;
    assert_eq!((status, page["verdicts"].as_array().unwrap().len()), (200, 1));
    let dossier = format!("{PATH}/dossier");
    assert_eq!(deployment.get(&dossier).await.0, 200);
    let (status, error) = deployment.hands_on(2000, Method::GET, &dossier, Value::Null).await;
    assert_eq!((status, &error["error"]["code"]), (500, &json!("answer_too_large")));
    let nowhere = format!("/v1/verdicts/npm/@acme/widget/9.9.9/dossier?x={}", "x".repeat(100));
    assert_eq!(deployment.get(&nowhere).await.0, 404);
}

#[tokio::test]
async fn what_is_left_out_of_a_list_is_told_as_far_as_there_is_room_for_it() {
    const LEFT_OUT: usize = 60_000;
    let (deployment, _) = Deployment::looked_at().await;
    let unknown = (0..LEFT_OUT).map(|number| json!({ "type": "library", "name": format!("n{number}") }));
    let known = json!({ "type": "library", "name": "left", "purl": "pkg:npm/left@1.0.0" });
    let components: Vec<Value> = unknown.chain([known]).collect();
    let list = json!({ "bomFormat": "CycloneDX", "components": components });
    for (path, status) in [("/v1/batches", 202), ("/v1/watch", 200)] {
        let (answered, answer) = deployment.hands_on(LIMIT, Method::POST, path, list.clone()).await;
        assert_eq!((answered, &answer["total"]), (status, &json!(1)), "{path}");
        let listed = answer["skipped"].as_array().unwrap();
        let entries: BTreeSet<String> = listed.iter().map(|skipped| skipped["entry"].to_string()).collect();
        assert_eq!(entries.len(), listed.len());
        let unlisted = usize::try_from(answer["unlisted"].as_u64().unwrap()).unwrap();
        assert!(
            listed.len() > 1000 && unlisted > 1000,
            "{} and {unlisted}",
            listed.len()
        );
        assert_eq!(listed.len() + unlisted, LEFT_OUT);
    }
}
