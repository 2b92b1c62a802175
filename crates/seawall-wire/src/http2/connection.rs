//! One connection, as a machine: frames in, frames out, and what has happened to its streams.
//!
//! Does not know sockets, and is told the time. What came of a body is the caller's at once; it says
//! later how much of it was taken, and only then may the peer send as much again. Invariants: what
//! the peer makes us keep is bounded by the limits, and what it can make us do for nothing by its
//! [`FrameBudget`].

mod control;
mod data;
mod heads;
mod send;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Instant;

use thiserror::Error;

use super::budget::FrameBudget;
use super::frame::{self, ErrorCode, FrameHeader, PREFACE};
use super::head::FieldBlock;
use super::hpack::Decoder;
use super::stream::Stream;

/// The side of a connection that we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We are asked.
    Server,
    /// We ask.
    Client,
}

/// The limits on what a peer may send.
#[derive(Clone, Copy, Debug)]
pub struct Http2Limits {
    /// The streams that a client may have open.
    pub streams_max: u32,
    /// The bytes of a head's fields, as they would be over HTTP/1.
    pub head_bytes_max: usize,
    /// The fields of a head.
    pub fields_max: usize,
    /// The interim answers to one request.
    pub interim_max: u8,
    /// What of one stream's body may be here and not taken.
    pub stream_window: u32,
    /// The same for all streams together.
    pub connection_window: u32,
}

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Read {
    /// How many bytes it took; none, if there must be more of them first.
    pub len: usize,
    /// What has happened.
    pub event: Option<ConnectionEvent>,
}

/// Something that happened on a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum ConnectionEvent {
    /// A head has come.
    Head {
        /// The stream that it opens, or is the answer on.
        stream: u32,
        /// What it says.
        head: FieldBlock,
        /// Whether nothing follows it.
        is_last: bool,
    },
    /// A piece of a body has come.
    Data {
        /// Its stream.
        stream: u32,
        /// Where it stands among the bytes that were read.
        at: Range<usize>,
        /// Whether nothing follows it.
        is_last: bool,
    },
    /// A stream has ended before its end.
    Reset {
        /// The stream.
        stream: u32,
        /// Why.
        code: ErrorCode,
        /// What the peer has done wrong, if it was us who ended it.
        flaw: Option<&'static str>,
    },
    /// A request was refused that opened no stream.
    Refused {
        /// What was wrong with it.
        flaw: &'static str,
    },
    /// The peer takes no new streams, and has not looked at those after `last`.
    GoAway {
        /// The last stream that it has looked at.
        last: u32,
        /// Why.
        code: ErrorCode,
    },
    /// The peer takes more of a stream; of all streams, if it is zero.
    Window {
        /// The stream.
        stream: u32,
    },
    /// The peer has said what it takes.
    Settings,
    /// The peer has answered a PING.
    Pong,
}

/// What a peer has done that ends the connection.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{detail}")]
pub struct Violation {
    /// What it is told.
    pub code: ErrorCode,
    /// What exactly, as a lower case fragment.
    pub detail: &'static str,
}

/// A connection.
#[derive(Debug)]
pub struct Connection<T> {
    side: Role,
    limits: Http2Limits,
    decoder: Decoder,
    budget: FrameBudget,
    streams: BTreeMap<u32, Stream<T>>,
    /// How many streams are open, by the protocol's count.
    open: u32,
    /// The last stream that the client has opened.
    last: u32,
    /// Streams that we have ended: what is still under way for them is not an error.
    ended: VecDeque<u32>,
    send_window: i64,
    receive_window: i64,
    taken: i64,
    peer: Peer,
    /// What is to be sent.
    out: Vec<u8>,
    /// How much of the preface must still come.
    preface_left: usize,
    block: Option<Block>,
    data: Option<Data>,
    /// Whether we have said that the streams after this one are not looked at.
    goes_after: Option<u32>,
    /// Whether the peer takes no new streams.
    is_left: bool,
    /// Whether the peer has made its table smaller, and must be told that we use none.
    must_resize: bool,
}

/// What the peer takes.
#[derive(Debug)]
struct Peer {
    has_settings: bool,
    stream_window: i64,
    streams_max: u32,
}

/// A header block whose end has not come.
#[derive(Debug)]
struct Block {
    stream: u32,
    is_last: bool,
    bytes: Vec<u8>,
}

/// A frame of a body whose end has not come.
#[derive(Debug)]
struct Data {
    stream: u32,
    left: usize,
    padding: usize,
    is_last: bool,
    /// Whether nobody wants it.
    is_ignored: bool,
}

