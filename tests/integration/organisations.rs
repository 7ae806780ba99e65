//! Stories about organisations, their sites, environments and members, and about queues and mailboxes, against a real
//! database.

use accord::audit;
use accord::db::types::{OrganisationId, PersonId};
use accord::error::{Error, Result};
use accord::i18n::Locale;
use accord::mail::address::EmailAddress;
use accord::mail::incoming;
use accord::mail::transport::Transport;
use accord::people::environments::{self, Component, ComponentKind, EnvironmentDescription};
use accord::people::invitations::{self, NewMember};
use accord::people::memberships::{self, Rights};
use accord::people::organisations::{self, Contract, Filter, Information, OrganisationKind, OrganisationStatus};
use accord::people::person::{self, NewPerson, Origin};
use accord::people::sites::{self, SiteDescription};
use accord::people::{directory, operator};
use accord::teams::mailboxes::{self, MailboxDescription};
use accord::teams::queues::{self, QueueKind};
use diesel::connection::SimpleConnection;
use proptest::prelude::*;

use crate::support::TestApp;

fn keys(error: Error) -> Vec<(&'static str, &'static str)> {
    match error {
        Error::Invalid(errors) => errors.iter().map(|(field, message)| (field, message.key)).collect(),
        Error::Conflict(message) => vec![("", message.key)],
        other => panic!("not a refusal: {other:?}"),
    }
}

/// The refusal of a change that must not succeed.
fn refusal<T: Send + 'static>(
    app: &TestApp,
    change: impl Fn(&mut accord::db::DbConnection) -> Result<T> + Send + 'static,
) -> Vec<(&'static str, &'static str)> {
    keys(app.app.database.write_now(change).err().expect("the change is refused"))
}

fn site(name: &str) -> SiteDescription {
    SiteDescription {
        name: name.to_owned(),
        address: String::new(),
        person_in_charge: "Luc Morel".to_owned(),
        telephone: "+33 5 56 00 00 00".to_owned(),
    }
}

fn kinds_in_ledger(app: &TestApp) -> Vec<String> {
    let mut kinds: Vec<String> =
        app.read(|db| audit::list(db, None, 1_000)).into_iter().map(|(record, _)| record.kind).collect();
    kinds.reverse();
    kinds
}

#[test]
fn a5_information_is_kept_in_its_form_and_card_numbers_are_refused() {
    let (app, cast) = TestApp::with_cast();
    let now = app.now();
    let information = Information {
        name: "  Vignobles\u{202E} Arnaud ".to_owned(),
        address_lines: "12, quai des Chartrons\r\n\r\n".to_owned(),
        postal_code: "33000".to_owned(),
        city: "Bordeaux".to_owned(),
        country: "fr".to_owned(),
        vat_number: "FR 40 303 265 045".to_owned(),
        telephone: "05 56 00 00 00".to_owned(),
        language: Locale::Fr,
        colleagues_see_tickets: true,
        declines_reference: true,
    };
    let id = cast.arnaud;
    let good = information.clone();
    app.write(move |db| {
        let organisation = organisations::by_id(db, id)?;
        organisations::update(db, &organisation, organisation.version, &good, None, now)
    });
    let organisation = app.read(|db| organisations::by_id(db, id));
    assert_eq!(
        (organisation.name.as_str(), organisation.address_lines.as_str(), organisation.country.as_str()),
        ("Vignobles Arnaud", "12, quai des Chartrons", "FR")
    );
    assert_eq!(organisation.vat_number, "FR40303265045");
    assert_eq!(organisation.version, 2);

    let bad = Information {
        name: String::new(),
        address_lines: "CB 4111 1111 1111 1111".to_owned(),
        country: "Atlantis".to_owned(),
        vat_number: "GB123456789".to_owned(),
        ..information
    };
    let found = refusal(&app, move |db| {
        let organisation = organisations::by_id(db, id)?;
        organisations::update(db, &organisation, organisation.version, &bad, None, now)
    });
    assert_eq!(
        found,
        [
            ("name", "error-mandatory"),
            ("address_lines", "error-card-number"),
            ("country", "error-country"),
            ("vat_number", "error-vat-number"),
        ]
    );
}

