//! What a policy says about itself, whole.

use std::time::Duration;

use seawall_policy::{
    Params, adaptive, breaker, bulkhead, cache, hedge, outlier, rate, retry, shed,
};

#[test]
fn the_standard_policy_describes_itself_in_its_order() {
    let expected = "\
cache     off
coalesce  off
deadline  30s for everything until the answer's head
shed      off
rate      off
retry     3 attempts on connect reset timeout 429 502-504; 50ms doubling to 2s, full jitter; \
idempotent methods
hedge     off
budget    retries for 20 % of calls, and 10 a second; under way for 20 % of attempts, and 10
outlier   an endpoint is out after 5 failures in a row, or at 85 % of failures in 10s, or 1.9 \
deviations below the others in 10s; 30s growing to 300s; 50 % stay in
breaker   opens at 50 % of at least 20 attempts in 20s or 10 in a row; 5s doubling to 8s; 3 \
probes; one for each endpoint
limit     at most 10000 attempts in flight, 10000 waiting as long as their callers would and up to \
5s, oldest first unless it has waited too long; an abandoned attempt keeps its place until a later \
one is answered
adaptive  the limit is learned from latency: 100 at first, never below 1
attempt   9s, 2s of it to connect; 15s of silence
at worst  30s: 27s of attempts, 150ms of backoff, 15s of queue, cut at the deadline
";
    assert_eq!(Params::standard().describe(), expected);
}

#[test]
fn every_part_describes_itself() {
    let params = Params {
        cache: Some(cache::Params {
            fresh_for: Duration::from_secs(60),
            stale_while_revalidate: Duration::from_secs(30),
            ..Default::default()
        }),
        coalesce: true,
        shed: Some(shed::Params::default()),
        rate: Some(rate::Params {
            kind: rate::RateAlgorithm::SlidingWindow(Duration::from_secs(60)),
            keyed: Some(rate::Keyed { keys_max: 1000 }),
            ..Default::default()
        }),
        retry: Some(retry::Params { idempotency_key: true, ..Default::default() }),
        hedge: Some(hedge::Params::default()),
        outlier: Some(outlier::Params { deviations: 0.0, consecutive: 0, ..Default::default() }),
        breaker: Some(breaker::Params {
            mode: breaker::Mode::Throttle { multiple: 2.0 },
            is_dry_run: true,
            per_endpoint: false,
            ..Default::default()
        }),
        limit: Some(bulkhead::Params {
            order: bulkhead::QueueOrder::Fifo,
            holds_abandoned: true,
            ..Default::default()
        }),
        adaptive: Some(adaptive::Params::default()),
        ..Params::standard()
    };
    let expected = "\
cache     answers are fresh for 60s unless they say otherwise, 30s more while a newer one is \
fetched, 600s more if the upstream fails; 10000 answers, 67108864 bytes, 1048576 for one
coalesce  calls that ask the same at the same time share one answer
deadline  30s for everything until the answer's head
shed      low at 80 % of load, normal at 90 % of load, high at 95 % of load; low takes 80 % of places
rate      100 calls a second, counted over the last 60s, each of 1000 callers apart
retry     3 attempts on connect reset timeout 429 502-504; 50ms doubling to 2s, full jitter; \
idempotent methods or an idempotency key
hedge     1 more once slower than 95 % of attempts and 20ms; for 10 % of calls
budget    retries for 20 % of calls, and 10 a second; under way for 20 % of attempts, and 10
outlier   an endpoint is out at 85 % of failures in 10s; 30s growing to 300s; 50 % stay in
breaker   refuses a share beyond 2 times what succeeds of at least 20 attempts in 20s; dry run: \
refuses nothing
limit     at most 10000 attempts in flight, 10000 waiting up to 5s, oldest first; an abandoned \
attempt keeps its place until a later one is answered
adaptive  the limit is learned from latency: 100 at first, never below 1
attempt   9s, 2s of it to connect; 15s of silence
at worst  30s: 27s of attempts, 27s of hedging, 150ms of backoff, 15s of queue, cut at the deadline
";
    assert_eq!(params.describe(), expected);
    assert_eq!(params.check(), []);
}

#[test]
fn a_part_that_is_off_is_said_to_be_off() {
    let text = Params::bare().describe();
    let off = ["cache", "coalesce", "shed", "rate", "retry", "hedge", "budget", "outlier"];
    for word in off.into_iter().chain(["breaker", "limit", "adaptive"]) {
        assert!(text.contains(&format!("{word:<10}off\n")), "{word}: {text}");
    }
}

#[test]
fn a_hedged_attempt_makes_the_worst_case_longer_by_its_own_wait() {
    let worst = |after| {
        let hedge = hedge::Params { after, extra_max: 2, ..Default::default() };
        let params = Params { hedge: Some(hedge), retry: None, ..Params::standard() };
        params.worst_case().hedge
    };
    let ms = Duration::from_millis;
    assert_eq!(worst(hedge::After::AtOnce), ms(0));
    assert_eq!(worst(hedge::After::Fixed(ms(100))), ms(200));
    // Never earlier than the least wait.
    assert_eq!(worst(hedge::After::Fixed(ms(1))), ms(40));
    // What is measured is as long as an attempt at worst.
    assert_eq!(worst(hedge::After::Quantile(0.95)), ms(18_000));
    // One that would come after the attempt's end is never sent.
    assert_eq!(worst(hedge::After::Fixed(ms(9_001))), ms(0));
}
