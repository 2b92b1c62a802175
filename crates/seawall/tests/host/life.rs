//! The end of a running host: what was accepted is finished, or said to be cut.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;

use seawall::exit::Exit;
use seawall::host::{Plan, RunningHost};
use seawall_core::Observers;
use seawall_settings::{Source, UpstreamSettings};

use crate::support::{Running, Slow, get, settings, until};

const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

#[test]
fn p1_what_is_in_flight_is_finished_and_the_end_is_0() {
    let slow = Slow::start();
    let host = Running::start(&settings(&format!("http://{}", slow.address)));
    let (listen, admin) = (host.listen, host.admin);
    let client = thread::spawn(move || get(listen, "/api/x"));
    slow.arrived.recv().unwrap();
    assert_eq!(get(admin, "/readyz").status, 200);
    host.signal(SIGTERM);
    until("readiness is red", || get(admin, "/readyz").status == 503);
    assert_eq!(get(admin, "/healthz").status, 200, "it is alive all the same");
    assert_eq!(host.status()["phase"], "stopping");
    assert_eq!(host.metric("seawall_runtime_draining "), Some(1.0));
    until("no new client is taken", || TcpStream::connect(listen).is_err());
    slow.answer();
    let answer = client.join().unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "late\n"));
    assert_eq!(host.end(), Exit::Done);
}

#[test]
fn what_outlasts_the_drain_is_cut_and_the_end_is_1() {
    let slow = Slow::start();
    let settings = settings(&format!("http://{}", slow.address));
    let host = Running::start(&settings.replace("\"5s\"", "\"100ms\""));
    let mut client = TcpStream::connect(host.listen).unwrap();
    client.write_all(b"GET /api/x HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    slow.arrived.recv().unwrap();
    host.signal(SIGTERM);
    assert_eq!(host.end(), Exit::No);
    // Closed or reset, and never half an answer that looks whole.
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn a_reload_changes_how_long_a_stop_waits() {
    let slow = Slow::start();
    let settings = settings(&format!("http://{}", slow.address));
    let host = Running::start(&settings.replace("\"5s\"", "\"600s\""));
    let mut client = TcpStream::connect(host.listen).unwrap();
    client.write_all(b"GET /api/x HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    slow.arrived.recv().unwrap();
    fs::write(&host.file, settings.replace("\"5s\"", "\"100ms\"")).unwrap();
    assert_eq!(host.reload().restart_needed, None);
    host.signal(SIGTERM);
    assert_eq!(host.end(), Exit::No);
}

#[test]
fn a_second_signal_stops_at_once() {
    let slow = Slow::start();
    let settings = settings(&format!("http://{}", slow.address));
    let host = Running::start(&settings.replace("\"5s\"", "\"600s\""));
    let listen = host.listen;
    let mut client = TcpStream::connect(listen).unwrap();
    client.write_all(b"GET /api/x HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    slow.arrived.recv().unwrap();
    host.signal(SIGINT);
    host.signal(SIGINT);
    assert_eq!(host.end(), Exit::Signal(SIGINT));
}

#[test]
fn an_idle_host_stops_with_0_and_its_ports_are_free_again() {
    let host = Running::start(&settings("sim:calm"));
    let (listen, admin) = (host.listen, host.admin);
    assert_eq!(get(listen, "/api/x").status, 200);
    assert_eq!(host.stop(), Exit::Done);
    for port in [listen, admin] {
        assert!(TcpStream::connect(port).is_err(), "{port}");
    }
}

fn plan(settings: &str, listen: SocketAddr, admin: SocketAddr) -> Plan {
    Plan {
        source: Source::Text { name: "test.toml".into(), text: settings.into() },
        mode: "run",
        listen: Some(listen),
        admin_listen: Some(admin),
        strict: false,
        replaces: false,
        workers: 1,
        talks: false,
        observers: Observers::default(),
        connect: Box::new(UpstreamSettings::way),
    }
}

#[test]
fn a_port_in_use_ends_with_4_and_says_what_to_do() {
    let host = Running::start(&settings("sim:calm"));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let taken = plan(&settings("sim:calm"), host.listen, any);
    let error = RunningHost::start(taken).err().expect("the port is taken");
    assert_eq!(error.exit(), Exit::Open);
    let words = error.human(false);
    assert!(words.contains(&format!("cannot listen on {}: address already in use", host.listen)));
    assert!(words.contains("--listen 127.0.0.1:0"), "{words}");
    let taken = plan(&settings("sim:calm"), any, host.admin);
    let words = RunningHost::start(taken).err().expect("the port is taken").human(false);
    assert!(words.contains("--admin-listen 127.0.0.1:0"), "{words}");
    host.stop();
}

#[test]
fn a1_an_admin_port_open_to_the_network_without_a_token_is_refused_before_any_port_is_bound() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let open = SocketAddr::from(([0, 0, 0, 0], 0));
    let error = RunningHost::start(plan(&settings("sim:calm"), any, open)).err().expect("no token");
    assert_eq!(error.exit(), Exit::Settings);
    assert!(error.human(false).contains("without a token"), "{}", error.human(false));
}

#[test]
fn refused_settings_end_with_3() {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let error =
        RunningHost::start(plan("version = 1\nlisten = 3\n", any, any)).err().expect("refused");
    assert_eq!(error.exit(), Exit::Settings);
}
