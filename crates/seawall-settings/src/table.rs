//! The one table of settings, in parts.
//!
//! Does not know: how it is used. Whoever adds a setting says here what it is, who changes it and
//! when, and what shows that it works.

use std::time::Duration;

use super::key::Row;
use super::typed::{Bytes, Form, duration, size};

/// Declares keys, each with its row of the table: `NAME: Key<Type> = key(…);`. The name is the path
/// in capitals, or it does not compile. All rows together have the name that stands first.
macro_rules! keys {
    ($rows:ident; $($name:ident: $key:ty = $declared:expr;)*) => {
        $(pub(crate) const $name: $key = $declared;)*
        $(const _: () = assert!($crate::key::is_named(stringify!($name), $name.path()));)*
        pub(super) const $rows: &[$crate::key::Row] = &[$($name.row),*];
    };
}

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

pub(crate) use cache::*;
pub(crate) use guard::*;
pub(crate) use job::*;
pub(crate) use job_ends::*;
pub(crate) use load::*;
pub(crate) use log::*;
pub(crate) use policy::*;
pub(crate) use route::*;
pub(crate) use server::*;
pub(crate) use worker::*;

const WAIT: Form<Duration> = duration("10ms", "1h");
const LIMIT: Form<Duration> = duration("1ms", "24h");
const HOW_LARGE: Form<Bytes> = size("0B", "1024GiB");

/// All settings, in the order in which they are explained.
pub const KEYS: &[Row] = &joined();

const PARTS: [&[Row]; 11] = [
    SERVER_ROWS,
    LOG_ROWS,
    POLICY_ROWS,
    GUARD_ROWS,
    LOAD_ROWS,
    CACHE_ROWS,
    ROUTE_ROWS,
    WORKER_ROWS,
    JOB_ROWS,
    ON_DONE_ROWS,
    ON_FAILED_ROWS,
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
const fn joined() -> [Row; length()] {
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
