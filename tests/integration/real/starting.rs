//! Starting: on an empty folder, over HTTPS, and not at all where somebody has to set something right first.

use std::net::TcpListener;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, Instant};

use accord::clock::Clock;
use diesel::connection::SimpleConnection;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::process::{Installation, Kind, PATIENCE, Server, free_address};
use super::{desk, http};

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

#[test]
#[ignore = "needs processes of its own"]
fn real_u_10_on_an_empty_folder_the_printed_link_makes_the_first_administrator_once() {
    let installation = Installation::empty(Kind::Sqlite).with_settings("[mail]\noutgoing = \"files\"\n");
    let server = installation.serve();
    let origin = format!("http://{}", server.address);
    let said = installation.said();
    let link = said.lines().find_map(|line| line.strip_prefix(&origin).filter(|path| path.starts_with("/setup/")));
    let link = link.unwrap_or_else(|| panic!("no link is printed: {said}"));

    let page = http::get(server.address, link).unwrap();
    assert_eq!(page.status, 200);
    assert!(page.header("set-cookie").is_none(), "nobody is signed in yet");
    let form = format!(
        "csrf={}&operator_name=Lumenor&support_address=aide%40desk.example&first_name=Nora&last_name=Blin\
         &email=nora%40vendor.example&password=une-phrase-assez-longue&time_zone=Europe%2FParis",
        page.csrf()
    );
    let send =
        |path: &str| http::send(server.address, "POST", path, &[("Origin", &origin), FORM], form.as_bytes()).unwrap();
    let made = send(link);
    assert_eq!(made.status, 303, "{}", made.text);
    let session = made.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let inside = http::send(server.address, "GET", "/undertaking", &[("Cookie", &session)], b"").unwrap();
    assert_eq!(inside.status, 200, "she is signed in: {}", inside.head);

    // The link is dead, also to who kept the form open; and no other is printed.
    assert_eq!(http::get(server.address, link).unwrap().status, 404);
    assert_eq!(send(link).status, 404);
    server.stop();
    let printed = installation.said().matches("/setup/").count();
    let server = installation.serve();
    assert_eq!(installation.said().matches("/setup/").count(), printed);
    server.stop();
}

/// A certificate for this machine, and its key, as files.
struct Certificate {
    certificate: PathBuf,
    key: PathBuf,
    der: CertificateDer<'static>,
}

fn certificate(folder: &Path, name: &str) -> Certificate {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    std::fs::write(&certificate, cert.pem()).unwrap();
    std::fs::write(&key, signing_key.serialize_pem()).unwrap();
    Certificate { certificate, key, der: cert.der().clone() }
}

fn tls_settings(certificate: &Path, key: &Path) -> String {
    format!("[http]\ntls.certificate = {:?}\ntls.key = {:?}\n[mail]\noutgoing = \"files\"\n", certificate, key)
}

#[test]
#[ignore = "needs processes of its own"]
fn real_a4_https_is_served_with_the_certificate_of_the_settings_and_the_session_is_bound_to_it() {
    let installation = Installation::empty(Kind::Sqlite);
    let ours = certificate(installation.folder.path(), "ours");
    let installation = installation.with_settings(&tls_settings(&ours.certificate, &ours.key));
    desk::set_up(&mut installation.database(), Clock::system().now());
    let (command, address, metrics) = installation.serve_command(&[]);
    // Whether it is ready is asked where plain HTTP is spoken.
    let _server = Server::start(command, installation.log(), metrics, metrics);

    let mut roots = RootCertStore::empty();
    roots.add(ours.der).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let client = Arc::new(client.with_root_certificates(roots).with_no_client_auth());
    let ask = |method: &str, path: &str, headers: &[(&str, &str)], body: &str| {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connection = ClientConnection::new(client.clone(), name).unwrap();
        let mut stream = StreamOwned::new(connection, std::net::TcpStream::connect(address).unwrap());
        http::exchange(&mut stream, &address.to_string(), method, path, headers, body.as_bytes()).unwrap()
    };
    let page = ask("GET", "/fr/sign-in", &[], "");
    assert_eq!(page.status, 200);
    assert!(page.header("strict-transport-security").is_some(), "{}", page.head);
    let form = format!("csrf={}&address=nora%40vendor.example&password={}", page.csrf(), desk::PASSWORD);
    let origin = format!("https://{address}");
    let entered = ask("POST", "/fr/sign-in", &[("Origin", &origin), FORM], &form);
    assert_eq!(entered.status, 303, "{}", entered.text);
    let cookie = entered.header("set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-accord="), "{cookie}");
    for part in ["; Secure", "; HttpOnly", "; Path=/"] {
        assert!(cookie.contains(part), "{part}: {cookie}");
    }
    assert!(!cookie.contains("Domain="), "{cookie}");
    let session = cookie.split(';').next().unwrap();
    assert_eq!(ask("GET", "/account", &[("Cookie", session)], "").status, 200);
    assert!(http::get(address, "/fr/sign-in").is_err(), "plain HTTP is no way in");
}

