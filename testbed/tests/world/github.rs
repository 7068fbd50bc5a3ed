//! GitHub: what honest releases leave there, how it tells of it, and how it is bent.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use testbed::{
    Answer, BASE_TIME, Build, Quota, Release, Reply, Request, Scenario,
    github::{Actor, Approval, Commit, Job, Run, Snappy, StoredAttestation},
    moment,
};

fn widget() -> Release {
    Release::honest("@acme/widget", "1.2.3")
}

fn build() -> Build {
    Build::for_package("@acme/widget", "1.2.3")
}

fn released() -> Scenario {
    Scenario::new().release(widget())
}

fn get(scenario: &Scenario, path: &str) -> Value {
    let reply = scenario.github_response(path);
    assert_eq!(reply.status, 200, "{path}");
    reply.as_json().unwrap()
}

fn below(scenario: &Scenario, path: &str) -> Value {
    get(scenario, &format!("/repos/acme/widget/{path}"))
}

fn status(scenario: &Scenario, path: &str) -> u16 {
    scenario.github_response(&format!("/repos/acme/widget/{path}")).status
}

fn run_path(build: &Build) -> String {
    format!("actions/runs/{}/attempts/{}", build.run_id, build.run_attempt)
}

fn jobs(scenario: &Scenario, build: &Build) -> Value {
    below(scenario, &format!("{}/jobs", run_path(build)))
}

fn time(value: &Value) -> Timestamp {
    moment(value.as_str().unwrap())
}

fn step<'a>(jobs: &'a Value, name: &str) -> &'a Value {
    let mut steps = jobs["jobs"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|job| job["steps"].as_array().unwrap());
    steps.find(|step| step["name"] == name).unwrap()
}

fn names(list: &Value, name: &str) -> Vec<String> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| item[name].as_str().unwrap().to_owned()).collect()
}

/// Every step begins where the one before it ended, within the job.
fn assert_contiguous(job: &Value) {
    let mut clock = time(&job["started_at"]);
    for (index, step) in job["steps"].as_array().unwrap().iter().enumerate() {
        assert_eq!(step["number"], index + 1);
        assert_eq!(time(&step["started_at"]), clock, "{step}");
        clock = time(&step["completed_at"]);
    }
    assert_eq!(clock, time(&job["completed_at"]));
}

#[test]
fn a_repository_is_found_by_name_in_any_case_and_by_number() {
    let scenario = released();
    let number: u64 = build().repository_id.parse().unwrap();
    let repository = get(&scenario, "/repos/Acme/Widget");
    assert_eq!(repository, get(&scenario, &format!("/repositories/{number}")));
    assert_eq!(repository["id"], number);
    assert_eq!(repository["full_name"], "acme/widget");
    assert_eq!(repository["name"], "widget");
    assert_eq!(repository["visibility"], "public");
    assert_eq!(repository["private"], false);
    assert_eq!(repository["owner"]["login"], "acme");
    assert_eq!(repository["owner"]["id"], build().owner_id.parse::<u64>().unwrap());
    assert_eq!(repository["owner"]["type"], "Organization");
    assert_eq!(repository["fork"], false);
    assert_eq!(repository["archived"], false);
    assert_eq!(repository["disabled"], false);
    assert_eq!(repository["default_branch"], "main");
    assert_eq!(
        time(&repository["pushed_at"]),
        BASE_TIME - SignedDuration::from_hours(1)
    );
    assert!(repository["created_at"].is_string() && repository["node_id"].is_string());
}

#[test]
fn what_github_does_not_have_is_not_found() {
    let scenario = released();
    for path in [
        "/repos/acme/other",
        "/repositories/1",
        "/users/acme",
        "/repos/acme/widget/secrets",
    ] {
        let reply = scenario.github_response(path);
        assert_eq!(reply.status, 404, "{path}");
        assert_eq!(reply.as_json().unwrap()["message"], "Not Found");
        assert_eq!(reply.as_json().unwrap()["status"], "404");
    }
}

#[test]
fn a_run_attempt_is_that_of_the_build() {
    let (scenario, build) = (released(), build());
    let run = below(&scenario, &run_path(&build));
    assert_eq!(run, below(&scenario, &format!("actions/runs/{}", build.run_id)));
    assert_eq!(run["id"], build.run_id);
    assert_eq!(run["run_attempt"], 1);
    assert_eq!(run["run_number"], 1);
    assert_eq!(run["name"], "Publish");
    assert_eq!(run["path"], ".github/workflows/publish.yml");
    assert_eq!(run["event"], "release");
    assert_eq!(
        (&run["status"], &run["conclusion"]),
        (&json!("completed"), &json!("success"))
    );
    assert_eq!(run["head_branch"], "v1.2.3");
    assert_eq!(run["head_sha"], build.commit);
    assert_eq!(run["actor"]["login"], "alice");
    assert_eq!(run["triggering_actor"]["type"], "User");
    assert_eq!(run["repository"]["id"].to_string(), build.repository_id);
    assert_eq!(run["repository"]["owner"]["id"].to_string(), build.owner_id);
    assert_eq!(run["head_repository"], run["repository"]);
    assert_eq!(run["referenced_workflows"], json!([]));
    assert_eq!(run["previous_attempt_url"], Value::Null);
    assert!(run["workflow_id"].is_u64() && run["html_url"].is_string());
    let times = ["created_at", "run_started_at", "updated_at"].map(|name| time(&run[name]));
    assert_eq!(times[0], times[1]);
    assert!(times[0] < BASE_TIME && BASE_TIME < times[2]);
    assert!(BASE_TIME.duration_since(times[0]) < SignedDuration::from_mins(5));
    assert_eq!(
        status(&scenario, &format!("actions/runs/{}/attempts/2", build.run_id)),
        404
    );
    assert_eq!(status(&scenario, "actions/runs/1"), 404);
}

