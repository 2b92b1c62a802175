//! HTTP/2 frame by frame: what a client may break off, and what it may not send.

use std::sync::Arc;
use std::time::Duration;

use seawall_call::Policy;
use seawall_core::{Cause, Fate, Left, UpstreamId};
use seawall_gateway::{Server, ServerLimits, Settings};
use seawall_http::{Options, Transport};
use seawall_policy::Params;
use seawall_testkit::frames::{self, Frame, kind};
use seawall_testkit::{Events, call_event, server_event, upstream_event};
use seawall_upstream::{Http, Upstream};
use seawall_wire::http2::Decoder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::house::{House, Origin, route, told, until};

/// A client on whose every frame the test decides.
pub(crate) struct Frames(TcpStream);

impl Frames {
    pub(crate) async fn connect(house: &House) -> Self {
        let mut client = Self(TcpStream::connect(house.address).await.unwrap());
        client.send(&[frames::PREFACE, &frames::settings(&[])].concat()).await;
        client
    }

    /// Sends bytes; a gateway that has hung up is seen when its answer is read.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _may_be_gone = self.0.write_all(bytes).await;
    }

    /// Reads the next frame; nothing at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let read = timeout(Duration::from_secs(5), frames::read(&mut self.0)).await;
        read.expect("a frame or an end").ok()
    }

    /// Reads until a frame of this kind has come.
    pub(crate) async fn until(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next().await.unwrap_or_else(|| panic!("no frame of kind {kind}"));
            if frame.kind == kind {
                return frame;
            }
        }
    }
}

const NO_ERROR: u32 = 0;
const CANCEL: u32 = 8;

#[tokio::test]
async fn a_broken_off_http2_upload_is_broken_off_upstream() {
    for code in [NO_ERROR, CANCEL] {
        let origin = Origin::open().await;
        let house = House::open(origin.address).await;
        let mut client = Frames::connect(&house).await;
        client.send(&frames::request(1, false, "PUT", "/a", &[])).await;
        client.send(&frames::data(1, false, b"hello")).await;
        let mut upstream = origin.accept().await;
        upstream.until("5\r\nhello\r\n").await;
        client.send(&frames::reset(1, code)).await;
        let rest = upstream.rest().await;
        assert!(!rest.contains("0\r\n\r\n"), "code {code}: it looks whole: {rest:?}");
        told(&house.ledger, server_event!(RequestEnded { .. })).await;
        assert_eq!(
            house.ledger.count(&server_event!(RequestEnded {
                fate: Fate::Cancelled,
                status: 499,
                ..
            })),
            1,
            "code {code}"
        );
        assert_eq!(
            house.ledger.count(&server_event!(RequestEnded { fate: Fate::Failed, .. })),
            0,
            "code {code}"
        );
        assert_eq!(
            house.ledger.count(&call_event!(Ended { fate: Fate::Failed, .. })),
            0,
            "code {code}"
        );
        until(|| house.gateway.in_flight() == 0, "nothing in flight").await;
    }
}

#[tokio::test]
async fn an_http2_upload_that_is_shorter_than_it_said_is_broken_off_upstream() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = Frames::connect(&house).await;
    client.send(&frames::request(1, false, "PUT", "/a", &[("content-length", "10")])).await;
    client.send(&frames::data(1, false, b"hello")).await;
    let mut upstream = origin.accept().await;
    upstream.until("hello").await;
    client.send(&frames::data(1, true, b"hi")).await;
    assert_eq!(client.until(kind::RST_STREAM).await.stream, 1);
    assert!(upstream.rest().await.len() < 5);
}

#[tokio::test]
async fn a_whole_http2_upload_is_whole_upstream_with_and_without_trailers() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = Frames::connect(&house).await;
    let ends = [
        (frames::data(1, true, b""), ""),
        (frames::headers(3, true, &[("x-sum", "1")]), "x-sum: 1\r\n"),
    ];
    let mut upstream = None;
    for (stream, (end, trailers)) in [1, 3].into_iter().zip(ends) {
        client.send(&frames::request(stream, false, "PUT", "/a", &[])).await;
        client.send(&frames::data(stream, false, b"hello")).await;
        client.send(&end).await;
        let mut connection = match upstream.take() {
            Some(connection) => connection,
            None => origin.accept().await,
        };
        connection.until(&format!("5\r\nhello\r\n0\r\n{trailers}\r\n")).await;
        connection.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(client.until(kind::HEADERS).await.stream, stream);
        upstream = Some(connection);
    }
}

