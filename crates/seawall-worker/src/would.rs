//! What a run would do if it were started now.
//!
//! Does not know: calls. Nothing is changed, and no lock is taken.

use crate::disk::{Disk, FileSystem};
use crate::error::{Context, RunError};
use crate::file_location;
use crate::files::Paths;
use crate::identity::{Input, identity};
use crate::overview::is_locked;
use crate::recover::{Found, find};
use crate::settings::Settings;

/// What a run would do if it were started now.
#[derive(Debug)]
#[non_exhaustive]
pub enum Would {
    /// It would begin.
    Begin,
    /// It would go on.
    GoOn {
        /// The first line without an outcome.
        sequence: u64,
    },
    /// It has finished, and would do nothing.
    DoNothing,
}

/// Says what a run would do if it were started now. Blocks.
///
/// # Errors
///
/// Says why it would not begin.
pub fn would(settings: &Settings) -> Result<Would, RunError> {
    file_location::check(settings)?;
    let failed = |source| RunError::Open { path: settings.input.clone(), source };
    let input = Input::open(settings).map_err(failed)?;
    let identity = identity(settings, &input).map_err(failed)?;
    let paths = Paths::new(settings);
    if is_locked(&paths).context("look at", &paths.state)? {
        return Err(RunError::Locked { path: paths.lock() });
    }
    let names = match paths.state.is_dir() {
        true => FileSystem.list(&paths.state).context("list", &paths.state)?,
        false => Vec::new(),
    };
    if settings.is_anew && names.iter().any(|name| name.starts_with("checkpoint.")) {
        return Ok(Would::Begin);
    }
    Ok(match find(&FileSystem, &paths, &names, &identity, settings)? {
        Found::Nothing => Would::Begin,
        Found::Finished(_) => Would::DoNothing,
        Found::Resumed(_, replay, ..) => Would::GoOn { sequence: replay.start.sequence },
    })
}
