//! Rules on trial: what is refused, what rolls back and when, what is kept, and that nothing else is
//! touched.

mod access;
mod editing;
mod ending;
mod failing;
mod groups;
mod guard;
mod keeping;
mod life;
mod never;
mod sent_on;
mod session;
mod stage;
mod stopped;
mod trial;
mod trust;
mod unread;
