//! Reload: numbers are swapped, state is kept, and what is refused changes nothing.

use std::fs;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::SystemTime;

use crate::support::{Running, Slow, get, settings, until};

/// Returns an address at which nobody listens.
fn dead() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

#[test]
fn an_open_breaker_stays_open_over_a_reload() {
    let settings = settings(&dead());
    let host = Running::start(&settings);
    for _ in 0..3 {
        assert_eq!(get(host.listen, "/api/x").status, 502);
    }
    assert_eq!(host.status()["upstreams"][0]["breaker"], "open");
    fs::write(&host.file, settings.replace("\"60s\"", "\"50s\"")).unwrap();
    assert_eq!(host.reload().generation, 2);
    assert_eq!(host.status()["upstreams"][0]["breaker"], "open");
    let answer = get(host.listen, "/api/x");
    assert_eq!(answer.status, 503);
    assert!(answer.body.contains("rejected_breaker"), "{answer:?}");
    host.stop();
}

#[test]
fn a_refused_file_changes_nothing_and_is_shown_everywhere() {
    let good = settings("sim:calm");
    let host = Running::start(&good);
    let bad = good.replace("/api/", "/<img>/").replace("upstream = \"up\"", "upstream = \"gone\"");
    fs::write(&host.file, bad).unwrap();
    let reloaded = host.reload();
    assert_eq!(reloaded.generation, 1);
    let refused = reloaded.refused.unwrap();
    assert!(refused.human.contains("<img>"), "{refused:?}");
    assert_eq!(get(host.listen, "/api/x").status, 200, "the old settings serve");
    assert_eq!(get(host.admin, "/readyz").status, 200);
    let status = host.status();
    assert_eq!(status["settings"]["generation"], 1);
    assert!(status["settings"]["refused"].as_str().unwrap().contains("<img>"), "{status}");
    assert_eq!(host.metric("seawall_config_refused_total "), Some(1.0));
    assert_eq!(host.metric("seawall_config_is_refused "), Some(1.0));
    let page = get(host.admin, "/").body;
    assert!(page.contains("settings refused: still serving generation 1"), "{page}");
    assert!(page.contains("&lt;img&gt;") && !page.contains("<img>"), "{page}");

    fs::write(&host.file, good).unwrap();
    assert_eq!(host.reload().generation, 2);
    assert!(host.status()["settings"]["refused"].is_null());
    assert_eq!(host.metric("seawall_config_is_refused "), Some(0.0));
    host.stop();
}

#[test]
fn a_changed_file_is_taken_by_itself() {
    let good = settings("sim:calm");
    let host = Running::start(&good);
    assert_eq!(get(host.listen, "/other/x").status, 404);
    fs::write(&host.file, good.replace("/api/", "/other/")).unwrap();
    until("the new route is served", || get(host.listen, "/other/x").status == 200);
    assert_eq!(get(host.listen, "/api/x").status, 404);
    host.stop();
}

/// Returns settings with so many routes: `/api/x` and others.
fn routes(number: usize) -> String {
    let more = (1..number).map(|number| {
        format!("[[route]]\nmatch = \"GET /{number}/{{name}}\"\nupstream = \"up\"\n")
    });
    settings("sim:calm") + &more.collect::<String>()
}

#[test]
fn settings_that_lose_most_routes_are_refused_until_somebody_insists() {
    let host = Running::start(&routes(3));
    for (text, lost) in [("", "0 of 3 routes"), (&*routes(1), "1 of 3 routes")] {
        fs::write(&host.file, text).unwrap();
        let refused = host.reload().refused.expect(lost);
        assert!(refused.human.contains(lost), "{refused:?}");
        assert!(refused.human.contains("--force"), "{refused:?}");
        assert_eq!(get(host.listen, "/2/x").status, 200, "the old settings serve");
        assert!(host.status()["settings"]["refused"].as_str().unwrap().contains(lost));
    }
    let attention = host.status()["attention"].to_string();
    assert!(attention.contains("settings refused: still serving generation 1"), "{attention}");
    assert_eq!(host.metric("seawall_config_is_refused "), Some(1.0));

    assert_eq!(host.reload_forced().generation, 2);
    assert_eq!(get(host.listen, "/2/x").status, 404);
    assert_eq!(get(host.listen, "/api/x").status, 200);
    assert_eq!(host.metric("seawall_config_is_refused "), Some(0.0));
    host.stop();
}

#[test]
fn a_file_that_somebody_empties_does_not_take_effect_by_itself() {
    let host = Running::start(&settings("sim:calm"));
    fs::write(&host.file, "").unwrap();
    until("it is refused", || host.metric("seawall_config_refused_total ") == Some(1.0));
    assert_eq!(get(host.listen, "/api/x").status, 200);
    host.stop();
}

#[test]
fn a_reload_waits_until_the_file_has_come_to_rest() {
    let host = Running::start(&routes(3));
    // What is there so far would be taken: more than half of the routes.
    fs::write(&host.file, routes(2)).unwrap();
    thread::scope(|scope| {
        let reload = scope.spawn(|| host.reload());
        fs::write(&host.file, routes(4)).unwrap();
        // The host looks at its file by itself too, and may have been first.
        assert!((2..=3).contains(&reload.join().unwrap().generation));
    });
    assert_eq!(get(host.listen, "/3/x").status, 200, "half of the file was taken");
    host.stop();
}