type Step = Result<Option<ConnectionEvent>, Violation>;

impl<T: Default> Connection<T> {
    /// Begins a connection, and with it what is to be sent first.
    pub fn new(side: Role, limits: Http2Limits, now: Instant) -> Self {
        let mut out = Vec::new();
        let head_list = u32::try_from(limits.head_bytes_max.saturating_mul(2)).unwrap_or(u32::MAX);
        let (stream_window, list) =
            (limits.stream_window, (frame::MAX_HEADER_LIST_SIZE, head_list));
        let window = (frame::INITIAL_WINDOW_SIZE, stream_window);
        match side {
            Role::Server => {
                let streams = (frame::MAX_CONCURRENT_STREAMS, limits.streams_max);
                frame::write_settings(&mut out, &[streams, window, list]);
            }
            Role::Client => {
                out.extend_from_slice(PREFACE);
                frame::write_settings(&mut out, &[(frame::ENABLE_PUSH, 0), window, list]);
            }
        }
        let more = limits.connection_window.saturating_sub(WINDOW as u32);
        if more > 0 {
            frame::write(&mut out, frame::WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
        }
        Self {
            side,
            limits,
            decoder: Decoder::default(),
            budget: FrameBudget::new(now),
            streams: BTreeMap::new(),
            open: 0,
            last: 0,
            ended: VecDeque::new(),
            send_window: WINDOW,
            receive_window: i64::from(limits.connection_window.max(WINDOW as u32)),
            taken: 0,
            peer: Peer { has_settings: false, stream_window: WINDOW, streams_max: u32::MAX },
            out,
            preface_left: if side == Role::Server { PREFACE.len() } else { 0 },
            block: None,
            data: None,
            goes_after: None,
            is_left: false,
            must_resize: false,
        }
    }

    /// Returns what the user keeps for a stream, until it is [forgotten](Self::forget).
    pub fn user(&mut self, stream: u32) -> Option<&mut T> {
        self.streams.get_mut(&stream).map(|stream| &mut stream.user)
    }

    /// Returns what the user keeps for all streams after one.
    pub fn users_after(&mut self, stream: u32) -> impl Iterator<Item = &mut T> {
        self.streams.range_mut(stream.saturating_add(1)..).map(|(_, stream)| &mut stream.user)
    }

    /// Returns what is to be sent, to be taken out.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// Notes that so many bytes were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.budget.earn(bytes);
    }

    /// Returns how many streams are open.
    pub const fn open_streams(&self) -> u32 {
        self.open
    }

    /// Returns the stream of a head that has begun, and whose end has not come.
    pub fn unfinished_head(&self) -> Option<u32> {
        self.block.as_ref().map(|block| block.stream)
    }

    /// Returns whether the peer has said what it takes.
    pub const fn has_settings(&self) -> bool {
        self.peer.has_settings
    }

    /// Returns whether the peer takes no new streams, or there are no numbers left for them.
    pub const fn is_left(&self) -> bool {
        self.is_left || self.last >= STREAM_MAX
    }

    /// Returns whether the peer takes nothing more of any body for now.
    pub const fn is_full(&self) -> bool {
        self.send_window <= 0
    }

    /// Reads what the bytes begin with that have come and were not read.
    ///
    /// # Errors
    ///
    /// Fails at what ends the connection; [`Connection::go_away`] says so to the peer.
    pub fn read(&mut self, bytes: &[u8], now: Instant) -> Result<Read, Violation> {
        const PARTIAL: Read = Read { len: 0, event: None };
        if self.preface_left > 0 {
            let len = bytes.len().min(self.preface_left);
            let at = PREFACE.len() - self.preface_left;
            if bytes[..len] != PREFACE[at..at + len] {
                return Err(protocol("a preface that is none"));
            }
            self.preface_left -= len;
            return Ok(Read { len, event: None });
        }
        if self.data.is_some() {
            return Ok(self.read_data(bytes));
        }
        let Some(header) = FrameHeader::read(bytes) else { return Ok(PARTIAL) };
        let rest = &bytes[frame::FRAME_HEADER_BYTES..];
        // Before the rest of it is waited for.
        self.check(header)?;
        if header.kind == frame::DATA {
            return self.begin_data(header, rest, now);
        }
        let Some(payload) = rest.get(..header.len) else { return Ok(PARTIAL) };
        let event = match header.kind {
            frame::HEADERS => self.headers(header, payload, now)?,
            frame::CONTINUATION => self.continuation(header, payload, now)?,
            frame::RST_STREAM => self.rst_stream(header, payload, now)?,
            kind => {
                self.pay(now)?;
                match kind {
                    frame::PRIORITY => self.priority(header)?,
                    frame::SETTINGS => self.settings(header, payload, now)?,
                    frame::PING => self.ping_came(header, payload)?,
                    frame::GOAWAY => self.go_away_came(header, payload)?,
                    frame::WINDOW_UPDATE => self.window_update(header, payload)?,
                    frame::PUSH_PROMISE => return Err(protocol("a push that nobody takes")),
                    // RFC 9113, 5.5.
                    _ => None,
                }
            }
        };
        Ok(Read { len: frame::FRAME_HEADER_BYTES + header.len, event })
    }

