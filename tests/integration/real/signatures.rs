//! Signatures of mail that goes out, checked by a program that others wrote.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use accord::tickets::status::Status;

use super::process::{Installation, Kind};
use crate::support::desk::{Desk, Letter};
use crate::support::dkim::settings;

/// What people write, the odd among it.
const PIECES: [&str; 10] = ["mot ", "é", "🦀", "  ", "\t", "\n", "\n.\n", "\nFrom ", "=3D", "日本語"];

#[test]
#[ignore = "needs dkimpy"]
fn real_out_07_dkimpy_finds_every_signature_good_whatever_the_mail_says() {
    let folder = tempfile::tempdir().unwrap();
    let desk = Desk::with_settings(&format!("[mail]\n{}", settings(folder.path(), "garonne.example")));
    desk.receive(&Letter::from("claire@acme.example").subject(&"Écran noir, très noir ".repeat(9)));
    let ticket = desk.ticket();
    for length in 0..60_usize {
        // Any sequence will do that is not short.
        let text: String = (0..length * length / 2).map(|n| PIECES[(n * 7 + n / 3 + length) % PIECES.len()]).collect();
        desk.answer(&ticket, &format!("Bonjour {text}"), Status::WaitingForCustomer);
    }
    desk.answer(&ticket, &"x".repeat(20_000), Status::WaitingForCustomer);
    let sent = desk.sent();
    assert!(sent.len() > 60);
    let mails = folder.path().join("mails");
    std::fs::create_dir(&mails).unwrap();
    for (number, mail) in sent.iter().enumerate() {
        std::fs::write(mails.join(format!("{number:04}")), &mail.bytes).unwrap();
        let changed = mail.raw.replacen("To: ", "To: x", 1);
        std::fs::write(mails.join(format!("{number:04}-changed")), changed).unwrap();
    }
    let records: Vec<String> = desk.test.app.config.mail.dkim.iter().map(|selector| selector.zone_line()).collect();
    let said = verify(&mails, &records.join("\n"));
    let wanted: Vec<String> =
        (0..sent.len()).flat_map(|n| [format!("{n:04} True True"), format!("{n:04}-changed False False")]).collect();
    assert_eq!(said, wanted);
}

#[test]
#[ignore = "needs dkimpy and OpenSSL"]
fn real_out_07_keys_that_the_command_makes_sign_as_it_says() {
    let installation = Installation::empty(Kind::Sqlite);
    let keys = tempfile::tempdir().unwrap();
    let folder = keys.path().to_str().unwrap();
    let made = || {
        installation
            .command(&["dkim", "make", "Garonne.example", "--folder", folder, "--selector", "s1"])
            .output()
            .unwrap()
    };
    let output = made();
    let (records, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{told}");
    let settings = told.split_once("[mail]").map(|(_, settings)| format!("[mail]{settings}")).unwrap();
    let desk = Desk::with_settings(&settings);
    desk.receive(&Letter::from("claire@acme.example"));
    let mails = keys.path().join("mails");
    std::fs::create_dir(&mails).unwrap();
    std::fs::write(mails.join("1"), &desk.sent()[0].bytes).unwrap();
    assert_eq!(verify(&mails, &records), ["1 True True"]);
    // The same by the settings, and no key is ever written over.
    let configured = installation.with_settings(&settings);
    let listed = configured.command(&["dkim", "records"]).output().unwrap();
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), records);
    let again =
        configured.command(&["dkim", "make", "garonne.example", "--folder", folder, "--selector", "s1"]).output();
    assert_eq!(again.unwrap().status.code(), Some(1));
}

fn verify(mails: &Path, records: &str) -> Vec<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/real/verify.py");
    // Debian's, which has dkimpy beside it.
    let mut python = Command::new("/usr/bin/python3")
        .arg(script)
        .arg(mails)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(records.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}
