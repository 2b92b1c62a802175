//! How many instructions an HTTP/2 server runs for a request, beside the peers, and the gate.
//!
//! Three servers answer the same bytes with a kilobyte that is here: the `h2` crate by itself, hyper
//! on top of it, and ours. Each runs under Valgrind's callgrind twice: the difference of the two is
//! what the further requests cost. The client is this process; it keeps eight streams open on one
//! connection, and its heads stand in the server's table after the first, as a browser's do.
//!
//! `cargo bench -p seawall-bench --bench http2`

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use seawall_http::Tcp;
use seawall_http::server::{
    ClientLimits, ConnectionState, ConnectionTimer, DrainPhase, serve_http2,
};
use seawall_http::{Body, Response};
use tokio::net::TcpListener;

/// Ours may run so much of what the `h2` crate runs. Measured: 0.55 (10,430 of 19,114; hyper 24,260).
const MOST_OF_H2: f64 = 0.6;
const REQUESTS: u32 = 4_000;
const STREAMS: u32 = 8;
static BODY: [u8; 1024] = [b'x'; 1024];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, which] = &arguments[..]
        && word == "serve"
    {
        serve(which);
        return ExitCode::SUCCESS;
    }
    println!("instructions of an answer of 1 KiB over HTTP/2, without a gateway:");
    let each = ["h2", "hyper", "seawall"].map(|which| {
        let further = count(which, 2 * REQUESTS) - count(which, REQUESTS);
        let each = further as f64 / f64::from(REQUESTS);
        println!("  {which:<10}{each:>8.0}");
        each
    });
    let [h2, _, ours] = each;
    println!("  seawall to h2: {:.2}", ours / h2);
    if ours > MOST_OF_H2 * h2 {
        eprintln!("more than {MOST_OF_H2} of what h2 runs");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Returns how many instructions a server runs that answers so many requests.
fn count(which: &str, requests: u32) -> u64 {
    let own = std::env::current_exe().expect("this program has a file");
    let mut server = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(own)
        .args(["serve", which])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("valgrind is installed");
    let mut told = String::new();
    let mut lines = BufReader::new(server.stdout.take().expect("its output"));
    lines.read_line(&mut told).expect("its address");
    ask(told.trim().parse().expect("an address"), requests);
    let ran = server.wait_with_output().expect("it ends with its client");
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{which} failed: {told}");
    let collected = told.lines().find_map(|line| line.split_once("Collected : "));
    let (_, number) = collected.expect("callgrind says how many it has counted");
    number.trim().parse().expect("callgrind counts in whole numbers")
}

/// Asks for so many answers, eight at a time, and leaves.
fn ask(server: SocketAddr, requests: u32) {
    let mut connection = TcpStream::connect(server).expect("the server listens");
    let mut out = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut out, SETTINGS, 0, 0, &[]);
    frame(&mut out, WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes());
    let mut asked = 0;
    while asked < STREAMS {
        request(&mut out, asked);
        asked += 1;
    }
    let (mut held, mut room) = (Vec::new(), vec![0; 64 * 1024]);
    let mut answered = 0;
    while answered < requests {
        connection.write_all(&out).expect("the server reads");
        out.clear();
        let read = connection.read(&mut room).expect("the server answers");
        assert!(read > 0, "the server left");
        held.extend_from_slice(&room[..read]);
        while let [a, b, c, kind, flags, ..] = held[..]
            && let len = 9 + u32::from_be_bytes([0, a, b, c]) as usize
            && held.len() >= len
        {
            assert!(kind != GOAWAY && kind != RST_STREAM, "it was refused");
            if kind == DATA && flags & 1 != 0 {
                answered += 1;
                if asked < requests {
                    request(&mut out, asked);
                    asked += 1;
                }
            }
            if kind == SETTINGS && flags & 1 == 0 {
                frame(&mut out, SETTINGS, 1, 0, &[]);
            }
            held.drain(..len);
        }
    }
}

/// Writes a request: the fields of the first are put into the table, those of the others stand there.
fn request(out: &mut Vec<u8>, number: u32) {
    let mut block = vec![0x82, 0x86, 0x84];
    let fields: [(u8, &str); 4] = [
        (1, "bench.example"),
        (58, "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        (19, "application/json, text/plain;q=0.9, */*;q=0.8"),
        (16, "gzip, deflate, br"),
    ];
    for (place, (name, value)) in fields.into_iter().enumerate() {
        if number == 0 {
            block.extend_from_slice(&[0x40 | name, value.len() as u8]);
            block.extend_from_slice(value.as_bytes());
        } else {
            block.push(0x80 | (62 + fields.len() - 1 - place) as u8);
        }
    }
    frame(out, HEADERS, 0x5, 2 * number + 1, &block);
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    out.extend_from_slice(&[a, b, c, kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

/// Serves one connection to its end.
fn serve(which: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        println!("{}", listener.local_addr().expect("its address"));
        let (stream, peer) = listener.accept().await.expect("the client");
        stream.set_nodelay(true).expect("an option of every socket");
        match which {
            "h2" => by_h2(stream).await,
            "hyper" => by_hyper(stream).await,
            _ => by_seawall(stream, peer).await,
        }
    });
}

async fn by_h2(stream: tokio::net::TcpStream) {
    let mut connection = h2::server::handshake(stream).await.expect("a preface");
    while let Some(Ok((_request, mut respond))) = connection.accept().await {
        let response = http::Response::builder()
            .header("content-type", "text/plain")
            .header("content-length", "1024")
            .body(())
            .expect("a response");
        let mut body = respond.send_response(response, false).expect("a stream");
        body.send_data(Bytes::from_static(&BODY), true).expect("a stream");
    }
}

async fn by_hyper(stream: tokio::net::TcpStream) {
    let service = service_fn(async |_request| {
        let response = http::Response::builder().header("content-type", "text/plain");
        let body = Full::new(Bytes::from_static(&BODY));
        Ok::<_, Infallible>(response.body(body).expect("a response"))
    });
    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let _client_left = builder.serve_connection(TokioIo::new(stream), service).await;
}

async fn by_seawall(stream: tokio::net::TcpStream, peer: SocketAddr) {
    let state = ConnectionState::new(peer, DrainPhase::Serving);
    let minute = Duration::from_secs(60);
    let limits = ClientLimits {
        line_bytes_max: 8 * 1024,
        head_bytes_max: 32 * 1024,
        headers_max: 100,
        streams_max: 100,
        first_byte_timeout: minute,
        head_timeout: minute,
        keep_alive_timeout: minute,
        write_stall_timeout: minute,
    };
    let answer = async |_request| {
        let mut response = Response::new(Body::full(Bytes::from_static(&BODY)));
        response.headers_mut().append("content-type", "text/plain");
        response
    };
    let refuse = |_refusal| Response::new(Body::empty());
    let sleep = std::pin::pin!(tokio::time::sleep(minute));
    let (socket, mut clock) = (Tcp::new(stream), ConnectionTimer::new(sleep));
    serve_http2(socket, Vec::new(), &state, &limits, &mut clock, answer, refuse).await;
}
