//! Who may reach the admin port, and what for.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::fixture::{Origin, Seawall, ask, get};

fn settings(origin: &Origin, more: &str) -> String {
    format!(
        "{more}\n[upstream.origin]\nurl = \"{}\"\n\
         [[route]]\nmatch = \"GET /api/{{name}}\"\nupstream = \"origin\"\n",
        origin.url()
    )
}

#[tokio::test]
async fn a1_nothing_of_the_admin_port_is_on_the_public_one_by_any_trick() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&settings(&origin, "")).await;
    let admin = seawall.admin;
    for path in ["/metrics", "/healthz", "/readyz", "/status.json", "/reload"] {
        let requests = [
            format!("GET {path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n"),
            format!(
                "GET http://{admin}{path} HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n"
            ),
            format!(
                "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            ),
        ];
        for request in requests {
            let answer = ask(seawall.address, &request).await.unwrap();
            assert!(matches!(answer.status, 400 | 404 | 405), "{request}: {}", answer.status);
            assert!(!answer.text().contains("seawall_gateway"), "{request}");
        }
    }
    assert_eq!(origin.seen.requests(), 0);
}

#[tokio::test]
async fn a1_an_admin_port_open_to_the_network_needs_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let text = "version = 1\n[admin]\nlisten = \"0.0.0.0:0\"\n[upstream.x]\n\
        url = \"http://127.0.0.1:1\"\n[[route]]\nmatch = \"GET /x\"\nupstream = \"x\"\n";
    std::fs::write(folder.path().join("seawall.toml"), text).unwrap();

    let output = Seawall::command(folder.path(), &["run", "-c", "seawall.toml"]).output().unwrap();

    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("admin.token"), "{output:?}");
}

#[tokio::test]
async fn a2_the_admin_port_answers_its_pages_and_no_foreign_host() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&settings(&origin, "")).await;
    for path in ["/", "/metrics", "/healthz", "/readyz", "/status.json"] {
        assert_eq!(get(seawall.admin, path).await.status, 200, "{path}");
    }

    let foreign = "GET /status.json HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n";
    assert_eq!(ask(seawall.admin, foreign).await.unwrap().status, 421);
}

#[tokio::test]
async fn a2_a_change_is_refused_to_a_get_and_to_another_origin() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&settings(&origin, "")).await;
    let admin = seawall.admin;
    let generation = seawall.metric("seawall_config_generation", &[]).await;

    assert_eq!(get(admin, "/reload").await.status, 405);
    for header in ["origin: http://evil.example", "sec-fetch-site: cross-site"] {
        let request = format!(
            "POST /reload HTTP/1.1\r\nhost: {admin}\r\n{header}\r\ncontent-length: 0\r\n\
             connection: close\r\n\r\n"
        );
        assert_eq!(ask(admin, &request).await.unwrap().status, 403, "{header}");
    }
    assert!((seawall.metric("seawall_config_generation", &[]).await - generation).abs() < 0.5);
}

#[tokio::test]
async fn the_admin_port_says_what_happened_to_a_request() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&settings(&origin, "")).await;
    for _ in 0..3 {
        assert_eq!(seawall.get("/api/x").await.status, 200);
    }

    let ok = ["\"ok\"", "GET /api/{name}"];
    assert!((seawall.metric("seawall_gateway_requests_ended_total", &ok).await - 3.0).abs() < 0.5);
    let status = get(seawall.admin, "/status.json").await.json();
    assert!(status.to_string().contains("origin"), "{status}");
}

/// Connects to the admin port from another address of this machine.
async fn connect_from(source: [u8; 4], admin: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((source, 0))).unwrap();
    socket.connect(admin).await.unwrap()
}

/// Asks for liveness on a connection that stays open; returns whether it was answered.
async fn asks_healthz(stream: &mut TcpStream) -> bool {
    let request = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut answer = [0; 1024];
    stream.write_all(request).await.is_ok()
        && matches!(stream.read(&mut answer).await, Ok(length) if length > 0)
}

/// Probes as an orchestrator does, each time on a new connection.
async fn assert_probes_are_answered(seawall: &Seawall) {
    for number in 0..50 {
        for path in ["/healthz", "/readyz"] {
            let answer = timeout(Duration::from_secs(1), get(seawall.admin, path)).await;
            assert_eq!(answer.expect("within a second").status, 200, "{path}, {number}");
        }
    }
}

#[tokio::test]
async fn connections_that_ask_now_and_then_do_not_keep_a_probe_out() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&settings(&origin, "")).await;
    let admin = seawall.admin;
    let mut askers = JoinSet::new();
    for _ in 0..128 {
        askers.spawn(async move {
            loop {
                let mut stream = TcpStream::connect(admin).await.unwrap();
                while asks_healthz(&mut stream).await {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        });
    }
    assert_probes_are_answered(&seawall).await;
}

#[tokio::test]
async fn connections_that_never_finish_asking_do_not_keep_a_probe_out() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&settings(&origin, "")).await;
    let mut silent = Vec::new();
    for number in 0..128 {
        let mut stream = TcpStream::connect(seawall.admin).await.unwrap();
        if number % 2 == 0 {
            stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: local").await.unwrap();
        }
        silent.push(stream);
    }
    assert_probes_are_answered(&seawall).await;
}

#[tokio::test]
async fn an_address_with_many_connections_does_not_push_out_one_with_few() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&settings(&origin, "")).await;
    let mut alone = connect_from([127, 0, 0, 2], seawall.admin).await;
    assert!(asks_healthz(&mut alone).await);
    let mut many = Vec::new();
    for _ in 0..128 {
        let mut stream = TcpStream::connect(seawall.admin).await.unwrap();
        assert!(asks_healthz(&mut stream).await);
        many.push(stream);
    }
    assert!(asks_healthz(&mut alone).await);
}
