//! How slowly the body of a request may come (FT-14): whoever sends a byte now and then would hold a connection and its
//! memory for ever. The framework has a timer for the header only.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::BoxBody;
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::web::{Bytes, Data};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::web::page_error::PageError;

/// What is asked of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For so long nothing is asked.
    pub grace: Duration,
    /// From then on so many bytes have to come each second, counted from the beginning of that time.
    pub bytes_per_sec: u32,
    /// And after so long it has to be there whole.
    pub longest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { grace: Duration::from_secs(10), bytes_per_sec: 1024, longest: Duration::from_secs(120) }
    }
}

impl Patience {
    /// With whoever has not shown yet that they may send anything: a mebibit a second is asked of a mail server.
    pub const WITH_STRANGERS: Patience =
        Patience { grace: Duration::from_secs(5), bytes_per_sec: 128 * 1024, longest: Duration::from_secs(120) };

    /// How long after the beginning the next byte has to be here, with so many here already.
    fn lasts(&self, received: u64) -> Duration {
        let earned = Duration::from_millis(received.saturating_mul(1_000) / u64::from(self.bytes_per_sec.max(1)));
        self.longest.min(self.grace.saturating_add(earned))
    }
}

/// What is asked of the body of a request, for its handler to change.
#[derive(Clone)]
struct Pace(Rc<Cell<Patience>>);

/// From now on this is asked of the body of the request.
pub fn ask_of(request: &HttpRequest, patience: Patience) {
    if let Some(pace) = request.extensions().get::<Pace>() {
        pace.0.set(patience);
    }
}

/// Told by the body to whoever answers.
#[derive(Clone, Default)]
pub struct Verdict(Rc<Cell<bool>>);

impl Verdict {
    /// The answer in place of `response` when the body came too slowly, whatever the handler made of that.
    pub fn answer(&self, response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
        if !self.0.get() {
            return response;
        }
        let mut refusal = HttpResponse::from_error(PageError::too_slow());
        // Where the next request would begin in what still trickles in, nobody knows.
        refusal.head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
        response.into_response(refusal)
    }
}

/// Lets the body of the request come no slower than it may: than [`Patience`] in the application's data, or its default.
pub fn watch(request: &mut ServiceRequest) -> Verdict {
    let verdict = Verdict::default();
    let body = request.take_payload();
    if matches!(body, Payload::None) {
        return verdict;
    }
    let patience = request.app_data::<Data<Patience>>().map(|patience| *patience.get_ref()).unwrap_or_default();
    let pace = Pace(Rc::new(Cell::new(patience)));
    request.extensions_mut().insert(pace.clone());
    let watched = Watched { body, pace, began: Instant::now(), received: 0, timer: None, verdict: verdict.clone() };
    request.set_payload(Payload::Stream { payload: Box::pin(watched) });
    verdict
}

struct Watched {
    body: Payload,
    pace: Pace,
    began: Instant,
    received: u64,
    /// Made when there is something to wait for; most bodies are there at once.
    timer: Option<Pin<Box<Sleep>>>,
    verdict: Verdict,
}

impl Stream for Watched {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let watched = self.get_mut();
        if let Poll::Ready(item) = Pin::new(&mut watched.body).poll_next(context) {
            if let Some(Ok(bytes)) = &item {
                watched.received = watched.received.saturating_add(bytes.len() as u64);
            }
            return Poll::Ready(item);
        }
        let end = watched.began + watched.pace.0.get().lasts(watched.received);
        let timer = watched.timer.get_or_insert_with(|| Box::pin(sleep_until(end)));
        if timer.deadline() != end {
            timer.as_mut().reset(end);
        }
        match timer.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                watched.verdict.0.set(true);
                Poll::Ready(Some(Err(PayloadError::Io(io::ErrorKind::TimedOut.into()))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ft_14_a_kibibyte_a_second_is_asked_after_ten_seconds_and_two_minutes_are_the_end() {
        let patience = Patience::default();
        let lasts = |received| patience.lasts(received).as_millis();
        assert_eq!(lasts(0), 10_000);
        assert_eq!(lasts(512), 10_500);
        assert_eq!(lasts(1024 * 60), 70_000);
        assert_eq!(lasts(1024 * 110), 120_000);
        assert_eq!(lasts(u64::MAX), 120_000);
        let lasts = |received| Patience::WITH_STRANGERS.lasts(received).as_secs();
        assert_eq!((lasts(1), lasts(1 << 20), lasts(25 << 20)), (5, 13, 120));
    }
}
