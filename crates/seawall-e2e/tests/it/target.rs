//! What of a request's target reaches the upstream, on the binary: which bytes, below which path,
//! and what is refused with a word.

use std::process::Output;

use crate::fixture::{Client, Origin, Seawall, ask, curl};

/// One upstream and these routes, each `MATCH` or `MATCH -> PATH`.
fn through(origin: &Origin, routes: &[&str]) -> String {
    let mut text = format!("[upstream.origin]\nurl = \"{}\"\n", origin.url());
    for route in routes {
        let (matched, path) = route.split_once(" -> ").unwrap_or((route, ""));
        text += &format!("[[route]]\nmatch = \"{matched}\"\nupstream = \"origin\"\n");
        if !path.is_empty() {
            text += &format!("path = \"{path}\"\n");
        }
    }
    text
}

/// Asks for a target; returns the one that the origin was asked for, or our status.
async fn asked(seawall: &Seawall, origin: &Origin, target: &str) -> String {
    let before = origin.seen.requests();
    let request = format!("GET {target} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    let answer = ask(seawall.address, &request).await.unwrap();
    if origin.seen.requests() == before {
        return answer.status.to_string();
    }
    let head = origin.seen.heads().pop().unwrap();
    head.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test]
async fn a_route_without_a_path_passes_the_target_on_byte_for_byte() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&through(&origin, &["GET /{*rest}"])).await;
    let targets = [
        "//a///b//",
        "/%41%7e%7E",
        "/api/queues/%2F/q%2f",
        "/@scope%2fname",
        "/a:b;c=d@e!$&'()*+,~",
        "/a|b^{c}\"",
        "/?a=%41&b=//../[x]{y}|z^`'\\&&c",
        "/a?",
        "/",
        "/caf%C3%a9/%E2%82%AC",
        "/%252e%252e%252f",
    ];
    for target in targets {
        assert_eq!(asked(&seawall, &origin, target).await, target);
    }
    for target in ["//a//%41%2fb;c", "/a?b=|{c}"] {
        let url = format!("http://{}{target}", seawall.address);
        curl(&["--http2-prior-knowledge", "--path-as-is", "--globoff", &url]).await;
        assert_eq!(origin.seen.heads().pop().unwrap().split(' ').nth(1), Some(target));
    }
}

#[tokio::test]
async fn a_target_that_could_be_read_in_two_ways_is_refused_with_a_problem_and_counted() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&through(&origin, &["GET /{*rest}", "GET /t/{x} -> /{x}"])).await;
    let targets = [
        "/../a",
        "/a/%2e%2e/b",
        "/..%2fa",
        "/a%2F..",
        "/a%2f%2e/b",
        "/..;x/a",
        "/a%00",
        "/a%5cb",
        "/a\\b",
        "/%c0%ae%c0%ae",
        "/a%zz",
        "/t/..%2f..%2fadmin",
        "/?a=\"",
        "/?a=<b",
        "/?a=b>",
        "/<",
        "/`",
    ];
    for (number, target) in targets.iter().enumerate() {
        let request = format!("GET {target} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        let answer = ask(seawall.address, &request).await.unwrap();
        assert_eq!(answer.status, 400, "{target}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{target}");
        let kind = answer.json()["type"].as_str().unwrap().to_owned();
        assert!(["urn:seawall:ambiguous-path", "urn:seawall:malformed-request"].contains(&&*kind));
        let refused = seawall.metric("seawall_gateway_requests_refused_total", &[]).await;
        assert!((refused - (number + 1) as f64).abs() < 0.5, "{target}: {refused} are counted");
    }
    assert_eq!(origin.seen.requests(), 0);
}

#[tokio::test]
async fn a_path_that_a_template_makes_too_long_is_told_so() {
    let origin = Origin::saying("ok");
    let route = "GET /t/{x} -> /{x}/{x}/{x}/{x}";
    let seawall = Seawall::start(&through(&origin, &[route])).await;
    for (length, status) in [(1000, 200), (5000, 414)] {
        let target = format!("/t/{}", "a".repeat(length));
        let request = format!("GET {target} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        let answer = ask(seawall.address, &request).await.unwrap();
        assert_eq!(answer.status, status, "{length}");
        if status == 414 {
            assert_eq!(answer.json()["type"], "urn:seawall:too-large");
        }
    }
}

#[tokio::test]
async fn over_http2_a_query_that_must_be_escaped_is_refused_as_over_http1() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&through(&origin, &["GET /{*rest}"])).await;
    let url = format!("http://{}/?a=\"b\"", seawall.address);
    let said = curl(&["--http2-prior-knowledge", "-i", "--globoff", &url]).await;
    assert!(
        said.contains("HTTP/2 400") && said.contains("urn:seawall:malformed-request"),
        "{said}"
    );
    let refused = seawall.metric("seawall_gateway_requests_refused_total", &[]).await;
    assert!((refused - 1.0).abs() < 0.5, "{refused}");
}

