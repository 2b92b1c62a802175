//! The strict scanner over the byte stream of one HTTP/1 connection, in front of a lenient reader.

mod chunk;
mod head;
mod line;
mod machine;
mod refusal;
mod request;
mod response;

pub use machine::{Limits, Place, Scan, Scanner};
pub use refusal::Refusal;
