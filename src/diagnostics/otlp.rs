//! What the operator's products send: spans of OpenTelemetry, of which those are taken that lie inside the grant, in its
//! time, its scope and its subject, redacted like everything else that is captured, and kept in one transaction that asks
//! for the grant once more (CN-01). What is refused is counted by reason, and never looked at further. No HTTP here; and
//! nothing of what was sent ever appears in an error or a log.

pub mod door;
pub mod json;
pub mod records;
pub mod subjects;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use prost::bytes::Bytes;

use crate::clock::{Clock, UtcTime};
use crate::config::UserAttributes;
use crate::consent::Subject;
use crate::consent::grants::{Grant, Live};
use crate::consent::scope::{Channel, Component};
use crate::db::DbConnection;
use crate::diagnostics::otlp::records::Source;
use crate::diagnostics::otlp::subjects::{Attribution, Person, Said};
use crate::diagnostics::record::Record;
use crate::diagnostics::redaction::{Hits, Redacted, Redactor};
use crate::diagnostics::sealing::GrantKey;
use crate::diagnostics::trace_store::{self, Appended, Dropped, NewChunk};
use crate::diagnostics::words;
use crate::error::{Error, Result};
use crate::people::{addresses, person};

/// Bytes of one request, after decompression.
pub const REQUEST_BYTES: usize = 4 << 20;
/// Sealed bytes that one grant may come to; then it is exhausted.
pub const GRANT_BYTES: i64 = 1 << 30;
/// Spans of one request; more than fit when they say anything.
const SPANS: usize = 100_000;
/// Resources and scopes in one request; empty ones cost us more memory than they cost to send.
const PARTS: usize = 10_000;
/// The longest span, and the longest description of where spans come from.
const SPAN_BYTES: usize = 256 << 10;
/// Records sealed together.
const CHUNK: usize = 512;

/// How a request is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Protobuf,
    Json,
}

/// The bytes are no request of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no request of the OpenTelemetry protocol")]
pub struct Malformed;

/// What is let in under a grant.
pub struct Admission {
    /// The organisation's public name.
    organisation: String,
    /// Whose own use it covers; nothing is everybody's in the organisation.
    person: Option<Person>,
    redactor: Redactor,
    /// The place of the products among the components of the scope.
    rule: u8,
    lists_service: bool,
    from_nanos: i64,
    until_nanos: i64,
}

/// Spans that were not taken, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotTaken {
    /// They began before the grant, or ended after it, or have not ended yet by our clock.
    pub late: i64,
    /// They name another organisation.
    pub other_organisation: i64,
    /// They are not known to be of the person who granted.
    pub other_person: i64,
    /// More detailed than what was granted.
    pub too_detailed: i64,
    /// Without the numbers that a span must have, or longer than a span may be.
    pub malformed: i64,
}

impl NotTaken {
    pub fn count(&self) -> i64 {
        self.late + self.other_organisation + self.other_person + self.too_detailed + self.malformed
    }

    /// What to tell whoever sent them: counts and reasons, and nothing of what they sent.
    pub fn in_words(&self) -> String {
        let reasons = [
            (self.late, "not inside the time of the grant"),
            (self.other_organisation, "of another organisation"),
            (self.other_person, "not known to be of the person who granted"),
            (self.too_detailed, "more detailed than what was granted"),
            (self.malformed, "without proper ids, or too long"),
        ];
        let told: Vec<String> =
            reasons.iter().filter(|(count, _)| *count > 0).map(|(count, reason)| format!("{count} {reason}")).collect();
        format!("Spans not taken: {}.", told.join("; "))
    }
}

/// The records of one request, fit to be kept.
#[derive(Default)]
pub struct Taken {
    pub records: Vec<Redacted>,
    pub spans: usize,
    pub hits: Hits,
    pub not_taken: NotTaken,
}

/// What became of a request's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    Kept,
    /// They are kept, and one of them said what was looked for: the grant is to end with it, in a transaction of its own.
    Reproduced,
}

