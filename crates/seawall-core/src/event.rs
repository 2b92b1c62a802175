//! What happened, as one closed list: metrics, logs and the dashboard all read from it.

use std::net::SocketAddr;
use std::time::Duration;

use crate::{
    CancelReason, EndpointId, Fate, Fault, Outcome, Priority, RequestRecord, RouteId, UpstreamId,
};

/// Says what happened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A client connected.
    ConnectionOpened {
        /// The client's socket address.
        peer: SocketAddr,
    },
    /// A client's connection ended.
    ConnectionClosed {
        /// How it ended.
        how: Left,
        /// How long it was open.
        open_for: Duration,
    },
    /// A client was turned away because too many were connected.
    ConnectionRefused,
    /// The operating system would not give us a connection.
    AcceptFailed {
        /// Its error number.
        errno: i32,
    },
    /// A request was refused before it was routed.
    RequestRefused {
        /// Why.
        why: RefusedHead,
        /// The status that was answered.
        status: u16,
    },
    /// A request entered a route.
    RequestStarted {
        /// The route.
        route: RouteId,
        /// The protocol it came by.
        transport: Transport,
    },
    /// A request left its route.
    RequestEnded {
        /// The route.
        route: RouteId,
        /// How it ended.
        fate: Fate,
        /// The status that was answered; 499 if the client had gone.
        status: u16,
        /// How many attempts were made.
        attempts: u32,
        /// From the head's last byte to the answer's head.
        took: Duration,
    },
    /// A request is over, its answer's body included, and is one of those that are to be logged.
    RequestOver {
        /// What there is to say about it.
        request: &'a RequestRecord<'a>,
    },
    /// The body of an answer did not reach its end.
    BodyCut {
        /// The route.
        route: RouteId,
        /// What went wrong.
        fault: &'a Fault,
    },
    /// A call entered a policy.
    CallStarted {
        /// The upstream it is for.
        upstream: UpstreamId,
    },
    /// A call left its policy.
    CallEnded {
        /// The upstream it was for.
        upstream: UpstreamId,
        /// How it ended.
        fate: Fate,
        /// How many attempts were made.
        attempts: u32,
        /// From entry to end.
        took: Duration,
    },
    /// An attempt began.
    AttemptStarted {
        /// The upstream.
        upstream: UpstreamId,
        /// The endpoint that it goes to.
        endpoint: EndpointId,
        /// Its number within the call, from 1.
        number: u32,
        /// Whether it was sent beside another that had not answered yet.
        is_hedge: bool,
    },
    /// An attempt ended.
    AttemptEnded {
        /// The upstream.
        upstream: UpstreamId,
        /// The endpoint that it went to.
        endpoint: EndpointId,
        /// Its number within the call, from 1.
        number: u32,
        /// How it ended.
        outcome: Outcome,
        /// How long it took.
        took: Duration,
    },
    /// An attempt failed with a fault.
    AttemptFaulted {
        /// The upstream.
        upstream: UpstreamId,
        /// The address of the endpoint that it went to; empty if it is not known.
        address: &'a str,
        /// What went wrong.
        fault: &'a Fault,
    },
    /// An attempt had to wait for a place in the bulkhead.
    Queued {
        /// The upstream.
        upstream: UpstreamId,
        /// How many were waiting, this one included.
        waiting: u32,
    },
    /// A waiting attempt got its place, left or was turned away.
    Dequeued {
        /// The upstream.
        upstream: UpstreamId,
        /// How long it waited.
        waited: Duration,
        /// Whether it got its place.
        admitted: bool,
    },
    /// A call was refused by a strategy.
    Rejected {
        /// The upstream.
        upstream: UpstreamId,
        /// One of the `rejected_*` fates.
        fate: Fate,
    },
    /// A retry was decided.
    RetryScheduled {
        /// The upstream.
        upstream: UpstreamId,
        /// The number of the attempt to come.
        number: u32,
        /// How long to wait before it.
        delay: Duration,
        /// Why.
        reason: RetryReason,
    },
    /// A retry would have been made, but something stood against it.
    RetryDenied {
        /// The upstream.
        upstream: UpstreamId,
        /// What stood against it.
        why: RetryDenied,
    },
    /// A time limit passed.
    TimedOut {
        /// The upstream.
        upstream: UpstreamId,
        /// Which.
        phase: Phase,
    },
    /// A call was given up before it had an outcome.
    Abandoned {
        /// The upstream.
        upstream: UpstreamId,
        /// Where it stood.
        phase: Phase,
        /// Why.
        reason: CancelReason,
    },
    /// A circuit breaker changed its state.
    BreakerChanged {
        /// The upstream.
        upstream: UpstreamId,
        /// The endpoint that it guards; [`EndpointId::ALL`] for one that guards them all.
        endpoint: EndpointId,
        /// The address of that endpoint; empty for one that guards them all.
        address: &'a str,
        /// From which state.
        from: BreakerState,
        /// To which state.
        to: BreakerState,
        /// Why.
        why: TripReason,
    },
    /// A breaker in a dry run let an attempt through that it would have refused.
    BreakerSpared {
        /// The upstream.
        upstream: UpstreamId,
    },
    /// A call was shed because of its priority.
    Shed {
        /// The upstream.
        upstream: UpstreamId,
        /// The priority of the call.
        priority: Priority,
        /// What there was too much of.
        why: ShedReason,
    },
    /// A call that had hedged attempts has ended.
    HedgeEnded {
        /// The upstream.
        upstream: UpstreamId,
        /// Whether a hedged attempt answered first.
        won: bool,
    },
    /// An adaptive limit changed.
    LimitChanged {
        /// The upstream.
        upstream: UpstreamId,
        /// How many places there were.
        from: u32,
        /// How many there are.
        to: u32,
        /// Why.
        why: LimitReason,
    },
    /// An endpoint is no longer picked.
    EndpointEjected {
        /// The upstream.
        upstream: UpstreamId,
        /// The endpoint.
        endpoint: EndpointId,
        /// Its address.
        address: &'a str,
        /// For how long.
        ejected_for: Duration,
        /// Why.
        why: EjectReason,
    },
    /// An endpoint is picked again.
    EndpointReturned {
        /// The upstream.
        upstream: UpstreamId,
        /// The endpoint.
        endpoint: EndpointId,
        /// Its address.
        address: &'a str,
    },
    /// An answer came from the cache.
    CacheUsed {
        /// The upstream that was not asked, or could not answer.
        upstream: UpstreamId,
        /// How it was used.
        how: CacheUse,
        /// How old the answer is.
        age: Duration,
    },
    /// A call took part in another one's answer instead of asking for its own.
    Coalesced {
        /// The upstream.
        upstream: UpstreamId,
    },
    /// A call that failed was answered with something prepared.
    FellBack {
        /// The upstream.
        upstream: UpstreamId,
        /// What the call ended with before.
        fate: Fate,
    },
    /// A fault was put into an attempt on purpose.
    ChaosInjected {
        /// The upstream.
        upstream: UpstreamId,
        /// What.
        what: Chaos,
    },
    /// Settings took effect.
    SettingsLoaded {
        /// The new generation, from 1.
        generation: u64,
    },
    /// Settings were refused; the old ones keep serving.
    SettingsRefused {
        /// How many errors they had.
        errors: usize,
    },
    /// The server began to stop.
    DrainStarted {
        /// How many requests were in flight.
        in_flight: usize,
    },
    /// The server has stopped.
    DrainEnded {
        /// How many connections had to be cut.
        cut: usize,
    },
    /// Our code panicked; the request it served was answered with 500.
    Panicked,
}

