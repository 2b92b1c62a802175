//! The process is killed with a signal that it cannot see, on a real disk.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::Method;
use seawall_call::Policy;
use seawall_core::{Chance, Silent, UpstreamId};
use seawall_http::{Options, Transport};
use seawall_policy::{Params, retry};
use seawall_testkit::{ScriptedReply, ScriptedUpstream};
use seawall_upstream::{Http, Upstream};
use seawall_worker::{Answers, Control, Forward, Job, LineOutcome, RunConclusion, Settings, run};
use tempfile::TempDir;

use crate::scene::{dead, numbers};

const CHILD: &str = "SEAWALL_WORKER_TEST_CHILD";
const LINES: u64 = 6_000;

fn settings(directory: &Path, is_ordered: bool) -> Settings {
    Settings {
        is_ordered,
        in_flight_max: 32,
        window_lines_max: 256,
        checkpoint_outcomes: 700,
        ..Settings::new(directory.join("input"), directory.join("output"))
    }
}

fn child(directory: &Path) {
    let is_ordered = directory.join("ordered").exists();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let settings = settings(directory, is_ordered);
    let summary = runtime.block_on(async {
        if let Ok(url) = std::fs::read_to_string(directory.join("url")) {
            let forward = forward(&url);
            let call = async |job: &Job| forward.call(job).await;
            return run(&settings, &Control::default(), call).await.unwrap();
        }
        let call = async |job: &Job| {
            tokio::time::sleep(Duration::from_millis(1 + job.sequence % 3)).await;
            LineOutcome::output(format!("answer {}", job.sequence).into_bytes())
        };
        run(&settings, &Control::default(), call).await.unwrap()
    });
    assert!(matches!(summary.ended, RunConclusion::Finished | RunConclusion::WasFinished));
    println!("finished");
}

fn forward(url: &str) -> Forward {
    let retry = Some(retry::Params { idempotency_key: true, ..Default::default() });
    let params = Params { retry, ..Params::standard() };
    let policy = Policy::seeded(UpstreamId(0), params, Arc::new(Silent), 1);
    let transport = Transport::new(url, Options::default()).unwrap();
    let upstream = Upstream::new("lines", policy, Http::new(transport));
    Forward::new(upstream, Method::POST, "/lines").unwrap().answers(Answers::Raw)
}

/// Makes a directory with an input, and what the child is to know.
fn directory(is_ordered: bool, url: Option<&str>) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let text: String = (0..LINES).map(|number| format!("line {number}\n")).collect();
    std::fs::write(directory.path().join("input"), text).unwrap();
    if is_ordered {
        std::fs::write(directory.path().join("ordered"), "").unwrap();
    }
    if let Some(url) = url {
        std::fs::write(directory.path().join("url"), url).unwrap();
    }
    directory
}

/// Kills one run until it gets through; returns how often.
fn kill_until_finished(directory: &TempDir, is_ordered: bool, chance: &mut Chance) -> u32 {
    let mut kills = 0;
    loop {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "kill::p2_a_run_that_is_killed_at_any_moment_loses_and_doubles_nothing",
            ])
            .arg("--nocapture")
            .env(CHILD, directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_millis(5 + chance.bits() % 200);
        let status = loop {
            if let Some(status) = process.try_wait().unwrap() {
                break Some(status);
            }
            if Instant::now() >= until {
                break None;
            }
            std::thread::yield_now();
        };
        match status {
            Some(status) => {
                assert!(status.success(), "the child failed after {kills} kills");
                break;
            }
            None => {
                // SIGKILL: nothing in the process sees it.
                process.kill().unwrap();
                process.wait().unwrap();
                kills += 1;
            }
        }
    }
    let output = directory.path().join("output");
    let mut answers = numbers(&std::fs::read(&output).unwrap(), "answer ");
    if !is_ordered {
        answers.sort_unstable();
    }
    assert!(answers == (0..LINES).collect::<Vec<_>>(), "after {kills} kills");
    assert!(numbers(&std::fs::read(dead(&output)).unwrap(), "{").is_empty());
    kills
}

#[test]
fn p2_a_run_that_is_killed_at_any_moment_loses_and_doubles_nothing() {
    if let Some(directory) = std::env::var_os(CHILD) {
        return child(Path::new(&directory));
    }
    let mut chance = Chance::seeded(11);
    let (mut kills, mut runs) = (0, 0);
    while kills < kills_wanted(50) {
        let is_ordered = runs % 2 == 0;
        kills += kill_until_finished(&directory(is_ordered, None), is_ordered, &mut chance);
        runs += 1;
        assert!(runs < 500, "the child is too fast to be killed: {kills} kills in {runs} runs");
    }
    println!("{kills} kills in {runs} runs");
}

#[test]
fn p2_an_upstream_that_knows_keys_applies_every_line_once() {
    let applied = Arc::new(Mutex::new(HashMap::<String, String>::new()));
    let table = applied.clone();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let upstream = runtime.block_on(ScriptedUpstream::answering(move |seen| {
        let key = seen.header("idempotency-key").unwrap().to_owned();
        let line = String::from_utf8_lossy(&seen.body).into_owned();
        let mut table = table.lock().unwrap();
        let known = table.entry(key).or_insert_with(|| line.clone());
        assert_eq!(*known, line, "two lines have the same key");
        ScriptedReply::ok(line.replace("line", "answer"))
    }));
    let upstream = upstream.unwrap();
    let mut chance = Chance::seeded(12);
    let (mut kills, mut runs) = (0, 0);
    let unkilled: String = (0..LINES).map(|number| format!("answer {number}\n")).collect();
    while kills < kills_wanted(20) {
        applied.lock().unwrap().clear();
        let before = upstream.counts().requests;
        let directory = directory(true, Some(&upstream.url()));
        let more = kill_until_finished(&directory, true, &mut chance);
        let output = std::fs::read_to_string(directory.path().join("output")).unwrap();
        assert!(output == unkilled, "not the output of a run that was not killed");
        assert_eq!(applied.lock().unwrap().len() as u64, LINES, "lines applied");
        let sent = upstream.counts().requests - before;
        // Those in flight, and those whose answers waited for lines before them: the window.
        let most = LINES + u64::from(more) * 256;
        assert!(sent <= most, "{sent} calls for {LINES} lines and {more} kills");
        println!(
            "{more} kills: {:.1} calls repeated for each",
            (sent as f64 - LINES as f64) / f64::from(more.max(1))
        );
        (kills, runs) = (kills + more, runs + 1);
        assert!(runs < 500, "the child is too fast to be killed: {kills} kills in {runs} runs");
    }
}

/// Returns how many kills there are to be: more in the long mode, `SEAWALL_KILLS=200`.
fn kills_wanted(usual: u32) -> u32 {
    let wanted = std::env::var("SEAWALL_KILLS").ok().and_then(|number| number.parse().ok());
    wanted.unwrap_or(usual)
}