#[test]
fn the_signing_time_lies_in_the_publish_step() {
    let (scenario, build) = (released(), build());
    let jobs = jobs(&scenario, &build);
    assert_eq!(jobs["total_count"], 1);
    let job = &jobs["jobs"][0];
    assert_eq!(job["run_id"], build.run_id);
    assert_eq!(job["run_attempt"], 1);
    assert_eq!(job["name"], "publish");
    assert_eq!(job["labels"], json!(["ubuntu-latest"]));
    assert_eq!(job["runner_group_name"], "GitHub Actions");
    assert_eq!(job["workflow_name"], "Publish");
    assert_eq!(job["head_sha"], build.commit);
    assert_eq!(job["head_branch"], "v1.2.3");
    let expected = [
        "Set up job",
        "Run actions/checkout@v6",
        "Run actions/setup-node@v6",
        "Run npm ci",
        "Run npm test",
        "Run npm publish",
        "Post Run actions/setup-node@v6",
        "Post Run actions/checkout@v6",
        "Complete job",
    ];
    assert_eq!(names(&job["steps"], "name"), expected);
    assert_contiguous(job);
    let publish = step(&jobs, "Run npm publish");
    assert_eq!(publish["started_at"], "2026-11-02T09:59:54Z");
    assert_eq!(publish["completed_at"], "2026-11-02T10:00:04Z");
    assert_eq!(publish["conclusion"], "success");
}

#[test]
fn a_commit_is_reviewed_signed_and_on_the_default_branch() {
    let (scenario, build) = (released(), build());
    let commit = below(&scenario, &format!("commits/{}", build.commit));
    assert_eq!(commit["sha"], build.commit);
    assert_eq!(commit, below(&scenario, "commits/tags/v1.2.3"));
    assert_eq!(commit, below(&scenario, "commits/heads/main"));
    assert_eq!(commit["commit"]["author"]["email"], "alice@example.com");
    assert_eq!(commit["commit"]["committer"]["name"], "GitHub");
    assert_eq!(commit["commit"]["committer"]["date"], "2026-11-02T09:00:00Z");
    assert_eq!(commit["commit"]["message"], "Release 1.2.3 (#1)");
    assert_eq!(commit["commit"]["verification"]["verified"], true);
    assert_eq!(commit["commit"]["verification"]["reason"], "valid");
    assert!(commit["commit"]["verification"]["payload"].is_string());
    assert_eq!(commit["author"]["login"], "alice");
    assert_eq!(commit["committer"]["login"], "web-flow");
    assert_eq!(commit["parents"].as_array().unwrap().len(), 1);
    assert_eq!(commit["files"][1]["filename"], "package.json");
    assert_eq!(commit["stats"]["total"], 4);
    let reply = scenario.github_response("/repos/acme/widget/commits/0123");
    assert_eq!(reply.status, 422);
    assert_eq!(reply.as_json().unwrap()["message"], "No commit found for SHA: 0123");
}

#[test]
fn a_commit_by_nobody_and_without_a_signature_says_so() {
    let scenario = Scenario::new().release(widget().commit(|commit| {
        commit.unsigned();
        commit.author.login = None;
    }));
    let commit = below(&scenario, &format!("commits/{}", build().commit));
    assert_eq!(commit["author"], Value::Null);
    let verification = json!({
        "verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null,
    });
    assert_eq!(commit["commit"]["verification"], verification);
}

#[test]
fn a_commit_leads_to_the_pull_request_it_came_of() {
    let (scenario, build) = (released(), build());
    let pulls = below(&scenario, &format!("commits/{}/pulls", build.commit));
    assert_eq!(pulls.as_array().unwrap().len(), 1);
    let pull = &pulls[0];
    assert_eq!((&pull["number"], &pull["state"]), (&json!(1), &json!("closed")));
    assert_eq!(pull["merged_at"], "2026-11-02T09:00:00Z");
    assert_eq!(pull["base"]["ref"], "main");
    assert_eq!(pull["head"]["ref"], "release-1.2.3");
    assert_eq!(pull["merge_commit_sha"], build.commit);
    let proposal = pull["head"]["sha"].as_str().unwrap();
    assert_eq!(below(&scenario, &format!("commits/{proposal}/pulls")), pulls);
    assert_eq!(
        below(&scenario, &format!("compare/main...{proposal}"))["status"],
        "diverged"
    );
    assert_eq!(status(&scenario, "commits/0123/pulls"), 422);
}

#[test]
fn a_commit_leads_to_the_branches_whose_tip_it_is() {
    let (scenario, build) = (released(), build());
    let path = format!("commits/{}/branches-where-head", build.commit);
    assert_eq!(names(&below(&scenario, &path), "name"), ["main"]);
    let next = Commit::new("ab12", "Next", BASE_TIME);
    scenario.github().repository_mut("acme/widget").commit("main", next);
    assert_eq!(below(&scenario, &path), json!([]));
    assert_eq!(
        below(&scenario, "commits/ab12/branches-where-head")[0]["commit"]["sha"],
        "ab12"
    );
}

