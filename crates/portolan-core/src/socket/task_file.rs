//! The program that the kernel runs for every open file of every process, and what it writes.
//!
//! A `task_file` iterator (Documentation/bpf/bpf_iterators.rst) is called with each pair of process
//! and descriptor; threads that share their table with the first one are left out by the kernel.
//! Where the fields of its structures stand differs from kernel to kernel and is taken from its own
//! BTF, so nothing is compiled and nothing depends on a version. The program only reads: for each
//! socket that is wanted it writes one [`Record`], and nothing else leaves the kernel.

use std::ops::Range;

use super::{Family, Reuse, StateSet};
use crate::wire::bpf::{Alu, Assembler, Instruction, Label, Register, Test, Width};
use crate::wire::btf::{Btf, Field, Kind, TypeId};
use Register::{R0, R1, R2, R3, R6, R7, R8, R9, R10};

/// Which files are worth a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// The address families of the sockets.
    pub families: Vec<Family>,
    /// Their states.
    pub states: StateSet,
    /// The one network namespace they live in, as its inode; `None` for any.
    pub netns: Option<u32>,
    /// Also what may hold sockets without a descriptor, io_urings and unix sockets on which
    /// descriptors are on their way; and the first descriptors of every process, so that a process
    /// the kernel keeps quiet about is noticed.
    pub suspects: bool,
}

/// What is told of one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// What the file is.
    pub subject: Subject,
    /// The process, in the first pid namespace.
    pub pid: u32,
    /// The descriptor.
    pub fd: i32,
    /// The inode of a socket, as sock_diag tells it.
    pub inode: u64,
    /// The kernel's short name of the process.
    pub name: [u8; NAME],
    /// Its effective user, as the first user namespace counts.
    pub uid: u32,
    /// Its cgroup in the unified hierarchy, 0 where unknown.
    pub cgroup: u64,
    /// The same for processes that share their cgroups in every hierarchy; it means nothing else.
    pub cgroups: u64,
    /// The network namespace of the process, as its inode; 0 where unknown.
    pub netns: u32,
    /// The network namespace of a socket, as its inode; 0 where unknown.
    pub socket_netns: u32,
    /// How a socket is willing to share its port.
    pub reuse: Reuse,
    /// Whether an IPv6 socket refuses IPv4.
    pub v6only: bool,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A socket that is wanted.
    Socket,
    /// An io_uring, with which sockets may be registered.
    Ring,
    /// A unix socket on which descriptors may be on their way.
    Mailbox,
    /// Anything else.
    Other,
}

impl Record {
    /// The records of what the iterator gave; a last one that is cut short is left out.
    pub fn each(bytes: &[u8]) -> impl Iterator<Item = Self> {
        bytes.as_chunks().0.iter().filter_map(Self::parse)
    }

    fn parse(bytes: &[u8; RECORD]) -> Option<Self> {
        let part = |range: Range<usize>| &bytes[range];
        let word = |at| u32::from_ne_bytes(*part(at..at + 4).first_chunk().expect("four bytes"));
        let double = |at| u64::from_ne_bytes(*part(at..at + 8).first_chunk().expect("eight bytes"));
        Some(Self {
            subject: match bytes[SUBJECT] {
                SOCKET => Subject::Socket,
                RING => Subject::Ring,
                MAILBOX => Subject::Mailbox,
                OTHER => Subject::Other,
                _ => return None,
            },
            pid: word(PID),
            fd: word(FD).cast_signed(),
            inode: double(INODE),
            name: *part(COMM..COMM + NAME).first_chunk().expect("sixteen bytes"),
            uid: word(UID),
            cgroup: double(CGROUP),
            cgroups: double(CGROUPS),
            netns: word(NETNS),
            socket_netns: word(SOCKET_NETNS),
            reuse: Reuse { address: bytes[REUSE] != 0, port: bytes[REUSEPORT] != 0 },
            v6only: bytes[V6ONLY] != 0,
        })
    }

    /// The name as text.
    #[must_use]
    pub fn process_name(&self) -> Box<str> {
        let end = self.name.iter().position(|byte| *byte == 0).unwrap_or(NAME);
        String::from_utf8_lossy(&self.name[..end]).into()
    }
}

