//! Receipts, certificates and bundles of evidence: signed copies of the record for the customer to keep, as JSON-LD with
//! the DPV's profile of ISO/IEC TS 27560, which anybody can check without us (`accord verify`).

use diesel::prelude::*;
use serde_json::{Value, json};

use crate::clock::UtcTime;
use crate::consent::asking::ConsentRequest;
use crate::consent::grants::Grant;
use crate::consent::looks;
use crate::consent::register::{self, Broken};
use crate::consent::scope::Basis;
use crate::consent::signing::{self, Fault};
use crate::consent::wording::{self, Notice};
use crate::db::DbConnection;
use crate::db::schema::consent_receipts;
use crate::db::types::{GrantId, text_enum};
use crate::error::{Error, Result};
use crate::keys::Keys;
use crate::secret::random_handle;

/// The profile that a receipt conforms to.
const RECEIPT_PROFILE: &str = "https://w3id.org/dpv/schema/dpv-27560#receipt-eu-gdpr";
/// The terms of ours, which no vocabulary has.
const OWN_TERMS: &str = "urn:accord:";

text_enum! {
    /// What was signed.
    pub enum Kind {
        Receipt = "receipt",
        /// That what was captured is gone.
        Certificate = "certificate",
    }
}

/// What was captured and destroyed, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub records: i64,
    pub chunks: i64,
    pub bytes: i64,
    /// The name of the key that was destroyed, if anything was ever sealed.
    pub key: Option<String>,
    /// The end of the chain of chunks.
    pub head: Option<String>,
    /// How often somebody looked, and the end of the chain of looks: after this there are no more.
    pub looks: i64,
    pub looks_head: Option<String>,
}

impl Counts {
    pub(super) fn to_json(&self) -> Value {
        json!({ "records": self.records, "chunks": self.chunks, "bytes": self.bytes, "key": self.key,
            "head": self.head, "looks": self.looks, "looks_head": self.looks_head })
    }
}

/// A signed document as it is stored.
#[derive(Clone, Debug)]
pub struct Signed {
    pub handle: String,
    pub document: Value,
    pub key: String,
    pub created_at: UtcTime,
}

/// The vocabularies, spelled out so that the document means the same to a reader without a network.
fn context() -> Value {
    json!({
        "dpv": "https://w3id.org/dpv#",
        "eu-gdpr": "https://w3id.org/dpv/legal/eu/gdpr#",
        "dct": "http://purl.org/dc/terms/",
        "schema": "https://schema.org/",
        "accord": OWN_TERMS,
    })
}

