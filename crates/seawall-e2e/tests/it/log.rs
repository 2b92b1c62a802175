//! The log of requests: what failed can be found by the id that the client was given.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use crate::fixture::{Client, Origin, Response, Seawall, ask, curl, free_port, until};

const PLAIN: &str = "[policy.test]\ntotal_timeout = \"2s\"\nattempt_timeout = \"300ms\"\n\
    retry = \"off\"\nbreaker = \"off\"\n";

fn settings(url: &str, more: &str) -> String {
    format!(
        "{more}\n{PLAIN}[upstream.origin]\nurl = \"{url}\"\npolicy = \"test\"\n\
         [[route]]\nmatch = \"GET /api/{{name}}\"\nupstream = \"origin\"\n"
    )
}

fn id_of(response: &Response) -> String {
    response.header("x-request-id").expect("every answer has an id").to_owned()
}

/// Waits for the lines about a request.
async fn lines_about(seawall: &Seawall, id: &str) -> Vec<String> {
    let of = || seawall.log().lines().filter(|line| line.contains(id)).map(str::to_owned).collect();
    until("the request is logged", || !Vec::<String>::is_empty(&of())).await;
    of()
}

/// Checks that there is one line about a request, and that it holds all these parts.
async fn check(seawall: &Seawall, id: &str, parts: &[&str]) {
    let lines = lines_about(seawall, id).await;
    assert_eq!(lines.len(), 1, "{lines:#?}");
    for part in parts {
        assert!(lines[0].contains(part), "no {part} in {}", lines[0]);
    }
    assert!(!lines[0].contains("hidden"), "a query is in {}", lines[0]);
}

#[tokio::test]
async fn a_failed_request_is_logged_once_with_what_went_wrong_and_where() {
    let origin = Origin::start(async |exchange| exchange.reset());
    let seawall = Seawall::start(&settings(&origin.url(), "")).await;

    let answer = seawall.get("/api/oslo?token=hidden").await;

    assert_eq!(answer.status, 502);
    let endpoint = format!("endpoint=\"{}\"", origin.url());
    let parts = [
        "WARN request failed",
        "event=\"request.failed\"",
        "client=\"127.0.0.1\"",
        "method=\"GET\" path=\"/api/oslo\"",
        "route=\"GET /api/{name}\"",
        "status=502 fate=\"failed\" attempts=1",
        "fault=\"reset\" step=\"head\" side=\"upstream\"",
        "cause=\"attempt 1 failed",
        "upstream=\"origin\"",
        &endpoint,
        "seconds=",
    ];
    check(&seawall, &id_of(&answer), &parts).await;
    let faulted = seawall.metric("seawall_call_attempts_faulted_total", &["fault=\"reset\""]).await;
    assert!((faulted - 1.0).abs() < 0.5, "{faulted}");
}

#[tokio::test]
async fn a_request_that_ran_out_of_time_names_the_endpoint_that_hung() {
    let origin = Origin::silent();
    let seawall = Seawall::start(&settings(&origin.url(), "")).await;

    let answer = seawall.get("/api/oslo").await;

    assert_eq!(answer.status, 504);
    let endpoint = format!("endpoint=\"{}\"", origin.url());
    let parts = ["fate=\"timed_out\"", "attempt 1 took longer than its limit", &endpoint];
    check(&seawall, &id_of(&answer), &parts).await;
}

#[tokio::test]
async fn a_failure_in_the_upstreams_own_words_is_logged_with_its_status() {
    let origin = Origin::start(async |exchange| exchange.answer(500, "no").await);
    let seawall = Seawall::start(&settings(&origin.url(), "")).await;

    let answer = seawall.get("/api/oslo").await;

    assert_eq!((answer.status, answer.text()), (500, "no"));
    let parts = ["event=\"request.failed\"", "cause=\"the upstream answered 500\"", &origin.url()];
    check(&seawall, &id_of(&answer), &parts).await;
}

#[tokio::test]
async fn a_request_that_came_to_no_route_is_logged_with_the_id_of_its_answer() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&settings(&origin.url(), "")).await;

    let unknown = seawall.get("/nothing?token=hidden").await;
    let smuggling = "GET /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\
        transfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let malformed = ask(seawall.address, smuggling).await.unwrap();

    assert_eq!((unknown.status, malformed.status), (404, 400));
    let parts = ["INFO request refused", "refused=\"no_route\"", "path=\"/nothing\"", "status=404"];
    check(&seawall, &id_of(&unknown), &parts).await;
    assert_eq!(unknown.json()["request_id"], id_of(&unknown));
    let parts = ["refused=\"malformed\"", "status=400", "client=\"127.0.0.1\"", "cause="];
    check(&seawall, &id_of(&malformed), &parts).await;
    assert_eq!(malformed.json()["request_id"], id_of(&malformed));
}

