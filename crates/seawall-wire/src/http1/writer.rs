//! Writes what [`Reader`](super::Reader) reads back as it was meant, and nothing else.
//!
//! Does not know where the bytes go. What cannot be written is refused and leaves nothing behind.

use http::{HeaderName, HeaderValue};
use thiserror::Error;

use super::line::{is_value, target_len, token_len};
use crate::fields::Fields;

/// Says that a method, target, name or value cannot stand in a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0} has a character that HTTP/1 cannot carry")]
pub struct Unwritable(&'static str);

/// Writes `GET /path HTTP/1.1`.
///
/// # Errors
///
/// Fails if the method is no token, or the target is empty or has a character that no target has.
pub fn write_request_line(
    out: &mut Vec<u8>,
    method: &[u8],
    target: &[u8],
) -> Result<(), Unwritable> {
    if method.is_empty() || token_len(method) != method.len() {
        return Err(Unwritable("a method"));
    }
    if target.is_empty() || target_len(target) != target.len() {
        return Err(Unwritable("a target"));
    }
    put(out, &[method, b" ", target, b" HTTP/1.1\r\n"]);
    Ok(())
}

/// Writes `HTTP/1.1 200 OK`.
///
/// # Errors
///
/// Fails if the status has not three digits, or the reason has a control character.
pub fn write_status_line(out: &mut Vec<u8>, status: u16, reason: &[u8]) -> Result<(), Unwritable> {
    if !(100..=999).contains(&status) {
        return Err(Unwritable("a status"));
    }
    if !is_value(reason) {
        return Err(Unwritable("a reason"));
    }
    let digit = |place: u16| b'0' + (status / place % 10) as u8;
    let digits = [digit(100), digit(10), digit(1)];
    put(out, &[b"HTTP/1.1 ", &digits, b" ", reason, b"\r\n"]);
    Ok(())
}

/// Writes `name: value`.
///
/// # Errors
///
/// Fails if the name is no token, or the value has a control character.
pub fn write_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> Result<(), Unwritable> {
    if name.is_empty() || token_len(name) != name.len() {
        return Err(Unwritable("a header name"));
    }
    if !is_value(value) {
        return Err(Unwritable("a header value"));
    }
    put_field(out, name, value);
    Ok(())
}

/// Writes fields in their order. They hold nothing that the reader would refuse.
pub fn write_fields(out: &mut Vec<u8>, fields: &Fields) {
    fields.write(out);
}

/// Writes a field of the `http` crate's types. They hold nothing that the reader would refuse, which
/// a test says: it need not be looked at again.
pub fn write_header(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    put_field(out, name.as_str().as_bytes(), value.as_bytes());
}

/// Writes the empty line that ends a head or a trailer section.
pub fn write_end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// Writes the line before a chunk of `len` bytes, after which its bytes and a CRLF come. A chunk
/// without bytes would be the end of the body: see [`LAST_CHUNK`].
pub fn write_chunk_line(out: &mut Vec<u8>, len: usize) {
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        let digit = (len >> (place * 4) & 0xf) as u8;
        out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
    out.extend_from_slice(b"\r\n");
}

/// The line that ends the chunks of a body; a trailer section follows, or an empty line.
pub const LAST_CHUNK: &[u8] = b"0\r\n";

fn put_field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    put(out, &[name, b": ", value, b"\r\n"]);
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    out.reserve(parts.iter().map(|part| part.len()).sum());
    for part in parts {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_types_of_names_and_values_hold_can_be_written() {
        for byte in 0..=u8::MAX {
            let bytes = [b'a', byte, b'z'];
            if HeaderName::from_bytes(&bytes).is_ok() {
                assert_eq!(write_field(&mut Vec::new(), &bytes, b""), Ok(()), "{byte:#x}");
            }
            let is_value = HeaderValue::from_bytes(&bytes).is_ok();
            assert_eq!(write_field(&mut Vec::new(), b"a", &bytes).is_ok(), is_value, "{byte:#x}");
        }
    }
}