const PROTOCOL_ERROR: u32 = 1;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// Lets one client of a shared connection wait while another one's header is malformed; returns
/// how the connection goes on.
async fn beside_a_malformed(field: (&str, &str)) -> Frame {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = Frames::connect(&house).await;
    client.send(&frames::request(1, true, "GET", "/a", &[])).await;
    let mut upstream = origin.accept().await;
    upstream.until("\r\n\r\n").await;
    client.send(&frames::request(3, true, "GET", "/b", &[field])).await;
    loop {
        let frame = client.next().await.expect("it says something before it ends");
        if matches!(frame.kind, kind::RST_STREAM | kind::GOAWAY) {
            return frame;
        }
    }
}

#[tokio::test]
async fn a_field_that_cannot_be_resets_its_stream_and_no_other() {
    let forbidden = [("connection", "close"), ("te", "gzip"), ("transfer-encoding", "chunked")];
    let malformed = [("x-a", "a\u{1}b"), ("X-Upper", "1"), ("x a", "1"), (":odd", "1")];
    for field in forbidden.into_iter().chain(malformed) {
        let frame = beside_a_malformed(field).await;
        assert_eq!((frame.kind, frame.stream), (kind::RST_STREAM, 3), "{field:?}");
        assert_eq!(frame.code(), Some(PROTOCOL_ERROR), "{field:?}");
    }
}

#[tokio::test]
async fn the_limits_of_a_head_hold_over_http2_for_its_stream_alone() {
    let limits = ServerLimits { line_bytes_max: 200, headers_max: 20, ..ServerLimits::default() };
    let server = Server { limits, ..Server::default() };
    let origin = Origin::open().await;
    let house = House::with(origin.address, Params::standard(), server).await;
    let mut client = Frames::connect(&house).await;
    let names: Vec<String> = (0..30).map(|number| format!("x-{number}")).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "1")).collect();
    let (path, value) = (format!("/{}", "p".repeat(300)), "v".repeat(33 * 1024));
    for (number, (path, fields, status)) in
        [(&*path, &[][..], 414), ("/a", &many, 431), ("/a", &[("x-long", &*value)], 431)]
            .into_iter()
            .enumerate()
    {
        let stream = 1 + 2 * number as u32;
        // The last one is longer than a frame: its head goes on in others.
        client.send(&frames::continued(&frames::request(stream, true, "GET", path, fields))).await;
        let body = client.until(kind::DATA).await;
        let text = String::from_utf8(body.payload).unwrap();
        assert_eq!(body.stream, stream, "{text}");
        assert!(text.contains("urn:seawall:too-large"), "{text}");
        assert!(text.contains(&format!("\"status\":{status}")), "{text}");
    }
    assert_eq!(house.ledger.count(&server_event!(RequestRefused { .. })), 3);
    client.send(&frames::request(9, true, "GET", "/a", &[])).await;
    origin.accept().await.until("\r\n\r\n").await;
}

/// Sends the same frame until the gateway has had enough, and tells so; returns what it said last.
async fn flood(frame: &[u8]) -> Frame {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = Frames::connect(&house).await;
    // Some of them need a stream that is open.
    client.send(&frames::request(1, false, "POST", "/a", &[])).await;
    let (mut from, mut to) = client.0.into_split();
    let piece = frame.repeat(100);
    let sending = tokio::spawn(async move {
        for _ in 0..1000 {
            to.write_all(&piece).await?;
        }
        Ok::<_, std::io::Error>(())
    });
    let mut last = None;
    while let Ok(Ok(frame)) = timeout(Duration::from_secs(10), frames::read(&mut from)).await {
        last = Some(frame);
    }
    told(&house.ledger, server_event!(ConnectionClosed { how: Left::Flooded, .. })).await;
    sending.abort();
    until(|| house.gateway.in_flight() == 0, "nothing in flight").await;
    last.expect("last words")
}

