//! A connection that speaks HTTP/1, from its first request to its last.
//!
//! Does not know routes or policies. Requests that are sent ahead are answered one after the other.
//! The clocks of a connection are [`Wakes`]; a body's is whose body it is.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Body;
use seawall_core::{Fault, Left};
use seawall_wire::Refusal;
use seawall_wire::headers as rules;
use seawall_wire::http1::{Reader, Wakes};
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use super::answer::{Announced, AnswerContext, write_answer};
use super::body::{Io, lock};
use super::{ClientLimits, ConnectionState, ConnectionTimer, DrainPhase, RequestBody};
use crate::http1::heads::{self, TooLong};
use crate::http1::{Broken, Found, Inbound, Outbound, Unsent, room};
use crate::{Request, Response, Socket};

/// A connection that is no longer served, and what is left of it.
#[derive(Debug)]
pub struct ServedConnection<S> {
    /// The connection, which is still open.
    pub socket: S,
    /// What of the client's bytes was refused.
    pub refusal: Option<Refusal>,
    /// Whether the client may be in the middle of sending something.
    pub has_unread: bool,
}

/// Serves the requests of a connection whose first bytes have been read, each with `answer`.
///
/// Returns when the connection must be ended, and leaves to the caller what is to be said last.
/// Nothing is returned of a connection whose request's body is still in somebody's hands.
///
/// # Cancel safety
///
/// Dropping the future drops the request that is being answered.
pub async fn serve_http1<S, A, F, B>(
    socket: S,
    first: Vec<u8>,
    state: &ConnectionState,
    limits: &ClientLimits,
    clock: &mut ConnectionTimer<'_>,
    mut answer: A,
) -> (Left, Option<ServedConnection<S>>)
where
    S: Socket,
    A: FnMut(Request<RequestBody>) -> F,
    F: Future<Output = Response<B>>,
    B: Body<Data = Bytes, Error = Fault> + Unpin,
{
    let reader = Reader::requests(seawall_wire::HeadLimits {
        line_bytes: limits.line_bytes_max,
        head_bytes: limits.head_bytes_max,
        fields: limits.headers_max,
        ..seawall_wire::HeadLimits::default()
    });
    let inbound = Inbound::beginning_with(reader, &first);
    drop(first);
    let io = Io {
        socket,
        inbound,
        waits: false,
        interim: Vec::new(),
        is_body_waiting: false,
        task: None,
    };
    let connection = Connection { io: Arc::new(Mutex::new(io)), state, limits };
    let left = loop {
        let found = match connection.next_head(clock).await {
            Ok(found) => found,
            Err(left) => break left,
        };
        let (asked, request) = match connection.request(found) {
            Ok(made) => made,
            Err(too_long) => return connection.end(Left::Refused, Some(too_long.into())),
        };
        // Boxed: a connection that waits carries no room for it.
        match Box::pin(connection.exchange(&mut answer, request, asked, clock)).await {
            Ok(true) => {}
            Ok(false) => break state.verdict().unwrap_or(Left::Finished),
            Err(left) => break left,
        }
    };
    connection.end(left, None)
}

struct Connection<'a, S> {
    io: Arc<Mutex<Io<S>>>,
    state: &'a ConnectionState,
    limits: &'a ClientLimits,
}

