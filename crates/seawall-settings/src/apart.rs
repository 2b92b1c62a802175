//! Which files of jobs must not be one: what writes over its input, or feeds itself without end.
//!
//! Does not know: what jobs do with them. Files are compared by what they are: links, `.` and other
//! spellings make no difference.

use std::ops::Range;
use std::path::Path;

use seawall_worker::FileLocation;

use super::job::{Begins, JobSettings};
use super::keys::{self, Key};
use super::raw::Section;
use super::report::{SettingsProblem, SettingsReport};
use super::typed::Text;

/// What a job does with a file or folder.
struct Use<'a> {
    job: &'a str,
    /// How it is called.
    what: &'static str,
    place: FileLocation,
    span: Range<usize>,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One file is read.
    Input,
    /// Every file in it is read.
    Folder,
    /// It is written: a file, or a folder of files.
    Output,
    /// Files in it are written that may have the names of others.
    Within,
}

/// Reports jobs that would get into their own or each other's way.
pub(super) fn apart(jobs: &[(&JobSettings, &Section)], report: &mut SettingsReport) {
    let mut uses: Vec<Use<'_>> = Vec::new();
    for (job, section) in jobs {
        for one in uses_of(job, section) {
            if let Some((other, why)) =
                uses.iter().find_map(|other| conflict(other, &one).map(|why| (other, why)))
            {
                let title = match other.job == one.job {
                    true => {
                        format!("job `{}`: its {} is its {}: {why}", one.job, one.what, other.what)
                    }
                    false => format!(
                        "the {} of job `{}` is the {} of job `{}`: {why}",
                        one.what, one.job, other.what, other.job
                    ),
                };
                let problem = SettingsProblem::error(title).at(one.span.clone(), "");
                let help = "files are compared by what they are, not by how they are spelled";
                report.add(problem.at(other.span.clone(), "").help(help));
            }
            uses.push(one);
        }
    }
}

fn uses_of<'a>(job: &'a JobSettings, section: &Section) -> Vec<Use<'a>> {
    let mut uses = Vec::new();
    let mut add = |what, path: &Path, key: Key<Option<Text>>, kind| {
        // What cannot be looked at now is looked at again when it is opened.
        if let Ok(place) = FileLocation::of(path) {
            let span = section.text(key).map_or(section.span.clone(), |(_, span)| span);
            uses.push(Use { job: &job.name, what, place, span, kind });
        }
    };
    let (output, dead) = (keys::JOB_OUTPUT, keys::JOB_ON_FAILURE_FILE);
    if job.begins == Begins::WithFiles {
        add("folder", &job.input, keys::JOB_FOLDER, Kind::Folder);
        add("output", &job.output, output, Kind::Output);
        if let Some(folder) = &job.dead {
            add("dead letter folder", folder, dead, Kind::Within);
        }
        return uses;
    }
    add("input", &job.input, keys::JOB_INPUT, Kind::Input);
    let files = job.files();
    for (what, within, path, key) in [
        ("output", "output's folder", &files.output, output),
        ("dead letter file", "dead letter file's folder", &files.dead, dead),
    ] {
        add(what, path, key, Kind::Output);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        add(within, folder.unwrap_or(Path::new(".")), key, Kind::Within);
    }
    uses
}

/// Says why two uses cannot be of one file.
fn conflict(one: &Use<'_>, other: &Use<'_>) -> Option<&'static str> {
    if one.place != other.place {
        return None;
    }
    let is_same_job = one.job == other.job;
    match (one.kind, other.kind) {
        (Kind::Folder, Kind::Output | Kind::Within)
        | (Kind::Output | Kind::Within, Kind::Folder) => {
            Some("it would read what it writes, without end")
        }
        (Kind::Folder, Kind::Folder) => None,
        (Kind::Input, Kind::Output) | (Kind::Output, Kind::Input) if is_same_job => {
            Some("it would write over what it reads")
        }
        (Kind::Output, Kind::Output) => Some("each would write over what the other has written"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use crate::{Text, load_text};

    #[test]
    fn files_that_must_not_be_one_are_refused_however_they_are_spelled() {
        let folder = tempfile::tempdir().expect("there is room");
        let at = folder.path().display().to_string();
        for name in ["x", "y"] {
            fs::create_dir(folder.path().join(name)).expect("it is new");
        }
        symlink(folder.path().join("x"), folder.path().join("link")).expect("it is new");
        let load = |jobs: &[&str]| {
            let jobs = jobs.iter().enumerate().map(|(number, job)| {
                let job = job.replace("AT", &at);
                format!("[job.j{number}]\n{job}\nkeep = {{ matches = \"x\" }}\n")
            });
            let text = Text { name: "test".into(), text: jobs.collect::<String>().into() };
            load_text(text, &|_| None).map(|_| ()).map_err(|report| report.human(false))
        };
        for (jobs, why) in [
            (&["folder = \"AT/x\"\noutput = \"AT/x/.\""][..], "without end"),
            (&["folder = \"AT/x\"\noutput = \"AT/link\""], "without end"),
            (
                &["folder = \"AT/x\"\noutput = \"AT/y\"\non_failure = { file = \"AT/link\" }"],
                "without end",
            ),
            (
                &[
                    "folder = \"AT/x\"\noutput = \"AT/y\"",
                    "folder = \"AT/link/../y\"\noutput = \"AT/z\"",
                ],
                "the folder of job `j1` is the output of job `j0`",
            ),
            (
                &[
                    "folder = \"AT/x\"\noutput = \"AT/y\"",
                    "input = \"AT/a\"\noutput = \"AT/link/b\"",
                ],
                "the output's folder of job `j1`",
            ),
            (&["input = \"AT/a\"\noutput = \"AT/x/../a\""], "write over what it reads"),
            (
                &["input = \"AT/a\"\noutput = \"AT/b\"\non_failure = { file = \"AT/./b\" }"],
                "the other has written",
            ),
            (
                &[
                    "input = \"AT/a\"\noutput = \"AT/x/o\"",
                    "input = \"AT/b\"\noutput = \"AT/link/o\"",
                ],
                "the other has written",
            ),
            (
                &["folder = \"AT/x\"\noutput = \"AT/o\"", "folder = \"AT/y\"\noutput = \"AT/o\""],
                "the other has written",
            ),
        ] {
            let said = load(jobs).expect_err(why);
            assert!(said.contains(why), "{jobs:?}: {said}");
        }
        let chain = &[
            "input = \"AT/a\"\noutput = \"AT/b\"",
            "input = \"AT/b\"\noutput = \"AT/c\"",
            "folder = \"AT/x\"\noutput = \"AT/x/out\"\non_failure = { file = \"AT/x/out\" }",
        ];
        load(chain).expect("one job may read what another one has written");
    }
}
