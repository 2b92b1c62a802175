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
                let there: Vec<_> =
                    taken_clients.extract_if(.., |socket| is_at(socket, *address)).collect();
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

/// Returns whether a socket is at an address; any port is at port 0.
fn is_at(socket: &TcpListener, wanted: SocketAddr) -> bool {
    socket.local_addr().is_ok_and(|at| {
        at.ip() == wanted.ip() && (wanted.port() == 0 || at.port() == wanted.port())
    })
}
