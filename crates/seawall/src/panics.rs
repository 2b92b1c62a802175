//! What is said when our own code panics: where, and that it is our bug.
//!
//! Does not know what the code was doing: no request's bytes get into the message but those that
//! the panic itself names, and these are escaped and cut.

use std::io::{self, Write};
use std::panic;
use std::thread;

/// Replaces the hook that Rust has.
pub fn hook() {
    panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let why = text.unwrap_or("no message");
        let why: String = why.chars().take(500).flat_map(char::escape_debug).collect();
        let thread = thread::current();
        let thread = thread.name().unwrap_or("unnamed");
        let version = env!("CARGO_PKG_VERSION");
        // Not with `eprintln!`: if nobody reads stderr it panics, and a panic here aborts.
        drop(writeln!(
            io::stderr(),
            "bug: thread `{thread}` panicked{place}: {why}\n\
             help: please report this with Seawall {version}"
        ));
    }));
}
