//! npm's feed of changes, what taking back leaves behind, and a universe of many packages.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use testbed::{Answer, BASE_TIME, Quota, Release, Request, Scenario, Universe, World, moment};

const ATTESTATIONS: &str = "/-/npm/v1/attestations/widget@1.1.0";
const TARBALL: &str = "/widget/-/widget-1.1.0.tgz";

/// Three publications of two packages.
fn three() -> Scenario {
    Scenario::new()
        .release(Release::honest("widget", "1.0.0"))
        .release(Release::honest("@acme/gadget", "1.0.0").unattested())
        .release(Release::honest("widget", "1.1.0"))
}

fn feed(scenario: &Scenario, path: &str) -> Value {
    scenario.npm_feed_response(path).as_json().unwrap()
}

fn ids(page: &Value) -> Vec<&str> {
    let rows = page["results"].as_array().unwrap();
    rows.iter().map(|row| row["id"].as_str().unwrap()).collect()
}

fn end(scenario: &Scenario) -> u64 {
    feed(scenario, "/")["update_seq"].as_u64().unwrap()
}

#[test]
fn every_publication_is_a_row_that_names_the_package() {
    let scenario = three();
    let page = feed(&scenario, "/_changes?since=0");
    assert_eq!(ids(&page), ["widget", "@acme/gadget", "widget"]);
    let rows = page["results"].as_array().unwrap();
    assert!(
        rows.windows(2)
            .all(|pair| pair[0]["seq"].as_u64() < pair[1]["seq"].as_u64())
    );
    assert_eq!(page["last_seq"], rows[2]["seq"]);
    assert_eq!(page["last_seq"], end(&scenario));
    for row in rows {
        assert_eq!(row["changes"].as_array().unwrap().len(), 1);
        assert!(row["changes"][0]["rev"].is_string());
        assert_eq!(row["deleted"], Value::Null);
    }
}

#[test]
fn pages_follow_each_other_until_nothing_is_left() {
    let scenario = three();
    let mut since = 0;
    let mut seen = Vec::new();
    loop {
        let page = feed(&scenario, &format!("/_changes?since={since}&limit=2"));
        if page["results"].as_array().unwrap().is_empty() {
            assert_eq!(page, json!({"results": [], "last_seq": since}));
            break;
        }
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        since = page["last_seq"].as_u64().unwrap();
    }
    assert_eq!(seen, ["widget", "@acme/gadget", "widget"]);
}

#[test]
fn beyond_the_head_the_place_that_was_asked_for_is_repeated() {
    let scenario = three();
    let beyond = end(&scenario) + 1_000;
    assert_eq!(
        feed(&scenario, &format!("/_changes?since={beyond}")),
        json!({"results": [], "last_seq": beyond})
    );
}

#[test]
fn a_page_has_a_thousand_rows_and_at_most_ten_thousand() {
    let scenario = Scenario::new();
    let release = Release::honest("widget", "1.0.0")
        .unattested()
        .publish(scenario.world());
    for _ in 0..10_001 {
        scenario.npm().publish(release.clone());
    }
    assert_eq!(ids(&feed(&scenario, "/_changes")).len(), 1_000);
    assert_eq!(ids(&feed(&scenario, "/_changes?limit=10000")).len(), 10_000);
    assert_eq!(scenario.npm_feed_response("/_changes?limit=10001").status, 400);
}

#[test]
fn what_the_feed_does_not_support_is_refused() {
    let scenario = three();
    for query in [
        "feed=continuous",
        "timeout=1000",
        "include_docs=true",
        "since=now",
        "since=-1",
        "limit=0",
        "limit=many",
    ] {
        let reply = scenario.npm_feed_response(&format!("/_changes?{query}"));
        assert_eq!(reply.status, 400, "{query}");
    }
    assert_eq!(scenario.npm_feed_response("/widget").status, 404);
}

#[test]
fn a_version_that_is_taken_back_stays_in_the_times_alone() {
    let scenario = three();
    let before = end(&scenario);
    assert!(scenario.npm().unpublish("widget", "1.1.0"));
    let packument = scenario.npm_response("/widget").as_json().unwrap();
    assert_eq!(packument["versions"]["1.1.0"], Value::Null);
    assert!(packument["time"]["1.1.0"].is_string());
    assert_eq!(packument["dist-tags"], json!({"latest": "1.0.0"}));
    for path in ["/widget/1.1.0", ATTESTATIONS, TARBALL] {
        assert_eq!(scenario.npm_response(path).status, 404, "{path}");
    }
    let page = feed(&scenario, &format!("/_changes?since={before}"));
    assert_eq!(ids(&page), ["widget"]);
    assert!(!scenario.npm().unpublish("widget", "1.1.0"), "it is gone");
    assert!(!scenario.npm().unpublish("nobody", "1.1.0"));
    assert_eq!(scenario.npm().feed_rows().len(), 4);
}

#[test]
fn a_package_that_is_taken_back_leaves_a_row_that_says_so() {
    let scenario = three();
    let before = end(&scenario);
    assert!(scenario.npm().unpublish_package("widget"));
    assert!(!scenario.npm().unpublish_package("widget"));
    for path in ["/widget", "/widget/1.0.0", ATTESTATIONS, TARBALL] {
        assert_eq!(scenario.npm_response(path).status, 404, "{path}");
    }
    assert_eq!(scenario.npm_response("/@acme%2fgadget").status, 200);
    let page = feed(&scenario, &format!("/_changes?since={before}"));
    assert_eq!(page["results"][0]["id"], "widget");
    assert_eq!(page["results"][0]["deleted"], true);
}