#[tokio::test]
async fn a_path_keeps_what_was_sent_and_escapes_only_what_it_must() {
    let origin = Origin::saying("ok");
    let routes = [
        "GET /api/queues/{vhost}/{queue} -> /q/{vhost}/x/{queue}",
        "GET /npm/{package} -> /{package}",
        "GET /files/{*rest} -> /v1/{*rest}",
        "GET /find/{term} -> /search?q={term}&units=metric",
        "GET /%2F/{x} -> /root/{x}",
    ];
    let seawall = Seawall::start(&through(&origin, &routes)).await;
    let check = async |target: &str, want: &str| {
        assert_eq!(asked(&seawall, &origin, target).await, want, "{target}");
    };
    check("/api/queues/%2F/a:b;c@d", "/q/%2F/x/a:b;c@d").await;
    check("/npm/@scope%2fname", "/@scope%2fname").await;
    check("/npm/%41%7E", "/%41%7E").await;
    check("/npm/a|\"{b}", "/a%7C%22%7Bb%7D").await;
    check("/files/a//b%2Fc/d/", "/v1/a//b%2Fc/d/").await;
    check("//files//a", "/v1/a").await;
    check("/find/a&b=c;d", "/search?q=a%26b%3Dc%3Bd&units=metric").await;
    check("/find/a%2fb%26", "/search?q=a%2fb%26&units=metric").await;
    check("/%2f/x", "/root/x").await;
    check("/files/..%2f", "400").await;
}

#[tokio::test]
async fn the_clients_query_stands_beside_that_of_a_path_which_it_cannot_change() {
    let origin = Origin::saying("ok");
    let routes = ["GET /find/{term} -> /search?q={term}&units=metric"];
    let seawall = Seawall::start(&through(&origin, &routes)).await;
    let check = async |target: &str, want: &str| {
        assert_eq!(asked(&seawall, &origin, target).await, want, "{target}");
    };
    check("/find/oslo?page=2&units=us", "/search?q=oslo&units=metric&page=2").await;
    check("/find/oslo?%71=bergen&q[]=x", "/search?q=oslo&units=metric").await;
    check("/find/oslo?", "/search?q=oslo&units=metric").await;
}

#[tokio::test]
async fn a_rest_takes_the_folder_that_it_stands_in_and_not_the_name_before_it() {
    let origin = Origin::saying("ok");
    let routes = ["GET /{*rest}", "GET /b/{*rest} -> /up/{*rest}", "GET /b/own/"];
    let seawall = Seawall::start(&through(&origin, &routes)).await;
    let check = async |target: &str, want: &str| {
        assert_eq!(asked(&seawall, &origin, target).await, want, "{target}");
    };
    check("/", "/").await;
    check("/?a=b", "/?a=b").await;
    check("/b/", "/up/").await;
    check("/b/x", "/up/x").await;
    // `/b` is another path: links in its answer would lead elsewhere.
    check("/b", "/b").await;
    check("/b/own/", "/b/own/").await;
    let seawall = Seawall::start(&through(&origin, &["GET /b/{*rest}"])).await;
    let (code, said) = seawall.ask(&["routes", "test", "-c", "seawall.toml", "GET /b/"]);
    assert!(code == 0 && said.contains("GET /b/{*rest}"), "{said}");
    assert_eq!(asked(&seawall, &origin, "/b").await, "404");
}

#[tokio::test]
async fn the_placeholders_of_other_routers_are_refused_with_what_to_write() {
    let check = |matched: &str, path: &str, wanted: &str| {
        let folder = tempfile::tempdir().unwrap();
        let settings = format!(
            "version = 1\n[upstream.o]\nurl = \"http://127.0.0.1:9\"\n\
             [[route]]\nmatch = \"{matched}\"\nupstream = \"o\"\n{path}\n"
        );
        std::fs::write(folder.path().join("seawall.toml"), settings).unwrap();
        let Output { status, stdout, stderr } =
            Seawall::command(folder.path(), &["check"]).output().unwrap();
        let said = String::from_utf8([stdout, stderr].concat()).unwrap();
        assert!(!status.success() && said.contains(wanted), "{matched} {path}: {said}");
    };
    check("GET /api/*", "", "match = \"GET /api/{*rest}\"");
    check("/api/**", "", "match = \"/api/{*rest}\"");
    check("GET /users/:id", "", "match = \"GET /users/{id}\"");
    check("GET /users/<int:id>/x", "", "match = \"GET /users/{id}/x\"");
    check("GET /users/{id}", "path = \"/v1/:id\"", "path = \"/v1/{id}\"");
    check("GET /b/{*rest}", "path = \"/*\"", "path = \"/{*rest}\"");
}

#[tokio::test]
async fn empty_lines_before_a_request_are_skipped_up_to_two() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&through(&origin, &["GET /{*rest}"])).await;
    let mut client = Client::connect(seawall.address).await;
    for lines in ["\r\n", "\r\n\r\n", ""] {
        client.send(format!("{lines}GET /a HTTP/1.1\r\nhost: h\r\n\r\n")).await;
        assert_eq!(client.receive().await.unwrap().status, 200, "{lines:?}");
    }
    client.send("\r\n\r\n\r\nGET /a HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(client.receive().await.unwrap().status, 400);
}
