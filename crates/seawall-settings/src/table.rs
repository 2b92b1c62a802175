//! The one table of settings, in parts.
//!
//! Does not know: how it is used. Whoever adds a setting says here what it is, who changes it and
//! when, and what shows that it works.

use super::keys::Key;
use super::value::Kind;

mod cache;
mod guard;
mod job;
mod job_ends;
mod load;
mod log;
mod policy;
mod route;
mod server;
mod worker;

const WAIT: Kind = Kind::Duration { min: "10ms", max: "1h" };
const LIMIT: Kind = Kind::Duration { min: "1ms", max: "24h" };
const HOW_LARGE: Kind = Kind::Size { min: "0B", max: "1024GiB" };

/// All settings, in the order in which they are explained.
pub const KEYS: &[Key] = &joined();

const PARTS: [&[Key]; 11] = [
    server::KEYS,
    log::KEYS,
    policy::KEYS,
    guard::KEYS,
    load::KEYS,
    cache::KEYS,
    route::KEYS,
    worker::KEYS,
    job::KEYS,
    job_ends::ON_DONE,
    job_ends::ON_FAILED,
];

const fn length() -> usize {
    let (mut part, mut length) = (0, 0);
    while part < PARTS.len() {
        length += PARTS[part].len();
        part += 1;
    }
    length
}

/// Joins the parts; a loop of the kind that a constant can hold.
const fn joined() -> [Key; length()] {
    let mut all = [PARTS[0][0]; length()];
    let (mut part, mut place, mut next) = (0, 0, 0);
    while part < PARTS.len() {
        while place < PARTS[part].len() {
            all[next] = PARTS[part][place];
            place += 1;
            next += 1;
        }
        part += 1;
        place = 0;
    }
    all
}

const JITTERS: &[&str] = &["full", "equal", "decorrelated", "smooth", "quarter", "none"];
const GROWTHS: &[&str] = &["exponential", "linear", "constant"];
const LOGGED: &[&str] = &["failed", "all", "off"];
const LOG_FORMS: &[&str] = &["json", "combined"];
const MODES: &[&str] = &["break", "throttle"];
const ORDERS: &[&str] = &["adaptive", "fifo"];
const ANSWERS: &[&str] = &["numbered", "raw"];
const CATCH_UPS: &[&str] = &["none", "last", "all"];
const WHEN_DONE: &[&str] = &["keep", "move", "delete"];
const SYNCS: &[&str] = &["checkpoint", "line", "never"];
const RATES: &[&str] = &["token-bucket", "fixed-window", "sliding-window"];
