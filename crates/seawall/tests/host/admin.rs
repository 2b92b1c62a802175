//! The admin port of a running host: what it says, and to whom.

use std::collections::BTreeSet;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use seawall_core::{Event, Observer, ServerEvent};
use seawall_watch::names;

use crate::support::{PATIENCE, Running, ask, get, raw, settings};

#[test]
fn a_scrape_has_exactly_the_metrics_of_names_rs() {
    let host = Running::start(&settings("sim:calm"));
    assert_eq!(get(host.listen, "/api/oslo").status, 200);
    let text = get(host.admin, "/metrics").body;
    let named = names::ALL.iter().map(|metric| (metric.name, metric.kind.as_str()));
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    assert_eq!(types.collect::<Vec<_>>(), named.collect::<Vec<_>>());
    // Every sample belongs to a metric that has a name, and has its labels.
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let metric = names::ALL.iter().find(|metric| {
            name == metric.name
                || ["_bucket", "_sum", "_count"].iter().any(|end| {
                    metric.kind == names::MetricKind::Histogram
                        && name.strip_suffix(end) == Some(metric.name)
                })
        });
        let metric = metric.unwrap_or_else(|| panic!("{name} is not in names.rs"));
        for label in metric.labels {
            assert!(line.contains(&format!("{label}=\"")), "{line} has no {label}");
        }
    }
    assert_eq!(host.metric("seawall_call_started_total{upstream=\"up\"} "), Some(1.0));
    host.stop();
}

#[test]
fn a1_the_public_port_knows_nothing_of_the_admin_port() {
    let host = Running::start(&settings("sim:calm"));
    let admin = host.admin.to_string();
    for path in ["/", "/metrics", "/healthz", "/readyz", "/status.json", "/style.css"] {
        assert_eq!(get(host.listen, path).status, 404, "{path}");
        let by_host = ask(host.listen, &format!("GET {path}"), &[("host", &admin)]);
        assert_eq!(by_host.status, 404, "{path} by Host");
        // The target and Host disagree, or the target is another host: never the admin's answer.
        let absolute = format!("GET http://{admin}{path} HTTP/1.1\r\nhost: {admin}\r\n\r\n");
        let absolute = absolute.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
        let status = raw(host.listen, &absolute).status;
        assert!((400..500).contains(&status), "{path} by absolute target: {status}");
    }
    let reload = ask(host.listen, "POST /reload", &[("content-length", "0")]).status;
    assert_eq!(reload, 404);
    host.stop();
}

#[test]
fn a2_nothing_changes_but_by_post_from_here_with_the_token() {
    let settings = settings("sim:calm")
        + "[admin]\nlisten = \"127.0.0.1:9090\"\n\
           token = { env = \"NOT_SET_ANYWHERE\", default = \"secret\" }\n";
    let host = Running::start(&settings);
    let token = ("authorization", "Bearer secret");
    let none = ("content-length", "0");
    let own = host.admin.to_string();
    let own_origin = format!("http://{own}");
    for (line, headers, status) in [
        ("GET /reload", vec![token], 405),
        ("PUT /reload", vec![token, none], 405),
        ("POST /reload", vec![token, none, ("origin", "http://evil.example")], 403),
        ("POST /reload", vec![token, none, ("origin", "null")], 403),
        ("POST /reload", vec![token, none, ("sec-fetch-site", "cross-site")], 403),
        ("POST /reload", vec![none], 401),
        ("POST /reload", vec![none, ("authorization", "Bearer guess")], 401),
        ("POST /reload", vec![none, ("host", "evil.example"), ("authorization", "x")], 421),
        ("GET /status.json", vec![("host", "evil.example")], 421),
    ] {
        let answer = ask(host.admin, line, &headers);
        assert_eq!(answer.status, status, "{line} {headers:?}: {answer:?}");
    }
    let generation = || {
        let status = ask(host.admin, "GET /status.json", &[token]).body;
        serde_json::from_str::<serde_json::Value>(&status).unwrap()["settings"]["generation"]
            .clone()
    };
    assert_eq!(ask(host.admin, "GET /status.json", &[]).status, 401);
    assert_eq!(generation(), 1, "nothing has changed");
    let answer = ask(host.admin, "POST /reload", &[token, none, ("origin", &own_origin)]);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(generation(), 2);
    host.stop();
}

