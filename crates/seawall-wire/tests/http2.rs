//! HTTP/2 frame by frame: what a peer may send, what ends a stream, and what ends the connection.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::time::{Duration, Instant};

use http::Method;
use proptest::prelude::*;
use seawall_wire::http2::{
    Connection, ConnectionEvent, ErrorCode, Http2Limits, PREFACE, Role, Violation, encode_request,
    encode_response,
};
use seawall_wire::{Fields, Value, name};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const WITH_PRIORITY: u8 = 32;

const LIMITS: Http2Limits = Http2Limits {
    streams_max: 3,
    head_bytes_max: 1000,
    fields_max: 20,
    interim_max: 2,
    stream_window: 65_535,
    connection_window: 65_535,
};

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    [&[a, b, c, kind, flags][..], &stream.to_be_bytes(), payload].concat()
}

/// A header block of literals.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let field = |(name, value): &(&str, &str)| [vec![0], text(name), text(value)].concat();
    fields.iter().flat_map(field).collect()
}

const GET: &[(&str, &str)] =
    &[(":method", "GET"), (":scheme", "http"), (":authority", "h"), (":path", "/")];

fn get(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&[GET, more].concat()))
}

fn post(stream: u32, more: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(&[GET, more].concat()))
}

fn hello() -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[])
}

/// What happened on a connection, with the bytes of bodies.
#[derive(Debug, Default, PartialEq)]
struct Told {
    events: Vec<String>,
    body: Vec<u8>,
    violation: Option<Violation>,
}

fn read(connection: &mut Connection<()>, pieces: &[&[u8]], told: &mut Told) {
    let now = Instant::now();
    let mut held = Vec::new();
    for piece in pieces {
        held.extend_from_slice(piece);
        let mut at = 0;
        loop {
            let read = match connection.read(&held[at..], now) {
                Ok(read) => read,
                Err(violation) => {
                    told.violation = Some(violation);
                    return;
                }
            };
            match &read.event {
                // A piece may be cut anywhere.
                Some(ConnectionEvent::Data { stream, at: range, is_last }) => {
                    told.body.extend_from_slice(&held[at..][range.clone()]);
                    connection.take(*stream, range.len());
                    if *is_last {
                        told.events.push(format!("end of {stream}"));
                    }
                }
                Some(event) => told.events.push(format!("{event:?}")),
                None if read.len == 0 => break,
                None => {}
            }
            at += read.len;
        }
        held.drain(..at);
    }
}

fn server() -> Connection<()> {
    Connection::new(Role::Server, LIMITS, Instant::now())
}

/// Sends frames to a server, after the preface.
fn serve(frames: &[Vec<u8>]) -> (Told, Connection<()>) {
    let mut connection = server();
    let mut told = Told::default();
    let bytes = [PREFACE, &hello(), &frames.concat()].concat();
    read(&mut connection, &[&bytes], &mut told);
    (told, connection)
}

/// Sends frames to a client that has asked on the streams 1 and 3.
fn answer(frames: &[Vec<u8>]) -> (Told, Connection<()>) {
    let mut connection = Connection::new(Role::Client, LIMITS, Instant::now());
    let mut told = Told::default();
    let encode = |out: &mut Vec<u8>| {
        encode_request(out, &Method::GET, b"h", b"/", &Fields::default());
    };
    assert_eq!(connection.open(true, false, encode), Some(1));
    read(&mut connection, &[&hello()], &mut told);
    assert_eq!(connection.open(false, false, encode), Some(3));
    connection.out().clear();
    read(&mut connection, &[&frames.concat()], &mut told);
    (told, connection)
}

