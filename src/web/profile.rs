//! Somebody's profile as a form: what they say of themselves, and what staff fill in for them.

use serde::Deserialize;

use crate::i18n::Locale;
use crate::people::Person;
use crate::people::person::{Profile, Theme};
use crate::web::page::Choice;
use crate::web::page_error::PageError;

/// The form of a profile.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileForm {
    pub version: i64,
    pub first_name: String,
    pub last_name: String,
    pub job_title: String,
    pub telephone: String,
    pub language: String,
    pub time_zone: String,
    /// This one and the next stand in one's own form only.
    pub theme: Option<Theme>,
    pub mailed_about_tickets: Option<bool>,
}

impl ProfileForm {
    /// Filled in with what is known of `person`.
    pub fn of(person: &Person) -> ProfileForm {
        ProfileForm {
            version: person.version,
            first_name: person.first_name.clone(),
            last_name: person.last_name.clone(),
            job_title: person.job_title.clone(),
            telephone: person.telephone.clone(),
            language: person.language.0.code().to_owned(),
            time_zone: person.time_zone.clone(),
            theme: Some(person.theme),
            mailed_about_tickets: Some(person.mailed_about_tickets),
        }
    }

    /// What somebody wants their own profile to be. A box that is not ticked is not sent.
    pub fn own(&self) -> Result<Profile, PageError> {
        let theme = self.theme.ok_or_else(PageError::bad_request)?;
        self.with(theme, self.mailed_about_tickets.unwrap_or_default())
    }

    /// What staff want the profile of somebody else to be. How pages look to them, and whether they want mails, is theirs
    /// to say, and is left for the caller to fill in.
    pub fn for_other(&self) -> Result<Profile, PageError> {
        if self.theme.is_some() || self.mailed_about_tickets.is_some() {
            return Err(PageError::bad_request());
        }
        self.with(Theme::System, false)
    }

    fn with(&self, theme: Theme, mailed_about_tickets: bool) -> Result<Profile, PageError> {
        Ok(Profile {
            first_name: self.first_name.clone(),
            last_name: self.last_name.clone(),
            job_title: self.job_title.clone(),
            telephone: self.telephone.clone(),
            language: exact_locale(&self.language)?,
            time_zone: self.time_zone.clone(),
            theme,
            mailed_about_tickets,
        })
    }
}

/// The language that a form names.
pub fn exact_locale(code: &str) -> Result<Locale, PageError> {
    Locale::ALL.into_iter().find(|locale| locale.code() == code).ok_or_else(PageError::bad_request)
}

/// The zones of places; the rest of the list are older names of the same.
pub fn time_zones(selected: &str) -> Vec<Choice> {
    const CONTINENTS: [&str; 9] =
        ["Africa/", "America/", "Antarctica/", "Asia/", "Atlantic/", "Australia/", "Europe/", "Indian/", "Pacific/"];
    let zones = chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name());
    let shown = zones.filter(|name| {
        *name == selected || *name == "UTC" || CONTINENTS.iter().any(|continent| name.starts_with(continent))
    });
    Choice::list(shown.map(|name| (name, name.replace('_', " "))), selected)
}
