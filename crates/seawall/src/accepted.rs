//! Settings that the host starts with.
//!
//! Does not know: ports, threads, what is made of them.

use std::fmt::Display;

use seawall_settings::{Loaded, Settings, SettingsProblem, SettingsReport, Text};

use crate::plan::Plan;
use crate::start_error::StartError;
use crate::watched::Watched;
use crate::{files, reload};

/// Holds settings that were accepted, before anything was made of them.
pub(crate) struct Accepted {
    pub(crate) text: Text,
    pub(crate) settings: Settings,
    pub(crate) warnings: Vec<String>,
    pub(crate) files: u64,
    pub(crate) watched: Watched,
}

impl Accepted {
    /// Reads them, and raises how many files may be open.
    pub(crate) fn read(plan: &Plan) -> Result<Self, StartError> {
        // Looked at before it is read: a change in between is seen as one.
        let watched = Watched::new(plan.source.clone());
        let text = reload::text(&plan.source).map_err(StartError::Settings)?;
        let Loaded { mut settings, warnings: remarks, .. } =
            reload::read(text.clone(), plan.strict).map_err(StartError::Settings)?;
        let files = files::raise()?;
        let warnings = reload::remarks(&mut settings, &remarks, files);
        Ok(Self { text, settings, warnings, files, watched })
    }

    /// Refuses them after all, for something that only shows when parts are made of them.
    pub(crate) fn refuse(&self, why: &dyn Display) -> StartError {
        let mut report = SettingsReport::new(self.text.clone());
        report.add(SettingsProblem::error(why.to_string()));
        StartError::Settings(report)
    }
}