#[test]
fn what_a_client_may_not_send_ends_the_connection_with_its_code() {
    let priority = [0, 0, 0, 0, 9];
    let cases: &[(&str, Vec<Vec<u8>>, ErrorCode)] = &[
        ("6.1 DATA on 0", vec![frame(DATA, 0, 0, b"x")], ErrorCode::PROTOCOL_ERROR),
        ("5.1 DATA on an idle stream", vec![frame(DATA, 0, 1, b"x")], ErrorCode::PROTOCOL_ERROR),
        (
            "6.1 more padding than there is",
            vec![post(1, &[]), frame(DATA, PADDED, 1, &[5, 0, 0])],
            ErrorCode::PROTOCOL_ERROR,
        ),
        (
            "6.1 padding that is not there",
            vec![post(1, &[]), frame(DATA, PADDED, 1, &[])],
            ErrorCode::FRAME_SIZE_ERROR,
        ),
        ("6.2 HEADERS on 0", vec![get(0, &[])], ErrorCode::PROTOCOL_ERROR),
        ("5.1.1 an even stream", vec![get(2, &[])], ErrorCode::PROTOCOL_ERROR),
        ("5.1.1 a lower stream", vec![get(5, &[]), get(3, &[])], ErrorCode::STREAM_CLOSED),
        (
            "6.2 a priority that is cut",
            vec![frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, &[0; 4])],
            ErrorCode::FRAME_SIZE_ERROR,
        ),
        (
            "6.2 another frame within a head",
            vec![frame(HEADERS, 0, 1, &block(GET)), frame(PING, 0, 0, &[0; 8])],
            ErrorCode::PROTOCOL_ERROR,
        ),
        (
            "6.10 a continuation of another stream",
            vec![frame(HEADERS, 0, 1, &block(GET)), frame(CONTINUATION, END_HEADERS, 3, &[])],
            ErrorCode::PROTOCOL_ERROR,
        ),
        (
            "6.10 a continuation of nothing",
            vec![frame(CONTINUATION, END_HEADERS, 1, &[])],
            ErrorCode::PROTOCOL_ERROR,
        ),
        (
            "4.3 a block that cannot be decoded",
            vec![frame(HEADERS, END_HEADERS, 1, &[0x80])],
            ErrorCode::COMPRESSION_ERROR,
        ),
        ("6.3 PRIORITY on 0", vec![frame(PRIORITY, 0, 0, &priority)], ErrorCode::PROTOCOL_ERROR),
        ("6.3 PRIORITY of 4", vec![frame(PRIORITY, 0, 1, &[0; 4])], ErrorCode::FRAME_SIZE_ERROR),
        ("6.4 RST_STREAM on 0", vec![frame(RST_STREAM, 0, 0, &[0; 4])], ErrorCode::PROTOCOL_ERROR),
        ("6.4 RST_STREAM, idle", vec![frame(RST_STREAM, 0, 1, &[0; 4])], ErrorCode::PROTOCOL_ERROR),
        (
            "6.4 RST_STREAM of 3",
            vec![get(1, &[]), frame(RST_STREAM, 0, 1, &[0; 3])],
            ErrorCode::FRAME_SIZE_ERROR,
        ),
        ("6.5 SETTINGS on 1", vec![frame(SETTINGS, 0, 1, &[])], ErrorCode::PROTOCOL_ERROR),
        ("6.5 SETTINGS of 5", vec![frame(SETTINGS, 0, 0, &[0; 5])], ErrorCode::FRAME_SIZE_ERROR),
        (
            "6.5 an ACK with more",
            vec![frame(SETTINGS, ACK, 0, &[0; 6])],
            ErrorCode::FRAME_SIZE_ERROR,
        ),
        ("6.5.2 ENABLE_PUSH 2", vec![setting(2, 2)], ErrorCode::PROTOCOL_ERROR),
        ("6.5.2 a window of 2^31", vec![setting(4, 1 << 31)], ErrorCode::FLOW_CONTROL_ERROR),
        ("6.5.2 frames of 16,383", vec![setting(5, 16383)], ErrorCode::PROTOCOL_ERROR),
        ("6.5.2 frames of 2^24", vec![setting(5, 1 << 24)], ErrorCode::PROTOCOL_ERROR),
        (
            "8.4 a push of a client",
            vec![frame(PUSH_PROMISE, 0, 1, &[0; 4])],
            ErrorCode::PROTOCOL_ERROR,
        ),
        ("6.7 PING on 1", vec![frame(PING, 0, 1, &[0; 8])], ErrorCode::PROTOCOL_ERROR),
        ("6.7 PING of 7", vec![frame(PING, 0, 0, &[0; 7])], ErrorCode::FRAME_SIZE_ERROR),
        ("6.8 GOAWAY on 1", vec![frame(GOAWAY, 0, 1, &[0; 8])], ErrorCode::PROTOCOL_ERROR),
        ("6.8 GOAWAY of 7", vec![frame(GOAWAY, 0, 0, &[0; 7])], ErrorCode::FRAME_SIZE_ERROR),
        ("6.9 WINDOW_UPDATE by 0", vec![window(0, 0)], ErrorCode::PROTOCOL_ERROR),
        ("6.9 WINDOW_UPDATE, idle", vec![window(1, 1)], ErrorCode::PROTOCOL_ERROR),
        (
            "6.9 WINDOW_UPDATE of 3",
            vec![frame(WINDOW_UPDATE, 0, 0, &[0; 3])],
            ErrorCode::FRAME_SIZE_ERROR,
        ),
        ("6.9.1 a window of 2^31", vec![window(0, (1 << 31) - 1)], ErrorCode::FLOW_CONTROL_ERROR),
        (
            "4.2 a frame of 16,385",
            vec![frame(PING, 0, 0, &[0; 16385])],
            ErrorCode::FRAME_SIZE_ERROR,
        ),
    ];
    for (name, frames, code) in cases {
        let (told, _) = serve(frames);
        let violation =
            told.violation.unwrap_or_else(|| panic!("{name} passes: {:?}", told.events));
        assert_eq!(violation.code, *code, "{name}: {violation}");
    }
}

fn setting(number: u16, value: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[&number.to_be_bytes()[..], &value.to_be_bytes()].concat())
}

fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

/// Returns the resets among what is to be sent, by stream and code.
fn resets(connection: &mut Connection<()>) -> Vec<(u32, u32)> {
    let mut out = &std::mem::take(connection.out())[..];
    let mut resets = Vec::new();
    while let [a, b, c, kind, _flags, d, e, f, g, rest @ ..] = out {
        let (payload, rest) = rest.split_at(u32::from_be_bytes([0, *a, *b, *c]) as usize);
        if *kind == RST_STREAM {
            let code = u32::from_be_bytes(payload.try_into().unwrap());
            resets.push((u32::from_be_bytes([*d, *e, *f, *g]), code));
        }
        out = rest;
    }
    resets
}

