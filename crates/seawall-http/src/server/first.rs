//! The first bytes of a connection, which say what protocol it speaks.
//!
//! Does not know HTTP beyond the preface of HTTP/2. Until a client has said something it costs
//! its socket and its task, and no buffer.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use seawall_core::Left;
use seawall_wire::http1::Wakes;
use seawall_wire::http2::PREFACE;
use tokio::io::ReadBuf;
use tokio::time::Instant;

use super::timer::ConnectionTimer;
use super::{ClientLimits, ConnectionState, DrainPhase};
use crate::Socket;

/// Holds the bytes that were read to find out what a client speaks.
pub enum First {
    /// A request, or the beginning of one.
    Http1(Vec<u8>),
    /// The preface of HTTP/2, and perhaps more.
    Http2(Vec<u8>),
}

/// Reads until it is clear what the client speaks.
///
/// # Errors
///
/// Fails with how the connection ended, if it did before.
///
/// # Cancel safety
///
/// What was read is lost with the future.
pub async fn read_first<S: Socket>(
    socket: &mut S,
    state: &ConnectionState,
    limits: &ClientLimits,
    clock: &mut ConnectionTimer<'_>,
) -> Result<First, Left> {
    let mut wakes = Wakes::opened(limits.times(), Instant::now().into_std());
    let mut bytes = Vec::new();
    poll_fn(|cx| {
        state.listen(cx);
        let phase = state.phase();
        if phase == DrainPhase::Cut {
            return Poll::Ready(Err(Left::Cut));
        }
        while let Poll::Ready(read) = poll_some(socket, cx, &mut bytes) {
            if read == 0 {
                let left = if bytes.is_empty() { Left::Finished } else { Left::ClientGone };
                return Poll::Ready(Err(left));
            }
            if bytes.starts_with(PREFACE) {
                return Poll::Ready(Ok(First::Http2(std::mem::take(&mut bytes))));
            }
            if !PREFACE.starts_with(&bytes) {
                return Poll::Ready(Ok(First::Http1(std::mem::take(&mut bytes))));
            }
            wakes.begin_head(Instant::now().into_std());
        }
        clock.poll_wake(cx, wakes.due(phase == DrainPhase::Draining)).map(Err)
    })
    .await
}

/// Reads once; returns how many bytes came, zero at the end.
fn poll_some<S: Socket>(socket: &mut S, cx: &mut Context<'_>, bytes: &mut Vec<u8>) -> Poll<usize> {
    let mut room = [0; 1024];
    let mut buf = ReadBuf::new(&mut room);
    match ready!(Pin::new(socket).poll_read(cx, &mut buf)) {
        Ok(()) => bytes.extend_from_slice(buf.filled()),
        // A reset before the first request is an end like any other.
        Err(_) => return Poll::Ready(0),
    }
    Poll::Ready(buf.filled().len())
}
