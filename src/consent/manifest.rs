//! Every field that a scope could record, by name, before anybody consents to it. What is not named here is not kept: a
//! program that says more than it did when the question was asked records no more.

use sha2::{Digest, Sha256};

use crate::consent::scope::{Component, Scope};

/// What every event and span of Accord may say.
const EVERYWHERE: &[&str] = &["message", "duration_ms", "error", "error.kind", "attempts", "count"];

/// What the operator's products may say: the names of OpenTelemetry's conventions that hold no content, and what is told
/// of a span beside its attributes.
const CONVENTIONS: &[&str] = &[
    "message",
    "service.name",
    "service.version",
    "service.instance.id",
    "deployment.environment.name",
    "telemetry.sdk.language",
    "telemetry.sdk.name",
    "telemetry.sdk.version",
    "http.request.method",
    "http.response.status_code",
    "http.route",
    "http.request.body.size",
    "http.response.body.size",
    "url.scheme",
    "url.path",
    "server.address",
    "server.port",
    "network.protocol.name",
    "network.protocol.version",
    "db.system.name",
    "db.namespace",
    "db.collection.name",
    "db.operation.name",
    "db.query.summary",
    "db.response.status_code",
    "rpc.system",
    "rpc.service",
    "rpc.method",
    "messaging.system",
    "messaging.operation.type",
    "messaging.destination.name",
    "code.function.name",
    "code.file.path",
    "code.line.number",
    "thread.name",
    "error.type",
    "exception.type",
    "exception.message",
    "exception.stacktrace",
    "otel.status_code",
    "otel.status_description",
    "otel.span.kind",
    "otel.links",
];

/// The longest name of an attribute of a product, and how many may be added.
pub const ATTRIBUTE_LENGTH: usize = 80;
pub const ATTRIBUTES: usize = 40;

/// The fields that `component` may record, besides what the operator added for its products.
pub fn fields(component: Component) -> Vec<&'static str> {
    let own: &[&str] = match component {
        Component::Pages => &[
            "request.id",
            "http.method",
            "http.route",
            "http.status",
            "page",
            "bytes",
            "locale",
            "form.fields",
            "reference",
            "cause",
        ],
        Component::Tickets => &["ticket.id", "ticket.status", "queue", "message.kind", "matches", "words", "fault"],
        Component::Mail => &[
            "mail.id",
            "mail.handle",
            "mail.bytes",
            "mail.size",
            "mail.parts",
            "mail.verdict",
            "mail.rule",
            "mail.state",
            "smtp.status",
            "rule",
            "decision",
            "reference",
            "kind",
            "stage",
        ],
        Component::Sql => {
            &["db.statement", "sql", "db.rows", "db.kind", "db.waited_ms", "duration_us", "bytes", "what"]
        }
        Component::Background => {
            &["job.id", "job.name", "job.attempts", "job", "work", "worker", "grant", "records", "chunks"]
        }
        Component::Products => return CONVENTIONS.to_vec(),
    };
    EVERYWHERE.iter().chain(own).copied().collect()
}

/// The manifest of a scope: its text, which the question shows, and what is looked up in it for each record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    parts: Vec<(Component, Vec<String>)>,
}

impl Manifest {
    pub fn of(scope: &Scope) -> Manifest {
        let parts = scope.components.iter().map(|part| {
            let mut names: Vec<String> = fields(part.component).into_iter().map(str::to_owned).collect();
            if part.component == Component::Products {
                names.extend(scope.attributes.iter().cloned());
            }
            (part.component, names)
        });
        Manifest { parts: parts.collect() }
    }

    /// Reads what [`Manifest::text`] wrote; a line of a component that there no longer is allows nothing.
    pub fn parse(text: &str) -> Manifest {
        let parts = text.lines().filter_map(|line| {
            let (component, names) = line.split_once(": ")?;
            let names = names.split(", ").map(str::to_owned).collect();
            Some((Component::parse(component)?, names))
        });
        Manifest { parts: parts.collect() }
    }

    /// One line a component.
    pub fn text(&self) -> String {
        let lines: Vec<String> =
            self.parts.iter().map(|(component, names)| format!("{component}: {}", names.join(", "))).collect();
        lines.join("\n")
    }

    /// What stands for the text in records and receipts.
    pub fn sha256(&self) -> String {
        sha256_hex(&self.text())
    }

    /// Whether a record of `component` may keep `field`.
    pub fn allows(&self, component: Component, field: &str) -> bool {
        self.parts.iter().any(|(own, names)| *own == component && names.iter().any(|name| name == field))
    }

    /// What both name.
    pub fn within(&self, other: &Manifest) -> Manifest {
        let parts = self.parts.iter().map(|(component, names)| {
            let kept = names.iter().filter(|name| other.allows(*component, name)).cloned().collect();
            (*component, kept)
        });
        Manifest { parts: parts.collect() }
    }

    pub fn parts(&self) -> &[(Component, Vec<String>)] {
        &self.parts
    }
}

/// SHA-256 of a text, in hexadecimal.
pub fn sha256_hex(text: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

/// Whether a product's attribute may have this name: what OpenTelemetry allows, without what separates names here.
pub fn is_attribute_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= ATTRIBUTE_LENGTH
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::scope::Level;

    #[test]
    fn a_manifest_reads_back_as_it_was_written() {
        let attributes = vec!["invoice.id".to_owned()];
        let manifest = Manifest::of(&Scope::of(Component::ALL, Level::Debug, attributes));
        assert_eq!(Manifest::parse(&manifest.text()), manifest);
        assert!(manifest.allows(Component::Products, "invoice.id"));
        assert!(!manifest.allows(Component::Pages, "invoice.id"));
        assert!(manifest.allows(Component::Sql, "db.statement"));
        assert!(!manifest.allows(Component::Sql, "db.values"));
    }

    #[test]
    fn no_name_could_be_taken_for_two() {
        for component in Component::ALL {
            assert!(fields(*component).iter().all(|name| is_attribute_name(name)), "{component}");
        }
        for name in ["", "a, b", "a: b", "a\nb", "é"] {
            assert!(!is_attribute_name(name), "{name}");
        }
    }
}
