//! What people see of settings: errors as snapshots, and what a good file means.

mod listeners;
mod words;

use std::time::Duration;

use proptest::prelude::*;
use seawall_core::Priority;
use seawall_gateway::{KeySource, PrioritySource};
use seawall_policy::cache;

use super::*;

/// Returns what `seawall check` would print; the last line says whether the file is taken.
fn check(text: &str) -> String {
    let (report, end) = match load_as("seawall.toml", text) {
        Ok(loaded) => (loaded.warnings, "taken"),
        Err(report) => (report, "refused"),
    };
    format!("{}{end}", report.human(false))
}

fn load_as(name: &str, text: &str) -> Result<Loaded, SettingsReport> {
    let environment = |name: &str| (name == "TOKEN").then(|| "canary-c0ffee".to_owned());
    load_text(Text { name: name.into(), text: text.into() }, &environment)
}

fn taken(text: &str) -> Settings {
    match load_as("seawall.toml", text) {
        Ok(loaded) => loaded.settings,
        Err(report) => panic!("refused:\n{}", report.human(false)),
    }
}

/// The three lines that are enough, to which tests add.
const THREE: &str = "\
[upstream]
weather-api.url = \"http://10.0.0.7:7001\"
[[route]]
match = \"GET /api/weather/{city}\"
upstream = \"weather-api\"
";

fn three_and(more: &str) -> String {
    format!("{THREE}{more}")
}

#[test]
fn three_lines_are_enough() {
    let settings = taken(THREE);
    assert_eq!(settings.server.listeners.len(), 1);
    assert_eq!(settings.server.listeners[0].address.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.server.gateway.limits, seawall_gateway::ServerLimits::default());
    assert!(
        settings.server.gateway.outcome_header
            && settings.server.gateway.trusted_proxies.is_empty()
    );
    assert_eq!(settings.admin.listen.to_string(), "127.0.0.1:9090");
    assert_eq!(settings.upstreams[0].params, seawall_policy::Params::standard());
    assert_eq!(&*settings.routes[0].name, "GET /api/weather/{city}");
}

#[test]
fn the_default_way_to_an_upstream_is_that_of_its_crate() {
    let (ours, theirs) = (&taken(THREE).upstreams[0].options, seawall_http::Options::default());
    assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
}

#[test]
fn a_cache_and_coalescing_are_off_until_somebody_asks_for_them() {
    let params = &taken(THREE).upstreams[0].params;
    assert_eq!((&params.cache, params.coalesce), (&None, false));
    let text = three_and(
        "[policy.standard]\ncoalesce = true\ncache = { fresh_for = \"30s\", \
         stale_while_revalidate = \"5s\", stale_on_error = \"1h\", entries = 7, bytes = \"1MiB\", \
         answer_bytes = \"64KiB\" }\n",
    );
    let params = taken(&text).upstreams[0].params.clone();
    let want = cache::Params {
        fresh_for: Duration::from_secs(30),
        stale_while_revalidate: Duration::from_secs(5),
        stale_on_error: Duration::from_secs(3600),
        entries_max: 7,
        bytes_max: 1 << 20,
        answer_bytes_max: 64 << 10,
    };
    assert_eq!((params.cache, params.coalesce), (Some(want), true));
}

/// Returns what the one route falls back on.
fn fallback_of(settings: &str) -> Option<FallbackSettings> {
    taken(&three_and(settings)).routes[0].fallback.clone()
}

#[test]
fn a_route_falls_back_on_something_prepared() {
    assert!(fallback_of("").is_none());
    let Some(FallbackSettings::Prepared(plain)) = fallback_of("fallback = {}\n") else {
        panic!("on, and nothing said");
    };
    assert_eq!((plain.status.as_u16(), &*plain.body), (200, &b""[..]));
    assert_eq!(plain.content_type, "application/json");
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "sorry").expect("it can be written");
    let settings = format!(
        "fallback = {{ status = 503, content_type = \"text/plain\", file = {:?} }}\n",
        file.path()
    );
    let Some(FallbackSettings::Prepared(read)) = fallback_of(&settings) else {
        panic!("a file is prepared");
    };
    assert_eq!((read.status.as_u16(), &*read.body), (503, &b"sorry"[..]));
}

