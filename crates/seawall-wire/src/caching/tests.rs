//! The rules of RFC 9111, one by one.

use proptest::prelude::*;

use super::*;
use crate::name::CACHE_CONTROL;

/// Sun, 06 Nov 1994 08:49:37 GMT.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)
}

fn map(lines: &[(&'static str, &str)]) -> Fields {
    let mut headers = Fields::default();
    for (name, value) in lines {
        headers.append(*name, Value::new(value.as_bytes()).expect("a value"));
    }
    headers
}

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Reads an answer of 200 with a length to a plain GET.
fn said(lines: &[(&'static str, &str)]) -> Option<ResponseDirectives> {
    said_to(&[], StatusCode::OK, lines)
}

fn said_to(
    request: &[(&'static str, &str)],
    status: StatusCode,
    lines: &[(&'static str, &str)],
) -> Option<ResponseDirectives> {
    let mut headers = map(lines);
    headers.insert(CONTENT_LENGTH, "2");
    let asked = RequestDirectives::read(&Method::GET, &map(request))?;
    ResponseDirectives::read(&asked, Version::HTTP_11, status, &headers, now())
}

#[track_caller]
fn check_fresh(lines: &[(&'static str, &str)], want: Option<u64>) {
    assert_eq!(said(lines).expect("it may be kept").fresh_for, want.map(s), "{lines:?}");
}

#[track_caller]
fn check_never_kept(lines: &[(&'static str, &str)]) {
    assert_eq!(said(lines), None, "{lines:?}");
}

#[test]
fn the_most_special_word_on_freshness_counts() {
    check_fresh(&[], None);
    check_fresh(&[("cache-control", "max-age=60")], Some(60));
    check_fresh(&[("cache-control", "max-age=60, s-maxage=5")], Some(5));
    check_fresh(&[("cache-control", "MAX-AGE=\"60\"")], Some(60));
    check_fresh(&[("cache-control", "max-age=60"), ("cache-control", "max-age=7")], Some(7));
    check_fresh(&[("cache-control", "x=\"a, max-age=9\", max-age=60")], Some(60));
    check_fresh(&[("expires", "Sun, 06 Nov 1994 08:50:37 GMT")], Some(60));
    let date = ("date", "Sun, 06 Nov 1994 08:49:27 GMT");
    check_fresh(&[("expires", "Sun, 06 Nov 1994 08:50:37 GMT"), date], Some(70));
    let expires = ("expires", "Sun, 06 Nov 1994 08:50:37 GMT");
    check_fresh(&[("cache-control", "max-age=5"), expires], Some(5));
}

#[test]
fn what_cannot_be_read_is_not_fresh() {
    check_fresh(&[("cache-control", "max-age=soon")], Some(0));
    check_fresh(&[("cache-control", "max-age=-1")], Some(0));
    check_fresh(&[("cache-control", "max-age")], Some(0));
    check_fresh(&[("expires", "0")], Some(0));
    check_fresh(&[("expires", "Sun, 06 Nov 1994 08:49:36 GMT")], Some(0));
    check_fresh(&[("cache-control", "max-age=99999999999999999999")], Some(1 << 31));
}

#[test]
fn what_is_for_one_caller_or_for_nobody_is_never_kept() {
    check_never_kept(&[("cache-control", "no-store")]);
    check_never_kept(&[("cache-control", "max-age=60, no-store")]);
    check_never_kept(&[("cache-control", "private, max-age=60")]);
    check_never_kept(&[("cache-control", "private=\"x-a\", max-age=60")]);
    check_never_kept(&[("cache-control", "public, max-age=60"), ("set-cookie", "a=1")]);
    check_never_kept(&[("cache-control", "max-age=60"), ("vary", "*")]);
    check_never_kept(&[("cache-control", "max-age=60"), ("vary", "accept, *")]);
}

#[test]
fn an_answer_to_someone_in_particular_is_kept_only_if_it_says_so() {
    for who in [("authorization", "Bearer x"), ("cookie", "session=1")] {
        let ok = StatusCode::OK;
        assert_eq!(said_to(&[who], ok, &[]), None);
        assert_eq!(said_to(&[who], ok, &[("cache-control", "max-age=60")]), None);
        let public = said_to(&[who], ok, &[("cache-control", "public, max-age=60")]);
        assert!(public.expect("it says so").is_declared);
        assert!(said_to(&[who], ok, &[("cache-control", "s-maxage=60")]).is_some());
    }
    assert!(!said(&[("cache-control", "max-age=60")]).expect("kept").is_declared);
}

#[test]
fn only_whole_answers_that_are_no_errors_are_kept() {
    let long = [("cache-control", "max-age=60")];
    assert_eq!(said_to(&[], StatusCode::PARTIAL_CONTENT, &long), None);
    assert_eq!(said_to(&[], StatusCode::NOT_MODIFIED, &long), None);
    assert_eq!(said_to(&[], StatusCode::NOT_FOUND, &[]), None);
    assert!(said_to(&[], StatusCode::NOT_FOUND, &long).is_some());
    assert!(said_to(&[], StatusCode::PERMANENT_REDIRECT, &[]).is_some());
    assert_eq!(said_to(&[], StatusCode::FOUND, &[]), None);
}

#[test]
fn a_body_that_ends_with_its_connection_is_never_kept() {
    let asked = RequestDirectives::default();
    let read = |version, headers: &Fields| {
        ResponseDirectives::read(&asked, version, StatusCode::OK, headers, now())
    };
    let long = map(&[("cache-control", "max-age=60")]);
    assert_eq!(read(Version::HTTP_10, &long), None);
    assert_eq!(read(Version::HTTP_11, &long), None);
    assert!(read(Version::HTTP_2, &long).is_some());
    let chunked = map(&[("cache-control", "max-age=60"), ("transfer-encoding", "chunked")]);
    assert!(read(Version::HTTP_11, &chunked).is_some());
}

#[test]
fn age_is_the_larger_of_what_it_says_and_what_its_date_says() {
    let age = |lines: &[_]| said(lines).expect("kept").age;
    assert_eq!(age(&[]), s(0));
    assert_eq!(age(&[("age", "10")]), s(10));
    let date = ("date", "Sun, 06 Nov 1994 08:49:07 GMT");
    assert_eq!(age(&[("age", "10"), date]), s(30));
    assert_eq!(age(&[("age", "40"), date]), s(40));
    assert_eq!(age(&[("date", "Sun, 06 Nov 1994 09:49:07 GMT")]), s(0), "a clock that is ahead");
}

#[test]
fn of_several_ages_the_first_counts_and_one_that_is_no_number_does_not() {
    let age = |lines: &[_]| said(lines).expect("kept").age;
    assert_eq!(age(&[("age", "10, 0")]), s(10));
    assert_eq!(age(&[("age", "10"), ("age", "99")]), s(10));
    for unread in ["old", "-5", "7.5", "0;a=b", "", "old, 10"] {
        assert_eq!(age(&[("age", unread)]), s(0), "{unread}");
        assert_eq!(age(&[("age", unread), ("age", "7")]), s(0), "{unread}, 7");
    }
}

#[test]
fn what_must_be_confirmed_is_not_used_after_its_time_unless_it_names_one() {
    for word in ["no-cache", "must-revalidate", "proxy-revalidate", "s-maxage=60"] {
        let said = said(&[("cache-control", word)]).expect("kept");
        assert!(said.must_revalidate, "{word}");
        assert_eq!(said.stale_if_error, None);
    }
    let line = ("cache-control", "s-maxage=60, stale-if-error=600, stale-while-revalidate=5");
    let said_so = said(&[line]).expect("kept");
    assert_eq!(said_so.stale_if_error, Some(s(600)));
    assert_eq!(said_so.stale_while_revalidate, Some(s(5)));
    let line = ("cache-control", "no-cache, max-age=60, stale-if-error=600");
    let never = said(&[line]).expect("kept");
    assert_eq!((never.fresh_for, never.stale_if_error), (Some(s(0)), None));
}

#[test]
fn requests_that_no_cache_may_answer_are_told_apart() {
    let asked = |method: Method, lines: &[_]| RequestDirectives::read(&method, &map(lines));
    assert!(asked(Method::GET, &[]).is_some());
    assert!(asked(Method::HEAD, &[]).is_some());
    assert!(asked(Method::POST, &[]).is_none());
    assert!(asked(Method::OPTIONS, &[]).is_none());
    assert!(asked(Method::GET, &[("range", "bytes=0-1")]).is_none());
    assert!(asked(Method::GET, &[("if-match", "\"a\"")]).is_none());
    assert!(asked(Method::GET, &[("cache-control", "no-store")]).is_none());
    assert!(asked(Method::GET, &[("pragma", "no-cache")]).expect("read").no_cache);
    let both = [("pragma", "no-cache"), ("cache-control", "max-age=5")];
    assert!(!asked(Method::GET, &both).expect("read").no_cache);
}

#[test]
fn a_request_may_ask_for_something_younger() {
    let takes = |line: &str, age, left| {
        let asked =
            RequestDirectives::read(&Method::GET, &map(&[("cache-control", line)])).expect("read");
        asked.takes(s(age), s(left))
    };
    assert!(takes("max-age=10", 10, 5));
    assert!(!takes("max-age=10", 11, 5));
    assert!(takes("min-fresh=5", 11, 5));
    assert!(!takes("min-fresh=6", 11, 5));
    assert!(!takes("no-cache", 0, 99));
    assert!(takes("only-if-cached", 0, 99));
}

#[test]
fn a_condition_that_the_answer_meets_is_met_weakly() {
    let met = |request: &[_], answer: &[_]| is_not_modified(&map(request), &map(answer));
    let etag = [("etag", "\"a\"")];
    assert!(met(&[("if-none-match", "\"b\", W/\"a\"")], &etag));
    assert!(met(&[("if-none-match", "*")], &etag));
    assert!(!met(&[("if-none-match", "\"b\"")], &etag));
    assert!(!met(&[("if-none-match", "\"a\"")], &[]));
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let later = "Sun, 06 Nov 1994 08:49:38 GMT";
    assert!(met(&[("if-modified-since", date)], &[("last-modified", date)]));
    assert!(!met(&[("if-modified-since", date)], &[("last-modified", later)]));
    // The tag decides if both are there (RFC 9110, 13.1.3).
    let both = [("if-none-match", "\"b\""), ("if-modified-since", date)];
    assert!(!met(&both, &[("etag", "\"a\""), ("last-modified", date)]));
}

#[test]
fn the_clients_condition_gives_way_to_ours() {
    let mut request = map(&[("if-none-match", "\"mine\""), ("if-modified-since", "x")]);
    assert!(make_conditional(&mut request, Some(&map(&[("etag", "\"kept\"")]))));
    assert_eq!(request, map(&[("if-none-match", "\"kept\"")]));
    assert!(!make_conditional(&mut request, Some(&Fields::default())));
    assert!(request.is_empty());
}

#[test]
fn a_304_renews_every_value_of_a_header_and_nothing_of_the_body() {
    let lines = [("x-a", "1"), ("x-a", "2"), ("content-length", "5"), ("etag", "\"a\"")];
    let mut kept = map(&lines);
    let answer = [("x-a", "3"), ("x-a", "4"), ("content-length", "0"), ("date", "now")];
    update(&mut kept, &map(&answer));
    let want =
        [("content-length", "5"), ("etag", "\"a\""), ("x-a", "3"), ("x-a", "4"), ("date", "now")];
    assert_eq!(kept, map(&want));
    let sent = for_not_modified(&kept);
    assert!(sent.contains(ETAG) && !sent.contains(CONTENT_LENGTH));
    assert_eq!(sent.get_all("x-a").count(), 2);
}

#[test]
fn a_304_leaves_the_checksums_of_the_body_that_is_kept() {
    for name in ["content-md5", "content-digest", "repr-digest", "content-encoding"] {
        let mut kept = map(&[(name, "old")]);
        update(&mut kept, &map(&[(name, "new")]));
        assert_eq!(kept, map(&[(name, "old")]), "{name}");
    }
}

#[test]
fn a_304_with_another_strong_tag_is_not_about_what_is_kept() {
    let about = |kept: &[_], answer: &[_]| is_about(&map(kept), &map(answer));
    assert!(about(&[("etag", "\"a\"")], &[("etag", "\"a\"")]));
    assert!(about(&[("etag", "\"a\"")], &[]));
    assert!(about(&[("etag", "\"a\"")], &[("etag", "W/\"b\"")]));
    assert!(!about(&[("etag", "\"a\"")], &[("etag", "\"b\"")]));
    assert!(!about(&[("last-modified", "x")], &[("etag", "\"b\"")]));
}

#[test]
fn an_answer_is_chosen_by_the_headers_it_names() {
    let names = vary(&map(&[("vary", "Accept, accept-language"), ("vary", "accept")]));
    assert_eq!(names.expect("names").len(), 2);
    assert_eq!(vary(&Fields::default()), Some(Vec::new()));
    let request = map(&[("accept", " a "), ("accept", "b")]);
    let accept = HeaderName::from_static("accept");
    assert_eq!(selecting(&request, &accept), Some(b"a,b".to_vec()));
    assert_eq!(selecting(&Fields::default(), &accept), None);
}

proptest! {
    #[test]
    fn no_value_of_cache_control_panics_or_hides_no_store(text in "[ -~]{0,40}") {
        let line = format!("{text}, no-store");
        let mut headers = Fields::default();
        headers.append(CACHE_CONTROL, Value::new(text.as_bytes()).expect("visible"));
        let _any = CacheControl::read(&headers);
        // Only an open quote can swallow what comes after it.
        if !text.contains('"') {
            let headers = map(&[("cache-control", &line)]);
            prop_assert!(CacheControl::read(&headers).no_store);
        }
    }
}
