//! Which calls matter most when not all can be served.

use super::Words;

/// Says how much a call matters; a smaller number matters more.
///
/// When there is too much to do, low priority is shed first; among those who wait, high priority
/// is served first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Priority {
    /// 0: somebody is hurt without it; never shed because of load.
    Critical = 0,
    /// 1: somebody waits for it.
    High = 1,
    /// 2: the usual.
    #[default]
    Normal = 2,
    /// 3: prefetches, batches, whatever can come again.
    Low = 3,
}

impl Priority {
    /// Lists every priority, the most important first; each stands at its own number.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Normal, Self::Low];

    /// Returns the priority with this number, if there is one.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Critical),
            1 => Some(Self::High),
            2 => Some(Self::Normal),
            3 => Some(Self::Low),
            _ => None,
        }
    }

    /// Returns the word for this priority, as it stands in settings and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// Returns the place of this priority in [`Priority::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl Words for Priority {
    const WORDS: &'static [&'static str] =
        &[Self::Critical.as_str(), Self::High.as_str(), Self::Normal.as_str(), Self::Low.as_str()];

    fn word(self) -> &'static str {
        self.as_str()
    }

    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|priority| priority.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_priority_stands_at_its_number() {
        for (index, priority) in Priority::ALL.into_iter().enumerate() {
            assert_eq!(priority.index(), index);
            assert_eq!(Priority::from_number(index as u8), Some(priority));
        }
        assert_eq!(Priority::from_number(4), None);
        assert_eq!(Priority::WORDS, Priority::ALL.map(Priority::as_str));
    }
}
