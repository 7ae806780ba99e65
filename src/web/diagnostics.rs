//! What was captured with a consent, to agents and to customers alike: how much, who looked at it, and on request, which
//! is put on record, the records themselves: arranged by trace, added up, as they come, or as files. Opening a page reads
//! no record; reading is always a form of ours that was sent.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use serde::Deserialize;
use tokio::time::timeout;

use crate::access::{Actor, CustomerActor};
use crate::app::App;
use crate::clock::UtcTime;
use crate::consent::wording::{component_key, level_key};
use crate::consent::{Component, ConsentRequest, Grant, Level as Closeness, asking};
use crate::db::DbConnection;
use crate::db::types::PersonId;
use crate::diagnostics::catalogue::Level;
use crate::diagnostics::seats::{Full, Seat, Seats};
use crate::diagnostics::viewing::{self, Asked, Cursor, Form as Whole, Overview, Shown};
use crate::error::{Error, FieldErrors, Result};
use crate::mail::address::visible;
use crate::people::directory;
use crate::web::page::{Choice, Crumb, Page};
use crate::web::page_error::{PageError, PageResult};
use crate::web::respond::page;

pub mod downloads;
pub mod flame;
pub mod live;
pub mod looks;
mod records;
mod waterfall;

use flame::FlameView;
use waterfall::{ItemView, StepView};

/// How long a search waits for the reader's search before it.
const PATIENCE: Duration = Duration::from_secs(5);
/// Looks listed, before those that belong together are drawn together.
const READINGS: i64 = 1_000;

/// Finds the grant of a page for whoever asked, or refuses them.
pub type Find = Arc<dyn Fn(&mut DbConnection) -> Result<Grant> + Send + Sync>;

/// What somebody wants to see.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReadingForm {
    text: String,
    level: String,
    component: String,
    reason: String,
    chunk: i64,
    record: usize,
}

impl ReadingForm {
    fn asked(&self) -> Asked {
        Asked {
            from: Cursor { chunk: self.chunk, record: self.record },
            text: self.text.trim().to_owned(),
            level: Level::parse(&self.level),
            component: Component::parse(&self.component),
            reason: self.reason.clone(),
        }
    }
}

/// A form in which everything is read at once.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WholeForm {
    form: String,
    reason: String,
}

/// Whose page it is, which says where its forms go.
#[derive(Clone, Debug)]
pub enum Side {
    Agent { reference: String, handle: String },
    Customer { handle: String },
}

impl Side {
    /// The consent's page; what belongs to the capture lies below it.
    fn base(&self) -> String {
        match self {
            Side::Agent { reference, handle } => format!("/tickets/{reference}/consents/{handle}"),
            Side::Customer { handle } => format!("/consents/{handle}"),
        }
    }
}

/// What a page shows of a grant.
pub struct Loaded {
    grant: Grant,
    request: ConsentRequest,
    overview: Overview,
    names: Vec<(PersonId, String)>,
    shown: Shows,
}

/// What is shown besides what everybody who knows of the consent sees.
enum Shows {
    Nothing,
    Records(Shown),
    Flame(crate::diagnostics::flame::Flame),
}

/// Loads what may be seen without it being a look.
pub fn load(db: &mut DbConnection, grant: Grant, reader: &Actor, now: UtcTime) -> Result<Loaded> {
    let overview = viewing::overview(db, &grant, reader, READINGS, now)?;
    let readers: Vec<PersonId> = overview.readings.iter().map(|reading| reading.reader).collect();
    let names = directory::names(db, &readers)?.into_iter().map(|(person, _, name)| (person, visible(&name)));
    let request = asking::by_id(db, grant.request_id)?;
    Ok(Loaded { grant, request, overview, names: names.collect(), shown: Shows::Nothing })
}

/// Looks: the records that `form` asks for, of the grant that `find` finds for `reader`. The look is on record before
/// this returns. When there is nothing left to read, that is what is shown.
pub async fn read(app: &App, reader: Actor, form: ReadingForm, find: Find) -> Result<Loaded, PageError> {
    let shown = match look(app, &reader, form, &find).await {
        Ok(shown) => Shows::Records(shown),
        Err(PageError::Domain(Error::Conflict(_))) => Shows::Nothing,
        Err(error) => return Err(error),
    };
    Ok(Loaded { shown, ..load_now(app, reader, find).await? })
}

/// Looks through what was captured beside everybody's changes, which go on meanwhile; puts that on record in a change of
/// its own, if the reader may still look and it is still there; and only then gives what was found.
async fn look(app: &App, reader: &Actor, form: ReadingForm, find: &Find) -> Result<Shown, PageError> {
    let seat = search_seat(app, reader).await?;
    let (keys, now, by, first) = (app.keys.clone(), app.clock.now(), reader.clone(), find.clone());
    let (unseen, note, seat) = app
        .database
        .read(move |db| {
            let grant = first(db)?;
            let (unseen, note) = viewing::look(db, &keys, &grant, &by, &form.asked(), now)?;
            // It was held here: whoever goes away meanwhile has it until the work is done.
            Ok((unseen, note, seat))
        })
        .await?;
    let (clock, again) = (app.clock.clone(), find.clone());
    let on_record = app
        .database
        .write(move |db| {
            again(db)?;
            note.write(db, &clock)
        })
        .await?;
    drop(seat);
    Ok(unseen.open(on_record))
}

