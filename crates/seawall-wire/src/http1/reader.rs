//! The machine that reads a connection from head to body to head.
//!
//! Does not know a socket or a clock. The invariant: every piece is a whole head, or belongs to a
//! body whose framing can be read in one way only.

use super::head::{BodyLength, Framing, MessageHead};
use super::line::{self, Line};
use super::refusal::{Flaw, Refusal, StreamPosition, malformed, too_large};
use super::response::Follows;
use super::{chunk, request, response};
use crate::fields::Field;

/// The bounds of heads and chunk lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// The longest request line.
    pub line_bytes: usize,
    /// The largest head, start line and last line end included.
    pub head_bytes: usize,
    /// The most fields in a head.
    pub fields: usize,
    /// The longest chunk line, extensions included.
    pub chunk_line_bytes: usize,
    /// The largest trailer section; it has at most [`HeadLimits::fields`] fields.
    pub trailer_bytes: usize,
    /// The most interim (1xx) answers to one request.
    pub interim: u8,
}

impl Default for HeadLimits {
    /// Returns the bounds that servers are usually built for.
    fn default() -> Self {
        Self {
            line_bytes: 8 * 1024,
            head_bytes: 32 * 1024,
            fields: 100,
            chunk_line_bytes: 256,
            trailer_bytes: 8 * 1024,
            interim: 10,
        }
    }
}

/// What stands at the start of the bytes that were offered, and how many they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Piece {
    /// Too little to tell: offer it again, first, with what comes after it.
    Partial,
    /// A whole head: [`Reader::take_head`] says what stands in it.
    Head(usize),
    /// Bytes of the body.
    Body(usize),
    /// What only frames the body, or trailers of an answer that are too large: to be thrown away.
    Framing(usize),
    /// A whole trailer section: [`trailer_fields`] says what stands in it.
    Trailers(usize),
}

impl Piece {
    /// Returns how many bytes it has.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Partial => 0,
            Self::Head(len) | Self::Body(len) | Self::Framing(len) | Self::Trailers(len) => len,
        }
    }
}

/// Reads one direction of one HTTP/1 connection, and refuses everything that two readers could read
/// in two ways.
///
/// What is [`Piece::Partial`] (an unfinished head, chunk line or trailer section) is kept by the
/// caller and offered again, first, together with what came after it. It is never longer than
/// [`HeadLimits::head_bytes`] plus one read.
///
/// ```
/// use seawall_wire::http1::{HeadLimits, Piece, StreamPosition, Reader};
///
/// let bytes = b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\nGET /x HT";
/// let mut reader = Reader::requests(HeadLimits::default());
/// assert_eq!(reader.read(bytes), Ok(Piece::Head(35)));
/// let head = reader.take_head();
/// assert_eq!(&bytes[head.target()], b"/");
/// assert_eq!(reader.place(), StreamPosition::Idle);
///
/// assert_eq!(reader.read(&bytes[35..]), Ok(Piece::Partial));
/// assert_eq!(reader.place(), StreamPosition::Head);
/// let refusal = reader.read(b"GET /x HTTP/1.1\nHost: a.example\r\n\r\n").expect_err("a bare LF");
/// assert_eq!(refusal.status, 400);
/// ```
#[derive(Clone, Debug)]
pub struct Reader {
    is_request: bool,
    limits: HeadLimits,
    next: Next,
    head: MessageHead,
    /// Where in an unfinished head the next line begins.
    at: usize,
    /// How many of its bytes were offered before; no line ended in them from `at` on.
    seen: usize,
    /// Whether its start line has been read.
    has_start: bool,
    /// The request that is waiting for its answer: whether it was HEAD.
    asked: Option<bool>,
    /// Whether it asked for another protocol.
    may_switch: bool,
    interim: u8,
    refused: Option<Refusal>,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Head,
    Length(u64),
    ChunkLine,
    ChunkBytes(u64),
    ChunkEnd,
    Trailer,
    /// Trailers that are thrown away; whether the next byte is inside one of their lines.
    Discard {
        is_in_line: bool,
    },
    /// The body ends with the connection.
    UntilClose,
}

impl Reader {
    /// Begins the stream from a client.
    pub fn requests(limits: HeadLimits) -> Self {
        Self::new(true, limits)
    }

    /// Begins the stream from an upstream; say [`Reader::expect`] before each answer.
    pub fn responses(limits: HeadLimits) -> Self {
        Self::new(false, limits)
    }

    fn new(is_request: bool, limits: HeadLimits) -> Self {
        Self {
            is_request,
            limits,
            next: Next::Head,
            head: MessageHead::default(),
            at: 0,
            seen: 0,
            has_start: false,
            asked: None,
            may_switch: false,
            interim: 0,
            refused: None,
        }
    }

    /// Says that a request has been sent, so that one answer may come.
    ///
    /// An answer to HEAD has no body, whatever it says. Bytes that come without this are refused:
    /// they would be taken for the answer to the next request.
    pub fn expect(&mut self, is_head: bool) {
        self.asked = Some(is_head);
        self.may_switch = false;
        self.interim = 0;
    }