#[test]
fn comparisons_tell_on_which_side_the_commits_are() {
    let (scenario, build) = (released(), build());
    {
        let mut github = scenario.github();
        let repository = github.repository_mut("acme/widget");
        repository.commit("feature/a", Commit::new("aa", "Aside", BASE_TIME));
        repository.commit("main", Commit::new("bb", "Ahead", BASE_TIME));
        let mut orphan = Commit::new("cc", "Unrelated", BASE_TIME);
        orphan.parents = vec!["nowhere".to_owned()];
        repository.commit("docs", orphan);
    }
    let compare = |range: &str| {
        let answer = below(&scenario, &format!("compare/{range}"));
        let number = |name: &str| answer[name].as_u64().unwrap();
        assert_eq!(number("ahead_by"), number("total_commits"));
        let status = answer["status"].as_str().unwrap().to_owned();
        (status, number("ahead_by"), number("behind_by"))
    };
    let sha = &build.commit;
    assert_eq!(compare("main...bb"), ("identical".to_owned(), 0, 0));
    assert_eq!(compare(&format!("main...{sha}")), ("behind".to_owned(), 0, 1));
    assert_eq!(compare("v1.2.3...main"), ("ahead".to_owned(), 1, 0));
    assert_eq!(compare("main...feature%2Fa"), ("diverged".to_owned(), 1, 1));
    let diverged = below(&scenario, "compare/main...feature/a?per_page=1");
    assert_eq!(diverged["merge_base_commit"]["sha"], *sha);
    assert_eq!(diverged["base_commit"]["sha"], "bb");
    assert_eq!(names(&diverged["commits"], "sha"), ["aa"]);
    assert_eq!(diverged["files"], json!([]));
    let message = |range: &str| {
        let reply = scenario.github_response(&format!("/repos/acme/widget/compare/{range}"));
        assert_eq!(reply.status, 404);
        reply.as_json().unwrap()["message"].as_str().unwrap().to_owned()
    };
    assert_eq!(message("main...nothing"), "Not Found");
    assert_eq!(message("main...docs"), "No common ancestor between main and docs.");
}

#[test]
fn commits_of_a_fork_are_visible_in_the_original_and_on_none_of_its_branches() {
    let scenario = released();
    {
        let mut github = scenario.github();
        let fork = github.fork("acme/widget", "mallory/widget");
        fork.commit("main", Commit::new("f00d", "Steal", BASE_TIME));
    }
    assert_eq!(get(&scenario, "/repos/mallory/widget")["fork"], true);
    assert_eq!(
        get(&scenario, "/repos/mallory/widget")["parent"]["full_name"],
        "acme/widget"
    );
    assert_eq!(below(&scenario, "commits/f00d")["sha"], "f00d");
    assert_eq!(below(&scenario, "commits/f00d/branches-where-head"), json!([]));
    assert_eq!(below(&scenario, "commits/f00d/pulls"), json!([]));
    assert_eq!(below(&scenario, "compare/main...f00d")["status"], "ahead");
    assert_eq!(below(&scenario, "compare/mallory:main...f00d")["status"], "identical");
    let of_other = scenario.github_response("/repos/acme/other/commits/f00d");
    assert_eq!(of_other.status, 404);
}

#[test]
fn an_impostor_stays_visible_when_its_fork_is_deleted() {
    let (scenario, build) = (released(), build());
    {
        let mut github = scenario.github();
        let commit = github.repository_mut("acme/widget").withdraw(&build.commit).unwrap();
        let fork = github.fork("acme/widget", "mallory/widget");
        fork.commit("main", commit);
        fork.deleted = true;
    }
    assert_eq!(status(&scenario, &format!("commits/{}", build.commit)), 200);
    assert_eq!(below(&scenario, "tags"), json!([]));
    assert_eq!(
        below(&scenario, &format!("compare/main...{}", build.commit))["status"],
        "ahead"
    );
    assert_eq!(scenario.github_response("/repos/mallory/widget").status, 404);
}

#[test]
fn tags_and_refs_lead_to_commits_annotated_tags_by_way_of_an_object() {
    let (scenario, build) = (released(), build());
    {
        let mut github = scenario.github();
        let repository = github.repository_mut("acme/widget");
        repository.tag("@acme/widget@1.2.3", &build.commit);
        repository.tags[1].annotated = true;
    }
    let tags = below(&scenario, "tags");
    assert_eq!(names(&tags, "name"), ["v1.2.3", "@acme/widget@1.2.3"]);
    assert!(
        tags.as_array()
            .unwrap()
            .iter()
            .all(|tag| tag["commit"]["sha"] == build.commit)
    );

    let light = below(&scenario, "git/ref/tags/v1.2.3");
    assert_eq!(light["ref"], "refs/tags/v1.2.3");
    assert_eq!(light["object"]["type"], "commit");
    assert_eq!(light["object"]["sha"], build.commit);
    assert_eq!(below(&scenario, "git/ref/heads/main")["object"], light["object"]);
    assert_eq!(status(&scenario, "git/ref/tags/v9"), 404);

    let annotated = below(&scenario, "git/ref/tags/%40acme%2Fwidget%401.2.3");
    assert_eq!(annotated["object"]["type"], "tag");
    let object = annotated["object"]["sha"].as_str().unwrap();
    let object = below(&scenario, &format!("git/tags/{object}"));
    assert_eq!(object["tag"], "@acme/widget@1.2.3");
    assert_eq!(object["object"]["type"], "commit");
    assert_eq!(object["object"]["sha"], build.commit);

    assert_eq!(
        names(&below(&scenario, "git/matching-refs/tags/v1"), "ref"),
        ["refs/tags/v1.2.3"]
    );
    assert_eq!(below(&scenario, "git/matching-refs/tags/").as_array().unwrap().len(), 2);
    assert_eq!(below(&scenario, "git/matching-refs/tags/x"), json!([]));
}