impl<S: Socket> Connection<'_, S> {
    /// Reads the next head, or says why there is none.
    async fn next_head(&self, clock: &mut ConnectionTimer<'_>) -> Result<Found, Left> {
        let mut wakes = Wakes::between_requests(self.limits.times(), Instant::now().into_std());
        poll_fn(|cx| {
            let phase = self.listen(cx)?;
            let mut io = lock(&self.io);
            let Io { socket, inbound, .. } = &mut *io;
            let is_begun = match inbound.poll_head(socket, cx) {
                Poll::Ready(Ok(next)) => return Poll::Ready(Ok(next)),
                Poll::Ready(Err(broken)) => {
                    let is_between = inbound.is_idle();
                    return Poll::Ready(Err(match broken {
                        Broken::Closed if is_between => Left::Finished,
                        Broken::Closed | Broken::Failed(_) => Left::ClientGone,
                        Broken::Refused(_) | Broken::TooLong(_) => Left::Refused,
                    }));
                }
                Poll::Pending => !inbound.is_idle(),
            };
            drop(io);
            if is_begun {
                wakes.begin_head(Instant::now().into_std());
            }
            clock.poll_wake(cx, wakes.due(phase != DrainPhase::Serving)).map(Err)
        })
        .await
    }

    /// Makes the request of its head.
    fn request(&self, found: Found) -> Result<(AnswerContext, Request<RequestBody>), TooLong> {
        let (persists, expects_continue) = (found.head.persists(), found.head.expects_continue());
        let head = heads::request(found)?;
        let asked = AnswerContext {
            is_head: head.method == http::Method::HEAD,
            is_http_10: head.version == http::Version::HTTP_10,
            persists,
            takes_trailers: rules::takes_trailers(&head.headers),
        };
        let mut io = lock(&self.io);
        let has_body = !io.inbound.is_ended();
        io.waits = has_body && expects_continue;
        // Through it the client of HTTP/1.1 is told of interim answers too.
        let body = match has_body || !asked.is_http_10 {
            true => RequestBody::of(&self.io),
            false => RequestBody::default(),
        };
        Ok((asked, Request::from_parts(head, body)))
    }

    /// Answers a request; returns whether the connection can carry another one.
    async fn exchange<A, F, B>(
        &self,
        answer: &mut A,
        request: Request<RequestBody>,
        asked: AnswerContext,
        clock: &mut ConnectionTimer<'_>,
    ) -> Result<bool, Left>
    where
        A: FnMut(Request<RequestBody>) -> F,
        F: Future<Output = Response<B>>,
        B: Body<Data = Bytes, Error = Fault> + Unpin,
    {
        let response = {
            let mut answering = pin!(answer(request));
            poll_fn(|cx| {
                self.listen(cx)?;
                if let Poll::Ready(response) = answering.as_mut().poll(cx) {
                    return Poll::Ready(Ok(response));
                }
                // Before what is served is dropped.
                self.poll_gone(cx).map(|left| Err(self.judge(left)))
            })
            .await?
        };
        self.write(response, asked, clock).await
    }

    /// Writes an answer; returns whether the connection can carry another one.
    async fn write<B: Body<Data = Bytes, Error = Fault> + Unpin>(
        &self,
        response: Response<B>,
        asked: AnswerContext,
        clock: &mut ConnectionTimer<'_>,
    ) -> Result<bool, Left> {
        let (mut head, body) = response.into_parts();
        let mut front = room();
        {
            let mut io = lock(&self.io);
            front.append(&mut io.interim);
            io.waits = false;
        }
        let announced = write_answer(&mut front, &mut head, &body.size_hint(), asked);
        // What cannot be written cannot come from a strict reader either.
        let Ok(Announced { framing, persists }) = announced else { return Ok(false) };
        let mut outbound = Outbound::new(front, body, framing);
        let mut wakes = Wakes::answering(self.limits.times());
        let written = poll_fn(|cx| {
            self.listen(cx)?;
            match outbound.poll(&mut Writing(&self.io), cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(true)),
                Poll::Ready(Err(Unsent::Failed(_))) => return Poll::Ready(Err(Left::ClientGone)),
                Poll::Ready(Err(Unsent::Body(_))) => return Poll::Ready(Ok(false)),
                Poll::Ready(Err(Unsent::WrongLength)) => {
                    self.state.break_off(false);
                    return Poll::Ready(Ok(false));
                }
                Poll::Pending => {}
            }
            if let Poll::Ready(left) = self.poll_gone(cx) {
                return Poll::Ready(Err(left));
            }
            match outbound.is_written() {
                true => wakes.answer(),
                false => wakes.write(outbound.bytes(), Instant::now().into_std()),
            }
            clock.poll_wake(cx, wakes.due(false)).map(Err)
        })
        .await;
        // Before what is still sent is dropped.
        let is_whole = written.map_err(|left| self.judge(left))?;
        Ok(is_whole && persists && lock(&self.io).inbound.is_ended())
    }

    /// Notes which task looks after the connection; says how far its server has come with stopping.
    fn listen(&self, cx: &Context<'_>) -> Result<DrainPhase, Left> {
        self.state.listen(cx);
        match self.state.phase() {
            DrainPhase::Cut => Err(self.judge(Left::Cut)),
            phase => Ok(phase),
        }
    }

    /// Notes how the connection ends, for the requests that end with it.
    fn judge(&self, left: Left) -> Left {
        self.state.judge(left);
        left
    }

    /// Is ready once the client has left.
    fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<Left> {
        let mut io = lock(&self.io);
        if !io.inbound.is_ended() {
            match &mut io.task {
                Some(task) => task.clone_from(cx.waker()),
                None => io.task = Some(cx.waker().clone()),
            }
            if io.is_body_waiting {
                return Poll::Pending;
            }
        }
        io.socket.poll_gone(cx).map(|()| Left::ClientGone)
    }

    fn end(self, left: Left, refusal: Option<Refusal>) -> (Left, Option<ServedConnection<S>>) {
        self.state.judge(left);
        let Some(io) = Arc::into_inner(self.io) else { return (left, None) };
        let Io { socket, inbound, .. } =
            io.into_inner().unwrap_or_else(|poison| poison.into_inner());
        let refusal = refusal.or(inbound.refusal());
        let has_unread = refusal.is_some() || !inbound.is_idle();
        let left = match (left, &refusal) {
            (Left::Finished, Some(_)) => Left::Refused,
            (left, _) => left,
        };
        (left, Some(ServedConnection { socket, refusal, has_unread }))
    }
}

/// Writes to a connection whose lock is not held meanwhile: the body that is written may read the
/// request's.
struct Writing<'a, S>(&'a Mutex<Io<S>>);

impl<S: Socket> AsyncWrite for Writing<'_, S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut lock(self.0).socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut lock(self.0).socket).poll_write_vectored(cx, slices)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
