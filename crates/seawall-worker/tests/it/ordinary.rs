//! Runs on a real disk, without crashes.

use std::collections::BTreeMap;
use std::time::Duration;

use seawall_worker::{
    Control, FailuresMax, Job, LineOutcome, RunConclusion, RunError, Settings, Sync, run,
};

use crate::scene::{Scene, dead};

async fn check(is_ordered: bool, sync: Sync, is_at_most_once: bool) {
    let scene = Scene::new(700, 1);
    let output = scene.directory.path().join("output");
    let settings = Settings { is_ordered, sync, is_at_most_once, ..scene.settings(&output) };
    let control = Control::default();
    let summary = run(&settings, &control, async |job: &Job| scene.call(job).await).await.unwrap();
    assert_eq!((summary.ended, summary.counts.lines()), (RunConclusion::Finished, 700));
    let what = format!("ordered {is_ordered}, {sync:?}, at most once {is_at_most_once}");
    let letters = std::fs::read(dead(&output)).unwrap();
    scene.check(&std::fs::read(&output).unwrap(), &letters, is_ordered, &what);
    assert_eq!(scene.sends(), 700);
    assert_eq!(control.progress.snapshot(std::time::Instant::now()).counts, summary.counts);

    let again = run(&settings, &control, async |job: &Job| scene.call(job).await).await.unwrap();
    assert_eq!((again.ended, again.counts), (RunConclusion::WasFinished, summary.counts));
    assert_eq!(scene.sends(), 700, "a run that has finished sends nothing again");
}

