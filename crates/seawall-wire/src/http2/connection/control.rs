//! Frames about streams and the connection: resets, settings, pings, goodbyes, windows.

use std::time::Instant;

use super::super::frame::{self, ErrorCode, FrameHeader};
use super::super::hpack::TABLE_BYTES_MAX;
use super::{
    Connection, ConnectionEvent, PING_BYTES, PRIORITY_BYTES, Role, STREAMS_MAX, Step, Violation,
    WINDOW_MAX, flow, protocol, size,
};

impl<T: Default> Connection<T> {
    pub(super) fn rst_stream(&mut self, header: FrameHeader, payload: &[u8], now: Instant) -> Step {
        let code = <[u8; 4]>::try_from(payload).map_err(|_| size("a reset of another size"))?;
        if self.is_idle(header.stream) {
            return Err(protocol("a reset of a stream that is not open"));
        }
        let stream = header.stream;
        let was_open = self.end(stream);
        // A stream that we have opened ends once, and may end so.
        if !was_open || self.side == Role::Server {
            self.pay_reset(stream, now)?;
        }
        let code = ErrorCode(u32::from_be_bytes(code));
        Ok(was_open.then_some(ConnectionEvent::Reset { stream, code, flaw: None }))
    }

    pub(super) fn priority(&self, header: FrameHeader) -> Step {
        match (header.stream, header.len) {
            (0, _) => Err(protocol("a priority of the connection")),
            (_, PRIORITY_BYTES) => Ok(None),
            _ => Err(size("a priority of another size")),
        }
    }

    pub(super) fn settings(&mut self, header: FrameHeader, payload: &[u8], now: Instant) -> Step {
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
            // Each may change all streams.
            self.pay(now)?;
            self.set(u16::from_be_bytes(*number), u32::from_be_bytes([*a, *b, *c, *d]))?;
        }
        if !self.peer.has_settings && self.side == Role::Client {
            // Who does not say how many is taken for one who takes many (RFC 9113, 6.5.2).
            self.peer.streams_max = self.peer.streams_max.min(STREAMS_MAX);
        }
        self.peer.has_settings = true;
        frame::write(&mut self.out, frame::SETTINGS, frame::ACK, 0, &[]);
        Ok(Some(ConnectionEvent::Settings))
    }

    fn set(&mut self, number: u16, value: u32) -> Result<(), Violation> {
        match number {
            frame::ENABLE_PUSH if value > 1 || value == 1 && self.side == Role::Client => {
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
            frame::MAX_FRAME_SIZE
                if !(frame::PAYLOAD_BYTES_MAX as u32..1 << 24).contains(&value) =>
            {
                return Err(protocol("a size of frames that cannot be"));
            }
            // A table that is smaller than at first waits to be told so (RFC 7541, 4.2).
            frame::HEADER_TABLE_SIZE if (value as usize) < TABLE_BYTES_MAX => {
                self.must_resize = true;
            }
            // The peer's limit of a head is advice.
            _ => {}
        }
        Ok(())
    }

    pub(super) fn ping_came(&mut self, header: FrameHeader, payload: &[u8]) -> Step {
        if header.stream != 0 {
            return Err(protocol("a ping of a stream"));
        }
        if payload.len() != PING_BYTES {
            return Err(size("a ping of another size"));
        }
        if header.has(frame::ACK) {
            return Ok(Some(ConnectionEvent::Pong));
        }
        frame::write(&mut self.out, frame::PING, frame::ACK, 0, payload);
        Ok(None)
    }

    pub(super) fn go_away_came(&mut self, header: FrameHeader, payload: &[u8]) -> Step {
        if header.stream != 0 {
            return Err(protocol("a goodbye of a stream"));
        }
        let (last, rest) = payload.split_first_chunk::<4>().ok_or(size("a goodbye that is cut"))?;
        let code = rest.first_chunk::<4>().ok_or(size("a goodbye that is cut"))?;
        self.is_left = true;
        let code = ErrorCode(u32::from_be_bytes(*code));
        // A client that says it has nothing more to ask for still takes its answers.
        let event = ConnectionEvent::GoAway { last: frame::u32_of(*last), code };
        Ok((self.side == Role::Client).then_some(event))
    }

    pub(super) fn window_update(&mut self, header: FrameHeader, payload: &[u8]) -> Step {
        let more = <[u8; 4]>::try_from(payload).map_err(|_| size("a window of another size"))?;
        let more = i64::from(frame::u32_of(more));
        let stream = header.stream;
        if stream == 0 {
            self.send_window += more;
            return match more {
                0 => Err(protocol("a window that is not widened")),
                _ if self.send_window > WINDOW_MAX => Err(flow("a window that is too wide")),
                _ => Ok(Some(ConnectionEvent::Window { stream })),
            };
        }
        if self.is_idle(stream) {
            return Err(protocol("a window of a stream that is not open"));
        }
        let Some(known) = self.streams.get_mut(&stream) else { return Ok(None) };
        known.send_window += more;
        if more == 0 {
            return Ok(self.reset_for(
                stream,
                ErrorCode::PROTOCOL_ERROR,
                "a window that is not widened",
            ));
        }
        if known.send_window > WINDOW_MAX {
            let flaw = "a window that is too wide";
            return Ok(self.reset_for(stream, ErrorCode::FLOW_CONTROL_ERROR, flaw));
        }
        Ok(Some(ConnectionEvent::Window { stream }))
    }
}
