//! What the admin port answers.
//!
//! Does not know who may ask: the guard has said so before. Every answer forbids browsers to run,
//! frame, guess or keep anything.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, Request, State as Extract};
use axum::http::StatusCode;
use axum::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderMap, HeaderName,
    HeaderValue, REFERRER_POLICY, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use seawall_watch::Grade;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::ask::SETTINGS_HEADER;
use super::by_hand::{BreakerChange, ByHand, ChaosChange};
use super::guard::Guard;
use super::jobs::{JobRequest, Jobs, NewRun};
use super::page;
use super::runtime_file::is_served;
use super::state::{Order, Orders, State};

/// What the answers are made of.
pub(super) struct RouterState {
    pub(super) host: Arc<State>,
    pub(super) guard: Guard,
    pub(super) orders: Orders,
    /// `None` if the settings had no job when this process started.
    pub(super) jobs: Option<Arc<dyn Jobs>>,
    /// The settings file, whole; `None` if they stand in none.
    pub(super) served: Option<PathBuf>,
}

/// How a reload is wished for.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ReloadWish {
    /// Even if most routes are lost by it.
    force: bool,
}

/// Returns everything that the admin port answers.
pub(super) fn router(state: Arc<RouterState>) -> Router {
    Router::new()
        .route("/", get(status_page))
        .route("/style.css", get(style))
        .route("/good.svg", get(|| icon(Grade::Good)))
        .route("/odd.svg", get(|| icon(Grade::Odd)))
        .route("/bad.svg", get(|| icon(Grade::Bad)))
        .route("/status.json", get(status_json))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/reload", post(reload))
        .route("/breaker", post(breaker))
        .route("/chaos", post(chaos))
        .route("/jobs", post(jobs_asked))
        .route("/jobs/{job}/runs", post(run_put_in).layer(DefaultBodyLimit::max(RUN_BYTES_MAX)))
        .layer(DefaultBodyLimit::max(ORDER_BYTES_MAX))
        .layer(middleware::from_fn_with_state(state.clone(), guard))
        .with_state(state)
}

async fn guard(
    Extract(state): Extract<Arc<RouterState>>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let mut response = match state.guard.check(&parts, Instant::now()) {
        Ok(()) => match another(&state, &parts.headers) {
            Some(another) => another,
            None => next.run(Request::from_parts(parts, body)).await,
        },
        Err(denied) => (denied.status, format!("{}\n", denied.why)).into_response(),
    };
    if response.status() == StatusCode::METHOD_NOT_ALLOWED && parts_is_change(&response) {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    }
    if response.status() == StatusCode::UNAUTHORIZED {
        // Browsers know the second, and ask their user.
        for challenge in ["Bearer realm=\"seawall\"", "Basic realm=\"seawall\", charset=\"UTF-8\""]
        {
            response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
    }
    for (name, value) in SAFE_HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Refuses what was meant for a server of other settings that had this address before, or will.
fn another(state: &RouterState, headers: &HeaderMap) -> Option<Response> {
    let wanted = headers.get(SETTINGS_HEADER)?.as_bytes();
    let wanted: Option<PathBuf> = serde_json::from_slice(wanted).ok();
    if wanted.is_some_and(|wanted| is_served(state.served.as_deref(), &wanted)) {
        return None;
    }
    let serves = match &state.served {
        Some(file) => file.display().to_string(),
        None => "settings of no file".to_owned(),
    };
    let document =
        json!({"schema": 1, "error": "this server serves other settings", "serves": serves});
    Some((StatusCode::CONFLICT, Json(document)).into_response())
}

fn parts_is_change(response: &Response) -> bool {
    // axum says itself what its own routes allow.
    !response.headers().contains_key(ALLOW)
}

async fn status_page(Extract(state): Extract<Arc<RouterState>>) -> Response {
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], page::page(&state.host.status())).into_response()
}

async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], page::STYLE).into_response()
}

async fn icon(grade: Grade) -> Response {
    ([(CONTENT_TYPE, "image/svg+xml")], page::icon(grade)).into_response()
}

async fn status_json(Extract(state): Extract<Arc<RouterState>>) -> Response {
    Json(state.host.status()).into_response()
}

async fn metrics(Extract(state): Extract<Arc<RouterState>>) -> Response {
    let text = state.host.recorder().prometheus();
    ([(CONTENT_TYPE, seawall_watch::CONTENT_TYPE)], text).into_response()
}

async fn healthz() -> &'static str {
    "alive\n"
}

async fn readyz(Extract(state): Extract<Arc<RouterState>>) -> Response {
    match state.host.phase() {
        // Requests are served all the same.
        "serving" if state.host.lacks_jobs() => "ready\nno jobs are run\n".into_response(),
        // Whoever has replaced us serves at this very address.
        "serving" | "replaced" => "ready\n".into_response(),
        phase => (StatusCode::SERVICE_UNAVAILABLE, format!("{phase}\n")).into_response(),
    }
}

