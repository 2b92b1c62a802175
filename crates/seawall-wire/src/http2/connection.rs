//! One connection, as a machine: frames in, frames out, and what has happened to its streams.
//!
//! Does not know sockets, and is told the time. What came of a body is the caller's at once; it says
//! later how much of it was taken, and only then may the peer send as much again. Invariants: what
//! the peer makes us keep is bounded by the limits, and what it can make us do for nothing by its
//! [`FrameBudget`].

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Instant;

use thiserror::Error;

use super::budget::FrameBudget;
use super::frame::{self, Code, FrameHeader, PREFACE};
use super::head::{Head, HeadReader, Kind};
use super::hpack::Decoder;
use super::stream::Stream;

/// Which side of a connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// We are asked.
    Server,
    /// We ask.
    Client,
}

/// What a peer may send.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
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
    pub event: Option<Event>,
}

/// What has happened on a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A head has come.
    Head {
        /// The stream that it opens, or is the answer on.
        stream: u32,
        /// What it says.
        head: Head,
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
        code: Code,
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
        code: Code,
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
    pub code: Code,
    /// What exactly, as a lower case fragment.
    pub detail: &'static str,
}

/// A connection.
#[derive(Debug)]
pub struct Connection<T> {
    side: Side,
    limits: Limits,
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

type Step = Result<Option<Event>, Violation>;

impl<T: Default> Connection<T> {
    /// Begins a connection, and with it what is to be sent first.
    pub fn new(side: Side, limits: Limits, now: Instant) -> Self {
        let mut out = Vec::new();
        let head_list = u32::try_from(limits.head_bytes_max.saturating_mul(2)).unwrap_or(u32::MAX);
        let (stream_window, list) =
            (limits.stream_window, (frame::MAX_HEADER_LIST_SIZE, head_list));
        let window = (frame::INITIAL_WINDOW_SIZE, stream_window);
        match side {
            Side::Server => {
                let streams = (frame::MAX_CONCURRENT_STREAMS, limits.streams_max);
                frame::write_settings(&mut out, &[streams, window, list]);
            }
            Side::Client => {
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
            peer: Peer {
                has_settings: false,
                stream_window: WINDOW,
                streams_max: u32::MAX,
            },
            out,
            preface_left: if side == Side::Server { PREFACE.len() } else { 0 },
            block: None,
            data: None,
            goes_after: None,
            is_left: false,
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

    /// Returns whether a head has begun, and its end has not come.
    pub const fn is_in_head(&self) -> bool {
        self.block.is_some()
    }

    /// Returns whether the peer has said what it takes.
    pub const fn has_settings(&self) -> bool {
        self.peer.has_settings
    }

    /// Returns whether the peer takes no new streams, or there are no numbers left for them.
    pub const fn is_left(&self) -> bool {
        self.is_left || self.last >= STREAM_MAX
    }

    /// Returns how many streams the peer takes at once.
    pub const fn streams_max(&self) -> u32 {
        self.peer.streams_max
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
                    frame::SETTINGS => self.settings(header, payload)?,
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

    /// Returns whether a stream has never been opened.
    fn is_idle(&self, stream: u32) -> bool {
        stream > self.last || stream.is_multiple_of(2)
    }

    fn begin_data(
        &mut self,
        header: FrameHeader,
        rest: &[u8],
        now: Instant,
    ) -> Result<Read, Violation> {
        let FrameHeader { len, stream, .. } = header;
        if self.is_idle(stream) {
            return Err(protocol("a body on a stream that is not open"));
        }
        let mut taken = frame::FRAME_HEADER_BYTES;
        let mut padding = 0;
        if header.has(frame::PADDED) {
            if len == 0 {
                return Err(size("padding that is not there"));
            }
            let Some(&said) = rest.first() else { return Ok(Read { len: 0, event: None }) };
            (padding, taken) = (usize::from(said), taken + 1);
            if padding >= len {
                return Err(protocol("more padding than there is"));
            }
        }
        let body = len + frame::FRAME_HEADER_BYTES - taken - padding;
        let is_last = header.has(frame::END_STREAM);
        if body == 0 && !is_last {
            self.pay(now)?;
        }
        self.receive_window -= len as i64;
        if self.receive_window < 0 {
            return Err(flow("more of bodies than was granted"));
        }
        let flaw = match self.streams.get_mut(&stream) {
            Some(known) if !known.is_received => {
                known.receive_window -= len as i64;
                let left = known.length.map(|length| length.checked_sub(body as u64));
                match left {
                    _ if known.receive_window < 0 => {
                        Some((Code::FLOW_CONTROL_ERROR, "more of a body than was granted"))
                    }
                    _ if !known.has_head => Some((Code::PROTOCOL_ERROR, "a body before its head")),
                    Some(None) => Some((Code::PROTOCOL_ERROR, "a body longer than it said")),
                    Some(Some(1..)) if is_last => {
                        Some((Code::PROTOCOL_ERROR, "a body shorter than it said"))
                    }
                    left => {
                        known.length = left.flatten();
                        self.budget.earn(body);
                        None
                    }
                }
            }
            // What was under way when we ended the stream.
            _ if self.ended.contains(&stream) => None,
            _ => {
                if !self.budget.pay_reset(stream, now) {
                    return Err(FLOOD);
                }
                Some((Code::STREAM_CLOSED, "a body after its end"))
            }
        };
        let is_open = self.streams.get(&stream).is_some_and(|known| !known.is_received);
        let event = flaw.and_then(|(code, flaw)| self.reset_for(stream, code, flaw));
        let is_ignored = !is_open || flaw.is_some();
        // What is no body is taken by nobody else: the byte that says the padding, and the padding.
        self.take_on_connection(len - body);
        if let Some(known) = self.streams.get_mut(&stream) {
            known.taken += (len - body) as i64;
        }
        self.data = Some(Data { stream, left: body, padding, is_last, is_ignored });
        if event.is_none() && body == 0 && padding == 0 {
            let read = self.read_data(&[]);
            return Ok(Read { len: taken, ..read });
        }
        Ok(Read { len: taken, event })
    }

    /// Reads what is here of a body's frame.
    fn read_data(&mut self, bytes: &[u8]) -> Read {
        let Some(data) = &mut self.data else { return Read { len: 0, event: None } };
        let len = data.left.min(bytes.len());
        data.left -= len;
        let is_over = data.left == 0;
        // The end is said with the body's last byte, whatever padding follows.
        let is_last = is_over && std::mem::take(&mut data.is_last);
        let padding = if is_over { data.padding.min(bytes.len() - len) } else { 0 };
        data.padding -= padding;
        let (stream, is_ignored) = (data.stream, data.is_ignored);
        if is_over && data.padding == 0 {
            self.data = None;
        }
        let mut event = None;
        if is_ignored {
            self.take_on_connection(len);
        } else if len > 0 || is_last {
            if is_last {
                self.received(stream);
            }
            event = Some(Event::Data { stream, at: 0..len, is_last });
        }
        Read { len: len + padding, event }
    }

    fn headers(&mut self, header: FrameHeader, payload: &[u8], now: Instant) -> Step {
        let mut block = payload;
        if header.has(frame::PADDED) {
            let (padding, rest) = block.split_first().ok_or(size("padding that is not there"))?;
            let len = rest.len().checked_sub(usize::from(*padding));
            block = &rest[..len.ok_or(protocol("more padding than there is"))?];
        }
        if header.has(frame::HAS_PRIORITY) {
            // Nobody heeds it any more (RFC 9113, 5.3.2).
            block = block.get(PRIORITY_BYTES..).ok_or(size("a priority that is cut"))?;
        }
        let is_last = header.has(frame::END_STREAM);
        if header.stream == 0 || self.side == Side::Client && self.is_idle(header.stream) {
            return Err(protocol("a head on a stream that cannot be"));
        }
        if header.has(frame::END_HEADERS) {
            return self.head(header.stream, is_last, block, now);
        }
        self.block = Some(Block { stream: header.stream, is_last, bytes: block.to_vec() });
        Ok(None)
    }

    fn continuation(&mut self, header: FrameHeader, payload: &[u8], now: Instant) -> Step {
        // Each costs, since a head can be cut into as many as there are bytes, and more.
        self.pay(now)?;
        let Some(mut block) = self.block.take() else { return Ok(None) };
        block.bytes.extend_from_slice(payload);
        if block.bytes.len() > self.block_bytes_max() {
            return Err(Violation {
                code: Code::ENHANCE_YOUR_CALM,
                detail: "a head far above its limit",
            });
        }
        if header.has(frame::END_HEADERS) {
            return self.head(block.stream, block.is_last, &block.bytes, now);
        }
        self.block = Some(block);
        Ok(None)
    }

    /// Returns how large a block may be: what is too large for a head is decoded all the same, so
    /// that the connection can go on, and what is far too large is not.
    fn block_bytes_max(&self) -> usize {
        self.limits.head_bytes_max.saturating_mul(4).max(4 * frame::PAYLOAD_BYTES_MAX)
    }

    /// Reads a whole header block.
    fn head(&mut self, stream: u32, is_last: bool, block: &[u8], now: Instant) -> Step {
        let known = self.streams.get(&stream);
        let kind = match (self.side, known) {
            (_, Some(known)) if known.has_head => Kind::Trailers,
            (Side::Client, _) => Kind::Response,
            (Side::Server, _) => Kind::Request,
        };
        let mut reader = HeadReader::new(kind, self.limits.head_bytes_max, self.limits.fields_max);
        let decoded = self.decoder.decode(block, |field| reader.take(field));
        decoded.map_err(|error| Violation { code: Code::COMPRESSION_ERROR, detail: error.0 })?;
        match known {
            Some(known) if !known.is_received => {
                self.budget.earn_head(0);
                self.head_on(stream, is_last, reader, kind)
            }
            None if self.side == Side::Server && self.is_new(stream)? => {
                self.request(stream, is_last, reader, now)
            }
            Some(known) if !known.is_sent => {
                self.pay(now)?;
                Ok(self.reset_for(stream, Code::STREAM_CLOSED, "a head after its end"))
            }
            // What was under way when we ended the stream.
            _ if self.side == Side::Client || self.ended.contains(&stream) => {
                self.pay(now)?;
                Ok(None)
            }
            _ => Err(Violation { code: Code::STREAM_CLOSED, detail: "a head after its end" }),
        }
    }

    /// Returns whether a client opens a stream with this number.
    fn is_new(&self, stream: u32) -> Result<bool, Violation> {
        if stream.is_multiple_of(2) {
            return Err(protocol("a stream with an even number"));
        }
        Ok(stream > self.last)
    }

    /// Takes a request in.
    fn request(&mut self, stream: u32, is_last: bool, reader: HeadReader, now: Instant) -> Step {
        self.last = stream;
        if self.goes_after.is_some_and(|last| stream > last) {
            // It was told that nobody looks at it.
            self.remember(stream);
            return Ok(None);
        }
        self.budget.earn_head(stream);
        let length = reader.length;
        let (code, flaw) = match reader.finish() {
            _ if self.open >= self.limits.streams_max => {
                (Code::REFUSED_STREAM, "more streams than are taken")
            }
            Ok(_) if is_last && length.is_some_and(|length| length > 0) => {
                (Code::PROTOCOL_ERROR, "a body shorter than it said")
            }
            Ok(head) => {
                let window = i64::from(self.limits.stream_window);
                let mut known = Stream::new(T::default(), self.peer.stream_window, window);
                (known.has_head, known.length, known.is_received) = (true, length, is_last);
                self.streams.insert(stream, known);
                self.open += 1;
                return Ok(Some(Event::Head { stream, head, is_last }));
            }
            Err(flaw) => (Code::PROTOCOL_ERROR, flaw),
        };
        if !self.budget.pay_reset(stream, now) {
            return Err(FLOOD);
        }
        self.write_reset(stream, code);
        Ok(Some(Event::Refused { flaw }))
    }

    /// Takes in the head of an answer, or trailers.
    fn head_on(&mut self, stream: u32, is_last: bool, reader: HeadReader, kind: Kind) -> Step {
        let Some(known) = self.streams.get_mut(&stream) else { return Ok(None) };
        let length = reader.length;
        let flaw = match (reader.finish(), kind) {
            (Err(flaw), _) => flaw,
            (Ok(_), Kind::Trailers) if !is_last => "trailers that are not the end",
            (Ok(_), Kind::Trailers) if known.length.is_some_and(|length| length > 0) => {
                "a body shorter than it said"
            }
            (Ok(head @ Head::Response { status: 100..200, .. }), _) => {
                known.interim = known.interim.saturating_add(1);
                if !is_last && known.interim <= self.limits.interim_max {
                    return Ok(Some(Event::Head { stream, head, is_last }));
                }
                "an interim answer that is the last, or one too many"
            }
            (Ok(head), _) => {
                if kind == Kind::Response {
                    known.has_head = true;
                    let has_body = !known.is_head
                        && !matches!(head, Head::Response { status: 204 | 304, .. });
                    known.length = length.filter(|_| has_body);
                }
                if !is_last || known.length.is_none_or(|length| length == 0) {
                    if is_last {
                        self.received(stream);
                    }
                    return Ok(Some(Event::Head { stream, head, is_last }));
                }
                "a body shorter than it said"
            }
        };
        Ok(self.reset_for(stream, Code::PROTOCOL_ERROR, flaw))
    }

    fn rst_stream(&mut self, header: FrameHeader, payload: &[u8], now: Instant) -> Step {
        let code = <[u8; 4]>::try_from(payload).map_err(|_| size("a reset of another size"))?;
        if self.is_idle(header.stream) {
            return Err(protocol("a reset of a stream that is not open"));
        }
        if !self.budget.pay_reset(header.stream, now) {
            return Err(FLOOD);
        }
        let code = Code(u32::from_be_bytes(code));
        Ok(self.end(header.stream).then_some(Event::Reset {
            stream: header.stream,
            code,
            flaw: None,
        }))
    }

    fn priority(&self, header: FrameHeader) -> Step {
        match (header.stream, header.len) {
            (0, _) => Err(protocol("a priority of the connection")),
            (_, PRIORITY_BYTES) => Ok(None),
            _ => Err(size("a priority of another size")),
        }
    }

    fn settings(&mut self, header: FrameHeader, payload: &[u8]) -> Step {
        if header.stream != 0 {
            return Err(protocol("settings of a stream"));
        }
        let (settings, rest) = payload.as_chunks::<{ frame::SETTING_BYTES }>();
        if !rest.is_empty() || header.has(frame::ACK) && !payload.is_empty() {
            return Err(size("settings of another size"));
        }
        if header.has(frame::ACK) {
            return Ok(None);
        }
        for [number @ .., a, b, c, d] in settings {
            self.set(u16::from_be_bytes(*number), u32::from_be_bytes([*a, *b, *c, *d]))?;
        }
        if !self.peer.has_settings && self.side == Side::Client {
            // Who does not say how many is taken for one who takes many (RFC 9113, 6.5.2).
            self.peer.streams_max = self.peer.streams_max.min(STREAMS_MAX);
        }
        self.peer.has_settings = true;
        frame::write(&mut self.out, frame::SETTINGS, frame::ACK, 0, &[]);
        Ok(Some(Event::Settings))
    }

    fn set(&mut self, number: u16, value: u32) -> Result<(), Violation> {
        match number {
            frame::ENABLE_PUSH if value > 1 || value == 1 && self.side == Side::Client => {
                return Err(protocol("a setting for pushes that cannot be"));
            }
            frame::MAX_CONCURRENT_STREAMS => self.peer.streams_max = value,
            frame::INITIAL_WINDOW_SIZE => {
                let window = i64::from(value);
                let more = window - self.peer.stream_window;
                self.peer.stream_window = window;
                // A window may go below zero (RFC 9113, 6.9.2).
                let windows = self.streams.values_mut().map(|stream| &mut stream.send_window);
                let mut widest = window;
                for window in windows {
                    *window += more;
                    widest = widest.max(*window);
                }
                if widest > WINDOW_MAX {
                    return Err(flow("a window that is too wide"));
                }
            }
            frame::MAX_FRAME_SIZE => {
                if !(frame::PAYLOAD_BYTES_MAX as u32..1 << 24).contains(&value) {
                    return Err(protocol("a size of frames that cannot be"));
                }
            }
            // Nothing is put into the peer's table, and its other limits are advice.
            frame::HEADER_TABLE_SIZE | frame::MAX_HEADER_LIST_SIZE | _ => {}
        }
        Ok(())
    }

    fn ping_came(&mut self, header: FrameHeader, payload: &[u8]) -> Step {
        if header.stream != 0 {
            return Err(protocol("a ping of a stream"));
        }
        if payload.len() != PING_BYTES {
            return Err(size("a ping of another size"));
        }
        if header.has(frame::ACK) {
            return Ok(Some(Event::Pong));
        }
        frame::write(&mut self.out, frame::PING, frame::ACK, 0, payload);
        Ok(None)
    }

    fn go_away_came(&mut self, header: FrameHeader, payload: &[u8]) -> Step {
        if header.stream != 0 {
            return Err(protocol("a goodbye of a stream"));
        }
        let (last, rest) = payload.split_first_chunk::<4>().ok_or(size("a goodbye that is cut"))?;
        let code = rest.first_chunk::<4>().ok_or(size("a goodbye that is cut"))?;
        self.is_left = true;
        let code = Code(u32::from_be_bytes(*code));
        Ok(Some(Event::GoAway { last: frame::u32_of(*last), code }))
    }

    fn window_update(&mut self, header: FrameHeader, payload: &[u8]) -> Step {
        let more = <[u8; 4]>::try_from(payload).map_err(|_| size("a window of another size"))?;
        let more = i64::from(frame::u32_of(more));
        let stream = header.stream;
        if stream == 0 {
            self.send_window += more;
            return match more {
                0 => Err(protocol("a window that is not widened")),
                _ if self.send_window > WINDOW_MAX => Err(flow("a window that is too wide")),
                _ => Ok(Some(Event::Window { stream })),
            };
        }
        if self.is_idle(stream) {
            return Err(protocol("a window of a stream that is not open"));
        }
        let Some(known) = self.streams.get_mut(&stream) else { return Ok(None) };
        known.send_window += more;
        if more == 0 {
            return Ok(self.reset_for(stream, Code::PROTOCOL_ERROR, "a window that is not widened"));
        }
        if known.send_window > WINDOW_MAX {
            let flaw = "a window that is too wide";
            return Ok(self.reset_for(stream, Code::FLOW_CONTROL_ERROR, flaw));
        }
        Ok(Some(Event::Window { stream }))
    }

    /// Notes that everything of a stream has come.
    fn received(&mut self, stream: u32) {
        let Some(known) = self.streams.get_mut(&stream) else { return };
        known.is_received = true;
        if known.is_sent {
            self.open -= 1;
        }
    }

    /// Ends a stream, if it is open.
    fn end(&mut self, stream: u32) -> bool {
        let Some(known) = self.streams.get_mut(&stream) else { return false };
        if known.is_over() {
            return false;
        }
        (known.is_received, known.is_sent) = (true, true);
        self.open -= 1;
        true
    }

    /// Ends a stream for what the peer did wrong.
    fn reset_for(&mut self, stream: u32, code: Code, flaw: &'static str) -> Option<Event> {
        let was_open = self.end(stream);
        self.write_reset(stream, code);
        was_open.then_some(Event::Reset { stream, code, flaw: Some(flaw) })
    }

    fn remember(&mut self, stream: u32) {
        if self.ended.len() >= ENDED_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(stream);
    }

    fn write_reset(&mut self, stream: u32, code: Code) {
        self.remember(stream);
        frame::write(&mut self.out, frame::RST_STREAM, 0, stream, &code.0.to_be_bytes());
    }

    /// Opens a stream with a head, as a client. `is_head` is whether the answer has no body.
    ///
    /// Returns nothing if there can be no other stream now.
    pub fn open(
        &mut self,
        is_last: bool,
        is_head: bool,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Option<u32> {
        let has_room = self.open < self.peer.streams_max
            // Until the peer has said how many it takes.
            && (self.peer.has_settings || self.open == 0);
        if !has_room || self.is_left() || self.goes_after.is_some() {
            return None;
        }
        let number = if self.last == 0 { 1 } else { self.last + 2 };
        self.last = number;
        let window = i64::from(self.limits.stream_window);
        let mut stream = Stream::new(T::default(), self.peer.stream_window, window);
        (stream.is_sent, stream.is_head) = (is_last, is_head);
        self.streams.insert(number, stream);
        self.open += 1;
        frame::write_block(&mut self.out, number, is_last, encode);
        Some(number)
    }

    /// Sends a head, or trailers; returns whether the stream still takes them.
    pub fn send_head(
        &mut self,
        stream: u32,
        is_last: bool,
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        if self.streams.get(&stream).is_none_or(|known| known.is_sent) {
            return false;
        }
        frame::write_block(&mut self.out, stream, is_last, encode);
        if is_last {
            self.sent_last(stream);
        }
        true
    }

    /// Sends as much of a piece as the windows and `room` allow; returns how many bytes that is.
    /// `is_last` is whether the piece is the end, which is sent with its last byte.
    pub fn send_data(&mut self, stream: u32, piece: &[u8], is_last: bool, room: usize) -> usize {
        let Some(known) = self.streams.get_mut(&stream).filter(|known| !known.is_sent) else {
            return 0;
        };
        let window = known.send_window.min(self.send_window).max(0);
        let len = piece.len().min(usize::try_from(window).unwrap_or(usize::MAX)).min(room);
        known.send_window -= len as i64;
        self.send_window -= len as i64;
        let ends = is_last && len == piece.len();
        let mut rest = &piece[..len];
        while rest.len() > frame::PAYLOAD_BYTES_MAX {
            let (payload, more) = rest.split_at(frame::PAYLOAD_BYTES_MAX);
            frame::write(&mut self.out, frame::DATA, 0, stream, payload);
            rest = more;
        }
        if !rest.is_empty() || ends {
            let flags = if ends { frame::END_STREAM } else { 0 };
            frame::write(&mut self.out, frame::DATA, flags, stream, rest);
        }
        if ends {
            self.sent_last(stream);
        }
        len
    }

    fn sent_last(&mut self, stream: u32) {
        let Some(known) = self.streams.get_mut(&stream) else { return };
        known.is_sent = true;
        if known.is_received {
            self.open -= 1;
        }
    }

    /// Returns whether everything was sent that belongs to a stream, or can be.
    pub fn is_sent(&self, stream: u32) -> bool {
        self.streams.get(&stream).is_none_or(|known| known.is_sent)
    }

    /// Notes that so many bytes of a stream's body were taken: the peer may send as many again.
    pub fn take(&mut self, stream: u32, bytes: usize) {
        self.take_on_connection(bytes);
        let Some(known) = self.streams.get_mut(&stream) else { return };
        known.taken += bytes as i64;
        if !known.is_received && known.taken * 2 >= i64::from(self.limits.stream_window) {
            known.receive_window += known.taken;
            let more = std::mem::take(&mut known.taken) as u32;
            frame::write(&mut self.out, frame::WINDOW_UPDATE, 0, stream, &more.to_be_bytes());
        }
    }

    /// Notes that so many bytes were taken that nobody wants the likes of.
    pub fn take_on_connection(&mut self, bytes: usize) {
        self.taken += bytes as i64;
        if self.taken * 2 >= i64::from(self.limits.connection_window) {
            self.receive_window += self.taken;
            let more = std::mem::take(&mut self.taken) as u32;
            frame::write(&mut self.out, frame::WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
        }
    }

    /// Ends a stream before its end, if it has not ended.
    pub fn reset(&mut self, stream: u32, code: Code) {
        if self.end(stream) {
            self.write_reset(stream, code);
        }
    }

    /// Forgets a stream, and ends it if it has not ended.
    pub fn forget(&mut self, stream: u32, code: Code) -> Option<T> {
        self.reset(stream, code);
        self.streams.remove(&stream).map(|stream| stream.user)
    }

    /// Asks whether the peer is there.
    pub fn ping(&mut self) {
        frame::write(&mut self.out, frame::PING, 0, 0, &[0; PING_BYTES]);
    }

    /// Says that there will be an end, so that no more streams are opened; what is under way is
    /// still looked at.
    pub fn announce_end(&mut self) {
        self.write_go_away(STREAM_MAX, Code::NO_ERROR);
    }

    /// Says that no stream is looked at after those that have come.
    pub fn go_away(&mut self, code: Code) {
        let last = if self.side == Side::Server { self.last } else { 0 };
        self.goes_after = Some(last);
        self.write_go_away(last, code);
    }

    fn write_go_away(&mut self, last: u32, code: Code) {
        let payload = [last.to_be_bytes(), code.0.to_be_bytes()];
        frame::write(&mut self.out, frame::GOAWAY, 0, 0, payload.as_flattened());
    }
}

const fn protocol(detail: &'static str) -> Violation {
    Violation { code: Code::PROTOCOL_ERROR, detail }
}

const fn size(detail: &'static str) -> Violation {
    Violation { code: Code::FRAME_SIZE_ERROR, detail }
}

const fn flow(detail: &'static str) -> Violation {
    Violation { code: Code::FLOW_CONTROL_ERROR, detail }
}

const FLOOD: Violation =
    Violation { code: Code::ENHANCE_YOUR_CALM, detail: "frames that bring nothing" };

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
