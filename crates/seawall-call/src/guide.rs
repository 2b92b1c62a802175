//! The guide: one page a strategy, each with the wrong use first.
//!
//! The pages stand in `docs/guide/policy`; here they are part of the documentation so that every
//! piece of Rust in them is compiled, and what can run is run.

macro_rules! pages {
    ($($name:ident => $path:literal),+ $(,)?) => {
        $(#[doc = include_str!(concat!("../../../docs/guide/policy/", $path))] pub mod $name {})+
    };
}

pages! {
    overview => "README.md",
    order => "order.md",
    timeout => "timeout.md",
    retry => "retry.md",
    budget => "budget.md",
    breaker => "breaker.md",
    bulkhead => "bulkhead.md",
    adaptive => "adaptive.md",
    rate => "rate.md",
    hedge => "hedge.md",
    outlier => "outlier.md",
    shed => "shed.md",
    chaos => "chaos.md",
    fallback => "fallback.md",
    concepts => "concepts.md",
    polly => "polly.md",
}

/// The first page that anybody sees.
#[cfg(all(doctest, feature = "reqwest"))]
#[doc = include_str!("../../../README.md")]
mod readme {}