/// Signs and keeps the receipt of a grant.
pub(super) fn issue(
    db: &mut DbConnection,
    keys: &Keys,
    request: &ConsentRequest,
    grant: &Grant,
    notice: &Notice,
    now: UtcTime,
) -> Result<()> {
    let events = register::of_request(db, request.id)?;
    let last = events.last().ok_or_else(|| Error::internal("a grant without a record"))?;
    let body: Value = serde_json::from_str(&last.body)
        .map_err(|error| Error::Internal(anyhow::Error::new(error).context("a record cannot be read")))?;
    let (operator, customer) = (wording::operator(db)?, wording::customer(db, request.organisation_id)?);
    let (lawful_basis, status) = match grant.basis {
        Basis::Consent => ("eu-gdpr:A6-1-a", "dpv:ConsentGiven"),
        Basis::Instruction => ("accord:DocumentedInstruction", "dpv:ConsentGiven"),
    };
    let scope: Vec<Value> =
        grant.scope.components.iter().map(|part| json!({ "component": part.component, "level": part.level })).collect();
    let document = json!({
        "@context": context(),
        "@id": format!("urn:accord:receipt:{}", grant.handle),
        "@type": "dpv:ConsentReceipt",
        "dct:identifier": format!("receipt-{}", grant.handle),
        "dct:conformsTo": RECEIPT_PROFILE,
        "dct:created": now.rfc3339(),
        "dct:publisher": operator.name,
        "dpv:hasRecordOfActivity": {
            "@id": format!("urn:accord:record:{}", request.handle),
            "@type": "dpv:ConsentRecord",
            "dct:identifier": request.handle,
            "dct:conformsTo": register::SCHEMA,
            "dpv:hasDataSubject": body["principal"],
            "dpv:hasDataController": party(&operator),
            "accord:customer": party(&customer),
            "dpv:hasJurisdiction": operator.country,
            "dpv:hasLegalBasis": lawful_basis,
            "accord:basis": grant.basis,
            "dpv:hasNotice": {
                "@type": "dpv:ConsentNotice",
                "dct:hasVersion": notice.version.to_string(),
                "dct:language": notice.language.code(),
                "accord:sha256": notice.sha256,
                "schema:text": notice.text,
            },
            "dpv:hasProcess": {
                "@type": "dpv:Process",
                "dpv:hasPurpose": { "dct:description": request.terms.purpose, "accord:code": request.terms.purpose_code },
                "accord:scope": scope,
                "accord:attributes": grant.scope.attributes,
                "accord:manifest": crate::consent::manifest::Manifest::of(&grant.scope).text(),
                "accord:manifestSha256": body["information"]["manifest_sha256"],
                "dpv:hasRecipient": body["recipients"],
                "dpv:hasThirdParty": [],
                "accord:mayLeaveAccord": grant.exports_allowed,
                "accord:collectionMethods": body["collection_methods"],
                "dpv:hasStorageCondition": [
                    { "@type": "dpv:StorageLocation", "dpv:hasLocation": operator.country },
                    { "@type": "dpv:StorageDuration", "dpv:hasDuration": format!("P{}D", grant.retention_days) },
                    { "@type": "dpv:StorageDeletion", "accord:by": "destruction of the key, certified" },
                ],
            },
            "accord:withdrawal": {
                "dct:description": "one press in the request, the account, the banner or the mail",
                "accord:path": body["withdrawal_method"],
            },
            "dpv:hasConsentStatus": {
                "@type": status,
                "accord:event": last.kind,
                "dpv:isIndicatedAtTime": grant.granted_at.rfc3339(),
                "dpv:isIndicatedBy": body["event"]["entity"],
                "accord:byTwo": grant.seconded_by.is_some(),
                "accord:ticket": body["ticket"],
                "dpv:hasDuration": format!("PT{}M", grant.duration_minutes),
                "dct:valid": grant.expires_at.rfc3339(),
            },
            "accord:chain": { "accord:length": last.number, "accord:head": last.hash },
        },
    });
    keep(db, keys, grant, Kind::Receipt, document, now)
}

/// Signs and keeps the certificate of destruction.
pub(super) fn certify(
    db: &mut DbConnection,
    keys: &Keys,
    request: &ConsentRequest,
    grant: &Grant,
    counts: &Counts,
    now: UtcTime,
) -> Result<()> {
    let events = register::of_request(db, request.id)?;
    let last = events.last().ok_or_else(|| Error::internal("a grant without a record"))?;
    let operator = wording::operator(db)?;
    let document = json!({
        "@context": context(),
        "@id": format!("urn:accord:certificate:{}", grant.handle),
        "@type": "accord:CertificateOfDestruction",
        "dct:identifier": format!("certificate-{}", grant.handle),
        "dct:created": now.rfc3339(),
        "dct:publisher": operator.name,
        "accord:record": request.handle,
        "accord:receipt": format!("receipt-{}", grant.handle),
        "accord:grantedAt": grant.granted_at.rfc3339(),
        "accord:endedAt": grant.ended_at.map(|at| at.rfc3339()),
        "accord:endReason": grant.end_reason,
        "accord:destroyedAt": now.rfc3339(),
        "accord:destroyed": counts.to_json(),
        "accord:chain": { "accord:length": last.number, "accord:head": last.hash },
    });
    keep(db, keys, grant, Kind::Certificate, document, now)
}

fn party(party: &wording::Party) -> Value {
    json!({ "schema:name": party.name, "schema:address": party.address, "schema:addressCountry": party.country,
        "schema:contactPoint": party.contact })
}