/// The reader's turn to search; each has one search under way at a time, and waits a moment for the one before.
async fn search_seat(app: &App, reader: &Actor) -> Result<Seat, PageError> {
    let person = reader.person().ok_or(Error::Forbidden)?;
    match timeout(PATIENCE, app.looking.searches.wait(person)).await {
        Ok(Ok(seat)) => Ok(seat),
        _ => Err(PageError::under_way("diagnostics-searching")),
    }
}

/// A seat for the reader, if they have one left; `enough` says what they have too much of under way.
fn seat(seats: &Seats<PersonId>, reader: &Actor, enough: &'static str) -> Result<Seat, PageError> {
    let person = reader.person().ok_or(Error::Forbidden)?;
    seats.take(person).map_err(|full| match full {
        Full::OfOne => PageError::under_way(enough),
        Full::OfAll => Error::Busy.into(),
    })
}

/// Looks at everything, added up.
pub async fn add_up(app: &App, reader: Actor, form: WholeForm, find: Find) -> Result<Loaded, PageError> {
    if Whole::parse(&form.form) != Some(Whole::Flame) {
        return Err(Error::NotFound.into());
    }
    let shown = match downloads::begin(app, &reader, &form, &find).await {
        Ok((leave, seat)) => Shows::Flame(flame::of(app, leave, seat).await?),
        Err(PageError::Domain(Error::Conflict(_))) => Shows::Nothing,
        Err(error) => return Err(error),
    };
    Ok(Loaded { shown, ..load_now(app, reader, find).await? })
}

/// What stands around what is shown, as it is now.
async fn load_now(app: &App, reader: Actor, find: Find) -> Result<Loaded> {
    let now = app.clock.now();
    app.database
        .read(move |db| {
            let grant = find(db)?;
            load(db, grant, &reader, now)
        })
        .await
}

struct RecordsView {
    base: String,
    may_read: bool,
    may_export: bool,
    asks_reason: bool,
    is_readable: bool,
    is_live: bool,
    /// The last chunk there is, after which comes what is new.
    last: i64,
    /// The number of the newest look that the page shows.
    newest: i64,
    levels: Vec<Choice>,
    components: Vec<Choice>,
    typed: ReadingForm,
    items: Option<Vec<ItemView>>,
    next: Option<Cursor>,
    flame: Option<FlameView>,
}

/// The middle of both pages.
#[derive(Template)]
#[template(path = "layout/diagnostics.html")]
struct Middle<'a> {
    p: &'a Page,
    errors: &'a FieldErrors,
    d: RecordsView,
    /// What renews itself while the page is open.
    looks: String,
}

#[derive(Template)]
#[template(path = "agent/diagnostics.html")]
struct AgentPage {
    p: Page,
    crumbs: Vec<Crumb>,
    reference: String,
    middle: String,
}

#[derive(Template)]
#[template(path = "portal/diagnostics.html")]
struct CustomerPage {
    p: Page,
    crumbs: Vec<Crumb>,
    middle: String,
    may_destroy: bool,
    base: String,
}

/// The page of an agent.
pub fn for_agent(
    p: Page,
    crumbs: Vec<Crumb>,
    (reference, handle): (String, String),
    loaded: &Loaded,
    typed: ReadingForm,
) -> PageResult {
    let side = Side::Agent { reference: reference.clone(), handle };
    let middle = middle(&p, loaded, &side, typed)?;
    page(&AgentPage { crumbs, reference, middle, p })
}

/// The page of a customer.
pub fn for_customer(
    p: Page,
    crumbs: Vec<Crumb>,
    handle: &str,
    loaded: &Loaded,
    customer: &CustomerActor,
    typed: ReadingForm,
) -> PageResult {
    let side = Side::Customer { handle: handle.to_owned() };
    let may_destroy =
        loaded.grant.belongs_to(customer) && loaded.overview.is_readable && loaded.grant.ended_at.is_some();
    let middle = middle(&p, loaded, &side, typed)?;
    page(&CustomerPage { crumbs, middle, may_destroy, base: side.base(), p })
}

fn middle(p: &Page, loaded: &Loaded, side: &Side, typed: ReadingForm) -> Result<String, PageError> {
    let d = records_view(p, loaded, side, typed);
    let fault = |error: askama::Error| PageError::fault(&format!("a page could not be made: {error}"));
    let looks = looks::render(p, loaded).map_err(fault)?;
    Middle { p, errors: &FieldErrors::default(), d, looks }.render().map_err(fault)
}

fn records_view(p: &Page, loaded: &Loaded, side: &Side, typed: ReadingForm) -> RecordsView {
    let t = &p.t;
    let levels = Closeness::ALL.iter().map(|level| (level.as_str(), t.say(level_key(*level))));
    let components = loaded
        .grant
        .scope
        .components()
        .into_iter()
        .map(|component| (component.as_str(), t.say(component_key(component))));
    let (items, next, flame) = match &loaded.shown {
        Shows::Nothing => (None, None, None),
        Shows::Records(shown) => (Some(waterfall::view(t, &loaded.grant, &shown.lines)), shown.next, None),
        Shows::Flame(flame) => (None, None, Some(flame::view(t, flame))),
    };
    RecordsView {
        base: side.base(),
        may_read: loaded.overview.may_read,
        may_export: loaded.grant.exports_allowed,
        asks_reason: matches!(side, Side::Agent { .. }),
        is_readable: loaded.overview.is_readable,
        is_live: loaded.grant.is_live(p.now),
        last: loaded.overview.last,
        newest: loaded.overview.newest,
        levels: Choice::list(levels, &typed.level),
        components: Choice::list(components, &typed.component),
        items,
        next,
        flame,
        typed,
    }
}
