//! Postfix before and behind Accord: what customers write comes by LMTP, their answers through `pipe(8)`, and all that Accord
//! sends leaves by it as smart host. It tells which machine a mail comes from, and leaves signatures whole.

use std::io::Write;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use accord::clock::Clock;
use accord::db::schema::{journal, tickets};
use accord::db::types::{Json, TicketId};
use accord::journal::{Record, State};
use accord::mail::incoming;
use diesel::prelude::*;

use super::desk;
use super::mail::{CUSTOMER, PATIENCE, reply, said_when_there_are, serve_as_nobody};
use super::mail_wire::{Sink, deliver_by_smtp, deliver_by_smtp_as};
use super::process::{Installation, Kind, free_address, wait_until};
use crate::support::dkim;

/// Debian's `daemon`, to whom Postfix's queue belongs here. Nobody else may be of that number, and `nobody` runs the pipe.
const DAEMON: u32 = 1;

#[test]
#[ignore = "needs Postfix"]
fn real_postfix_brings_mail_by_lmtp_and_through_the_pipe_and_is_the_smart_host_of_the_answers() {
    let (postfix, lmtp) = (free_address(), free_address());
    let world = Sink::open(|| Duration::ZERO);
    let installation = Installation::empty(Kind::Sqlite).with_settings(&format!(
        "[mail]\nlmtp = \"{lmtp}\"\nreply_domain = \"reply.desk.example\"\ncheck_senders = false\n\
         [mail.smtp]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n",
        postfix.port()
    ));
    let mut db = installation.database();
    desk::set_up(&mut db, Clock::system().now());
    let (program, _server) = serve_as_nobody(&installation);
    let folder = installation.folder.path();
    let settings = Settings {
        routes: format!(
            "{{ desk.example = lmtp:inet:[127.0.0.1]:{} }}, {{ reply.desk.example = accord: }}",
            lmtp.port()
        ),
        rest: format!("smtp:[127.0.0.1]:{}", world.address.port()),
        pipe: format!(
            "accord unix - n n - - pipe flags=DRq user=nobody null_sender= argv={} mail --config {} --data {} \
             --recipient ${{original_recipient}} --sender ${{sender}}",
            program.display(),
            folder.join("accord.toml").display(),
            installation.data().display()
        ),
        listen: postfix.to_string(),
        more: String::new(),
    };
    let mail_server = Postfix::start(folder, &settings);
    let sent = |sender: &str, to: &str, mail: &str| deliver_by_smtp(postfix, sender, to, mail).unwrap();
    wait_until("Postfix listens", PATIENCE, || std::net::TcpStream::connect(postfix).is_ok());

    sent(
        CUSTOMER,
        desk::MAILBOX,
        &format!(
            "From: Claire <{CUSTOMER}>\nTo: {}\nSubject: Export en panne\nMessage-ID: <1@client.example>\n\n\
         L'export ne finit plus.\n.\n..\n",
            desk::MAILBOX
        ),
    );
    wait_until("the mail has become a ticket", PATIENCE, || {
        tickets::table.count().get_result::<i64>(&mut db).unwrap() == 1
    });
    let ticket: TicketId = tickets::table.select(tickets::id).first(&mut db).unwrap();
    wait_until("the customer is told so", PATIENCE, || world.taken().len() == 1);
    reply(&mut db, ticket, "Bonjour, quelle version avez-vous ?");
    wait_until("the answer has left", PATIENCE, || world.taken().len() == 2);
    let taken = world.taken();
    assert!(taken.iter().all(|mail| mail.recipient == CUSTOMER), "{taken:?}");
    let answer = incoming::parse(&taken[1].bytes);
    assert!(answer.text.contains("quelle version avez-vous"), "{}", answer.text);

    let back = answer.reply_to[0].identity.as_ref().unwrap().as_str();
    assert!(back.ends_with("@reply.desk.example"), "{back}");
    sent(
        CUSTOMER,
        back,
        &format!(
            "From: Claire <{CUSTOMER}>\nTo: {back}\nSubject: Re: {}\nMessage-ID: <2@client.example>\nIn-Reply-To: {}\n\n\
         La 7.1.\n",
            answer.subject,
            answer.message_id.as_deref().unwrap()
        ),
    );
    let said = said_when_there_are(&mut db, 3);
    assert!(said.iter().all(|(of, _, _)| *of == ticket), "all of it is one ticket: {said:#?}");
    assert_eq!(said[0].2.trim(), "L'export ne finit plus.\n.\n..", "dots come through as they were");
    assert_eq!((said[2].1.as_str(), said[2].2.trim()), (CUSTOMER, "La 7.1."));

    wait_until("Postfix has noted it all down", PATIENCE, || mail_server.sent_by("pipe") == 1);
    assert_eq!((mail_server.sent_by("lmtp"), mail_server.sent_by("smtp")), (1, 2), "{}", mail_server.log());
    let log = mail_server.log();
    assert!(!["status=deferred", "status=bounced", "fatal:", "panic:"].iter().any(|bad| log.contains(bad)), "{log}");
}

