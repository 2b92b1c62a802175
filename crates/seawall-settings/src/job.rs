//! Jobs as they are meant: every request read, every upstream known.
//!
//! Does not know: how a job is run. Templates and expressions are read by the crate that uses them,
//! so that what is taken here is taken there.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use seawall_wire::Template;
use seawall_worker::{Answers, FailuresMax, Select, Settings, Sync, Weight, WeightOf};

use super::environment::Environment;
use super::hook::{HookSettings, hook};
use super::keys::{self, Key};
use super::raw::Section;
use super::report::{SettingsProblem, SettingsReport, within};
use super::resolved::Resolved;
use super::route::{Upstreams, find_upstream, read_method};
use super::schedule::{CatchUp, Schedule};
use super::typed::Text;
use super::units;
use super::when_done::WhenDone;

/// One job.
#[derive(Clone, Debug)]
pub struct JobSettings {
    /// Its name; the input's for one that stands in no file.
    pub name: Arc<str>,
    /// What is read; the folder, if that is watched.
    pub input: PathBuf,
    /// Where answers go.
    pub output: PathBuf,
    /// Where lines go that failed; `None` for the output's name and `.dead`.
    pub dead: Option<PathBuf>,
    /// When the server reads it.
    pub begins: Begins,
    /// Which times are made up that came when no run could begin.
    pub catch_up: CatchUp,
    /// What becomes of a file of the folder when it was read.
    pub when_done: WhenDone,
    /// What a new run is called; `None` for any name.
    pub run: Option<String>,
    /// Of jobs that wait, those with more go first.
    pub priority: i32,
    /// How many times the server begins a run.
    pub attempts_max: u32,
    /// How many runs of it are under way at once.
    pub at_once: Option<u32>,
    /// Who is told when a run is done.
    pub on_done: Option<HookSettings>,
    /// Who is told when one has failed.
    pub on_failed: Option<HookSettings>,
    /// What is sent for each line; `None` if lines only go through `keep`.
    pub send: Option<SendSettings>,
    /// Which lines, and what of them.
    pub keep: KeepSettings,
    /// How many calls are under way at once.
    pub in_flight_max: usize,
    /// How many lines begin in a second.
    pub per_second: Option<f64>,
    /// How much weight begins in a second.
    pub weight: Option<Weight>,
    /// For how long a line waits that cannot be sent now; `None` for as long as it takes.
    pub give_up: Option<Duration>,
    /// When the run gives up.
    pub failures_max: Option<FailuresMax>,
    /// Whether the lines of the input are dead letters of another run.
    pub is_letters: bool,
    /// Whether answers have the order of the input.
    pub is_ordered: bool,
    /// Whether no line is ever sent again.
    pub is_at_most_once: bool,
    /// How answers are written.
    pub answers: Answers,
    /// When what is written is made durable.
    pub sync: Sync,
    /// How long a line may be.
    pub line_bytes_max: usize,
    /// How long an answer may be.
    pub answer_bytes_max: usize,
}

impl JobSettings {
    /// Returns where the files of a run are; everything else has its default.
    pub fn files(&self) -> Settings {
        let mut settings = Settings::new(&self.input, &self.output);
        if let Some(dead) = &self.dead {
            settings.dead.clone_from(dead);
        }
        settings
    }
}

/// When the server reads the input of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Begins {
    /// When somebody says so.
    ByHand,
    /// At these times.
    At(Schedule),
    /// When a file appears in the folder that is the input.
    WithFiles,
}

/// What is sent for each line.
#[derive(Clone, Debug)]
pub struct SendSettings {
    /// The place of the upstream in the settings.
    pub upstream: usize,
    /// The method.
    pub method: Method,
    /// The path, with places.
    pub path: String,
    /// The body, with places; `None` for the usual one.
    pub body: Option<String>,
    /// The headers.
    pub headers: HeaderMap,
}