/// Where the fields that are read stand in this kernel's structures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The function whose place the program takes.
    pub attach: TypeId,
    meta: i16,
    seq: i16,
    task: i16,
    fd: i16,
    file: i16,
    group_leader: i16,
    tgid: i16,
    comm: i16,
    cred: i16,
    euid: i16,
    cgroups: Option<i16>,
    dfl_cgrp: Option<i16>,
    kn: Option<i16>,
    kn_id: Option<i16>,
    nsproxy: Option<i16>,
    net_ns: Option<i16>,
    sock_net: Option<i16>,
    inum: Option<i16>,
    f_inode: i16,
    i_ino: i16,
    dentry: i16,
    dentry_name: i16,
    sk: i16,
    family: i16,
    state: i16,
    reuse: Bits,
    reuseport: Bits,
    v6only: Bits,
    in_flight: Option<i16>,
}

/// A field of some bits within a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bits {
    byte: i16,
    shift: i32,
    mask: i32,
}

/// The kernel does not have what the program reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this kernel's BTF has no {structure} {path}")]
pub struct Missing {
    /// The structure or function.
    pub structure: &'static str,
    /// The field in it.
    pub path: &'static str,
}

impl Layout {
    /// Finds every field that is read.
    ///
    /// # Errors
    /// When one is missing that cannot be done without.
    pub fn read(btf: &Btf<'_>) -> Result<Self, Missing> {
        let shape = Shape::read(btf)?;
        let byte = |structure, path, width| shape.byte(structure, path, width);
        let perhaps = |structure, path, width| shape.byte(structure, path, width).ok();
        Ok(Self {
            attach: shape.attach,
            meta: byte("bpf_iter__task_file", "meta", POINTER)?,
            task: byte("bpf_iter__task_file", "task", POINTER)?,
            fd: byte("bpf_iter__task_file", "fd", WORD)?,
            file: byte("bpf_iter__task_file", "file", POINTER)?,
            seq: byte("bpf_iter_meta", "seq", POINTER)?,
            group_leader: byte("task_struct", "group_leader", POINTER)?,
            tgid: byte("task_struct", "tgid", WORD)?,
            comm: byte("task_struct", "comm", COMM_BITS)?,
            cred: byte("task_struct", "cred", POINTER)?,
            euid: byte("cred", "euid.val", WORD)?,
            cgroups: perhaps("task_struct", "cgroups", POINTER),
            dfl_cgrp: perhaps("css_set", "dfl_cgrp", POINTER),
            kn: perhaps("cgroup", "kn", POINTER),
            kn_id: perhaps("kernfs_node", "id", DOUBLE),
            nsproxy: perhaps("task_struct", "nsproxy", POINTER),
            net_ns: perhaps("nsproxy", "net_ns", POINTER),
            sock_net: perhaps("sock_common", "skc_net.net", POINTER),
            inum: perhaps("net", "ns.inum", WORD),
            f_inode: byte("file", "f_inode", POINTER)?,
            i_ino: byte("inode", "i_ino", DOUBLE)?,
            dentry: byte("file", "f_path.dentry", POINTER)?,
            dentry_name: byte("dentry", "d_name.name", POINTER)?,
            sk: byte("socket", "sk", POINTER)?,
            family: byte("sock_common", "skc_family", HALF)?,
            state: byte("sock_common", "skc_state", BYTE)?,
            reuse: shape.bits("sock_common", "skc_reuse")?,
            reuseport: shape.bits("sock_common", "skc_reuseport")?,
            v6only: shape.bits("sock_common", "skc_ipv6only")?,
            in_flight: perhaps("unix_sock", "scm_stat.nr_fds.counter", WORD),
        })
    }
}

/// The structures that are read, by their names.
struct Shape<'a> {
    btf: &'a Btf<'a>,
    attach: TypeId,
    structures: [Option<TypeId>; STRUCTURES.len()],
}

impl<'a> Shape<'a> {
    fn read(btf: &'a Btf<'a>) -> Result<Self, Missing> {
        let mut wanted = [(Kind::Composite, ""); STRUCTURES.len() + 1];
        wanted[0] = (Kind::Function, FUNCTION);
        for (place, name) in wanted[1..].iter_mut().zip(STRUCTURES) {
            *place = (Kind::Composite, name);
        }
        let found = btf.find(wanted);
        let attach = found[0].ok_or(Missing { structure: FUNCTION, path: "at all" })?;
        let structures = *found.last_chunk().expect("one was put before them");
        Ok(Self { btf, attach, structures })
    }

    fn field(&self, structure: &'static str, path: &'static str) -> Result<Field, Missing> {
        let at = STRUCTURES.iter().position(|name| *name == structure);
        let found = at.and_then(|at| self.structures[at]).and_then(|id| self.btf.field(id, path));
        found.ok_or(Missing { structure, path })
    }

