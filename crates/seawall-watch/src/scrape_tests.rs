//! A scrape shows every metric once, and nothing that was never configured.

use std::num::NonZeroU64;

use seawall_core::CallId;

use super::tests::samples;
use super::*;
use crate::gauges::{BreakerGauge, EjectedGauge, EndpointGauges};
use crate::jobs::{LineNumbers, RunEnd};
use crate::names::{self, Kind};

#[test]
fn every_metric_is_scraped_once_and_in_its_order() {
    let recorder = Recorder::default();
    let text = recorder.prometheus();
    let scraped: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split_once(' ').expect("a name and a kind"))
        .collect();
    let named: Vec<_> =
        names::ALL.iter().map(|metric| (metric.name, Kind::as_str(metric.kind))).collect();
    assert_eq!(scraped, named);
}

#[test]
fn jobs_are_counted_by_name() {
    let recorder = Recorder::default();
    let job = recorder.job("cities");
    job.run_started();
    let numbers = LineNumbers { ok: 5, dead: 2, in_flight: 3, ..LineNumbers::default() };
    job.lines(numbers);
    job.lines(LineNumbers {
        ok: 1,
        filtered: 4,
        retries: 7,
        in_flight: 2,
        oldest: Duration::from_millis(1500),
        ..LineNumbers::default()
    });
    let check = |series: &str, value: f64| {
        let found = samples(&recorder).get(series).copied();
        assert_eq!(found, Some(value), "{series}");
    };
    check("seawall_worker_lines_ended_total{job=\"cities\",outcome=\"ok\"}", 6.0);
    check("seawall_worker_lines_ended_total{job=\"cities\",outcome=\"dead\"}", 2.0);
    check("seawall_worker_lines_ended_total{job=\"cities\",outcome=\"filtered\"}", 4.0);
    check("seawall_worker_line_retries_total{job=\"cities\"}", 7.0);
    check("seawall_worker_lines_in_flight{job=\"cities\"}", 2.0);
    check("seawall_worker_line_oldest_seconds{job=\"cities\"}", 1.5);
    job.run_ended(RunEnd::GivenBack);
    check("seawall_worker_runs_started_total{job=\"cities\"}", 1.0);
    check("seawall_worker_runs_ended_total{job=\"cities\",how=\"given_back\"}", 1.0);
    check("seawall_worker_runs_ended_total{job=\"cities\",how=\"done\"}", 0.0);
    check("seawall_worker_lines_in_flight{job=\"cities\"}", 0.0);
}

#[test]
fn the_probe_is_asked_at_each_scrape() {
    let recorder = Recorder::default();
    let (upstream, took) = (recorder.name_upstream("u"), Duration::from_secs(3));
    let breaker = |state| BreakerGauge { state, since: None, why: None, left: None };
    let (in_flight, tally) = (2, None);
    let ejected = EjectedGauge { since: took, left: took, why: EjectReason::Consecutive };
    let endpoint = |address: &str, ejected| EndpointGauges {
        address: address.into(),
        breaker: Some(breaker(BreakerState::Open)),
        ejected,
        in_flight,
        tally,
    };
    let gauges = Gauges {
        breaker: Some(breaker(BreakerState::HalfOpen)),
        in_flight: 3,
        in_flight_max: Some(64),
        waiting: 2,
        budget: Some(1.5),
        ghosts: 1,
        endpoints: vec![endpoint("http://a:1", None), endpoint("http://b:1", Some(ejected))],
        chaos: None,
    };
    recorder.probe_with(move || vec![(upstream, gauges.clone())]);
    let samples = samples(&recorder);
    for (series, value) in [
        ("seawall_upstream_breaker_state{upstream=\"u\",state=\"closed\"}", 0.0),
        ("seawall_upstream_breaker_state{upstream=\"u\",state=\"half_open\"}", 1.0),
        ("seawall_upstream_in_flight{upstream=\"u\"}", 3.0),
        ("seawall_upstream_in_flight_max{upstream=\"u\"}", 64.0),
        ("seawall_upstream_ghosts{upstream=\"u\"}", 1.0),
        ("seawall_upstream_endpoints_out{upstream=\"u\"}", 1.0),
        ("seawall_upstream_endpoint_out{upstream=\"u\",endpoint=\"http://a:1\"}", 0.0),
        ("seawall_upstream_endpoint_out{upstream=\"u\",endpoint=\"http://b:1\"}", 1.0),
        ("seawall_upstream_endpoint_in_flight{upstream=\"u\",endpoint=\"http://b:1\"}", 2.0),
        ("seawall_upstream_waiting{upstream=\"u\"}", 2.0),
        ("seawall_upstream_retry_budget{upstream=\"u\"}", 1.5),
    ] {
        assert_eq!(samples.get(series), Some(&value), "{series}");
    }
}

#[test]
fn a11_names_that_were_never_configured_make_no_series() {
    let recorder = Recorder::default();
    recorder.name_route("r");
    let before = samples(&recorder).len();
    for id in 0..=u16::MAX {
        let route = RouteId(id);
        let (at, call) = (Instant::now(), CallId(NonZeroU64::MIN));
        let transport = Transport::Http1;
        let started = ServerEvent::RequestStarted { at, call, route, transport };
        recorder.on(&Event::Server(&started));
    }
    let per_route = before - samples(&Recorder::default()).len();
    assert_eq!(samples(&recorder).len(), before + per_route, "only `other` was added");
}

#[test]
fn a_name_cannot_leave_its_label() {
    let recorder = Recorder::default();
    recorder.name_upstream("a\"} 1\nfake 2\\");
    let text = recorder.prometheus();
    assert!(
        text.contains(r#"seawall_call_started_total{upstream="a\"} 1\nfake 2\\"} 0"#),
        "{text}"
    );
    assert!(!text.lines().any(|line| line.starts_with("fake")));
}
