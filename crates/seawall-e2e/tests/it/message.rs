//! What of heads and trailers gets from client to upstream and back, on the binary.

use crate::fixture::{Client, Exchange, Origin, Seawall, ask, curl, node, node_server};

fn through(origin: &Origin, more: &str) -> String {
    format!(
        "{more}\n[upstream.origin]\nurl = \"{}\"\n\
         [[route]]\nmatch = \"GET /{{*rest}}\"\nupstream = \"origin\"\n",
        origin.url()
    )
}

/// Answers with these bytes and keeps the connection.
fn answering(bytes: impl Into<String>) -> Origin {
    let bytes = bytes.into();
    Origin::start(move |mut exchange: Exchange| {
        let bytes = bytes.clone();
        async move { exchange.send(bytes.as_bytes()).await.then_some(exchange) }
    })
}

#[tokio::test]
async fn cookie_crumbs_of_http2_reach_an_http1_upstream_as_one_cookie() {
    let origin = Origin::saying("ok");
    let seawall = Seawall::start(&through(&origin, "")).await;
    let url = format!("http://{}/", seawall.address);
    let crumbs = ["-H", "cookie: a=1", "-H", "cookie: b=2; c=3", "-H", "cookie: d=4"];
    curl(&[&["--http2-prior-knowledge"], &crumbs[..], &[&url]].concat()).await;
    let head = origin.seen.heads().pop().unwrap().to_ascii_lowercase();
    assert_eq!(head.matches("cookie:").count(), 1, "{head}");
    assert!(head.contains("cookie: a=1; b=2; c=3; d=4\r\n"), "{head}");
}

#[tokio::test]
async fn what_a_trusted_balancer_says_in_one_way_the_upstream_is_told_in_both() {
    let origin = Origin::saying("ok");
    let trusted = "[server]\ntrusted_proxies = [\"127.0.0.0/8\"]";
    let seawall = Seawall::start(&through(&origin, trusted)).await;
    let told = async |headers: &str| {
        let request = format!("GET / HTTP/1.1\r\nhost: h\r\n{headers}connection: close\r\n\r\n");
        ask(seawall.address, &request).await.unwrap();
        let head = origin.seen.heads().pop().unwrap();
        let names =
            ["forwarded: ", "x-forwarded-for: ", "x-forwarded-proto: ", "x-forwarded-host: "];
        names.map(|name| {
            let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with(name));
            line.map_or(String::new(), |line| line[name.len()..].to_owned())
        })
    };
    assert_eq!(
        told("x-forwarded-for: 9.9.9.9\r\nx-forwarded-proto: https\r\n").await,
        ["for=9.9.9.9;proto=https;host=\"h\", for=127.0.0.1", "9.9.9.9, 127.0.0.1", "https", "h"]
    );
    assert_eq!(
        told("forwarded: for=\"[2001:db8::1]:80\";proto=https;host=shop\r\n").await,
        [
            "for=\"[2001:db8::1]:80\";proto=https;host=shop, for=127.0.0.1",
            "2001:db8::1, 127.0.0.1",
            "https",
            "shop",
        ]
    );
    let own = ["for=127.0.0.1;proto=http;host=\"h\"", "127.0.0.1", "http", "h"];
    assert_eq!(told("").await, own);
    let seawall = Seawall::start(&through(&origin, "")).await;
    let lie = "GET / HTTP/1.1\r\nhost: h\r\nforwarded: for=1.1.1.1;proto=https\r\n\
        x-forwarded-proto: https\r\nconnection: close\r\n\r\n";
    ask(seawall.address, lie).await.unwrap();
    let head = origin.seen.heads().pop().unwrap();
    assert!(head.contains(own[0]) && head.contains("x-forwarded-proto: http\r\n"), "{head}");
}

#[tokio::test]
async fn order_case_and_doubled_fields_pass_as_they_came() {
    let said =
        "X-Z: 1\r\nSet-Cookie: a=1\r\nCONTENT-LENGTH: 2\r\nx-y:2\r\nset-cookie: b=2\r\nX-z: 3\r\n";
    let origin = answering(format!("HTTP/1.1 200 OK\r\n{said}\r\nok"));
    let seawall = Seawall::start(&through(&origin, "")).await;
    let sent = "X-B: 1\r\nACCEPT: a\r\nx-a:2\r\nX-b: 3\r\nAccept: b\r\nX-B:\t4\r\n";
    let request = format!(
        "GET / HTTP/1.1\r\nHOST: h\r\nConnection: close, X-Gone\r\n{sent}x-gone: 1\r\n\r\n"
    );
    let answer = ask(seawall.address, &request).await.unwrap();
    assert!(answer.head.contains(said), "{}", answer.head);
    let head = origin.seen.heads().pop().unwrap();
    assert!(head.contains(&format!("\r\n{sent}")) && !head.contains("gone"), "{head}");
    let host = format!("HOST: {}\r\n", origin.url().trim_start_matches("http://"));
    assert!(head.starts_with(&format!("GET / HTTP/1.1\r\n{host}{sent}")), "{head}");
}

#[tokio::test]
async fn a_client_cannot_have_the_host_removed_that_it_asks_for() {
    let origin = Origin::saying("ok");
    let settings =
        through(&origin, "").replace("upstream = ", "upstream_host = \"keep\"\nupstream = ");
    let seawall = Seawall::start(&settings).await;
    let request = "GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close, host\r\n\r\n";
    ask(seawall.address, request).await.unwrap();
    let head = origin.seen.heads().pop().unwrap();
    for line in ["host: a.example", "x-forwarded-host: a.example"] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{head}");
    }
}

