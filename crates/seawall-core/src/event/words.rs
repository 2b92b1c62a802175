//! The closed lists that events choose from: states, phases and reasons, each with its word.
//!
//! Does not know the events. Invariant: a word stands in metrics and logs as it stands here.

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

/// The version of HTTP that a request came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HttpVersion {
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
words!(HttpVersion { Http1 => "http1", Http2 => "http2" });
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
