//! HTTP/2 through the binary, with Node's client in front and Node's server behind.

use crate::fixture::{Seawall, node, node_server};

/// Without an argument a server that says early what it will do, sends back what it is sent, and says
/// in its trailers what that was; with one, clients that check it, and take some of it back.
const SCRIPT: &str = "
    const http2 = require('http2'), { createHash, randomBytes } = require('crypto');
    if (!process.argv[1]) {
        const server = http2.createServer({ settings: { maxConcurrentStreams: 50 } });
        server.on('stream', (stream, headers) => {
            const hash = createHash('sha256');
            stream.on('error', () => {});
            stream.additionalHeaders({ ':status': 103, 'link': '</a.css>' });
            stream.respond({ ':status': 200 }, { waitForTrailers: true });
            stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': hash.digest('hex') }));
            stream.on('data', (piece) => hash.update(piece));
            stream.pipe(stream);
        });
        server.listen(0, '127.0.0.1', () => console.log(server.address().port));
    } else {
        const one = (session, number) => new Promise((done, fail) => {
            const body = randomBytes([0, 1, 16384, 70000, 300000][number % 5] + number);
            const stream = session.request({ ':method': 'POST', ':path': '/echo/' + number });
            const sum = createHash('sha256').update(body).digest('hex');
            const got = createHash('sha256');
            let hints = 0, trailers = {};
            stream.on('headers', () => hints += 1);
            stream.on('response', (headers) => {
                if (headers[':status'] !== 200) fail(number + ': ' + headers[':status']);
            });
            stream.on('trailers', (headers) => trailers = headers);
            stream.on('data', (piece) => got.update(piece));
            stream.on('error', (error) => fail(number + ': ' + error.message));
            stream.on('end', () => {
                const all = [hints, got.digest('hex') === sum, trailers['x-sum'] === sum];
                if (all.join() === '1,true,true') done(1); else fail(number + ': ' + all);
            });
            // One in eight takes it back in the middle.
            if (number % 8 === 7) {
                stream.write(body);
                setTimeout(() => { stream.close(http2.constants.NGHTTP2_CANCEL); done(0); }, 5);
            } else stream.end(body);
        });
        (async () => {
            const sessions = [1, 2, 3, 4].map(() => http2.connect(process.argv[1]));
            let whole = 0;
            for (let round = 0; round < 5; round += 1) {
                const numbers = Array.from({ length: 100 }, (_, place) => 100 * round + place);
                const asked = numbers.map((number) => one(sessions[number % 4], number));
                whole += (await Promise.all(asked)).reduce((sum, each) => sum + each, 0);
            }
            console.log(whole);
            sessions.forEach((session) => session.close());
        })().catch((error) => { console.log(error); process.exit(1); });
    }";

#[tokio::test]
async fn uploads_come_back_whole_over_shared_connections_while_others_are_taken_back() {
    let (_server, port, _said) = node_server(SCRIPT, &[]).await;
    let seawall = Seawall::start(&format!(
        "[upstream.node]\nurl = \"http://127.0.0.1:{port}\"\nhttp2 = true\n\
         [[route]]\nmatch = \"POST /{{*rest}}\"\nupstream = \"node\"\n"
    ))
    .await;
    let client = node(SCRIPT, &[&format!("http://{}", seawall.address)]);
    let output = client.wait_with_output().await.unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let taken_back = (0..500).filter(|number| number % 8 == 7).count();
    assert_eq!(told, format!("{}\n", 500 - taken_back));
    for _ in 0..100 {
        if seawall.metric("seawall_gateway_requests_in_flight", &[]).await < 0.5 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("something is still in flight");
}