const TRAILERS: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n\
    5\r\nhello\r\n0\r\nx-sum: 1\r\ncontent-length: 9\r\n\r\n";

#[tokio::test]
async fn trailers_reach_clients_that_take_them_without_what_only_a_head_can_say() {
    let origin = answering(TRAILERS);
    let seawall = Seawall::start(&through(&origin, "")).await;
    let mut client = Client::connect(seawall.address).await;
    client.send("GET / HTTP/1.1\r\nhost: h\r\nte: trailers\r\nconnection: te, close\r\n\r\n").await;
    let said = client.rest().await;
    assert!(said.ends_with("\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"), "{said}");
    // Who does not take them gets the same answer without.
    let answer = seawall.get("/").await;
    assert!(answer.is_complete && answer.text() == "hello");
    let url = format!("http://{}/", seawall.address);
    let said = curl(&["--http2-prior-knowledge", "-i", "-v", &url]).await;
    assert!(said.contains("x-sum: 1") && said.contains("hello"), "{said}");
    assert!(!said.contains("content-length: 9"), "{said}");
}

#[tokio::test]
async fn trailers_that_are_too_large_are_dropped_and_the_answer_is_whole() {
    let start = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n";
    let trailers = [
        format!("x-a: 1\r\nx-large: {}\r\nx-b: 1\r\n\r\n", "a".repeat(100_000)),
        "x-a: 1\r\n".repeat(5000) + "\r\n",
    ];
    for trailers in trailers {
        let origin = answering(format!("{start}{trailers}"));
        let seawall = Seawall::start(&through(&origin, "")).await;
        let mut client = Client::connect(seawall.address).await;
        for _ in 0..2 {
            client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
            let answer = client.receive().await.unwrap();
            assert!(answer.is_complete && answer.text() == "hello", "{answer:?}");
        }
        // The upstream's connection goes on too: nothing of the trailers is left on it.
        assert_eq!((origin.seen.requests(), origin.seen.connections()), (2, 1));
        let url = format!("http://{}/", seawall.address);
        let said = curl(&["--http2-prior-knowledge", "-i", &url]).await;
        assert!(said.ends_with("hello") && !said.contains("x-a: 1"), "{said}");
    }
}

#[tokio::test]
async fn a_length_that_an_answer_says_twice_is_one_if_it_is_the_same() {
    for lengths in ["content-length: 2\r\ncontent-length: 2\r\n", "content-length: 2, 2\r\n"] {
        let origin = answering(format!("HTTP/1.1 200 OK\r\n{lengths}\r\nok"));
        let seawall = Seawall::start(&through(&origin, "")).await;
        let mut client = Client::connect(seawall.address).await;
        for _ in 0..2 {
            client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
            let answer = client.receive().await.unwrap();
            assert_eq!((answer.status, answer.text()), (200, "ok"));
            assert_eq!(answer.head.to_ascii_lowercase().matches("content-length").count(), 1);
            assert_eq!(answer.header("content-length"), Some("2"));
        }
        assert_eq!(origin.seen.connections(), 1);
    }
    let twice = "content-length: 2\r\ncontent-length: 3\r\n";
    let origin = answering(format!("HTTP/1.1 200 OK\r\n{twice}\r\nok!"));
    let seawall = Seawall::start(&through(&origin, "")).await;
    assert_eq!(seawall.get("/").await.status, 502);
}

#[tokio::test]
async fn of_several_ages_the_first_counts_and_one_that_is_no_number_does_not() {
    for (ages, age_min) in [("age: 20\r\nage: 9999\r\n", 20), ("age: old\r\n", 0)] {
        let origin = answering(format!(
            "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\n{ages}content-length: 2\r\n\r\nok"
        ));
        let keeping = "[policy.standard]\ncache = {}";
        let seawall = Seawall::start(&through(&origin, keeping)).await;
        assert_eq!(seawall.get("/").await.status, 200);
        let kept = seawall.get("/").await;
        assert_eq!(origin.seen.requests(), 1, "{ages}: it is kept");
        let age: u64 = kept.header("age").unwrap().parse().unwrap();
        assert!((age_min..age_min + 30).contains(&age), "{ages}: {age}");
    }
}

/// A server that hints before it answers, and a client that says what it was told, in this order.
const HINTING: &str = "
    const http = require('http');
    if (process.argv[1]) {
        http.get(process.argv[1], (answer) => answer.resume().on('end', () => console.log('whole')))
            .on('information', (hint) => console.log(hint.statusCode, hint.headers.link));
    } else {
        http.createServer((_, answer) => answer.writeEarlyHints(
            { link: '</a.css>; rel=preload' }, () => answer.end('hello'),
        )).listen(0, '127.0.0.1', function () { console.log(this.address().port); });
    }";

#[tokio::test]
async fn early_hints_of_node_reach_node() {
    let (_server, port, _said) = node_server(HINTING, &[]).await;
    let seawall = Seawall::start(&format!(
        "[upstream.node]\nurl = \"http://127.0.0.1:{port}\"\n\
         [[route]]\nmatch = \"GET /\"\nupstream = \"node\"\n"
    ))
    .await;
    let client = node(HINTING, &[&format!("http://{}/", seawall.address)]);
    let output = client.wait_with_output().await.unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(told, "103 </a.css>; rel=preload\nwhole\n");
}