    /// Checks what can be said of a frame before its payload is here.
    fn check(&self, header: FrameHeader) -> Result<(), Violation> {
        if header.len > frame::PAYLOAD_BYTES_MAX {
            return Err(size("a frame that is too large"));
        }
        match &self.block {
            Some(block) if header.kind != frame::CONTINUATION || header.stream != block.stream => {
                return Err(protocol("another frame within a head"));
            }
            None if header.kind == frame::CONTINUATION => {
                return Err(protocol("the rest of a head that has not begun"));
            }
            _ => {}
        }
        if !self.peer.has_settings && (header.kind != frame::SETTINGS || header.has(frame::ACK)) {
            return Err(protocol("something before the settings"));
        }
        Ok(())
    }

    /// Pays for a frame that brings nothing.
    fn pay(&mut self, now: Instant) -> Result<(), Violation> {
        if self.budget.pay_frame(now) { Ok(()) } else { Err(FLOOD) }
    }

    /// Pays for a stream that is taken back, or refused.
    fn pay_reset(&mut self, stream: u32, now: Instant) -> Result<(), Violation> {
        if self.budget.pay_reset(stream, now) { Ok(()) } else { Err(FLOOD) }
    }

    /// Returns whether a stream has never been opened.
    fn is_idle(&self, stream: u32) -> bool {
        stream > self.last || stream.is_multiple_of(2)
    }

    /// Notes that everything of a stream has come.
    fn received(&mut self, stream: u32) {
        let Some(known) = self.streams.get_mut(&stream).filter(|known| !known.is_received) else {
            return;
        };
        known.is_received = true;
        if known.is_sent {
            self.open -= 1;
        }
    }

    /// Ends a stream, if it is open.
    fn end(&mut self, stream: u32) -> bool {
        if let Some(data) = self.data.as_mut().filter(|data| data.stream == stream) {
            // Nobody takes what is still to come of its frame.
            data.is_ignored = true;
        }
        let Some(known) = self.streams.get_mut(&stream) else { return false };
        if known.is_over() {
            return false;
        }
        (known.is_received, known.is_sent) = (true, true);
        self.open -= 1;
        true
    }

    /// Ends a stream for what the peer did wrong.
    fn reset_for(
        &mut self,
        stream: u32,
        code: ErrorCode,
        flaw: &'static str,
    ) -> Option<ConnectionEvent> {
        let was_open = self.end(stream);
        self.write_reset(stream, code);
        was_open.then_some(ConnectionEvent::Reset { stream, code, flaw: Some(flaw) })
    }

    fn remember(&mut self, stream: u32) {
        if self.ended.len() >= ENDED_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(stream);
    }

    fn write_reset(&mut self, stream: u32, code: ErrorCode) {
        self.remember(stream);
        frame::write(&mut self.out, frame::RST_STREAM, 0, stream, &code.0.to_be_bytes());
    }
}

const fn protocol(detail: &'static str) -> Violation {
    Violation { code: ErrorCode::PROTOCOL_ERROR, detail }
}

const fn size(detail: &'static str) -> Violation {
    Violation { code: ErrorCode::FRAME_SIZE_ERROR, detail }
}

const fn flow(detail: &'static str) -> Violation {
    Violation { code: ErrorCode::FLOW_CONTROL_ERROR, detail }
}

const FLOOD: Violation =
    Violation { code: ErrorCode::ENHANCE_YOUR_CALM, detail: "frames that bring nothing" };

/// What a side may send before anything was granted (RFC 9113, 6.9.2).
const WINDOW: i64 = 65_535;
const WINDOW_MAX: i64 = (1 << 31) - 1;
const STREAM_MAX: u32 = (1 << 31) - 1;
/// How many streams are opened at a peer that sets no bound.
const STREAMS_MAX: u32 = 1000;
const PRIORITY_BYTES: usize = 5;
const PING_BYTES: usize = 8;
/// How many streams that we have ended are remembered.
const ENDED_MAX: usize = 256;
