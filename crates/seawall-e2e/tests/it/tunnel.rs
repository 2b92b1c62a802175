//! WebSockets through the binary: the `ws` library on both sides, and a browser.

use std::process::Stdio;

use tokio::process::Command;
use tokio::time::timeout;

use crate::fixture::{PATIENCE, Seawall, node, node_server};

/// Without an argument a server that echoes what it is sent, has a page that does so too, and says
/// what that page tells it; with one, a thousand clients that are open at once.
const SCRIPT: &str = "
    const http = require('http'), { WebSocket, WebSocketServer } = require('ws');
    const page = `<script>
        let told = Promise.resolve();
        const tell = (what) => told = told.then(() => fetch('/tell?' + encodeURIComponent(what)));
        const socket = new WebSocket('ws://' + location.host + '/echo', 'chat');
        const long = 'x'.repeat(70000);
        socket.onopen = () => { socket.send('hello'); socket.send(long); };
        socket.onmessage = ({ data }) => {
            if (data === 'hello') tell('echoed ' + data + ' as ' + socket.protocol);
            else { tell('echoed ' + (data === long)); socket.close(4321, 'enough'); }
        };
        socket.onclose = ({ code, wasClean }) => tell('closed ' + code + ' ' + wasClean);
    </script>`;
    if (!process.argv[1]) {
        const server = http.createServer((request, answer) => {
            const [path, told] = request.url.split('?');
            if (path === '/tell') console.log(decodeURIComponent(told));
            answer.setHeader('content-type', 'text/html');
            answer.end(path === '/' ? page : '');
        });
        new WebSocketServer({ server }).on('connection', (socket) => {
            socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
        });
        server.listen(0, '127.0.0.1', () => console.log(server.address().port));
    } else {
        const open = (number) => new Promise((done) => {
            const client = new WebSocket(process.argv[1]);
            client.on('error', (error) => { console.log(error.message); process.exit(1); });
            client.on('open', () => client.send('hello ' + number));
            client.on('message', (data) => {
                if (data.toString() !== 'hello ' + number) throw data;
                done(client);
            });
        });
        (async () => {
            const clients = [];
            // Fifty handshakes at a time: a thousand would be an overload, and refused as one.
            while (clients.length < 1000) {
                const numbers = Array.from({ length: 50 }, (_, number) => clients.length + number);
                clients.push(...await Promise.all(numbers.map(open)));
            }
            console.log(clients.filter((client) => client.readyState === WebSocket.OPEN).length);
            process.exit();
        })();
    }";

async fn before(port: u16) -> Seawall {
    Seawall::start(&format!(
        "[server.limits]\nconnections_per_address = 2000\n\
         [upstream.node]\nurl = \"http://127.0.0.1:{port}\"\n\
         [[route]]\nmatch = \"GET /{{*rest}}\"\nupstream = \"node\"\n\
         upstream_host = \"keep\"\n"
    ))
    .await
}

#[tokio::test]
async fn a_thousand_websockets_are_open_at_once_through_the_standard_policy() {
    let (_server, port, _said) = node_server(SCRIPT, &[]).await;
    let seawall = before(port).await;
    let client = node(SCRIPT, &[&format!("ws://{}/", seawall.address)]);
    let output = client.wait_with_output().await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1000\n");
}

#[tokio::test]
async fn a_page_in_a_browser_talks_over_a_websocket_and_ends_it_in_order() {
    let (mut server, port, mut said) = node_server(SCRIPT, &[]).await;
    let seawall = before(port).await;
    let profile = tempfile::tempdir().unwrap();
    // As root there is no sandbox; the rest keeps it from asking its maker for anything.
    let mut browser = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-dev-shm-usage", "--remote-debugging-port=0"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("http://{}/", seawall.address))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    for told in ["echoed hello as chat", "echoed true", "closed 4321 true"] {
        let line = timeout(2 * PATIENCE, said.next_line()).await;
        assert_eq!(line.unwrap().unwrap().as_deref(), Some(told));
    }
    browser.kill().await.unwrap();
    server.kill().await.unwrap();
}
