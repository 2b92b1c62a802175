//! How one process follows another: by taking its listening sockets over, or by those that a service
//! manager holds; and how a server leaves that clients are to be sent away from.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::Signal;
use tokio::task::JoinSet;

use crate::fixture::{Client, Exchange, Origin, PATIENCE, Seawall, ask_if_open, until};

fn settings(origin: &Origin, server: &str) -> String {
    format!(
        "[server]\n{server}\n[upstream.origin]\nurl = \"{}\"\n\
         [[route]]\nmatch = \"GET /{{*rest}}\"\nupstream = \"origin\"\n",
        origin.url()
    )
}

fn slow_origin() -> Origin {
    Origin::start(async |exchange: Exchange| {
        let wait = if exchange.target() == "/slow" { 1000 } else { 5 };
        exchange.answer_after(Duration::from_millis(wait), "ok").await
    })
}

/// Clients that ask all the time: on kept connections, on new ones, and of the admin port.
struct Load {
    clients: JoinSet<()>,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    lost: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Load {
    fn start(address: SocketAddr, admin: SocketAddr) -> Self {
        let mut load = Self {
            clients: JoinSet::new(),
            stop: Arc::default(),
            sent: Arc::default(),
            lost: Arc::default(),
        };
        for _ in 0..8 {
            load.spawn(|asker| asker.keep_asking(address));
            load.spawn(|asker| asker.ask_anew(address, "/x"));
        }
        for _ in 0..2 {
            load.spawn(|asker| asker.keep_asking_over_http2(address));
        }
        load.spawn(|asker| asker.ask_anew(admin, "/readyz"));
        load
    }

    fn spawn<F: Future<Output = ()> + Send + 'static>(&mut self, ask: impl FnOnce(Asker) -> F) {
        let Self { stop, sent, lost, .. } = &*self;
        let asker = Asker { stop: stop.clone(), sent: sent.clone(), lost: lost.clone() };
        self.clients.spawn(ask(asker));
    }

    /// Waits until so many more requests were sent.
    async fn goes_on(&self, more: usize) {
        let before = self.sent.load(Relaxed);
        until("requests are sent", || self.sent.load(Relaxed) >= before + more).await;
    }

    /// Returns how many requests were sent, and which were lost.
    async fn end(self) -> (usize, Vec<String>) {
        self.stop.store(true, Relaxed);
        self.clients.join_all().await;
        let lost = std::mem::take(&mut *self.lost.lock().unwrap());
        (self.sent.load(Relaxed), lost)
    }
}