#[tokio::test]
async fn b8_frames_that_bring_nothing_are_cut() {
    for (name, frame) in [
        ("PING", frames::frame(kind::PING, 0, 0, &[0; 8])),
        ("SETTINGS", frames::settings(&[])),
        ("PRIORITY", frames::frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 9])),
        ("WINDOW_UPDATE", frames::frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])),
        ("unknown", frames::frame(200, 0, 0, b"")),
        ("empty DATA", frames::data(1, false, b"")),
    ] {
        println!("{name}");
        let last = flood(&frame).await;
        assert_eq!((last.kind, last.code()), (kind::GOAWAY, Some(ENHANCE_YOUR_CALM)), "{name}");
        assert_eq!(last.payload[..4], [0, 0, 0, 1], "{name}: the last stream that was opened");
    }
}

#[tokio::test]
async fn b8_streams_that_are_served_and_taken_back_at_once_are_cut_and_told_as_such() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = Frames::connect(&house).await;
    let mut last = None;
    'streams: for number in 0..2000 {
        let stream = 2 * number + 1;
        client.send(&frames::request(stream, false, "POST", "/a", &[])).await;
        until(
            || house.ledger.count(&server_event!(RequestStarted { .. })) > number as usize,
            "it is served",
        )
        .await;
        client.send(&frames::reset(stream, CANCEL)).await;
        client.send(&frames::frame(kind::PING, 0, 0, &[0; 8])).await;
        loop {
            match client.next().await {
                Some(frame) if frame.kind == kind::PING => break,
                Some(frame) => last = Some(frame),
                None => break 'streams,
            }
        }
    }
    let last = last.expect("last words");
    assert_eq!((last.kind, last.code()), (kind::GOAWAY, Some(ENHANCE_YOUR_CALM)));
    told(&house.ledger, server_event!(ConnectionClosed { how: Left::Flooded, .. })).await;
    until(|| house.gateway.in_flight() == 0, "nothing in flight").await;
}

#[tokio::test]
async fn what_was_in_flight_on_a_flooded_connection_is_told_as_cut_for_the_flood() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = Frames::connect(&house).await;
    client.send(&frames::request(1, true, "GET", "/a", &[])).await;
    let _upstream = origin.accept().await;
    client.send(&frames::frame(kind::PING, 0, 0, &[0; 8]).repeat(2000)).await;
    let words = "the client sent frames that bring nothing";
    told(&house.ledger, server_event!(RequestOver { request } if request.cause == words)).await;
}

#[tokio::test]
async fn an_answer_that_is_taken_more_slowly_than_the_least_rate_is_cut() {
    let limits = ServerLimits {
        write_stall_timeout: Duration::from_millis(500),
        read_rate_min: 100_000,
        ..ServerLimits::default()
    };
    let server = Server { limits, ..Server::default() };
    let origin = Origin::open().await;
    let house = House::with(origin.address, Params::standard(), server).await;
    let mut client = Frames::connect(&house).await;
    client.send(&frames::settings(&[(INITIAL_WINDOW_SIZE, 100)])).await;
    client.send(&frames::request(1, true, "GET", "/a", &[])).await;
    let mut upstream = origin.accept().await;
    upstream.until("\r\n\r\n").await;
    upstream.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let piece = format!("64\r\n{}\r\n", "x".repeat(100));
    upstream.send(&piece.repeat(100)).await;
    // Each piece waits for a client that is a hundred times too slow.
    for _ in 0..100 {
        if house.ledger.count(&server_event!(BodyCut { .. })) > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        client.send(&frames::frame(kind::WINDOW_UPDATE, 0, 1, &[0, 0, 0, 100])).await;
    }
    assert_eq!(client.until(kind::RST_STREAM).await.stream, 1);
    let too_slow = server_event!(BodyCut { fault, .. } if fault.cause == Cause::TooSlow);
    assert_eq!(house.ledger.count(&too_slow), 1);
}

/// SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113, 6.5.2).
const INITIAL_WINDOW_SIZE: u16 = 4;

#[tokio::test]
async fn a_client_that_pings_as_it_works_is_not_cut() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = Frames::connect(&house).await;
    for _ in 0..500 {
        client.send(&frames::frame(kind::PING, 0, 0, &[0; 8])).await;
        client.until(kind::PING).await;
    }
    client.send(&frames::request(1, true, "GET", "/a", &[])).await;
    let mut upstream = origin.accept().await;
    upstream.until("\r\n\r\n").await;
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(client.until(kind::HEADERS).await.ends_stream());
}

