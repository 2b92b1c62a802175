//! What every machine promises, as a caller sees it.

mod breaker;
mod budget;
mod bulkhead;
mod plan;
mod rate;
mod retry;
mod sim;
mod window;