struct Asker {
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    lost: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Asker {
    /// Asks on one connection after the other, each for as long as the server keeps it.
    async fn keep_asking(self, address: SocketAddr) {
        while !self.stop.load(Relaxed) {
            let mut client = Client::connect(address).await;
            while !self.stop.load(Relaxed) && !client.has_ended() {
                client.send("GET /x HTTP/1.1\r\nhost: x\r\n\r\n").await;
                self.sent.fetch_add(1, Relaxed);
                match client.receive().await {
                    Some(answer) if answer.status == 200 && answer.is_complete => {
                        if answer.header("connection") == Some("close") {
                            break;
                        }
                    }
                    answer => {
                        self.lose(format!("kept: {:?}", answer.map(|answer| answer.status)));
                        break;
                    }
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    }

    /// Asks over one HTTP/2 connection after the other, four at a time, each for as long as the
    /// server takes more.
    async fn keep_asking_over_http2(self, address: SocketAddr) {
        while !self.stop.load(Relaxed) {
            let stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let (executor, io) = (TokioExecutor::new(), TokioIo::new(stream));
            let (mut sender, driver) = http2::handshake(executor, io).await.unwrap();
            let driven = tokio::spawn(driver);
            while !self.stop.load(Relaxed) && sender.ready().await.is_ok() {
                let asking: JoinSet<_> = (0..4)
                    .map(|_| {
                        let request = http::Request::get(format!("http://{address}/x"));
                        let request = request.body(Empty::<Bytes>::new()).unwrap();
                        let answer = sender.try_send_request(request);
                        async move {
                            match answer.await {
                                Ok(answer) => {
                                    let status = answer.status();
                                    let body = answer.into_body().collect().await;
                                    body.map(|_| status).map_err(|error| error.to_string())
                                }
                                // What was not sent is asked for elsewhere, as by any client.
                                Err(error) if error.message().is_some() => Ok(StatusCode::OK),
                                Err(error) => Err(error.into_error().to_string()),
                            }
                        }
                    })
                    .collect();
                self.sent.fetch_add(asking.len(), Relaxed);
                for answer in asking.join_all().await {
                    if answer != Ok(StatusCode::OK) {
                        self.lose(format!("over HTTP/2: {answer:?}"));
                    }
                }
            }
            drop(sender);
            let _ended = driven.await;
        }
    }

    /// Asks on a new connection each time.
    async fn ask_anew(self, address: SocketAddr, path: &'static str) {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        while !self.stop.load(Relaxed) {
            self.sent.fetch_add(1, Relaxed);
            let answer = ask_if_open(address, &request).await;
            if answer.as_ref().is_none_or(|answer| answer.status != 200) {
                self.lose(format!("new, {path}: {:?}", answer.map(|answer| answer.status)));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn lose(&self, what: String) {
        self.lost.lock().unwrap().push(what);
    }
}

async fn pid(admin: SocketAddr) -> u64 {
    let status = crate::fixture::get(admin, "/status.json").await.json();
    status["runtime"]["pid"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_lost_when_servers_replace_each_other_under_load() {
    let origin = slow_origin();
    let mut seawall = Seawall::start(&settings(&origin, "drain = \"20s\"")).await;
    let load = Load::start(seawall.address, seawall.admin);
    for _ in 0..3 {
        load.goes_on(200).await;
        let address = seawall.address;
        let slow = tokio::spawn(async move { crate::fixture::get(address, "/slow").await.status });
        until("it is at the upstream", || origin.seen.now() > 0).await;
        let old = seawall.id();
        let status = seawall.replace().await;
        assert_eq!(status.code(), Some(0), "{}", seawall.log());
        assert_eq!(slow.await.unwrap(), 200, "what the old one had is finished");
        let new = pid(seawall.admin).await;
        assert!(new == u64::from(seawall.id()) && seawall.id() != old);
    }
    load.goes_on(200).await;

    let (sent, lost) = load.end().await;
    assert!(lost.is_empty(), "{} of {sent}: {lost:?}; {}", lost.len(), seawall.log());
    // The one that runs is found, and nobody else.
    assert_eq!(seawall.ask(&["reload"]).0, 0);
    seawall.signal(Signal::TERM);
    assert_eq!(seawall.wait().await.code(), Some(0), "{}", seawall.log());
    assert!(TcpStream::connect(seawall.address).is_err(), "somebody still has the socket");
}

#[tokio::test]
async fn who_replaces_nobody_is_the_first_and_who_is_not_asked_to_is_refused() {
    let origin = Origin::saying("ok");
    let mut seawall = Seawall::start(&settings(&origin, "")).await;
    let file = seawall.file().display().to_string();
    let output = seawall.command_here(&["run", "-c", &file]).output().unwrap();
    assert_eq!(output.status.code(), Some(4), "without --replace: {output:?}");
    seawall.signal(Signal::TERM);
    seawall.wait().await;
    let mut first = seawall.command_here(&["run", "--replace", "-c", &file]).spawn().unwrap();
    let begun = Instant::now();
    while TcpStream::connect(seawall.address).is_err() {
        assert!(begun.elapsed() < PATIENCE, "it does not start");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    first.kill().unwrap();
    first.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_drains_is_replaced_at_once_and_finishes_what_it_has() {
    let (let_go, held) = tokio::sync::watch::channel(false);
    let origin = Origin::start(move |exchange: Exchange| {
        let mut held = held.clone();
        async move {
            if exchange.target() == "/slow" {
                held.wait_for(|is_let_go| *is_let_go).await.unwrap();
            }
            exchange.answer(200, "ok").await
        }
    });
    let mut seawall = Seawall::start(&settings(&origin, "drain = \"60s\"")).await;
    let address = seawall.address;
    let slow = tokio::spawn(async move { crate::fixture::get(address, "/slow").await.status });
    until("it is at the upstream", || origin.seen.now() > 0).await;
    seawall.signal(Signal::TERM);
    until("the port is closed", || TcpStream::connect(address).is_err()).await;

    let mut old = seawall.start_successor();
    until("another one serves", || TcpStream::connect(address).is_ok()).await;
    assert_eq!(seawall.get("/x").await.status, 200);
    // The old one lets go of the admin port once it has heard that the new one serves.
    let begun = Instant::now();
    while pid(seawall.admin).await != u64::from(seawall.id()) {
        assert!(begun.elapsed() < PATIENCE, "the new one never has the admin port");
    }
    assert!(old.try_wait().unwrap().is_none() && !slow.is_finished(), "the old one still drains");
    let_go.send_replace(true);
    assert_eq!(slow.await.unwrap(), 200);
    let ended = tokio::task::spawn_blocking(move || old.wait().unwrap()).await.unwrap();
    assert_eq!(ended.code(), Some(0), "{}", seawall.log());
    assert_eq!(seawall.ask(&["reload"]).0, 0, "the new one is found");
}

#[tokio::test]
async fn a_successor_that_ends_before_it_serves_changes_nothing() {
    let origin = Origin::saying("ok");
    let mut seawall = Seawall::start(&settings(&origin, "")).await;
    let folder = match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => folder.into_string().unwrap(),
        None => format!("/tmp/seawall-{}", rustix::process::getuid().as_raw()),
    };
    let path = format!("{folder}/seawall-{}-{}.sock", seawall.admin.port(), seawall.id());
    for bytes in [0, 1] {
        let mut successor = UnixStream::connect(&path).unwrap();
        successor.set_read_timeout(Some(PATIENCE)).unwrap();
        // The files that come with the bytes are closed by the kernel.
        successor.read_exact(&mut vec![0; bytes]).unwrap();
        drop(successor);
        assert_eq!(seawall.get("/x").await.status, 200);
    }
    until("both are noticed", || seawall.log().matches("host.not_replaced").count() == 2).await;
    assert_eq!(seawall.ask(&["reload"]).0, 0, "it is still the one that is found");
    let status = seawall.replace().await;
    assert_eq!(status.code(), Some(0), "and can be replaced: {}", seawall.log());
    assert_eq!(seawall.get("/x").await.status, 200);
}

/// Runs a command with sockets that others hold, as systemd does: from file 3 on.
const AS_SYSTEMD: &str = "import os, sys\n\
    files = [int(file) for file in sys.argv[1].split(',')]\n\
    high = [os.dup2(file, 100 + place) for place, file in enumerate(files)]\n\
    for place, file in enumerate(high): os.dup2(file, 3 + place)\n\
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(files)),\n\
        LISTEN_FDNAMES=sys.argv[2], NOTIFY_SOCKET=sys.argv[3])\n\
    os.execv(sys.argv[4], sys.argv[4:])\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_of_a_service_manager_outlive_the_server_and_it_is_told_when_we_serve() {
    let origin = Origin::saying("ok");
    let [clients, admin] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    for socket in [&clients, &admin] {
        fcntl_setfd(socket, FdFlags::empty()).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let told = folder.path().join("notify");
    let manager = UnixDatagram::bind(&told).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let files = format!("{},{}", clients.as_raw_fd(), admin.as_raw_fd());
    let told = told.display().to_string();
    let wrapper = ["python3", "-c", AS_SYSTEMD, &files, "web:admin", &told];
    let ports = (clients.local_addr().unwrap(), admin.local_addr().unwrap());
    let hears = || {
        let mut word = [0; 100];
        let length = manager.recv(&mut word).unwrap();
        String::from_utf8_lossy(&word[..length]).trim().to_owned()
    };
    let begin = async || {
        // Ports that are not taken: nothing is bound there.
        let text = settings(&origin, "");
        let started = Seawall::start_at(&wrapper, &text, ports.0, ports.1).await;
        assert_eq!(hears(), "READY=1");
        started
    };

    let mut seawall = begin().await;
    assert_eq!(seawall.get("/x").await.status, 200);
    assert_eq!(pid(ports.1).await, u64::from(seawall.id()));
    seawall.signal(Signal::TERM);
    assert_eq!(hears(), "STOPPING=1");
    assert_eq!(seawall.wait().await.code(), Some(0), "{}", seawall.log());

    let mut early = TcpStream::connect(ports.0).unwrap();
    early.write_all(b"GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    early.set_nonblocking(true).unwrap();
    let mut early = tokio::net::TcpStream::from_std(early).unwrap();
    let _seawall = begin().await;
    let mut answer = String::new();
    let read = tokio::io::AsyncReadExt::read_to_string(&mut early, &mut answer);
    tokio::time::timeout(PATIENCE, read).await.expect("it is answered").unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_lame_duck_is_not_ready_and_takes_requests_all_the_same() {
    let origin = Origin::saying("ok");
    let mut seawall = Seawall::start(&settings(&origin, "lame_duck = \"60s\"")).await;
    let mut kept = Client::connect(seawall.address).await;
    seawall.signal(Signal::TERM);

    let begun = Instant::now();
    while crate::fixture::get(seawall.admin, "/readyz").await.status != 503 {
        assert!(begun.elapsed() < PATIENCE, "it stays ready");
    }
    for _ in 0..3 {
        assert_eq!(seawall.get("/x").await.status, 200);
        kept.send("GET /x HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let answer = kept.receive().await.unwrap();
        assert_eq!((answer.status, answer.header("connection")), (200, None));
    }
    let status = crate::fixture::get(seawall.admin, "/status.json").await.json();
    assert_eq!(status["phase"], "lame_duck");
    seawall.signal(Signal::TERM);
    // As a shell says it: 128 and the signal's number.
    assert_eq!(seawall.wait().await.code(), Some(143), "{}", seawall.log());
}

#[tokio::test]
async fn a_lame_duck_stops_when_its_time_is_over() {
    let origin = Origin::saying("ok");
    let mut seawall = Seawall::start(&settings(&origin, "lame_duck = \"300ms\"")).await;
    let begun = Instant::now();
    seawall.signal(Signal::TERM);
    assert_eq!(seawall.wait().await.code(), Some(0), "{}", seawall.log());
    assert!(begun.elapsed() >= Duration::from_millis(300), "it did not wait");
}

#[tokio::test]
async fn an_idle_server_with_idle_clients_stops_at_once() {
    let origin = Origin::saying("ok");
    let mut seawall = Seawall::start(&settings(&origin, "")).await;
    let (mut kept, _silent) =
        (Client::connect(seawall.address).await, Client::connect(seawall.address).await);
    kept.send("GET /x HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert_eq!(kept.receive().await.unwrap().status, 200);
    // Long enough that no request can be on its way.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let begun = Instant::now();
    seawall.signal(Signal::TERM);
    assert_eq!(seawall.wait().await.code(), Some(0), "{}", seawall.log());
    assert!(begun.elapsed() < Duration::from_millis(800), "{:?}", begun.elapsed());
}
