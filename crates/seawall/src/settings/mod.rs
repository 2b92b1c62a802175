//! Settings: read as they are written, checked, and handed on as they are meant.
//!
//! Does not know: sockets, threads, running servers. Nothing outside sees the written form, and
//! nothing that is refused is ever handed on.

mod meant;
mod report;
mod secret;
mod source;

pub use meant::{AdminMeant, Meant, PolicyMeant, RouteMeant, ServerMeant, UpstreamMeant};
pub use report::{Mark, Problem, Report, Severity};
pub use secret::Secret;
pub use source::{Source, Text, USUAL, Unreadable};

/// Holds settings that were taken, and what was remarked on them.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What they mean.
    pub meant: Meant,
    /// The warnings.
    pub warnings: Report,
}

/// Reads and checks settings.
///
/// # Errors
/// Returns everything that is wrong, not only the first thing.
pub fn load(source: &Source) -> Result<Loaded, Report> {
    match source.read() {
        Ok(text) => {
            let mut report = Report::new(text);
            report.add(Problem::error("settings are not read yet"));
            Err(report)
        }
        Err(unreadable) => {
            let mut report = Report::new(Text { name: source.name(), text: "".into() });
            report.add(Problem::error(unreadable.to_string()));
            Err(report)
        }
    }
}
