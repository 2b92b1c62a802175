//! Members of a line that is a JSON object, found without reading the rest.
//!
//! Does not know: what they are for. Values keep their digits: nothing becomes a float.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The members of an object.
pub(crate) type Members<'a> = BTreeMap<String, &'a RawValue>;

/// Returns the members; nothing if it is no object.
pub(crate) fn members(json: &[u8]) -> Option<Members<'_>> {
    serde_json::from_slice(json).ok()
}

/// Returns the member that a path names: `address.city`.
pub(crate) fn member<'a>(json: &'a [u8], path: &str) -> Option<&'a RawValue> {
    member_of(&members(json)?, path)
}

/// Does the same with an object whose members were read.
pub(crate) fn member_of<'a>(members_: &Members<'a>, path: &str) -> Option<&'a RawValue> {
    let mut names = path.split('.');
    let mut raw = *members_.get(names.next()?)?;
    for name in names {
        raw = *members(raw.get().as_bytes())?.get(name)?;
    }
    Some(raw)
}
