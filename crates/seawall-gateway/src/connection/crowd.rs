//! Who is connected: how many in all, and from each address.
//!
//! Does not know sockets. Invariant: a place is counted for exactly as long as its seat lives.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Limits;

/// Counts who is connected.
#[derive(Default)]
pub(crate) struct Crowd {
    all: AtomicUsize,
    by_address: Mutex<HashMap<IpAddr, usize>>,
}

impl Crowd {
    /// Returns how many are connected.
    pub(crate) fn len(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    fn by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.by_address.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place among the connected; taken when a client is welcomed, given back when dropped.
pub(crate) struct Seat {
    crowd: Arc<Crowd>,
    /// The address it was counted under, if addresses are counted at all.
    address: Option<IpAddr>,
}

impl Seat {
    /// Takes a place, unless too many are connected.
    pub(crate) fn take(crowd: &Arc<Crowd>, address: IpAddr, limits: &Limits) -> Option<Self> {
        let mut seat = Self { crowd: Arc::clone(crowd), address: None };
        // From here on the seat is counted; dropping it takes that back.
        if crowd.all.fetch_add(1, Ordering::Relaxed) >= limits.connections_max {
            return None;
        }
        if limits.connections_per_address_max < limits.connections_max {
            let mut by_address = crowd.by_address();
            let count = by_address.entry(address).or_insert(0);
            if *count >= limits.connections_per_address_max {
                return None;
            }
            *count += 1;
            seat.address = Some(address);
        }
        Some(seat)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let crowd = &self.crowd;
        crowd.all.fetch_sub(1, Ordering::Relaxed);
        if let Some(address) = self.address {
            let mut by_address = crowd.by_address();
            if let Some(count) = by_address.get_mut(&address) {
                *count -= 1;
                if *count == 0 {
                    by_address.remove(&address);
                }
            }
        }
    }
}
