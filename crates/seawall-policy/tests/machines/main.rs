//! What every machine promises, as a caller sees it.

mod adaptive;
mod backoff;
mod breaker;
mod breaker_modes;
mod breaker_told;
mod budget;
mod bulkhead;
mod cache;
mod chaos;
mod check;
mod describe;
mod gradient2;
mod hedge;
mod outlier;
mod patience;
mod plan;
mod rate;
mod retry;
mod shed;
mod sim;
mod window;
