//! Header blocks, encoded.
//!
//! Nothing is put into the peer's table, and no string is compressed: a gateway writes each head
//! once, and to search a table for what is there costs more than to write it (HAProxy does the
//! same). So both sides always agree, and there is no state.

use super::integer;
use super::table::INDEXES;
use crate::name::{
    AUTHORIZATION, COOKIE, NameSet, OTHER, PROXY_AUTHENTICATE, PROXY_AUTHENTICATION_INFO,
    PROXY_AUTHORIZATION, SET_COOKIE,
};
use crate::{Name, Value};

/// Writes a field, its name in lower case.
pub fn encode_field(out: &mut Vec<u8>, name: Name<'_>, value: Value<'_>) {
    // Whoever passes it on may not index it either (RFC 7541, 7.1.3).
    let kind = if SECRETS.contains(name) { 0x10 } else { 0 };
    match INDEXES[usize::from(name.number())] {
        0 => {
            out.push(kind);
            let text = name.as_bytes();
            integer::write(out, 0, 7, text.len());
            let at = out.len();
            out.extend_from_slice(text);
            if name.number() == OTHER {
                out[at..].make_ascii_lowercase();
            } else {
                // Of the letters, digits and hyphens that our names have, only letters change.
                out[at..].iter_mut().for_each(|byte| *byte |= 0x20);
            }
        }
        index => integer::write(out, kind, 4, usize::from(index)),
    }
    string(out, value.as_bytes());
}

/// Writes the status of an answer.
pub fn encode_status(out: &mut Vec<u8>, status: u16) {
    let index = match status {
        200 => 8,
        204 => 9,
        206 => 10,
        304 => 11,
        400 => 12,
        404 => 13,
        500 => 14,
        _ => {
            let digit = |place: u16| b'0' + (status / place % 10) as u8;
            return encode_indexed_name(out, 8, &[digit(100), digit(10), digit(1)]);
        }
    };
    encode_indexed(out, index);
}

/// Says that nothing is put into the peer's table.
pub(in crate::http2) fn encode_table_size_zero(out: &mut Vec<u8>) {
    out.push(0x20);
}

/// Writes a field of the static table.
pub(in crate::http2) fn encode_indexed(out: &mut Vec<u8>, index: u8) {
    out.push(0x80 | index);
}

/// Writes a field whose name has an index in the static table.
pub(in crate::http2) fn encode_indexed_name(out: &mut Vec<u8>, index: u8, value: &[u8]) {
    integer::write(out, 0, 4, usize::from(index));
    string(out, value);
}

fn string(out: &mut Vec<u8>, text: &[u8]) {
    integer::write(out, 0, 7, text.len());
    out.extend_from_slice(text);
}

const SECRETS: NameSet = NameSet::of(&[
    AUTHORIZATION,
    COOKIE,
    SET_COOKIE,
    PROXY_AUTHORIZATION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHENTICATION_INFO,
]);

const _: () = assert!(OTHER == 0, "the first of the indexes is nobody's");

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Decoder;
    use super::*;
    use crate::name;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_in_lower_case(
            fields in prop::collection::vec(("[A-Za-z0-9_-]{1,20}|Set-Cookie|DATE", "([!-~é]([ -~]{0,200}[!-~])?)?"), 0..20),
            status in 100_u16..=999,
        ) {
            let mut block = Vec::new();
            encode_status(&mut block, status);
            for (name, value) in &fields {
                let name = Name::read(name.as_bytes(), name::number(name.as_bytes()));
                encode_field(&mut block, name, Value::new(value.as_bytes()).expect("fit"));
            }
            let mut decoded = Vec::new();
            Decoder::default().decode(&block, |field| {
                assert!(field.is_fit);
                decoded.push((field.name.to_vec(), field.value.to_vec()));
            }).expect("it can be decoded");
            let lower = |(name, value): &(String, String)| {
                (name.to_ascii_lowercase().into_bytes(), value.clone().into_bytes())
            };
            let mut expected = vec![(b":status".to_vec(), status.to_string().into_bytes())];
            expected.extend(fields.iter().map(lower));
            prop_assert_eq!(decoded, expected);
        }
    }
}
