//! What stands in the store for one run: which job, over which file, into which output.
//!
//! Does not know: the store, what the job does.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use seawall_jobs::NewJob;
use seawall_settings::{Begins, JobSettings};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::folder::Appeared;
use super::queues;
use crate::jobs::with_suffix;

/// One run of a job, as it stands in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct JobPayload {
    /// The job's name in the settings.
    pub(super) job: String,
    #[serde(with = "path")]
    pub(super) input: PathBuf,
    #[serde(with = "path")]
    pub(super) output: PathBuf,
    #[serde(with = "path_or_none")]
    pub(super) dead: Option<PathBuf>,
    /// For which time it was put in, if by schedule.
    pub(super) scheduled_ms: Option<i64>,
    /// What the file looked like, if it appeared in a folder.
    pub(super) stamp: Option<String>,
    /// What was in it; nothing in what earlier versions put in.
    #[serde(default)]
    pub(super) fingerprint: Option<String>,
    /// What the run is called: keys of lines are made of it.
    #[serde(default)]
    pub(super) run: Option<String>,
    /// The lines of the input, if they were put in with the run.
    #[serde(default, rename = "payload", skip_serializing_if = "Option::is_none")]
    pub(super) lines: Option<String>,
}

/// What is put in by somebody who needs it now.
#[derive(Debug)]
pub(super) enum AdHoc {
    /// A file.
    Over(PathBuf),
    /// The lines themselves.
    Lines(String),
}

impl JobPayload {
    /// Makes the run of a job at a time: by schedule, or by hand.
    pub(super) fn at(job: &JobSettings, now_ms: i64, is_scheduled: bool) -> Self {
        let mark = |path: &PathBuf| match job.begins {
            // Each run has an output of its own: the input is another one by then.
            Begins::At(_) => with_suffix(path, &format!(".{}", now_ms / 1000)),
            Begins::ByHand | Begins::WithFiles => path.clone(),
        };
        Self {
            job: job.name.to_string(),
            input: job.input.clone(),
            output: mark(&job.output),
            dead: job.dead.as_ref().map(mark),
            scheduled_ms: is_scheduled.then_some(now_ms),
            stamp: None,
            fingerprint: None,
            run: None,
            lines: None,
        }
    }

    /// Makes a run of a job over something else than its input. It has outputs of its own, unless
    /// somebody says which, named after the run.
    pub(super) fn ad_hoc(
        job: &JobSettings,
        what: AdHoc,
        output: Option<PathBuf>,
        run: String,
    ) -> Self {
        let mark = &run[..12];
        let of = |path: &PathBuf, suffix: &str| match job.begins {
            Begins::WithFiles => path.join(format!("{mark}{suffix}")),
            Begins::ByHand | Begins::At(_) => with_suffix(path, &format!(".{mark}")),
        };
        let dead = match output {
            Some(_) => None,
            None => job.dead.as_ref().map(|path| of(path, ".dead")),
        };
        let output = output.unwrap_or_else(|| of(&job.output, ".out"));
        let (input, lines) = match what {
            AdHoc::Over(path) => (path, None),
            AdHoc::Lines(lines) => (with_suffix(&output, ".in"), Some(lines)),
        };
        Self {
            job: job.name.to_string(),
            input,
            output,
            dead,
            scheduled_ms: None,
            stamp: None,
            fingerprint: None,
            run: Some(run),
            lines,
        }
    }

    /// Returns where lines go that failed.
    pub(super) fn dead_letter(&self) -> PathBuf {
        let usual = || seawall_worker::Settings::new(&self.input, &self.output).dead;
        self.dead.clone().unwrap_or_else(usual)
    }

    /// Returns whether it is over something that was put in with it, or named by who put it in.
    fn is_ad_hoc(&self) -> bool {
        self.run.is_some() && self.fingerprint.is_none()
    }

