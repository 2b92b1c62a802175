//! What the writer writes, the reader reads back as it was meant.

use proptest::prelude::*;
use seawall_wire::Field;
use seawall_wire::http1::{
    BodyLength, HeadLimits, LAST_CHUNK, Piece, Reader, StreamPosition, trailer_fields,
    write_chunk_line, write_end, write_field, write_request_line, write_status_line,
};

type Fields = Vec<(String, Vec<u8>)>;

/// Names that say nothing of framing.
fn fields() -> impl Strategy<Value = Fields> {
    let name = "x-[a-zA-Z0-9!#$%&'*+.^_`|~-]{0,12}";
    // Any byte a value may have, without white space around it.
    let value = prop::collection::vec(0x21..=0xff_u8, 0..20)
        .prop_map(|value| value.into_iter().filter(|&byte| byte != 0x7f).collect());
    prop::collection::vec((name, value), 0..8)
}

fn write_fields(out: &mut Vec<u8>, fields: &Fields) {
    for (name, value) in fields {
        write_field(out, name.as_bytes(), value).expect("a field");
    }
}

fn read_fields(bytes: &[u8], fields: &[Field]) -> Fields {
    let text =
        |range: std::ops::Range<usize>| String::from_utf8(bytes[range].to_vec()).expect("a name");
    fields.iter().map(|field| (text(field.name()), bytes[field.value()].to_vec())).collect()
}

fn read_pairs(bytes: &[u8], fields: &[Field]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pair = |field: &Field| (bytes[field.name()].to_vec(), bytes[field.value()].to_vec());
    fields.iter().map(pair).collect()
}

/// Reads a body to its end; returns its bytes, its trailers, and how many bytes were read.
fn read_body(reader: &mut Reader, bytes: &[u8]) -> (Vec<u8>, Fields, usize) {
    let (mut body, mut trailers, mut at) = (Vec::new(), Fields::new(), 0);
    while reader.place() == StreamPosition::Body {
        let piece = reader.read(&bytes[at..]).expect("a piece");
        let of = &bytes[at..at + piece.bytes()];
        match piece {
            Piece::Body(_) => body.extend_from_slice(of),
            Piece::Trailers(_) => trailers = read_fields(of, &trailer_fields(of)),
            Piece::Framing(_) => {}
            Piece::Partial | Piece::Head(_) => panic!("{piece:?} in a body"),
        }
        at += piece.bytes();
    }
    (body, trailers, at)
}