#[test]
fn a_route_falls_back_on_another_upstream_that_exists() {
    let copy = "[upstream.copy]\nurl = \"http://10.0.0.8:7001\"\n";
    let settings = taken(&format!("{copy}{}fallback.upstream = \"copy\"\n", three_and("")));
    assert!(matches!(settings.routes[0].fallback, Some(FallbackSettings::Upstream(place)) if
        &*settings.upstreams[place].name == "copy"));
    for (settings, why) in [
        ("fallback.upstream = \"weather-apy\"", "did you mean `weather-api`?"),
        ("fallback.upstream = \"weather-api\"", "cannot fall back on its own upstream"),
        ("fallback = { upstream = \"copy\", body = \"x\" }", "not both"),
        ("fallback = { file = \"a\", body = \"x\" }", "has one body"),
        ("fallback = { file = \"/nowhere/at/all\" }", "could not read `/nowhere/at/all`"),
        ("fallback = { content_type = \"a\\nb\" }", "not a media type"),
    ] {
        let said = check(&three_and(&format!("{settings}\n")));
        assert!(said.contains(why) && said.ends_with("refused"), "{settings}: {said}");
    }
}

#[test]
fn an_unknown_upstream_is_named_with_its_nearest() {
    let text = "[upstream.weather-api]\nurl = \"http://10.0.0.7:7001\"\n\n[[route]]\n\
                match = \"GET /api/weather/{city}\"\nupstream = \"weather-apy\"\n";
    insta::assert_snapshot!(check(text));
}

#[test]
fn all_errors_are_told_at_once() {
    let text = r#"
[server]
listen = 8080
drian = "10s"

[policy.patient]
total_timout = "2s"
attempt_timeout = "10 parsecs"
retry = { attempts = 0, on = ["conect"], backoff = "1s..50ms" }
breaker = { failures = "150%" }
extends = "hasty"

[upstream.weather-api]
url = "https://10.0.0.7:7001"
policy = "impatient"
timeout = "1s"

[[route]]
match = "get /api/weather/{city}"
upstream = "weather-api"
path = "/v1/forecast?q={town}"

[cache]
size = 3
"#;
    insta::assert_snapshot!(check(text));
}

#[test]
fn attempts_that_do_not_fit_are_added_up() {
    let text = "[policy.patient]\ntotal_timeout   = \"2s\"\nattempt_timeout = \"1s\"\n\
                retry = { attempts = 3 }\n[upstream.a]\nurl = \"sim:a\"\npolicy = \"patient\"\n\
                [[route]]\nmatch = \"/\"\nupstream = \"a\"\n";
    insta::assert_snapshot!(check(&text.replace("sim:a", "http://a")));
}

#[test]
fn one_attempt_over_everything_is_refused() {
    insta::assert_snapshot!(check(&three_and(
        "[policy.standard]\ntotal_timeout = \"1s\"\nattempt_timeout = \"2s\"\n\
         connect_timeout = \"3s\"\nlimit = { queue_wait = \"5s\" }\n\
         breaker = { open_for = \"2m\", open_max = \"1m\", window = \"1s\" }\n"
    )));
}

#[test]
fn defaults_give_way_to_what_is_written() {
    let settings = taken(&three_and("[policy.standard]\ntotal_timeout = \"200ms\"\n"));
    let params = &settings.policies[0].params;
    assert_eq!(params.check(), []);
    assert_eq!(params.timeout.attempt.as_millis(), 60);
    let settings = taken(&three_and("[policy.standard]\nretry = \"off\"\n"));
    assert_eq!(settings.policies[0].params.timeout.attempt.as_secs(), 30);
}

#[test]
fn a_post_route_under_a_policy_that_was_told_to_retry_earns_a_warning() {
    insta::assert_snapshot!(check(
        "[policy.standard]\nretry = { on = [\"connect\", \"502\"] }\n\
         [upstream.cities]\nurl = \"http://10.0.0.7\"\n[[route]]\nmatch = \"POST /v1/cities\"\n\
         upstream = \"cities\"\n"
    ));
}

#[test]
fn an_admin_port_on_the_network_needs_a_token() {
    insta::assert_snapshot!(check(&three_and("[admin]\nlisten = \"0.0.0.0:9090\"\n")));
    let settings =
        taken(&three_and("[admin]\nlisten = \"0.0.0.0:9090\"\ntoken = { env = \"TOKEN\" }\n"));
    assert_eq!(settings.admin.token.unwrap().expose(), "canary-c0ffee");
}

#[test]
fn a_secret_is_shown_nowhere() {
    let texts = [
        "[admin]\ntoken = \"canary-c0ffee\"\n",
        "[admin]\ntoken = { env = \"UNSET\", defalt = \"canary-c0ffee\" }\n",
        "[admin]\nlisten = 1\ntoken = { env = \"UNSET\", default = \"canary-c0ffee\" }\n",
        "[admin]\ntoken = canary-c0ffee\n",
        "[admin]\ntoken = \"canary-c0ffee\n",
        "[admin]\ntoken = \"canary-c0ffee\" listen = 1\n",
        "[admin]\ntoken = [\"canary-c0ffee\"]\n",
        "[admin]\ntokn = \"canary-c0ffee\"\n",
    ];
    for text in texts {
        let report = load_as("seawall.toml", &three_and(text)).unwrap_err();
        let all = format!(
            "{}{}{}{}{report:?}",
            report.human(true),
            report.json(),
            report.github(),
            report.brief()
        );
        assert!(!all.contains("c0ffee"), "{text}\n{all}");
    }
    let loaded =
        load_as("t", &three_and("[admin]\ntoken = { env = \"TOKEN\", default = \"b\" }\n"));
    let loaded = loaded.unwrap();
    let shown = loaded.shown.toml(&loaded.warnings, true);
    assert!(shown.contains("token = ***"), "{shown}");
    assert!(!format!("{shown}{loaded:?}").contains("c0ffee"));
}