#[test]
fn a_file_that_never_rests_is_refused_and_said_to_be_written() {
    let host = Running::start(&settings("sim:calm"));
    let is_done = AtomicBool::new(false);
    let refused = thread::scope(|scope| {
        scope.spawn(|| {
            let file = fs::File::options().write(true).open(&host.file).unwrap();
            while !is_done.load(Ordering::Relaxed) {
                file.set_modified(SystemTime::now()).unwrap();
                thread::yield_now();
            }
        });
        let refused = host.reload().refused;
        is_done.store(true, Ordering::Relaxed);
        refused.expect("it is written all the time")
    });
    assert!(refused.human.contains("still being written"), "{refused:?}");
    host.stop();
}

#[test]
fn a_file_that_is_gone_is_noticed_and_so_is_its_return() {
    let good = settings("sim:calm");
    let host = Running::start(&good);
    fs::remove_file(&host.file).unwrap();
    let is_missing = || host.status()["settings"]["is_missing"] == true;
    until("it is noticed", is_missing);
    let attention = host.status()["attention"].to_string();
    assert!(attention.contains("settings file gone: still serving generation 1"), "{attention}");
    assert!(host.reload().refused.unwrap().human.contains("cannot read"));
    assert_eq!(get(host.listen, "/api/x").status, 200);

    // The same words as before.
    fs::write(&host.file, good).unwrap();
    until("it is back", || !is_missing() && host.status()["settings"]["refused"].is_null());
    host.stop();
}

#[test]
fn a_changed_secret_needs_a_restart_and_is_not_told() {
    let guarded = |token: &str| {
        settings("sim:calm")
            + &format!(
                "[admin]\nlisten = \"127.0.0.1:9090\"\n\
                 token = {{ env = \"NOT_SET_ANYWHERE\", default = \"{token}\" }}\n"
            )
    };
    let host = Running::start(&guarded("canary-1"));
    fs::write(&host.file, guarded("canary-2")).unwrap();
    let needed = host.reload().restart_needed.expect("the token is another one");
    assert_eq!(needed, "admin.token is not what it was at the start");
    fs::write(&host.file, guarded("canary-1")).unwrap();
    assert_eq!(host.reload().restart_needed, None);
    host.stop();
}

#[test]
fn another_password_of_the_database_needs_a_restart_and_is_not_told() {
    let with = |password: &str| {
        settings("sim:calm")
            + &format!(
                "[worker]\npostgres = {{ env = \"NOT_SET_ANYWHERE\", \
                 default = \"postgres://seawall:{password}@127.0.0.1:1/postgres\" }}\n\
                 [job.cities]\ninput = \"in\"\noutput = \"out\"\n\
                 each_line = {{ send = \"GET /{{line}}\", upstream = \"up\" }}\n"
            )
    };
    let host = Running::start(&with("canary-1"));
    fs::write(&host.file, with("canary-2")).unwrap();
    let needed = host.reload().restart_needed.expect("the password is another one");
    assert_eq!(needed, "[worker] is not what it was at the start");
    assert!(!host.status().to_string().contains("canary"));
    fs::write(&host.file, with("canary-1")).unwrap();
    assert_eq!(host.reload().restart_needed, None);
    host.stop();
}

#[test]
fn a_moved_port_is_none_of_a_reload_s_business_if_a_flag_stood_in() {
    let good = settings("sim:calm");
    let host = Running::start(&good);
    fs::write(&host.file, good.replace("8080", "8081")).unwrap();
    assert_eq!(host.reload().restart_needed, None);
    host.stop();
}

#[test]
fn a_request_in_flight_finishes_on_the_settings_it_began_with() {
    let slow = Slow::start();
    let good = settings(&format!("http://{}", slow.address));
    let host = Running::start(&good);
    let listen = host.listen;
    let client = thread::spawn(move || get(listen, "/api/x"));
    slow.arrived.recv().unwrap();
    fs::write(&host.file, good.replace("/api/", "/other/")).unwrap();
    // On a slow machine the file has rested by now, and was read before.
    assert!(host.reload().generation >= 2);
    assert_eq!(get(host.listen, "/api/x").status, 404);
    slow.answer();
    let answer = client.join().unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (200, "late\n"));
    host.stop();
}

#[test]
fn p3_nine_reloads_under_load_lose_no_request() {
    let good = settings("sim:calm");
    let host = Running::start(&good);
    let (listen, done) = (host.listen, Arc::new(AtomicBool::new(false)));
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let done = done.clone();
            thread::spawn(move || {
                let mut statuses = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    statuses.push(get(listen, "/api/x").status);
                }
                statuses
            })
        })
        .collect();
    let ended = "seawall_gateway_requests_ended_total{route=\"GET /api/{name}\",fate=\"ok\"} ";
    for number in 0..9_u32 {
        let drain = format!("\"{}s\"", 5 + number % 2);
        fs::write(&host.file, good.replace("\"5s\"", &drain)).unwrap();
        assert!(host.reload().refused.is_none());
        // Each generation serves for a while.
        let before = host.metric(ended).unwrap();
        until("requests are served", || host.metric(ended).unwrap() > before + 20.0);
    }
    done.store(true, Ordering::Relaxed);
    let statuses: Vec<u16> = clients.into_iter().flat_map(|c| c.join().unwrap()).collect();
    // One in a thousand is the simulated upstream's own failure, passed through as it is.
    let lost = statuses.iter().filter(|status| ![200, 500].contains(*status)).count();
    assert_eq!(lost, 0, "of {}: {statuses:?}", statuses.len());
    host.stop();
}
