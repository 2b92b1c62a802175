//! The machine that follows a connection from head to body to head.
//!
//! Does not know a socket or a clock. The invariant: every byte that passes belongs to a whole
//! head or to a body whose framing can be read in one way only.

use super::head::{Framing, Head};
use super::line::{self, Line};
use super::refusal::{Flaw, malformed, too_large};
use super::response::Follows;
use super::{Refusal, chunk, request, response};

/// The bounds of heads and chunk lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The longest request line.
    pub line_bytes: usize,
    /// The largest head, start line and last line end included.
    pub head_bytes: usize,
    /// The most fields in a head.
    pub fields: usize,
    /// The longest chunk line, extensions included.
    pub chunk_line_bytes: usize,
    /// The largest trailer section; it has at most [`Limits::fields`] fields.
    pub trailer_bytes: usize,
    /// The most interim (1xx) answers to one request.
    pub interim: u8,
}

impl Default for Limits {
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

/// Says where the stream stands after the bytes that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Between messages, and not a byte of the next one is here.
    Idle,
    /// Inside a head.
    Head,
    /// Inside a body.
    Body,
}

/// What came of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Scan {
    /// How many bytes may be handed on; the others are held back and offered again.
    pub pass: usize,
    /// How many bytes after those must be thrown away before the others are offered again, at
    /// once: trailers of an answer that are too large. Of a request nothing is ever thrown away.
    pub skip: usize,
    /// Why the byte after those, or one soon after it, is refused.
    pub refused: Option<Refusal>,
}

/// Follows the byte stream of one direction of one HTTP/1 connection, and refuses everything
/// that two readers could read in two ways.
///
/// Bytes that pass are whole heads, or body bytes. What does not pass (an unfinished head, chunk
/// line or trailer line) is kept by the caller and offered again, first, together with what came
/// after it. It is never longer than [`Limits::head_bytes`] plus one read.
///
/// ```
/// use seawall_wire::{Limits, Place, Scanner};
///
/// let mut scanner = Scanner::requests(Limits::default());
/// let scan = scanner.scan(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\nGET /x HT");
/// assert_eq!((scan.pass, scan.refused), (35, None));
/// assert_eq!(scanner.place(), Place::Head);
///
/// let scan = scanner.scan(b"GET /x HTTP/1.1\nHost: a.example\r\n\r\n");
/// assert_eq!(scan.refused.expect("a bare LF").status, 400);
/// ```
#[derive(Clone, Debug)]
pub struct Scanner {
    is_request: bool,
    limits: Limits,
    next: Next,
    head: Head,
    /// Whether bytes of an unfinished head are held back.
    holds: bool,
    /// The request that is waiting for its answer: whether it was HEAD.
    asked: Option<bool>,
    interim: u8,
    trailer: Trailer,
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

#[derive(Clone, Copy, Debug, Default)]
struct Trailer {
    bytes: usize,
    fields: usize,
}

impl Scanner {
    /// Begins the stream from a client.
    pub fn requests(limits: Limits) -> Self {
        Self::new(true, limits)
    }

    /// Begins the stream from an upstream; say [`Scanner::expect`] before each answer.
    pub fn responses(limits: Limits) -> Self {
        Self::new(false, limits)
    }

    fn new(is_request: bool, limits: Limits) -> Self {
        Self {
            is_request,
            limits,
            next: Next::Head,
            head: Head::default(),
            holds: false,
            asked: None,
            interim: 0,
            trailer: Trailer::default(),
            refused: None,
        }
    }

    /// Says that a request has been sent, so that one answer may come.
    ///
    /// An answer to HEAD has no body, whatever it says. Bytes that come without this are refused:
    /// they would be taken for the answer to the next request.
    pub fn expect(&mut self, is_head: bool) {
        self.asked = Some(is_head);
        self.interim = 0;
    }

    /// Says where the stream stands after the bytes that passed.
    pub fn place(&self) -> Place {
        match self.next {
            Next::Head if self.holds => Place::Head,
            // An interim answer has come, and the real one has not.
            Next::Head if self.interim > 0 => Place::Head,
            Next::Head => Place::Idle,
            _ => Place::Body,
        }
    }

