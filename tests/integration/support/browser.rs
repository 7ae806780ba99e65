//! A person at a browser: it keeps cookies, sends what browsers send, and puts the token into forms.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use accord::app::App;
use accord::web::csrf;
use accord::web::guard::guard;
use accord::web::server::Site;
use actix_http::Request;
use actix_web::body::{BoxBody, to_bytes};
use actix_web::cookie::Cookie;
use actix_web::dev::{Payload, Service, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::{Method, StatusCode, header};
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, init_service};
use actix_web::web::{Bytes, ServiceConfig};
use futures_util::stream::LocalBoxStream;

use super::app::BASE_URL;

/// A body that comes in its own time.
pub type Trickle = LocalBoxStream<'static, Result<Bytes, PayloadError>>;

type Answer = Pin<Box<dyn Future<Output = ServiceResponse<BoxBody>>>>;

/// A browser with its cookies.
#[derive(Clone)]
pub struct Browser {
    call: Rc<dyn Fn(Request) -> Answer>,
    cookies: Rc<RefCell<BTreeMap<String, String>>>,
    app: Arc<App>,
}

/// What came back.
#[derive(Debug)]
pub struct Answered {
    pub status: StatusCode,
    pub headers: BTreeMap<String, Vec<String>>,
    pub bytes: Vec<u8>,
}

impl Browser {
    pub async fn open(site: Site, app: Arc<App>) -> Browser {
        Browser::before(move |config| site.configure(config), app).await
    }

    /// A browser before routes of a test's own, guarded like all others.
    pub async fn before(routes: impl FnOnce(&mut ServiceConfig), app: Arc<App>) -> Browser {
        let service = init_service(actix_web::App::new().configure(routes).wrap(from_fn(guard))).await;
        let service = Rc::new(service);
        let call = move |request: Request| -> Answer {
            let service = service.clone();
            Box::pin(async move {
                match service.call(request).await {
                    Ok(response) => response.map_into_boxed_body(),
                    Err(error) => panic!("the service failed: {error}"),
                }
            })
        };
        Browser { call: Rc::new(call), cookies: Rc::default(), app }
    }

    /// Another browser with only this session, or with none; it reaches the same application.
    pub fn with_session(&self, token: Option<&str>) -> Browser {
        let browser = Browser { call: self.call.clone(), cookies: Rc::default(), app: self.app.clone() };
        if let Some(token) = token {
            browser.set_session(token);
        }
        browser
    }

    /// A request with nothing added but the host and the cookies.
    pub async fn send(&self, request: TestRequest) -> Answered {
        self.raw(request.insert_header((header::HOST, "desk.example"))).await
    }

    /// A request with nothing added but the cookies.
    pub async fn raw(&self, request: TestRequest) -> Answered {
        self.call(self.dressed(request).to_request()).await
    }

    /// A request whose body comes in its own time.
    pub async fn send_trickling(&self, request: TestRequest, body: Trickle) -> Answered {
        let request = self.dressed(request.insert_header((header::HOST, "desk.example"))).to_request();
        self.call(request.replace_payload(Payload::Stream { payload: body }).0).await
    }

    fn dressed(&self, request: TestRequest) -> TestRequest {
        let mut request = request.peer_addr("192.0.2.7:4711".parse().unwrap());
        for (name, value) in self.cookies.borrow().iter() {
            request = request.cookie(Cookie::new(name.clone(), value.clone()));
        }
        request
    }

    async fn call(&self, request: Request) -> Answered {
        let response = (self.call)(request).await;
        for cookie in response.response().cookies() {
            let gone = cookie.max_age().is_some_and(|age| age.is_zero());
            let mut cookies = self.cookies.borrow_mut();
            if gone || cookie.value().is_empty() {
                cookies.remove(cookie.name());
            } else {
                cookies.insert(cookie.name().to_owned(), cookie.value().to_owned());
            }
        }
        let status = response.status();
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in response.headers() {
            headers.entry(name.to_string()).or_default().push(value.to_str().unwrap_or_default().to_owned());
        }
        let bytes = to_bytes(response.into_body()).await.unwrap_or_default().to_vec();
        Answered { status, headers, bytes }
    }

