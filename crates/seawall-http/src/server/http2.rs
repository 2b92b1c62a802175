//! A connection that speaks HTTP/2, from its first stream to its last.
//!
//! Does not know routes or policies. All streams are served by the connection's task, so what they
//! have to say goes in one write, and they end with it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::{Method, StatusCode, Version};
use http_body::{Body, Frame, SizeHint};
use seawall_core::{Fault, Left, RefusedHead};
use seawall_wire::headers as rules;
use seawall_wire::http2::{self as wire, ErrorCode, Role, encode_response};
use seawall_wire::{Refusal, StreamPosition, Value, name};
use tokio::time::Instant;

use super::answer::with_date;
use super::body::Source;
use super::{
    BadBody, ClientLimits, ConnectionState, ConnectionTimer, DrainPhase, RequestBody, part,
};
use crate::http2::{Accepted, Driver, Gone, Lost, Mux, Outgoing, Unsent, limits as on_the_wire};
use crate::{Request, RequestHead, Response, ResponseHead, Socket};

/// Serves the requests of a connection whose preface has been read, each with `answer`; those that
/// are not fit to be are answered by `refuse`.
///
/// # Cancel safety
///
/// Dropping the future drops every request that is being answered.
pub async fn serve_http2<S, A, F, R, B>(
    socket: S,
    first: Vec<u8>,
    state: &ConnectionState,
    limits: &ClientLimits,
    clock: &mut ConnectionTimer<'_>,
    answer: A,
    refuse: R,
) -> Left
where
    S: Socket,
    A: FnMut(Request<RequestBody>) -> F,
    F: Future<Output = Response<B>>,
    R: FnMut(Refusal) -> Response<B>,
    B: Body<Data = Bytes, Error = Fault> + Unpin,
{
    let head_limits = on_the_wire(limits.streams_max, limits.head_bytes_max, limits.headers_max);
    let mux = Mux::new(Role::Server, head_limits);
    let driver = Driver::new(socket, Arc::clone(&mux));
    let mut connection = Connection {
        mux: Arc::clone(&mux),
        driver,
        state,
        limits,
        leaving: None,
        has_named_last: false,
        busy_at: Instant::now(),
        head: None,
    };
    let (left, code) = connection.serve(&first, clock, answer, refuse).await;
    mux.end(Gone::Lost(None));
    if let Some(code) = code {
        let words = connection.driver.last_words(code);
        // A client that still says something must not lose what it was sent before.
        part(&mut connection.driver.socket, &words, true).await;
    }
    left
}

struct Connection<'a, S> {
    mux: Arc<Mux>,
    driver: Driver<S>,
    state: &'a ConnectionState,
    limits: &'a ClientLimits,
    /// Since when the client has been told that there will be an end, and whether it was told what is
    /// the last stream.
    leaving: Option<Instant>,
    has_named_last: bool,
    /// When there was last something to do.
    busy_at: Instant,
    /// The stream of a head whose end has not come, and since when that is so.
    head: Option<(u32, Instant)>,
}

