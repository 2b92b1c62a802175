//! `seawall init`: a settings file to start from, written from the table of keys.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use seawall_settings::keys::{self, Row};
use seawall_settings::{USUAL, ValueKind, schema};

use super::Console;
use crate::cli::{Global, Init, InitKind};
use crate::exit::Exit;

pub(super) fn init(global: &Global, flags: &Init, console: &Console) -> Exit {
    let (file, minimal, next) = match flags.kind {
        InitKind::Gateway => (file(), MINIMAL, "`seawall check` and `seawall run`"),
        InitKind::Job => (job_file(), MINIMAL_JOB, "`seawall job run cities --dry-run`"),
    };
    if flags.minimal {
        console.answer(minimal.trim_end());
        return Exit::Done;
    }
    let path = global.config.clone().unwrap_or_else(|| PathBuf::from(USUAL));
    let schema_path = path.with_file_name(SCHEMA);
    if let Err(error) = write_new(&path, &file) {
        let (what, help) = match error.kind() {
            io::ErrorKind::AlreadyExists => {
                let help = "`seawall init -c OTHER.toml` writes another, `--minimal` only prints";
                (format!("{} is there already, and is left as it is", path.display()), Some(help))
            }
            _ => (format!("cannot write {}: {error}", path.display()), None),
        };
        console.error(&what, help);
        return Exit::Open;
    }
    console.note(&format!("wrote {}", path.display()));
    // The schema is only for editors, and one that is there may be newer or shared.
    match write_new(&schema_path, &format!("{:#}\n", schema())) {
        Ok(()) => console.note(&format!("wrote {} (for editors)", schema_path.display())),
        Err(error) => console.note(&format!("left {} alone: {error}", schema_path.display())),
    }
    console.note(&format!("next: edit the three lines that say EDIT, then {next}"));
    Exit::Done
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

/// Returns the commented file: `# ` begins an explanation, `#` alone a setting.
fn file() -> String {
    let mut file = HEAD.to_owned();
    section(&mut file, "listener", "#[[listener]]");
    for table in TABLES {
        section(&mut file, table, &format!("[{table}]"));
    }
    section(&mut file, "policy", "[policy.standard]");
    parts(&mut file, "policy", "policy.standard");
    file
}

/// Returns the commented file of a job.
fn job_file() -> String {
    let mut file = HEAD_JOB.to_owned();
    section(&mut file, "worker", "[worker]");
    section(&mut file, "job", JOB);
    section(&mut file, "job.each_line", EACH_LINE);
    parts(&mut file, "job", "job.cities");
    file
}

/// Writes the parts of a table, each under a heading of its own: those that are off behind a `#`.
fn parts(file: &mut String, table: &str, shown: &str) {
    for part in keys::within(table).filter(|key| key.kind == ValueKind::Part && !is_said(key)) {
        let heading = format!("[{shown}.{}]", part.name());
        match part.default {
            "\"off\"" => section(file, part.path, &format!("#{heading}  # off by default")),
            _ => section(file, part.path, &heading),
        }
    }
}

/// Returns whether a key has no line of its own: the first lines of the file say it already.
fn is_said(key: &Row) -> bool {
    SAID.contains(&key.path)
}

fn section(file: &mut String, table: &str, heading: &str) {
    let what = keys::find(table).map_or("", |key| key.what);
    explanation(file, "\n# ", what);
    let _ = writeln!(file, "{}", heading.trim_end());
    for key in keys::within(table).filter(|key| key.is_leaf() && !is_said(key)) {
        explanation(file, "# ", key.what);
        let (name, sample) = (key.name(), key.sample());
        let _ = match (key.is_required, key.default) {
            (true, _) => writeln!(file, "#{name} = {sample}  # needed"),
            (false, "") => writeln!(file, "#{name} = {sample}  # an example"),
            (false, _) => writeln!(file, "#{name} = {sample}"),
        };
    }
}

/// Writes an explanation, in lines that fit a terminal.
fn explanation(file: &mut String, prefix: &str, text: &str) {
    let mut line = String::new();
    let mut prefix = prefix;
    for word in text.split(' ') {
        if line.len() + word.len() > 90 {
            let _ = writeln!(file, "{prefix}{}", line.trim_end());
            line.clear();
            prefix = "# ";
        }
        line += word;
        line.push(' ');
    }
    let _ = writeln!(file, "{prefix}{}", line.trim_end());
}

/// The tables that stand in the file of a gateway, before policies.
const TABLES: [&str; 4] = ["server", "server.limits", "admin", "log"];

/// The keys without a line of their own.
const SAID: [&str; 8] = [
    // The old form of a listener.
    "server.listen",
    "policy.extends",
    "job.input",
    "job.folder",
    "job.each_line",
    "job.each_line.send",
    "job.each_line.upstream",
    // Nothing by itself: it says what `weight_rate` counts.
    "job.each_line.weight",
];

const SCHEMA: &str = "seawall.schema.json";

const HEAD: &str = r##"#:schema ./seawall.schema.json
# Settings of Seawall. To change one, take away the `#` before it, and before its heading if
# there is one: it stands at its default, or is an example of what has none.
# `seawall check` finds what is wrong, `seawall config explain KEY` says more about a key.
version = 1

[upstream.weather-api]
url = "http://127.0.0.1:7001"      # EDIT: where your service is

[[route]]
match = "GET /api/weather/{city}"  # EDIT: what clients ask for
upstream = "weather-api"
path = "/{city}"                   # EDIT: what your service is asked for
"##;

const HEAD_JOB: &str = r##"#:schema ./seawall.schema.json
# Settings of a job of Seawall. To change one, take away the `#` before it, and before its
# heading if there is one: it stands at its default, or is an example of what has none.
# `seawall check` finds what is wrong, `seawall config explain KEY` says more about a key.
version = 1

[upstream.weather-api]
url = "http://127.0.0.1:7001"      # EDIT: where your service is
"##;

const JOB: &str = r##"[job.cities]
input = "cities.txt"               # EDIT: your file of lines; or a folder of files that appear:
                                   # folder = "incoming"
"##;

const EACH_LINE: &str = r##"[job.cities.each_line]
send = "GET /{line}"               # EDIT: what is sent for each line
upstream = "weather-api"
"##;

const MINIMAL_JOB: &str = r#"
upstream.weather-api.url = "http://127.0.0.1:7001"
[job.cities]
input = "cities.txt"
each_line = { send = "GET /{line}", upstream = "weather-api" }
"#;

const MINIMAL: &str = r#"
upstream.weather-api.url = "http://127.0.0.1:7001"
[[route]]
match = "GET /api/weather/{city}"
upstream = "weather-api"
"#;

#[cfg(test)]
mod tests {
    use seawall_settings::{Text, load_text};

    use super::*;

    fn taken(text: &str) -> String {
        let text = Text { name: USUAL.into(), text: text.into() };
        let environment = |name: &str| name.starts_with("SEAWALL_").then(|| SECRET.to_owned());
        let loaded = load_text(text.clone(), &environment)
            .unwrap_or_else(|report| panic!("{}{}", report.human(false), text.text));
        assert!(loaded.warnings.is_empty(), "{}{}", loaded.warnings.brief(), text.text);
        format!("{:?}", loaded.settings)
    }

    const SECRET: &str = "postgres://seawall@127.0.0.1/jobs";

    /// Takes the `#` away before those settings that are chosen by their line and their block.
    fn uncommented(file: &str, choose: impl Fn(usize, &str, &str) -> bool) -> String {
        let mut heading = "";
        let lines = file.lines().enumerate().map(|(place, line)| {
            let setting = line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', ':']));
            let bare = setting.unwrap_or(line);
            if bare.starts_with('[') {
                heading = line;
            }
            if choose(place, line, heading) { bare } else { line }
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn every_key_and_table_that_is_named_here_exists() {
        for path in SAID.into_iter().chain(TABLES) {
            assert!(keys::find(path).is_some(), "{path}");
        }
    }

    #[test]
    fn the_file_that_init_writes_is_taken_without_a_warning() {
        for text in [&*file(), MINIMAL, &job_file(), MINIMAL_JOB] {
            taken(text);
        }
    }

    #[test]
    fn every_setting_that_init_writes_stands_at_its_default() {
        for file in [file(), job_file()] {
            let at_default = uncommented(&file, |_, line, heading| {
                !heading.starts_with('#') && !line.ends_with("# an example")
            });
            assert_ne!(at_default, file.trim_end());
            assert_eq!(taken(&at_default), taken(&file));
        }
    }

    #[test]
    fn each_setting_and_each_block_that_init_writes_can_be_uncommented_in_turn() {
        for file in [file(), job_file()] {
            for block in file.lines().filter(|line| line.starts_with("#[")) {
                taken(&uncommented(&file, |_, line, heading| {
                    line == block || (heading == block && line.ends_with("# needed"))
                }));
                taken(&uncommented(&file, |_, _, heading| heading == block));
            }
            for place in 0..file.lines().count() {
                taken(&uncommented(&file, |other, line, heading| {
                    let is_of_block = heading_of(&file, place) == heading;
                    let is_needed = line == heading || line.ends_with("# needed");
                    other == place || (is_of_block && is_needed)
                }));
            }
            taken(&uncommented(&file, |_, _, _| true));
        }
    }

    /// Returns the heading above a line.
    fn heading_of(file: &str, place: usize) -> &str {
        let above: Vec<_> = file.lines().take(place + 1).collect();
        let is_heading = |line: &&&str| line.trim_start_matches('#').starts_with('[');
        above.iter().rev().find(is_heading).copied().unwrap_or("")
    }
}