    /// Says that the request asked for another protocol, so that a 101 may come: what follows it is
    /// a body that ends with the connection.
    pub fn expect_switch(&mut self) {
        self.may_switch = true;
    }

    /// Says that another protocol follows the request that was read last: its bytes are a body that
    /// ends with the connection.
    pub fn switch(&mut self) {
        self.next = Next::UntilClose;
    }

    /// Says where the stream stands after the pieces that were read.
    pub fn place(&self) -> StreamPosition {
        match self.next {
            Next::Head if self.seen > 0 => StreamPosition::Head,
            // An interim answer has come, and the real one has not.
            Next::Head if self.interim > 0 => StreamPosition::Head,
            Next::Head => StreamPosition::Idle,
            _ => StreamPosition::Body,
        }
    }

    /// Returns what was refused, if anything was.
    pub fn refusal(&self) -> Option<Refusal> {
        self.refused
    }

    /// Returns how much of the body is left, if that is known.
    pub fn left(&self) -> Option<u64> {
        match self.next {
            Next::Head => Some(0),
            Next::Length(left) => Some(left),
            _ => None,
        }
    }

    /// Returns whether the body ends with the connection.
    pub fn is_until_close(&self) -> bool {
        self.next == Next::UntilClose
    }

    /// Takes the head that was read last.
    pub fn take_head(&mut self) -> MessageHead {
        std::mem::take(&mut self.head)
    }

    /// Reads one piece at the start of the bytes that have not been read yet: those kept from
    /// before, and what came after them.
    ///
    /// # Errors
    ///
    /// Fails at what must not pass; after that nothing can be read any more.
    pub fn read(&mut self, bytes: &[u8]) -> Result<Piece, Refusal> {
        if let Some(refusal) = self.refused {
            return Err(refusal);
        }
        if bytes.is_empty() {
            return Ok(Piece::Partial);
        }
        self.step(bytes).map_err(|flaw| {
            let refusal = self.refuse(flaw);
            self.refused = Some(refusal);
            refusal
        })
    }

    fn step(&mut self, bytes: &[u8]) -> Result<Piece, Flaw> {
        match self.next {
            Next::Head => self.head(bytes),
            Next::UntilClose => Ok(Piece::Body(bytes.len())),
            Next::Length(left) => {
                let len = at_most(bytes, left);
                let left = left - len as u64;
                self.next = if left == 0 { Next::Head } else { Next::Length(left) };
                Ok(Piece::Body(len))
            }
            Next::ChunkBytes(left) => {
                let len = at_most(bytes, left);
                let left = left - len as u64;
                self.next = if left == 0 { Next::ChunkEnd } else { Next::ChunkBytes(left) };
                Ok(Piece::Body(len))
            }
            Next::ChunkLine => {
                let Some(line) = chunk::read(bytes, self.limits.chunk_line_bytes)? else {
                    return Ok(Piece::Partial);
                };
                self.next =
                    if line.size == 0 { Next::Trailer } else { Next::ChunkBytes(line.size) };
                Ok(Piece::Framing(line.len))
            }
            Next::ChunkEnd => match line::line_end(bytes, 0)? {
                None => Ok(Piece::Partial),
                Some(len) => {
                    self.next = Next::ChunkLine;
                    Ok(Piece::Framing(len))
                }
            },
            Next::Trailer => self.trailers(bytes),
            Next::Discard { is_in_line } => Ok(self.discard(bytes, is_in_line)),
        }
    }

    /// Reads as much of a head as is there.
    fn head(&mut self, bytes: &[u8]) -> Result<Piece, Flaw> {
        if !self.is_request && self.asked.is_none() {
            return Err(malformed("bytes that no request asked for"));
        }
        // Not a byte is read twice because a head comes in small pieces.
        let seen = self.seen.min(bytes.len());
        self.seen = bytes.len();
        if seen == 0 {
            self.head = MessageHead::default();
        }
        if seen > self.at && memchr::memchr(b'\n', &bytes[seen..]).is_none() {
            return self.partial(bytes.len());
        }
        if !self.has_start {
            let len = match self.is_request {
                true => request::read_line(&mut self.head, bytes)?,
                false => response::read_line(&mut self.head, bytes)?,
            };
            let Some(len) = len else { return self.partial(bytes.len()) };
            self.check_size(len)?;
            self.has_start = true;
            self.at = len;
        }
        loop {
            match line::read(&bytes[self.at..])? {
                Line::Partial => return self.partial(bytes.len()),
                Line::Field(field) => {
                    self.head.learn(self.at, &field, self.is_request)?;
                    self.at += field.len;
                    self.check_size(self.at)?;
                }
                Line::Empty => break,
            }
        }
        let len = self.at + 2;
        self.check_size(len)?;
        self.head.body = match self.is_request {
            true => body(request::finish(&self.head, bytes)?, BodyLength::Empty),
            false => self.after_response_head()?,
        };
        self.next = match self.head.body {
            BodyLength::Empty | BodyLength::Length(0) => Next::Head,
            BodyLength::Length(length) => Next::Length(length),
            BodyLength::Chunked => Next::ChunkLine,
            BodyLength::UntilClose => Next::UntilClose,
        };
        (self.at, self.seen, self.has_start) = (0, 0, false);
        Ok(Piece::Head(len))
    }