#[test]
fn what_is_wrong_with_one_request_ends_its_stream_and_no_other() {
    let with = |more: &[(&str, &str)]| post(3, more);
    let cases: Vec<(&str, Vec<Vec<u8>>, ErrorCode)> = vec![
        ("8.2.1 upper case", vec![with(&[("X-A", "1")])], ErrorCode::PROTOCOL_ERROR),
        ("8.2.1 a control character", vec![with(&[("x-a", "\u{1}")])], ErrorCode::PROTOCOL_ERROR),
        ("8.2.1 a space in front", vec![with(&[("x-a", " 1")])], ErrorCode::PROTOCOL_ERROR),
        ("8.2.1 no name", vec![with(&[("", "1")])], ErrorCode::PROTOCOL_ERROR),
        ("8.2.2 connection", vec![with(&[("connection", "x")])], ErrorCode::PROTOCOL_ERROR),
        ("8.2.2 keep-alive", vec![with(&[("keep-alive", "5")])], ErrorCode::PROTOCOL_ERROR),
        ("8.2.2 upgrade", vec![with(&[("upgrade", "h2c")])], ErrorCode::PROTOCOL_ERROR),
        ("8.2.2 te", vec![with(&[("te", "gzip")])], ErrorCode::PROTOCOL_ERROR),
        ("8.3 a response's", vec![with(&[(":status", "200")])], ErrorCode::PROTOCOL_ERROR),
        ("8.3 unknown", vec![with(&[(":odd", "1")])], ErrorCode::PROTOCOL_ERROR),
        ("8.3 twice", vec![with(&[(":path", "/")])], ErrorCode::PROTOCOL_ERROR),
        (
            "8.3 behind a field",
            vec![with(&[("x", "1"), (":path", "/")])],
            ErrorCode::PROTOCOL_ERROR,
        ),
        ("8.3.1 no path", vec![raw(&GET[..3])], ErrorCode::PROTOCOL_ERROR),
        ("8.3.1 no scheme", vec![raw(&[GET[0], GET[2], GET[3]])], ErrorCode::PROTOCOL_ERROR),
        (
            "8.3.1 another scheme",
            vec![raw(&[GET[0], (":scheme", "ftp"), GET[2], GET[3]])],
            ErrorCode::PROTOCOL_ERROR,
        ),
        ("8.3.1 no method", vec![raw(&GET[1..])], ErrorCode::PROTOCOL_ERROR),
        (
            "8.3.1 a bad authority",
            vec![raw(&[GET[0], GET[1], (":authority", "a b"), GET[3]])],
            ErrorCode::PROTOCOL_ERROR,
        ),
        (
            "8.5 CONNECT with a path",
            vec![raw(&[(":method", "CONNECT"), GET[1], GET[2], GET[3]])],
            ErrorCode::PROTOCOL_ERROR,
        ),
        (
            "8.1.1 two lengths",
            vec![with(&[("content-length", "1"), ("content-length", "1")])],
            ErrorCode::PROTOCOL_ERROR,
        ),
        ("8.1.1 a bad length", vec![with(&[("content-length", "+1")])], ErrorCode::PROTOCOL_ERROR),
        ("8.1.1 no body of 1", vec![get(3, &[("content-length", "1")])], ErrorCode::PROTOCOL_ERROR),
        (
            "8.1.1 a longer body",
            vec![with(&[("content-length", "1")]), frame(DATA, 0, 3, b"ab")],
            ErrorCode::PROTOCOL_ERROR,
        ),
        (
            "8.1.1 a shorter body",
            vec![with(&[("content-length", "3")]), frame(DATA, END_STREAM, 3, b"ab")],
            ErrorCode::PROTOCOL_ERROR,
        ),
        (
            "8.1.1 trailers before the body's end",
            vec![
                with(&[("content-length", "3")]),
                frame(HEADERS, END_HEADERS | END_STREAM, 3, &[]),
            ],
            ErrorCode::PROTOCOL_ERROR,
        ),
        (
            "8.1 trailers that are not the end",
            vec![with(&[]), frame(HEADERS, END_HEADERS, 3, &block(&[("x-sum", "1")]))],
            ErrorCode::PROTOCOL_ERROR,
        ),
        (
            "8.1 a pseudo-header in trailers",
            vec![with(&[]), frame(HEADERS, END_HEADERS | END_STREAM, 3, &block(&[(":path", "/")]))],
            ErrorCode::PROTOCOL_ERROR,
        ),
        (
            "5.1 a body after its end",
            vec![get(3, &[]), frame(DATA, 0, 3, b"x")],
            ErrorCode::STREAM_CLOSED,
        ),
        ("5.1 a head after its end", vec![get(3, &[]), get(3, &[])], ErrorCode::STREAM_CLOSED),
        ("6.9 WINDOW_UPDATE by 0", vec![get(3, &[]), window(3, 0)], ErrorCode::PROTOCOL_ERROR),
        (
            "6.9.1 a window of 2^31",
            vec![get(3, &[]), window(3, (1 << 31) - 1)],
            ErrorCode::FLOW_CONTROL_ERROR,
        ),
        (
            "5.1.2 a stream too many",
            vec![get(5, &[]), get(7, &[]), get(9, &[])],
            ErrorCode::REFUSED_STREAM,
        ),
    ];
    for (name, frames, code) in cases {
        let (told, mut connection) = serve(&[&[get(1, &[])], &frames[..]].concat());
        assert_eq!(told.violation, None, "{name}");
        let resets = resets(&mut connection);
        assert_eq!(resets.iter().map(|reset| reset.1).collect::<Vec<_>>(), [code.0], "{name}");
        assert!(resets.iter().all(|(stream, _)| *stream != 1), "{name}");
        // The connection goes on, and what was under way for the stream is not another error.
        let mut told = Told::default();
        let rest = [frame(DATA, 0, resets[0].0, b"late"), get(11, &[])].concat();
        read(&mut connection, &[&rest], &mut told);
        assert_eq!(told.violation, None, "{name}");
        assert!(told.body.is_empty(), "{name}: {told:?}");
    }
}