/// What the world publishes of the customer's domain, but for its keys.
const ZONE: &str = "client.example. IN TXT \"v=spf1 ip4:192.0.2.1 -all\"\n\
                    _dmarc.client.example. IN TXT \"v=DMARC1; p=reject\"\n";

#[test]
#[ignore = "needs Postfix and dkimpy"]
fn real_au_03_by_postfix_the_machine_of_a_sender_is_known_and_a_signature_of_dkimpy_holds() {
    let (postfix, lmtp) = (free_address(), free_address());
    let keys = tempfile::tempdir().unwrap();
    let theirs = Installation::empty(Kind::Sqlite)
        .with_settings(&format!("[mail]\n{}\n", dkim::settings(keys.path(), "client.example")));
    let published = theirs.command(&["dkim", "records"]).output().unwrap();
    let zone = keys.path().join("zone");
    std::fs::write(&zone, [ZONE.as_bytes(), &published.stdout].concat()).unwrap();
    let installation = Installation::empty(Kind::Sqlite).with_settings(&format!(
        "[mail]\nlmtp = \"{lmtp}\"\nlmtp_xforward = true\ncheck_senders = true\ndns_records = {zone:?}\noutgoing = \"files\"\n"
    ));
    let mut db = installation.database();
    desk::set_up(&mut db, Clock::system().now());
    let _server = installation.serve();
    let settings = Settings {
        routes: format!("{{ desk.example = lmtp:inet:[127.0.0.1]:{} }}", lmtp.port()),
        rest: "error:nobody else".to_owned(),
        pipe: String::new(),
        listen: postfix.to_string(),
        more: "relay_domains = desk.example\nlocal_header_rewrite_clients =\nlmtp_send_xforward_command = yes\nsmtpd_authorized_xclient_hosts = 127.0.0.0/8\n".to_owned(),
    };
    let _mail_server = Postfix::start(installation.folder.path(), &settings);
    wait_until("Postfix listens", PATIENCE, || std::net::TcpStream::connect(postfix).is_ok());

    let mail = |subject: &str| {
        format!(
            "From: Claire <{CUSTOMER}>\r\nTo: {}\r\nSubject: {subject}\r\nDate: {}\r\n\
             Message-ID: <{subject}@client.example>\r\n\r\nL'export ne finit plus, {subject}.\r\n",
            desk::MAILBOX,
            Clock::system().now().to_datetime().to_rfc2822()
        )
    };
    let signed_by = |selector: &str, mail: String| sign(&keys.path().join(format!("{selector}.pem")), selector, &mail);
    let changed = signed_by("rsa", mail("changed")).replace("ne finit plus", "finit");
    for (client, mail, found, state) in [
        // The machine that the domain names, another, a machine of our own network, of which nobody says anything.
        ("192.0.2.1", mail("named"), ("pass", "pass", "pass", "none"), State::Applied),
        ("198.51.100.7", mail("another"), ("fail", "fail", "fail", "none"), State::Held),
        ("10.0.0.7", mail("near"), ("none", "", "", ""), State::Applied),
        // And what its own mail server signed, wherever it came by.
        ("198.51.100.7", signed_by("rsa", mail("rsa")), ("pass", "fail", "pass", "pass"), State::Applied),
        ("198.51.100.7", changed, ("fail", "fail", "fail", "fail"), State::Held),
    ] {
        let before: i64 = journal::table.count().get_result(&mut db).unwrap();
        deliver_by_smtp_as(postfix, client, CUSTOMER, desk::MAILBOX, &mail).unwrap();
        let mut rows: Vec<(State, Json<Record>)> = Vec::new();
        wait_until("the mail has been read", PATIENCE, || {
            rows = journal::table.order(journal::id).select((journal::state, journal::record)).load(&mut db).unwrap();
            rows.len() as i64 > before && !matches!(rows.last().unwrap().0, State::Accepted | State::Parsed)
        });
        let (became, Json(record)) = rows.pop().unwrap();
        let checked = &record.checked;
        let told =
            (record.authentication.as_str(), checked.spf.as_str(), checked.dmarc.as_str(), checked.dkim.as_str());
        assert_eq!((told, became), (found, state), "from {client}: {mail}");
    }
}

