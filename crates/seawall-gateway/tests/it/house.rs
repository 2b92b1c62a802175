//! A gateway with one upstream, and clients and origins to speak with it byte by byte.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use seawall_call::Policy;
use seawall_core::{Event, RouteId, UpstreamId};
use seawall_gateway::{Gateway, Route, RouteEnd, Server, Settings};
use seawall_http::{Options, Transport};
use seawall_policy::Params;
use seawall_testkit::{EventPattern, Events};
use seawall_upstream::{Http, Operation, Upstream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Waits until an event of this pattern has come.
pub(crate) async fn told(events: &Events, pattern: EventPattern<impl Fn(&Event<'_>) -> bool>) {
    until(|| events.count(&pattern) > 0, pattern.text).await;
}

/// Waits until something holds; loopback needs a moment, and how long is not the point.
pub(crate) async fn until(mut holds: impl FnMut() -> bool, what: &str) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

pub(crate) struct House {
    pub(crate) gateway: Gateway,
    pub(crate) address: SocketAddr,
    pub(crate) ledger: Arc<Events>,
    pub(crate) stop: CancellationToken,
    pub(crate) cut: CancellationToken,
    pub(crate) served: JoinHandle<()>,
}

pub(crate) fn route(pattern: &str, upstream: &Upstream) -> Route {
    let (method, path) = pattern.split_once(' ').unwrap();
    let method = (method != "*").then(|| method.parse().unwrap());
    Route::new(RouteId(0), method, path, upstream.clone()).unwrap()
}

/// Changes what a route calls.
pub(crate) fn calling(route: Route, change: impl FnOnce(&mut Operation)) -> Route {
    let RouteEnd::Call(operation) = &route.to else { panic!("it calls nothing") };
    let mut operation = Operation::clone(operation);
    change(&mut operation);
    Route { to: RouteEnd::Call(Arc::new(operation)), ..route }
}

pub(crate) fn upstream(origin: SocketAddr, params: Params, ledger: &Arc<Events>) -> Upstream {
    let policy = Policy::new(UpstreamId(0), params, Arc::clone(ledger));
    let transport = Transport::new(&format!("http://{origin}"), Options::default());
    Upstream::new("origin", policy, Http::new(transport.unwrap()))
}

impl House {
    /// Opens a gateway whose every path leads to `origin`.
    pub(crate) async fn open(origin: SocketAddr) -> Self {
        Self::with(origin, Params::standard(), Server::default()).await
    }

    pub(crate) async fn with(origin: SocketAddr, params: Params, server: Server) -> Self {
        let ledger = Arc::new(Events::default());
        let upstream = upstream(origin, params, &ledger);
        let routes = vec![route("* /{*rest}", &upstream), route("GET /only-get", &upstream)];
        Self::serving(Settings { server, routes }, ledger).await
    }

    pub(crate) async fn serving(settings: Settings, ledger: Arc<Events>) -> Self {
        let gateway = Gateway::new(settings, Arc::clone(&ledger)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, cut) = (CancellationToken::new(), CancellationToken::new());
        let served = tokio::spawn({
            let (gateway, stop, cut) = (gateway.clone(), stop.clone(), cut.clone());
            async move { gateway.serve(listener, stop, cut).await }
        });
        Self { gateway, address, ledger, stop, cut, served }
    }

    pub(crate) async fn client(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// Sends `request` on a connection of its own and reads to the end.
    pub(crate) async fn ask(&self, request: &str) -> String {
        let mut client = self.client().await;
        client.send(request).await;
        client.rest().await
    }
}

/// Either end of a connection, byte by byte.
pub(crate) struct Client(pub(crate) TcpStream);

impl Client {
    pub(crate) async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Reads until `end` has come, and returns everything up to and with it.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut text = String::new();
        while !text.ends_with(end) {
            let mut byte = [0];
            let read = timeout(Duration::from_secs(5), self.0.read(&mut byte));
            match read.await {
                Ok(Ok(1)) => text.push(char::from(byte[0])),
                other => panic!("waited for {end:?}, got {text:?} and {other:?}"),
            }
        }
        text
    }

    /// Reads to the end of the connection.
    pub(crate) async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let read = timeout(Duration::from_secs(5), self.0.read_to_end(&mut bytes)).await;
        read.expect("the connection ends").ok();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Reads to the end of the connection, and returns how it ended.
    pub(crate) async fn end(&mut self) -> std::io::Result<usize> {
        let mut bytes = Vec::new();
        timeout(Duration::from_secs(5), self.0.read_to_end(&mut bytes)).await.expect("it ends")
    }
}

/// An origin that speaks only when the test says so.
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    listener: TcpListener,
}

impl Origin {
    pub(crate) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { address: listener.local_addr().unwrap(), listener }
    }

    pub(crate) async fn accept(&self) -> Client {
        let accepted = timeout(Duration::from_secs(5), self.listener.accept()).await;
        Client(accepted.expect("the gateway connects").unwrap().0)
    }

    /// Answers every request the same way, for ever.
    pub(crate) fn always(self, answer: &'static str) -> SocketAddr {
        let address = self.address;
        tokio::spawn(async move {
            while let Ok((stream, _)) = self.listener.accept().await {
                tokio::spawn(async move {
                    let mut stream = Client(stream);
                    loop {
                        let mut seen = String::new();
                        while !seen.ends_with("\r\n\r\n") {
                            let mut byte = [0];
                            match stream.0.read(&mut byte).await {
                                Ok(1) => seen.push(char::from(byte[0])),
                                _ => return,
                            }
                        }
                        stream.send(answer).await;
                    }
                });
            }
        });
        address
    }
}
