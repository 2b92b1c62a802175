//! An address to listen on, as it is written.
//!
//! Does not know: who listens there. Names are not looked up.

use std::net::{IpAddr, SocketAddr};

use super::refused::Refused;

/// Reads an address to listen on; what it refuses says what to write.
pub(super) fn address(text: &str) -> Result<SocketAddr, Refused> {
    let written = text.trim();
    let bare = written.strip_prefix("http://").unwrap_or(written).trim_end_matches('/');
    if let Ok(address) = written.parse() {
        return Ok(address);
    }
    let refused =
        |why: &str, help: String| Err(Refused { why: why.into(), span: None, help: Some(help) });
    let either = |port: u16| {
        format!("\"127.0.0.1:{port}\" for this machine only, \"0.0.0.0:{port}\" for everyone")
    };
    match bare.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => return refused("has no port", format!("\"{ip}:8080\"")),
        Ok(IpAddr::V6(ip)) => return refused("has no port", format!("\"[{ip}]:8080\"")),
        Err(_) => {}
    }
    let (host, port) = bare.rsplit_once(':').unwrap_or((bare, ""));
    match (host, port.parse::<u16>()) {
        ("localhost", Ok(port)) if bare == written => Ok(SocketAddr::from(([127, 0, 0, 1], port))),
        ("" | "*", Ok(port)) => refused("has no host", either(port)),
        (_, Ok(_)) if bare.parse::<SocketAddr>().is_ok() => {
            refused("is an address without `http://`", format!("\"{bare}\""))
        }
        (_, Ok(port)) => {
            refused("wants an address: names are not looked up to listen on", either(port))
        }
        (_, Err(_)) => match bare.parse::<u16>() {
            Ok(port) => refused("has no host", either(port)),
            Err(_) => refused("is not an address with a port", either(8080)),
        },
    }
}
