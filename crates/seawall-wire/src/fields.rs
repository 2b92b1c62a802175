//! The fields of a head, as they came and as the rules leave them.
//!
//! Does not know what a field means. The bytes that came stay where they are; what is added goes
//! behind them. The invariants: order, case and doubled fields stay as they came, and every name and
//! value can be written as it is.

use std::fmt;

use http::header::MaxSizeReached;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::digits::Digits;
use crate::name::{Name, NameSet, OTHER};
use crate::value::Value;

/// The fields of one head, in their order.
///
/// ```
/// use seawall_wire::{Fields, name};
///
/// let mut fields = Fields::default();
/// fields.append("Accept", "text/html");
/// fields.append("accept", "text/plain");
/// assert_eq!(fields.get_all("ACCEPT").count(), 2);
/// fields.insert(name::HOST, "a.example");
/// fields.insert(name::HOST, "b.example");
/// assert!(fields.get(name::HOST).is_some_and(|host| host == "b.example"));
/// assert!(fields.remove("accept"));
/// assert_eq!(fields.len(), 1);
/// ```
#[derive(Default)]
pub struct Fields {
    /// The head that came, and behind it what was added.
    bytes: Vec<u8>,
    list: Vec<Field>,
    /// The numbers of the names in the list.
    names: NameSet,
}

/// A field, as places in the bytes of its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    name_at: u32,
    value_at: u32,
    value_len: u32,
    name_len: u16,
    number: u8,
    /// Whether name and value stand as one line, which can be written as it is.
    is_line: bool,
}

/// What can be asked for the first value of a field.
pub trait Lookup {
    /// Returns the first value of a field.
    fn first(&self, name: Name<'static>) -> Option<Value<'_>>;
}

impl Field {
    /// Makes the field of a name and a value that were read in a head, if they are within bounds.
    pub(crate) fn read(name_at: usize, name: &[u8], value_at: usize, value: &[u8]) -> Option<Self> {
        Some(Self {
            name_at: name_at.try_into().ok()?,
            value_at: value_at.try_into().ok()?,
            value_len: value.len().try_into().ok()?,
            name_len: name.len().try_into().ok()?,
            number: crate::name::number(name),
            is_line: true,
        })
    }

    /// Returns where its name stands.
    pub fn name(self) -> std::ops::Range<usize> {
        let at = self.name_at as usize;
        at..at + usize::from(self.name_len)
    }

    /// Returns where its value stands, without the white space around it.
    pub fn value(self) -> std::ops::Range<usize> {
        let at = self.value_at as usize;
        at..at + self.value_len as usize
    }

    pub(crate) const fn number(self) -> u8 {
        self.number
    }
}

impl Fields {
    /// Makes the fields of a head whose bytes these are.
    pub(crate) fn of(bytes: Vec<u8>, list: Vec<Field>) -> Self {
        let names = list.iter().fold(NameSet::default(), |names, field| names.with(field.number));
        Self { bytes, list, names }
    }

    /// Makes room for as many as most heads have, and for what is added on the way.
    pub(crate) fn with_usual_room() -> Self {
        let (bytes, list) = (Vec::with_capacity(BYTES_USUAL), Vec::with_capacity(2 * LIST_MORE));
        Self { bytes, list, ..Self::default() }
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns how many bytes their lines have over HTTP/1.
    pub fn lines_len(&self) -> usize {
        self.list.iter().map(|field| field.name().len() + field.value().len() + LINE_BYTES).sum()
    }

    /// Returns whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Returns all names and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (Name<'_>, Value<'_>)> {
        self.list.iter().map(|field| (self.name(*field), self.value(*field)))
    }