fn keep(db: &mut DbConnection, keys: &Keys, grant: &Grant, kind: Kind, document: Value, now: UtcTime) -> Result<()> {
    let (document, key) = signing::sign(keys, document, now)?;
    let signature = document["proof"]["proofValue"].as_str().unwrap_or_default().to_owned();
    diesel::insert_into(consent_receipts::table)
        .values((
            consent_receipts::organisation_id.eq(grant.organisation_id),
            consent_receipts::grant_id.eq(grant.id),
            consent_receipts::handle.eq(random_handle()),
            consent_receipts::kind.eq(kind),
            consent_receipts::document.eq(document.to_string()),
            consent_receipts::signature.eq(signature),
            consent_receipts::key_id.eq(key),
            consent_receipts::created_at.eq(now),
        ))
        .execute(db)?;
    Ok(())
}

/// The signed document of that kind, if it was given out.
pub fn find(db: &mut DbConnection, grant: GrantId, kind: Kind) -> Result<Option<Signed>> {
    let found: Option<(String, String, String, UtcTime)> = consent_receipts::table
        .filter(consent_receipts::grant_id.eq(grant))
        .filter(consent_receipts::kind.eq(kind))
        .select((
            consent_receipts::handle,
            consent_receipts::document,
            consent_receipts::key_id,
            consent_receipts::created_at,
        ))
        .first(db)
        .optional()?;
    found
        .map(|(handle, document, key, created_at)| {
            let document = serde_json::from_str(&document)
                .map_err(|error| Error::Internal(anyhow::Error::new(error).context("a receipt cannot be read")))?;
            Ok(Signed { handle, document, key, created_at })
        })
        .transpose()
}

/// Everything about one consent, signed as it stands: the record, the manifest, the receipt, the certificate, and the
/// `readings` ([`looks::to_json`]) of what was captured, if anything was granted.
pub fn bundle(
    db: &mut DbConnection,
    keys: &Keys,
    request: &ConsentRequest,
    readings: Option<Value>,
    now: UtcTime,
) -> Result<Value> {
    let events = register::of_request(db, request.id)?;
    let mut wordings = serde_json::Map::new();
    for event in &events {
        let body: Value = serde_json::from_str(&event.body).unwrap_or_default();
        if let Some(sha256) = body["notice"]["sha256"].as_str()
            && !wordings.contains_key(sha256)
        {
            wordings.insert(sha256.to_owned(), json!(wording::kept(db, sha256)?.text));
        }
    }
    let grant = crate::consent::grants::of_request(db, request.id)?;
    let (receipt, certificate) = match &grant {
        Some(grant) => (find(db, grant.id, Kind::Receipt)?, find(db, grant.id, Kind::Certificate)?),
        None => (None, None),
    };
    let document = json!({
        "@context": context(),
        "@type": "accord:Evidence",
        "dct:identifier": format!("evidence-{}", request.handle),
        "dct:created": now.rfc3339(),
        "dct:publisher": wording::operator(db)?.name,
        "accord:record": request.handle,
        "accord:events": events.iter().map(register::Event::to_json).collect::<Vec<_>>(),
        "accord:wordings": wordings,
        "accord:manifest": request.manifest.text(),
        "accord:receipt": receipt.map(|signed| signed.document),
        "accord:certificate": certificate.map(|signed| signed.document),
        "accord:readings": readings,
    });
    signing::sign(keys, document, now).map(|(document, _)| document)
}

