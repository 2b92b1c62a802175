//! Header blocks, decoded.

use thiserror::Error;

use super::field::DecodedField;
use super::table::DynamicTable;
use super::{TABLE_BYTES_MAX, huffman, integer};
use crate::http1::{is_lower_token, is_value};
use crate::name;

/// A decoder of all header blocks of one direction of one connection.
#[derive(Debug)]
pub struct Decoder {
    table: DynamicTable,
    /// Where strings are decoded to.
    name: Vec<u8>,
    value: Vec<u8>,
}

/// The reason why a header block cannot be decoded: the connection is lost with it (RFC 9113, 4.3).
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct BadCompression(pub &'static str);

impl Default for Decoder {
    fn default() -> Self {
        Self { table: DynamicTable::new(), name: Vec::new(), value: Vec::new() }
    }
}

impl Decoder {
    /// Decodes a whole block, and gives each field to `take` in its order.
    ///
    /// # Errors
    ///
    /// Fails at what cannot be decoded; nothing can be decoded after it.
    pub fn decode(
        &mut self,
        mut block: &[u8],
        mut take: impl FnMut(DecodedField<'_>),
    ) -> Result<(), BadCompression> {
        let mut may_resize = true;
        while let Some(&first) = block.first() {
            if first & 0xe0 == 0x20 {
                let (bytes_max, len) = read(block, 5)?;
                if !may_resize || !self.table.resize(bytes_max) {
                    return Err(BadCompression("a table size that is not allowed"));
                }
                block = &block[len..];
                continue;
            }
            may_resize = false;
            if first & 0x80 != 0 {
                let (index, len) = read(block, 7)?;
                take(self.table.get(index).ok_or(NO_ENTRY)?);
                block = &block[len..];
            } else {
                let is_kept = first & 0x40 != 0;
                block = self.literal(block, is_kept, &mut take)?;
            }
        }
        self.shrink();
        Ok(())
    }

    /// Decodes a field whose value is there; returns what follows it.
    fn literal<'b>(
        &mut self,
        block: &'b [u8],
        is_kept: bool,
        take: &mut impl FnMut(DecodedField<'_>),
    ) -> Result<&'b [u8], BadCompression> {
        let (index, len) = read(block, if is_kept { 6 } else { 4 })?;
        let mut rest = &block[len..];
        let Self { table, name: name_room, value: value_room } = self;
        let (name, number, is_name_fit);
        if index == 0 {
            let (text, len) = string(rest, name_room)?;
            rest = &rest[len..];
            // One that is nothing to us gets no number: it could be taken for what it is not.
            is_name_fit = is_name(text);
            (name, number) = (text, if is_name_fit { name::number(text) } else { name::OTHER });
        } else {
            let field = table.get(index).ok_or(NO_ENTRY)?;
            // Looked at once: the longest name can stand for every two bytes of a block.
            (name, number, is_name_fit) = (field.name, field.number, field.is_name_fit);
        }
        let (value, len) = string(rest, value_room)?;
        let is_fit = is_name_fit && is_bare(value);
        let field = DecodedField { name, value, number, is_name_fit, is_fit };
        take(field);
        if is_kept {
            // Its name may stand in the table that changes.
            let bytes = name.len() + value.len();
            let entry = (bytes <= TABLE_BYTES_MAX).then(|| field.into());
            if table.makes_room(bytes) {
                entry.into_iter().for_each(|entry| table.insert(entry));
            }
        }
        Ok(&rest[len..])
    }

    /// Gives back the room of long strings.
    fn shrink(&mut self) {
        for room in [&mut self.name, &mut self.value] {
            if room.capacity() > ROOM_BYTES_MAX {
                *room = Vec::new();
            }
        }
    }
}

fn read(bytes: &[u8], prefix: u8) -> Result<(usize, usize), BadCompression> {
    integer::read(bytes, prefix).ok_or(BadCompression("an integer that cannot be"))
}

/// Reads a string; returns how many bytes of the block it takes.
fn string<'a>(bytes: &'a [u8], room: &'a mut Vec<u8>) -> Result<(&'a [u8], usize), BadCompression> {
    let is_huffman = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let (len, at) = read(bytes, 7)?;
    let text = bytes.get(at..at + len).ok_or(BadCompression("a string that is cut"))?;
    if !is_huffman {
        return Ok((text, at + len));
    }
    room.clear();
    huffman::decode(text, room).ok_or(BadCompression("a Huffman code that cannot be"))?;
    Ok((room, at + len))
}

/// Returns whether a name can be that of a field or a pseudo-header.
fn is_name(name: &[u8]) -> bool {
    // Longer ones cannot be kept.
    name.len() <= NAME_BYTES_MAX && is_lower_token(name.strip_prefix(b":").unwrap_or(name))
}