fn raw(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, 3, &block(fields))
}

#[test]
fn what_is_wrong_with_a_path_alone_can_be_answered() {
    for (method, path, status) in [
        ("GET", "", 400),
        ("GET", "a", 400),
        ("GET", "*", 400),
        ("GET", "/a b", 400),
        ("GET", "/#a", 400),
        ("GET", "/?\"", 400),
        ("OPTIONS", "/a?b=c|d", 200),
        ("OPTIONS", "*", 200),
    ] {
        let fields = [(":method", method), GET[1], GET[2], (":path", path)];
        let (told, mut connection) = serve(&[raw(&fields)]);
        assert!(resets(&mut connection).is_empty(), "{path}");
        let is_refused = told.events[1].contains(&format!("status: {status}"));
        assert_eq!(is_refused, status == 400, "{path}: {told:?}");
    }
}

#[test]
fn a_head_over_its_limits_is_decoded_to_its_end_and_the_connection_goes_on() {
    let long = "x".repeat(120);
    let many: Vec<_> = (0..60).map(|_| ("x-a", &*long)).collect();
    let fields = block(&[GET, &many].concat());
    let pieces: Vec<_> = fields.chunks(2000).collect();
    let mut frames = vec![frame(HEADERS, END_STREAM, 1, pieces[0])];
    frames.extend(pieces[1..3].iter().map(|piece| frame(CONTINUATION, 0, 1, piece)));
    frames.push(frame(CONTINUATION, END_HEADERS, 1, pieces[3]));
    // Into the table, so that a decoder that had stopped would no longer agree.
    frames.insert(
        0,
        frame(
            HEADERS,
            END_HEADERS | END_STREAM,
            1,
            &[&block(GET)[..], &[0x40, 1, b'a', 1, b'b']].concat(),
        ),
    );
    frames[1][5..9].copy_from_slice(&3_u32.to_be_bytes());
    for frame in &mut frames[2..] {
        frame[5..9].copy_from_slice(&3_u32.to_be_bytes());
    }
    frames.push(frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        5,
        &[&block(GET)[..], &[0x80 | 62]].concat(),
    ));
    let (told, _) = serve(&frames);
    assert_eq!(told.violation, None, "{told:?}");
    assert_eq!(told.events.len(), 4, "{told:?}");
    // Those up to the first beyond the limit.
    assert_eq!(told.events[2].matches("x-a").count(), 8, "{}", told.events[2]);
    assert!(told.events[3].contains("\"a\": 1 bytes"), "{}", told.events[3]);
}

#[test]
fn a_head_far_over_its_limit_ends_the_connection() {
    let frames: Vec<_> = std::iter::once(frame(HEADERS, 0, 1, &block(GET)))
        .chain((0..9).map(|_| frame(CONTINUATION, 0, 1, &[0; 16384])))
        .collect();
    assert_eq!(serve(&frames).0.violation.unwrap().code, ErrorCode::ENHANCE_YOUR_CALM);
    // In however small pieces.
    let frames: Vec<_> = std::iter::once(frame(HEADERS, 0, 1, &block(GET)))
        .chain((0..1100).map(|_| frame(CONTINUATION, 0, 1, &[])))
        .collect();
    assert_eq!(serve(&frames).0.violation.unwrap().code, ErrorCode::ENHANCE_YOUR_CALM);
}

#[test]
fn a_server_may_not_send_what_would_look_like_an_answer() {
    let head = |status: &str, flags: u8| {
        frame(HEADERS, END_HEADERS | flags, 1, &block(&[(":status", status)]))
    };
    for (name, frames) in [
        ("no status", vec![frame(HEADERS, END_HEADERS, 1, &block(&[("x", "1")]))]),
        ("101", vec![head("101", 0)]),
        ("099", vec![head("099", 0)]),
        ("20", vec![head("20", 0)]),
        ("an interim answer that is the last", vec![head("103", END_STREAM)]),
        ("too many interim answers", vec![head("103", 0), head("103", 0), head("103", 0)]),
        ("a body without a head", vec![frame(DATA, 0, 1, b"x")]),
        ("a body after an interim answer", vec![head("103", 0), frame(DATA, 0, 1, b"x")]),
        ("a request", vec![frame(HEADERS, END_HEADERS, 1, &block(GET))]),
    ] {
        let (told, mut connection) = answer(&frames);
        assert_eq!(told.violation, None, "{name}");
        assert_eq!(resets(&mut connection), [(1, ErrorCode::PROTOCOL_ERROR.0)], "{name}");
        assert!(told.events.iter().any(|event| event.contains("Reset")), "{name}: {told:?}");
    }
    let promise = frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]);
    assert_eq!(answer(&[promise]).0.violation.unwrap().code, ErrorCode::PROTOCOL_ERROR);
    let (told, _) = answer(&[frame(HEADERS, END_HEADERS, 5, &block(&[(":status", "200")]))]);
    assert_eq!(told.violation.unwrap().code, ErrorCode::PROTOCOL_ERROR, "nobody asked");
}

