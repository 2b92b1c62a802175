//! The body of a request, kept for another attempt as long as it is small.
//!
//! Does not know: why another attempt is made. The client's body is read once; what was read is
//! kept up to a bound, and past the bound the request can no longer be repeated.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use seawall_core::{Cause, Fault, Step};

use crate::Body;

/// Keeps the body of a request, so that every attempt gets it from its beginning.
///
/// # Examples
///
/// ```
/// use seawall_http::{Body, Replay};
///
/// let replay = Replay::new(Body::full("hello"), 64 * 1024);
/// let (_first, _second) = (replay.body(), replay.body());
/// assert!(replay.is_whole());
/// ```
pub struct Replay(Kind);

enum Kind {
    Empty,
    Full(Bytes),
    Stream(Arc<Mutex<BufferedBody>>),
}

/// The part of a body that was read, and where the rest comes from.
struct BufferedBody {
    /// Polled under the lock; nobody else wants it meanwhile, since only the newest attempt
    /// reads. An older one can still be on its way out in a task of its own (HTTP/2).
    rest: Body,
    frames: Vec<Frame<Bytes>>,
    bytes: usize,
    bytes_max: usize,
    /// Whether more was read than is kept.
    is_lost: bool,
    /// Whether the client's body ended or failed: then it is not asked again.
    is_ended: bool,
    /// Which attempt may read.
    reader: u32,
}

impl Replay {
    /// Keeps at most `bytes_max` bytes of a body that comes in pieces. One that is all here costs
    /// nothing and is always whole.
    pub fn new(body: Body, bytes_max: usize) -> Self {
        if body.is_end_stream() {
            return Self(Kind::Empty);
        }
        match body.into_full() {
            Ok(bytes) => Self(Kind::Full(bytes)),
            Err(rest) => Self(Kind::Stream(Arc::new(Mutex::new(BufferedBody {
                rest,
                frames: Vec::new(),
                bytes: 0,
                bytes_max,
                is_lost: false,
                is_ended: false,
                reader: 0,
            })))),
        }
    }

    /// Returns the body for the next attempt; the bodies of earlier attempts fail from here on.
    ///
    /// Once the body is not whole any more, all that it returns is a fault.
    pub fn body(&self) -> Body {
        match &self.0 {
            Kind::Empty => Body::empty(),
            Kind::Full(bytes) => Body::full(bytes.clone()),
            Kind::Stream(kept) => {
                let mut locked = lock(kept);
                locked.reader += 1;
                let reader = locked.reader;
                drop(locked);
                Body::boxed(Reader { kept: Arc::clone(kept), reader, next: 0 })
            }
        }
    }

    /// Returns the same body for another call; it goes on where this one is.
    pub fn again(&self) -> Self {
        Self(match &self.0 {
            Kind::Empty => Kind::Empty,
            Kind::Full(bytes) => Kind::Full(bytes.clone()),
            Kind::Stream(kept) => Kind::Stream(Arc::clone(kept)),
        })
    }

    /// Returns whether there is no body.
    pub const fn is_empty(&self) -> bool {
        matches!(&self.0, Kind::Empty)
    }

    /// Returns whether another attempt would get the whole body.
    pub fn is_whole(&self) -> bool {
        match &self.0 {
            Kind::Empty | Kind::Full(_) => true,
            Kind::Stream(kept) => !lock(kept).is_lost,
        }
    }
}

