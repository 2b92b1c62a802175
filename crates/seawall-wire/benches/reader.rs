//! How long a clean head takes.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use seawall_wire::http1::{HeadLimits, Piece, Reader};

fn heads(criterion: &mut Criterion) {
    let small = b"GET /api/weather/oslo HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\
        User-Agent: curl/8.5.0\r\nAccept: */*\r\n\r\n";
    let usual = b"GET /api/weather/oslo?units=metric HTTP/1.1\r\nHost: api.example.com\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n\
        Accept: application/json, text/plain;q=0.9, */*;q=0.8\r\nAccept-Language: en-US,en;q=0.5\r\n\
        Accept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\nReferer: https://example.com/\r\n\
        Cookie: session=0123456789abcdef0123456789abcdef\r\nCache-Control: no-cache\r\n\
        X-Request-Id: 0190c3f0-7c5e-7000-8000-000000000000\r\n\
        Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n";
    let answer =
        b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 22:00:00 GMT\r\n\
        Content-Type: application/json\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n";
    let mut group = criterion.benchmark_group("reader");
    for (name, head) in [("request_3_fields", &small[..]), ("request_11_fields", usual)] {
        group.throughput(Throughput::Bytes(head.len() as u64));
        let mut reader = Reader::requests(HeadLimits::default());
        group.bench_function(name, |bencher| bencher.iter(|| reader.read(black_box(head))));
        assert_eq!(reader.read(head), Ok(Piece::Head(head.len())));
    }
    group.throughput(Throughput::Bytes(answer.len() as u64));
    let mut reader = Reader::responses(HeadLimits::default());
    group.bench_function("response_5_fields", |bencher| {
        bencher.iter(|| {
            reader.expect(false);
            reader.read(black_box(answer))
        });
    });
    group.finish();
}

criterion_group!(benches, heads);
criterion_main!(benches);