#[test]
fn a_change_over_somebody_else_s_is_refused() {
    let (app, cast) = TestApp::with_cast();
    let (now, id) = (app.now(), cast.arnaud);
    let change = move |db: &mut accord::db::DbConnection| {
        let organisation = organisations::by_id(db, id)?;
        organisations::update(db, &organisation, 1, &Information::named("Arnaud", Locale::Fr), None, now)
    };
    app.write(change);
    assert_eq!(refusal(&app, change), [("", "conflict-changed-meanwhile")]);
}

#[test]
fn a_contract_does_not_end_before_it_starts() {
    let (app, cast) = TestApp::with_cast();
    let (now, id) = (app.now(), cast.arnaud);
    let found = refusal(&app, move |db| {
        let organisation = organisations::by_id(db, id)?;
        let contract = Contract {
            status: OrganisationStatus::Former,
            started_on: chrono::NaiveDate::from_ymd_opt(2026, 5, 1),
            ended_on: chrono::NaiveDate::from_ymd_opt(2026, 4, 30),
        };
        organisations::set_contract(db, &organisation, organisation.version, contract, None, now)
    });
    assert_eq!(found, [("contract_ended_on", "error-contract-dates")]);
}

#[test]
fn organisations_are_found_by_name_page_by_page() {
    let (app, _) = TestApp::with_cast();
    let now = app.now();
    app.write(move |db| {
        for number in 0..7 {
            let information = Information::named(&format!("Écluse {number}"), Locale::Fr);
            organisations::create(db, &information, Contract::NONE, None, now)?;
        }
        Ok(())
    });
    let filter = Filter { name: "éclu".to_owned(), ..Filter::default() };
    let first = app.read(|db| organisations::list(db, &filter, None, 5));
    let second = app.read(|db| organisations::list(db, &filter, first.next.as_deref(), 5));
    let names: Vec<String> = first.rows.iter().chain(&second.rows).map(|row| row.name.clone()).collect();
    assert_eq!(names, (0..7).map(|number| format!("Écluse {number}")).collect::<Vec<_>>());
    assert!(second.next.is_none());

    let customers = Filter {
        status: Some(OrganisationStatus::Customer),
        kind: Some(OrganisationKind::Company),
        ..Filter::default()
    };
    let names: Vec<String> =
        app.read(|db| organisations::list(db, &customers, None, 50)).rows.into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["Ateliers Brun", "Vignobles Arnaud"]);
}

#[test]
fn adv_23_ten_thousand_hostile_filters_find_only_what_begins_so() {
    let (app, _) = TestApp::with_cast();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 10_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    const SPICE: [&str; 12] =
        ["' OR 1=1 --", "%", "_", "\\", "\"", "\u{0}", ") UNION SELECT", ";", "*", "\u{10FFFF}", "d", "a"];
    let hostile = prop_oneof![
        any::<String>(),
        proptest::collection::vec(proptest::sample::select(&SPICE[..]), 0..4).prop_map(|parts| parts.concat()),
    ];
    runner
        .run(&(hostile.clone(), hostile), |(text, after)| {
            let text = text.replace('\0', "");
            let prefix = accord::people::fields::sort_name([accord::people::fields::line(&text).as_str()]);
            let filter = Filter { name: text.clone(), ..Filter::default() };
            let found = app.app.database.read_now(|db| organisations::list(db, &filter, None, 50)).unwrap();
            for row in found.rows {
                let name = accord::people::fields::sort_name([row.name.as_str()]);
                prop_assert!(name.starts_with(&prefix), "{text:?} found {name:?}");
            }
            let filter = directory::Filter { text, ..directory::Filter::default() };
            app.app.database.read_now(|db| directory::list(db, &filter, None, 50)).unwrap();
            // A place that no list gave is no place.
            let after = after.replace('\0', "");
            let page = app.app.database.read_now(|db| organisations::list(db, &Filter::default(), Some(&after), 5));
            prop_assert!(matches!(page, Err(Error::NotFound)));
            Ok(())
        })
        .unwrap();
}

