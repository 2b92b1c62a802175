//! Header compression (RFC 7541).
//!
//! Does not know frames or messages. What is compressed badly ends the connection, since the
//! tables of both sides no longer agree; a field that is merely not allowed is passed on as
//! [unfit](DecodedField::is_fit), so that its stream alone can end.

mod decoder;
mod encoder;
mod field;
mod huffman;
mod integer;
mod table;

pub use decoder::{BadCompression, Decoder};
pub use encoder::{encode_field, encode_status};
pub(super) use encoder::{encode_indexed, encode_indexed_name, encode_table_size_zero};
pub use field::DecodedField;

/// How many bytes a decoder's dynamic table may have: what every peer takes before it has read a
/// word of settings (RFC 9113, 6.5.2).
pub(super) const TABLE_BYTES_MAX: usize = 4096;