    /// Makes the run of a job over a file that appeared in its folder. One that is not the first of
    /// that name has outputs that say which it is.
    pub(super) fn over(job: &JobSettings, file: &Appeared, is_first: bool) -> Self {
        let Appeared { name, stamp, fingerprint, item } = file;
        let which = match is_first {
            true => String::new(),
            false => format!(".{}", &fingerprint[..8]),
        };
        let run = blake3::hash(format!("{}\0{item}\0{fingerprint}", job.name).as_bytes());
        let beside = |folder: &PathBuf, suffix: &str| {
            with_suffix(&folder.join(name), &format!("{which}{suffix}"))
        };
        Self {
            job: job.name.to_string(),
            input: job.input.join(name),
            output: beside(&job.output, ".out"),
            dead: job.dead.as_ref().map(|folder| beside(folder, ".dead")),
            scheduled_ms: None,
            stamp: Some(stamp.clone()),
            fingerprint: Some(fingerprint.clone()),
            run: Some(run.to_hex()[..32].to_owned()),
            lines: None,
        }
    }

    /// Returns the job as it is to be run.
    pub(super) fn settings(&self, job: &JobSettings) -> JobSettings {
        JobSettings {
            input: self.input.clone(),
            output: self.output.clone(),
            dead: self.dead.clone(),
            run: self.run.clone(),
            // Links are followed: whoever put it in has named the file.
            begins: if self.is_ad_hoc() { Begins::ByHand } else { job.begins.clone() },
            ..job.clone()
        }
    }

    /// Makes what is put into the store: of runs over the same file one is under way.
    pub(super) fn row(&self, job: &JobSettings) -> NewJob {
        let payload = serde_json::to_string(self).unwrap_or_default();
        let is_told = job.on_done.is_some() || job.on_failed.is_some();
        // Names may be long; a key is not.
        let mut key = blake3::Hasher::new();
        key.update(self.job.as_bytes()).update(&[0]).update(self.input.as_os_str().as_bytes());
        if let Some(fingerprint) = &self.fingerprint {
            key.update(&[0]).update(fingerprint.as_bytes());
        }
        NewJob {
            unique_key: Some(key.finalize().to_hex().to_string()),
            priority: job.priority,
            attempts_max: job.attempts_max,
            at_once: job.at_once,
            tell_queue: is_told.then(|| queues::ENDS.to_owned()),
            ..NewJob::new(queues::LINES, &self.job, payload)
        }
    }

    /// Reads what stands in the store.
    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// Writes a path as text, or as bytes if it is none.
mod path {
    use super::*;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum PathForm {
        Text(String),
        Bytes(Vec<u8>),
    }

    pub(super) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
        let written = match path.to_str() {
            Some(text) => PathForm::Text(text.to_owned()),
            None => PathForm::Bytes(path.as_os_str().as_bytes().to_vec()),
        };
        written.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
        Ok(match PathForm::deserialize(from)? {
            PathForm::Text(text) => text.into(),
            PathForm::Bytes(bytes) => OsString::from_vec(bytes).into(),
        })
    }
}

/// Writes a path that may be missing.
mod path_or_none {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct PathText(#[serde(with = "path")] PathBuf);

    pub(super) fn serialize<S: Serializer>(
        path: &Option<PathBuf>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        path.clone().map(PathText).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        Ok(Option::<PathText>::deserialize(from)?.map(|written| written.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_version_put_in_can_be_read() {
        let old =
            r#"{"job":"a","input":"in","output":"out","dead":null,"scheduled_ms":7,"stamp":null}"#;
        let payload = JobPayload::read(old).expect("it was written by version 1");
        assert_eq!((payload.scheduled_ms, payload.fingerprint), (Some(7), None));
    }

    #[test]
    fn a_name_that_is_no_text_is_kept_byte_by_byte() {
        let odd = PathBuf::from(OsString::from_vec(b"in/caf\xe9".to_vec()));
        let old =
            r#"{"job":"a","input":"in","output":"out","dead":"d","scheduled_ms":7,"stamp":null}"#;
        let payload = JobPayload { input: odd, ..JobPayload::read(old).expect("it can be read") };
        let text = serde_json::to_string(&payload).expect("it can be written");
        assert_eq!(JobPayload::read(&text), Some(payload));
    }
}