#[tokio::test]
async fn a_head_that_never_came_to_its_end_is_logged() {
    let origin = Origin::saying("ok");
    let more = "[server]\nlimits.head_timeout = \"200ms\"";
    let seawall = Seawall::start(&settings(&origin.url(), more)).await;

    let slow = ask(seawall.address, "GET /api/x HTTP/1.1\r\nhost: ").await.unwrap();

    assert_eq!(slow.status, 408);
    check(&seawall, &id_of(&slow), &["refused=\"head_timeout\"", "status=408"]).await;
}

#[tokio::test]
async fn a_request_that_a_strategy_refused_is_logged_with_its_fate() {
    let origin = Origin::saying("ok");
    let text = settings(&origin.url(), "")
        .replace("breaker = \"off\"", "breaker = \"off\"\nrate = { limit = \"1/m\", burst = 1 }");
    let seawall = Seawall::start(&text).await;

    assert_eq!(seawall.get("/api/oslo").await.status, 200);
    let refused = seawall.get("/api/oslo").await;

    assert_eq!(refused.status, 429);
    let parts = ["request.refused", "fate=\"rejected_rate\"", "the rate limit has no token"];
    check(&seawall, &id_of(&refused), &parts).await;
}

#[tokio::test]
async fn an_answer_that_broke_off_is_logged_when_it_does() {
    let origin = Origin::sending("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
    let seawall = Seawall::start(&settings(&origin.url(), "")).await;

    // The reset that follows may overtake the head, so the id is the client's own.
    let request = "GET /api/oslo HTTP/1.1\r\nhost: a\r\nx-request-id: cut-within-the-body\r\n\r\n";
    let cut = ask(seawall.address, request).await;

    assert!(cut.is_none_or(|cut| !cut.is_complete));
    let parts = ["request.cut", "fate=\"ok\"", "fault=\"truncated\" step=\"body\"", &origin.url()];
    check(&seawall, "cut-within-the-body", &parts).await;
}

#[tokio::test]
async fn a_client_that_left_is_logged_as_such_and_not_as_a_failure() {
    let origin = Origin::start(async |mut exchange| {
        if exchange.target().contains("head") {
            return exchange.wait_until_gone().await;
        }
        exchange.send(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
        exchange.wait_until_gone().await
    });
    let text = settings(&origin.url(), "").replace("300ms", "2s");
    let seawall = Seawall::start(&text).await;
    for (id, path) in [("before-the-head", "/api/head"), ("within-the-body", "/api/body")] {
        let mut client = Client::connect(seawall.address).await;
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nx-request-id: {id}\r\n\r\n");
        client.send(request).await;
        match path {
            "/api/body" => drop(client.receive_head().await),
            _ => drop(until("it is asked", || origin.seen.requests() > 0).await),
        }
        client.reset();

        check(&seawall, id, &["INFO request cancelled", "cause=\"the client left\""]).await;
    }
}

#[tokio::test]
async fn an_http2_request_is_logged_as_any_other() {
    let origin = Origin::start(async |exchange| exchange.reset());
    let seawall = Seawall::start(&settings(&origin.url(), "")).await;
    let url = format!("http://{}/api/oslo?token=hidden", seawall.address);

    let said = curl(&["--http2-prior-knowledge", "-i", &url]).await;

    let head = said.lines().find_map(|line| line.strip_prefix("x-request-id: "));
    let parts = ["event=\"request.failed\"", "path=\"/api/oslo\"", "fault=\"reset\"", "attempts=1"];
    check(&seawall, head.unwrap_or_else(|| panic!("{said}")).trim(), &parts).await;
}

#[tokio::test]
async fn requests_that_went_well_leave_no_line_unless_all_are_wanted() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&settings(&origin.url(), "")).await;
    let good = id_of(&seawall.get("/api/oslo").await);
    let bad = id_of(&seawall.get("/nothing").await);

    check(&seawall, &bad, &[]).await;
    assert!(!seawall.log().contains(&good), "{}", seawall.log());

    seawall.write_settings(&settings(&origin.url(), "[log]\nrequests = \"all\""));
    assert_eq!(seawall.ask(&["reload"]).0, 0);
    let good = id_of(&seawall.get("/api/oslo").await);
    check(&seawall, &good, &["INFO request answered", "fate=\"ok\"", "status=200"]).await;

    seawall.write_settings(&settings(&origin.url(), "[log]\nrequests = \"off\""));
    assert_eq!(seawall.ask(&["reload"]).0, 0);
    let last = id_of(&seawall.get("/nothing").await);
    seawall.write_settings(&settings(&origin.url(), "[log]\nrequests = \"failed\""));
    assert_eq!(seawall.ask(&["reload"]).0, 0);
    check(&seawall, &id_of(&seawall.get("/nothing").await), &[]).await;
    assert!(!seawall.log().contains(&last), "{}", seawall.log());
}

