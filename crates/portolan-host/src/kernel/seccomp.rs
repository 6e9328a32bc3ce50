//! seccomp(2) with user notification, and descriptors by their number: what a process needs that is
//! about to become another program.
//!
//! The filter stops the calls it is given for a supervisor to answer and lets every other call pass;
//! it is no sandbox and claims no security. Layouts are those of `linux/seccomp.h`. A program for
//! another architecture than ours (32-bit on a 64-bit kernel, x32) passes unwatched: its call
//! numbers are others.
#![expect(
    unsafe_code,
    reason = "seccomp(2), its ioctls and dup2(2) onto a number; rustix has none"
)]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

use libc::{c_int, c_long, c_ulong, seccomp_notif, seccomp_notif_resp, sock_filter, sock_fprog};

/// What becomes of a call that was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The kernel carries it out, as if nobody had looked.
    Continue,
    /// It returns 0.
    Done,
    /// It fails with this number of errno(3), positive.
    Failed(i32),
}

/// Stops the calls `numbers` of this thread, and of everything it starts, until the descriptor that
/// is returned answers. No privilege is needed once `no_new_privs` is set.
///
/// # Errors
/// EBUSY when somebody supervises already; EINVAL on a kernel before 5.5, EACCES without
/// `no_new_privs`.
pub(crate) fn stop_calls(numbers: &[c_long]) -> io::Result<OwnedFd> {
    let mut program = program(numbers);
    let length = u16::try_from(program.len()).map_err(io::Error::other)?;
    let program = sock_fprog { len: length, filter: program.as_mut_ptr() };
    // Without the second flag a signal between stop and answer would run the call twice; it came
    // with Linux 5.19.
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    match set_filter(flags | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &program) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => set_filter(flags, &program),
        result => result,
    }
}

/// Loads the filter; the program behind the pointer is as long as it says (`stop_calls` alone calls
/// this).
fn set_filter(flags: c_ulong, program: &sock_fprog) -> io::Result<OwnedFd> {
    let set = libc::SECCOMP_SET_MODE_FILTER;
    // SAFETY: the program is alive for the whole call, and the kernel copies it. What is returned
    // is -1 or a descriptor that nobody else owns.
    unsafe {
        let number = libc::syscall(libc::SYS_seccomp, set, flags, program);
        if number < 0 {
            return Err(io::Error::last_os_error());
        }
        let number = RawFd::try_from(number).map_err(io::Error::other)?;
        Ok(OwnedFd::from_raw_fd(number))
    }
}

/// Classic BPF over `struct seccomp_data`: native architecture and one of the numbers, or allow.
fn program(numbers: &[c_long]) -> Vec<sock_filter> {
    let step = |code: u32, jt: usize, k: u32| sock_filter {
        code: u16::try_from(code).expect("BPF's codes have 16 bits"),
        jt: u8::try_from(jt).expect("a few calls at most"),
        jf: 0,
        k,
    };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let end = libc::BPF_RET | libc::BPF_K;
    let mut steps = vec![
        step(load, 0, ARCHITECTURE_AT),
        step(equal, 1, ARCHITECTURE),
        step(end, 0, libc::SECCOMP_RET_ALLOW),
        step(load, 0, NUMBER_AT),
    ];
    for (index, number) in numbers.iter().enumerate() {
        // Over the comparisons that are left and over `allow`. x32 has bit 30 set, so it differs.
        let number = u32::try_from(*number).expect("numbers of calls are small");
        steps.push(step(equal, numbers.len() - index, number));
    }
    steps.push(step(end, 0, libc::SECCOMP_RET_ALLOW));
    steps.push(step(end, 0, libc::SECCOMP_RET_USER_NOTIF));
    steps
}

/// Waits for the next call that is stopped.
///
/// # Errors
/// ENOENT when the caller died meanwhile, EINTR after a signal.
pub(crate) fn receive(listener: BorrowedFd<'_>) -> io::Result<seccomp_notif> {
    let data = libc::seccomp_data { nr: 0, arch: 0, instruction_pointer: 0, args: [0; 6] };
    let mut stopped = seccomp_notif { id: 0, pid: 0, flags: 0, data };
    let receive = libc::SECCOMP_IOCTL_NOTIF_RECV;
    // SAFETY: the number carries the size of the struct, which is zeroed as the kernel wants it.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), receive, &raw mut stopped) };
    checked(result).map(|()| stopped)
}

/// Whether the call `id` still waits: what was read of its process before this was its own.
pub(crate) fn still_waits(listener: BorrowedFd<'_>, id: u64) -> bool {
    let valid = libc::SECCOMP_IOCTL_NOTIF_ID_VALID;
    // SAFETY: the kernel reads eight bytes.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), valid, &raw const id) };
    result == 0
}

