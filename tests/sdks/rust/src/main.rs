//! Makes a span of each line it reads, and hands it over by OTLP over HTTP. See ../README.md.

use std::io::BufRead;

use opentelemetry::KeyValue;
use opentelemetry::trace::{Span, Tracer, TracerProvider};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::trace::SdkTracerProvider;

fn main() {
    let exporter = SpanExporter::builder().with_http().build().expect("an exporter by the variables");
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).build();
    let tracer = provider.tracer("send");
    for line in std::io::stdin().lock().lines() {
        let mut span = tracer.start(line.expect("text"));
        span.set_attributes([KeyValue::new("invoice.id", "F-1"), KeyValue::new("user.name", "never kept")]);
        span.add_event("half way", Vec::new());
        span.end();
        if let Err(error) = provider.force_flush() {
            eprintln!("{error}");
        }
        println!("sent");
    }
}
