//! A field as it stands in a header block or in a table.
//!
//! Does not know how it was written, nor whether it may stand where it does.

/// A field of a header block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodedField<'a> {
    /// Its name, which begins with a colon if it is a pseudo-header.
    pub name: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    pub(crate) number: u8,
    pub(crate) is_name_fit: bool,
    /// Whether name and value are what a field can have (RFC 9113, 8.2.1): no upper case in the
    /// name, no control character, no white space around the value.
    pub is_fit: bool,
}
