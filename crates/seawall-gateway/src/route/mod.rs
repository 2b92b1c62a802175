//! Where requests go: the table of routes, and what it would do with a request.

pub(crate) mod explain;
mod table;

pub(crate) use table::{Entry, Found, Table};
