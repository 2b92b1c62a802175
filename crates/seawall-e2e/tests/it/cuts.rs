//! Bodies that break off between real clients and real servers: Node's HTTP/2 on both sides, and
//! clients that send a POST again if they see nothing of an answer.

use std::time::Duration;

use seawall_testkit::frames::{self, kind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;

use crate::fixture::{Origin, PATIENCE, Seawall, node, node_server};

fn through(url: &str, more: &str) -> String {
    format!(
        "[upstream.origin]\nurl = \"{url}\"\npolicy = \"test\"\n{more}\n\
         [[route]]\nmatch = \"/{{*rest}}\"\nupstream = \"origin\"\n"
    )
}

const PLAIN: &str = "[policy.test]\nretry = \"off\"\nbreaker = \"off\"";

const UPLOAD: &str = "
const client = require('http2').connect(process.argv[1]);
const request = client.request({':method': 'PUT', ':path': '/x'});
request.on('error', () => {});
request.write('hello');
process.stdin.once('data', () => request.destroy());
setTimeout(() => process.exit(), 20000);
";

#[tokio::test]
async fn an_upload_that_node_destroys_is_broken_off_upstream() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seawall = Seawall::start(&through(&url, PLAIN)).await;
    let mut client = node(UPLOAD, &[&format!("http://{}", seawall.address)]);
    let (mut upstream, _) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"\r\nhello\r\n") {
        seen.push(timeout(PATIENCE, upstream.read_u8()).await.unwrap().unwrap());
    }
    client.stdin.as_mut().unwrap().write_all(b"now\n").await.unwrap();

    let mut rest = Vec::new();
    let _reset_or_closed = timeout(PATIENCE, upstream.read_to_end(&mut rest)).await.unwrap();

    assert_eq!(String::from_utf8_lossy(&rest), "", "no last chunk");
    let cancelled = async || {
        seawall.metric("seawall_gateway_requests_ended_total", &["fate=\"cancelled\""]).await
    };
    while cancelled().await < 0.5 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let failed = ["fate=\"failed\""];
    assert!(seawall.metric("seawall_gateway_requests_ended_total", &failed).await < 0.5);
}

const ROWS: &str = "
const length = process.argv[1];
let number = 0;
const server = require('http2').createServer();
server.on('stream', (stream) => {
  number += 1;
  const head = {':status': 200, 'cache-control': 'max-age=600', 'x-number': number};
  if (length) head['content-length'] = length;
  stream.on('error', () => {});
  stream.respond(head);
  stream.write('row 1\\n');
  stream.write('row 2\\n');
  setTimeout(() => stream.destroy(), 50);
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
setTimeout(() => process.exit(), 60000);
";

#[tokio::test]
async fn an_answer_that_node_destroys_is_cut_for_the_client_and_never_kept() {
    for length in ["", "1000"] {
        let (_server, port, _said) = node_server(ROWS, &[length]).await;
        let url = format!("http://127.0.0.1:{port}");
        let settings = format!("http2 = true\n{PLAIN}\ncache = {{}}");
        let seawall = Seawall::start(&through(&url, &settings)).await;
        for number in ["1", "2"] {
            let answer = seawall.get("/x").await;
            assert_eq!(answer.text(), "row 1\nrow 2\n", "length {length:?}");
            assert!(!answer.is_complete, "length {length:?}: a cut answer must not look whole");
            assert_eq!(answer.header("x-number"), Some(number), "it was not kept");
        }
    }
}

const CURL: &str = r#"
for i in 1 2 3 4 5 6 7 8 9 10; do
  curl -s --max-time 20 --noproxy '*' -d x "$1/whole" --next -d x "$1/cut" >/dev/null
done
"#;

const PYTHON: &str = "
import sys, requests
session = requests.Session()
session.trust_env = False
for i in range(10):
    session.post(sys.argv[1] + '/whole', data='x')
    try:
        session.post(sys.argv[1] + '/cut', data='x')
        sys.exit('a cut answer looked whole')
    except requests.exceptions.RequestException:
        pass
";

const FETCH: &str = "
(async () => {
  for (let i = 0; i < 10; i++) {
    await (await fetch(process.argv[1] + '/whole', {method: 'POST', body: 'x'})).text();
    try {
      await (await fetch(process.argv[1] + '/cut', {method: 'POST', body: 'x'})).text();
    } catch { continue; }
    process.exit(1);
  }
})();
";

#[tokio::test]
async fn a_post_whose_answer_is_cut_is_not_sent_again_by_its_client() {
    for cut in
        ["content-length: 100\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"]
    {
        let origin = Origin::start(move |mut exchange| async move {
            if exchange.target() == "/whole" {
                return exchange.answer(200, "whole").await;
            }
            // All at once: what is cut is on its way together with the cut.
            exchange.send(format!("HTTP/1.1 200 OK\r\n{cut}").as_bytes()).await;
            None
        });
        let seawall = Seawall::start(&through(&origin.url(), PLAIN)).await;
        let url = format!("http://{}", seawall.address);
        for (program, option, script) in
            [("bash", "-c", CURL), ("python3", "-c", PYTHON), ("node", "-e", FETCH)]
        {
            let before = origin.seen.requests();
            let mut command = Command::new(program);
            command.args([option, script]);
            if program == "bash" {
                command.arg("bash");
            }
            command.arg(&url).env("no_proxy", "127.0.0.1");
            let output = timeout(PATIENCE, command.output()).await.unwrap().unwrap();
            assert!(program == "bash" || output.status.success(), "{program}: {output:?}");
            assert_eq!(origin.seen.requests() - before, 20, "{program}, {cut:?}");
        }
    }
}

#[tokio::test]
async fn b8_a_hundred_abusive_connections_are_cut_and_write_no_line() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&through(&origin.url(), PLAIN)).await;
    let floods = [
        // Acknowledgements of nothing, of which h2 complains one by one.
        frames::frame(kind::PING, frames::ACK, 0, &[0; 8]),
        // Streams that are taken back before they are looked at.
        [frames::request(1, false, "GET", "/x", &[]), frames::reset(1, 8)].concat(),
    ];
    for number in 0..100_u32 {
        let mut client = TcpStream::connect(seawall.address).await.unwrap();
        let mut bytes = [frames::PREFACE, &frames::settings(&[])].concat();
        for step in 0..2000_u32 {
            match number % 2 {
                0 => bytes.extend(&floods[0]),
                _ => {
                    let stream = 1 + 2 * step;
                    bytes.extend(frames::request(stream, false, "GET", "/x", &[]));
                    bytes.extend(frames::reset(stream, 8));
                }
            }
        }
        let _may_be_cut = client.write_all(&bytes).await;
        let mut rest = Vec::new();
        let ended = timeout(PATIENCE, client.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "connection {number} is still open");
    }
    let said = seawall.log();
    assert!(!said.contains("h2::") && !said.contains("hyper::"), "{said}");
    assert_eq!(seawall.get("/x").await.text(), "ok");
}