#[test]
fn other_bytes_are_served_without_a_word() {
    let scenario = three();
    let (before, honest) = (end(&scenario), scenario.npm_response(TARBALL));
    assert!(scenario.npm().replace_tarball("widget", "1.1.0", |bytes| bytes.push(0)));
    assert_ne!(scenario.npm_response(TARBALL), honest);
    assert_eq!(end(&scenario), before);
    assert!(!scenario.npm().replace_tarball("widget", "9.9.9", |bytes| bytes.push(0)));
}

#[tokio::test]
async fn the_feed_is_served_beside_the_registry() {
    let scenario = three();
    let expected = feed(&scenario, "/_changes?since=0&limit=2");
    let head = feed(&scenario, "/");
    let served = scenario.serve().await.unwrap();
    let get = async |path: &str| {
        let url = format!("{}{path}", served.npm_feed_url());
        let answer = reqwest::Client::builder()
            .no_proxy()
            .build()
            .unwrap()
            .get(url)
            .send()
            .await;
        let answer = answer.unwrap();
        let status = answer.status().as_u16();
        let document: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default();
        (status, document)
    };
    assert_eq!(get("/").await, (200, head));
    assert_eq!(get("/_changes?since=0&limit=2").await, (200, expected));
    assert_eq!(get("/_changes?since=now").await.0, 400);
    served.scenario().npm().unpublish("widget", "1.1.0");
    let rows = get("/_changes?since=0").await.1;
    assert_eq!(rows["results"].as_array().unwrap().len(), 4);
    served.scenario().npm().answer_feed(Answer::Status(503, None));
    assert_eq!(get("/").await.0, 503);
}

fn universe() -> Universe {
    let world = World::shared();
    let mut universe = Universe::in_world(&world);
    for (name, at) in [
        ("widget", "2026-01-05T12:00:00Z"),
        ("@acme/gadget", "2026-01-06T12:00:00Z"),
    ] {
        universe.publish(Release::honest(name, "1.0.0").at(moment(at)).publish(&world));
    }
    universe
}

/// The path of the run that made a release, and the number of its repository.
fn run(universe: &mut Universe, repository: &str) -> (String, u64) {
    let release = Release::honest(repository, "1.0.0");
    let mut found = (String::new(), 0);
    let _ = release.build(|build| {
        found.0 = format!("/repos/{}/actions/runs/{}", build.repository, build.run_id);
        found.1 = build.repository_id.parse().unwrap();
    });
    assert!(universe.forge(found.1).is_some());
    found
}

#[test]
fn a_universe_answers_for_every_package_and_repository() {
    let mut universe = universe();
    for (name, path) in [("widget", "/widget"), ("@acme/gadget", "/@acme%2fgadget")] {
        assert_eq!(universe.npm_reply(&Request::get(path)).status, 200);
        let (run, id) = run(&mut universe, name);
        let reply = universe.github_reply(&Request::get(&run));
        assert_eq!(reply.status, 200, "the run is kept whatever the time of the release");
        let below = run.split("/actions").nth(1).unwrap();
        let by_number = format!("/repositories/{id}/actions{below}");
        assert_eq!(universe.github_reply(&Request::get(&by_number)), reply);
    }
    for path in ["/repos/acme/nothing", "/repositories/1", "/", "/repos/acme"] {
        assert_eq!(universe.github_reply(&Request::get(path)).status, 404, "{path}");
    }
    let rows = universe.npm_feed_reply(&Request::get("/_changes")).as_json().unwrap();
    assert_eq!(ids(&rows), ["widget", "@acme/gadget"]);
}

#[test]
fn a_universe_forgets_runs_and_follows_names() {
    let mut universe = universe();
    let (path, id) = run(&mut universe, "widget");
    assert!(universe.rename(id, "elsewhere/widget"));
    let moved = universe.github_reply(&Request::get(&path));
    assert_eq!(moved.status, 301);
    let renamed = path.replace("widget-project/", "elsewhere/");
    assert_eq!(universe.github_reply(&Request::get(&renamed)).status, 200);
    universe.purge_runs_before(id, BASE_TIME);
    assert_eq!(universe.github_reply(&Request::get(&renamed)).status, 404);
    let world = World::shared();
    let next = Release::honest("widget", "1.1.0")
        .build(|build| "elsewhere/widget".clone_into(&mut build.repository))
        .at(moment("2026-02-05T12:00:00Z"));
    universe.publish(next.publish(&world));
    assert_eq!(
        universe.github_reply(&Request::get(&renamed)).status,
        404,
        "the next release does not bring a run back"
    );
    assert!(!universe.rename(1, "nobody/nothing"));
}

#[test]
fn all_repositories_of_a_universe_share_one_quota() {
    let mut universe = universe();
    let paths = ["widget", "@acme/gadget"].map(|name| run(&mut universe, name).0);
    universe.quota = Some(Quota {
        limit: 2,
        remaining: 2,
        reset: Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1),
    });
    let left = |reply: testbed::Reply| {
        let left = reply.header("x-ratelimit-remaining").map(str::to_owned);
        (reply.status, left.unwrap())
    };
    let mut ask = |path: &str| left(universe.github_reply(&Request::get(path)));
    assert_eq!(ask(&paths[0]), (200, "1".to_owned()));
    assert_eq!(ask(&paths[1]), (200, "0".to_owned()));
    assert_eq!(ask(&paths[0]), (403, "0".to_owned()));
    assert_eq!(ask("/repos/acme/nothing"), (403, "0".to_owned()));
}