    /// Where a field of so many bits begins.
    fn byte(&self, structure: &'static str, path: &'static str, bits: u32) -> Result<i16, Missing> {
        let field = self.field(structure, path)?;
        let byte = i16::try_from(field.byte()).ok();
        byte.filter(|_| field.bits == bits && field.bit % 8 == 0).ok_or(Missing { structure, path })
    }

    /// A field of some bits that lie within one byte.
    fn bits(&self, structure: &'static str, path: &'static str) -> Result<Bits, Missing> {
        let field = self.field(structure, path)?;
        let shift = field.bit % 8;
        // A kernel of the other byte order counts the bits of a byte from the other end.
        let shift = if cfg!(target_endian = "little") {
            Some(shift)
        } else {
            8u32.checked_sub(shift + field.bits)
        };
        let bits = shift.filter(|shift| shift + field.bits <= 8).and_then(|shift| {
            let byte = i16::try_from(field.byte()).ok()?;
            Some(Bits { byte, shift: shift.cast_signed(), mask: (1 << field.bits) - 1 })
        });
        bits.ok_or(Missing { structure, path })
    }
}

/// The program for a kernel of this layout.
#[must_use]
pub fn program(layout: &Layout, selection: &Selection) -> Vec<Instruction> {
    let mut code = Assembler::new();
    let (dull, emit, out) = (code.label(), code.label(), code.label());
    let writer = Writer { layout, selection, dull, emit, out };
    // The verifier takes no instruction that cannot be reached.
    let wants_sockets = !selection.families.is_empty();
    if wants_sockets || selection.suspects {
        writer.find_file(&mut code);
        writer.filter_family(&mut code);
        if wants_sockets {
            writer.tell_of_socket(&mut code);
            code.jump(emit);
        }
        code.place(dull);
        writer.keep_witness(&mut code);
        code.place(emit);
        writer.tell_of_process(&mut code);
        writer.write(&mut code);
        code.place(out);
    }
    code.alu(Alu::Move, R0, 0);
    code.exit();
    code.finish()
}

/// Writes the program. It keeps the context in R6, the file in R7, the task in R8 and the socket in
/// R9; the record lies at the end of the stack.
struct Writer<'a> {
    layout: &'a Layout,
    selection: &'a Selection,
    /// Where a file goes that is not wanted.
    dull: Label,
    /// Where the record is completed and written.
    emit: Label,
    /// Where nothing is written.
    out: Label,
}