/// Says how a client's connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Left {
    /// In order.
    Finished,
    /// By the client, in the middle of something.
    ClientGone,
    /// No first byte in time.
    FirstByteTimeout,
    /// No whole head in time.
    HeadTimeout,
    /// Idle for too long.
    IdleTimeout,
    /// A body below the floor rate.
    BodyTooSlow,
    /// An answer that the client did not read.
    WriteStall,
    /// A request that must be refused.
    Refused,
    /// More frames than its requests explain (HTTP/2).
    Flooded,
    /// Cut at the end of the drain.
    Cut,
}

/// Says by which protocol a request came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Says why a request was refused before it was routed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusedHead {
    /// Bytes that the protocol does not allow, or that two readers could read in two ways.
    Malformed,
    /// The head is larger than its limit.
    TooLarge,
    /// A method that is never served (CONNECT, TRACE).
    Method,
    /// The target's path could mean two things.
    Path,
    /// No route matches.
    NoRoute,
    /// A route matches the path but not the method.
    NoMethod,
    /// The body is larger than its limit.
    BodyTooLarge,
    /// The host is one that we do not serve.
    Misdirected,
}

/// Says why a retry is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetryReason {
    /// No connection.
    Connect,
    /// The connection ended too early.
    Reset,
    /// The attempt timed out.
    TimedOut,
    /// The policy lists the code that the upstream answered.
    Status,
    /// The upstream has too much to do, or said that the same request may pass later.
    Transient,
}

/// Says what stood against a retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RetryDenied {
    /// All attempts were used.
    Attempts,
    /// The retry budget was empty.
    Budget,
    /// There was not enough time left.
    Deadline,
    /// The request may not be repeated.
    Method,
    /// The body could not be kept for another attempt.
    Body,
    /// The circuit breaker is open by now.
    Breaker,
    /// The bulkhead and its queue were full, or the queue time ran out.
    Bulkhead,
    /// There was too much to do for calls of this priority.
    Shed,
    /// Too many retries are under way at once.
    InFlight,
    /// The upstream asked not to try again.
    Pushback,
    /// Somebody else repeats it already: the caller, while the budget is below half, or a policy
    /// within this one.
    Layered,
    /// Failures of this kind are not repeated: the policy does not list them, or nobody could.
    Final,
}

