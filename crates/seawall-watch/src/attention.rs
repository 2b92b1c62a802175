//! What is wrong now, in words, worked out from the status.
//!
//! Does not know: counters, how it is shown.

use crate::grade::{Attention, Grade};
use crate::jobs::JobsStatus;
use crate::status::{About, UpstreamStatus};

/// Lists what is wrong now, the host's own matters first.
pub(crate) fn attention(about: &About, upstreams: &[UpstreamStatus]) -> Vec<Attention> {
    let mut lines = Vec::new();
    if about.phase == "stopping" {
        lines.push(Attention::odd("stopping: no new clients are taken"));
    }
    if about.phase == "lame_duck" {
        lines.push(Attention::odd("about to stop: not ready, but requests are still taken"));
    }
    if about.settings.refused.is_some() {
        let generation = about.settings.generation;
        let what = format!("settings refused: still serving generation {generation}");
        lines.push(Attention::bad(what));
    }
    if about.settings.is_missing {
        let generation = about.settings.generation;
        let what = format!("settings file gone: still serving generation {generation}");
        lines.push(Attention::bad(what));
    }
    if let Some(what) = &about.settings.restart_needed {
        lines.push(Attention::odd(format!("restart needed: {what}")));
    }
    lines.extend(about.jobs.iter().flat_map(JobsStatus::attention).map(Attention::bad));
    upstreams.iter().for_each(|upstream| about_upstream(upstream, &mut lines));
    lines
}

fn about_upstream(upstream: &UpstreamStatus, lines: &mut Vec<Attention>) {
    let name = &upstream.name;
    let state = upstream.breaker.unwrap_or_default();
    let is = match state {
        "open" => "breaker open, not called",
        "half_open" => "breaker probing",
        "recovering" => "breaker lets a growing share through",
        "isolated" => "not called, by hand",
        "forced" => "breaker held closed by hand",
        _ => "",
    };
    if !is.is_empty() {
        let what = format!("{name}: {is}{}", upstream.breaker_times.in_words(state));
        lines.push(Attention { grade: Grade::of_state(state), what });
    }
    if let Some(seconds) = upstream.chaos_seconds {
        let what = format!("{name}: faults are injected on purpose for another {seconds} s");
        lines.push(Attention::odd(what));
    }
    let all = upstream.endpoints.len();
    if upstream.endpoints_out > 0 {
        let out = upstream.endpoints_out;
        lines.push(Attention::odd(format!("{name}: {out} of {all} endpoints are left out")));
    }
    // With one endpoint, or all of them, it is the upstream's own breaker that was named above.
    let refused = upstream.endpoints.iter().filter(|endpoint| endpoint.breaker == Some("open"));
    let refused = refused.count();
    if refused > 0 && refused < all {
        let what = format!("{name}: the breakers of {refused} of {all} endpoints are open");
        lines.push(Attention::odd(what));
    }
    // Bodies on their way are in flight, but take no learned place: who waits tells.
    if upstream.waiting > 0
        && upstream.in_flight_max.is_some_and(|max| upstream.in_flight + upstream.ghosts >= max)
    {
        lines.push(Attention::odd(format!("{name}: all places of the bulkhead are taken")));
    }
}

/// Orders upstreams: the one an operator must look at first has the lowest key.
pub(crate) fn badness(upstream: &UpstreamStatus) -> (u8, u64, String) {
    let state = upstream.breaker.map_or(Grade::Good, Grade::of_state);
    let effective = (upstream.effective.unwrap_or(1.0) * 1e6) as u64;
    (Grade::Bad as u8 - state as u8, effective, upstream.name.clone())
}
