//! The form of the log's lines.
//!
//! Does not know: what a line says, who writes it.

/// Says how a log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
