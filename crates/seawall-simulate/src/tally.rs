//! The tally: what happened, counted by step of time and by stage.
//!
//! Does not know: why it happened. Invariant: what happens counts where it happens: a call that
//! began in one stage and ended in the next is an arrival of the one and an answer of the other.

use seawall_core::{Fate, Priority};

use crate::arrivals::nanos;
use crate::histogram::Histogram;
use crate::report::{Caller, SimulationCounts, Span, TimeStep};
use crate::setup::Setup;

/// Counts what happens.
pub(crate) struct Tally {
    step: u64,
    lasts: u64,
    /// When the next sample is taken.
    sample_at: u64,
    samples: u64,
    arrivals: u64,
    spans: Vec<Counted>,
    /// The span that counts now.
    span: usize,
    steps: Vec<TimeStep>,
    /// What is counted in this step, and how long admitted calls took in it.
    current: TimeStep,
    took: Histogram,
    trace: Option<Vec<(Fate, u32)>>,
}

/// Holds what is counted in one stage.
struct Counted {
    span: Span,
    end: u64,
    /// How many calls a second the upstream can answer well.
    capacity: f64,
    admitted: Histogram,
}

/// Holds how much is under way at one instant, summed over servers and endpoints.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    pub(crate) working: u32,
    pub(crate) queued: u32,
    pub(crate) limit: u32,
    pub(crate) in_flight: u32,
    pub(crate) waiting: u32,
    pub(crate) open: u32,
}

impl Tally {
    pub(crate) fn new(setup: &Setup) -> Self {
        let (step, lasts) = (nanos(setup.step()).max(1), nanos(setup.lasts));
        let (mut spans, mut begin) = (Vec::new(), 0);
        for (index, stage) in setup.stages.iter().enumerate() {
            let is_last = index + 1 == setup.stages.len();
            let end = begin + nanos(stage.phase.lasts).min(lasts);
            let end = if is_last { lasts } else { end.min(lasts) };
            if begin < end {
                let name = stage.phase.name.clone();
                let (from, to) = (seconds(begin), seconds(end));
                let span = Span { name, from, to, ..Span::default() };
                let capacity = stage.capacity(setup.endpoints());
                spans.push(Counted { span, end, capacity, admitted: Histogram::default() });
            }
            begin = end;
        }
        if spans.is_empty() {
            let span = Span { name: "all".to_owned(), to: seconds(lasts), ..Span::default() };
            let (end, capacity) = (lasts, f64::INFINITY);
            spans.push(Counted { span, end, capacity, admitted: Histogram::default() });
        }
        for counted in &mut spans {
            let callers = setup.clients.callers.len();
            counted.span.counts.callers = vec![Caller::default(); callers];
        }
        Self {
            step,
            lasts,
            sample_at: step / SAMPLES,
            samples: 0,
            arrivals: 0,
            spans,
            span: 0,
            steps: Vec::with_capacity((lasts / step) as usize + 1),
            current: TimeStep::default(),
            took: Histogram::default(),
            trace: None,
        }
    }

    /// Keeps the fate and the attempts of every call.
    pub(crate) fn keep_trace(&mut self) {
        self.trace = Some(Vec::new());
    }

    pub(crate) fn take_trace(&mut self) -> Vec<(Fate, u32)> {
        self.trace.take().unwrap_or_default()
    }

    /// Returns when a sample is to be taken, if that is before `at`.
    pub(crate) fn next_sample(&mut self, at: u64) -> Option<u64> {
        while at >= self.spans[self.span].end && self.span + 1 < self.spans.len() {
            self.span += 1;
        }
        (self.sample_at <= at && self.sample_at <= self.lasts).then_some(self.sample_at)
    }

