//! What a scripted upstream does with a request.
//!
//! Does not know: sockets. A reply is a list of acts; after the last one the connection waits for
//! the next request.

use std::time::Duration;

use bytes::Bytes;

/// Says what a scripted upstream does with one request.
///
/// Acts are done one after the other; `then_close`, `then_reset` and `then_hang` are the last.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use seawall_testkit::ScriptedReply;
///
/// // Half a body, and then the connection breaks.
/// let cut = ScriptedReply::raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").then_reset();
/// // A late answer.
/// let late = ScriptedReply::wait(Duration::from_millis(20)).and(ScriptedReply::ok("hello"));
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct ScriptedReply {
    pub(crate) acts: Vec<Act>,
}

/// One step of a reply.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    Write(Bytes),
    /// One byte at a time.
    Drip(Bytes, Duration),
    Wait(Duration),
    Hang,
    Reset,
    Close,
}

impl ScriptedReply {
    /// Answers 200 with a body.
    pub fn ok(body: impl Into<Bytes>) -> Self {
        Self::status(200, body)
    }

    /// Answers with a status and a body.
    pub fn status(status: u16, body: impl Into<Bytes>) -> Self {
        Self::with_headers(status, &[], body)
    }

    /// Answers with a status, headers and a body, whose length is added.
    pub fn with_headers(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let mut head = head(status, headers);
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        Self::raw([head.as_bytes(), &body].concat())
    }

    /// Answers 200 with a body in chunks.
    pub fn chunked(chunks: &[&str]) -> Self {
        let mut text = head(200, &[("transfer-encoding", "chunked")]);
        text.push_str("\r\n");
        for chunk in chunks {
            text.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
        }
        text.push_str("0\r\n\r\n");
        Self::raw(text)
    }

    /// Writes these bytes, whatever they are.
    pub fn raw(bytes: impl Into<Bytes>) -> Self {
        Self { acts: vec![Act::Write(bytes.into())] }
    }

    /// Writes these bytes one at a time.
    pub fn drip(bytes: impl Into<Bytes>, every: Duration) -> Self {
        Self { acts: vec![Act::Drip(bytes.into(), every)] }
    }

    /// Does nothing for a while.
    pub fn wait(duration: Duration) -> Self {
        Self { acts: vec![Act::Wait(duration)] }
    }

    /// Never answers, and keeps the connection open.
    pub fn hang() -> Self {
        Self::default().then_hang()
    }

    /// Resets the connection before a byte of an answer.
    pub fn reset() -> Self {
        Self::default().then_reset()
    }

    /// Closes the connection before a byte of an answer.
    pub fn close() -> Self {
        Self::default().then_close()
    }

    /// Does what another reply does, after this one.
    pub fn and(mut self, next: Self) -> Self {
        self.acts.extend(next.acts);
        self
    }

    /// Says nothing more, and keeps the connection open.
    pub fn then_hang(self) -> Self {
        self.then(Act::Hang)
    }

    /// Resets the connection.
    pub fn then_reset(self) -> Self {
        self.then(Act::Reset)
    }

    /// Closes the connection.
    pub fn then_close(self) -> Self {
        self.then(Act::Close)
    }

    fn then(mut self, act: Act) -> Self {
        self.acts.push(act);
        self
    }
}

/// Writes a head without its last empty line.
fn head(status: u16, headers: &[(&str, &str)]) -> String {
    let reason = http::StatusCode::from_u16(status).ok();
    let reason = reason.and_then(|status| status.canonical_reason()).unwrap_or("Odd");
    let mut head = format!("HTTP/1.1 {status} {reason}\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head
}