    /// Opens a page.
    pub async fn get(&self, path: &str) -> Answered {
        self.send(TestRequest::get().uri(path).insert_header((header::ACCEPT_LANGUAGE, "fr"))).await
    }

    /// Sends a form of a page of ours, with its token.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answered {
        let mut fields: Vec<(&str, &str)> = fields.to_vec();
        let token = self.csrf();
        fields.push(("csrf", &token));
        self.send(
            TestRequest::default()
                .method(Method::POST)
                .uri(path)
                .insert_header((header::ORIGIN, BASE_URL))
                .insert_header((header::ACCEPT_LANGUAGE, "fr"))
                .set_form(fields),
        )
        .await
    }

    /// Sends a form with files, each as (field, file name, content).
    pub async fn upload(&self, path: &str, fields: &[(&str, &str)], files: &[(&str, &str, &[u8])]) -> Answered {
        self.send(self.form_with_files(path, fields, files)).await
    }

    /// The same through a proxy in front, which says that it comes from `ip`.
    pub async fn upload_from(&self, ip: &str, path: &str, fields: &[(&str, &str)]) -> Answered {
        self.send(self.form_with_files(path, fields, &[]).insert_header(("x-forwarded-for", ip))).await
    }

    fn form_with_files(&self, path: &str, fields: &[(&str, &str)], files: &[(&str, &str, &[u8])]) -> TestRequest {
        let token = self.csrf();
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("csrf", token.as_str())]).collect();
        Browser::in_parts_with(&fields, files)
            .method(Method::POST)
            .uri(path)
            .insert_header((header::ORIGIN, BASE_URL))
            .insert_header((header::ACCEPT_LANGUAGE, "fr"))
    }

    /// These fields as a form that can carry files, and nothing else.
    pub fn in_parts(fields: &[(&str, &str)]) -> TestRequest {
        Browser::in_parts_with(fields, &[])
    }

    fn in_parts_with(fields: &[(&str, &str)], files: &[(&str, &str, &[u8])]) -> TestRequest {
        const BOUNDARY: &str = "----accord-test-boundary";
        let mut body = Vec::new();
        for (name, value) in fields {
            body.extend_from_slice(
                format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
                    .as_bytes(),
            );
        }
        for (name, file_name, content) in files {
            body.extend_from_slice(
                format!(
                    "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\n\
                     Content-Type: application/octet-stream\r\n\r\n"
                )
                .as_bytes(),
            );
            body.extend_from_slice(content);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        TestRequest::default()
            .insert_header((header::CONTENT_TYPE, format!("multipart/form-data; boundary={BOUNDARY}")))
            .set_payload(body)
    }

    /// The token that a form of this browser carries.
    pub fn csrf(&self) -> String {
        match self.cookies.borrow().get("accord") {
            Some(session) => csrf::session_token(&self.app.keys, session),
            None => csrf::form_token(&self.app.keys, self.app.clock.now()),
        }
    }

    /// Puts a session cookie into the browser, as signing in would.
    pub fn set_session(&self, token: &str) {
        self.cookies.borrow_mut().insert("accord".to_owned(), token.to_owned());
    }

    /// The session that the browser presents.
    pub fn session(&self) -> Option<String> {
        self.cookies.borrow().get("accord").cloned()
    }

    pub fn has_cookies(&self) -> bool {
        !self.cookies.borrow().is_empty()
    }
}

impl Answered {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The first value of a header, or nothing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|values| values.first()).map(String::as_str)
    }

    /// Where it leads, for a redirect.
    pub fn location(&self) -> &str {
        self.header("location").unwrap_or_default()
    }

    pub fn assert_says(&self, text: &str) -> &Answered {
        assert!(self.text().contains(text), "the page ({}) does not say {text:?}:\n{}", self.status, self.text());
        self
    }

    pub fn assert_silent_about(&self, text: &str) -> &Answered {
        assert!(!self.text().contains(text), "the page says {text:?}:\n{}", self.text());
        self
    }

    pub fn assert_status(&self, status: u16) -> &Answered {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        self
    }
}
