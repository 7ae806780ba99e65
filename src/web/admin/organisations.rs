//! The list of organisations, and registering one with its contact person (E1).

use actix_web::http::StatusCode;
use actix_web::web::{Data, Query};
use askama::Template;
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::db::paging::PAGE_SIZE;
use crate::error::{Error, FieldErrors};
use crate::i18n::{Locale, Texts};
use crate::mail::address::EmailAddress;
use crate::people::countries;
use crate::people::fields;
use crate::people::invitations;
use crate::people::memberships::Rights;
use crate::people::organisations::{self, Contract, Filter, Information, OrganisationKind, OrganisationStatus};
use crate::people::person::{self, NewPerson, Origin};
use crate::people::roles::Permission;
use crate::web::forms::Form;
use crate::web::navigation::Place;
use crate::web::organisation::business;
use crate::web::organisation::information::{languages, parse_day, statuses};
use crate::web::page::{Choice, Crumb, Page, Tone};
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::{page, page_with, redirect_saying};
use crate::web::signed_in::Staff;

/// What the list is narrowed to, and where it begins.
#[derive(Debug, Default, Deserialize, Serialize)]
pub struct ListQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

/// The form by which a company is registered.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrationForm {
    name: String,
    address_lines: String,
    postal_code: String,
    city: String,
    country: String,
    vat_number: String,
    telephone: String,
    language: String,
    status: String,
    contract_started_on: String,
    contract_ended_on: String,
    #[serde(default)]
    colleagues_see_tickets: bool,
    contact_first_name: String,
    contact_last_name: String,
    contact_address: String,
    contact_telephone: String,
    #[serde(default)]
    send_invitation: bool,
}

/// `GET /admin/organisations`
pub async fn list(app: Data<App>, staff: Staff, query: Query<ListQuery>) -> PageResult {
    staff.require(Permission::ManagePeople)?;
    let query = query.into_inner();
    let filter = query.filter()?;
    let after = query.after.clone();
    let found = app.database.read(move |db| organisations::list(db, &filter, after.as_deref(), PAGE_SIZE)).await?;
    let p = staff.page(&app, "organisations-title", Place::Organisations);
    let rows = found
        .rows
        .into_iter()
        .map(|organisation| {
            let (tone, status) = business(&p.t, organisation.kind, organisation.status);
            Row {
                href: format!("/organisations/{}", organisation.handle),
                place: [organisation.city, countries::name(&p.t, &organisation.country)]
                    .into_iter()
                    .filter(|part| !part.is_empty())
                    .collect::<Vec<_>>()
                    .join(", "),
                name: organisation.name,
                kind: p.t.say(&format!("organisation-kind-{}", organisation.kind)),
                tone,
                status,
            }
        })
        .collect();
    let statuses = statuses(&p.t, &query.status);
    let kinds = kinds(&p.t, &query.kind);
    let is_narrowed = !query.q.is_empty() || !query.status.is_empty() || !query.kind.is_empty();
    page(&ListPage {
        errors: FieldErrors::default(),
        rows,
        statuses,
        kinds,
        is_narrowed,
        first: query.after.is_some().then(|| query.href(None)),
        next: found.next.map(|after| query.href(Some(after))),
        q: query.q,
        p,
    })
}

/// `GET /admin/organisations/new`
pub async fn new(app: Data<App>, staff: Staff) -> PageResult {
    staff.require(Permission::ManagePeople)?;
    let typed = RegistrationForm {
        language: staff.texts().locale.code().to_owned(),
        status: OrganisationStatus::Customer.as_str().to_owned(),
        send_invitation: true,
        ..RegistrationForm::default()
    };
    form_page(&app, &staff, typed, FieldErrors::default(), StatusCode::OK)
}

/// `POST /admin/organisations`
pub async fn create(app: Data<App>, staff: Staff, Form(form): Form<RegistrationForm>) -> PageResult {
    staff.require(Permission::ManagePeople)?;
    let (by, now) = (staff.signed_in.person.id, app.clock.now());
    let registration = match form.check() {
        Ok(registration) => registration,
        Err(errors) => return form_page(&app, &staff, form, errors, StatusCode::UNPROCESSABLE_ENTITY),
    };
    let send_invitation = form.send_invitation;
    let outcome = app
        .database
        .write(move |db| {
            let (information, contract, contact) = &registration;
            let organisation = organisations::create(db, information, *contract, Some(by), now)?;
            let known = person::find_by_address(db, &contact.address)?;
            if known.is_some() {
                return Err(Error::invalid("contact_address", "error-address-taken"));
            }
            let person = person::create(db, contact, Some((organisation.id, Rights::ALL)), Some(by), now)?;
            if send_invitation {
                invitations::invite(db, person.id, by, now)?;
            }
            Ok(organisation.handle)
        })
        .await;
    match outcome {
        Ok(handle) => Ok(redirect_saying(&format!("/organisations/{handle}"), "said-organisation-added")),
        Err(Error::Invalid(errors)) => form_page(&app, &staff, form, errors, StatusCode::UNPROCESSABLE_ENTITY),
        Err(error) => Err(error.into()),
    }
}