fn lock(kept: &Mutex<BufferedBody>) -> MutexGuard<'_, BufferedBody> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads a kept body from its beginning.
struct Reader {
    kept: Arc<Mutex<BufferedBody>>,
    reader: u32,
    /// The frame to read next.
    next: usize,
}

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let reader = self.get_mut();
        let mut kept = lock(&reader.kept);
        if kept.reader != reader.reader || (kept.is_lost && reader.next == 0) {
            return Poll::Ready(Some(Err(Fault::ours(Step::Send, Cause::Cancelled))));
        }
        // Nothing is kept once the body is lost, and then the one reader goes straight through.
        if !kept.is_lost
            && let Some(frame) = kept.frames.get(reader.next)
        {
            reader.next += 1;
            return Poll::Ready(Some(Ok(copy(frame))));
        }
        if kept.is_ended {
            return Poll::Ready(None);
        }
        let piece = ready!(Pin::new(&mut kept.rest).poll_frame(cx));
        match &piece {
            Some(Ok(frame)) => kept.keep(frame),
            // What the client failed to send cannot be sent again.
            Some(Err(_)) => (kept.is_ended, kept.is_lost) = (true, true),
            None => kept.is_ended = true,
        }
        reader.next += 1;
        Poll::Ready(piece)
    }

    fn is_end_stream(&self) -> bool {
        let kept = lock(&self.kept);
        let has_read_all = kept.is_lost || self.next >= kept.frames.len();
        kept.reader == self.reader && has_read_all && (kept.is_ended || kept.rest.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let kept = lock(&self.kept);
        let rest = kept.rest.size_hint();
        if kept.is_lost {
            return rest;
        }
        let ahead = kept.frames.iter().skip(self.next).filter_map(Frame::data_ref);
        let ahead = ahead.map(|bytes| bytes.len() as u64).sum::<u64>();
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + ahead);
        }
        hint.set_lower(rest.lower() + ahead);
        hint
    }
}

impl BufferedBody {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        if self.is_lost {
            return;
        }
        self.bytes += frame.data_ref().map_or(0, Bytes::len);
        if self.bytes > self.bytes_max || self.frames.len() >= FRAMES_MAX {
            self.is_lost = true;
            self.frames = Vec::new();
        } else {
            self.frames.push(copy(frame));
        }
    }
}

fn copy(frame: &Frame<Bytes>) -> Frame<Bytes> {
    match (frame.data_ref(), frame.trailers_ref()) {
        (Some(bytes), _) => Frame::data(bytes.clone()),
        (None, Some(trailers)) => Frame::trailers(trailers.clone()),
        (None, None) => Frame::data(Bytes::new()),
    }
}

/// A body in many tiny pieces costs more than its bytes.
const FRAMES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use http_body_util::BodyExt;

    use super::*;

    /// Holds a client's body that comes in pieces.
    struct Pieces(std::vec::IntoIter<Result<&'static str, Fault>>);

    impl http_body::Body for Pieces {
        type Data = Bytes;
        type Error = Fault;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
            let piece = self.0.next();
            Poll::Ready(piece.map(|piece| piece.map(|text| Frame::data(Bytes::from(text)))))
        }
    }

    fn stream(pieces: Vec<Result<&'static str, Fault>>) -> Body {
        Body::boxed(Pieces(pieces.into_iter()))
    }

    async fn next(body: &mut Body) -> Option<Result<Frame<Bytes>, Fault>> {
        poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await
    }

    #[tokio::test]
    async fn every_attempt_gets_the_body_from_its_beginning() {
        let replay = Replay::new(stream(vec![Ok("one"), Ok("two"), Ok("three")]), 64);
        let mut first = replay.body();
        assert_eq!(next(&mut first).await.unwrap().unwrap().into_data().unwrap(), "one");
        for _ in 0..2 {
            let body = replay.body().collect().await.unwrap().to_bytes();
            assert_eq!(body, "onetwothree");
        }
        assert!(replay.is_whole());
    }

    #[tokio::test]
    async fn a_body_past_its_bound_still_arrives_but_only_once() {
        let replay = Replay::new(stream(vec![Ok("one"), Ok("two"), Ok("three")]), 5);
        let body = replay.body().collect().await.unwrap().to_bytes();
        assert_eq!(body, "onetwothree");
        assert!(!replay.is_whole());
        assert!(next(&mut replay.body()).await.unwrap().is_err());
    }

    #[tokio::test]
    async fn an_earlier_attempt_cannot_take_bytes_from_a_later_one() {
        let replay = Replay::new(stream(vec![Ok("one"), Ok("two")]), 64);
        let mut first = replay.body();
        let second = replay.body();
        assert!(next(&mut first).await.unwrap().is_err());
        assert_eq!(second.collect().await.unwrap().to_bytes(), "onetwo");
    }

    #[tokio::test]
    async fn a_body_that_failed_to_arrive_is_not_whole() {
        let fault = Fault::client(Step::Source, Cause::Truncated);
        let replay = Replay::new(stream(vec![Ok("one"), Err(fault)]), 64);
        let error = replay.body().collect().await.unwrap_err();
        assert_eq!(error.cause, Cause::Truncated);
        assert!(!replay.is_whole());
    }
}
