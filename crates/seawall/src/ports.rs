//! The ports: bound here, taken from the service manager, or taken over from the server that this
//! process replaces.
//!
//! Does not know what is served on them. Invariant: nobody is let in yet.

use std::net::{SocketAddr, TcpListener};

use seawall_admin::{self as admin, Guard, Predecessor, Taken};
use tracing::info;

use crate::accepted::Accepted;
use crate::listen::{self, Given};
use crate::plan::Plan;
use crate::reload::Bound;
use crate::start_error::StartError;

/// The ports, before anybody is let in.
pub(crate) struct Ports {
    /// Where clients connect, each address once.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The sockets of all addresses, in their order; several of each.
    pub(crate) listeners: Vec<TcpListener>,
    /// Where status and metrics are.
    pub(crate) admin_listen: SocketAddr,
    pub(crate) admin: TcpListener,
    pub(crate) guard: Guard,
    /// What a reload must not change.
    pub(crate) bound: Bound,
    /// Whose ports they are until it is told.
    pub(crate) predecessor: Option<Predecessor>,
}

impl Ports {
    /// Binds the ports, or takes them from whoever has bound them.
    pub(crate) fn bind(plan: &Plan, accepted: &Accepted) -> Result<Self, StartError> {
        let settings = &accepted.settings;
        let written = || settings.server.listeners.iter().map(|one| one.address).collect();
        let wanted: Vec<SocketAddr> = plan.listen.map_or_else(written, |listen| vec![listen]);
        let admin_wanted = plan.admin_listen.unwrap_or(settings.admin.listen);
        let take_over = |error: std::io::Error| StartError::TakeOver(error.to_string());
        let given = listen::given().map_err(take_over)?;
        let (is_given, is_admin_given) = (!given.clients.is_empty(), given.admin.is_some());
        let (predecessor, taken) = match predecessor(plan, accepted).map_err(take_over)? {
            Some(Taken { predecessor, clients, admin }) => {
                (Some(predecessor), Given { clients, admin })
            }
            None => (None, Given::default()),
        };
        // Those of another address are left to the old server; it closes them when it ends.
        let mut taken_clients = taken.clients;
        let taken_admin = taken.admin.filter(|socket| is_at(socket, admin_wanted));
        let mut listeners = given.clients;
        if listeners.is_empty() {
            for address in &wanted {
                let there = sockets_of(&mut taken_clients, *address, &wanted);
                listeners.extend(match there.is_empty() {
                    true => listen::bind(*address, plan.workers, "--listen")?,
                    false => there,
                });
            }
        }
        let admin = match given.admin.or(taken_admin) {
            Some(admin) => admin,
            None => listen::bind(admin_wanted, 1, "--admin-listen")?.remove(0),
        };
        let mut addresses = Vec::new();
        for listener in &listeners {
            let address = listener.local_addr()?;
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        let admin_listen = admin.local_addr()?;
        let guarded = if is_admin_given { admin_listen } else { admin_wanted };
        let guard = Guard::new(guarded, settings.admin.token.as_ref())
            .map_err(|why| accepted.refuse(&why))?;
        let bound = Bound {
            listeners: (plan.listen.is_none() && !is_given)
                .then(|| settings.server.listeners.clone()),
            admin: (plan.admin_listen.is_none() && !is_admin_given)
                .then_some(settings.admin.listen),
        };
        Ok(Self { addresses, listeners, admin_listen, admin, guard, bound, predecessor })
    }
}

/// Asks the running server for its sockets, if this process is to replace it.
fn predecessor(plan: &Plan, accepted: &Accepted) -> std::io::Result<Option<Taken>> {
    let file = accepted.watched.source().file().filter(|_| plan.replaces);
    let Some(file) = file else { return Ok(None) };
    let taken = admin::take(&file)?;
    if taken.is_none() {
        info!(event = "host.none_replaced", "no server of these settings runs: this is the first");
    }
    Ok(taken)
}

/// Takes the sockets of an address from those that were handed over. At port 0 they are those of one
/// port that no other listener names.
fn sockets_of(
    taken: &mut Vec<TcpListener>,
    wanted: SocketAddr,
    all: &[SocketAddr],
) -> Vec<TcpListener> {
    let at = |socket: &TcpListener| socket.local_addr().ok();
    let is_free = |at: &SocketAddr| at.ip() == wanted.ip() && !all.contains(at);
    let address = match wanted.port() {
        0 => taken.iter().filter_map(at).find(is_free),
        _ => Some(wanted),
    };
    let Some(address) = address else { return Vec::new() };
    taken.extract_if(.., |socket| at(socket) == Some(address)).collect()
}

/// Returns whether a socket is at an address; any port is at port 0.
fn is_at(socket: &TcpListener, wanted: SocketAddr) -> bool {
    socket.local_addr().is_ok_and(|at| {
        at.ip() == wanted.ip() && (wanted.port() == 0 || at.port() == wanted.port())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_at_any_port_takes_no_socket_of_one_that_names_its_port() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let bind = || TcpListener::bind(any).expect("there is a free port");
        let (named, other, third) = (bind(), bind(), bind());
        let at = |socket: &TcpListener| socket.local_addr().expect("it is bound");
        let (fixed, free) = (at(&named), at(&other));
        let mut taken = vec![named, other, third];
        let all = [any, fixed, any];
        let first = sockets_of(&mut taken, any, &all);
        assert_eq!(first.iter().map(at).collect::<Vec<_>>(), [free]);
        let second = sockets_of(&mut taken, fixed, &all);
        assert_eq!(second.iter().map(at).collect::<Vec<_>>(), [fixed]);
        assert_eq!(sockets_of(&mut taken, any, &all).len(), 1);
        assert!(taken.is_empty());
    }
}
