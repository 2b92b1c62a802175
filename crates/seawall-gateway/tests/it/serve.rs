//! Plain requests and plain answers.

use seawall_gateway::{Server, ServerLimits};
use seawall_policy::Params;

use crate::house::{House, Origin, until};
use seawall_testkit::server_event;

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

#[tokio::test]
async fn an_answer_is_passed_on_with_its_outcome() {
    let house = House::open(Origin::open().await.always(HELLO)).await;
    let answer = house.ask("GET /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("\r\nseawall-outcome: ok; upstream=origin; attempts=1; total="),
        "{answer}"
    );
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
}

#[tokio::test]
async fn a_status_of_the_upstream_passes_as_it_is() {
    let gone = "HTTP/1.1 410 Gone\r\ncontent-length: 3\r\n\r\nbye";
    let house = House::open(Origin::open().await.always(gone)).await;
    let answer = house.ask("GET /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 410 Gone\r\n") && answer.ends_with("bye"), "{answer}");
}

#[tokio::test]
async fn requests_share_a_connection_and_are_answered_in_order() {
    let house = House::open(Origin::open().await.always(HELLO)).await;
    let answers = house
        .ask(
            "GET /a HTTP/1.1\r\nhost: h\r\n\r\nGET /b HTTP/1.1\r\nhost: h\r\n\r\n\
             GET /c HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n",
        )
        .await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
    assert_eq!(house.ledger.count(&server_event!(RequestEnded { .. })), 3);
}

#[tokio::test]
async fn a_refused_request_is_answered_after_the_ones_before_it() {
    let house = House::open(Origin::open().await.always(HELLO)).await;
    let answers = house
        .ask(
            "GET /a HTTP/1.1\r\nhost: h\r\n\r\nGET /b HTTP/1.1\nhost: h\r\n\r\n\
             GET /c HTTP/1.1\r\nhost: h\r\n\r\n",
        )
        .await;
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 2, "{answers}");
    let refusal = answers.split_once("hello").expect("the first one is answered").1;
    assert!(refusal.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answers}");
    assert!(refusal.contains("urn:seawall:malformed-request"), "{answers}");
}

#[tokio::test]
async fn connect_is_never_served() {
    let house = House::open(Origin::open().await.always(HELLO)).await;
    let answer = house.ask("CONNECT h:1 HTTP/1.1\r\nhost: h:1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
}

#[tokio::test]
async fn an_upstream_that_is_not_there_is_a_502() {
    let origin = Origin::open().await;
    let address = origin.address;
    drop(origin);
    let house = House::open(address).await;
    let answer = house.ask("GET /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{answer}");
    assert!(answer.contains(r#""fate":"failed""#), "{answer}");
}

#[tokio::test]
async fn l3_who_is_one_too_many_is_told_and_not_kept_waiting() {
    for limits in [
        ServerLimits { connections_max: 1, ..ServerLimits::default() },
        ServerLimits { connections_per_address_max: 1, ..ServerLimits::default() },
    ] {
        let origin = Origin::open().await.always(HELLO);
        let server = Server { limits, ..Server::default() };
        let house = House::with(origin, Params::standard(), server).await;
        let mut first = house.client().await;
        first.send("GET /a HTTP/1.1\r\nhost: h\r\n\r\n").await;
        first.until("hello").await;
        let mut second = house.client().await;
        let answer = second.rest().await;
        assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
        assert_eq!(house.ledger.count(&server_event!(ConnectionRefused)), 1);
        drop(first);
        until(|| house.gateway.connections() == 0, "the first has left").await;
        let answer = house.ask("GET /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
        assert!(answer.ends_with("hello"), "{answer}");
    }
}
