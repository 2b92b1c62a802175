//! HTTP as bytes and names: strict heads, framing, paths, templates, header rules.
//!
//! Does not know: sockets, tokio, hyper, policies, settings files.
