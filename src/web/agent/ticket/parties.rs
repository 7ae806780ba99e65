//! Who and what a ticket is about, beside its conversation: the requester, their organisation, where it happens, and who else
//! takes part.

use super::Loaded;
use crate::i18n::{Locale, Texts};
use crate::mail::address::{shown_address, visible};
use crate::people::environments::Environment;
use crate::people::organisations::{Organisation, OrganisationKind, OrganisationStatus};
use crate::people::sites::Site;
use crate::tickets::participants::{Part, ParticipantShown, Standing};
use crate::web::name_marks::name_marks;
use crate::web::page::Choice;

/// Who asks.
pub(super) struct RequesterView {
    pub(super) handle: String,
    pub(super) name: String,
    /// Nothing, if they have none.
    pub(super) address: String,
    /// The keys of what deceives the eye in the name or the address.
    pub(super) marks: Vec<&'static str>,
    /// Where a letter reaches somebody who belongs to no organisation but their own.
    pub(super) postal_address: String,
    pub(super) job_title: String,
    pub(super) telephone: String,
    pub(super) language: String,
}

/// The organisation they ask for.
pub(super) struct OrganisationView {
    pub(super) name: String,
    pub(super) status: String,
    pub(super) city: String,
    pub(super) telephone: String,
}

/// Where it happens: the site and the environment, and what they may be changed to.
pub(super) struct PlaceView {
    pub(super) sites: Vec<Choice>,
    pub(super) environments: Vec<Choice>,
    pub(super) site: Option<Site>,
    pub(super) environment: Option<Environment>,
}

/// Who else takes part.
pub(super) struct ParticipantView {
    pub(super) handle: String,
    pub(super) name: String,
    pub(super) address: String,
    /// The keys of what deceives the eye in the name or the address.
    pub(super) marks: Vec<&'static str>,
    pub(super) is_requester: bool,
    pub(super) is_proposed: bool,
    pub(super) is_suppressed: bool,
}

/// As they stand beside the conversation; what deceives the eye is marked (I-04).
pub(super) fn requester_view(t: &Texts, loaded: &Loaded) -> RequesterView {
    let Loaded { ticket, requester, organisation, .. } = loaded;
    RequesterView {
        handle: requester.handle.clone(),
        name: visible(&requester.display_name()),
        address: visible(shown_address(&requester.address)),
        marks: name_marks(&requester.display_name(), &requester.address),
        postal_address: match organisation.kind {
            OrganisationKind::Individual => organisation.address_lines.lines().collect::<Vec<_>>().join(", "),
            _ => String::new(),
        },
        job_title: requester.job_title.clone(),
        telephone: requester.telephone.clone(),
        language: t.say(language_key(ticket.language.0)),
    }
}

pub(super) fn participant_view(participant: &ParticipantShown) -> ParticipantView {
    ParticipantView {
        handle: participant.handle.clone(),
        name: visible(&participant.name),
        address: visible(shown_address(&participant.address)),
        marks: name_marks(&participant.name, &participant.address),
        is_requester: participant.part == Part::Requester,
        is_proposed: participant.standing == Standing::Proposed,
        is_suppressed: participant.is_suppressed,
    }
}

pub(super) fn organisation_view(t: &Texts, organisation: &Organisation) -> Option<OrganisationView> {
    (organisation.kind != OrganisationKind::Individual).then(|| OrganisationView {
        name: organisation.name.clone(),
        status: t.say(relation_key(organisation.status)),
        city: organisation.city.clone(),
        telephone: organisation.telephone.clone(),
    })
}

pub(super) fn place_view(loaded: &Loaded) -> Option<PlaceView> {
    if loaded.sites.is_empty() && loaded.environments.is_empty() {
        return None;
    }
    let site = loaded.sites.iter().find(|site| Some(site.id) == loaded.ticket.site_id);
    let environment = loaded.environments.iter().find(|known| Some(known.id) == loaded.ticket.environment_id);
    Some(PlaceView {
        sites: Choice::list(
            loaded.sites.iter().map(|site| (site.handle.clone(), site.name.clone())),
            site.map_or("", |site| &site.handle),
        ),
        environments: Choice::list(
            loaded.environments.iter().map(|known| (known.handle.clone(), known.name.clone())),
            environment.map_or("", |known| &known.handle),
        ),
        site: site.cloned(),
        environment: environment.cloned(),
    })
}

fn relation_key(status: OrganisationStatus) -> &'static str {
    match status {
        OrganisationStatus::Prospect => "relation-prospect",
        OrganisationStatus::Customer => "relation-customer",
        OrganisationStatus::Former => "relation-former",
    }
}

fn language_key(locale: Locale) -> &'static str {
    match locale {
        Locale::Fr => "ticket-language-fr",
        Locale::En => "ticket-language-en",
    }
}
