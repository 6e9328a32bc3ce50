//! What /proc tells of one process (proc_pid_stat(5), proc_pid_status(5), proc_pid_cmdline(5),
//! proc_stat(5)), from the bytes of its files.

use jiff::Timestamp;

/// The parts of /proc/PID/stat that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The process's id.
    pub pid: u32,
    /// Its short name, at most 15 bytes, chosen by the program: blanks and parentheses may occur.
    pub name: Box<str>,
    /// Its parent's id, 0 for none.
    pub parent: u32,
    /// The id of its session, which is that of the process that began it.
    pub session: u32,
    /// The device number of its terminal, 0 for none.
    pub terminal: u32,
    /// Whether it is a thread of the kernel (PF_KTHREAD).
    pub is_kernel_thread: bool,
    /// When it started, in clock ticks since boot.
    pub start_ticks: u64,
}

impl Stat {
    /// Reads `pid (name) state ppid …`. The name ends at the last parenthesis.
    ///
    /// Gives `None` where the text is something else.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let open = text.iter().position(|byte| *byte == b'(')?;
        let close = text.iter().rposition(|byte| *byte == b')').filter(|close| open < *close)?;
        let pid = ascii(&text[..open])?.trim().parse().ok()?;
        let mut fields = ascii(&text[close + 1..])?.split_ascii_whitespace().skip(1);
        let parent = fields.next()?.parse().ok()?;
        let session = fields.nth(SESSION - PARENT - 1)?.parse().ok()?;
        let terminal: i32 = fields.next()?.parse().ok()?;
        let flags: u32 = fields.nth(FLAGS - SESSION - 2)?.parse().ok()?;
        let start_ticks = fields.nth(START_TIME - FLAGS - 1)?.parse().ok()?;
        Some(Self {
            pid,
            name: String::from_utf8_lossy(&text[open + 1..close]).into(),
            parent,
            session,
            terminal: terminal.cast_unsigned(),
            is_kernel_thread: flags & PF_KTHREAD != 0,
            start_ticks,
        })
    }

    /// When it started, given the second of the last boot and the ticks in a second (100 on Linux).
    #[must_use]
    pub fn started(&self, boot: i64, ticks_per_second: u64) -> Option<Timestamp> {
        let seconds = self.start_ticks.checked_div(ticks_per_second)?;
        let rest = self.start_ticks % ticks_per_second;
        let nanoseconds = rest.checked_mul(1_000_000_000)? / ticks_per_second;
        let seconds = boot.checked_add(i64::try_from(seconds).ok()?)?;
        Timestamp::new(seconds, i32::try_from(nanoseconds).ok()?).ok()
    }
}

