//! Every example runs to its end, without a network, and says what its page claims.

use std::process::Command;

/// Runs an example; it must say each of these lines, in this order.
#[track_caller]
fn check(path: &str, lines: &[&str]) {
    let output = Command::new(path).output().expect("the example is built");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let failed = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}{failed}");
    let mut rest = said.as_str();
    for line in lines {
        let place = rest.find(line).unwrap_or_else(|| panic!("no `{line}` in its place: {said}"));
        rest = &rest[place + line.len()..];
    }
}

#[test]
fn axum_server() {
    check(
        env!("CARGO_BIN_EXE_axum_server"),
        &[
            "1: 200 OK sunny",
            "2: 502 Bad Gateway",
            r#""fate":"failed","attempts":3"#,
            "3: 502 Bad Gateway",
            "was not repeated (breaker)",
            "4: 503 Service Unavailable",
            "urn:seawall:breaker-open",
            "breaker: Some(Open)",
            "requests that the upstream has seen: 8\n",
        ],
    );
}

#[test]
fn around_reqwest() {
    check(
        env!("CARGO_BIN_EXE_around_reqwest"),
        &[
            "GET: 200 OK sunny",
            "POST: attempt 1 failed and was not repeated (method): error sending request",
            "retry-after 1: 200 OK sunny, waited: true",
            "retry-after 60: 503 Service Unavailable busy, waited: false",
            "of 61 calls ",
            "breaker: Some(Open)",
        ],
    );
}

#[test]
fn around_sql() {
    check(
        env!("CARGO_BIN_EXE_around_sql"),
        &[
            "inserted 1 row, ok_after_retry",
            "inserted twice: attempt 1 failed: UNIQUE constraint failed: city.name, Some(ConstraintViolation)",
            "counted for ever: attempt 3 took longer than its limit",
            "cities: 2",
        ],
    );
}

#[test]
fn background_jobs() {
    check(
        env!("CARGO_BIN_EXE_background_jobs"),
        &[
            "ada: new true, and then false",
            "ada: done after 1 attempts, dear ada",
            "grace: done after 2 attempts, dear grace",
            "linus: done after 1 attempts, dear linus",
        ],
    );
}
