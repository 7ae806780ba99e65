//! A small fixed cast for stories in the browser: one of each staff role, two members of one company, one of another,
//! and somebody on their own.

use accord::clock::UtcTime;
use accord::db::DbConnection;
use accord::db::types::{OrganisationId, PersonId};
use accord::error::Result;
use accord::i18n::Locale;
use accord::mail::address::EmailAddress;
use accord::people::memberships::Rights;
use accord::people::organisations::{self, Contract, Information, OrganisationStatus};
use accord::people::person::{self, NewPerson, Origin};
use accord::people::roles::{self, BuiltinRole};
use accord::people::sessions::{self, Limits, Place};
use accord::people::setup::{self, SetupForm};
use accord::people::staff;
use accord::teams::{members, queues};

use super::app::TestApp;
use super::browser::Browser;

/// Who is there.
#[derive(Clone, Debug)]
pub struct Cast {
    /// Administrator and supervisor, who set the installation up.
    pub anne: PersonId,
    /// Supervisor.
    pub hugo: PersonId,
    /// Agent in every queue, who accepted the undertaking.
    pub lea: PersonId,
    /// Agent in no queue, who accepted the undertaking.
    pub marc: PersonId,
    /// Privacy officer.
    pub odile: PersonId,
    /// Manages the company Vignobles Arnaud, with every right.
    pub claire: PersonId,
    /// Member there without any right.
    pub paul: PersonId,
    /// Manages the company Ateliers Brun.
    pub zoe: PersonId,
    /// On his own.
    pub ivan: PersonId,
    pub arnaud: OrganisationId,
    pub brun: OrganisationId,
    pub arnaud_handle: String,
    pub brun_handle: String,
}

fn somebody(
    db: &mut DbConnection,
    now: UtcTime,
    first_name: &str,
    last_name: &str,
    address: &str,
    home: Option<(OrganisationId, Rights)>,
) -> Result<PersonId> {
    let new = NewPerson {
        first_name: first_name.to_owned(),
        last_name: last_name.to_owned(),
        address_confirmed_at: Some(now),
        ..NewPerson::at(EmailAddress::parse(address).unwrap(), Locale::Fr, Origin::Staff)
    };
    person::create(db, &new, home, None, now).map(|person| person.id)
}

impl TestApp {
    /// An installation with its cast.
    pub fn with_cast() -> (TestApp, Cast) {
        TestApp::cast_with_settings("")
    }

    /// The same with settings of its own (TOML).
    pub fn cast_with_settings(settings: &str) -> (TestApp, Cast) {
        let app = TestApp::with_settings(settings);
        let now = app.now();
        let cast = app.write(move |db| {
            let form = SetupForm {
                operator_name: "Logiciels Garonne".to_owned(),
                first_name: "Anne".to_owned(),
                last_name: "Martin".to_owned(),
                email: "anne@garonne.example".to_owned(),
                support_address: "support@garonne.example".to_owned(),
                time_zone: String::new(),
            };
            let mut errors = accord::error::FieldErrors::default();
            let setup = form.check(&mut errors, Locale::Fr, now).expect("a form without faults");
            let anne = setup::create_first(db, &setup, now)?;
            let support = EmailAddress::parse("support@garonne.example").unwrap();
            accord::teams::defaults::create_defaults(db, &support, Locale::Fr, now)?;
            let operator = organisations::find_operator(db)?.unwrap();
            let staff_home = Some((operator, Rights::default()));
            let hugo = somebody(db, now, "Hugo", "Petit", "hugo@garonne.example", staff_home)?;
            let lea = somebody(db, now, "Léa", "Roux", "lea@garonne.example", staff_home)?;
            let marc = somebody(db, now, "Marc", "Faure", "marc@garonne.example", staff_home)?;
            let odile = somebody(db, now, "Odile", "Blanc", "odile@garonne.example", staff_home)?;
            let ivan = somebody(db, now, "Ivan", "Moreau", "ivan@moreau.example", None)?;
            for (person, role) in [
                (hugo, BuiltinRole::Supervisor),
                (lea, BuiltinRole::Agent),
                (marc, BuiltinRole::Agent),
                (odile, BuiltinRole::PrivacyOfficer),
            ] {
                let role = roles::builtin(db, role)?;
                staff::set_roles(db, person, &[role], Some(anne), now)?;
            }
            for agent in [lea, marc] {
                staff::accept_undertaking(db, agent, now)?;
            }
            for queue in queues::all(db)? {
                members::add(db, &queue, lea, Some(anne), now)?;
            }
            let mut company = |name: &str| {
                let contract = Contract { status: OrganisationStatus::Customer, ..Contract::NONE };
                organisations::create(db, &Information::named(name, Locale::Fr), contract, Some(anne), now)
            };
            let arnaud = company("Vignobles Arnaud")?;
            let brun = company("Ateliers Brun")?;
            let claire =
                somebody(db, now, "Claire", "Lefèvre", "claire@arnaud.example", Some((arnaud.id, Rights::ALL)))?;
            let paul =
                somebody(db, now, "Paul", "Girard", "paul@arnaud.example", Some((arnaud.id, Rights::default())))?;
            let zoe = somebody(db, now, "Zoé", "Bonnet", "zoe@brun.example", Some((brun.id, Rights::ALL)))?;
            Ok(Cast {
                anne,
                hugo,
                lea,
                marc,
                odile,
                claire,
                paul,
                zoe,
                ivan,
                arnaud: arnaud.id,
                brun: brun.id,
                arnaud_handle: arnaud.handle,
                brun_handle: brun.handle,
            })
        });
        (app, cast)
    }

    /// The browser of somebody who is signed in.
    pub async fn signed_in(&self, person: PersonId) -> Browser {
        let (now, limits) = (self.now(), Limits::from(&self.app.config.security));
        let token = self.write(move |db| {
            let place = Place { ip_address: "192.0.2.7".to_owned(), user_agent: "Test".to_owned() };
            sessions::begin(db, person, false, &place, &limits, now).map(|token| token.expose().to_owned())
        });
        let browser = self.browser().await;
        browser.set_session(&token);
        browser
    }
}
