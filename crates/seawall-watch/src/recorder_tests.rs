//! Every event moves exactly its metrics.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use seawall_core::{
    AttemptId, BreakerState, CacheUse, CallEventKind, CallId, CancelReason, Cause, Chaos,
    EjectReason, EndpointId, Failure, Fate, Fault, HttpVersion, Left, LimitReason, Neutral, Origin,
    Outcome, Phase, Priority, RefusedHead, RetryDenied, RetryReason, ShedReason, Step, TripReason,
};

use super::*;
use crate::names;

/// Returns the samples of a scrape, without those that move by themselves.
pub(super) fn samples(recorder: &Recorder) -> BTreeMap<String, f64> {
    let moving = [names::UPTIME, names::CPU, names::RESIDENT, names::THREADS, names::OPEN_FILES];
    let text = recorder.prometheus();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.rsplit_once(' ').expect("a sample has a value"))
        .filter(|(series, _)| !moving.iter().any(|metric| series.starts_with(metric.name)))
        .map(|(series, value)| (series.to_owned(), value.parse().expect("a number")))
        .collect()
}

/// Checks that an event moves these series, and no other.
fn check<'a>(event: impl Into<Event<'a>>, moved: &[(&str, f64)]) {
    let event = event.into();
    let recorder = Recorder::default();
    recorder.name_upstream("u");
    recorder.name_route("r");
    let before = samples(&recorder);
    recorder.on(&event);
    let after = samples(&recorder);
    assert_eq!(before.len(), after.len(), "{event:?} made or removed a series");
    let differences: BTreeMap<&str, f64> = after
        .iter()
        .map(|(series, value)| (series.as_str(), value - before[series]))
        .filter(|(_, difference)| *difference != 0.0)
        .collect();
    assert_eq!(differences, moved.iter().copied().collect(), "{event:?}");
}

pub(super) const U: UpstreamId = UpstreamId(0);
pub(super) const R: RouteId = RouteId(0);

pub(super) fn at() -> Instant {
    Instant::now()
}

pub(super) fn call(number: u64) -> CallId {
    CallId(number.try_into().expect("no test draws a zero"))
}

