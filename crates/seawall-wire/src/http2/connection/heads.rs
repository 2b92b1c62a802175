//! Heads that come: requests, answers and trailers (RFC 9113, 6.2 and 6.10).

use std::time::Instant;

use crate::Fields;

use super::super::frame::{self, ErrorCode, FrameHeader};
use super::super::head::{FieldBlock, HeadReader, Kind};
use super::super::stream::Stream;
use super::{
    Block, Connection, ConnectionEvent, PRIORITY_BYTES, Role, Step, Violation, protocol, size,
};

impl<T: Default> Connection<T> {
    pub(super) fn headers(&mut self, header: FrameHeader, payload: &[u8], now: Instant) -> Step {
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
        if header.stream == 0 || self.side == Role::Client && self.is_idle(header.stream) {
            return Err(protocol("a head on a stream that cannot be"));
        }
        if header.has(frame::END_HEADERS) {
            return self.head(header.stream, is_last, block, now);
        }
        self.block = Some(Block { stream: header.stream, is_last, bytes: block.to_vec() });
        Ok(None)
    }

    pub(super) fn continuation(
        &mut self,
        header: FrameHeader,
        payload: &[u8],
        now: Instant,
    ) -> Step {
        // Each costs, since a head can be cut into as many as there are bytes, and more.
        self.pay(now)?;
        let Some(mut block) = self.block.take() else { return Ok(None) };
        block.bytes.extend_from_slice(payload);
        if block.bytes.len() > self.block_bytes_max() {
            return Err(Violation {
                code: ErrorCode::ENHANCE_YOUR_CALM,
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
            (Role::Client, _) => Kind::Response,
            (Role::Server, _) => Kind::Request,
        };
        let mut reader = HeadReader::new(kind, self.limits.head_bytes_max, self.limits.fields_max);
        let decoded = self.decoder.decode(block, |field| reader.take(field));
        decoded
            .map_err(|error| Violation { code: ErrorCode::COMPRESSION_ERROR, detail: error.0 })?;
        match known {
            Some(known) if !known.is_received => {
                self.budget.earn_head(0);
                self.head_on(stream, is_last, reader, kind)
            }
            None if self.side == Role::Server && self.is_new(stream)? => {
                self.request(stream, is_last, reader, now)
            }
            Some(known) if !known.is_sent => {
                self.pay(now)?;
                Ok(self.reset_for(stream, ErrorCode::STREAM_CLOSED, "a head after its end"))
            }
            // What was under way when we ended the stream.
            _ if self.side == Role::Client || self.ended.contains(&stream) => {
                self.pay(now)?;
                Ok(None)
            }
            _ => Err(Violation { code: ErrorCode::STREAM_CLOSED, detail: "a head after its end" }),
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
            return self.pay(now).map(|()| None);
        }
        self.budget.earn_head(stream);
        let length = reader.length;
        let (code, flaw) = match reader.finish() {
            _ if self.open >= self.limits.streams_max => {
                (ErrorCode::REFUSED_STREAM, "more streams than are taken")
            }
            Ok(_) if is_last && length.is_some_and(|length| length > 0) => {
                (ErrorCode::PROTOCOL_ERROR, "a body shorter than it said")
            }
            Ok(head) => {
                let window = i64::from(self.limits.stream_window);
                let mut known = Stream::new(T::default(), self.peer.stream_window, window);
                (known.has_head, known.length, known.is_received) = (true, length, is_last);
                self.streams.insert(stream, known);
                self.open += 1;
                return Ok(Some(ConnectionEvent::Head { stream, head, is_last }));
            }
            Err(flaw) => (ErrorCode::PROTOCOL_ERROR, flaw),
        };
        self.pay_reset(stream, now)?;
        self.write_reset(stream, code);
        Ok((code == ErrorCode::PROTOCOL_ERROR).then_some(ConnectionEvent::Refused { flaw }))
    }

    /// Takes in the head of an answer, or trailers.
    fn head_on(&mut self, stream: u32, is_last: bool, reader: HeadReader, kind: Kind) -> Step {
        let Some(known) = self.streams.get_mut(&stream) else { return Ok(None) };
        let (length, is_cut) = (reader.length, reader.is_cut());
        let flaw = match (reader.finish(), kind) {
            (Err(flaw), _) => flaw,
            (Ok(_), Kind::Trailers) if is_cut && self.side == Role::Server => {
                "trailers that are too large"
            }
            (Ok(_), Kind::Trailers) if !is_last => "trailers that are not the end",
            (Ok(_), Kind::Trailers) if known.length.is_some_and(|length| length > 0) => {
                "a body shorter than it said"
            }
            (Ok(head @ FieldBlock::Response { status: 100..200, .. }), _) => {
                known.interim = known.interim.saturating_add(1);
                if !is_last && known.interim <= self.limits.interim_max {
                    return Ok(Some(ConnectionEvent::Head { stream, head, is_last }));
                }
                "an interim answer that is the last, or one too many"
            }
            (Ok(mut head), _) => {
                if is_cut && kind == Kind::Trailers {
                    // The answer is whole without them (RFC 9110, 6.5.1), and half of them would lie.
                    head = FieldBlock::Trailers(Fields::default());
                }
                if kind == Kind::Response {
                    known.has_head = true;
                    let has_body = !known.is_head
                        && !matches!(head, FieldBlock::Response { status: 204 | 304, .. });
                    known.length = length.filter(|_| has_body);
                }
                if !is_last || known.length.is_none_or(|length| length == 0) {
                    if is_last {
                        self.received(stream);
                    }
                    return Ok(Some(ConnectionEvent::Head { stream, head, is_last }));
                }
                "a body shorter than it said"
            }
        };
        Ok(self.reset_for(stream, ErrorCode::PROTOCOL_ERROR, flaw))
    }
}
