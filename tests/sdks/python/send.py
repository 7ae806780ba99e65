"""Makes a span of each line it reads, and hands it over by OTLP over HTTP. See ../README.md."""

import sys

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("send")
for line in sys.stdin:
    with tracer.start_as_current_span(line.strip(), attributes={"invoice.id": "F-1", "user.name": "never kept"}) as span:
        span.add_event("half way")
    provider.force_flush()
    print("sent", flush=True)