#[test]
fn a_01_a_link_between_two_organisations_cannot_be_stored() {
    let (app, cast) = TestApp::with_cast();
    let (now, arnaud, brun) = (app.now(), cast.arnaud, cast.brun);
    let site_of_brun = app.write(move |db| sites::create(db, brun, &site("Atelier"), now));
    let environment = app.write(move |db| {
        let description = EnvironmentDescription { name: "Production".to_owned(), ..Default::default() };
        environments::create(db, arnaud, &description, now)
    });
    let environment = app.read(|db| environments::find(db, arnaud, &environment)).unwrap();
    for statement in [
        format!("UPDATE environments SET site_id = {} WHERE id = {}", site_of_brun.id.0, environment.id.0),
        format!(
            "INSERT INTO environment_components (organisation_id, environment_id, kind, name, component_version) \
             VALUES ({}, {}, 'product', 'x', '')",
            brun.0, environment.id.0
        ),
    ] {
        let outcome = app.app.database.write_now(move |db| Ok(db.batch_execute(&statement)?));
        assert!(outcome.is_err(), "the database took a link across organisations");
    }
    // The form refuses it before, without telling that the site exists.
    let handle = site_of_brun.handle;
    let found = refusal(&app, move |db| {
        let description =
            EnvironmentDescription { name: "Recette".to_owned(), site: handle.clone(), ..Default::default() };
        environments::create(db, arnaud, &description, now)
    });
    assert_eq!(found, [("site", "error-site-unknown")]);
}

#[test]
fn e2_a_site_has_a_person_in_charge_and_a_telephone_number() {
    let (app, cast) = TestApp::with_cast();
    let (now, arnaud, brun) = (app.now(), cast.arnaud, cast.brun);
    let found = refusal(&app, move |db| sites::create(db, arnaud, &SiteDescription::default(), now));
    assert_eq!(
        found,
        [("name", "error-mandatory"), ("person_in_charge", "error-mandatory"), ("telephone", "error-mandatory")]
    );
    let made = app.write(move |db| sites::create(db, arnaud, &site("Chai"), now));
    assert_eq!(app.read(|db| sites::of_organisation(db, arnaud)), std::slice::from_ref(&made));
    assert_eq!(app.read(|db| sites::find(db, brun, &made.handle)), None, "another organisation does not find it");
    let renamed = made.clone();
    app.write(move |db| sites::update(db, &renamed, &site("Chai neuf"), now));
    assert_eq!(app.read(|db| sites::of_organisation(db, arnaud))[0].name, "Chai neuf");
    app.write(move |db| sites::remove(db, &made, now));
    assert_eq!(app.read(|db| sites::of_organisation(db, arnaud)), []);
}

#[test]
fn b10_an_environment_keeps_products_versions_and_components_and_holds_its_site() {
    let (app, cast) = TestApp::with_cast();
    let (now, arnaud) = (app.now(), cast.arnaud);
    let chai = app.write(move |db| sites::create(db, arnaud, &site("Chai"), now));
    let part = |kind, name: &str, version: &str| Component { kind, name: name.to_owned(), version: version.to_owned() };
    let description = EnvironmentDescription {
        name: "Production".to_owned(),
        site: chai.handle.clone(),
        operating_system: "Debian 13".to_owned(),
        remarks: String::new(),
        components: vec![
            part(ComponentKind::Product, "Facturo", "4.2.1"),
            part(ComponentKind::Component, "PostgreSQL", "17.2"),
        ],
    };
    let typed = description.clone();
    let handle = app.write(move |db| environments::create(db, arnaud, &typed, now));
    let found = app.read(|db| environments::find(db, arnaud, &handle)).unwrap();
    assert_eq!(found.components, description.components);
    assert_eq!(found.site, Some((chai.handle.clone(), "Chai".to_owned())));
    assert_eq!(found.lines_of(ComponentKind::Product), "Facturo ; 4.2.1");
    let held = chai.clone();
    assert_eq!(refusal(&app, move |db| sites::remove(db, &held, now)), [("", "conflict-site-in-use")]);

    let changed = EnvironmentDescription { site: String::new(), components: Vec::new(), ..description };
    let old = found.clone();
    app.write(move |db| environments::update(db, &old, &changed, now));
    let all = app.read(|db| environments::of_organisation(db, arnaud));
    assert_eq!((all.len(), all[0].components.len(), &all[0].site), (1, 0, &None));
    app.write(move |db| environments::remove(db, &found, now));
    assert_eq!(app.read(|db| environments::of_organisation(db, arnaud)).len(), 0);
}