    /// Returns the first value of a field.
    pub fn get<'n>(&self, name: impl Into<Name<'n>>) -> Option<Value<'_>> {
        self.place(name.into()).map(|place| self.value(self.list[place]))
    }

    /// Returns the values of a field, in their order.
    pub fn get_all<'s, 'n>(&'s self, name: impl Into<Name<'n>>) -> impl Iterator<Item = Value<'s>> {
        let name = name.into();
        let list = if self.names.has(name.number()) { &self.list[..] } else { &[] };
        let all = list.iter().filter(move |field| self.name(**field) == name);
        all.map(|field| self.value(*field))
    }

    /// Returns the value of a field that is there once.
    pub fn only<'n>(&self, name: impl Into<Name<'n>>) -> Option<Value<'_>> {
        let mut values = self.get_all(name.into());
        values.next().filter(|_| values.next().is_none())
    }

    /// Returns whether there is a field of this name.
    pub fn contains<'n>(&self, name: impl Into<Name<'n>>) -> bool {
        self.place(name.into()).is_some()
    }

    /// Adds a field at the end.
    pub fn append<'n, 'v>(&mut self, name: impl Into<Name<'n>>, value: impl Into<Value<'v>>) {
        let (name, value) = (name.into(), value.into());
        let name_at = self.add(name.as_bytes());
        self.add(b": ");
        let value_at = self.add(value.as_bytes());
        // As a line, so that it can be written as one.
        self.add(LINE_END);
        self.names = self.names.with(name.number());
        self.list.push(Field {
            name_at,
            value_at,
            value_len: value.as_bytes().len() as u32,
            name_len: name.as_bytes().len() as u16,
            number: name.number(),
            is_line: true,
        });
    }

    /// Sets a field: in the place of the first of this name, or at the end; there is one then.
    pub fn insert<'n, 'v>(&mut self, name: impl Into<Name<'n>>, value: impl Into<Value<'v>>) {
        let (name, value) = (name.into(), value.into());
        let Some(place) = self.place(name) else { return self.append(name, value) };
        let value_at = self.add(value.as_bytes());
        self.replace(place, value_at, value.as_bytes().len());
    }

    /// Sets a field to a number.
    pub fn insert_number<'n>(&mut self, name: impl Into<Name<'n>>, number: u64) {
        self.insert(name, Value::read(Digits::of(number).as_bytes()));
    }

    /// Writes the lines of all fields. Lines that stand one after the other go in one piece.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.reserve(self.bytes.len());
        let mut fields = self.list.iter();
        let mut next = fields.next();
        while let Some(first) = next {
            next = fields.next();
            if first.is_line {
                let mut end = first.value().end;
                // Between two lines is nothing but the end of the first.
                while let Some(other) = next
                    && other.is_line
                    && other.name().start == end + LINE_END.len()
                {
                    end = other.value().end;
                    next = fields.next();
                }
                out.extend_from_slice(&self.bytes[first.name().start..end]);
            } else {
                out.extend_from_slice(self.name(*first).as_bytes());
                out.extend_from_slice(b": ");
                out.extend_from_slice(self.value(*first).as_bytes());
            }
            out.extend_from_slice(LINE_END);
        }
    }

    /// Removes the fields of a name; returns whether there were any.
    pub fn remove<'n>(&mut self, name: impl Into<Name<'n>>) -> bool {
        let name = name.into();
        if self.place(name).is_none() {
            return false;
        }
        self.retain(|other, _| other != name);
        true
    }

    /// Removes the fields whose names are in a set.
    pub fn remove_any(&mut self, names: NameSet) {
        if self.names.meets(names) {
            self.retain(|name, _| !names.contains(name));
        }
    }

    /// Keeps the fields of which `is_kept` says so.
    pub fn retain(&mut self, mut is_kept: impl FnMut(Name<'_>, Value<'_>) -> bool) {
        let Self { bytes, list, names } = self;
        let mut left = NameSet::default();
        list.retain(|field| {
            let is_kept = is_kept(name_of(*field, bytes), value_of(*field, bytes));
            if is_kept {
                left = left.with(field.number);
            }
            is_kept
        });
        *names = left;
    }

    /// Sets every field anew to which `change` says something else.
    pub fn change(&mut self, mut change: impl FnMut(Name<'_>, Value<'_>) -> Option<HeaderValue>) {
        for place in 0..self.list.len() {
            let field = self.list[place];
            if let Some(value) = change(self.name(field), self.value(field)) {
                let value_at = self.add(value.as_bytes());
                self.set(place, value_at, value.len());
            }
        }
    }

    /// Returns the same fields in as little room as they need.
    #[must_use]
    pub fn compact(&self) -> Self {
        let mut fields = Self {
            bytes: Vec::with_capacity(self.lines_len()),
            list: Vec::with_capacity(self.list.len()),
            ..Self::default()
        };
        for (name, value) in self.iter() {
            fields.append(name, value);
        }
        fields
    }

    /// Makes a map of them, as others want it.
    ///
    /// # Errors
    ///
    /// Fails if there are more than a map holds, which is some 24,000.
    pub fn to_map(&self) -> Result<HeaderMap, MaxSizeReached> {
        let mut map = HeaderMap::try_with_capacity(self.len())?;
        for (name, value) in self.iter() {
            // Both take the same names, which a test says.
            if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
                map.try_append(name, value.to_header())?;
            }
        }
        Ok(map)
    }

    pub(crate) const fn names(&self) -> NameSet {
        self.names
    }

    fn name(&self, field: Field) -> Name<'_> {
        name_of(field, &self.bytes)
    }

    fn value(&self, field: Field) -> Value<'_> {
        value_of(field, &self.bytes)
    }

    /// Returns the place of the first field of a name in the list.
    #[inline]
    fn place(&self, name: Name<'_>) -> Option<usize> {
        if self.names.has(name.number()) { self.search(name) } else { None }
    }

    fn search(&self, name: Name<'_>) -> Option<usize> {
        match name.number() {
            OTHER => self.list.iter().position(|field| self.name(*field) == name),
            number => self.list.iter().position(|field| field.number == number),
        }
    }

    /// Sets the field at a place, and removes the others of its name.
    fn replace(&mut self, place: usize, value_at: u32, value_len: usize) {
        self.set(place, value_at, value_len);
        let Self { bytes, list, .. } = self;
        let name = name_of(list[place], bytes);
        let is_another = |field: &Field| name_of(*field, bytes) != name;
        if !list[place + 1..].iter().all(is_another) {
            let rest = list.split_off(place + 1);
            list.extend(rest.into_iter().filter(is_another));
        }
    }

    fn set(&mut self, place: usize, value_at: u32, value_len: usize) {
        let field = &mut self.list[place];
        (field.value_at, field.value_len) = (value_at, value_len as u32);
        field.is_line = false;
    }

    /// Puts bytes behind the others; returns where they begin.
    fn add(&mut self, bytes: &[u8]) -> u32 {
        let at = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        at
    }
}

