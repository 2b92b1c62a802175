//! Whom a job tells when a run of it has ended, as it is meant.
//!
//! Does not know: how it is told.

use http::{Method, Uri};

use seawall_core::Secret;

use super::environment::{Environment, secret};
use super::keys::{self, EndKeys};
use super::raw::Section;
use super::report::{SettingsProblem, SettingsReport};
use super::resolved::Resolved;
use super::route::{Upstreams, find_upstream, read_method};

/// Who is told, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookSettings {
    /// A call.
    Call {
        /// The place of its upstream.
        upstream: usize,
        /// The method.
        method: Method,
        /// The path, perhaps with a query.
        path: Uri,
        /// What the call is signed with.
        secret: Option<Secret>,
    },
    /// A command: the program, and what follows.
    Command(Vec<String>),
}

/// Reads one hook; `None` after reporting what is wrong, `Some(None)` if there is none.
pub(super) fn hook(
    end: &EndKeys,
    (section, resolved): (&Section, &Resolved),
    upstreams: Upstreams<'_>,
    environment: Environment<'_>,
    report: &mut SettingsReport,
) -> Option<Option<HookSettings>> {
    if !resolved.get(end.part) {
        return Some(None);
    }
    let name = end.name;
    let command = resolved.get(end.command);
    let refuse = |title: String, help: &str, report: &mut SettingsReport| {
        let at = resolved.span(end.part).unwrap_or_else(|| section.span.clone());
        report.add(SettingsProblem::error(title).at(at, "").help(help));
        None
    };
    let of = format!("job `{}`", section.name);
    let is_call = resolved.get(end.send).is_some();
    let help = format!("{name} = {{ send = \"POST /hooks\", upstream = \"hooks\" }}");
    match (is_call, command.is_empty()) {
        (true, false) => {
            return refuse(format!("{of} has a call and a command in `{name}`"), &help, report);
        }
        // As if it were not there.
        (false, true) => return Some(None),
        (false, false) => return Some(Some(HookSettings::Command(command.to_vec()))),
        (true, true) => {}
    }
    let upstream_key = match section.text(end.upstream) {
        Some(_) => end.upstream,
        None => keys::JOB_EACH_LINE_UPSTREAM,
    };
    if section.text(upstream_key).is_none() {
        let title = format!("{of} does not say which upstream `{name}` calls");
        return refuse(title, &help, report);
    }
    let upstream = find_upstream(section, upstream_key, &of, upstreams, report);
    let is_named = resolved.get(end.secret).is_some();
    let secret = secret(resolved, end.secret, environment, report);
    let (text, span) = section.text(end.send)?;
    let read = text.split_once(' ').and_then(|(method, path)| {
        let path = path.trim_start();
        let path = path.parse::<Uri>().ok().filter(|_| path.starts_with('/'))?;
        Some((read_method(method), path))
    });
    let (method, path) = match read {
        None => {
            let problem = SettingsProblem::error("`send` wants a method and a path").at(span, "");
            report.add(problem.help("send = \"POST /hooks\""));
            return None;
        }
        Some((Err(problem), _)) => {
            report.add(problem.at(span, ""));
            return None;
        }
        Some((Ok(method), path)) => (method, path),
    };
    // One that is named and not there was reported.
    if is_named && secret.is_none() {
        return None;
    }
    Some(Some(HookSettings::Call { upstream: upstream?, method, path, secret }))
}

#[cfg(test)]
mod tests {
    use crate::{JobSettings, Text, load_text};

    use super::*;

    fn job(more: &str) -> Result<JobSettings, String> {
        let text = format!(
            "[upstream.hooks]\nurl = \"http://10.0.0.7:7001\"\n\
             [job.a]\ninput = \"in\"\nkeep = {{ matches = \"x\" }}\n{more}\n"
        );
        let text = Text { name: "seawall.toml".into(), text: text.into() };
        let env = |name: &str| (name == "SET").then(|| "hush".to_owned());
        let loaded = load_text(text, &env).map_err(|report| report.human(false))?;
        Ok(loaded.settings.jobs[0].clone())
    }

    #[test]
    fn who_is_told_is_a_call_or_a_command() {
        let told = job("on_done = { send = \"PUT /a?b\", upstream = \"hooks\", secret = { env = \
                        \"SET\" } }\non_failed = { command = [\"page\", \"me\"] }\nconcurrency = 2");
        let told = told.unwrap_or_else(|why| panic!("{why}"));
        let Some(HookSettings::Call { upstream: 0, method, path, secret }) = told.on_done else {
            panic!("{:?}", told.on_done)
        };
        assert_eq!((method, path.to_string()), (Method::PUT, "/a?b".to_owned()));
        assert_eq!(secret, Some(Secret::new("hush")));
        let words = ["page", "me"].map(str::to_owned).to_vec();
        assert_eq!(told.on_failed, Some(HookSettings::Command(words)));
        assert_eq!(told.at_once, Some(2));
        for nobody in ["", "on_done = { upstream = \"hooks\" }"] {
            assert_eq!(job(nobody).map(|job| (job.on_done, job.at_once)), Ok((None, None)));
        }
        let each = "each_line = { send = \"GET /\", upstream = \"hooks\" }";
        let same = job(&format!("{each}\non_done = {{ send = \"POST /a\" }}"));
        let same = same.unwrap_or_else(|why| panic!("{why}")).on_done;
        assert!(matches!(same, Some(HookSettings::Call { upstream: 0, .. })), "{same:?}");
    }

    #[test]
    fn who_cannot_be_told_is_refused_with_the_reason() {
        for (more, why) in [
            ("on_done = { send = \"POST /a\" }", "which upstream `on_done` calls"),
            ("on_failed = { send = \"POST /a\", upstream = \"hook\" }", "did you mean `hooks`"),
            ("on_done = { send = \"POST a\", upstream = \"hooks\" }", "a method and a path"),
            ("on_done = { send = \"post /a\", upstream = \"hooks\" }", "POST"),
            (
                "on_done = { send = \"POST /a\", upstream = \"hooks\", command = [\"a\"] }",
                "a call and a command",
            ),
            (
                "on_done = { send = \"POST /a\", upstream = \"hooks\", secret = { env = \"NOT\" } }",
                "NOT is not set",
            ),
            ("concurrency = 0", "1 to 1000"),
        ] {
            let said = job(more).expect_err(more);
            assert!(said.contains(why), "{more}: {said}");
        }
    }
}