    /// Looks at the bytes that have not passed yet: those held back, and what came after them.
    ///
    /// After a refusal nothing passes any more.
    pub fn scan(&mut self, bytes: &[u8]) -> Scan {
        if self.refused.is_some() {
            return Scan { pass: 0, skip: 0, refused: self.refused };
        }
        let mut pass = 0;
        while pass < bytes.len() {
            if let Next::Discard { is_in_line } = self.next {
                match self.discard(&bytes[pass..], is_in_line) {
                    0 if matches!(self.next, Next::Discard { .. }) => break,
                    0 => continue,
                    skip => return Scan { pass, skip, refused: None },
                }
            }
            match self.step(&bytes[pass..]) {
                Ok(0) if matches!(self.next, Next::Discard { .. }) => {}
                Ok(0) => break,
                Ok(len) => pass += len,
                Err(flaw) => {
                    self.holds |= self.next == Next::Head;
                    self.refused = Some(self.refusal(flaw));
                    return Scan { pass, skip: 0, refused: self.refused };
                }
            }
        }
        self.holds = self.next == Next::Head && pass < bytes.len();
        Scan { pass, skip: 0, refused: None }
    }

    /// Takes one piece off the start of `bytes`, which has at least one; returns its length, or
    /// zero if it is not all there.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Flaw> {
        match self.next {
            Next::Head => self.head(bytes),
            Next::UntilClose => Ok(bytes.len()),
            Next::Length(left) => {
                let len = at_most(bytes, left);
                let left = left - len as u64;
                self.next = if left == 0 { Next::Head } else { Next::Length(left) };
                Ok(len)
            }
            Next::ChunkBytes(left) => {
                let len = at_most(bytes, left);
                let left = left - len as u64;
                self.next = if left == 0 { Next::ChunkEnd } else { Next::ChunkBytes(left) };
                Ok(len)
            }
            Next::ChunkLine => {
                let Some(line) = chunk::read(bytes, self.limits.chunk_line_bytes)? else {
                    return Ok(0);
                };
                self.trailer = Trailer::default();
                self.next =
                    if line.size == 0 { Next::Trailer } else { Next::ChunkBytes(line.size) };
                Ok(line.len)
            }
            Next::ChunkEnd => match line::line_end(bytes, 0)? {
                None => Ok(0),
                Some(len) => {
                    self.next = Next::ChunkLine;
                    Ok(len)
                }
            },
            Next::Trailer if self.is_request => self.trailer(bytes),
            Next::Trailer => self.answer_trailers(bytes),
            // The caller looks after it: nothing of it passes.
            Next::Discard { .. } => Ok(0),
        }
    }

    /// Reads as much of a head as is there; returns its length when it is whole.
    fn head(&mut self, bytes: &[u8]) -> Result<usize, Flaw> {
        if !self.is_request && self.asked.is_none() {
            return Err(malformed("bytes that no request asked for"));
        }
        // Not a byte is read twice because a head comes in small pieces.
        let seen = self.head.seen.min(bytes.len());
        self.head.seen = bytes.len();
        if seen > self.head.at && memchr::memchr(b'\n', &bytes[seen..]).is_none() {
            return self.partial(bytes.len());
        }
        if !self.head.has_start {
            let line = &bytes[self.head.at..];
            let len = match self.is_request {
                true => request::read_line(&mut self.head, line)?,
                false => response::read_line(&mut self.head, line)?,
            };
            let Some(len) = len else { return self.partial(bytes.len()) };
            self.check_size(len)?;
            self.head.has_start = true;
            self.head.at = len;
        }
        loop {
            match line::read(&bytes[self.head.at..])? {
                Line::Partial => return self.partial(bytes.len()),
                Line::Field(field) => {
                    self.head.learn(&field, self.is_request)?;
                    self.head.fields += 1;
                    self.head.at += field.len;
                    self.check_size(self.head.at)?;
                }
                Line::Empty => break,
            }
        }
        let len = self.head.at + 2;
        self.check_size(len)?;
        self.next = match self.is_request {
            true => body(request::finish(&self.head, bytes)?),
            false => self.after_response_head()?,
        };
        self.head = Head::default();
        Ok(len)
    }

    fn after_response_head(&mut self) -> Result<Next, Flaw> {
        let to_head = self.asked == Some(true);
        let follows = response::finish(&self.head, to_head)?;
        if follows == Follows::Head {
            self.interim = self.interim.saturating_add(1);
            let too_many = self.interim > self.limits.interim;
            return if too_many {
                Err(malformed("too many interim answers"))
            } else {
                Ok(Next::Head)
            };
        }
        self.asked = None;
        self.interim = 0;
        Ok(match follows {
            Follows::Head | Follows::Nothing => Next::Head,
            Follows::Body(Framing::Unsaid) => Next::UntilClose,
            Follows::Body(framing) => body(framing),
        })
    }

