//! The head of an answer, as HTTP/1 writes it: what it says of its body and of the connection.
//!
//! Does not know where the answer comes from. Exactly one thing says where the body ends.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use http::{Extensions, HeaderMap, Response, StatusCode, header, response};
use http_body::SizeHint;
use seawall_wire::http1::{Unwritable, write_end, write_header, write_status_line};
use tokio::time::Instant;

use crate::Reason;
use crate::http1::Framing;
use crate::http1::heads::write_fields;

/// What of a request its answer depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) is_head: bool,
    pub(super) is_http_10: bool,
    /// Whether the client lets the connection be used again.
    pub(super) persists: bool,
    pub(super) takes_trailers: bool,
}

/// How an answer goes on after its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Announced {
    pub(super) framing: Framing,
    /// Whether the connection may be used again.
    pub(super) persists: bool,
}

/// Writes the head of an answer whose body has this length.
pub(super) fn write_answer(
    out: &mut Vec<u8>,
    head: &response::Parts,
    body: &SizeHint,
    asked: Asked,
) -> Result<Announced, Unwritable> {
    let status = head.status;
    write_start(out, status, &head.extensions)?;
    let mut says_close = false;
    for (name, value) in &head.headers {
        if *name == header::CONTENT_LENGTH || *name == header::TRANSFER_ENCODING {
            continue;
        }
        says_close |=
            *name == header::CONNECTION && value.as_bytes().eq_ignore_ascii_case(b"close");
        write_header(out, name, value);
    }
    if status == StatusCode::SWITCHING_PROTOCOLS {
        // What follows is not an answer's body, and ends with the connection.
        write_end(out);
        return Ok(Announced { framing: Framing::UntilClose, persists: false });
    }
    let has_none = status == StatusCode::NO_CONTENT || status.is_informational();
    let is_bodiless = asked.is_head || has_none || status == StatusCode::NOT_MODIFIED;
    let length = said_length(&head.headers).or_else(|| {
        body.exact().filter(|&length| {
            // Of a body that is left out nobody knows its length.
            !is_bodiless || length > 0
        })
    });
    if let Some(length) = length.filter(|_| !has_none) {
        write_length(out, length);
    }
    let framing = match length {
        _ if is_bodiless => Framing::None,
        Some(length) => Framing::Length(length),
        None if asked.is_http_10 => Framing::UntilClose,
        None => {
            out.extend_from_slice(b"transfer-encoding: chunked\r\n");
            Framing::Chunked { with_trailers: asked.takes_trailers }
        }
    };
    let persists = asked.persists && !says_close && framing != Framing::UntilClose;
    if !persists && !says_close {
        out.extend_from_slice(b"connection: close\r\n");
    } else if persists && asked.is_http_10 {
        out.extend_from_slice(b"connection: keep-alive\r\n");
    }
    if !head.headers.contains_key(header::DATE) {
        write_date(out);
    }
    write_end(out);
    Ok(Announced { framing, persists })
}

/// Writes an interim answer.
pub(super) fn write_interim(out: &mut Vec<u8>, head: &Response<()>) -> Result<(), Unwritable> {
    write_start(out, head.status(), head.extensions())?;
    write_fields(out, head.headers());
    write_end(out);
    Ok(())
}

fn write_start(
    out: &mut Vec<u8>,
    status: StatusCode,
    extensions: &Extensions,
) -> Result<(), Unwritable> {
    let usual = status.canonical_reason().unwrap_or_default().as_bytes();
    let reason = extensions.get::<Reason>().map_or(usual, |Reason(reason)| reason);
    write_status_line(out, status.as_u16(), reason)
}

/// Reads the length that a head says, if it says one.
fn said_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn write_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"content-length: ");
    let begun = out.len();
    let mut left = length;
    while left > 9 {
        out.push(b'0' + (left % 10) as u8);
        left /= 10;
    }
    out.push(b'0' + left as u8);
    out[begun..].reverse();
    write_end(out);
}

/// Writes the time, which is made once a second.
fn write_date(out: &mut Vec<u8>) {
    thread_local! {
        static DATE: RefCell<Option<(Instant, String)>> = const { RefCell::new(None) };
    }
    DATE.with_borrow_mut(|date| {
        let now = Instant::now();
        let made = date.take().filter(|(until, _)| *until > now);
        let (until, text) = made.unwrap_or_else(|| {
            let time = SystemTime::now();
            let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let left = Duration::from_nanos(1_000_000_000 - u64::from(since.subsec_nanos()));
            (now + left, httpdate::fmt_http_date(time))
        });
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(text.as_bytes());
        write_end(out);
        *date = Some((until, text));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_written_in_digits() {
        for length in [0, 1, 9, 10, 1024, 999_999, u64::MAX] {
            let mut out = Vec::new();
            write_length(&mut out, length);
            assert_eq!(out, format!("content-length: {length}\r\n").into_bytes());
        }
    }
}
