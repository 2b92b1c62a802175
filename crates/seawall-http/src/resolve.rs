//! What names stand for: the seam behind which they are looked up.
//!
//! Does not know: who asks, or when again.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;

/// Looks names up.
pub trait Resolve: Send + Sync + 'static {
    /// Returns the addresses of a name, each with the port.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses the answer and nothing else.
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a>;
}

/// The future of [`Resolve::resolve`].
pub type Resolving<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Looks names up as the operating system does (`/etc/hosts`, DNS).
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> Resolving<'a> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}
