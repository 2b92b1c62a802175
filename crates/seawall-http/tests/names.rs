//! Names that change, and names that stand for several addresses, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod common;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{SOON, attempt, get, whole};
use seawall_core::EndpointId;
use seawall_http::{NamesNews, Options, Resolve, Resolving, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Names have the addresses that the test says; none for a look-up that fails.
#[derive(Default)]
struct Zone {
    addresses: Mutex<Option<Vec<Ipv4Addr>>>,
    asked: AtomicUsize,
}

impl Resolve for Zone {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        assert_eq!(host, "weather.test");
        self.asked.fetch_add(1, Ordering::SeqCst);
        let addresses = self.addresses.lock().unwrap().clone();
        Box::pin(async move {
            let addresses = addresses.ok_or_else(|| io::Error::other("no answer"))?;
            Ok(addresses.into_iter().map(|ip| SocketAddr::from((ip, port))).collect())
        })
    }
}

const fn ip(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

/// Some addresses of this machine with a server each, on the same port, behind one name.
struct Scene {
    zone: Arc<Zone>,
    upstream: Transport,
    /// How many connections each server has open.
    open: Vec<Arc<AtomicUsize>>,
    left_out: Arc<Mutex<Vec<Arc<str>>>>,
    _tasks: JoinSet<()>,
}

impl Scene {
    /// Starts servers at 127.0.0.1 and on.
    async fn start(servers: u8) -> Self {
        let listeners = loop {
            if let Some(listeners) = listen(servers).await {
                break listeners;
            }
        };
        let port = listeners[0].local_addr().unwrap().port();
        let (mut tasks, mut open) = (JoinSet::new(), Vec::new());
        for listener in listeners {
            let counted = Arc::new(AtomicUsize::new(0));
            open.push(Arc::clone(&counted));
            tasks.spawn(serve(listener, counted));
        }
        let options = Options { dns_refresh: Duration::from_millis(10), ..Options::default() };
        let upstream = Transport::new(&format!("http://weather.test:{port}"), options).unwrap();
        let zone = Arc::new(Zone::default());
        let left_out: Arc<Mutex<Vec<_>>> = Arc::default();
        let (followed, resolver, told) = (upstream.clone(), zone.clone(), left_out.clone());
        tasks.spawn(async move {
            let tell = |news: NamesNews<'_>| {
                if let NamesNews::Changed { left_out, .. } = news {
                    *told.lock().unwrap() = left_out.to_vec();
                }
            };
            followed.follow_names(&*resolver, tell).await;
        });
        Self { zone, upstream, open, left_out, _tasks: tasks }
    }

    fn says(&self, addresses: impl IntoIterator<Item = Ipv4Addr>) {
        *self.zone.addresses.lock().unwrap() = Some(addresses.into_iter().collect());
    }

    /// Waits until these are the endpoints, each at its place.
    async fn until(&self, places: &[Option<u8>]) {
        let wanted = |place: &Option<u8>| place.map(|last| format!("http://{}:", ip(last)));
        let wanted: Vec<_> = places.iter().map(wanted).collect();
        until("the endpoints are others", || {
            let there = self.upstream.endpoints();
            let is_at = |(there, wanted): (&Option<Arc<str>>, &Option<String>)| match wanted {
                Some(wanted) => there.as_ref().is_some_and(|name| name.starts_with(wanted)),
                None => there.is_none(),
            };
            there.len() == wanted.len() && there.iter().zip(&wanted).all(is_at)
        })
        .await;
    }

    /// Asks the endpoint at a place; returns who answered.
    async fn ask(&self, place: u16) -> String {
        let mut attempt = attempt();
        attempt.endpoint = EndpointId(place);
        let answer = self.upstream.send(get("/"), &attempt).await.unwrap();
        String::from_utf8(whole(answer).await.unwrap().to_vec()).unwrap()
    }
}

