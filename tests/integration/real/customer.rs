//! A customer at a browser of a running program: signed in, with the token that forms carry.

use std::net::SocketAddr;

use accord::clock::UtcTime;
use accord::config::Overrides;
use accord::db::DbConnection;
use accord::db::types::PersonId;
use accord::error::Result;
use accord::keys::Keys;
use accord::people::api_tokens::{self, Scope};
use accord::people::sessions::{self, Limits, Place};
use accord::web::csrf;

use super::http::{self, Answer};
use crate::support::given::secret_of_a_day;

/// Somebody's session, which any process of the installation knows.
#[derive(Clone)]
pub struct Customer {
    session: String,
    csrf: String,
}

impl Customer {
    /// Signs `person` in.
    pub fn sign_in(db: &mut DbConnection, keys: &Keys, person: PersonId, now: UtcTime) -> Result<Customer> {
        let config = accord::config::parse("", Default::default(), &Overrides::default()).expect("settings");
        let place = Place { ip_address: "127.0.0.1".to_owned(), user_agent: String::new() };
        let token = sessions::begin(db, person, false, &place, &Limits::from(&config.security), now)?;
        let session = token.expose().to_owned();
        Ok(Customer { csrf: csrf::session_token(keys, &session), session })
    }

    pub fn get(&self, server: SocketAddr, path: &str) -> std::io::Result<Answer> {
        http::send(server, "GET", path, &[("Cookie", &self.cookie())], b"")
    }

    /// Sends a form of a page of ours.
    pub fn post(&self, server: SocketAddr, path: &str, fields: &[(&str, &str)]) -> std::io::Result<Answer> {
        let origin = format!("http://{server}");
        let form = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .append_pair("csrf", &self.csrf)
            .finish();
        let (cookie, form_type) = (self.cookie(), "application/x-www-form-urlencoded");
        let headers = [("Cookie", cookie.as_str()), ("Origin", &origin), ("Content-Type", form_type)];
        http::send(server, "POST", path, &headers, form.as_bytes())
    }

    /// Sends a form that can carry files.
    pub fn upload(&self, server: SocketAddr, path: &str, fields: &[(&str, &str)]) -> std::io::Result<Answer> {
        const BOUNDARY: &str = "----accord-test-boundary";
        let mut body = String::new();
        for (name, value) in fields.iter().copied().chain([("csrf", self.csrf.as_str())]) {
            body.push_str(&format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            ));
        }
        body.push_str(&format!("--{BOUNDARY}--\r\n"));
        let origin = format!("http://{server}");
        let (cookie, form_type) = (self.cookie(), format!("multipart/form-data; boundary={BOUNDARY}"));
        let headers = [("Cookie", cookie.as_str()), ("Origin", &origin), ("Content-Type", &form_type)];
        http::send(server, "POST", path, &headers, body.as_bytes())
    }

    fn cookie(&self) -> String {
        format!("accord={}", self.session)
    }
}

/// A program that acts for somebody.
#[derive(Clone)]
pub struct Program {
    authorization: String,
}

impl Program {
    /// Makes a secret of `person`'s and has `server` exchange it.
    pub fn of(db: &mut DbConnection, server: SocketAddr, person: PersonId, now: UtcTime) -> Result<Program> {
        let (_, secret) =
            api_tokens::create(db, person, &secret_of_a_day(&[Scope::TicketsRead, Scope::TracingRead]), now)?;
        let body = format!("{{\"secret\": \"{}\"}}", secret.expose());
        let json = ("Content-Type", "application/json");
        let answer = http::send(server, "POST", "/api/v1/token", &[json], body.as_bytes()).expect("an answer");
        let answer: serde_json::Value = serde_json::from_str(&answer.text).expect("a token");
        Ok(Program { authorization: format!("Bearer {}", answer["token"].as_str().expect("a token")) })
    }

    pub fn get(&self, server: SocketAddr, path: &str) -> std::io::Result<Answer> {
        http::send(server, "GET", path, &[("Authorization", &self.authorization)], b"")
    }

    /// Waits until there is something else than this program has, which is anything.
    pub fn wait_for_other(&self, server: SocketAddr, path: &str) -> std::io::Result<Answer> {
        http::send(server, "GET", path, &[("Authorization", &self.authorization), ("If-None-Match", "*")], b"")
    }
}