#[test]
fn half_a_file_gives_one_clear_error() {
    insta::assert_snapshot!(check("[server]\nlisten = \"127.0.0.1:80"));
}

#[test]
fn every_broken_line_is_told() {
    insta::assert_snapshot!(check("[policy.a]\ntotal_timeout = 2s\n[policy.a]\nretry = {\n"));
}

#[test]
fn tables_without_names_and_lists_without_brackets_are_explained() {
    insta::assert_snapshot!(check(
        "[upstream]\nurl = \"http://a\"\n[route]\nmatch = \"GET /\"\nupstream = \"a\"\n\
         listen = \"127.0.0.1:80\"\n[upstream.\"we ather\"]\nurl = \"10.0.0.7:7001\"\n\
         [upstream.empty]\n"
    ));
}

#[test]
fn two_routes_for_the_same_requests_are_refused() {
    insta::assert_snapshot!(check(&three_and(
        "[[route]]\nmatch = \"GET /api/weather/{town}\"\nupstream = \"weather-api\"\n\
         [[route]]\nmatch = \"GET /a/../b\"\nupstream = \"weather-api\"\n\
         [[route]]\nmatch = \"FETCH api\"\nupstream = \"weather-api\"\n\
         host = \"example.com:80\"\n"
    )));
}

#[test]
fn routes_that_stand_in_each_others_way_are_refused() {
    insta::assert_snapshot!(check(&three_and(
        "[[route]]\nmatch = \"GET /api/weather/{*rest}\"\nupstream = \"weather-api\"\n"
    )));
}

#[test]
fn policies_that_extend_themselves_are_refused() {
    insta::assert_snapshot!(check(&three_and(
        "[policy.a]\nextends = \"b\"\n[policy.b]\nextends = \"a\"\n\
         [policy.c]\nextends = \"d\"\n"
    )));
}

#[test]
fn a_policy_takes_from_the_one_it_extends() {
    let settings = taken(&three_and(
        "[policy.base]\ntotal_timeout = \"4s\"\nbreaker = { probes = 7 }\nretry = { attempts = 2 }\n\
         [policy.off]\nextends = \"base\"\nbreaker = \"off\"\n\
         [policy.on]\nextends = \"off\"\nbreaker = { consecutive = 3 }\nretry = { any_method = true }",
    ));
    let named = |name: &str| {
        settings.policies.iter().find(|policy| &*policy.name == name).unwrap().params.clone()
    };
    assert_eq!(named("off").breaker, None);
    assert_eq!(named("off").timeout.total.as_secs(), 4);
    let on = named("on");
    // What stood before the part was switched off does not come back.
    assert_eq!(on.breaker.as_ref().map(|b| (b.consecutive, b.probes)), Some((3, 3)));
    assert_eq!(on.retry.map(|r| (r.attempts_max, r.any_method)), Some((2, true)));
}

#[test]
fn json_means_the_same_as_toml() {
    let json = r#"{ "upstream": { "weather-api": { "url": "http://10.0.0.7:7001" } },
        "route": [ { "match": "GET /api/weather/{city}", "upstream": "weather-api" } ] }"#;
    let loaded = load_as("seawall.json", json).unwrap();
    assert_eq!(format!("{:?}", loaded.settings), format!("{:?}", taken(THREE)));
    insta::assert_snapshot!(check(&json.replace("\"url\"", "\"uri\"")));
    assert!(check(&json.replace("\"route\"", "\"upstream\"")).contains("`upstream` is set twice"));
}

#[test]
fn nonsense_numbers_are_refused_by_name() {
    for value in ["0", "-1", "1e99", "\"10 parsecs\"", "nan", "99999999999999999999999", "[]", "{}"]
    {
        for key in ["total_timeout", "retry.attempts", "limit.in_flight", "breaker.window"] {
            let text = three_and(&format!("[policy.standard]\n{key} = {value}\n"));
            let out = check(&text);
            assert!(
                out.ends_with("refused") && out.contains(&format!("policy.standard.{key}")),
                "{out}"
            );
        }
    }
}

