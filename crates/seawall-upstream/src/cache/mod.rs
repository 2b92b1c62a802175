//! HTTP answers that are stored and shared: a cache for many (RFC 9111).
//!
//! Does not know sockets. What may be kept is `seawall-wire`'s to say, how long it may be used the
//! policy's; here both are carried out.

mod call;
mod changed;
mod gather;
mod store;
mod stored;
mod tee;

pub(crate) use call::{call, forget_changed, is_used};
pub use store::ResponseCache;
