//! What to paste where a product is started, so that its OpenTelemetry SDK, as it is, sends under a grant: one text for
//! each language, with the token in it. Only traces are sent here, so the settings are those of traces alone. The header
//! is written as the SDKs want it in a variable: the space percent-encoded, and nothing else in it to be.

/// The lines for one language.
pub struct ReadyLines {
    pub language: &'static str,
    pub text: String,
}

/// The lines for every language that has them ready.
pub fn for_token(base_url: &str, token: &str) -> Vec<ReadyLines> {
    let settings = format!(
        "export OTEL_EXPORTER_OTLP_TRACES_ENDPOINT={base_url}/v1/traces\n\
         export OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/protobuf\n\
         export OTEL_EXPORTER_OTLP_TRACES_COMPRESSION=gzip\n\
         export OTEL_EXPORTER_OTLP_TRACES_HEADERS=Authorization=Bearer%20{token}"
    );
    let only_traces = "export OTEL_TRACES_EXPORTER=otlp OTEL_METRICS_EXPORTER=none OTEL_LOGS_EXPORTER=none";
    let lines = |language, before: &str, after: &str| ReadyLines {
        language,
        text: [before, &settings, after].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n"),
    };
    vec![
        lines(
            "Python",
            "pip install opentelemetry-distro opentelemetry-exporter-otlp-proto-http",
            &format!("{only_traces}\nopentelemetry-instrument python app.py"),
        ),
        lines("Java", "", &format!("{only_traces}\njava -javaagent:opentelemetry-javaagent.jar -jar app.jar")),
        lines(
            "JavaScript",
            "npm install @opentelemetry/api @opentelemetry/auto-instrumentations-node",
            &format!("{only_traces}\nnode --require @opentelemetry/auto-instrumentations-node/register app.js"),
        ),
        lines(
            "Go",
            "go get go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp",
            "# otlptracehttp.New(ctx) reads these by itself\ngo run .",
        ),
        lines(
            ".NET",
            "dotnet add package OpenTelemetry.Exporter.OpenTelemetryProtocol",
            "# .AddOtlpExporter() reads these by itself\ndotnet run",
        ),
        lines(
            "Rust",
            "cargo add opentelemetry-otlp --features http-proto,reqwest-blocking-client,gzip-http",
            "# SpanExporter::builder().with_http().build() reads these by itself\ncargo run",
        ),
    ]
}

/// The lines for samplers that ask whether to produce anything, with the key of an organisation in them.
pub fn for_sampling(base_url: &str, key: &str) -> Vec<ReadyLines> {
    let address = format!("{base_url}/sampling/{key}");
    vec![
        ReadyLines {
            language: "JavaScript",
            text: format!(
                "import {{ JaegerRemoteSampler }} from '@opentelemetry/sampler-jaeger-remote';\n\
                 import {{ AlwaysOffSampler, ParentBasedSampler }} from '@opentelemetry/sdk-trace-base';\n\n\
                 const sampler = new ParentBasedSampler({{\n  root: new JaegerRemoteSampler({{\n    \
                 endpoint: '{address}',\n    serviceName: 'app',\n    initialSampler: new AlwaysOffSampler(),\n    \
                 poolingInterval: 5000,\n  }}),\n}});"
            ),
        },
        ReadyLines {
            language: "Go",
            text: format!(
                "import \"go.opentelemetry.io/contrib/samplers/jaegerremote\"\n\n\
                 sampler := sdktrace.ParentBased(jaegerremote.New(\"app\",\n\
                 \tjaegerremote.WithSamplingServerURL(\"{address}\"),\n\
                 \tjaegerremote.WithSamplingRefreshInterval(5*time.Second),\n\
                 \tjaegerremote.WithInitialSampler(sdktrace.NeverSample()),\n))"
            ),
        },
        ReadyLines {
            language: "Rust",
            text: format!(
                "let sampler = opentelemetry_sdk::trace::Sampler::jaeger_remote(\n    \
                 opentelemetry_sdk::runtime::Tokio, reqwest::Client::new(),\n    \
                 opentelemetry_sdk::trace::Sampler::AlwaysOff, \"app\",\n)\n\
                 .with_endpoint(\"{address}\")\n\
                 .with_update_interval(std::time::Duration::from_secs(5))\n.build()?;"
            ),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_its_lines_and_the_token_stands_in_each_once() {
        let lines = for_token("https://desk.example", "TOKEN");
        let languages: Vec<_> = lines.iter().map(|lines| lines.language).collect();
        assert_eq!(languages, ["Python", "Java", "JavaScript", "Go", ".NET", "Rust"]);
        for lines in lines {
            assert_eq!(lines.text.matches("=Authorization=Bearer%20TOKEN\n").count(), 1, "{}", lines.text);
            assert!(lines.text.contains("=https://desk.example/v1/traces\n"), "{}", lines.text);
        }
        for lines in for_sampling("https://desk.example", "KEY") {
            assert_eq!(lines.text.matches("https://desk.example/sampling/KEY").count(), 1, "{}", lines.text);
        }
    }
}
