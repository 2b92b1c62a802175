//! Why a value of a setting is not taken.
//!
//! Does not know: which setting it is.

/// Why a value is not taken.
#[derive(Debug, PartialEq)]
pub(super) struct Refused {
    /// To be read after the setting's name.
    pub(super) why: String,
    /// Where, if it is only a part of the value.
    pub(super) span: Option<std::ops::Range<usize>>,
    /// What to write instead, if that is known better than by example.
    pub(super) help: Option<String>,
}

impl From<String> for Refused {
    fn from(why: String) -> Self {
        Self { why, span: None, help: None }
    }
}
