//! The gateway as a cache: what is kept, for whom, for how long, and what stands in for a failure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use seawall_core::{CacheUse, Fate};
use seawall_gateway::Server;
use seawall_http::{Options, Transport};
use seawall_policy::{Params, cache};
use seawall_testkit::{ScriptedReply, ScriptedUpstream, Seen, call_event, server_event};
use seawall_upstream::Upstream;

use crate::house::{House, until};

pub(crate) fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n{headers}\r\n")
}

pub(crate) fn params(change: impl FnOnce(&mut cache::Params)) -> Params {
    let mut cache = cache::Params::default();
    change(&mut cache);
    Params { cache: Some(cache), ..Params::bare() }
}

/// A gateway with a cache, and an upstream that counts its answers in their bodies.
pub(crate) struct Cached {
    pub(crate) house: House,
    pub(crate) upstream: ScriptedUpstream,
}

impl Cached {
    pub(crate) async fn with(
        params: Params,
        answer: impl Fn(&Seen, usize) -> ScriptedReply + Send + Sync + 'static,
    ) -> Self {
        let count = AtomicUsize::new(0);
        let each = move |seen: &Seen| answer(seen, count.fetch_add(1, Ordering::Relaxed) + 1);
        let upstream = ScriptedUpstream::answering(each).await.unwrap();
        let house = House::with(upstream.address(), params, Server::default()).await;
        Self { house, upstream }
    }

    /// An upstream whose every answer has these headers.
    async fn saying(headers: &'static [(&'static str, &'static str)]) -> Self {
        Self::with(params(|_| {}), move |_, count| numbered(headers, count)).await
    }

    pub(crate) async fn ask(&self, request: &str) -> String {
        self.house.ask(request).await
    }

    /// Asks for a path; returns the body.
    pub(crate) async fn body(&self, path: &str, headers: &str) -> String {
        body_of(&self.ask(&get(path, headers)).await)
    }

    pub(crate) fn requests(&self) -> u64 {
        self.upstream.counts().requests
    }
}

fn numbered(headers: &[(&str, &str)], count: usize) -> ScriptedReply {
    ScriptedReply::with_headers(200, headers, format!("answer {count}"))
}

pub(crate) fn body_of(answer: &str) -> String {
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()
}

const LONG: &[(&str, &str)] = &[("cache-control", "max-age=600")];

/// Asserts how many of two requests reach an upstream whose answers have these headers.
async fn check(
    headers: &'static [(&'static str, &'static str)],
    first: &str,
    second: &str,
    requests: u64,
) {
    let cached = Cached::saying(headers).await;
    assert_eq!(cached.body("/a", first).await, "answer 1");
    let want = if requests == 1 { "answer 1" } else { "answer 2" };
    assert_eq!(cached.body("/a", second).await, want, "{headers:?} {first:?} {second:?}");
    assert_eq!(cached.requests(), requests);
}