/// An upstream that speaks HTTP/2, with a gateway in front.
async fn before_http2(params: Params) -> (TcpListener, House) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ledger = Arc::new(Events::default());
    let url = format!("http://{}", listener.local_addr().unwrap());
    let options = Options { http2: true, ..Options::default() };
    let policy = Policy::new(UpstreamId(0), params, Arc::clone(&ledger));
    let http = Http::new(Transport::new(&url, options).unwrap());
    let routes = vec![route("* /{*rest}", &Upstream::new("origin", policy, http))];
    let settings = Settings { server: Server::default(), routes };
    (listener, House::serving(settings, ledger).await)
}

/// Takes a connection as an HTTP/2 server.
async fn take(listener: &TcpListener) -> Frames {
    let accepted = timeout(Duration::from_secs(5), listener.accept()).await;
    let mut stream = accepted.expect("the gateway connects").unwrap().0;
    let mut preface = [0; frames::PREFACE.len()];
    stream.read_exact(&mut preface).await.unwrap();
    let mut server = Frames(stream);
    server.send(&frames::settings(&[])).await;
    server
}

const POST: &str = "POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n\
    5\r\nhello\r\n0\r\n\r\n";

#[tokio::test]
async fn a_post_that_was_refused_is_sent_again_at_once_with_its_body() {
    let (listener, house) = before_http2(Params::standard()).await;
    let mut client = house.client().await;
    client.send(POST).await;
    let mut upstream = take(&listener).await;
    let refused = upstream.until(kind::HEADERS).await.stream;
    upstream.until(kind::DATA).await;
    upstream.send(&frames::reset(refused, REFUSED_STREAM)).await;
    let stream = upstream.until(kind::HEADERS).await.stream;
    let body = upstream.until(kind::DATA).await;
    assert_eq!((body.stream, &*body.payload), (stream, &b"hello"[..]));
    upstream.send(&frames::headers(stream, true, &[(":status", "204")])).await;
    client.until("\r\n\r\n").await;
    told(&house.ledger, call_event!(Ended { .. })).await;
    assert_eq!(
        house.ledger.count(&call_event!(AttemptStarted { .. })),
        1,
        "nobody had looked at it"
    );
    assert_eq!(house.ledger.count(&call_event!(RetryScheduled { .. })), 0);
}

#[tokio::test]
async fn a_post_after_a_goaway_is_sent_again_on_another_connection() {
    let (listener, house) = before_http2(Params::standard()).await;
    let mut client = house.client().await;
    client.send(POST).await;
    let mut first = take(&listener).await;
    first.until(kind::HEADERS).await;
    first.send(&frames::go_away(0, NO_ERROR)).await;
    let mut second = take(&listener).await;
    let stream = second.until(kind::HEADERS).await.stream;
    assert_eq!(second.until(kind::DATA).await.payload, b"hello");
    second.send(&frames::headers(stream, true, &[(":status", "204")])).await;
    client.until("\r\n\r\n").await;
}

#[tokio::test]
async fn a_post_that_is_refused_again_and_again_is_a_failure_of_the_upstream() {
    let (listener, house) = before_http2(Params::standard()).await;
    let mut client = house.client().await;
    client.send(POST).await;
    let mut upstream = take(&listener).await;
    let refusing = async {
        loop {
            let stream = upstream.until(kind::HEADERS).await.stream;
            upstream.send(&frames::reset(stream, REFUSED_STREAM)).await;
        }
    };
    let answer =
        tokio::select! { answer = client.until("}") => answer, () = refusing => "".into() };
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    assert!(answer.contains("\"attempts\":3"), "{answer}");
}

#[tokio::test]
async fn an_http2_answer_that_is_cut_is_cut_for_the_client_and_never_kept() {
    const HEAD: &[(&str, &str)] = &[(":status", "200"), ("cache-control", "max-age=600")];
    for length in [&[][..], &[("content-length", "100")]] {
        let cache = Some(seawall_policy::cache::Params::default());
        let (listener, house) = before_http2(Params { cache, ..Params::standard() }).await;
        let mut upstream = None;
        for number in 0..2 {
            let mut client = house.client().await;
            client.send("GET /a HTTP/1.1\r\nhost: h\r\n\r\n").await;
            let mut connection = match upstream.take() {
                Some(connection) => connection,
                None => take(&listener).await,
            };
            let stream = connection.until(kind::HEADERS).await.stream;
            let head = frames::headers(stream, false, &[HEAD, length].concat());
            let half = [head, frames::data(stream, false, b"row 1\n")].concat();
            connection.send(&half).await;
            let seen = client.until("row 1\n").await;
            connection.send(&frames::reset(stream, NO_ERROR)).await;
            let rest = client.rest().await;
            assert!(!rest.contains("0\r\n\r\n"), "answer {number} looks whole: {seen:?} {rest:?}");
            assert!(!seen.contains("\r\nage: "), "answer {number} was kept: {seen}");
            upstream = Some(connection);
        }
    }
}