/// Which lines are kept, and what of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeepSettings {
    /// Those that this matches.
    pub matches: Option<String>,
    /// Those that this does not match.
    pub matches_not: Option<String>,
    /// These members; none for the whole line.
    pub fields: Vec<String>,
}

impl KeepSettings {
    /// Returns whether it does nothing.
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }

    /// Makes what does it.
    ///
    /// # Errors
    ///
    /// Says what is wrong with an expression or a name.
    pub fn select(&self) -> Result<Select, String> {
        let fields = Some(self.fields.as_slice()).filter(|fields| !fields.is_empty());
        Select::new(self.matches.as_deref(), self.matches_not.as_deref(), fields)
            .map_err(|bad| bad.to_string())
    }
}

/// Reads one job; nothing after reporting what is wrong with it.
pub(super) fn job(
    section: &Section,
    upstreams: Upstreams<'_>,
    environment: Environment<'_>,
    report: &mut SettingsReport,
) -> Option<(JobSettings, Resolved)> {
    let mut resolved = Resolved::new(keys::JOB, &[section]);
    let path = |key: Key<Option<Text>>| resolved.get(key).map(PathBuf::from);
    let (input, begins) = source(section, &resolved, report)?;
    let output = path(keys::JOB_OUTPUT).unwrap_or_else(|| output_of(&input));
    let dead = path(keys::JOB_ON_FAILURE_FILE);
    let keep = keep(&resolved, report);
    let failures_max = failures_max(section, &resolved, report);
    let send = match resolved.get(keys::JOB_EACH_LINE) {
        false => Some(None),
        true => send(section, &resolved, upstreams, report).map(Some),
    };
    let mut told = |end| hook(end, (section, &resolved), upstreams, environment, report);
    let (on_done, on_failed) = (told(&keys::JOB_ON_DONE), told(&keys::JOB_ON_FAILED));
    let (send, keep, failures_max) = (send?, keep?, failures_max?);
    if send.is_none() && keep.is_idle() {
        let title = format!("job `{}` does nothing with its lines", section.name);
        let help = "each_line = { send = \"POST /…\", upstream = \"…\" }, or keep = { … }";
        report.add(SettingsProblem::error(title).at(section.span.clone(), "").help(help));
        return None;
    }
    if resolved.is_written(keys::JOB_EACH_LINE_WEIGHT)
        && resolved.get(keys::JOB_EACH_LINE_WEIGHT_RATE).is_none()
    {
        let span = resolved.span(keys::JOB_EACH_LINE_WEIGHT).unwrap_or(0..0);
        let problem = SettingsProblem::warning("a weight without a `weight_rate` limits nothing");
        report.add(problem.at(span, "").help("weight_rate = \"10000/s\""));
    }
    let weight = resolved.get(keys::JOB_EACH_LINE_WEIGHT_RATE).map(|per_second| {
        let of = weight_of(resolved.get(keys::JOB_EACH_LINE_WEIGHT));
        Weight { per_second, of }
    });
    let settings = JobSettings {
        name: section.name.as_str().into(),
        input,
        output: output.clone(),
        dead,
        begins,
        catch_up: resolved.get(keys::JOB_CATCH_UP),
        when_done: resolved.get(keys::JOB_WHEN_DONE),
        run: None,
        priority: resolved.get(keys::JOB_PRIORITY) as i32,
        attempts_max: resolved.get(keys::JOB_ATTEMPTS) as u32,
        at_once: resolved.get(keys::JOB_CONCURRENCY).map(|at_once| at_once as u32),
        on_done: on_done?,
        on_failed: on_failed?,
        send,
        keep,
        in_flight_max: resolved.get(keys::JOB_EACH_LINE_CONCURRENCY) as usize,
        per_second: resolved.get(keys::JOB_EACH_LINE_RATE),
        weight,
        give_up: resolved.get(keys::JOB_ON_FAILURE_GIVE_UP),
        failures_max,
        is_letters: false,
        is_ordered: resolved.get(keys::JOB_ORDERED),
        is_at_most_once: resolved.get(keys::JOB_AT_MOST_ONCE),
        answers: resolved.get(keys::JOB_ANSWERS),
        sync: resolved.get(keys::JOB_SYNC),
        line_bytes_max: resolved.get(keys::JOB_LINE) as usize,
        answer_bytes_max: resolved.get(keys::JOB_ANSWER) as usize,
    };
    resolved.follow(keys::JOB_OUTPUT, Some(&output.display().to_string()));
    Some((settings, resolved))
}

