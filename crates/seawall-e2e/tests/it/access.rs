//! What clients may reach and forge: paths, forwarded headers, logs, metrics, secrets.

use std::collections::HashSet;

use crate::fixture::{Client, Origin, Seawall, ask};

/// One route with a template in front of an origin.
fn guarded(url: &str, more: &str) -> String {
    format!(
        "{more}\n[upstream.origin]\nurl = \"{url}\"\n\
         [[route]]\nmatch = \"GET /api/{{name}}\"\nupstream = \"origin\"\npath = \"/inside/{{name}}\"\n\
         [[route]]\nmatch = \"GET /files/{{*rest}}\"\nupstream = \"origin\"\npath = \"/tree/{{*rest}}\"\n"
    )
}

#[tokio::test]
async fn a6_no_captured_value_leaves_the_templates_prefix_or_the_configured_host() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&guarded(&origin.url(), "")).await;
    let tricks = [
        "..%2f..%2fadmin",
        "%2e%2e",
        "..",
        "%2e%2e%2f",
        "..;",
        "..;/admin",
        "%5c..%5cadmin",
        "%00",
        "a%00b",
        "%c0%ae%c0%ae",
        "/evil",
        "//evil.example/x",
        "@evil",
        "%40evil.example",
        ":80",
        "%0d%0aX:1",
        "%0d%0a%0d%0aGET%20/%20HTTP/1.1",
        "%252e%252e%252fadmin",
        "a%2fb",
        "a%3fb=c",
        "a%23b",
        "http://evil.example/",
        "x/../../admin",
        "./x",
        "x/./y",
        "x//y",
        "\\..\\admin",
        "%",
        "%2",
        "%zz",
        "é",
    ];

    for trick in tricks {
        for prefix in ["/api/", "/files/"] {
            let request =
                format!("GET {prefix}{trick} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            if let Some(answer) = ask(seawall.address, &request).await {
                assert!(
                    matches!(answer.status, 200 | 400 | 404),
                    "{prefix}{trick}: {}",
                    answer.status
                );
            }
        }
    }

    for head in origin.seen.heads() {
        let target = head.split(' ').nth(1).unwrap();
        let inside = target.strip_prefix("/inside/").map(|rest| !rest.contains('/'));
        let tree = target.strip_prefix("/tree/").map(|_| true);
        assert_eq!(inside.or(tree), Some(true), "left the template: {target}");
        let decoded = target.replace("%2e", ".").replace("%2E", ".");
        assert!(!decoded.split('/').any(|part| part == ".." || part == "."), "{target}");
        assert!(!target.contains(['?', '#', '\\']), "{target}");
        assert!(target.bytes().all(|byte| byte.is_ascii_graphic()), "{target}");
        let host = head.lines().find(|line| line.to_ascii_lowercase().starts_with("host:"));
        assert_eq!(host.unwrap()[5..].trim(), origin.address.to_string());
        assert!(!head.to_ascii_lowercase().contains("\r\nx:"), "{head}");
    }
}

#[tokio::test]
async fn a8_forwarded_headers_of_a_peer_that_is_not_trusted_are_overwritten() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&guarded(&origin.url(), "")).await;
    let forged = "GET /api/x HTTP/1.1\r\nhost: shop.example\r\nx-forwarded-for: 6.6.6.6\r\n\
        x-forwarded-proto: gopher\r\nx-forwarded-host: evil.example\r\nforwarded: for=6.6.6.6\r\n\
        x-real-ip: 6.6.6.6\r\nconnection: close\r\n\r\n";

    assert_eq!(ask(seawall.address, forged).await.unwrap().status, 200);

    let head = origin.seen.heads().remove(0).to_ascii_lowercase();
    assert!(!head.contains("6.6.6.6"), "{head}");
    assert!(!head.contains("gopher") && !head.contains("evil.example"), "{head}");
    assert!(head.contains("x-forwarded-for: 127.0.0.1\r\n"), "{head}");
    assert!(head.contains("x-forwarded-proto: http\r\n"), "{head}");
    assert!(head.contains("x-forwarded-host: shop.example\r\n"), "{head}");
}

#[tokio::test]
async fn a8_a_trusted_proxy_is_believed_and_added_to() {
    let origin = Origin::saying("ok");
    let trusting = guarded(&origin.url(), "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]");
    let seawall = Seawall::start(&trusting).await;

    let request = "GET /api/x HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 6.6.6.6\r\n\
        connection: close\r\n\r\n";
    assert_eq!(ask(seawall.address, request).await.unwrap().status, 200);

    let head = origin.seen.heads().remove(0).to_ascii_lowercase();
    assert!(head.contains("x-forwarded-for: 6.6.6.6, 127.0.0.1\r\n"), "{head}");
}

