//! The demonstration's desk, as somebody finds it who has just started it.

use std::collections::{BTreeMap, BTreeSet};

use accord::access::{self, Actor};
use accord::db::schema::{people, ticket_messages, tickets};
use accord::db::types::Language;
use accord::i18n::Locale;
use accord::people::environments::{self, ComponentKind};
use accord::people::organisations::{self, Filter, Organisation, OrganisationKind};
use accord::people::{memberships, person, sites};
use accord::tickets::messages::Channel;
use accord::tickets::status::Status;
use diesel::prelude::*;

use crate::support::TestApp;

fn filled() -> TestApp {
    let app = TestApp::empty();
    assert!(accord::demo::fill(&app.app).unwrap());
    app
}

fn companies(app: &TestApp) -> Vec<Organisation> {
    let filter = Filter { name: String::new(), status: None, kind: Some(OrganisationKind::Company) };
    app.read(|db| organisations::list(db, &filter, None, 100)).rows
}

#[test]
fn the_demo_has_two_hundred_tickets_in_all_states_and_fills_once() {
    let app = filled();
    let count = |status: Option<Status>| -> i64 {
        app.read(|db| {
            let mut query = access::visible_to(&Actor::System).count();
            if let Some(status) = status {
                query = query.filter(tickets::status.eq(status));
            }
            Ok(query.get_result(db)?)
        })
    };
    assert_eq!(count(None), 200);
    for status in Status::ALL {
        assert!(count(Some(*status)) >= 5, "{status}: {}", count(Some(*status)));
    }
    let camille = accord::mail::address::EmailAddress::parse("camille.renaud@lumenor.example").unwrap();
    assert!(app.read(|db| person::find_by_address(db, &camille)).is_some());
    assert!(!accord::demo::fill(&app.app).unwrap());
}

#[test]
fn the_demo_has_four_organisations_with_sites_environments_and_members_and_thirty_people() {
    let app = filled();
    let companies = companies(&app);
    assert_eq!(companies.len(), 4);
    for company in &companies {
        let sites = app.read(|db| sites::of_organisation(db, company.id));
        assert!(!sites.is_empty(), "{}", company.name);
        for site in &sites {
            assert!(!site.person_in_charge.is_empty() && !site.telephone.is_empty(), "{site:?}");
        }
        let environments = app.read(|db| environments::of_organisation(db, company.id));
        assert!(!environments.is_empty(), "{}", company.name);
        for environment in &environments {
            assert!(environment.site.is_some() && !environment.operating_system.is_empty(), "{environment:?}");
            for kind in [ComponentKind::Product, ComponentKind::Component] {
                let mut parts = environment.of_kind(kind).peekable();
                assert!(parts.peek().is_some(), "{environment:?}");
                assert!(parts.all(|part| !part.name.is_empty() && !part.version.is_empty()), "{environment:?}");
            }
        }
        let members = app.read(|db| memberships::members(db, company.id, None, 100)).rows;
        assert!(members.len() >= 5, "{}: {}", company.name, members.len());
        assert!(!company.city.is_empty() && !company.telephone.is_empty(), "{company:?}");
    }
    let people: i64 = app.read(|db| Ok(people::table.count().get_result(db)?));
    assert_eq!(people, 30);
}

/// Each told thing is whole: no gap that was to be filled, a name under it, and an address that leads nowhere.
#[test]
fn the_demo_s_mail_reads_like_mail_in_both_languages() {
    let app = filled();
    type Said = (Channel, Language, String, String, String);
    let said: Vec<Said> = app.read(|db| {
        Ok(ticket_messages::table
            .inner_join(tickets::table.on(tickets::id.eq(ticket_messages::ticket_id)))
            .select((
                ticket_messages::channel,
                tickets::language,
                tickets::subject,
                ticket_messages::body_text,
                ticket_messages::from_address,
            ))
            .load(db)?)
    });
    let mut mails: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (channel, language, subject, text, address) in &said {
        assert!(!subject.trim().is_empty() && text.split_whitespace().count() > 2, "{subject}: {text}");
        for gap in ["{product}", "{agent}", "{customer}", "{number}", "\u{fffd}"] {
            assert!(!text.contains(gap) && !subject.contains(gap), "{subject}: {text}");
        }
        assert!(address.ends_with(".example"), "{address}");
        if *channel == Channel::Email {
            mails.entry(language.0.code()).or_default().insert(text);
        }
    }
    for language in [Locale::Fr, Locale::En] {
        assert!(mails[language.code()].len() >= 20, "{language:?}: {}", mails[language.code()].len());
        let greets = if language == Locale::Fr { "Bonjour" } else { "Hello" };
        let greeting = mails[language.code()].iter().filter(|text| text.starts_with(greets)).count();
        assert!(greeting >= 10, "{language:?}: {greeting} begin with {greets}");
    }
}

/// One banner on every page, and each sign-in that it tells leads to the page that it is told for.
#[actix_web::test]
async fn the_demo_s_one_banner_tells_sign_ins_that_all_work() {
    let app = filled();
    for (language, desks) in
        [("fr", ["/tickets", "/requests", "/admin/status"]), ("en", ["/tickets", "/requests", "/admin/status"])]
    {
        let home = app.demonstration().await.get(&format!("/{language}")).await;
        let banner = banner(&home.assert_status(200).text());
        let told: Vec<&str> = banner.split_whitespace().filter(|word| word.contains('@')).collect();
        assert_eq!(told.len(), desks.len(), "{banner}");
        let (_, password) = banner.rsplit_once(": ").or_else(|| banner.rsplit_once(" : ")).unwrap();
        let password = password.split_once(". ").unwrap().0;
        for (address, desk) in told.iter().zip(desks) {
            let browser = app.demonstration().await;
            let entered =
                browser.post(&format!("/{language}/sign-in"), &[("address", *address), ("password", password)]).await;
            assert_eq!(entered.assert_status(303).location(), "/", "{address}");
            let page = browser.get(desk).await;
            self::banner(&page.assert_status(200).text());
            page.assert_silent_about("sign-in\"");
        }
    }
}

/// What the only banner of a page says.
fn banner(page: &str) -> String {
    let mut banners = page.split("<section class=\"banner\"").skip(1);
    let first = banners.next().expect("a banner");
    assert!(banners.next().is_none(), "two banners");
    first.split_once('>').unwrap().1.split('<').next().unwrap().to_owned()
}