/// Lets the call `id` go on.
///
/// # Errors
/// ENOENT when its caller died or was interrupted.
pub(crate) fn answer(listener: BorrowedFd<'_>, id: u64, answer: Answer) -> io::Result<()> {
    let (error, flags) = match answer {
        Answer::Continue => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE),
        Answer::Done => (0, 0),
        Answer::Failed(errno) => (-errno, 0),
    };
    let flags = u32::try_from(flags).map_err(io::Error::other)?;
    let mut response = seccomp_notif_resp { id, val: 0, error, flags };
    let send = libc::SECCOMP_IOCTL_NOTIF_SEND;
    // SAFETY: the number carries the size of the struct.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), send, &raw mut response) };
    checked(result)
}

/// Takes over a descriptor that was inherited under a number we were told.
///
/// # Errors
/// EBADF when nothing is open there.
pub(crate) fn adopt(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl takes any number. What is open there was left open for us by the process that
    // started this one, and nothing here has a name for it yet.
    unsafe {
        checked(libc::fcntl(number, libc::F_GETFD).min(0))?;
        Ok(OwnedFd::from_raw_fd(number))
    }
}

/// Moves a descriptor to a number, over whatever is open there, to be inherited by what comes next.
///
/// # Errors
/// EBADF for a number above the limit of open files.
pub(crate) fn place(descriptor: &OwnedFd, number: RawFd) -> io::Result<()> {
    // SAFETY: only a process that is about to exec calls this, for numbers it inherited or never
    // used: nothing in it owns them.
    let result = unsafe { libc::dup2(descriptor.as_raw_fd(), number) };
    checked(result.min(0))
}

fn checked(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Where `struct seccomp_data` has the number of the call, and its architecture.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;

/// AUDIT_ARCH_* of `linux/audit.h`: the ELF machine, 64 bits, little endian.
const ARCHITECTURE: u32 = 0x8000_0000 | 0x4000_0000 | MACHINE;
#[cfg(target_arch = "x86_64")]
const MACHINE: u32 = 62;
#[cfg(target_arch = "aarch64")]
const MACHINE: u32 = 183;

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::thread;

    use super::*;

    /// A thread under the filter; the rest of the test process stays as it is.
    fn under_filter(numbers: &'static [c_long], work: fn()) -> (OwnedFd, thread::JoinHandle<()>) {
        let (send, receive) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            rustix::thread::set_no_new_privs(true).unwrap();
            send.send(stop_calls(numbers).unwrap()).unwrap();
            work();
        });
        (receive.recv().unwrap(), thread)
    }

    #[test]
    fn a_stopped_call_returns_what_it_is_told() {
        let (listener, thread) = under_filter(&[libc::SYS_listen, libc::SYS_getppid], || {
            let refused = rustix::process::getppid();
            assert_eq!(refused, None, "told to return 0");
            assert!(rustix::process::getppid().is_some(), "told to go on");
        });
        for told in [Answer::Done, Answer::Continue] {
            let stopped = receive(listener.as_fd()).unwrap();
            assert_eq!(c_long::from(stopped.data.nr), libc::SYS_getppid);
            assert!(still_waits(listener.as_fd(), stopped.id));
            answer(listener.as_fd(), stopped.id, told).unwrap();
            assert!(!still_waits(listener.as_fd(), stopped.id));
        }
        thread.join().unwrap();
    }

    #[test]
    fn a_stopped_call_fails_as_it_is_told() {
        let (listener, thread) = under_filter(&[libc::SYS_bind], || {
            let refused = std::net::TcpListener::bind("127.0.0.1:0").unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::EXFULL));
        });
        let stopped = receive(listener.as_fd()).unwrap();
        answer(listener.as_fd(), stopped.id, Answer::Failed(libc::EXFULL)).unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn every_comparison_jumps_to_the_notification() {
        let steps = program(&[49, 50, 288]);
        for (index, step) in steps.iter().enumerate().skip(4).take(3) {
            let target = &steps[index + 1 + usize::from(step.jt)];
            assert_eq!(target.k, libc::SECCOMP_RET_USER_NOTIF);
        }
        assert_eq!(steps[2].k, libc::SECCOMP_RET_ALLOW, "another architecture");
    }

    #[test]
    fn a_descriptor_is_moved_to_a_number_and_found_there() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        // Far above what the other tests of this process open meanwhile.
        let number = 700;
        place(&OwnedFd::from(theirs), number).unwrap();
        let placed = adopt(number).unwrap();
        assert!(!rustix::io::fcntl_getfd(&placed).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        drop(placed);
        assert_eq!(rustix::io::read(&ours, &mut [0; 1]), Ok(0), "the other end is closed");
        assert_eq!(adopt(number).unwrap_err().raw_os_error(), Some(libc::EBADF));
    }
}
