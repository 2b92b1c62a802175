//! Lines over HTTP, through a policy.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::Method;
use seawall_call::Policy;
use seawall_core::{Silent, UpstreamId};
use seawall_http::{Options, Simulation, Transport};
use seawall_policy::sim::{Behaviour, Scenario, ScenarioPhase};
use seawall_policy::{Params, rate, retry};
use seawall_testkit::{ScriptedReply, ScriptedUpstream};
use seawall_upstream::{Http, Upstream};
use seawall_worker::{Answers, Control, Forward, Job, LineCounts, Settings, run};
use tempfile::TempDir;

use crate::scene::dead;

fn guarded(policy: Policy, transport: Transport) -> Upstream {
    Upstream::new("orders", policy, Http::new(transport))
}

fn forward(script: &ScriptedUpstream, params: Params) -> Forward {
    let policy = Policy::seeded(UpstreamId(0), params, Arc::new(Silent), 1);
    let upstream = Transport::new(&script.url(), Options::default()).unwrap();
    Forward::new(guarded(policy, upstream), Method::POST, "/orders").unwrap()
}

/// Trusts the key, so that a POST is repeated.
fn trusting() -> Params {
    let retry = Some(retry::Params { idempotency_key: true, ..Default::default() });
    Params { retry, ..Params::standard() }
}

/// Sends the lines; returns the counts, the output's lines in the order of the input, and the dead
/// letters.
async fn send(forward: &Forward, text: &str) -> (LineCounts, Vec<String>, String) {
    let directory = TempDir::new().unwrap();
    let (input, output) = (directory.path().join("in"), directory.path().join("out"));
    std::fs::write(&input, text).unwrap();
    let settings = Settings { is_ordered: true, ..Settings::new(&input, &output) };
    let call = async |job: &Job| forward.call(job).await;
    let summary = run(&settings, &Control::default(), call).await.unwrap();
    let lines = std::fs::read_to_string(&output).unwrap();
    let letters = std::fs::read_to_string(dead(&output)).unwrap();
    (summary.counts, lines.lines().map(str::to_owned).collect(), letters)
}

#[tokio::test]
async fn each_attempt_says_its_number_and_how_long_it_will_wait() {
    let script =
        ScriptedUpstream::replies([ScriptedReply::status(503, "busy"), ScriptedReply::ok("taken")]);
    let script = script.await.unwrap();
    let forward = forward(&script, trusting()).answers(Answers::Raw);
    let (counts, lines, _) = send(&forward, "a\n").await;
    assert_eq!((counts.dead, lines), (0, vec!["taken".to_owned()]));
    let seen = script.seen();
    let number = |at: usize, name: &str| seen[at].header(name).and_then(|text| text.parse().ok());
    assert_eq!(number(0, "seawall-attempt"), Some(1));
    assert_eq!(number(1, "seawall-attempt"), Some(2));
    let (first, second): (Option<u64>, Option<u64>) =
        (number(0, "seawall-timeout-ms"), number(1, "seawall-timeout-ms"));
    assert!(second.is_some() && second < first, "{second:?} is not less than {first:?}");
}

#[tokio::test]
async fn each_answer_is_one_numbered_line_whatever_it_is() {
    let script = ScriptedUpstream::answering(|seen| match seen.body.as_ref() {
        b"json" => ScriptedReply::ok("{\n  \"a\": \"b\\nc\"\n}\n"),
        b"bytes" => ScriptedReply::ok(&b"\xff"[..]),
        b"nothing" => ScriptedReply::ok(""),
        _ => ScriptedReply::ok("two\nlines"),
    })
    .await
    .unwrap();
    let forward = forward(&script, Params::standard());
    let (_, lines, _) = send(&forward, "json\nbytes\nnothing\ntext\n").await;
    let expected = [
        r#"{"seq":0,"status":200,"answer":{   "a": "b\nc" }}"#,
        r#"{"seq":1,"status":200,"answer_b64":"/w=="}"#,
        r#"{"seq":2,"status":200,"answer":""}"#,
        r#"{"seq":3,"status":200,"answer":"two\nlines"}"#,
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_raw_answer_is_a_line_and_one_that_is_more_fails() {
    let script =
        ScriptedUpstream::answering(|seen| ScriptedReply::ok(seen.body.clone())).await.unwrap();
    let script_two =
        ScriptedUpstream::replies([ScriptedReply::ok("one\r\n"), ScriptedReply::ok("a\nb")]);
    let forward_one = forward(&script, Params::standard()).answers(Answers::Raw);
    assert_eq!(send(&forward_one, "oslo\nrome\n").await.1, ["oslo", "rome"]);
    let script_two = script_two.await.unwrap();
    let forward_two = forward(&script_two, Params::standard()).answers(Answers::Raw);
    let (counts, lines, letters) = send(&forward_two, "x\n").await;
    assert_eq!(
        (counts.output, lines.as_slice(), letters.as_str()),
        (1, &["one".to_owned()][..], "")
    );
    let (counts, _, letters) = send(&forward_two, "x\n").await;
    assert_eq!(counts.dead, 1);
    assert!(letters.contains("more than one line"), "{letters}");
}

#[tokio::test]
async fn every_attempt_of_a_line_has_its_key_and_no_other_line_has() {
    let script = ScriptedUpstream::answering({
        let asked = AtomicU32::new(0);
        move |_| match asked.fetch_add(1, Ordering::Relaxed) {
            0 => ScriptedReply::status(503, "busy"),
            1 => ScriptedReply::reset(),
            _ => ScriptedReply::ok("fine"),
        }
    })
    .await
    .unwrap();
    let forward = forward(&script, trusting());
    let (counts, ..) = send(&forward, "oslo\n").await;
    assert_eq!(counts.output, 1);
    let seen = script.seen();
    let keys: Vec<_> = seen.iter().map(|seen| seen.header("idempotency-key").unwrap()).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0] && key.len() == 26), "{keys:?}");
    assert_eq!(seen[2].body, "oslo");
}

