//! The limits on a request's head, where no strict reader has seen its bytes: over HTTP/2.
//!
//! Does not know streams or compression. A head is as large as its lines would be over HTTP/1, so
//! that one setting means the same over both.

use http::uri::PathAndQuery;
use seawall_http::RequestHead;

use crate::ServerLimits;
use crate::request::refused::Refused;

/// Says which limit the head of a request is over, if it is.
pub(crate) fn over(limits: &ServerLimits, head: &RequestHead) -> Option<Refused> {
    let target = head.uri.path_and_query().map_or("*", PathAndQuery::as_str);
    let line = head.method.as_str().len() + target.len() + "  HTTP/1.1\r\n".len();
    let authority =
        head.uri.authority().map(|authority| "host: \r\n".len() + authority.as_str().len());
    let fields = head.headers.len() + usize::from(authority.is_some());
    let bytes = line + authority.unwrap_or(0) + head.headers.lines_len();
    if line > limits.line_bytes_max {
        Some(Refused::LINE_TOO_LONG)
    } else if fields > limits.headers_max {
        Some(Refused::TOO_MANY_HEADERS)
    } else if bytes > limits.head_bytes_max {
        Some(Refused::HEAD_TOO_LARGE)
    } else {
        None
    }
}
