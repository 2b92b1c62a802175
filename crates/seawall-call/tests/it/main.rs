//! The call, as its callers see it: every test runs under paused time or on threads of its own.

mod amplification;
mod breaker;
mod builder;
mod cached;
mod chaos;
mod checker;
mod deadline;
mod drops;
mod endpoints;
mod error;
mod flight;
mod ghosts;
mod hand;
mod hedge;
mod layer;
mod layer_http;
mod priority;
mod queue;
mod registry;
mod reload;
mod retry;
mod scene;
mod shelf;
mod story;
mod threads;
