//! Whatever headers come: what is for one hop stays there, and what we say stands.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seawall_wire::headers::{self, Hop};
use seawall_wire::http1::{HeadLimits, Piece, Reader, write_end, write_fields};
use seawall_wire::{Fields, Value, deadline, retry_after};

/// Reads the fields of a head, if it is one.
fn read(lines: &[u8]) -> Option<Fields> {
    let mut bytes = b"HTTP/1.1 200 OK\r\n".to_vec();
    for line in lines.split(|&byte| byte == b'\n').take(100) {
        bytes.extend_from_slice(line);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    let mut reader = Reader::responses(HeadLimits::default());
    reader.expect(true);
    match reader.read(&bytes) {
        Ok(Piece::Head(len)) => {
            bytes.truncate(len);
            Some(reader.take_head().into_fields(bytes))
        }
        _ => None,
    }
}

/// Checks that fields are read as they are written.
fn check_written(fields: &Fields) {
    let mut out = b"HTTP/1.1 200 OK\r\n".to_vec();
    write_fields(&mut out, fields);
    write_end(&mut out);
    let mut reader =
        Reader::responses(HeadLimits { fields: 200, head_bytes: 1 << 20, ..HeadLimits::default() });
    reader.expect(true);
    assert_eq!(reader.read(&out), Ok(Piece::Head(out.len())));
    assert_eq!(&reader.take_head().into_fields(out), fields);
}

fn text(fields: &Fields, name: &'static str) -> String {
    fields.only(name).and_then(Value::to_str).expect("one text").to_owned()
}

fuzz_target!(|bytes: &[u8]| {
    let Some(mut sent) = read(bytes) else { return };
    let mut answer = sent.clone();
    check_written(&sent);
    let _ = deadline::read(&sent);
    headers::strip_request(&mut sent);
    headers::join_cookies(&mut sent);
    let is_trusted = bytes.len() % 2 == 1;
    let peer = [10, 0, 0, 1].into();
    headers::forward(&mut sent, &Hop { peer, is_trusted, is_tls: false, authority: None });
    headers::check_traceparent(&mut sent);
    let id = headers::request_id(&mut sent, 7);
    deadline::write(&mut sent, std::time::Duration::from_millis(5));

    for name in ["connection", "transfer-encoding", "upgrade", "proxy-authorization"] {
        assert!(!sent.contains(name), "{name}");
    }
    assert!(sent.get_all("te").all(|te| te == "trailers"));
    assert!(sent.iter().all(|(name, _)| !name.as_bytes().contains(&b'_')));
    let chain = text(&sent, "x-forwarded-for");
    assert!(chain.ends_with("10.0.0.1") && (is_trusted || chain == "10.0.0.1"), "{chain}");
    assert_eq!(text(&sent, "x-request-id"), id.to_str().expect("a good id is ASCII"));
    assert!(id.len() <= 64);
    check_written(&sent);
    check_written(&sent.compact());

    let _ = retry_after::read(&answer, std::time::SystemTime::UNIX_EPOCH);
    headers::strip_response(&mut answer);
    assert!(!answer.contains("connection") && !answer.contains("transfer-encoding"));
    check_written(&answer);
});
