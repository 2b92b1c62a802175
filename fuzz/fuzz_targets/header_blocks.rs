//! Whatever stands in a header block: what is decoded can be encoded and decoded again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_wire::http2::{Decoder, encode_fields};
use seawall_wire::{Fields, Value};

fuzz_target!(|input: &[u8]| {
    let mut decoder = Decoder::default();
    // Several blocks: the table is the connection's.
    for block in input.split(|byte| *byte == 0xfe) {
        let mut fields = Fields::default();
        let mut others = 0;
        let mut bytes = 0;
        let decoded = decoder.decode(block, |field| {
            bytes += field.name.len() + field.value.len();
            let name = std::str::from_utf8(field.name).ok().filter(|_| field.is_fit);
            let name = name.and_then(|name| http::HeaderName::from_bytes(name.as_bytes()).ok());
            match name.zip(Value::new(field.value)) {
                Some((name, value)) => fields.append(&name, value),
                None => others += 1,
            }
        });
        // What one byte stands for is bounded by the table.
        assert!(bytes <= 4096 * block.len().max(1), "{bytes} of {}", block.len());
        if decoded.is_err() {
            return;
        }
        let mut encoded = Vec::new();
        encode_fields(&mut encoded, &fields);
        let mut again = Vec::new();
        Decoder::default()
            .decode(&encoded, |field| {
                assert!(field.is_fit);
                again.push((field.name.to_vec(), field.value.to_vec()));
            })
            .expect("it can be decoded");
        let of_http1 =
            ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"];
        let before: Vec<_> = fields
            .iter()
            .map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec()))
            .filter(|(name, _)| !of_http1.iter().any(|other| other.as_bytes() == name))
            .collect();
        assert_eq!(before, again);
    }
});
