//! HTTP/1.1 to one upstream, over connections that are used again.
//!
//! Does not know: policies, routes. A connection is driven by whoever waits for its answer, so
//! there is no task and no wake-up between them, and dropping the `send` future or the body of
//! the answer closes the connection at once. A connection goes back to the pool only after a
//! whole answer.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use seawall_core::{Attempt, Cause, Fault, Step};
use tokio::task::coop::unconstrained;
use tokio::time::Instant;

use crate::address::Address;
use crate::connect::connect;
use crate::head::HeadTooLarge;
use crate::life::Life;
use crate::line::{Debt, Line};
use crate::pace::Pace;
use crate::pool::Pool;
use crate::{Body, Options, fault};

/// Sends requests to one upstream.
pub(crate) struct Http1 {
    address: Address,
    options: Options,
    pool: Pool<Box<Connection>>,
}

/// Holds one open connection: the two halves of hyper's, and what is owed on it.
struct Connection {
    sender: http1::SendRequest<Body>,
    /// `None` once it has ended.
    driver: Option<http1::Connection<TokioIo<Line>, Body>>,
    debt: Arc<Debt>,
    life: Life,
}

/// Closes what else has been idle, if an attempt runs out of time on a connection that had been
/// idle before without a byte of its answer: something on the way may have forgotten them all.
struct Suspicion<'a> {
    pool: &'a Pool<Box<Connection>>,
    idle_since: Instant,
    asked_at: Instant,
    attempt: &'a Attempt,
    debt: Arc<Debt>,
}

/// Says why a request has no answer.
enum NotAnswered {
    /// The connection had ended before; here is the request, and how it ended.
    Unsent(Box<Request<Body>>, Fault),
    Failed(Fault),
}

impl Http1 {
    pub(crate) fn new(address: Address, options: Options) -> Self {
        let pool = Pool::new(options.idle_max, options.idle_timeout);
        Self { address, options, pool }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Sends a request over an idle connection, or over a new one.
    pub(crate) async fn send(
        self: &Arc<Self>,
        mut request: Request<Body>,
        attempt: &Attempt,
        is_fresh: bool,
    ) -> Result<Response<Body>, Fault> {
        self.address.prepare_http1(&mut request)?;
        if !is_fresh && let Some((connection, idle_since)) = self.pool.take() {
            let (pool, debt) = (&self.pool, Arc::clone(&connection.debt));
            let asked_at = Instant::now();
            let suspicion = Suspicion { pool, idle_since, asked_at, attempt, debt };
            let result = exchange(connection, request).await;
            let has_heard = suspicion.debt.has_heard();
            drop(suspicion);
            match result {
                Ok((response, connection)) => {
                    return self.answer(response, connection, attempt).await;
                }
                // The upstream had closed it while it was idle: no attempt was made yet.
                Err(NotAnswered::Unsent(back, _)) => request = *back,
                Err(NotAnswered::Failed(fault)) if !has_heard && fault::is_lost(&fault) => {
                    self.pool.close_idle_since(idle_since);
                    return Err(fault.stale());
                }
                Err(NotAnswered::Failed(fault)) => return Err(fault),
            }
        }
        let connection = self.open(attempt.connect).await?;
        match exchange(connection, request).await {
            Ok((response, connection)) => self.answer(response, connection, attempt).await,
            Err(NotAnswered::Unsent(_, fault) | NotAnswered::Failed(fault)) => Err(fault),
        }
    }

    async fn open(&self, limit: Duration) -> Result<Box<Connection>, Fault> {
        let stream = connect(&self.address, limit).await?;
        let debt = Arc::new(Debt::default());
        let Options { headers_max, head_bytes_max, .. } = self.options;
        let line = Line::new(stream, Arc::clone(&debt), HeadTooLarge::of(&self.options));
        let mut builder = http1::Builder::new();
        builder.max_header_size(head_bytes_max);
        // With hyper's own number they are on the stack.
        if headers_max > 100 {
            builder.max_headers(headers_max);
        }
        let (sender, driver) = builder
            .handshake(TokioIo::new(line))
            .await
            .map_err(|error| fault::at_head(error).unsent())?;
        let life = Life::begin(&self.options);
        Ok(Box::new(Connection { sender, driver: Some(driver), debt, life }))
    }

    /// Turns hyper's answer into ours. A body that has come with its head is taken at once, and
    /// its connection goes back before the client has read anything.
    async fn answer(
        self: &Arc<Self>,
        response: Response<Incoming>,
        connection: Box<Connection>,
        attempt: &Attempt,
    ) -> Result<Response<Body>, Fault> {
        let (head, incoming) = response.into_parts();
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            // Nobody asked for it: we remove every Upgrade header.
            return Err(Fault::upstream(Step::Head, Cause::Malformed));
        }
        let keep = keep_alive_limit(&head.headers);
        let pace = Pace::of(&head.headers, attempt, self.options.body_rate_min);
        let mut flow = Flow {
            incoming,
            connection: Some(connection),
            home: Arc::clone(self),
            keep,
            pace,
            first: None,
        };
        if flow.incoming.is_end_stream() {
            flow.finish();
            return Ok(Response::from_parts(head, Body::empty()));
        }
        let body = match poll_fn(|cx| Poll::Ready(flow.poll_piece(cx))).await {
            Poll::Ready(None) => Body::empty(),
            // Nothing has reached the client yet: the policy may still try again.
            Poll::Ready(Some(Err(fault))) => return Err(fault),
            Poll::Ready(Some(Ok(frame))) => match (flow.connection.is_none(), frame.into_data()) {
                (true, Ok(bytes)) => Body::full(bytes),
                (_, Ok(bytes)) => Body::flow(Flow { first: Some(Frame::data(bytes)), ..flow }),
                (_, Err(frame)) => Body::flow(Flow { first: Some(frame), ..flow }),
            },
            Poll::Pending => Body::flow(flow),
        };
        Ok(Response::from_parts(head, body))
    }
}

