//! What may stand in which file.

use std::path::{Path, PathBuf};

use crate::floors::floor;
use crate::metadata::root;

/// The only files with `unsafe` in them, each with its reason.
const UNSAFE: &[&str] = &[
    // Counts what a global allocator is asked for: the trait itself is unsafe.
    "crates/seawall-bench/src/allocations.rs",
    // Finds newlines 64 bytes at a time: vector loads, and a call that needs AVX2.
    "crates/seawall-lines/src/newlines.rs",
];

/// The only files of the product that start a task nobody awaits; each ends by itself.
const SPAWNING: &[&str] = &[
    // One for each flight, which all share who wait for it: it ends with its call, and is aborted
    // when the last of them leaves.
    "crates/seawall-call/src/single_flight.rs",
    // One for each client of the admin port, on the admin's own runtime.
    "crates/seawall-admin/src/server.rs",
    // One for the process: it ends with the second signal.
    "crates/seawall/src/signals.rs",
    // One for each HTTP/2 connection: it ends with the connection.
    "crates/seawall-http/src/http2/client.rs",
    // One for each attempt that was given up and must be called off: bounded in number and time.
    "crates/seawall-upstream/src/cancellations.rs",
    // One for each pool: it ends with the pool.
    "crates/seawall-http/src/pool.rs",
];

/// The only files that may be longer than 400 lines of code. This list only gets shorter.
const LONG: &[&str] = &[];

/// How many lines of code a file may have: a reader can still hold it in the head.
const LINES_MAX: usize = 400;

#[test]
fn unsafe_stands_only_in_listed_files() {
    let found = files_where(|line| has_word(line, "unsafe"));
    assert_eq!(found, UNSAFE, "`unsafe` outside the list, or a listed file without it");
}

#[test]
fn tasks_that_nobody_awaits_start_only_in_listed_files() {
    let mut found = files_where(|line| line.contains("tokio::spawn("));
    found.retain(|file| file.contains("/src/") && !file.ends_with("/tests.rs"));
    found.retain(|file| !["seawall-testkit", "seawall-bench"].iter().any(|one| file.contains(one)));
    let mut listed = SPAWNING.to_vec();
    listed.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, listed, "`tokio::spawn` outside the list, or a listed file without it");
}

#[test]
fn floors_0_and_1_read_no_clock() {
    let found: Vec<String> = files_where(|line| {
        line.contains("Instant::now")
            || line.contains("SystemTime::now")
            || line.contains(".elapsed()")
    })
    .into_iter()
    .filter(|file| file.contains("/src/") && !file.ends_with("/tests.rs"))
    .filter(|file| floor(file.split('/').nth(1).unwrap()).is_some_and(|floor| floor <= 1))
    .collect();
    assert!(found.is_empty(), "`now` is an argument on floors 0 and 1: {found:?}");
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|path| !std::fs::read_to_string(path).unwrap().starts_with("//!"))
        .map(|path| shown(&path))
        .collect();
    assert!(silent.is_empty(), "these files do not open with `//!`: {silent:?}");
}

#[test]
fn a_file_fits_in_a_readers_head() {
    let long: Vec<String> = sources()
        .into_iter()
        .filter(|path| path.components().any(|part| part.as_os_str() == "src"))
        .filter(|path| code(path).len() > LINES_MAX)
        .map(|path| shown(&path))
        .collect();
    assert_eq!(long, LONG, "more than {LINES_MAX} lines of code, or listed without need");
}

/// Returns the files of which a line of code outside comments and unit tests is found, in order.
fn files_where(found: impl Fn(&str) -> bool) -> Vec<String> {
    let mut files: Vec<String> = sources()
        .into_iter()
        .filter(|path| !path.ends_with("house/source.rs"))
        .filter(|path| code(path).iter().any(|line| found(line)))
        .map(|path| shown(&path))
        .collect();
    files.sort();
    files
}

/// Returns a file's lines of code: no comments, no blank lines, no tests.
pub(crate) fn code(path: &Path) -> Vec<String> {
    code_of(&std::fs::read_to_string(path).unwrap())
}

pub(crate) fn code_of(text: &str) -> Vec<String> {
    let mut lines = text.lines();
    let mut code = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with("#[cfg(test)]") {
            // One item, which ends with its first line or where its brace is closed; what comes after
            // it is no test.
            if lines.next().is_some_and(|line| !line.ends_with(';')) {
                let _rest = lines.find(|line| *line == "}");
            }
            continue;
        }
        let line = line.split("//").next().unwrap().trim_end();
        if !line.is_empty() {
            code.push(line.to_owned());
        }
    }
    code
}

#[test]
fn what_stands_behind_the_tests_of_a_file_is_code() {
    let text =
        "a\n\n#[cfg(test)]\nmod tests;\nb // c\n#[cfg(test)]\nmod more {\n    x;\n}\n// d\ne\n";
    assert_eq!(code_of(text), ["a", "b", "e"]);
}

pub(crate) fn has_word(text: &str, word: &str) -> bool {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|one| one == word)
}

/// Returns every Rust file of ours, in order.
pub(crate) fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![root().join("crates")];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Returns a path as it is written in a message.
pub(crate) fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}