/// The effective user id in /proc/PID/status, the second number of its `Uid:` line.
#[must_use]
pub fn effective_uid(status: &[u8]) -> Option<u32> {
    let line = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    ascii(line)?.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The arguments in /proc/PID/cmdline, each ended by a zero byte. Empty for threads of the kernel.
#[must_use]
pub fn command_line(bytes: &[u8]) -> Vec<Box<str>> {
    // A program that rewrites its title leaves what it did not need as zero bytes.
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if end == 0 {
        return Vec::new();
    }
    bytes[..end]
        .split(|byte| *byte == 0)
        .map(|argument| String::from_utf8_lossy(argument).into())
        .collect()
}

/// The executable /proc/PID/exe points to, without the mark of a file that was replaced.
#[must_use]
pub fn executable(link: &[u8]) -> Box<str> {
    String::from_utf8_lossy(link.strip_suffix(b" (deleted)").unwrap_or(link)).into()
}

/// The inode in `socket:[12345]`, which is what the link of a socket's descriptor says.
#[must_use]
pub fn socket_inode(link: &[u8]) -> Option<u64> {
    let digits = ascii(link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// The inode in `net:[4026531840]`, which is what a link to a network namespace says.
#[must_use]
pub fn network_namespace(link: &[u8]) -> Option<u64> {
    let digits = ascii(link.strip_prefix(b"net:[")?.strip_suffix(b"]")?)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// A network namespace that is mounted somewhere, so that it stays without a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamespaceMount {
    /// Its inode.
    pub inode: u64,
    /// Where, as the mount namespace has it.
    pub path: Vec<u8>,
}

impl NamespaceMount {
    /// Those in a mountinfo (proc_pid_mountinfo(5)): `602 24 0:4 net:[4026532287] /run/netns/lab …`.
    pub fn all(mountinfo: &[u8]) -> impl Iterator<Item = Self> {
        mountinfo.split(|byte| *byte == b'\n').filter_map(|line| {
            let mut fields = line.split(|byte| *byte == b' ').skip(3);
            let inode = network_namespace(fields.next()?)?;
            Some(Self { inode, path: unescaped(fields.next()?) })
        })
    }
}

/// Blanks, tabs, newlines and backslashes stand as `\040` and the like in a mountinfo.
fn unescaped(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [byte, after @ ..] = rest {
        let octal = after.get(..3).filter(|_| *byte == b'\\').and_then(ascii);
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) => {
                bytes.push(escaped);
                rest = &after[3..];
            }
            None => {
                bytes.push(*byte);
                rest = after;
            }
        }
    }
    bytes
}

/// The inodes of the sockets registered with an io_uring, from its /proc/PID/fdinfo/FD: lines
/// `    0: socket:[12345]` below `UserFiles:` (io_uring/fdinfo.c). A program may then close the
/// descriptors and keep the sockets.
pub fn io_uring_sockets(fdinfo: &[u8]) -> impl Iterator<Item = u64> {
    fdinfo.split(|byte| *byte == b'\n').filter_map(|line| {
        let (slot, file) = line
            .trim_ascii()
            .split_at_checked(line.trim_ascii().iter().position(|b| *b == b' ')?)?;
        slot.ends_with(b":").then(|| socket_inode(file.trim_ascii())).flatten()
    })
}

/// The inodes of the sockets in a /proc/PID/maps (proc_pid_maps(5)): TCP and packet sockets can be
/// mapped (net/ipv4/tcp.c, tcp_mmap) and then live on when their descriptors are closed.
pub fn mapped_sockets(maps: &[u8]) -> impl Iterator<Item = u64> {
    maps.split(|byte| *byte == b'\n').filter_map(|line| {
        // Addresses, rights, offset, device and inode stand before it, filled up with blanks.
        let mut fields = line.split(|byte| *byte == b' ').filter(|field| !field.is_empty());
        let path = fields.nth(5)?;
        fields.next().is_none().then(|| socket_inode(path)).flatten()
    })
}

/// How many descriptors wait in a unix socket, from the `scm_fds:` line of its
/// /proc/PID/fdinfo/FD (net/unix/af_unix.c, unix_show_fdinfo; Linux 5.5 and later). 0 for others.
#[must_use]
pub fn descriptors_in_flight(fdinfo: &[u8]) -> usize {
    let mut lines = fdinfo.split(|byte| *byte == b'\n');
    let count = lines.find_map(|line| ascii(line.strip_prefix(b"scm_fds:")?)?.trim().parse().ok());
    count.unwrap_or(0)
}

/// The `btime` line of /proc/stat: the second of the last boot, since 1970.
#[must_use]
pub fn boot_time(stat: &[u8]) -> Option<i64> {
    let line = stat.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"btime "))?;
    ascii(line)?.trim().parse().ok()
}

fn ascii(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| text.is_ascii())
}

// Numbers of the fields in proc_pid_stat(5).
const PARENT: usize = 4;
const SESSION: usize = 6;
const FLAGS: usize = 9;
const START_TIME: usize = 22;

