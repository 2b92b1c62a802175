//! What hyper's errors mean in our words.
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
    let (step, cause) = if error.is_parse() {
        (Step::Head, Cause::Malformed)
    } else if error.is_body_write_aborted() {
        (Step::Send, Cause::Reset)
    } else if let Some(kind) = io_kind(&error) {
        (Step::Head, if is_end(kind) { Cause::Reset } else { Cause::Io })
    } else {
        // What is left is a connection that ended in one of hyper's ways to say so.
        (Step::Head, Cause::Reset)
    };
    Fault::upstream(step, cause).because(error)
}

/// Says what went wrong in the answer's body.
pub(crate) fn at_body(error: hyper::Error) -> Fault {
    if let Some(fault) = own(&error) {
        return fault;
    }
    let cause = match io_kind(&error) {
        // hyper reports a chunk size that is no number as invalid input.
        Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => Cause::Malformed,
        Some(kind) if !is_end(kind) => Cause::Io,
        _ if error.is_parse() => Cause::Malformed,
        _ => Cause::Truncated,
    };
    Fault::upstream(Step::Body, cause).because(error)
}

/// Finds a fault of ours under an error: one that the body of the request was given up with.
fn own(error: &hyper::Error) -> Option<Fault> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(fault) = error.downcast_ref::<Fault>() {
            let Fault { step, side, cause, .. } = *fault;
            return Some(Fault { step, side, cause, ..Fault::client(step, cause) });
        }
        source = error.source();
    }
    error
        .is_user()
        .then(|| Fault { side: Side::Us, ..Fault::upstream(Step::Send, Cause::Malformed) })
}

fn io_kind(error: &hyper::Error) -> Option<io::ErrorKind> {
    let mut source = error.source();
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        source = error.source();
    }
    None
}

/// Returns whether an error means that the other side is gone.
fn is_end(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof
    )
}
