//! HTTP requests in the tower layer, and axum around it.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::error_handling::HandleErrorLayer;
use axum::routing::get;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use seawall_call::layer::{HttpClassifier, PermitBody, PolicyLayer};
use seawall_call::{CallError, ErrorKind, Part, Policy, Registry};
use seawall_core::{BreakerState, Deadline, Priority};
use seawall_policy::{Catalog, Params};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use crate::scene::{ms, now};

type Seen = Arc<Mutex<Vec<String>>>;

fn policy() -> Policy {
    Policy::builder().without(Part::Breaker).seed(1).build().expect("it is sound")
}

/// Sends one request to an upstream that answers with one status after the other.
async fn send(
    policy: Policy,
    request: Request<String>,
    statuses: &'static [u16],
) -> (Result<u16, CallError<Infallible>>, Vec<String>) {
    let seen = Seen::default();
    let log = seen.clone();
    let service = service_fn(move |request: Request<String>| {
        let mut log = log.lock().expect("no test panics in here");
        log.push(format!("{} {} {}", request.method(), request.uri(), request.body()));
        let status = statuses[(log.len() - 1).min(statuses.len() - 1)];
        let retry_after = request.headers().get("x-retry-after").cloned();
        async move {
            let mut response = Response::new(());
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            response.headers_mut().extend(retry_after.map(|wait| (header::RETRY_AFTER, wait)));
            Ok::<_, Infallible>(response)
        }
    });
    let service = PolicyLayer::new(policy).classified(HttpClassifier::cloned()).layer(service);
    let ended = service.oneshot(request).await.map(|response| response.status().as_u16());
    let seen = seen.lock().expect("no test panics in here").clone();
    (ended, seen)
}

fn request(method: Method, body: &str) -> Request<String> {
    let request = Request::builder().method(method).uri("/oslo?unit=c").body(body.to_owned());
    request.expect("it is whole")
}

#[tokio::test(start_paused = true)]
async fn a_put_is_repeated_with_all_that_was_in_it() {
    let (ended, seen) = send(policy(), request(Method::PUT, "sunny"), &[503, 200]).await;
    assert_eq!(ended.expect("the second answers"), 200);
    assert_eq!(seen, ["PUT /oslo?unit=c sunny"; 2]);
}

