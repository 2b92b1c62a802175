//! What operators see: endpoints by their address, names that are true, a page in an outage.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::fixture::{Origin, Seawall, curl, free_port, get, until};

/// A route to an upstream with two endpoints.
fn two(first: &str, second: &str, policy: &str) -> String {
    format!(
        "[policy.test]\nattempt_timeout = \"500ms\"\n{policy}\n\
         [upstream.weather]\nurl = \"{first}\"\nendpoints = [\"{second}\"]\npolicy = \"test\"\n\
         [[route]]\nmatch = \"GET /{{name}}\"\nupstream = \"weather\"\n"
    )
}

async fn status(seawall: &Seawall) -> serde_json::Value {
    get(seawall.admin, "/status.json").await.json()
}

fn endpoint<'a>(status: &'a serde_json::Value, address: &str) -> &'a serde_json::Value {
    let all = status["upstreams"][0]["endpoints"].as_array().unwrap();
    all.iter().find(|one| one["address"] == address).unwrap_or_else(|| panic!("{status:#}"))
}

#[tokio::test]
async fn a_name_is_looked_up_beside_the_traffic_and_shown_by_its_address() {
    let origin = Origin::saying("ok");
    let named = origin.url().replace("127.0.0.1", "localhost");
    let seawall = Seawall::start(&format!(
        "[upstream.weather]\nurl = \"{named}\"\n\
         [[route]]\nmatch = \"GET /{{name}}\"\nupstream = \"weather\"\n"
    ))
    .await;
    let start = std::time::Instant::now();
    while status(&seawall).await["upstreams"][0]["endpoints"][0]["address"] != origin.url() {
        assert!(start.elapsed().as_secs() < 30, "{}", seawall.log());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(seawall.get("/x").await.status, 200);
    assert!(seawall.log().contains("endpoints.found"), "{}", seawall.log());
}

#[tokio::test]
async fn an_endpoint_that_is_left_out_is_named_by_its_address_everywhere() {
    let good = Origin::saying("ok");
    let dead = format!("http://127.0.0.1:{}", free_port());
    let text = two(&good.url(), &dead, "breaker = \"off\"\noutlier = { consecutive = 3 }");
    let seawall = Seawall::start(&text).await;
    let labels = format!("upstream=\"weather\",endpoint=\"{dead}\"");
    let is_out = async || {
        seawall.get("/x").await;
        seawall.metric("seawall_upstream_endpoint_out", &[&labels]).await > 0.5
    };
    let start = std::time::Instant::now();
    while !is_out().await {
        assert!(start.elapsed().as_secs() < 30, "{}", seawall.metrics().await);
    }

    let status = status(&seawall).await;
    let out = endpoint(&status, &dead);
    assert_eq!((&out["state"], &out["ejected_why"]), (&"ejected".into(), &"consecutive".into()));
    assert!(out["ejected_seconds_ago"].as_f64().unwrap() < 30.0, "{out}");
    assert!(out["ejected_seconds_left"].as_f64().unwrap() > 0.0, "{out}");
    assert_eq!(out["last_failure"], "connect", "{out}");
    let well = endpoint(&status, &good.url());
    assert_eq!((&well["state"], &well["actual"]), (&"up".into(), &1.0.into()), "{well}");
    assert!(well["mean_seconds"].as_f64().unwrap() > 0.0, "{well}");

    let failed = [&*labels, "outcome=\"failure\""];
    let failed = seawall.metric("seawall_upstream_endpoint_attempts_ended_total", &failed).await;
    assert!(failed > 2.5, "{failed}");
    let page = get(seawall.admin, "/").await;
    assert!(page.text().contains(&dead) && page.text().contains("EJECTED for"), "{}", page.text());
    let named = format!("endpoint=\"{dead}\"");
    until("it is logged", || seawall.log().contains("event=\"endpoint.ejected\"")).await;
    let log = seawall.log();
    let line = log.lines().find(|line| line.contains("endpoint.ejected")).unwrap();
    assert!(line.contains(&named) && line.contains("why=\"consecutive\""), "{line}");
}

#[tokio::test]
async fn the_breaker_of_one_endpoint_says_since_when_why_and_when_it_is_tried_again() {
    let good = Origin::saying("ok");
    let dead = format!("http://127.0.0.1:{}", free_port());
    let policy = "outlier = \"off\"\nbreaker = { consecutive = 3, open_for = \"1h\", \
        open_max = \"1h\" }";
    let seawall = Seawall::start(&two(&good.url(), &dead, policy)).await;
    let labels = format!("upstream=\"weather\",endpoint=\"{dead}\",state=\"open\"");
    let start = std::time::Instant::now();
    let state = "seawall_upstream_endpoint_breaker_state";
    while seawall.metric(state, &[&labels]).await < 0.5 {
        assert!(start.elapsed().as_secs() < 30, "{}", seawall.metrics().await);
        seawall.get("/x").await;
    }

    let status = status(&seawall).await;
    let open = endpoint(&status, &dead);
    assert_eq!((&open["state"], &open["breaker_why"]), (&"open".into(), &"consecutive".into()));
    assert!(open["breaker_since_seconds"].as_f64().unwrap() < 30.0, "{open}");
    // An hour, and up to a fifth less.
    assert!(open["breaker_left_seconds"].as_f64().unwrap() > 2800.0, "{open}");
    assert!(status["attention"].to_string().contains("breakers of 1 of 2"), "{status:#}");
    let log = seawall.log();
    let line = log.lines().find(|line| line.contains("breaker.changed")).unwrap();
    assert!(line.contains(&format!("endpoint=\"{dead}\"")), "{line}");
    let page = get(seawall.admin, "/").await;
    assert!(page.text().contains("OPEN for"), "{}", page.text());
    assert!(page.text().contains("(consecutive), next probe in"), "{}", page.text());
}

#[tokio::test]
async fn the_only_endpoint_of_an_upstream_is_shown_as_well() {
    let origin = Origin::saying("ok");
    let text = format!(
        "[upstream.weather]\nurl = \"{}\"\n[[route]]\nmatch = \"GET /{{name}}\"\n\
         upstream = \"weather\"\n",
        origin.url()
    );
    let seawall = Seawall::start(&text).await;
    assert_eq!(seawall.get("/x").await.status, 200);

    let status = status(&seawall).await;

    let only = endpoint(&status, &origin.url());
    assert_eq!((&only["state"], &only["actual"]), (&"up".into(), &1.0.into()), "{only}");
    let labels = format!("endpoint=\"{}\",outcome=\"success\"", origin.url());
    let ended = seawall.metric("seawall_upstream_endpoint_attempts_ended_total", &[&labels]).await;
    assert!((ended - 1.0).abs() < 0.5, "{ended}");
}

#[tokio::test]
async fn in_an_outage_the_page_does_not_mix_its_own_refusals_with_what_the_upstream_did() {
    let slow = Origin::start(async |exchange| {
        exchange.answer_after(std::time::Duration::from_millis(60), "ok").await
    });
    let text = format!(
        "[policy.test]\nrate = {{ limit = \"5/h\", burst = 5 }}\n[upstream.weather]\nurl = \"{}\"\n\
         policy = \"test\"\n[[route]]\nmatch = \"GET /{{name}}\"\nupstream = \"weather\"\n",
        slow.url()
    );
    let seawall = Seawall::start(&text).await;
    for _ in 0..5 {
        assert_eq!(seawall.get("/x").await.status, 200);
    }
    for _ in 0..50 {
        assert_eq!(seawall.get("/x").await.status, 429);
    }

    let status = status(&seawall).await;

    let upstream = &status["upstreams"][0];
    assert_eq!(upstream["fates"]["rejected_rate"], 50, "{upstream:#}");
    let median = upstream["p50_seconds"].as_f64().unwrap();
    assert!(median > 0.05, "50 refusals are no quick answers: {median}");
    let route = status["routes"][0]["p99_seconds"].as_f64().unwrap();
    assert!(route > 0.05, "{route}");
}

#[tokio::test]
async fn the_pages_title_and_icon_follow_the_state() {
    let dead = format!("http://127.0.0.1:{}", free_port());
    let text = format!(
        "[policy.test]\nretry = \"off\"\nbreaker = {{ consecutive = 2, open_for = \"1h\", \
         open_max = \"1h\" }}\n[upstream.weather]\nurl = \"{dead}\"\npolicy = \"test\"\n\
         [[route]]\nmatch = \"GET /{{name}}\"\nupstream = \"weather\"\n"
    );
    let seawall = Seawall::start(&text).await;
    let page = get(seawall.admin, "/").await;
    assert!(page.text().contains("<title>Seawall: serving</title>"), "{}", page.text());
    assert!(page.text().contains("href=\"/good.svg\""), "{}", page.text());

    for _ in 0..4 {
        seawall.get("/x").await;
    }

    let page = get(seawall.admin, "/").await;
    assert!(page.text().contains("<title>(1) ▲ Seawall</title>"), "{}", page.text());
    assert!(page.text().contains("href=\"/bad.svg\""), "{}", page.text());
    assert!(page.text().contains("<p class=\"bad\">&#9650; weather: breaker open, not called for"));
    assert!(page.text().contains("class=\"bad\">OPEN for"), "the same colour: {}", page.text());
    for icon in ["good", "odd", "bad"] {
        let icon = get(seawall.admin, &format!("/{icon}.svg")).await;
        assert_eq!((icon.status, icon.header("content-type")), (200, Some("image/svg+xml")));
    }
}

#[tokio::test]
async fn a_guarded_admin_port_opens_to_curl_and_to_a_browser() {
    let origin = Origin::saying("ok");
    let text = format!(
        "[admin]\ntoken = {{ env = \"SEAWALL_TEST_TOKEN\", default = \"hush\" }}\n\
         [upstream.weather]\nurl = \"{}\"\n[[route]]\nmatch = \"GET /{{name}}\"\n\
         upstream = \"weather\"\n",
        origin.url()
    );
    let seawall = Seawall::start(&text).await;
    let page = format!("http://{}/", seawall.admin);

    let asked = curl(&["-i", &page]).await;
    let by_password = curl(&["-u", "anybody:hush", &page]).await;
    let by_token = curl(&["-H", "authorization: bearer hush", &page]).await;
    let wrong = curl(&["-o", "/dev/null", "-w", "%{http_code}", "-u", "hush:no", &page]).await;
    let reload = format!("{page}reload");
    let change = ["-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", &reload];
    let changed = curl(&[&change[..], &["-u", "anybody:hush"]].concat()).await;

    assert!(asked.starts_with("HTTP/1.1 401"), "{asked}");
    let lower = asked.to_lowercase();
    assert!(lower.contains("www-authenticate: basic realm=\"seawall\""), "{asked}");
    assert!(lower.contains("www-authenticate: bearer realm=\"seawall\""), "{asked}");
    assert!(by_password.contains("<title>Seawall"), "{by_password}");
    assert!(by_token.contains("<title>Seawall"), "{by_token}");
    assert_eq!((&*wrong, &*changed), ("401", "401"), "a browser's password changes nothing");
    assert_eq!(curl(&[&format!("{page}healthz")]).await, "alive\n");
}

/// A metric that a page names, with the labels and values that it gives it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    page: String,
    name: String,
    /// Each label with the values that it must have; none if any will do.
    labels: Vec<(String, Vec<String>)>,
}

