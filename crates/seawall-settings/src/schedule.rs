//! When a job begins: a crontab expression, with a time zone or in UTC.
//!
//! Does not know: clocks. Around a change of the zone's offset it does what Debian's cron does: a
//! fixed time (neither minute nor hour begins with `*`) that is skipped comes right after the gap,
//! and one that is there twice comes once; wildcards go on by the wall clock, whatever it shows. Of
//! several times of one schedule in a gap it makes one: the second would find the first not over.

use cronexpr::{Crontab, FallbackTimezoneOption, MakeTimestamp, ParseOptions, parse_crontab_with};
use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, TimeZone};

/// When something begins.
#[derive(Clone, Debug)]
pub struct Schedule {
    text: String,
    /// Reads the wall clock's time as if it were UTC: what the zone makes of it is decided here.
    wall: Crontab,
    zone: TimeZone,
    is_fixed: bool,
}

/// Which times of a schedule are made up that came when no run could begin: no server ran, or
/// the run before was not over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CatchUp {
    /// None.
    #[default]
    None,
    /// The last of them.
    Last,
    /// Each, one run after another.
    All,
}

seawall_core::words!(CatchUp { None => "none", Last => "last", All => "all" });

impl Schedule {
    /// Reads an expression.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut words: Vec<_> = text.split_whitespace().collect();
        if let Some(nickname) = words.first().filter(|word| word.starts_with('@')) {
            let fields = nickname_of(nickname)?.split(' ').collect::<Vec<_>>();
            words.splice(..1, fields);
        }
        let zone = match words.get(FIELDS) {
            None => TimeZone::UTC,
            Some(name) => {
                TimeZone::get(name).map_err(|_| format!("there is no time zone `{name}`"))?
            }
        };
        if let Some(more) = words.get(FIELDS + 1) {
            return Err(format!("`{more}` stands behind the time zone"));
        }
        let fields = words[..words.len().min(FIELDS)].join(" ");
        let mut options = ParseOptions::default();
        options.fallback_timezone_option = FallbackTimezoneOption::UTC;
        let wall = parse_crontab_with(&fields, options).map_err(|error| {
            // The library draws where in several lines.
            let said = error.to_string();
            let why = said.rsplit('^').next().unwrap_or(&said);
            why.split_whitespace().collect::<Vec<_>>().join(" ")
        })?;
        let is_fixed = !words.iter().take(2).any(|field| field.starts_with('*'));
        let schedule = Self { text: text.to_owned(), wall, zone, is_fixed };
        match schedule.after(0) {
            Some(_) => Ok(schedule),
            None => Err("it never comes".to_owned()),
        }
    }

    /// Returns the first time after another, in milliseconds since 1970; nothing if there is none.
    pub fn after(&self, ms: i64) -> Option<i64> {
        let from = Timestamp::from_millisecond(ms).ok()?;
        match self.is_fixed {
            true => self.fixed_after(from),
            false => self.wildcard_after(from),
        }
    }

    /// Returns the last time that is not after one and after another, if there is one between them.
    pub fn last_within(&self, after: i64, until: i64) -> Option<i64> {
        let mut last = None;
        // From near to far, so that few steps lead there however far apart they are.
        for window in WINDOWS_MS {
            let mut from = until.saturating_sub(window).max(after);
            while let Some(next) = self.after(from).filter(|next| *next <= until) {
                (last, from) = (Some(next), next);
            }
            if last.is_some() || until.saturating_sub(window) <= after {
                break;
            }
        }
        last
    }

    /// Goes through the times of the wall clock, and says of each when it comes.
    fn fixed_after(&self, from: Timestamp) -> Option<i64> {
        // What was skipped or stands there twice lies as far back as the clock was set.
        let set = self
            .zone
            .preceding(from)
            .next()
            .filter(|one| from.as_second() - one.timestamp().as_second() <= DAY_S + HOUR_S);
        let set_by = set.map_or(0, |one| {
            let before = self.offset(one.timestamp().as_second() - 1);
            (i64::from(one.offset().seconds()) - before).abs()
        });
        let mut wall = from.as_second() + self.offset(from.as_second()) - set_by - 1;
        loop {
            wall = self.next_on_wall(wall)?;
            let at = self.comes_at(wall)?;
            if at > from {
                return Some(at.as_millisecond());
            }
        }
    }

    /// Says when the wall clock shows a time for the first time; right after a gap if it never does.
    fn comes_at(&self, wall: i64) -> Option<Timestamp> {
        let civil = TimeZone::UTC.to_datetime(Timestamp::from_second(wall).ok()?);
        let ambiguous = self.zone.to_ambiguous_timestamp(civil);
        if matches!(ambiguous.offset(), AmbiguousOffset::Gap { .. }) {
            // After this one, and before the later reading of it, the clock is set.
            let early = ambiguous.earlier().ok()?;
            let next = self.zone.following(early).next().map(|one| one.timestamp());
            return next.or(ambiguous.later().ok());
        }
        ambiguous.earlier().ok()
    }

    /// Goes from one offset of the zone to the next, and within each by the wall clock.
    fn wildcard_after(&self, from: Timestamp) -> Option<i64> {
        let mut from = from.as_second();
        // Every schedule comes within four years; no zone is set more often than this.
        for _ in 0..CHANGES_MAX {
            let offset = self.offset(from);
            let next = self.next_on_wall(from + offset).map(|wall| wall - offset);
            let changed = self.zone.following(Timestamp::from_second(from).ok()?).next();
            let changed = changed.map(|one| one.timestamp().as_second());
            match (next, changed) {
                (Some(next), Some(changed)) if next >= changed => from = changed - 1,
                (None, Some(changed)) => from = changed - 1,
                (next, _) => {
                    return Timestamp::from_second(next?).ok().map(|at| at.as_millisecond());
                }
            }
            // The first second of the new offset may be one that it comes at.
            let offset = self.offset(from + 1);
            let first = self.next_on_wall(from + offset);
            if first == Some(from + 1 + offset) {
                return Timestamp::from_second(from + 1).ok().map(|at| at.as_millisecond());
            }
            from += 1;
        }
        None
    }

    /// Returns the zone's offset at a time, in seconds.
    fn offset(&self, second: i64) -> i64 {
        let at = Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH);
        i64::from(self.zone.to_offset(at).seconds())
    }

    /// Returns the next time that the expression names, both in seconds as the wall clock shows them.
    fn next_on_wall(&self, second: i64) -> Option<i64> {
        let from = MakeTimestamp::from_second(second).ok()?;
        Some(self.wall.find_next(from).ok()?.timestamp().as_second())
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

/// Returns what a nickname of crontab stands for.
fn nickname_of(word: &str) -> Result<&'static str, String> {
    Ok(match word {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        _ => {
            return Err(format!(
                "there is no `{word}`: @hourly, @daily, @weekly, @monthly, @yearly"
            ));
        }
    })
}

