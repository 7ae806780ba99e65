//! Answers as the OpenTelemetry protocol wants them: in the form of the request, a failure as `google.rpc.Status`, and
//! `Retry-After` where coming again helps. Texts are ours and in English: nothing of a request is ever said back.

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message;
use serde_json::json;

use crate::diagnostics::otlp::{Encoding, NotTaken};
use crate::web::metrics;

/// The media types by which requests and answers are told apart.
const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// Why a request is not taken. Each knows what it is to HTTP, to gRPC, and to the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No token, or none of ours, or its time is over.
    Unauthorized,
    /// The token is genuine, and its grant is over, or exhausted, or not for this.
    Over,
    /// Another media type, or another compression.
    Unsupported,
    /// More than is taken at once.
    TooLarge,
    /// Not what it says it is.
    Malformed,
    /// Too much under this grant; again in so many seconds.
    TooMuch { retry_after_secs: u64 },
    /// It cannot be kept now, whatever the reason.
    Unavailable,
    /// The framework refused it with this status.
    Other(StatusCode),
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Refusal::Unauthorized => StatusCode::UNAUTHORIZED,
            Refusal::Over => StatusCode::FORBIDDEN,
            Refusal::Unsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Refusal::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Malformed => StatusCode::BAD_REQUEST,
            Refusal::TooMuch { .. } => StatusCode::TOO_MANY_REQUESTS,
            Refusal::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Other(status) => status,
        }
    }

    /// The number that gRPC has for it.
    fn code(self) -> i32 {
        match self.status() {
            StatusCode::UNAUTHORIZED => 16,
            StatusCode::FORBIDDEN => 7,
            StatusCode::NOT_FOUND => 5,
            StatusCode::METHOD_NOT_ALLOWED => 12,
            StatusCode::REQUEST_TIMEOUT => 4,
            StatusCode::TOO_MANY_REQUESTS => 8,
            StatusCode::SERVICE_UNAVAILABLE => 14,
            status if status.is_server_error() => 13,
            _ => 3,
        }
    }

    fn message(self) -> &'static str {
        match self {
            Refusal::Unauthorized => "A token of a grant is needed, as Authorization: Bearer.",
            Refusal::Over => "The grant of this token is over or exhausted. Stop sending; a new grant has a new token.",
            Refusal::Unsupported => "Send application/x-protobuf or application/json, plain or compressed with gzip.",
            Refusal::TooLarge => "A request may have 4 MiB after decompression. Send smaller batches.",
            Refusal::Malformed => "This is no ExportTraceServiceRequest.",
            Refusal::TooMuch { .. } => "More than a grant may send at a time.",
            Refusal::Unavailable => "It cannot be kept at this moment.",
            Refusal::Other(status) => status.canonical_reason().unwrap_or("Refused."),
        }
    }

    /// What the counters call it.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::Unauthorized => "unauthorized",
            Refusal::Over => "over",
            Refusal::Unsupported => "unsupported",
            Refusal::TooLarge => "too_large",
            Refusal::Malformed => "malformed",
            Refusal::TooMuch { .. } => "too_much",
            Refusal::Unavailable => "unavailable",
            Refusal::Other(_) => "other",
        }
    }

    /// The answer, in the form of the request.
    pub fn answer(self, encoding: Encoding) -> HttpResponse {
        metrics::count_product_request(self.name());
        let mut response = HttpResponse::build(self.status());
        match self {
            Refusal::Unauthorized => {
                response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
            }
            Refusal::Unsupported => {
                response.insert_header((header::ACCEPT_ENCODING, "gzip"));
            }
            Refusal::TooMuch { retry_after_secs } => {
                response.insert_header((header::RETRY_AFTER, retry_after_secs.to_string()));
            }
            Refusal::Unavailable => {
                response.insert_header((header::RETRY_AFTER, "5"));
            }
            _ => {}
        }
        response.content_type(media_type(encoding)).body(self.body(encoding))
    }

    fn body(self, encoding: Encoding) -> Vec<u8> {
        let (code, message) = (self.code(), self.message());
        match encoding {
            Encoding::Protobuf => Status { code, message: message.to_owned() }.encode_to_vec(),
            Encoding::Json => json!({ "code": code, "message": message }).to_string().into_bytes(),
        }
    }
}

/// All of it was taken, or all but what is counted here: then it must not be sent again.
pub fn taken(encoding: Encoding, not_taken: &NotTaken) -> HttpResponse {
    metrics::count_product_request("taken");
    let rejected = not_taken.count();
    let partial = (rejected > 0)
        .then(|| ExportTracePartialSuccess { rejected_spans: rejected, error_message: not_taken.in_words() });
    let body = match (encoding, partial) {
        (Encoding::Protobuf, partial_success) => ExportTraceServiceResponse { partial_success }.encode_to_vec(),
        (Encoding::Json, None) => b"{}".to_vec(),
        // The messages' own writer puts the number as one; the protocol has 64 bits as text.
        (Encoding::Json, Some(partial)) => json!({
            "partialSuccess": {
                "rejectedSpans": partial.rejected_spans.to_string(),
                "errorMessage": partial.error_message,
            }
        })
        .to_string()
        .into_bytes(),
    };
    HttpResponse::Ok().content_type(media_type(encoding)).body(body)
}

/// How the request is written, if it says so.
pub fn encoding_of(request: &HttpRequest) -> Option<Encoding> {
    let value = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())?;
    let kind = value.split(';').next().unwrap_or_default().trim();
    [Encoding::Protobuf, Encoding::Json].into_iter().find(|encoding| kind.eq_ignore_ascii_case(media_type(*encoding)))
}

fn media_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Protobuf => PROTOBUF,
        Encoding::Json => JSON,
    }
}

/// Puts the status where the framework, or what stands around every request, refused with nothing but a number.
pub fn with_body(request: &HttpRequest, response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    let status = response.status();
    let is_empty = matches!(response.response().body().size(), BodySize::None | BodySize::Sized(0));
    if !(status.is_client_error() || status.is_server_error()) || !is_empty {
        return response;
    }
    let encoding = encoding_of(request).unwrap_or(Encoding::Json);
    let refusal = Refusal::Other(status);
    metrics::count_product_request(refusal.name());
    let (request, mut response) = response.into_parts();
    let media_type = header::HeaderValue::from_static(media_type(encoding));
    response.headers_mut().insert(header::CONTENT_TYPE, media_type);
    ServiceResponse::new(request, response.set_body(BoxBody::new(refusal.body(encoding))))
}
