//! Lines that are only selected, while the process dies or the power is cut at any change of the disk.

use std::path::Path;
use std::time::Duration;

use seawall_core::Chance;
use seawall_worker::{
    Control, FailuresMax, Job, LineOutcome, RunConclusion, RunError, Select, Selected, Settings,
    Sync, run_on, run_select_on,
};
use tempfile::TempDir;

use crate::scene::dead;
use crate::sim::{Fault, Sim};

const LINES: u64 = 60_000;

/// Returns a line of the input: some are no JSON, and go to the dead letters.
fn line(number: u64) -> String {
    match number % 1000 {
        5 => format!("no json {number}"),
        _ => format!("{{\"a\":{number},\"b\":\"{}\"}}", "xyz".repeat(20)),
    }
}

/// Returns what is kept of it, and whether it is a dead letter.
fn kept(number: u64) -> Option<Result<String, ()>> {
    match (number % 1000, number % 7) {
        (5, _) => Some(Err(())),
        (_, 3) => Some(Ok(format!("{{\"a\":{number}}}"))),
        _ => None,
    }
}

fn select() -> Select {
    Select::new(Some("\"a\":[0-9]+,|no json"), None, Some(&["a".to_owned()])).unwrap()
}

/// Makes an input in which exactly those lines have what is looked for that are kept.
fn input() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text: String = (0..LINES)
        .map(|number| match kept(number) {
            None => line(number).replace("\"a\"", "\"c\"") + "\n",
            Some(_) => line(number) + "\n",
        })
        .collect();
    std::fs::write(folder.path().join("input"), text).unwrap();
    folder
}

fn settings(folder: &TempDir, sync: Sync) -> Settings {
    Settings {
        sync,
        checkpoint_every: Duration::from_millis(1),
        ..Settings::new(folder.path().join("input"), "/run/output")
    }
}

fn in_real_time<F: Future>(future: F) -> F::Output {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().build().unwrap().block_on(future)
}

fn check(disk: &Sim, is_ordered: bool, what: &str) {
    let output = Path::new("/run/output");
    let text = String::from_utf8(disk.content(output)).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    let expected: Vec<String> = (0..LINES).filter_map(|number| kept(number)?.ok()).collect();
    let mut expected: Vec<&str> = expected.iter().map(String::as_str).collect();
    if !is_ordered {
        lines.sort_unstable();
        expected.sort_unstable();
    }
    assert!(lines == expected, "{what}: {} lines, {} wanted", lines.len(), expected.len());
    let letters = String::from_utf8(disk.content(&dead(output))).unwrap();
    let wanted = (0..LINES).filter(|number| kept(*number) == Some(Err(())));
    let mut found: Vec<u64> = letters
        .lines()
        .map(|letter| {
            let rest = letter.strip_prefix("{\"seq\":").unwrap();
            rest.split(',').next().unwrap().parse().unwrap()
        })
        .collect();
    found.sort_unstable();
    assert_eq!(found, wanted.collect::<Vec<_>>(), "{what}: dead letters");
}

#[test]
fn nothing_is_lost_or_doubled_when_the_process_or_the_power_dies_anywhere() {
    let (folder, select) = (input(), select());
    let mut cuts = 0;
    for seed in 0..60 {
        let sync = [Sync::Checkpoint, Sync::Never, Sync::Record][seed as usize % 3];
        let is_power = seed % 2 == 0 && sync != Sync::Never;
        let (settings, disk) = (settings(&folder, sync), Sim::new(seed));
        let mut chance = Chance::seeded(seed);
        let counts = loop {
            disk.cut_after(chance.bits() % 60);
            let control = Control::default();
            let run = run_select_on(disk.clone(), &settings, &control, &select);
            match in_real_time(run) {
                Ok(summary) => {
                    assert!(matches!(
                        summary.ended,
                        RunConclusion::Finished | RunConclusion::WasFinished
                    ));
                    assert_eq!(summary.damage, None, "seed {seed}");
                    break summary.counts;
                }
                Err(RunError::Disk { .. }) if disk.is_off() => cuts += 1,
                Err(error) => panic!("seed {seed}: could not {error}"),
            }
            if is_power { disk.power_up() } else { disk.restart() }
        };
        assert_eq!(counts.lines(), LINES, "seed {seed}");
        check(&disk, true, &format!("seed {seed}, {sync:?}"));
    }
    assert!(cuts > 60, "only {cuts} cuts");
}

