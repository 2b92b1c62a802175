//! A request that is read, written anew and read again says the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_wire::http1::{
    MessageHead, HeadLimits, Piece, Reader, write_end, write_field, write_fields, write_request_line,
};

fn read(bytes: &[u8]) -> Option<(MessageHead, usize)> {
    let mut reader = Reader::requests(HeadLimits::default());
    match reader.read(bytes) {
        Ok(Piece::Head(len)) => Some((reader.take_head(), len)),
        _ => None,
    }
}

fn fields<'a>(head: &MessageHead, bytes: &'a [u8]) -> Vec<(&'a [u8], &'a [u8])> {
    head.fields().iter().map(|field| (&bytes[field.name()], &bytes[field.value()])).collect()
}

fuzz_target!(|bytes: &[u8]| {
    let Some((head, head_bytes)) = read(bytes) else { return };
    let mut again = Vec::new();
    write_request_line(&mut again, &bytes[head.method()], &bytes[head.target()])
        .expect("what was read can be written");
    for (name, value) in fields(&head, bytes) {
        write_field(&mut again, name, value).expect("what was read can be written");
    }
    write_end(&mut again);
    // HTTP/1.0 may leave Host out, and becomes HTTP/1.1.
    let Some((second, len)) = read(&again) else {
        assert!(head.is_http_10(), "it cannot be read again");
        return;
    };
    assert_eq!(len, again.len());
    assert_eq!(again[second.target()], bytes[head.target()]);
    assert_eq!(fields(&second, &again), fields(&head, bytes));
    assert_eq!((second.body(), second.length()), (head.body(), head.length()));
    // Lines that are written as they came are read as those that are written anew.
    let mut came = Vec::new();
    write_request_line(&mut came, &bytes[head.method()], &bytes[head.target()])
        .expect("what was read can be written");
    let came_fields = head.into_fields(bytes[..head_bytes].to_vec());
    write_fields(&mut came, &came_fields);
    write_end(&mut came);
    let (third, len) = read(&came).expect("it can be read again");
    assert_eq!(len, came.len());
    assert_eq!(third.into_fields(came), came_fields);
});