/// Reads what the input is, and when it is read.
fn source(
    section: &Section,
    resolved: &Resolved,
    report: &mut SettingsReport,
) -> Option<(PathBuf, Begins)> {
    let schedule = match section.text(keys::JOB_SCHEDULE) {
        None => None,
        Some((text, span)) => match Schedule::parse(text) {
            Ok(schedule) => Some(schedule),
            Err(why) => {
                let problem =
                    SettingsProblem::error(format!("not a time to begin: {why}")).at(span, "");
                report.add(problem.help("schedule = \"0 3 * * 1-5 Europe/Oslo\""));
                return None;
            }
        },
    };
    let refuse =
        |title: &str, help: &str, spans: [Option<Range<usize>>; 2], report: &mut SettingsReport| {
            let problem = SettingsProblem::error(format!("job `{}` {title}", section.name));
            let problem =
                spans.into_iter().flatten().fold(problem, |problem, span| problem.at(span, ""));
            report.add(problem.at(section.span.clone(), "").help(help));
            None
        };
    let span = |key| resolved.span(key);
    let [input, folder] = [keys::JOB_INPUT, keys::JOB_FOLDER];
    if resolved.get(keys::JOB_WHEN_DONE) != WhenDone::Keep && resolved.get(folder).is_none() {
        let spans = [resolved.span(keys::JOB_WHEN_DONE), None];
        let title = "has a `when_done` and no `folder`";
        return refuse(title, "take `when_done` out", spans, report);
    }
    if resolved.get(keys::JOB_CATCH_UP) != CatchUp::None
        && resolved.get(keys::JOB_SCHEDULE).is_none()
    {
        let spans = [resolved.span(keys::JOB_CATCH_UP), None];
        let title = "has a `catch_up` and no `schedule`";
        return refuse(title, "take `catch_up` out", spans, report);
    }
    match (resolved.get(input), resolved.get(folder), schedule) {
        (Some(_), Some(_), _) => {
            let spans = [span(input), span(folder)];
            refuse("has an input and a folder", "take one of them out", spans, report)
        }
        (None, None, _) => {
            let help = "input = \"data/cities.ndjson\"";
            refuse("has no `input` and no `folder`", help, [None, None], report)
        }
        (_, Some(_), Some(_)) => {
            let title = "reads files when they appear: it has no schedule";
            let spans = [span(folder), span(keys::JOB_SCHEDULE)];
            refuse(title, "take the schedule out", spans, report)
        }
        (None, Some(_), None) if !resolved.is_written(keys::JOB_OUTPUT) => {
            let help = "output = \"data/outgoing\"";
            refuse("needs an `output` folder", help, [span(folder), None], report)
        }
        (None, Some(folder), None) => Some((folder.into(), Begins::WithFiles)),
        (Some(input), None, Some(schedule)) => Some((input.into(), Begins::At(schedule))),
        (Some(input), None, None) => Some((input.into(), Begins::ByHand)),
    }
}

/// Returns where answers go if nobody says.
pub fn output_of(input: &std::path::Path) -> PathBuf {
    let mut name = input.as_os_str().to_owned();
    name.push(".out");
    name.into()
}

/// Reads what a line weighs.
pub fn weight_of(text: &str) -> WeightOf {
    match text {
        "bytes" => WeightOf::Bytes,
        member => WeightOf::Field(member.to_owned()),
    }
}