impl<S: Socket> Connection<'_, S> {
    /// Serves until somebody has had enough; says with which code the client is told, if it is.
    async fn serve<A, F, R, B>(
        &mut self,
        first: &[u8],
        clock: &mut ConnectionTimer<'_>,
        mut answer: A,
        mut refuse: R,
    ) -> (Left, Option<ErrorCode>)
    where
        A: FnMut(Request<RequestBody>) -> F,
        F: Future<Output = Response<B>>,
        R: FnMut(Refusal) -> Response<B>,
        B: Body<Data = Bytes, Error = Fault> + Unpin,
    {
        let mut streams = FuturesUnordered::new();
        let mut first = Some(first);
        let state = self.state;
        let ended = poll_fn(|cx| {
            state.listen(cx);
            self.mux.begin_drive(cx);
            match state.phase() {
                DrainPhase::Cut => return Poll::Ready((Left::Cut, None)),
                DrainPhase::Draining if self.leaving.is_none() => self.leave(),
                _ => {}
            }
            loop {
                let read = match first.take() {
                    Some(first) => Poll::Ready(self.driver.take(first)),
                    None => self.driver.poll_read(cx),
                };
                while let Some(accepted) = self.mux.accept() {
                    self.busy_at = Instant::now();
                    if let Some(asked) = self.take(accepted, &mut answer, &mut refuse) {
                        streams.push(asked.serve(Arc::clone(&self.mux)));
                    }
                }
                while let Poll::Ready(Some(())) = streams.poll_next_unpin(cx) {}
                let written = self.driver.poll_write(cx);
                if let Poll::Ready(Err(lost)) = read {
                    return Poll::Ready(lost_with(lost, !streams.is_empty()));
                }
                if let Poll::Ready(Err(_)) = written {
                    return Poll::Ready((Left::ClientGone, None));
                }
                if read.is_ready() || !self.driver.may_sleep() {
                    continue;
                }
                if written.is_ready() {
                    if self.is_over(!streams.is_empty()) {
                        return Poll::Ready((Left::Finished, Some(ErrorCode::NO_ERROR)));
                    }
                    self.driver.rest();
                }
                let (at, due) = self.due(!streams.is_empty());
                ready!(clock.poll(cx, Some(at)));
                match due {
                    Due::Leave => self.leave(),
                    Due::NameLast => {
                        self.has_named_last = true;
                        self.mux.go_away();
                    }
                    Due::Ask if self.driver.ask() => {}
                    Due::Ask => return Poll::Ready((Left::ClientGone, None)),
                    Due::End(left) => return Poll::Ready((left, Some(ErrorCode::NO_ERROR))),
                    Due::Stalled => return Poll::Ready((Left::WriteStall, None)),
                }
                self.mux.begin_drive(cx);
            }
        })
        .await;
        // Before the streams are dropped that are still served.
        state.judge(ended.0);
        ended
    }

    /// Makes a request of what has come.
    fn take<A, F, R, B>(
        &self,
        accepted: Accepted,
        answer: &mut A,
        refuse: &mut R,
    ) -> Option<ServerStream<F, B>>
    where
        A: FnMut(Request<RequestBody>) -> F,
        R: FnMut(Refusal) -> Response<B>,
    {
        let (stream, head) = match accepted {
            Accepted::Request { stream, head } => (stream, head),
            Accepted::Refused(detail) => {
                // It is told by its reset.
                let (why, place) = (RefusedHead::Malformed, StreamPosition::Head);
                drop(refuse(Refusal { why, status: 400, detail, place }));
                return None;
            }
        };
        let wire::Http2RequestHead { method, target, fields } = head;
        let is_head = method == Method::HEAD;
        let uri = match target {
            Ok(uri) => uri,
            Err(refusal) => {
                let answering = Answering::Refused(refuse(refusal));
                return Some(ServerStream { stream, is_head, answering });
            }
        };
        let expects = |value: Value<'_>| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
        let source = StreamSource {
            mux: Arc::clone(&self.mux),
            stream,
            waits: AtomicBool::new(fields.get(name::EXPECT).is_some_and(expects)),
        };
        let head = RequestHead {
            method,
            uri,
            version: Version::HTTP_2,
            headers: fields,
            named_host: None,
        };
        let request = Request::from_parts(head, RequestBody::from_source(Arc::new(source)));
        Some(ServerStream { stream, is_head, answering: Answering::Asked(answer(request)) })
    }

    /// Tells the client that there will be an end.
    fn leave(&mut self) {
        self.leaving = Some(Instant::now());
        self.mux.announce_end();
    }

    /// Returns whether the last answer was sent of a connection that has been told its end.
    fn is_over(&self, is_serving: bool) -> bool {
        self.has_named_last && !is_serving
    }

    /// Returns what is due next.
    fn due(&mut self, is_serving: bool) -> (Instant, Due) {
        let now = Instant::now();
        let stalled = self.driver.stalled_since;
        if is_serving || stalled.is_some() {
            self.busy_at = now;
        }
        let unfinished = self.mux.unfinished_head();
        self.head = self
            .head
            .filter(|(stream, _)| unfinished == Some(*stream))
            .or_else(|| unfinished.map(|stream| (stream, now)));
        let stall = self.limits.write_stall_timeout;
        // A client can also stop reading by granting no window, stream by stream. While one of them
        // flows the others may wait; there are never more than `streams_max`.
        let withheld = self.mux.blocked_since().map(|since| (since + stall, Due::Stalled));
        let head = self
            .head
            .map(|(_, since)| (since + self.limits.head_timeout, Due::End(Left::HeadTimeout)));
        let quiet = match (stalled, self.leaving) {
            // What it is asked would not reach it.
            (Some(since), _) => (since + stall, Due::Stalled),
            _ if is_serving => (self.driver.silence_ends(), Due::Ask),
            (None, Some(since)) => {
                (since.max(self.busy_at) + GOODBYE_TIME_MAX, Due::End(Left::Finished))
            }
            (None, None) => (self.busy_at + self.limits.keep_alive_timeout, Due::Leave),
        };
        let heard_at = self.mux.end_heard_at().filter(|_| !self.has_named_last);
        let last = heard_at.map(|at| (at + STRAGGLERS_TIME_MAX, Due::NameLast));
        let others = withheld.into_iter().chain(head).chain(last);
        others.fold(quiet, |first, other| if other.0 < first.0 { other } else { first })
    }
}

