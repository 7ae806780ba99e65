//! What an organisation says of itself, its contact, and what the operator decides about it.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use askama::Template;
use chrono::NaiveDate;
use serde::Deserialize;

use super::{Frame, Tab, change_managed, seen_by};
use crate::access;
use crate::app::App;
use crate::db::DbConnection;
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::{Locale, Message, Texts};
use crate::mail::address::shown_address;
use crate::people::copied_domain;
use crate::people::countries;
use crate::people::memberships::{self, Member};
use crate::people::organisations::{self, Contract, Information, Organisation, OrganisationKind, OrganisationStatus};
use crate::people::roles::Permission;
use crate::web::forms::Form;
use crate::web::page::{Choice, Page};
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::redirect_saying;
use crate::web::signed_in::SignedIn;

/// The form by which an organisation changes what it says of itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InformationForm {
    version: i64,
    name: String,
    address_lines: String,
    postal_code: String,
    city: String,
    country: String,
    vat_number: String,
    telephone: String,
    language: String,
    #[serde(default)]
    colleagues_see_tickets: bool,
    #[serde(default)]
    declines_reference: bool,
}

/// The form by which the operator changes where the business stands.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ContractForm {
    version: i64,
    status: String,
    contract_started_on: String,
    contract_ended_on: String,
    #[serde(default)]
    copied_domain: String,
}

/// `GET /organisations/{handle}`
pub async fn show(app: Data<App>, reader: SignedIn, path: Path<String>) -> PageResult {
    let (organisation, contact) = load(&app, &reader, path.into_inner()).await?;
    let typed = (InformationForm::of(&organisation), ContractForm::of(&organisation));
    answer(&app, &reader, &organisation, contact, typed, FieldErrors::default(), StatusCode::OK)
}

/// `POST /organisations/{handle}`
pub async fn update(
    app: Data<App>,
    reader: SignedIn,
    path: Path<String>,
    Form(form): Form<InformationForm>,
) -> PageResult {
    let (by, handle, now) = (reader.actor.person(), path.into_inner(), app.clock.now());
    let (version, information) = (form.version, form.information()?);
    let outcome = change_managed(&app, &reader, &handle, move |db, organisation| {
        organisations::update(db, &organisation, version, &information, by, now)
    })
    .await;
    match outcome {
        Ok(()) => Ok(redirect_saying(&format!("/organisations/{handle}"), "said-saved")),
        Err(Error::Invalid(errors)) => {
            let (organisation, contact) = load(&app, &reader, handle).await?;
            let typed = (form, ContractForm::of(&organisation));
            answer(&app, &reader, &organisation, contact, typed, errors, StatusCode::UNPROCESSABLE_ENTITY)
        }
        Err(Error::Conflict(message)) => changed_meanwhile(&app, &reader, handle, message).await,
        Err(error) => Err(error.into()),
    }
}

/// `POST /organisations/{handle}/contract`
pub async fn set_contract(
    app: Data<App>,
    reader: SignedIn,
    path: Path<String>,
    Form(form): Form<ContractForm>,
) -> PageResult {
    let (actor, handle, now) = (reader.actor.clone(), path.into_inner(), app.clock.now());
    let (target, typed) = (handle.clone(), form.clone());
    let outcome = app
        .database
        .write(move |db| {
            let organisation = seen_by(db, &actor, &target)?;
            if !access::may(&actor, Permission::ManagePeople) {
                return Err(Error::Forbidden);
            }
            organisations::set_contract(db, &organisation, typed.version, typed.contract()?, actor.person(), now)?;
            copied_domain::set(db, &organisation, &typed.copied_domain, actor.person(), now)
        })
        .await;
    match outcome {
        Ok(()) => Ok(redirect_saying(&format!("/organisations/{handle}"), "said-saved")),
        Err(Error::Invalid(errors)) => {
            let (organisation, contact) = load(&app, &reader, handle).await?;
            let typed = (InformationForm::of(&organisation), form);
            answer(&app, &reader, &organisation, contact, typed, errors, StatusCode::UNPROCESSABLE_ENTITY)
        }
        Err(Error::Conflict(message)) => changed_meanwhile(&app, &reader, handle, message).await,
        Err(error) => Err(error.into()),
    }
}

async fn changed_meanwhile(app: &App, reader: &SignedIn, handle: String, message: Message) -> PageResult {
    let (organisation, contact) = load(app, reader, handle).await?;
    let typed = (InformationForm::of(&organisation), ContractForm::of(&organisation));
    let mut errors = FieldErrors::default();
    errors.add("", message);
    answer(app, reader, &organisation, contact, typed, errors, StatusCode::CONFLICT)
}

async fn load(app: &App, reader: &SignedIn, handle: String) -> Result<(Organisation, Option<Member>)> {
    let actor = reader.actor.clone();
    let query = move |db: &mut DbConnection| {
        let organisation = seen_by(db, &actor, &handle)?;
        let contact = memberships::find_contact(db, organisation.id)?;
        Ok((organisation, contact))
    };
    app.database.read(query).await
}

fn answer(
    app: &App,
    reader: &SignedIn,
    organisation: &Organisation,
    contact: Option<Member>,
    (form, contract): (InformationForm, ContractForm),
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    let frame = Frame::new(app, reader, organisation, Tab::Information);
    let t = frame.p.t;
    let is_individual = organisation.kind == OrganisationKind::Individual;
    let part = InformationPart {
        p: frame.p.clone(),
        errors,
        path: frame.path.clone(),
        may_manage: frame.may_manage,
        may_decide: access::may(&reader.actor, Permission::ManagePeople),
        is_individual,
        is_operator: organisation.kind == OrganisationKind::Operator,
        contact: contact.filter(|_| !is_individual).map(|member| Contact {
            name: member.display_name(),
            job_title: member.job_title,
            telephone: member.telephone,
            address: shown_address(&member.address).to_owned(),
        }),
        facts: form.facts(&t),
        countries: Choice::list(countries::all(&t), &form.country),
        languages: languages(&t, &form.language),
        statuses: statuses(&t, &contract.status),
        contract_facts: contract_facts(&t, organisation),
        typed: form,
        contract,
    };
    frame.show(&part, status)
}

