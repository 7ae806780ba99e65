//! `accord check`: looks at everything an administrator would want to know is in order, and says what is not.

use std::process::ExitCode;

use crate::cli::{Common, load_config};
use crate::config::imap::ImapAccount;
use crate::config::mail::Outgoing;
use crate::config::relays::MailRelay;
use crate::config::{Config, Overrides};
use crate::consent::{register, signing};
use crate::db::connection::{Role, open};
use crate::db::migrations;
use crate::diagnostics::{reading_record, trace_store};
use crate::keys::Keys;
use crate::mail::address::EmailAddress;
use crate::mail::dkim;
use crate::mail::sender_check::SenderCheck;
use crate::mail::transport::Transport;
use crate::people::staff;
use crate::teams::mailboxes;
use crate::web::server;
use crate::worker::imap::client;
use crate::{audit, clock};

pub const EXAMPLES: &str = "\
After each change of the settings, and every night beside the backup:

  accord check --config /etc/accord/accord.toml

It changes nothing and may run while the desk is served. It ends with 0 when all is well, 1 when something needs attention
and 78 when the settings do.";

/// Runs the command: 0 when all is well, 1 when something needs attention, 78 when the settings do.
pub fn run(common: &Common) -> ExitCode {
    let config = match load_config(common, Overrides::default()) {
        Ok(config) => config,
        Err(code) => return code,
    };
    show(&config);
    let mut checks: Vec<(&str, Result<String, String>)> = vec![
        ("database", check_database(&config)),
        ("ledger", check_ledger(&config)),
        ("consents", check_consents(&config)),
        ("captures", check_captures(&config)),
        ("keys", check_keys(&config)),
        ("outgoing mail", check_mail(&config)),
        ("reply domain", check_reply_domain(&config)),
    ];
    let relays: Vec<String> = config.mail.relays.iter().map(|relay| format!("relay {}", relay.name)).collect();
    for (relay, what) in config.mail.relays.iter().zip(&relays) {
        checks.push((what.as_str(), check_relay(&config, relay)));
    }
    let accounts: Vec<String> = config.mail.imap.iter().map(|account| format!("mail from {}", account.name)).collect();
    for (account, what) in config.mail.imap.iter().zip(&accounts) {
        checks.push((what.as_str(), check_account(&config, account)));
    }
    checks.push(("senders", SenderCheck::asks(&config.mail.sender_checks)));
    if !config.mail.dkim.is_empty() {
        checks.push(("signatures", check_signatures(&config)));
    }
    if let Some(tls) = &config.http.tls {
        let usable = server::tls_config(tls).map(|_| "the certificate and its key can be used".to_owned());
        checks.push(("HTTPS", usable.map_err(|problem| problem.to_string())));
    }
    let mut sound = true;
    for (what, outcome) in checks {
        match outcome {
            Ok(text) => println!("ok    {what}: {text}"),
            Err(text) => {
                sound = false;
                println!("FAIL  {what}: {text}");
            }
        }
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The settings in force, secrets left out.
fn show(config: &Config) {
    println!("data            {}", config.data.display());
    println!("database        {}", if config.database.url.is_sqlite() { "SQLite, embedded" } else { "PostgreSQL" });
    println!("listening on    {}", config.http.listen);
    println!("reached at      {}", config.http.base_url);
    println!("reply domain    {}", config.mail.reply_domain);
    match &config.mail.outgoing {
        Outgoing::Files(folder) => println!("outgoing mail   files in {}", folder.display()),
        Outgoing::Smtp(smtp) => println!("outgoing mail   {}:{} ({:?})", smtp.host, smtp.port, smtp.tls),
    }
    for MailRelay { name, smtp, mailboxes } in config.mail.relays.iter() {
        println!("relay {name:9} {}:{} ({:?}) for {}", smtp.host, smtp.port, smtp.tls, mailboxes.join(", "));
    }
    for selector in config.mail.dkim.iter() {
        println!("signed by       {} ({:?})", selector.record_name(), selector.algorithm());
    }
    match &config.mail.lmtp {
        Some(listen) => println!("LMTP            {listen}"),
        None => println!("LMTP            off"),
    }
    for account in config.mail.imap.iter() {
        let ImapAccount { name, host, port, tls, mailbox, folders, after, .. } = account;
        println!("IMAP {name:10} {host}:{port} ({tls:?}), {} for {mailbox}, then {after}", folders.join(", "));
    }
    println!();
}

fn check_database(config: &Config) -> Result<String, String> {
    let mut db = open(&config.database.url, Role::Reader).map_err(|error| error.to_string())?;
    let pending = migrations::pending(&mut db).map_err(|error| error.to_string())?;
    if pending.is_empty() {
        Ok("opens, and its schema is up to date".to_owned())
    } else {
        Err(format!("{} migrations are to be applied; start `accord serve` or run `accord migrate`", pending.len()))
    }
}

fn check_ledger(config: &Config) -> Result<String, String> {
    let mut db = open(&config.database.url, Role::Reader).map_err(|error| error.to_string())?;
    let rows = audit::verify(&mut db).map_err(|error| format!("{error:#}"))?;
    Ok(format!("{rows} rows, the chain is whole"))
}

fn check_consents(config: &Config) -> Result<String, String> {
    let mut db = open(&config.database.url, Role::Reader).map_err(|error| error.to_string())?;
    let found = register::verify_all(&mut db).map_err(|error| format!("{error:#}"))?;
    let looks = reading_record::verify_all(&mut db).map_err(|error| format!("{error:#}"))?;
    Ok(format!(
        "{} records with {} events and {looks} looks, each chain whole and known to the ledger; {} signed documents",
        found.consents, found.events, found.receipts
    ))
}

fn check_captures(config: &Config) -> Result<String, String> {
    let mut db = open(&config.database.url, Role::Reader).map_err(|error| error.to_string())?;
    let found = trace_store::verify_all(&mut db).map_err(|error| format!("{error:#}"))?;
    Ok(format!("{found} kept, each with every record that was counted"))
}

fn check_keys(config: &Config) -> Result<String, String> {
    if !config.security.keys_file.exists() {
        // Other keys open nothing that was sealed with them.
        let file = config.security.keys_file.display();
        return Err(format!(
            "{file} is missing; put your copy of it back (a new desk gets its own from `accord serve`)"
        ));
    }
    let keys = Keys::load_or_create(&config.security.keys_file, clock::Clock::system().now())
        .map_err(|error| error.to_string())?;
    let receipts = signing::key_in_force(&keys).unwrap_or_default();
    Ok(format!("readable by this user only; receipts are signed by {receipts}"))
}

fn check_mail(config: &Config) -> Result<String, String> {
    let transport = Transport::new(&config.mail.outgoing).map_err(|error| error.to_string())?;
    transport.check().map_err(|failure| failure.text)?;
    Ok("the way out is open".to_owned())
}

/// A relay of single mailboxes lets us in, and is of mailboxes that there are. No mail is sent.
fn check_relay(config: &Config, relay: &MailRelay) -> Result<String, String> {
    let mut db = open(&config.database.url, Role::Reader).map_err(|error| error.to_string())?;
    let there_are = mailboxes::canonical_addresses(&mut db).map_err(|error| format!("{error:#}"))?;
    let unknown = relay.without_mailbox(&there_are);
    let outgoing = Outgoing::Smtp(relay.smtp.clone());
    let transport = Transport::new(&outgoing).map_err(|error| error.to_string())?;
    transport.check().map_err(|failure| failure.text)?;
    if !unknown.is_empty() {
        return Err(format!("there is no mailbox {}; add it under Mailboxes", unknown.join(", ")));
    }
    Ok("the way out is open".to_owned())
}

/// An account lets us in, its folders are there, and a mailbox waits for its mail. Nothing is taken or changed.
fn check_account(config: &Config, account: &ImapAccount) -> Result<String, String> {
    let mut db = open(&config.database.url, Role::Reader).map_err(|error| error.to_string())?;
    let address = EmailAddress::parse(&account.mailbox);
    let mailbox = match &address {
        Some(address) => mailboxes::find_by_canonical(&mut db, address).map_err(|error| format!("{error:#}"))?,
        None => None,
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let folders = runtime.block_on(client::check(account, &config.data)).map_err(|trouble| {
        let (kind, words) = (trouble.kind().replace('-', " "), trouble.words());
        if words.is_empty() { kind } else { format!("{kind}: {words}") }
    })?;
    if mailbox.is_none() {
        return Err(format!("no mailbox has the address {}; add it under Mailboxes", account.mailbox));
    }
    Ok(format!("signed in; {folders} of its folders can be read"))
}

/// What arrives at the reply domain arrives at Accord only, so nobody else is reached there (TH-05).
fn check_reply_domain(config: &Config) -> Result<String, String> {
    let domain = &config.mail.reply_domain;
    let mut db = open(&config.database.url, Role::Reader).map_err(|error| error.to_string())?;
    if staff::has_address_at(&mut db, domain).map_err(|error| format!("{error:#}"))? {
        return Err(format!(
            "staff is reached at {domain} too; set mail.reply_domain to a subdomain of its own, such as reply.{domain}"
        ));
    }
    Ok(format!("{domain} is for signed replies only"))
}

/// Mail from every mailbox is signed, if any is.
fn check_signatures(config: &Config) -> Result<String, String> {
    let mut db = open(&config.database.url, Role::Reader).map_err(|error| error.to_string())?;
    let mailboxes = mailboxes::all(&mut db).map_err(|error| format!("{error:#}"))?;
    let unsigned: Vec<&str> = mailboxes
        .iter()
        .map(|mailbox| mailbox.address.as_str())
        .filter(|address| {
            let address = EmailAddress::parse(address);
            address.is_none_or(|address| dkim::selectors_for(&config.mail.dkim, address.domain()).is_empty())
        })
        .collect();
    if unsigned.is_empty() {
        return Ok("mail from every mailbox is signed by the domain in From".to_owned());
    }
    Err(format!("no key in mail.dkim is of the domain of {}; their mail leaves unsigned", unsigned.join(", ")))
}
