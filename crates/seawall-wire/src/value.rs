//! The value of a field: bytes that can stand in a head.
//!
//! Does not know names. Whatever holds a value holds no control character but a tab (RFC 9110, 5.5).

use http::HeaderValue;

use crate::http1::is_value;

/// The value of a field, somewhere in a head.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(&'a [u8]);

impl<'a> Value<'a> {
    /// Returns the value that these bytes are; nothing if there is a control character among them.
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        is_value(bytes).then_some(Self(bytes))
    }

    /// Makes a value of what was read as one.
    pub(crate) const fn read(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns its bytes.
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Returns it as a text; nothing if it has a byte beyond ASCII.
    pub fn to_str(self) -> Option<&'a str> {
        self.0.is_ascii().then(|| str::from_utf8(self.0).unwrap_or_default())
    }

    /// Makes a copy of it.
    pub fn to_header(self) -> HeaderValue {
        // Both hold the same bytes, which a test says.
        HeaderValue::from_bytes(self.0).unwrap_or(HeaderValue::from_static(""))
    }
}

impl<'a> From<&'a HeaderValue> for Value<'a> {
    fn from(value: &'a HeaderValue) -> Self {
        Self(value.as_bytes())
    }
}

impl From<&'static str> for Value<'static> {
    /// Makes a value of a text that is known when the program is written.
    ///
    /// # Panics
    ///
    /// Panics if the text has a control character.
    fn from(text: &'static str) -> Self {
        assert!(is_value(text.as_bytes()), "a value has no control characters");
        Self(text.as_bytes())
    }
}

impl PartialEq<str> for Value<'_> {
    fn eq(&self, text: &str) -> bool {
        self.0 == text.as_bytes()
    }
}

impl PartialEq<&str> for Value<'_> {
    fn eq(&self, text: &&str) -> bool {
        self.0 == text.as_bytes()
    }
}

impl std::fmt::Debug for Value<'_> {
    /// Says how long it is, and not a byte of it: it may be a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_what_the_http_crate_takes_for_one() {
        for byte in 0..=u8::MAX {
            let bytes = [b'a', byte, b'z'];
            let value = Value::new(&bytes);
            let other = HeaderValue::from_bytes(&bytes).ok();
            assert_eq!(value.map(Value::to_header), other, "{byte:#x}");
            let text = other.as_ref().and_then(|other| other.to_str().ok());
            assert_eq!(value.and_then(Value::to_str), text, "{byte:#x}");
        }
    }
}