#[tokio::test]
async fn a_fresh_answer_is_served_with_its_age_and_asks_nobody() {
    let cached = Cached::saying(&[("cache-control", "max-age=600"), ("age", "100")]).await;
    cached.ask(&get("/a?x=1", "")).await;
    let answer = cached.ask(&get("/a?x=1", "")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nage: 10"), "{answer}");
    assert!(answer.contains("\r\nseawall-outcome: ok; upstream=origin; attempts=0;"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nanswer 1"), "{answer}");
    assert_eq!(cached.requests(), 1);
    assert_eq!(cached.house.ledger.count(&call_event!(CacheUsed { .. })), 1);
    assert_eq!(cached.house.ledger.count(&call_event!(CacheUsed { how: CacheUse::Fresh, .. })), 1);
    // Another query, another host, another path are other things.
    assert_eq!(cached.body("/a?x=2", "").await, "answer 2");
    let request = "GET /a?x=1 HTTP/1.1\r\nhost: other\r\nconnection: close\r\n\r\n";
    assert_eq!(body_of(&cached.ask(request).await), "answer 3");
    assert_eq!(cached.body("/a", "").await, "answer 4");
}

#[tokio::test]
async fn answers_for_one_caller_are_never_served_to_another() {
    for personal in ["authorization: Bearer a\r\n", "cookie: session=a\r\n"] {
        check(LONG, personal, "", 2).await;
        check(LONG, "", personal, 2).await;
        check(LONG, personal, personal, 2).await;
        check(&[("cache-control", "public, max-age=600")], personal, "", 1).await;
        check(&[("cache-control", "s-maxage=600")], "", personal, 1).await;
    }
    check(&[("cache-control", "max-age=600"), ("set-cookie", "a=1")], "", "", 2).await;
    check(&[("cache-control", "private, max-age=600")], "", "", 2).await;
    check(&[("cache-control", "no-store")], "", "", 2).await;
    check(&[("cache-control", "max-age=600"), ("vary", "*")], "", "", 2).await;
}

#[tokio::test]
async fn a13_ten_users_at_once_get_only_their_own_answers() {
    let params = Params { coalesce: true, ..params(|cache| cache.fresh_for = SHORT * 100) };
    let cached = Cached::with(params, |seen, _| {
        let own = seen.header("cookie").unwrap_or("nobody").to_owned();
        ScriptedReply::wait(Duration::from_millis(5)).and(ScriptedReply::ok(own))
    });
    let cached = Arc::new(cached.await);
    let users = (0..200).map(|number| {
        let cached = cached.clone();
        tokio::spawn(async move {
            let user = format!("user={}", number % 10);
            assert_eq!(cached.body("/me", &format!("cookie: {user}\r\n")).await, user);
        })
    });
    for user in users.collect::<Vec<_>>() {
        user.await.unwrap();
    }
    assert_eq!(cached.body("/me", "").await, "nobody");
}

#[tokio::test]
async fn an_answer_is_served_to_those_whose_headers_chose_it() {
    const CHOSEN: &[(&str, &str)] =
        &[("cache-control", "max-age=600"), ("vary", "Accept-Language")];
    let cached = Cached::saying(CHOSEN).await;
    assert_eq!(cached.body("/a", "accept-language: no\r\n").await, "answer 1");
    assert_eq!(cached.body("/a", "accept-language: en\r\n").await, "answer 2");
    assert_eq!(cached.body("/a", "").await, "answer 3");
    assert_eq!(cached.body("/a", "accept-language: no\r\n").await, "answer 1");
    assert_eq!(cached.body("/a", "accept-language: en\r\n").await, "answer 2");
    assert_eq!(cached.body("/a", "").await, "answer 3");
}

#[tokio::test]
async fn c8_headers_that_name_another_site_or_path_poison_nothing() {
    // The upstream answers with what it was told; the next caller must not see it.
    let cached = Cached::with(params(|cache| cache.fresh_for = SHORT * 100), |seen, _| {
        let words = ["x-forwarded-host", "x-original-url", "x-rewrite-url", "x-forwarded-prefix"];
        let words = words.map(|name| seen.header(name).unwrap_or("-"));
        ScriptedReply::ok(words.join(" "))
    })
    .await;
    let poison = "x-forwarded-host: evil\r\nx-original-url: /evil\r\nx-rewrite-url: /evil\r\n\
                  x-forwarded-prefix: /evil\r\n";
    assert_eq!(cached.body("/a", poison).await, "h - - -");
    assert_eq!(cached.body("/a", "").await, "h - - -");
    // A GET with a body may mean anything, and is kept apart.
    let fat = "GET /b HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 4\r\n\r\nevil";
    cached.ask(fat).await;
    cached.ask(fat).await;
    assert_eq!(cached.requests(), 3);
}

#[tokio::test]
async fn what_says_nothing_is_as_fresh_as_the_settings_say() {
    check(&[], "", "", 2).await;
    let cached = Cached::with(params(|cache| cache.fresh_for = SHORT * 100), |_, count| {
        numbered(&[], count)
    });
    let cached = cached.await;
    assert_eq!(cached.body("/a", "").await, "answer 1");
    assert_eq!(cached.body("/a", "").await, "answer 1");
}

#[tokio::test]
async fn requests_may_ask_for_something_newer() {
    check(LONG, "", "cache-control: no-cache\r\n", 2).await;
    check(LONG, "", "pragma: no-cache\r\n", 2).await;
    check(LONG, "", "cache-control: max-age=600\r\n", 1).await;
    check(&[("cache-control", "max-age=600"), ("age", "9")], "", "cache-control: max-age=5\r\n", 2)
        .await;
    check(LONG, "", "cache-control: no-store\r\n", 2).await;
    check(LONG, "cache-control: no-store\r\n", "", 2).await;
    check(LONG, "cache-control: no-cache\r\n", "", 1).await;
    check(LONG, "", "range: bytes=0-1\r\n", 2).await;
}

#[tokio::test]
async fn a_request_for_a_kept_answer_or_none_gets_one_or_504() {
    let cached = Cached::saying(LONG).await;
    let only = "cache-control: only-if-cached\r\n";
    let answer = cached.ask(&get("/a", only)).await;
    assert!(answer.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{answer}");
    assert!(answer.contains("urn:seawall:not-kept"), "{answer}");
    assert_eq!(cached.requests(), 0);
    cached.ask(&get("/a", "")).await;
    assert_eq!(cached.body("/a", only).await, "answer 1");
}

#[tokio::test]
async fn head_is_answered_from_what_get_has_left() {
    let cached = Cached::saying(LONG).await;
    cached.ask(&get("/a", "")).await;
    let head = cached.ask("HEAD /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("content-length: 8\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(cached.requests(), 1);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_never_kept() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\n";
    for (cut, looks_whole) in [
        (format!("{HEAD}content-length: 100\r\n\r\nhello"), false),
        (format!("{HEAD}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"), false),
        // Nobody can tell whether this one is.
        (format!("{HEAD}connection: close\r\n\r\nhello"), true),
    ] {
        for coalesce in [false, true] {
            let params = Params { coalesce, ..params(|_| {}) };
            let cut = cut.clone();
            let cached = Cached::with(params, move |_, count| match count {
                1 => ScriptedReply::raw(cut.clone()).then_close(),
                _ => numbered(LONG, count),
            });
            let cached = cached.await;
            let mut client = cached.house.client().await;
            client.send(&get("/a", "")).await;
            let said = client.rest().await;
            let is_whole = said.ends_with("0\r\n\r\n");
            assert_eq!(is_whole, looks_whole, "coalesce: {coalesce}: {said}");
            assert_eq!(cached.body("/a", "").await, "answer 2", "coalesce: {coalesce}");
        }
    }
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_leaves_nothing_half() {
    let cached = Cached::with(params(|_| {}), |_, count| match count {
        1 => ScriptedReply::raw(
            "HTTP/1.1 200 OK\r\ncache-control: max-age=600\r\ncontent-length: 9\r\n\r\nhello",
        )
        .then_hang(),
        _ => numbered(LONG, count),
    });
    let cached = cached.await;
    let mut client = cached.house.client().await;
    client.send(&get("/a", "")).await;
    client.until("hello").await;
    drop(client);
    until(|| cached.house.gateway.in_flight() == 0, "nothing in flight").await;
    assert_eq!(cached.body("/a", "").await, "answer 2");
}

#[tokio::test]
async fn an_answer_that_is_too_large_passes_and_is_not_kept() {
    let large = "x".repeat(2_000);
    for coalesce in [false, true] {
        let large = large.clone();
        let params = Params { coalesce, ..params(|cache| cache.answer_bytes_max = 1_000) };
        let cached =
            Cached::with(params, move |_, _| ScriptedReply::with_headers(200, LONG, large.clone()))
                .await;
        for _ in 0..2 {
            assert_eq!(cached.body("/a", "").await.len(), 2_000);
        }
        assert_eq!(cached.requests(), 2);
    }
}

#[tokio::test]
async fn an_old_answer_is_confirmed_and_not_fetched_again() {
    const ONCE: &[(&str, &str)] = &[("cache-control", "no-cache"), ("etag", "\"v1\"")];
    let cached = Cached::with(params(|_| {}), |seen, count| match seen.header("if-none-match") {
        Some("\"v1\"") => {
            ScriptedReply::with_headers(304, &[("etag", "\"v1\""), ("x-new", "1")], "")
        }
        _ => numbered(ONCE, count),
    });
    let cached = cached.await;
    cached.ask(&get("/a", "")).await;
    for _ in 0..2 {
        let answer = cached.ask(&get("/a", "")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\nanswer 1"), "{answer}");
        assert!(answer.contains("\r\nx-new: 1\r\n"), "{answer}");
    }
    assert_eq!(cached.requests(), 3, "each time it is asked for");
}

#[tokio::test]
async fn a_304_with_another_tag_renews_nothing() {
    const ONCE: &[(&str, &str)] = &[("cache-control", "no-cache"), ("etag", "\"v1\"")];
    let other = [("etag", "\"v2\""), ("cache-control", "max-age=600"), ("x-new", "1")];
    let cached =
        Cached::with(params(|_| {}), move |seen, count| match seen.header("if-none-match") {
            Some(_) => ScriptedReply::with_headers(304, &other, ""),
            None => numbered(ONCE, count),
        });
    let cached = cached.await;
    cached.ask(&get("/a", "")).await;
    let answer = cached.ask(&get("/a", "")).await;
    assert!(answer.contains("etag: \"v1\"") && answer.ends_with("\r\n\r\nanswer 1"), "{answer}");
    assert!(!answer.contains("x-new"), "{answer}");
    assert_eq!(cached.body("/a", "").await, "answer 3", "the whole of it is fetched again");
}

#[tokio::test]
async fn a_client_that_has_the_answer_is_told_so() {
    const TAGGED: &[(&str, &str)] = &[("cache-control", "max-age=600"), ("etag", "\"v1\"")];
    let cached = Cached::saying(TAGGED).await;
    cached.ask(&get("/a", "if-none-match: \"v0\"\r\n")).await;
    let answer = cached.ask(&get("/a", "if-none-match: \"v1\"\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 304 Not Modified\r\n"), "{answer}");
    assert!(answer.contains("etag: \"v1\"\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert_eq!(cached.upstream.seen()[0].header("if-none-match"), None, "we fetch the whole");
    assert_eq!(cached.requests(), 1);
}

#[tokio::test]
async fn what_changes_something_makes_what_was_kept_of_it_go() {
    let cached = Cached::saying(LONG).await;
    cached.ask(&get("/a", "")).await;
    cached.ask(&get("/b", "")).await;
    let post = "POST /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(body_of(&cached.ask(post).await), "answer 3");
    assert_eq!(cached.body("/a", "").await, "answer 4");
    assert_eq!(cached.body("/b", "").await, "answer 2");
}

#[tokio::test]
async fn an_answer_that_was_asked_for_before_a_change_is_not_kept_after_it() {
    let mut upstream = ScriptedUpstream::conversation().await.unwrap();
    let house = House::with(upstream.address(), params(|_| {}), Server::default()).await;
    let request = get("/a", "");
    let (early, ()) = tokio::join!(house.ask(&request), async {
        let asked = upstream.asked().await;
        let post = "POST /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        let (changed, ()) = tokio::join!(house.ask(post), async {
            upstream.asked().await.reply(ScriptedReply::ok("changed"));
        });
        assert!(changed.ends_with("changed"), "{changed}");
        asked.reply(ScriptedReply::with_headers(200, LONG, "old"));
    });
    assert!(early.ends_with("old"), "{early}");
    let (late, ()) = tokio::join!(house.ask(&request), async {
        upstream.asked().await.reply(ScriptedReply::with_headers(200, LONG, "new"));
    });
    assert!(late.ends_with("new"), "{late}");
}

#[tokio::test]
async fn an_old_answer_stands_in_for_an_upstream_that_fails() {
    let status = Arc::new(AtomicU16::new(200));
    let now = status.clone();
    let cached = Cached::with(params(|_| {}), move |_, count| {
        let status = now.load(Ordering::Relaxed);
        let lines = [("cache-control", "max-age=0")];
        match status {
            1 => ScriptedReply::reset(),
            _ => ScriptedReply::with_headers(status, &lines, format!("answer {count}")),
        }
    });
    let cached = cached.await;
    cached.ask(&get("/a", "")).await;
    for broken in [503, 1] {
        status.store(broken, Ordering::Relaxed);
        let answer = cached.ask(&get("/a", "")).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("\r\nseawall-outcome: stale; upstream=origin; attempts=1;"));
        assert!(answer.contains("\r\nage: "), "{answer}");
        assert!(answer.ends_with("\r\n\r\nanswer 1"), "{answer}");
    }
    assert_eq!(
        cached.house.ledger.count(&call_event!(CacheUsed { how: CacheUse::OnError, .. })),
        2
    );
    assert_eq!(
        cached.house.ledger.count(&server_event!(RequestEnded {
            fate: Fate::Stale,
            status: 200,
            ..
        })),
        2
    );
    // Nothing is kept of another path, and of this one no longer than its time.
    let answer = cached.ask(&get("/b", "")).await;
    assert!(answer.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{answer}");
    status.store(404, Ordering::Relaxed);
    let answer = cached.ask(&get("/a", "")).await;
    assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "no failure: {answer}");
}

#[tokio::test]
async fn an_answer_that_forbids_it_stands_in_for_nothing() {
    for word in
        ["no-cache", "max-age=0, must-revalidate", "s-maxage=0", "max-age=0, stale-if-error=0"]
    {
        let cached = Cached::with(params(|_| {}), move |_, count| match count {
            1 => ScriptedReply::with_headers(200, &[("cache-control", word)], "answer 1"),
            2 => ScriptedReply::status(503, "no"),
            _ => ScriptedReply::reset(),
        });
        let cached = cached.await;
        cached.ask(&get("/a", "")).await;
        assert_eq!(cached.body("/a", "").await, "no", "{word}");
        let answer = cached.ask(&get("/a", "")).await;
        assert!(answer.starts_with("HTTP/1.1 502 "), "{word}: {answer}");
    }
}

#[tokio::test]
async fn an_older_answer_is_served_at_once_while_one_newer_is_fetched() {
    let params = params(|cache| cache.stale_while_revalidate = Duration::from_secs(60));
    let cached = Cached::with(params, |_, count| match count {
        1 => ScriptedReply::with_headers(200, &[("cache-control", "max-age=0")], "answer 1"),
        _ => ScriptedReply::wait(SHORT * 10).and(numbered(LONG, count)),
    });
    let cached = cached.await;
    cached.ask(&get("/a", "")).await;
    for _ in 0..5 {
        assert_eq!(cached.body("/a", "").await, "answer 1");
    }
    until(|| cached.upstream.counts().finished == 2, "the newer answer").await;
    let newer = async || cached.body("/a", "").await == "answer 2";
    while !newer().await {}
    assert_eq!(cached.requests(), 2, "one for all five");
    assert!(
        cached.house.ledger.count(&call_event!(CacheUsed { how: CacheUse::Revalidating, .. })) >= 5
    );
}

#[tokio::test]
async fn a_reload_keeps_what_is_kept() {
    let count = AtomicUsize::new(0);
    let numbered = move |_: &Seen| numbered(LONG, count.fetch_add(1, Ordering::Relaxed) + 1);
    let origin = ScriptedUpstream::answering(numbered).await.unwrap();
    let ledger = Arc::default();
    let first = crate::house::upstream(origin.address(), params(|_| {}), &ledger);
    let settings = |upstream: &Upstream| {
        let routes = vec![crate::house::route("* /{*rest}", upstream)];
        seawall_gateway::Settings { server: Server::default(), routes }
    };
    let house = House::serving(settings(&first), ledger).await;
    house.ask(&get("/a", "")).await;
    let transport = Transport::new(&origin.url(), Options::default()).unwrap();
    let moved = first.protocol().moved_to(transport);
    let second = Upstream::new("origin", first.policy().clone(), moved);
    house.gateway.reload(settings(&second)).unwrap();
    assert_eq!(body_of(&house.ask(&get("/a", "")).await), "answer 1");
}

/// Long enough for loopback, short enough to wait for.
const SHORT: Duration = Duration::from_millis(20);

#[tokio::test]
async fn a_change_by_a_route_without_a_cache_makes_what_another_keeps_go() {
    let ledger = Arc::default();
    let count = AtomicUsize::new(0);
    let upstream = ScriptedUpstream::answering(move |_: &Seen| {
        numbered(LONG, count.fetch_add(1, Ordering::Relaxed) + 1)
    });
    let upstream = upstream.await.unwrap();
    let guarded = crate::house::upstream(upstream.address(), params(|_| {}), &ledger);
    let put = crate::house::route("PUT /a", &guarded);
    let bare = guarded.policy().derive(Params::bare()).unwrap();
    let put = crate::house::calling(put, |put| put.upstream = put.upstream.with_policy(bare));
    let routes = vec![crate::house::route("GET /a", &guarded), put];
    let settings = seawall_gateway::Settings { server: Server::default(), routes };
    let house = House::serving(settings, ledger).await;
    assert_eq!(body_of(&house.ask(&get("/a", "")).await), "answer 1");
    assert_eq!(body_of(&house.ask(&get("/a", "")).await), "answer 1");
    let put = "PUT /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(body_of(&house.ask(put).await), "answer 2");
    assert_eq!(body_of(&house.ask(&get("/a", "")).await), "answer 3");
}

#[tokio::test]
async fn what_an_answer_names_on_the_same_site_goes_with_a_change_and_nothing_else() {
    let names = [
        ("location: /b", true),
        ("content-location: /b?x=1", false),
        ("location: b", true),
        ("location: ./c/../b#part", true),
        ("location: http://h/b", true),
        ("location: http://other.example/b", false),
        ("location: ftp://h/b", false),
        ("content-location: http://UPSTREAM/b", true),
    ];
    for (name, is_forgotten) in names {
        let count = AtomicUsize::new(0);
        let upstream = ScriptedUpstream::answering(move |seen: &Seen| {
            let named = seen.header("x-names").and_then(|names| names.split_once(": "));
            let headers: Vec<_> = LONG.iter().copied().chain(named).collect();
            numbered(&headers, count.fetch_add(1, Ordering::Relaxed) + 1)
        });
        let upstream = upstream.await.unwrap();
        let ledger = Arc::default();
        let guarded = crate::house::upstream(upstream.address(), params(|_| {}), &ledger);
        let routes = vec![crate::house::route("* /{*rest}", &guarded)];
        let settings = seawall_gateway::Settings { server: Server::default(), routes };
        let house = House::serving(settings, ledger).await;
        assert_eq!(body_of(&house.ask(&get("/b", "")).await), "answer 1");
        let name = name.replace("UPSTREAM", &upstream.address().to_string());
        let post = format!(
            "POST /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-names: {name}\r\n\
             content-length: 0\r\n\r\n"
        );
        assert_eq!(body_of(&house.ask(&post).await), "answer 2");
        let body = body_of(&house.ask(&get("/b", "")).await).to_owned();
        assert_eq!(body, if is_forgotten { "answer 3" } else { "answer 1" }, "{name}");
    }
}

#[tokio::test]
async fn a13_callers_that_a_header_tells_apart_do_not_share() {
    let ledger = Arc::default();
    let upstream = ScriptedUpstream::answering(|seen: &Seen| {
        ScriptedReply::ok(seen.header("x-api-key").unwrap_or("nobody").to_owned())
    });
    let upstream = upstream.await.unwrap();
    let fresh =
        Params { coalesce: true, ..params(|cache| cache.fresh_for = Duration::from_secs(60)) };
    let guarded = crate::house::upstream(upstream.address(), fresh, &ledger);
    let mut route = crate::house::route("GET /a", &guarded);
    route.key = seawall_gateway::KeySource::Header("x-api-key".parse().unwrap());
    let settings = seawall_gateway::Settings { server: Server::default(), routes: vec![route] };
    let house = Arc::new(House::serving(settings, ledger).await);
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..200 {
        let (house, key) = (house.clone(), format!("key-{}", number % 20));
        asking.spawn(async move {
            let answer = house.ask(&get("/a", &format!("x-api-key: {key}\r\n"))).await;
            assert_eq!(body_of(&answer), key);
        });
    }
    while let Some(asked) = asking.join_next().await {
        asked.unwrap();
    }
}

#[tokio::test]
async fn a_personal_request_keeps_its_own_condition() {
    let cached = Cached::saying(LONG).await;
    cached.ask(&get("/a", "cookie: a=1\r\nif-none-match: \"mine\"\r\n")).await;
    assert_eq!(cached.upstream.seen()[0].header("if-none-match"), Some("\"mine\""));
}
