//! The caller that a request is for, and how much it matters: what its policy asks about it.
//!
//! Does not know routes' names or policies' numbers. Invariant: what a peer says about itself or
//! others counts only if the peer is trusted, except where a lie hurts nobody but the liar.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};

use http::HeaderName;
use ipnet::IpNet;
use seawall_call::Context;
use seawall_core::{CallId, CancelCell, Deadline, Priority};
use seawall_policy::bulkhead::ClientId;
use seawall_wire::headers::{forwarded, is_trusted};
use seawall_wire::{Fields, Name, Value, name};
use tokio::time::Instant;

use crate::request::claims::claim;

/// Where a route's priority comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrioritySource {
    /// It is the same for all requests.
    Fixed(Priority),
    /// A header says it, in a word or a number (`high`, `1`), if a trusted proxy sent the request;
    /// without one it is normal.
    Header(HeaderName),
    /// A claim of the bearer's token says it, if a trusted proxy sent the request: the proxy has
    /// checked the token, and we do not.
    Claim(Arc<str>),
}

/// What tells callers apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeySource {
    /// Nothing.
    #[default]
    None,
    /// The client's address: that of the peer, or what a trusted proxy says. An IPv6 address
    /// stands for its /64, of which one client has all.
    Client,
    /// A header, such as an API key. Clients that send none are one caller.
    Header(HeaderName),
    /// A claim of the bearer's token, such as `sub`, if a trusted proxy sent the request. Requests
    /// without one are one caller.
    Claim(Arc<str>),
}

impl Default for PrioritySource {
    fn default() -> Self {
        Self::Fixed(Priority::default())
    }
}

/// The caller of a request, as far as a policy asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) priority: Priority,
    pub(crate) key: Option<u64>,
    pub(crate) caller_attempt: u32,
    /// Whose places its attempts take.
    pub(crate) client: ClientId,
}

impl Caller {
    /// Reads it from a request's headers as they came.
    pub(crate) fn read(
        priority: &PrioritySource,
        key: &KeySource,
        headers: &Fields,
        peer: IpAddr,
        trusted: &[IpNet],
    ) -> Self {
        let priority = match priority {
            PrioritySource::Fixed(priority) => *priority,
            PrioritySource::Header(name) if is_trusted(trusted, peer) => {
                headers.get(name).and_then(header_priority).unwrap_or_default()
            }
            PrioritySource::Claim(name) if is_trusted(trusted, peer) => {
                claim(headers, name).and_then(|said| read_priority(&said)).unwrap_or_default()
            }
            PrioritySource::Header(_) | PrioritySource::Claim(_) => Priority::default(),
        };
        let address = hash(&network(client(headers, peer, trusted)));
        let key = match key {
            KeySource::None => None,
            KeySource::Client => Some(address),
            KeySource::Header(name) => headers.get(name).map(|value| hash(value.as_bytes())),
            KeySource::Claim(name) if is_trusted(trusted, peer) => {
                claim(headers, name).map(|said| hash(said.as_bytes()))
            }
            KeySource::Claim(_) => None,
        };
        // Believed from anyone: whoever lies gets fewer retries.
        let caller_attempt = ATTEMPTS
            .iter()
            .find_map(|name| headers.get(*name)?.to_str()?.parse().ok())
            .unwrap_or(1);
        Self { priority, key, caller_attempt, client: ClientId::of(address) }
    }

    /// Returns what its call brings with it.
    pub(crate) fn context(
        self,
        call: CallId,
        deadline: Option<Instant>,
        cancel: &CancelCell,
    ) -> Context<'_> {
        let Self { priority, key, caller_attempt, client } = self;
        let (call, deadline) = (Some(call), deadline.map(|at| Deadline::at(at.into_std())));
        Context { call, deadline, priority, key, caller_attempt, client, ..Context::new(cancel) }
    }
}

fn header_priority(value: Value<'_>) -> Option<Priority> {
    read_priority(value.to_str()?)
}

fn read_priority(text: &str) -> Option<Priority> {
    let text = text.trim();
    let named = Priority::ALL.into_iter().find(|priority| priority.as_str() == text);
    named.or_else(|| Priority::from_number(text.parse().ok()?))
}

/// Returns the address of the client: the last one that a trusted proxy has seen.
pub(crate) fn client(headers: &Fields, peer: IpAddr, trusted: &[IpNet]) -> IpAddr {
    if !is_trusted(trusted, peer) {
        return peer.to_canonical();
    }
    let mut client = peer;
    if !is_trusted(trusted, client) {
        return client.to_canonical();
    }
    let chain = headers.get_all(name::X_FORWARDED_FOR).filter_map(Value::to_str);
    let mut hops: Vec<&str> = chain.flat_map(|text| text.split(',')).collect();
    if hops.is_empty() {
        hops = forwarded(headers, "for").collect();
    }
    for hop in hops.iter().rev() {
        let Some(address) = address(hop.trim()) else { break };
        client = address;
        if !is_trusted(trusted, client) {
            break;
        }
    }
    client.to_canonical()
}

/// Reads `1.2.3.4`, `::1` or `[::1]`, with or without a port.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = || hop.trim_matches(['[', ']']).parse().ok();
    hop.parse().map(|address: SocketAddr| address.ip()).ok().or_else(bare)
}

