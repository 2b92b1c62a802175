//! One key of the settings: the type of its value, and its row of the table.
//!
//! Does not know: which keys there are.

use std::marker::PhantomData;

use super::typed::{Form, Table, Type};
use super::value::{Value, ValueKind};

/// One setting, and the type of its value: what is read with it has that type.
pub(crate) struct Key<T> {
    pub(super) row: Row,
    of: PhantomData<fn() -> T>,
}

/// A row of the table: everything that is known of one setting.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its path without the names of its tables: `policy.retry.attempts`.
    pub path: &'static str,
    /// What it holds.
    pub kind: ValueKind,
    /// Its default as TOML; empty for none.
    pub default: &'static str,
    /// From what else the default follows, if it does.
    pub follows: &'static str,
    /// A value as TOML, for settings without a default.
    pub example: &'static str,
    /// Whether its table is nothing without it.
    pub is_required: bool,
    /// What it is.
    pub what: &'static str,
    /// Who changes it, and when.
    pub who: &'static str,
    /// What shows that it works.
    pub shows: &'static str,
    /// Whether a value is of the type that the setting is read as.
    #[cfg_attr(not(test), expect(dead_code, reason = "a test asks it of every row"))]
    pub(super) is_read: fn(&Value) -> bool,
}

impl Row {
    /// Returns the last part of the path: what stands left of `=`.
    pub fn name(&self) -> &'static str {
        self.path.rsplit('.').next().unwrap_or(self.path)
    }

    /// Returns the path of its table; empty at the top.
    pub fn table(&self) -> &'static str {
        self.path.rsplit_once('.').map_or("", |(table, _)| table)
    }

    /// Returns whether it holds a value, or is a table of others.
    pub fn is_leaf(&self) -> bool {
        !matches!(
            self.kind,
            ValueKind::Table | ValueKind::Part | ValueKind::Named | ValueKind::List
        )
    }

    /// Returns a value as it would stand in the file.
    pub fn sample(&self) -> &'static str {
        if self.default.is_empty() { self.example } else { self.default }
    }
}

impl<T> Clone for Key<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Key<T> {}

impl<T> Key<T> {
    /// Returns the path of the setting in the table.
    pub(super) const fn path(self) -> &'static str {
        self.row.path
    }

    pub(super) const fn follows(mut self, rule: &'static str) -> Self {
        self.row.follows = rule;
        self
    }

    pub(super) const fn example(mut self, example: &'static str) -> Self {
        self.row.example = example;
        self
    }
}

impl<T> Key<Option<T>> {
    pub(super) const fn required(mut self, example: &'static str) -> Self {
        self.row.is_required = true;
        self.row.example = example;
        self
    }
}

/// Returns whether a name is a path in capitals, with `_` between its parts.
pub(super) const fn is_named(name: &str, path: &str) -> bool {
    let (name, path) = (name.as_bytes(), path.as_bytes());
    let mut at = 0;
    while at < name.len() && at < path.len() {
        let wanted = if path[at] == b'.' { b'_' } else { path[at].to_ascii_uppercase() };
        if name[at] != wanted {
            return false;
        }
        at += 1;
    }
    name.len() == path.len()
}

/// Declares a setting with a default: it always has a value. Without a default it does not compile.
pub(super) const fn key<T: Type>(
    path: &'static str,
    form: Form<T>,
    default: &'static str,
    texts: [&'static str; 3],
) -> Key<T> {
    assert!(!default.is_empty(), "what has no default is optional");
    declared(path, form.kind, default, texts, is_read::<T>)
}

/// Declares a setting without a default: it may have no value.
pub(super) const fn optional<T: Type>(
    path: &'static str,
    form: Form<T>,
    texts: [&'static str; 3],
) -> Key<Option<T>> {
    declared(path, form.kind, "", texts, is_read::<T>)
}

/// Declares a table that is always there.
pub(super) const fn table(path: &'static str, what: &'static str) -> Key<Table> {
    declared(path, ValueKind::Table, "", [what, "", ""], is_read::<Table>)
}

/// Declares tables with names of their own.
pub(super) const fn named(path: &'static str, what: &'static str) -> Key<Table> {
    declared(path, ValueKind::Named, "", [what, "", ""], is_read::<Table>)
}

/// Declares a list of tables.
pub(super) const fn list(path: &'static str, what: &'static str) -> Key<Table> {
    declared(path, ValueKind::List, "", [what, "", ""], is_read::<Table>)
}

const fn declared<T>(
    path: &'static str,
    kind: ValueKind,
    default: &'static str,
    texts: [&'static str; 3],
    is_read: fn(&Value) -> bool,
) -> Key<T> {
    let [what, who, shows] = texts;
    let (follows, example, is_required) = ("", "", false);
    let row = Row { path, kind, default, follows, example, is_required, what, who, shows, is_read };
    Key { row, of: PhantomData }
}

fn is_read<T: Type>(value: &Value) -> bool {
    T::read(Some(value)).is_some()
}
