//! A body on its way, in either direction.
//!
//! Does not know: where it goes. A body that is dropped before its end resets what brought it.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use seawall_core::Fault;

use crate::http1::Flow;

/// Holds a body on its way; its errors are faults.
#[derive(Default)]
pub struct Body(Kind);

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Full(Option<Bytes>),
    Flow(Box<Flow<Body>>),
    Boxed(Pin<Box<dyn http_body::Body<Data = Bytes, Error = Fault> + Send>>),
}

impl Body {
    /// Makes a body without bytes.
    pub const fn empty() -> Self {
        Self(Kind::Empty)
    }

    /// Makes a body of bytes that are all here.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self(if bytes.is_empty() { Kind::Empty } else { Kind::Full(Some(bytes)) })
    }

    /// Makes a body of any other; allocates once.
    pub fn boxed(body: impl http_body::Body<Data = Bytes, Error = Fault> + Send + 'static) -> Self {
        Self(Kind::Boxed(Box::pin(body)))
    }

    /// Takes the bytes out if they are all here.
    pub(crate) fn into_full(self) -> Result<Bytes, Self> {
        match self.0 {
            Kind::Full(Some(bytes)) => Ok(bytes),
            other => Err(Self(other)),
        }
    }

    /// Makes a body that comes over an HTTP/1.1 connection.
    pub(crate) fn flow(flow: Flow<Self>) -> Self {
        Self(Kind::Flow(Box::new(flow)))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match &mut self.0 {
            Kind::Empty => Poll::Ready(None),
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Flow(flow) => flow.poll_frame(cx),
            Kind::Boxed(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Empty => true,
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Flow(flow) => flow.is_end_stream(),
            Kind::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Empty | Kind::Full(None) => SizeHint::with_exact(0),
            Kind::Full(Some(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Flow(flow) => flow.size_hint(),
            Kind::Boxed(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    /// Says how the body comes, and not a byte of it: bodies are nobody's business.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Kind::Empty => "Body(empty)",
            Kind::Full(_) => "Body(full)",
            Kind::Flow(_) | Kind::Boxed(_) => "Body(on its way)",
        })
    }
}
