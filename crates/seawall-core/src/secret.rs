//! A value that is never shown: not in dumps, not in logs, not by `Debug`.
//!
//! Does not know: where it comes from, what it opens.

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;

/// A value that is never shown.
#[derive(Clone)]
pub struct Secret(Arc<str>);

/// Compares values, not what is shown of them, in the same time wherever they differ.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(other.0.as_bytes())
    }
}

impl Eq for Secret {}

impl Secret {
    /// Hides a value.
    pub fn new(value: impl Into<Arc<str>>) -> Self {
        Self(value.into())
    }

    /// Returns the value, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns whether this is what somebody shows; takes the same time wherever the two differ.
    pub fn matches(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

const HIDDEN: &str = "***";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_way_of_showing_a_secret_shows_it() {
        let secret = Secret::new("hush");
        let all = [format!("{secret}"), format!("{secret:?}"), format!("{:#?}", Some(&secret))];
        assert!(
            all.iter().all(|shown| !shown.contains("hush") && shown.contains("***")),
            "{all:?}"
        );
    }

    #[test]
    fn secrets_are_equal_if_their_values_are() {
        assert_eq!(Secret::new("hush"), Secret::new("hush"));
        assert_ne!(Secret::new("hush"), Secret::new("tell"));
        assert!(!Secret::new("hush").matches(b"hus"));
    }
}
