//! The limits of the policy's cost that a test can hold: allocations and sizes, never time.

mod policy;

use seawall_bench::allocations::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