fn name_of(field: Field, bytes: &[u8]) -> Name<'_> {
    Name::read(&bytes[field.name()], field.number)
}

fn value_of(field: Field, bytes: &[u8]) -> Value<'_> {
    Value::read(&bytes[field.value()])
}

impl Clone for Fields {
    /// Makes a copy with room for what the rules add to most heads.
    fn clone(&self) -> Self {
        let mut list = Vec::with_capacity(self.list.len() + LIST_MORE);
        list.extend_from_slice(&self.list);
        let mut bytes = Vec::with_capacity(self.bytes.len() + BYTES_MORE);
        bytes.extend_from_slice(&self.bytes);
        Self { bytes, list, names: self.names }
    }
}

impl Lookup for Fields {
    fn first(&self, name: Name<'static>) -> Option<Value<'_>> {
        self.get(name)
    }
}

impl Lookup for HeaderMap {
    fn first(&self, name: Name<'static>) -> Option<Value<'_>> {
        self.get(str::from_utf8(name.as_bytes()).ok()?).map(Value::from)
    }
}

impl From<&HeaderMap> for Fields {
    fn from(map: &HeaderMap) -> Self {
        let mut fields =
            Self { list: Vec::with_capacity(map.len() + LIST_MORE), ..Self::default() };
        let bytes: usize =
            map.iter().map(|(name, value)| name.as_str().len() + value.len() + LINE_BYTES).sum();
        fields.bytes.reserve(bytes + BYTES_MORE);
        for (name, value) in map {
            fields.append(name, value);
        }
        fields
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Fields {}

impl fmt::Debug for Fields {
    /// Says the names and how long their values are: a value may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |name: Name<'_>| name.as_bytes().escape_ascii().to_string();
        f.debug_map().entries(self.iter().map(|(key, value)| (name(key), value))).finish()
    }
}

/// What a line has beside its name and value.
pub(crate) const LINE_BYTES: usize = ": \r\n".len();
const LINE_END: &[u8] = b"\r\n";
/// What is added to most copies takes about as much: they are not made larger bit by bit.
const BYTES_MORE: usize = 200;
const LIST_MORE: usize = 9;
const BYTES_USUAL: usize = 600;