/// Returns what stands for one client: the address, or the /64 of an IPv6 address.
fn network(address: IpAddr) -> [u8; 8] {
    let mut network = [0; 8];
    match address {
        IpAddr::V4(address) => network[..4].copy_from_slice(&address.octets()),
        IpAddr::V6(address) => network.copy_from_slice(&address.octets()[..8]),
    }
    network
}

/// Returns the key of the caller with this address, or with this value in the header that tells
/// callers apart. It means something in this process alone.
pub fn key_of(caller: &str) -> u64 {
    match caller.parse::<IpAddr>() {
        Ok(address) => hash(&network(address.to_canonical())),
        Err(_) => hash(caller.as_bytes()),
    }
}

/// Hashes with a seed of this process: nobody outside can choose two callers with one hash.
fn hash(bytes: &[u8]) -> u64 {
    static SEED: OnceLock<RandomState> = OnceLock::new();
    SEED.get_or_init(RandomState::new).hash_one(bytes)
}

/// The header that says how many times a call was tried, and Envoy's.
const ATTEMPTS: [Name<'static>; 2] = [name::SEAWALL_ATTEMPT, name::X_ENVOY_ATTEMPT_COUNT];

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> Fields {
        let mut headers = Fields::default();
        for (name, value) in pairs {
            headers.append(*name, *value);
        }
        headers
    }

    fn read(key: KeySource, pairs: &[(&'static str, &'static str)], peer: &str) -> Caller {
        let priority = PrioritySource::Header(HeaderName::from_static("x-priority"));
        let trusted = ["10.0.0.0/8".parse().expect("it is a network")];
        Caller::read(&priority, &key, &headers(pairs), peer.parse().expect("an address"), &trusted)
    }

    #[test]
    fn a_priority_is_believed_from_trusted_proxies_alone() {
        for (value, wanted) in [
            ("high", Priority::High),
            ("0", Priority::Critical),
            ("3", Priority::Low),
            ("highest", Priority::Normal),
            ("4", Priority::Normal),
        ] {
            assert_eq!(
                read(KeySource::None, &[("x-priority", value)], "10.1.2.3").priority,
                wanted
            );
            let stranger = read(KeySource::None, &[("x-priority", value)], "192.0.2.1");
            assert_eq!(stranger.priority, Priority::Normal);
        }
    }

    #[test]
    fn a_client_is_its_address_and_not_what_it_says_of_itself() {
        let key = |pairs: &[_], peer| read(KeySource::Client, pairs, peer).key;
        let direct = key(&[], "192.0.2.1");
        assert_eq!(key(&[("x-forwarded-for", "198.51.100.7")], "192.0.2.1"), direct);
        assert_eq!(key(&[("x-forwarded-for", "192.0.2.1")], "10.1.2.3"), direct);
        let lied = [("x-forwarded-for", "198.51.100.7, 192.0.2.1, 10.9.9.9")];
        assert_eq!(key(&lied, "10.1.2.3"), direct);
        assert_ne!(key(&[], "192.0.2.2"), direct);
    }

    #[test]
    fn a_client_has_all_addresses_of_its_network() {
        let key = |peer| read(KeySource::Client, &[], peer).key;
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }

    #[test]
    fn a_claim_is_believed_from_trusted_proxies_alone() {
        // {"sub":"ann","prio":"high"}
        let token = "Bearer e30.eyJzdWIiOiJhbm4iLCJwcmlvIjoiaGlnaCJ9.c2ln";
        let caller = |peer: &str| {
            let pairs = [("authorization", token)];
            let trusted = ["10.0.0.0/8".parse().expect("it is a network")];
            let (priority, key) =
                (PrioritySource::Claim("prio".into()), KeySource::Claim("sub".into()));
            let peer = peer.parse().expect("an address");
            Caller::read(&priority, &key, &headers(&pairs), peer, &trusted)
        };
        let vouched = caller("10.1.2.3");
        assert_eq!((vouched.priority, vouched.key), (Priority::High, Some(key_of("ann"))));
        let forged = caller("192.0.2.1");
        assert_eq!((forged.priority, forged.key), (Priority::Normal, None));
    }

    #[test]
    fn a_caller_is_found_by_its_address_or_by_its_header() {
        let client = read(KeySource::Client, &[], "192.0.2.1").key;
        assert_eq!(client, Some(key_of("192.0.2.1")));
        let source = KeySource::Header(HeaderName::from_static("x-api-key"));
        let keyed = read(source, &[("x-api-key", "one")], "192.0.2.1").key;
        assert_eq!(keyed, Some(key_of("one")));
    }

    #[test]
    fn callers_without_the_header_have_no_key() {
        let source = KeySource::Header(HeaderName::from_static("x-api-key"));
        assert_eq!(read(source.clone(), &[], "192.0.2.1").key, None);
        let one = read(source.clone(), &[("x-api-key", "one")], "192.0.2.1").key;
        assert_eq!(read(source.clone(), &[("x-api-key", "one")], "192.0.2.9").key, one);
        assert_ne!(read(source, &[("x-api-key", "two")], "192.0.2.1").key, one);
    }

    #[test]
    fn how_often_a_caller_has_tried_is_read_from_either_header() {
        let attempt = |pairs: &[_]| read(KeySource::None, pairs, "192.0.2.1").caller_attempt;
        assert_eq!(attempt(&[]), 1);
        assert_eq!(attempt(&[("seawall-attempt", "3")]), 3);
        assert_eq!(attempt(&[("x-envoy-attempt-count", "2")]), 2);
        assert_eq!(attempt(&[("seawall-attempt", "many")]), 1);
    }
}
