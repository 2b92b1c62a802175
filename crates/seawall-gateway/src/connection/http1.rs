//! A connection that speaks HTTP/1.
//!
//! Does not know routes or policies. hyper reads and answers the requests; this watches what
//! hyper does not: a client that left, one that is too slow, and the server's own end.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::HeaderMap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use seawall_core::{Event, Left};
use seawall_wire::{Place, Scanner};
use tokio::time::Instant;

use super::clock::Clock;
use super::part::part;
use super::pipe::{self, Pipe};
use super::{QUIET_BEFORE_END, Socket};
use crate::link::{Link, Phase};
use crate::problem::Problem;
use crate::shared::Shared;
use crate::{Limits, headers, record, source};

/// Serves a connection whose first bytes have been read.
pub(super) async fn serve<S: Socket>(
    gateway: Arc<Shared>,
    socket: S,
    first: Vec<u8>,
    link: Arc<Link>,
    limits: &Limits,
    mut clock: Clock<'_>,
) -> Left {
    let scanner = Scanner::requests(scanner_limits(limits));
    let pipe = pipe::Shared::new(Pipe::http1(socket, first, scanner));
    let left = {
        let service = service_fn(|request| source::answer(&gateway, &link, request));
        let mut connection =
            pin!(builder(limits).serve_connection(TokioIo::new(pipe.clone()), service));
        let mut watch = Watch::new(&link, &pipe, limits);
        let left = poll_fn(|cx| {
            link.listen(cx);
            match link.phase() {
                Phase::Serving => {}
                Phase::Draining => watch.drain(|| connection.as_mut().graceful_shutdown()),
                Phase::Cut => return Poll::Ready(Left::Cut),
            }
            let was_broken = link.is_broken();
            if let Poll::Ready(result) = connection.as_mut().poll(cx) {
                return Poll::Ready(watch.left(result.is_err()));
            }
            // hyper would throw away what it has not written yet.
            if was_broken && pipe.lock().is_flushed() {
                return Poll::Ready(Left::Finished);
            }
            watch.poll(cx, &mut clock)
        })
        .await;
        // Before the connection is dropped with what it still serves.
        link.judge(left);
        left
    };
    if left == Left::Cut {
        return left;
    }
    match pipe.into_pipe() {
        Some(pipe) => end(pipe, &gateway, &link, left).await,
        None => left,
    }
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    // A client that closes its side is noticed by `Watch`, which needs no buffer for it.
    builder.half_close(true);
    builder.max_buf_size(BUFFER_BYTES_MAX.max(limits.head_bytes_max));
    if limits.headers_max > 100 {
        builder.max_headers(limits.headers_max);
    }
    builder
}

fn scanner_limits(limits: &Limits) -> seawall_wire::Limits {
    seawall_wire::Limits {
        line_bytes: limits.line_bytes_max,
        head_bytes: limits.head_bytes_max,
        fields: limits.headers_max,
        ..seawall_wire::Limits::default()
    }
}

/// Watches a connection between two looks of hyper at it.
struct Watch<'a, S> {
    link: &'a Link,
    pipe: &'a pipe::Shared<S>,
    limits: &'a Limits,
    idle_since: Instant,
    requests: u64,
    was_busy: bool,
    is_stopping: bool,
    is_told: bool,
}

impl<'a, S: Socket> Watch<'a, S> {
    fn new(link: &'a Link, pipe: &'a pipe::Shared<S>, limits: &'a Limits) -> Self {
        Self {
            link,
            pipe,
            limits,
            idle_since: Instant::now(),
            requests: 0,
            was_busy: false,
            is_stopping: false,
            is_told: false,
        }
    }