fn contact(app: &TestApp, organisation: OrganisationId) -> Option<PersonId> {
    app.read(|db| memberships::find_contact(db, organisation)).map(|member| member.person_id)
}

#[test]
fn the_last_manager_stays_and_a_contact_is_always_there() {
    let (app, cast) = TestApp::with_cast();
    let (now, arnaud, claire, paul) = (app.now(), cast.arnaud, cast.claire, cast.paul);
    assert_eq!(contact(&app, arnaud), Some(claire), "the first member is the contact (E1)");
    let gone = refusal(&app, move |db| memberships::remove(db, arnaud, claire, None, now));
    assert_eq!(gone, [("", "conflict-last-manager")]);
    let lesser = refusal(&app, move |db| memberships::change_rights(db, arnaud, claire, Rights::default(), None, now));
    assert_eq!(lesser, [("", "conflict-last-manager")]);

    app.write(move |db| memberships::change_rights(db, arnaud, paul, Rights::ALL, Some(claire), now));
    app.write(move |db| memberships::remove(db, arnaud, claire, Some(paul), now));
    assert_eq!(contact(&app, arnaud), Some(paul));
    let left = app.read(|db| memberships::belongings(db, claire));
    assert_eq!(left.len(), 1, "who belongs to nothing else belongs to an organisation of their own");
    assert_eq!((left[0].kind, left[0].organisation_name.as_str()), (OrganisationKind::Individual, "Claire Lefèvre"));
}

#[test]
fn cn_06_staff_take_the_right_to_grant_tracing_away_and_never_give_it() {
    let (app, cast) = TestApp::with_cast();
    let (now, arnaud, hugo, claire, paul) = (app.now(), cast.arnaud, cast.hugo, cast.claire, cast.paul);
    let change = |person, rights, by| {
        move |db: &mut accord::db::DbConnection| memberships::change_rights(db, arnaud, person, rights, Some(by), now)
    };
    let grants = Rights { grants_tracing: true, ..Rights::default() };
    assert_eq!(refusal(&app, change(paul, grants, hugo)), [("", "conflict-tracing-right")]);
    let added = refusal(&app, move |db| memberships::add(db, cast.zoe, arnaud, grants, Some(hugo), now));
    assert_eq!(added, [("", "conflict-tracing-right")]);
    let new = NewMember {
        last_name: "Noir".to_owned(),
        address: "luc@arnaud.example".to_owned(),
        rights: grants,
        ..NewMember::default()
    };
    let invited = refusal(&app, move |db| invitations::invite_member(db, arnaud, &new, hugo, now));
    assert_eq!(invited, [("", "conflict-tracing-right")]);

    app.write(change(paul, grants, claire));
    // Whoever has it keeps it through other changes by staff, and loses it by them.
    app.write(change(paul, Rights { sees_all_tickets: true, ..grants }, hugo));
    app.write(change(paul, Rights::default(), hugo));
    assert_eq!(refusal(&app, change(paul, grants, hugo)), [("", "conflict-tracing-right")]);
}

#[test]
fn cn_06_when_staff_name_a_manager_the_organisation_is_told() {
    let (app, cast) = TestApp::with_cast();
    let (now, arnaud, hugo, claire, paul) = (app.now(), cast.arnaud, cast.hugo, cast.claire, cast.paul);
    app.run_jobs();
    let Transport::Memory(memory) = &app.app.transport else { panic!("tests send into memory") };
    memory.take();
    let manages = Rights { manages_organisation: true, ..Rights::default() };
    app.write(move |db| memberships::change_rights(db, arnaud, paul, manages, Some(hugo), now));
    app.run_jobs();
    let told = memory.take();
    assert_eq!(told.iter().map(|mail| mail.recipient.as_str()).collect::<Vec<_>>(), ["claire@arnaud.example"]);
    let text = incoming::parse(&told[0].bytes).text;
    assert!(
        text.contains("paul@arnaud.example")
            && text.contains(&format!("/organisations/{}/members", cast.arnaud_handle)),
        "{text}"
    );

    // What members do among themselves, and what changes nothing, is told to nobody.
    app.write(move |db| {
        memberships::change_rights(db, arnaud, paul, Rights { sees_all_tickets: true, ..manages }, Some(hugo), now)
    });
    app.write(move |db| memberships::change_rights(db, arnaud, paul, Rights::default(), Some(claire), now));
    app.write(move |db| memberships::change_rights(db, arnaud, paul, manages, Some(claire), now));
    app.run_jobs();
    assert!(memory.take().is_empty());
}

