//! Nothing: this crate is its tests.
//!
//! `tests/it` runs the seawall binary between real clients and real upstreams; `tests/house`
//! holds the rules of the source itself: floors, licences, what may stand where.