#[test]
fn a_full_disk_stops_it_and_it_goes_on_when_there_is_room() {
    let (folder, select) = (input(), select());
    let (settings, mut stops) = (settings(&folder, Sync::Checkpoint), 0);
    for at in 1..30 {
        let disk = Sim::new(at);
        disk.fail_after(at, Fault::Full);
        let once = || {
            let control = Control::default();
            in_real_time(run_select_on(disk.clone(), &settings, &control, &select))
        };
        match once() {
            Err(RunError::Disk { .. }) => stops += 1,
            Ok(_) => assert!(!disk.has_failed(), "the error was passed over"),
            Err(error) => panic!("could not {error}"),
        }
        disk.restart();
        once().unwrap();
        check(&disk, true, &format!("full at {at}"));
    }
    assert!(stops > 5, "only {stops} runs were stopped");
}

#[test]
fn it_goes_on_with_what_lines_sent_one_by_one_have_left() {
    let (folder, select) = (input(), select());
    for seed in 0..5 {
        let settings = settings(&folder, Sync::Checkpoint);
        let disk = Sim::new(seed);
        let call = async |job: &Job| {
            // Not in order: lines behind the first that waits are done.
            tokio::time::sleep(Duration::from_micros(job.sequence * 7 % 500)).await;
            match select.apply(&job.line) {
                Selected::Keep(line) => LineOutcome::output(line.into_owned()),
                Selected::Drop => LineOutcome::filtered(),
                Selected::Bad(why) => LineOutcome::dead(why),
            }
        };
        disk.cut_after(200 + 40 * seed);
        let control = Control::default();
        let cut = in_real_time(run_on(disk.clone(), &settings, &control, call));
        assert!(matches!(cut, Err(RunError::Disk { .. })), "{cut:?}");
        disk.restart();
        let control = Control::default();
        let run = run_select_on(disk.clone(), &settings, &control, &select);
        let summary = in_real_time(run).unwrap();
        assert!(summary.resumed_from.is_some_and(|at| at.sequence > 0), "seed {seed}");
        assert_eq!(summary.counts.lines(), LINES, "seed {seed}");
        check(&disk, false, &format!("seed {seed}"));
    }
}

#[test]
fn it_gives_up_after_too_many_failures_and_stops_when_it_is_told_to() {
    let (folder, select) = (input(), select());
    let usual = settings(&folder, Sync::Checkpoint);
    let limited = Settings { failures_max: Some(FailuresMax::Lines(3)), ..usual.clone() };
    let (disk, control) = (Sim::new(1), Control::default());
    let run = run_select_on(disk.clone(), &limited, &control, &select);
    let summary = in_real_time(run).unwrap();
    assert_eq!((summary.ended, summary.counts.dead), (RunConclusion::TooManyFailures, 4));
    assert_eq!(summary.counts.lines(), 3006, "it stops behind the line that was too much");
    let stopped = Control::default();
    stopped.drain.cancel();
    let run = run_select_on(disk.clone(), &usual, &stopped, &select);
    assert_eq!(in_real_time(run).unwrap().ended, RunConclusion::Stopped);
    let control = Control::default();
    let run = run_select_on(disk.clone(), &usual, &control, &select);
    let summary = in_real_time(run).unwrap();
    assert_eq!((summary.ended, summary.counts.lines()), (RunConclusion::Finished, LINES));
    let now = control.progress.snapshot(std::time::Instant::now());
    assert_eq!(now.session_lines(), LINES - 3006, "what this session has done");
    check(&disk, true, "after all");
}
