//! An observer that keeps every event, for tests that ask afterwards what was told.
//!
//! Does not know who tells. Invariant: what is asked for is a pattern of the event's own type, so a
//! test that asks for something that can no longer be told does not compile.

use std::sync::{Mutex, MutexGuard, PoisonError};

use seawall_core::{
    CallEvent, CallEventKind, Event, Fault, Observer, Origin, RequestRecord, ServerEvent,
    UpstreamEvent, UpstreamEventKind,
};

/// Keeps every event that it is told of, in order.
///
/// # Examples
///
/// ```
/// use seawall_core::{Event, Observer, ServerEvent};
/// use seawall_testkit::{Events, server_event};
///
/// let events = Events::default();
/// events.on(&Event::Server(&ServerEvent::DrainStarted { in_flight: 3 }));
/// assert_eq!(events.count(&server_event!(DrainStarted { in_flight: 3 })), 1);
/// assert_eq!(events.count(&server_event!(DrainEnded { .. })), 0);
/// ```
#[derive(Debug, Default)]
pub struct Events(Mutex<EventLog>);

#[derive(Debug, Default)]
struct EventLog {
    events: Vec<Event<'static>>,
    /// The first event of a kind that this file does not know.
    unknown: Option<String>,
}

/// A pattern of events, and how it is written; made by [`call_event!`](crate::call_event),
/// [`upstream_event!`](crate::upstream_event) and [`server_event!`](crate::server_event).
#[derive(Clone, Copy, Debug)]
pub struct EventPattern<F> {
    /// How it is written.
    pub text: &'static str,
    /// Whether an event is meant.
    pub is_meant: F,
}

impl Events {
    /// Returns how many events of this pattern were told.
    pub fn count(&self, pattern: &EventPattern<impl Fn(&Event<'_>) -> bool>) -> usize {
        self.all().iter().filter(|event| (pattern.is_meant)(event)).count()
    }

    /// Returns everything that was told, in order.
    ///
    /// # Panics
    ///
    /// If there was an event of a kind that is not kept here yet.
    pub fn all(&self) -> Vec<Event<'static>> {
        let kept = self.lock();
        // Not where it was told: a policy goes on when an observer panics.
        assert_eq!(kept.unknown, None, "nobody has said how this is kept");
        kept.events.clone()
    }

    fn lock(&self) -> MutexGuard<'_, EventLog> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Events {
    fn on(&self, event: &Event<'_>) {
        let mut all = self.lock();
        match kept(event) {
            Some(event) => all.events.push(event),
            None => all.unknown = Some(format!("{event:?}")),
        }
    }
}

/// Matches what happened to a call: `call_event!(RetryDenied { why: RetryDenied::Method })`, with a
/// number in front for what happened to that attempt.
#[macro_export]
macro_rules! call_event {
    ($number:literal, $kind:ident $({ $($fields:tt)* })? $(if $guard:expr)?) => {
        $crate::EventPattern {
            text: stringify!($kind $({ $($fields)* })?),
            is_meant: |event: &$crate::core::Event<'_>| matches!(
                event,
                $crate::core::Event::Call($crate::core::CallEvent {
                    attempt: Some($crate::core::AttemptId { number: $number, .. }),
                    kind: $crate::core::CallEventKind::$kind $({ $($fields)* })?,
                    ..
                }) $(if $guard)?
            ),
        }
    };
    ($kind:ident $({ $($fields:tt)* })? $(if $guard:expr)?) => {
        $crate::EventPattern {
            text: stringify!($kind $({ $($fields)* })?),
            is_meant: |event: &$crate::core::Event<'_>| matches!(
                event,
                $crate::core::Event::Call($crate::core::CallEvent {
                    kind: $crate::core::CallEventKind::$kind $({ $($fields)* })?,
                    ..
                }) $(if $guard)?
            ),
        }
    };
}

/// Matches what changed at an upstream: `upstream_event!(BreakerChanged { .. })`.
#[macro_export]
macro_rules! upstream_event {
    ($kind:ident $({ $($fields:tt)* })? $(if $guard:expr)?) => {
        $crate::EventPattern {
            text: stringify!($kind $({ $($fields)* })?),
            is_meant: |event: &$crate::core::Event<'_>| matches!(
                event,
                $crate::core::Event::Upstream($crate::core::UpstreamEvent {
                    kind: $crate::core::UpstreamEventKind::$kind $({ $($fields)* })?,
                    ..
                }) $(if $guard)?
            ),
        }
    };
}

/// Matches what happened to the server: `server_event!(RequestEnded { status: 499, .. })`.
#[macro_export]
macro_rules! server_event {
    ($kind:ident $({ $($fields:tt)* })? $(if $guard:expr)?) => {
        $crate::EventPattern {
            text: stringify!($kind $({ $($fields)* })?),
            is_meant: |event: &$crate::core::Event<'_>| matches!(
                event,
                $crate::core::Event::Server(
                    $crate::core::ServerEvent::$kind $({ $($fields)* })?
                ) $(if $guard)?
            ),
        }
    };
}

