use std::io::Write as _;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use flate2::Compression;
use flate2::write::GzEncoder;
use futures::future::join_all;

use super::testing::{Call, Server, reply, send};
use super::*;
use crate::config::Secret;
use crate::dossier::{ArchiveMember, Body, Kept, Subject};
use crate::package::Digest;

fn quick() -> HttpFetchConfig {
    HttpFetchConfig {
        use_proxies: false,
        connect_timeout: Duration::from_secs(2),
        read_timeout: Duration::from_secs(2),
        attempt_timeout: Duration::from_secs(3),
        longer_for_files: Duration::ZERO,
        backoff_base: Duration::from_millis(2),
        backoff_cap: Duration::from_millis(5),
        max_retry_after: Duration::from_secs(1),
        budget: Duration::from_secs(4),
        ..HttpFetchConfig::new("hekate-test/1 (+https://example.org)")
    }
}

fn fetcher() -> HttpFetch {
    HttpFetch::new(quick()).unwrap()
}

fn request(url: Url) -> Request {
    Request {
        subject: Subject::VersionManifest,
        url,
        accept: "application/json",
        keep: Keep::Whole,
        limit: 100_000,
        at: "2026-11-22T10:00:00Z".parse().unwrap(),
        previous: None,
        modified_since: None,
        post: None,
        uncached: false,
        insist: true,
        redirects: REDIRECTS,
    }
}

fn tarball(url: Url) -> Request {
    Request {
        subject: Subject::Artifact,
        keep: Keep::NpmTarball,
        accept: "*/*",
        limit: 1 << 30,
        ..request(url)
    }
}

fn response(observation: Observation) -> Response {
    match observation.answer {
        Answer::Answered(response) => response,
        Answer::Unanswered { .. } => panic!("unanswered: {observation:?}"),
    }
}

fn trouble(observation: Observation) -> (UnavailableReason, String, Option<u64>) {
    match observation.answer {
        Answer::Unanswered {
            reason,
            detail,
            retry_after,
        } => (reason, detail, retry_after),
        Answer::Answered(_) => panic!("answered: {observation:?}"),
    }
}

fn reason(observation: Observation) -> UnavailableReason {
    trouble(observation).0
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn npm_tarball(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, body) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(body.len() as u64);
        tar.append_data(&mut header, path, *body).unwrap();
    }
    gzip(&tar.into_inner().unwrap())
}

#[tokio::test]
async fn a_body_is_kept_whole_with_its_digest_and_headers() {
    let server = Server::with(reply(
        "200 OK",
        &["Content-Type: application/json", "ETag: \"a1\""],
        b"{}",
    ));
    let asked = request(server.at("some/path?q=1"));
    let observation = fetcher().fetch(asked.clone()).await;
    assert_eq!(observation.subject, asked.subject);
    assert_eq!(observation.url, asked.url.as_str());
    assert_eq!(observation.at, asked.at);
    assert_eq!(
        response(observation),
        Response {
            status: 200,
            content_type: Some("application/json".to_owned()),
            etag: Some("\"a1\"".to_owned()),
            size: 2,
            sha256: Digest::sha256_of(b"{}"),
            kept: Kept::Whole {
                body: Body(b"{}".to_vec())
            },
            redirects: 0,
            last_modified: None,
        }
    );
}

#[tokio::test]
async fn a_request_says_who_asks_and_what_is_accepted() {
    let seen = Arc::new(AtomicBool::new(false));
    let server = Server::start({
        let seen = Arc::clone(&seen);
        move |call: &Call, stream: &mut TcpStream| {
            let expected = [
                "get /a%2fb?x=1 http/1.1",
                "accept: application/json",
                "user-agent: hekate-test/1 (+https://example.org)",
                "accept-encoding: gzip",
            ];
            let complete = expected.iter().all(|text| call.head.contains(text));
            seen.store(complete && !call.head.contains("cache-control"), Ordering::SeqCst);
            send(stream, &reply("200 OK", &[], b"{}"));
        }
    });
    fetcher().fetch(request(server.at("a%2fb?x=1"))).await;
    assert!(seen.load(Ordering::SeqCst));
}

#[tokio::test]
async fn an_uncached_request_goes_past_caches_and_is_never_conditional() {
    let server = Server::start(|call, stream| {
        let past = call.head.contains("cache-control: no-cache") && call.head.contains("pragma: no-cache");
        let conditional = call.head.contains("if-none-match");
        send(
            stream,
            &reply("200 OK", &["ETag: \"a1\""], format!("{past} {conditional}").as_bytes()),
        );
    });
    let first = fetcher().fetch(request(server.at("x"))).await;
    let again = Request {
        uncached: true,
        previous: Some(first),
        ..request(server.at("x"))
    };
    assert_eq!(
        response(fetcher().fetch(again).await).kept,
        Kept::Whole {
            body: Body(b"true false".to_vec())
        }
    );
}

#[tokio::test]
async fn an_excerpt_is_what_the_function_selects_and_the_digest_is_of_the_whole() {
    let server = Server::with(reply("200 OK", &[], b"whole body"));
    let select = |body: &[u8]| body.strip_prefix(b"whole ").map(<[u8]>::to_vec);
    let asked = Request {
        keep: Keep::Excerpt(Arc::new(select)),
        ..request(server.at("x"))
    };
    let response = response(fetcher().fetch(asked).await);
    assert_eq!(
        response.kept,
        Kept::Excerpt {
            body: Body(b"body".to_vec())
        }
    );
    assert_eq!((response.size, response.sha256), (10, Digest::sha256_of(b"whole body")));
}

#[tokio::test]
async fn a_body_without_an_excerpt_is_kept_up_to_64_kib() {
    let server = Server::with(reply("200 OK", &[], &vec![b'x'; 70_000]));
    let asked = Request {
        keep: Keep::Excerpt(Arc::new(|_body| None)),
        ..request(server.at("x"))
    };
    let response = response(fetcher().fetch(asked).await);
    assert_eq!(
        response.kept,
        Kept::Whole {
            body: Body(vec![b'x'; 65_536])
        }
    );
    assert_eq!(response.size, 70_000);
}

