//! What was captured as a file, sent while it is made. That it was taken is on record before its first byte leaves; if the
//! capture is to be destroyed meanwhile, the file breaks off and the browser says so.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{Bytes, Data};
use futures_util::stream;

use crate::access::Actor;
use crate::app::App;
use crate::diagnostics::export::{Export, file_name, media_type};
use crate::diagnostics::viewing::{self, Form, Whole};
use crate::error::{Error, Result};
use crate::web::diagnostics::{Find, WholeForm};
use crate::web::page_error::PageResult;

/// Opens everything to `reader`, on record.
pub async fn begin(app: &App, reader: &Actor, form: &WholeForm, find: &Find) -> Result<Whole> {
    let kind = Form::parse(&form.form).ok_or(Error::NotFound)?;
    let (reader, find, reason, now) = (reader.clone(), find.clone(), form.reason.clone(), app.clock.now());
    app.database
        .write(move |db| {
            let grant = find(db)?;
            viewing::open_whole(db, grant.id, &reader, kind, &reason, now)
        })
        .await
}

/// The file that `form` asks for.
pub async fn send(app: Data<App>, reader: Actor, form: WholeForm, find: Find) -> PageResult {
    let kind = Form::parse(&form.form).filter(|kind| kind.leaves()).ok_or(Error::NotFound)?;
    let whole = begin(&app, &reader, &form, &find).await?;
    let name = file_name(kind, &whole.grant);
    let export = Export::new(kind, whole.grant.clone(), app.clock.now());
    let first = Step::Begin(Making { app, whole, export, after: 0 });
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
    whole: Whole,
    export: Export,
    /// The last chunk that is in the file.
    after: i64,
}

impl Making {
    async fn next(self) -> Result<(Vec<u8>, Step)> {
        let Making { app, whole, mut export, after } = self;
        let (keys, now) = (app.keys.clone(), app.clock.now());
        let database = app.database.clone();
        database
            .read(move |db| match viewing::read_on(db, &keys, &whole, after, now)? {
                Some((lines, last)) => {
                    let bytes = export.take(lines);
                    Ok((bytes, Step::Middle(Making { app, whole, export, after: last })))
                }
                None => Ok((export.finish(), Step::End)),
            })
            .await
    }
}
