//! An attempt, from the place it was given to its end.
//!
//! Does not know: whether it is repeated. Invariant: of the attempts of a call that are under way
//! at the same time one answers, and the others are dropped in that instant.

use seawall_core::{Code, Failure, Fate, Neutral, Outcome};
use seawall_policy::sim::Then;

use crate::agenda::What;
use crate::arrivals::nanos;
use crate::endpoint::{Job, Service};
use crate::gateway::Leave;
use crate::world::{Stands, World};

impl World<'_> {
    /// Begins an attempt that has its place.
    pub(crate) fn start(&mut self, index: u32, leave: Leave, is_hedge: bool) {
        let (now, number) = (self.now, self.attempts.take());
        let endpoint = leave.endpoint;
        let call = &mut self.calls[index];
        call.stands = Stands::Attempting;
        call.begun += 1;
        if !is_hedge {
            call.rounds += 1;
            call.hedges = 0;
        }
        call.tried |= 1 << (endpoint.0 % 64);
        call.live.push(number);
        let attempt = &mut self.attempts[number];
        attempt.call = index;
        attempt.began = now;
        attempt.until = now.saturating_add(nanos(self.params.timeout.attempt)).min(call.deadline);
        attempt.leave = leave;
        attempt.is_hedge = is_hedge;
        let (stamp, until) = (attempt.stamp, Self::timer(attempt.until).min(call.gone_at));
        self.gateways[call.gateway].endpoints.begin(endpoint);
        self.tally.attempted();
        let (to, grid) = (usize::from(endpoint.0), self.setup.grid());
        let service = self.endpoints[to].arrive((number, stamp), (now, self.instant), grid);
        self.attempts[number].service = service;
        let ends = match service {
            Service::Ends { at, .. } => at,
            Service::Waits => u64::MAX,
        };
        self.agenda.note(ends.min(until), What::Attempt, number, stamp);
        if service == Service::Waits {
            // The script may have made room.
            self.serve(to);
        }
        self.plan_hedge(index);
    }

    /// Ends an attempt: it has its answer, or its time is over, or the client has left.
    pub(crate) fn attempt_is_due(&mut self, number: u32) {
        let now = self.now;
        let attempt = &self.attempts[number];
        if let Service::Ends { at, then, has_place } = attempt.service
            && at <= now
        {
            let to = usize::from(attempt.leave.endpoint.0);
            self.endpoints[to].end(has_place);
            self.end_attempt(number, outcome(then));
            self.serve(to);
        } else if Self::timer(attempt.until) <= now {
            self.give_up(number);
            self.end_attempt(number, Outcome::Failure(Failure::TimedOut));
        } else {
            self.abandon(attempt.call);
        }
    }

    /// Draws what follows from an attempt's end.
    fn end_attempt(&mut self, number: u32, outcome: Outcome) {
        let index = self.attempts[number].call;
        let is_hedge = self.attempts[number].is_hedge;
        self.close(number, outcome);
        let call = &mut self.calls[index];
        let gateway = call.gateway;
        if outcome.is_against_upstream() && !call.live.is_empty() {
            // Another one may still answer.
            return self.release(gateway);
        }
        call.stamp = call.stamp.wrapping_add(1);
        while let Some(&loser) = self.calls[index].live.last() {
            self.drop_attempt(loser, Neutral::HedgeLost);
        }
        self.conclude(index, outcome, is_hedge);
    }

    /// Ends a call whose client has left.
    fn abandon(&mut self, index: u32) {
        while let Some(&number) = self.calls[index].live.last() {
            self.drop_attempt(number, Neutral::ClientGone);
        }
        self.left(index);
        self.end(index, Fate::Cancelled);
    }

    /// Ends an attempt for which nobody waits any more. Its place comes back at once, or when it
    /// would have run out of time.
    fn drop_attempt(&mut self, number: u32, why: Neutral) {
        let attempt = &self.attempts[number];
        let (began, gateway) = (attempt.began, self.calls[attempt.call].gateway);
        self.give_up(number);
        self.close(number, Outcome::Neutral(why));
        self.leave_place(gateway, began);
    }

    /// Gives the place of an attempt that was given up back, or keeps it for as long as the upstream
    /// may work on it.
    fn leave_place(&mut self, gateway: usize, began: u64) {
        let until = began.saturating_add(nanos(self.params.timeout.attempt));
        let holds = self.params.limit.as_ref().is_some_and(|limit| limit.holds_abandoned);
        if !holds || until <= self.now {
            return self.release(gateway);
        }
        self.agenda.note(Self::timer(until), What::Ghost, gateway as u32, 0);
        let (began, until) = (self.instant_of(began), self.instant_of(Self::timer(until)));
        let server = &mut self.gateways[gateway];
        server.keep(self.params, began, until, self.instant, &mut self.woken);
    }

    /// Tells the machines how an attempt ended. Its place is the caller's to give back.
    fn close(&mut self, number: u32, outcome: Outcome) {
        let attempt = &mut self.attempts[number];
        attempt.stamp = attempt.stamp.wrapping_add(1);
        let (index, began) = (attempt.call, attempt.began);
        let leave = std::mem::take(&mut attempt.leave);
        let endpoint = leave.endpoint;
        self.attempts.free(number);
        let (took, instant, params) = (self.elapsed(began), self.instant, self.params);
        let call = &mut self.calls[index];
        call.live.retain(|&live| live != number);
        let began = self.instant_of(began);
        let call = &mut self.calls[index];
        let gateway = &mut self.gateways[call.gateway];
        if outcome == Outcome::Success {
            // What began a whole answer's time before this one did is done with.
            let before = began.checked_sub(took).unwrap_or(began);
            gateway.answered(params, before, instant, &mut self.woken);
        }
        let outcome = params.counted(outcome);
        let counted = params.breaker.as_ref().map(|breaker| breaker.counted(outcome, took));
        gateway.report(params, leave, counted.unwrap_or(outcome), instant);
        gateway.endpoints.end(endpoint);
        if gateway.learn(params, endpoint, outcome, took, instant) {
            gateway.resize(params, instant, &mut self.woken);
        }
    }

    /// Lets the endpoint know, if it listens, that nobody waits for an attempt any more.
    fn give_up(&mut self, number: u32) {
        let attempt = &mut self.attempts[number];
        let to = usize::from(attempt.leave.endpoint.0);
        // A job that still stands in the endpoint's queue is known by its stamp.
        attempt.stamp = attempt.stamp.wrapping_add(1);
        match self.endpoints[to].leave(attempt.service) {
            Some(at) => self.agenda.note(at, What::Orphan, to as u32, 0),
            None => self.serve(to),
        }
    }

    /// Lets an endpoint begin what waits there, as far as it has places.
    pub(crate) fn serve(&mut self, to: usize) {
        loop {
            let attempts = &self.attempts;
            let is_there = |job: &Job| attempts[job.attempt].stamp == job.stamp;
            let Some((job, at)) = self.endpoints[to].start(self.now, is_there) else { break };
            let attempt = &mut self.attempts[job.attempt];
            if attempt.stamp == job.stamp {
                attempt.service = Service::Ends { at, then: job.then, has_place: true };
                // Its time limit is noted already; whichever comes first counts.
                self.agenda.note(at, What::Attempt, job.attempt, job.stamp);
            } else {
                self.agenda.note(at, What::Orphan, to as u32, 0);
            }
        }
    }

    /// Notes when another attempt is sent beside the one that was just begun.
    fn plan_hedge(&mut self, index: u32) {
        let Some(hedge) = &self.params.hedge else { return };
        let call = &self.calls[index];
        if !call.is_idempotent || call.hedges >= hedge.extra_max {
            return;
        }
        let gateway = &self.gateways[call.gateway];
        if let Some(after) = gateway.hedge.after(hedge, self.params.timeout.attempt, self.instant) {
            let at = Self::timer(self.now.saturating_add(nanos(after)));
            self.agenda.note(at, What::Hedge, index, call.stamp);
        }
    }

    /// Sends another attempt beside those under way, if it can be paid for and has a place.
    pub(crate) fn hedge(&mut self, index: u32) {
        let (params, instant) = (self.params, self.instant);
        let call = &mut self.calls[index];
        if call.live.is_empty() || self.now >= call.gone_at.min(call.deadline) {
            return;
        }
        let gateway = &mut self.gateways[call.gateway];
        let Some(leave) = gateway.ask(params, call.tried, instant) else { return };
        let has_place = gateway.enter_at_once(params, call.priority, index, instant);
        // Paid for last, so that nothing is taken for an attempt that is not made.
        if has_place && gateway.pay_hedge(params, !call.is_hedged, instant) {
            call.is_hedged = true;
            call.hedges += 1;
            return self.start(index, leave, true);
        }
        gateway.report(params, leave, Outcome::Neutral(Neutral::LocalReject), instant);
        if has_place {
            let next = gateway.release(params, instant);
            debug_assert!(next.is_none(), "nobody waited when the place was taken");
        }
    }
}

/// Says what the gateway's judge says of such an end.
fn outcome(then: Then) -> Outcome {
    match then {
        Then::Answer { status: 429 } => {
            Outcome::Overload { code: Some(Code::from(429)), retry_after: None, is_throttled: true }
        }
        Then::Answer { status } if status >= 500 => {
            Outcome::Failure(Failure::Answered(status.into()))
        }
        // How long a body takes is not simulated.
        Then::Answer { .. } | Then::Drip { .. } => Outcome::Success,
        Then::Reset => Outcome::Failure(Failure::Reset),
        Then::Refuse => Outcome::Failure(Failure::Connect),
        Then::Hang => Outcome::Failure(Failure::TimedOut),
    }
}
