//! D2: state files that are not what was written.

use std::path::{Path, PathBuf};

use seawall_worker::{Control, Job, RunConclusion, RunError, Settings, run_on};

use crate::scene::{Scene, dead, in_runtime, numbers};
use crate::sim::Sim;

const OUTPUT: &str = "/run/output";

/// Returns a run that was cut off in the middle, with two checkpoints and records behind them.
fn cut_off(is_at_most_once: bool) -> (Scene, Settings, Sim) {
    let scene = Scene::new(120, 5);
    let disk = Sim::new(5);
    let settings = Settings { is_at_most_once, is_ordered: true, ..scene.settings(OUTPUT) };
    disk.cut_after(if is_at_most_once { 220 } else { 75 });
    let call = async |job: &Job| scene.call(job).await;
    let result = in_runtime(run_on(disk.clone(), &settings, &Control::default(), call));
    assert!(matches!(result, Err(RunError::Disk { .. })), "{result:?}");
    disk.restart();
    (scene, settings, disk)
}

fn state_files(disk: &Sim, start: &str) -> Vec<PathBuf> {
    let mut files = disk.names();
    files.retain(|path| path.file_name().unwrap().to_string_lossy().starts_with(start));
    files
}

/// Goes on with a damaged run. It is refused and nothing is touched, or every line has its one
/// outcome; returns whether it went on, and whether it said what was damaged.
fn go_on(scene: &Scene, settings: &Settings, disk: &Sim, what: &str) -> (bool, bool) {
    let before: Vec<_> = disk.names().iter().map(|path| disk.content(path)).collect();
    let call = async |job: &Job| scene.call(job).await;
    let result = in_runtime(run_on(disk.clone(), settings, &Control::default(), call));
    let output = Path::new(OUTPUT);
    match result {
        Ok(summary) => {
            assert_eq!(summary.ended, RunConclusion::Finished, "{what}");
            assert_eq!(summary.counts.lines(), scene.lines, "{what}");
            if settings.is_at_most_once {
                let mut all = numbers(&disk.content(&dead(output)), "{\"seq\":");
                all.extend(numbers(&disk.content(output), "answer "));
                let count = all.len();
                all.sort_unstable();
                all.dedup();
                assert_eq!(all.len(), count, "{what}: written twice");
            } else {
                let letters = disk.content(&dead(output));
                scene.check(&disk.content(output), &letters, true, what);
            }
            (true, summary.damage.is_some())
        }
        Err(RunError::Damaged { .. }) => {
            let after: Vec<_> = disk.names().iter().map(|path| disk.content(path)).collect();
            assert!(before == after, "{what}: it was refused, and something was changed");
            (false, true)
        }
        Err(error) => panic!("{what}: could not {error}"),
    }
}

#[test]
fn d2_a_bit_that_flips_in_any_byte_of_a_checkpoint_is_noticed_and_loses_nothing() {
    let (scene, settings, disk) = cut_off(false);
    let newest = state_files(&disk, "checkpoint.").pop().unwrap();
    let whole = disk.content(&newest);
    assert_eq!(state_files(&disk, "checkpoint.").len(), 2);
    for at in 0..whole.len() {
        let disk = disk.copy();
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        disk.put(&newest, &bytes);
        let went = go_on(&scene, &settings, &disk, &format!("byte {at} of {}", newest.display()));
        assert_eq!(went, (true, true), "byte {at}: it goes on from the one before, and says so");
    }
}

#[test]
fn d2_a_bit_that_flips_in_any_byte_of_a_journal_loses_and_doubles_nothing() {
    let (scene, settings, disk) = cut_off(false);
    for journal in state_files(&disk, "journal.") {
        let whole = disk.content(&journal);
        assert!(whole.len() > 64, "{}: {} bytes", journal.display(), whole.len());
        for at in 0..whole.len() {
            let disk = disk.copy();
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            disk.put(&journal, &bytes);
            let (went_on, _) = go_on(&scene, &settings, &disk, &format!("byte {at}"));
            assert!(went_on, "byte {at} of {}", journal.display());
        }
    }
}

#[test]
fn d2_a_bit_that_flips_in_any_byte_of_a_journal_sends_no_line_twice() {
    let (scene, settings, disk) = cut_off(true);
    let journal = state_files(&disk, "journal.").pop().unwrap();
    let sent = scene.sent.lock().unwrap().clone();
    let whole = disk.content(&journal);
    for at in 0..whole.len() {
        let disk = disk.copy();
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        disk.put(&journal, &bytes);
        *scene.sent.lock().unwrap() = sent.clone();
        go_on(&scene, &settings, &disk, &format!("byte {at}"));
        let twice = scene.sent.lock().unwrap().values().any(|&times| times > 1);
        assert!(!twice, "byte {at}: a line was sent twice");
    }
}

#[test]
fn d2_files_that_are_cut_empty_old_or_swapped_lose_nothing() {
    let (scene, settings, disk) = cut_off(false);
    let checkpoints = state_files(&disk, "checkpoint.");
    let journals = state_files(&disk, "journal.");
    for path in checkpoints.iter().chain(&journals) {
        let whole = disk.content(path);
        for length in [0, 1, 31, whole.len() / 2, whole.len() - 1] {
            let disk = disk.copy();
            disk.put(path, &whole[..length.min(whole.len())]);
            go_on(&scene, &settings, &disk, &format!("{length} bytes of {}", path.display()));
        }
    }
    for pair in [&checkpoints, &journals] {
        let swapped = disk.copy();
        swapped.put(&pair[0], &disk.content(&pair[1]));
        swapped.put(&pair[1], &disk.content(&pair[0]));
        go_on(&scene, &settings, &swapped, "swapped");
        let old = disk.copy();
        old.put(&pair[1], &disk.content(&pair[0]));
        go_on(&scene, &settings, &old, "an old one in place of the newest");
    }
}

#[test]
fn d2_a_run_whose_checkpoints_are_all_damaged_is_refused_and_left_alone() {
    let (scene, settings, disk) = cut_off(false);
    for path in state_files(&disk, "checkpoint.") {
        let mut bytes = disk.content(&path);
        bytes[40] ^= 1;
        disk.put(&path, &bytes);
    }
    assert_eq!(go_on(&scene, &settings, &disk, "both"), (false, true));
}

#[test]
fn an_output_that_someone_has_cut_is_refused() {
    let (scene, settings, disk) = cut_off(false);
    disk.put(Path::new(OUTPUT), b"");
    assert_eq!(go_on(&scene, &settings, &disk, "a cut output"), (false, true));
}
