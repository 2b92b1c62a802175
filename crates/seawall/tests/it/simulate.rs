//! `seawall simulate`: what is simulated, what is shown, and what is refused.

use std::fs;

use serde_json::Value;

use crate::commands::{dir_with, json, run};

const SETTINGS: &str = r#"
[policy.careful]
limit = { in_flight = 60, queue = 60, queue_wait = "50ms" }

[upstream.weather-api]
url = "http://127.0.0.1:1"
policy = "careful"

[[route]]
match = "GET /api/weather/{city}"
upstream = "weather-api"
path = "/{city}"
"#;

const SHORT: &str = r#"
about = "Twice as much as can be done."
seeds = [1, 2]

[upstream]
capacity = 10
latency  = { fixed = "10ms" }

[clients]
rate = "500/s"

[[phase]]
name = "usual"
for  = "3s"

[[phase]]
name = "over"
for  = "15s"
rate = "2000/s"
"#;

fn empty() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn the_scenarios_of_the_binary_are_listed_and_the_example_can_be_run() {
    let dir = empty();
    let (code, out, _) = run(dir.path(), &["simulate", "--list"]);
    assert_eq!(code, 0);
    for name in ["overload", "outage", "slowdown", "hang", "storm", "shared"] {
        assert!(out.lines().any(|line| line.starts_with(name)), "{name} is not in {out}");
    }
    let (_, out, _) = run(dir.path(), &["simulate", "--list", "--json"]);
    assert!(json(&out)["scenarios"].as_array().unwrap().iter().all(|one| one["look"] != ""));
    let (code, example, _) = run(dir.path(), &["simulate", "--example"]);
    assert_eq!(code, 0);
    fs::write(dir.path().join("mine.toml"), example).unwrap();
    let (code, out, err) = run(dir.path(), &["simulate", "mine.toml"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    assert!(out.contains("the worst of seeds 1, 2, 3") && out.contains("one fails"), "{out}");
}

#[test]
fn the_same_seed_says_the_same_and_policies_are_compared() {
    let dir = empty();
    fs::write(dir.path().join("mine.toml"), SHORT).unwrap();
    let args = ["simulate", "mine.toml", "--policy", "standard", "--policy", "none"];
    let (code, out, _) = run(dir.path(), &args);
    assert_eq!(code, 0);
    assert_eq!(run(dir.path(), &args).1, out);
    insta::assert_snapshot!(out);
}

#[test]
fn json_has_every_run_with_its_stages_and_its_course() {
    let dir = empty();
    fs::write(dir.path().join("mine.toml"), SHORT).unwrap();
    let args = ["simulate", "mine.toml", "--policy", "standard", "--policy", "none", "--json"];
    let (code, out, _) = run(dir.path(), &args);
    assert_eq!(code, 0);
    let document = json(&out);
    let runs = document["runs"].as_array().unwrap();
    let of = |policy: &str| -> Vec<&Value> {
        runs.iter().filter(|run| run["policy"] == policy).collect()
    };
    assert_eq!((of("standard").len(), of("none").len()), (2, 2));
    let over = |run: &Value| run["stages"][1]["of_possible"].as_f64().unwrap();
    assert!(over(of("standard")[0]) > 0.95, "{}", over(of("standard")[0]));
    let run = of("none")[1];
    assert_eq!((&run["seed"], &run["stages"][1]["name"]), (&2.into(), &"over".into()));
    let counts = &run["total"];
    let fates: u64 =
        counts["fates"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(Some(fates), counts["calls"].as_u64());
    let steps = run["course"].as_array().unwrap();
    let arrivals: u64 = steps.iter().map(|step| step["arrivals"].as_u64().unwrap()).sum();
    assert_eq!(Some(arrivals), counts["arrivals"].as_u64());
    assert!(steps.iter().any(|step| step["upstream_queued"].as_f64().unwrap() > 100.0));
}

#[test]
fn an_expectation_that_is_missed_answers_no() {
    let dir = empty();
    fs::write(dir.path().join("mine.toml"), SHORT).unwrap();
    let expect = |rules: &[&str]| {
        let rules = rules.iter().flat_map(|rule| ["--expect", rule]);
        let args: Vec<&str> = ["simulate", "mine.toml"].into_iter().chain(rules).collect();
        run(dir.path(), &args)
    };
    let (code, out, _) = expect(&["goodput>=95%", "usual:p99<=50ms", "attempts<=1.1"]);
    assert_eq!((code, out.matches("✓ met").count()), (0, 3), "{out}");
    let (code, out, _) = expect(&["goodput>=95%", "rejected_bulkhead<=1%"]);
    assert_eq!((code, out.matches("✗ missed").count()), (1, 1), "{out}");
    for (rule, said) in [
        ("godput>=95%", "did you mean `goodput`?"),
        ("goodput=95%", "neither >= nor <="),
        ("calm:goodput>=95%", "there are usual, over"),
    ] {
        let (code, out, err) = expect(&[rule]);
        assert_eq!((code, out.as_str()), (2, ""), "{rule}");
        assert!(err.contains(said), "{err}");
    }
}

#[test]
fn policies_come_from_the_settings() {
    let dir = dir_with(SETTINGS);
    let flags = ["--rate", "500/s", "--capacity", "10", "--latency", "10ms..40ms", "--for", "3s"];
    let with = |more: &[&str]| {
        let args: Vec<&str> = ["simulate"].iter().chain(&flags).chain(more).copied().collect();
        run(dir.path(), &args)
    };
    for more in [&["--policy", "careful"][..], &["--upstream", "weather-api"]] {
        let (code, out, err) = with(more);
        assert_eq!(code, 0, "{err}");
        assert!(out.contains("\n  careful "), "{out}");
        assert!(out.starts_with("one upstream, called at 500/s\n10 places"), "{out}");
    }
    let (code, _, err) = with(&["--policy", "careless"]);
    assert_eq!(code, 2);
    assert!(err.contains("no policy `careless`") && err.contains("careful"), "{err}");
    let (code, _, err) = with(&["--upstream", "nobody"]);
    assert_eq!(code, 2);
    assert!(err.contains("no upstream `nobody`"), "{err}");
}

#[test]
fn every_error_of_a_scenario_is_told_at_once_with_its_place() {
    let dir = empty();
    let bad = SHORT.replace("capacity = 10", "capacty = 10").replace("\"500/s\"", "\"500\"");
    fs::write(dir.path().join("bad.toml"), bad).unwrap();
    let (code, out, err) = run(dir.path(), &["simulate", "bad.toml"]);
    assert_eq!((code, out.as_str()), (3, ""));
    insta::assert_snapshot!(err);
}

#[test]
fn what_cannot_be_simulated_is_refused_with_what_to_do() {
    let dir = empty();
    for (args, code, said) in [
        (&[][..], 2, "nothing is said of what to simulate"),
        (&["none.toml"], 4, "--example"),
        (&["--scenario", "overlaod"], 2, "did you mean `overload`?"),
        (&["--capacity", "0"], 2, "0 is not in 1..=100000"),
        (&["--rate", "fast"], 2, "not a number with a unit"),
        (&["--rate", "900000/s", "--for", "1h"], 2, "more than can be simulated"),
        (&["--scenario", "hang", "--rate", "5/s"], 2, "cannot be used with"),
        (&["--scenario", "hang", "--gateways", "0"], 2, "0 is not in 1..=1000"),
        (&["--scenario", "hang", "--policy", "mine"], 3, "no seawall.toml here"),
    ] {
        let args: Vec<&str> = ["simulate"].iter().chain(args).copied().collect();
        let (was, out, err) = run(dir.path(), &args);
        assert_eq!((was, out.as_str()), (code, ""), "{args:?}: {err}");
        assert!(err.contains(said), "{args:?}: {err}");
    }
}

#[test]
fn the_page_has_charts_and_needs_nothing_from_elsewhere() {
    let dir = empty();
    fs::write(dir.path().join("mine.toml"), SHORT.replace("over\"", "<b>over\"")).unwrap();
    let args = ["simulate", "mine.toml", "--policy", "none", "--html", "mine.html"];
    let (code, _, err) = run(dir.path(), &args);
    assert_eq!((code, err.as_str()), (0, "written to mine.html\n"));
    let page = fs::read_to_string(dir.path().join("mine.html")).unwrap();
    assert!(page.matches("<svg").count() > 5, "{page}");
    for foreign in ["http:", "https:", "<script", "src=", "@import", "<link", "<b>"] {
        assert!(!page.contains(foreign), "{foreign} is in the page");
    }
    assert!(page.contains("&lt;b&gt;over") && page.contains("prefers-color-scheme"));
    let (code, _, err) = run(dir.path(), &["simulate", "mine.toml", "--html", "none/mine.html"]);
    assert_eq!(code, 4);
    assert!(err.starts_with("error: cannot write none/mine.html"), "{err}");
}
