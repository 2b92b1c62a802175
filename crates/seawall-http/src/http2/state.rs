//! What the streams of a connection share, under one lock: the machine, what came for each of them,
//! and who waits.

use std::collections::VecDeque;
use std::task::{Context, Waker};

use bytes::BytesMut;
use seawall_wire::Fields;
use seawall_wire::http2::{
    Connection, ConnectionEvent, ErrorCode, FieldBlock, Http2Limits, Http2RequestHead, Role,
    Violation,
};
use tokio::time::Instant;

use crate::head::said_length;

/// What the streams of a connection share.
pub(crate) struct State {
    pub(super) machine: Connection<Slot>,
    /// The task that drives the connection.
    pub(super) driver: Option<Waker>,
    /// Whether it looks at what is to be sent before it sleeps.
    pub(super) is_driving: bool,
    /// How much of what is to be sent the driver has taken and not sent.
    pub(super) unsent: usize,
    /// How many bytes were to be sent so far, those that still are included.
    pub(super) queued: u64,
    /// The streams that wait until something of all streams was sent or may be, in the order in which
    /// they began to; and who waits for the peer's settings.
    pub(super) waits_for_turn: VecDeque<u32>,
    pub(super) waits_for_settings: Option<Waker>,
    /// How many streams have more to send than the peer takes, and since when none of all was sent.
    blocked: usize,
    blocked_at: Instant,
    /// Requests that have come and are not served yet.
    pub(super) accepted: VecDeque<Accepted>,
    /// How the connection ended.
    pub(super) gone: Option<Gone>,
    /// When the peer was last heard, and when a stream was last opened or closed.
    pub(super) heard_at: Instant,
    pub(super) used_at: Instant,
    /// Whether no stream is opened any more.
    pub(super) is_retired: bool,
    /// Whether the peer was told that there will be an end, and when it had heard it.
    pub(super) is_end_announced: bool,
    pub(super) end_heard_at: Option<Instant>,
}

/// A request that has come.
pub(crate) enum Accepted {
    /// It is to be answered.
    Request { stream: u32, head: Http2RequestHead },
    /// It opened no stream, for what was wrong with it.
    Refused(&'static str),
}

/// What has come for a stream and was not taken, and who waits.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    /// Heads of answers.
    pub(super) heads: VecDeque<(u16, Fields)>,
    pub(super) received: BytesMut,
    pub(super) trailers: Option<Fields>,
    /// Whether everything has come.
    pub(super) is_received: bool,
    /// How much of the body was not taken, if its head has said how long it is.
    pub(super) length: Option<u64>,
    /// Whether nobody wants the body.
    pub(super) is_unwanted: bool,
    /// How many bytes were to be sent before its head.
    pub(super) queued_before: u64,
    pub(super) gone: Option<Gone>,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    pub(super) waits_for_turn: bool,
    /// Whether it has more to send than the peer takes.
    pub(super) is_blocked: bool,
}

/// Why a stream came to no end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gone {
    /// The peer has reset it.
    Reset(ErrorCode),
    /// We have, for what the peer did wrong.
    Flawed(&'static str),
    /// The peer has not looked at it.
    Unseen,
    /// The connection was lost; with an error, or by its end.
    Lost(Option<std::io::ErrorKind>),
    /// It was given up on our side.
    Dropped,
}

impl Slot {
    pub(super) fn end(&mut self, gone: Gone) {
        self.gone.get_or_insert(gone);
        wake(&mut self.reader);
        wake(&mut self.writer);
    }
}

impl State {
    pub(super) fn new(side: Role, limits: Http2Limits) -> Self {
        let now = Instant::now();
        Self {
            machine: Connection::new(side, limits, now.into_std()),
            driver: None,
            is_driving: false,
            unsent: 0,
            queued: 0,
            waits_for_turn: VecDeque::new(),
            blocked: 0,
            blocked_at: now,
            waits_for_settings: None,
            accepted: VecDeque::new(),
            gone: None,
            heard_at: now,
            used_at: now,
            is_retired: false,
            is_end_announced: false,
            end_heard_at: None,
        }
    }

    /// Returns whether a client may open streams on the connection.
    pub(super) const fn is_usable(&self) -> bool {
        self.gone.is_none() && !self.is_retired && !self.machine.is_left()
    }

    /// Returns how much is to be sent.
    pub(super) fn waiting(&mut self) -> usize {
        self.unsent + self.machine.out().len()
    }

    /// Takes what is to be sent.
    pub(super) fn take_out(&mut self, room: Vec<u8>) -> Vec<u8> {
        let out = std::mem::replace(self.machine.out(), room);
        self.queued += out.len() as u64;
        self.unsent = out.len();
        out
    }

