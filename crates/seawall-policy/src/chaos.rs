//! Faults that are put into attempts on purpose, to see what they do.
//!
//! Does not know: how a fault is carried out. Invariant: after its end, and without a plan,
//! nothing is injected.

use std::time::{Duration, Instant};

use seawall_core::{Chance, Chaos};

use crate::{ParamKey, ParamProblem};

/// The faults that are injected, into what share of attempts, and until when.
#[derive(Clone, Debug, PartialEq)]
pub struct ChaosPlan {
    /// When it is over, whatever happens.
    pub until: Instant,
    /// Only attempts of calls with this key; `None` for all.
    pub key: Option<u64>,
    /// The share of attempts that begin later, 0 to 1.
    pub latency: f64,
    /// By how much later.
    pub latency_by: Duration,
    /// The share that is answered with an error.
    pub errors: f64,
    /// The share that is never answered.
    pub hangs: f64,
    /// The share whose connection is reset.
    pub resets: f64,
}

/// Says what is done to one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injected {
    /// It begins so much later.
    Latency(Duration),
    /// It comes to this instead: an error, a hang or a reset.
    Fault(Chaos),
}

impl ChaosPlan {
    /// Returns every share that is none, all at once; empty for a sound plan.
    pub fn check(&self) -> Vec<ParamProblem> {
        let shares = [
            (ParamKey::ChaosLatency, self.latency),
            (ParamKey::ChaosErrors, self.errors),
            (ParamKey::ChaosHangs, self.hangs),
            (ParamKey::ChaosResets, self.resets),
        ];
        let unsound = shares.into_iter().filter(|(_, share)| !(0.0..=1.0).contains(share));
        let range = "from 0 to 1";
        unsound.map(|(key, value)| ParamProblem::OutOfRange { key, value, range }).collect()
    }

    /// Decides what is done to one attempt of a call with this key; `None` for nothing.
    ///
    /// The shares are taken from the same draw, one after the other: together never more than
    /// all.
    pub fn draw(&self, key: Option<u64>, now: Instant, chance: &mut Chance) -> Option<Injected> {
        if now >= self.until || (self.key.is_some() && self.key != key) {
            return None;
        }
        let mut which = chance.unit();
        for (share, injected) in [
            (self.errors, Injected::Fault(Chaos::Error)),
            (self.hangs, Injected::Fault(Chaos::Hang)),
            (self.resets, Injected::Fault(Chaos::Reset)),
            (self.latency, Injected::Latency(self.latency_by)),
        ] {
            which -= share.max(0.0);
            if which < 0.0 {
                return Some(injected);
            }
        }
        None
    }
}
