//! Tells others that a run is done or has failed: a call through a policy, or a command.
//!
//! Does not know: how runs are run. What is told stands in the store as a job of its own, put in
//! together with the run's end, so that whoever is killed in between loses nothing. Invariant: an
//! end is told until it was heard, under one name, which every repeat carries.

use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use bytes::Bytes;
use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http_body_util::BodyExt;
use seawall_call::Context;
use seawall_core::{CancelCell, CancelReason, Outcome, Secret};
use seawall_http::{Body, Replay};
use seawall_jobs::{Claimed, EndedJob, Ending, JobControl, JobStore, retry_after};
use seawall_upstream::{HttpRequest, Upstream};
use seawall_wire::{Fields, verdict};
use serde_json::{Value as Json, json};
use sha2::Sha256;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;
use tracing::{info, warn};

use super::payload::JobPayload;
use super::plan::{Hook, Plan};

/// Tells one end, or says when it is to be tried again.
///
/// # Cancel safety
///
/// Dropping it gives the call or the command up; whether it was heard is not known.
pub(super) async fn tell(
    plan: &ArcSwap<Plan>,
    store: &dyn JobStore,
    claimed: Claimed,
    control: &JobControl,
) -> Ending {
    let failed = |error: String, retry_after| Ending::Failed { error, retry_after };
    let Some(ended) = EndedJob::read(&claimed.payload) else {
        return failed("what is to be told cannot be read".to_owned(), None);
    };
    let plan = plan.load_full();
    let hook = plan.job(&ended.kind).and_then(|planned| match ended.has_failed() {
        true => planned.on_failed.as_ref(),
        false => planned.on_done.as_ref(),
    });
    let Some(hook) = hook else {
        return Ending::Done { result: "nobody is to be told".to_owned() };
    };
    // It may be pruned by now: then it is told without its files.
    let payload = match store.get(ended.id).await {
        Ok(row) => row.and_then(|row| JobPayload::read(&row.payload)),
        Err(error) => return failed(format!("could not {error}"), Some(TRY_AGAIN)),
    };
    let event = event(&ended, payload.as_ref());
    let told = tokio::select! {
        told = hook.tell(&ended, &event) => told,
        () = control.stop.cancelled() => return Ending::Released { wait: Duration::ZERO },
        () = control.pause.cancelled() => return Ending::Paused,
        () = control.cancel.cancelled() => return Ending::Cancelled,
    };
    let (job, id) = (&ended.kind, ended.id);
    match told {
        Ok(result) => {
            info!(event = "job.end_told", job, id, result, "it was told that a run has ended");
            Ending::Done { result }
        }
        Err(Untold { why, wait }) => {
            // Not by chance, and not the same for all.
            let chance = (claimed.held.id % 16) as f64 / 16.0;
            let later = retry_after(claimed.attempt, chance).max(wait.unwrap_or_default());
            warn!(event = "job.end_not_told", job, id, why, "that a run has ended was not heard");
            failed(why, Some(later))
        }
    }
}

/// Says why an end was not heard.
struct Untold {
    why: String,
    /// How long it is to be left alone, if that was said.
    wait: Option<Duration>,
}

impl From<String> for Untold {
    fn from(why: String) -> Self {
        Self { why, wait: None }
    }
}

impl Hook {
    async fn tell(&self, ended: &EndedJob, event: &Json) -> Result<String, Untold> {
        let body = event.to_string();
        match self {
            Self::Call { upstream, method, path, secret } => {
                let headers = headers(&ended.key(), &body, secret.as_ref())?;
                call(upstream, (method, path), headers, body).await
            }
            Self::Command(words) => run(words, ended, &body).await,
        }
    }
}

/// Makes what is told.
fn event(ended: &EndedJob, payload: Option<&JobPayload>) -> Json {
    let result = ended.result.as_deref().and_then(|text| serde_json::from_str::<Json>(text).ok());
    let lines = |key: &str| result.as_ref().and_then(|result| result[key].as_u64());
    json!({
        "schema": 1,
        "event": if ended.has_failed() { "run.failed" } else { "run.done" },
        "id": ended.key(),
        "job": ended.kind,
        "run": ended.id,
        "attempts": ended.attempts,
        "ok": lines("ok"),
        "dead": lines("dead"),
        "filtered": lines("filtered"),
        "error": ended.error,
        "input": payload.map(|payload| payload.input.display().to_string()),
        "output": payload.map(|payload| payload.output.display().to_string()),
        "dead_letter": payload.map(|payload| payload.dead_letter().display().to_string()),
        "created_ms": ended.created_ms,
        "ended_ms": ended.ended_ms,
    })
}

