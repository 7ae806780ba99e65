//! Queues: each of a kind, with a name in each language and a place in the order in which they are shown.

use diesel::prelude::*;

use crate::clock::UtcTime;
use crate::db::DbConnection;
use crate::db::one_text::one_text;
use crate::db::schema::queues;
use crate::db::types::{QueueId, text_enum};
use crate::error::{FieldErrors, Result};
use crate::i18n::Locale;
use crate::people::fields;
use crate::secret::random_handle;

text_enum! {
    /// What the tickets of a queue are about. Privacy and interventions have rules of their own.
    pub enum QueueKind {
        Support = "support",
        Sales = "sales",
        General = "general",
        Billing = "billing",
        Complaint = "complaint",
        Privacy = "privacy",
        Intervention = "intervention",
    }
}

/// A queue as it stands in the database.
#[derive(Clone, Debug, PartialEq, Eq, Queryable)]
pub struct Queue {
    pub id: QueueId,
    pub handle: String,
    pub kind: QueueKind,
    pub name_fr: String,
    pub name_en: String,
    /// Whether it is offered on the public form.
    pub on_form: bool,
    pub position: i32,
}

impl Queue {
    /// The name in the reader's language.
    pub fn name(&self, locale: Locale) -> &str {
        match locale {
            Locale::Fr => &self.name_fr,
            Locale::En => &self.name_en,
        }
    }
}

/// What an administrator decides about a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueDescription {
    pub kind: QueueKind,
    pub name_fr: String,
    pub name_en: String,
    pub on_form: bool,
}

impl QueueDescription {
    fn check(&self, errors: &mut FieldErrors) -> QueueDescription {
        QueueDescription {
            name_fr: fields::mandatory_line(errors, "name_fr", &self.name_fr, fields::NAME_LENGTH),
            name_en: fields::mandatory_line(errors, "name_en", &self.name_en, fields::NAME_LENGTH),
            ..self.clone()
        }
    }
}

type Columns =
    (queues::id, queues::handle, queues::kind, queues::name_fr, queues::name_en, queues::on_form, queues::position);

const COLUMNS: Columns =
    (queues::id, queues::handle, queues::kind, queues::name_fr, queues::name_en, queues::on_form, queues::position);

/// Every queue in its order.
pub fn all(db: &mut DbConnection) -> Result<Vec<Queue>> {
    Ok(one_text!(queues::table.order((queues::position, queues::id)).select(COLUMNS)).load(db)?)
}

/// The queues offered on the public form, in their order.
pub fn on_form(db: &mut DbConnection) -> Result<Vec<Queue>> {
    Ok(one_text!(queues::table.filter(queues::on_form.eq(true)).order((queues::position, queues::id)).select(COLUMNS))
        .load(db)?)
}

/// The queue of that id; ids come from the database, so a missing one is a fault.
pub fn by_id(db: &mut DbConnection, id: QueueId) -> Result<Queue> {
    Ok(one_text!(queues::table.find(id).select(COLUMNS)).first(db)?)
}

/// The queue with that public name.
pub fn find_by_handle(db: &mut DbConnection, handle: &str) -> Result<Option<Queue>> {
    Ok(one_text!(queues::table.filter(queues::handle.eq(handle)).select(COLUMNS)).first(db).optional()?)
}

/// The first queue of a kind.
pub fn find_by_kind(db: &mut DbConnection, kind: QueueKind) -> Result<Option<Queue>> {
    Ok(one_text!(queues::table.filter(queues::kind.eq(kind)).order((queues::position, queues::id)).select(COLUMNS))
        .first(db)
        .optional()?)
}

/// The queue that somebody names: by its kind, the first of it, or by its handle.
pub fn find_by_name(db: &mut DbConnection, name: &str) -> Result<Option<Queue>> {
    match QueueKind::parse(name) {
        Some(kind) => find_by_kind(db, kind),
        None => find_by_handle(db, name),
    }
}

/// Adds a queue at the end of the order.
pub fn create(db: &mut DbConnection, description: &QueueDescription, now: UtcTime) -> Result<Queue> {
    let mut errors = FieldErrors::default();
    let description = description.check(&mut errors);
    errors.into_result()?;
    let last: Option<i32> =
        queues::table.order(queues::position.desc()).select(queues::position).first(db).optional()?;
    Ok(diesel::insert_into(queues::table)
        .values((
            queues::handle.eq(random_handle()),
            queues::kind.eq(description.kind),
            queues::name_fr.eq(description.name_fr),
            queues::name_en.eq(description.name_en),
            queues::on_form.eq(description.on_form),
            queues::position.eq(last.map_or(1, |last| last.saturating_add(1))),
            queues::created_at.eq(now),
            queues::updated_at.eq(now),
        ))
        .returning(COLUMNS)
        .get_result(db)?)
}

/// Describes a queue anew.
pub fn update(db: &mut DbConnection, queue: &Queue, description: &QueueDescription, now: UtcTime) -> Result<()> {
    let mut errors = FieldErrors::default();
    let description = description.check(&mut errors);
    errors.into_result()?;
    diesel::update(queues::table.find(queue.id))
        .set((
            queues::kind.eq(description.kind),
            queues::name_fr.eq(description.name_fr),
            queues::name_en.eq(description.name_en),
            queues::on_form.eq(description.on_form),
            queues::updated_at.eq(now),
        ))
        .execute(db)?;
    Ok(())
}

/// Moves a queue one place towards the beginning of the order; the first stays where it is.
pub fn move_up(db: &mut DbConnection, queue: &Queue, now: UtcTime) -> Result<()> {
    let mut order: Vec<QueueId> = queues::table.order((queues::position, queues::id)).select(queues::id).load(db)?;
    if let Some(place) = order.iter().position(|id| *id == queue.id)
        && place > 0
    {
        order.swap(place - 1, place);
    }
    for (place, id) in (1_i32..).zip(order) {
        diesel::update(queues::table.find(id).filter(queues::position.ne(place)))
            .set((queues::position.eq(place), queues::updated_at.eq(now)))
            .execute(db)?;
    }
    Ok(())
}
