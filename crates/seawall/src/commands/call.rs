//! `seawall call`: one call to an upstream through a policy, without a server.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderMap, Method, Uri};
use http_body_util::BodyExt;
use seawall_call::{CallError, Context};
use seawall_core::{CancelCell, Fate, Fault};
use seawall_http::{Body, Replay, Response};
use seawall_upstream::{HttpRequest, Upstream, in_full};
use seawall_wire::{Fields, Name, Value};
use serde_json::json;

use super::Console;
use super::way::{header_of, upstream_of};
use crate::cli::{Call, Global};
use crate::exit::Exit;

pub(super) fn call(global: &Global, flags: &Call, console: &Console) -> Exit {
    let prepared = request_of(flags).map_err(|why| (why, Exit::Usage));
    let prepared = prepared.and_then(|request| {
        let upstream = upstream_of(global, &flags.upstream, flags.policy.as_deref(), console)?;
        Ok((request, upstream))
    });
    let (request, upstream) = match prepared {
        Ok(prepared) => prepared,
        Err((why, exit)) => {
            if !why.is_empty() {
                console.error(&why, None);
            }
            return exit;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(carry_out(&request, &upstream, console)),
        Err(error) => {
            console.error(&format!("cannot start: {error}"), None);
            Exit::Open
        }
    }
}

/// How a call ended.
struct Ended {
    fate: Fate,
    attempts: u32,
    took: Duration,
}

/// Calls, and answers with what came back.
///
/// # Cancel safety
/// Dropping it gives the call up.
async fn carry_out(request: &HttpRequest, upstream: &Upstream, console: &Console) -> Exit {
    let cancel = CancelCell::default();
    let began = Instant::now();
    let reply = upstream.call(request, Context::new(&cancel)).await;
    let ended = Ended { fate: reply.fate(), attempts: reply.attempts(), took: began.elapsed() };
    match reply.into_response() {
        // The place is given back when the answer was read.
        Ok((response, _permit)) => answered(response, &ended, console).await,
        Err(error) => failed(&error, &ended, console),
    }
}

async fn answered(response: Response<Body>, ended: &Ended, console: &Console) -> Exit {
    let (head, mut body) = response.into_parts();
    let mut text = format!("{:?} {}", head.version, head.status);
    for (name, value) in head.headers.iter() {
        let name = String::from_utf8_lossy(name.as_bytes());
        text += &format!("\n{name}: {}", String::from_utf8_lossy(value.as_bytes()));
    }
    if !console.json {
        console.note(&format!("{text}\n"));
    }
    let mut kept = Vec::new();
    let mut cut = None;
    while let Some(frame) = body.frame().await {
        match frame.map(|frame| frame.into_data()) {
            Ok(Ok(data)) if !console.json => console.answer_bytes(&data),
            Ok(Ok(data)) if kept.len() + data.len() <= JSON_BODY_MAX => {
                kept.extend_from_slice(&data)
            }
            Ok(Ok(_)) => cut = Some("longer than 1 MiB".to_owned()),
            // Trailers are not shown.
            Ok(Err(_)) => {}
            Err(fault) => cut = Some(fault.to_string()),
        }
    }
    if console.json {
        let pair = |(name, value): (Name<'_>, Value<'_>)| {
            json!([
                String::from_utf8_lossy(name.as_bytes()).to_ascii_lowercase(),
                String::from_utf8_lossy(value.as_bytes())
            ])
        };
        let headers: Vec<_> = head.headers.iter().map(pair).collect();
        let mut document = document(ended);
        document["status"] = json!(head.status.as_u16());
        document["headers"] = json!(headers);
        document["body"] = json!(String::from_utf8_lossy(&kept));
        document["cut"] = json!(cut);
        console.document(&document);
    } else {
        console.note(&format!("\n{}", said(ended)));
        if let Some(why) = &cut {
            console.error(&format!("the body did not reach its end: {why}"), None);
        }
    }
    let is_fine = cut.is_none() && ended.fate != Fate::Failed;
    if is_fine { Exit::Done } else { Exit::No }
}

fn failed(error: &CallError<Arc<Fault>>, ended: &Ended, console: &Console) -> Exit {
    let why = match error {
        CallError::BreakerOpen { .. } => "the breaker is open".to_owned(),
        CallError::QueueFull | CallError::QueueTimeout { .. } => "no slot became free".to_owned(),
        CallError::RateLimited { .. } => "the rate limit has no token".to_owned(),
        CallError::TimedOut { phase, .. } => format!("timed out ({})", phase.as_str()),
        CallError::Failed { error, .. } => in_full(error),
        _ => "the call was refused".to_owned(),
    };
    if console.json {
        let mut document = document(ended);
        document["error"] = json!(why);
        console.document(&document);
    } else {
        console.error(&why, None);
        console.note(&said(ended));
    }
    Exit::No
}

fn document(ended: &Ended) -> serde_json::Value {
    json!({
        "schema": 1,
        "fate": ended.fate.as_str(),
        "attempts": ended.attempts,
        "took_ms": ended.took.as_millis() as u64,
    })
}

fn said(ended: &Ended) -> String {
    let Ended { fate, attempts, took } = ended;
    format!("fate {fate}, attempts {attempts}, took {} ms", took.as_millis())
}

fn request_of(flags: &Call) -> Result<HttpRequest, String> {
    let method = Method::from_bytes(flags.method.as_bytes())
        .map_err(|_| format!("`{}` is not a method", flags.method))?;
    let uri = match flags.path.starts_with('/') {
        true => flags.path.parse::<Uri>().map_err(|error| format!("`{}`: {error}", flags.path))?,
        false => return Err(format!("`{}` is not a path: it does not begin with /", flags.path)),
    };
    let mut headers = HeaderMap::new();
    for header in &flags.headers {
        let (name, value) = header_of(header)?;
        headers.append(name, value);
    }
    let body = match flags.data.as_deref() {
        Some("-") => {
            let mut body = Vec::new();
            let read = std::io::stdin().lock().take(STDIN_MAX + 1).read_to_end(&mut body);
            read.map_err(|error| format!("cannot read stdin: {error}"))?;
            if body.len() as u64 > STDIN_MAX {
                return Err("the body on stdin is longer than 64 MiB".to_owned());
            }
            body
        }
        Some(text) => text.as_bytes().to_vec(),
        None => Vec::new(),
    };
    Ok(HttpRequest {
        headers: Fields::from(&headers),
        body: Replay::new(Body::full(body), 0),
        // It is to be asked, whatever was said before.
        is_cacheable: false,
        ..HttpRequest::new(method, uri)
    })
}

/// How much of a body a JSON answer holds.
const JSON_BODY_MAX: usize = 1 << 20;

/// How much of a body is read from stdin.
const STDIN_MAX: u64 = 64 << 20;