/// Makes the headers of a call, as webhooks have them: <https://www.standardwebhooks.com>.
fn headers(id: &str, body: &str, secret: Option<&Secret>) -> Result<HeaderMap, String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut headers = HeaderMap::new();
    let mut add = |name: &'static str, value: String| {
        let value = HeaderValue::from_str(&value).map_err(|error| format!("{name}: {error}"))?;
        headers.insert(HeaderName::from_static(name), value);
        Ok::<_, String>(())
    };
    add("idempotency-key", id.to_owned())?;
    add("webhook-id", id.to_owned())?;
    add("webhook-timestamp", now.to_string())?;
    if let Some(secret) = secret {
        add("webhook-signature", signature(secret.expose(), &format!("{id}.{now}.{body}"))?)?;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(headers)
}

/// Signs a text; a secret that begins with `whsec_` is written in base64.
fn signature(secret: &str, text: &str) -> Result<String, String> {
    let key = match secret.strip_prefix("whsec_") {
        Some(coded) => BASE64.decode(coded.as_bytes()).map_err(|_| "the secret is no base64")?,
        None => secret.as_bytes().to_vec(),
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|error| error.to_string())?;
    mac.update(text.as_bytes());
    Ok(format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes())))
}

/// Calls through the policy of the upstream; a status of 2xx says that it was heard.
async fn call(
    upstream: &Upstream,
    (method, path): (&Method, &http::Uri),
    headers: HeaderMap,
    body: String,
) -> Result<String, Untold> {
    let cancel = CancelCell::default();
    cancel.set(CancelReason::Shutdown);
    let request = HttpRequest {
        headers: Fields::from(&headers),
        body: Replay::new(Body::full(body), 0),
        // It is to be asked, whatever was said before.
        is_cacheable: false,
        ..HttpRequest::new(method.clone(), path.clone())
    };
    // The place is given back when the answer was read.
    let reply = upstream.call(&request, Context::new(&cancel)).await;
    let (response, _permit) = reply.into_response().map_err(|error| Untold {
        why: format!("{method} {path} to {}: {error}", upstream.name()),
        wait: error.retry_after(),
    })?;
    let (head, mut said) = response.into_parts();
    let (status, head) = (head.status, head.headers);
    // Nothing in it matters, but who answers is not to see its answer refused.
    let mut left = ANSWER_BYTES_MAX;
    while let Some(Ok(frame)) = said.frame().await {
        let Some(more) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { break };
        left = more;
    }
    if status.is_success() {
        return Ok(format!("status {}", status.as_u16()));
    }
    let wait = match verdict::of_head(status, &head, SystemTime::now) {
        Outcome::Overload { retry_after, .. } => retry_after,
        _ => None,
    };
    let why = format!("{method} {path} to {}: status {}", upstream.name(), status.as_u16());
    Err(Untold { why, wait })
}

/// Runs a command that reads the event from its standard input; 0 says that it was heard.
async fn run(words: &[String], ended: &EndedJob, event: &str) -> Result<String, Untold> {
    let Some((program, arguments)) = words.split_first() else {
        return Err("the command is empty".to_owned().into());
    };
    let cannot = |error: std::io::Error| format!("cannot run {program}: {error}");
    let mut command = Command::new(program);
    command.args(arguments).env("SEAWALL_EVENT_ID", ended.key()).env("SEAWALL_JOB", &ended.kind);
    command.env("SEAWALL_RUN", ended.id.to_string()).env("SEAWALL_STATE", &ended.state);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(cannot)?;
    let told = async {
        if let Some(mut stdin) = child.stdin.take() {
            // One that does not read it needs it not.
            let _ = stdin.write_all(event.as_bytes()).await;
        }
        child.wait().await
    };
    let ended = timeout(COMMAND_MAX, told).await;
    let status = ended
        .map_err(|_| format!("{program} did not end within {} s", COMMAND_MAX.as_secs()))?
        .map_err(cannot)?;
    match status.success() {
        true => Ok(status.to_string()),
        false => Err(format!("{program} ended with {status}").into()),
    }
}

/// How many are told at once: one that does not answer holds up no other.
pub(super) const AT_ONCE: u32 = 8;
/// How much of an answer is read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long a command may take.
const COMMAND_MAX: Duration = Duration::from_secs(60);
/// How long a store is left alone that cannot be read.
const TRY_AGAIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_standard() {
        // The example of its reference libraries.
        let signed = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}",
        );
        let expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(signed.as_deref(), Ok(expected));
        assert!(signature("whsec_no base64", "").is_err());
        assert_ne!(signature("plain", "a"), signature("plain", "b"));
    }
}