/// Returns whether a value can be a field's, without white space around it.
fn is_bare(value: &[u8]) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    !is_space(value.first()) && !is_space(value.last()) && is_value(value)
}

const NO_ENTRY: BadCompression = BadCompression("an index that does not exist");
const NAME_BYTES_MAX: usize = 8 * 1024;
/// How much room for strings a connection keeps.
const ROOM_BYTES_MAX: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            text.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    fn check(decoder: &mut Decoder, block: &[u8]) -> Result<String, BadCompression> {
        let mut text = String::new();
        decoder.decode(block, |field| {
            let (name, value) = (field.name.escape_ascii(), field.value.escape_ascii());
            text += &format!("{name}: {value}{}\n", if field.is_fit { "" } else { " (unfit)" });
        })?;
        Ok(text)
    }

    #[test]
    fn the_requests_of_the_specification_are_decoded_with_and_without_huffman_codes() {
        // RFC 7541, C.3 and C.4.
        let plain = [
            "828684410f7777772e6578616d706c652e636f6d",
            "828684be58086e6f2d6361636865",
            "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
        ];
        let huffman = [
            "828684418cf1e3c2e5f23a6ba0ab90f4ff",
            "828684be5886a8eb10649cbf",
            "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
        ];
        let start = ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n";
        for blocks in [plain, huffman] {
            let mut decoder = Decoder::default();
            assert_eq!(check(&mut decoder, &hex(blocks[0])).unwrap(), start);
            let second = format!("{start}cache-control: no-cache\n");
            assert_eq!(check(&mut decoder, &hex(blocks[1])).unwrap(), second);
            let third = ":method: GET\n:scheme: https\n:path: /index.html\n\
                :authority: www.example.com\ncustom-key: custom-value\n";
            assert_eq!(check(&mut decoder, &hex(blocks[2])).unwrap(), third);
        }
    }

    #[test]
    fn a_table_that_is_full_evicts_its_oldest() {
        // RFC 7541, C.5: a table of 256 bytes.
        let blocks = [
            "3fe101 4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a\
             323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
            "4803333037c1c0bf",
        ];
        let mut decoder = Decoder::default();
        let first = ":status: 302\ncache-control: private\ndate: Mon, 21 Oct 2013 20:13:21 GMT\n\
            location: https://www.example.com\n";
        assert_eq!(check(&mut decoder, &hex(blocks[0])).unwrap(), first);
        assert_eq!(check(&mut decoder, &hex(blocks[1])).unwrap(), first.replace("302", "307"));
        // The first status is gone.
        assert_eq!(check(&mut decoder, &[0x80 | 66]), Err(NO_ENTRY));
    }

    #[test]
    fn a_field_that_is_not_allowed_is_decoded_and_marked_even_from_the_table() {
        let mut decoder = Decoder::default();
        let literal = |name: &str, value: &str| {
            let len = |text: &str| vec![text.len() as u8];
            [&[0x40][..], &len(name), name.as_bytes(), &len(value), value.as_bytes()].concat()
        };
        for (name, value) in [
            ("X-Upper", "1"),
            ("x a", "1"),
            ("", "1"),
            (":", "1"),
            ("x-a", "a\u{1}"),
            ("x-a", " b"),
        ] {
            assert!(check(&mut decoder, &literal(name, value)).unwrap().contains("(unfit)"));
            assert!(check(&mut decoder, &[0x80 | 62]).unwrap().contains("(unfit)"), "{name}");
        }
        // A name from the table with a fit value is fit only if the name is.
        assert!(!check(&mut decoder, &[0x7e, 1, b'1']).unwrap().contains("unfit"));
        check(&mut decoder, &literal("X-Upper", "1")).unwrap();
        assert!(check(&mut decoder, &[0x7e, 1, b'1']).unwrap().contains("unfit"));
        assert!(!check(&mut decoder, &literal("x-a", "1")).unwrap().contains("unfit"));
    }

    #[test]
    fn what_cannot_be_decoded_is_an_error() {
        for block in [
            &[0x80][..],                              // The index 0.
            &[0x80 | 62],                             // An entry that is not there.
            &[0x82, 0x20],                            // A table size after a field.
            &[0x3f, 0xe2, 0x1f],                      // A table of 4,097 bytes.
            &[0x40, 1],                               // A string that is cut.
            &[0x40, 0x81, 0x1e],                      // A bad Huffman code.
            &[0xff, 0x80, 0x80, 0x80, 0x80, 0x80, 1], // An integer without an end.
        ] {
            assert!(check(&mut Decoder::default(), block).is_err(), "{block:x?}");
        }
    }
}