/// Sends one request and drives the connection until the head of the answer is here.
async fn exchange(
    mut connection: Box<Connection>,
    request: Request<Body>,
) -> Result<(Response<Incoming>, Box<Connection>), NotAnswered> {
    connection.debt.ask(request.method() == Method::HEAD);
    let mut answer = pin!(unconstrained(connection.sender.try_send_request(request)));
    let mut is_sent = false;
    let result = poll_fn(|cx| {
        let mut asleep = Context::from_waker(Waker::noop());
        // The driver first: it writes the request and reads the answer that the other waits for.
        // So the other needs no waking, which would be one more poll of the whole task, and no
        // budget, which would be spent without anyone being woken.
        if is_sent {
            // It is most likely the answer that woke this task. Whoever reads it now is told of
            // a body that came along, and would wake this task once more when that is taken.
            let _ = connection.drive(&mut asleep);
            if let Poll::Ready(answer) = answer.as_mut().poll(&mut asleep) {
                return Poll::Ready(answer);
            }
        }
        is_sent = true;
        let _ = connection.drive(cx);
        answer.as_mut().poll(&mut asleep)
    })
    .await;
    match result {
        Ok(response) => Ok((response, connection)),
        Err(mut error) => {
            let request = error.take_message();
            let fault = fault::at_head(error.into_error());
            Err(match request {
                Some(request) => NotAnswered::Unsent(Box::new(request), fault.unsent()),
                None => NotAnswered::Failed(fault),
            })
        }
    }
}

impl Drop for Suspicion<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        let is_over = self.attempt.deadline.has_passed(now.into_std());
        if is_over && !self.debt.has_heard() && is_telling(self.attempt, self.asked_at, now) {
            self.pool.close_idle_since(self.idle_since);
        }
    }
}

/// Returns whether the silence of a connection within an attempt that ran out of time says anything
/// about the connection. What a caller in a hurry allows does not: callers must not close each
/// other's connections.
pub(crate) fn is_telling(attempt: &Attempt, asked_at: Instant, now: Instant) -> bool {
    attempt.deadline < attempt.call_deadline || now - asked_at >= SILENCE
}

impl Connection {
    /// Moves bytes both ways; ready when the connection has ended.
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        let Some(driver) = &mut self.driver else { return Poll::Ready(Ok(())) };
        let end = Pin::new(driver).poll(cx);
        if end.is_ready() {
            // Dropping it answers whoever still waits for something from it.
            self.driver = None;
        }
        end
    }
}

