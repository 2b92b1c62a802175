//! How many clients may be connected, in all and from one address.
//!
//! Does not know sockets. Invariant: a place is counted for exactly as long as its permit lives.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The count of those who are connected.
#[derive(Default)]
pub struct ConnectionLimit {
    all: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

impl ConnectionLimit {
    /// Returns how many are connected.
    pub fn count(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    fn by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among those who are connected, given back when dropped.
pub(super) struct ConnectionPermit {
    limit: Arc<ConnectionLimit>,
    /// The address it was counted under, if addresses are counted at all.
    address: Option<IpAddr>,
}

impl ConnectionPermit {
    /// Takes a place, unless `max` are taken, or `per_address_max` from this address.
    pub(super) fn take(
        limit: &Arc<ConnectionLimit>,
        address: IpAddr,
        max: usize,
        per_address_max: usize,
    ) -> Option<Self> {
        let mut permit = Self { limit: Arc::clone(limit), address: None };
        // From here on the permit is counted; dropping it takes that back.
        if limit.all.fetch_add(1, Ordering::Relaxed) >= max {
            return None;
        }
        if per_address_max < max {
            let mut by_address = limit.by_address();
            let count = by_address.entry(address).or_insert(0);
            if *count >= per_address_max {
                return None;
            }
            *count += 1;
            permit.address = Some(address);
        }
        Some(permit)
    }
}

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        let limit = &self.limit;
        limit.all.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address {
            let mut by_address = limit.by_address();
            if let Some(count) = by_address.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    by_address.remove(&address);
                }
            }
        }
    }
}
