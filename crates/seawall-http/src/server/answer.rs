//! The head of an answer, as HTTP/1 writes it: what it says of its body and of the connection.
//!
//! Does not know where the answer comes from. Exactly one thing says where the body ends.

use std::cell::RefCell;
use std::time::{Duration, SystemTime};

use http::StatusCode;
use http_body::SizeHint;
use seawall_wire::http1::{Unwritable, write_end, write_fields, write_status_line};
use seawall_wire::{Value, name};
use tokio::time::Instant;

use crate::ResponseHead;
use crate::head::said_length;
use crate::http1::Framing;

/// The parts of a request that its answer depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerContext {
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
    head: &mut ResponseHead,
    body: &SizeHint,
    asked: AnswerContext,
) -> Result<Announced, Unwritable> {
    let status = head.status;
    write_start(out, head)?;
    let is_close = |option: Value<'_>| option.as_bytes().eq_ignore_ascii_case(b"close");
    let says_close = head.headers.get_all(name::CONNECTION).any(is_close);
    head.headers.remove(name::TRANSFER_ENCODING);
    if status == StatusCode::SWITCHING_PROTOCOLS {
        // What follows is not an answer's body, and ends with the connection.
        head.headers.remove(name::CONTENT_LENGTH);
        write_fields(out, &head.headers);
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
    match length.filter(|_| !has_none) {
        None => _ = head.headers.remove(name::CONTENT_LENGTH),
        // In the same place, and in digits that can be read in one way only.
        Some(length) => head.headers.insert_number(name::CONTENT_LENGTH, length),
    }
    write_fields(out, &head.headers);
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
    if !head.headers.contains(name::DATE) {
        write_date(out);
    }
    write_end(out);
    Ok(Announced { framing, persists })
}

/// Writes an interim answer.
pub(super) fn write_interim(out: &mut Vec<u8>, head: &ResponseHead) -> Result<(), Unwritable> {
    write_start(out, head)?;
    write_fields(out, &head.headers);
    write_end(out);
    Ok(())
}

fn write_start(out: &mut Vec<u8>, head: &ResponseHead) -> Result<(), Unwritable> {
    let usual = head.status.canonical_reason().unwrap_or_default().as_bytes();
    let reason = head.reason.as_deref().unwrap_or(usual);
    write_status_line(out, head.status.as_u16(), reason)
}

/// Writes the time.
fn write_date(out: &mut Vec<u8>) {
    with_date(|date| {
        out.extend_from_slice(b"date: ");
        out.extend_from_slice(date.as_bytes());
        write_end(out);
    });
}

/// Says the time, which is made once a second.
pub(super) fn with_date(say: impl FnOnce(&str)) {
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
        say(&text);
        *date = Some((until, text));
    });
}