impl Writer<'_> {
    /// Takes the arguments; goes on only with a socket.
    fn find_file(&self, code: &mut Assembler) {
        let layout = self.layout;
        for at in (0..RECORD).step_by(8) {
            code.store_value(Width::Double, R10, place(at), 0);
        }
        code.alu_with(Alu::Move, R6, R1);
        code.load(Width::Double, R7, R6, layout.file);
        code.jump_if(Test::Equal, R7, 0, self.out);
        code.load(Width::Double, R8, R6, layout.task);
        code.jump_if(Test::Equal, R8, 0, self.out);
        if self.selection.suspects {
            self.mark_witness(code);
        }
        code.alu_with(Alu::Move, R1, R7);
        code.call(SOCK_FROM_FILE);
        if self.selection.suspects {
            let is_socket = code.label();
            code.jump_if(Test::Different, R0, 0, is_socket);
            self.tell_of_ring(code);
            code.place(is_socket);
        } else {
            code.jump_if(Test::Equal, R0, 0, self.dull);
        }
        code.load(Width::Double, R9, R0, layout.sk);
        code.jump_if(Test::Equal, R9, 0, self.dull);
    }

    /// Descriptors 0 to 3 are worth a record, whatever they are.
    fn mark_witness(&self, code: &mut Assembler) {
        let is_none = code.label();
        code.load(Width::Word, R1, R6, self.layout.fd);
        code.alu(Alu::ShiftRight, R1, 2);
        code.jump_if(Test::Different, R1, 0, is_none);
        code.store_value(Width::Byte, R10, place(SUBJECT), OTHER.into());
        code.place(is_none);
    }

    fn keep_witness(&self, code: &mut Assembler) {
        if self.selection.suspects {
            code.load(Width::Byte, R1, R10, place(SUBJECT));
            code.jump_if(Test::Equal, R1, 0, self.out);
        } else {
            code.jump(self.out);
        }
    }

    /// An io_uring is a file of the name `[io_uring]` (fs/anon_inodes.c).
    fn tell_of_ring(&self, code: &mut Assembler) {
        code.load(Width::Double, R3, R7, self.layout.dentry);
        code.load(Width::Double, R3, R3, self.layout.dentry_name);
        code.alu_with(Alu::Move, R1, R10);
        code.alu(Alu::Add, R1, SCRATCH.into());
        code.alu(Alu::Move, R2, 8);
        code.call(PROBE_READ_KERNEL);
        code.jump_if(Test::Different, R0, 0, self.dull);
        for (at, part) in (SCRATCH..).step_by(4).zip([b"[io_", b"urin"]) {
            code.load(Width::Word, R1, R10, at);
            code.jump_if_word(Test::Different, R1, i32::from_ne_bytes(*part), self.dull);
        }
        code.store_value(Width::Byte, R10, place(SUBJECT), RING.into());
        code.jump(self.emit);
    }

    /// Leaves out sockets in other states and namespaces, and takes down the rest.
    fn tell_of_socket(&self, code: &mut Assembler) {
        let layout = self.layout;
        self.filter_state(code);
        self.tell_namespace(code);
        code.load(Width::Double, R1, R7, layout.f_inode);
        code.load(Width::Double, R1, R1, layout.i_ino);
        code.store(Width::Double, R10, place(INODE), R1);
        for (bits, at) in
            [(layout.reuse, REUSE), (layout.reuseport, REUSEPORT), (layout.v6only, V6ONLY)]
        {
            code.load(Width::Byte, R1, R9, bits.byte);
            code.alu(Alu::ShiftRight, R1, bits.shift);
            code.alu(Alu::And, R1, bits.mask);
            code.store(Width::Byte, R10, place(at), R1);
        }
        code.store_value(Width::Byte, R10, place(SUBJECT), SOCKET.into());
    }

    /// Goes on only with a family that is wanted.
    fn filter_family(&self, code: &mut Assembler) {
        let families = &self.selection.families;
        let wanted = (!families.is_empty()).then(|| code.label());
        code.load(Width::Half, R1, R9, self.layout.family);
        for (family, wanted) in families.iter().zip(wanted.iter().cycle()) {
            code.jump_if(Test::Equal, R1, number(*family), *wanted);
        }
        match self.layout.in_flight.filter(|_| self.selection.suspects) {
            Some(in_flight) => self.tell_of_mailbox(code, in_flight),
            None => code.jump(self.dull),
        }
        if let Some(wanted) = wanted {
            code.place(wanted);
        }
    }

    /// Of other sockets, the unix ones on which descriptors are on their way. What listens may have
    /// some behind connections nobody has accepted.
    fn tell_of_mailbox(&self, code: &mut Assembler, in_flight: i16) {
        let is_mailbox = code.label();
        code.jump_if(Test::Different, R1, AF_UNIX, self.dull);
        code.load(Width::Byte, R1, R9, self.layout.state);
        code.jump_if(Test::Equal, R1, LISTEN, is_mailbox);
        code.alu_with(Alu::Move, R1, R9);
        code.call(SKC_TO_UNIX_SOCK);
        code.jump_if(Test::Equal, R0, 0, self.dull);
        code.load(Width::Word, R1, R0, in_flight);
        code.jump_if(Test::Equal, R1, 0, self.dull);
        code.place(is_mailbox);
        code.store_value(Width::Byte, R10, place(SUBJECT), MAILBOX.into());
        code.jump(self.emit);
    }

    fn filter_state(&self, code: &mut Assembler) {
        if self.selection.states == StateSet::ALL {
            return; // some families have states of their own
        }
        code.load(Width::Byte, R1, R9, self.layout.state);
        code.alu(Alu::And, R1, 31);
        code.alu(Alu::Move, R2, 1);
        code.alu_with(Alu::ShiftLeft, R2, R1);
        code.alu(Alu::And, R2, self.selection.states.mask().cast_signed());
        code.jump_if(Test::Equal, R2, 0, self.dull);
    }

    fn tell_namespace(&self, code: &mut Assembler) {
        let Some((net, inum)) = self.layout.sock_net.zip(self.layout.inum) else { return };
        code.load(Width::Double, R1, R9, net);
        code.load(Width::Word, R1, R1, inum);
        if let Some(netns) = self.selection.netns {
            code.jump_if_word(Test::Different, R1, netns.cast_signed(), self.dull);
        }
        code.store(Width::Word, R10, place(SOCKET_NETNS), R1);
    }

    /// What /proc tells of a process is what stands in its first thread, which is kept until the
    /// last one has ended; R8 becomes that.
    fn tell_of_process(&self, code: &mut Assembler) {
        let layout = self.layout;
        self.tell(code, &[layout.nsproxy, layout.net_ns, layout.inum], Width::Word, NETNS);
        code.load(Width::Double, R8, R8, layout.group_leader);
        self.tell(code, &[Some(layout.tgid)], Width::Word, PID);
        self.tell(code, &[Some(layout.cred), Some(layout.euid)], Width::Word, UID);
        self.tell(code, &[layout.cgroups], Width::Double, CGROUPS);
        let cgroup = [layout.cgroups, layout.dfl_cgrp, layout.kn, layout.kn_id];
        self.tell(code, &cgroup, Width::Double, CGROUP);
        for part in 0..4u8 {
            let at = layout.comm + i16::from(part) * 4;
            self.tell(code, &[Some(at)], Width::Word, COMM + usize::from(part) * 4);
        }
        code.load(Width::Word, R1, R6, layout.fd);
        code.store(Width::Word, R10, place(FD), R1);
    }

    /// Follows pointers from the task and takes down the last field; a field that this kernel does
    /// not have leaves the record's zero.
    fn tell(&self, code: &mut Assembler, path: &[Option<i16>], width: Width, at: usize) {
        let Some(path) = path.iter().copied().collect::<Option<Vec<i16>>>() else { return };
        let mut from = R8;
        for (step, offset) in path.iter().enumerate() {
            let is_last = step + 1 == path.len();
            code.load(if is_last { width } else { Width::Double }, R1, from, *offset);
            from = R1;
        }
        code.store(width, R10, place(at), R1);
    }

    fn write(&self, code: &mut Assembler) {
        code.load(Width::Double, R1, R6, self.layout.meta);
        code.load(Width::Double, R1, R1, self.layout.seq);
        code.alu_with(Alu::Move, R2, R10);
        code.alu(Alu::Add, R2, place(0).into());
        code.alu(Alu::Move, R3, i32::from(RECORD_ON_STACK));
        code.call(SEQ_WRITE);
    }
}

