//! HTTP/1.1 to one upstream, over connections that are used again.
//!
//! Does not know: policies, routes. A connection is driven by whoever waits for its answer, so
//! there is no task and no wake-up between them, and dropping the `send` future or the body of
//! the answer resets the connection at once. A connection goes back to the pool only after a
//! whole answer.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::{Method, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;
use seawall_core::{Attempt, Cause, Fault, Step};
use seawall_wire::http1::{BodyLength as Framed, Reader};
use seawall_wire::{Fields, name};
use tokio::time::Instant;

use super::connection::Connection;
use super::flow::Flow;
use super::heads::Found;
use super::inbound::{Broken, Inbound};
use super::outbound::{Framing, Outbound, Unsent, room};
use super::{fault, heads};
use crate::address::Address;
use crate::connect::connect;
use crate::head::HeadTooLarge;
use crate::life::Life;
use crate::pace::Pace;
use crate::pool::Pool;
use crate::server::Interim;
use crate::{Body, Options, Request, RequestHead, Response, ResponseHead};

/// Sends requests to one upstream.
pub(crate) struct Http1 {
    address: Address,
    options: Options,
    /// Shared with the bodies of answers, which give their connections back.
    pool: Arc<Pool<Box<Connection>>>,
}

/// A request on its way over a connection, until the head of its answer is here.
struct Exchange<'a> {
    /// `None` once the head is here.
    connection: Option<Box<Connection>>,
    /// What is not sent yet of the request.
    outbound: Option<Outbound<Body>>,
    /// Why no more of the request can be written. The answer may be here all the same.
    unsent: Option<Broken>,
    reused: Option<Reused<'a>>,
    interim: Option<&'a Interim>,
}

/// What an exchange knows of a connection that had been idle.
struct Reused<'a> {
    pool: &'a Pool<Box<Connection>>,
    idle_since: Instant,
    asked_at: Instant,
    attempt: &'a Attempt,
}

impl Http1 {
    pub(crate) fn new(address: Address, options: Options) -> Self {
        let pool = Arc::new(Pool::new(options.idle_max, options.idle_timeout));
        Self { address, options, pool }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Sends a request over an idle connection, or over a new one.
    pub(crate) async fn send(
        &self,
        request: Request<Body>,
        attempt: &Attempt,
        is_fresh: bool,
        interim: Option<&Interim>,
    ) -> Result<Response<Body>, Fault> {
        let (mut head, body) = request.into_parts();
        let framing = self.address.prepare_http1(&mut head, body.size_hint().exact())?;
        let idle = if is_fresh { None } else { self.take_idle() };
        let (connection, reused) = match idle {
            Some((connection, idle_since)) => {
                let asked_at = Instant::now();
                let reused = Reused { pool: &self.pool, idle_since, asked_at, attempt };
                (connection, Some(reused))
            }
            None => (self.open(attempt.connect).await?, None),
        };
        let mut exchange = Exchange::begin(connection, (&head, body, framing), reused, interim)?;
        // What waits for an answer holds no head.
        drop(head);
        poll_fn(|cx| {
            let head = ready!(exchange.poll(cx))?;
            Poll::Ready(self.answer(head, &mut exchange, attempt, cx))
        })
        .await
    }

    /// Takes an idle connection that the upstream has not closed.
    fn take_idle(&self) -> Option<(Box<Connection>, Instant)> {
        while let Some((mut connection, since)) = self.pool.take() {
            if connection.inbound.is_still(&mut connection.socket) {
                return Some((connection, since));
            }
        }
        None
    }

    async fn open(&self, limit: Duration) -> Result<Box<Connection>, Fault> {
        let socket = connect(&self.address, limit).await?;
        let head_max = HeadTooLarge::of(&self.options);
        let limits = seawall_wire::HeadLimits {
            fields: head_max.fields,
            head_bytes: head_max.bytes,
            ..seawall_wire::HeadLimits::default()
        };
        let inbound = Inbound::new(Reader::responses(limits));
        let life = Life::begin(&self.options);
        Ok(Box::new(Connection { socket, inbound, life, is_owed: false, head_max }))
    }

    /// Makes the answer. A body that has come with its head is taken at once, and its connection
    /// goes back before the client has read anything.
    fn answer(
        &self,
        (head, persists): (ResponseHead, bool),
        exchange: &mut Exchange<'_>,
        attempt: &Attempt,
        cx: &mut Context<'_>,
    ) -> Result<Response<Body>, Fault> {
        let connection = exchange.connection.take();
        let sending = exchange.outbound.take().map(Box::new);
        let tunnel = exchange.interim.filter(|_| head.status == StatusCode::SWITCHING_PROTOCOLS);
        let limit = keep_alive_limit(&head.headers);
        let keep = (persists && exchange.unsent.is_none()).then_some(limit);
        let pace = Pace::of(&head.headers, attempt, self.options.body_rate_min);
        let pool = Arc::clone(&self.pool);
        let mut flow = Flow::new(connection, sending, pool, keep, pace);
        if let Some(interim) = tunnel {
            let client = interim
                .switch()
                .map_err(|error| Fault::client(Step::Source, Cause::Truncated).because(error));
            let flow = flow.through(Body::boxed(client));
            return Ok(Response::from_parts(head, Body::flow(flow)));
        }
        let body = match flow.poll_first(cx) {
            Poll::Ready(None) => Body::empty(),
            // Nothing has reached the client yet: the policy may still try again.
            Poll::Ready(Some(Err(fault))) => return Err(fault),
            Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                Ok(bytes) if flow.is_over() => Body::full(bytes),
                Ok(bytes) => Body::flow(flow.with_first(http_body::Frame::data(bytes))),
                Err(frame) => Body::flow(flow.with_first(frame)),
            },
            Poll::Pending => Body::flow(flow),
        };
        Ok(Response::from_parts(head, body))
    }
}

