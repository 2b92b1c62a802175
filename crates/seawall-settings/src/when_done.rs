//! What becomes of a file of a folder when its run is done, as the settings say it.
//!
//! Does not know: who moves or deletes it.

/// What becomes of a file of a folder when its run is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenDone {
    /// It stays where it is.
    #[default]
    Keep,
    /// It is moved to the folder `done` beside it.
    Move,
    /// It is deleted.
    Delete,
}

seawall_core::words!(WhenDone { Keep => "keep", Move => "move", Delete => "delete" });
