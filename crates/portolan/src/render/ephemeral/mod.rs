//! How close the kernel is to having no port left to choose: a screen for people, a document for
//! programs.

mod advice;
mod json;
mod text;

pub(crate) use json::json;
pub(crate) use text::text;
