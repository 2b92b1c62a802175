//! Whatever an upstream asks us to wait.
#![no_main]

use std::time::{Duration, Instant, SystemTime};

use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use libfuzzer_sys::fuzz_target;
use seawall_wire::{deadline, retry_after};

fuzz_target!(|bytes: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let headers = HeaderMap::from_iter([(RETRY_AFTER, value.clone())]);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    if let Some(wait) = retry_after::read(&headers, now) {
        // Whoever adds it to a clock must not be thrown off the end of it.
        assert!(Instant::now().checked_add(wait).is_some(), "{wait:?}");
    }
    for name in ["grpc-timeout", "seawall-timeout-ms", "x-envoy-expected-rq-timeout-ms"] {
        let name = HeaderName::from_static(name);
        let mut headers = HeaderMap::from_iter([(name, value.clone())]);
        let Some(left) = deadline::read(&headers) else { continue };
        deadline::write(&mut headers, left);
        let again = deadline::read(&headers).expect("what was written is read");
        assert!(again <= left.max(Duration::from_millis(1)), "{again:?} of {left:?}");
    }
});
