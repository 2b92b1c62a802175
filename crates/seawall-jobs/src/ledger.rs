//! The ledger: what jobs were put in for, kept after the jobs themselves are pruned.
//!
//! Does not know: files, clocks, SQL. Invariant: an entry and its job are put in together or not at
//! all, and of an entry only one job is ever put in, whoever tries, and on how many machines.

/// What a job is put in for.
///
/// An entry is identified by `ledger`, `item` and `mark`. It is new if none of that identity is
/// known, or if its `number` is higher than the one that is known: a file has a mark for each of
/// its contents, and a schedule has one entry whose number is the time it last came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Whose ledger it is; at most 200 bytes, as `item` and `mark`.
    pub ledger: String,
    /// What it is about.
    pub item: String,
    /// Which state of it; may be empty.
    pub mark: String,
    /// How far it is.
    pub number: i64,
    /// What it looked like the last time: to know when to look again. At most 200 bytes.
    pub stamp: String,
}

/// An entry that the ledger has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// The entry.
    pub entry: Entry,
    /// The job that was put in for it, if there was one; it may be pruned by now.
    pub job: Option<i64>,
    /// When it was noted, in milliseconds since 1970.
    pub at_ms: i64,
}

impl Entry {
    /// Returns why a store refuses it, if one does.
    pub(crate) fn refused(&self) -> Option<String> {
        let Self { ledger, item, mark, stamp, .. } = self;
        let is_bad = |text: &String| text.len() > TEXT_BYTES_MAX || text.contains('\0');
        let is_refused = ledger.is_empty()
            || item.is_empty()
            || [ledger, item, mark, stamp].map(is_bad).contains(&true);
        is_refused.then(|| {
            format!(
                "its entry of the ledger is empty, or a part of it has a NUL or more than \
                 {TEXT_BYTES_MAX} bytes"
            )
        })
    }
}

/// How many items are asked for at once.
pub(crate) const ITEMS_MAX: usize = 1000;
const TEXT_BYTES_MAX: usize = 200;
