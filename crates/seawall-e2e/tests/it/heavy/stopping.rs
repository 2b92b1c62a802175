//! No request that was accepted is lost: not in a drain, not in a reload.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use rustix::process::Signal;
use tokio::task::JoinSet;

use super::alone;
use crate::fixture::{Client, Exchange, Origin, Seawall};

fn settings(origin: &Origin, generation: usize) -> String {
    format!(
        "[server]\ndrain = \"20s\"\n[upstream.origin]\nurl = \"{}\"\npolicy = \"p\"\n\
         [policy.p]\ntotal_timeout = \"{}s\"\n\
         [[route]]\nmatch = \"GET /{{*rest}}\"\nupstream = \"origin\"\n",
        origin.url(),
        30 + generation
    )
}

/// Forty clients on kept connections, ten requests a second each: 400 a second.
struct Load {
    clients: JoinSet<()>,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    lost: Arc<AtomicUsize>,
}

impl Load {
    /// A request is lost if its answer does not come; one is only sent on a connection that the
    /// server has not announced to close.
    fn start(seawall: &Seawall) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (sent, lost) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let mut clients = JoinSet::new();
        for number in 0..40 {
            let (stop, sent, lost) = (Arc::clone(&stop), Arc::clone(&sent), Arc::clone(&lost));
            let address = seawall.address;
            clients.spawn(async move {
                tokio::time::sleep(Duration::from_micros(2500) * number).await;
                let mut every = tokio::time::interval(Duration::from_millis(100));
                let mut client = Client::connect(address).await;
                while !stop.load(Relaxed) {
                    every.tick().await;
                    if client.has_ended() {
                        return;
                    }
                    client.send("GET /x HTTP/1.1\r\nhost: x\r\n\r\n").await;
                    sent.fetch_add(1, Relaxed);
                    match client.receive().await {
                        Some(answer) if answer.status == 200 && answer.is_complete => {
                            if answer.header("connection") == Some("close") {
                                return;
                            }
                        }
                        _ => {
                            lost.fetch_add(1, Relaxed);
                            return;
                        }
                    }
                }
            });
        }
        Self { clients, stop, sent, lost }
    }

    /// Waits until every client has ended; returns how many requests were sent and lost.
    async fn end(self) -> (usize, usize) {
        self.stop.store(true, Relaxed);
        self.clients.join_all().await;
        (self.sent.load(Relaxed), self.lost.load(Relaxed))
    }
}

fn origin() -> Origin {
    Origin::start(async |exchange: Exchange| {
        exchange.answer_after(Duration::from_millis(20), "ok").await
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p3_no_request_is_lost_in_nine_reloads_at_400_a_second() {
    let _alone = alone().await;
    let origin = origin();
    let seawall = Seawall::start(&settings(&origin, 0)).await;
    let load = Load::start(&seawall);

    for generation in 1..=9 {
        tokio::time::sleep(Duration::from_millis(1200)).await;
        seawall.write_settings(&settings(&origin, generation));
        seawall.signal(Signal::HUP);
    }
    tokio::time::sleep(Duration::from_millis(1200)).await;

    let (sent, lost) = load.end().await;
    assert!(sent >= 3000, "only {sent} requests were sent");
    assert_eq!(lost, 0, "of {sent}");
    assert!(seawall.metric("seawall_config_loaded_total", &[]).await >= 9.5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_no_request_is_lost_in_a_drain_at_400_a_second() {
    let _alone = alone().await;
    let origin = Origin::start(async |exchange: Exchange| {
        let wait = if exchange.target() == "/slow" { 1500 } else { 20 };
        exchange.answer_after(Duration::from_millis(wait), "ok").await
    });
    let mut seawall = Seawall::start(&settings(&origin, 0)).await;
    let load = Load::start(&seawall);
    let mut slow = JoinSet::new();
    for _ in 0..100 {
        let address = seawall.address;
        slow.spawn(async move { crate::fixture::get(address, "/slow").await.status });
    }
    tokio::time::sleep(Duration::from_secs(1)).await;

    seawall.signal(Signal::TERM);

    let slow = slow.join_all().await;
    assert!(slow.iter().all(|status| *status == 200), "{slow:?}");
    let (sent, lost) = load.end().await;
    assert!(sent >= 200, "only {sent} requests were sent");
    assert_eq!(lost, 0, "of {sent}");
    assert_eq!(seawall.wait().await.code(), Some(0), "{}", seawall.log());
}