impl Admission {
    /// What `live` lets in of the organisation of that public name, whose products name users by `user_attributes`.
    /// Nothing when it lets in nothing of products.
    pub fn of(
        db: &mut DbConnection,
        live: &Live,
        organisation: &str,
        user_attributes: &UserAttributes,
        key: &GrantKey,
    ) -> Result<Option<Admission>> {
        let grant = &live.grant;
        let place = grant.scope.components.iter().position(|part| part.component == Component::Products);
        let Some(rule) = place.and_then(|place| u8::try_from(place).ok()) else { return Ok(None) };
        let person = match grant.subject {
            Subject::Organisation => None,
            Subject::Person(id) => {
                let addresses =
                    addresses::of_person(db, id)?.into_iter().filter(|address| address.confirmed_at.is_some());
                let names = addresses.map(|address| address.canonical).chain([person::by_id(db, id)?.handle]);
                Some(Person::called(names, user_attributes))
            }
        };
        Ok(Some(Admission {
            organisation: organisation.to_owned(),
            person,
            redactor: Redactor::new(&grant.scope, &live.manifest, key.for_tags()),
            rule,
            lists_service: live.manifest.allows(Component::Products, records::SERVICE),
            from_nanos: nanos(grant.granted_at),
            until_nanos: nanos(grant.expires_at),
        }))
    }

    /// What of a request may be kept at `now`. A span lies inside the grant when it began and ended there: what has not
    /// ended yet by our clock could be after a withdrawal.
    pub fn take(&self, request: &Bytes, encoding: Encoding, now: UtcTime) -> Result<Taken, Malformed> {
        let batch = Batch::read(request, encoding)?;
        let mut attribution = Attribution::default();
        if let Some(person) = &self.person {
            batch.each(|source, span| {
                if let Some(ids) = span.as_ref().and_then(records::ids) {
                    let said = span.map_or(Said::Nothing, |span| person.said_by(source.product(), &span.attributes));
                    attribution.note((ids.trace, ids.span), ids.parent, said);
                }
            })?;
        }
        let mut taken = Taken::default();
        let until_nanos = self.until_nanos.min(nanos(now));
        batch.each(|source, span| self.take_span(source, span, until_nanos, &mut attribution, &mut taken))?;
        Ok(taken)
    }

    fn take_span(
        &self,
        source: &Source,
        span: Option<Span>,
        until_nanos: i64,
        attribution: &mut Attribution,
        taken: &mut Taken,
    ) {
        let not_taken = &mut taken.not_taken;
        let Some((span, ids)) = span.and_then(|span| records::ids(&span).map(|ids| (span, ids))) else {
            not_taken.malformed += 1;
            return;
        };
        let inside = |nanos: u64| i64::try_from(nanos).ok().filter(|at| (self.from_nanos..=until_nanos).contains(at));
        let (start, end) = (inside(span.start_time_unix_nano), inside(span.end_time_unix_nano));
        let (Some(start), Some(end)) = (start, end) else {
            not_taken.late += 1;
            return;
        };
        if end < start || end >= self.until_nanos {
            not_taken.late += 1;
            return;
        }
        if !source.names_only(&self.organisation) || !records::names_only(&span.attributes, &self.organisation) {
            not_taken.other_organisation += 1;
            return;
        }
        if self.person.is_some() && !attribution.is_theirs((ids.trace, ids.span)) {
            not_taken.other_person += 1;
            return;
        }
        let target = source.target(self.lists_service);
        let (record, events) = records::of_span(span, ids, (start, end), target, source, self.rule);
        let Some(kept) = self.redact(Record::Span(record), &mut taken.hits) else {
            not_taken.too_detailed += 1;
            return;
        };
        taken.spans += 1;
        taken.records.push(kept);
        for event in events {
            // A moment of a span that is taken is told where it lies inside the grant, too.
            if (self.from_nanos..=until_nanos).contains(&event.at_nanos) && event.at_nanos < self.until_nanos {
                taken.records.extend(self.redact(Record::Event(event), &mut taken.hits));
            }
        }
    }

    fn redact(&self, record: Record, hits: &mut Hits) -> Option<Redacted> {
        let mut redacted = self.redactor.redact(Channel::Otlp, record, hits)?;
        match &mut redacted.record {
            Record::Span(span) => records::cut(&mut span.body),
            Record::Event(event) => records::cut(&mut event.body),
            Record::Gap(_) => {}
        }
        Some(redacted)
    }
}

/// Keeps what was taken, all of it or nothing, if the grant is active in that very statement; [`Error::Forbidden`] when it
/// is not. Whoever ends the grant meanwhile waits for this, or this finds it ended.
pub fn store(db: &mut DbConnection, grant: &Grant, key: &GrantKey, taken: &Taken, clock: &Clock) -> Result<Stored> {
    let mut hits = Some(&taken.hits);
    let none = Hits::default();
    for records in taken.records.chunks(CHUNK) {
        let (first_at, last_at) = span_of(records);
        let hits = hits.take().unwrap_or(&none);
        let chunk = NewChunk { channel: Channel::Otlp, records, first_at, last_at, hits };
        let appended =
            trace_store::append(db, grant.organisation_id, grant.id, key, std::slice::from_ref(&chunk), clock)?;
        if appended == Appended::Refused {
            return Err(Error::Forbidden);
        }
    }
    let not_taken = &taken.not_taken;
    let dropped =
        Dropped { late: not_taken.late, out_of_scope: not_taken.count() - not_taken.late, ..Dropped::default() };
    if dropped != Dropped::default() {
        trace_store::count(db, grant.id, &dropped, clock.now())?;
    }
    let is_reproduced = words::are_said(&taken.records, &grant.stop_condition);
    Ok(if is_reproduced { Stored::Reproduced } else { Stored::Kept })
}

