//! The power is cut, or the process dies, at any change of the disk; many times.

use std::future::poll_fn;
use std::path::Path;
use std::task::Poll;

use seawall_core::Chance;
use seawall_worker::{Control, Job, RunConclusion, RunError, Settings, Sync, run_on};

use crate::scene::{Scene, dead, in_runtime, numbers};
use crate::sim::Sim;

/// Runs until it finishes, cut off again and again; returns how often.
fn cut_off(scene: &Scene, settings: &Settings, disk: &Sim, seed: u64, is_power: bool) -> u32 {
    let mut chance = Chance::seeded(seed);
    let mut cuts = 0;
    loop {
        // Some lives are too short to end the recovery, most reach the middle of something.
        let most = if chance.happens(0.2) { 12 } else { 90 };
        disk.cut_after(chance.bits() % most);
        let call = async |job: &Job| scene.call(job).await;
        let control = Control::default();
        let result = in_runtime(run_on(disk.clone(), settings, &control, call));
        match result {
            Ok(summary) => {
                assert!(matches!(
                    summary.ended,
                    RunConclusion::Finished | RunConclusion::WasFinished
                ));
                assert_eq!(summary.counts.lines(), scene.lines, "seed {seed}");
                assert_eq!(summary.damage, None, "seed {seed}");
                return cuts;
            }
            Err(RunError::Disk { .. }) if disk.is_off() => {}
            Err(error) => panic!("seed {seed}, after {cuts} cuts: could not {error}"),
        }
        cuts += 1;
        assert!(cuts < 500, "seed {seed}: it does not get on");
        if is_power { disk.power_up() } else { disk.restart() }
    }
}

fn check(seeds: std::ops::Range<u64>, sync: Sync, is_power: bool) {
    let output = Path::new("/run/output");
    let mut cuts = 0;
    for seed in seeds {
        let is_ordered = seed % 2 == 0;
        let scene = Scene::new(300, seed);
        let disk = Sim::new(seed);
        let settings = Settings { is_ordered, sync, ..scene.settings(output) };
        let more = cut_off(&scene, &settings, &disk, seed, is_power);
        cuts += more;
        if !is_power {
            // What was under way or waited to be written is sent again, and nothing else.
            let again = u64::from(more) * settings.window_lines_max as u64;
            assert!(scene.sends() <= scene.lines + again, "seed {seed}: {} sends", scene.sends());
        }
        let (answers, letters) = (disk.content(output), disk.content(&dead(output)));
        let what = format!("seed {seed}, {sync:?}");
        scene.check(&answers, &letters, is_ordered, &what);
    }
    assert!(cuts > 100, "only {cuts} cuts");
    println!("{cuts} cuts");
}

#[test]
fn nothing_is_lost_doubled_or_misordered_when_the_process_dies_anywhere() {
    check(0..40, Sync::Checkpoint, false);
    check(40..60, Sync::Never, false);
}

#[test]
fn nothing_is_lost_doubled_or_misordered_when_the_power_is_cut_anywhere() {
    check(100..200, Sync::Checkpoint, true);
    check(200..240, Sync::Record, true);
}

#[test]
fn what_a_session_did_not_make_durable_the_next_one_does() {
    let output = Path::new("/run/output");
    for seed in 500..540 {
        let scene = Scene::new(300, seed);
        let disk = Sim::new(seed);
        let never = Settings { sync: Sync::Never, ..scene.settings(output) };
        disk.cut_after(20 + seed % 40);
        let call = async |job: &Job| scene.call(job).await;
        let result = in_runtime(run_on(disk.clone(), &never, &Control::default(), call));
        assert!(matches!(result, Err(RunError::Disk { .. })), "{result:?}");
        // The process died, and the power stayed; in the sessions after it does not.
        disk.restart();
        let settings = Settings { sync: Sync::Checkpoint, ..never };
        disk.cut_after(30);
        let call = async |job: &Job| scene.call(job).await;
        let result = in_runtime(run_on(disk.clone(), &settings, &Control::default(), call));
        assert!(matches!(result, Err(RunError::Disk { .. })), "{result:?}");
        disk.power_up();
        cut_off(&scene, &settings, &disk, seed, true);
        let letters = disk.content(&dead(output));
        scene.check(&disk.content(output), &letters, false, &format!("seed {seed}"));
    }
}

#[test]
fn a_line_is_sent_at_most_once_however_often_the_power_is_cut() {
    let output = Path::new("/run/output");
    let (mut cuts, mut unknown) = (0, 0);
    for seed in 300..340 {
        let scene = Scene::new(200, seed);
        let disk = Sim::new(seed);
        let is_ordered = seed % 2 == 0;
        let settings = Settings { is_at_most_once: true, is_ordered, ..scene.settings(output) };
        cuts += cut_off(&scene, &settings, &disk, seed, true);
        let sent = scene.sent.lock().unwrap();
        let twice: Vec<_> = sent.iter().filter(|(_, times)| **times > 1).collect();
        assert!(twice.is_empty(), "seed {seed}: sent more than once: {twice:?}");
        let letters = disk.content(&dead(output));
        let text = String::from_utf8(letters.clone()).unwrap();
        unknown += text.matches("unknown").count();
        let mut all = numbers(&letters, "{\"seq\":");
        all.extend(numbers(&disk.content(output), "answer "));
        all.sort_unstable();
        let count = all.len();
        all.dedup();
        assert_eq!(all.len(), count, "seed {seed}: written twice");
    }
    assert!(cuts > 100 && unknown > 0, "{cuts} cuts, {unknown} lines of unknown fate");
}

#[test]
fn a_run_whose_future_is_dropped_at_any_await_loses_and_doubles_nothing() {
    let output = Path::new("/run/output");
    let mut dropped = 0;
    for seed in 400..440 {
        let scene = Scene::new(200, seed);
        let disk = Sim::new(seed);
        let is_ordered = seed % 2 == 0;
        let settings = Settings { is_ordered, ..scene.settings(output) };
        let mut chance = Chance::seeded(seed);
        let polls = || chance.bits() % 30;
        dropped += in_runtime(drop_often(&scene, &settings, &disk, polls));
        let letters = disk.content(&dead(output));
        scene.check(&disk.content(output), &letters, is_ordered, &format!("seed {seed}"));
    }
    println!("{dropped} drops");
    assert!(dropped > 40, "only {dropped} futures were dropped");
}

/// Polls a run so many times and drops it, again and again until one finishes; returns how often.
async fn drop_often(
    scene: &Scene,
    settings: &Settings,
    disk: &Sim,
    mut polls: impl FnMut() -> u64,
) -> u32 {
    let mut dropped = 0;
    loop {
        let control = Control::default();
        let call = async |job: &Job| scene.call(job).await;
        let mut run = Box::pin(run_on(disk.clone(), settings, &control, call));
        let mut left = polls();
        let result = poll_fn(|cx| match run.as_mut().poll(cx) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => {
                left -= 1;
                Poll::Pending
            }
        })
        .await;
        drop(run);
        match result {
            None => dropped += 1,
            Some(Ok(_)) => return dropped,
            // What the last one was writing is still being written, under its lock.
            Some(Err(RunError::Locked { .. })) => tokio::task::yield_now().await,
            Some(Err(error)) => panic!("could not {error}"),
        }
    }
}
