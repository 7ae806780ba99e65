//! Mail fetched from Dovecot over TLS: told of at once, moved when it is ours, and taken once through a kill and through
//! numbers given anew.

use std::fs::File;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use accord::clock::Clock;
use accord::db::schema::{imap_folders, journal, tickets};
use diesel::prelude::*;
use rcgen::{CertifiedKey, generate_simple_self_signed};

use super::desk;
use super::process::{Installation, Kind, free_address, wait_until};

/// Debian's `nobody` and `nogroup`, whose mail it is.
const NOBODY: u32 = 65_534;
const PATIENCE: Duration = Duration::from_secs(30);

/// Mails that come while nobody looks; more from one sender would be a flood.
const BACKLOG: usize = 20;

/// A mail server whose only mailbox is a folder of files.
struct Dovecot {
    folder: PathBuf,
    port: u16,
    server: Option<Child>,
}

impl Dovecot {
    fn in_folder(folder: &Path) -> Dovecot {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        std::fs::write(folder.join("imap.pem"), cert.pem()).unwrap();
        std::fs::write(folder.join("imap.key.pem"), signing_key.serialize_pem()).unwrap();
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o755)).unwrap();
        // The second is «Traité», as servers name it.
        for name in ["", ".Trait&AOk-"] {
            for part in ["cur", "new", "tmp"] {
                std::fs::create_dir_all(folder.join("box").join(name).join(part)).unwrap();
            }
        }
        let box_folder = folder.join("box");
        give_away(&box_folder);
        let port = free_address().port();
        let mut dovecot = Dovecot { folder: folder.to_owned(), port, server: None };
        dovecot.start();
        dovecot
    }

    fn start(&mut self) {
        let folder = self.folder.display();
        let settings = format!(
            "protocols = imap\nlisten = 127.0.0.1\nbase_dir = {folder}/run\nstate_dir = {folder}/state\n\
             log_path = {folder}/dovecot.log\nssl = required\nssl_cert = <{folder}/imap.pem\nssl_key = <{folder}/imap.key.pem\n\
             mail_location = maildir:{folder}/box\nfirst_valid_uid = 1\nfirst_valid_gid = 1\n\
             passdb {{\n driver = static\n args = password=secret\n}}\n\
             userdb {{\n driver = static\n args = uid={NOBODY} gid={NOBODY} home={folder}/box\n}}\n\
             service imap-login {{\n chroot =\n inet_listener imap {{\n port = 0\n }}\n\
             inet_listener imaps {{\n port = {}\n ssl = yes\n }}\n}}\n\
             service anvil {{\n chroot =\n}}\n",
            self.port
        );
        let file = self.folder.join("dovecot.conf");
        std::fs::write(&file, settings).unwrap();
        let said = File::create(self.folder.join("dovecot.said")).unwrap();
        let server = Command::new("/usr/sbin/dovecot")
            .arg("-F")
            .arg("-c")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .expect("this test needs Dovecot");
        self.server = Some(server);
        let address = ("127.0.0.1", self.port);
        wait_until("Dovecot listens", PATIENCE, || std::net::TcpStream::connect(address).is_ok());
    }

    fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            // Its children go when it goes; killed, it would leave them.
            drop(Command::new("kill").arg("-TERM").arg(server.id().to_string()).status());
            drop(server.wait());
        }
    }

    /// A mail arrives, as a delivering program puts it there.
    fn deliver(&self, subject: &str) -> PathBuf {
        let text = format!(
            "From: Claire <claire@client.example>\nTo: {}\nSubject: {subject}\nMessage-ID: <{subject}@client.example>\n\
             Date: Mon, 23 Nov 2026 08:00:00 +0000\n\nL’export ne finit plus.\n",
            desk::MAILBOX
        );
        let (new, file) = (self.folder.join("box/tmp").join(subject), self.folder.join("box/new").join(subject));
        std::fs::write(&new, text).unwrap();
        chown(&new, Some(NOBODY), Some(NOBODY)).unwrap();
        std::fs::rename(&new, &file).unwrap();
        file
    }

    /// The mails that lie there.
    fn files(&self, name: &str) -> Vec<PathBuf> {
        let folder = self.folder.join("box").join(name);
        let parts = ["new", "cur"].map(|part| std::fs::read_dir(folder.join(part)).unwrap());
        parts.into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    }

    fn lying(&self, name: &str) -> usize {
        self.files(name).len()
    }

    /// Everything it knew of the numbers of mails is lost.
    fn forget_numbers(&mut self) {
        self.stop();
        for entry in std::fs::read_dir(self.folder.join("box")).unwrap().map(Result::unwrap) {
            if entry.file_name().to_string_lossy().starts_with("dovecot") {
                std::fs::remove_file(entry.path()).unwrap();
            }
        }
        self.start();
    }
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for file in ["dovecot.said", "dovecot.log"] {
                println!("{}", std::fs::read_to_string(self.folder.join(file)).unwrap_or_default());
            }
        }
        self.stop();
    }
}

