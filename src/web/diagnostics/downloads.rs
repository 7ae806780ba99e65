//! What was captured as a file, sent while it is made. That it was taken is on record before its first byte leaves; if the
//! capture is to be destroyed meanwhile, the file breaks off and the browser says so.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{Bytes, Data};
use futures_util::stream;

use crate::access::Actor;
use crate::app::App;
use crate::diagnostics::export::{Export, file_name, media_type};
use crate::diagnostics::seats::Seat;
use crate::diagnostics::viewing::{self, Form, Leave};
use crate::error::{Error, Result};
use crate::web::diagnostics::{Find, WholeForm, seat};
use crate::web::page_error::{PageError, PageResult};

/// Opens everything to `reader`, on record, with a seat among those who read whole captures.
pub async fn begin(app: &App, reader: &Actor, form: &WholeForm, find: &Find) -> Result<(Leave, Seat), PageError> {
    let kind = Form::parse(&form.form).ok_or(Error::NotFound)?;
    let seat = seat(&app.looking.wholes, reader, "diagnostics-reading-whole")?;
    let (reader, find, reason, clock) = (reader.clone(), find.clone(), form.reason.clone(), app.clock.clone());
    let leave = app
        .database
        .write(move |db| {
            let grant = find(db)?;
            viewing::open_whole(db, grant.id, &reader, kind, &reason, &clock)
        })
        .await?;
    Ok((leave, seat))
}

/// The file that `form` asks for.
pub async fn send(app: Data<App>, reader: Actor, form: WholeForm, find: Find) -> PageResult {
    let kind = Form::parse(&form.form).filter(|kind| kind.leaves()).ok_or(Error::NotFound)?;
    let (leave, seat) = begin(&app, &reader, &form, &find).await?;
    let name = file_name(kind, &leave.grant);
    let export = Export::new(kind, leave.grant.clone(), app.clock.now());
    let first = Step::Begin(Making { app, leave, export, after: 0, seat });
    let body = stream::unfold(first, |step| async move {
        let next = match step {
            Step::Begin(making) => Ok((making.export.begin(), Step::Middle(making))),
            Step::Middle(making) => making.next().await,
            Step::End => return None,
        };
        match next {
            Ok((bytes, step)) => Some((Ok(Bytes::from(bytes)), step)),
            // Whoever was told that nothing is left knows why the file ends; all else is a fault.
            Err(error) => Some((Err(std::io::Error::other(error.to_string())), Step::End)),
        }
    });
    Ok(HttpResponse::Ok()
        .content_type(media_type(kind))
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .streaming(body))
}

enum Step {
    Begin(Making),
    Middle(Making),
    End,
}

struct Making {
    app: Data<App>,
    leave: Leave,
    export: Export,
    /// The last chunk that is in the file.
    after: i64,
    seat: Seat,
}

impl Making {
    async fn next(self) -> Result<(Vec<u8>, Step)> {
        let Making { app, leave, mut export, after, seat } = self;
        let (keys, now) = (app.keys.clone(), app.clock.now());
        let database = app.database.clone();
        database
            .read(move |db| match viewing::read_on(db, &keys, &leave, after, now)? {
                Some((lines, last)) => {
                    let bytes = export.take(lines);
                    Ok((bytes, Step::Middle(Making { app, leave, export, after: last, seat })))
                }
                None => Ok((export.finish(), Step::End)),
            })
            .await
    }
}
