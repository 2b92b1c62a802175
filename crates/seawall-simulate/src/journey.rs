//! A call on its way through its server, in the order and meaning of `seawall-call`:
//! deadline > shed > rate > [ retry: budget > endpoint > breaker > bulkhead > attempt ].
//!
//! Does not know: clients' tries, or what the upstream does. Invariant: whatever a call has taken
//! it has given back when it ends.

use std::time::Duration;

use seawall_core::{Chance, Deadline, Failure, Fate, Neutral, Outcome, RetryDenied};
use seawall_policy::bulkhead::Entered;
use seawall_policy::retry::AttemptEnd;

use crate::agenda::What;
use crate::arrivals::nanos;
use crate::world::{Stands, World};

impl World<'_> {
    /// Takes what a call takes once, and then a place for its first attempt.
    pub(crate) fn enter(&mut self, index: u32) {
        let call = &self.calls[index];
        // Spread over all bits, as a hash of a name would be.
        let key = call.caller.map(|caller| Chance::seeded(u64::from(caller)).bits());
        let who = (call.priority, key);
        match self.gateways[call.gateway].enter(self.params, who, self.instant) {
            Ok(()) => self.admit(index),
            Err(fate) => self.end(index, fate),
        }
    }

    /// Takes the breaker's leave and a place for one attempt, or a place in the queue.
    pub(crate) fn admit(&mut self, index: u32) {
        let call = &self.calls[index];
        let (priority, tried) = (call.priority, call.tried);
        if self.now >= call.deadline {
            return self.refuse(index, Fate::TimedOut);
        }
        let (gateway, instant, params) =
            (&mut self.gateways[call.gateway], self.instant, self.params);
        let Some(leave) = gateway.ask(params, tried, instant) else {
            return self.refuse(index, Fate::RejectedBreaker);
        };
        match gateway.enter_place(params, priority, index, instant) {
            Entered::Admitted => self.start(index, leave, false),
            Entered::Waits { position, displaced } => {
                // Whoever waits must not hold a probe that another could make.
                gateway.report(params, leave, LOCAL, instant);
                self.queue(index, Stands::Queued(position));
                if let Some(displaced) = displaced {
                    self.refuse(displaced, Fate::RejectedShed);
                }
            }
            Entered::Full => {
                gateway.report(params, leave, LOCAL, instant);
                self.refuse(index, Fate::RejectedBulkhead);
            }
            Entered::Shed(_) => {
                gateway.report(params, leave, LOCAL, instant);
                self.refuse(index, Fate::RejectedShed);
            }
        }
    }

    fn queue(&mut self, index: u32, stands: Stands) {
        let (now, instant, params) = (self.now, self.instant, self.params);
        let call = &mut self.calls[index];
        let left = Duration::from_nanos(call.deadline - now);
        let wait = nanos(self.gateways[call.gateway].wait(params, left, instant));
        call.until = now.saturating_add(wait);
        call.stands = stands;
        let at = Self::timer(call.until).min(call.gone_at);
        self.agenda.note(at, What::Call, index, call.stamp);
    }

    /// Uses a place that was handed over in the queue; the breaker may have opened meanwhile.
    pub(crate) fn handed(&mut self, index: u32) {
        let (now, instant, params) = (self.now, self.instant, self.params);
        let call = &mut self.calls[index];
        call.stamp = call.stamp.wrapping_add(1);
        call.stands = Stands::Attempting;
        let gateway = call.gateway;
        let leave = match now < call.until {
            true => {
                self.gateways[gateway].ask(params, call.tried, instant).ok_or(Fate::RejectedBreaker)
            }
            // Who has waited too long is never sent.
            false => Err(Fate::RejectedBulkhead),
        };
        match leave {
            Ok(leave) => self.start(index, leave, false),
            Err(fate) => {
                self.release(gateway);
                self.refuse(index, fate);
            }
        }
    }

    /// Ends a wait: its time is over, or the client has left.
    pub(crate) fn stop_waiting(&mut self, index: u32) {
        let now = self.now;
        let call = &mut self.calls[index];
        call.stamp = call.stamp.wrapping_add(1);
        let is_over = now >= call.until;
        match std::mem::take(&mut call.stands) {
            Stands::Pausing => self.begin_try(index),
            Stands::BackingOff if is_over => self.admit(index),
            Stands::BackingOff => {
                self.left(index);
                self.end(index, Fate::Cancelled);
            }
            Stands::Queued(position) => {
                let left = self.gateways[call.gateway].leave_queue(position);
                debug_assert!(left, "a place that is handed over is used at once");
                match is_over {
                    true => self.refuse(index, Fate::RejectedBulkhead),
                    false => {
                        self.left(index);
                        self.end(index, Fate::Cancelled);
                    }
                }
            }
            Stands::Attempting => {}
        }
    }

    /// Decides what follows from the end of a call's last attempt under way.
    pub(crate) fn conclude(&mut self, index: u32, outcome: Outcome, is_hedge: bool) {
        let (deadline, instant) = (self.instant_of(self.calls[index].deadline), self.instant);
        let call = &mut self.calls[index];
        let gateway = &mut self.gateways[call.gateway];
        let fate = match outcome {
            Outcome::Success if is_hedge => Fate::OkHedged,
            Outcome::Success if call.rounds == 1 => Fate::Ok,
            Outcome::Success => Fate::OkAfterRetry,
            Outcome::Failure(Failure::TimedOut) => Fate::TimedOut,
            _ => Fate::Failed,
        };
        if outcome.is_against_upstream() {
            let is_unsent = outcome == Outcome::Failure(Failure::Connect);
            let ended = AttemptEnd {
                number: call.rounds,
                outcome,
                may_repeat: match call.is_idempotent || is_unsent {
                    true => Ok(()),
                    false => Err(RetryDenied::Method),
                },
                deadline: Deadline::at(deadline),
                caller_attempt: 1,
                in_flight: gateway.in_flight(),
                delay: None,
            };
            if std::mem::take(&mut call.is_retrying) {
                gateway.budget.end();
            }
            let (params, backoff) = (self.params, &mut call.backoff);
            if let Some(delay) = gateway.decide(params, &ended, backoff, instant) {
                call.is_retrying = self.params.budget.is_some();
                call.failed = Some(fate);
                return self.back_off(index, delay);
            }
        }
        let gateway = call.gateway;
        self.end(index, fate);
        self.release(gateway);
    }

    /// Takes note that the client has left.
    pub(crate) fn left(&mut self, index: u32) {
        let call = &self.calls[index];
        let age = Duration::from_nanos(self.now - call.began);
        self.gateways[call.gateway].left(age, self.instant);
    }

    /// Ends a call that is refused an attempt: with the last failure, if there was one.
    fn refuse(&mut self, index: u32, fate: Fate) {
        let failed = self.calls[index].failed;
        self.end(index, failed.unwrap_or(fate));
    }

    fn back_off(&mut self, index: u32, delay: Duration) {
        let call = &mut self.calls[index];
        call.stands = Stands::BackingOff;
        call.until = Self::timer(self.now.saturating_add(nanos(delay)));
        self.agenda.note(call.until.min(call.gone_at), What::Call, index, call.stamp);
        let gateway = call.gateway;
        self.release(gateway);
    }

    /// Gives a place back; whoever has it now is woken.
    pub(crate) fn release(&mut self, gateway: usize) {
        let next = self.gateways[gateway].release(self.params, self.instant);
        self.woken.extend(next);
    }
}

/// Is what an attempt that was never made says.
const LOCAL: Outcome = Outcome::Neutral(Neutral::LocalReject);
