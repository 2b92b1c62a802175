//! The classic example, on upstreams that we did not write: `GET /api/weather/{city}` calls
//! `http://upstream/{city}`, passes what comes, and stops when the client leaves.

use std::time::Duration;

use rustix::process::Signal;

use crate::fixture::{Client, Nginx, Origin, Python, Seawall, curl, get};

/// Settings of the classic example in front of an upstream, and one more line of the upstream.
fn weather(url: &str, more: &str) -> String {
    format!(
        "[upstream.weather]\nurl = \"{url}\"\n{more}\n\
         [[route]]\nmatch = \"GET /api/weather/{{city}}\"\nupstream = \"weather\"\npath = \"/{{city}}\"\n"
    )
}

#[tokio::test]
async fn curl_gets_the_weather_from_nginx() {
    let nginx = Nginx::start("").await;
    nginx.serve("oslo", "rain, 7 degrees\n");
    let seawall = Seawall::start(&weather(&nginx.url(), "")).await;

    let answer = curl(&["-i", &format!("http://{}/api/weather/oslo", seawall.address)]).await;

    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("rain, 7 degrees\n"), "{answer}");
    assert!(answer.contains("seawall-outcome: ok"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.").count(), 1, "{answer}");
}

#[tokio::test]
async fn curl_gets_the_weather_from_python_which_speaks_http_1_0() {
    let python = Python::start().await;
    python.serve("oslo", "snow, -3 degrees\n");
    let seawall = Seawall::start(&weather(&python.url(), "")).await;

    let answer = curl(&["-i", &format!("http://{}/api/weather/oslo", seawall.address)]).await;

    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("snow, -3 degrees\n"), "{answer}");
    assert!(python.folder().join("oslo").exists());
}

#[tokio::test]
async fn curl_over_http2_without_tls_gets_the_weather_too() {
    let nginx = Nginx::start("").await;
    nginx.serve("oslo", "rain, 7 degrees\n");
    let seawall = Seawall::start(&weather(&nginx.url(), "")).await;

    let url = format!("http://{}/api/weather/oslo", seawall.address);
    let answer = curl(&["-i", "--http2-prior-knowledge", &url]).await;

    assert!(answer.starts_with("HTTP/2 200"), "{answer}");
    assert!(answer.ends_with("rain, 7 degrees\n"), "{answer}");
}

#[tokio::test]
async fn head_over_http2_gets_a_head_whoever_answers() {
    let nginx = Nginx::start("").await;
    nginx.serve("oslo", "rain, 7 degrees\n");
    let seawall =
        Seawall::start(&weather(&nginx.url(), "[policy.standard.cache]\nfresh_for = \"1m\"")).await;
    let head = async |path: &str| {
        let url = format!("http://{}{path}", seawall.address);
        curl(&["-I", "--http2-prior-knowledge", &url]).await
    };
    assert_eq!(seawall.get("/api/weather/oslo").await.status, 200);
    let kept = head("/api/weather/oslo").await;
    assert!(kept.starts_with("HTTP/2 200") && kept.contains("content-length: 16"), "{kept}");
    assert!(kept.contains("\nage: "), "it comes from the cache: {kept}");
    let problem = head("/nothing/here").await;
    assert!(problem.starts_with("HTTP/2 404") && !problem.contains("curl:"), "{problem}");
}

#[tokio::test]
async fn a_status_that_is_no_success_is_passed_on_as_it_is() {
    let nginx = Nginx::start("location = /teapot { return 418 'short and stout'; }").await;
    let seawall = Seawall::start(&weather(&nginx.url(), "")).await;

    let teapot = seawall.get("/api/weather/teapot").await;
    assert_eq!((teapot.status, teapot.text()), (418, "short and stout"));

    let missing = seawall.get("/api/weather/atlantis").await;
    assert_eq!(missing.status, 404);
    assert!(missing.text().contains("nginx"), "the upstream's own page: {}", missing.text());
}

#[tokio::test]
async fn a_captured_value_reaches_the_upstream_encoded_and_nothing_else_of_the_path_does() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&format!(
        "[upstream.weather]\nurl = \"{}\"\n[[route]]\nmatch = \"GET /api/weather/{{city}}\"\n\
         upstream = \"weather\"\npath = \"/v1/forecast?q={{city}}\"\n",
        origin.url()
    ))
    .await;

    seawall.get("/api/weather/s%C3%A3o%20paulo").await;
    seawall.get("/api/weather/a%26b=c%23d").await;

    let heads = origin.seen.heads();
    assert!(
        heads[0].starts_with("GET /v1/forecast?q=s%C3%A3o%20paulo HTTP/1.1\r\n"),
        "{}",
        heads[0]
    );
    assert!(heads[1].starts_with("GET /v1/forecast?q=a%26b%3Dc%23d HTTP/1.1\r\n"), "{}", heads[1]);
}