#[test]
fn a2_the_sixth_wrong_token_within_a_second_is_not_compared() {
    let host = Running::start(&settings("sim:calm"));
    let wrong = [("authorization", "Bearer guess"), ("content-length", "0")];
    let statuses: Vec<u16> =
        (0..40).map(|_| ask(host.admin, "POST /reload", &wrong).status).collect();
    assert_eq!(statuses[..5], [401; 5]);
    // Forty are sent in far less than eight seconds.
    assert!(statuses.contains(&429), "{statuses:?}");
    host.stop();
}

#[test]
fn a3_every_answer_forbids_scripts_frames_and_guessing() {
    let host = Running::start(&settings("sim:calm"));
    for path in ["/", "/status.json", "/metrics", "/style.css", "/healthz", "/nothing", "/reload"] {
        let head = get(host.admin, path).head;
        for header in [
            "content-security-policy: default-src 'self'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "cache-control: no-store",
        ] {
            assert!(head.contains(header), "{path} without {header}: {head}");
        }
    }
    host.stop();
}

#[test]
fn a11_random_paths_make_no_series() {
    let host = Running::start(&settings("sim:calm"));
    get(host.listen, "/api/oslo");
    let series = || -> BTreeSet<String> {
        let text = get(host.admin, "/metrics").body;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect()
    };
    let before = series();
    for number in 0..200 {
        ask(host.listen, &format!("GET /random/{number}"), &[("host", &format!("h{number}"))]);
        get(host.listen, &format!("/api/{number}"));
    }
    assert_eq!(series(), before);
    host.stop();
}

#[test]
fn a12_a_secret_is_nowhere_to_be_seen() {
    let canary = "canary-7f3a";
    let settings = settings("sim:calm")
        + &format!(
            "[admin]\nlisten = \"127.0.0.1:9090\"\n\
             token = {{ env = \"NOT_SET_ANYWHERE\", default = \"{canary}\" }}\n"
        );
    let host = Running::start(&settings);
    for path in ["/", "/status.json", "/metrics"] {
        let bearer = format!("Bearer {canary}");
        let answer = ask(host.admin, &format!("GET {path}"), &[("authorization", &bearer)]);
        assert_eq!(answer.status, 200, "{path}");
        assert!(!answer.body.contains(canary), "{path}");
    }
    host.stop();
}

/// Blocks whatever thread a request starts on, until it is let go.
struct Block(Mutex<Receiver<()>>);

impl Observer for Block {
    fn on(&self, event: &Event<'_>) {
        if matches!(event, Event::Server(ServerEvent::RequestStarted { .. })) {
            let _ = self.0.lock().unwrap().recv();
        }
    }
}

#[test]
fn the_admin_port_answers_while_every_data_thread_is_blocked() {
    let (let_go, blocked) = sync_channel::<()>(64);
    let host =
        Running::start_told(&settings("sim:calm"), Arc::new(Block(Mutex::new(blocked))).into());
    let listen = host.listen;
    // Enough that the kernel gives some to each of the two workers.
    let clients: Vec<_> = (0..32).map(|_| thread::spawn(move || get(listen, "/api/x"))).collect();
    let in_flight = "seawall_gateway_requests_in_flight{route=\"GET /api/{name}\"} ";
    crate::support::until("both workers are blocked", || host.metric(in_flight) == Some(2.0));
    let asked = std::time::Instant::now();
    for path in ["/healthz", "/readyz", "/status.json", "/metrics", "/"] {
        assert_eq!(get(host.admin, path).status, 200, "{path}");
    }
    assert!(asked.elapsed() < PATIENCE / 4, "it took {:?}", asked.elapsed());
    // Each waiting request needs a word, and then the channel says that nobody blocks any more.
    drop(let_go);
    for client in clients {
        assert_eq!(client.join().unwrap().status, 200);
    }
    host.stop();
}