#[tokio::test]
async fn the_pages_name_metrics_and_labels_that_a_running_server_has() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("in"), "oslo\n").unwrap();
    let at = folder.path().display();
    let origin = Origin::saying("ok");
    let text = format!(
        "[worker]\nstore = \"{at}/jobs.db\"\n\
         [upstream.weather]\nurl = \"{}\"\n[[route]]\nmatch = \"GET /{{name}}\"\n\
         upstream = \"weather\"\n[job.cities]\ninput = \"{at}/in\"\noutput = \"{at}/out\"\n\
         each_line = {{ send = \"GET /{{line}}\", upstream = \"weather\" }}\n",
        origin.url()
    );
    let seawall = Seawall::start(&text).await;
    assert_eq!(seawall.get("/x").await.status, 200);
    let mut run = seawall.command_here(&["job", "run", "cities", "--detach"]);
    let run = tokio::task::spawn_blocking(move || run.output().unwrap()).await.unwrap();
    assert!(run.status.success(), "{run:?}");
    let start = std::time::Instant::now();
    while seawall.metric("seawall_worker_runs_started_total", &[]).await < 0.5 {
        assert!(start.elapsed().as_secs() < 30, "{}", seawall.log());
    }
    let exported = seawall.metrics().await;

    let mut wrong = BTreeSet::new();
    let mut count = 0;
    for named in pages().iter().flat_map(|page| named_in(page)) {
        count += usize::from(!named.labels.is_empty());
        let samples: Vec<&str> = exported
            .lines()
            .filter(|line| line.strip_prefix(&*named.name).is_some_and(is_end_of_name))
            .collect();
        let has = |part: &str| samples.iter().any(|sample| sample.contains(part));
        let has_all = named.labels.iter().all(|(label, values)| {
            has(&format!("{label}=\""))
                && values.iter().all(|value| has(&format!("{label}=\"{value}\"")))
        });
        if samples.is_empty() || !has_all {
            wrong.insert(named);
        }
    }
    assert!(wrong.is_empty(), "no running server has these: {wrong:#?}");
    assert!(count > 20, "only {count} metrics with labels were found in the pages");
}

