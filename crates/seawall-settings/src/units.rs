//! Values with a unit: `"600ms"`, `"64KiB"`, `"50%"`, `"500/s"`, `"50ms..1s"`.
//!
//! Does not know: which setting a value is for. Reading never panics, and what is written out is
//! read back as the same value.

use std::time::Duration;

/// Reads a duration: a number and one of `us`, `ms`, `s`, `m`, `h`.
///
/// # Errors
/// Says what is wrong, to be read after "is".
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "us" | "µs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "" => return Err("not a duration: it has no unit".to_owned()),
        _ => return Err(format!("not a duration: `{unit}` is none of us, ms, s, m, h")),
    };
    // Rounded to whole microseconds: 0.3 s must not become 299.999999 ms.
    let micros = (number * seconds * 1e6).round();
    if micros > YEAR.as_micros() as f64 {
        return Err("longer than a year".to_owned());
    }
    Ok(Duration::from_micros(micros as u64))
}

/// Reads a size: a number and one of `B`, `KiB`, `MiB`, `GiB` (or `kB`, `MB`, `GB`).
///
/// # Errors
/// Says what is wrong, to be read after "is".
pub(super) fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let bytes = match unit {
        "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "GiB" => 1024.0 * 1024.0 * 1024.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "" => return Err("not a size: it has no unit".to_owned()),
        _ => return Err(format!("not a size: `{unit}` is none of B, KiB, MiB, GiB, kB, MB, GB")),
    };
    let bytes = number * bytes;
    if bytes > 2_f64.powi(50) {
        return Err("larger than 1024 TiB".to_owned());
    }
    if bytes.fract() != 0.0 {
        return Err("not a whole number of bytes".to_owned());
    }
    Ok(bytes as u64)
}

/// Reads a percentage as a share of one: `"20%"` is 0.2.
///
/// # Errors
/// Says what is wrong, to be read after "is".
pub fn percent(text: &str) -> Result<f64, String> {
    match split(text)? {
        (number, "%") if number > 100.0 => Err("more than 100%".to_owned()),
        (number, "%") => Ok(number / 100.0),
        (_, "") => Err("not a percentage: it has no %".to_owned()),
        (_, unit) => Err(format!("not a percentage: `{unit}` is not %")),
    }
}

/// Reads a rate of whole things as things a second: `"30/m"` is 0.5.
///
/// # Errors
/// Says what is wrong, to be read after "is".
pub fn rate(text: &str) -> Result<f64, String> {
    let (number, unit) = split(text)?;
    let per_second = match unit {
        "/s" => number,
        "/m" => number / 60.0,
        "/h" => number / 3600.0,
        "" => return Err("not a rate: it has no /s".to_owned()),
        _ => return Err(format!("not a rate: `{unit}` is none of /s, /m, /h")),
    };
    if per_second > 1e9 {
        return Err("more than a thousand million a second".to_owned());
    }
    Ok(per_second)
}

/// Reads a speed as bytes a second: `"240B/s"`.
///
/// # Errors
/// Says what is wrong, to be read after "is".
pub(super) fn speed(text: &str) -> Result<u64, String> {
    match text.trim().strip_suffix("/s") {
        Some(text) => size(text),
        None => Err("not a speed: it does not end in /s".to_owned()),
    }
}

/// Reads a range of durations, its ends in order: `"50ms..1s"`.
///
/// # Errors
/// Says what is wrong, to be read after "is".
pub(super) fn range(text: &str) -> Result<(Duration, Duration), String> {
    let (from, to) = text.split_once("..").ok_or("not a range: it has no `..`")?;
    let (from, to) = (duration(from)?, duration(to)?);
    if from > to {
        return Err("not a range: it ends before it begins".to_owned());
    }
    Ok((from, to))
}

/// Writes a duration so that [`duration`] reads it back.
pub fn write_duration(value: Duration) -> String {
    let micros = value.as_micros();
    match micros {
        0 => "0s".to_owned(),
        _ if micros.is_multiple_of(3_600_000_000) => format!("{}h", micros / 3_600_000_000),
        _ if micros.is_multiple_of(60_000_000) => format!("{}m", micros / 60_000_000),
        _ if micros.is_multiple_of(1_000_000) => format!("{}s", micros / 1_000_000),
        _ if micros > 1_000_000 && micros.is_multiple_of(100_000) => {
            format!("{}s", micros as f64 / 1e6)
        }
        _ if micros.is_multiple_of(1000) && micros < 10_000_000 => format!("{}ms", micros / 1000),
        _ if micros >= 1000 => format!("{}s", micros as f64 / 1e6),
        _ => format!("{micros}us"),
    }
}