async fn listen(servers: u8) -> Option<Vec<TcpListener>> {
    let mut listeners = vec![TcpListener::bind((ip(1), 0)).await.unwrap()];
    let port = listeners[0].local_addr().unwrap().port();
    for last in 2..=servers {
        listeners.push(TcpListener::bind((ip(last), port)).await.ok()?);
    }
    Some(listeners)
}

/// Answers every request with its own address and the host that was asked for.
async fn serve(listener: TcpListener, open: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let open = Arc::clone(&open);
        open.fetch_add(1, Ordering::SeqCst);
        connections.spawn(async move {
            let own = stream.local_addr().unwrap().ip();
            let mut request = [0; 1024];
            while let Ok(length @ 1..) = stream.read(&mut request).await {
                let asked = String::from_utf8_lossy(&request[..length]);
                let host = if asked.contains("host: weather.test") { "weather" } else { "nobody" };
                let words = format!("{own} {host}");
                let answer =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{words}", words.len());
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
            open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < SOON, "until {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn every_address_of_a_name_is_an_endpoint_that_is_asked_by_the_name() {
    let scene = Scene::start(2).await;
    scene.says([ip(2), ip(1)]);
    scene.until(&[Some(1), Some(2)]).await;
    assert_eq!(scene.ask(0).await, "127.0.0.1 weather");
    assert_eq!(scene.ask(1).await, "127.0.0.2 weather");
}

#[tokio::test]
async fn a_name_that_changed_takes_calls_elsewhere_and_its_old_connections_end() {
    let scene = Scene::start(2).await;
    scene.says([ip(1)]);
    scene.until(&[Some(1)]).await;
    assert_eq!(scene.ask(0).await, "127.0.0.1 weather");
    assert_eq!(scene.open[0].load(Ordering::SeqCst), 1);

    scene.says([ip(2)]);
    until("the old connection ends", || scene.open[0].load(Ordering::SeqCst) == 0).await;
    // Whatever place a call means that was on its way.
    for place in [0, 1, 5] {
        assert_eq!(scene.ask(place).await, "127.0.0.2 weather");
    }
}

#[tokio::test]
async fn an_endpoint_that_stays_keeps_its_place() {
    let scene = Scene::start(3).await;
    scene.says([ip(1), ip(2)]);
    scene.until(&[Some(1), Some(2)]).await;
    scene.says([ip(2), ip(3)]);
    scene.until(&[None, Some(2), Some(3)]).await;
    scene.says([ip(1), ip(2), ip(3)]);
    scene.until(&[Some(1), Some(2), Some(3)]).await;
}

#[tokio::test]
async fn a_look_up_that_fails_changes_nothing() {
    let scene = Scene::start(2).await;
    scene.says([ip(1), ip(2)]);
    scene.until(&[Some(1), Some(2)]).await;
    *scene.zone.addresses.lock().unwrap() = None;
    let asked = || scene.zone.asked.load(Ordering::SeqCst);
    let before = asked();
    until("it was asked again", || asked() > before + 2).await;
    assert_eq!(scene.ask(1).await, "127.0.0.2 weather");
    scene.says([]);
    let before = asked();
    until("it was asked again", || asked() > before + 2).await;
    assert_eq!(scene.ask(0).await, "127.0.0.1 weather");
}

#[tokio::test]
async fn an_address_that_nobody_listens_at_costs_no_call_while_another_one_can_be_reached() {
    let scene = Scene::start(2).await;
    scene.says([ip(1), ip(2), ip(3)]);
    scene.until(&[Some(1), Some(2)]).await;
    scene.says([ip(3)]);
    scene.until(&[None, None, Some(3)]).await;
}

#[tokio::test]
async fn more_endpoints_than_can_be_counted_are_left_out_by_name() {
    let scene = Scene::start(1).await;
    scene.says((2..=71).map(ip));
    until("some are left out", || scene.left_out.lock().unwrap().len() == 6).await;
    assert_eq!(scene.upstream.endpoints().iter().flatten().count(), 64);
    let name = scene.left_out.lock().unwrap()[0].clone();
    assert!(name.starts_with("http://127.0.0.66:"), "{name}");
}