/// The mail as the customer's mail server signs it.
fn sign(key: &Path, selector: &str, mail: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/real/sign.py");
    // Debian's, which has dkimpy beside it.
    let mut python = Command::new("/usr/bin/python3")
        .arg(script)
        .args(["client.example", selector])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    python.stdin.take().unwrap().write_all(mail.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What one test has Postfix do.
struct Settings {
    listen: String,
    /// Where mail for us goes.
    routes: String,
    /// Where all other mail goes.
    rest: String,
    /// The line for the pipe, as an administrator writes it in `master.cf`.
    pipe: String,
    /// What else an administrator writes in `main.cf`.
    more: String,
}

/// A Postfix of its own; it ends with this.
struct Postfix {
    folder: PathBuf,
    master: Child,
}

impl Postfix {
    fn start(folder: &Path, settings: &Settings) -> Postfix {
        // An unpacked package, which finds its libraries only when told where; or an installed one.
        let root = std::env::var_os("ACCORD_TEST_POSTFIX").map_or_else(|| PathBuf::from("/"), PathBuf::from);
        let (daemons, libraries) = (root.join("usr/lib/postfix/sbin"), root.join("usr/lib/postfix"));
        let folder = folder.join("postfix");
        let (etc, queue, data) = (folder.join("etc"), folder.join("queue"), folder.join("data"));
        for path in [&etc, &data, &queue, &queue.join("pid")] {
            std::fs::create_dir_all(path).unwrap();
        }
        chown(&data, Some(DAEMON), None).unwrap();
        for name in
            "incoming active deferred bounce defer corrupt hold flush saved trace maildrop private public".split(' ')
        {
            std::fs::create_dir(queue.join(name)).unwrap();
            chown(queue.join(name), Some(DAEMON), None).unwrap();
        }
        let main = format!(
            "compatibility_level = 3.6\ndaemon_directory = {}\ncommand_directory = {}\nqueue_directory = {}\n\
             data_directory = {}\nmeta_directory = {}\nshlib_directory = no\nmail_owner = daemon\nsetgid_group = mail\n\
             default_privs = nobody\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmyhostname = mx.desk.example\n\
             mydestination =\nalias_maps =\nalias_database =\nmynetworks = 127.0.0.0/8\nmaillog_file = {}\n\
             maillog_file_prefixes = {}\nimport_environment = LD_LIBRARY_PATH MAIL_CONFIG PATH TZ\n\
             accord_destination_recipient_limit = 1\ndisable_dns_lookups = yes\n\
             transport_maps = inline:{{ {} }}\ndefault_transport = {}\n{}",
            daemons.display(),
            root.join("usr/sbin").display(),
            queue.display(),
            data.display(),
            etc.display(),
            folder.join("log").display(),
            folder.display(),
            settings.routes,
            settings.rest,
            settings.more
        );
        std::fs::write(etc.join("main.cf"), main).unwrap();
        let services = format!(
            "{} inet n - n - - smtpd\n{}\ncleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n\
             rewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\n\
             trace unix - - n - 0 bounce\nsmtp unix - - n - - smtp\nlmtp unix - - n - - lmtp\nerror unix - - n - - error\n\
             retry unix - - n - - error\nproxymap unix - - n - - proxymap\nanvil unix - - n - 1 anvil\n\
             scache unix - - n - 1 scache\npostlog unix-dgram n - n - 1 postlogd\n",
            settings.listen, settings.pipe
        );
        std::fs::write(etc.join("master.cf"), services).unwrap();
        let said = std::fs::File::create(folder.join("said")).unwrap();
        let master = Command::new(daemons.join("master"))
            .arg("-d")
            .arg("-c")
            .arg(&etc)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("MAIL_CONFIG", &etc)
            .env("LD_LIBRARY_PATH", libraries)
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .spawn()
            .expect("this test needs Postfix: set ACCORD_TEST_POSTFIX to where its package is unpacked");
        Postfix { folder, master }
    }

    fn log(&self) -> String {
        ["said", "log"].map(|name| std::fs::read_to_string(self.folder.join(name)).unwrap_or_default()).concat()
    }

    /// How many mails one of its agents got rid of.
    fn sent_by(&self, agent: &str) -> usize {
        let agent = format!("postfix/{agent}[");
        self.log().lines().filter(|line| line.contains(&agent) && line.contains("status=sent")).count()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{}", self.log());
        }
        // Its children go when it goes; killed, it would leave them.
        drop(Command::new("kill").arg("-TERM").arg(self.master.id().to_string()).output());
        drop(self.master.wait());
    }
}
