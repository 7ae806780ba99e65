//! HTML that others wrote: made safe to show, turned into text, and made from text.

pub mod file_name;