/// Says how a connection ends that the client has ended, and with which code it is told.
fn lost_with(lost: Lost, is_serving: bool) -> (Left, Option<ErrorCode>) {
    match lost {
        Lost::Violated(violation) if violation.code == ErrorCode::ENHANCE_YOUR_CALM => {
            (Left::Flooded, Some(violation.code))
        }
        Lost::Violated(violation) => (Left::Refused, Some(violation.code)),
        Lost::Closed if !is_serving => (Left::Finished, None),
        Lost::Closed | Lost::Failed(_) => (Left::ClientGone, None),
    }
}

/// What is due on a connection.
#[derive(Clone, Copy, Debug)]
enum Due {
    /// The client is told that there will be an end.
    Leave,
    /// The client is told which stream is the last that is looked at.
    NameLast,
    /// The client is asked whether it is there.
    Ask,
    /// The connection ends in order.
    End(Left),
    /// The client has taken nothing for too long.
    Stalled,
}

/// A request that is being answered.
struct ServerStream<F, B> {
    stream: u32,
    is_head: bool,
    answering: Answering<F, B>,
}

enum Answering<F, B> {
    Asked(F),
    Refused(Response<B>),
}

impl<F, B> ServerStream<F, B>
where
    F: Future<Output = Response<B>>,
    B: Body<Data = Bytes, Error = Fault> + Unpin,
{
    /// Answers it.
    async fn serve(self, mux: Arc<Mux>) {
        let Self { stream, is_head, answering } = self;
        let ending = Ending { mux, stream };
        let mux = &*ending.mux;
        let response = match answering {
            Answering::Refused(response) => response,
            Answering::Asked(answering) => {
                let mut answering = pin!(answering);
                let answered = poll_fn(|cx| {
                    // A client that takes its request back takes the call with it.
                    if mux.poll_gone(cx, stream).is_ready() {
                        return Poll::Ready(None);
                    }
                    answering.as_mut().poll(cx).map(Some)
                });
                let Some(response) = answered.await else { return };
                response
            }
        };
        let (mut head, body) = response.into_parts();
        let is_bare = is_head || body.is_end_stream();
        prepare(&mut head, &body.size_hint(), is_bare);
        let status = head.status.as_u16();
        mux.send_head(stream, is_bare, |out| encode_response(out, status, &head.headers));
        drop(head);
        if is_bare {
            return;
        }
        let mut outgoing = Outgoing::new(body);
        let sent = poll_fn(|cx| {
            if mux.poll_gone(cx, stream).is_ready() {
                return Poll::Ready(Err(Unsent::Gone));
            }
            outgoing.poll(cx, mux, stream)
        });
        if let Err(Unsent::Body(_)) = sent.await {
            // What was sent before stays, and goes first.
            mux.reset(stream, ErrorCode::INTERNAL_ERROR);
        }
    }
}

/// Ends a stream with whoever serves it. What the client still sends of its request is not wanted
/// once it is answered (RFC 9113, 8.1).
struct Ending {
    mux: Arc<Mux>,
    stream: u32,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.mux.forget(self.stream, ErrorCode::NO_ERROR);
    }
}

