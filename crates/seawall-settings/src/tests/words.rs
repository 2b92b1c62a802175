//! What people are told who write settings as they know them from elsewhere.

use std::time::Duration;

use super::{check, taken, three_and};

#[test]
fn the_short_forms_that_can_mean_only_one_thing_are_taken() {
    for (short, long) in [
        ("rate = \"100/s\"", "rate = { limit = \"100/s\" }"),
        ("cache = true", "cache = {}"),
        ("cache = \"on\"", "cache = {}"),
        ("cache = false", "cache = \"off\""),
        ("retry = false", "retry = \"off\""),
        ("retry = true", "retry = {}"),
        ("hedge = true", "hedge = {}"),
    ] {
        let of = |line: &str| taken(&three_and(&format!("[policy.standard]\n{line}\n")));
        assert_eq!(of(short).policies[0].params, of(long).policies[0].params, "{short}");
    }
    let settings = taken(&three_and("fallback = true\n"));
    assert!(settings.routes[0].fallback.is_some());
}

#[test]
fn a_policy_extends_one_that_is_written_short() {
    let settings = taken(&three_and(
        "[policy.standard]\nrate = \"100/s\"\n[policy.more]\nrate = { burst = 7, limit = \"9/s\" }\n\
         [policy.none]\nrate = false\n[policy.same]\ntotal_timeout = \"9s\"\n",
    ));
    let named = |name: &str| settings.policies.iter().find(|one| &*one.name == name).unwrap();
    assert_eq!(named("more").params.rate.as_ref().map(|rate| rate.burst), Some(7));
    assert_eq!(named("none").params.rate, None);
    assert_eq!(named("same").params.rate, named("standard").params.rate);
    assert_eq!(named("same").params.timeout.total, Duration::from_secs(9));
}

/// Checks that each of these is refused with words that say what to write.
#[track_caller]
fn told(cases: &[(&str, &str)]) {
    for (text, help) in cases {
        let said = check(text);
        assert!(said.contains(help) && said.ends_with("refused"), "{text}:\n{said}");
    }
}

#[test]
fn a_part_in_a_form_that_it_has_not_is_told_the_one_that_it_has() {
    let cases = [
        ("rate = true", "help: limit = \"500/s\""),
        ("rate = 100", "help: rate = \"100/s\""),
        ("hedge = \"95%\"", "help: hedge = { after = \"p95\" }"),
        ("retry = 3", "help: retry = { attempts = 3 }"),
        ("cache = \"30s\"", "help: cache = { fresh_for = \"30s\" }"),
        ("coalesce = \"on\"", "help: coalesce = true"),
        ("breaker = [1, 2]", "help: breaker = { failures = \"50%\" }"),
    ];
    let cases =
        cases.map(|(line, help)| (three_and(&format!("[policy.standard]\n{line}\n")), help));
    told(&cases.iter().map(|(text, help)| (&**text, *help)).collect::<Vec<_>>());
}

#[test]
fn a_table_in_a_form_that_it_has_not_is_told_its_heading() {
    told(&[
        ("server = \"127.0.0.1:80\"\n", "help: [server]"),
        ("[server]\nlimits = \"off\"\n", "help: [server.limits]"),
        ("policy = \"patient\"\n", "help: [policy.NAME]"),
        ("upstream = \"http://a\"\n", "help: [upstream.NAME]"),
        ("[[upstream]]\nname = \"a\"\nurl = \"http://a\"\n", "help: [upstream.NAME]"),
        ("route = \"GET /\"\n", "help: [[route]]"),
        ("[route]\nmatch = \"GET /\"\n", "help: [[route]]"),
        (
            "[upstream.a]\nurl = [\"http://a\", \"http://b\"]\n",
            "help: url = \"http://a\"\n      endpoints = [\"http://b\"]",
        ),
    ]);
}

#[test]
fn words_of_other_programs_are_told_what_stands_for_them_here() {
    told(&[
        ("[tls]\ncert = \"a.pem\"\n", "there is no TLS in this version"),
        ("[server]\nport = 80\n", "address = \"127.0.0.1:8080\""),
        ("[[listener]]\nport = 80\n", "address = \"127.0.0.1:8080\""),
        ("[server]\nlisten = 80\n", "\"127.0.0.1:80\" for this machine only, \"0.0.0.0:80\" for"),
        ("[[routes]]\nmatch = \"GET /\"\n", "[[route]]"),
        ("[upstreams.a]\nurl = \"http://a\"\n", "[upstream.NAME]"),
        ("[upstream.a]\nservers = [\"a:80\"]\n", "endpoints = ["),
        ("[policy.a]\ntimeout = \"2s\"\n", "total_timeout = \"30s\""),
        ("[policy.a]\ncircuit_breaker = {}\n", "breaker = { failures = \"50%\""),
        ("[policy.a]\nretry = { max_attempts = 3 }\n", "attempts = 3"),
        ("workers = 4\n", "one thread serves for each processor"),
        ("window = \"5s\"\n", "it belongs into breaker = { … } of [policy.NAME], or rate = {"),
    ]);
}

#[test]
fn a_key_or_a_table_that_is_there_twice_is_shown_where_it_was_first() {
    insta::assert_snapshot!(check(&three_and(
        "[policy.a]\nretry = \"off\"\n[policy.b]\nretry = \"off\"\ncoalesce = true\n\
         retry = true\n[policy.a]  # again\n"
    )));
}

#[test]
fn a_file_in_yaml_is_told_that_settings_are_toml() {
    insta::assert_snapshot!(check("# seawall\nserver:\n  listen: 127.0.0.1:80\nroutes:\n  - a\n"));
    for text in ["---\nserver:\n", "- a\n- b\n", "listen: 80\n"] {
        assert!(check(text).contains("this looks like YAML"), "{text}");
    }
    for text in ["[server]\nlisten = 1:\n", "a.b\n", "key = value: 1\n"] {
        assert!(!check(text).contains("YAML"), "{text}");
    }
}

#[test]
fn a_value_behind_a_colon_is_told_to_stand_behind_an_equals_sign() {
    told(&[
        ("[server]\nlisten: 127.0.0.1:80\n", "help: listen = \"127.0.0.1:80\""),
        ("[server.limits]\nconnections: 80\n", "help: connections = 80"),
        ("[server]\nlimits:\n", "help: [limits] for a table"),
    ]);
}

#[test]
fn an_upstream_that_is_a_port_of_ours_earns_a_warning() {
    let file = |url: &str, listen: &str| {
        format!(
            "[[listener]]\naddress = \"{listen}\"\n[upstream.a]\nurl = \"{url}\"\n\
             [[route]]\nmatch = \"/\"\nupstream = \"a\"\n"
        )
    };
    for (url, listen) in [
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://localhost:8080", "0.0.0.0:8080"),
        ("http://0.0.0.0:8080", "127.0.0.1:8080"),
    ] {
        let said = check(&file(url, listen));
        assert!(said.contains("warning: upstream `a` is this server"), "{url}: {said}");
        assert!(said.contains(&format!("url = \"{url}\"")) && said.ends_with("taken"), "{said}");
    }
    assert!(check(&file("http://127.0.0.1:9090", "127.0.0.1:8080")).contains("admin.listen is"));
    assert_eq!(check(&file("http://127.0.0.1:8081", "127.0.0.1:8080")), "taken");
    let further = "[upstream.a]\nurl = \"http://10.0.0.7\"\nendpoints = [\"http://localhost:8080\"]\n\
                   [[route]]\nmatch = \"/\"\nupstream = \"a\"\n";
    assert!(check(further).contains("upstream `a` is this server"));
}