#[tokio::test(start_paused = true)]
async fn every_line_has_one_outcome_in_every_mode() {
    for sync in [Sync::Never, Sync::Checkpoint, Sync::Record] {
        for is_ordered in [false, true] {
            for is_at_most_once in [false, true] {
                check(is_ordered, sync, is_at_most_once).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_told_to_stop_lets_calls_end_and_goes_on_later() {
    let scene = Scene::new(900, 2);
    let output = scene.directory.path().join("output");
    let settings = scene.settings(&output);
    let mut sessions = 0;
    loop {
        let control = Control::default();
        let drain = control.drain.clone();
        let call = async |job: &Job| {
            if job.sequence % 200 == 199 {
                drain.cancel();
            }
            scene.call(job).await
        };
        let summary = run(&settings, &control, call).await.unwrap();
        sessions += 1;
        if summary.ended == RunConclusion::Finished {
            break;
        }
        assert_eq!(summary.ended, RunConclusion::Stopped);
    }
    assert!(sessions > 3, "it was told to stop {sessions} times");
    let letters = std::fs::read(dead(&output)).unwrap();
    scene.check(&std::fs::read(&output).unwrap(), &letters, false, "stopped often");
    assert_eq!(scene.sends(), 900, "calls that may end are not made again");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_halted_drops_its_calls_and_makes_them_again_later() {
    let scene = Scene::new(300, 3);
    let output = scene.directory.path().join("output");
    let settings = Settings { is_ordered: true, ..scene.settings(&output) };
    let control = Control::default();
    let halt = control.halt.clone();
    let hangs = async |job: &Job| {
        if job.sequence == 100 {
            halt.cancel();
            std::future::pending::<()>().await;
        }
        scene.call(job).await
    };
    let summary = run(&settings, &control, hangs).await.unwrap();
    assert_eq!(summary.ended, RunConclusion::Stopped);
    assert!(summary.counts.lines() <= 100);

    let control = Control::default();
    let summary = run(&settings, &control, async |job: &Job| scene.call(job).await).await.unwrap();
    assert_eq!(summary.ended, RunConclusion::Finished);
    let letters = std::fs::read(dead(&output)).unwrap();
    scene.check(&std::fs::read(&output).unwrap(), &letters, true, "halted");
}

#[tokio::test(start_paused = true)]
async fn too_many_failures_stop_a_run_that_can_go_on() {
    let scene = Scene::new(500, 4);
    let output = scene.directory.path().join("output");
    let limited = |max| Settings { failures_max: Some(max), ..scene.settings(&output) };
    let call = async |job: &Job| scene.call(job).await;
    let summary = run(&limited(FailuresMax::Lines(5)), &Control::default(), call).await.unwrap();
    assert_eq!(summary.ended, RunConclusion::TooManyFailures);
    assert!(summary.counts.lines() < 400, "{:?}", summary.counts);

    // One in nineteen fails.
    let tenth = FailuresMax::Share { ratio: 0.1, of_at_least: 10 };
    let call = async |job: &Job| scene.call(job).await;
    let summary = run(&limited(tenth), &Control::default(), call).await.unwrap();
    assert_eq!(summary.ended, RunConclusion::Finished);
    assert!(summary.resumed_from.is_some());
}

#[tokio::test(start_paused = true)]
async fn the_window_holds_the_run_at_a_line_that_hangs_and_no_longer() {
    let scene = Scene::new(400, 5);
    let output = scene.directory.path().join("output");
    let settings = scene.settings(&output);
    let control = Control::default();
    let progress = control.progress.clone();
    let call = async |job: &Job| {
        if job.sequence == 10 {
            tokio::time::sleep(Duration::from_secs(60)).await;
            let seen = progress.snapshot(std::time::Instant::now());
            assert_eq!(seen.low, 10, "the line that hangs is the first without an outcome");
            assert!(seen.counts.lines() >= 60, "the others went on: {seen:?}");
        }
        assert!(job.sequence < 10 + 64 || scene.sent.lock().unwrap().contains_key(&10));
        scene.call(job).await
    };
    let summary = run(&settings, &control, call).await.unwrap();
    assert_eq!(summary.counts.lines(), 400);
}

#[tokio::test]
async fn what_changed_since_a_run_began_is_named_and_nothing_is_touched() {
    let scene = Scene::new(100, 6);
    let output = scene.directory.path().join("output");
    let identity = BTreeMap::from([("upstream".to_owned(), "http://a".to_owned())]);
    let settings = Settings { identity, ..scene.settings(&output) };
    let control = Control::default();
    control.drain.cancel();
    let call = async |job: &Job| scene.call(job).await;
    assert_eq!(run(&settings, &control, call).await.unwrap().ended, RunConclusion::Stopped);

    let changed = async |settings: &Settings| {
        let call = async |job: &Job| scene.call(job).await;
        match run(settings, &Control::default(), call).await {
            Err(RunError::Changed { changes, .. }) => {
                changes.into_iter().map(|one| one.field).collect::<Vec<_>>().join(", ")
            }
            other => panic!("it went on with another run: {other:?}"),
        }
    };
    let ordered = Settings { is_ordered: true, ..settings.clone() };
    assert_eq!(changed(&ordered).await, "order");
    let mut elsewhere = settings.clone();
    elsewhere.identity.insert("upstream".to_owned(), "http://b".to_owned());
    assert_eq!(changed(&elsewhere).await, "setting upstream");
    let text = std::fs::read_to_string(scene.input()).unwrap();
    std::fs::write(scene.input(), text.replacen("line 5", "line 6", 1)).unwrap();
    assert_eq!(changed(&settings).await, "input samples");
    std::fs::write(scene.input(), text.clone() + "more\n").unwrap();
    assert_eq!(changed(&settings).await, "input bytes, input samples");
    std::fs::write(scene.input(), text).unwrap();

    let call = async |job: &Job| scene.call(job).await;
    let summary = run(&settings, &Control::default(), call).await.unwrap();
    assert_eq!((summary.ended, summary.changed), (RunConclusion::Finished, Vec::new()));
}

#[tokio::test]
async fn a_run_that_is_forced_goes_on_with_what_changed_and_says_so() {
    let scene = Scene::new(100, 6);
    let output = scene.directory.path().join("output");
    let settings = Settings { in_flight_max: 1, ..scene.settings(&output) };
    let control = Control::default();
    let call = async |job: &Job| {
        if job.sequence == 39 {
            control.drain.cancel();
        }
        LineOutcome::output(b"old".to_vec())
    };
    assert_eq!(run(&settings, &control, call).await.unwrap().ended, RunConclusion::Stopped);
    let mut other = Settings { is_forced: true, ..settings.clone() };
    other.identity.insert("upstream".to_owned(), "http://b".to_owned());
    let call = async |_: &Job| LineOutcome::output(b"new".to_vec());
    let summary = run(&other, &Control::default(), call).await.unwrap();
    let said: Vec<_> = summary.changed.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["setting upstream was nothing and is http://b"]);
    let text = std::fs::read_to_string(&output).unwrap();
    let old = text.matches("old").count();
    assert!((40..50).contains(&old), "{old}");
    assert_eq!(text, "old\n".repeat(old) + &"new\n".repeat(100 - old));
    // From now on it is a run of the new settings.
    let control = Control::default();
    let refused = run(&settings, &control, async |_: &Job| LineOutcome::filtered()).await;
    assert!(matches!(refused, Err(RunError::Changed { .. })));
}

#[tokio::test]
async fn a_line_that_is_postponed_stops_the_run_and_is_sent_when_it_goes_on() {
    for is_ordered in [false, true] {
        let scene = Scene::new(100, 6);
        let output = scene.directory.path().join("output");
        let settings = Settings { is_ordered, ..scene.settings(&output) };
        let call = async |job: &Job| match job.sequence {
            30 => LineOutcome::postponed(),
            _ => scene.call(job).await,
        };
        let summary = run(&settings, &Control::default(), call).await.unwrap();
        assert_eq!(summary.ended, RunConclusion::Stopped);
        assert!(summary.counts.lines() >= 30, "those that were under way: {summary:?}");
        let call = async |job: &Job| scene.call(job).await;
        let summary = run(&settings, &Control::default(), call).await.unwrap();
        assert_eq!((summary.ended, summary.counts.lines()), (RunConclusion::Finished, 100));
        let most = scene.sent.lock().unwrap().values().max().copied();
        assert!(is_ordered || most == Some(1), "a line was sent twice: {most:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_run_of_the_same_output_is_locked_out() {
    let scene = Scene::new(50, 7);
    let output = scene.directory.path().join("output");
    let settings = scene.settings(&output);
    let call = async |_: &Job| {
        let control = Control::default();
        let second = run(&settings, &control, async |_: &Job| LineOutcome::filtered());
        let error = Box::pin(second).await.expect_err("there are two at it");
        assert!(matches!(error, RunError::Locked { .. }), "{error}");
        LineOutcome::filtered()
    };
    let summary = run(&settings, &Control::default(), call).await.unwrap();
    assert_eq!(summary.counts.filtered, 50);
}

#[tokio::test]
async fn an_output_that_belongs_to_no_run_is_not_overwritten() {
    let scene = Scene::new(5, 8);
    let output = scene.directory.path().join("output");
    std::fs::write(&output, "precious\n").unwrap();
    let call = async |job: &Job| scene.call(job).await;
    let error = run(&scene.settings(&output), &Control::default(), call).await.unwrap_err();
    assert!(matches!(error, RunError::InTheWay { .. }), "{error}");
    assert_eq!(std::fs::read(&output).unwrap(), b"precious\n");
}

#[tokio::test]
async fn lines_and_answers_that_are_too_long_go_to_the_dead_letter_file() {
    let scene = Scene::new(0, 9);
    std::fs::write(scene.input(), format!("short\n{}\nask\nlines\n", "x".repeat(500))).unwrap();
    let output = scene.directory.path().join("output");
    let settings =
        Settings { line_bytes_max: 100, answer_bytes_max: 10, ..scene.settings(&output) };
    let call = async |job: &Job| match job.line.as_slice() {
        b"ask" => LineOutcome::output(vec![b'y'; 11]),
        b"lines" => LineOutcome::output(b"two\nof".to_vec()),
        line => LineOutcome::output(line.to_vec()),
    };
    let summary = run(&settings, &Control::default(), call).await.unwrap();
    assert_eq!((summary.counts.output, summary.counts.dead), (1, 3));
    assert_eq!(std::fs::read(&output).unwrap(), b"short\n");
    let letters = std::fs::read_to_string(dead(&output)).unwrap();
    for why in [
        "the line has 500 bytes, and 100 may be sent",
        "the answer has 11 bytes",
        "more than one line",
    ] {
        assert!(letters.contains(why), "{letters}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_input_that_is_cut_while_it_is_read_ends_the_run_after_all_that_was_read() {
    // Ten mebibytes: more than is read ahead.
    let scene = Scene::new(600_000, 10);
    let output = scene.directory.path().join("output");
    let settings = Settings::new(scene.input(), &output);
    let call = async |job: &Job| {
        if job.sequence == 0 {
            let input = std::fs::OpenOptions::new().write(true).open(scene.input()).unwrap();
            input.set_len(100).unwrap();
        }
        LineOutcome::filtered()
    };
    // What was read ahead is as it was before; the end is not where it was.
    let error = run(&settings, &Control::default(), call).await.unwrap_err();
    assert!(matches!(error, RunError::Input(_)), "{error}");
    assert!(error.to_string().contains("it was cut while it was read"), "{error}");
}

/// Runs over an input that `change` does something to when half of it was sent; returns what the
/// run says.
async fn changed_in_the_middle(change: impl Fn(&std::path::Path)) -> (Scene, Settings, String) {
    let scene = Scene::new(200, 9);
    let output = scene.directory.path().join("output");
    let settings = Settings { in_flight_max: 4, ..scene.settings(&output) };
    let call = async |job: &Job| {
        if job.sequence == 100 {
            change(&scene.input());
        }
        LineOutcome::output(job.line.clone())
    };
    let said = match run(&settings, &Control::default(), call).await {
        Ok(summary) => format!("{:?} {}", summary.ended, summary.counts.lines()),
        Err(error) => error.to_string(),
    };
    (scene, settings, said)
}

#[tokio::test]
async fn i9_an_input_that_is_rewritten_while_it_is_read_is_no_finished_run() {
    let original = std::sync::Mutex::new(Vec::new());
    let (scene, settings, said) = changed_in_the_middle(|input| {
        let text = std::fs::read(input).unwrap();
        std::fs::write(input, text.to_ascii_uppercase()).unwrap();
        *original.lock().unwrap() = text;
    })
    .await;
    assert!(said.contains("was changed while it was read: it was written to"), "{said}");
    let nobody = async |_: &Job| panic!("every line has its outcome");
    let refused = run(&settings, &Control::default(), nobody).await;
    assert!(matches!(refused, Err(RunError::Changed { .. })), "{refused:?}");
    std::fs::write(scene.input(), original.into_inner().unwrap()).unwrap();
    let nobody = async |_: &Job| panic!("every line has its outcome");
    let summary = run(&settings, &Control::default(), nobody).await.unwrap();
    assert_eq!((summary.ended, summary.counts.output), (RunConclusion::Finished, 200));
}

#[tokio::test]
async fn i9_an_input_that_is_replaced_or_removed_is_read_to_the_end_as_it_was() {
    let (_, _, said) = changed_in_the_middle(|input| std::fs::remove_file(input).unwrap()).await;
    assert_eq!(said, "Finished 200");
    let (_scene, settings, said) = changed_in_the_middle(|input| {
        let other = input.with_extension("new");
        std::fs::write(&other, "other\n".repeat(300)).unwrap();
        std::fs::rename(other, input).unwrap();
    })
    .await;
    assert_eq!(said, "Finished 200");
    let text = std::fs::read_to_string(&settings.output).unwrap();
    assert!(!text.contains("other"), "it read the other file");
}

#[tokio::test]
async fn i9_what_is_no_file_is_refused_at_once_and_links_where_none_may_be() {
    let scene = Scene::new(10, 9);
    let at = |name: &str| scene.directory.path().join(name);
    let refused = async |name: &str, follows_links: bool| {
        let settings =
            Settings { follows_links, ..Settings::new(at(name), at(&format!("{name}.out"))) };
        let nobody = async |_: &Job| LineOutcome::filtered();
        let ended = run(&settings, &Control::default(), nobody).await;
        ended.map(|summary| summary.counts.filtered).map_err(|error| error.to_string())
    };
    std::os::unix::fs::symlink(scene.input(), at("link")).unwrap();
    std::os::unix::fs::symlink(at("loop"), at("loop")).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap();
    assert!(fifo.success());
    assert_eq!(refused("link", true).await, Ok(10));
    let said = |said: Result<u64, String>, expected: &str| {
        let why = said.unwrap_err();
        assert!(why.contains(expected), "{why}");
    };
    std::fs::remove_dir_all(at("link.out.seawall")).unwrap();
    said(refused("link", false).await, "link: it is a link, and none is followed here");
    said(refused("loop", true).await, "Too many levels of symbolic links");
    said(refused("fifo", true).await, "fifo: it is a pipe");
    said(refused("/dev/zero", true).await, "it is no regular file");
    said(refused("none", true).await, "No such file");
}

#[tokio::test]
async fn i9_what_is_put_behind_the_end_is_not_read_and_changes_nothing() {
    let (_, _, said) = changed_in_the_middle(|input| {
        use std::io::Write;
        let mut file = std::fs::OpenOptions::new().append(true).open(input).unwrap();
        file.write_all(b"more\nand more\n").unwrap();
    })
    .await;
    assert_eq!(said, "Finished 200");
}

#[tokio::test(start_paused = true)]
async fn a_compressed_input_goes_on_in_the_middle() {
    let scene = Scene::new(900, 11);
    let status = std::process::Command::new("gzip").arg(scene.input()).status().unwrap();
    assert!(status.success());
    let output = scene.directory.path().join("output");
    let input = scene.directory.path().join("input.gz");
    let settings = Settings { input, is_ordered: true, ..scene.settings(&output) };
    let mut resumed_from = None;
    loop {
        let control = Control::default();
        let drain = control.drain.clone();
        let call = async |job: &Job| {
            if job.sequence % 300 == 299 {
                drain.cancel();
            }
            scene.call(job).await
        };
        let summary = run(&settings, &control, call).await.unwrap();
        assert_eq!(control.progress.snapshot(std::time::Instant::now()).input_length, 0);
        resumed_from = resumed_from.max(summary.resumed_from.map(|from| from.sequence));
        if summary.ended == RunConclusion::Finished {
            break;
        }
    }
    assert!(resumed_from > Some(500), "{resumed_from:?}");
    let letters = std::fs::read(dead(&output)).unwrap();
    scene.check(&std::fs::read(&output).unwrap(), &letters, true, "compressed");
    assert_eq!(scene.sends(), 900);
}

#[test]
fn a_run_can_be_spawned_on_any_runtime() {
    fn is_send<T: Send>(_: T) {}
    let settings = Settings::new("in", "out");
    let control = Control::default();
    is_send(run(&settings, &control, async |_: &Job| LineOutcome::filtered()));
}

#[tokio::test(start_paused = true)]
async fn an_output_that_was_removed_or_cut_is_never_a_run_that_finished() {
    for (is_dead, is_gone, is_before) in [
        (false, true, true),
        (false, false, true),
        (true, true, true),
        (false, true, false),
        (true, false, false),
    ] {
        let scene = Scene::new(100, 5);
        let output = scene.directory.path().join("output");
        let path = if is_dead { dead(&output) } else { output.clone() };
        let spoil = || match is_gone {
            true => std::fs::remove_file(&path).unwrap(),
            false => {
                let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
                file.set_len(5).unwrap();
            }
        };
        let settings = scene.settings(&output);
        let control = Control::default();
        let call = async |job: &Job| {
            let outcome = scene.call(job).await;
            // The last line waits until much is written.
            if is_before && job.sequence == 99 {
                while !std::fs::metadata(&path).is_ok_and(|file| file.len() > 5) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
                spoil();
            }
            outcome
        };
        let ended = run(&settings, &control, call).await;
        if !is_before {
            assert_eq!(ended.unwrap().ended, RunConclusion::Finished);
            spoil();
            let call = async |job: &Job| scene.call(job).await;
            let error = run(&settings, &Control::default(), call).await.unwrap_err();
            assert!(matches!(error, RunError::OutputChanged { .. }), "{error}");
        } else {
            let error = ended.unwrap_err();
            assert!(matches!(error, RunError::OutputChanged { .. }), "{error}");
        }
        let anew = Settings { is_anew: true, ..settings };
        let call = async |job: &Job| scene.call(job).await;
        let summary = run(&anew, &Control::default(), call).await.unwrap();
        assert_eq!((summary.ended, summary.counts.lines()), (RunConclusion::Finished, 100));
        let letters = std::fs::read(dead(&output)).unwrap();
        scene.check(&std::fs::read(&output).unwrap(), &letters, false, "begun anew");
    }
}

#[tokio::test(start_paused = true)]
async fn in_order_a_crash_costs_calls_at_once_twice_and_a_stop_costs_none() {
    for is_crash in [true, false] {
        let scene = Scene::new(1500, 6);
        let output = scene.directory.path().join("output");
        let settings = Settings {
            is_ordered: true,
            window_lines_max: 4096,
            in_flight_max: 16,
            ..scene.settings(&output)
        };
        let control = Control::default();
        let call = async |job: &Job| {
            if job.sequence == 3 {
                std::future::pending::<()>().await;
            }
            scene.call(job).await
        };
        let waits = async {
            // All but the one that hangs have an answer, and wait for it.
            while scene.sends() < 1499 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        };
        match is_crash {
            true => tokio::select! {
                _ = run(&settings, &control, call) => unreachable!("a line hangs"),
                () = waits => {}
            },
            false => {
                let (ended, ()) = tokio::join!(run(&settings, &control, call), async {
                    waits.await;
                    control.halt.cancel();
                });
                assert_eq!(ended.unwrap().ended, RunConclusion::Stopped);
            }
        }
        let before = scene.sends();
        let call = async |job: &Job| scene.call(job).await;
        let mut tries = 0;
        let summary = loop {
            match run(&settings, &Control::default(), call).await {
                // What was being written when it was dropped holds the lock until it is.
                Err(RunError::Locked { .. }) if tries < 1000 => tries += 1,
                ended => break ended.unwrap(),
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        assert_eq!((summary.ended, summary.counts.lines()), (RunConclusion::Finished, 1500));
        let letters = std::fs::read(dead(&output)).unwrap();
        scene.check(&std::fs::read(&output).unwrap(), &letters, true, "in order");
        let again = scene.sends() - before;
        let bound = if is_crash { 1 + 16 } else { 1 };
        assert!((1..=bound).contains(&again), "{again} lines were sent again");
        let left = std::fs::read_dir(settings.state()).unwrap();
        let names = left.map(|one| one.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.filter(|name| name.starts_with("spill")).count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_moved_to_another_folder_goes_on() {
    let scene = Scene::new(300, 7);
    let at = |name: &str| scene.directory.path().join(name);
    std::fs::create_dir(at("here")).unwrap();
    let settings = scene.settings(at("here/output"));
    let control = Control::default();
    let drain = control.drain.clone();
    let call = async |job: &Job| {
        if job.sequence == 100 {
            drain.cancel();
        }
        scene.call(job).await
    };
    assert_eq!(run(&settings, &control, call).await.unwrap().ended, RunConclusion::Stopped);
    std::fs::rename(at("here"), at("there")).unwrap();
    let moved = scene.settings(at("there/output"));
    let call = async |job: &Job| scene.call(job).await;
    let summary = run(&moved, &Control::default(), call).await.unwrap();
    assert_eq!((summary.ended, summary.counts.lines()), (RunConclusion::Finished, 300));
    assert_eq!(scene.sends(), 300);
}

#[tokio::test]
async fn files_that_are_one_are_refused_before_anything_is_changed() {
    let scene = Scene::new(10, 8);
    let output = scene.directory.path().join("output");
    let input = std::fs::read(scene.input()).unwrap();
    let refused = async |settings: Settings| {
        let call = async |job: &Job| scene.call(job).await;
        let error = run(&settings, &Control::default(), call).await.unwrap_err();
        assert!(matches!(error, RunError::SameFile { .. }), "{error}");
    };
    refused(Settings { dead: output.clone(), ..scene.settings(&output) }).await;
    refused(scene.settings(scene.input())).await;
    let dotted = scene.directory.path().join("./output");
    refused(Settings { dead: dotted, ..scene.settings(&output) }).await;
    refused(Settings { dead: scene.input(), ..scene.settings(&output) }).await;
    assert_eq!(std::fs::read(scene.input()).unwrap(), input);
    assert!(!output.exists() && !scene.settings(&output).state().exists());
    let missing = scene.settings(scene.directory.path().join("none/output"));
    let call = async |job: &Job| scene.call(job).await;
    let error = run(&missing, &Control::default(), call).await.unwrap_err();
    assert!(matches!(error, RunError::Open { .. }), "{error}");
}
