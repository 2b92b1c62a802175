//! D1: the disk is full, or does not keep what it was given.

use std::path::Path;

use seawall_worker::{Control, Job, RunConclusion, RunError, Settings, Sync, run_on};

use crate::scene::{Scene, dead, in_runtime};
use crate::sim::{Fault, Sim};

/// Lets one change fail after another, and goes on each time when the disk is well again.
fn check(fault: Fault, is_ordered: bool) {
    let output = Path::new("/run/output");
    let mut stops = 0;
    for at in 1..60 {
        let scene = Scene::new(150, at);
        let disk = Sim::new(at);
        let settings = Settings { is_ordered, ..scene.settings(output) };
        disk.fail_after(at, fault);
        let once = || {
            let call = async |job: &Job| scene.call(job).await;
            in_runtime(run_on(disk.clone(), &settings, &Control::default(), call))
        };
        match once() {
            Err(error @ RunError::Disk { .. }) => {
                let text = error.to_string();
                assert!(text.contains("/run/output"), "it names the file: {text}");
                assert!(disk.has_failed());
                stops += 1;
            }
            // There were not so many changes of that kind.
            Ok(_) => assert!(!disk.has_failed(), "the error was passed over"),
            Err(error) => panic!("could not {error}"),
        }
        disk.restart();
        let summary = once().unwrap();
        assert!(matches!(summary.ended, RunConclusion::Finished | RunConclusion::WasFinished));
        // Whatever a failed sync has lost must have been written once more.
        disk.power_up();
        let letters = disk.content(&dead(output));
        scene.check(&disk.content(output), &letters, is_ordered, &format!("{fault:?} at {at}"));
    }
    assert!(stops > 10, "only {stops} runs were stopped");
}

#[test]
fn d1_a_full_disk_stops_the_run_which_goes_on_when_there_is_room() {
    check(Fault::Full, false);
    check(Fault::Full, true);
}

#[test]
fn d1_what_a_failed_sync_was_to_keep_is_not_taken_for_kept() {
    check(Fault::SyncFails, false);
    check(Fault::SyncFails, true);
}

#[test]
fn no_mode_syncs_more_than_it_says() {
    let output = Path::new("/run/output");
    let mut syncs = Vec::new();
    for sync in [Sync::Never, Sync::Checkpoint, Sync::Record] {
        let scene = Scene::new(300, 1);
        let disk = Sim::new(1);
        let settings = Settings { sync, ..scene.settings(output) };
        let call = async |job: &Job| scene.call(job).await;
        in_runtime(run_on(disk.clone(), &settings, &Control::default(), call)).unwrap();
        syncs.push(disk.syncs());
    }
    assert_eq!(syncs[0], 0);
    assert!(syncs[1] > 0 && syncs[2] > 2 * syncs[1], "{syncs:?}");
}