/// Makes an event of the first attempt of a call.
pub(super) fn told(kind: CallEventKind<'_>) -> CallEvent<'_> {
    let attempt = Some(AttemptId { number: 1, is_hedge: false });
    let (at, call) = (at(), call(1));
    CallEvent { at, call, upstream: U, attempt, origin: &Origin::UNKNOWN, kind }
}

fn changed(kind: UpstreamEventKind<'_>) -> UpstreamEvent<'_> {
    UpstreamEvent { at: at(), upstream: U, call: None, kind }
}

#[test]
fn connection_events_move_their_metrics() {
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    check(
        &ServerEvent::ConnectionOpened { peer },
        &[("seawall_gateway_connections", 1.0), ("seawall_gateway_connections_opened_total", 1.0)],
    );
    for how in Left::ALL {
        let series =
            format!("seawall_gateway_connections_closed_total{{how=\"{}\"}}", how.as_str());
        check(
            &ServerEvent::ConnectionClosed { how: *how, open_for: Duration::ZERO },
            &[(&series, 1.0)],
        );
    }
    check(&ServerEvent::ConnectionRefused, &[("seawall_gateway_connections_refused_total", 1.0)]);
    check(
        &ServerEvent::AcceptFailed { errno: 24 },
        &[("seawall_gateway_accepts_failed_total", 1.0)],
    );
}

#[test]
fn request_events_move_their_metrics() {
    for why in RefusedHead::ALL {
        let series = format!("seawall_gateway_requests_refused_total{{why=\"{}\"}}", why.as_str());
        check(&ServerEvent::RequestRefused { why: *why, status: 400 }, &[(&series, 1.0)]);
    }
    check(
        &ServerEvent::RequestStarted {
            at: at(),
            call: call(1),
            route: R,
            transport: HttpVersion::Http2,
        },
        &[
            ("seawall_gateway_requests_started_total{route=\"r\",transport=\"http2\"}", 1.0),
            ("seawall_gateway_requests_in_flight{route=\"r\"}", 1.0),
        ],
    );
    let fault = Fault::upstream(Step::Body, Cause::Truncated);
    check(
        &ServerEvent::BodyCut { route: R, fault: &fault },
        &[("seawall_gateway_bodies_cut_total{route=\"r\",fault=\"truncated\"}", 1.0)],
    );
    check(&ServerEvent::Panicked, &[("seawall_runtime_panics_total", 1.0)]);
}

#[test]
fn an_ended_request_moves_its_fate_its_status_and_its_duration() {
    let took = Duration::from_secs(20);
    check(
        &ServerEvent::RequestEnded {
            call: call(1),
            route: R,
            fate: Fate::Failed,
            status: 502,
            attempts: 3,
            took,
        },
        &[
            ("seawall_gateway_requests_ended_total{route=\"r\",fate=\"failed\"}", 1.0),
            ("seawall_gateway_responses_total{route=\"r\",status=\"5xx\"}", 1.0),
            ("seawall_gateway_request_duration_seconds_bucket{route=\"r\",le=\"30\"}", 1.0),
            ("seawall_gateway_request_duration_seconds_bucket{route=\"r\",le=\"+Inf\"}", 1.0),
            ("seawall_gateway_request_duration_seconds_sum{route=\"r\"}", 20.0),
            ("seawall_gateway_request_duration_seconds_count{route=\"r\"}", 1.0),
        ],
    );
}

/// Lists what a duration of one minute moves in a histogram.
fn minute(name: &str) -> [(String, f64); 3] {
    [
        (format!("{name}_bucket{{upstream=\"u\",le=\"+Inf\"}}"), 1.0),
        (format!("{name}_sum{{upstream=\"u\"}}"), 60.0),
        (format!("{name}_count{{upstream=\"u\"}}"), 1.0),
    ]
}

fn check_with_minute(event: &CallEvent<'_>, histogram: &str, moved: &[(&str, f64)]) {
    let minute = minute(histogram);
    let minute = minute.iter().map(|(series, by)| (series.as_str(), *by));
    check(event, &moved.iter().copied().chain(minute).collect::<Vec<_>>());
}

#[test]
fn call_events_move_their_metrics() {
    let took = Duration::from_secs(60);
    check(
        &told(CallEventKind::Started),
        &[
            ("seawall_call_started_total{upstream=\"u\"}", 1.0),
            ("seawall_call_in_flight{upstream=\"u\"}", 1.0),
        ],
    );
    for fate in Fate::ALL {
        let series = format!("seawall_call_ended_total{{upstream=\"u\",fate=\"{fate}\"}}");
        let event = told(CallEventKind::Ended { fate, attempts: 1, took });
        // A refusal says nothing of how long answers take.
        match fate.is_refusal() {
            true => check(&event, &[(&series, 1.0)]),
            false => check_with_minute(&event, "seawall_call_duration_seconds", &[(&series, 1.0)]),
        }
    }
    check(
        &told(CallEventKind::AttemptStarted { endpoint: EndpointId(0) }),
        &[("seawall_call_attempts_started_total{upstream=\"u\"}", 1.0)],
    );
    for outcome in [
        Outcome::Success,
        Outcome::Failure(Failure::Reset),
        Outcome::overload(),
        Outcome::Neutral(Neutral::ClientGone),
    ] {
        let word = outcome.as_str();
        let series =
            format!("seawall_call_attempts_ended_total{{upstream=\"u\",outcome=\"{word}\"}}");
        let event = told(CallEventKind::AttemptEnded { outcome, took, endpoint: EndpointId(0) });
        check_with_minute(&event, "seawall_call_attempt_duration_seconds", &[(&series, 1.0)]);
    }
    for cause in Cause::ALL {
        let fault = Fault::upstream(Step::Head, cause);
        let word = cause.as_str();
        let series =
            format!("seawall_call_attempts_faulted_total{{upstream=\"u\",fault=\"{word}\"}}");
        check(
            &told(CallEventKind::AttemptFaulted { address: "", fault: &fault }),
            &[(&series, 1.0)],
        );
    }
}

#[test]
fn queue_and_rejection_events_move_their_metrics() {
    let waited = Duration::from_secs(60);
    check(
        &told(CallEventKind::Queued { waiting: 3 }),
        &[("seawall_call_queued_total{upstream=\"u\"}", 1.0)],
    );
    let admitted = told(CallEventKind::Dequeued { waited, admitted: true });
    check_with_minute(&admitted, "seawall_call_queue_wait_seconds", &[]);
    check(
        &told(CallEventKind::Dequeued { waited, admitted: false }),
        &[("seawall_call_queue_left_total{upstream=\"u\"}", 1.0)],
    );
    for fate in
        [Fate::RejectedBreaker, Fate::RejectedBulkhead, Fate::RejectedRate, Fate::RejectedShed]
    {
        let series = format!("seawall_call_rejected_total{{upstream=\"u\",fate=\"{fate}\"}}");
        check(&told(CallEventKind::Rejected { fate }), &[(&series, 1.0)]);
    }
}

#[test]
fn retry_timeout_and_cancel_events_move_their_metrics() {
    for reason in RetryReason::ALL {
        let word = reason.as_str();
        let series = format!("seawall_call_retries_total{{upstream=\"u\",reason=\"{word}\"}}");
        let delay = Duration::ZERO;
        let event = told(CallEventKind::RetryScheduled { delay, reason: *reason });
        check(&event, &[(&series, 1.0)]);
    }
    for why in RetryDenied::ALL {
        let word = why.as_str();
        let series =
            format!("seawall_call_retries_denied_total{{upstream=\"u\",reason=\"{word}\"}}");
        check(&told(CallEventKind::RetryDenied { why: *why }), &[(&series, 1.0)]);
    }
    for phase in Phase::ALL {
        let word = phase.as_str();
        let series = format!("seawall_call_timed_out_total{{upstream=\"u\",phase=\"{word}\"}}");
        check(&told(CallEventKind::TimedOut { phase: *phase }), &[(&series, 1.0)]);
        for reason in CancelReason::ALL {
            let labels = format!("upstream=\"u\",phase=\"{word}\",reason=\"{}\"", reason.as_str());
            let series = format!("seawall_call_abandoned_total{{{labels}}}");
            let event = told(CallEventKind::Abandoned { phase: *phase, reason });
            check(&event, &[(&series, 1.0)]);
        }
    }
}

#[test]
fn breaker_events_move_their_metrics() {
    for to in BreakerState::ALL {
        let labels = format!("upstream=\"u\",state=\"{}\"", to.as_str());
        let series = format!("seawall_upstream_breaker_changes_total{{{labels}}}");
        let (from, why) = (BreakerState::Closed, TripReason::Ratio);
        check(
            &changed(UpstreamEventKind::BreakerChanged {
                from,
                to: *to,
                why,
                endpoint: EndpointId::ALL,
                address: "",
            }),
            &[(&series, 1.0)],
        );
    }
}

#[test]
fn events_of_the_other_strategies_move_their_metrics() {
    for priority in Priority::ALL {
        for why in ShedReason::ALL {
            let labels = format!("priority=\"{}\",reason=\"{}\"", priority.as_str(), why.as_str());
            let series = format!("seawall_call_shed_total{{upstream=\"u\",{labels}}}");
            check(&told(CallEventKind::Shed { priority, why: *why }), &[(&series, 1.0)]);
        }
    }
    for (won, result) in [(true, "won"), (false, "lost")] {
        let series = format!("seawall_call_hedges_total{{upstream=\"u\",result=\"{result}\"}}");
        check(&told(CallEventKind::HedgeEnded { won }), &[(&series, 1.0)]);
    }
    let spared = "seawall_call_breaker_spared_total{upstream=\"u\"}";
    check(&told(CallEventKind::BreakerSpared), &[(spared, 1.0)]);
    for what in Chaos::ALL {
        let labels = format!("upstream=\"u\",fault=\"{}\"", what.as_str());
        let series = format!("seawall_call_chaos_total{{{labels}}}");
        check(&told(CallEventKind::ChaosInjected { what: *what }), &[(&series, 1.0)]);
    }
    for why in LimitReason::ALL {
        let labels = format!("upstream=\"u\",reason=\"{}\"", why.as_str());
        let series = format!("seawall_upstream_limit_changes_total{{{labels}}}");
        let event = changed(UpstreamEventKind::LimitChanged { from: 9, to: 8, why: *why });
        check(&event, &[(&series, 1.0)]);
    }
    for why in EjectReason::ALL {
        let labels = format!("upstream=\"u\",reason=\"{}\"", why.as_str());
        let series = format!("seawall_upstream_ejections_total{{{labels}}}");
        let (endpoint, ejected_for) = (EndpointId(1), Duration::from_secs(30));
        let event = changed(UpstreamEventKind::EndpointEjected {
            endpoint,
            address: "",
            ejected_for,
            why: *why,
        });
        check(&event, &[(&series, 1.0)]);
    }
}

#[test]
fn answers_that_nobody_was_asked_for_move_their_metrics() {
    for how in CacheUse::ALL {
        let labels = format!("upstream=\"u\",how=\"{}\"", how.as_str());
        let series = format!("seawall_call_cache_used_total{{{labels}}}");
        let age = Duration::from_secs(3);
        check(&told(CallEventKind::CacheUsed { how: *how, age }), &[(&series, 1.0)]);
    }
    let shared = "seawall_call_coalesced_total{upstream=\"u\"}";
    check(
        &told(CallEventKind::Coalesced { flight: call(7), waited: Duration::ZERO }),
        &[(shared, 1.0)],
    );
    for fate in Fate::ALL.into_iter().filter(|fate| fate.is_failure()) {
        let labels = format!("upstream=\"u\",fate=\"{}\"", fate.as_str());
        let series = format!("seawall_call_fell_back_total{{{labels}}}");
        check(&told(CallEventKind::FellBack { fate }), &[(&series, 1.0)]);
    }
}

#[test]
fn life_cycle_events_move_their_metrics() {
    check(
        &ServerEvent::SettingsLoaded { generation: 7 },
        &[("seawall_config_loaded_total", 1.0), ("seawall_config_generation", 7.0)],
    );
    check(
        &ServerEvent::SettingsRefused { errors: 3 },
        &[("seawall_config_refused_total", 1.0), ("seawall_config_is_refused", 1.0)],
    );
    check(&ServerEvent::DrainStarted { in_flight: 3 }, &[("seawall_runtime_draining", 1.0)]);
    check(&ServerEvent::DrainEnded { cut: 2 }, &[("seawall_runtime_drain_cut_total", 2.0)]);
}