#[tokio::test]
async fn a_head_of_an_answer_over_a_limit_is_neither_tried_again_nor_held_against_anyone() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let fields: String = (0..150).map(|number| format!("x-{number}: 1\r\n")).collect();
    let long = format!("x-long: {}\r\n", "x".repeat(40_000));
    for number in 0..30 {
        let mut client = house.client().await;
        client.send("GET /a HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let mut upstream = origin.accept().await;
        upstream.until("\r\n\r\n").await;
        let fields = if number % 2 == 0 { &fields } else { &long };
        upstream.send(&format!("HTTP/1.1 200 OK\r\n{fields}content-length: 0\r\n\r\n")).await;
        let answer = client.until("}").await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "answer {number}: {answer}");
        assert!(answer.contains("urn:seawall:answer-head-too-large"), "{answer}");
        assert!(answer.contains("more than 100 fields or 32768 bytes"), "{answer}");
        assert!(answer.contains("\"attempts\":1"), "{answer}");
    }
    assert_eq!(house.ledger.count(&upstream_event!(BreakerChanged { .. })), 0);
}

/// Reads the fields of a header block.
fn fields(frame: &Frame) -> Vec<String> {
    let mut fields = Vec::new();
    let decoded = Decoder::default().decode(&frame.payload, |field| {
        let (name, value) = (field.name.escape_ascii(), field.value.escape_ascii());
        fields.push(format!("{name}: {value}"));
    });
    decoded.unwrap();
    fields
}

#[tokio::test]
async fn an_interim_answer_reaches_an_http2_client_at_once() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = Frames::connect(&house).await;
    client.send(&frames::request(1, true, "GET", "/a", &[])).await;
    let mut upstream = origin.accept().await;
    upstream.until("\r\n\r\n").await;
    upstream.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nx-own: 1\r\n").await;
    upstream.send("connection: x-own\r\n\r\n").await;
    let hints = client.until(kind::HEADERS).await;
    assert_eq!(fields(&hints), [":status: 103", "link: </a.css>"]);
    assert!(!hints.ends_stream());
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    let answer = client.until(kind::HEADERS).await;
    assert_eq!(fields(&answer)[0], ":status: 204");
    assert!(answer.ends_stream());
}

