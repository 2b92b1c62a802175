//! Bodies that come, frame by frame, and how much more may come (RFC 9113, 5.2 and 6.1).

use std::time::Instant;

use super::super::frame::{self, ErrorCode, FrameHeader};
use super::{Connection, ConnectionEvent, Data, Read, Violation, flow, protocol, size};

impl<T: Default> Connection<T> {
    pub(super) fn begin_data(
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
                        Some((ErrorCode::FLOW_CONTROL_ERROR, "more of a body than was granted"))
                    }
                    _ if !known.has_head => {
                        Some((ErrorCode::PROTOCOL_ERROR, "a body before its head"))
                    }
                    Some(None) => Some((ErrorCode::PROTOCOL_ERROR, "a body longer than it said")),
                    Some(Some(1..)) if is_last => {
                        Some((ErrorCode::PROTOCOL_ERROR, "a body shorter than it said"))
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
                self.pay_reset(stream, now)?;
                Some((ErrorCode::STREAM_CLOSED, "a body after its end"))
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
        if body == 0 && padding == 0 {
            // There is nothing more to come of it.
            let read = self.read_data(&[]);
            return Ok(Read { len: taken, event: event.or(read.event) });
        }
        Ok(Read { len: taken, event })
    }

    /// Reads what is here of a body's frame.
    pub(super) fn read_data(&mut self, bytes: &[u8]) -> Read {
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
            event = Some(ConnectionEvent::Data { stream, at: 0..len, is_last });
        }
        Read { len: len + padding, event }
    }
}
