//! An upstream that dies: old answers first, then another upstream, then something prepared.

use std::time::Duration;

use crate::fixture::{Origin, Python, Seawall, until};

/// Three routes in front of one upstream, and a copy of it.
fn guarded(url: &str, copy: &str) -> String {
    format!(
        "[upstream]\norigin = {{ url = \"{url}\", policy = \"kept\" }}\ncopy.url = \"{copy}\"\n\
         [policy.kept]\nretry = \"off\"\nbreaker = \"off\"\ncoalesce = true\n\
         cache = {{ fresh_for = \"1s\", stale_on_error = \"10m\" }}\n\
         [[route]]\nmatch = \"GET /pages/{{name}}\"\nupstream = \"origin\"\npath = \"/{{name}}\"\n\
         [[route]]\nmatch = \"GET /copied/{{name}}\"\nupstream = \"origin\"\n\
         fallback.upstream = \"copy\"\n\
         [[route]]\nmatch = \"GET /prepared/{{name}}\"\nupstream = \"origin\"\n\
         fallback = {{ status = 203, body = '{{\"degraded\":true}}' }}\n"
    )
}

#[tokio::test]
async fn an_upstream_that_dies_leaves_old_answers_then_a_copy_then_something_prepared() {
    let python = Python::start().await;
    python.serve("page", "from a real server");
    let copy = Origin::saying("from the copy");
    // `Date` has whole seconds: what is fresh for one is old at once if a second has just ended.
    let settings = guarded(&python.url(), &copy.url()).replace("\"1s\"", "\"3s\"");
    let seawall = Seawall::start(&settings).await;

    let first = seawall.get("/pages/page").await;
    assert_eq!((first.status, first.text()), (200, "from a real server"));
    let again = seawall.get("/pages/page").await;
    assert!(again.header("seawall-outcome").unwrap().contains("ok; upstream=origin; attempts=0;"));
    assert!(again.header("age").is_some());
    drop(python);

    let mut stale = seawall.get("/pages/page").await;
    let patience = std::time::Instant::now();
    while !stale.header("seawall-outcome").unwrap().starts_with("stale;") {
        assert!(patience.elapsed() < Duration::from_secs(20), "{}", stale.head);
        tokio::time::sleep(Duration::from_millis(50)).await;
        stale = seawall.get("/pages/page").await;
    }
    assert_eq!((stale.status, stale.text()), (200, "from a real server"));
    assert!(stale.header("age").unwrap().parse::<u64>().unwrap() >= 1);

    let copied = seawall.get("/copied/page").await;
    assert_eq!((copied.status, copied.text()), (200, "from the copy"));
    let outcome = copied.header("seawall-outcome").unwrap();
    assert!(outcome.starts_with("fallback; upstream=origin; attempts=2;"), "{outcome}");

    let prepared = seawall.get("/prepared/page").await;
    assert_eq!((prepared.status, prepared.text()), (203, "{\"degraded\":true}"));
    assert_eq!(prepared.header("content-type"), Some("application/json"));

    let unknown = seawall.get("/pages/never-seen").await;
    assert_eq!(unknown.status, 502, "nothing is kept of it: {}", unknown.text());

    let used = seawall.metric("seawall_call_cache_used_total", &["how=\"on_error\""]).await;
    assert!(used >= 1.0);
    let fell = seawall.metric("seawall_call_fell_back_total", &["fate=\"failed\""]).await;
    assert_eq!(fell, 2.0);
    let stale = seawall.metric("seawall_gateway_requests_ended_total", &["fate=\"stale\""]).await;
    assert!(stale >= 1.0);
}

#[tokio::test]
async fn twenty_clients_that_ask_the_same_at_once_are_one_request_upstream() {
    let origin = Origin::start(async |exchange| {
        exchange.answer_after(Duration::from_millis(500), "ok").await
    });
    // Whoever comes after the answer finds it kept, however slow the machine is.
    let settings = guarded(&origin.url(), &origin.url()).replace("\"1s\"", "\"60s\"");
    let seawall = Seawall::start(&settings).await;
    let asking: Vec<_> = (0..20)
        .map(|_| tokio::spawn(crate::fixture::get(seawall.address, "/pages/page")))
        .collect();
    for one in asking {
        let answer = one.await.unwrap();
        assert_eq!((answer.status, answer.text()), (200, "ok"));
    }
    assert_eq!(origin.seen.requests(), 1);
    until("nobody waits", || origin.seen.now() == 0).await;
}
