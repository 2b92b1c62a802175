//! The headers by which a caller says how long it will wait.
//!
//! Durations, never wall-clock times: the clocks of two machines differ.

use std::time::Duration;

use crate::name::{
    GRPC_TIMEOUT, SEAWALL_TIMEOUT_MS as SEAWALL_TIMEOUT,
    X_ENVOY_EXPECTED_RQ_TIMEOUT_MS as ENVOY_TIMEOUT,
};
use crate::{Fields, Name, Value};

/// Returns how long the caller will wait: the least of what the three headers say.
///
/// Ours is in milliseconds, Envoy's too, with zero for no limit; gRPC's is up to eight digits and a
/// unit. A header that cannot be read says nothing: a deadline is a favour, not a right.
pub fn read(headers: &Fields) -> Option<Duration> {
    let text = |name: Name<'static>| headers.get(name).map(Value::as_bytes);
    let ours = text(SEAWALL_TIMEOUT).and_then(milliseconds);
    let envoy = text(ENVOY_TIMEOUT).and_then(milliseconds).filter(|left| !left.is_zero());
    let grpc = text(GRPC_TIMEOUT).and_then(grpc);
    [ours, envoy, grpc].into_iter().flatten().min()
}

/// Says in `headers` how long we will wait.
///
/// Ours is always set; the others are brought up to date if they are there, so that none promises
/// more time than there is.
pub fn write(headers: &mut Fields, left: Duration) {
    let milliseconds = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1);
    if headers.contains(ENVOY_TIMEOUT) {
        headers.insert_number(ENVOY_TIMEOUT, milliseconds);
    }
    if headers.contains(GRPC_TIMEOUT) {
        headers.insert(GRPC_TIMEOUT, Value::read(format_grpc(left).as_bytes()));
    }
    headers.insert_number(SEAWALL_TIMEOUT, milliseconds);
}

fn milliseconds(text: &[u8]) -> Option<Duration> {
    number(text, 15).map(Duration::from_millis)
}

/// Reads `TimeoutValue TimeoutUnit` of the gRPC protocol.
fn grpc(text: &[u8]) -> Option<Duration> {
    let (unit, digits) = text.split_last()?;
    let value = number(digits, 8)?;
    Some(match unit {
        b'H' => Duration::from_secs(value * 3600),
        b'M' => Duration::from_secs(value * 60),
        b'S' => Duration::from_secs(value),
        b'm' => Duration::from_millis(value),
        b'u' => Duration::from_micros(value),
        b'n' => Duration::from_nanos(value),
        _ => return None,
    })
}

/// Writes the finest unit that fits in eight digits, rounded down.
fn format_grpc(left: Duration) -> String {
    const VALUE_MAX: u128 = 99_999_999;
    let units = [(left.as_micros(), 'u'), (left.as_millis(), 'm'), (left.as_secs().into(), 'S')];
    let fits = units.into_iter().find(|(value, _)| *value <= VALUE_MAX);
    let (value, unit) = fits.unwrap_or((VALUE_MAX, 'S'));
    format!("{value}{unit}")
}

fn number(text: &[u8], digits_max: usize) -> Option<u64> {
    let fits = (1..=digits_max).contains(&text.len()) && text.iter().all(u8::is_ascii_digit);
    fits.then(|| text.iter().fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> Fields {
        let mut headers = Fields::default();
        for (name, text) in pairs {
            headers.append(*name, Value::new(text.as_bytes()).expect("a value"));
        }
        headers
    }

    fn text(headers: &Fields, name: Name<'static>) -> String {
        headers.get(name).and_then(Value::to_str).expect("a text").to_owned()
    }

    #[test]
    fn the_three_headers_are_read() {
        let check = |name, text, want: Option<u64>| {
            assert_eq!(read(&headers(&[(name, text)])), want.map(Duration::from_micros), "{text}");
        };
        check("seawall-timeout-ms", "250", Some(250_000));
        check("seawall-timeout-ms", "0", Some(0));
        check("x-envoy-expected-rq-timeout-ms", "15000", Some(15_000_000));
        check("x-envoy-expected-rq-timeout-ms", "0", None);
        check("grpc-timeout", "1H", Some(3_600_000_000));
        check("grpc-timeout", "2M", Some(120_000_000));
        check("grpc-timeout", "3S", Some(3_000_000));
        check("grpc-timeout", "4m", Some(4_000));
        check("grpc-timeout", "5u", Some(5));
        assert_eq!(grpc(b"99999999n"), Some(Duration::from_nanos(99_999_999)));
        for text in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "123456789S", "1 S"] {
            check("grpc-timeout", text, None);
        }
        for text in ["", "-1", "1e3", "0x10", "9999999999999999", "1 "] {
            check("seawall-timeout-ms", text, None);
        }
    }

    #[test]
    fn the_shortest_one_holds() {
        let headers = headers(&[("grpc-timeout", "1S"), ("seawall-timeout-ms", "300")]);
        assert_eq!(read(&headers), Some(Duration::from_millis(300)));
    }

    #[test]
    fn what_is_sent_on_never_promises_more() {
        let mut sent = headers(&[("grpc-timeout", "9H"), ("x-envoy-expected-rq-timeout-ms", "0")]);
        let left = Duration::from_micros(1_234_567);
        write(&mut sent, left);
        assert_eq!(text(&sent, SEAWALL_TIMEOUT), "1234");
        assert_eq!(text(&sent, ENVOY_TIMEOUT), "1234");
        assert_eq!(text(&sent, GRPC_TIMEOUT), "1234567u");
        for seconds in [0, 100, 100_000, 10_000_000_000] {
            let left = Duration::from_secs(seconds);
            write(&mut sent, left);
            let read =
                grpc(text(&sent, GRPC_TIMEOUT).as_bytes()).expect("what was written is read");
            assert!(read <= left, "{left:?}");
        }
    }

    #[test]
    fn headers_that_were_not_there_are_not_made_up() {
        let mut sent = Fields::default();
        write(&mut sent, Duration::from_secs(1));
        assert!(sent.len() == 1 && sent.contains(SEAWALL_TIMEOUT));
    }
}