#[test]
fn an_answer_comes_with_interim_ones_before_it_and_trailers_behind_it() {
    let (told, _) = answer(&[
        frame(HEADERS, END_HEADERS, 1, &block(&[(":status", "103"), ("link", "</a>")])),
        frame(HEADERS, END_HEADERS | PADDED | WITH_PRIORITY, 1, &{
            let fields = block(&[(":status", "200"), ("content-length", "5")]);
            [&[3, 0, 0, 0, 0, 9][..], &fields, &[0; 3]].concat()
        }),
        frame(DATA, PADDED, 1, &[&[2][..], b"hello", &[0; 2]].concat()),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&[("x-sum", "1")])),
    ]);
    assert_eq!(told.violation, None);
    assert_eq!(told.body, b"hello");
    let starts = [
        "Settings",
        "Head { stream: 1, head: Response { status: 103",
        "Head { stream: 1, head: Response { status: 200",
        "Head { stream: 1, head: Trailers(",
    ];
    assert_eq!(told.events.len(), starts.len());
    for (event, start) in told.events.iter().zip(starts) {
        assert!(event.starts_with(start), "{event}");
    }
}

#[test]
fn an_answer_to_head_and_one_of_304_have_no_body_whatever_they_say() {
    let mut connection = Connection::<()>::new(Role::Client, LIMITS, Instant::now());
    let encode = |out: &mut Vec<u8>| {
        encode_request(out, &Method::HEAD, b"h", b"/", &Fields::default());
    };
    assert_eq!(connection.open(true, true, encode), Some(1));
    let head = block(&[(":status", "200"), ("content-length", "5")]);
    let bytes = [hello(), frame(HEADERS, END_HEADERS | END_STREAM, 1, &head)].concat();
    let mut told = Told::default();
    read(&mut connection, &[&bytes], &mut told);
    assert!(told.events[1].contains("is_last: true"), "{told:?}");
    let head = block(&[(":status", "304"), ("content-length", "5")]);
    let (told, _) = answer(&[frame(HEADERS, END_HEADERS | END_STREAM, 1, &head)]);
    assert!(told.events[1].contains("is_last: true"), "{told:?}");
}

#[test]
fn until_the_settings_have_come_one_stream_is_opened_and_then_as_many_as_they_say() {
    let mut connection = Connection::<()>::new(Role::Client, LIMITS, Instant::now());
    let open = |connection: &mut Connection<()>| {
        connection.open(true, false, |out| {
            encode_request(out, &Method::GET, b"h", b"/", &Fields::default());
        })
    };
    assert_eq!((open(&mut connection), open(&mut connection)), (Some(1), None));
    let mut told = Told::default();
    read(&mut connection, &[&setting(3, 2)], &mut told);
    assert_eq!((open(&mut connection), open(&mut connection)), (Some(3), None));
    // One that has ended makes room, and a goodbye takes all.
    read(&mut connection, &[&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])], &mut told);
    assert_eq!(open(&mut connection), Some(5));
    read(&mut connection, &[&frame(GOAWAY, 0, 0, &[0; 8])], &mut told);
    read(&mut connection, &[&frame(RST_STREAM, 0, 3, &[0, 0, 0, 8])], &mut told);
    assert_eq!(open(&mut connection), None);
    assert!(connection.is_left());
}

#[test]
fn streams_that_come_after_the_end_was_said_are_not_looked_at_and_change_nothing() {
    let (_, mut connection) = serve(&[get(1, &[])]);
    connection.go_away(ErrorCode::NO_ERROR);
    let mut told = Told::default();
    let late = [post(3, &[]), frame(DATA, END_STREAM, 3, b"x"), frame(PING, 0, 0, &[0; 8])];
    read(&mut connection, &[&late.concat()], &mut told);
    assert_eq!(told, Told::default());
    assert_eq!(connection.open_streams(), 1);
}

