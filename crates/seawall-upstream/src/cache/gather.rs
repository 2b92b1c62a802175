//! A body that is read before anybody gets it, so that many can: up to a bound, and not for long.
//!
//! Does not know who wants it. A body that is cut, too large or too slow is given back as it came:
//! what was read, and then the rest, or what went wrong.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::{Body as _, Frame, SizeHint};
use seawall_core::Fault;
use seawall_http::Body;
use tokio::time::{Instant, timeout_at};

/// Says what became of a body.
pub(super) enum Gathered {
    /// All of it.
    Whole(Bytes),
    /// It cannot be had whole, and goes on as it came.
    Passing(Body),
}

/// Reads a body to its end, if that comes soon enough and before the bound.
///
/// # Cancel safety
///
/// Dropping the future drops the body.
pub(super) async fn gather(mut body: Body, bytes_max: u64) -> Gathered {
    let until = Instant::now() + TIME_MAX;
    let mut frames: VecDeque<Result<Frame<Bytes>, Fault>> = VecDeque::new();
    let mut bytes = 0;
    let is_whole = loop {
        if body.size_hint().lower().saturating_add(bytes) > bytes_max {
            break false;
        }
        let next = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx));
        match timeout_at(until, next).await {
            Ok(None) => break true,
            Ok(Some(Ok(frame))) => {
                bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
                let is_data = frame.is_data();
                frames.push_back(Ok(frame));
                if !is_data || bytes > bytes_max || frames.len() > FRAMES_MAX {
                    break false;
                }
            }
            Ok(Some(Err(fault))) => {
                frames.push_back(Err(fault));
                break false;
            }
            Err(_elapsed) => break false,
        }
    };
    if !is_whole {
        return Gathered::Passing(Body::boxed(Prefixed { frames, rest: body }));
    }
    let mut whole = BytesMut::with_capacity(bytes as usize);
    for data in frames.into_iter().flatten().filter_map(|frame| frame.into_data().ok()) {
        whole.extend_from_slice(&data);
    }
    Gathered::Whole(whole.freeze())
}

/// A body of which something was read already.
struct Prefixed {
    frames: VecDeque<Result<Frame<Bytes>, Fault>>,
    rest: Body,
}

impl http_body::Body for Prefixed {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match self.frames.pop_front() {
            Some(frame) => Poll::Ready(Some(frame)),
            None => Pin::new(&mut self.rest).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let read = self.frames.iter().flatten().filter_map(Frame::data_ref);
        let read = read.map(|data| data.len() as u64).sum::<u64>();
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + read);
        }
        hint.set_lower(rest.lower() + read);
        hint
    }
}

/// So long others may wait for a body that comes slowly; then each asks for its own.
const TIME_MAX: Duration = Duration::from_secs(1);

/// A body in many tiny pieces costs more than its bytes.
const FRAMES_MAX: usize = 4096;