fn form_page(app: &App, staff: &Staff, typed: RegistrationForm, errors: FieldErrors, status: StatusCode) -> PageResult {
    let p = staff.page(app, "organisation-new", Place::Organisations);
    let template = NewPage {
        errors,
        crumbs: vec![Crumb::new(p.t.say("nav-organisations"), "/admin/organisations")],
        countries: Choice::list(countries::all(&p.t), &typed.country),
        languages: languages(&p.t, &typed.language),
        statuses: statuses(&p.t, &typed.status),
        typed,
        p,
    };
    page_with(&template, status)
}

fn kinds(t: &Texts, selected: &str) -> Vec<Choice> {
    let pairs = OrganisationKind::ALL.iter().map(|kind| (kind.as_str(), t.say(&format!("organisation-kind-{kind}"))));
    Choice::list(pairs, selected)
}

impl ListQuery {
    /// The filter as closed values; a status or kind that does not exist is no list (ADV-23).
    fn filter(&self) -> Result<Filter, PageError> {
        let status = match self.status.as_str() {
            "" => None,
            text => Some(OrganisationStatus::parse(text).ok_or_else(PageError::bad_request)?),
        };
        let kind = match self.kind.as_str() {
            "" => None,
            text => Some(OrganisationKind::parse(text).ok_or_else(PageError::bad_request)?),
        };
        Ok(Filter { name: self.q.clone(), status, kind })
    }

    fn href(&self, after: Option<String>) -> String {
        let query = ListQuery { q: self.q.clone(), status: self.status.clone(), kind: self.kind.clone(), after };
        // Strings always can be written as a query.
        format!("/admin/organisations?{}", serde_html_form::to_string(&query).unwrap_or_default())
    }
}

impl RegistrationForm {
    /// The company, its contract and its contact, or everything that is wrong with any of them.
    fn check(&self) -> Result<(Information, Contract, NewPerson), FieldErrors> {
        let mut errors = FieldErrors::default();
        let language = Locale::parse(&self.language).unwrap_or_default();
        let information = Information {
            name: self.name.clone(),
            address_lines: self.address_lines.clone(),
            postal_code: self.postal_code.clone(),
            city: self.city.clone(),
            country: self.country.clone(),
            vat_number: self.vat_number.clone(),
            telephone: self.telephone.clone(),
            language,
            colleagues_see_tickets: self.colleagues_see_tickets,
            declines_reference: false,
        };
        let information = information.check(&mut errors);
        let contract = Contract {
            status: OrganisationStatus::parse(&self.status).unwrap_or(OrganisationStatus::Prospect),
            started_on: parse_day(&mut errors, "contract_started_on", &self.contract_started_on),
            ended_on: parse_day(&mut errors, "contract_ended_on", &self.contract_ended_on),
        };
        let longest = fields::NAME_LENGTH;
        let first_name = fields::mandatory_line(&mut errors, "contact_first_name", &self.contact_first_name, longest);
        let last_name = fields::mandatory_line(&mut errors, "contact_last_name", &self.contact_last_name, longest);
        let telephone = fields::telephone(&mut errors, "contact_telephone", &self.contact_telephone);
        if telephone.is_empty() {
            errors.add("contact_telephone", "error-mandatory");
        }
        let typed = self.contact_address.trim();
        let address = EmailAddress::of_somebody(typed);
        if address.is_none() {
            errors.add("contact_address", if typed.is_empty() { "error-mandatory" } else { "error-address" });
        }
        match address {
            Some(address) if errors.is_empty() => {
                let contact =
                    NewPerson { first_name, last_name, telephone, ..NewPerson::at(address, language, Origin::Staff) };
                Ok((information, contract, contact))
            }
            _ => Err(errors),
        }
    }
}

struct Row {
    href: String,
    name: String,
    place: String,
    kind: String,
    tone: Tone,
    status: String,
}

#[derive(Template)]
#[template(path = "admin/organisations.html")]
struct ListPage {
    p: Page,
    errors: FieldErrors,
    q: String,
    statuses: Vec<Choice>,
    kinds: Vec<Choice>,
    is_narrowed: bool,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
}

#[derive(Template)]
#[template(path = "admin/organisation_new.html")]
struct NewPage {
    p: Page,
    errors: FieldErrors,
    crumbs: Vec<Crumb>,
    countries: Vec<Choice>,
    languages: Vec<Choice>,
    statuses: Vec<Choice>,
    typed: RegistrationForm,
}
