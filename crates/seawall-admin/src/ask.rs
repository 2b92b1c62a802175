//! Asks a running server of the same user, as `seawall reload` does.
//!
//! Does not know the settings. The token goes to a loopback or configured address only.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use seawall_core::Secret;
use serde_json::Value;
use thiserror::Error;

use super::runtime_file;

/// The server that is asked.
pub struct RunningServer {
    /// Its admin address.
    pub admin: SocketAddr,
    /// The token of the settings.
    pub token: Option<Secret>,
    /// The file that it must serve; `None` if any server there is meant.
    pub file: Option<PathBuf>,
}

/// Why a running server cannot be asked.
#[derive(Debug, Error)]
pub enum CannotAsk {
    /// Nobody listens there.
    #[error("no running server at {admin}: {source}")]
    NoServer {
        /// The admin address.
        admin: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is no token to show.
    #[error("no token for the server at {admin}: {why}")]
    NoToken {
        /// The admin address.
        admin: SocketAddr,
        /// Why.
        why: String,
    },
    /// It serves other settings.
    #[error("the server at {admin} serves {serves}, not {wanted}")]
    Another {
        /// The admin address.
        admin: SocketAddr,
        /// What it serves.
        serves: String,
        /// What it was to serve.
        wanted: String,
    },
    /// It answered something else than a Seawall does.
    #[error("the server at {admin} answered {status}: {text}")]
    Odd {
        /// The admin address.
        admin: SocketAddr,
        /// The status.
        status: u16,
        /// What it said, cut.
        text: String,
    },
}

/// What a running server answered.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerAnswer {
    /// Whether it did what it was asked for.
    pub is_done: bool,
    /// What it said.
    pub document: Value,
}

/// Returns the admin address of the running server that serves a settings file.
pub fn find(file: &Path) -> Option<SocketAddr> {
    runtime_file::find(file).map(|there| there.admin)
}

/// Asks a server to do something: `POST /reload`, with a document or none.
///
/// # Errors
///
/// Fails if there is no server, none that lets us, or one that serves another file.
pub fn ask(
    server: &RunningServer,
    what: &str,
    document: Option<&Value>,
) -> Result<ServerAnswer, CannotAsk> {
    let admin = server.admin;
    let another = |serves: String| {
        let wanted = server.file.as_deref().unwrap_or(Path::new("")).display().to_string();
        CannotAsk::Another { admin, serves, wanted }
    };
    // What a server of this machine wrote down says nothing of one elsewhere.
    let written = match admin.ip().is_loopback() {
        true => runtime_file::read(admin.port()),
        false => Err(io::Error::other("it is not on this machine")),
    };
    if let (Ok(there), Some(wanted)) = (&written, &server.file)
        && there.is_alive()
        && !there.serves(wanted)
    {
        // Before it is shown a token that is not its own.
        return Err(another(there.name()));
    }
    let token = match (&written, &server.token) {
        (Ok(there), _) if there.token.is_some() => there.token.clone(),
        (_, Some(token)) => Some(token.expose().to_owned()),
        _ => None,
    };
    let no_server = |source| CannotAsk::NoServer { admin, source };
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE).map_err(no_server)?;
    let Some(token) = token else {
        let why = match written {
            Ok(_) => "it has its own: say admin.token in the settings".to_owned(),
            Err(error) => error.to_string(),
        };
        return Err(CannotAsk::NoToken { admin, why });
    };
    let body = document.map(Value::to_string).unwrap_or_default();
    // As JSON, a path is one line whatever is in it.
    let file = server.file.as_ref().and_then(|file| serde_json::to_string(file).ok());
    let file = file.map_or_else(String::new, |file| format!("{SETTINGS_HEADER}: {file}\r\n"));
    let request = format!(
        "{what} HTTP/1.1\r\nhost: {admin}\r\nauthorization: Bearer {token}\r\n{file}\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let answer = exchange(&mut stream, &request).map_err(no_server)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    match (status, serde_json::from_str::<Value>(body)) {
        (200, Ok(document)) => Ok(ServerAnswer { is_done: true, document }),
        (422, Ok(document)) => Ok(ServerAnswer { is_done: false, document }),
        (409, Ok(document)) if document["serves"].is_string() => {
            Err(another(document["serves"].as_str().unwrap_or_default().to_owned()))
        }
        _ => {
            let text = body.chars().take(200).collect::<String>().escape_debug().to_string();
            Err(CannotAsk::Odd { admin, status, text })
        }
    }
}

fn exchange(stream: &mut TcpStream, request: &str) -> io::Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Names the file that the server must serve.
pub(super) const SETTINGS_HEADER: &str = "seawall-settings";
/// Longer than the server's own limit for a reload.
const PATIENCE: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;
