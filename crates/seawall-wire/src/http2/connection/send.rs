//! What is sent: heads, bodies within the windows, and the ends of streams.

use super::super::frame::{self, ErrorCode};
use super::super::hpack::encode_table_size_zero;
use super::super::stream::Stream;
use super::{Connection, PING_BYTES, Role, STREAM_MAX};

impl<T: Default> Connection<T> {
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
        self.write_block(number, is_last, encode);
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
        self.write_block(stream, is_last, encode);
        if is_last {
            self.sent_last(stream);
        }
        true
    }

    fn write_block(&mut self, stream: u32, is_last: bool, encode: impl FnOnce(&mut Vec<u8>)) {
        let must_resize = std::mem::take(&mut self.must_resize);
        frame::write_block(&mut self.out, stream, is_last, |out| {
            if must_resize {
                encode_table_size_zero(out);
            }
            encode(out);
        });
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
        if len > 0 {
            // The peer may widen its windows for it, and measure with a PING how fast it came.
            self.budget.earn_data();
        }
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
    pub fn reset(&mut self, stream: u32, code: ErrorCode) {
        if self.end(stream) {
            self.write_reset(stream, code);
        }
    }

    /// Forgets a stream, and ends it if it has not ended.
    pub fn forget(&mut self, stream: u32, code: ErrorCode) -> Option<T> {
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
        self.write_go_away(STREAM_MAX, ErrorCode::NO_ERROR);
    }

    /// Says that no stream is looked at after those that have come.
    pub fn go_away(&mut self, code: ErrorCode) {
        let last = if self.side == Role::Server { self.last } else { 0 };
        // What was said before is not taken back (RFC 9113, 6.8).
        let last = self.goes_after.unwrap_or(last);
        self.goes_after = Some(last);
        self.write_go_away(last, code);
    }

    fn write_go_away(&mut self, last: u32, code: ErrorCode) {
        let payload = [last.to_be_bytes(), code.0.to_be_bytes()];
        frame::write(&mut self.out, frame::GOAWAY, 0, 0, payload.as_flattened());
    }
}
