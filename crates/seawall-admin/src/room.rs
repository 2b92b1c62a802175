//! Who is connected to the admin port, and who goes when there is no room for the next.
//!
//! Does not know sockets. Invariant: whoever comes gets a place. It is made by whoever has asked
//! nothing for longest, at the address that has most, and first by those who have had an answer: a
//! client that comes is heard before it has to go.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The places of the admin port.
pub(super) struct Room {
    places: usize,
    connected: Mutex<Connected>,
}

#[derive(Default)]
struct Connected {
    clients: Vec<Client>,
    next: u64,
}

struct Client {
    number: u64,
    address: IpAddr,
    /// Since when it has asked nothing; `None` while it is being answered.
    idle_since: Option<Instant>,
    /// Whether it has asked anything yet.
    has_asked: bool,
    leave: CancellationToken,
}

/// A place; given back when dropped.
pub(super) struct Place {
    room: Arc<Room>,
    number: u64,
    leave: CancellationToken,
}

/// Marks a place as in use until it is dropped.
pub(super) struct Busy<'a>(&'a Place);

impl Room {
    pub(super) fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { places, connected: Mutex::default() })
    }

    /// Takes a client in; if there is no room, another one is told to leave.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Place {
        let mut connected = self.lock();
        if connected.clients.len() >= self.places
            && let Some(first) = connected.first_to_go()
        {
            connected.clients.swap_remove(first).leave.cancel();
        }
        let (number, leave) = (connected.next, CancellationToken::new());
        connected.next += 1;
        let idle_since = Some(Instant::now());
        connected.clients.push(Client {
            number,
            address,
            idle_since,
            has_asked: false,
            leave: leave.clone(),
        });
        drop(connected);
        Place { room: Arc::clone(self), number, leave }
    }

    fn lock(&self) -> MutexGuard<'_, Connected> {
        // Nothing panics under this lock.
        self.connected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connected {
    /// Returns who goes first: one that is idle, of the address with most, idle for longest.
    fn first_to_go(&self) -> Option<usize> {
        let mut counts = HashMap::new();
        for client in &self.clients {
            *counts.entry(client.address).or_insert(0_usize) += 1;
        }
        let rank = |client: &Client| {
            let count = counts.get(&client.address).copied().unwrap_or(0);
            let is_busy = client.idle_since.is_none();
            (is_busy, Reverse(count), !client.has_asked, client.idle_since, client.number)
        };
        (0..self.clients.len()).min_by_key(|&index| rank(&self.clients[index]))
    }
}

impl Place {
    /// Is ready once the place is needed for somebody else.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost.
    pub(super) async fn is_needed(&self) {
        self.leave.cancelled().await;
    }

    /// Says that a request is being answered.
    pub(super) fn busy(&self) -> Busy<'_> {
        self.idle_since(None);
        Busy(self)
    }

    fn idle_since(&self, since: Option<Instant>) {
        let mut connected = self.room.lock();
        if let Some(client) = connected.clients.iter_mut().find(|one| one.number == self.number) {
            client.idle_since = since;
            client.has_asked = true;
        }
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.idle_since(Some(Instant::now()));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.lock().clients.retain(|client| client.number != self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 2));

    fn has_to_go(place: &Place) -> bool {
        place.leave.is_cancelled()
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_idle_goes_first_and_who_is_being_answered_last() {
        let room = Room::new(3);
        let mut places = Vec::new();
        for _ in 0..3 {
            places.push(room.enter(ONE));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let busy = places[0].busy();
        let _fourth = room.enter(ONE);
        let gone: Vec<_> = places.iter().map(has_to_go).collect();
        assert_eq!(gone, [false, true, false]);
        drop(busy);
        let _fifth = room.enter(ONE);
        assert!(has_to_go(&places[0]) && !has_to_go(&places[2]), "it has had its answer");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_not_asked_yet_stays_while_others_have_had_their_answers() {
        let room = Room::new(3);
        let asked: Vec<_> = (0..2).map(|_| room.enter(ONE)).collect();
        asked.iter().for_each(|place| drop(place.busy()));
        let probe = room.enter(ONE);
        tokio::time::advance(Duration::from_secs(1)).await;
        let _later: Vec<_> = (0..2).map(|_| room.enter(ONE)).collect();
        assert!(!has_to_go(&probe) && asked.iter().all(has_to_go));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_has_most_makes_room_for_the_others() {
        let room = Room::new(3);
        let alone = room.enter(OTHER);
        tokio::time::advance(Duration::from_secs(1)).await;
        let many: Vec<_> = (0..10).map(|_| room.enter(ONE)).collect();
        assert!(!has_to_go(&alone));
        assert_eq!(many.iter().filter(|place| !has_to_go(place)).count(), 2);
    }

    #[test]
    fn a_place_that_is_given_back_is_free() {
        let room = Room::new(1);
        drop(room.enter(ONE));
        let first = room.enter(ONE);
        assert!(!has_to_go(&first) && room.lock().clients.len() == 1);
    }
}