impl<'a> Exchange<'a> {
    fn begin(
        mut connection: Box<Connection>,
        (head, body, framing): (&RequestHead, Body, Framing),
        reused: Option<Reused<'a>>,
        interim: Option<&'a Interim>,
    ) -> Result<Self, Fault> {
        let mut front = room();
        heads::write_request(&mut front, head)
            .map_err(|error| Fault::ours(Step::Send, Cause::Malformed).because(error))?;
        connection.inbound.expect(head.method == Method::HEAD);
        if interim.is_some() && head.headers.contains(name::UPGRADE) {
            connection.inbound.expect_switch();
        }
        connection.is_owed = true;
        let outbound = Some(Outbound::new(front, body, framing));
        Ok(Self { connection: Some(connection), outbound, unsent: None, reused, interim })
    }

    /// Writes what there is of the request, and reads the head of the answer; says whether the
    /// connection may be used again after it.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(ResponseHead, bool), Fault>> {
        let Some(connection) = &mut self.connection else { return Poll::Pending };
        if let Some(outbound) = &mut self.outbound {
            match outbound.poll(&mut connection.socket, cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.outbound = None,
                Poll::Ready(Err(Unsent::Failed(error))) => {
                    (self.outbound, self.unsent) = (None, Some(Broken::Failed(error)));
                }
                Poll::Ready(Err(unsent)) => return Poll::Ready(Err(fault::not_sent(unsent))),
            }
        }
        loop {
            match connection.inbound.poll_head(&mut connection.socket, cx) {
                Poll::Pending => return Poll::Pending,
                // Whoever waits for a 100 is told by whoever reads the body.
                Poll::Ready(Ok(Found { head, .. })) if head.status() == 100 => {}
                Poll::Ready(Ok(found))
                    if found.head.status() < 200 && found.head.status() != 101 =>
                {
                    if let Some(interim) = self.interim
                        && let Ok(head) = heads::response(found)
                    {
                        interim.tell(head);
                    }
                }
                Poll::Ready(Ok(found)) => {
                    let head = &found.head;
                    let persists = head.persists() && head.body() != Framed::UntilClose;
                    let answer = heads::response(found).map(|answer| (answer, persists));
                    return Poll::Ready(answer.map_err(fault::too_long));
                }
                Poll::Ready(Err(broken)) => {
                    let broken = self.unsent.take().unwrap_or(broken);
                    let fault = fault::at_head(broken, connection.head_max);
                    return Poll::Ready(Err(self.lost(fault)));
                }
            }
        }
    }

    /// Says of a connection that was lost without a word whether it had been forgotten while it
    /// was idle.
    fn lost(&self, fault: Fault) -> Fault {
        match &self.reused {
            Some(reused) if !self.has_heard() && crate::fault::is_lost(&fault) => {
                reused.pool.close_idle_since(reused.idle_since);
                fault.stale()
            }
            _ => fault,
        }
    }

    fn has_heard(&self) -> bool {
        self.connection.as_ref().is_none_or(|connection| connection.inbound.has_heard())
    }
}

impl Drop for Exchange<'_> {
    /// Closes what else has been idle, if an attempt runs out of time on a connection that had been
    /// idle before without a byte of its answer: something on the way may have forgotten them all.
    fn drop(&mut self) {
        let Some(reused) = &self.reused else { return };
        if self.has_heard() {
            return;
        }
        let now = Instant::now();
        let is_over = reused.attempt.deadline.has_passed(now.into_std());
        if is_over && is_telling(reused.attempt, reused.asked_at, now) {
            reused.pool.close_idle_since(reused.idle_since);
        }
    }
}

/// Returns whether the silence of a connection within an attempt that ran out of time says anything
/// about the connection. What a caller in a hurry allows does not: callers must not close each
/// other's connections.
pub(crate) fn is_telling(attempt: &Attempt, asked_at: Instant, now: Instant) -> bool {
    attempt.deadline < attempt.call_deadline || now - asked_at >= SILENCE
}

/// Reads how long the upstream keeps an idle connection (`Keep-Alive: timeout=5`), less a second:
/// it would be closed under the next request otherwise. Node.js and Apache say 5 s.
fn keep_alive_limit(headers: &Fields) -> Option<Duration> {
    let value = headers.get(name::KEEP_ALIVE)?.to_str()?;
    let seconds = value.split(',').find_map(|part| part.trim().strip_prefix("timeout="))?;
    Some(Duration::from_secs(seconds.trim().parse::<u64>().ok()?.saturating_sub(1)))
}

/// After how long the silence of a connection is suspect even where only the call's time is over.
const SILENCE: Duration = Duration::from_secs(1);
