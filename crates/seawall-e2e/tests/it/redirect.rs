//! The host that an upstream is told, and redirects that name it, on the binary.

use crate::fixture::{Exchange, Nginx, Origin, Response, Seawall, ask, curl};

fn settings(origin: &str, route: &str) -> String {
    format!("[upstream.origin]\nurl = \"{origin}\"\n[[route]]\nupstream = \"origin\"\n{route}\n")
}

async fn get(seawall: &Seawall, target: &str, headers: &str) -> Response {
    let request = format!("GET {target} HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
    ask(seawall.address, &request).await.unwrap()
}

/// Answers every request with these headers, in which `ORIGIN` stands for its own address.
fn saying(headers: &'static str) -> Origin {
    Origin::start(move |mut exchange: Exchange| async move {
        let own = exchange.local().to_string();
        exchange.answer_with(302, &headers.replace("ORIGIN", &own), b"").await;
        Some(exchange)
    })
}

#[tokio::test]
async fn an_upstream_is_told_its_own_host_or_the_clients_or_a_name() {
    let origin = Origin::saying("ok");
    let told = async |host: &str, asked: &str| {
        let route = format!("match = \"GET /{{*rest}}\"\n{host}");
        let seawall = Seawall::start(&settings(&origin.url(), &route)).await;
        get(&seawall, "/", asked).await;
        let head = origin.seen.heads().pop().unwrap().to_ascii_lowercase();
        let value = |name: &str| {
            let line = head.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line[name.len().min(line.len())..].to_owned()
        };
        (value("host: "), value("x-forwarded-host: "), value("forwarded: "))
    };
    let forwarded = "for=127.0.0.1;proto=http;host=\"shop.example:81\"".to_owned();
    let asked = "host: shop.example:81\r\n";
    let own = origin.address.to_string();
    let shop = "shop.example:81".to_owned();
    for (setting, host) in [
        ("", own.as_str()),
        ("upstream_host = \"upstream\"", own.as_str()),
        ("upstream_host = \"keep\"", shop.as_str()),
        ("upstream_host = \"api.example\"", "api.example"),
    ] {
        let want = (host.to_owned(), shop.clone(), forwarded.clone());
        assert_eq!(told(setting, asked).await, want, "{setting}");
    }
}

#[tokio::test]
async fn a_host_that_is_none_is_refused_by_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let route = "match = \"GET /{*rest}\"\nupstream_host = \"http://x\"";
    let text = format!("version = 1\n{}", settings("http://127.0.0.1:9", route));
    std::fs::write(folder.path().join("seawall.toml"), text).unwrap();
    let output = Seawall::command(folder.path(), &["check"]).output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(!output.status.success() && said.contains("upstream_host = \"keep\""), "{said}");
}

#[tokio::test]
async fn a_redirect_that_names_the_upstream_names_what_the_client_asked() {
    let cases = [
        ("location: http://ORIGIN/login?a=b#c\r\n", "http://shop.example/login?a=b#c"),
        ("location: HTTP://ORIGIN\r\n", "http://shop.example"),
        ("location: //ORIGIN/x\r\n", "http://shop.example/x"),
        // These do not name it.
        ("location: /login\r\n", "/login"),
        ("location: http://elsewhere.example/x\r\n", "http://elsewhere.example/x"),
        ("location: https://127.0.0.1/x\r\n", "https://127.0.0.1/x"),
        ("location: http://user@127.0.0.1:9/x\r\n", "http://user@127.0.0.1:9/x"),
    ];
    for (said, want) in cases {
        let origin = saying(said);
        let seawall = Seawall::start(&settings(&origin.url(), "match = \"GET /{*rest}\"")).await;
        let answer = get(&seawall, "/", "host: shop.example\r\n").await;
        assert_eq!(answer.header("location"), Some(want), "{said}");
    }
    let origin =
        saying("location: http://ORIGIN//evil.example/x\r\nrefresh: 5; URL='http://ORIGIN/y'\r\n");
    let seawall = Seawall::start(&settings(&origin.url(), "match = \"GET /{*rest}\"")).await;
    let answer = get(&seawall, "/", "host: shop.example\r\n").await;
    assert_eq!(answer.header("refresh"), Some("5; URL='http://shop.example/y'"));
    // HTTP/1.0 has no host to name; then two slashes must not begin one.
    let answer = ask(seawall.address, "GET / HTTP/1.0\r\n\r\n").await.unwrap();
    assert_eq!(answer.header("location"), Some("/evil.example/x"));

    let off = "match = \"GET /{*rest}\"\nrewrite_redirects = false";
    let seawall = Seawall::start(&settings(&origin.url(), off)).await;
    let answer = get(&seawall, "/", "host: shop.example\r\n").await;
    let own = format!("http://{}//evil.example/x", origin.address);
    assert_eq!(answer.header("location"), Some(&*own));
}