#[test]
fn a_disabled_manager_does_not_count_as_one() {
    let (app, cast) = TestApp::with_cast();
    let (now, arnaud, anne, claire, paul) = (app.now(), cast.arnaud, cast.anne, cast.claire, cast.paul);
    app.write(move |db| memberships::change_rights(db, arnaud, paul, Rights::ALL, None, now));
    app.write(move |db| person::disable(db, paul, anne, now));
    let gone = refusal(&app, move |db| memberships::remove(db, arnaud, claire, None, now));
    assert_eq!(gone, [("", "conflict-last-manager")]);
}

#[test]
fn a_08_every_change_of_members_is_in_the_ledger() {
    let (app, cast) = TestApp::with_cast();
    let (now, arnaud, claire, paul, zoe) = (app.now(), cast.arnaud, cast.claire, cast.paul, cast.zoe);
    let before = kinds_in_ledger(&app).len();
    app.write(move |db| {
        memberships::add(db, zoe, arnaud, Rights::default(), Some(claire), now)?;
        memberships::change_rights(db, arnaud, paul, Rights::ALL, Some(claire), now)?;
        memberships::make_contact(db, arnaud, paul, Some(claire), now)?;
        memberships::remove(db, arnaud, zoe, Some(claire), now)
    });
    assert_eq!(
        kinds_in_ledger(&app)[before..],
        ["membership_added", "membership_changed", "contact_changed", "membership_removed"]
    );
    let rows = app.read(|db| audit::list(db, None, 1));
    assert_eq!((rows[0].0.actor, rows[0].0.subject, rows[0].0.organisation), (Some(claire), Some(zoe), Some(arnaud)));
    app.read(audit::verify);
}

#[test]
fn a_09_an_address_of_the_company_s_domain_makes_nobody_a_member() {
    let (app, cast) = TestApp::with_cast();
    let now = app.now();
    for origin in [Origin::Mail, Origin::Form, Origin::Registration, Origin::Api] {
        let stranger = app.write(move |db| {
            let address = EmailAddress::parse(&format!("{origin}@arnaud.example")).unwrap();
            let new = NewPerson { address_confirmed_at: Some(now), ..NewPerson::at(address, Locale::Fr, origin) };
            person::create(db, &new, None, None, now)
        });
        let memberships = app.read(|db| memberships::of_person(db, stranger.id));
        assert_eq!(memberships.len(), 1);
        assert_ne!(memberships[0].organisation_id, cast.arnaud);
    }
    let members = app.read(|db| memberships::members(db, cast.arnaud, None, 50));
    assert_eq!(members.rows.len(), 2, "Claire and Paul, as before");
}

#[test]
fn nobody_joins_an_organisation_that_is_one_person() {
    let (app, cast) = TestApp::with_cast();
    let (now, ivan, zoe) = (app.now(), cast.ivan, cast.zoe);
    let own = app.read(|db| organisations::home_of(db, ivan)).unwrap();
    let outcome = app.app.database.write_now(move |db| memberships::add(db, zoe, own, Rights::default(), None, now));
    assert!(matches!(outcome, Err(Error::Forbidden)));
    let outcome = app.app.database.write_now(move |db| memberships::remove(db, own, ivan, None, now));
    assert!(matches!(outcome, Err(Error::Forbidden)));
}

#[test]
fn members_are_listed_by_name_page_by_page() {
    let (app, cast) = TestApp::with_cast();
    let first = app.read(|db| memberships::members(db, cast.arnaud, None, 1));
    let second = app.read(|db| memberships::members(db, cast.arnaud, first.next.as_deref(), 1));
    let names: Vec<String> = first.rows.iter().chain(&second.rows).map(|member| member.display_name()).collect();
    assert_eq!(names, ["Paul Girard", "Claire Lefèvre"]);
    assert!(second.next.is_none());
}