/// Makes a head fit for HTTP/2, and says in it what everybody expects.
fn prepare(head: &mut ResponseHead, body: &SizeHint, is_bare: bool) {
    let headers = &mut head.headers;
    if head.status == StatusCode::NO_CONTENT {
        headers.remove(name::CONTENT_LENGTH);
    }
    if !is_bare
        && !headers.contains(name::CONTENT_LENGTH)
        && let Some(length) = body.exact()
    {
        headers.insert_number(name::CONTENT_LENGTH, length);
    }
    if !headers.contains(name::DATE) {
        with_date(|date| {
            if let Some(date) = Value::new(date.as_bytes()) {
                headers.append(name::DATE, date);
            }
        });
    }
}

/// The stream that a request's body comes over.
struct StreamSource {
    mux: Arc<Mux>,
    stream: u32,
    /// Whether the client waits for a 100 before it sends the body.
    waits: AtomicBool,
}

impl Source for StreamSource {
    fn poll_piece(&self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame<Bytes>>, BadBody>> {
        let waits = self.waits.swap(false, Ordering::Relaxed);
        let polled = self.mux.poll_piece(cx, self.stream);
        if waits && polled.is_pending() {
            self.mux.send_head(self.stream, false, |out| wire::encode_status(out, 100));
        }
        polled.map_err(|_gone| BadBody::Cut(None))
    }

    fn is_ended(&self) -> bool {
        self.mux.is_ended(self.stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.mux.length(self.stream).map_or_else(SizeHint::default, SizeHint::with_exact)
    }

    fn tell(&self, mut head: ResponseHead) {
        // Interim answers are hints: they are not kept for a client that takes nothing.
        if self.mux.is_crowded() {
            return;
        }
        rules::strip_response(&mut head.headers);
        head.headers.remove(name::CONTENT_LENGTH);
        let status = head.status.as_u16();
        let encode = |out: &mut Vec<u8>| encode_response(out, status, &head.headers);
        self.mux.send_head(self.stream, false, encode);
    }

    fn abandon(&self) {
        self.mux.abandon(self.stream);
    }
}

/// How long a client that was told that there will be an end may take to hear it.
const GOODBYE_TIME_MAX: Duration = Duration::from_secs(5);
/// How long streams are still taken from a client that has heard it: some answer the PING before they
/// send the heads that they had ready, and would take those for refused.
const STRAGGLERS_TIME_MAX: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use std::io;
    use std::pin::Pin;

    use futures_util::task::AtomicWaker;
    use http::StatusCode;
    use seawall_testkit::frames::{self, Frame, kind};
    use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};

    use super::*;
    use crate::Body as Whole;

    const LIMITS: ClientLimits = ClientLimits {
        line_bytes_max: 8 * 1024,
        head_bytes_max: 64 * 1024,
        headers_max: 100,
        streams_max: 100,
        first_byte_timeout: MINUTE,
        head_timeout: MINUTE,
        keep_alive_timeout: MINUTE,
        write_stall_timeout: MINUTE,
    };
    const MINUTE: Duration = Duration::from_secs(60);

    /// A pipe whose end takes nothing while it is shut.
    struct Gate {
        pipe: DuplexStream,
        valve: Arc<Valve>,
    }

    #[derive(Default)]
    struct Valve {
        is_shut: AtomicBool,
        waker: AtomicWaker,
    }

