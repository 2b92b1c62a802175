//! What the tests over real sockets share.

#![allow(dead_code, reason = "every test file uses a part of it")]

pub(crate) mod frames;

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body::Frame;
use http_body_util::BodyExt;
use seawall_core::{Attempt, Cause, Deadline, Fault, Step};
use seawall_http::{Body, Response, Transport};

/// Longer than anything here takes, so that a test that hangs says where.
pub(crate) const SOON: Duration = Duration::from_secs(10);

pub(crate) fn attempt() -> Attempt {
    let deadline = Deadline::after(Instant::now(), SOON);
    Attempt::first(deadline, SOON, SOON)
}

pub(crate) fn get(target: &str) -> Request<Body> {
    Request::get(target).body(Body::empty()).expect("the tests write their targets right")
}

pub(crate) async fn whole(response: Response<Body>) -> Result<Bytes, Fault> {
    Ok(response.into_body().collect().await?.to_bytes())
}

pub(crate) async fn send_whole(
    upstream: &Transport,
    request: Request<Body>,
) -> Result<Bytes, Fault> {
    whole(upstream.send(request, &attempt()).await?).await
}

/// A body that comes in pieces of unknown number.
pub(crate) struct Pieces {
    pieces: VecDeque<&'static str>,
    then: Then,
}

enum Then {
    End,
    Nothing,
    Fail,
}

impl Pieces {
    pub(crate) fn of(pieces: &[&'static str]) -> Body {
        Body::boxed(Self { pieces: pieces.iter().copied().collect(), then: Then::End })
    }

    /// Comes piece by piece, and then the client is too slow.
    pub(crate) fn failing(pieces: &[&'static str]) -> Body {
        Body::boxed(Self { pieces: pieces.iter().copied().collect(), then: Then::Fail })
    }

    /// Comes piece by piece and then no more, without an end.
    pub(crate) fn endless(pieces: &[&'static str]) -> Body {
        Body::boxed(Self { pieces: pieces.iter().copied().collect(), then: Then::Nothing })
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match self.pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(Bytes::from(piece))))),
            None => match self.then {
                Then::End => Poll::Ready(None),
                Then::Nothing => Poll::Pending,
                Then::Fail => Poll::Ready(Some(Err(Fault::client(Step::Source, Cause::TooSlow)))),
            },
        }
    }
}
