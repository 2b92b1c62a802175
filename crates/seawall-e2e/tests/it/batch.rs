//! `seawall map` as a batch: upstreams that are away for a while, typos, pipes, and runs that are
//! begun anew.

use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::fixture::{Exchange, Origin, Seawall};

struct Scene {
    folder: TempDir,
    url: String,
}

impl Scene {
    fn new(origin: &Origin, lines: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text: String = (0..lines).map(|line| format!("city-{line}\n")).collect();
        fs::write(folder.path().join("in"), text).unwrap();
        Self { folder, url: origin.url() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn run(&self, to: &str, more: &[&str]) -> Output {
        let to = to.replace("URL", &self.url);
        let mut arguments = vec!["map"];
        arguments.extend(more);
        arguments.extend(["--to", &to]);
        Command::from(Seawall::command(self.folder.path(), &arguments)).output().await.unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test]
async fn a_typo_in_a_place_is_found_before_anything_is_sent_or_written() {
    let origin = Origin::saying("fine");
    let scene = Scene::new(&origin, 1000);
    let run = scene.run("GET URL/w/{lin}", &["in", "--out", "out"]).await;
    assert_eq!(run.status.code(), Some(3), "{}", said(&run));
    assert!(said(&run).contains("did you mean {line}"), "{}", said(&run));
    assert_eq!(origin.seen.connections(), 0);
    let run = scene.run("GET URL/w/{line}", &["in", "--out", "out"]).await;
    assert_eq!(run.status.code(), Some(0), "the mended command: {}", said(&run));
    assert_eq!(origin.seen.requests(), 1000);
}

#[tokio::test]
async fn answers_go_to_stdout_and_pipes_are_told_how() {
    let origin = Origin::saying("fine");
    let scene = Scene::new(&origin, 50);
    let run = scene.run("GET URL/w/{line}", &["in", "--out", "-", "--ordered"]).await;
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let lines: Vec<Json> = String::from_utf8(run.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 50);
    assert_eq!((&lines[7]["seq"], &lines[7]["answer"]), (&7.into(), &"fine".into()));
    let mut names: Vec<_> = fs::read_dir(scene.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["in", "in.dead"]);
    let made = std::process::Command::new("mkfifo").arg(scene.path("fifo")).status().unwrap();
    assert!(made.success());
    let run = scene.run("GET URL/w/{line}", &["fifo", "--out", "out"]).await;
    assert_eq!(run.status.code(), Some(4));
    assert!(said(&run).contains("use -"), "{}", said(&run));
    let run = scene.run("GET URL/w/{line}", &["in", "--out", "none/out"]).await;
    assert_eq!(run.status.code(), Some(4), "{}", said(&run));
    let run = scene.run("GET URL/w/{line}", &["in", "--out", "out", "--dead", "./out"]).await;
    assert_eq!(run.status.code(), Some(3), "{}", said(&run));
}

#[tokio::test]
async fn a_run_whose_output_was_removed_is_not_finished_and_is_begun_anew() {
    let origin = Origin::saying("fine");
    let scene = Scene::new(&origin, 20);
    let map = async |more: &[&str]| {
        let run =
            scene.run("GET URL/w/{line}", &[&["in", "--out", "out"][..], more].concat()).await;
        (run.status.code(), said(&run))
    };
    assert_eq!(map(&[]).await.0, Some(0));
    let (code, text) = map(&["--dry-run"]).await;
    assert_eq!(code, Some(0), "{text}");
    fs::remove_file(scene.path("out")).unwrap();
    let (code, text) = map(&[]).await;
    assert!(code == Some(4) && text.contains("it is gone") && text.contains("--anew"), "{text}");
    assert_eq!(map(&["--anew"]).await.0, Some(0));
    assert_eq!(origin.seen.requests(), 40);
    assert_eq!(fs::read_to_string(scene.path("out")).unwrap().lines().count(), 20);
}

#[tokio::test]
async fn every_tenth_429_costs_no_line_of_a_post() {
    let calls = AtomicU32::new(0);
    let origin = Origin::start(move |exchange: Exchange| {
        let is_tenth = calls.fetch_add(1, Ordering::Relaxed) % 10 == 9;
        async move {
            match is_tenth {
                true => exchange.answer(429, "later").await,
                false => exchange.answer(200, "fine").await,
            }
        }
    });
    let scene = Scene::new(&origin, 300);
    let run = scene.run("POST URL/w", &["in", "--out", "out", "--json"]).await;
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    let summary: Json = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!((&summary["ok"], &summary["dead"]), (&300.into(), &0.into()));
}