    impl AsyncRead for Gate {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.pipe).poll_read(cx, buf)
        }
    }

    impl AsyncWrite for Gate {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            if self.valve.is_shut.load(Ordering::SeqCst) {
                self.valve.waker.register(cx.waker());
                return Poll::Pending;
            }
            Pin::new(&mut self.pipe).poll_write(cx, bytes)
        }

        fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.pipe).poll_shutdown(cx)
        }
    }

    impl Socket for Gate {
        fn poll_gone(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }

        fn reset_on_close(&self) {}
    }

    /// Serves a client until it is done; says how the connection ended.
    async fn serve<F: Future<Output = Response<Whole>> + Send + 'static>(
        client: impl AsyncFnOnce(&mut DuplexStream),
        answer: impl FnMut(Request<RequestBody>) -> F + Send + 'static,
    ) -> Left {
        serve_behind(Arc::default(), client, answer).await
    }

    async fn serve_behind<F: Future<Output = Response<Whole>> + Send + 'static>(
        valve: Arc<Valve>,
        client: impl AsyncFnOnce(&mut DuplexStream),
        answer: impl FnMut(Request<RequestBody>) -> F + Send + 'static,
    ) -> Left {
        let (mut ours, pipe) = tokio::io::duplex(1024 * 1024);
        // A task of its own: it must be woken for itself.
        let served = tokio::spawn(async move {
            let state = ConnectionState::new("192.0.2.1:1".parse().unwrap(), DrainPhase::Serving);
            let sleep = pin!(tokio::time::sleep(MINUTE));
            let (mut clock, socket) = (ConnectionTimer::new(sleep), Gate { pipe, valve });
            let refuse = |_| Response::new(Whole::empty());
            serve_http2(socket, Vec::new(), &state, &LIMITS, &mut clock, answer, refuse).await
        });
        ours.write_all(&[frames::PREFACE, &frames::settings(&[])].concat()).await.unwrap();
        client(&mut ours).await;
        drop(ours);
        served.await.unwrap()
    }

    async fn until(client: &mut DuplexStream, wanted: impl Fn(&Frame) -> bool) -> Frame {
        loop {
            let frame = frames::read(client).await.unwrap();
            if wanted(&frame) {
                return frame;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_did_not_read_for_a_while_is_heard_again_once_it_does() {
        // More than may wait to be sent while the client is still read from.
        let hints = |request: &Request<RequestBody>| {
            let interim = request.body().interim().unwrap();
            for _ in 0..10 {
                let status = StatusCode::EARLY_HINTS;
                let mut head = ResponseHead { status, ..ResponseHead::default() };
                let long = vec![b'x'; 60_000];
                head.headers.append("link", Value::new(&long).unwrap());
                interim.tell(head);
            }
        };
        let answer = move |request: Request<RequestBody>| {
            if request.head().uri.path() == "/hints" {
                hints(&request);
            }
            std::future::ready(Response::new(Whole::empty()))
        };
        let valve = Arc::new(Valve { is_shut: AtomicBool::new(true), ..Valve::default() });
        let client = async |client: &mut DuplexStream| {
            client.write_all(&frames::request(1, true, "GET", "/hints", &[])).await.unwrap();
            // It is served, and then nothing more is read; this stays in the pipe.
            tokio::time::sleep(MINUTE / 60).await;
            client.write_all(&frames::request(3, true, "GET", "/", &[])).await.unwrap();
            tokio::time::sleep(MINUTE / 60).await;
            // All that waits goes at once.
            valve.is_shut.store(false, Ordering::SeqCst);
            valve.waker.wake();
            let answered = until(client, |frame| frame.stream == 3 && frame.kind == kind::HEADERS);
            tokio::time::timeout(MINUTE / 60, answered).await.expect("it is heard at once");
        };
        let left = serve_behind(Arc::clone(&valve), client, answer).await;
        assert_eq!(left, Left::Finished);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_fails_is_sent_as_far_as_it_came_and_never_ended() {
        struct Failing(Option<Bytes>);
        impl Body for Failing {
            type Data = Bytes;
            type Error = Fault;
            fn poll_frame(
                mut self: Pin<&mut Self>,
                _cx: &mut Context<'_>,
            ) -> Poll<Option<Result<http_body::Frame<Bytes>, Fault>>> {
                let fault = Fault::upstream(seawall_core::Step::Body, seawall_core::Cause::Reset);
                Poll::Ready(Some(self.0.take().map(http_body::Frame::data).ok_or(fault)))
            }
        }
        let answer = |_| {
            let body = Failing(Some(Bytes::from(vec![b'x'; 40_000])));
            std::future::ready(Response::new(Whole::boxed(body)))
        };
        let client = async |client: &mut DuplexStream| {
            client.write_all(&frames::request(1, true, "GET", "/", &[])).await.unwrap();
            let mut bytes = 0;
            let end = until(client, |frame| {
                assert!(!frame.ends_stream());
                frame.kind == kind::DATA && frame.payload.len() < 16 * 1024
                    || frame.kind == kind::RST_STREAM
            });
            bytes += end.await.payload.len();
            assert_eq!(bytes, 40_000 % (16 * 1024), "the last piece comes before the end");
            let end = until(client, |frame| frame.kind == kind::RST_STREAM).await;
            assert_eq!(end.code(), Some(ErrorCode::INTERNAL_ERROR.0));
        };
        serve(client, answer).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_from_which_nothing_comes_is_asked_and_then_given_up() {
        let never = |_| std::future::pending::<Response<Whole>>();
        let client = async |client: &mut DuplexStream| {
            client.write_all(&frames::request(1, true, "GET", "/", &[])).await.unwrap();
            let asked_at = Instant::now();
            until(client, |frame| frame.kind == kind::PING).await;
            assert_eq!(asked_at.elapsed().as_secs(), 20);
            assert!(frames::read(client).await.is_err(), "it hangs up");
            assert_eq!(asked_at.elapsed().as_secs(), 40);
        };
        assert_eq!(serve(client, never).await, Left::ClientGone);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_asked_has_its_time_from_then_on_however_long_it_was_silent() {
        let valve = Arc::new(Valve { is_shut: AtomicBool::new(true), ..Valve::default() });
        let never = |_| std::future::pending::<Response<Whole>>();
        let client = async |client: &mut DuplexStream| {
            client.write_all(&frames::request(1, true, "GET", "/", &[])).await.unwrap();
            // For so long it cannot be asked: what it is sent does not reach it.
            tokio::time::sleep(MINUTE / 4 * 3).await;
            valve.is_shut.store(false, Ordering::SeqCst);
            valve.waker.wake();
            let ping = until(client, |frame| frame.kind == kind::PING).await;
            tokio::time::sleep(MINUTE / 4).await;
            let pong = frames::frame(kind::PING, frames::ACK, 0, &ping.payload);
            client.write_all(&pong).await.unwrap();
            client.write_all(&frames::frame(kind::PING, 0, 0, b"still up")).await.unwrap();
            until(client, |frame| frame.payload == b"still up").await;
        };
        serve_behind(Arc::clone(&valve), client, never).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_grants_no_window_for_the_last_piece_is_given_up_too() {
        let answer = |_| std::future::ready(Response::new(Whole::full("hello")));
        let client = async |client: &mut DuplexStream| {
            let asked_at = Instant::now();
            client.write_all(&frames::settings(&[(4, 0)])).await.unwrap();
            client.write_all(&frames::request(1, true, "GET", "/", &[])).await.unwrap();
            // It does answer when it is asked whether it is there.
            while let Ok(frame) = frames::read(client).await {
                if frame.kind == kind::PING {
                    let pong = frames::frame(kind::PING, frames::ACK, 0, &frame.payload);
                    let _may_be_gone = client.write_all(&pong).await;
                }
            }
            assert_eq!(asked_at.elapsed(), LIMITS.write_stall_timeout);
        };
        assert_eq!(serve(client, answer).await, Left::WriteStall);
    }

    #[tokio::test(start_paused = true)]
    async fn large_answers_take_turns_whatever_holds_them_up() {
        let answer = |_| std::future::ready(Response::new(Whole::full(vec![b'x'; 200_000])));
        let client = async |client: &mut DuplexStream| {
            // As much as you like of each, and 60,000 bytes of all at a time.
            client.write_all(&frames::settings(&[(4, 1 << 20)])).await.unwrap();
            for stream in [1, 3, 5] {
                let request = frames::request(stream, true, "GET", "/", &[]);
                client.write_all(&request).await.unwrap();
            }
            let (mut came, mut all, mut granted) = ([0; 3], 0, 65_535);
            while all < 600_000 {
                let frame = until(client, |frame| frame.kind == kind::DATA).await;
                came[frame.stream as usize / 2] += frame.payload.len();
                all += frame.payload.len();
                if all == granted {
                    let grant = frames::frame(kind::WINDOW_UPDATE, 0, 0, &60_000_u32.to_be_bytes());
                    client.write_all(&grant).await.unwrap();
                    granted += 60_000;
                }
                let (least, most) = (came.iter().min().unwrap(), came.iter().max().unwrap());
                assert!(most - least <= 65_536, "{came:?}");
            }
        };
        serve(client, answer).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_never_ended_ends_the_connection() {
        let never = |_| std::future::pending::<Response<Whole>>();
        let client = async |client: &mut DuplexStream| {
            let mut head = frames::request(1, true, "GET", "/", &[]);
            // Without END_HEADERS.
            head[4] &= !4;
            client.write_all(&head).await.unwrap();
            let begun = Instant::now();
            until(client, |frame| frame.kind == kind::GOAWAY).await;
            assert_eq!(begun.elapsed(), MINUTE);
        };
        assert_eq!(serve(client, never).await, Left::HeadTimeout);
    }
}
