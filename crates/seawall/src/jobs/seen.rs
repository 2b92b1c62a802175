//! What the files of a job say of its run, for who looks from outside.
//!
//! Does not know: servers, stores. Nothing is changed by looking.

use std::io;

use seawall_settings::JobSettings;
use seawall_worker::RunOverview;

/// What the files of a job say.
#[derive(Debug)]
pub(crate) struct Seen {
    /// One word for it.
    pub(crate) state: &'static str,
    /// How much of the input is done, if that can be told.
    pub(crate) share: Option<f64>,
    /// The run, if there is one.
    pub(crate) kept: Option<RunOverview>,
}

impl Seen {
    /// Looks at the files of a job; blocks.
    ///
    /// # Errors
    ///
    /// Fails if they cannot be read, or are not what was written.
    pub(crate) fn of(job: &JobSettings) -> io::Result<Self> {
        let kept = seawall_worker::look(&job.files())?;
        let length = std::fs::metadata(&job.input).map(|metadata| metadata.len()).ok();
        let share = kept.as_ref().zip(length).and_then(|(kept, length)| match kept.is_finished {
            true => Some(1.0),
            // A compressed file's offsets are those of what is in it.
            false => {
                (length >= kept.offset && length > 0).then(|| kept.offset as f64 / length as f64)
            }
        });
        let state = match &kept {
            None => "not begun",
            Some(kept) if kept.is_finished => "finished",
            Some(kept) if kept.is_running => "running",
            Some(kept) if kept.failed.is_some() => "failed",
            Some(_) => "stopped",
        };
        Ok(Self { state, share, kept })
    }

    /// Says why the run failed, if it did.
    pub(crate) fn why(&self) -> Option<&str> {
        self.kept.as_ref()?.failed.as_deref()
    }
}