/// Writes a size so that [`size`] reads it back.
pub(super) fn write_size(bytes: u64) -> String {
    match bytes {
        0 => "0B".to_owned(),
        _ if bytes.is_multiple_of(1 << 30) => format!("{}GiB", bytes >> 30),
        _ if bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        _ if bytes.is_multiple_of(1 << 10) => format!("{}KiB", bytes >> 10),
        _ => format!("{bytes}B"),
    }
}

/// Writes a share of one so that [`percent`] reads it back.
pub(super) fn write_percent(share: f64) -> String {
    // Rounded: 0.07 * 100 is 7.000000000000001.
    format!("{}%", (share * 1e8).round() / 1e6)
}

/// Writes things a second so that [`rate`] reads it back.
pub(super) fn write_rate(per_second: f64) -> String {
    let per_minute = (per_second * 60.0 * 1e6).round() / 1e6;
    match per_second {
        _ if per_second.fract() == 0.0 => format!("{per_second}/s"),
        _ if per_minute.fract() == 0.0 => format!("{per_minute}/m"),
        _ => format!("{per_second}/s"),
    }
}

/// Splits a number, 0 or above, from the unit behind it.
fn split(text: &str) -> Result<(f64, &str), String> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_');
    let (number, unit) = text.split_at(end.unwrap_or(text.len()));
    // The two dots of a range that stands where one value is wanted.
    if number.contains("..") || unit.contains("..") {
        return Err("a range, and one value is wanted".to_owned());
    }
    if text.starts_with('-') {
        return Err("below zero".to_owned());
    }
    match number.replace('_', "").parse::<f64>() {
        Ok(number) if number.is_finite() => Ok((number, unit.trim())),
        _ => Err("not a number with a unit".to_owned()),
    }
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_mean_what_they_say() {
        assert_eq!(duration("600ms"), Ok(Duration::from_millis(600)));
        assert_eq!(duration("1.5 s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(duration("0.3s"), Ok(Duration::from_millis(300)));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("1MB"), Ok(1_000_000));
        assert_eq!(percent("12.5%"), Ok(0.125));
        assert_eq!(rate("30/m"), Ok(0.5));
        assert_eq!(speed("240B/s"), Ok(240));
        assert_eq!(range("50ms..1s"), Ok((Duration::from_millis(50), Duration::from_secs(1))));
    }

    #[test]
    fn nonsense_is_refused_with_its_reason() {
        let refusals = [
            duration("10 parsecs").unwrap_err(),
            duration("10").unwrap_err(),
            duration("-1s").unwrap_err(),
            duration("1e99s").unwrap_err(),
            duration("9999999999999999999h").unwrap_err(),
            duration("").unwrap_err(),
            duration("1s..2s").unwrap_err(),
            size("1.5B").unwrap_err(),
            size("64kb").unwrap_err(),
            size("9999999999GiB").unwrap_err(),
            percent("120%").unwrap_err(),
            percent("0.2").unwrap_err(),
            rate("500").unwrap_err(),
            speed("240B").unwrap_err(),
            range("1s").unwrap_err(),
            range("1s..50ms").unwrap_err(),
        ];
        insta::assert_snapshot!(refusals.join("\n"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(micros in 0_u64..40_000_000_000, bytes in 0_u64..1 << 50) {
            let value = Duration::from_micros(micros);
            prop_assert_eq!(duration(&write_duration(value)), Ok(value));
            prop_assert_eq!(size(&write_size(bytes)), Ok(bytes));
        }

        #[test]
        fn shares_and_rates_are_read_back(parts in 0_u32..=10_000, number in 1_u32..100_000) {
            let share = f64::from(parts) / 10_000.0;
            let back = percent(&write_percent(share)).unwrap();
            prop_assert!((back - share).abs() < 1e-9);
            for per_second in [f64::from(number), f64::from(number) / 60.0] {
                let back = rate(&write_rate(per_second)).unwrap();
                prop_assert!((back - per_second).abs() < per_second * 1e-9);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in ".{0,24}") {
            let _ = (duration(&text), size(&text), percent(&text));
            let _ = (rate(&text), speed(&text), range(&text));
        }
    }
}