#[tokio::test]
async fn a7_a_redirect_is_passed_on_and_never_followed() {
    let nginx = Nginx::start("location /moved { return 302 http://127.0.0.1:1/elsewhere; }").await;
    let seawall = Seawall::start(&weather(&nginx.url(), "")).await;

    let answer = seawall.get("/api/weather/moved").await;

    assert_eq!(answer.status, 302);
    assert_eq!(answer.header("location"), Some("http://127.0.0.1:1/elsewhere"));
}

#[tokio::test]
async fn bodies_stream_both_ways_in_full() {
    let origin = Origin::start(async |exchange| {
        let body = exchange.body.clone();
        exchange.answer(200, body).await
    });
    let seawall = Seawall::start(&format!(
        "[upstream.echo]\nurl = \"{}\"\n[[route]]\nmatch = \"POST /echo\"\nupstream = \"echo\"\n",
        origin.url()
    ))
    .await;
    let body: String = (0..300_000).map(|number| char::from(b'a' + (number % 26) as u8)).collect();

    let mut client = Client::connect(seawall.address).await;
    let length = body.len();
    client
        .send(format!("POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}"))
        .await;
    let answer = client.receive().await.unwrap();

    assert_eq!(answer.status, 200);
    assert_eq!(answer.text(), body);
}

#[tokio::test]
async fn at_most_five_calls_run_at_once_and_the_sixth_waits_its_turn() {
    let origin = Origin::start(async |exchange| {
        exchange.answer_after(Duration::from_millis(100), "ok").await
    });
    let settings = weather(&origin.url(), "policy = \"five\"")
        + "[policy.five]\nlimit = { in_flight = 5, queue = 100, queue_wait = \"10s\" }\n";
    let seawall = Seawall::start(&settings).await;

    let address = seawall.address;
    let calls: Vec<_> = (0..20)
        .map(|_| tokio::spawn(async move { get(address, "/api/weather/oslo").await }))
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().status, 200);
    }

    assert_eq!(origin.seen.most(), 5);
    assert_eq!(origin.seen.requests(), 20);
}

#[tokio::test]
async fn an_upstream_that_is_killed_and_comes_back_is_used_again() {
    let nginx = Nginx::start("").await;
    nginx.serve("oslo", "before");
    let port = nginx.port();
    let settings = weather(&nginx.url(), "policy = \"quick\"")
        + "[policy.quick]\nretry = \"off\"\nbreaker = { consecutive = 3, open_for = \"200ms\" }\n";
    let seawall = Seawall::start(&settings).await;
    assert_eq!(seawall.get("/api/weather/oslo").await.text(), "before");

    drop(nginx);
    for _ in 0..5 {
        let status = seawall.get("/api/weather/oslo").await.status;
        assert!(matches!(status, 502 | 503), "{status}");
    }

    let nginx = Nginx::start_at(port, "").await;
    nginx.serve("oslo", "after");
    let back = std::time::Instant::now();
    while seawall.get("/api/weather/oslo").await.status != 200 {
        assert!(back.elapsed() < Duration::from_secs(5), "the upstream is back, but not used");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(seawall.get("/api/weather/oslo").await.text(), "after");
}

#[tokio::test]
async fn an_upstream_that_is_frozen_times_out_and_is_used_again_once_it_thaws() {
    let nginx = Nginx::start("").await;
    nginx.serve("oslo", "rain");
    let settings = weather(&nginx.url(), "policy = \"quick\"")
        + "[policy.quick]\ntotal_timeout = \"300ms\"\nattempt_timeout = \"300ms\"\nretry = \"off\"\n";
    let seawall = Seawall::start(&settings).await;
    assert_eq!(seawall.get("/api/weather/oslo").await.status, 200);

    nginx.signal(Signal::STOP);
    let frozen = seawall.get("/api/weather/oslo").await;
    assert_eq!(frozen.status, 504, "{}", frozen.text());
    assert_eq!(frozen.json()["fate"], "timed_out");

    nginx.signal(Signal::CONT);
    assert_eq!(seawall.get("/api/weather/oslo").await.text(), "rain");
}
