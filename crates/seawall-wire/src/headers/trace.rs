//! The names by which a request is found again: its id, and its place in a trace.

use http::HeaderValue;

use crate::Fields;
use crate::name::{TRACEPARENT, TRACESTATE, X_REQUEST_ID};

/// Keeps the request's id if it is a good one, else makes one of `random`; returns it.
///
/// A good one is at most 64 letters, digits, `-`, `_` and `.`: it goes into logs, and to the
/// upstream as it is.
pub fn request_id(headers: &mut Fields, random: u128) -> HeaderValue {
    if let Some(id) = headers.only(X_REQUEST_ID).filter(|id| is_good_id(id.as_bytes())) {
        return id.to_header();
    }
    let mut text = [0; 32];
    for (digits, byte) in text.chunks_exact_mut(2).zip(random.to_be_bytes()) {
        digits[0] = HEX[usize::from(byte >> 4)];
        digits[1] = HEX[usize::from(byte & 0xf)];
    }
    let id = HeaderValue::from_bytes(&text).expect("hexadecimal digits are a value");
    headers.insert(X_REQUEST_ID, &id);
    id
}

/// Drops `traceparent`, and `tracestate` with it, unless it is well formed (Trace Context, 3.2).
///
/// Nothing is made up: a gateway that records no spans must not pretend to be one.
pub fn check_traceparent(headers: &mut Fields) {
    let is_good = headers.only(TRACEPARENT).is_some_and(|value| is_traceparent(value.as_bytes()));
    if !is_good {
        headers.remove(TRACEPARENT);
        headers.remove(TRACESTATE);
    }
}

fn is_good_id(id: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=64).contains(&id.len()) && id.iter().all(fits)
}

fn is_traceparent(text: &[u8]) -> bool {
    let Some((head, tail)) = text.split_at_checked(55) else { return false };
    let dashes_stand = [2, 35, 52].iter().all(|&at| head[at] == b'-');
    let fields = [&head[..2], &head[3..35], &head[36..52], &head[53..]];
    let are_hex = fields.iter().all(|field| field.iter().all(is_lower_hex));
    let is_zero = |field: &[u8]| field.iter().all(|&byte| byte == b'0');
    // Version 00 is exactly this long; a later one may go on after another dash.
    let tail_fits = tail.is_empty() || (tail[0] == b'-' && fields[0] != b"00");
    let is_version = fields[0] != b"ff";
    dashes_stand && are_hex && tail_fits && is_version && !is_zero(fields[1]) && !is_zero(fields[2])
}

fn is_lower_hex(byte: &u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

const HEX: [u8; 16] = *b"0123456789abcdef";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a8_a_good_id_is_kept_and_another_replaced() {
        let check = |sent: &[&[u8]], want: &[u8]| {
            let mut headers = Fields::default();
            for id in sent {
                headers.append(X_REQUEST_ID, &HeaderValue::from_bytes(id).expect("a value"));
            }
            let id = request_id(&mut headers, 0x0123_4567_89ab_cdef_0011_2233_4455_6677);
            assert_eq!(id, want);
            let all: Vec<_> = headers.get_all(X_REQUEST_ID).map(|id| id.as_bytes()).collect();
            assert_eq!(all, [want]);
        };
        let made = b"0123456789abcdef0011223344556677";
        check(&[b"a-B_3.x"], b"a-B_3.x");
        check(&[&[b'a'; 64]], &[b'a'; 64]);
        check(&[], made);
        check(&[b""], made);
        check(&[&[b'a'; 65]], made);
        check(&[b"a b"], made);
        check(&[b"a\xff"], made);
        check(&[b"a", b"b"], made);
    }

    #[test]
    fn a_traceparent_passes_only_when_well_formed() {
        let check = |text: &'static str, passes: bool| {
            let mut headers = Fields::default();
            headers.insert(TRACEPARENT, text);
            headers.insert(TRACESTATE, "a=1");
            check_traceparent(&mut headers);
            assert_eq!(headers.len(), if passes { 2 } else { 0 }, "{text}");
        };
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true);
        check("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", true);
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", false);
        check("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false);
        check("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", false);
        check("00-00000000000000000000000000000000-b7ad6b7169203331-01", false);
        check("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false);
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0", false);
        check("00-0af7651916cd43dd8448eb211c80319cxb7ad6b7169203331-01", false);
        check("", false);
    }
}
