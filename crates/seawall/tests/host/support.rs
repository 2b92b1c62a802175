//! A host on free ports, and a client so small that nothing stands between test and bytes.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use seawall::exit::Exit;
use seawall::host::{Plan, RunningHost};
use seawall_admin::{Order, Orders, Reloaded};
use seawall_core::Observers;
use seawall_settings::{Source, UpstreamSettings};

/// Holds a host that serves a file of settings.
pub struct Running {
    pub listen: SocketAddr,
    pub admin: SocketAddr,
    pub file: PathBuf,
    orders: Orders,
    thread: JoinHandle<Exit>,
    _directory: tempfile::TempDir,
}

impl Running {
    /// Starts a host with these settings.
    pub fn start(settings: &str) -> Self {
        Self::start_told(settings, Observers::default())
    }

    /// Starts a host that also tells `observers` of every event.
    pub fn start_told(settings: &str, observers: Observers) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("seawall.toml");
        fs::write(&file, settings).unwrap();
        let any = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let plan = Plan {
            source: Source::File(file.clone()),
            mode: "run",
            listen: any,
            admin_listen: any,
            strict: false,
            replaces: false,
            workers: 2,
            talks: false,
            observers,
            connect: Box::new(UpstreamSettings::way),
        };
        let host = RunningHost::start(plan).map_err(|error| error.human(false)).unwrap();
        let (listen, admin, orders) = (host.addresses[0], host.admin_listen, host.orders());
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(host.run())
        });
        until("it is ready", || get(admin, "/readyz").status == 200);
        Self { listen, admin, file, orders, thread, _directory: directory }
    }

    /// Gives the order that a signal gives.
    pub fn signal(&self, number: u8) {
        self.orders.blocking_send(Order::Stop(number)).unwrap();
    }

    /// Reloads as a signal does, and returns what came of it.
    pub fn reload(&self) -> Reloaded {
        self.reload_with(false)
    }

    /// Reloads even if most routes are lost by it.
    pub fn reload_forced(&self) -> Reloaded {
        self.reload_with(true)
    }

    fn reload_with(&self, is_forced: bool) -> Reloaded {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.orders.blocking_send(Order::Reload { is_forced, reply: Some(reply) }).unwrap();
        answer.blocking_recv().unwrap()
    }

    /// Waits for the end.
    pub fn end(self) -> Exit {
        self.thread.join().unwrap()
    }

    /// Stops it and waits for the end.
    pub fn stop(self) -> Exit {
        self.signal(15);
        self.end()
    }

    /// Returns the status document.
    pub fn status(&self) -> serde_json::Value {
        serde_json::from_str(&get(self.admin, "/status.json").body).unwrap()
    }

    /// Returns the value of one series.
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = get(self.admin, "/metrics").body;
        text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok())
    }
}

/// Holds an answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Sends raw bytes and reads to the end of the connection.
pub fn raw(to: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// Sends a request with headers.
pub fn ask(to: SocketAddr, line: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = format!("{line} HTTP/1.1\r\nconnection: close\r\n");
    if !headers.iter().any(|(name, _)| *name == "host") {
        request.push_str(&format!("host: {to}\r\n"));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    raw(to, &(request + "\r\n"))
}

/// Sends a plain GET.
pub fn get(to: SocketAddr, path: &str) -> Answer {
    ask(to, &format!("GET {path}"), &[])
}

/// Waits until something holds.
pub fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        thread::yield_now();
    }
}

/// Holds an upstream that answers each request when it is told to.
pub struct Slow {
    pub address: SocketAddr,
    /// A request has arrived.
    pub arrived: Receiver<()>,
    answer: SyncSender<()>,
}

impl Slow {
    /// Starts it.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, arrived) = sync_channel(16);
        let (answer, answers) = sync_channel(16);
        // Ends with the process: a test is one.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::from("head");
                while !line.trim().is_empty() {
                    line.clear();
                    reader.read_line(&mut line).unwrap();
                }
                let _ = tell.send(());
                if answers.recv().is_err() {
                    return;
                }
                let mut stream = stream;
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nlate\n";
                // The client may have been cut.
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { address, arrived, answer }
    }

    /// Lets it answer one request.
    pub fn answer(&self) {
        self.answer.send(()).unwrap();
    }
}

/// Returns settings with one route to an upstream.
pub fn settings(upstream: &str) -> String {
    format!(
        "version = 1\n[server]\nlisten = \"127.0.0.1:8080\"\ndrain = \"5s\"\n\
         [policy.short]\nretry = \"off\"\n\
         breaker = {{ failures = \"50%\", of_at_least = 20, window = \"10s\", consecutive = 3, \
         open_for = \"60s\" }}\n\
         [upstream.up]\nurl = \"{upstream}\"\npolicy = \"short\"\n\
         [[route]]\nmatch = \"GET /api/{{name}}\"\nupstream = \"up\"\npath = \"/{{name}}\"\n"
    )
}

pub const PATIENCE: Duration = Duration::from_secs(20);