/// Returns whether a metric's name ends here: a histogram's goes on in a way of its own.
fn is_end_of_name(rest: &str) -> bool {
    ["{", " ", "_bucket{", "_sum{", "_count{"].iter().any(|end| rest.starts_with(end))
}

fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().parent().unwrap();
    let mut open = vec![root.join("docs/guide"), root.join("docs/reference")];
    let mut pages = vec![root.join("README.md"), root.join("docs/errors/README.md")];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => open.push(path),
                false => pages.push(path),
            }
        }
    }
    pages
}

/// Finds the metrics of a page, with or without labels: a name, `{label="value"}` or `{label}`.
fn named_in(page: &Path) -> Vec<Named> {
    let text = fs::read_to_string(page).unwrap();
    let mut found = Vec::new();
    for area in ["gateway", "call", "upstream", "worker", "config", "runtime"] {
        for (at, _) in text.match_indices(&format!("seawall_{area}_")) {
            let rest = &text[at..];
            let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_');
            let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
            let inside = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            let labels = inside.map_or("", |(inside, _)| inside).split(',');
            let labels = labels.map(str::trim).filter(|label| !label.is_empty()).map(|label| {
                // Of a query too: `fate="ok"`, `fate!~"ok|stale"`.
                let end = label.find(['=', '!']).unwrap_or(label.len());
                let (label, values) = label.split_at(end);
                let values = values.trim_start_matches(['=', '!', '~']).trim_matches('"');
                let values = values.split('|').filter(|value| !value.is_empty());
                (label.to_owned(), values.map(str::to_owned).collect())
            });
            // `seawall_call_*` names a family of them.
            if !name.ends_with('_') {
                let (page, name) = (page.display().to_string(), name.to_owned());
                found.push(Named { page, name, labels: labels.collect() });
            }
        }
    }
    found
}