#[tokio::test]
async fn what_is_left_out_of_a_flood_is_counted() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&settings(&origin.url(), "")).await;
    let count = || seawall.log().matches("event=\"request.refused\"").count();
    // Whole lines only: the last one may be on its way.
    let left_out = || -> usize {
        let log = seawall.log();
        let counts = log.split(" left_out=").skip(1);
        counts.filter_map(|rest| rest.split('\n').next()?.trim().parse::<usize>().ok()).sum()
    };

    let start = std::time::Instant::now();
    let mut sent = 0;
    while left_out() == 0 {
        assert!(start.elapsed() < Duration::from_secs(30), "nothing is left out: {sent}");
        let mut client = Client::connect(seawall.address).await;
        for _ in 0..100 {
            client.send("GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n").await;
            assert_eq!(client.receive().await.unwrap().status, 404);
            sent += 1;
        }
    }
    let seconds = start.elapsed().as_secs() as usize + 2;
    assert!(count() <= 20 * seconds, "{} lines in {seconds} s", count());
    assert!(count() + left_out() <= sent, "{} + {} of {sent}", count(), left_out());
}

#[tokio::test]
async fn an_access_log_is_a_file_of_json_that_is_begun_anew_on_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    let (file, moved) = (folder.path().join("access.log"), folder.path().join("access.log.1"));
    let origin = Origin::saying("four");
    let more = format!("[log]\nrequests = \"all\"\nto = \"{}\"", file.display());
    let mut seawall = Seawall::start(&settings(&origin.url(), &more)).await;
    let read = |path: &Path| fs::read_to_string(path).unwrap_or_default();

    let first = id_of(&seawall.get("/api/oslo?token=hidden").await);
    until("it is written", || read(&file).contains(&first)).await;
    let line: serde_json::Value = serde_json::from_str(read(&file).trim_end()).unwrap();
    for (key, value) in [
        ("event", "request.answered"),
        ("id", &*first),
        ("client", "127.0.0.1"),
        ("transport", "http1"),
        ("method", "GET"),
        ("path", "/api/oslo"),
        ("route", "GET /api/{name}"),
        ("fate", "ok"),
        ("upstream", "origin"),
        ("endpoint", &origin.url()),
    ] {
        assert_eq!(line[key], value, "{line}");
    }
    assert_eq!((&line["status"], &line["bytes"]), (&200.into(), &4.into()), "{line}");

    fs::rename(&file, &moved).unwrap();
    seawall.signal(Signal::USR1);
    until("there is a new file", || file.exists()).await;
    let second = id_of(&seawall.get("/api/oslo").await);
    until("it is written", || read(&file).contains(&second)).await;
    assert!(!read(&moved).contains(&second) && !read(&file).contains(&first));
    assert!(!seawall.log().contains(&second), "it stands in the file alone");

    let third = id_of(&seawall.get("/api/oslo").await);
    seawall.signal(Signal::TERM);
    assert!(seawall.wait().await.success());
    assert!(read(&file).contains(&third), "nothing is lost at the end: {}", read(&file));
}

#[tokio::test]
async fn a_combined_access_log_on_stdout_is_what_other_programs_read() {
    let origin = Origin::saying("four");
    let more = "[log]\nrequests = \"all\"\nto = \"stdout\"\nformat = \"combined\"";
    let seawall = Seawall::start(&settings(&origin.url(), more)).await;
    let request = "GET /api/oslo?token=hidden HTTP/1.1\r\nhost: a\r\nuser-agent: tester \"1\"\r\n\
        referer: http://a/page?token=hidden\r\nconnection: close\r\n\r\n";

    assert_eq!(ask(seawall.address, request).await.unwrap().status, 200);

    let wanted = "] \"GET /api/oslo HTTP/1.1\" 200 4 \"http://a/page\" \"tester \\\"1\\\"\"\n";
    until("it is written", || seawall.log().contains(wanted)).await;
    let log = seawall.log();
    let line = log.lines().find(|line| line.contains("/api/oslo")).unwrap();
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(!log.contains("hidden"), "{log}");
}

#[tokio::test]
async fn a_log_that_cannot_be_opened_is_refused_and_the_old_settings_keep_serving() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&settings(&origin.url(), "")).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing/access.log");
    let more = format!("[log]\nto = \"{}\"", path.display());
    seawall.write_settings(&settings(&origin.url(), &more));

    let (code, said) = seawall.ask(&["reload"]);

    assert_ne!(code, 0, "{said}");
    assert!(said.contains("could not open log.to"), "{said}");
    assert_eq!(seawall.get("/api/oslo").await.status, 200);
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_client_is_the_one_that_the_proxy_names() {
    let url = format!("http://127.0.0.1:{}", free_port());
    let more = "[server]\ntrusted_proxies = [\"127.0.0.1\"]";
    let seawall = Seawall::start(&settings(&url, more)).await;
    let request = "GET /api/oslo HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 192.0.2.7\r\n\
        connection: close\r\n\r\n";

    let answer = ask(seawall.address, request).await.unwrap();

    assert_eq!(answer.status, 502);
    let parts = ["client=\"192.0.2.7\"", "fault=\"refused\" step=\"connect\""];
    check(&seawall, &id_of(&answer), &parts).await;
}
