//! HTTP/1 (RFC 9112) as bytes: a strict reader of one direction of a connection, a writer of
//! what that reader takes, and what is due on a connection when nothing comes.

mod chunk;
mod head;
mod line;
mod reader;
mod refusal;
mod request;
mod response;
mod wakes;
mod writer;

pub(crate) use head::length;
pub use head::{BodyLength, MessageHead};
pub(crate) use line::{is_lower_token, is_target, is_value};
pub use reader::{HeadLimits, Piece, Reader, trailer_fields};
pub use refusal::{Refusal, StreamPosition};
pub use wakes::{Wake, WakeTimes, Wakes};
pub use writer::{
    LAST_CHUNK, Unwritable, write_chunk_line, write_end, write_field, write_fields, write_header,
    write_request_line, write_status_line,
};