/// Reads `5%` or `1000`.
///
/// # Errors
/// Says what is wrong, to be read after "is".
pub fn failures_of(text: &str) -> Result<FailuresMax, String> {
    match text.trim().replace('_', "").parse() {
        Ok(lines) => Ok(FailuresMax::Lines(lines)),
        Err(_) => {
            let not = |why| format!("{why}; 5% or a number of lines is wanted");
            let ratio = units::percent(text).map_err(not)?;
            Ok(FailuresMax::Share { ratio, of_at_least: 100 })
        }
    }
}

fn failures_max(
    section: &Section,
    resolved: &Resolved,
    report: &mut SettingsReport,
) -> Option<Option<FailuresMax>> {
    const KEY: Key<Option<Text>> = keys::JOB_ON_FAILURE_STOP_ABOVE;
    let Some(text) = resolved.get(KEY) else { return Some(None) };
    match failures_of(text) {
        Ok(max) => Some(Some(max)),
        Err(why) => {
            let title = format!("`{}.on_failure.stop_above` is {why}", section.path);
            report.add(SettingsProblem::error(title).at(resolved.span(KEY).unwrap_or(0..0), ""));
            None
        }
    }
}

fn keep(resolved: &Resolved, report: &mut SettingsReport) -> Option<KeepSettings> {
    if !resolved.get(keys::JOB_KEEP) {
        return Some(KeepSettings::default());
    }
    let text = |key: Key<Option<Text>>| resolved.get(key).map(str::to_owned);
    let keep = KeepSettings {
        matches: text(keys::JOB_KEEP_MATCHES),
        matches_not: text(keys::JOB_KEEP_MATCHES_NOT),
        fields: resolved.get(keys::JOB_KEEP_FIELDS).to_vec(),
    };
    match keep.select() {
        Ok(_) => Some(keep),
        Err(why) => {
            let spans = [
                resolved.span(keys::JOB_KEEP_MATCHES),
                resolved.span(keys::JOB_KEEP_MATCHES_NOT),
                resolved.span(keys::JOB_KEEP_FIELDS),
            ];
            let problem = SettingsProblem::error(format!("this cannot select lines: {why}"));
            report.add(
                spans.into_iter().flatten().fold(problem, |problem, span| problem.at(span, "")),
            );
            None
        }
    }
}

fn send(
    section: &Section,
    resolved: &Resolved,
    upstreams: Upstreams<'_>,
    report: &mut SettingsReport,
) -> Option<SendSettings> {
    let of = format!("job `{}`", section.name);
    let upstream = find_upstream(section, keys::JOB_EACH_LINE_UPSTREAM, &of, upstreams, report);
    let request = section
        .text(keys::JOB_EACH_LINE_SEND)
        .and_then(|(text, span)| read_request(text, &span, report));
    let headers = headers(resolved, report);
    let (method, path) = request?;
    let body = resolved.get(keys::JOB_EACH_LINE_BODY).map(str::to_owned);
    Some(SendSettings { upstream: upstream?, method, path, body, headers: headers? })
}

fn headers(resolved: &Resolved, report: &mut SettingsReport) -> Option<HeaderMap> {
    const KEY: Key<Option<Text>> = keys::JOB_EACH_LINE_CONTENT_TYPE;
    let Some(text) = resolved.get(KEY) else { return Some(HeaderMap::new()) };
    let value = HeaderValue::from_str(text).ok().filter(|_| text.contains('/'));
    if value.is_none() {
        let problem =
            SettingsProblem::error("not a media type").at(resolved.span(KEY).unwrap_or(0..0), "");
        report.add(problem.help("content_type = \"application/json\""));
    }
    let pair = |value| (header::CONTENT_TYPE as HeaderName, value);
    value.map(|value| HeaderMap::from_iter([pair(value)]))
}

