//! What a request says of itself, believed only as far as it may be: the client's address behind a trusted proxy
//! (G-03), the language, header texts.

use std::net::{IpAddr, SocketAddr};

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderName};

use crate::i18n::Locale;

/// The language of the answer: the path's, else the person's, else the browser's.
pub fn locale(request: &HttpRequest, of_person: Option<Locale>) -> Locale {
    let first = request.path().split('/').nth(1).unwrap_or_default();
    let of_path = Locale::ALL.into_iter().find(|locale| locale.code() == first);
    of_path
        .or(of_person)
        .unwrap_or_else(|| Locale::from_accept_language(&header_text(request, header::ACCEPT_LANGUAGE)))
}

/// A header as text, at most 1 000 characters of it, without control characters.
pub fn header_text(request: &HttpRequest, name: HeaderName) -> String {
    let value = request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.chars().filter(|character| !character.is_control()).take(1_000).collect()
}

/// The address of the client. A forwarding header counts only when the peer is a proxy of ours, and then its last hop
/// that is not one. A hop that cannot be read ends the search: what stands before it was written by who knows whom.
pub fn client_ip(request: &HttpRequest, trusted_proxies: &[IpAddr]) -> Option<IpAddr> {
    let is_ours = |ip: IpAddr| trusted_proxies.iter().any(|proxy| proxy.to_canonical() == ip);
    let peer = request.peer_addr()?.ip().to_canonical();
    if !is_ours(peer) {
        return Some(peer);
    }
    let mut nearest = peer;
    let lines: Vec<_> = request.headers().get_all("x-forwarded-for").map(|line| line.to_str().unwrap_or("?")).collect();
    for hop in lines.iter().flat_map(|line| line.split(',')).rev() {
        match hop_address(hop.trim()) {
            Some(ip) if is_ours(ip) => nearest = ip,
            Some(ip) => return Some(ip),
            None => break,
        }
    }
    Some(nearest)
}

/// The address of a hop; some proxies write the port behind it.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let bare = hop.parse().ok().or_else(|| hop.parse().ok().map(|socket: SocketAddr| socket.ip()));
    bare.map(|ip: IpAddr| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    fn ip(peer: &str, forwarded: &str, trusted: &[&str]) -> String {
        let request = TestRequest::get()
            .peer_addr(format!("{peer}:1").parse().unwrap())
            .insert_header(("x-forwarded-for", forwarded))
            .insert_header(("x-real-ip", "6.6.6.6"))
            .to_http_request();
        let trusted: Vec<IpAddr> = trusted.iter().map(|text| text.parse().unwrap()).collect();
        client_ip(&request, &trusted).unwrap().to_string()
    }

    #[test]
    fn g_03_adv_12_adv_33_forwarding_headers_count_only_from_a_proxy_of_ours() {
        assert_eq!(ip("192.0.2.1", "203.0.113.9", &[]), "192.0.2.1");
        assert_eq!(ip("10.0.0.1", "203.0.113.9", &["10.0.0.1"]), "203.0.113.9");
        assert_eq!(ip("10.0.0.1", "1.1.1.1, 203.0.113.9, 10.0.0.1", &["10.0.0.1"]), "203.0.113.9");
        assert_eq!(ip("10.0.0.1", "garbage", &["10.0.0.1"]), "10.0.0.1");
        assert_eq!(ip("[::ffff:10.0.0.1]", "203.0.113.9", &["10.0.0.1"]), "203.0.113.9");
        assert_eq!(ip("10.0.0.1", "6.6.6.6, 203.0.113.9:4711", &["10.0.0.1"]), "203.0.113.9");
        assert_eq!(ip("10.0.0.1", "6.6.6.6, [2001:db8::9]:4711", &["10.0.0.1"]), "2001:db8::9");
    }

    #[test]
    fn g_03_adv_33_what_stands_before_an_unreadable_hop_is_not_believed() {
        for unreadable in ["unknown", "_hidden", "for=203.0.113.9", "203.0.113.999", "", "\"203.0.113.9\""] {
            assert_eq!(ip("10.0.0.1", &format!("6.6.6.6, {unreadable}"), &["10.0.0.1"]), "10.0.0.1", "{unreadable}");
        }
        let proxies = ["10.0.0.1", "10.0.0.2"];
        assert_eq!(ip("10.0.0.1", "6.6.6.6, unknown, 10.0.0.2", &proxies), "10.0.0.2");
    }
}