fn nanos(time: UtcTime) -> i64 {
    time.micros().saturating_mul(1_000)
}

/// When the first of the records began, and the last ended.
fn span_of(records: &[Redacted]) -> (UtcTime, UtcTime) {
    let times = records.iter().filter_map(|redacted| match &redacted.record {
        Record::Span(span) => Some((span.start_nanos, span.end_nanos)),
        Record::Event(event) => Some((event.at_nanos, event.at_nanos)),
        Record::Gap(_) => None,
    });
    let (first, last) = times.fold((i64::MAX, 0), |(first, last), (from, to)| (first.min(from), last.max(to)));
    (UtcTime::from_micros(first.min(last) / 1_000), UtcTime::from_micros(last / 1_000))
}

/// A request, taken apart no further than to its spans: each is read when its turn comes, so that a small request of many
/// empty ones does not become a large one.
enum Batch {
    Protobuf(Vec<(Source, Vec<Bytes>)>),
    Json(Vec<(Source, Vec<Span>)>),
}

/// The messages of the protocol down to the spans, which are left as they are. A message and a field of bytes are written
/// alike.
#[derive(Clone, PartialEq, Message)]
struct Outermost {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    resource_spans: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
struct OfResource {
    #[prost(bytes = "bytes", optional, tag = "1")]
    resource: Option<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    scope_spans: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Message)]
struct OfScope {
    #[prost(bytes = "bytes", repeated, tag = "2")]
    spans: Vec<Bytes>,
}

impl Batch {
    fn read(request: &Bytes, encoding: Encoding) -> Result<Batch, Malformed> {
        match encoding {
            Encoding::Protobuf => Batch::read_protobuf(request),
            Encoding::Json => json::decode(request).map(Batch::of_messages).ok_or(Malformed),
        }
    }

    fn read_protobuf(request: &Bytes) -> Result<Batch, Malformed> {
        let mut sources = Vec::new();
        let mut spans_left = SPANS;
        let of_resources = decode::<Outermost>(request)?.resource_spans;
        let mut parts_left = PARTS.checked_sub(of_resources.len()).ok_or(Malformed)?;
        for of_resource in of_resources {
            let of_resource: OfResource = decode(&of_resource)?;
            let resource = of_resource.resource.unwrap_or_default();
            if resource.len() > SPAN_BYTES {
                return Err(Malformed);
            }
            parts_left = parts_left.checked_sub(of_resource.scope_spans.len()).ok_or(Malformed)?;
            let mut spans = Vec::new();
            for of_scope in of_resource.scope_spans {
                let of_scope: OfScope = decode(&of_scope)?;
                spans_left = spans_left.checked_sub(of_scope.spans.len()).ok_or(Malformed)?;
                spans.extend(of_scope.spans);
            }
            sources.push((Source::new(decode::<Resource>(&resource)?), spans));
        }
        Ok(Batch::Protobuf(sources))
    }

    fn of_messages(request: ExportTraceServiceRequest) -> Batch {
        let sources = request.resource_spans.into_iter().map(|of_resource| {
            let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans).collect();
            (Source::new(of_resource.resource.unwrap_or_default()), spans)
        });
        Batch::Json(sources.collect())
    }

    /// Every span with where it comes from; nothing in place of one that is too long.
    fn each(&self, mut take: impl FnMut(&Source, Option<Span>)) -> Result<(), Malformed> {
        match self {
            Batch::Protobuf(sources) => {
                for (source, spans) in sources {
                    for span in spans {
                        let read = if span.len() > SPAN_BYTES { None } else { Some(decode(span)?) };
                        take(source, read);
                    }
                }
            }
            Batch::Json(sources) => {
                for (source, spans) in sources {
                    for span in spans {
                        take(source, (span.encoded_len() <= SPAN_BYTES).then(|| span.clone()));
                    }
                }
            }
        }
        Ok(())
    }
}

/// What the library says of bytes it cannot read may be long, and tells what is in them.
fn decode<T: Message + Default>(bytes: &Bytes) -> Result<T, Malformed> {
    T::decode(bytes.clone()).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests;
