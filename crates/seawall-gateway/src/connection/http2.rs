//! A connection that speaks HTTP/2, with prior knowledge.
//!
//! Does not know routes or policies. hyper checks the frames and keeps the flow; this watches
//! idleness, a client that does not read or sends nothing of use, and the server's own end.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use seawall_core::Left;
use seawall_http::Request;
use seawall_http::server::{Clock, Socket, part};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::pipe::{self, Pipe};
use crate::Limits;
use crate::request::source;
use crate::shared::Shared;
use seawall_http::server::{ConnectionState, Phase};

/// Serves a connection whose preface has been read.
pub(super) async fn serve<S: Socket>(
    gateway: Arc<Shared>,
    socket: S,
    first: Vec<u8>,
    link: Arc<ConnectionState>,
    limits: &Limits,
    clock: Clock<'_>,
    tasks: TaskTracker,
) -> Left {
    let pipe = pipe::Shared::new(Pipe::new(socket, first));
    let left = run(gateway, &pipe, link, limits, clock, tasks).await;
    // With hyper's part of the connection its streams and their calls are gone.
    if let Some(mut pipe) = pipe.into_pipe()
        && let Some(goodbye) = pipe.flooded()
    {
        // In the middle of another frame it would only be more of that.
        let words = if pipe.stalled_since().is_none() { &goodbye[..] } else { &[] };
        part(&mut pipe.socket, words, true).await;
    }
    left
}

/// Lets hyper serve until somebody has had enough.
async fn run<S: Socket>(
    gateway: Arc<Shared>,
    pipe: &pipe::Shared<S>,
    link: Arc<ConnectionState>,
    limits: &Limits,
    mut clock: Clock<'_>,
    tasks: TaskTracker,
) -> Left {
    let service = {
        let (gateway, link) = (Arc::clone(&gateway), Arc::clone(&link));
        service_fn(move |request| {
            let (gateway, link) = (Arc::clone(&gateway), Arc::clone(&link));
            // An answer with more fields than hyper's type holds would be reset; settings allow 1,000.
            async move { source::answer(&gateway, &link, Request::from(request)).await.into_http() }
        })
    };
    let io = TokioIo::new(pipe.clone());
    let mut connection = pin!(builder(limits, tasks).serve_connection(io, service));
    let mut idle_since = Instant::now();
    let mut requests = 0;
    let mut leaving: Option<Instant> = None;
    let (mut given, mut taken_at) = (0, Instant::now());
    let left = poll_fn(|cx| {
        link.listen(cx);
        if link.phase() == Phase::Cut {
            return Poll::Ready(Left::Cut);
        }
        if link.phase() == Phase::Draining && leaving.is_none() {
            leaving = Some(Instant::now());
            connection.as_mut().graceful_shutdown();
        }
        loop {
            let polled = connection.as_mut().poll(cx);
            if pipe.lock().flooded().is_some() {
                return Poll::Ready(Left::Flooded);
            }
            if let Poll::Ready(result) = polled {
                let is_gone = result.is_err() || pipe.lock().is_closed() && link.in_flight() > 0;
                return Poll::Ready(if is_gone { Left::ClientGone } else { Left::Finished });
            }
            let stalled = pipe.lock().stalled_since();
            let is_busy = link.in_flight() > 0 || stalled.is_some();
            if is_busy || requests != link.requests() {
                requests = link.requests();
                idle_since = Instant::now();
            }
            // A client can also stop reading by granting no window, stream by stream. While one of
            // them flows the others may wait; there are never more than `streams_max`.
            if link.held() == 0 || link.given() != given {
                (given, taken_at) = (link.given(), Instant::now());
            }
            let withheld = (link.held() > 0).then_some(taken_at);
            let stalled = stalled
                .into_iter()
                .chain(withheld)
                .min()
                .map(|at| (at + limits.write_stall_timeout, Left::WriteStall));
            let idle = (!is_busy).then(|| match leaving {
                Some(since) => (since.max(idle_since) + GOODBYE_TIME_MAX, Left::Finished),
                None => (idle_since + limits.keep_alive_timeout, Left::IdleTimeout),
            });
            let due = stalled.into_iter().chain(idle).min_by_key(|(at, _)| *at);
            match clock.poll(cx, due.map(|(at, _)| at)) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if due.is_some_and(|(_, left)| left == Left::IdleTimeout) => {
                    leaving = Some(Instant::now());
                    connection.as_mut().graceful_shutdown();
                }
                Poll::Ready(()) => {
                    return Poll::Ready(due.map_or(Left::Finished, |(_, left)| left));
                }
            }
        }
    })
    .await;
    // Before the streams are dropped that are still served.
    link.judge(left);
    left
}

fn builder(limits: &Limits, tasks: TaskTracker) -> http2::Builder<Spawn> {
    let mut builder = http2::Builder::new(Spawn(tasks));
    // `head::over` counts as over HTTP/1, and answers with a problem; h2 counts 32 bytes more for
    // each field (RFC 9113, 6.5.2), and answers with a bare 431.
    let head_bytes_max = limits.head_bytes_max.saturating_mul(2);
    let head_bytes_max = u32::try_from(head_bytes_max).unwrap_or(u32::MAX);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_max)
        .max_header_list_size(head_bytes_max)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .max_pending_accept_reset_streams(RESETS_PENDING_MAX)
        .max_local_error_reset_streams(RESETS_LOCAL_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

/// Spawns the streams of a connection where the drain awaits them.
#[derive(Clone)]
struct Spawn(TaskTracker);

impl<F> Executor<F> for Spawn
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

const STREAM_WINDOW_BYTES: u32 = 64 * 1024 - 1;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
const SEND_BUFFER_BYTES_MAX: usize = 64 * 1024;
const RESETS_PENDING_MAX: usize = 20;
const RESETS_LOCAL_MAX: usize = 100;
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(5);
