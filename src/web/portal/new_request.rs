//! Filing a request: on one page without an account, where the answer tells nothing about who has the address, and signed
//! in, with organisation, site and environment to choose from.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::web::{Data, Query};
use askama::Template;
use serde::Deserialize;

use super::filing::{ask_for_files_again, context, ip_address, needs_new_key, store};
use super::home::redirect_signed_in;
use crate::access::Actor;
use crate::app::App;
use crate::db::DbConnection;
use crate::db::types::PersonId;
use crate::error::{Error, FieldErrors, Result};
use crate::i18n::Locale;
use crate::intake::from_form::{self, CustomerRequest, StrangerRequest};
use crate::people::memberships::{self, Belonging};
use crate::people::organisations::{self, OrganisationKind};
use crate::people::{environments, sites};
use crate::secret::random_handle;
use crate::teams::queues::{self, QueueKind};
use crate::tickets::TicketReference;
use crate::web::forms::Upload;
use crate::web::navigation::Place;
use crate::web::page::{Choice, Page};
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::{page, page_with, redirect, redirect_saying};
use crate::web::signed_in::{SignedIn, Visitor};

/// What stands above these fields here, where agents call them otherwise.
const CALLED_HERE: &[(&str, &str)] = &[("queue", "request-field-kind"), ("text", "request-field-text")];

/// The form without an account.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StrangerForm {
    name: String,
    email: String,
    queue: String,
    site: String,
    subject: String,
    text: String,
    key: String,
    time_zone: String,
}

/// `GET /{lang}/requests/new`
pub async fn new_as_stranger(app: Data<App>, visitor: Visitor) -> PageResult {
    if let Some(elsewhere) = redirect_signed_in(&visitor, "/requests/new", "/tickets/new") {
        return Ok(elsewhere);
    }
    stranger_page(&app, &visitor, StrangerForm::default(), FieldErrors::default(), StatusCode::OK).await
}

/// `POST /{lang}/requests`
pub async fn create_as_stranger(
    app: Data<App>,
    request: HttpRequest,
    visitor: Visitor,
    upload: Upload<StrangerForm>,
) -> PageResult {
    let Upload { form, files } = upload;
    let (now, locale) = (app.clock.now(), visitor.locale);
    let ip = ip_address(&request, &app);
    // Before anything is stored: a flood must not fill the disk.
    let asked_from = ip.clone();
    if !app.database.read(move |db| from_form::takes_from(db, &asked_from, now)).await? {
        return Err(Error::TooMany { retry_after_secs: 600 }.into());
    }
    let had_files = !files.is_empty();
    let filed = StrangerRequest {
        name: form.name.clone(),
        email: form.email.clone(),
        queue: form.queue.clone(),
        site: form.site.clone(),
        subject: form.subject.clone(),
        text: form.text.clone(),
        files: store(&app, files).await?,
        context: context(&request, &app, &format!("/{locale}/requests/new"), &form.time_zone),
        locale,
        key: form.key.clone(),
    };
    match app.database.write(move |db| from_form::file_as_stranger(db, &filed, &ip, now)).await {
        Ok(reference) => Ok(redirect(&format!("/{locale}/requests/thanks?reference={reference}"))),
        Err(Error::Invalid(mut errors)) => {
            ask_for_files_again(&mut errors, had_files);
            stranger_page(&app, &visitor, form, errors, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(error) => Err(error.into()),
    }
}

/// What the page of thanks may be told.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ThanksQuery {
    reference: String,
}

/// `GET /{lang}/requests/thanks`: the same for every address.
pub async fn thanks(app: Data<App>, visitor: Visitor, Query(query): Query<ThanksQuery>) -> PageResult {
    let reference = TicketReference::parse(&query.reference).map(|reference| reference.as_str().to_owned());
    let locale = visitor.locale.code();
    page(&ThanksPage { p: visitor.page(&app, "thanks-title", Place::NewRequest), locale, reference })
}

async fn stranger_page(
    app: &Data<App>,
    visitor: &Visitor,
    mut form: StrangerForm,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    if form.key.is_empty() || needs_new_key(&errors) {
        form.key = random_handle();
    }
    let (locale, chosen) = (visitor.locale, form.queue.clone());
    let (queues, has_interventions) = app.database.read(move |db| queue_choices(db, locale, &chosen)).await?;
    let p = visitor.page(app, "new-request-title", Place::NewRequest);
    let errors = errors.called(CALLED_HERE);
    page_with(&StrangerPage { p, errors, locale: locale.code(), typed: form, queues, has_interventions }, status)
}

#[derive(Template)]
#[template(path = "portal/new_request_stranger.html")]
struct StrangerPage {
    p: Page,
    errors: FieldErrors,
    locale: &'static str,
    typed: StrangerForm,
    queues: Vec<Choice>,
    has_interventions: bool,
}

#[derive(Template)]
#[template(path = "portal/thanks.html")]
struct ThanksPage {
    p: Page,
    locale: &'static str,
    reference: Option<String>,
}

/// The form of somebody signed in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CustomerForm {
    organisation: String,
    queue: String,
    site: String,
    environment: String,
    /// `shared` or `private`.
    visibility: String,
    subject: String,
    text: String,
    key: String,
    time_zone: String,
}

/// `GET /requests/new`
pub async fn new_as_customer(app: Data<App>, reader: SignedIn) -> PageResult {
    require_customer(&reader)?;
    customer_page(&app, &reader, CustomerForm::default(), FieldErrors::default(), StatusCode::OK).await
}