/// Copies an event for the rest of the test; what it borrows is leaked, which a test may.
fn kept(event: &Event<'_>) -> Option<Event<'static>> {
    Some(match *event {
        Event::Call(event) => {
            let CallEvent { at, call, upstream, attempt, kind, .. } = *event;
            let Origin { parent, trace, .. } = *event.origin;
            let (origin, kind) = (Origin { parent, trace, bag: None }, kept_call(kind)?);
            let origin = leaked(origin);
            Event::Call(leaked(CallEvent { at, call, upstream, attempt, origin, kind }))
        }
        Event::Upstream(&UpstreamEvent { at, upstream, call, kind }) => {
            let kind = kept_change(kind)?;
            Event::Upstream(leaked(UpstreamEvent { at, upstream, call, kind }))
        }
        Event::Server(event) => Event::Server(leaked(kept_server(*event)?)),
        _ => return None,
    })
}

/// Copies the values of a closed list whose variants here hold nothing borrowed.
macro_rules! same {
    ($value:expr, $type:ident { $($kind:ident { $($field:ident),* }),* $(,)? }, $else:expr) => {
        match $value {
            $($type::$kind { $($field),* } => Some($type::$kind { $($field),* }),)*
            other => $else(other),
        }
    };
}

fn kept_call(kind: CallEventKind<'_>) -> Option<CallEventKind<'static>> {
    same!(kind, CallEventKind {
        Started {},
        Ended { fate, attempts, took },
        AttemptStarted { endpoint },
        AttemptEnded { endpoint, outcome, took },
        Queued { waiting },
        Dequeued { waited, admitted },
        Rejected { fate },
        RetryScheduled { delay, reason },
        RetryDenied { why },
        TimedOut { phase },
        Abandoned { phase, reason },
        BreakerSpared {},
        Shed { priority, why },
        HedgeEnded { won },
        CacheUsed { how, age },
        Coalesced { flight, waited },
        FellBack { fate },
        ChaosInjected { what },
    }, |other| match other {
        CallEventKind::AttemptFaulted { address, fault } => {
            Some(CallEventKind::AttemptFaulted { address: text(address), fault: kept_fault(fault) })
        }
        _ => None,
    })
}

fn kept_change(kind: UpstreamEventKind<'_>) -> Option<UpstreamEventKind<'static>> {
    Some(match kind {
        UpstreamEventKind::BreakerChanged { endpoint, address, from, to, why } => {
            let address = text(address);
            UpstreamEventKind::BreakerChanged { endpoint, address, from, to, why }
        }
        UpstreamEventKind::LimitChanged { from, to, why } => {
            UpstreamEventKind::LimitChanged { from, to, why }
        }
        UpstreamEventKind::EndpointEjected { endpoint, address, ejected_for, why } => {
            let address = text(address);
            UpstreamEventKind::EndpointEjected { endpoint, address, ejected_for, why }
        }
        UpstreamEventKind::EndpointReturned { endpoint, address } => {
            UpstreamEventKind::EndpointReturned { endpoint, address: text(address) }
        }
        _ => return None,
    })
}

fn kept_server(event: ServerEvent<'_>) -> Option<ServerEvent<'static>> {
    same!(event, ServerEvent {
        ConnectionOpened { peer },
        ConnectionClosed { how, open_for },
        ConnectionRefused {},
        AcceptFailed { errno },
        RequestRefused { why, status },
        RequestStarted { at, call, route, transport },
        RequestEnded { call, route, fate, status, attempts, took },
        SettingsLoaded { generation },
        SettingsRefused { errors },
        DrainStarted { in_flight },
        DrainEnded { cut },
        Panicked {},
    }, |other| match other {
        ServerEvent::BodyCut { route, fault } => {
            Some(ServerEvent::BodyCut { route, fault: kept_fault(fault) })
        }
        ServerEvent::RequestOver { request } => {
            Some(ServerEvent::RequestOver { request: leaked(kept_record(request)) })
        }
        _ => None,
    })
}

fn kept_record(request: &RequestRecord<'_>) -> RequestRecord<'static> {
    RequestRecord {
        id: text(request.id),
        method: text(request.method),
        path: text(request.path),
        user_agent: text(request.user_agent),
        referer: text(request.referer),
        cause: text(request.cause),
        endpoint: text(request.endpoint),
        fault: request.fault.map(kept_fault),
        ..*request
    }
}

/// Copies a fault without the error underneath, which cannot be copied.
fn kept_fault(fault: &Fault) -> &'static Fault {
    let Fault { step, side, cause, sent, .. } = *fault;
    leaked(Fault { step, side, cause, sent, source: None })
}

fn leaked<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn text(text: &str) -> &'static str {
    text.to_owned().leak()
}
