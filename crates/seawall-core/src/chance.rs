//! Seeded randomness, so that every test and every demo can be run again.

/// Draws numbers from a seed: SplitMix64 (Steele, Lea, Flood 2014).
///
/// Not for secrets: whoever sees a few numbers knows the rest.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// Starts a sequence at `seed`.
    pub const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// Draws 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Draws a number from 0 (included) to 1 (excluded).
    pub fn unit(&mut self) -> f64 {
        // 53 bits: every value is exact, and 1.0 cannot be reached by rounding.
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Draws true with the given probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_the_published_one() {
        let mut chance = Chance::seeded(1_234_567);
        let drawn: Vec<u64> = (0..3).map(|_| chance.bits()).collect();
        // First outputs of the reference implementation for this seed.
        assert_eq!(
            drawn,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn a_unit_is_never_one() {
        let mut chance = Chance::seeded(7);
        assert!((0..10_000).all(|_| (0.0..1.0).contains(&chance.unit())));
    }
}