/// The languages to choose from.
pub fn languages(t: &Texts, selected: &str) -> Vec<Choice> {
    Choice::list([("fr", t.say("language-fr")), ("en", t.say("language-en"))], selected)
}

/// The states of business to choose from.
pub fn statuses(t: &Texts, selected: &str) -> Vec<Choice> {
    let pairs = OrganisationStatus::ALL.iter().map(|status| (status.as_str(), t.say(&format!("business-{status}"))));
    Choice::list(pairs, selected)
}

fn contract_facts(t: &Texts, organisation: &Organisation) -> Vec<(String, String)> {
    let day = |day: Option<NaiveDate>| day.map(|day| t.day(&day)).unwrap_or_default();
    let facts = [
        (t.say("organisation-status"), t.say(&format!("business-{}", organisation.status))),
        (t.say("organisation-contract-started-on"), day(organisation.contract_started_on)),
        (t.say("organisation-contract-ended-on"), day(organisation.contract_ended_on)),
        (t.say("organisation-copied-domain"), organisation.copied_domain.clone()),
    ];
    facts.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// Reads a day of a date field; nothing for an empty one.
pub fn parse_day(errors: &mut FieldErrors, field: &'static str, text: &str) -> Option<NaiveDate> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
    // Four figures: both databases keep years beyond that, and no contract has one.
    let day = day.filter(|_| text.len() == "2026-11-23".len());
    if day.is_none() {
        errors.add(field, "error-day");
    }
    day
}

impl InformationForm {
    fn of(organisation: &Organisation) -> Self {
        InformationForm {
            version: organisation.version,
            name: organisation.name.clone(),
            address_lines: organisation.address_lines.clone(),
            postal_code: organisation.postal_code.clone(),
            city: organisation.city.clone(),
            country: organisation.country.clone(),
            vat_number: organisation.vat_number.clone(),
            telephone: organisation.telephone.clone(),
            language: organisation.language.0.code().to_owned(),
            colleagues_see_tickets: organisation.colleagues_see_tickets,
            declines_reference: organisation.declines_reference,
        }
    }

    fn information(&self) -> Result<Information, PageError> {
        Ok(Information {
            name: self.name.clone(),
            address_lines: self.address_lines.clone(),
            postal_code: self.postal_code.clone(),
            city: self.city.clone(),
            country: self.country.clone(),
            vat_number: self.vat_number.clone(),
            telephone: self.telephone.clone(),
            language: Locale::parse(&self.language).ok_or_else(PageError::bad_request)?,
            colleagues_see_tickets: self.colleagues_see_tickets,
            declines_reference: self.declines_reference,
        })
    }

    /// The same for who may only read it; what is empty is left out.
    fn facts(&self, t: &Texts) -> Vec<(String, String)> {
        let yes_or_no = |yes: bool| t.say(if yes { "yes" } else { "no" });
        let facts = [
            (t.say("organisation-name"), self.name.clone()),
            (t.say("organisation-address-lines"), self.address_lines.clone()),
            (t.say("organisation-city"), format!("{} {}", self.postal_code, self.city).trim().to_owned()),
            (t.say("organisation-country"), countries::name(t, &self.country)),
            (t.say("organisation-vat-number"), self.vat_number.clone()),
            (t.say("organisation-telephone"), self.telephone.clone()),
            (t.say("organisation-colleagues-see-tickets"), yes_or_no(self.colleagues_see_tickets)),
            (t.say("organisation-declines-reference"), yes_or_no(self.declines_reference)),
        ];
        facts.into_iter().filter(|(_, value)| !value.is_empty()).collect()
    }
}

impl ContractForm {
    fn of(organisation: &Organisation) -> Self {
        let day = |day: Option<NaiveDate>| day.map(|day| day.to_string()).unwrap_or_default();
        ContractForm {
            version: organisation.version,
            status: organisation.status.as_str().to_owned(),
            contract_started_on: day(organisation.contract_started_on),
            contract_ended_on: day(organisation.contract_ended_on),
            copied_domain: organisation.copied_domain.clone(),
        }
    }

    fn contract(&self) -> Result<Contract> {
        let mut errors = FieldErrors::default();
        let started_on = parse_day(&mut errors, "contract_started_on", &self.contract_started_on);
        let ended_on = parse_day(&mut errors, "contract_ended_on", &self.contract_ended_on);
        let status = OrganisationStatus::parse(&self.status);
        if status.is_none() {
            errors.add("status", "error-mandatory");
        }
        match status {
            Some(status) if errors.is_empty() => Ok(Contract { status, started_on, ended_on }),
            _ => Err(Error::Invalid(errors)),
        }
    }
}

struct Contact {
    name: String,
    job_title: String,
    telephone: String,
    address: String,
}

#[derive(Template)]
#[template(path = "organisation/information.html")]
struct InformationPart {
    p: Page,
    errors: FieldErrors,
    path: String,
    may_manage: bool,
    may_decide: bool,
    is_individual: bool,
    is_operator: bool,
    contact: Option<Contact>,
    typed: InformationForm,
    facts: Vec<(String, String)>,
    countries: Vec<Choice>,
    languages: Vec<Choice>,
    contract: ContractForm,
    statuses: Vec<Choice>,
    contract_facts: Vec<(String, String)>,
}
