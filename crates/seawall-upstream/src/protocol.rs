//! What kinds of upstreams differ in: how an attempt is made, and what its result means.
//!
//! Does not know: policies' state, HTTP.

use seawall_core::{Attempt, Fault, Judge};
use seawall_policy::Params;

/// A way to ask a service: HTTP, SQL, or another one's own.
///
/// It owns its connections, and decides how they are shared: per runtime where a connection costs
/// the service little, one pool for the process where it costs much (a database). What an attempt
/// that is given up must still do, it hands to [`Cancellations`](crate::Cancellations).
pub trait Protocol: Send + Sync + 'static {
    /// What is asked, as often as the policy says: each attempt gets the same.
    type Request: Send + Sync;
    /// What is answered; its body may still be on its way.
    type Response: Send;
    /// Says what a result means for the policy.
    type Judge<'a>: Judge<Self::Response, Fault> + Send + Sync;

    /// Returns who judges the attempts of a request.
    fn judge<'a>(&self, request: &'a Self::Request, params: &'a Params) -> Self::Judge<'a>;

    /// Makes one attempt; its deadline is the caller's business.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the attempt up, and whatever it held.
    fn attempt(
        &self,
        request: &Self::Request,
        attempt: Attempt,
        params: &Params,
    ) -> impl Future<Output = Result<Self::Response, Fault>> + Send;
}
