//! The policy as a tower layer: for axum, tonic and every other `Service`.
//!
//! Does not know: what a request is; a [`Classify`] does. Invariants: clones of a service share the
//! state of one [`Policy`](crate::Policy); `poll_ready` is always ready and takes nothing, so that
//! a service that is polled and then dropped has nothing to give back; the inner service is made
//! ready within each attempt, so its own wait counts against the attempt's time.
//!
//! # Why nothing is reserved in `poll_ready`
//!
//! A middleware that takes a place in `poll_ready` holds it until `call`, which may never come:
//! tower's `ConcurrencyLimit` is one. And one whose count is in the service itself has a count for
//! each copy: tower's `RateLimit` cannot be cloned for that reason, and where a server makes one for
//! each connection, ten a second are ten for each of them (axum#2634). Here a clone is the same
//! policy, and what is refused is refused in `call`, as a [`CallError`](crate::CallError).
//!
//! ```
//! use std::time::Duration;
//!
//! use seawall_call::Policy;
//! use seawall_call::layer::PolicyLayer;
//! use tower::{Service, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = Policy::builder().total_timeout(Duration::from_secs(2)).build()?;
//! let service = ServiceBuilder::new()
//!     .layer(PolicyLayer::new(policy))
//!     .service(service_fn(async |city: &'static str| Ok::<_, std::io::Error>(city.len())));
//! assert_eq!(service.oneshot("oslo").await?, 4);
//! # Ok(())
//! # }
//! ```
//!
//! # Until when a place is taken
//!
//! tower lets go of a response when it is returned, so a place in the bulkhead is given back when
//! the answer's head is there. With `http` the body can hold it to its end: `HttpClassifier::holding` puts
//! the [`Permit`](crate::Permit) into it. Elsewhere [`Classify::finish`] may keep it.

mod classify;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod permit_body;
mod service;
mod single;

#[cfg(feature = "http")]
pub use self::http::{Cloned, CopyBody, Empty, HttpClassifier, HttpVerdict};
#[cfg(feature = "http")]
pub use self::permit_body::{KeepPermit, LetGo, PermitBody};
pub use classify::{Classify, Once};
pub use service::{PolicyFuture, PolicyLayer, PolicyService};
pub use single::{breaker, hedge, limit, rate, retry, timeout};
