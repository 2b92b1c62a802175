//! How bad something is that needs attention, and its words.
//!
//! Does not know: what may be wrong. Invariant: one state has one grade, wherever it is shown.

use serde::{Serialize, Serializer};

/// How bad something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// Nothing is wrong.
    #[default]
    Good,
    /// Not as usual; calls are answered.
    Odd,
    /// Calls are refused, or something is not in force.
    Bad,
}

impl Grade {
    /// Returns the word for this grade.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Odd => "odd",
            Self::Bad => "bad",
        }
    }

    /// Returns how bad a state of a breaker or of an endpoint is.
    pub fn of_state(state: &str) -> Self {
        match state {
            "open" | "isolated" => Self::Bad,
            "half_open" | "recovering" | "forced" | "ejected" => Self::Odd,
            _ => Self::Good,
        }
    }
}

/// Something that is wrong now; written as its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attention {
    /// How bad it is.
    pub grade: Grade,
    /// What it is.
    pub what: String,
}

impl Serialize for Attention {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.what)
    }
}

impl Attention {
    /// Says what calls are refused for, or what is not in force.
    pub(crate) fn bad(what: impl Into<String>) -> Self {
        Self { grade: Grade::Bad, what: what.into() }
    }

    /// Says what is not as usual.
    pub(crate) fn odd(what: impl Into<String>) -> Self {
        Self { grade: Grade::Odd, what: what.into() }
    }
}