#[tokio::test]
async fn an_interim_answer_of_an_http2_upstream_is_passed_on() {
    let (listener, house) = before_http2(Params::standard()).await;
    let mut client = house.client().await;
    client.send("GET /a HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let mut upstream = take(&listener).await;
    let stream = upstream.until(kind::HEADERS).await.stream;
    upstream.send(&frames::headers(stream, false, &[(":status", "100")])).await;
    let hints = [(":status", "103"), ("link", "</a.css>")];
    upstream.send(&frames::headers(stream, false, &hints)).await;
    let hints = client.until("\r\n\r\n").await;
    assert_eq!(hints, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
    upstream.send(&frames::headers(stream, true, &[(":status", "204")])).await;
    assert!(client.until("\r\n\r\n").await.starts_with("HTTP/1.1 204 "));
}

#[tokio::test]
async fn an_http2_client_that_waits_to_be_asked_is_asked_or_refused() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = Frames::connect(&house).await;
    client.send(&frames::request(1, false, "PUT", "/a", &[("expect", "100-continue")])).await;
    assert_eq!(fields(&client.until(kind::HEADERS).await), [":status: 100"]);
    client.send(&frames::data(1, true, b"hello")).await;
    let mut upstream = origin.accept().await;
    upstream.until("hello\r\n0\r\n\r\n").await;
    upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    assert!(client.until(kind::HEADERS).await.ends_stream());
    client.send(&frames::request(3, false, "PUT", "/a", &[("expect", "the-unexpected")])).await;
    assert_eq!(fields(&client.until(kind::HEADERS).await)[0], ":status: 417");
}

#[tokio::test]
async fn a_stream_that_is_not_read_holds_up_no_other() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = Frames::connect(&house).await;
    client.send(&frames::settings(&[(INITIAL_WINDOW_SIZE, 0)])).await;
    for stream in [1, 3] {
        client.send(&frames::request(stream, true, "GET", "/a", &[])).await;
        let mut upstream = origin.accept().await;
        upstream.until("\r\n\r\n").await;
        upstream.send("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await;
        upstream.send(&"x".repeat(100_000)).await;
        assert_eq!(client.until(kind::HEADERS).await.stream, stream);
    }
    client.send(&frames::frame(kind::WINDOW_UPDATE, 0, 3, &200_000_u32.to_be_bytes())).await;
    client.send(&frames::frame(kind::WINDOW_UPDATE, 0, 0, &200_000_u32.to_be_bytes())).await;
    let mut came = 0;
    loop {
        let piece = client.until(kind::DATA).await;
        assert_eq!(piece.stream, 3);
        came += piece.payload.len();
        if piece.ends_stream() {
            break;
        }
    }
    assert_eq!(came, 100_000);
}

#[tokio::test]
async fn bodies_that_nobody_wants_leave_the_connections_window_to_others() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = Frames::connect(&house).await;
    let piece = [0; 16 * 1024];
    let mut window = 65_535;
    // Twice what the window of a connection is.
    for number in 0..128 {
        let stream = 1 + 2 * number;
        let too_long = [("content-length", "99999999999")];
        client.send(&frames::request(stream, false, "PUT", "/a", &too_long)).await;
        while window < piece.len() {
            let more = client.until(kind::WINDOW_UPDATE).await;
            if more.stream == 0 {
                let more: [u8; 4] = more.payload.try_into().unwrap();
                window += u32::from_be_bytes(more) as usize;
            }
        }
        client.send(&frames::data(stream, false, &piece)).await;
        window -= piece.len();
    }
    client.send(&frames::request(1001, true, "GET", "/a", &[])).await;
    origin.accept().await.until("\r\n\r\n").await;
}

#[tokio::test]
async fn a_stop_takes_the_streams_that_were_under_way_and_no_more() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = Frames::connect(&house).await;
    client.send(&frames::request(1, true, "GET", "/a", &[])).await;
    let mut first = origin.accept().await;
    first.until("\r\n\r\n").await;
    house.stop.cancel();
    let announced = client.until(kind::GOAWAY).await;
    assert_eq!(
        (announced.code(), &announced.payload[..4]),
        (Some(NO_ERROR), &[127, 255, 255, 255][..])
    );
    let ping = client.until(kind::PING).await;
    // It had been sent before the client could know.
    client.send(&frames::request(3, true, "GET", "/b", &[])).await;
    client.send(&frames::frame(kind::PING, frames::ACK, 0, &ping.payload)).await;
    let last = client.until(kind::GOAWAY).await;
    assert_eq!((last.code(), &last.payload[..4]), (Some(NO_ERROR), &[0, 0, 0, 3][..]));
    client.send(&frames::request(5, true, "GET", "/c", &[])).await;
    let mut second = origin.accept().await;
    assert!(second.until("\r\n\r\n").await.starts_with("GET /b "));
    for upstream in [&mut second, &mut first] {
        upstream.send("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert!(client.until(kind::HEADERS).await.ends_stream());
    }
    while let Some(frame) = client.next().await {
        assert!(frame.stream != 5, "{frame:?}");
    }
}

#[tokio::test]
async fn a_204_says_no_length_over_http2() {
    let origin = Origin::open().await;
    let house = House::open(origin.address).await;
    let mut client = Frames::connect(&house).await;
    client.send(&frames::request(1, true, "GET", "/a", &[])).await;
    let mut upstream = origin.accept().await;
    upstream.until("\r\n\r\n").await;
    upstream.send("HTTP/1.1 204 No Content\r\ncontent-length: 5\r\nx-a: b\r\n\r\n").await;
    let answer = client.until(kind::HEADERS).await;
    assert!(answer.ends_stream());
    let fields = fields(&answer);
    assert!(fields.contains(&"x-a: b".into()), "{fields:?}");
    assert!(!fields.iter().any(|field| field.starts_with("content-length")), "{fields:?}");
}
