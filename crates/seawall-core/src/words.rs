//! Closed sets of values that have one word each, in settings and on the command line.
//!
//! Does not know: who reads the words. An enum says its own once, and whoever lists, reads or explains
//! them asks it; a value without a word does not compile.

/// A closed set of values, each of which has one word.
pub trait Words: Copy + 'static {
    /// The words, in the order in which they are listed.
    const WORDS: &'static [&'static str];

    /// Returns the word for a value.
    fn word(self) -> &'static str;

    /// Returns the value that a word stands for, if it is one of them.
    fn of_word(word: &str) -> Option<Self>;
}

/// Gives an enum its words: `words!(Growth { Linear => "linear", Constant => "constant" });`.
#[macro_export]
macro_rules! words {
    ($of:ty { $($value:ident => $word:literal),+ $(,)? }) => {
        impl $crate::Words for $of {
            const WORDS: &'static [&'static str] = &[$($word),+];

            fn word(self) -> &'static str {
                match self { $(Self::$value => $word),+ }
            }

            fn of_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$value),)+ _ => None }
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Tide {
        High,
        Low,
    }

    words!(Tide { Low => "low", High => "high" });

    #[test]
    fn every_word_stands_for_the_value_whose_word_it_is() {
        assert_eq!(Tide::WORDS, ["low", "high"]);
        for word in Tide::WORDS {
            assert_eq!(Tide::of_word(word).map(Tide::word), Some(*word));
        }
        assert_eq!((Tide::of_word("high"), Tide::of_word("High")), (Some(Tide::High), None));
    }
}
