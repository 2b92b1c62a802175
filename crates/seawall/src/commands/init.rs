//! `seawall init`: a settings file to start from, written from the table of keys.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::Talk;
use super::schema::schema;
use crate::cli::{Global, Init, InitKind};
use crate::exit::Exit;
use crate::settings::keys::{self, Key};
use crate::settings::{Kind, USUAL};

pub(super) fn init(global: &Global, flags: &Init, talk: &Talk) -> Exit {
    let (file, minimal, next) = match flags.kind {
        InitKind::Gateway => (file(), MINIMAL, "`seawall check` and `seawall run`"),
        InitKind::Job => (job_file(), MINIMAL_JOB, "`seawall job run cities --dry-run`"),
    };
    if flags.minimal {
        talk.answer(minimal.trim_end());
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
        talk.error(&what, help);
        return Exit::Open;
    }
    talk.note(&format!("wrote {}", path.display()));
    // The schema is only for editors, and one that is there may be newer or shared.
    match write_new(&schema_path, &format!("{:#}\n", schema())) {
        Ok(()) => talk.note(&format!("wrote {} (for editors)", schema_path.display())),
        Err(error) => talk.note(&format!("left {} alone: {error}", schema_path.display())),
    }
    talk.note(&format!("next: edit the three lines that say EDIT, then {next}"));
    Exit::Done
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).open(path)?.write_all(text.as_bytes())
}

/// Returns the commented file: `# ` begins an explanation, `#` alone a setting at its default.
fn file() -> String {
    let mut file = HEAD.to_owned();
    for table in ["server", "server.limits", "admin"] {
        section(&mut file, table, &format!("[{table}]"));
    }
    let parts = keys::within("policy").filter(|key| key.kind == Kind::Part);
    section(&mut file, "policy", "[policy.standard]");
    for part in parts {
        match part.default {
            "\"off\"" => off(&mut file, part, "policy.standard"),
            _ => {
                let heading = format!("[policy.standard.{}]", part.name());
                section(&mut file, part.path, &heading);
            }
        }
    }
    file
}

/// Returns the commented file of a job.
fn job_file() -> String {
    let mut file = HEAD_JOB.to_owned();
    section(&mut file, "worker", "[worker]");
    section(&mut file, "job", "[job.cities]");
    file += EACH_LINE;
    for part in keys::within("job").filter(|key| key.kind == Kind::Part) {
        off(&mut file, part, "job.cities");
    }
    file
}

fn section(file: &mut String, table: &str, heading: &str) {
    let what = keys::find(table).map_or("", |key| key.what);
    explanation(file, "\n# ", what);
    let _ = writeln!(file, "{heading}");
    let leaves = keys::within(table).filter(|key| key.is_leaf());
    let is_said = |key: &&Key| ["policy.extends", "job.input"].contains(&key.path);
    for key in leaves.filter(|key| !is_said(key)) {
        explanation(file, "# ", key.what);
        let _ = match key.default {
            "" => writeln!(file, "# {} = {}", key.name(), key.example),
            default => writeln!(file, "#{} = {default}", key.name()),
        };
    }
}

/// Explains a part that would not be at its default if it were written.
fn off(file: &mut String, part: &Key, of: &str) {
    let fields = keys::within(part.path).map(|key| format!("{} = {}", key.name(), key.sample()));
    let fields = fields.collect::<Vec<_>>().join(", ");
    explanation(file, "\n# ", part.what);
    let _ = writeln!(file, "# [{of}]\n# {} = {{ {fields} }}", part.name());
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

const SCHEMA: &str = "seawall.schema.json";

const HEAD: &str = r##"#:schema ./seawall.schema.json
# Settings of Seawall. Every setting below stands at its default, behind a `#`.
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
# Settings of a job of Seawall. Every setting below stands at its default, behind a `#`.
# `seawall check` finds what is wrong, `seawall config explain KEY` says more about a key.
version = 1

[upstream.weather-api]
url = "http://127.0.0.1:7001"      # EDIT: where your service is
"##;

/// Ends the section of the job.
const EACH_LINE: &str = r##"input = "cities.txt"               # EDIT: your file of lines
# EDIT: what is sent for each of them
each_line = { send = "GET /{line}", upstream = "weather-api" }
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
    use super::*;
    use crate::settings::{Text, load_text};

    fn taken(text: &str) -> String {
        let text = Text { name: USUAL.into(), text: text.into() };
        let loaded =
            load_text(text, &|_| None).unwrap_or_else(|report| panic!("{}", report.brief()));
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings.brief());
        format!("{:?}", loaded.meant)
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
            let uncommented = file.lines().map(|line| match line.strip_prefix('#') {
                Some(setting) if !setting.starts_with([' ', ':']) => setting,
                _ => line,
            });
            let uncommented: Vec<_> = uncommented.collect();
            assert_ne!(uncommented.join("\n"), file.trim_end());
            assert_eq!(taken(&uncommented.join("\n")), taken(&file));
        }
    }
}
