//! The head of an answer: whether it is within its limits, and what body it announces.
//!
//! Does not know: where it came from. A head over a limit says something of the limit, not of the
//! upstream's health: it is neither tried again nor held against anyone.

use seawall_core::{Cause, Fault, Step};
use seawall_wire::{Fields, Value, name};
use thiserror::Error;

use crate::Options;

/// Names the limits of which the head of an answer was over one.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the answer's head has more than {fields} fields or {bytes} bytes")]
pub struct HeadTooLarge {
    /// How many fields it may have: [`Options::headers_max`].
    pub fields: usize,
    /// How many bytes: [`Options::head_bytes_max`].
    pub bytes: usize,
}

impl HeadTooLarge {
    pub(crate) const fn of(options: &Options) -> Self {
        Self { fields: options.headers_max, bytes: options.head_bytes_max }
    }

    pub(crate) fn fault(self) -> Fault {
        Fault::upstream(Step::Head, Cause::TooLarge).because(self)
    }

    /// Checks the head of an answer that came over HTTP/2; over HTTP/1 the strict reader has.
    pub(crate) fn check(self, headers: &Fields) -> Result<(), Fault> {
        if headers.len() > self.fields || headers.lines_len() > self.bytes {
            return Err(self.fault());
        }
        Ok(())
    }
}

/// Reads the length that a head says, if it says one.
pub(crate) fn said_length(headers: &Fields) -> Option<u64> {
    headers.only(name::CONTENT_LENGTH)?.to_str()?.parse().ok()
}

/// Returns whether a body is a stream, which may come slowly and be silent for long: events, or a
/// gRPC call.
pub fn is_stream(headers: &Fields) -> bool {
    let media = headers.get(name::CONTENT_TYPE).map(Value::as_bytes);
    let starts = |with: &[u8]| {
        media
            .and_then(|media| media.get(..with.len()))
            .is_some_and(|start| start.eq_ignore_ascii_case(with))
    };
    starts(b"text/event-stream") || starts(b"application/grpc")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_grpc_are_streams_and_nothing_else_is() {
        let check = |media: &'static str| {
            let mut headers = Fields::default();
            headers.append(name::CONTENT_TYPE, media);
            is_stream(&headers)
        };
        for stream in
            ["text/event-stream; charset=utf-8", "application/grpc+proto", "TEXT/Event-Stream"]
        {
            assert!(check(stream), "{stream}");
        }
        for other in ["text/event", "application/json", "", "text/plain"] {
            assert!(!check(other), "{other}");
        }
        assert!(!is_stream(&Fields::default()));
    }
}