/// Reads `METHOD /path`.
fn read_request(
    text: &str,
    span: &Range<usize>,
    report: &mut SettingsReport,
) -> Option<(Method, String)> {
    let Some((method, path)) = text.split_once(' ') else {
        let problem =
            SettingsProblem::error("`send` wants a method and a path").at(span.clone(), "");
        report.add(problem.help("send = \"POST /v1/cities\""));
        return None;
    };
    let path = path.trim_start();
    let method = match read_method(method) {
        Ok(method) => method,
        Err(problem) => {
            report.add(problem.at(span.clone(), ""));
            return None;
        }
    };
    if let Err(flaw) = Template::parse(path) {
        let start = text.len() - path.len();
        let place = within(report, text, span, start + flaw.at.start..start + flaw.at.end);
        let title = format!("not a path to send lines to: {}", flaw.why);
        report.add(SettingsProblem::error(title).at(place, ""));
        return None;
    }
    Some((method, path.to_owned()))
}

#[cfg(test)]
mod tests {
    use crate::{Loaded, SettingsReport, Text, load_text};

    use super::*;

    fn load(jobs: &str) -> Result<Loaded, SettingsReport> {
        let text = format!("[upstream.cities]\nurl = \"http://10.0.0.7:7001\"\n{jobs}");
        load_text(Text { name: "seawall.toml".into(), text: text.into() }, &|_| None)
    }

    fn taken(job: &str) -> JobSettings {
        match load(job) {
            Ok(loaded) => loaded.settings.jobs[0].clone(),
            Err(report) => panic!("refused:\n{}", report.human(false)),
        }
    }

    #[test]
    fn a_job_is_read_and_what_is_not_said_follows() {
        let job = taken(
            "[job.a]\ninput = \"in\"\neach_line = { send = \"PUT /c/{id}\", upstream = \"cities\", \
             rate = \"30/m\", weight_rate = \"5/s\", weight = \"a.b\" }\n\
             on_failure = { stop_above = \"5%\" }\n",
        );
        assert_eq!((&*job.name, job.output.to_str()), ("a", Some("in.out")));
        let send = job.send.expect("it sends");
        assert_eq!((send.method.as_str(), &*send.path, send.upstream), ("PUT", "/c/{id}", 0));
        assert_eq!((job.per_second, job.in_flight_max), (Some(0.5), 16));
        let of = WeightOf::Field("a.b".to_owned());
        assert_eq!(job.weight, Some(Weight { per_second: 5.0, of }));
        let share = FailuresMax::Share { ratio: 0.05, of_at_least: 100 };
        assert_eq!(job.failures_max, Some(share));
        assert_eq!(job.begins, Begins::ByHand);
        let job = taken("[job.a]\nfolder = \"in\"\noutput = \"out\"\nkeep = { matches = \"x\" }\n");
        assert_eq!((job.begins, job.send.is_none()), (Begins::WithFiles, true));
        assert_eq!(failures_of("1_000"), Ok(FailuresMax::Lines(1000)));
    }

    #[test]
    fn a_job_that_means_nothing_is_refused_with_its_reason() {
        let each = "each_line = { send = \"GET /{line}\", upstream = \"cities\" }";
        let jobs = [
            "[job.a]\n".to_owned(),
            format!("[job.b]\ninput = \"in\"\nfolder = \"in\"\n{each}\n"),
            format!("[job.c]\nfolder = \"in\"\n{each}\n"),
            "[job.d]\ninput = \"in\"\n".to_owned(),
            format!("[job.e]\ninput = \"in\"\nschedule = \"61 * * * *\"\n{each}\n"),
            "[job.f]\ninput = \"in\"\n\
             each_line = { send = \"get /{line}\", upstream = \"citys\" }\n"
                .to_owned(),
            "[job.g]\ninput = \"in\"\n\
             each_line = { send = \"GET /{line\", upstream = \"cities\" }\n"
                .to_owned(),
            "[job.h]\ninput = \"in\"\nkeep = { matches = \"(\" }\n".to_owned(),
            format!("[job.i]\ninput = \"in\"\non_failure = {{ stop_above = \"many\" }}\n{each}\n"),
        ];
        let report = load(&jobs.concat()).expect_err("none of them means anything");
        insta::assert_snapshot!(report.human(false));
    }
}
