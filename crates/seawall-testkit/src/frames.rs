//! Frames of HTTP/2 by hand, so that a test can send what no library would.
//!
//! Does not know: streams, flow control, compression. Header blocks are written as literals and
//! never read.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

/// What a client says first (RFC 9113, 3.4).
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The types of frames (RFC 9113, 6).
pub mod kind {
    /// A piece of a body.
    pub const DATA: u8 = 0;
    /// A head, or trailers.
    pub const HEADERS: u8 = 1;
    /// What nobody heeds any more.
    pub const PRIORITY: u8 = 2;
    /// The end of one stream.
    pub const RST_STREAM: u8 = 3;
    /// What a side can take.
    pub const SETTINGS: u8 = 4;
    /// A question whether anyone is there.
    pub const PING: u8 = 6;
    /// The end of the connection.
    pub const GOAWAY: u8 = 7;
    /// Room for more bytes.
    pub const WINDOW_UPDATE: u8 = 8;
}

/// The flag of an acknowledgement, and of the end of a stream.
pub const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Holds a frame that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream; 0 for the connection.
    pub stream: u32,
    /// What it holds.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Returns whether it ends its stream.
    pub fn ends_stream(&self) -> bool {
        matches!(self.kind, kind::DATA | kind::HEADERS) && self.flags & END_STREAM != 0
    }

    /// Returns the error code of a RST_STREAM or GOAWAY.
    pub fn code(&self) -> Option<u32> {
        let at = match self.kind {
            kind::RST_STREAM => 0,
            kind::GOAWAY => 4,
            _ => return None,
        };
        let bytes = self.payload.get(at..at + 4)?;
        Some(bytes.iter().fold(0, |code, byte| code << 8 | u32::from(*byte)))
    }
}

/// Reads one frame.
///
/// # Errors
///
/// Fails if the connection ends within it, or before.
///
/// # Cancel safety
///
/// Dropping the future loses what was read of the frame.
pub async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Frame> {
    let mut head = [0; 9];
    from.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]) & (u32::MAX >> 1);
    let mut payload = vec![0; length as usize];
    from.read_exact(&mut payload).await?;
    Ok(Frame { kind: head[3], flags: head[4], stream, payload })
}

/// Writes a frame of any type.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// Writes a head; names and values go out as they are.
pub fn headers(stream: u32, ends_stream: bool, fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal without indexing (RFC 7541, 6.2.2), neither part compressed.
        block.push(0);
        for text in [name, value] {
            string(&mut block, text.as_bytes());
        }
    }
    let flags = END_HEADERS | if ends_stream { END_STREAM } else { 0 };
    frame(kind::HEADERS, flags, stream, &block)
}

fn string(block: &mut Vec<u8>, text: &[u8]) {
    // An integer with a prefix of seven bits (RFC 7541, 5.1).
    let mut rest = match text.len().checked_sub(127) {
        None => {
            block.push(text.len() as u8);
            block.extend(text);
            return;
        }
        Some(rest) => rest,
    };
    block.push(127);
    while rest >= 128 {
        block.push((rest % 128) as u8 | 128);
        rest /= 128;
    }
    block.push(rest as u8);
    block.extend(text);
}

/// Cuts a frame with a head into one and its continuations, as large as every peer takes.
pub fn continued(frame: &[u8]) -> Vec<u8> {
    let (head, block) = frame.split_at(9.min(frame.len()));
    let stream = head.get(5..9).map_or(0, |id| u32::from_be_bytes([id[0], id[1], id[2], id[3]]));
    let pieces = block.chunks(FRAME_BYTES_MAX);
    let last = pieces.len().saturating_sub(1);
    let each = pieces.enumerate().flat_map(|(place, piece)| {
        let kind = if place == 0 { kind::HEADERS } else { CONTINUATION };
        let mut flags = if place == 0 { head[4] & END_STREAM } else { 0 };
        if place == last {
            flags |= END_HEADERS;
        }
        self::frame(kind, flags, stream, piece)
    });
    each.collect()
}

const CONTINUATION: u8 = 9;
const FRAME_BYTES_MAX: usize = 16 * 1024;

/// Writes the head of a request.
pub fn request(
    stream: u32,
    ends_stream: bool,
    method: &str,
    path: &str,
    more: &[(&str, &str)],
) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "http"), (":authority", "h"), (":path", path)];
    headers(stream, ends_stream, &[&pseudo, more].concat())
}

/// Writes a piece of a body.
pub fn data(stream: u32, ends_stream: bool, bytes: &[u8]) -> Vec<u8> {
    frame(kind::DATA, if ends_stream { END_STREAM } else { 0 }, stream, bytes)
}

/// Writes the end of one stream.
pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// Writes settings, each a number and its value.
pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let each = values
        .iter()
        .flat_map(|(number, value)| number.to_be_bytes().into_iter().chain(value.to_be_bytes()));
    frame(kind::SETTINGS, 0, 0, &each.collect::<Vec<_>>())
}

/// Writes the end of a connection that has looked at streams up to `last`.
pub fn go_away(last: u32, code: u32) -> Vec<u8> {
    frame(kind::GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}
