//! Clients that ask for much and read nothing, beside clients that want their answers.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::fixture::{Origin, Seawall, until};

/// An upstream with three kinds of answers: `/big` of 1 MiB, `/huge` of 4 MiB, and small ones.
fn origin() -> Origin {
    Origin::start(async |mut exchange| {
        let size = match exchange.target() {
            "/big" => 1024 * 1024,
            "/huge" => HUGE,
            _ => return exchange.answer(200, "ok").await,
        };
        exchange.answer_with(200, "", &vec![b'x'; size]).await;
        Some(exchange)
    })
}

/// More than the kernel takes for a client that reads nothing.
const HUGE: usize = 4 * 1024 * 1024;

async fn gateway(origin: &Origin, limit: &str) -> Seawall {
    Seawall::start(&format!(
        "[upstream.origin]\nurl = \"{}\"\n[policy.standard]\nconnect_timeout = \"9s\"\n{limit}\n\
         [[route]]\nmatch = \"GET /{{name}}\"\nupstream = \"origin\"\n",
        origin.url()
    ))
    .await
}

/// What is fixed when somebody sets a limit: fewer places than the three connections have streams.
const LIMIT: &str = "limit = { in_flight = 256 }";

/// Connects from another address of this machine.
async fn connect_from(last: u8, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    // What is not read stays with the gateway.
    socket.set_recv_buffer_size(4096).unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, last], 0))).unwrap();
    socket.connect(address).await.unwrap()
}

/// Asks for `/big` on many streams of one HTTP/2 connection; nobody reads what comes.
async fn streams_that_read_nothing(address: SocketAddr, streams: u32) -> TcpStream {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    frame(&mut bytes, 4, 0, 0, &[]);
    for number in 0..streams {
        // RFC 7541: GET and http from the static table, path and authority as literals.
        let head = [&[0x82, 0x86, 0x04, 4][..], b"/big", &[0x01, 1], b"x"].concat();
        frame(&mut bytes, 1, 0x5, 2 * number + 1, &head);
    }
    let mut stream = connect_from(1, address).await;
    stream.write_all(&bytes).await.unwrap();
    stream
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap().to_be_bytes()[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// Asks for `/huge` over HTTP/1 and does not read.
async fn reader_that_reads_nothing(address: SocketAddr) -> TcpStream {
    let mut stream = connect_from(1, address).await;
    stream.write_all(b"GET /huge HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    stream
}

/// Returns how many of 100 calls over some seconds are answered.
async fn answered(address: SocketAddr, last: u8) -> usize {
    let mut answered = 0;
    for _ in 0..100 {
        let mut stream = connect_from(last, address).await;
        let request = b"GET /small HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let mut answer = Vec::new();
        let is_sent = stream.write_all(request).await.is_ok();
        if is_sent && stream.read_to_end(&mut answer).await.is_ok() {
            answered += usize::from(answer.starts_with(b"HTTP/1.1 200"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    answered
}

#[track_caller]
fn assert_most(answered: usize) {
    println!("{answered} of 100 are answered");
    assert!(answered >= 95, "{answered} of 100");
}

/// Lets three connections of a hundred streams read nothing; returns how many calls of a client at
/// another address, or at the same one, are answered meanwhile.
async fn answered_beside_streams(limit: &str, last: u8) -> usize {
    let origin = origin();
    let seawall = gateway(&origin, limit).await;
    let mut attack = Vec::new();
    for _ in 0..3 {
        attack.push(streams_that_read_nothing(seawall.address, 100).await);
    }
    until("every place is taken", || origin.seen.requests() >= 256).await;
    answered(seawall.address, last).await
}

/// Takes each of 36 places with a connection that reads nothing.
async fn beside_readers() -> (Origin, Seawall, Vec<TcpStream>) {
    let origin = origin();
    let seawall = gateway(&origin, "limit = { in_flight = 36 }").await;
    let mut attack = Vec::new();
    for _ in 0..36 {
        attack.push(reader_that_reads_nothing(seawall.address).await);
    }
    until("every place is taken", || origin.seen.requests() >= 36).await;
    (origin, seawall, attack)
}

#[tokio::test]
async fn streams_that_read_nothing_leave_the_others_their_answers() {
    assert_most(answered_beside_streams(LIMIT, 2).await);
}

#[tokio::test]
async fn streams_that_read_nothing_leave_the_others_their_answers_where_the_limit_is_learned() {
    assert_most(answered_beside_streams("", 2).await);
}

#[tokio::test]
async fn streams_that_read_nothing_behind_the_same_balancer_leave_the_others_their_answers() {
    assert_most(answered_beside_streams(LIMIT, 1).await);
}

#[tokio::test]
async fn readers_that_read_nothing_leave_the_others_their_answers() {
    let (_origin, seawall, _attack) = beside_readers().await;

    assert_most(answered(seawall.address, 2).await);
}

#[tokio::test]
async fn readers_of_the_same_address_lose_their_places_after_a_second_without_a_byte() {
    let (_origin, seawall, _attack) = beside_readers().await;
    let begun = Instant::now();
    while seawall.get("/small").await.status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(5), "no place comes back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_most(answered(seawall.address, 1).await);
}

#[tokio::test]
async fn nobody_who_reads_nothing_is_cut_while_there_are_places() {
    let origin = origin();
    let seawall = gateway(&origin, "limit = { in_flight = 36 }").await;
    let mut slow = reader_that_reads_nothing(seawall.address).await;
    assert_eq!(answered(seawall.address, 2).await, 100);
    let mut bytes = 0;
    let mut piece = vec![0; 64 * 1024];
    while bytes < HUGE {
        let length = slow.read(&mut piece).await.unwrap();
        assert!(length > 0, "cut after {bytes} bytes");
        bytes += length;
    }
}