#[test]
fn a_branch_is_shown_until_it_is_deleted() {
    let scenario = Scenario::new().release(widget().build(|build| build.from_branch("next/2")));
    let build = build();
    assert_eq!(below(&scenario, "branches/next/2")["commit"]["sha"], build.commit);
    assert_eq!(names(&below(&scenario, "branches"), "name"), ["main", "next/2"]);
    assert_eq!(below(&scenario, &run_path(&build))["head_branch"], "next/2");
    assert_eq!(below(&scenario, "tags"), json!([]));
    let range = format!("compare/main...{}", build.commit);
    assert_eq!(below(&scenario, &range)["status"], "ahead");
    scenario.github().delete_branch("acme/widget", "next/2");
    assert_eq!(status(&scenario, "branches/next/2"), 404);
    assert_eq!(status(&scenario, &format!("commits/{}", build.commit)), 200);
}

#[test]
fn package_json_is_read_at_the_commit() {
    let inner = widget().package_json(|package| package["repository"]["directory"] = json!("packages/widget"));
    let scenario = Scenario::new().release(inner);
    let sha = build().commit;
    for path in ["package.json", "packages/widget/package.json"] {
        let path = format!("/repos/acme/widget/contents/{path}?ref={sha}");
        let document = get(&scenario, &path);
        assert_eq!(
            (&document["type"], &document["encoding"]),
            (&json!("file"), &json!("base64"))
        );
        let content = document["content"].as_str().unwrap().replace('\n', "");
        let content = STANDARD.decode(content).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&content).unwrap()["version"], "1.2.3");
        let raw = scenario.github_reply(&Request {
            accept: Some("application/vnd.github.raw+json".to_owned()),
            ..Request::get(&path)
        });
        assert_eq!(raw.bytes().unwrap(), content);
    }
    assert_eq!(
        status(&scenario, &format!("contents/.github/workflows/publish.yml?ref={sha}")),
        200
    );
    assert_eq!(status(&scenario, &format!("contents/other.json?ref={sha}")), 404);
    assert_eq!(status(&scenario, "contents/package.json?ref=0123"), 404);
    assert_eq!(status(&scenario, "contents/package.json"), 200);
}

#[test]
fn a_package_json_may_hold_only_a_version() {
    let scenario = Scenario::new().release(widget().commit(|commit| {
        commit.package_jsons.insert("package.json".to_owned(), json!("1.2.4"));
    }));
    let document = below(&scenario, "contents/package.json?ref=v1.2.3");
    let content = document["content"].as_str().unwrap().replace('\n', "");
    let content: Value = serde_json::from_slice(&STANDARD.decode(content).unwrap()).unwrap();
    assert_eq!(content, json!({"version": "1.2.4"}));
}

#[test]
fn a_former_name_is_redirected_to_the_number() {
    let (scenario, build) = (released(), build());
    scenario.github().rename("acme/widget", "newco/gadget");
    let path = format!("actions/runs/{}?exclude_pull_requests=true", build.run_id);
    let reply = scenario.github_response(&format!("/repos/Acme/widget/{path}"));
    assert_eq!(reply.status, 301);
    let location = reply.header("location").unwrap().to_owned();
    assert_eq!(location, format!("/github/repositories/{}/{path}", build.repository_id));
    let run = get(&scenario, location.strip_prefix("/github").unwrap());
    assert_eq!(run["repository"]["full_name"], "newco/gadget");
    assert_eq!(run["repository"]["owner"]["id"].to_string(), build.owner_id);
    let reply = scenario.github_response("/repos/acme/widget");
    assert_eq!(
        reply.header("location").unwrap(),
        format!("/github/repositories/{}", build.repository_id)
    );
}

#[test]
fn a_repository_that_took_over_a_name_answers_for_it() {
    let scenario = released();
    scenario.github().rename("acme/widget", "newco/gadget");
    let scenario = scenario.release(widget().build(|build| build.repository_id = "77".to_owned()));
    assert_eq!(get(&scenario, "/repos/acme/widget")["id"], 77);
    assert_eq!(
        get(&scenario, "/repos/newco/gadget")["id"].to_string(),
        build().repository_id
    );
}

#[test]
fn private_and_deleted_repositories_are_not_found() {
    let private = Scenario::new().release(widget().build(|build| "private".clone_into(&mut build.visibility)));
    let deleted = Scenario::new().release(widget().repository(|repository| repository.deleted = true));
    for scenario in [private, deleted] {
        let number = build().repository_id;
        assert_eq!(scenario.github_response("/repos/acme/widget").status, 404);
        assert_eq!(scenario.github_response(&format!("/repositories/{number}")).status, 404);
        assert_eq!(status(&scenario, &run_path(&build())), 404);
    }
}

#[test]
fn an_entity_tag_saves_the_second_answer() {
    let (scenario, build) = (released(), build());
    let paths = [
        String::new(),
        format!("/{}", run_path(&build)),
        format!("/{}/jobs", run_path(&build)),
        format!("/commits/{}", build.commit),
        "/tags".to_owned(),
        "/contents/package.json".to_owned(),
    ];
    for path in paths {
        let path = format!("/repos/acme/widget{path}");
        let tag = scenario.github_response(&path).header("etag").unwrap().to_owned();
        let reply = scenario.github_reply(&Request {
            if_none_match: Some(tag),
            ..Request::get(&path)
        });
        assert_eq!((reply.status, reply.bytes()), (304, Some([].as_slice())));
    }
}