    fn after_response_head(&mut self) -> Result<BodyLength, Flaw> {
        let to_head = self.asked == Some(true);
        let follows = response::finish(&self.head, to_head, self.may_switch)?;
        if follows == Follows::Head {
            self.interim = self.interim.saturating_add(1);
            let too_many = self.interim > self.limits.interim;
            return if too_many {
                Err(malformed("too many interim answers"))
            } else {
                Ok(BodyLength::Empty)
            };
        }
        self.asked = None;
        self.interim = 0;
        Ok(match follows {
            Follows::Head | Follows::Nothing => BodyLength::Empty,
            Follows::Body(framing) => body(framing, BodyLength::UntilClose),
        })
    }

    /// Waits for more of a head, unless it is too large already.
    fn partial(&self, len: usize) -> Result<Piece, Flaw> {
        self.check_size(len).map(|()| Piece::Partial)
    }

    /// Checks the bounds of a head of which `len` bytes are known.
    fn check_size(&self, len: usize) -> Result<(), Flaw> {
        if self.is_request && !self.has_start && len > self.limits.line_bytes {
            return Err(too_large(414, "the request line is too long"));
        }
        if len > self.limits.head_bytes {
            return Err(too_large(431, "the head is too large"));
        }
        if self.head.fields.len() > self.limits.fields {
            return Err(too_large(431, "the head has too many fields"));
        }
        Ok(())
    }

    /// Takes a whole trailer section. One of an answer that is too large is thrown away: the body
    /// is whole without it (RFC 9110, 6.5.1).
    fn trailers(&mut self, bytes: &[u8]) -> Result<Piece, Flaw> {
        let HeadLimits { trailer_bytes, fields: fields_max, .. } = self.limits;
        let (mut at, mut fields) = (0, 0);
        while at <= trailer_bytes && fields <= fields_max {
            match line::read(&bytes[at..])? {
                Line::Field(field) => {
                    if self.is_request && changes_framing(field.name) {
                        return Err(malformed("a framing field in the trailers"));
                    }
                    at += field.len;
                    fields += 1;
                }
                Line::Empty => {
                    self.next = Next::Head;
                    return Ok(match at {
                        0 => Piece::Framing(2),
                        at => Piece::Trailers(at + 2),
                    });
                }
                Line::Partial if bytes.len() <= trailer_bytes => return Ok(Piece::Partial),
                Line::Partial => break,
            }
        }
        if self.is_request {
            return Err(too_large(431, "the trailers are too large"));
        }
        Ok(self.discard(bytes, false))
    }

    /// Throws trailers away, with the empty line after them.
    fn discard(&mut self, bytes: &[u8], mut is_in_line: bool) -> Piece {
        let mut at = 0;
        while at < bytes.len() {
            match &bytes[at..] {
                [b'\r'] if !is_in_line => break,
                [b'\r', b'\n', ..] if !is_in_line => {
                    self.next = Next::Head;
                    return Piece::Framing(at + 2);
                }
                rest => match memchr::memchr(b'\n', rest) {
                    Some(end) => (at, is_in_line) = (at + end + 1, false),
                    None => (at, is_in_line) = (bytes.len(), true),
                },
            }
        }
        self.next = Next::Discard { is_in_line };
        if at == 0 { Piece::Partial } else { Piece::Framing(at) }
    }

    fn refuse(&self, flaw: Flaw) -> Refusal {
        let status = if self.is_request { flaw.status } else { 502 };
        let place = match self.place() {
            StreamPosition::Head if !self.is_request && self.asked.is_none() => {
                StreamPosition::Idle
            }
            place => place,
        };
        Refusal { why: flaw.why, status, detail: flaw.detail, place }
    }
}

/// Returns the fields of a trailer section that was read as [`Piece::Trailers`].
pub fn trailer_fields(bytes: &[u8]) -> Vec<Field> {
    let (mut at, mut fields) = (0, Vec::new());
    while let Ok(Line::Field(line)) = line::read(&bytes[at..]) {
        // No trailer section is so large that it could not be.
        fields.extend(Field::read(at, line.name, at + line.value_at, line.value));
        at += line.len;
    }
    fields
}

/// Returns how a body is framed of which a head says this much.
const fn body(framing: Framing, unsaid: BodyLength) -> BodyLength {
    match framing {
        Framing::Unsaid => unsaid,
        Framing::Length(length) => BodyLength::Length(length),
        Framing::Chunked => BodyLength::Chunked,
    }
}

fn at_most(bytes: &[u8], left: u64) -> usize {
    usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()))
}

/// Returns whether a field would change how a message is framed or routed after it has been.
fn changes_framing(name: &[u8]) -> bool {
    let words: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"host"];
    words.iter().any(|word| name.eq_ignore_ascii_case(word))
}