    /// Notes that so many bytes were sent.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.unsent -= bytes;
        self.machine.sent(bytes);
        if self.waiting() < OUT_BYTES_MAX {
            self.give_turns();
        }
    }

    /// Wakes those who wait for their turn. Who does not get one waits behind the others again.
    fn give_turns(&mut self) {
        while let Some(stream) = self.waits_for_turn.pop_front() {
            if let Some(slot) = self.machine.user(stream) {
                slot.waits_for_turn = false;
                wake(&mut slot.writer);
            }
        }
    }

    /// Notes whether a stream has more to send than the peer takes.
    pub(super) fn note_blocked(&mut self, stream: u32, is_blocked: bool) {
        let Some(slot) = self.machine.user(stream) else { return };
        let was_blocked = std::mem::replace(&mut slot.is_blocked, is_blocked);
        if !is_blocked || self.blocked == 0 {
            self.blocked_at = Instant::now();
        }
        self.blocked += usize::from(is_blocked);
        self.blocked -= usize::from(was_blocked);
    }

    /// Returns since when nothing was sent although streams have more to send than the peer takes.
    pub(super) fn blocked_since(&self) -> Option<Instant> {
        (self.blocked > 0).then_some(self.blocked_at)
    }

    /// Reads what has come; returns how much of it was understood.
    pub(super) fn feed(&mut self, bytes: &[u8], now: Instant) -> Result<usize, Violation> {
        let mut at = 0;
        loop {
            let read = self.machine.read(&bytes[at..], now.into_std())?;
            if read.len == 0 && read.event.is_none() {
                return Ok(at);
            }
            if let Some(event) = read.event {
                self.note(event, &bytes[at..]);
            }
            at += read.len;
        }
    }

    fn note(&mut self, event: ConnectionEvent, bytes: &[u8]) {
        match event {
            ConnectionEvent::Head { stream, head: FieldBlock::Request(head), is_last } => {
                if let Some(slot) = self.machine.user(stream) {
                    slot.length = said_length(&head.fields);
                    slot.is_received = is_last;
                }
                self.accepted.push_back(Accepted::Request { stream, head });
            }
            ConnectionEvent::Head { stream, head, is_last } => {
                let Some(slot) = self.machine.user(stream) else { return };
                slot.is_received = is_last;
                match head {
                    FieldBlock::Response { status, fields } => {
                        slot.heads.push_back((status, fields))
                    }
                    FieldBlock::Trailers(fields) => {
                        slot.trailers = Some(fields).filter(|_| !slot.is_unwanted);
                    }
                    FieldBlock::Request(_) => {}
                }
                wake(&mut slot.reader);
            }
            ConnectionEvent::Data { stream, at, is_last } => {
                let Some(slot) = self.machine.user(stream) else {
                    return self.machine.take_on_connection(at.len());
                };
                slot.is_received = is_last;
                if slot.is_unwanted {
                    return self.machine.take_on_connection(at.len());
                }
                slot.received.extend_from_slice(&bytes[at]);
                wake(&mut slot.reader);
            }
            ConnectionEvent::Reset { stream, code, flaw } => {
                if let Some(slot) = self.machine.user(stream) {
                    slot.end(flaw.map_or(Gone::Reset(code), Gone::Flawed));
                }
            }
            ConnectionEvent::Refused { flaw } => self.accepted.push_back(Accepted::Refused(flaw)),
            ConnectionEvent::GoAway { last, .. } => {
                self.machine.users_after(last).for_each(|slot| slot.end(Gone::Unseen));
                wake(&mut self.waits_for_settings);
            }
            ConnectionEvent::Window { stream: 0 } => self.give_turns(),
            ConnectionEvent::Window { stream } => {
                if let Some(slot) = self.machine.user(stream) {
                    wake(&mut slot.writer);
                }
            }
            ConnectionEvent::Settings => {
                self.machine.users_after(0).for_each(|slot| wake(&mut slot.writer));
                wake(&mut self.waits_for_settings);
            }
            ConnectionEvent::Pong => {
                if self.is_end_announced {
                    self.end_heard_at.get_or_insert_with(Instant::now);
                }
            }
        }
    }

    /// Waits until something was sent, or may be.
    pub(super) fn wait_for_turn(&mut self, cx: &Context<'_>, stream: u32) {
        let Some(slot) = self.machine.user(stream) else { return };
        listen(&mut slot.writer, cx);
        if !std::mem::replace(&mut slot.waits_for_turn, true) {
            self.waits_for_turn.push_back(stream);
        }
    }

    pub(super) fn is_gone(&mut self, stream: u32) -> Option<Gone> {
        match self.machine.user(stream) {
            Some(slot) => slot.gone,
            None => Some(Gone::Dropped),
        }
    }

    /// Wakes the driver if there is something to be sent, and it may be asleep.
    pub(super) fn wake_driver(&mut self) {
        let may_sleep = !self.is_driving
            && (!self.machine.out().is_empty() || self.is_retired || self.machine.is_left());
        if may_sleep && let Some(driver) = &self.driver {
            driver.wake_by_ref();
        }
    }
}

pub(super) fn listen(waker: &mut Option<Waker>, cx: &Context<'_>) {
    match waker {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *waker = Some(cx.waker().clone()),
    }
}

pub(super) fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// How much waits to be sent before nothing more is read, which could only make more, and hints are
/// left out.
pub(super) const CROWDED_BYTES: usize = 256 * 1024;
/// How much waits to be sent before streams wait with the rest of their bodies.
pub(super) const OUT_BYTES_MAX: usize = 64 * 1024;