    /// Counts a sample; every so many of them a step is over.
    pub(crate) fn sampled(&mut self, at: u64, load: Load) {
        let step = &mut self.current;
        let share = 1.0 / SAMPLES as f64;
        step.working += f64::from(load.working) * share;
        step.queued += f64::from(load.queued) * share;
        step.limit += f64::from(load.limit) * share;
        step.in_flight += f64::from(load.in_flight) * share;
        step.waiting += f64::from(load.waiting) * share;
        step.open += f64::from(load.open) * share;
        self.samples += 1;
        if self.samples.is_multiple_of(SAMPLES) {
            let mut step = std::mem::take(&mut self.current);
            step.at = seconds(at - self.step.min(at));
            step.p50 = self.took.quantile(0.5);
            step.p99 = self.took.quantile(0.99);
            self.took = Histogram::default();
            self.steps.push(step);
        }
        // Reckoned from the beginning, so that no rounding adds up.
        let (whole, part) = ((self.samples + 1) / SAMPLES, (self.samples + 1) % SAMPLES);
        self.sample_at = whole * self.step + part * self.step / SAMPLES;
    }

    pub(crate) fn arrived(&mut self, priority: Priority, caller: Option<u16>) -> u64 {
        self.current.arrivals += 1;
        let counts = self.counts();
        counts.arrivals += 1;
        counts.offered[priority.index()] += 1;
        if let Some(caller) = counts.caller(caller) {
            caller.offered += 1;
        }
        if let Some(trace) = &mut self.trace {
            trace.push((Fate::Cancelled, 0));
        }
        self.arrivals += 1;
        self.arrivals - 1
    }

    pub(crate) fn called(&mut self) {
        self.counts().calls += 1;
    }

    pub(crate) fn attempted(&mut self) {
        self.current.attempts += 1;
        self.counts().attempts += 1;
    }

    /// Counts the end of a call: of one try of a client.
    pub(crate) fn ended(&mut self, fate: Fate, took: u64, attempts: u32, number: u64) {
        self.counts().fates[fate.index()] += 1;
        self.current.fates[fate.index()] += 1;
        if attempts > 0 {
            self.spans[self.span].admitted.record(took);
            self.took.record(took);
        }
        if let Some(last) = self.trace.as_mut().and_then(|trace| trace.get_mut(number as usize)) {
            *last = (fate, attempts);
        }
    }

    /// Counts the end of a client's patience, good or bad.
    pub(crate) fn answered(&mut self, is_good: bool, priority: Priority, caller: Option<u16>) {
        let counts = self.counts();
        if is_good {
            counts.good += 1;
            counts.served[priority.index()] += 1;
            if let Some(caller) = counts.caller(caller) {
                caller.served += 1;
            }
            self.current.good += 1;
        } else {
            counts.lost += 1;
        }
    }

    fn counts(&mut self) -> &mut SimulationCounts {
        &mut self.spans[self.span].span.counts
    }

    /// Ends counting: every stage, all of them together, and the course of time.
    pub(crate) fn finish(self) -> (Vec<Span>, Span, Vec<TimeStep>) {
        let mut all = Histogram::default();
        let mut total = Span { name: "all".to_owned(), to: seconds(self.lasts), ..Span::default() };
        let spans =
            self.spans.into_iter().map(|Counted { mut span, admitted, capacity, .. }| {
                all.add(&admitted);
                span.possible = (span.counts.arrivals as f64).min(capacity * span.seconds());
                total.possible += span.possible;
                total.counts.add(&span.counts);
                span.quantiles = QUANTILES.map(|q| admitted.quantile(q));
                span
            });
        let spans = spans.collect();
        total.quantiles = QUANTILES.map(|q| all.quantile(q));
        (spans, total, self.steps)
    }
}

impl SimulationCounts {
    fn caller(&mut self, caller: Option<u16>) -> Option<&mut Caller> {
        self.callers.get_mut(usize::from(caller?))
    }
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

/// What is told of latency.
pub(crate) const QUANTILES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];
/// How often in a step it is looked at what is under way.
const SAMPLES: u64 = 8;
