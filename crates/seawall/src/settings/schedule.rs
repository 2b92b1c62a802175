//! When a job begins: a crontab expression, with a time zone or in UTC.
//!
//! Does not know: clocks. Around a change to or from summer time a time that is not there is passed
//! over, and one that is there twice counts once: that is the library's care.

use cronexpr::{Crontab, FallbackTimezoneOption, MakeTimestamp, ParseOptions, parse_crontab_with};

/// Says when something begins.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    crontab: Crontab,
}

impl Schedule {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut options = ParseOptions::default();
        options.fallback_timezone_option = FallbackTimezoneOption::UTC;
        let crontab = parse_crontab_with(text, options).map_err(|error| {
            // The library draws where in several lines.
            let said = error.to_string();
            let why = said.rsplit('^').next().unwrap_or(&said);
            why.split_whitespace().collect::<Vec<_>>().join(" ")
        })?;
        let schedule = Self { text: text.to_owned(), crontab };
        match schedule.after(0) {
            Some(_) => Ok(schedule),
            None => Err("it never comes".to_owned()),
        }
    }

    /// Returns the first time after another, in milliseconds since 1970; nothing if there is none.
    pub fn after(&self, ms: i64) -> Option<i64> {
        let from = MakeTimestamp::from_millisecond(ms).ok()?;
        Some(self.crontab.find_next(from).ok()?.timestamp().as_millisecond())
    }

    /// Returns the expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_time_is_found_in_its_time_zone() {
        let check = |text: &str, from: i64, expected: i64| {
            let schedule = Schedule::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(schedule.after(from), Some(expected), "{text}");
        };
        // Thursday, 1970-01-01.
        let hour = 3_600_000;
        check("0 3 * * *", 0, 3 * hour);
        check("0 3 * * *", 3 * hour, 27 * hour);
        check("*/15 * * * *", 1, hour / 4);
        check("0 3 * * FRI Europe/Oslo", 0, 26 * hour);
    }

    #[test]
    fn what_is_no_time_is_refused_with_its_reason() {
        for text in ["", "3", "61 * * * *", "0 3 * * * Europe/Nowhere", "0 0 30 2 *", "x * * * *"] {
            let why = Schedule::parse(text).unwrap_err();
            assert!(!why.is_empty() && !why.contains('\n'), "{text}: {why}");
        }
    }
}
