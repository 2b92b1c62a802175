//! Answers that wait for those before them, kept on the disk: a crash does not ask for them again.
//!
//! Does not know: files. Each entry is a record as in the journal, with its body behind it, so that
//! it proves itself: in which order and how far a spill reached the disk does not matter.

use std::collections::HashMap;

use crate::finished::Finished;
use crate::record::{Header, Kind, RECORD_BYTES, Record};

/// Appends an entry.
pub(crate) fn write(finished: &Finished, into: &mut Vec<u8>) {
    into.extend_from_slice(&record(finished).encode());
    into.extend_from_slice(&finished.body);
}

/// Adds the entries of a spill that are whole and belong to the run.
pub(crate) fn read(bytes: &[u8], run: u64, into: &mut HashMap<u64, Finished>) {
    let Some((header, mut rest)) = bytes.split_first_chunk::<RECORD_BYTES>() else { return };
    if Header::decode(header).is_none_or(|header| header.run != run) {
        return;
    }
    while let Some((record, behind)) = rest.split_first_chunk::<RECORD_BYTES>() {
        let Some(record) = Record::decode(record) else { return };
        let Some(body) = behind.get(..record.length as usize) else { return };
        if record.kind == Kind::Intent || crc32c::crc32c(body) != record.body_crc {
            return;
        }
        let Record { sequence, kind, attempts, status, next_offset, .. } = record;
        let finished =
            Finished { sequence, next_offset, kind, attempts, status, body: body.to_vec() };
        into.entry(sequence).or_insert(finished);
        rest = &behind[body.len()..];
    }
}

/// Makes the record of an outcome.
pub(crate) fn record(finished: &Finished) -> Record {
    let Finished { sequence, next_offset, kind, attempts, status, body } = finished;
    Record {
        sequence: *sequence,
        kind: *kind,
        attempts: *attempts,
        status: *status,
        // Fits: an answer has a bound far below.
        length: body.len() as u32,
        body_crc: crc32c::crc32c(body),
        next_offset: *next_offset,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(sequence: u64, body: &str) -> Finished {
        let (next_offset, kind, body) = (9, Kind::Output, body.as_bytes().to_vec());
        Finished { sequence, next_offset, kind, attempts: 1, status: 200, body }
    }

    #[test]
    fn what_is_whole_is_read_and_nothing_behind_what_is_not() {
        let mut bytes = Header { generation: 1, run: 7 }.encode().to_vec();
        for (sequence, body) in [(4, "four\n"), (9, "nine\n"), (6, "six\n")] {
            write(&finished(sequence, body), &mut bytes);
        }
        let numbers = |bytes: &[u8], run| {
            let mut read_back = HashMap::new();
            read(bytes, run, &mut read_back);
            let mut numbers: Vec<_> = read_back.into_keys().collect();
            numbers.sort_unstable();
            numbers
        };
        assert_eq!(numbers(&bytes, 7), [4, 6, 9]);
        assert_eq!(numbers(&bytes, 8), [0; 0], "it is another run's");
        for length in 0..bytes.len() {
            assert!(numbers(&bytes[..length], 7).len() < 3, "{length}");
        }
        let second = RECORD_BYTES * 3 + 5 + 2;
        bytes[second] ^= 1;
        assert_eq!(numbers(&bytes, 7), [4]);
    }
}
