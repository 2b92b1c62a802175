//! A checkpoint: all that a run must know to go on, in one file that proves itself.
//!
//! Does not know: files. It is JSON, so that people can read it; its last member is the CRC-32C of
//! what stands before. Invariant: a file with any byte changed or missing does not decode.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::bits::Bits;

/// Is all that a run must know to go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Checkpoint {
    pub(crate) version: u32,
    /// The run's name: 32 hexadecimal digits.
    pub(crate) run: String,
    /// The number of this checkpoint, and of the journal that follows it.
    pub(crate) generation: u64,
    /// What the run depends on; it goes on only if all of it is the same.
    pub(crate) identity: BTreeMap<String, String>,
    /// The first line without an outcome.
    pub(crate) sequence: u64,
    /// Where in the input it begins.
    pub(crate) offset: u64,
    /// Which lines from there on have one.
    pub(crate) done: String,
    /// Which lines from there on may have been sent.
    pub(crate) intended: String,
    /// How much of the output is in order.
    pub(crate) output_bytes: u64,
    /// How much of the dead letter file is in order.
    pub(crate) dead_bytes: u64,
    pub(crate) counts: LineCounts,
    pub(crate) is_finished: bool,
}

/// The counts of lines by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineCounts {
    /// How many have an answer in the output.
    pub output: u64,
    /// How many are in the dead letter file.
    pub dead: u64,
    /// How many needed no answer.
    pub filtered: u64,
}

impl LineCounts {
    /// Returns how many lines have ended.
    pub const fn lines(&self) -> u64 {
        self.output + self.dead + self.filtered
    }

    /// Returns how many of each have ended since then.
    #[must_use]
    pub const fn since(&self, before: &Self) -> Self {
        Self {
            output: self.output.saturating_sub(before.output),
            dead: self.dead.saturating_sub(before.dead),
            filtered: self.filtered.saturating_sub(before.filtered),
        }
    }

    /// Says that a run gave up.
    pub fn too_many(&self) -> String {
        format!("too many lines failed: {} of {}", self.dead, self.lines())
    }
}

/// Says why a file is no checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It is not what was written.
    Damaged,
    /// It was written by another version of this program.
    Version(u32),
}

pub(crate) const VERSION: u32 = 1;

impl Checkpoint {
    pub(crate) fn encode(&self) -> Vec<u8> {
        // A struct of strings and numbers: there is nothing that JSON cannot hold.
        let mut text = serde_json::to_string(self).expect("numbers and strings are JSON");
        text.pop();
        let crc = crc32c::crc32c(text.as_bytes());
        text.push_str(&format!("{MARK}{crc:08x}{END}"));
        text.into_bytes()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::Damaged)?;
        let body = text.strip_suffix(END).ok_or(Unreadable::Damaged)?;
        let (body, crc) = body.rsplit_once(MARK).ok_or(Unreadable::Damaged)?;
        // Compared as text, so that no other spelling of the number passes.
        if format!("{:08x}", crc32c::crc32c(body.as_bytes())) != crc {
            return Err(Unreadable::Damaged);
        }
        let text = format!("{body}}}");
        let version: Version = serde_json::from_str(&text).map_err(|_| Unreadable::Damaged)?;
        if version.version != VERSION {
            return Err(Unreadable::Version(version.version));
        }
        serde_json::from_str(&text).map_err(|_| Unreadable::Damaged)
    }

    /// Returns the beginning of the run's name, as journals have it.
    pub(crate) fn run_number(&self) -> u64 {
        run_number(&self.run)
    }

    pub(crate) fn done(&self) -> Result<Bits, Unreadable> {
        read_bits(self.sequence, &self.done)
    }

    pub(crate) fn intended(&self) -> Result<Bits, Unreadable> {
        read_bits(self.sequence, &self.intended)
    }
}

/// Writes a set as text.
pub(crate) fn write_bits(bits: &Bits) -> String {
    BASE64.encode(&bits.to_bytes())
}

fn read_bits(first: u64, text: &str) -> Result<Bits, Unreadable> {
    let bytes = BASE64.decode(text.as_bytes()).map_err(|_| Unreadable::Damaged)?;
    Ok(Bits::from_bytes(first, &bytes))
}

/// Returns the first 64 bits of a run's name.
pub(crate) fn run_number(run: &str) -> u64 {
    run.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// Whatever else a checkpoint has, it has this.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

const MARK: &str = ",\"crc32c\":\"";
const END: &str = "\"}\n";

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            version: VERSION,
            run: "0123456789abcdef0123456789abcdef".to_owned(),
            generation: 3,
            identity: BTreeMap::from([("input bytes".to_owned(), "17".to_owned())]),
            sequence: 5,
            offset: 50,
            done: BASE64.encode(&[6]),
            intended: String::new(),
            output_bytes: 100,
            dead_bytes: 0,
            counts: LineCounts { output: 5, dead: 0, filtered: 2 },
            is_finished: false,
        }
    }

    #[test]
    fn a_checkpoint_survives_being_written_down() {
        let read = Checkpoint::decode(&checkpoint().encode()).expect("it was just written");
        assert_eq!(read, checkpoint());
        assert_eq!(read.done().expect("it is one").iter().collect::<Vec<_>>(), [6, 7]);
    }

    #[test]
    fn a_checkpoint_with_one_bit_changed_or_its_end_missing_does_not_decode() {
        let whole = checkpoint().encode();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Checkpoint::decode(&bytes), Err(Unreadable::Damaged), "bit {bit}");
        }
        for length in 0..whole.len() {
            assert_eq!(Checkpoint::decode(&whole[..length]), Err(Unreadable::Damaged));
        }
    }

    #[test]
    fn a_checkpoint_of_another_version_is_not_taken_for_a_damaged_one() {
        let other = Checkpoint { version: 2, ..checkpoint() };
        assert_eq!(Checkpoint::decode(&other.encode()), Err(Unreadable::Version(2)));
    }
}
