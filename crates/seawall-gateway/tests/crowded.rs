//! P8 and L5: the way in when there are no files left. A test of its own program, since the limit
//! on files holds for a whole process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use seawall_core::{Event, Observer, ServerEvent};
use seawall_gateway::{Gateway, Settings};
use tokio_util::sync::CancellationToken;

#[derive(Default)]
struct Failures(AtomicUsize);

impl Observer for Failures {
    fn on(&self, event: &Event<'_>) {
        let mfile = Errno::MFILE.raw_os_error();
        if matches!(event, Event::Server(ServerEvent::AcceptFailed { errno }) if *errno == mfile) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn p8_without_files_clients_are_told_and_the_loop_goes_on() {
    let failures = Arc::new(Failures::default());
    let gateway = Gateway::new(Settings::default(), Arc::clone(&failures)).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn({
        let (gateway, stop) = (gateway.clone(), stop.clone());
        async move { gateway.serve(listener, stop.clone(), stop).await }
    });
    tokio::task::yield_now().await;

    // On this one thread nobody is accepted before the next await.
    let mut clients: Vec<_> = (0..20).map(|_| client(address)).collect();
    let all = getrlimit(Resource::Nofile);
    let open = std::fs::read_dir("/proc/self/fd").unwrap().count() as u64;
    setrlimit(Resource::Nofile, Rlimit { current: Some(open + 4), maximum: all.maximum }).unwrap();

    let mut answers = Vec::new();
    for client in &mut clients {
        answers.push(status(client).await);
    }
    let served = answers.iter().filter(|status| **status == 404).count();
    let refused = answers.iter().filter(|status| **status == 503).count();
    assert!((1..=8).contains(&served), "{answers:?}");
    assert_eq!(served + refused, 20, "{answers:?}");
    assert!((1..=3).contains(&failures.0.load(Ordering::Relaxed)), "said once a second at most");

    // Those who were let in are still served, and others are once there is room again.
    let first = answers.iter().position(|status| *status == 404).unwrap();
    clients[first].write_all(REQUEST).unwrap();
    assert_eq!(status(&mut clients[first]).await, 404);
    drop(clients);
    setrlimit(Resource::Nofile, all).unwrap();
    let mut late = client(address);
    assert_eq!(status(&mut late).await, 404);
    stop.cancel();
    serving.await.unwrap();
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: h\r\n\r\n";

fn client(address: std::net::SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(REQUEST).unwrap();
    client.set_nonblocking(true).unwrap();
    client
}

/// Reads an answer, without a file more, and returns its status.
async fn status(client: &mut TcpStream) -> u16 {
    let mut text = Vec::new();
    for _ in 0..500 {
        let mut room = [0; 2048];
        match client.read(&mut room) {
            Ok(read) => text.extend_from_slice(&room[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        if text.ends_with(b"}") {
            return std::str::from_utf8(&text[9..12]).unwrap().parse().unwrap();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no answer, but {:?}", String::from_utf8_lossy(&text));
}
