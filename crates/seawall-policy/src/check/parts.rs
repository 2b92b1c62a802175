//! Which numbers of shedding, hedging, outlier detection, learned limits and caches cannot work.
//!
//! Does not know: the parts every policy has; those are in `check`.

use seawall_core::Priority;

use super::{ParamKey, ParamProblem, longer, over, range, zero};
use crate::{adaptive, bulkhead, cache, hedge, outlier, shed, timeout};

pub(super) fn caches(cache: &cache::Params, found: &mut Vec<ParamProblem>) {
    let &cache::Params { entries_max, bytes_max, answer_bytes_max, .. } = cache;
    zero(ParamKey::CacheEntries, entries_max == 0, found);
    zero(ParamKey::CacheBytes, bytes_max == 0, found);
    zero(ParamKey::CacheAnswerBytes, answer_bytes_max == 0, found);
    let (answer, all) = (answer_bytes_max as f64, bytes_max as f64);
    over((ParamKey::CacheAnswerBytes, answer), (ParamKey::CacheBytes, all), found);
}

pub(super) fn sheds(shed: &shed::Params, found: &mut Vec<ParamProblem>) {
    for load_max in shed.load_max {
        range(ParamKey::LoadMax, load_max, load_max > 0.0, "above 0", found);
    }
    for share in shed.places {
        let is_share = share > 0.0 && share <= 1.0;
        range(ParamKey::ShedPlaces, share, is_share, "above 0, at most 1", found);
    }
    for pair in Priority::ALL.windows(2) {
        let &[more, less] = pair else { continue };
        let of = |numbers: &[f64; 4], priority: Priority| numbers[priority.index()];
        if of(&shed.load_max, less) > of(&shed.load_max, more)
            || of(&shed.places, less) > of(&shed.places, more)
        {
            found.push(ParamProblem::ShedUpsideDown { more, less });
        }
    }
}

pub(super) fn hedges(
    timeout: &timeout::Params,
    hedge: &hedge::Params,
    found: &mut Vec<ParamProblem>,
) {
    let &hedge::Params { after, min, extra_max, ratio_max } = hedge;
    let is_count = (1..=EXTRA_MAX).contains(&extra_max);
    range(ParamKey::HedgeExtra, extra_max.into(), is_count, "from 1 to 3", found);
    let is_share = ratio_max > 0.0 && ratio_max <= 1.0;
    range(ParamKey::HedgeRatio, ratio_max, is_share, "above 0, at most 1", found);
    if let hedge::After::Quantile(share) = after {
        let is_share = share > 0.0 && share < 1.0;
        range(ParamKey::HedgeAfter, share, is_share, "above 0, below 1", found);
    }
    let after = match after {
        hedge::After::AtOnce => return,
        hedge::After::Fixed(after) => after.max(min),
        hedge::After::Quantile(_) => min,
    };
    let timeout::Params { total, attempt, .. } = *timeout;
    let last = after.saturating_mul(extra_max);
    if (after >= attempt && !attempt.is_zero()) || (last >= total && !total.is_zero()) {
        found.push(ParamProblem::HedgeTooLate { after, extra_max, attempt, total });
    }
}

pub(super) fn outliers(outlier: &outlier::Params, found: &mut Vec<ParamProblem>) {
    let &outlier::Params { interval, deviations, failures_max, out, out_max, keep_min, .. } =
        outlier;
    zero(ParamKey::OutlierInterval, interval.is_zero(), found);
    let is_number = deviations >= 0.0 && deviations.is_finite();
    range(ParamKey::OutlierDeviations, deviations, is_number, "at least 0", found);
    range(ParamKey::OutlierFailures, failures_max, failures_max > 0.0, "above 0", found);
    range(ParamKey::OutlierKeep, keep_min, (0.0..=1.0).contains(&keep_min), "from 0 to 1", found);
    zero(ParamKey::OutlierOut, out.is_zero(), found);
    zero(ParamKey::OutlierOutMax, out_max.is_zero(), found);
    longer((ParamKey::OutlierOut, out), (ParamKey::OutlierOutMax, out_max), found);
}

pub(super) fn adaptives(
    adaptive: &adaptive::Params,
    limit: Option<&bulkhead::Params>,
    found: &mut Vec<ParamProblem>,
) {
    let &adaptive::Params { min, initial } = adaptive;
    zero(ParamKey::AdaptiveMin, min == 0, found);
    zero(ParamKey::AdaptiveInitial, initial == 0, found);
    let (min, initial) =
        ((ParamKey::AdaptiveMin, min.into()), (ParamKey::AdaptiveInitial, initial.into()));
    over(min, initial, found);
    match limit {
        Some(limit) => over(initial, (ParamKey::InFlightMax, limit.in_flight_max.into()), found),
        None => found.push(ParamProblem::Needs { key: ParamKey::Adaptive, needs: ParamKey::Limit }),
    }
}

/// More attempts beside the first would be a load test.
const EXTRA_MAX: u32 = 3;
