//! A real PostgreSQL of its own on a free port, gone with its owner; for the benchmark, too.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

/// A running server.
pub(crate) struct Server {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl Server {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data = folder.path().join("data");
        if geteuid().is_root() {
            // It refuses to run as root.
            let own = |path: &Path| Command::new("chown").arg("postgres").arg(path).status();
            assert!(own(folder.path()).unwrap().success(), "there is no user postgres");
        }
        let made = as_postgres("initdb")
            .args(["--no-sync", "--auth=password", "--username=seawall", "--encoding=UTF8"])
            .args(["--locale=C", "--pwfile=/dev/stdin"])
            .arg(&data)
            .stdin(password(folder.path()))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let child = Self::run(&data, port);
        Self { child, folder, port }
    }

    fn run(data: &Path, port: u16) -> Child {
        as_postgres("postgres")
            .arg("-D")
            .arg(data)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="])
            .args(["-c", &format!("port={port}"), "-c", "shared_buffers=16MB"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://seawall:canary@127.0.0.1:{}/postgres", self.port)
    }

    pub(crate) fn stop(&mut self) {
        let id = i32::try_from(self.child.id()).unwrap();
        // Its way to stop at once, with all its children.
        let _already_gone = kill_process(Pid::from_raw(id).unwrap(), Signal::QUIT);
        let _reaped = self.child.wait();
    }
}

impl Server {
    /// Starts it again where it was.
    #[allow(dead_code, reason = "the benchmark stops it once")]
    pub(crate) fn start_again(&mut self) {
        self.child = Self::run(&self.folder.path().join("data"), self.port);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn password(folder: &Path) -> std::fs::File {
    let path = folder.join("password");
    std::fs::write(&path, "canary\n").unwrap();
    std::fs::File::open(path).unwrap()
}

/// Makes a command of the server's, as a user that it takes.
fn as_postgres(program: &str) -> Command {
    let path = binaries().join(program);
    let mut command = match geteuid().is_root() {
        false => Command::new(path),
        true => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(path);
            command
        }
    };
    command.current_dir("/");
    command
}

fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("install postgresql");
    let mut found: Vec<_> = versions.map(|one| one.unwrap().path().join("bin")).collect();
    found.retain(|path| path.join("initdb").exists());
    found.sort();
    found.pop().expect("install postgresql")
}
