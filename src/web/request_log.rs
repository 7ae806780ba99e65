//! The access log in the combined format (B7): a file a day in a folder of its own, paths with tokens hidden, removed
//! after the days the settings say (4 to 10). It never goes into a backup.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use actix_web::HttpRequest;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::ServiceResponse;
use actix_web::http::header;
use chrono::NaiveDate;

use crate::app::App;
use crate::clock::UtcTime;
use crate::web::request;

/// Where lines go; the file changes with the day.
pub struct RequestLog {
    folder: PathBuf,
    open: Mutex<Option<(NaiveDate, File)>>,
}

impl RequestLog {
    /// Logs into `folder`, which is made if it is missing.
    pub fn open(folder: &Path) -> std::io::Result<RequestLog> {
        std::fs::create_dir_all(folder)?;
        Ok(RequestLog { folder: folder.to_owned(), open: Mutex::new(None) })
    }

    /// Writes the line of one request.
    pub fn write(&self, request: &HttpRequest, response: &ServiceResponse<BoxBody>, app: &App) {
        let now = app.clock.now();
        let ip = request::client_ip(request, &app.config.http.trusted_proxies);
        let bytes = match response.response().body().size() {
            BodySize::Sized(bytes) => bytes.to_string(),
            BodySize::None | BodySize::Stream => "-".to_owned(),
        };
        let line = format!(
            "{} - - [{}] \"{} {} {:?}\" {} {bytes} \"{}\" \"{}\"\n",
            ip.map_or("-".to_owned(), |ip| ip.to_string()),
            now.to_datetime().format("%d/%b/%Y:%H:%M:%S +0000"),
            request.method(),
            shown_path(request.path(), request.query_string()),
            request.version(),
            response.status().as_u16(),
            quoted(&shown_referer(&request::header_text(request, header::REFERER))),
            quoted(&request::header_text(request, header::USER_AGENT)),
        );
        if let Err(error) = self.append(now, &line) {
            tracing::warn!(target: "accord::web", %error, "The access log cannot be written");
        }
    }

    fn append(&self, now: UtcTime, line: &str) -> std::io::Result<()> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let today = now.date();
        if open.as_ref().is_none_or(|(day, _)| *day != today) {
            let path = self.folder.join(format!("access-{today}.log"));
            *open = Some((today, OpenOptions::new().create(true).append(true).open(path)?));
        }
        match open.as_mut() {
            Some((_, file)) => file.write_all(line.as_bytes()),
            None => Ok(()),
        }
    }
}

/// Removes logs of days that lie `days` or more before today. Gives how many.
pub fn remove_old(folder: &Path, days: u32, now: UtcTime) -> std::io::Result<usize> {
    let mut removed = 0;
    if !folder.exists() {
        return Ok(0);
    }
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let day: Option<NaiveDate> =
            name.to_str().and_then(|name| name.strip_prefix("access-")?.strip_suffix(".log")?.parse().ok());
        let Some(day) = day else { continue };
        let age: chrono::TimeDelta = now.date() - day;
        if age.num_days() >= i64::from(days) {
            std::fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// The path with its query; what follows `/l/` and `/sampling/` is somebody's key, and a query may hold what somebody typed.
fn shown_path(path: &str, query: &str) -> String {
    let first = path.strip_prefix('/').and_then(|path| path.split('/').next()).unwrap_or_default();
    let path = match first {
        "l" => "/l/-".to_owned(),
        "setup" => "/setup/-".to_owned(),
        "sampling" => "/sampling/-".to_owned(),
        // Routing reads `/%6c/` as `/l/`, and no path of ours begins with a percent sign.
        first if first.contains('%') => "/-".to_owned(),
        _ => quoted(path),
    };
    if query.is_empty() { path } else { format!("{path}?-") }
}

fn shown_referer(referer: &str) -> String {
    match url::Url::parse(referer) {
        Ok(url) => format!("{}{}", url.origin().ascii_serialization(), shown_path(url.path(), "")),
        Err(_) => "-".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    let text: String = text.chars().filter(|character| !character.is_control()).collect();
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u_03b_keys_in_paths_are_hidden() {
        assert_eq!(shown_path("/l/abcdef", ""), "/l/-");
        assert_eq!(shown_path("/l/abcdef/messages", "x=1"), "/l/-?-");
        assert_eq!(shown_path("/setup/abcdef", ""), "/setup/-");
        assert_eq!(shown_path("/sampling/smp_abcdef", "service=a"), "/sampling/-?-");
        assert_eq!(shown_path("/%73ampling/smp_abcdef", ""), "/-");
        assert_eq!(shown_path("/%6c/ticket/abcdef", ""), "/-");
        assert_eq!(shown_path("/%73etup/abcdef", "x=1"), "/-?-");
        assert_eq!(shown_path("/", ""), "/");
        assert_eq!(shown_path("/tickets", "q=secret"), "/tickets?-");
        assert_eq!(shown_referer("https://desk.example/%6C/ticket/abc"), "https://desk.example/-");
        assert_eq!(shown_referer("https://desk.example/l/abc?x=y"), "https://desk.example/l/-");
        assert_eq!(quoted("a\"b\u{1b}[2J\n"), "a\\\"b[2J");
    }

    #[test]
    fn b_07_access_logs_are_removed_after_ten_days() {
        let folder = tempfile::tempdir().unwrap();
        for day in ["2026-11-13", "2026-11-14", "2026-11-23"] {
            std::fs::write(folder.path().join(format!("access-{day}.log")), "x").unwrap();
        }
        std::fs::write(folder.path().join("notes.txt"), "x").unwrap();
        let now = UtcTime::parse_rfc3339("2026-11-23T12:00:00Z").unwrap();
        assert_eq!(remove_old(folder.path(), 10, now).unwrap(), 1);
        assert!(!folder.path().join("access-2026-11-13.log").exists());
    }
}