fn rate(reply: &Reply) -> [Option<&str>; 3] {
    ["limit", "remaining", "used"].map(|name| reply.header(&format!("x-ratelimit-{name}")))
}

#[test]
fn a_quota_is_used_up_by_all_answers_but_free_ones() {
    let scenario = released();
    assert_eq!(rate(&scenario.github_response("/repos/acme/widget")), [None; 3]);
    scenario.github().quota = Some(Quota {
        limit: 60,
        remaining: 3,
        reset: moment("2026-11-02T11:00:00Z"),
    });
    let reply = scenario.github_response("/repos/acme/widget");
    assert_eq!(rate(&reply), [Some("60"), Some("2"), Some("58")]);
    assert_eq!(reply.header("x-ratelimit-resource"), Some("core"));
    let again = Request {
        if_none_match: reply.header("etag").map(str::to_owned),
        authorization: Some("Bearer secret".to_owned()),
        ..Request::get("/repos/acme/widget")
    };
    let reply = scenario.github_reply(&again);
    assert_eq!((reply.status, rate(&reply)[1]), (304, Some("2")));
    let anonymous = Request {
        authorization: None,
        ..again.clone()
    };
    let reply = scenario.github_reply(&anonymous);
    assert_eq!((reply.status, rate(&reply)[1]), (304, Some("1")));
    let reply = scenario.github_response("/repos/acme/nothing");
    assert_eq!((reply.status, rate(&reply)[1]), (404, Some("0")));
    let reply = scenario.github_reply(&again);
    assert_eq!((reply.status, rate(&reply)[1]), (403, Some("0")));
    assert_eq!(reply.header("x-ratelimit-reset"), Some("1793617200"));
    assert!(
        reply.as_json().unwrap()["message"]
            .as_str()
            .unwrap()
            .contains("rate limit")
    );
}

#[test]
fn a_token_is_demanded() {
    let scenario = released();
    scenario.github().token = Some("secret".to_owned());
    let status = |authorization: Option<&str>| {
        let request = Request {
            authorization: authorization.map(str::to_owned),
            ..Request::get("/repos/acme/widget")
        };
        scenario.github_reply(&request).status
    };
    assert_eq!(status(None), 401);
    assert_eq!(status(Some("Bearer wrong")), 401);
    assert_eq!(status(Some("Bearer secret")), 200);
}

#[test]
fn single_resources_fail_in_their_own_way() {
    let (scenario, build) = (released(), build());
    {
        let mut github = scenario.github();
        github.answer = Answer::Status(500, None);
        github.answer_for("/jobs", Answer::Status(403, Some(60)));
        github.answer_for("/commits/", Answer::Normal);
        github.answer_for("/attempts/", Answer::FailTimes(1, 502));
    }
    let jobs = format!("{}/jobs", run_path(&build));
    let reply = scenario.github_response(&format!("/repos/acme/widget/{jobs}"));
    assert_eq!((reply.status, reply.header("retry-after")), (403, Some("60")));
    assert_eq!(status(&scenario, &format!("commits/{}", build.commit)), 200);
    assert_eq!([0; 3].map(|_| status(&scenario, &run_path(&build))), [502, 200, 200]);
    assert_eq!(status(&scenario, "tags"), 500);
}

#[test]
fn answers_can_be_edited_at_will() {
    let (scenario, build) = (released(), build());
    scenario.github().edit("/attempts/", |run| run["head_sha"] = json!(7));
    assert_eq!(below(&scenario, &run_path(&build))["head_sha"], 7);
    assert_eq!(
        below(&scenario, &format!("actions/runs/{}", build.run_id))["head_sha"],
        build.commit
    );
}

#[test]
fn ids_can_be_strings() {
    let (scenario, build) = (released(), build());
    scenario.github().ids_as_strings = true;
    let run = below(&scenario, &run_path(&build));
    assert_eq!(run["id"], build.run_id.to_string());
    assert_eq!(run["repository"]["id"], build.repository_id);
    assert_eq!(run["repository"]["owner"]["id"], build.owner_id);
    assert!(run["workflow_id"].is_string());
    assert_eq!(run["run_attempt"], 1);
    assert_eq!(jobs(&scenario, &build)["jobs"][0]["run_id"], build.run_id.to_string());
}

#[test]
fn a_thousand_jobs_come_page_by_page() {
    let scenario = Scenario::new().release(widget().run(|run| {
        let first = run.jobs[0].clone();
        run.jobs = (0..1000).map(|id| Job { id, ..first.clone() }).collect();
    }));
    let path = format!("/repos/acme/widget/{}/jobs", run_path(&build()));
    let mut seen = BTreeSet::new();
    for page in 1..=11 {
        let reply = scenario.github_response(&format!("{path}?per_page=100&page={page}"));
        let link = reply.header("link").unwrap();
        assert_eq!(link.contains("rel=\"next\""), page < 10, "{link}");
        let document = reply.as_json().unwrap();
        assert_eq!(document["total_count"], 1000);
        let jobs = document["jobs"].as_array().unwrap();
        assert_eq!(jobs.len(), if page == 11 { 0 } else { 100 });
        seen.extend(jobs.iter().map(|job| job["id"].as_u64().unwrap()));
    }
    assert_eq!(seen.len(), 1000);
    assert_eq!(get(&scenario, &path)["jobs"].as_array().unwrap().len(), 30);
    assert_eq!(
        get(&scenario, &format!("{path}?per_page=500"))["jobs"]
            .as_array()
            .unwrap()
            .len(),
        100
    );
}

