//! Reading a mail: `cargo bench --bench in_process`.

use std::hint::black_box;

use crate::mails;
use accord::html;
use accord::mail::incoming;
use criterion::{Criterion, Throughput};

pub fn mail(criterion: &mut Criterion) {
    let raw = mails::mail(0);
    let html_body = incoming::parse(&raw).html.expect("the mail has HTML");
    let mut group = criterion.benchmark_group("mail");
    group.throughput(Throughput::Bytes(raw.len() as u64));
    group.bench_function("parse a mail of 20 KiB", |bencher| bencher.iter(|| incoming::parse(black_box(&raw))));
    group.finish();
    let mut group = criterion.benchmark_group("html");
    group.throughput(Throughput::Bytes(html_body.len() as u64));
    group.bench_function("sanitize its HTML", |bencher| {
        bencher.iter(|| html::sanitize_mail(black_box(&html_body), &|id| Some(format!("/a/{id}"))));
    });
    group.bench_function("turn its HTML into text", |bencher| bencher.iter(|| html::to_text(black_box(&html_body))));
    group.finish();
}
