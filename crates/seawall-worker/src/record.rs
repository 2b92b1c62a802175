//! A record of the journal: 32 bytes that say how one line ended, and prove it.
//!
//! Does not know: files. `docs/spec/journal.md` draws the bytes. Invariant: a record that was not
//! written as a whole, or that changed since, does not decode.

/// Says how one line ended, or that its call is about to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) sequence: u64,
    pub(crate) kind: Kind,
    pub(crate) attempts: u8,
    pub(crate) status: u16,
    /// How many bytes it wrote to the file that belongs to its kind.
    pub(crate) length: u32,
    /// The CRC-32C of those bytes.
    pub(crate) body_crc: u32,
    /// Where in the input the next line begins.
    pub(crate) next_offset: u64,
}

/// Says what a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// The line's answer is in the output.
    Output = 1,
    /// The line is in the dead letter file.
    Dead = 2,
    /// The line has no answer, and needs none.
    Filtered = 3,
    /// The line's call is about to begin.
    Intent = 4,
}

/// Opens a journal: whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) generation: u64,
    /// The beginning of the run's name.
    pub(crate) run: u64,
}

pub(crate) const RECORD_BYTES: usize = 32;

impl Record {
    pub(crate) fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[0..8].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[8] = self.kind as u8;
        bytes[9] = self.attempts;
        bytes[10..12].copy_from_slice(&self.status.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.body_crc.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.next_offset.to_le_bytes());
        seal(bytes)
    }

    pub(crate) fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        is_sealed(bytes).then_some(())?;
        let kind = match bytes[8] {
            1 => Kind::Output,
            2 => Kind::Dead,
            3 => Kind::Filtered,
            4 => Kind::Intent,
            _ => return None,
        };
        Some(Self {
            sequence: u64::from_le_bytes(part(bytes, 0)),
            kind,
            attempts: bytes[9],
            status: u16::from_le_bytes(part(bytes, 10)),
            length: u32::from_le_bytes(part(bytes, 12)),
            body_crc: u32::from_le_bytes(part(bytes, 16)),
            next_offset: u64::from_le_bytes(part(bytes, 20)),
        })
    }
}

impl Header {
    pub(crate) fn encode(&self) -> [u8; RECORD_BYTES] {
        let mut bytes = [0; RECORD_BYTES];
        bytes[0..8].copy_from_slice(MAGIC);
        bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.generation.to_le_bytes());
        bytes[20..28].copy_from_slice(&self.run.to_le_bytes());
        seal(bytes)
    }

    pub(crate) fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<Self> {
        let is_ours = is_sealed(bytes)
            && bytes.starts_with(MAGIC)
            && u32::from_le_bytes(part(bytes, 8)) == VERSION;
        is_ours.then(|| Self {
            generation: u64::from_le_bytes(part(bytes, 12)),
            run: u64::from_le_bytes(part(bytes, 20)),
        })
    }
}

fn seal(mut bytes: [u8; RECORD_BYTES]) -> [u8; RECORD_BYTES] {
    let crc = crc32c::crc32c(&bytes[..28]);
    bytes[28..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn is_sealed(bytes: &[u8; RECORD_BYTES]) -> bool {
    u32::from_le_bytes(part(bytes, 28)) == crc32c::crc32c(&bytes[..28])
}

fn part<const N: usize>(bytes: &[u8; RECORD_BYTES], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}

const MAGIC: &[u8; 8] = b"seawallj";
const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Record = Record {
        sequence: 0x0102_0304_0506_0708,
        kind: Kind::Dead,
        attempts: 3,
        status: 503,
        length: 0x1122_3344,
        body_crc: 0xaabb_ccdd,
        next_offset: 0x1112_1314_1516_1718,
    };

    #[test]
    fn a_record_is_the_bytes_that_are_drawn() {
        let bytes = RECORD.encode();
        let drawn = [
            8, 7, 6, 5, 4, 3, 2, 1, 2, 3, 0xf7, 1, 0x44, 0x33, 0x22, 0x11, 0xdd, 0xcc, 0xbb, 0xaa,
            0x18, 0x17, 0x16, 0x15, 0x14, 0x13, 0x12, 0x11,
        ];
        assert_eq!(bytes[..28], drawn);
        assert_eq!(Record::decode(&bytes), Some(RECORD));
    }

    #[test]
    fn a_record_or_header_with_one_bit_changed_does_not_decode() {
        let header = Header { generation: 7, run: 9 };
        assert_eq!(Header::decode(&header.encode()), Some(header));
        for bit in 0..RECORD_BYTES * 8 {
            let (mut record, mut header) = (RECORD.encode(), header.encode());
            record[bit / 8] ^= 1 << (bit % 8);
            header[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Record::decode(&record), None, "bit {bit}");
            assert_eq!(Header::decode(&header), None, "bit {bit}");
        }
    }

    #[test]
    fn zeros_are_no_record() {
        assert_eq!(Record::decode(&[0; RECORD_BYTES]), None);
        assert_eq!(Header::decode(&[0; RECORD_BYTES]), None);
    }
}
