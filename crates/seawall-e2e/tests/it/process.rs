//! The process: how it stops, reloads, refuses, and survives what the system does to it.

use std::time::Duration;

use rustix::process::Signal;

use crate::fixture::{Client, Origin, Seawall, free_port, until};

fn settings(url: &str, more: &str) -> String {
    format!(
        "{more}\n[upstream.origin]\nurl = \"{url}\"\n\
         [[route]]\nmatch = \"GET /api/{{name}}\"\nupstream = \"origin\"\n"
    )
}

#[tokio::test]
async fn a_term_signal_finishes_what_is_in_flight_and_exits_with_0() {
    let origin = Origin::start(async |exchange| {
        exchange.answer_after(Duration::from_millis(500), "in time").await
    });
    let mut seawall = Seawall::start(&settings(&origin.url(), "[server]\ndrain = \"10s\"")).await;
    let mut client = Client::connect(seawall.address).await;
    client.send("GET /api/x HTTP/1.1\r\nhost: x\r\n\r\n").await;
    until("the request is at the upstream", || origin.seen.now() == 1).await;

    seawall.signal(Signal::TERM);

    let answer = client.receive().await.unwrap();
    assert_eq!(answer.text(), "in time");
    assert!(client.is_closed_within(Duration::from_secs(5)).await);
    assert_eq!(seawall.wait().await.code(), Some(0), "{}", seawall.log());
}

#[tokio::test]
async fn a_drain_that_runs_out_cuts_the_rest_and_exits_with_1() {
    let origin = Origin::silent();
    let mut seawall = Seawall::start(&settings(&origin.url(), "[server]\ndrain = \"300ms\"")).await;
    let mut client = Client::connect(seawall.address).await;
    client.send("GET /api/x HTTP/1.1\r\nhost: x\r\n\r\n").await;
    until("the request is at the upstream", || origin.seen.now() == 1).await;

    seawall.signal(Signal::TERM);

    assert_eq!(seawall.wait().await.code(), Some(1), "{}", seawall.log());
    until("the upstream sees its call end", || origin.seen.gone().len() == 1).await;
}

#[tokio::test]
async fn a_second_signal_stops_at_once() {
    let origin = Origin::silent();
    let mut seawall = Seawall::start(&settings(&origin.url(), "[server]\ndrain = \"60s\"")).await;
    let mut client = Client::connect(seawall.address).await;
    client.send("GET /api/x HTTP/1.1\r\nhost: x\r\n\r\n").await;
    until("the request is at the upstream", || origin.seen.now() == 1).await;

    seawall.signal(Signal::TERM);
    tokio::time::sleep(Duration::from_millis(200)).await;
    seawall.signal(Signal::TERM);

    // As a shell says it of a process that a signal ended: 128 and the signal's number.
    assert_eq!(seawall.wait().await.code(), Some(143), "{}", seawall.log());
}

#[tokio::test]
async fn p3_new_settings_take_effect_and_refused_ones_never_do() {
    let (first, second) = (Origin::saying("first"), Origin::saying("second"));
    let seawall = Seawall::start(&settings(&first.url(), "")).await;
    assert_eq!(seawall.get("/api/x").await.text(), "first");

    seawall.write_settings(&settings(&second.url(), ""));
    seawall.signal(Signal::HUP);
    let generation = |wanted: f64| {
        let seawall = &seawall;
        async move {
            while seawall.metric("seawall_config_generation", &[]).await < wanted {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    tokio::time::timeout(crate::fixture::PATIENCE, generation(2.0)).await.unwrap();
    assert_eq!(seawall.get("/api/x").await.text(), "second");

    seawall.write_settings("[upstream.origin]\nurll = \"nonsense\"\n");
    seawall.signal(Signal::HUP);
    let refused = async {
        while seawall.metric("seawall_config_refused_total", &[]).await < 1.0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(crate::fixture::PATIENCE, refused).await.unwrap();
    assert_eq!(seawall.get("/api/x").await.text(), "second");
    assert!(seawall.log().contains("urll"), "{}", seawall.log());
    assert_eq!(crate::fixture::get(seawall.admin, "/readyz").await.status, 200);
}

#[tokio::test]
async fn p3_a_change_of_the_file_is_noticed_without_a_signal() {
    let (first, second) = (Origin::saying("first"), Origin::saying("second"));
    let seawall = Seawall::start(&settings(&first.url(), "")).await;
    assert_eq!(seawall.get("/api/x").await.text(), "first");

    seawall.write_settings(&settings(&second.url(), ""));

    let noticed = async {
        while seawall.get("/api/x").await.text() != "second" {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(crate::fixture::PATIENCE, noticed).await.unwrap();
}

#[tokio::test]
async fn a_port_that_is_taken_is_exit_4_and_names_the_port() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "version = 1\n[server]\nlisten = \"127.0.0.1:{port}\"\n[admin]\nlisten = \"127.0.0.1:{}\"\n{}",
        free_port(),
        settings("http://127.0.0.1:1", "")
    );
    std::fs::write(folder.path().join("seawall.toml"), text).unwrap();

    let output = Seawall::command(folder.path(), &["run", "-c", "seawall.toml"]).output().unwrap();

    assert_eq!(output.status.code(), Some(4), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&port.to_string()), "{said}");
}

#[tokio::test]
async fn settings_that_are_wrong_are_exit_3_with_every_error_at_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let text = "version = 1\n[upstream.weather-api]\nurl = \"http://127.0.0.1:1\"\n\
        [[route]]\nmatch = \"GET /x\"\nupstream = \"weather-apy\"\n\
        [policy.p]\ntotal_timout = \"2s\"\n";
    std::fs::write(folder.path().join("seawall.toml"), text).unwrap();

    let output = Seawall::command(folder.path(), &["run", "-c", "seawall.toml"]).output().unwrap();

    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    for part in
        ["seawall.toml:6:12", "did you mean `weather-api`?", "seawall.toml:8:1", "total_timeout"]
    {
        assert!(said.contains(part), "{part} is missing: {said}");
    }
}

#[tokio::test]
async fn p8_accept_errors_are_survived() {
    let origin = Origin::saying("ok");
    for error in ["EMFILE", "ENFILE", "ECONNABORTED", "ENOBUFS", "ENOMEM", "EPERM"] {
        // Every second accept fails, from the second on; accepts that find nothing count too.
        let inject = format!("inject=accept4:error={error}:when=2+2");
        let wrapper =
            ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=accept4", "-e", &inject];
        let seawall = Seawall::start_under(&wrapper, &settings(&origin.url(), "")).await;
        let mut served = 0;
        for _ in 0..20 {
            // Without files, some clients are turned away; none is left hanging.
            let status = seawall.get("/api/x").await.status;
            assert!(matches!(status, 200 | 503), "{status} after {error}");
            served += usize::from(status == 200);
        }
        assert!(served >= 3, "{served} of 20 were served under {error}");
    }
}
