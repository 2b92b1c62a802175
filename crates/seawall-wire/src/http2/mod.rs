//! HTTP/2 (RFC 9113) as bytes: frames, header compression, and one connection as a machine.
//!
//! Does not know sockets or timers. One bad field ends one stream, and what a peer may send for
//! nothing is counted before it costs anything.

mod budget;
mod connection;
mod frame;
mod head;
mod hpack;
mod stream;

pub use connection::{Connection, ConnectionEvent, Http2Limits, Read, Role, Violation};
pub use frame::{ErrorCode, PREFACE};
pub use head::{FieldBlock, Http2RequestHead, encode_fields, encode_request, encode_response};
pub use hpack::{BadCompression, DecodedField, Decoder, encode_field, encode_status};