/// Says where a call stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Waiting for a place in the bulkhead.
    Queue,
    /// Waiting before the next attempt.
    Backoff,
    /// Opening a connection.
    Connect,
    /// Waiting for the answer's head.
    Attempt,
    /// Anywhere, when the total time ran out.
    Total,
    /// Reading the answer's body.
    Body,
}

/// Says what a circuit breaker does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    /// Lets every attempt through.
    Closed,
    /// Lets none through.
    Open,
    /// Lets a few probes through.
    HalfOpen,
    /// Lets a growing share through after its probes have passed.
    Recovering,
    /// Lets none through, by hand.
    Isolated,
    /// Lets every attempt through, by hand.
    Forced,
}

/// Says why a circuit breaker changed its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TripReason {
    /// The share of failures passed its threshold.
    Ratio,
    /// Too many failures in a row.
    Consecutive,
    /// A probe failed.
    ProbeFailed,
    /// Enough probes succeeded.
    ProbesPassed,
    /// The time to stay open is over.
    Waited,
    /// The share that is let through has grown to the whole.
    Recovered,
    /// Somebody said so.
    ByHand,
    /// What somebody said has run out.
    HandEnded,
    /// New settings.
    Settings,
}

/// Says what there was too much of when a call was shed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShedReason {
    /// This process has too much to do.
    Load,
    /// The places that calls of this priority may take are taken.
    Places,
    /// A call of higher priority took its place in the queue.
    Displaced,
}

/// Says why an adaptive limit changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LimitReason {
    /// Answers take longer than they did.
    Slower,
    /// The upstream says that it has too much to do.
    Overload,
    /// It was cut, and answers did not get quicker: the latency is not ours.
    NotOurs,
    /// All places were used, and answers did not get slower.
    Room,
}

/// Says why an endpoint was ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EjectReason {
    /// Too many failures in a row.
    Consecutive,
    /// It succeeds much less often than the others.
    SuccessRate,
    /// Most of its attempts fail.
    FailureShare,
}

/// Says how an answer from the cache was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CacheUse {
    /// It was fresh.
    Fresh,
    /// It was a little old, and a newer one is being fetched.
    Revalidating,
    /// It was old, and the upstream failed.
    OnError,
}

/// Says what chaos does to an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Chaos {
    /// It begins later.
    Latency,
    /// It is answered with an error.
    Error,
    /// It is never answered.
    Hang,
    /// Its connection is reset.
    Reset,
}

macro_rules! words {
    ($type:ident { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $type {
            /// Lists every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word for this value, as it stands in metrics and logs.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

words!(Left {
    Finished => "finished", ClientGone => "client_gone", FirstByteTimeout => "first_byte_timeout",
    HeadTimeout => "head_timeout", IdleTimeout => "idle_timeout", BodyTooSlow => "body_too_slow",
    WriteStall => "write_stall", Refused => "refused", Flooded => "flooded",
    Cut => "cut",
});
words!(Transport { Http1 => "http1", Http2 => "http2" });
words!(RefusedHead {
    Malformed => "malformed", TooLarge => "too_large", Method => "method", Path => "path",
    NoRoute => "no_route", NoMethod => "no_method", BodyTooLarge => "body_too_large",
    Misdirected => "misdirected",
});
words!(RetryReason {
    Connect => "connect", Reset => "reset", TimedOut => "timed_out", Status => "status",
    Transient => "transient",
});
words!(RetryDenied {
    Attempts => "attempts", Budget => "budget", Deadline => "deadline", Method => "method",
    Body => "body", Breaker => "breaker", Bulkhead => "bulkhead", Shed => "shed",
    InFlight => "in_flight", Pushback => "pushback",
    Layered => "layered", Final => "final",
});
words!(Phase {
    Queue => "queue", Backoff => "backoff", Connect => "connect", Attempt => "attempt",
    Total => "total", Body => "body",
});
words!(BreakerState {
    Closed => "closed", Open => "open", HalfOpen => "half_open", Recovering => "recovering",
    Isolated => "isolated", Forced => "forced",
});
words!(TripReason {
    Ratio => "ratio", Consecutive => "consecutive", ProbeFailed => "probe_failed",
    ProbesPassed => "probes_passed", Waited => "waited", Recovered => "recovered",
    ByHand => "by_hand", HandEnded => "hand_ended", Settings => "settings",
});
words!(ShedReason { Load => "load", Places => "places", Displaced => "displaced" });
words!(LimitReason {
    Slower => "slower", Overload => "overload", NotOurs => "not_ours", Room => "room",
});
words!(EjectReason {
    Consecutive => "consecutive", SuccessRate => "success_rate", FailureShare => "failure_share",
});
words!(CacheUse { Fresh => "fresh", Revalidating => "revalidating", OnError => "on_error" });
words!(Chaos { Latency => "latency", Error => "error", Hang => "hang", Reset => "reset" });
