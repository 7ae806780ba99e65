// Makes a span of each line it reads, and hands it over by OTLP over HTTP, as JSON. With SAMPLING it asks there whether to
// make any, and says after each line whether it did. See ../README.md.

import { createInterface } from 'node:readline';
import { DiagConsoleLogger, DiagLogLevel, diag } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, envDetector } from '@opentelemetry/resources';
import { JaegerRemoteSampler } from '@opentelemetry/sampler-jaeger-remote';
import { AlwaysOffSampler, BatchSpanProcessor, NodeTracerProvider, ParentBasedSampler } from '@opentelemetry/sdk-trace-node';

diag.setLogger(new DiagConsoleLogger(), DiagLogLevel.ERROR);
const remote = process.env.SAMPLING && new ParentBasedSampler({
  root: new JaegerRemoteSampler({
    endpoint: process.env.SAMPLING,
    serviceName: 'send',
    initialSampler: new AlwaysOffSampler(),
    poolingInterval: 100,
  }),
});
const provider = new NodeTracerProvider({
  resource: detectResources({ detectors: [envDetector] }),
  ...(remote && { sampler: remote }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
const tracer = provider.getTracer('send');
for await (const line of createInterface({ input: process.stdin })) {
  const span = tracer.startSpan(line, { attributes: { 'invoice.id': 'F-1', 'user.name': 'never kept' } });
  span.addEvent('half way');
  const isMade = span.isRecording();
  span.end();
  await provider.forceFlush().catch((error) => console.error(String(error)));
  console.log(isMade ? 'sent' : 'not made');
}
process.exit(0);