#[test]
fn settings_shown_with_their_origin_are_settings() {
    let text = three_and("[policy.hasty]\ntotal_timeout = \"2s\"\nrate = { limit = \"500/s\" }\n");
    let loaded = load_as("seawall.toml", &text).unwrap();
    let shown = loaded.shown.toml(&loaded.warnings, true);
    insta::assert_snapshot!(shown);
    assert_eq!(format!("{:?}", taken(&shown)), format!("{:?}", loaded.settings));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,200}") {
        let _ = check(&text);
    }

    #[test]
    fn no_cut_or_changed_file_makes_it_panic(at in 0_usize..1200, with in "(?s).{0,3}", cut in 0_usize..40) {
        let whole = three_and(
            "[server]\nlisten=\"127.0.0.1:1\"\ntrusted_proxies=[\"10.0.0.0/8\"]\n[policy.p]\n\
             extends=\"standard\"\nretry={on=[\"502\"],backoff=\"1ms..2ms\",budget=\"off\"}\n\
             breaker=\"off\"\n[[route]]\nmatch=\"POST /ü/{*rest}\"\nupstream=\"weather-api\"\n\
             path=\"/{*rest}?a={rest}\"\nbody=\"1KiB\"\n",
        );
        let floor = |at: usize| (0..=at.min(whole.len())).rev().find(|at| whole.is_char_boundary(*at)).unwrap_or(0);
        let (from, to) = (floor(at), floor(at + cut));
        let _ = check(&format!("{}{with}{}", &whole[..from], &whole[to..]));
        let _ = check(&whole[..from]);
    }

    #[test]
    fn no_value_makes_it_panic(place in 0..keys::KEYS.len(), value in "(\"[ -~]{0,12}\"|-?[0-9]{1,24}|\\{ ?\\}|\\[[0-9]?\\]|\"off\"|true)") {
        let key = keys::KEYS[place].path;
        let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
        let path = match table.split_once('.') {
            _ if table.is_empty() => name.to_owned(),
            Some((head @ ("policy" | "upstream"), rest)) => format!("{head}.x.{rest}.{name}"),
            None if matches!(table, "policy" | "upstream") => format!("{table}.x.{name}"),
            _ => format!("{table}.{name}"),
        };
        let _ = check(&format!("{path} = {value}\n{THREE}"));
    }
}

#[test]
fn a_route_may_have_a_policy_a_priority_and_a_key_of_its_own() {
    let settings = taken(
        "[policy.batch]\nretry = \"off\"\n\
         rate = { limit = \"10/s\", key = \"header:x-api-key\" }\n\
         [upstream.a]\nurl = \"http://10.0.0.7\"\n\
         [[route]]\nmatch = \"/a\"\nupstream = \"a\"\npolicy = \"batch\"\npriority = \"low\"\n\
         [[route]]\nmatch = \"/b\"\nupstream = \"a\"\npriority = \"header:x-priority\"\n",
    );
    let [own, plain] = &settings.routes[..] else { panic!("{:?}", settings.routes) };
    let upstream = &settings.upstreams[0];
    assert_eq!(own.policy(upstream).0, "batch");
    assert!(own.policy(upstream).1.retry.is_none());
    assert_eq!(own.priority, PrioritySource::Fixed(Priority::Low));
    assert_eq!(own.key, KeySource::Header("x-api-key".parse().unwrap()));
    assert_eq!(plain.policy(upstream), ("standard", &upstream.params));
    assert_eq!(plain.priority, PrioritySource::Header("x-priority".parse().unwrap()));
    assert_eq!(plain.key, KeySource::None);
    let settings = taken(&three_and("priority = \"claim:tier\"\n"));
    assert_eq!(settings.routes[0].priority, PrioritySource::Claim("tier".into()));
}

#[test]
fn an_upstream_has_its_url_and_its_further_endpoints() {
    let one = "[upstream.a]\nurl = \"http://10.0.0.7\"\n";
    let route = "[[route]]\nmatch = \"/\"\nupstream = \"a\"\n";
    let settings = taken(&format!("{one}endpoints = [\"http://10.0.0.8\"]\n{route}"));
    assert_eq!(settings.upstreams[0].all(), ["http://10.0.0.7", "http://10.0.0.8"]);
    for (endpoints, why) in [
        ("[\"http://10.0.0.7\"]", "is an endpoint of this upstream twice"),
        ("[\"sim:calm\"]", "a simulated upstream has one endpoint"),
        ("[\"10.0.0.8\"]", "not the address of an upstream"),
        ("[8]", "holds a whole number"),
    ] {
        let said = check(&format!("{one}endpoints = {endpoints}\n{route}"));
        assert!(said.contains(why), "{endpoints}: {said}");
    }
}

#[test]
fn a_route_whose_policy_does_not_exist_is_refused() {
    let said = check(&three_and("policy = \"standart\"\n"));
    assert!(said.contains("did you mean `standard`?"), "{said}");
}
