//! The nearest known word to a mistyped one.

/// Returns the candidate that `word` was probably meant to be.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Long garbage is near to nothing, and comparing it would cost its length squared.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_lowercase();
    let scored = candidates.into_iter().map(|c| (strsim::damerau_levenshtein(&word, c), c));
    let (distance, best) = scored.min_by_key(|(distance, _)| *distance)?;
    // A third of the letters may be wrong, but two of a short word already make another word.
    (distance <= (best.len().max(word.len()) / 3).max(1)).then_some(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_word_and_garbage_finds_none() {
        let words = ["total_timeout", "attempt_timeout", "retry", "url"];
        assert_eq!(nearest("total_timout", words), Some("total_timeout"));
        assert_eq!(nearest("Retry", words), Some("retry"));
        assert_eq!(nearest("uri", words), Some("url"));
        assert_eq!(nearest("zebra", words), None);
        assert_eq!(nearest(&"x".repeat(100_000), words), None);
    }
}
