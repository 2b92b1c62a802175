//! Whatever an HTTP/2 peer sends: how it is cut into reads changes nothing, what passes as a head can
//! be written over HTTP/1 and read in one way, and what is answered is bounded by what came.
#![no_main]

use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use seawall_wire::Fields;
use seawall_wire::http1::{self, Piece, Reader, write_end, write_fields, write_request_line};
use seawall_wire::http2::{
    Connection, ConnectionEvent, FieldBlock, Http2Limits, PREFACE, Http2RequestHead, Role, encode_request,
};

const LIMITS: Http2Limits = Http2Limits {
    streams_max: 8,
    head_bytes_max: 2000,
    fields_max: 50,
    interim_max: 4,
    stream_window: 1000,
    connection_window: 70_000,
};

/// Makes frames of the input: whatever the fuzzer does to it, it stays one frame after the other.
fn frames(mut input: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let [kind, flags, stream, len, rest @ ..] = input {
        let (payload, rest) = rest.split_at(rest.len().min(usize::from(*len)));
        let len = payload.len() as u8;
        bytes.extend_from_slice(&[0, 0, len, kind % 12, *flags, 0, 0, 0, stream % 32]);
        bytes.extend_from_slice(payload);
        input = rest;
    }
    bytes
}

/// Says what happens, and returns what is to be sent.
fn feed(side: Role, bytes: &[u8], read_len: usize) -> (Vec<String>, Vec<u8>) {
    let now = Instant::now();
    let mut connection = Connection::<()>::new(side, LIMITS, now);
    let (mut told, mut body) = (Vec::new(), Vec::new());
    let (mut at, mut here) = (0, 0);
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let start = if side == Role::Server { PREFACE } else { &[] };
    assert!(connection.read(start, now).is_ok());
    assert!(connection.read(&settings, now).is_ok());
    if side == Role::Client {
        for is_last in [true, false, true] {
            connection.open(is_last, is_last, |out| {
                encode_request(out, &http::Method::GET, b"h", b"/", &Fields::default());
            });
        }
    }
    connection.out().clear();
    'all: while here < bytes.len() {
        here = (here + read_len).min(bytes.len());
        loop {
            let read = match connection.read(&bytes[at..here], now) {
                Ok(read) => read,
                Err(violation) => {
                    told.push(format!("{violation:?}"));
                    break 'all;
                }
            };
            match &read.event {
                None if read.len == 0 => break,
                None => {}
                Some(ConnectionEvent::Data { stream, at: place, is_last }) => {
                    body.extend_from_slice(&bytes[at..][place.clone()]);
                    connection.take(*stream, place.len());
                    if *is_last {
                        told.push(format!("end of {stream}"));
                    }
                }
                Some(event) => {
                    if let ConnectionEvent::Head { head: FieldBlock::Request(head), .. } = event {
                        check(head);
                    }
                    told.push(format!("{event:?}"));
                }
            }
            at += read.len;
            assert!(at <= here);
            assert!(connection.open_streams() <= LIMITS.streams_max);
        }
        assert!(here - at <= 17 * 1024 + read_len, "too much is held back");
    }
    told.push(format!("{body:?}"));
    let out = std::mem::take(connection.out());
    assert!(out.len() <= 1000 + 4 * bytes.len(), "{} for {}", out.len(), bytes.len());
    (told, out)
}

/// Checks that a head that passed reads the same over HTTP/1.
fn check(head: &Http2RequestHead) {
    let Ok(target) = &head.target else { return };
    let Some(target) = target.path_and_query() else { return };
    let mut bytes = Vec::new();
    let (method, target) = (head.method.as_str(), target.as_str());
    if ["CONNECT", "TRACE"].contains(&method) {
        return;
    }
    write_request_line(&mut bytes, method.as_bytes(), target.as_bytes()).expect("a request line");
    // What this side says itself, and what frames the body.
    let mut fields = head.fields.clone();
    for name in ["host", "content-length"] {
        fields.remove(name);
    }
    fields.append("host", "h");
    write_fields(&mut bytes, &fields);
    write_end(&mut bytes);
    let mut reader = Reader::requests(http1::HeadLimits::default());
    assert_eq!(reader.read(&bytes), Ok(Piece::Head(bytes.len())));
    assert!(reader.take_head().into_fields(bytes) == fields);
}

fuzz_target!(|input: &[u8]| {
    let [mode, input @ ..] = input else { return };
    let side = if mode & 1 == 0 { Role::Server } else { Role::Client };
    let bytes = if mode & 2 == 0 { frames(input) } else { input.to_vec() };
    let whole = feed(side, &bytes, usize::MAX / 2);
    let read_len = 1 + usize::from(mode >> 2) % 11;
    assert_eq!(whole, feed(side, &bytes, read_len), "in reads of {read_len}");
});