/// `POST /requests`
pub async fn create_as_customer(
    app: Data<App>,
    request: HttpRequest,
    reader: SignedIn,
    upload: Upload<CustomerForm>,
) -> PageResult {
    require_customer(&reader)?;
    let Upload { form, files } = upload;
    let now = app.clock.now();
    let had_files = !files.is_empty();
    let filed = CustomerRequest {
        organisation: form.organisation.clone(),
        queue: form.queue.clone(),
        site: form.site.clone(),
        environment: form.environment.clone(),
        is_private: form.visibility == "private",
        subject: form.subject.clone(),
        text: form.text.clone(),
        files: store(&app, files).await?,
        context: context(&request, &app, "/requests/new", &form.time_zone),
        key: form.key.clone(),
    };
    let (person, customer) = (reader.person.clone(), reader.customer()?.clone());
    match app.database.write(move |db| from_form::file_as_customer(db, &filed, &person, &customer, now)).await {
        Ok(reference) => Ok(redirect_saying(&format!("/requests/{reference}"), "said-request-filed")),
        Err(Error::Invalid(mut errors)) => {
            ask_for_files_again(&mut errors, had_files);
            customer_page(&app, &reader, form, errors, StatusCode::UNPROCESSABLE_ENTITY).await
        }
        Err(error) => Err(error.into()),
    }
}

/// Staff enter what customers tell them on a page of their own.
fn require_customer(reader: &SignedIn) -> Result<(), PageError> {
    match reader.actor {
        Actor::Customer(_) => Ok(()),
        _ => Err(PageError::Elsewhere("/tickets/new".to_owned())),
    }
}

async fn customer_page(
    app: &Data<App>,
    reader: &SignedIn,
    mut form: CustomerForm,
    errors: FieldErrors,
    status: StatusCode,
) -> PageResult {
    if form.key.is_empty() || needs_new_key(&errors) {
        form.key = random_handle();
    }
    let (person, locale, typed) = (reader.person.id, reader.texts().locale, form.clone());
    let choices = app.database.read(move |db| choices(db, person, locale, &typed)).await?;
    let p = reader.page(app, "new-request-title", Place::NewRequest);
    let visibility = [("shared", "visibility-shared"), ("private", "visibility-private")].map(|(value, key)| Choice {
        value: value.to_owned(),
        label: p.t.say(key),
        hint: p.t.say(&format!("{key}-hint")),
        selected: value == if form.visibility == "private" { "private" } else { "shared" },
    });
    let errors = errors.called(CALLED_HERE);
    page_with(&CustomerPage { p, errors, typed: form, choices, visibility: visibility.into() }, status)
}

/// What somebody signed in can choose from.
struct Choices {
    /// Empty when there is nothing to choose.
    organisations: Vec<Choice>,
    queues: Vec<Choice>,
    has_interventions: bool,
    sites: Vec<Choice>,
    environments: Vec<Choice>,
    /// Whether colleagues see what is not private.
    has_colleagues: bool,
}

fn choices(db: &mut DbConnection, person: PersonId, locale: Locale, form: &CustomerForm) -> Result<Choices> {
    let belongings = memberships::belongings(db, person)?;
    let companies: Vec<&Belonging> =
        belongings.iter().filter(|belonging| belonging.kind == OrganisationKind::Company).collect();
    let several = companies.len() > 1;
    let mut choices = Choices {
        organisations: Vec::new(),
        queues: Vec::new(),
        has_interventions: false,
        sites: Vec::new(),
        environments: Vec::new(),
        has_colleagues: false,
    };
    if several {
        let named = companies.iter().map(|company| (&*company.organisation_handle, &*company.organisation_name));
        choices.organisations = Choice::list(named, &form.organisation);
    }
    let own = if companies.is_empty() { belongings.iter().collect() } else { companies };
    for belonging in own {
        let Some(organisation) = organisations::find_by_handle(db, &belonging.organisation_handle)? else { continue };
        let label = |name: String| if several { format!("{} · {name}", organisation.name) } else { name };
        choices.has_colleagues |= organisation.kind == OrganisationKind::Company && organisation.colleagues_see_tickets;
        let sites = sites::of_organisation(db, organisation.id)?;
        choices.sites.extend(Choice::list(sites.into_iter().map(|site| (site.handle, label(site.name))), &form.site));
        let environments = environments::of_organisation(db, organisation.id)?;
        let named = environments.into_iter().map(|environment| (environment.handle, label(environment.name)));
        choices.environments.extend(Choice::list(named, &form.environment));
    }
    (choices.queues, choices.has_interventions) = queue_choices(db, locale, &form.queue)?;
    Ok(choices)
}

/// The kinds of request, and whether one of them needs a site (E3).
fn queue_choices(db: &mut DbConnection, locale: Locale, chosen: &str) -> Result<(Vec<Choice>, bool)> {
    let queues = queues::on_form(db)?;
    let has_interventions = queues.iter().any(|queue| queue.kind == QueueKind::Intervention);
    let mut choices = Choice::list(queues.iter().map(|queue| (queue.handle.as_str(), queue.name(locale))), chosen);
    if let [only] = choices.as_mut_slice() {
        only.selected = true;
    }
    Ok((choices, has_interventions))
}

#[derive(Template)]
#[template(path = "portal/new_request.html")]
struct CustomerPage {
    p: Page,
    errors: FieldErrors,
    typed: CustomerForm,
    choices: Choices,
    visibility: Vec<Choice>,
}

impl CustomerPage {
    fn site_hint(&self) -> String {
        self.p.t.say(if self.choices.sites.is_empty() { "request-why-site-none" } else { "request-why-site" })
    }
}

impl StrangerPage {
    fn home(&self) -> String {
        format!("/{}", self.locale)
    }
}
