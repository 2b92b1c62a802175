//! What hyper's and h2's errors mean in our words (HTTP/2).
//!
//! Does not know: what becomes of a fault. Anything that came after the request began to be
//! written may have been seen by the upstream.

use std::error::Error;
use std::io;

use seawall_core::{Cause, Fault, Side, Step};

/// Says what went wrong before the answer's head was whole.
pub(crate) fn at_head(error: hyper::Error) -> Fault {
    if let Some(fault) = own(&error) {
        return fault;
    }
    if let Some(error) = find::<h2::Error>(&error) {
        return at_stream(error, Step::Head);
    }
    let cause = match find::<io::Error>(&error).map(io::Error::kind) {
        Some(kind) if !is_end(kind) => Cause::Io,
        // What is left is a connection that ended in one of hyper's ways to say so.
        _ => Cause::Reset,
    };
    Fault::upstream(Step::Head, cause).because(error)
}

/// Returns whether a fault before the answer's head is that the connection was lost.
pub(crate) fn is_lost(fault: &Fault) -> bool {
    fault.side == Side::Upstream && matches!(fault.cause, Cause::Reset | Cause::Io)
}

/// Returns whether what failed is the whole HTTP/2 connection, without a word of the other side.
pub(crate) fn is_connection_lost(error: &hyper::Error) -> bool {
    match find::<h2::Error>(error) {
        Some(error) => error.is_io(),
        None => error.is_canceled() || error.is_closed() || find::<io::Error>(error).is_some(),
    }
}

/// Says what went wrong in the answer's body.
pub(crate) fn at_body(error: hyper::Error) -> Fault {
    if let Some(fault) = own(&error) {
        return fault;
    }
    if let Some(error) = find::<h2::Error>(&error) {
        return at_stream(error, Step::Body);
    }
    let cause = match find::<io::Error>(&error).map(io::Error::kind) {
        Some(kind) if !is_end(kind) => Cause::Io,
        _ => Cause::Truncated,
    };
    Fault::upstream(Step::Body, cause).because(error)
}

/// Says what went wrong on an HTTP/2 stream (RFC 9113, 8.7 on what was not processed).
fn at_stream(error: &h2::Error, step: Step) -> Fault {
    let cause = match step {
        // What we or h2 found wrong with the frames; the other side's word for it is a reset.
        _ if error.is_library() => Cause::Malformed,
        Step::Body => Cause::Truncated,
        _ => Cause::Reset,
    };
    let fault = Fault::upstream(step, cause).because(error.to_string());
    let is_refused = error.reason() == Some(h2::Reason::REFUSED_STREAM);
    // A GOAWAY says which streams were looked at, whatever its code, and h2 tells it to no other.
    let is_unsent = step == Step::Head && error.is_remote() && (is_refused || error.is_go_away());
    if is_unsent { fault.unsent() } else { fault }
}

/// Finds a fault of ours under an error: one that the body of the request was given up with.
fn own(error: &hyper::Error) -> Option<Fault> {
    if let Some(&Fault { step, side, cause, sent, .. }) = find(error) {
        return Some(Fault { step, side, cause, sent, source: None });
    }
    error
        .is_user()
        .then(|| Fault { side: Side::Us, ..Fault::upstream(Step::Send, Cause::Malformed) })
}

/// Finds an error of one type under another.
fn find<E: Error + 'static>(error: &hyper::Error) -> Option<&E> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        source = error.source();
    }
    None
}

/// Returns whether an error means that the other side is gone.
pub(crate) fn is_end(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof
    )
}
