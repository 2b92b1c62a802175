//! What becomes of a stream to an upstream, in our words.
//!
//! Does not know: what becomes of a fault.

use seawall_core::{Cause, Fault, Step};
use seawall_wire::http2::ErrorCode;

use super::Gone;
use crate::fault::is_end;

/// Says what went wrong before the answer's head was whole.
pub(super) fn at_head(gone: Gone) -> Fault {
    let fault = |cause| Fault::upstream(Step::Head, cause);
    match gone {
        // RFC 9113, 8.7.
        Gone::Reset(ErrorCode::REFUSED_STREAM) => fault(Cause::Reset).because(REFUSED).unsent(),
        Gone::Unseen => fault(Cause::Reset).because("the upstream takes no more streams").unsent(),
        Gone::Reset(ErrorCode(code)) => {
            fault(Cause::Reset).because(format!("the stream was reset with code {code}"))
        }
        Gone::Flawed(detail) => fault(Cause::Malformed).because(detail),
        Gone::Lost(Some(kind)) if !is_end(kind) => {
            fault(Cause::Io).because(std::io::Error::from(kind))
        }
        Gone::Lost(_) | Gone::Dropped => fault(Cause::Reset),
    }
}

/// Says what went wrong in the answer's body.
pub(super) fn at_body(gone: Gone) -> Fault {
    let cause = match gone {
        Gone::Flawed(_) => Cause::Malformed,
        Gone::Lost(Some(kind)) if !is_end(kind) => Cause::Io,
        _ => Cause::Truncated,
    };
    Fault { source: at_head(gone).source, ..Fault::upstream(Step::Body, cause) }
}

const REFUSED: &str = "the upstream refused the stream";