/// Where a byte of the record lies, seen from the end of the stack.
fn place(at: usize) -> i16 {
    i16::try_from(at).expect("a record has 64 bytes") - RECORD_ON_STACK
}

const fn number(family: Family) -> i32 {
    match family {
        Family::Ipv4 => 2,
        Family::Ipv6 => 10,
        Family::Unix => AF_UNIX,
        Family::Packet => 17,
    }
}

/// The kernel's own program in that place, which ours replaces.
const FUNCTION: &str = "bpf_iter_task_file";

const STRUCTURES: [&str; 15] = [
    "bpf_iter__task_file",
    "bpf_iter_meta",
    "task_struct",
    "cred",
    "css_set",
    "cgroup",
    "kernfs_node",
    "nsproxy",
    "net",
    "file",
    "inode",
    "dentry",
    "socket",
    "sock_common",
    "unix_sock",
];

/// Bytes of a record, and of a process's name in it.
pub const RECORD: usize = 64;
const NAME: usize = 16;
const RECORD_ON_STACK: i16 = 64;
/// Room for the beginning of a file's name, below the record.
const SCRATCH: i16 = -80;

// A record.
const INODE: usize = 0;
const CGROUP: usize = 8;
const CGROUPS: usize = 16;
const COMM: usize = 24;
const PID: usize = 40;
const FD: usize = 44;
const UID: usize = 48;
const SOCKET_NETNS: usize = 52;
const NETNS: usize = 56;
const SUBJECT: usize = 60;
const REUSE: usize = 61;
const REUSEPORT: usize = 62;
const V6ONLY: usize = 63;

const SOCKET: u8 = 1;
const RING: u8 = 2;
const MAILBOX: u8 = 3;
const OTHER: u8 = 4;

// Widths in bits.
const BYTE: u32 = 8;
const HALF: u32 = 16;
const WORD: u32 = 32;
const DOUBLE: u32 = 64;
const POINTER: u32 = 64;
const COMM_BITS: u32 = 128;

// BPF_FUNC_* of include/uapi/linux/bpf.h.
const PROBE_READ_KERNEL: i32 = 113;
const SEQ_WRITE: i32 = 127;
const SOCK_FROM_FILE: i32 = 162;
const SKC_TO_UNIX_SOCK: i32 = 178;

const AF_UNIX: i32 = 1;
const LISTEN: i32 = 10;

#[cfg(test)]
mod tests;