/// A body on its way from an upstream, together with the connection that brings it.
pub(crate) struct Flow {
    incoming: Incoming,
    /// `None` once the body has ended, in whichever way.
    connection: Option<Box<Connection>>,
    home: Arc<Http1>,
    keep: Option<Duration>,
    pace: Pace,
    /// What came together with the head.
    first: Option<Frame<Bytes>>,
}

impl Flow {
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        match self.poll_piece(cx) {
            Poll::Pending => self.pace.poll_silence(cx).map(|cause| Some(Err(self.cut(cause)))),
            piece => piece,
        }
    }

    pub(crate) fn is_end_stream(&self) -> bool {
        self.first.is_none() && (self.connection.is_none() || self.incoming.is_end_stream())
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        let rest = self.incoming.size_hint();
        let Some(first) = self.first.as_ref().and_then(Frame::data_ref) else { return rest };
        let first = first.len() as u64;
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + first);
        }
        hint.set_lower(rest.lower() + first);
        hint
    }

    /// Takes the next piece of the body, if it is here.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let Some(connection) = &mut self.connection else { return Poll::Ready(None) };
        // The body is asked before the connection, since the connection reads no more than the
        // body has asked for; and after it, to take what it has read. Only the second asking
        // needs to wake anyone.
        let mut asleep = Context::from_waker(Waker::noop());
        if let Poll::Ready(piece) = Pin::new(&mut self.incoming).poll_frame(&mut asleep) {
            return Poll::Ready(self.take_piece(piece));
        }
        let end = connection.drive(cx);
        let piece = Pin::new(&mut self.incoming).poll_frame(cx);
        match (end, piece) {
            (Poll::Pending, Poll::Pending) => Poll::Pending,
            // What ended the connection says more than what the body heard of it.
            (Poll::Ready(Err(why)), Poll::Pending | Poll::Ready(Some(Err(_)))) => {
                Poll::Ready(self.take_piece(Some(Err(why))))
            }
            (_, Poll::Ready(piece)) => Poll::Ready(self.take_piece(piece)),
            // The connection is gone and the body does not know: it is not whole.
            (Poll::Ready(Ok(())), Poll::Pending) => {
                Poll::Ready(Some(Err(self.cut(Cause::Truncated))))
            }
        }
    }

    fn take_piece(
        &mut self,
        piece: Option<Result<Frame<Bytes>, hyper::Error>>,
    ) -> Option<Result<Frame<Bytes>, Fault>> {
        match piece {
            Some(Ok(frame)) => {
                if let Err(cause) = self.pace.came(frame.data_ref().map_or(0, Bytes::len)) {
                    return Some(Err(self.cut(cause)));
                }
                if self.incoming.is_end_stream() {
                    self.finish();
                }
                Some(Ok(frame))
            }
            Some(Err(error)) => {
                self.connection = None;
                Some(Err(fault::at_body(error)))
            }
            None => {
                self.finish();
                None
            }
        }
    }

    /// Ends the body: its connection waits for the next request, if it can carry one.
    fn finish(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        connection.debt.settle();
        // One more round lets hyper notice that both sides are done, and us that the upstream
        // closes the connection or has sent more than its answer: then it is not used again. It
        // wakes nobody: this task has no more business with the connection.
        let mut round = pin!(unconstrained(poll_fn(|cx| connection.drive(cx))));
        let is_open = round.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
        connection.life.count();
        if is_open
            && connection.sender.is_ready()
            && let Some(left) = connection.life.left()
        {
            let keep = self.keep.map_or(left, |keep| keep.min(left));
            self.home.pool.put(connection, Some(keep));
        }
    }

    /// Gives the body up and closes its connection.
    fn cut(&mut self, cause: Cause) -> Fault {
        self.connection = None;
        Fault::upstream(Step::Body, cause)
    }
}

/// Reads how long the upstream keeps an idle connection (`Keep-Alive: timeout=5`), less a second:
/// it would be closed under the next request otherwise. Node.js and Apache say 5 s.
fn keep_alive_limit(headers: &http::HeaderMap) -> Option<Duration> {
    let value = headers.get("keep-alive")?.to_str().ok()?;
    let seconds = value.split(',').find_map(|part| part.trim().strip_prefix("timeout="))?;
    Some(Duration::from_secs(seconds.trim().parse::<u64>().ok()?.saturating_sub(1)))
}

/// After how long the silence of a connection is suspect even where only the call's time is over.
const SILENCE: Duration = Duration::from_secs(1);
