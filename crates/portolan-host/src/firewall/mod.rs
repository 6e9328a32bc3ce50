//! This machine's firewall: all of it read ([`live`], [`world()`]); one table of ours changed, with a
//! way back.
//!
//! ```text
//! apply ──▶ what is loaded is kept ─▶ a watchdog starts ─▶ one transaction ─▶ on trial
//!                                          │                                    │
//!      time over, or nobody left           ▼                                    ▼  from a new session
//!      to confirm: what was before comes back                                confirm: kept, also at boot
//! ```
//! Only `table inet portolan` is ever written. What has to be remembered stands in one folder that
//! belongs to root ([`Place`]): the trial, what was before it, what was confirmed, and a log.

mod adopt;
mod boot;
mod caller;
mod change;
mod edits;
mod keep;
mod load;
mod nf_tables;
mod place;
mod read;
mod record;
mod table;
mod watchdog;
mod world;

pub use adopt::untracked;
pub use boot::BootState;
pub use caller::{CallerInfo, caller};
pub use change::{
    Applied, Back, ChangeError, Confirmed, Loading, Outcome, Standing, apply, confirm,
    has_left_edits, left_edits, off, purge, recover, roll_back, standing, trial,
};
pub use edits::{Edit, LeftEdit};
pub use load::{LoadFault, load};
pub use place::Place;
pub use read::{ReadFault, live, may_send_on};
pub use record::{LogEntry, Purpose, Trial, log};
pub use table::{TableError, check, listing, stamp};
pub use watchdog::{SUBCOMMAND, watch};
pub use world::{POLICY, world};