/// Why a document that somebody holds is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    #[error("{0}: {1}")]
    Signature(&'static str, Fault),
    #[error("the record is broken at event {}: {}", .0.number, .0.why)]
    Chain(Broken),
    #[error("the reading record is broken at look {}: {}", .0.number, .0.why)]
    Readings(Broken),
    #[error("{0} does not belong to this record")]
    Stranger(&'static str),
    #[error("{0} was signed when the record was another")]
    OtherRecord(&'static str),
    #[error("a wording is not the one that was shown")]
    Wording,
    #[error("the list of fields is not the one that was asked about")]
    Manifest,
}

/// What was checked and found sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sound {
    /// The key that signed.
    pub key: String,
    /// What was looked at, in order.
    pub parts: Vec<String>,
}

/// Checks a receipt, a certificate or a bundle of evidence, with nothing but itself.
pub fn verify(document: &Value) -> Result<Sound, Doubt> {
    let kind = document.get("@type").and_then(Value::as_str).unwrap_or_default();
    let whole = if kind == "accord:Evidence" { "the bundle" } else { "the document" };
    let key = signing::verify(document).map_err(|fault| Doubt::Signature(whole, fault))?;
    let mut parts = vec![format!("{whole} is as it was signed")];
    if kind != "accord:Evidence" {
        return Ok(Sound { key, parts });
    }
    let record = document["accord:record"].as_str().unwrap_or_default();
    let events = document["accord:events"].as_array().cloned().unwrap_or_default();
    register::verify_links(record, &events).map_err(Doubt::Chain)?;
    parts.push(format!("{} events, each following the one before", events.len()));
    if let Some(wordings) = document["accord:wordings"].as_object() {
        for (sha256, text) in wordings {
            if text.as_str().map(crate::consent::manifest::sha256_hex).as_deref() != Some(sha256) {
                return Err(Doubt::Wording);
            }
        }
        parts.push(format!("{} wordings, as they were shown", wordings.len()));
    }
    let asked: Value = events
        .first()
        .and_then(|event| event["body"].as_str())
        .and_then(|body| serde_json::from_str(body).ok())
        .unwrap_or_default();
    let manifest = document["accord:manifest"].as_str().map(crate::consent::manifest::sha256_hex);
    if manifest.as_deref() != asked["information"]["manifest_sha256"].as_str() {
        return Err(Doubt::Manifest);
    }
    parts.push("the list of fields is the one that was asked about".to_owned());
    verify_readings(document, &mut parts)?;
    for (name, field, shown) in
        [("receipt", "accord:receipt", "the receipt"), ("certificate", "accord:certificate", "the certificate")]
    {
        let signed = &document[field];
        if signed.is_null() {
            continue;
        }
        let signed_by = signing::verify(signed).map_err(|fault| Doubt::Signature(shown, fault))?;
        if signed_by != key {
            parts.push(format!("{shown} was signed by an earlier key, {signed_by}"));
        }
        let of_record = if name == "receipt" { &signed["dpv:hasRecordOfActivity"] } else { signed };
        let own = of_record.get("dct:identifier").filter(|_| name == "receipt").or(signed.get("accord:record"));
        if own.and_then(Value::as_str) != Some(record) {
            return Err(Doubt::Stranger(shown));
        }
        let chain = &of_record["accord:chain"];
        let length = chain["accord:length"].as_u64().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
        let head = length.checked_sub(1).and_then(|index| events.get(index)).map(|event| &event["hash"]);
        if head != Some(&chain["accord:head"]) {
            return Err(Doubt::OtherRecord(shown));
        }
        parts.push(format!("{shown} is as it was signed, at event {length}"));
    }
    Ok(Sound { key, parts })
}

/// The looks are of the grant that the record tells of, and whole.
fn verify_readings(document: &Value, parts: &mut Vec<String>) -> Result<(), Doubt> {
    let readings = &document["accord:readings"];
    let granted = document["accord:receipt"]["@id"].as_str().and_then(|id| id.rsplit(':').next());
    if readings.is_null() && granted.is_none() {
        return Ok(());
    }
    if readings["accord:grant"].as_str() != granted {
        return Err(Doubt::Stranger("the reading record"));
    }
    let count = looks::verify(readings).map_err(Doubt::Readings)?;
    // Nobody can look at what is gone, so the certificate knows the last look there is.
    let destroyed = &document["accord:certificate"]["accord:destroyed"];
    if let (Some(looks), Some(head)) = (destroyed["looks"].as_u64(), destroyed["looks_head"].as_str())
        && (u64::try_from(count).ok() != Some(looks) || readings["accord:head"].as_str() != Some(head))
    {
        return Err(Doubt::OtherRecord("the certificate"));
    }
    parts.push(format!("{count} looks at what was captured, each following the one before"));
    Ok(())
}
