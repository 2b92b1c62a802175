//! End-to-end tests of the seawall binary on real peers.