fn give_away(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            give_away(&entry.unwrap().path());
        }
    }
}

#[test]
#[ignore = "needs Dovecot"]
fn real_s_06_ft_26_mail_is_fetched_from_dovecot_at_once_and_once_through_a_kill_and_new_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let mut dovecot = Dovecot::in_folder(folder.path());
    let before = dovecot.deliver("Avant");
    let yesterday = SystemTime::now() - Duration::from_secs(86_400);
    File::options().write(true).open(before).unwrap().set_modified(yesterday).unwrap();
    let installation = Installation::empty(Kind::Sqlite).with_settings(&format!(
        "[mail]\ncheck_senders = false\n[mail.imap.aide]\nhost = \"localhost\"\nport = {}\nca_file = {:?}\nuser = \"aide\"\n\
         password = \"secret\"\nmailbox = \"{}\"\nafter = \"move:Traité\"\npoll_secs = 3600\n",
        dovecot.port,
        folder.path().join("imap.pem"),
        desk::MAILBOX
    ));
    desk::set_up(&mut installation.database(), Clock::system().now());
    let mut db = installation.database();
    let mut subjects = || tickets::table.order(tickets::id).select(tickets::subject).load::<String>(&mut db).unwrap();

    let checked = installation.command(&["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(said.contains("ok    mail from aide: signed in; 1 of its folders"), "{said}");

    let server = installation.serve();
    let known = || imap_folders::table.count().get_result::<i64>(&mut installation.database()).unwrap() == 1;
    wait_until("it has looked in", PATIENCE, known);
    let asked = Instant::now();
    dovecot.deliver("Un");
    wait_until("what arrives becomes a ticket", PATIENCE, || subjects() == ["Un"]);
    println!("a mail became a ticket after {:?}", asked.elapsed());
    wait_until("it is moved", PATIENCE, || dovecot.lying(".Trait&AOk-") == 1);

    // Killed in the midst of what came meanwhile, and started again.
    server.kill();
    let backlog: Vec<String> = (0..BACKLOG).map(|number| format!("Suite {number}")).collect();
    for subject in &backlog {
        dovecot.deliver(subject);
    }
    let mut accepted = installation.database();
    let mut accepted = || journal::table.count().get_result::<i64>(&mut accepted).unwrap();
    let server = installation.serve();
    wait_until("some of it is taken", PATIENCE, || accepted() > 3);
    server.kill();
    println!("killed after {} of {BACKLOG}", accepted() - 1);
    let server = installation.serve();
    wait_until("all of it is taken", PATIENCE, || subjects().len() > BACKLOG);
    wait_until("it is moved, too", PATIENCE, || dovecot.lying(".Trait&AOk-") == BACKLOG + 1);

    server.kill();
    // One comes again under another number, as a person's mistake has it, among all numbers given anew.
    let again = dovecot.files(".Trait&AOk-").remove(0);
    let copy = folder.path().join("box/new/again");
    std::fs::copy(again, &copy).unwrap();
    give_away(&copy);
    dovecot.forget_numbers();
    dovecot.deliver("Dernier");
    let server = installation.serve();
    wait_until("what is ours is moved", PATIENCE, || dovecot.lying(".Trait&AOk-") == BACKLOG + 3);
    wait_until("the new one is taken", PATIENCE, || subjects().len() == BACKLOG + 2);
    let (mut found, mut wanted) = (subjects(), backlog);
    wanted.extend(["Un".to_owned(), "Dernier".to_owned()]);
    found.sort();
    wanted.sort();
    assert_eq!(found, wanted);
    assert_eq!(dovecot.lying(""), 1, "what was there before is as it was");
    let (status, took) = server.stop();
    assert!(status.success() && took < Duration::from_secs(10), "{status} after {took:?}");
}
