//! Writes what the fuzzers begin with: the test corpora, one file an entry, into `corpus/`.

#[path = "../../crates/seawall-wire/tests/corpus/mod.rs"]
mod corpus;

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder = root.join(target);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join(name), &bytes[..bytes.len().min(64 * 1024)])
    };
    for entry in corpus::requests() {
        write("requests", entry.name, &entry.bytes)?;
        write("rewritten", entry.name, &entry.bytes)?;
        let text = String::from_utf8_lossy(&entry.bytes);
        let target = text.split(' ').nth(1).unwrap_or_default();
        write("paths", entry.name, target.as_bytes())?;
        let headers = text.split_once("\r\n").map_or("", |(_, headers)| headers);
        write("headers", entry.name, headers.replace('\r', "").as_bytes())?;
    }
    for entry in corpus::responses() {
        write("responses", entry.name, &entry.bytes)?;
    }
    for (name, text) in [
        ("query", "/v1/forecast?q={city}&units=metric"),
        ("segment", "/api/{a}/x-{b}.json"),
        ("rest", "/files/{*rest}?a=1"),
        ("escaped", "/caf%C3%A9/%7Bx%7D/{id}"),
    ] {
        write("templates", name, text.as_bytes())?;
    }
    for (name, text) in [
        ("seconds", "120"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("date-850", "Sunday, 06-Nov-94 08:49:37 GMT"),
        ("date-c", "Sun Nov  6 08:49:37 1994"),
        ("grpc", "99999999m"),
    ] {
        write("retry_after", name, text.as_bytes())?;
    }
    // RFC 7541, C.4.1, behind what makes a frame of it: mode, type, flags, stream, length.
    let block = b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff";
    write("header_blocks", "request", block)?;
    write("frames", "request", &[&[0, 1, 4, 1, 17][..], block, b"\0\x01\x01\x05hello"].concat())?;
    write("frames", "answer", b"\x01\x01\x04\x01\x01\x88\0\x01\x01\x05hello")?;
    write("frames", "settings", b"\0\x04\0\0\x06\0\x04\0\0\x01\0\x08\0\0\x04\0\0\x01\0")?;
    write("settings", "gateway", GATEWAY.as_bytes())
}

const GATEWAY: &str = r#"
[[listener]]
address = "127.0.0.1:8080"

[policy.careful]
extends = "standard"
total_timeout = "2s"
retry = { attempts = 3, on = ["connect", "503"], backoff = "50ms" }
breaker = { failures = 0.5, of_at_least = 20, window = "10s", open_for = "5s" }
limit = { in_flight = 64, queue = 32, queue_wait = "100ms" }
rate = "off"

[upstream.weather]
url = "http://127.0.0.1:9000"
policy = "careful"

[[route]]
match = "GET /api/weather/{city}"
upstream = "weather"
path = "/v1/forecast?q={city}"
"#;
