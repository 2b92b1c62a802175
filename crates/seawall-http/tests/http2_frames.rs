//! HTTP/2 frame by frame: answers that break off, and requests that were never looked at.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod common;

use std::time::Duration;

use common::frames::{Connection, Server};
use common::{attempt, get, whole};
use http::Request;
use seawall_core::{Cause, Fault, Sent, Step};
use seawall_http::{Body, HeadTooLarge, Options};
use seawall_testkit::frames::{self, kind};

const NO_ERROR: u32 = 0;
const INTERNAL_ERROR: u32 = 2;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const OK: &[(&str, &str)] = &[(":status", "200")];
const OK_OF_10: &[(&str, &str)] = &[(":status", "200"), ("content-length", "10")];

/// Asks once; the server takes the request and goes on in the test's way.
async fn ask(then: impl AsyncFnOnce(&mut Connection, u32)) -> Result<bytes::Bytes, Fault> {
    let server = Server::open().await;
    let asking = async {
        let request = Request::post("/").body(Body::full("hello")).unwrap();
        whole(server.upstream.send(request, &attempt()).await?).await
    };
    let serving = async {
        let mut connection = server.accept().await;
        connection.send(&frames::settings(&[])).await;
        let stream = connection.request().await;
        then(&mut connection, stream).await;
        // It stays open: it is not the end of the connection that is seen.
        std::future::pending::<()>().await;
    };
    tokio::select! { result = asking => result, () = serving => unreachable!() }
}

fn half(stream: u32, head: &[(&str, &str)]) -> Vec<u8> {
    [frames::headers(stream, false, head), frames::data(stream, false, b"hello")].concat()
}