#[tokio::test(start_paused = true)]
async fn a_post_is_repeated_only_by_permission() {
    let post = || request(Method::POST, "sunny");
    let (ended, seen) = send(policy(), post(), &[503, 200]).await;
    assert_eq!((ended.expect("503 is an answer"), seen.len()), (503, 1));

    let any = Policy::builder().retry(|retry| retry.any_method = true).build();
    let (ended, seen) = send(any.expect("it is sound"), post(), &[503, 200]).await;
    assert_eq!((ended.expect("the second answers"), seen.len()), (200, 2));

    let keyed = || {
        let mut post = post();
        post.headers_mut().insert("idempotency-key", "one".parse().expect("a value"));
        post
    };
    let (ended, seen) = send(policy(), keyed(), &[503, 200]).await;
    assert_eq!((ended.expect("503 is an answer"), seen.len()), (503, 1), "nobody trusts the key");
    let trusting = Policy::builder().retry(|retry| retry.idempotency_key = true).build();
    let (ended, seen) = send(trusting.expect("it is sound"), keyed(), &[503, 200]).await;
    assert_eq!((ended.expect("the second answers"), seen.len()), (200, 2));
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_is_waited_for_if_there_is_time_and_passed_on_if_not() {
    let asking = |seconds: &str| {
        let mut request = request(Method::GET, "");
        request.headers_mut().insert("x-retry-after", seconds.parse().expect("a value"));
        request
    };
    let started = now();
    let (ended, _) = send(policy(), asking("3"), &[503, 200]).await;
    assert_eq!(ended.expect("the second answers"), 200);
    assert!(now() - started >= ms(3_000), "{:?}", now() - started);

    let started = now();
    let (ended, seen) = send(policy(), asking("31"), &[503, 200]).await;
    assert_eq!((ended.expect("503 is an answer"), seen.len()), (503, 1));
    assert_eq!(now() - started, ms(0));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_cannot_be_copied_is_sent_once_and_an_empty_one_as_often_as_needed() {
    let check = async |body: Body| {
        let seen = Arc::new(AtomicU32::new(0));
        let count = seen.clone();
        let service = service_fn(move |_: Request<Body>| {
            count.fetch_add(1, Ordering::Relaxed);
            std::future::ready(Err::<Response<Body>, _>("reset"))
        });
        let service = PolicyLayer::new(policy()).classified(HttpClassifier::new()).layer(service);
        let request = Request::put("/").body(body).expect("it is whole");
        let denied = service.oneshot(request).await.expect_err("it fails").to_string();
        (seen.load(Ordering::Relaxed), denied)
    };
    assert_eq!(check(Body::empty()).await, (3, "attempt 3 failed: reset".to_owned()));
    let once = "attempt 1 failed and was not repeated (body): reset".to_owned();
    assert_eq!(check(Body::from("sunny")).await, (1, once));
}

#[tokio::test(start_paused = true)]
async fn a_request_brings_its_own_deadline_priority_and_numbers() {
    let policy = Policy::builder().shed(|_| ()).build().expect("it is sound");
    let load = Arc::new(seawall_policy::shed::Load::default());
    load.set(0.85);
    policy.set_load(load);
    let layer = PolicyLayer::new(policy.clone()).classified(HttpClassifier::cloned());
    let hang = || {
        service_fn(|_: Request<Full<&'static [u8]>>| {
            std::future::pending::<Result<Response<()>, Infallible>>()
        })
    };
    let send = async |change: &dyn Fn(&mut http::Extensions)| {
        let mut request = Request::new(Full::default());
        change(request.extensions_mut());
        let started = now();
        let error = layer.layer(hang()).oneshot(request).await.expect_err("nobody answers");
        (error.kind(), error.attempts(), now() - started)
    };
    let deadline = Deadline::at(now() + ms(40));
    let ended = send(&|own| {
        own.insert(deadline);
    })
    .await;
    assert_eq!(ended, (ErrorKind::TimedOut, 1, ms(40)));

    let ended = send(&|own| {
        own.insert(Priority::Low);
    })
    .await;
    assert_eq!(ended, (ErrorKind::Shed, 0, ms(0)));

    let mut once = Params { retry: None, ..Params::clone(&policy.params()) };
    once.timeout.attempt = ms(10);
    let once = Arc::new(once);
    let ended = send(&|own| {
        own.insert(once.clone());
    })
    .await;
    assert_eq!(ended, (ErrorKind::TimedOut, 1, ms(10)));
}

#[tokio::test(start_paused = true)]
async fn a_request_for_another_host_has_the_policy_of_that_host() {
    let catalog = Catalog::builder()
        .define("standard", Params { retry: None, ..Params::standard() })
        .build()
        .expect("it is sound");
    let registry = Registry::new("standard", catalog).expect("it is there");
    let layer = PolicyLayer::new(policy()).classified(HttpClassifier::cloned());
    let ask = async |host: &'static str| {
        let failing =
            service_fn(|_: Request<String>| std::future::ready(Err::<Response<()>, _>("refused")));
        let mut request = request(Method::GET, "");
        request.extensions_mut().insert(registry.get(&host).expect("there is room"));
        layer.layer(failing).oneshot(request).await.expect_err("it fails").kind()
    };
    for _ in 0..10 {
        assert_eq!(ask("oslo").await, ErrorKind::Failed);
    }
    assert_eq!(ask("oslo").await, ErrorKind::BreakerOpen);
    assert_eq!(ask("bergen").await, ErrorKind::Failed);
}