/// Starts it and gives what came of it, once it has ended.
fn ended(installation: &Installation, arguments: &[&str]) -> (Option<i32>, String) {
    let mut all = vec!["serve"];
    all.extend_from_slice(arguments);
    let Output { status, stderr, .. } = installation.command(&all).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
#[ignore = "needs processes of its own"]
fn real_wrong_settings_are_named_with_a_remedy_and_status_78_before_the_database_is_touched() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let (ours, other) = (certificate(folder.path(), "ours"), certificate(folder.path(), "other"));
    std::fs::write(path("empty.pem"), "").unwrap();
    std::fs::write(path("nonsense.pem"), "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n").unwrap();
    std::fs::write(path("a-file"), "somebody's").unwrap();
    let exposed = path("exposed.json");
    std::fs::write(&exposed, "{}").unwrap();
    std::fs::set_permissions(&exposed, PermissionsExt::from_mode(0o644)).unwrap();
    let free = free_address().to_string();
    let lmtp = |address: &str| format!("[mail]\nlmtp = \"{address}\"\n");
    let cases: Vec<(&str, String, String, &[&str])> = vec![
        ("a taken address", taken.clone(), String::new(), &["http.listen", "choose another port"]),
        (
            "a strange address",
            "192.0.2.1:8080".into(),
            "[http]\ntrusted_proxies = [\"192.0.2.9\"]\n".into(),
            &["http.listen", "an address of this machine"],
        ),
        ("nonsense", "nowhere".into(), String::new(), &["--listen", "such as 127.0.0.1:8080"]),
        (
            "taken metrics",
            free.clone(),
            format!("[http]\nmetrics_listen = \"{taken}\"\n"),
            &["http.metrics_listen", "choose another port"],
        ),
        (
            "no certificate",
            free.clone(),
            tls_settings(&path("none.pem"), &ours.key),
            &["http.tls.certificate", "name a PEM file"],
        ),
        (
            "an empty certificate",
            free.clone(),
            tls_settings(&path("empty.pem"), &ours.key),
            &["http.tls.certificate", "holds no certificate"],
        ),
        (
            "a broken certificate",
            free.clone(),
            tls_settings(&path("nonsense.pem"), &ours.key),
            &["http.tls.certificate", "name a PEM file"],
        ),
        (
            "no key",
            free.clone(),
            tls_settings(&ours.certificate, &path("none.key")),
            &["http.tls.key", "name a PEM file"],
        ),
        (
            "another's key",
            free.clone(),
            tls_settings(&ours.certificate, &other.key),
            &["http.tls.key", "the key of this certificate"],
        ),
        (
            "half of TLS",
            free.clone(),
            format!("[http]\ntls.certificate = {:?}\n", ours.certificate),
            &["http.tls.certificate", "set http.tls.key as well"],
        ),
        ("taken LMTP", free.clone(), lmtp(&taken), &["mail.lmtp", "choose another address"]),
        ("a socket nowhere", free.clone(), lmtp("unix:/nowhere/lmtp"), &["mail.lmtp", "unix:/nowhere/lmtp"]),
        (
            "a file as socket",
            free.clone(),
            lmtp(&format!("unix:{}", path("a-file").display())),
            &["mail.lmtp", "choose another address"],
        ),
        ("exposed keys", free.clone(), format!("[security]\nkeys_file = {exposed:?}\n"), &["chmod 600"]),
        (
            "an exposed key to sign with",
            free.clone(),
            format!("[mail]\ndkim = [\"s1._domainkey.garonne.example = {}\"]\n", exposed.display()),
            &["mail.dkim", "chmod 600"],
        ),
        ("two faults", taken.clone(), lmtp(&taken), &["http.listen", "mail.lmtp"]),
    ];
    for (what, listen, settings, words) in cases {
        let installation = Installation::empty(Kind::Sqlite).with_settings(&settings);
        let (status, said) = ended(&installation, &["--listen", &listen]);
        assert_eq!(status, Some(78), "{what}: {said}");
        for word in words {
            assert!(said.contains(word), "{what}: {word:?} is not in: {said}");
        }
        assert!(!installation.data().join("accord.sqlite").exists(), "{what}: the database was made");
    }
    assert_eq!(std::fs::read(path("a-file")).unwrap(), b"somebody's");
}