async fn reload(Extract(state): Extract<Arc<RouterState>>, body: Bytes) -> Response {
    let wish = match body.is_empty() {
        true => Ok(ReloadWish::default()),
        false => serde_json::from_slice(&body),
    };
    let is_forced = match wish {
        Ok(ReloadWish { force }) => force,
        Err(error) => return refused(error.to_string()),
    };
    let (reply, answer) = oneshot::channel();
    if state.orders.try_send(Order::Reload { is_forced, reply: Some(reply) }).is_err() {
        return busy();
    }
    let Ok(Ok(reloaded)) = timeout(RELOAD_WAIT, answer).await else { return busy() };
    let status = match reloaded.refused {
        None => StatusCode::OK,
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    let document = json!({
        "schema": 1,
        "generation": reloaded.generation,
        "restart_needed": reloaded.restart_needed,
        "warnings": reloaded.warnings,
        "errors": reloaded.refused.as_ref().map(|refused| refused.errors),
        "report": reloaded.refused.map(|refused| refused.human),
    });
    (status, Json(document)).into_response()
}

async fn breaker(
    Extract(state): Extract<Arc<RouterState>>,
    change: Result<Json<BreakerChange>, JsonRejection>,
) -> Response {
    by_hand(&state, change.map(|Json(change)| ByHand::Breaker(change))).await
}

async fn chaos(
    Extract(state): Extract<Arc<RouterState>>,
    change: Result<Json<ChaosChange>, JsonRejection>,
) -> Response {
    by_hand(&state, change.map(|Json(change)| ByHand::Chaos(change))).await
}

async fn jobs_asked(
    Extract(state): Extract<Arc<RouterState>>,
    request: Result<Json<JobRequest>, JsonRejection>,
) -> Response {
    match request {
        Ok(Json(request)) => answered(&state, request).await,
        Err(rejection) => refused(rejection.body_text()),
    }
}

/// Puts a run in: `POST /jobs/NAME/runs`.
async fn run_put_in(
    Extract(state): Extract<Arc<RouterState>>,
    Path(job): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let with = match body.is_empty() {
        true => Ok(NewRun::default()),
        false => serde_json::from_slice::<NewRun>(&body),
    };
    let mut with = match with {
        Ok(with) => with,
        Err(error) => return refused(error.to_string()),
    };
    if let Some(key) = headers.get("idempotency-key") {
        with.key = Some(String::from_utf8_lossy(key.as_bytes()).into_owned());
    }
    answered(&state, JobRequest::Run { job, with }).await
}

async fn answered(state: &RouterState, request: JobRequest) -> Response {
    let Some(jobs) = &state.jobs else {
        return refused(
            "this server runs no jobs: its settings had none when it started".to_owned(),
        );
    };
    match timeout(RELOAD_WAIT, jobs.answer(request)).await {
        Ok(Ok(document)) => Json(document).into_response(),
        Ok(Err(why)) => refused(why),
        Err(_) => busy(),
    }
}

async fn by_hand(state: &RouterState, what: Result<ByHand, JsonRejection>) -> Response {
    let what = match what {
        Ok(what) => what,
        Err(rejection) => return refused(rejection.body_text()),
    };
    let (reply, answer) = oneshot::channel();
    if state.orders.try_send(Order::ByHand(what, reply)).is_err() {
        return busy();
    }
    match timeout(RELOAD_WAIT, answer).await {
        Ok(Ok(Ok(done))) => Json(json!({"schema": 1, "done": done})).into_response(),
        Ok(Ok(Err(why))) => refused(why),
        Ok(Err(_)) | Err(_) => busy(),
    }
}

fn refused(why: String) -> Response {
    let document = json!({"schema": 1, "error": why});
    (StatusCode::UNPROCESSABLE_ENTITY, Json(document)).into_response()
}

fn busy() -> Response {
    let document = json!({"schema": 1, "error": "the server is busy or stopping"});
    (StatusCode::SERVICE_UNAVAILABLE, Json(document)).into_response()
}

/// An order has a few fields.
const ORDER_BYTES_MAX: usize = 16 * 1024;
/// A run has its payload, in which JSON may write a byte with six.
const RUN_BYTES_MAX: usize = 6 * 256 * 1024 + ORDER_BYTES_MAX;

/// How long a reload may take: reading, checking and swapping 10,000 routes takes well under 1 s.
const RELOAD_WAIT: Duration = Duration::from_secs(5);

const SAFE_HEADERS: [(HeaderName, &str); 5] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
];
