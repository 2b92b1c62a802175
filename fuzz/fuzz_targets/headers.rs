//! Whatever headers come: what is for one hop stays there, and what we say stands.
#![no_main]

use http::header::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use seawall_wire::headers::{self, Hop};
use seawall_wire::{deadline, retry_after};

fn read(bytes: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|&byte| byte == b'\n').take(100) {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let name = HeaderName::from_bytes(&line[..colon]);
        let value = HeaderValue::from_bytes(&line[colon + 1..]);
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    headers
}

fuzz_target!(|bytes: &[u8]| {
    let mut sent = read(bytes);
    let mut answer = sent.clone();
    let host = sent.get("host").cloned();
    let _ = deadline::read(&sent);
    headers::strip_request(&mut sent);
    let is_trusted = bytes.len() % 2 == 1;
    let peer = [10, 0, 0, 1].into();
    headers::forward(&mut sent, &Hop { peer, is_trusted, is_tls: false, host: host.as_ref() });
    headers::check_traceparent(&mut sent);
    let id = headers::request_id(&mut sent, 7);
    deadline::write(&mut sent, std::time::Duration::from_millis(5));

    for name in ["connection", "te", "transfer-encoding", "upgrade", "proxy-authorization"] {
        assert!(!sent.contains_key(name), "{name}");
    }
    assert!(sent.keys().all(|name| !name.as_str().contains('_')));
    let chain = sent["x-forwarded-for"].to_str().expect("a chain is ASCII");
    assert!(chain.ends_with("10.0.0.1") && (is_trusted || chain == "10.0.0.1"), "{chain}");
    assert_eq!(sent["x-request-id"], id);
    assert!(id.len() <= 64);

    let _ = retry_after::read(&answer, std::time::SystemTime::UNIX_EPOCH);
    headers::strip_response(&mut answer);
    assert!(!answer.contains_key("connection") && !answer.contains_key("transfer-encoding"));
});