/// A dead socket may be removed by who can reach it; this one cannot be reached, so whether it is dead is not known.
#[test]
#[ignore = "needs processes of its own"]
fn real_the_socket_of_another_user_is_left_to_them() {
    const NOBODY: u32 = 65_534;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("lmtp");
    drop(UnixListener::bind(&socket).unwrap());
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();

    let installation = Installation::empty(Kind::Sqlite)
        .with_settings(&format!("[mail]\noutgoing = \"files\"\nlmtp = \"unix:{}\"\n", socket.display()));
    let place = installation.folder.path();
    let program = place.join("accord");
    std::fs::copy(env!("CARGO_BIN_EXE_accord"), &program).unwrap();
    let mut command = installation.command_of(&program, &["serve", "--listen", &free_address().to_string()]);
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        // Whom nothing is forbidden becomes somebody else.
        std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(place, Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    } else {
        std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o000)).unwrap();
    }
    let log = installation.log();
    let mut child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
    let began = Instant::now();
    let mut status = None;
    while status.is_none() && began.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
        status = child.try_wait().unwrap();
    }
    drop(child.kill());
    drop(child.wait());
    let said = installation.said();
    assert_eq!(status.and_then(|status| status.code()), Some(78), "{said}");
    assert!(said.contains("mail.lmtp") && said.contains("Permission denied"), "{said}");
    let left = std::fs::symlink_metadata(&socket).expect("it is still there");
    assert!(left.file_type().is_socket());
}

#[test]
#[ignore = "needs processes of its own"]
fn real_db_11_a_database_newer_than_the_program_is_refused() {
    newer_is_refused(Kind::Sqlite);
}

#[test]
#[ignore = "needs PostgreSQL and processes of its own"]
fn real_db_11_a_database_newer_than_the_program_is_refused_on_postgresql() {
    newer_is_refused(Kind::Postgres);
}

fn newer_is_refused(kind: Kind) {
    let installation = Installation::empty(kind);
    let mut db = installation.database();
    desk::set_up(&mut db, Clock::system().now());
    db.batch_execute("INSERT INTO __diesel_schema_migrations (version) VALUES ('99990101000000')").unwrap();
    let (status, said) = ended(&installation, &["--listen", &free_address().to_string()]);
    assert_eq!(status, Some(78), "{said}");
    assert!(said.contains("newer than this program") && said.contains("99990101000000"), "{said}");
    let migrate = installation.command(&["migrate"]).output().unwrap();
    assert_eq!(migrate.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&migrate.stderr).contains("newer than this program"));
    // Nothing was changed: the program that it belongs to goes on with it.
    db.batch_execute("DELETE FROM __diesel_schema_migrations WHERE version = '99990101000000'").unwrap();
    drop(db);
    installation.serve().stop();
}