proptest! {
    #[test]
    fn a_request_that_was_written_is_read_as_it_was_meant(
        method in "[A-Z]{1,8}".prop_filter("never served", |word| word != "TRACE" && word != "CONNECT"),
        target in "/[a-zA-Z0-9/._~!$&'()*+,;=:@%-]{0,30}",
        sent in fields(),
        trailers in fields(),
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..4),
    ) {
        let mut bytes = Vec::new();
        write_request_line(&mut bytes, method.as_bytes(), target.as_bytes()).expect("a line");
        let mut all: Fields = vec![("host".into(), b"a.example".to_vec())];
        all.extend(sent);
        all.push(("transfer-encoding".into(), b"chunked".to_vec()));
        write_fields(&mut bytes, &all);
        write_end(&mut bytes);
        let head_bytes = bytes.len();
        for chunk in &chunks {
            write_chunk_line(&mut bytes, chunk.len());
            bytes.extend_from_slice(chunk);
            write_end(&mut bytes);
        }
        bytes.extend_from_slice(LAST_CHUNK);
        write_fields(&mut bytes, &trailers);
        write_end(&mut bytes);

        let mut reader = Reader::requests(HeadLimits::default());
        prop_assert_eq!(reader.read(&bytes), Ok(Piece::Head(head_bytes)));
        let head = reader.take_head();
        prop_assert_eq!(&bytes[head.method()], method.as_bytes());
        prop_assert_eq!(&bytes[head.target()], target.as_bytes());
        prop_assert_eq!(read_fields(&bytes, head.fields()), all);
        prop_assert_eq!(head.body(), BodyLength::Chunked);
        let (body, came, read) = read_body(&mut reader, &bytes[head_bytes..]);
        prop_assert_eq!((body, came), (chunks.concat(), trailers));
        prop_assert_eq!(head_bytes + read, bytes.len());
    }

    #[test]
    fn an_answer_that_was_written_is_read_as_it_was_meant(
        status in prop::sample::select(vec![200_u16, 201, 404, 451, 503, 599, 600, 999]),
        reason in "[ -~\\xa0-\\xff]{0,20}",
        sent in fields(),
        body in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut bytes = Vec::new();
        write_status_line(&mut bytes, status, reason.as_bytes()).expect("a line");
        let mut all = sent;
        all.push(("content-length".into(), body.len().to_string().into_bytes()));
        write_fields(&mut bytes, &all);
        write_end(&mut bytes);
        let head_bytes = bytes.len();
        bytes.extend_from_slice(&body);

        let mut reader = Reader::responses(HeadLimits::default());
        reader.expect(false);
        prop_assert_eq!(reader.read(&bytes), Ok(Piece::Head(head_bytes)));
        let head = reader.take_head();
        prop_assert_eq!((head.status(), &bytes[head.reason()]), (status, reason.as_bytes()));
        prop_assert_eq!(read_fields(&bytes, head.fields()), all);
        let (came, _, read) = read_body(&mut reader, &bytes[head_bytes..]);
        prop_assert_eq!(came, body);
        prop_assert_eq!(head_bytes + read, bytes.len());
    }

    #[test]
    fn what_the_reader_would_refuse_the_writer_does_not_write(
        name in prop::collection::vec(any::<u8>(), 0..4),
        value in prop::collection::vec(any::<u8>(), 0..6),
    ) {
        let mut bytes = b"GET / HTTP/1.1\r\nHost: a\r\n".to_vec();
        let before = bytes.len();
        let written = write_field(&mut bytes, &name, &value).is_ok();
        if !written {
            prop_assert_eq!(bytes.len(), before, "it left something behind");
            // Written without a check, it would have been refused, or read as something else.
            bytes.extend([&name[..], b": ", &value[..], b"\r\n"].concat());
        }
        write_end(&mut bytes);
        let mut reader = Reader::requests(HeadLimits::default());
        let is_whole = reader.read(&bytes) == Ok(Piece::Head(bytes.len()));
        let read = read_pairs(&bytes, reader.take_head().fields());
        let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let end = value.len() - value.iter().rev().take_while(|byte| blank(byte)).count();
        let begin = value.iter().take_while(|byte| blank(byte)).count().min(end);
        let is_meant = read.get(1) == Some(&(name, value[begin..end].to_vec()));
        prop_assert_eq!(is_whole && read.len() == 2 && is_meant, written);
    }
}

#[test]
fn a_head_says_whether_the_connection_persists_and_whether_a_100_is_waited_for() {
    let check = |text: &str| {
        let mut reader = Reader::requests(HeadLimits::default());
        let bytes = format!("{text}host: a\r\n\r\n").into_bytes();
        assert_eq!(reader.read(&bytes), Ok(Piece::Head(bytes.len())), "{text}");
        let head = reader.take_head();
        (head.persists(), head.expects_continue())
    };
    assert_eq!(check("GET / HTTP/1.1\r\n"), (true, false));
    assert_eq!(check("GET / HTTP/1.1\r\nConnection: x, Close\r\n"), (false, false));
    assert_eq!(check("GET / HTTP/1.0\r\n"), (false, false));
    assert_eq!(check("GET / HTTP/1.0\r\nconnection: Keep-Alive\r\n"), (true, false));
    assert_eq!(check("GET / HTTP/1.0\r\nconnection: keep-alive, close\r\n"), (false, false));
    assert_eq!(check("PUT / HTTP/1.1\r\nExpect: 100-Continue\r\n"), (true, true));
    assert_eq!(check("PUT / HTTP/1.0\r\nExpect: 100-continue\r\n"), (false, false));
}