#[test]
fn frames_that_bring_nothing_are_counted_before_they_cost() {
    for flood in [
        frame(PING, 0, 0, &[0; 8]),
        frame(PING, ACK, 0, &[0; 8]),
        hello(),
        frame(PRIORITY, 0, 1, &[0; 5]),
        window(0, 1),
        frame(99, 0, 0, &[]),
        frame(DATA, 0, 1, &[]),
    ] {
        let (told, mut connection) = serve(&[post(1, &[]), flood.repeat(1500)]);
        assert_eq!(told.violation.unwrap().code, ErrorCode::ENHANCE_YOUR_CALM, "{flood:x?}");
        assert!(connection.out().len() < 20_000, "{}", connection.out().len());
    }
    let many = frame(SETTINGS, 0, 0, &[0, 9, 0, 0, 0, 1].repeat(1500));
    assert_eq!(serve(&[many]).0.violation.unwrap().code, ErrorCode::ENHANCE_YOUR_CALM);
    // Streams that are opened and taken back, refused, or malformed.
    let each = |make: fn(u32) -> Vec<u8>| {
        let frames: Vec<_> = (0..2000).map(|number| make(2 * number + 1)).collect();
        serve(&frames).0.violation.unwrap().code
    };
    let taken_back = |stream| [post(stream, &[]), frame(RST_STREAM, 0, stream, &[0; 4])].concat();
    assert_eq!(each(taken_back), ErrorCode::ENHANCE_YOUR_CALM);
    assert_eq!(each(|stream| get(stream, &[])), ErrorCode::ENHANCE_YOUR_CALM);
    assert_eq!(each(|stream| get(stream, &[("X", "1")])), ErrorCode::ENHANCE_YOUR_CALM);
}

#[test]
fn a_peer_may_send_as_much_again_as_was_taken_and_no_more() {
    let mut connection = server();
    let mut told = Told::default();
    read(&mut connection, &[PREFACE, &hello(), &post(1, &[])], &mut told);
    connection.out().clear();
    let now = Instant::now();
    let piece = frame(DATA, 0, 1, &[0; 16_000]);
    let mut came = 0;
    for _ in 0..4 {
        let mut at = 0;
        while at < piece.len() {
            let read = connection.read(&piece[at..], now).unwrap();
            came += matches!(read.event, Some(ConnectionEvent::Data { .. })) as usize;
            at += read.len;
        }
    }
    assert_eq!(came, 4);
    assert!(connection.out().is_empty(), "nothing was taken");
    connection.take(1, 40_000);
    let granted: Vec<_> = [window(0, 40_000), window(1, 40_000)].concat();
    assert_eq!(*connection.out(), granted);
    // 1,535 of the first window and 40,000 of what was granted.
    let rest = connection.read(&frame(DATA, 0, 1, &[0; 16_384]), now).unwrap();
    assert_eq!(rest.len, 9);
}

/// Writes what one side has to send into the other; returns false once there is nothing.
fn pass(from: &mut Connection<()>, to: &mut Connection<()>, told: &mut Told) -> bool {
    let bytes = std::mem::take(from.out());
    from.sent(bytes.len());
    read(to, &[&bytes], told);
    !bytes.is_empty()
}

#[test]
fn a_client_that_says_goodbye_still_takes_its_answers() {
    let (told, mut connection) = serve(&[post(1, &[]), frame(GOAWAY, 0, 0, &[0; 8])]);
    assert_eq!(told.events.len(), 2, "{told:?}");
    connection.out().clear();
    let encode = |out: &mut Vec<u8>| encode_response(out, 200, &Fields::default());
    assert!(connection.send_head(1, false, encode));
    assert_eq!(connection.send_data(1, b"hello", true, 100), 5);
}

#[test]
fn a_table_that_the_peer_makes_smaller_is_told_to_be_unused_once() {
    for (size, begins_with) in [(4095, [0x20, 0x88]), (0, [0x20, 0x88]), (4096, [0x88, 0])] {
        let (_, mut connection) = serve(&[setting(1, size), get(1, &[]), get(3, &[])]);
        let mut head = |stream| {
            connection.out().clear();
            let encode = |out: &mut Vec<u8>| {
                let mut fields = Fields::default();
                fields.append("x-a", "b");
                encode_response(out, 200, &fields);
            };
            assert!(connection.send_head(stream, true, encode));
            [connection.out()[9], connection.out()[10]]
        };
        assert_eq!(head(1), begins_with, "{size}");
        assert_eq!(head(3), [0x88, 0], "{size}");
    }
}

#[test]
fn what_comes_of_a_frame_after_its_stream_was_ended_is_granted_anew() {
    for ends_by in [0, 1] {
        let (_, mut connection) = serve(&[]);
        let now = Instant::now();
        let mut granted = 0;
        for number in 0..50 {
            let stream = 2 * number + 1;
            let bytes = [post(stream, &[]), frame(DATA, END_STREAM, stream, &[0; 16_384])].concat();
            let mut at = 0;
            // The head, and the frame of the body without its last 8 KiB.
            while at < bytes.len() - 8192 {
                let read = connection.read(&bytes[at..bytes.len() - 8192], now).unwrap();
                if let Some(ConnectionEvent::Data { stream, at, .. }) = &read.event {
                    connection.take(*stream, at.len());
                }
                at += read.len;
            }
            if ends_by == 0 {
                connection.forget(stream, ErrorCode::NO_ERROR);
            } else {
                connection.reset(stream, ErrorCode::CANCEL);
            }
            while at < bytes.len() {
                let read = connection.read(&bytes[at..], now).unwrap();
                assert_eq!(read.event, None);
                at += read.len;
            }
            connection.forget(stream, ErrorCode::NO_ERROR);
            assert_eq!(connection.open_streams(), 0);
            let mut out = &std::mem::take(connection.out())[..];
            while let [a, b, c, kind, _, d, e, f, g, rest @ ..] = out {
                let (payload, rest) = rest.split_at(u32::from_be_bytes([0, *a, *b, *c]) as usize);
                if *kind == WINDOW_UPDATE && [*d, *e, *f, *g] == [0; 4] {
                    granted += u32::from_be_bytes(payload.try_into().unwrap());
                }
                out = rest;
            }
        }
        // All but what waits to be granted together.
        assert!(granted + 32_768 >= 50 * 16_384, "{granted}");
    }
}

