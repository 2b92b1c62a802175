//! How long the rules for paths, templates and headers take on a usual request.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use seawall_wire::headers::{self, Hop};
use seawall_wire::{Fields, Template, deadline, path};

fn sent() -> Fields {
    let pairs = [
        ("host", "api.example.com"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        ("accept", "application/json, text/plain;q=0.9, */*;q=0.8"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br"),
        ("connection", "keep-alive"),
        ("referer", "https://example.com/"),
        ("x-request-id", "0190c3f0-7c5e-7000-8000-000000000000"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let mut sent = Fields::default();
    for (name, value) in pairs {
        sent.append(name, value);
    }
    sent
}

fn rules(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("rules");
    let sent = sent();
    group.bench_function("clone_headers", |bencher| bencher.iter(|| black_box(&sent).clone()));
    group.bench_function("clone_and_pass_on_headers", |bencher| {
        bencher.iter(|| {
            let mut headers = black_box(&sent).clone();
            headers::strip_request(&mut headers);
            let peer = [127, 0, 0, 1].into();
            let hop = Hop { peer, is_trusted: false, is_tls: false, authority: None };
            headers::forward(&mut headers, &hop);
            headers::check_traceparent(&mut headers);
            headers::request_id(&mut headers, 7);
            deadline::write(&mut headers, Duration::from_millis(500));
            headers
        });
    });
    group.bench_function("path_plain", |bencher| {
        bencher.iter(|| path::canonical(black_box("/api/weather/oslo")).is_ok());
    });
    group.bench_function("path_escaped", |bencher| {
        bencher.iter(|| path::canonical(black_box("/api/weather/s%C3%A3o%20paulo")).is_ok());
    });
    let template = Template::parse("/v1/forecast?q={city}").expect("a template");
    group.bench_function("fill", |bencher| {
        bencher.iter(|| template.fill(|_| black_box(Some("oslo"))))
    });
    group.finish();
}

criterion_group!(benches, rules);
criterion_main!(benches);