    /// Waits for more of a head, unless it is too large already.
    fn partial(&self, len: usize) -> Result<usize, Flaw> {
        self.check_size(len).map(|()| 0)
    }

    /// Checks the bounds of a head of which `len` bytes are known.
    fn check_size(&self, len: usize) -> Result<(), Flaw> {
        if self.is_request && !self.head.has_start && len > self.limits.line_bytes {
            return Err(too_large(414, "the request line is too long"));
        }
        if len > self.limits.head_bytes {
            return Err(too_large(431, "the head is too large"));
        }
        if self.head.fields > self.limits.fields {
            return Err(too_large(431, "the head has too many fields"));
        }
        Ok(())
    }

    /// Takes one line of a trailer section.
    fn trailer(&mut self, bytes: &[u8]) -> Result<usize, Flaw> {
        let (line, len) = match line::read(bytes)? {
            Line::Partial => (None, bytes.len()),
            Line::Field(field) => (Some(field.name), field.len),
            Line::Empty => {
                self.next = Next::Head;
                return Ok(2);
            }
        };
        if self.trailer.bytes + len > self.limits.trailer_bytes {
            return Err(too_large(431, "the trailers are too large"));
        }
        let Some(name) = line else { return Ok(0) };
        self.trailer.bytes += len;
        self.trailer.fields += 1;
        if self.trailer.fields > self.limits.fields {
            return Err(too_large(431, "too many trailers"));
        }
        if FRAMING.iter().any(|word| name.eq_ignore_ascii_case(word)) {
            return Err(malformed("a framing field in the trailers"));
        }
        Ok(len)
    }

    /// Takes the whole trailer section of an answer, which is thrown away if it is too large: the
    /// body is whole without it (RFC 9110, 6.5.1).
    fn answer_trailers(&mut self, bytes: &[u8]) -> Result<usize, Flaw> {
        let (mut at, mut fields) = (0, 0);
        while at <= self.limits.trailer_bytes && fields <= self.limits.fields {
            match line::read(&bytes[at..])? {
                Line::Field(field) => {
                    at += field.len;
                    fields += 1;
                }
                Line::Empty => {
                    self.next = Next::Head;
                    return Ok(at + 2);
                }
                Line::Partial if bytes.len() <= self.limits.trailer_bytes => return Ok(0),
                Line::Partial => break,
            }
        }
        self.next = Next::Discard { is_in_line: false };
        Ok(0)
    }

    /// Returns how many bytes belong to trailers that are thrown away; the empty line after them
    /// does not, and is read as the end of a section that had none.
    fn discard(&mut self, bytes: &[u8], mut is_in_line: bool) -> usize {
        let mut at = 0;
        loop {
            match &bytes[at..] {
                [] | [b'\r'] if !is_in_line => break,
                [b'\r', b'\n', ..] if !is_in_line => {
                    self.next = Next::Trailer;
                    return at;
                }
                rest => match memchr::memchr(b'\n', rest) {
                    Some(end) => (at, is_in_line) = (at + end + 1, false),
                    None => (at, is_in_line) = (bytes.len(), true),
                },
            }
            if at == bytes.len() {
                break;
            }
        }
        self.next = Next::Discard { is_in_line };
        at
    }

    fn refusal(&self, flaw: Flaw) -> Refusal {
        let status = if self.is_request { flaw.status } else { 502 };
        let place = match self.place() {
            Place::Head if !self.is_request && self.asked.is_none() => Place::Idle,
            place => place,
        };
        Refusal { why: flaw.why, status, detail: flaw.detail, place }
    }
}

/// Returns what follows a head with this framing; without any there is no body.
const fn body(framing: Framing) -> Next {
    match framing {
        Framing::Unsaid | Framing::Length(0) => Next::Head,
        Framing::Length(length) => Next::Length(length),
        Framing::Chunked => Next::ChunkLine,
    }
}

fn at_most(bytes: &[u8], left: u64) -> usize {
    usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()))
}

/// Fields that would change how a message is framed or routed after it has been.
const FRAMING: [&[u8]; 3] = [b"content-length", b"transfer-encoding", b"host"];
