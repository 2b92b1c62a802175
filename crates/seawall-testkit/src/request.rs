//! A request as a scripted upstream saw it: the bytes, and the few words read from them.
//!
//! Does not judge: what is unclear is kept as it came.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Holds one request that a scripted upstream saw.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The head as it came, with its last empty line.
    pub head: String,
    /// The body, without its chunk lines.
    pub body: Bytes,
    /// The number of the connection it came on, from 1.
    pub connection: u64,
}

impl Seen {
    /// Returns the method.
    pub fn method(&self) -> &str {
        self.word(0)
    }

    /// Returns the target: path and query.
    pub fn target(&self) -> &str {
        self.word(1)
    }

    /// Returns the values of a header, in their order.
    pub fn header_values(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
            .collect()
    }

    /// Returns the first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_values(name).first().copied()
    }

    fn word(&self, place: usize) -> &str {
        self.head.lines().next().and_then(|line| line.split(' ').nth(place)).unwrap_or("")
    }
}

/// Reads one request; `None` if the connection ends before its first byte.
pub(crate) async fn read(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    reads_body: bool,
) -> io::Result<Option<Seen>> {
    let Some(end) = read_until(reader, buffer, b"\r\n\r\n").await? else {
        return if buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
    };
    let head = String::from_utf8_lossy(&buffer.split_to(end)).into_owned();
    let mut seen = Seen { head, ..Seen::default() };
    if !reads_body {
        return Ok(Some(seen));
    }
    if seen.header("transfer-encoding").is_some() {
        seen.body = read_chunks(reader, buffer).await?;
    } else if let Some(length) = seen.header("content-length").and_then(|text| text.parse().ok()) {
        seen.body = read_exactly(reader, buffer, length).await?;
    }
    Ok(Some(seen))
}

async fn read_chunks(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
) -> io::Result<Bytes> {
    let mut body = BytesMut::new();
    loop {
        let line = read_until(reader, buffer, b"\r\n").await?;
        let line = buffer.split_to(line.ok_or(io::ErrorKind::UnexpectedEof)?);
        let text = std::str::from_utf8(&line).map_err(io::Error::other)?;
        let size = usize::from_str_radix(text.trim(), 16).map_err(io::Error::other)?;
        if size == 0 {
            // Trailers are read up to the empty line and forgotten.
            loop {
                let end = read_until(reader, buffer, b"\r\n").await?;
                let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
                buffer.advance(end);
                if end == 2 {
                    return Ok(body.freeze());
                }
            }
        }
        body.extend_from_slice(&read_exactly(reader, buffer, size).await?);
        if body.len() > BODY_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        read_exactly(reader, buffer, 2).await?;
    }
}

async fn read_exactly(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    length: usize,
) -> io::Result<Bytes> {
    if length > BODY_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    while buffer.len() < length {
        if reader.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(buffer.split_to(length).freeze())
}

/// Reads until `mark` is in the buffer; returns where it ends, or `None` at the end of the stream.
async fn read_until(
    reader: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    mark: &[u8],
) -> io::Result<Option<usize>> {
    loop {
        if let Some(place) = buffer.windows(mark.len()).position(|window| window == mark) {
            return Ok(Some(place + mark.len()));
        }
        if buffer.len() > HEAD_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if reader.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
}

const HEAD_BYTES_MAX: usize = 1024 * 1024;
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
