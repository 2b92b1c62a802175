//! Problems as the last words of a connection (RFC 9457).
//!
//! Does not know what went wrong.

use http::StatusCode;
use seawall_wire::ProblemDetails;

/// Writes the whole answer as the last bytes of an HTTP/1 connection.
pub(crate) fn last_words(problem: &ProblemDetails<'_>) -> Vec<u8> {
    let body = problem.body();
    let status = problem.status;
    let reason = StatusCode::from_u16(status)
        .ok()
        .and_then(|status| status.canonical_reason())
        .unwrap_or("Refused");
    let allow = if status == 405 { "allow: GET, HEAD, POST, PUT, PATCH, DELETE\r\n" } else { "" };
    let id = problem.request_id.map(|id| format!("x-request-id: {id}\r\n")).unwrap_or_default();
    let (media_type, length) = (ProblemDetails::MEDIA_TYPE, body.len());
    format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-type: {media_type}\r\ncache-control: no-store\r\n\
         {allow}{id}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