    /// Lets hyper end the connection after the answer that is on its way. Without one it stays
    /// open until it was quiet for a moment: see [`QUIET_BEFORE_END`].
    fn drain(&mut self, tell: impl FnOnce()) {
        self.is_stopping = true;
        if !self.is_told && self.link.in_flight() > 0 {
            self.is_told = true;
            tell();
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>, clock: &mut Clock<'_>) -> Poll<Left> {
        let mut pipe = self.pipe.lock();
        // An answer is not over before the client has taken it.
        let is_busy = self.link.in_flight() > 0 || pipe.stalled_since().is_some();
        let requests = self.link.requests();
        if !is_busy && (self.was_busy || requests != self.requests) {
            self.idle_since = Instant::now();
        }
        self.was_busy = is_busy;
        self.requests = requests;

        if is_busy && pipe.socket.poll_gone(cx).is_ready() {
            return Poll::Ready(Left::ClientGone);
        }
        let due = self.due(&pipe, is_busy);
        drop(pipe);
        clock.poll(cx, due.map(|(at, _)| at)).map(|()| due.map_or(Left::Finished, |(_, left)| left))
    }

    /// Returns when the connection's patience ends, and how it ends then.
    fn due(&self, pipe: &Pipe<S>, is_busy: bool) -> Option<(Instant, Left)> {
        let stalled = pipe
            .stalled_since()
            .map(|since| (since + self.limits.write_stall_timeout, Left::WriteStall));
        let waiting = match (is_busy, pipe.unfinished_since(), self.is_stopping) {
            // The route's own limits hold while a request is served.
            (true, _, _) => None,
            (false, Some(since), _) => {
                Some((since.max(self.idle_since) + self.limits.head_timeout, Left::HeadTimeout))
            }
            (false, None, true) => Some((self.idle_since + QUIET_BEFORE_END, Left::Finished)),
            (false, None, false) => {
                Some((self.idle_since + self.limits.keep_alive_timeout, Left::IdleTimeout))
            }
        };
        stalled.into_iter().chain(waiting).min_by_key(|(at, _)| *at)
    }

    /// Says how a connection ended that hyper is done with.
    fn left(&self, is_error: bool) -> Left {
        let pipe = self.pipe.lock();
        match pipe.refusal() {
            Some(_) => Left::Refused,
            None if self.link.verdict().is_some() => self.link.verdict().unwrap_or(Left::Finished),
            None if is_error && !self.link.is_broken() => Left::ClientGone,
            None => Left::Finished,
        }
    }
}

/// Ends the connection: in order, unless that would say what is not so.
async fn end<S: Socket>(mut pipe: Pipe<S>, gateway: &Shared, link: &Link, left: Left) -> Left {
    // A body that broke off must not look whole; what a client does not read must not be kept.
    if link.must_reset() || left == Left::WriteStall {
        pipe.socket.reset_on_close();
        return left;
    }
    let words = last_words(&pipe, gateway, link, left);
    let has_unread = pipe.has_unread() || words.is_some() || link.is_broken();
    part(&mut pipe.socket, &words.unwrap_or_default(), has_unread).await;
    left
}

/// Returns the answer to what hyper never saw.
fn last_words<S: Socket>(
    pipe: &Pipe<S>,
    gateway: &Shared,
    link: &Link,
    left: Left,
) -> Option<Vec<u8>> {
    let refusal = pipe.refusal().filter(|refusal| refusal.place != Place::Body);
    let (refused, word, title, status, detail) = match (left, refusal) {
        (Left::Refused, Some(refusal)) => {
            gateway.say(&Event::RequestRefused { why: refusal.why, status: refusal.status });
            let word = match refusal.status {
                405 => "method-not-allowed",
                413 | 414 | 431 => "too-large",
                _ => "malformed-request",
            };
            let why = refusal.why.as_str();
            (why, word, "the request was refused", refusal.status, refusal.detail)
        }
        (Left::HeadTimeout, _) => {
            let detail = "its head was not whole in time";
            (left.as_str(), "head-timeout", "the request took too long", 408, detail)
        }
        _ => return None,
    };
    let id = headers::request_id(&mut HeaderMap::new());
    record::tell_unread(gateway, link, &id, (refused, status, detail));
    let (title, detail, request_id) = (title.into(), detail.into(), id.to_str().ok());
    Some(Problem { word, title, status, detail, request_id, ..Problem::default() }.last_words())
}

const BUFFER_BYTES_MAX: usize = 64 * 1024;
