//! WebSockets through the binary: Node's own client, and a server on Node's `upgrade` event.

use crate::fixture::{Seawall, node, node_server};

/// Without an argument a server that echoes each short text; with one, a thousand clients that are
/// open at once.
const SCRIPT: &str = "
    const http = require('http'), crypto = require('crypto');
    const MAGIC = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
    if (!process.argv[1]) {
        const server = http.createServer();
        server.on('upgrade', (request, socket) => {
            const key = request.headers['sec-websocket-key'];
            const accept = crypto.createHash('sha1').update(key + MAGIC).digest('base64');
            socket.write('HTTP/1.1 101 Switching Protocols\\r\\nUpgrade: websocket\\r\\n'
                + 'Connection: Upgrade\\r\\nSec-WebSocket-Accept: ' + accept + '\\r\\n\\r\\n');
            let held = Buffer.alloc(0);
            socket.on('error', () => {});
            socket.on('data', (bytes) => {
                held = Buffer.concat([held, bytes]);
                while (held.length >= 6 && held.length >= 6 + (held[1] & 127)) {
                    const length = held[1] & 127, mask = held.subarray(2, 6);
                    const text = held.subarray(6, 6 + length).map((byte, at) => byte ^ mask[at % 4]);
                    socket.write(Buffer.concat([Buffer.from([held[0], length]), text]));
                    held = held.subarray(6 + length);
                }
            });
        });
        server.listen(0, '127.0.0.1', () => console.log(server.address().port));
    } else {
        const open = (number) => new Promise((done) => {
            const client = new WebSocket(process.argv[1]);
            client.onerror = (error) => { console.log('error', error.message); process.exit(1); };
            client.onopen = () => client.send('hello ' + number);
            client.onmessage = (message) => {
                if (message.data !== 'hello ' + number) throw message.data;
                done(client);
            };
        });
        (async () => {
            const clients = [];
            // Fifty handshakes at a time: a thousand would be an overload, and refused as one.
            while (clients.length < 1000) {
                const numbers = Array.from({ length: 50 }, (_, number) => clients.length + number);
                clients.push(...await Promise.all(numbers.map(open)));
            }
            console.log(clients.filter((client) => client.readyState === 1).length);
            process.exit();
        })();
    }";

#[tokio::test]
async fn a_thousand_websockets_of_node_are_open_at_once_through_the_standard_policy() {
    let (_server, port) = node_server(SCRIPT, &[]).await;
    let seawall = Seawall::start(&format!(
        "[server.limits]\nconnections_per_address = 2000\n\
         [upstream.node]\nurl = \"http://127.0.0.1:{port}\"\n\
         [[route]]\nmatch = \"GET /\"\nupstream = \"node\"\n"
    ))
    .await;
    let client = node(SCRIPT, &[&format!("ws://{}/", seawall.address)]);
    let output = client.wait_with_output().await.unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1000\n");
}
