//! Work done as another user, without becoming that user.
//!
//! On Linux user, groups and capabilities belong to a thread. A thread of its own gives them up and
//! ends with the work; the process around it stays what it was.

use std::thread::Builder;

use portolan_core::socket::passwd::Account;
use rustix::io::{self, Errno};
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// Runs `work` as `account`, without supplementary groups; for any user but root that is without
/// capabilities too (capabilities(7), "Effect of user ID changes on capabilities").
///
/// # Errors
/// EPERM for whoever may not change users, EAGAIN where no thread is to be had.
pub fn as_user<T: Send>(account: Account, work: impl FnOnce() -> T + Send) -> io::Result<T> {
    std::thread::scope(|scope| {
        let work = || become_user(account).map(|()| work());
        let other = Builder::new().spawn_scoped(scope, work).map_err(|_| Errno::AGAIN)?;
        other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn become_user(account: Account) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(account.uid), Gid::from_raw(account.gid));
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    set_thread_res_uid(uid, uid, uid)
}

#[cfg(test)]
mod tests {
    use rustix::process::{getegid, geteuid, getgroups};

    use super::*;

    #[test]
    fn the_thread_is_another_user_and_we_are_not() {
        let before = geteuid();
        let nobody = Account { uid: 65534, gid: 65534 };
        let seen = as_user(nobody, || (geteuid().as_raw(), getegid().as_raw(), getgroups()));
        match before.is_root() {
            true => {
                let (uid, gid, groups) = seen.unwrap();
                assert_eq!((uid, gid, groups.unwrap().len()), (65534, 65534, 0));
            }
            false => assert_eq!(seen.unwrap_err(), Errno::PERM),
        }
        assert_eq!(geteuid(), before);
    }
}
