//! The ports for clients: a list, or one in the old form.
//!
//! Does not know: who listens there. Invariant: there is one at least, and no address twice.

use std::net::SocketAddr;

use super::keys;
use super::raw::RawSettings;
use super::report::{SettingsProblem, SettingsReport};
use super::resolved::Resolved;
use super::types::ListenerSettings;

/// Returns the listeners, and what is shown of them; the old form goes out of `server`, so that what
/// is shown is in the new one.
pub(super) fn listeners(
    written: &RawSettings,
    server: &mut Resolved,
    report: &mut SettingsReport,
) -> (Vec<ListenerSettings>, Vec<Resolved>) {
    let old = server.span(keys::SERVER_LISTEN);
    let address = server.get(keys::SERVER_LISTEN);
    let mut shown = Resolved::new(keys::LISTENER, &[]);
    shown.take_over(keys::LISTENER_ADDRESS, address, (server, keys::SERVER_LISTEN));
    server.remove(keys::SERVER_LISTEN);
    if written.listeners.is_empty() {
        if let Some(span) = old {
            let warning = SettingsProblem::warning("`server.listen` is the old form of a listener");
            let help = format!("[[listener]]\naddress = \"{address}\"");
            report.add(warning.at(span, "").help(help));
        }
        return (vec![ListenerSettings { address }], vec![shown]);
    }
    if let Some(span) = old {
        let title = "`server.listen` says with `[[listener]]` where clients connect";
        let help = format!("take it out, and write\n[[listener]]\naddress = \"{address}\"");
        report.add(SettingsProblem::error(title).at(span, "").help(help));
    }
    let (mut listeners, mut shown) = (Vec::<ListenerSettings>::new(), Vec::<Resolved>::new());
    for section in written.listeners.iter().filter(|section| !section.is_flawed) {
        let resolved = Resolved::new(keys::LISTENER, &[section]);
        let Some(address) = resolved.get(keys::LISTENER_ADDRESS) else { continue };
        let twice = listeners.iter().position(|one| is_shared(one.address, address));
        if let Some(first) = twice {
            let other = listeners[first].address;
            let title = format!("two listeners share an address: {other} and {address}");
            let spans = [&shown[first], &resolved].map(|one| one.span(keys::LISTENER_ADDRESS));
            let spans = spans.into_iter().flatten();
            report.add(
                spans.fold(SettingsProblem::error(title), |problem, span| problem.at(span, "")),
            );
        }
        listeners.push(ListenerSettings { address });
        shown.push(resolved);
    }
    (listeners, shown)
}

/// Returns whether two addresses cannot both be listened on: `0.0.0.0` means every address of IPv4,
/// `[::]` of both families.
pub(super) fn is_shared(one: SocketAddr, other: SocketAddr) -> bool {
    let is_in = |wide: SocketAddr, one: SocketAddr| {
        wide.ip().is_unspecified() && (wide.is_ipv6() || one.is_ipv4())
    };
    let has_one_port = one.port() == other.port() && one.port() != 0;
    has_one_port && (one.ip() == other.ip() || is_in(one, other) || is_in(other, one))
}
