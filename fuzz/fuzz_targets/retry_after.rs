//! Whatever an upstream asks us to wait.
#![no_main]

use std::time::{Duration, Instant, SystemTime};

use libfuzzer_sys::fuzz_target;
use seawall_wire::name::{
    GRPC_TIMEOUT, RETRY_AFTER, SEAWALL_TIMEOUT_MS, X_ENVOY_EXPECTED_RQ_TIMEOUT_MS,
};
use seawall_wire::{Fields, Name, Value, deadline, retry_after};

fn saying(name: Name<'static>, value: Value<'_>) -> Fields {
    let mut headers = Fields::default();
    headers.append(name, value);
    headers
}

fuzz_target!(|bytes: &[u8]| {
    let Some(value) = Value::new(bytes) else { return };
    let headers = saying(RETRY_AFTER, value);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    if let Some(wait) = retry_after::read(&headers, now) {
        // Whoever adds it to a clock must not be thrown off the end of it.
        assert!(Instant::now().checked_add(wait).is_some(), "{wait:?}");
    }
    for name in [GRPC_TIMEOUT, SEAWALL_TIMEOUT_MS, X_ENVOY_EXPECTED_RQ_TIMEOUT_MS] {
        let mut headers = saying(name, value);
        let Some(left) = deadline::read(&headers) else { continue };
        deadline::write(&mut headers, left);
        let again = deadline::read(&headers).expect("what was written is read");
        assert!(again <= left.max(Duration::from_millis(1)), "{again:?} of {left:?}");
    }
});
