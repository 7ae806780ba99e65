//! Requests that are too large, over a real connection (FT-15): refused quickly, and hardly read.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::process::{Installation, Kind};

/// The largest form without files.
const FORM_BYTES: usize = 512 * 1024;

/// What may be under way beside what was read: the buffers of a connection's two ends, as large as this system lets them
/// grow. A gigabyte is offered, which is far more.
fn under_way() -> usize {
    let largest = |name: &str| -> usize {
        let sizes = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap();
        sizes.split_whitespace().last().and_then(|size| size.parse().ok()).unwrap()
    };
    largest("tcp_rmem") + largest("tcp_wmem")
}

#[test]
#[ignore = "needs processes of its own"]
fn real_ft_15_what_is_too_large_is_refused_at_once_and_hardly_read() {
    let installation = Installation::empty(Kind::Sqlite);
    let server = installation.serve();
    let address = server.address;
    let host = format!("Host: {address}\r\nOrigin: http://{address}\r\n");
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let post = format!("POST /fr/sign-in HTTP/1.1\r\n{host}{form}");

    let announced = format!("{post}Content-Length: 10000000000\r\n\r\n");
    let (status, sent) = flood(address, &announced, &[b'x'; 16 * 1024]);
    assert_eq!(status, 413);
    assert!(sent < FORM_BYTES + under_way(), "{sent} bytes were taken");

    let chunk = format!("4000\r\n{}\r\n", "x".repeat(0x4000));
    let endless = format!("{post}Transfer-Encoding: chunked\r\n\r\n");
    let (status, sent) = flood(address, &endless, chunk.as_bytes());
    assert_eq!(status, 413);
    assert!(sent < FORM_BYTES + under_way(), "{sent} bytes were taken");

    let field = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n".repeat(100);
    let parts = format!(
        "POST /fr/requests HTTP/1.1\r\n{host}Content-Type: multipart/form-data; boundary=b\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    let (status, _) = flood(address, &parts, format!("{:x}\r\n{field}\r\n", field.len()).as_bytes());
    assert_eq!(status, 413, "ten thousand fields");

    let many: String = (0..200).map(|number| format!("X-{number}: a\r\n")).collect();
    let (status, _) = flood(address, &format!("GET /fr/sign-in HTTP/1.1\r\n{host}{many}\r\n"), b"");
    assert!(matches!(status, 400 | 431), "two hundred headers: {status}");
    let long = "x".repeat(200 * 1024);
    let (status, _) = flood(address, &format!("GET /fr/sign-in HTTP/1.1\r\n{host}X: {long}\r\n\r\n"), b"");
    assert!(matches!(status, 400 | 413 | 431), "a header of 200 KiB: {status}");
    let packed = format!("{post}Content-Encoding: gzip\r\nContent-Length: 10000000\r\n\r\n");
    let (status, _) = flood(address, &packed, b"");
    assert_eq!(status, 415);
    let (status, _) = flood(address, "GET / HTTP/9.9\r\n\r\n", b"");
    assert_eq!(status, 400, "no request at all");
    assert!(!installation.said().contains("ERROR"), "what strangers send is no error of ours: {}", installation.said());
}

/// Sends `head`, and then `more` again and again until there is an answer; gives its status and how much was sent.
fn flood(address: SocketAddr, head: &str, more: &[u8]) -> (u16, usize) {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut writing = stream.try_clone().unwrap();
    let (head, more) = (head.to_owned(), more.to_vec());
    let writer = std::thread::spawn(move || {
        let mut sent = 0;
        if writing.write_all(head.as_bytes()).is_err() || more.is_empty() {
            return sent;
        }
        while sent < 1 << 30 && writing.write_all(&more).is_ok() {
            sent += more.len();
        }
        sent
    });
    let mut answer = Vec::new();
    let mut reading = stream;
    while answer.len() < 12 {
        let mut bytes = [0; 512];
        match reading.read(&mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(count) => answer.extend_from_slice(&bytes[..count]),
        }
    }
    drop(reading.shutdown(std::net::Shutdown::Both));
    let status = String::from_utf8_lossy(&answer).get(9..12).and_then(|status| status.parse().ok());
    (status.unwrap_or_default(), writer.join().unwrap())
}