#[tokio::test]
async fn what_may_have_been_seen_is_not_sent_again_at_most_once() {
    let script = ScriptedUpstream::answering(|_| ScriptedReply::reset()).await.unwrap();
    let forward = forward(&script, trusting()).at_most_once();
    let (counts, _, letters) = send(&forward, "oslo\n").await;
    assert_eq!((counts.dead, script.seen().len()), (1, 1));
    assert!(letters.contains("\"attempts\":1"), "{letters}");
}

#[tokio::test]
async fn a_status_that_is_no_success_is_told_in_the_dead_letter() {
    let script = ScriptedUpstream::answering(|_| ScriptedReply::status(422, "no such town\n"))
        .await
        .unwrap();
    let (counts, _, letters) = send(&forward(&script, Params::standard()), "oslo\n").await;
    assert_eq!(counts.dead, 1);
    assert!(letters.contains(r#""reason":"status 422: no such town","status":422"#), "{letters}");
}

#[tokio::test]
async fn an_answer_over_the_limit_is_not_held() {
    let script =
        ScriptedUpstream::answering(|_| ScriptedReply::ok("x".repeat(5_000))).await.unwrap();
    let forward = forward(&script, Params::standard()).answer_bytes_max(100);
    let (counts, _, letters) = send(&forward, "oslo\n").await;
    assert_eq!(counts.dead, 1);
    assert!(letters.contains("the answer has more than 100 bytes"), "{letters}");
}

#[tokio::test]
async fn a_line_that_the_policy_refuses_waits_and_is_sent() {
    let script = ScriptedUpstream::answering(|_| ScriptedReply::ok("fine")).await.unwrap();
    let rate = Some(rate::Params { per_second: 20.0, burst: 1, ..Default::default() });
    let params = Params { rate, ..Params::standard() };
    let lines = "a line\n".repeat(8);
    let (counts, ..) = send(&forward(&script, params.clone()), &lines).await;
    assert_eq!((counts.output, counts.dead), (8, 0));

    let impatient = forward(&script, params).give_up(Some(Duration::ZERO));
    let (counts, _, letters) = send(&impatient, &lines).await;
    assert!(counts.dead > 0, "{counts:?}");
    assert!(letters.contains("rate"), "{letters}");
}

#[tokio::test]
async fn a_post_waits_while_connections_are_refused_and_until_429_is_over() {
    let calls = AtomicU32::new(0);
    let mut script = ScriptedUpstream::answering(move |_| {
        // Every tenth is told to come again.
        match calls.fetch_add(1, Ordering::Relaxed) % 10 {
            9 => ScriptedReply::with_headers(429, &[("retry-after", "1")], "later"),
            _ => ScriptedReply::ok("fine"),
        }
    })
    .await
    .unwrap();
    script.kill().await;
    let forward = forward(&script, Params::standard());
    let lines = "a line\n".repeat(200);
    let comes = async {
        let waits = async {
            while forward.waiting().is_none_or(|(lines, _)| lines < 64) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), waits).await.expect("no line waits");
        let (_, why) = forward.waiting().unwrap();
        assert!(why.contains("refused") || why.contains("breaker"), "{why}");
        script.restart().await.unwrap();
    };
    let ((counts, ..), ()) = tokio::join!(send(&forward, &lines), comes);
    assert_eq!((counts.output, counts.dead), (200, 0));
    assert_eq!(forward.waiting(), None);
}

#[tokio::test]
async fn a_line_that_always_fails_is_dead_after_its_attempts_and_one_that_was_seen_after_one() {
    for (params, attempts) in [(trusting(), 3), (Params::standard(), 1)] {
        let script = ScriptedUpstream::answering(|seen| match seen.body.starts_with(b"bad") {
            true => ScriptedReply::status(503, "no"),
            false => ScriptedReply::ok("fine"),
        });
        let script = script.await.unwrap();
        let forward = forward(&script, params);
        let (counts, _, letters) = send(&forward, &format!("bad\n{}", "good\n".repeat(50))).await;
        assert_eq!((counts.output, counts.dead), (50, 1));
        assert!(letters.contains(&format!("\"attempts\":{attempts}")), "{letters}");
    }
}

#[test]
fn a_target_that_is_no_path_is_refused() {
    let policy = Policy::seeded(UpstreamId(0), Params::standard(), Arc::new(Silent), 1);
    for path in ["orders", "", "http://other/host", "/a b"] {
        let upstream = Transport::new("http://127.0.0.1:1", Options::default()).unwrap();
        let forward = Forward::new(guarded(policy.clone(), upstream), Method::POST, path);
        assert!(forward.is_err(), "{path}");
    }
}

#[tokio::test]
async fn a_line_fills_path_and_body_and_one_that_cannot_is_dead() {
    let script = ScriptedUpstream::answering(|seen| {
        let said = format!(
            "{} {} {}",
            seen.method(),
            seen.target(),
            seen.header("content-type").unwrap_or("-")
        );
        ScriptedReply::ok(format!("{said} {}", String::from_utf8_lossy(&seen.body)))
    });
    let script = script.await.unwrap();
    let make = |method, path: &str| {
        let policy = Policy::seeded(UpstreamId(0), Params::standard(), Arc::new(Silent), 1);
        let upstream = Transport::new(&script.url(), Options::default()).unwrap();
        Forward::new(guarded(policy, upstream), method, path).unwrap().answers(Answers::Raw)
    };
    let get = make(Method::GET, "/weather/{line}?n={seq}");
    let (counts, lines, letters) = send(&get, "oslo\n..\ns\u{e3}o paulo\n").await;
    let expected = ["GET /weather/oslo?n=0 - ", "GET /weather/s%C3%A3o%20paulo?n=2 - "];
    assert_eq!(lines, expected);
    assert_eq!(counts.dead, 1);
    assert!(letters.contains("the value of `line` cannot be a path segment"), "{letters}");
    let put = make(Method::PUT, "/cities/{id}").body(r#"{"name":{name:json}}"#);
    let (counts, lines, letters) = send(&put, "{\"id\":7,\"name\":\"Oslo\"}\n{\"id\":8}\n").await;
    let expected = [r#"PUT /cities/7 text/plain; charset=utf-8 {"name":"Oslo"}"#];
    assert_eq!(lines, expected);
    assert_eq!(counts.dead, 1);
    assert!(letters.contains("there is no value for `name`"), "{letters}");
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_is_away_for_a_minute_costs_no_line_that_was_not_under_way() {
    let phase = |seconds, is_down| ScenarioPhase {
        name: String::new(),
        lasts: Duration::from_secs(seconds),
        behaviour: Behaviour { is_down, errors: 0.0, ..Behaviour::default() },
    };
    let phases = vec![phase(1, false), phase(60, true), phase(1, false)];
    let simulation = Simulation::new(Scenario { phases, repeat: false }, 5);
    let policy = Policy::seeded(UpstreamId(0), trusting(), Arc::new(Silent), 5);
    let upstream = Transport::simulated(simulation);
    let forward = Forward::new(guarded(policy, upstream), Method::POST, "/orders").unwrap();
    let lines: String = (0..5000).map(|line| format!("line {line}\n")).collect();
    let began = tokio::time::Instant::now();
    let (counts, _, _) = send(&forward, &lines).await;
    assert_eq!(counts.lines(), 5000);
    // Until the breaker opens, and one now and then that looks whether it is back.
    assert!(counts.dead <= 100, "{counts:?}");
    let took = began.elapsed().as_secs();
    assert!((61..90).contains(&took), "it did not wait for it to come back: {took} s");
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_hangs_now_and_then_stops_nothing() {
    let behaviour = Behaviour { hangs: 0.02, errors: 0.0, ..Behaviour::default() };
    let phases =
        vec![ScenarioPhase { name: String::new(), lasts: Duration::from_secs(1), behaviour }];
    let simulation = Simulation::new(Scenario { phases, repeat: false }, 6);
    let policy = Policy::seeded(UpstreamId(0), trusting(), Arc::new(Silent), 6);
    let upstream = Transport::simulated(simulation);
    let forward = Forward::new(guarded(policy, upstream), Method::POST, "/orders").unwrap();
    let lines: String = (0..2000).map(|line| format!("line {line}\n")).collect();
    let (counts, _, _) = send(&forward, &lines).await;
    assert_eq!(counts.lines(), 2000);
    assert!(counts.dead <= 5, "another attempt would have been answered: {counts:?}");
}
