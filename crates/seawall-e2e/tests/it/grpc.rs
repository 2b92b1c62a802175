//! gRPC through the gateway, between the client and the server of PyPI's `grpcio`, which are
//! stricter than HTTP/2: no call is made without `te: trailers`, none succeeds without trailers.

use crate::fixture::{Grpc, Seawall};

/// Makes one call through a gateway; returns what the client prints.
async fn call(method: &str) -> String {
    let server = Grpc::start().await;
    let settings = format!(
        "[upstream.echo]\nurl = \"{}\"\nhttp2 = true\n\
         [[route]]\nmatch = \"POST /{{*rest}}\"\nupstream = \"echo\"\n",
        server.url()
    );
    let seawall = Seawall::start(&settings).await;
    Grpc::call(seawall.address, method).await
}

#[tokio::test]
async fn a_unary_call_is_answered_with_its_trailers() {
    let said = call("Unary").await;
    assert!(said.starts_with("hello oslo\nOK \n") && said.contains("x-made-of=oslo\n"), "{said}");
}

#[tokio::test]
async fn a_stream_of_the_client_arrives_whole() {
    let said = call("ClientStream").await;
    assert!(said.starts_with("a,b,c\nOK \n"), "{said}");
}

#[tokio::test]
async fn a_stream_of_the_server_arrives_whole() {
    let said = call("ServerStream").await;
    assert!(said.starts_with("0\n1\n2\nOK \n"), "{said}");
}

#[tokio::test]
async fn in_a_stream_of_both_each_waits_for_the_other() {
    let said = call("Both").await;
    assert!(said.starts_with("echo one\necho two\necho three\nOK \n"), "{said}");
}

#[tokio::test]
async fn the_server_is_told_what_is_left_of_the_clients_time() {
    let said = call("Left").await;
    let left: f64 = said.lines().next().unwrap().parse().unwrap_or_else(|_| panic!("{said}"));
    assert!(left > 0.0 && left <= 5.0, "{said}");
}

#[tokio::test]
async fn a_call_that_is_late_ends_by_its_deadline() {
    let said = call("Late").await;
    // The gateway's own clock may be the first to see it; then its 504 says so.
    let is_over = ["DEADLINE_EXCEEDED", "UNAVAILABLE"].iter().any(|code| said.starts_with(code));
    assert!(is_over && !said.contains("too late"), "{said}");
}

#[tokio::test]
async fn the_status_of_an_error_arrives_with_its_message_and_metadata() {
    let said = call("Fail").await;
    assert!(said.starts_with("FAILED_PRECONDITION not today, se\u{f1}or\n"), "{said}");
    assert!(said.contains("x_under_score=kept\n") && said.contains("x-why_bin-bin="), "{said}");
}

#[tokio::test]
async fn the_status_of_a_stream_that_fails_late_arrives_in_its_trailers() {
    let said = call("FailLate").await;
    assert!(said.starts_with("first\nDATA_LOSS half of it is gone\n"), "{said}");
}