#[test]
fn a_name_that_is_too_long_to_be_kept_is_no_name() {
    // As if it were cut to one that is believed.
    let name = format!("x-real-ip{}", "a".repeat(65_536));
    let mut block = block(GET);
    block.extend_from_slice(&[0, 127]);
    let mut rest = name.len() - 127;
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
    block.extend_from_slice(name.as_bytes());
    block.extend_from_slice(&[1, b'1']);
    let mut pieces = block.chunks(16_384);
    let mut frames = vec![frame(HEADERS, END_STREAM, 1, pieces.next().unwrap())];
    frames.extend(pieces.map(|piece| frame(CONTINUATION, 0, 1, piece)));
    frames.last_mut().unwrap()[4] |= END_HEADERS;
    let limits = Http2Limits { head_bytes_max: 32 * 1024, ..LIMITS };
    let mut connection = Connection::<()>::new(Role::Server, limits, Instant::now());
    let mut told = Told::default();
    read(&mut connection, &[PREFACE, &hello(), &frames.concat()], &mut told);
    assert_eq!(told.violation, None);
    assert_eq!(resets(&mut connection), [(1, ErrorCode::PROTOCOL_ERROR.0)]);
}

#[test]
fn trailers_over_a_limit_are_never_passed_on_in_part() {
    let long = "x".repeat(120);
    let many: Vec<_> = (0..30).map(|_| ("x-a", &*long)).chain([("grpc-status", "0")]).collect();
    let trailers = |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&many));
    let (told, mut connection) = serve(&[post(1, &[]), trailers(1)]);
    assert_eq!(told.violation, None);
    assert_eq!(resets(&mut connection), [(1, ErrorCode::PROTOCOL_ERROR.0)]);
    let head = frame(HEADERS, END_HEADERS, 1, &block(&[(":status", "200")]));
    let (told, _) = answer(&[head, trailers(1)]);
    assert_eq!(told.events[2], "Head { stream: 1, head: Trailers({}), is_last: true }");
}

#[test]
fn an_upstream_may_refuse_as_many_streams_as_it_is_asked_for() {
    let now = Instant::now();
    let mut connection = Connection::<()>::new(Role::Client, LIMITS, now);
    let mut told = Told::default();
    read(&mut connection, &[&hello()], &mut told);
    for _ in 0..5000 {
        let stream = connection.open(true, false, |out| {
            encode_request(out, &Method::GET, b"h", b"/", &Fields::default());
        });
        let stream = stream.expect("there is room");
        let bytes = frame(RST_STREAM, 0, stream, &ErrorCode::REFUSED_STREAM.0.to_be_bytes());
        read(&mut connection, &[&bytes], &mut told);
        connection.forget(stream, ErrorCode::CANCEL);
        connection.out().clear();
    }
    assert_eq!(told.violation, None);
}

#[test]
fn the_last_stream_that_is_looked_at_is_never_said_to_be_a_later_one() {
    let (_, mut connection) = serve(&[get(1, &[])]);
    connection.go_away(ErrorCode::NO_ERROR);
    let mut told = Told::default();
    read(&mut connection, &[&get(3, &[])], &mut told);
    connection.out().clear();
    connection.go_away(ErrorCode::NO_ERROR);
    assert_eq!(connection.out()[9..13], [0, 0, 0, 1]);
    // Nor do they come for nothing.
    let late: Vec<_> = (2..2000).flat_map(|number| get(2 * number + 1, &[])).collect();
    read(&mut connection, &[&late], &mut told);
    assert_eq!(told.violation.unwrap().code, ErrorCode::ENHANCE_YOUR_CALM);
}

