//! Answers that are kept and shared: the gateway as a cache for many (RFC 9111).
//!
//! Does not know sockets. What may be kept is `seawall-wire`'s to say, how long it may be used the
//! policy's; here both are carried out.

mod call;
mod changed;
mod gather;
mod landed;
mod store;
mod stored;
mod tee;

pub(crate) use call::{call, forget_changed};
pub(crate) use store::ResponseCache;
