//! How much memory a reader takes, seen from outside: each case is a process of its own.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use seawall_lines::{LineReader, OnLong};

use crate::naive::file;

/// What the process may hold at its peak, code and runtime included.
const KIB_MAX: u64 = 64 * 1024;

/// Runs the test `name` again as a child that reads `path`; returns what it says.
fn in_child(name: &str, path: &Path) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("memory::{name}"), "--nocapture"])
        .env(CHILD, path)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Returns the number that stands behind `key` in what a child said.
fn number(text: &str, key: &str) -> u64 {
    let after = text.split(key).nth(1).unwrap_or_else(|| panic!("no {key} in {text}"));
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

const CHILD: &str = "SEAWALL_LINES_TEST_CHILD";

#[test]
fn three_gibibytes_in_long_lines_are_read_in_less_than_64_mebibytes() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    if let Some(path) = std::env::var_os(CHILD) {
        let (lines, bytes) = runtime.block_on(async {
            let mut reader = LineReader::open(path).on_long(OnLong::Cut).await.unwrap();
            let (mut lines, mut bytes) = (0, 0);
            while let Some(batch) = reader.next().await.unwrap() {
                lines += batch.len();
                bytes += batch.iter().map(|line| line.length + 1).sum::<u64>();
            }
            (lines, bytes)
        });
        println!("lines={lines} bytes={bytes} peak={} KiB", peak_kib());
        return;
    }
    // Holes between newlines: 3 GiB that take no room on the disk.
    let file = file(b"");
    let every = 96_u64 << 20;
    for at in 1..=32 {
        use std::os::unix::fs::FileExt;
        file.as_file().write_all_at(b"\n", at * every - 1).unwrap();
    }
    let name = "three_gibibytes_in_long_lines_are_read_in_less_than_64_mebibytes";
    let text = in_child(name, file.path());
    assert_eq!((number(&text, "lines="), number(&text, "bytes=")), (32, 3 << 30));
    println!("peak: {} KiB", number(&text, "peak="));
    assert!(number(&text, "peak=") < KIB_MAX, "{text}");
}

#[test]
fn a_consumer_that_keeps_every_batch_it_may_holds_the_reader_and_not_the_memory() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    if let Some(path) = std::env::var_os(CHILD) {
        let lines = runtime.block_on(async {
            let mut reader = LineReader::open(path).await.unwrap();
            let mut kept = std::collections::VecDeque::new();
            let mut lines = 0;
            while let Some(batch) = reader.next().await.unwrap() {
                lines += batch.len();
                kept.push_back(batch);
                if kept.len() == 4 {
                    // Slow: every read that may be in flight has landed.
                    for _ in 0..50 {
                        tokio::task::yield_now().await;
                    }
                    kept.pop_front();
                }
            }
            lines
        });
        println!("lines={lines} peak={} KiB", peak_kib());
        return;
    }
    let mut text = String::new();
    for number in 0..3_000_000 {
        writeln!(text, "{number} is one of many lines that are as long as lines in logs often are")
            .unwrap();
    }
    let file = file(text.as_bytes());
    let name = "a_consumer_that_keeps_every_batch_it_may_holds_the_reader_and_not_the_memory";
    let said = in_child(name, file.path());
    assert_eq!(number(&said, "lines="), 3_000_000);
    println!("peak: {} KiB", number(&said, "peak="));
    assert!(number(&said, "peak=") < KIB_MAX, "{said}");
}
