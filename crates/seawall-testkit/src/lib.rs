//! Scripted upstreams, faults and checks for testing asynchronous code.