/// An axum router whose handler fails as often as it is told, and the policy around it.
fn router(policy: Policy, failures: u32, seen: &Arc<AtomicU32>) -> Router {
    let seen = seen.clone();
    let handler = move || {
        let number = seen.fetch_add(1, Ordering::Relaxed);
        let status = if number < failures { 503 } else { 200 };
        std::future::ready((StatusCode::from_u16(status).expect("a status"), "sunny"))
    };
    let refusals = HandleErrorLayer::new(async |error: CallError<Infallible>| {
        error.to_response::<Body>("weather")
    });
    let guarded = ServiceBuilder::new()
        .layer(refusals)
        .layer(PolicyLayer::new(policy).classified(HttpClassifier::new()));
    Router::new().route("/oslo", get(handler)).layer(guarded)
}

async fn ask(router: &Router) -> (u16, String) {
    let request = Request::get("/oslo").body(Body::empty()).expect("it is whole");
    let response = router.clone().oneshot(request).await.expect("axum always answers");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("it is whole").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("it is text"))
}

#[tokio::test(start_paused = true)]
async fn an_axum_handler_is_asked_again_and_its_clients_see_only_the_good_answer() {
    let seen = Arc::default();
    let router = router(policy(), 2, &seen);
    assert_eq!(ask(&router).await, (200, "sunny".to_owned()));
    assert_eq!(seen.load(Ordering::Relaxed), 3);
}

#[tokio::test(start_paused = true)]
async fn an_axum_client_is_told_why_there_is_no_answer() {
    let seen = Arc::default();
    let policy = Policy::builder().without(Part::Retry).build().expect("it is sound");
    let router = router(policy, u32::MAX, &seen);
    // Each request has a clone of the whole stack; the breaker is one.
    for _ in 0..10 {
        assert_eq!(ask(&router).await, (503, "sunny".to_owned()), "the handler's own word");
    }
    let (status, problem) = ask(&router).await;
    assert_eq!(status, 503);
    assert!(problem.starts_with(r#"{"type":"urn:seawall:breaker-open","#), "{problem}");
    assert_eq!(seen.load(Ordering::Relaxed), 10);
}

/// Is a body that says a word as often as it is told, and then ends or breaks.
struct Words {
    left: u32,
    breaks: bool,
}

impl http_body::Body for Words {
    type Data = &'static [u8];
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        if self.left > 0 {
            self.left -= 1;
            return std::task::Poll::Ready(Some(Ok(http_body::Frame::data(b"word"))));
        }
        let broken = self.breaks.then(|| Err(std::io::ErrorKind::ConnectionReset.into()));
        std::task::Poll::Ready(broken)
    }
}

/// Sends one request to a service that answers with words, and returns its body.
async fn answer(policy: &Policy, breaks: bool) -> UnsyncBoxBody<&'static [u8], std::io::Error> {
    let service = service_fn(move |_: Request<String>| {
        let body = Words { left: 2, breaks }.boxed_unsync();
        std::future::ready(Ok::<_, Infallible>(Response::new(body)))
    });
    let http = HttpClassifier::cloned()
        .holding(|body, permit| PermitBody::new(body, permit).boxed_unsync());
    let service = PolicyLayer::new(policy.clone()).classified(http).layer(service);
    service.oneshot(request(Method::GET, "")).await.expect("it answers").into_body()
}

#[tokio::test(start_paused = true)]
async fn a_body_holds_its_place_until_it_has_been_read() {
    let policy = policy();
    let in_flight = || policy.snapshot().in_flight;
    let mut body = answer(&policy, false).await;
    for _ in 0..2 {
        assert!(body.frame().await.is_some_and(|frame| frame.is_ok()));
        assert_eq!(in_flight(), 1);
    }
    assert!(body.frame().await.is_none());
    assert_eq!(in_flight(), 0, "it has ended, although somebody still has it");

    let unread = answer(&policy, false).await;
    assert_eq!(in_flight(), 1);
    drop(unread);
    assert_eq!(in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_break_open_the_breaker_although_their_heads_were_good() {
    let policy = Policy::builder().build().expect("it is sound");
    for _ in 0..10 {
        let broken = answer(&policy, true).await.collect().await;
        assert!(broken.is_err());
    }
    assert_eq!(policy.snapshot().breaker, Some(BreakerState::Open));
    assert_eq!(policy.snapshot().in_flight, 0);
}