#[tokio::test]
async fn an_answer_that_is_reset_before_its_end_is_truncated_whatever_the_code() {
    for head in [OK, OK_OF_10] {
        for code in [NO_ERROR, INTERNAL_ERROR, CANCEL] {
            let result = ask(async |connection, stream| {
                connection.send(&half(stream, head)).await;
                connection.send(&frames::reset(stream, code)).await;
            });
            let fault = result.await.unwrap_err();
            assert_eq!((fault.step, fault.cause), (Step::Body, Cause::Truncated), "code {code}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_a_goaway_ends_early_is_truncated() {
    let result = ask(async |connection, stream| {
        connection.send(&half(stream, OK)).await;
        connection.send(&frames::go_away(0, NO_ERROR)).await;
    });
    assert_eq!(result.await.unwrap_err().cause, Cause::Truncated);
}

#[tokio::test]
async fn an_answer_that_is_shorter_than_it_said_is_a_fault() {
    let result = ask(async |connection, stream| {
        connection.send(&half(stream, OK_OF_10)).await;
        connection.send(&frames::data(stream, true, b"")).await;
    });
    assert_eq!(result.await.unwrap_err().step, Step::Body);
}

#[tokio::test]
async fn an_answer_that_came_to_its_end_is_whole_even_if_its_stream_is_reset_then() {
    // A server may answer before it has read the request, and end that with NO_ERROR.
    let trailers: fn(u32) -> Vec<u8> = |stream| frames::headers(stream, true, &[("x-sum", "1")]);
    let ends: [fn(u32) -> Vec<u8>; 2] = [|stream| frames::data(stream, true, b""), trailers];
    for end in ends {
        let result = ask(async |connection, stream| {
            let end = [half(stream, OK), end(stream), frames::reset(stream, NO_ERROR)];
            connection.send(&end.concat()).await;
        });
        assert_eq!(result.await.unwrap(), "hello");
    }
}

#[tokio::test]
async fn a_stream_that_was_refused_is_unsent_and_so_is_one_after_a_goaway() {
    let ends: [fn(u32) -> Vec<u8>; 3] = [
        |stream| frames::reset(stream, REFUSED_STREAM),
        |_| frames::go_away(0, NO_ERROR),
        |_| frames::go_away(0, INTERNAL_ERROR),
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let result = ask(async |connection, stream| connection.send(&end(stream)).await);
        let fault = result.await.unwrap_err();
        assert_eq!((fault.step, fault.sent), (Step::Head, Sent::Unsent), "end {number}");
    }
}

#[tokio::test]
async fn a_stream_that_may_have_been_looked_at_is_not_unsent() {
    let ends: [fn(u32) -> Vec<u8>; 3] = [
        |stream| frames::reset(stream, CANCEL),
        |stream| frames::reset(stream, NO_ERROR),
        |stream| frames::reset(stream, INTERNAL_ERROR),
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let result = ask(async |connection, stream| connection.send(&end(stream)).await);
        assert_eq!(result.await.unwrap_err().sent, Sent::Maybe, "end {number}");
    }
}

#[tokio::test]
async fn until_the_settings_have_come_one_stream_is_open() {
    let server = Server::open().await;
    let ask = || async { whole(server.upstream.send(get("/"), &attempt()).await.unwrap()).await };
    let serving = async {
        let mut connection = server.accept().await;
        let first = connection.request().await;
        // Whatever comes without settings has come by the time a ping is back.
        connection.send(&frames::settings(&[(3, 10)])).await;
        let before = connection.heads_until_ack().await;
        assert_eq!(before, 0, "streams beside the first");
        for _ in 0..2 {
            connection.request().await;
        }
        for stream in [first, first + 2, first + 4] {
            connection.send(&[frames::headers(stream, true, OK)].concat()).await;
        }
        std::future::pending::<()>().await;
    };
    let asking = async { tokio::join!(ask(), ask(), ask()) };
    tokio::select! {
        answers = asking => assert!(answers.0.is_ok() && answers.1.is_ok() && answers.2.is_ok()),
        () = serving => unreachable!(),
    }
}

#[tokio::test]
async fn an_answer_with_too_large_a_head_names_the_limits() {
    let many: Vec<(String, &str)> = (0..20).map(|number| (format!("x-{number}"), "1")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (&**name, *value)).collect();
    let long = "x".repeat(3000);
    for head in [&many[..], &[("x-long", &*long)]] {
        let server =
            Server::with(Options { headers_max: 10, head_bytes_max: 2000, ..Options::default() });
        let server = server.await;
        let serving = async {
            let mut connection = server.accept().await;
            connection.send(&frames::settings(&[])).await;
            let stream = connection.request().await;
            connection.send(&frames::headers(stream, true, &[OK, head].concat())).await;
            std::future::pending::<()>().await;
        };
        let attempt = attempt();
        let fault = tokio::select! {
            result = server.upstream.send(get("/"), &attempt) => result.unwrap_err(),
            () = serving => unreachable!(),
        };
        assert!(fault.is_head_too_large(), "{fault:?}");
        let limits: &HeadTooLarge = fault.source.as_ref().unwrap().downcast_ref().unwrap();
        assert_eq!(*limits, HeadTooLarge { fields: 10, bytes: 2000 });
    }
}

#[tokio::test]
async fn an_http2_stream_of_events_may_be_slow_and_silent() {
    let mut attempt = attempt();
    attempt.idle = Duration::from_millis(20);
    for (media, is_cut) in
        [("text/event-stream", false), ("application/grpc", false), ("text/plain", true)]
    {
        let server = Server::open().await;
        let serving = async {
            let mut connection = server.accept().await;
            connection.send(&frames::settings(&[])).await;
            let stream = connection.request().await;
            connection.send(&half(stream, &[(":status", "200"), ("content-type", media)])).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            connection.send(&frames::data(stream, true, b"")).await;
            std::future::pending::<()>().await;
        };
        let asking = async { whole(server.upstream.send(get("/"), &attempt).await.unwrap()).await };
        let result = tokio::select! { result = asking => result, () = serving => unreachable!() };
        assert_eq!(result.is_err(), is_cut, "{media}");
    }
}

#[tokio::test]
async fn a_connection_that_says_goaway_is_not_used_again() {
    let server = Server::open().await;
    let serving = async {
        let mut first = server.accept().await;
        first.send(&frames::settings(&[])).await;
        let stream = first.request().await;
        let end = [frames::headers(stream, true, OK), frames::go_away(stream, NO_ERROR)];
        first.send(&end.concat()).await;
        let mut second = server.accept().await;
        second.send(&frames::settings(&[])).await;
        let stream = second.request().await;
        second.send(&frames::headers(stream, true, OK)).await;
        first.until(kind::GOAWAY).await;
        std::future::pending::<()>().await;
    };
    let asking = async {
        for _ in 0..2 {
            whole(server.upstream.send(get("/"), &attempt()).await.unwrap()).await.unwrap();
        }
    };
    tokio::select! { () = asking => {}, () = serving => unreachable!() }
}

#[tokio::test]
async fn a_connection_whose_settings_never_come_is_not_waited_for_for_ever() {
    let server = Server::open().await;
    let mut attempt = attempt();
    attempt.connect = Duration::from_millis(200);
    let serving = async {
        // It takes the connection, and says nothing.
        let mut mute = server.accept().await;
        mute.request().await;
        let mut other = server.accept().await;
        other.send(&frames::settings(&[])).await;
        let stream = other.request().await;
        other.send(&frames::headers(stream, true, OK)).await;
        std::future::pending::<()>().await;
    };
    let first = server.upstream.send(get("/"), &attempt);
    let second = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.upstream.send(get("/"), &attempt).await
    };
    tokio::select! {
        answer = first => panic!("{answer:?}"),
        answer = second => assert!(answer.is_ok(), "{answer:?}"),
        () = serving => unreachable!(),
    }
}
