//! The tables of fields that an index stands for (RFC 7541, 2.3).

use std::collections::VecDeque;

use super::TABLE_BYTES_MAX;
use super::field::DecodedField;
use crate::name;

/// The fields that a peer has put in, the newest first.
#[derive(Debug)]
pub(super) struct DynamicTable {
    entries: VecDeque<Entry>,
    bytes: usize,
    bytes_max: usize,
}

/// A field with bytes of its own.
#[derive(Debug)]
pub(super) struct Entry {
    /// The name, and then the value.
    text: Box<[u8]>,
    name_len: usize,
    number: u8,
    is_name_fit: bool,
    is_fit: bool,
}

impl DynamicTable {
    pub(super) fn new() -> Self {
        Self { entries: VecDeque::new(), bytes: 0, bytes_max: TABLE_BYTES_MAX }
    }

    /// Returns the field of an index, static or dynamic.
    pub(super) fn get(&self, index: usize) -> Option<DecodedField<'_>> {
        let place = index.checked_sub(1)?;
        if let Some((name, value)) = STATIC.get(place) {
            let (name, value) = (name.as_bytes(), value.as_bytes());
            return Some(DecodedField {
                name,
                value,
                number: NUMBERS[place],
                is_name_fit: true,
                is_fit: true,
            });
        }
        let entry = self.entries.get(place - STATIC.len())?;
        let (name, value) = entry.text.split_at(entry.name_len);
        let Entry { number, is_name_fit, is_fit, .. } = *entry;
        Some(DecodedField { name, value, number, is_name_fit, is_fit })
    }

    /// Returns whether a field of so many bytes can be put in; one that is larger than the table
    /// empties it (RFC 7541, 4.4).
    pub(super) fn makes_room(&mut self, bytes: usize) -> bool {
        let bytes = bytes.saturating_add(ENTRY_BYTES);
        self.shrink(self.bytes_max.saturating_sub(bytes));
        bytes <= self.bytes_max
    }

    /// Puts a field in for which room was made.
    pub(super) fn insert(&mut self, entry: Entry) {
        self.bytes += ENTRY_BYTES + entry.text.len();
        self.entries.push_front(entry);
    }

    /// Sets how many bytes there may be; returns whether that is within our own bound.
    pub(super) fn resize(&mut self, bytes_max: usize) -> bool {
        self.bytes_max = bytes_max.min(TABLE_BYTES_MAX);
        self.shrink(self.bytes_max);
        bytes_max <= TABLE_BYTES_MAX
    }

    /// Evicts the oldest until so many bytes are left at most.
    fn shrink(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max
            && let Some(oldest) = self.entries.pop_back()
        {
            self.bytes -= ENTRY_BYTES + oldest.text.len();
        }
    }
}

impl From<DecodedField<'_>> for Entry {
    fn from(field: DecodedField<'_>) -> Self {
        let DecodedField { name, value, number, is_name_fit, is_fit } = field;
        let text = [name, value].concat().into();
        Self { text, name_len: name.len(), number, is_name_fit, is_fit }
    }
}

/// What an entry counts beside its bytes (RFC 7541, 4.1).
const ENTRY_BYTES: usize = 32;

/// The static table (RFC 7541, appendix A); the first has the index 1.
pub(super) static STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The numbers of the static table's names.
static NUMBERS: [u8; STATIC.len()] = {
    let mut numbers = [0; STATIC.len()];
    let mut place = 0;
    while place < STATIC.len() {
        numbers[place] = name::number(STATIC[place].0.as_bytes());
        place += 1;
    }
    numbers
};

/// The index of each numbered name in the static table; zero for those that are not there.
pub(super) static INDEXES: [u8; 64] = {
    let mut indexes = [0; 64];
    let mut place = 0;
    while place < STATIC.len() {
        let number = NUMBERS[place] as usize;
        if number != name::OTHER as usize {
            indexes[number] = place as u8 + 1;
        }
        place += 1;
    }
    indexes
};