/// include/linux/sched.h
const PF_KTHREAD: u32 = 0x0020_0000;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A kernel thread and a shell, from Linux 6.18.
    const KTHREADD: &[u8] = b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 24 0 0 18446744073709551615 0 0 0 0 0 0 0 2147483647 0 1 0 0 0 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
    const SHELL: &[u8] = b"22818 (bash) S 22814 22814 5660 0 -1 4194304 180 0 0 0 0 0 0 0 20 0 1 0 244173 4464640 783 18446744073709551615 93954949275648 93954950065053 140724791207952 0 0 0 65536 4 65538 1 0 0 17 0 0 0 0 0 0 93954950298352 93954950346596 93955476725760 140724791212560 140724791212592 140724791212592 140724791214058 0\n";

    #[test]
    fn mounted_network_namespaces_are_told_from_other_mounts() {
        let text = br"602 24 0:4 net:[4026532287] /run/netns/a\040b rw shared:1 - nsfs nsfs rw
603 24 0:4 mnt:[4026532288] /run/x rw - nsfs nsfs rw
24 1 8:1 / / rw - ext4 /dev/sda1 rw
604 24 0:4 net:[12] /odd\9 rw - nsfs nsfs rw";
        let found: Vec<_> = NamespaceMount::all(text).collect();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].inode, &*found[0].path), (4_026_532_287, &b"/run/netns/a b"[..]));
        assert_eq!(found[1].path, br"/odd\9");
        assert_eq!(network_namespace(b"net:[]"), None);
    }

    #[test]
    fn a_mapped_socket_is_told_from_a_file_that_is_called_like_one() {
        let maps = b"7fca06872000-7fca06875000 rw-p 0000f000 fe:00 21532          /lib/a b.so
7fca076be000-7fca076bf000 r--s 00000000 00:09 7850749                    socket:[7850749]
7fca076bf000-7fca076c0000 r--s 00000000 00:09 12                         /tmp/socket:[12]
7fca076bf000-7fca076c0000 r--s 00000000 00:09 13                         /tmp/ socket:[13]
7fff0a1f2000-7fff0a213000 rw-p 00000000 00:00 0                          [stack]
7fff0a213000-7fff0a214000 rw-p 00000000 00:00 0 \n";
        assert_eq!(mapped_sockets(maps).collect::<Vec<_>>(), [7_850_749]);
        for length in 0..maps.len() {
            let _ = mapped_sockets(&maps[..length]).count();
        }
    }

    #[test]
    fn descriptors_that_wait_in_a_unix_socket_are_counted() {
        let unix = b"pos:\t0\nflags:\t02000002\nmnt_id:\t10\nino:\t2621232\nscm_fds: 12\n";
        assert_eq!(descriptors_in_flight(unix), 12);
        assert_eq!(descriptors_in_flight(b"pos:\t0\nino:\t2621232\n"), 0);
        assert_eq!(descriptors_in_flight(b"scm_fds: -1\nscm_fds:"), 0);
    }

    #[test]
    fn a_process_and_a_kernel_thread_are_told_apart() {
        let shell = Stat::parse(SHELL).unwrap();
        assert_eq!((shell.pid, &*shell.name, shell.parent), (22818, "bash", 22814));
        assert_eq!((shell.start_ticks, shell.is_kernel_thread), (244_173, false));
        assert!(Stat::parse(KTHREADD).unwrap().is_kernel_thread);
    }

    #[test]
    fn a_name_may_look_like_the_fields_behind_it() {
        let text = String::from_utf8_lossy(SHELL).replace("(bash)", "(a) S 1 (b c)");
        let stat = Stat::parse(text.as_bytes()).unwrap();
        assert_eq!((&*stat.name, stat.parent), ("a) S 1 (b c", 22814));
    }

    #[test]
    fn a_start_is_counted_from_boot() {
        let stat = Stat::parse(SHELL).unwrap();
        let started = stat.started(1_700_000_000, 100).unwrap();
        assert_eq!(started.to_string(), "2023-11-14T22:54:01.73Z");
        assert_eq!(stat.started(1_700_000_000, 0), None);
        assert_eq!(stat.started(i64::MAX, 100), None);
    }

    #[test]
    fn the_effective_user_is_the_second_one() {
        let status =
            b"Name:\tUid:\nUmask:\t0022\nUid:\t1000\t0\t0\t0\nGid:\t1000\t1000\t1000\t1000\n";
        assert_eq!(effective_uid(status), Some(0));
        assert_eq!(effective_uid(b"Name:\tx\n"), None);
    }

    #[test]
    fn arguments_end_at_zero_bytes_and_may_be_empty() {
        let words = |bytes| command_line(bytes).join("|");
        assert_eq!(words(b"nginx\0-g\0\0x\0"), "nginx|-g||x");
        assert_eq!(words(b"nginx: worker process\0\0\0\0"), "nginx: worker process");
        assert!(command_line(b"").is_empty());
        assert!(command_line(b"\0\0").is_empty());
    }

    #[test]
    fn a_replaced_executable_keeps_its_name() {
        assert_eq!(&*executable(b"/usr/sbin/sshd (deleted)"), "/usr/sbin/sshd");
        assert_eq!(&*executable(b"/opt/a\xff"), "/opt/a\u{fffd}");
    }

    #[test]
    fn only_links_of_sockets_have_an_inode() {
        assert_eq!(socket_inode(b"socket:[278583]"), Some(278_583));
        for link in [
            &b"pipe:[278583]"[..],
            b"socket:[]",
            b"socket:[12",
            b"socket:[+1]",
            b"/tmp/socket:[12]",
        ] {
            assert_eq!(socket_inode(link), None);
        }
    }

    #[test]
    fn sockets_registered_with_an_io_uring_are_found_among_its_counters() {
        let text = b"pos:\t0\nflags:\t02000002\nSqMask:\t0x7\nUserFiles:\t3\n    0: socket:[278583]\n    1: <none>\n    2: anon_inode:[eventfd]\nUserBufs:\t0\n";
        assert_eq!(io_uring_sockets(text).collect::<Vec<_>>(), [278_583]);
    }

    #[test]
    fn the_boot_is_found_among_the_counters() {
        assert_eq!(boot_time(b"cpu  1 2\nbtime 1700000000\nprocesses 7\n"), Some(1_700_000_000));
        assert_eq!(boot_time(b"cpu  1 2\n"), None);
    }

    #[test]
    fn a_text_cut_before_the_start_time_is_no_process() {
        let end = SHELL.iter().position(|byte| *byte == b'\n').unwrap();
        let until_start = String::from_utf8_lossy(SHELL).find("244173").unwrap();
        for length in 0..end {
            assert_eq!(Stat::parse(&SHELL[..length]).is_some(), length > until_start, "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (Stat::parse(&bytes), effective_uid(&bytes), boot_time(&bytes));
            let _ = (command_line(&bytes), executable(&bytes), socket_inode(&bytes));
            let _ = io_uring_sockets(&bytes).count();
        }
    }
}
