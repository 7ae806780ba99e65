//! HTML that others wrote: made safe to show ([`sanitize_mail`]), turned into text ([`to_text()`]), and made from text
//! ([`from_markdown`], [`from_text()`]). Nothing here trusts its input, whoever wrote it: mail, agents' replies and
//! administrators' templates pass the same policy.

pub mod file_name;
mod from_text;
pub mod guard;
mod sanitizing;
mod to_text;

pub use from_text::{from_markdown, from_text};
pub use sanitizing::{SafeHtml, sanitize_mail, sanitize_mail_with_remote_images};
pub use to_text::to_text;