/// Minute, hour, day of month, month, day of week.
const FIELDS: usize = 5;
const HOUR_S: i64 = 3600;
const DAY_S: i64 = 24 * HOUR_S;
/// More changes of a zone's offset than any has in four years.
const CHANGES_MAX: usize = 64;
/// A minute, an hour, a day, a month, a year, and more than there is.
const WINDOWS_MS: [i64; 6] =
    [60_000, 3_600_000, 86_400_000, 31 * 86_400_000, 366 * 86_400_000, i64::MAX / 4];

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(text: &str) -> Schedule {
        Schedule::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    fn ms(time: &str) -> i64 {
        time.parse::<Timestamp>().expect(time).as_millisecond()
    }

    /// Returns the times of a schedule within an hour before and so many hours after a time.
    fn times(text: &str, from: &str, until: &str) -> Vec<String> {
        let schedule = schedule(text);
        let (mut at, mut times) = (ms(from) - 1, Vec::new());
        while let Some(next) = schedule.after(at).filter(|next| *next < ms(until)) {
            times.push(Timestamp::from_millisecond(next).expect("it is a time").to_string());
            at = next;
        }
        times
    }

    #[test]
    fn the_next_time_is_found_in_its_time_zone() {
        let check = |text: &str, from: i64, expected: i64| {
            assert_eq!(schedule(text).after(from), Some(expected), "{text}");
        };
        // Thursday, 1970-01-01.
        let hour = 3_600_000;
        check("0 3 * * *", 0, 3 * hour);
        check("0 3 * * *", 3 * hour, 27 * hour);
        check("*/15 * * * *", 1, hour / 4);
        check("0 3 * * FRI Europe/Oslo", 0, 26 * hour);
        check("@daily", 1, 24 * hour);
        check("@hourly Europe/Oslo", 1, hour);
        check("  0   3 * * *  ", 0, 3 * hour);
    }

    #[test]
    fn what_is_no_time_is_refused_with_its_reason() {
        for text in [
            "",
            "3",
            "61 * * * *",
            "0 3 * * * Europe/Nowhere",
            "0 0 30 2 *",
            "x * * * *",
            "@reboot",
            "0 3 * * * UTC more",
        ] {
            let why = Schedule::parse(text).unwrap_err();
            assert!(!why.is_empty() && !why.contains('\n'), "{text}: {why}");
        }
    }

    #[test]
    fn a_fixed_time_that_is_skipped_comes_right_after_the_gap() {
        // Oslo skips 02:00 to 03:00 on 2026-03-29, at 01:00 UTC.
        let spring = |text: &str| times(text, "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z");
        assert_eq!(
            spring("30 2 * * * Europe/Oslo"),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
        );
        assert_eq!(
            spring("0 2,3 * * * Europe/Oslo"),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z", "2026-03-30T01:00:00Z"]
        );
    }

    #[test]
    fn several_fixed_times_in_one_gap_come_as_one() {
        // Each of them would begin in the second after the gap, and find the first not over.
        assert_eq!(
            times("15,45 2 * * * Europe/Oslo", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z"),
            ["2026-03-29T01:00:00Z", "2026-03-30T00:15:00Z", "2026-03-30T00:45:00Z"]
        );
    }

    #[test]
    fn a_fixed_time_that_is_there_twice_comes_once() {
        // Oslo has 02:00 to 03:00 twice on 2026-10-25, and is set back at 01:00 UTC.
        assert_eq!(
            times("30 2 * * * Europe/Oslo", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z"),
            ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
        );
    }

    #[test]
    fn wildcards_go_on_by_the_wall_clock() {
        let check = |text: &str, from: &str, until: &str, expected: &[&str]| {
            assert_eq!(times(text, from, until), expected, "{text}");
        };
        let spring = ("2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z");
        let quarters = [
            "2026-03-29T00:30:00Z",
            "2026-03-29T00:45:00Z",
            "2026-03-29T01:00:00Z",
            "2026-03-29T01:15:00Z",
        ];
        check("*/15 * * * * Europe/Oslo", spring.0, spring.1, &quarters);
        let autumn = ("2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z");
        let halves = [
            "2026-10-25T00:00:00Z",
            "2026-10-25T00:30:00Z",
            "2026-10-25T01:00:00Z",
            "2026-10-25T01:30:00Z",
        ];
        check("*/30 * * * * Europe/Oslo", autumn.0, autumn.1, &halves);
        // As Debian's: a wildcard minute of an hour that is not there does not come.
        check("*/30 2 * * * Europe/Oslo", "2026-03-28T12:00:00Z", "2026-03-29T12:00:00Z", &[]);
    }

    #[test]
    fn half_an_hour_and_a_whole_day_are_changes_like_others() {
        // Lord Howe is set by half an hour: 02:00 to 02:30 is skipped, 01:30 to 02:00 is there twice.
        assert_eq!(
            times("15 2 * * * Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-04T12:00:00Z"),
            ["2026-10-03T15:30:00Z"]
        );
        assert_eq!(
            times("45 1 * * * Australia/Lord_Howe", "2026-04-04T00:00:00Z", "2026-04-05T00:00:00Z"),
            ["2026-04-04T14:45:00Z"]
        );
        // Apia left out 2011-12-30.
        assert_eq!(
            times("0 12 30 12 * Pacific/Apia", "2011-12-29T00:00:00Z", "2012-01-02T00:00:00Z"),
            ["2011-12-30T10:00:00Z"]
        );
    }

    #[test]
    fn in_every_zone_a_daily_time_comes_once_a_day() {
        let (from, until) = (ms("2026-01-01T00:00:00Z"), ms("2027-01-01T00:00:00Z"));
        let mut zones = 0;
        for zone in jiff::tz::db().available() {
            zones += 1;
            let schedule = schedule(&format!("30 2 * * * {zone}"));
            let (mut at, mut times) = (from, 0);
            while let Some(next) = schedule.after(at).filter(|next| *next < until) {
                assert!(next > at && next - at < 50 * 3_600_000, "{zone}: {next}");
                (at, times) = (next, times + 1);
            }
            assert!((364..=366).contains(&times), "{zone}: {times}");
        }
        assert!(zones > 300, "{zones}");
    }

    #[test]
    fn the_last_time_within_is_found_however_far_apart_they_are() {
        let minutely = schedule("* * * * *");
        assert_eq!(minutely.last_within(0, 366 * DAY_S * 1000 + 5), Some(366 * DAY_S * 1000));
        let yearly = schedule("@yearly");
        let until = ms("2026-11-29T00:00:00Z");
        assert_eq!(yearly.last_within(0, until), Some(ms("2026-01-01T00:00:00Z")));
        assert_eq!(yearly.last_within(ms("2026-01-01T00:00:00Z"), until), None);
    }
}