fn mailbox(app: &TestApp, address: &str) -> MailboxDescription {
    let queue = app.read(|db| queues::find_by_kind(db, QueueKind::Sales)).unwrap();
    MailboxDescription::new(EmailAddress::parse(address).unwrap(), "Ventes", queue.id, Locale::Fr)
}

#[test]
fn lp_08_a_mailbox_and_a_person_never_share_an_address() {
    let (app, _) = TestApp::with_cast();
    let now = app.now();
    let of_person = mailbox(&app, "CLAIRE@arnaud.example");
    assert_eq!(
        refusal(&app, move |db| mailboxes::create(db, &of_person, None, now)),
        [("address", "error-address-of-person")]
    );
    let again = mailbox(&app, "Support@garonne.example");
    assert_eq!(
        refusal(&app, move |db| mailboxes::create(db, &again, None, now)),
        [("address", "error-address-of-mailbox")]
    );
    let signed = mailbox(&app, "r+abc@garonne.example");
    assert_eq!(
        refusal(&app, move |db| mailboxes::create(db, &signed, None, now)),
        [("address", "error-address-reserved")]
    );
    let found = refusal(&app, move |db| {
        let address = EmailAddress::parse("SUPPORT@garonne.example").unwrap();
        person::create(db, &NewPerson::at(address, Locale::Fr, Origin::Staff), None, None, now)
    });
    assert_eq!(found, [("address", "error-address-of-mailbox")]);
}

#[test]
fn there_is_one_default_mailbox_and_each_queue_writes_from_its_own() {
    let (app, _) = TestApp::with_cast();
    let now = app.now();
    let sales = mailbox(&app, "ventes@garonne.example");
    let queue = sales.queue;
    assert_eq!(app.read(|db| mailboxes::find_for_queue(db, queue)).unwrap().address, "support@garonne.example");
    let made = app.write(move |db| mailboxes::create(db, &sales, None, now));
    assert!(!made.is_default);
    assert_eq!(app.read(|db| mailboxes::find_for_queue(db, queue)).unwrap().handle, made.handle);
    let chosen = made.clone();
    app.write(move |db| mailboxes::make_default(db, &chosen, None, now));
    assert_eq!(app.read(mailboxes::default).handle, made.handle);
    assert_eq!(app.read(mailboxes::canonical_addresses).len(), 2);
    let recipient = EmailAddress::parse("VENTES@garonne.example").unwrap();
    assert_eq!(app.read(|db| mailboxes::find_by_canonical(db, &recipient)).unwrap().handle, made.handle);
}

#[test]
fn queues_keep_their_order_and_have_a_name_in_each_language() {
    let (app, _) = TestApp::with_cast();
    let now = app.now();
    let queues = app.read(queues::all);
    let names: Vec<_> = queues.iter().map(|queue| (queue.name(Locale::Fr), queue.name(Locale::En))).collect();
    assert_eq!(names[0], ("Assistance", "Support"));
    assert_eq!(queues.iter().map(|queue| queue.kind).collect::<Vec<_>>(), QueueKind::ALL);
    let second = queues[1].clone();
    app.write(move |db| queues::move_up(db, &second, now));
    let order: Vec<_> = app.read(queues::all).iter().map(|queue| queue.kind).collect();
    assert_eq!(order[..3], [QueueKind::Sales, QueueKind::Support, QueueKind::General]);
}

#[test]
fn t_01_the_prefix_of_references_is_fixed_by_the_first_ticket() {
    let (app, _) = TestApp::with_cast();
    let now = app.now();
    let typed = operator::Operator { name: "Garonne".to_owned(), reference_prefix: "gar".to_owned() };
    app.write(move |db| operator::change(db, &typed, None, now));
    let (current, is_open) = app.read(operator::current);
    assert_eq!((current.reference_prefix.as_str(), is_open), ("GAR", true));
    for prefix in ["", "A", "ABCDEFG", "A1", "É É"] {
        let typed = operator::Operator { name: "Garonne".to_owned(), reference_prefix: prefix.to_owned() };
        let found = refusal(&app, move |db| operator::change(db, &typed, None, now));
        assert_eq!(found, [("reference_prefix", "error-reference-prefix")], "{prefix:?}");
    }
}
