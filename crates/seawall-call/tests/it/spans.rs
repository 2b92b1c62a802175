//! A small exporter: a span for each call, attempt and wait, made of events alone.
//!
//! Does not know policies. What cannot be (a span that ends twice, an attempt of a call that has not
//! begun) is kept for later: events are told where a panic would be lost.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use seawall_core::{
    AttemptId, CallEvent, CallEventKind as Kind, CallId, Event, Fate, Observer, RetryReason,
};

/// Makes spans of events.
#[derive(Default)]
pub(crate) struct Spans(Mutex<Exported>);

/// The spans, and what could not be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exported {
    pub(crate) calls: BTreeMap<CallId, CallSpans>,
    /// Calls that shared the answer of another one: when they began to wait, and until when.
    pub(crate) followers: BTreeMap<CallId, (CallId, Span)>,
    pub(crate) wrong: Vec<String>,
}

/// A call with all its attempts and waits.
#[derive(Clone, Debug)]
pub(crate) struct CallSpans {
    /// What its caller calls it.
    pub(crate) title: Option<&'static str>,
    pub(crate) parent: Option<CallId>,
    pub(crate) span: Span,
    pub(crate) end: Option<(Fate, u32)>,
    pub(crate) attempts: BTreeMap<AttemptId, Span>,
    pub(crate) queued: BTreeMap<AttemptId, Span>,
    /// The waits before retries, each before its attempt.
    pub(crate) backoffs: BTreeMap<AttemptId, (Span, RetryReason)>,
}

/// A stretch of time, and how it ended.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) begun: Instant,
    pub(crate) ended: Option<Instant>,
    pub(crate) how: String,
}

impl Spans {
    /// Returns what has been made so far.
    pub(crate) fn exported(&self) -> Exported {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Exported> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Spans {
    fn on(&self, event: &Event<'_>) {
        let Event::Call(event) = event else { return };
        let mut exported = self.lock();
        if let Err(why) = exported.take(event) {
            exported.wrong.push(format!("{why}: {event:?}"));
        }
    }
}

impl Exported {
    fn take(&mut self, event: &CallEvent<'_>) -> Result<(), &'static str> {
        match event.kind {
            Kind::Started => {
                let before = self.calls.insert(event.call, CallSpans::begin(event));
                return vacant(before.is_none(), "it began twice");
            }
            Kind::Coalesced { flight, waited } => {
                let span = Span {
                    begun: event.at - waited,
                    ended: Some(event.at),
                    how: String::from("shared"),
                };
                let before = self.followers.insert(event.call, (flight, span));
                return vacant(before.is_none(), "it shared twice");
            }
            // Said of the answer, before a call or after it.
            Kind::CacheUsed { .. } | Kind::FellBack { .. } => return Ok(()),
            _ => {}
        }
        let call = self.calls.get_mut(&event.call).ok_or("its call has not begun")?;
        vacant(call.span.ended.is_none(), "its call has ended")?;
        call.take(event)
    }
}

impl CallSpans {
    fn begin(event: &CallEvent<'_>) -> Self {
        Self {
            title: event.origin.bag::<&'static str>().copied(),
            parent: event.origin.parent,
            span: Span::begin(event.at),
            end: None,
            attempts: BTreeMap::new(),
            queued: BTreeMap::new(),
            backoffs: BTreeMap::new(),
        }
    }

    fn take(&mut self, event: &CallEvent<'_>) -> Result<(), &'static str> {
        let (at, attempt) = (event.at, event.attempt.ok_or("it says of no attempt"));
        // Nothing happens to a call that waits before a retry, so whatever comes ends the wait.
        for (span, _) in self.backoffs.values_mut() {
            span.ended.get_or_insert(at);
        }
        match event.kind {
            Kind::AttemptStarted { .. } => {
                let attempt = attempt?;
                let is_beside = self.attempts.values().any(|span| span.ended.is_none());
                vacant(attempt.is_hedge == is_beside, "only a hedge begins beside another")?;
                let before = self.attempts.insert(attempt, Span::begin(at));
                vacant(before.is_none(), "the attempt began twice")
            }
            Kind::AttemptEnded { outcome, .. } => {
                let span = self.attempts.get_mut(&attempt?).ok_or("the attempt has not begun")?;
                span.end(at, outcome.as_str())
            }
            Kind::Queued { .. } => {
                let before = self.queued.insert(attempt?, Span::begin(at));
                vacant(before.is_none(), "it was queued twice")
            }
            Kind::Dequeued { admitted, .. } => {
                let span = self.queued.get_mut(&attempt?).ok_or("it was not queued")?;
                span.end(at, if admitted { "admitted" } else { "left" })
            }
            Kind::RetryScheduled { reason, .. } => {
                let before = self.backoffs.insert(attempt?, (Span::begin(at), reason));
                vacant(before.is_none(), "the retry was decided twice")
            }
            Kind::Ended { fate, attempts, .. } => {
                self.end = Some((fate, attempts));
                self.span.end(at, fate.as_str())
            }
            _ => Ok(()),
        }
    }

    /// Returns all spans within the call's.
    pub(crate) fn children(&self) -> impl Iterator<Item = &Span> {
        let backoffs = self.backoffs.values().map(|(span, _)| span);
        self.attempts.values().chain(self.queued.values()).chain(backoffs)
    }

    /// Draws the call as text, a character for each five milliseconds.
    pub(crate) fn waterfall(&self) -> String {
        let title = self.title.unwrap_or("call");
        let mut rows = vec![(String::from(title), &self.span, self.span.how.clone())];
        for (attempt, span) in &self.queued {
            rows.push((format!("  queue for {}", attempt.number), span, span.how.clone()));
        }
        for (attempt, (span, reason)) in &self.backoffs {
            let why = format!("retry of {title} because of {}", reason.as_str());
            rows.push((format!("  wait for {}", attempt.number), span, why));
        }
        for (attempt, span) in &self.attempts {
            let kind = if attempt.is_hedge { "hedge" } else { "attempt" };
            rows.push((format!("  {kind} {}", attempt.number), span, span.how.clone()));
        }
        rows.sort_by_key(|(_, span, _)| span.begun);
        let place = |at: Instant| (at - self.span.begun).as_millis() as usize / 5;
        let mut text = String::new();
        for (name, span, how) in rows {
            let (begun, ended) = (place(span.begun), place(span.ended.unwrap_or(span.begun)));
            let bar = format!("{}{}", " ".repeat(begun), "=".repeat(ended - begun));
            let all = place(self.span.ended.unwrap_or(self.span.begun));
            text += &format!("{name:<14}|{bar:<all$}| {how}\n");
        }
        text
    }
}

impl Span {
    fn begin(at: Instant) -> Self {
        Self { begun: at, ended: None, how: String::new() }
    }

    fn end(&mut self, at: Instant, how: &str) -> Result<(), &'static str> {
        how.clone_into(&mut self.how);
        vacant(self.ended.replace(at).is_none(), "it ended twice")
    }

    /// Returns whether it lies within another one.
    pub(crate) fn is_within(&self, other: &Self) -> bool {
        other.begun <= self.begun && self.ended.is_some() && self.ended <= other.ended
    }
}

fn vacant(holds: bool, why: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(why) }
}
