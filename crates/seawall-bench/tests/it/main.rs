//! The limits of the cost of a policy that a test can hold (allocations and sizes, never time), and
//! the peers that bring a runtime of their own.

mod peers;
mod policy;
mod rim;

use seawall_bench::allocations::Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;
