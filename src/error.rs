//! What can go wrong, as callers see it. A capability returns [`Error`]; `web` turns it into a page or a JSON body. This
//! module knows nothing of HTTP and nothing of the database.

use crate::i18n::Message;

/// What capabilities return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kinds of failure that a caller tells apart.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not exist, or must not be known to exist for this reader.
    #[error("not found")]
    NotFound,
    /// The reader is known, and may not do this.
    #[error("forbidden")]
    Forbidden,
    /// The input is wrong; each message stands beside its field.
    #[error("invalid input: {0:?}")]
    Invalid(FieldErrors),
    /// Something changed meanwhile; the message says what.
    #[error("conflict: {}", .0.key)]
    Conflict(Message),
    /// Too often; try again after so many seconds.
    #[error("too many attempts, retry after {retry_after_secs} s")]
    TooMany { retry_after_secs: u64 },
    /// No connection or no room in the queue within the time allowed; trying again helps.
    #[error("busy")]
    Busy,
    /// The disk is full; all is well again when there is room.
    #[error("no room on the disk")]
    StorageFull,
    /// A stored file is not there any more, or is not what it was (FT-11). It comes back with a backup only.
    #[error("a stored file cannot be read: {0}")]
    FileDamaged(String),
    /// A fault of ours or of the machine.
    #[error(transparent)]
    Internal(#[from] anyhow::Error),
}

impl Error {
    /// One wrong field.
    pub fn invalid(field: &'static str, message: impl Into<Message>) -> Self {
        let mut errors = FieldErrors::default();
        errors.add(field, message);
        Error::Invalid(errors)
    }

    /// A fault of ours, with what was being done.
    pub fn internal(text: impl Into<String>) -> Self {
        Error::Internal(anyhow::anyhow!(text.into()))
    }
}

/// What is wrong with a form or a body, by field, in the order found. The empty field name means the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldErrors {
    errors: Vec<(&'static str, Message)>,
    names: &'static [(&'static str, &'static str)],
}

impl FieldErrors {
    /// Says that something is wrong with `field`.
    pub fn add(&mut self, field: &'static str, message: impl Into<Message>) {
        self.errors.push((field, message.into()));
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// The first message of `field`.
    pub fn of(&self, field: &str) -> Option<&Message> {
        self.errors.iter().find(|(name, _)| *name == field).map(|(_, message)| message)
    }

    /// Everything that is wrong, with its field, in the order found.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Message)> {
        self.errors.iter().map(|(field, message)| (*field, message))
    }

    /// The same for a form that calls some fields otherwise: fields, each with the key of what stands above it there.
    pub fn called(self, names: &'static [(&'static str, &'static str)]) -> FieldErrors {
        FieldErrors { names, ..self }
    }

    /// The key of the name by which readers of the form know `field`; the catalogue need not have it.
    pub fn name_of(&self, field: &str) -> String {
        match self.names.iter().find(|(name, _)| *name == field) {
            Some((_, key)) => (*key).to_owned(),
            None => format!("field-name-{}", field.replace('_', "-")),
        }
    }

    /// `Ok` when nothing is wrong.
    pub fn into_result(self) -> Result<()> {
        if self.errors.is_empty() { Ok(()) } else { Err(Error::Invalid(self)) }
    }
}