#[test]
fn more_than_was_granted_ends_the_connection_or_only_its_stream() {
    let now = Instant::now();
    let fill = |limits: Http2Limits| {
        let mut connection = Connection::<()>::new(Role::Server, limits, now);
        let mut told = Told::default();
        read(&mut connection, &[PREFACE, &hello(), &post(1, &[])], &mut told);
        connection.out().clear();
        for _ in 0..4 {
            let piece = frame(DATA, 0, 1, &[0; 16_383]);
            let head = connection.read(&piece, now).unwrap().len;
            connection.read(&piece[head..], now).unwrap();
        }
        connection
    };
    let mut connection = fill(LIMITS);
    let violation = connection.read(&frame(DATA, 0, 1, &[0; 4]), now).unwrap_err();
    assert_eq!(violation.code, ErrorCode::FLOW_CONTROL_ERROR);
    let mut connection = fill(Http2Limits { connection_window: 1 << 20, ..LIMITS });
    let read = connection.read(&frame(DATA, 0, 1, &[0; 4]), now).unwrap();
    assert!(matches!(read.event, Some(ConnectionEvent::Reset { stream: 1, .. })), "{read:?}");
    assert_eq!(resets(&mut connection), [(1, ErrorCode::FLOW_CONTROL_ERROR.0)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever is sent within the windows that the peer says comes whole, in order, and ends.
    #[test]
    fn what_one_side_sends_the_other_takes(
        windows in prop::array::uniform2(50_u32..70_000),
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20_000), 1..4),
        room in 50_usize..40_000,
    ) {
        let limits = |stream_window| Http2Limits { stream_window, ..LIMITS };
        let now = Instant::now();
        let mut client = Connection::<()>::new(Role::Client, limits(windows[0]), now);
        let mut server = Connection::<()>::new(Role::Server, limits(windows[1]), now);
        let (mut by_client, mut by_server) = (Told::default(), Told::default());
        // Until both have said what they take.
        while pass(&mut client, &mut server, &mut by_server)
            | pass(&mut server, &mut client, &mut by_client) {}
        for body in &bodies {
            let stream = client.open(false, false, |out| {
                encode_request(out, &Method::POST, b"h", b"/", &Fields::default());
            }).expect("it may be opened");
            let mut rest = &body[..];
            while !client.is_sent(stream) {
                rest = &rest[client.send_data(stream, rest, true, room)..];
                pass(&mut client, &mut server, &mut by_server);
                pass(&mut server, &mut client, &mut by_client);
            }
            prop_assert_eq!(&by_server.body, body);
            by_server.body.clear();
            let mut fields = Fields::default();
            fields.insert_number(name::CONTENT_LENGTH, body.len() as u64);
            server.send_head(stream, false, |out| encode_response(out, 200, &fields));
            let mut rest = &body[..];
            while !server.is_sent(stream) {
                rest = &rest[server.send_data(stream, rest, true, room)..];
                pass(&mut server, &mut client, &mut by_client);
                pass(&mut client, &mut server, &mut by_server);
            }
            prop_assert_eq!(&by_client.body, body);
            by_client.body.clear();
            prop_assert_eq!((client.open_streams(), server.open_streams()), (0, 0));
            client.forget(stream, ErrorCode::CANCEL);
            server.forget(stream, ErrorCode::CANCEL);
        }
        prop_assert_eq!((by_client.violation, by_server.violation), (None, None));
    }

    /// However the bytes are cut up, the same happens.
    #[test]
    fn any_split_says_the_same(cuts in prop::collection::vec(1_usize..40, 0..200)) {
        let frames = [
            hello(),
            post(1, &[("content-length", "10")]),
            frame(PING, 0, 0, &[7; 8]),
            frame(DATA, PADDED, 1, &[&[4][..], b"hello", &[0; 4]].concat()),
            frame(HEADERS, END_STREAM, 3, &block(GET)[..9]),
            frame(CONTINUATION, END_HEADERS, 3, &block(GET)[9..]),
            window(1, 100),
            frame(DATA, PADDED | END_STREAM, 1, &[&[9][..], b"world", &[0; 9]].concat()),
            get(5, &[("X", "1")]),
            frame(DATA, 0, 5, b"nobody wants it"),
            frame(DATA, END_STREAM, 5, b""),
            post(9, &[("content-length", "2")]),
            frame(DATA, END_STREAM, 9, b""),
            frame(GOAWAY, 0, 0, &[0; 8]),
            frame(DATA, 0, 11, b"a violation"),
        ];
        let bytes = [PREFACE, &frames.concat()].concat();
        let (mut whole, mut cut) = (Told::default(), Told::default());
        let (mut one, mut other) = (server(), server());
        read(&mut one, &[&bytes], &mut whole);
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        for len in cuts.iter().cycle().chain([&1]).take_while(|_| !cuts.is_empty()) {
            if rest.is_empty() {
                break;
            }
            let (piece, more) = rest.split_at((*len).min(rest.len()));
            pieces.push(piece);
            rest = more;
        }
        pieces.push(rest);
        read(&mut other, &pieces, &mut cut);
        prop_assert!(whole.violation.is_some());
        prop_assert_eq!(&whole.body, b"helloworld");
        prop_assert_eq!(&whole, &cut);
        prop_assert_eq!(one.out(), other.out());
    }
}

#[test]
fn a_client_that_pings_as_it_works_may_do_so_for_ever() {
    let mut connection = server();
    let mut told = Told::default();
    read(&mut connection, &[PREFACE, &hello()], &mut told);
    let mut now = Instant::now();
    for _ in 0..5000 {
        now += Duration::from_millis(50);
        assert!(connection.read(&frame(PING, 0, 0, &[0; 8]), now).is_ok());
        connection.out().clear();
    }
}

#[test]
fn the_value_of_a_secret_is_never_to_be_indexed() {
    let mut fields = Fields::default();
    fields.append(name::AUTHORIZATION, "Bearer x");
    fields.append("x-a", Value::new(b"b").unwrap());
    let mut out = Vec::new();
    encode_response(&mut out, 200, &fields);
    // RFC 7541, 6.2.3: the index 23 with a prefix of four bits.
    assert_eq!(out[..3], [0x88, 0x1f, 8]);
    assert_eq!(out[out.len() - 7..], [0, 3, b'x', b'-', b'a', 1, b'b']);
}
