//! The process is killed with a signal that it cannot see, on a real disk.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use seawall_core::Chance;
use seawall_worker::{Control, Ended, Job, LineOutcome, Settings, run};

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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let summary = runtime.block_on(async {
        let call = async |job: &Job| {
            tokio::time::sleep(Duration::from_millis(1 + job.sequence % 3)).await;
            LineOutcome::output(format!("answer {}", job.sequence).into_bytes())
        };
        run(&settings(directory, is_ordered), &Control::default(), call).await.unwrap()
    });
    assert!(matches!(summary.ended, Ended::Finished | Ended::WasFinished));
    println!("finished");
}

/// Kills one run until it gets through; returns how often.
fn kill_until_finished(is_ordered: bool, chance: &mut Chance) -> u32 {
    let directory = tempfile::tempdir().unwrap();
    let text: String = (0..LINES).map(|number| format!("line {number}\n")).collect();
    std::fs::write(directory.path().join("input"), text).unwrap();
    if is_ordered {
        std::fs::write(directory.path().join("ordered"), "").unwrap();
    }
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
    while kills < 50 {
        kills += kill_until_finished(runs % 2 == 0, &mut chance);
        runs += 1;
        assert!(runs < 50, "the child is too fast to be killed: {kills} kills in {runs} runs");
    }
    println!("{kills} kills in {runs} runs");
}