#[test]
fn old_runs_are_gone_and_their_commits_stay() {
    let scenario = Scenario::new().release(Release::honest_of_2023("@acme/widget", "1.2.3"));
    let build = build();
    assert_eq!(status(&scenario, &run_path(&build)), 404);
    assert_eq!(status(&scenario, &format!("{}/jobs", run_path(&build))), 404);
    assert_eq!(status(&scenario, &format!("commits/{}", build.commit)), 200);
    let runs = below(&scenario, "actions/workflows/publish.yml/runs");
    assert_eq!((&runs["total_count"], &runs["workflow_runs"]), (&json!(0), &json!([])));
    scenario.github().run_mut(build.run_id).purged = false;
    assert_eq!(status(&scenario, &run_path(&build)), 200);
}

#[test]
fn runs_are_deleted_one_by_one_and_by_age() {
    let later = BASE_TIME + SignedDuration::from_hours(2);
    let scenario = released().release(Release::honest("@acme/widget", "1.2.4").at(later));
    let next = Build::for_package("@acme/widget", "1.2.4");
    scenario.github().purge_runs_before(BASE_TIME);
    assert_eq!(status(&scenario, &run_path(&build())), 404);
    assert_eq!(status(&scenario, &run_path(&next)), 200);
    scenario.github().purge_run(next.run_id);
    assert_eq!(status(&scenario, &run_path(&next)), 404);
}

