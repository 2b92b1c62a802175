//! The settings: one table of keys, read from TOML, checked, explained, and handed on as they are
//! meant.
//!
//! Does not know: the command line, threads, running servers. No other crate knows TOML or sees
//! what a file says; nothing that is refused is ever handed on.

mod apart;
mod doc;
mod environment;
mod fallback;
mod foreign;
mod hook;
mod instead;
mod job;
mod key;
pub mod keys;
mod listen;
mod listener;
mod lower;
mod nearest;
mod params;
mod placeholder;
mod policy;
mod policy_words;
mod raw;
mod reference;
mod refused;
mod report;
mod resolved;
mod route;
mod scenario;
mod schedule;
mod schema;
mod script;
mod show;
mod source;
mod table;
#[cfg(test)]
mod tests;
mod typed;
mod types;
mod units;
mod upstream;
mod value;
mod when_done;

use std::net::SocketAddr;

use seawall_core::Secret;

pub use hook::HookSettings;
pub use job::{Begins, JobSettings, KeepSettings, SendSettings, failures_of, output_of, weight_of};
pub use nearest::nearest;
pub use reference::reference;
pub use report::{Mark, SettingsProblem, SettingsReport, Severity};
pub use scenario::{ScenarioSettings, bounded, latency};
pub use schedule::{CatchUp, Schedule};
pub use schema::schema;
pub use script::Script;
pub use show::Shown;
pub use source::{Source, Text, USUAL, Unreadable};
pub use types::{
    AdminSettings, FallbackSettings, ListenerSettings, LogSettings, LogTo, PolicySettings,
    RouteSettings, ServerSettings, Settings, UpstreamSettings, WorkerSettings,
};
pub use units::{
    duration as read_duration, percent as read_percent, rate as read_rate, write_duration,
};
pub use upstream::socket_of;
pub use value::Kind;
pub use when_done::WhenDone;

/// Reads an address to listen on, as it stands behind a flag.
///
/// # Errors
/// Says what is wrong, and what to write.
pub fn read_listen(text: &str) -> Result<SocketAddr, String> {
    listen::address(text).map_err(|refused| match refused.help {
        Some(help) => format!("it {}: write {}", refused.why, help.replace('"', "")),
        None => format!("it {}", refused.why),
    })
}

/// Settings that were taken, and what was remarked on them.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What they mean.
    pub settings: Settings,
    /// Every setting in force, with where it comes from.
    pub shown: Shown,
    /// The warnings.
    pub warnings: SettingsReport,
}

/// Reads and checks settings.
///
/// # Errors
/// Returns everything that is wrong, not only the first thing.
pub fn load(source: &Source) -> Result<Loaded, SettingsReport> {
    match source.read() {
        Ok(text) => load_text(text, &|name| std::env::var(name).ok()),
        Err(unreadable) => {
            let mut report = SettingsReport::new(Text { name: source.name(), text: "".into() });
            let help = unreadable.is_missing.then(|| "`seawall init` writes one".to_owned());
            report.add(SettingsProblem::error(unreadable.to_string()).help_if(help));
            Err(report)
        }
    }
}

/// Returns what settings say of the admin port, whatever else is wrong with them: its address, if
/// they say one, and its token.
pub fn admin_of(
    text: Text,
    environment: &dyn Fn(&str) -> Option<String>,
) -> (Option<SocketAddr>, Option<Secret>) {
    let mut report = SettingsReport::new(text);
    let Some(entries) = doc::parse(&mut report) else { return (None, None) };
    let written = raw::read(&entries, &mut report);
    lower::admin_alone(&written, environment, &mut report)
}

/// Checks settings whose text is here, with an environment to take secrets from.
///
/// # Errors
/// Returns everything that is wrong, not only the first thing.
pub fn load_text(
    text: Text,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Result<Loaded, SettingsReport> {
    let mut report = SettingsReport::new(text);
    let Some(entries) = doc::parse(&mut report) else {
        report.sort();
        return Err(report);
    };
    let written = raw::read(&entries, &mut report);
    let lowered = lower::lower(&written, environment, &mut report);
    report.sort();
    match lowered {
        Some((settings, shown)) => Ok(Loaded { settings, shown, warnings: report }),
        None => Err(report),
    }
}