#[tokio::test]
async fn an_unchanged_answer_is_given_again_with_the_new_time() {
    let server = Server::start(|call, stream| {
        if call.head.contains("if-none-match: \"a1\"") {
            send(stream, b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n");
        } else {
            send(stream, &reply("200 OK", &["ETag: \"a1\""], b"{}"));
        }
    });
    let first = fetcher().fetch(request(server.at("x"))).await;
    let at = "2026-11-23T10:00:00Z".parse().unwrap();
    let again = fetcher()
        .fetch(Request {
            at,
            previous: Some(first.clone()),
            ..request(server.at("x"))
        })
        .await;
    assert_eq!(again, Observation { at, ..first.clone() });

    let elsewhere = fetcher()
        .fetch(Request {
            previous: Some(first),
            ..request(server.at("y"))
        })
        .await;
    assert_eq!(elsewhere.url, server.at("y").as_str());
    assert_eq!(server.calls(), 3);
}

#[tokio::test]
async fn only_an_earlier_200_makes_a_request_conditional() {
    let server = Server::start(|call, stream| {
        assert!(!call.head.contains("if-none-match"));
        send(stream, &reply("404 Not Found", &["ETag: \"a1\""], b""));
    });
    let first = fetcher().fetch(request(server.at("x"))).await;
    let again = fetcher()
        .fetch(Request {
            previous: Some(first),
            ..request(server.at("x"))
        })
        .await;
    assert_eq!(response(again).status, 404);
}

#[tokio::test]
async fn a_304_that_nobody_asked_for_is_malformed() {
    let server = Server::with("HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n");
    assert_eq!(
        reason(fetcher().fetch(request(server.at("x"))).await),
        UnavailableReason::Malformed
    );
}

#[tokio::test]
async fn a_redirect_within_the_origin_is_followed() {
    let server = Server::start(|call, stream| match call.path.as_str() {
        "/a" => send(stream, &reply("301 Moved Permanently", &["Location: b/c"], b"")),
        "/b/c" => send(stream, &reply("307 Temporary Redirect", &["Location: /d?e"], b"")),
        path => send(stream, &reply("200 OK", &[], path.as_bytes())),
    });
    let observation = fetcher().fetch(request(server.at("a"))).await;
    assert_eq!(observation.url, server.at("a").as_str());
    let response = response(observation);
    assert_eq!(response.redirects, 2);
    assert_eq!(
        response.kept,
        Kept::Whole {
            body: Body(b"/d?e".to_vec())
        }
    );
}

#[tokio::test]
async fn an_entity_tag_stands_over_redirects() {
    for status in [
        "301 Moved Permanently",
        "302 Found",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
    ] {
        let server = Server::start(move |call, stream| match call.path.as_str() {
            "/a" => send(
                stream,
                &reply(status, &["Location: /b", "ETag: \"of-the-redirect\""], b""),
            ),
            _ if call.head.contains("if-none-match: \"b1\"") => {
                send(stream, b"HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n");
            }
            _ => send(stream, &reply("200 OK", &["ETag: \"b1\""], b"{}")),
        });
        let first = fetcher().fetch(request(server.at("a"))).await;
        let again = fetcher()
            .fetch(Request {
                previous: Some(first.clone()),
                ..request(server.at("a"))
            })
            .await;
        assert_eq!(response(first.clone()).etag.as_deref(), Some("\"b1\""));
        assert_eq!(again, first);
        assert_eq!(response(again).redirects, 1);
        assert_eq!(server.calls(), 4);
    }
}

#[tokio::test]
async fn a_redirect_to_another_host_is_refused() {
    let other = Server::with(reply("200 OK", &[], b"{}"));
    let by_name = other.url.as_str().replace("127.0.0.1", "localhost");
    for location in [
        other.url.as_str(),
        &by_name,
        "https://127.0.0.1/",
        "//169.254.169.254/",
        "file:///etc/passwd",
    ] {
        let server = Server::with(reply("302 Found", &[&format!("Location: {location}")], b""));
        let (reason, detail, _) = trouble(fetcher().fetch(request(server.at("a"))).await);
        assert_eq!(reason, UnavailableReason::Unreachable);
        assert!(detail.contains("a redirect to another host"), "{detail}");
        assert_eq!(server.calls(), 1);
    }
    assert_eq!(other.calls(), 0);
}

#[tokio::test]
async fn redirects_end_where_the_request_says() {
    for redirects in [0, 1, 5] {
        let server = Server::with(reply("302 Found", &["Location: /a"], b""));
        let asked = Request {
            redirects,
            ..request(server.at("a"))
        };
        let (reason, detail, _) = trouble(fetcher().fetch(asked).await);
        assert_eq!(reason, UnavailableReason::Malformed);
        assert!(detail.contains("more redirects than are followed"), "{detail}");
        assert_eq!(server.calls(), usize::from(redirects) + 1);
    }
}

#[tokio::test]
async fn the_last_redirect_that_is_allowed_is_followed() {
    let server = Server::start(|call, stream| match call.path.as_str() {
        "/a" => send(stream, &reply("301 Moved Permanently", &["Location: /b"], b"")),
        _ => send(stream, &reply("404 Not Found", &[], b"")),
    });
    let asked = Request {
        redirects: 1,
        ..request(server.at("a"))
    };
    let response = response(fetcher().fetch(asked).await);
    assert_eq!((response.status, response.redirects), (404, 1));
}

#[tokio::test]
async fn a_redirect_without_a_location_is_malformed() {
    let server = Server::with(reply("302 Found", &[], b""));
    assert_eq!(
        reason(fetcher().fetch(request(server.at("a"))).await),
        UnavailableReason::Malformed
    );
}

#[tokio::test]
async fn a_declared_length_beyond_the_limit_is_refused_unread() {
    let server = Server::with("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100001\r\n\r\n");
    assert_eq!(
        reason(fetcher().fetch(request(server.at("x"))).await),
        UnavailableReason::TooLarge
    );
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn a_body_of_undeclared_length_beyond_the_limit_is_too_large() {
    let server = Server::start(|_call, stream| {
        send(stream, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
        send(stream, &vec![b'x'; 100_001]);
    });
    assert_eq!(
        reason(fetcher().fetch(request(server.at("x"))).await),
        UnavailableReason::TooLarge
    );
    let exact = Request {
        limit: 100_001,
        ..request(server.at("x"))
    };
    assert_eq!(response(fetcher().fetch(exact).await).size, 100_001);
}

#[tokio::test]
async fn a_gzip_bomb_is_too_large() {
    let server = Server::with(reply("200 OK", &["Content-Encoding: gzip"], &gzip(&vec![0; 20 << 20])));
    assert_eq!(
        reason(fetcher().fetch(request(server.at("x"))).await),
        UnavailableReason::TooLarge
    );
}

#[tokio::test]
async fn a_compressed_body_is_counted_and_digested_after_decoding() {
    let server = Server::with(reply("200 OK", &["Content-Encoding: gzip"], &gzip(b"plain")));
    let response = response(fetcher().fetch(request(server.at("x"))).await);
    assert_eq!((response.size, response.sha256), (5, Digest::sha256_of(b"plain")));
}

#[tokio::test]
async fn a_truncated_or_damaged_body_is_unreachable() {
    let truncated = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\nonly this".to_vec();
    let chunked = b"HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nonly".to_vec();
    let not_gzip = reply("200 OK", &["Content-Encoding: gzip"], b"not gzip");
    let half_gzip = reply(
        "200 OK",
        &["Content-Encoding: gzip"],
        &gzip(b"plain text that is cut")[..20],
    );
    let not_http = b"hello\r\n\r\n".to_vec();
    for bytes in [truncated, chunked, not_gzip, half_gzip, not_http, Vec::new()] {
        let server = Server::with(bytes.clone());
        let what = String::from_utf8_lossy(&bytes).into_owned();
        assert_eq!(
            reason(fetcher().fetch(request(server.at("x"))).await),
            UnavailableReason::Unreachable,
            "{what}"
        );
        assert_eq!(server.calls(), 3, "{what}");
    }
}

#[tokio::test]
async fn a_connection_that_is_refused_is_unreachable() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = Url::parse(&format!("http://{address}/")).unwrap();
    let (reason, detail, _) = trouble(fetcher().fetch(request(url)).await);
    assert_eq!(reason, UnavailableReason::Unreachable);
    assert!(detail.contains("refused"), "{detail}");
}

#[tokio::test]
async fn a_client_error_is_an_answer_whose_body_is_not_kept() {
    for status in [
        "400 Bad Request",
        "404 Not Found",
        "410 Gone",
        "451 Unavailable For Legal Reasons",
    ] {
        let server = Server::with(reply(status, &["Content-Type: application/json"], b"{}"));
        let response = response(fetcher().fetch(tarball(server.at("x"))).await);
        assert!(status.starts_with(&response.status.to_string()));
        assert_eq!(
            (response.size, response.sha256, response.kept),
            (2, Digest::sha256_of(b"{}"), Kept::Nothing)
        );
        assert_eq!(server.calls(), 1);
    }
}

#[tokio::test]
async fn of_a_long_error_page_64_kib_are_read() {
    let server = Server::with(reply("404 Not Found", &[], &vec![b'x'; 1 << 20]));
    let response = response(fetcher().fetch(request(server.at("x"))).await);
    assert_eq!(
        (response.size, response.sha256),
        (65_536, Digest::sha256_of(&vec![b'x'; 65_536]))
    );
}

#[tokio::test]
async fn an_empty_success_is_an_answer_of_no_bytes() {
    for status in ["200 OK", "204 No Content"] {
        let server = Server::with(reply(status, &[], b""));
        assert_eq!(response(fetcher().fetch(request(server.at("x"))).await).size, 0);
    }
}

#[tokio::test]
async fn a_page_for_people_with_status_200_is_a_body_like_another() {
    let server = Server::with(reply("200 OK", &["Content-Type: text/html"], b"<html>"));
    let response = response(fetcher().fetch(request(server.at("x"))).await);
    assert_eq!(
        response.kept,
        Kept::Whole {
            body: Body(b"<html>".to_vec())
        }
    );
}

#[tokio::test]
async fn a_challenge_is_unreachable_and_not_repeated() {
    let server = Server::with(reply(
        "403 Forbidden",
        &["Content-Type: text/html"],
        b"<html>Just a moment",
    ));
    assert_eq!(
        reason(fetcher().fetch(request(server.at("x"))).await),
        UnavailableReason::Unreachable
    );
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn a_server_error_is_asked_again_and_may_pass() {
    let server = Server::start(|call, stream| match call.number {
        1 => send(stream, &reply("502 Bad Gateway", &[], b"")),
        2 => send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal"),
        _ => send(stream, &reply("200 OK", &[], b"{}")),
    });
    assert_eq!(response(fetcher().fetch(request(server.at("x"))).await).status, 200);
    assert_eq!(server.calls(), 3);
}

#[tokio::test]
async fn attempts_are_bounded() {
    let server = Server::with(reply("503 Service Unavailable", &[], b""));
    assert_eq!(
        reason(fetcher().fetch(request(server.at("x"))).await),
        UnavailableReason::Unreachable
    );
    assert_eq!(server.calls(), 3);
    let once = HttpFetch::new(HttpFetchConfig { attempts: 1, ..quick() }).unwrap();
    once.fetch(request(server.at("x"))).await;
    assert_eq!(server.calls(), 4);
}

#[tokio::test]
async fn retry_after_is_honoured_and_bounded() {
    let server = Server::start(|call, stream| match call.number {
        1 => send(stream, &reply("429 Too Many Requests", &["Retry-After: 1"], b"")),
        _ => send(stream, &reply("200 OK", &[], b"{}")),
    });
    let began = Instant::now();
    assert_eq!(response(fetcher().fetch(request(server.at("x"))).await).status, 200);
    assert!(began.elapsed() >= Duration::from_secs(1));

    // One second more than may be waited.
    for (header, seconds) in [
        ("Retry-After: 2", 2),
        ("Retry-After: Sun, 22 Nov 2026 10:01:00 GMT", 60),
    ] {
        let server = Server::with(reply("429 Too Many Requests", &[header], b""));
        let (reason, _, retry_after) = trouble(fetcher().fetch(request(server.at("x"))).await);
        assert_eq!((reason, retry_after), (UnavailableReason::RateLimited, Some(seconds)));
        assert_eq!(server.calls(), 1);
    }
}

#[tokio::test]
async fn a_wait_beyond_the_budget_is_not_begun() {
    let server = Server::with(reply("429 Too Many Requests", &["Retry-After: 1"], b""));
    let short = HttpFetch::new(HttpFetchConfig {
        budget: Duration::from_millis(500),
        ..quick()
    })
    .unwrap();
    let (reason, _, retry_after) = trouble(short.fetch(request(server.at("x"))).await);
    // Waiting into the end of the budget would have made it unreachable.
    assert_eq!((reason, retry_after), (UnavailableReason::RateLimited, Some(1)));
    assert_eq!(server.calls(), 1);
}

#[tokio::test]
async fn a_hang_is_unreachable_within_the_budget() {
    let before_the_head = Server::start(|_call, _stream| thread::sleep(Duration::from_secs(3)));
    let in_the_body = Server::start(|_call, stream| {
        send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhal");
        thread::sleep(Duration::from_secs(3));
    });
    let dripping = Server::start(|_call, stream| {
        send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n");
        for _ in 0..30 {
            send(stream, b"x");
            thread::sleep(Duration::from_millis(50));
        }
    });
    let config = HttpFetchConfig {
        read_timeout: Duration::from_millis(150),
        attempt_timeout: Duration::from_millis(300),
        budget: Duration::from_millis(400),
        ..quick()
    };
    for server in [before_the_head, in_the_body, dripping] {
        for asked in [request(server.at("x")), tarball(server.at("x"))] {
            let began = Instant::now();
            let observation = HttpFetch::new(config.clone()).unwrap().fetch(asked).await;
            assert_eq!(reason(observation), UnavailableReason::Unreachable);
            assert!(began.elapsed() < Duration::from_secs(2));
            assert!(server.calls() > 1);
        }
    }
}

#[tokio::test]
async fn a_file_may_take_longer_than_a_document() {
    let dripping = Server::start(|_call, stream| {
        send(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n");
        for _ in 0..12 {
            send(stream, b"x");
            thread::sleep(Duration::from_millis(50));
        }
    });
    let fetcher = HttpFetch::new(HttpFetchConfig {
        attempt_timeout: Duration::from_millis(200),
        budget: Duration::from_millis(250),
        longer_for_files: Duration::from_secs(5),
        attempts: 1,
        ..quick()
    })
    .unwrap();
    let (document, file) = tokio::join!(
        fetcher.fetch(request(dripping.at("x"))),
        fetcher.fetch(Request {
            keep: Keep::Digests,
            ..request(dripping.at("x"))
        })
    );
    assert_eq!(reason(document), UnavailableReason::Unreachable);
    assert_eq!(response(file).size, 12);
}

#[tokio::test]
async fn two_requests_to_one_host_wait_for_each_other_beyond_the_limit() {
    let slow = || {
        let (running, peak) = (AtomicU64::new(0), Arc::new(AtomicU64::new(0)));
        let seen = Arc::clone(&peak);
        let server = Server::start(move |_call: &Call, stream: &mut TcpStream| {
            peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(30));
            running.fetch_sub(1, Ordering::SeqCst);
            send(stream, &reply("200 OK", &[], b"{}"));
        });
        (server, seen)
    };
    let ((one, peak_of_one), (other, peak_of_other)) = (slow(), slow());
    let fetcher = HttpFetch::new(HttpFetchConfig {
        per_host_concurrency: 2,
        ..quick()
    })
    .unwrap();
    let asked = (0..6).flat_map(|_| {
        [
            fetcher.fetch(request(one.at("x"))),
            fetcher.fetch(request(other.at("x"))),
        ]
    });
    for observation in join_all(asked).await {
        assert_eq!(response(observation).status, 200);
    }
    assert_eq!((one.calls(), other.calls()), (6, 6));
    assert_eq!(peak_of_one.load(Ordering::SeqCst), 2);
    assert_eq!(peak_of_other.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_wait_does_not_hold_a_turn() {
    let server = Server::start(|call, stream| match call.path.as_str() {
        "/limited" => send(stream, &reply("429 Too Many Requests", &["Retry-After: 1"], b"")),
        _ => send(stream, &reply("200 OK", &[], b"{}")),
    });
    let fetcher = HttpFetch::new(HttpFetchConfig {
        per_host_concurrency: 1,
        attempts: 2,
        ..quick()
    })
    .unwrap();
    let began = Instant::now();
    let limited = async {
        fetcher.fetch(request(server.at("limited"))).await;
        began.elapsed()
    };
    let quick = async {
        sleep(Duration::from_millis(100)).await;
        fetcher.fetch(request(server.at("x"))).await;
        began.elapsed()
    };
    let (limited, quick) = tokio::join!(limited, quick);
    assert!(quick < limited);
}

#[tokio::test]
async fn a_tarball_is_digested_and_its_manifest_found() {
    let archive = npm_tarball(&[("package/index.js", b"1"), ("package/package.json", b"{}")]);
    let server = Server::start({
        let archive = archive.clone();
        move |call: &Call, stream: &mut TcpStream| {
            assert!(call.head.contains("accept-encoding: identity"));
            send(
                stream,
                &reply("200 OK", &["Content-Type: application/octet-stream"], &archive),
            );
        }
    });
    let response = response(fetcher().fetch(tarball(server.at("x"))).await);
    assert_eq!(response.size, archive.len() as u64);
    assert_eq!(response.sha256, Digest::sha256_of(&archive));
    let sha1 = <sha1::Sha1 as sha2::Digest>::digest(&archive);
    assert_eq!(
        response.kept,
        Kept::Archive {
            sha512: Digest::sha512_of(&archive),
            sha1: Digest::from_hex(crate::package::DigestAlgorithm::Sha1, &hex::encode(sha1)).unwrap(),
            manifest: ArchiveMember::Found {
                body: Body(b"{}".to_vec())
            },
        }
    );
}

#[tokio::test]
async fn a_python_distribution_is_digested_and_its_metadata_found() {
    let archive = npm_tarball(&[("foo-1.0/setup.py", b"1"), ("foo-1.0/PKG-INFO", b"Name: foo")]);
    let end = [b"PK\x05\x06".to_vec(), vec![0; 18]].concat();
    let found = ArchiveMember::Found {
        body: Body(b"Name: foo".to_vec()),
    };
    for (bytes, expected) in [
        (archive, found),
        (end, ArchiveMember::Missing),
        (b"<html></html>".to_vec(), ArchiveMember::NotAnArchive),
    ] {
        let server = Server::start({
            let bytes = bytes.clone();
            move |call: &Call, stream: &mut TcpStream| {
                assert!(call.head.contains("accept-encoding: identity"));
                send(stream, &reply("200 OK", &[], &bytes));
            }
        });
        let request = Request {
            keep: Keep::Distribution,
            ..tarball(server.at("x"))
        };
        let response = response(fetcher().fetch(request).await);
        assert_eq!(response.sha256, Digest::sha256_of(&bytes));
        let Kept::Archive { sha512, manifest, .. } = response.kept else {
            panic!("no archive")
        };
        assert_eq!((sha512, manifest), (Digest::sha512_of(&bytes), expected));
    }
}

#[tokio::test]
async fn an_archive_that_cannot_be_read_is_digested_all_the_same() {
    for bytes in [
        b"<html>not found</html>".repeat(5000),
        [npm_tarball(&[]), vec![7; 500_000]].concat(),
        Vec::new(),
    ] {
        let server = Server::with(reply("200 OK", &[], &bytes));
        let response = response(fetcher().fetch(tarball(server.at("x"))).await);
        assert_eq!(
            (response.size, response.sha256),
            (bytes.len() as u64, Digest::sha256_of(&bytes))
        );
        match response.kept {
            Kept::Archive { sha512, manifest, .. } => {
                assert_eq!(sha512, Digest::sha512_of(&bytes));
                assert!(!matches!(manifest, ArchiveMember::Found { .. }));
            }
            Kept::Whole { .. } | Kept::Excerpt { .. } | Kept::Digests { .. } | Kept::Nothing => {
                panic!("not an archive")
            }
        }
    }
}

#[tokio::test]
async fn an_archive_that_ends_early_without_saying_how_long_it_is_is_unreachable() {
    let whole = npm_tarball(&[("package/package.json", b"{}")]);
    let unframed = |body: &[u8]| [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", body].concat();
    let server = Server::with(unframed(&whole[..whole.len() / 2]));
    assert_eq!(
        reason(fetcher().fetch(tarball(server.at("x"))).await),
        UnavailableReason::Unreachable
    );
    let server = Server::with(unframed(&whole));
    assert_eq!(
        response(fetcher().fetch(tarball(server.at("x"))).await).sha256,
        Digest::sha256_of(&whole)
    );
}

#[tokio::test]
async fn an_archive_beyond_the_limit_is_too_large_and_a_broken_one_unreachable() {
    let archive = npm_tarball(&[("package/package.json", b"{}")]);
    let server = Server::start(move |call, stream| {
        send(stream, b"HTTP/1.1 200 OK\r\nConnection: close\r\n");
        if call.path == "/broken" {
            send(stream, b"Content-Length: 1000000\r\n");
        }
        send(stream, b"\r\n");
        send(stream, &archive);
    });
    let asked = Request {
        limit: 50,
        ..tarball(server.at("x"))
    };
    assert_eq!(reason(fetcher().fetch(asked).await), UnavailableReason::TooLarge);
    assert_eq!(
        reason(fetcher().fetch(tarball(server.at("broken"))).await),
        UnavailableReason::Unreachable
    );
}

/// A fetcher with an upstream below `path` of a server, asked with a token.
fn with_upstream(server: &Server, path: &str) -> HttpFetch {
    let token = Secret::new("t0p-s3cret").unwrap();
    HttpFetch::new(HttpFetchConfig {
        upstreams: vec![Upstream::github(server.at(path), Some(&token)).unwrap()],
        ..quick()
    })
    .unwrap()
}

/// What is told of a quota that is renewed so many seconds after the look began.
fn quota(remaining: u64, limit: u64, renewed_in: i64) -> [String; 3] {
    let reset = request(Url::parse("http://x").unwrap()).at.as_second() + renewed_in;
    [
        format!("X-RateLimit-Remaining: {remaining}"),
        format!("X-RateLimit-Limit: {limit}"),
        format!("X-RateLimit-Reset: {reset}"),
    ]
}

fn reply_with(status: &str, headers: &[String], body: &[u8]) -> Vec<u8> {
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    reply(status, &headers, body)
}

/// A body that says whether the request had the headers of an upstream.
fn say_headers(call: &Call, stream: &mut TcpStream) {
    let token = call.head.matches("authorization: bearer t0p-s3cret").count();
    let version = call.head.matches("x-github-api-version: 2022-11-28").count();
    send(stream, &reply("200 OK", &[], format!("{token} {version}").as_bytes()));
}

async fn body_at(fetcher: &HttpFetch, url: Url) -> String {
    match response(fetcher.fetch(request(url)).await).kept {
        Kept::Whole { body } => String::from_utf8(body.0).unwrap(),
        Kept::Excerpt { .. } | Kept::Archive { .. } | Kept::Digests { .. } | Kept::Nothing => panic!("no body"),
    }
}

#[tokio::test]
async fn a_token_goes_below_its_base_and_nowhere_else() {
    let (server, other) = (Server::start(say_headers), Server::start(say_headers));
    let fetcher = with_upstream(&server, "api");
    for path in ["api", "api/", "api/repos?x=1", "api/x/../repos"] {
        assert_eq!(body_at(&fetcher, server.at(path)).await, "1 1", "{path}");
    }
    for path in ["", "apis", "api/../repos", "x/api"] {
        assert_eq!(body_at(&fetcher, server.at(path)).await, "0 0", "{path}");
    }
    assert_eq!(body_at(&fetcher, other.at("api/repos")).await, "0 0");
}

#[tokio::test]
async fn a_redirect_out_of_the_base_loses_the_token_and_one_into_it_gets_it() {
    let server = Server::start(|call, stream| match call.path.as_str() {
        "/api/out" => send(stream, &reply("301 Moved Permanently", &["Location: /other"], b"")),
        "/api/within" => send(
            stream,
            &reply("301 Moved Permanently", &["Location: repositories/1"], b""),
        ),
        "/in" => send(stream, &reply("302 Found", &["Location: /api/x"], b"")),
        _ => say_headers(call, stream),
    });
    let fetcher = with_upstream(&server, "api/");
    assert_eq!(body_at(&fetcher, server.at("api/out")).await, "0 0");
    assert_eq!(body_at(&fetcher, server.at("api/within")).await, "1 1");
    assert_eq!(body_at(&fetcher, server.at("in")).await, "1 1");

    let other = Server::start(say_headers);
    let away = Server::with(reply("302 Found", &[&format!("Location: {}", other.at("api/x"))], b""));
    let refused = with_upstream(&away, "api").fetch(request(away.at("api/x"))).await;
    assert_eq!(reason(refused), UnavailableReason::Unreachable);
    assert_eq!(other.calls(), 0);
}

#[tokio::test]
async fn a_token_is_in_no_observation_and_in_no_configuration_that_is_shown() {
    let headers = quota(0, 60, 600);
    for reply in [
        reply("200 OK", &[], b"{}"),
        reply("401 Unauthorized", &[], b"{}"),
        reply("500 Internal Server Error", &[], b"{}"),
        reply_with("403 Forbidden", &headers, b"{}"),
        reply("302 Found", &["Location: http://127.0.0.1:1/"], b""),
        b"no HTTP".to_vec(),
    ] {
        let server = Server::with(reply);
        let observation = with_upstream(&server, "").fetch(request(server.at("x"))).await;
        assert!(!format!("{observation:?}").contains("s3cret"));
    }
    let token = Secret::new("t0p-s3cret").unwrap();
    let config = HttpFetchConfig {
        upstreams: vec![Upstream::github(Url::parse("http://127.0.0.1").unwrap(), Some(&token)).unwrap()],
        ..quick()
    };
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_low_quota_is_left_alone_until_it_is_renewed() {
    let server = Server::start(|call, stream| {
        let left = match call.number {
            1 => 9,
            2 => 8,
            _ => 60,
        };
        send(stream, &reply_with("200 OK", &quota(left, 60, 1), b"{}"));
    });
    let fetcher = with_upstream(&server, "");
    for _ in 0..2 {
        response(fetcher.fetch(request(server.at("x"))).await);
    }
    let began = Instant::now();
    for path in ["x", "y"] {
        let (reason, detail, retry_after) = trouble(fetcher.fetch(request(server.at(path))).await);
        assert_eq!(
            (reason, retry_after),
            (UnavailableReason::RateLimited, Some(1)),
            "{detail}"
        );
    }
    assert!(
        began.elapsed() < Duration::from_millis(500),
        "at once, and not after a wait"
    );
    assert_eq!(server.calls(), 2);
    sleep(Duration::from_millis(1100)).await;
    response(fetcher.fetch(request(server.at("x"))).await);
    assert_eq!(server.calls(), 3);
}

#[tokio::test]
async fn an_unchanged_answer_counts_for_the_quota_like_any_other() {
    for status in ["304 Not Modified", "404 Not Found", "500 Internal Server Error"] {
        let server = Server::start(move |call, stream| match call.number {
            1 => send(stream, &reply("200 OK", &["ETag: \"a1\""], b"{}")),
            _ => send(stream, &reply_with(status, &quota(3, 60, 600), b"")),
        });
        let fetcher = with_upstream(&server, "");
        let first = fetcher.fetch(request(server.at("x"))).await;
        fetcher
            .fetch(Request {
                previous: Some(first),
                ..request(server.at("x"))
            })
            .await;
        let (reason, _, retry_after) = trouble(fetcher.fetch(request(server.at("y"))).await);
        assert_eq!(
            (reason, retry_after),
            (UnavailableReason::RateLimited, Some(600)),
            "{status}"
        );
        assert_eq!(server.calls(), 2, "{status}");
    }
}

#[tokio::test]
async fn the_quota_of_one_upstream_stops_no_other() {
    let server = Server::start(|_call, stream| send(stream, &reply_with("200 OK", &quota(0, 60, 600), b"{}")));
    let fetcher = with_upstream(&server, "api");
    response(fetcher.fetch(request(server.at("api/x"))).await);
    for _ in 0..3 {
        response(fetcher.fetch(request(server.at("x"))).await);
    }
    assert_eq!(
        reason(fetcher.fetch(request(server.at("api/x"))).await),
        UnavailableReason::RateLimited
    );
    assert_eq!(server.calls(), 4);
    // A redirect does not lead around the gate.
    let turning = Server::start(|call, stream| match call.path.as_str() {
        "/in" => send(stream, &reply("302 Found", &["Location: /api/x"], b"")),
        _ => send(stream, &reply_with("200 OK", &quota(0, 60, 600), b"{}")),
    });
    let fetcher = with_upstream(&turning, "api");
    response(fetcher.fetch(request(turning.at("api/x"))).await);
    assert_eq!(
        reason(fetcher.fetch(request(turning.at("in"))).await),
        UnavailableReason::RateLimited
    );
    assert_eq!(turning.calls(), 2);
}

#[tokio::test]
async fn a_refusal_closes_the_gate_for_as_long_as_was_asked() {
    let exhausted = quota(0, 60, 600);
    let spent = [exhausted[0].clone()];
    let retry = ["Retry-After: 30".to_owned()];
    let plenty = quota(50, 60, 600);
    let secondary: &[u8] = br#"{"message":"You have exceeded a secondary Rate Limit. Please wait."}"#;
    for (status, headers, body, seconds) in [
        ("403 Forbidden", &exhausted[..], &b"{}"[..], 600),
        ("429 Too Many Requests", &exhausted, b"{}", 600),
        ("403 Forbidden", &retry, b"{}", 30),
        ("429 Too Many Requests", &retry, b"{}", 30),
        ("429 Too Many Requests", &[], b"{}", 60),
        ("403 Forbidden", &spent, b"{}", 60),
        ("403 Forbidden", &[], secondary, 60),
        ("403 Forbidden", &plenty, secondary, 60),
    ] {
        let server = Server::with(reply_with(status, headers, body));
        let fetcher = with_upstream(&server, "");
        for path in ["x", "y"] {
            let (reason, _, retry_after) = trouble(fetcher.fetch(request(server.at(path))).await);
            assert_eq!(
                (reason, retry_after),
                (UnavailableReason::RateLimited, Some(seconds)),
                "{status}"
            );
        }
        assert_eq!(server.calls(), 1, "{status} {headers:?}");
    }
}

#[tokio::test]
async fn a_refusal_for_another_reason_closes_nothing() {
    let late = [vec![b' '; 64 * 1024], b"rate limit".to_vec()].concat();
    for (status, body, expected) in [
        (
            "403 Forbidden",
            &br#"{"message":"Resource not accessible"}"#[..],
            UnavailableReason::Private,
        ),
        ("403 Forbidden", &late, UnavailableReason::Private),
        // A token that has ended is this verifier's trouble.
        ("401 Unauthorized", b"rate limit", UnavailableReason::Unreachable),
    ] {
        let server = Server::with(reply(status, &[], body));
        let fetcher = with_upstream(&server, "");
        for calls in 1..=2 {
            assert_eq!(
                reason(fetcher.fetch(request(server.at("x"))).await),
                expected,
                "{status}"
            );
            assert_eq!(server.calls(), calls);
        }
    }
    // Elsewhere a body decides nothing, and a refusal stops nobody.
    let server = Server::with(reply("403 Forbidden", &[], b"rate limit"));
    assert_eq!(
        reason(fetcher().fetch(request(server.at("x"))).await),
        UnavailableReason::Private
    );
}

#[tokio::test]
async fn a_short_wait_that_an_upstream_asks_for_is_waited_by_everybody() {
    let server = Server::start(|call, stream| match call.number {
        1 => send(stream, &reply("429 Too Many Requests", &["Retry-After: 1"], b"")),
        _ => send(stream, &reply("200 OK", &[], b"{}")),
    });
    let fetcher = with_upstream(&server, "");
    let began = Instant::now();
    let first = fetcher.fetch(request(server.at("x")));
    let second = async {
        sleep(Duration::from_millis(100)).await;
        fetcher.fetch(request(server.at("y"))).await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((response(first).status, response(second).status), (200, 200));
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.calls(), 3);
}

#[tokio::test]
async fn questions_that_wait_for_their_turn_do_not_follow_the_one_that_was_refused() {
    for headers in [&["Retry-After: 60"][..], &[]] {
        let server = Server::start(move |_call, stream| {
            thread::sleep(Duration::from_millis(50));
            let message = br#"{"message":"You have exceeded a secondary rate limit"}"#;
            send(stream, &reply("403 Forbidden", headers, message));
        });
        let token = Secret::new("t0p-s3cret").unwrap();
        let fetcher = HttpFetch::new(HttpFetchConfig {
            per_host_concurrency: 2,
            upstreams: vec![Upstream::github(server.at(""), Some(&token)).unwrap()],
            ..quick()
        })
        .unwrap();
        let asked = (0..12).map(|number| fetcher.fetch(request(server.at(&number.to_string()))));
        for observation in join_all(asked).await {
            let (reason, _, retry_after) = trouble(observation);
            assert_eq!(reason, UnavailableReason::RateLimited);
            assert!(retry_after.is_some_and(|seconds| (59..=60).contains(&seconds)));
        }
        assert_eq!(server.calls(), 2, "those that were on their way");
    }
}

fn resident_bytes() -> u64 {
    let pages = std::fs::File::open("/proc/self/statm")
        .and_then(std::io::read_to_string)
        .unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

/// A gzipped tar archive with a manifest and `megabytes` of filling, written as it is made.
fn write_large_archive(stream: &mut TcpStream, megabytes: usize, written: &AtomicU64) {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::none());
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(2);
    tar.append_data(&mut header, "package/package.json", &b"{}"[..])
        .unwrap();
    encoder.write_all(tar.get_ref()).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_path("package/filling").unwrap();
    header.set_size((megabytes as u64) << 20);
    header.set_cksum();
    encoder.write_all(header.as_bytes()).unwrap();
    for _ in 0..megabytes {
        encoder.write_all(&vec![b'x'; 1 << 20]).unwrap();
        send(stream, encoder.get_ref());
        written.fetch_add(encoder.get_ref().len() as u64, Ordering::SeqCst);
        encoder.get_mut().clear();
    }
    encoder.write_all(&[0; 1024]).unwrap();
    let rest = encoder.finish().unwrap();
    send(stream, &rest);
    written.fetch_add(rest.len() as u64, Ordering::SeqCst);
    let _gone = stream.shutdown(Shutdown::Write);
}

#[tokio::test]
async fn a_tarball_is_hashed_without_being_held() {
    let written = Arc::new(AtomicU64::new(0));
    let server = Server::start({
        let written = Arc::clone(&written);
        move |_call: &Call, stream: &mut TcpStream| {
            send(stream, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
            write_large_archive(stream, 200, &written);
        }
    });
    let patient = HttpFetchConfig {
        attempt_timeout: Duration::from_mins(1),
        budget: Duration::from_mins(1),
        ..quick()
    };
    let before = resident_bytes();
    let peak = async {
        let mut peak = before;
        loop {
            sleep(Duration::from_millis(5)).await;
            peak = peak.max(resident_bytes());
            if written.load(Ordering::SeqCst) > 200 << 20 {
                return peak;
            }
        }
    };
    let fetcher = HttpFetch::new(patient).unwrap();
    let (observation, peak) = tokio::join!(fetcher.fetch(tarball(server.at("x"))), peak);
    let response = response(observation);
    assert_eq!(response.size, written.load(Ordering::SeqCst));
    assert!(matches!(
        response.kept,
        Kept::Archive {
            manifest: ArchiveMember::Found { .. },
            ..
        }
    ));
    // Other tests run beside this one, so the bound is generous.
    assert!(peak - before < 100 << 20, "{} MiB", (peak - before) >> 20);
}

#[tokio::test]
async fn clients_with_either_roots_can_be_built() {
    for tls_roots in [TlsRoots::Bundled { extra_pem: Vec::new() }, TlsRoots::System] {
        let fetcher = HttpFetch::new(HttpFetchConfig { tls_roots, ..quick() }).unwrap();
        assert!(fetcher.build().is_ok());
    }
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let name = HttpFetch::new(HttpFetchConfig::new("two\nlines"));
    assert!(matches!(name, Err(HttpConfigFault::UserAgent(_))));
    for config in [
        HttpFetchConfig { attempts: 0, ..quick() },
        HttpFetchConfig {
            per_host_concurrency: 0,
            ..quick()
        },
    ] {
        assert!(matches!(HttpFetch::new(config), Err(HttpConfigFault::Nothing)));
    }
    let with = |pem: &str| HttpFetchConfig {
        tls_roots: TlsRoots::Bundled { extra_pem: pem.into() },
        ..quick()
    };
    assert!(matches!(
        HttpFetch::new(with("no certificate")),
        Err(HttpConfigFault::NoExtraRoots)
    ));
    let damaged = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
    assert!(matches!(
        HttpFetch::new(with(damaged)),
        Err(HttpConfigFault::ExtraRoots(_))
    ));
}

#[test]
fn a_backoff_stays_within_its_cap() {
    let fetcher = fetcher();
    for attempt in [1, 2, 3, 40, u32::MAX] {
        assert!(fetcher.backoff(attempt) <= fetcher.config.backoff_cap);
    }
}

#[tokio::test]
async fn bytes_of_any_kind_are_digested_and_none_is_kept() {
    let bytes = b"neither gzip nor JSON".repeat(4000);
    let server = Server::start({
        let bytes = bytes.clone();
        move |call: &Call, stream: &mut TcpStream| {
            assert!(call.head.contains("accept-encoding: identity"));
            send(stream, &reply("200 OK", &[], &bytes));
        }
    });
    let digests = |url| Request {
        keep: Keep::Digests,
        limit: 1 << 20,
        ..request(url)
    };
    let digested = response(fetcher().fetch(digests(server.at("x"))).await);
    let sha1 = <sha1::Sha1 as sha2::Digest>::digest(&bytes);
    assert_eq!(
        (digested.size, digested.sha256),
        (bytes.len() as u64, Digest::sha256_of(&bytes))
    );
    assert_eq!(
        digested.kept,
        Kept::Digests {
            sha512: Digest::sha512_of(&bytes),
            sha1: Digest::from_hex(crate::package::DigestAlgorithm::Sha1, &hex::encode(sha1)).unwrap(),
        }
    );
    // What was cut cannot be told from what ended.
    let unframed = [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n".as_slice(), &bytes].concat();
    let server = Server::with(unframed);
    let (reason, ..) = trouble(fetcher().fetch(digests(server.at("x"))).await);
    assert_eq!(reason, UnavailableReason::Unreachable);
}

#[tokio::test]
async fn an_upstream_may_lead_to_its_configured_store_alone_and_no_header_goes_there() {
    let store = Server::start(|call: &Call, stream: &mut TcpStream| {
        let told = if call.head.contains("authorization") {
            "401 Unauthorized"
        } else {
            "200 OK"
        };
        send(stream, &reply(told, &[], b"blob"));
    });
    let leading = || {
        Server::with(reply(
            "307 Temporary Redirect",
            &[&format!("Location: {}", store.at("b"))],
            b"",
        ))
    };
    let fetcher = |server: &Server, storage: Option<Url>| {
        HttpFetch::new(HttpFetchConfig {
            upstreams: vec![Upstream::bottles(server.at("v2"), storage)],
            ..quick()
        })
        .unwrap()
    };
    let registry = leading();
    let found = fetcher(&registry, Some(store.at("")))
        .fetch(request(registry.at("v2/x")))
        .await;
    assert_eq!(response(found).sha256, Digest::sha256_of(b"blob"));
    for storage in [None, Some(Url::parse("https://store.example/").unwrap())] {
        let registry = leading();
        let (_, detail, _) = trouble(fetcher(&registry, storage).fetch(request(registry.at("v2/x"))).await);
        assert!(detail.contains("a redirect to another host"), "{detail}");
    }
    // Whoever is no such upstream leads nowhere.
    let other = leading();
    let (_, detail, _) = trouble(
        fetcher(&registry, Some(store.at("")))
            .fetch(request(other.at("v2/x")))
            .await,
    );
    assert!(detail.contains("a redirect to another host"), "{detail}");
    assert_eq!(store.calls(), 1);
}