#[tokio::test]
async fn a8_a_request_id_is_kept_if_it_is_one_and_replaced_if_not() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&guarded(&origin.url(), "")).await;
    let id_seen = async |id: &str| {
        let request = format!(
            "GET /api/x HTTP/1.1\r\nhost: x\r\nx-request-id: {id}\r\nconnection: close\r\n\r\n"
        );
        ask(seawall.address, &request).await.unwrap();
        let head = origin.seen.heads().pop().unwrap().to_ascii_lowercase();
        let line = head.lines().find(|line| line.starts_with("x-request-id:")).unwrap().to_owned();
        line["x-request-id:".len()..].trim().to_owned()
    };

    assert_eq!(id_seen("0197-abc").await, "0197-abc");
    let long = "a".repeat(10_240);
    let kept = id_seen(&long).await;
    assert!(!kept.is_empty() && kept.len() <= 128, "{}", kept.len());
    let odd = id_seen("a<script>\"'b").await;
    assert!(!odd.contains(['<', '"']), "{odd}");
}

#[tokio::test]
async fn a9_nominated_headers_are_removed_and_ours_cannot_be() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&guarded(&origin.url(), "")).await;
    let request = "GET /api/x HTTP/1.1\r\nhost: x\r\n\
        connection: close, x-forwarded-for, x-request-id, x-secret\r\nx-secret: hop\r\n\
        keep-alive: 5\r\nproxy-authorization: Basic Zm9v\r\nte: trailers\r\nupgrade: h2c\r\n\
        user_id: 1\r\n\r\n";

    assert_eq!(ask(seawall.address, request).await.unwrap().status, 200);

    let head = origin.seen.heads().remove(0).to_ascii_lowercase();
    assert!(head.contains("x-forwarded-for: 127.0.0.1\r\n"), "{head}");
    assert!(head.contains("x-request-id: "), "{head}");
    for gone in ["x-secret", "keep-alive:", "proxy-authorization", "upgrade:", "user_id", "\r\nte:"]
    {
        assert!(!head.contains(gone), "{gone} got through: {head}");
    }
}

#[tokio::test]
async fn a9_hop_by_hop_headers_of_an_answer_are_removed() {
    let origin = Origin::start(async |mut exchange| {
        let headers = "connection: x-hop, keep-alive\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\n\
            proxy-authenticate: Basic\r\nx-stays: 1\r\n";
        exchange.answer_with(200, headers, b"ok").await;
        None
    });
    let seawall = Seawall::start(&guarded(&origin.url(), "")).await;

    let answer = seawall.get("/api/x").await;

    assert_eq!(answer.header("x-stays"), Some("1"));
    for gone in ["x-hop", "keep-alive", "proxy-authenticate"] {
        assert_eq!(answer.header(gone), None, "{gone} got through");
    }
}

#[tokio::test]
async fn a10_what_a_client_sends_cannot_forge_a_log_line() {
    let origin = Origin::sending("HTTP/1.1 2\x1b[31mFORGED\r\n\r\n");
    let seawall = Seawall::start(&guarded(&origin.url(), "")).await;
    let long = "a".repeat(7000);
    for target in ["/api/%0d%0aFORGED", "/api/%1b[31mFORGED", "/api/\u{fffd}FORGED", &long] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let _refused_or_not = ask(seawall.address, &request).await;
    }
    let mut client = Client::connect(seawall.address).await;
    client.send(b"GET /api/\xff\xfe HTTP/1.1\r\nhost: x\r\nx: \x1b[31mFORGED\r\n\r\n").await;
    let _refused = client.receive().await;

    for line in seawall.log().lines() {
        assert!(line.len() <= 8192, "a line of {} bytes", line.len());
        assert!(!line.starts_with("FORGED"), "{line}");
        assert!(!line.contains('\x1b'), "{line}");
    }
}

#[tokio::test]
async fn a11_no_client_can_add_a_series_to_the_metrics() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&guarded(&origin.url(), "")).await;
    let series = async || {
        let text = seawall.metrics().await;
        let names = text.lines().filter(|line| !line.starts_with('#'));
        names.map(|line| line.rsplit_once(' ').unwrap().0.to_owned()).collect::<HashSet<_>>()
    };
    // Every kind of answer once, so that what comes lazily is there.
    let send = async |client: &mut Client, number: usize| {
        client.send(format!("GET /api/{number} HTTP/1.1\r\nhost: h{number}\r\n\r\n")).await;
        assert_eq!(client.receive().await.unwrap().status, 200);
        client.send(format!("GET /no/{number} HTTP/1.1\r\nhost: h{number}\r\n\r\n")).await;
        assert_eq!(client.receive().await.unwrap().status, 404);
        client.send(format!("M{number} /api/x HTTP/1.1\r\nhost: h{number}\r\n\r\n")).await;
        assert_eq!(client.receive().await.unwrap().status, 405);
    };
    send(&mut Client::connect(seawall.address).await, 0).await;
    let before = series().await;

    let mut client = Client::connect(seawall.address).await;
    for number in 1..300 {
        send(&mut client, number).await;
    }

    let after = series().await;
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "{new:?}");
}