#[tokio::test]
async fn a_redirect_leads_back_through_base_and_path_and_behind_a_trusted_proxy() {
    let origin = saying("location: http://ORIGIN/base/v1/t1/a%2Fb/?x=1\r\n");
    let route = "match = \"GET /shop/{tenant}/{*rest}\"\npath = \"/v1/{tenant}/{*rest}\"\n\
        [server]\ntrusted_proxies = [\"127.0.0.0/8\"]";
    let seawall = Seawall::start(&settings(&format!("{}/base", origin.url()), route)).await;
    let answer = get(&seawall, "/shop/t1/a", "host: shop.example\r\n").await;
    assert_eq!(answer.header("location"), Some("http://shop.example/shop/t1/a%2Fb/?x=1"));
    let proxied =
        "host: inside\r\nx-forwarded-proto: https\r\nx-forwarded-host: shop.example:444\r\n";
    let answer = get(&seawall, "/shop/t1/a", proxied).await;
    assert_eq!(answer.header("location"), Some("https://shop.example:444/shop/t1/a%2Fb/?x=1"));
    let proxied = "host: inside\r\nforwarded: for=1.1.1.1;proto=https;host=shop.example\r\n";
    let answer = get(&seawall, "/shop/t1/a", proxied).await;
    assert_eq!(answer.header("location"), Some("https://shop.example/shop/t1/a%2Fb/?x=1"));
    // Of another tenant nothing is known here but the host.
    let answer = get(&seawall, "/shop/t2/a", "host: shop.example\r\n").await;
    assert_eq!(answer.header("location"), Some("http://shop.example/v1/t1/a%2Fb/?x=1"));
}

#[tokio::test]
async fn a_kept_redirect_names_the_host_of_whoever_asks() {
    let origin = saying("location: http://ORIGIN/x\r\ncache-control: max-age=60\r\n");
    let keeping = |host: &str| {
        let route = format!("match = \"GET /{{*rest}}\"\n{host}\n[policy.standard]\ncache = {{}}");
        settings(&origin.url(), &route)
    };
    let seawall = Seawall::start(&keeping("")).await;
    for host in ["a.example", "b.example", "a.example"] {
        let answer = get(&seawall, "/", &format!("host: {host}\r\n")).await;
        assert_eq!(answer.header("location"), Some(&*format!("http://{host}/x")));
    }
    assert_eq!(origin.seen.requests(), 2, "each host is kept apart, and once");
    // What the upstream is told is in the key too.
    let seawall = Seawall::start(&keeping("upstream_host = \"keep\"")).await;
    for host in ["a.example", "b.example", "b.example"] {
        get(&seawall, "/", &format!("host: {host}\r\n")).await;
    }
    assert_eq!(origin.seen.requests(), 4);
}

#[tokio::test]
async fn curl_follows_the_redirects_of_nginx_without_learning_its_address() {
    let nginx = Nginx::start("location /old { return 301 http://$host:$server_port/new; }").await;
    nginx.serve("new", "here");
    let route = "match = \"GET /site/{*rest}\"\npath = \"/{*rest}\"";
    let seawall = Seawall::start(&settings(&nginx.url(), route)).await;
    let url = format!("http://{}/site/old", seawall.address);
    let said = curl(&["-L", "-i", &url]).await;
    assert!(said.ends_with("here"), "{said}");
    assert!(!said.contains(&format!(":{}", nginx.port())), "{said}");
}
