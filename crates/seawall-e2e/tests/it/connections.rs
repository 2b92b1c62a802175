//! Connections to upstreams that somebody on the way has forgotten: a NAT, a balancer, a restart.

use std::net::SocketAddr;
use std::time::Duration;

use seawall_testkit::{Forgets, Nat};
use tokio::task::JoinSet;

use crate::fixture::{Origin, Response, Seawall, ask, free_port, get, until};

/// So strict that any failure that counts shows at once.
const STRICT: &str = "total_timeout = \"5s\"\nattempt_timeout = \"500ms\"\n\
    retry = { backoff = \"1ms..2ms\", budget_floor = \"0/s\", budget = \"1%\" }\n\
    breaker = { consecutive = 2, of_at_least = 2, open_for = \"60s\" }";

/// A gateway in front of an upstream that is reached through a NAT, and that has many idle
/// connections.
struct Scene {
    origin: Origin,
    nat: Nat,
    seawall: Seawall,
}

impl Scene {
    async fn start() -> Self {
        Self::start_under(&[]).await
    }

    /// Starts with one data thread: each has idle connections of its own, and those of another
    /// thread that were used later than the one that was found dead are not suspected.
    async fn start_on_one_thread() -> Self {
        Self::start_under(&["taskset", "-c", "0"]).await
    }

    async fn start_under(wrapper: &[&str]) -> Self {
        let origin = Origin::start(async |exchange| {
            exchange.answer_after(Duration::from_millis(50), "ok").await
        });
        let nat = Nat::before(origin.address).await.unwrap();
        let url = nat.address();
        let settings = format!(
            "[upstream.origin]\nurl = \"http://{url}\"\npolicy = \"strict\"\n[policy.strict]\n\
             {STRICT}\n[[route]]\nmatch = \"/{{*rest}}\"\nupstream = \"origin\"\n"
        );
        let seawall = Seawall::start_under(wrapper, &settings).await;
        let scene = Self { origin, nat, seawall };
        scene.warm().await;
        scene
    }

    /// Leaves many connections idle.
    async fn warm(&self) {
        let mut calls = JoinSet::new();
        for _ in 0..32 {
            let address = self.seawall.address;
            calls.spawn(async move { get(address, "/x").await.status });
        }
        assert!(calls.join_all().await.iter().all(|status| *status == 200));
        assert!(self.nat.opened() > 8, "{}", self.nat.opened());
        until("the answers are over", || self.origin.seen.now() == 0).await;
    }

    async fn post(&self, more: &str) -> Response {
        let text = format!(
            "POST /x HTTP/1.1\r\nhost: x\r\n{more}content-length: 2\r\nconnection: close\r\n\r\nhi"
        );
        ask(self.seawall.address, &text).await.unwrap()
    }

    async fn assert_nothing_counted(&self) {
        for metric in ["seawall_upstream_breaker_changes_total", "seawall_call_retries_total"] {
            assert!(self.seawall.metric(metric, &[]).await < 0.5, "{metric}");
        }
    }
}

#[tokio::test]
async fn forgotten_connections_cost_a_get_neither_an_attempt_nor_its_answer() {
    let scene = Scene::start().await;
    scene.nat.forget(Forgets::WithReset);
    for number in 0..40 {
        let answer = scene.seawall.get("/x").await;
        assert_eq!(answer.status, 200, "{number}: {}", answer.text());
        assert!(answer.header("seawall-outcome").unwrap().contains("attempts=1"), "{number}");
    }
    assert!(scene.nat.met() >= 1, "none of them was used");
    assert!(scene.nat.met() <= 8, "each of them was tried in turn: {}", scene.nat.met());
    scene.assert_nothing_counted().await;
}

#[tokio::test]
async fn a_burst_over_forgotten_connections_is_answered_and_opens_no_breaker() {
    let scene = Scene::start().await;
    scene.nat.forget(Forgets::WithReset);
    scene.warm().await;
    scene.assert_nothing_counted().await;
}

#[tokio::test]
async fn a_post_that_met_a_forgotten_connection_fails_and_the_next_one_does_not() {
    let scene = Scene::start().await;
    scene.nat.forget(Forgets::WithReset);
    let before = scene.origin.seen.requests();
    let mut failed = 0;
    for _ in 0..20 {
        let answer = scene.post("").await;
        assert!(matches!(answer.status, 200 | 502), "{}", answer.text());
        failed += u64::from(answer.status == 502);
    }
    assert_eq!(failed, scene.nat.met(), "what was not sent twice has failed");
    assert!((1..=8).contains(&failed), "{failed}");
    assert_eq!(scene.origin.seen.requests() - before, 20 - usize::try_from(failed).unwrap());
    scene.assert_nothing_counted().await;
}

#[tokio::test]
async fn a_post_with_a_key_is_sent_again_over_a_fresh_connection() {
    let scene = Scene::start().await;
    scene.nat.forget(Forgets::WithReset);
    for number in 0..20 {
        let answer = scene.post("idempotency-key: one\r\n").await;
        assert_eq!(answer.status, 200, "{number}: {}", answer.text());
    }
    assert!(scene.nat.met() >= 1, "none of them was used");
    scene.assert_nothing_counted().await;
}

#[tokio::test]
async fn after_one_attempt_into_silence_the_next_takes_a_fresh_connection() {
    let scene = Scene::start_on_one_thread().await;
    scene.nat.forget(Forgets::InSilence);
    for number in 0..20 {
        let answer = scene.post("").await;
        assert!(matches!(answer.status, 200 | 504), "{number}: {}", answer.text());
    }
    assert!((1..=8).contains(&scene.nat.met()), "{}", scene.nat.met());
}

#[tokio::test]
async fn callers_in_a_hurry_do_not_close_each_others_connections() {
    let scene = Scene::start().await;
    let opened = scene.nat.opened();
    for _ in 0..5 {
        let hurried = "GET /x HTTP/1.1\r\nhost: x\r\nseawall-timeout-ms: 5\r\n\
            connection: close\r\n\r\n";
        assert_eq!(ask(scene.seawall.address, hurried).await.unwrap().status, 504);
    }
    scene.warm().await;
    assert!(scene.nat.opened() <= opened + 5 + 16, "{} after {opened}", scene.nat.opened());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_listener_of_the_settings_serves_the_same_routes() {
    let origin = Origin::saying("here");
    let second = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let settings = format!(
        "[[listener]]\naddress = \"{second}\"\n[upstream.origin]\nurl = \"{}\"\n\
         [[route]]\nmatch = \"/\"\nupstream = \"origin\"\n",
        origin.url()
    );
    let server = Seawall::start(&settings).await;
    for address in [server.address, second] {
        let answer = get(address, "/").await;
        assert_eq!((answer.status, answer.text()), (200, "here"));
    }
    let status = get(server.admin, "/status.json").await.json();
    let listen = status["listen"].as_str().unwrap_or_default();
    assert!(listen.contains(&second.to_string()), "{listen}");
}