#[test]
fn the_runs_of_a_workflow_are_listed_newest_first_and_filtered() {
    let at = |hours| BASE_TIME + SignedDuration::from_hours(hours);
    let scenario = released()
        .release(Release::honest("@acme/widget", "1.2.4").at(at(24)))
        .release(
            Release::honest("@acme/widget", "1.2.5")
                .at(at(48))
                .run(Run::fail_after_publish),
        )
        .release(Release::honest("@acme/widget", "2.0.0").at(at(72)).build(|build| {
            ".github/workflows/other.yml".clone_into(&mut build.workflow_path);
        }));
    let list = |query: &str| {
        let list = below(&scenario, &format!("actions/workflows/publish.yml/runs?{query}"));
        let runs = list["workflow_runs"].as_array().unwrap();
        runs.iter()
            .map(|run| run["run_number"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(list(""), [3, 2, 1]);
    assert_eq!(list("per_page=1&page=2"), [2]);
    assert_eq!(list("status=success"), [2, 1]);
    assert_eq!(list("status=completed"), [3, 2, 1]);
    assert_eq!(list("status=failure&event=release"), [3]);
    assert!(list("event=push").is_empty());
    let first = "2026-11-02T09:57:00Z";
    assert!(list(&format!("created=%3C{first}")).is_empty());
    assert_eq!(list(&format!("created=%3C%3D{first}")), [1]);
    assert_eq!(list(&format!("created=%3E{first}")), [3, 2]);
    assert_eq!(list(&format!("created=>={first}")), [3, 2, 1]);
    assert_eq!(list("created=2026-11-02..2026-11-03"), [2, 1]);
    assert_eq!(list("created=2026-11-03"), [2]);
    let number = below(&scenario, "actions/workflows/publish.yml/runs")["workflow_runs"][0]["workflow_id"].to_string();
    let by_number = below(&scenario, &format!("actions/workflows/{number}/runs"));
    assert_eq!(by_number["total_count"], 3);
    assert_eq!(status(&scenario, "actions/workflows/none.yml/runs"), 404);
    assert_eq!(
        status(&scenario, "actions/workflows/publish.yml/runs?created=soon"),
        422
    );
}

#[test]
fn releases_of_one_run_share_it_and_its_commit() {
    let (one, later) = (build(), BASE_TIME + SignedDuration::from_secs(20));
    let earlier = BASE_TIME - SignedDuration::from_secs(9);
    let beside = |name: &str, at| {
        let from = build();
        let directory = format!("packages/{name}");
        Release::honest(&format!("@acme/{name}"), "1.2.3")
            .at(at)
            .build(move |build| *build = from)
            .package_json(move |package| package["repository"]["directory"] = json!(directory))
    };
    let scenario = released()
        .release(beside("gadget", later))
        .release(beside("gizmo", earlier));
    let document = below(&scenario, &run_path(&one));
    let list = below(&scenario, "actions/workflows/publish.yml/runs");
    assert_eq!(list["total_count"], 1);
    let jobs = jobs(&scenario, &one);
    assert_contiguous(&jobs["jobs"][0]);
    let publish = step(&jobs, "Run npm publish");
    assert_eq!(publish["started_at"], "2026-11-02T09:59:45Z");
    assert_eq!(publish["completed_at"], "2026-11-02T10:00:24Z");
    assert_eq!(document["created_at"], "2026-11-02T09:56:51Z");
    assert_eq!(document["updated_at"], jobs["jobs"][0]["completed_at"]);
    let sha = &one.commit;
    assert_eq!(
        below(&scenario, &format!("commits/{sha}/pulls"))
            .as_array()
            .unwrap()
            .len(),
        1
    );
    for path in [
        "package.json",
        "packages/gadget/package.json",
        "packages/gizmo/package.json",
    ] {
        assert_eq!(status(&scenario, &format!("contents/{path}?ref={sha}")), 200);
    }
    assert_eq!(scenario.github().repositories.len(), 1);
}

#[test]
fn releases_of_one_repository_follow_each_other() {
    let at = BASE_TIME + SignedDuration::from_hours(24);
    let scenario = released().release(Release::honest("@acme/widget", "1.2.4").at(at));
    let next = Build::for_package("@acme/widget", "1.2.4");
    assert_eq!(below(&scenario, "compare/v1.2.3...v1.2.4")["status"], "ahead");
    assert_eq!(below(&scenario, &run_path(&next))["run_number"], 2);
    assert_eq!(
        below(&scenario, &format!("commits/{}/pulls", next.commit))[0]["number"],
        2
    );
    assert_eq!(names(&below(&scenario, "tags?per_page=1"), "name"), ["v1.2.4"]);
}

#[test]
fn a_second_attempt_comes_after_a_failed_one() {
    let scenario = Scenario::new().release(widget().build(|build| build.run_attempt = 2));
    let id = build().run_id;
    let [first, second] = [1, 2].map(|attempt| below(&scenario, &format!("actions/runs/{id}/attempts/{attempt}")));
    assert_eq!(second, below(&scenario, &format!("actions/runs/{id}")));
    assert_eq!(
        (&first["conclusion"], &second["conclusion"]),
        (&json!("failure"), &json!("success"))
    );
    assert_eq!(first["created_at"], second["created_at"]);
    assert!(time(&first["run_started_at"]) < time(&second["run_started_at"]));
    assert!(
        second["previous_attempt_url"]
            .as_str()
            .unwrap()
            .ends_with("/attempts/1")
    );
    let jobs = below(&scenario, &format!("actions/runs/{id}/attempts/1/jobs"));
    assert_eq!(jobs["jobs"][0]["run_attempt"], 1);
    assert_eq!(step(&jobs, "Run npm publish")["conclusion"], "skipped");
}

#[test]
fn an_attempt_that_is_only_counted_repeats_the_last() {
    let scenario = Scenario::new().release(widget().run(|run| run.attempts = 2));
    let id = build().run_id;
    assert_eq!(below(&scenario, &format!("actions/runs/{id}"))["run_attempt"], 2);
    assert_eq!(
        below(&scenario, &format!("actions/runs/{id}/attempts/1"))["run_attempt"],
        1
    );
    assert_eq!(status(&scenario, &format!("actions/runs/{id}/attempts/3")), 404);
}

#[test]
fn a_run_may_fail_after_the_publication() {
    let scenario = Scenario::new().release(widget().run(Run::fail_after_publish));
    let build = build();
    assert_eq!(below(&scenario, &run_path(&build))["conclusion"], "failure");
    let jobs = jobs(&scenario, &build);
    assert_contiguous(&jobs["jobs"][0]);
    assert_eq!(jobs["jobs"][0]["conclusion"], "failure");
    assert_eq!(step(&jobs, "Run npm publish")["conclusion"], "success");
    assert_eq!(step(&jobs, "Run ./notify.sh")["conclusion"], "failure");
    assert_eq!(step(&jobs, "Run ./notify.sh")["number"], 7);
}

#[test]
fn a_signature_may_be_made_in_a_step_that_does_not_publish() {
    for name in ["Run npm ci", "Run npm test", "Run ./sign.sh", "Complete job"] {
        let scenario = Scenario::new().release(widget().run(move |run| run.skip_publish_and_sign_in(name)));
        let build = build();
        assert_eq!(below(&scenario, &run_path(&build))["conclusion"], "failure");
        let jobs = jobs(&scenario, &build);
        assert_contiguous(&jobs["jobs"][0]);
        let publish = step(&jobs, "Run npm publish");
        assert_eq!(publish["conclusion"], "skipped");
        assert_eq!(publish["started_at"], publish["completed_at"]);
        let signing = step(&jobs, name);
        assert!(
            time(&signing["started_at"]) < BASE_TIME && BASE_TIME < time(&signing["completed_at"]),
            "{name}"
        );
    }
}

#[test]
fn a_run_may_still_be_in_progress() {
    let scenario = Scenario::new().release(widget().run(|run| run.in_progress_at(BASE_TIME)));
    let build = build();
    let run = below(&scenario, &run_path(&build));
    assert_eq!(
        (&run["status"], &run["conclusion"]),
        (&json!("in_progress"), &Value::Null)
    );
    let jobs = jobs(&scenario, &build);
    let job = &jobs["jobs"][0];
    assert_eq!(
        (&job["status"], &job["completed_at"]),
        (&json!("in_progress"), &Value::Null)
    );
    assert_eq!(step(&jobs, "Run npm test")["conclusion"], "success");
    let publish = step(&jobs, "Run npm publish");
    assert_eq!(
        (&publish["status"], &publish["conclusion"]),
        (&json!("in_progress"), &Value::Null)
    );
    let last = step(&jobs, "Complete job");
    assert_eq!(
        (&last["status"], &last["started_at"]),
        (&json!("pending"), &Value::Null)
    );
}

#[test]
fn steps_runs_and_actors_are_bent_by_name() {
    let scenario = Scenario::new().release(widget().run(|run| {
        run.publish_step_mut().conclude("cancelled");
        run.step_mut("Run npm ci").name = "Run npm install".to_owned();
        run.triggering_actor = Actor::bot("release-app[bot]");
        run.head_repository = None;
    }));
    let build = build();
    let run = below(&scenario, &run_path(&build));
    assert_eq!(run["triggering_actor"]["type"], "Bot");
    assert_eq!(run["head_repository"], Value::Null);
    let jobs = jobs(&scenario, &build);
    assert_eq!(step(&jobs, "Run npm publish")["conclusion"], "cancelled");
    assert_eq!(step(&jobs, "Run npm install")["number"], 4);
}

#[test]
fn a_reusable_workflow_is_referenced_and_names_the_job() {
    let scenario = Scenario::new().release(widget().build(Build::with_node_builder));
    let signer = {
        let mut build = build();
        build.with_node_builder();
        build.signer.unwrap()
    };
    let run = below(&scenario, &run_path(&build()));
    let path = "slsa-framework/slsa-github-generator/.github/workflows/delegator_lowperms-generic_slsa3.yml@v1.10.0";
    let expected = json!([{"path": path, "sha": signer.digest, "ref": "refs/tags/v1.10.0"}]);
    assert_eq!(run["referenced_workflows"], expected);
    assert_eq!(jobs(&scenario, &build())["jobs"][0]["name"], "publish / publish");
}

#[test]
fn approvals_tell_who_let_a_deployment_pass() {
    let scenario = Scenario::new().release(widget().run(|run| {
        run.approvals.push(Approval {
            environment: "npm".to_owned(),
            state: "approved".to_owned(),
            user: "bob".to_owned(),
        });
    }));
    let approvals = below(&scenario, &format!("actions/runs/{}/approvals", build().run_id));
    assert_eq!(approvals[0]["state"], "approved");
    assert_eq!(approvals[0]["environments"][0]["name"], "npm");
    assert_eq!(approvals[0]["user"]["login"], "bob");
    let none = released();
    assert_eq!(
        below(&none, &format!("actions/runs/{}/approvals", build().run_id)),
        json!([])
    );
}

#[test]
fn stored_attestations_lead_to_their_bundles() {
    let digest = "sha256:00ff";
    let bundle = json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "padding": "a".repeat(70_000)});
    let stored = [(Snappy::None, true), (Snappy::Raw, false), (Snappy::Framed, false)].map(|(snappy, inline)| {
        StoredAttestation {
            digest: digest.to_owned(),
            bundle: bundle.clone(),
            inline,
            snappy,
        }
    });
    let scenario =
        Scenario::new().release(widget().repository(move |repository| repository.attestations = stored.to_vec()));
    scenario.github().quota = Some(Quota {
        limit: 60,
        remaining: 1,
        reset: BASE_TIME,
    });
    let list = below(&scenario, "attestations/sha256%3A00ff");
    let items = list["attestations"].as_array().unwrap();
    assert_eq!(items.len(), 3);
    assert_eq!(items[0]["repository_id"].to_string(), build().repository_id);
    assert_eq!((&items[0]["bundle"], &items[1]["bundle"]), (&bundle, &Value::Null));
    let plain = bundle.to_string().into_bytes();
    let [none, raw, framed] = [0, 1, 2].map(|index| {
        let url = items[index]["bundle_url"].as_str().unwrap();
        let reply = scenario.github_response(url.strip_prefix("/github").unwrap());
        assert_eq!(reply.status, 200);
        reply.bytes().unwrap().to_vec()
    });
    assert_eq!(none, plain);
    assert_eq!(raw.len(), plain.len() + 3 + 2 * 3);
    assert!(raw.ends_with(&plain[1 << 16..]));
    assert_eq!(framed.len(), plain.len() + 10 + 2 * 8);
    assert!(framed.starts_with(b"\xff\x06\x00\x00sNaPpY"));
    scenario.github().quota = None;
    assert_eq!(below(&scenario, "attestations/sha256:11"), json!({"attestations": []}));
}

#[test]
fn releases_from_elsewhere_leave_nothing() {
    let scenario = Scenario::new().release(widget().build(Build::on_gitlab));
    assert!(scenario.github().repositories.is_empty());
}

#[test]
fn the_trial_merge_of_an_open_pull_request_is_on_no_branch() {
    let scenario = Scenario::new().release(widget().build(|build| {
        "refs/pull/7/merge".clone_into(&mut build.git_ref);
        "pull_request".clone_into(&mut build.event);
    }));
    let sha = build().commit;
    let pull = below(&scenario, &format!("commits/{sha}/pulls"))[0].clone();
    assert_eq!(
        (&pull["number"], &pull["state"], &pull["merged_at"]),
        (&json!(7), &json!("open"), &Value::Null)
    );
    assert_eq!(below(&scenario, &format!("compare/main...{sha}"))["status"], "ahead");
    assert_eq!(
        below(&scenario, &format!("commits/{sha}/branches-where-head")),
        json!([])
    );
    assert_eq!(below(&scenario, "tags"), json!([]));
}

#[tokio::test]
async fn github_is_served_and_changes_between_two_looks() {
    let served = released().serve().await.unwrap();
    served.scenario().github().token = Some("secret".to_owned());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |path: &str| {
        let url = format!("{}{path}", served.github_url());
        let answer = client.get(url).bearer_auth("secret").send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, text) = ask("/repos/acme/widget").await;
    assert_eq!(status, 200);
    assert!(text.contains("acme/widget"));
    served.scenario().github().rename("acme/widget", "newco/gadget");
    let (status, text) = ask("/repos/acme/widget").await;
    assert_eq!(status, 200);
    assert!(text.contains("newco/gadget"));
    let redirected = format!("/repositories/{}", build().repository_id);
    assert_eq!(
        served.github_paths(),
        ["/repos/acme/widget", "/repos/acme/widget", redirected.as_str()]
    );
    assert!(served.npm_paths().is_empty());
}
