//! bpf(2): a program of ours in the place of one of the kernel's iterators, and what it writes.
//!
//! The kernel checks the program before it runs and lets it only read. Program, link and iterator
//! are descriptors: all is gone when they are closed, whatever becomes of us.
#![expect(unsafe_code, reason = "no crate wraps bpf(2)")]

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use portolan_core::wire::bpf::Instruction;
use portolan_core::wire::btf::TypeId;

/// Why a program does not run.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The kernel does not let us.
    #[error("bpf(2)")]
    Refused(#[source] io::Error),
    /// The kernel's verifier does not take the program. What it says is for who wrote it.
    #[error("bpf(2) does not take the program (the verifier ends with `{log}`)")]
    Rejected {
        /// What the call answered.
        source: io::Error,
        /// The end of the verifier's log.
        log: String,
    },
}

/// Loads `program` in the place of the iterator function `attach`, and gives the file from which
/// what it writes is read. It runs as far as one reads.
///
/// # Errors
/// When the kernel refuses, with the verifier's words if it was the program.
pub(crate) fn iterate(program: &[Instruction], attach: TypeId) -> Result<OwnedFd, LoadError> {
    let program = match load(program, attach, &mut []) {
        Ok(program) => program,
        Err(error) if is_refusal(&error) => return Err(LoadError::Refused(error)),
        // Its words cost time, so they are asked for only when it has something to say.
        Err(source) => return Err(explain(program, attach, source)),
    };
    let link = link(program.as_fd()).map_err(LoadError::Refused)?;
    iterator(link.as_fd()).map_err(LoadError::Refused)
}

/// Without the right to load programs, and where the kernel cannot load any.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS | libc::EOPNOTSUPP))
}

fn explain(program: &[Instruction], attach: TypeId, source: io::Error) -> LoadError {
    let mut log = vec![0; LOG];
    let is_taken = load(program, attach, &mut log).is_ok();
    let text = CStr::from_bytes_until_nul(&log).unwrap_or_default().to_string_lossy();
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let last = lines[lines.len().saturating_sub(LINES)..].join("; ");
    // A call that something else answers, or that lacks memory, never comes to the verifier.
    if is_taken || last.is_empty() {
        return LoadError::Refused(source);
    }
    LoadError::Rejected { source, log: last }
}

fn load(program: &[Instruction], attach: TypeId, log: &mut [u8]) -> io::Result<OwnedFd> {
    let attributes = Load {
        program_type: PROGRAM_TYPE_TRACING,
        instruction_count: program.len().try_into().map_err(io::Error::other)?,
        instructions: program.as_ptr().expose_provenance() as u64,
        licence: LICENCE.as_ptr().expose_provenance() as u64,
        log_level: u32::from(!log.is_empty()),
        log_size: log.len().try_into().map_err(io::Error::other)?,
        log: if log.is_empty() { 0 } else { log.as_mut_ptr().expose_provenance() as u64 },
        name: *b"portolan\0\0\0\0\0\0\0\0",
        expected_attach_type: TRACE_ITERATOR,
        attach: attach.0,
        ..Load::default()
    };
    // SAFETY: for BPF_PROG_LOAD the kernel reads `instruction_count` instructions and the licence
    // up to its zero, and writes at most `log_size` bytes of the log; all three outlive the call.
    unsafe { bpf(PROGRAM_LOAD, &attributes) }
}

fn link(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let attributes = Link {
        program: program.as_raw_fd().cast_unsigned(),
        attach_type: TRACE_ITERATOR,
        ..Link::default()
    };
    // SAFETY: BPF_LINK_CREATE without `info` reads nothing but the attributes.
    unsafe { bpf(LINK_CREATE, &attributes) }
}

fn iterator(link: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let attributes = Iterator { link: link.as_raw_fd().cast_unsigned(), flags: 0 };
    // SAFETY: BPF_ITER_CREATE reads nothing but the attributes.
    unsafe { bpf(ITERATOR_CREATE, &attributes) }
}

/// bpf(2) with a command that answers with a new descriptor.
///
/// # Safety
/// Every address in `attributes` must be good for what `command` does with it.
unsafe fn bpf<A: Attributes>(command: libc::c_int, attributes: &A) -> io::Result<OwnedFd> {
    let size = size_of::<A>();
    // SAFETY: `attributes` is a plain structure of that size which the kernel only reads; the
    // caller answers for the addresses in it.
    let answer = unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size) };
    if answer < 0 {
        return Err(io::Error::last_os_error());
    }
    let descriptor = answer.try_into().map_err(io::Error::other)?;
    // SAFETY: the commands of this file answer with a new descriptor that nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// A structure of `union bpf_attr` (include/uapi/linux/bpf.h), whose every byte is its own.
trait Attributes {}
impl Attributes for Load {}
impl Attributes for Link {}
impl Attributes for Iterator {}

#[repr(C)]
#[derive(Default)]
struct Load {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    licence: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    expected_attach_type: u32,
    /// Descriptor of a BTF of the program's own, and descriptions of its functions and lines.
    btf: u32,
    function_size: u32,
    functions: u64,
    function_count: u32,
    line_size: u32,
    lines: u64,
    line_count: u32,
    attach: u32,
}

#[repr(C)]
#[derive(Default)]
struct Link {
    program: u32,
    target: u32,
    attach_type: u32,
    flags: u32,
    info: u64,
    info_size: u32,
    padding: u32,
}

#[repr(C)]
struct Iterator {
    link: u32,
    flags: u32,
}

/// The helpers that write what the program found are for programs under the GPL; MIT stands in our
/// files, and the kernel knows both together under this name (include/linux/license.h).
const LICENCE: &CStr = c"Dual MIT/GPL";

const PROGRAM_LOAD: libc::c_int = 5;
const LINK_CREATE: libc::c_int = 28;
const ITERATOR_CREATE: libc::c_int = 33;
const PROGRAM_TYPE_TRACING: u32 = 26;
const TRACE_ITERATOR: u32 = 28;

/// Room for the verifier's log, and how much of it is told.
const LOG: usize = 256 * 1024;
const LINES: usize = 4;

#[cfg(test)]
mod tests {
    use portolan_core::wire::bpf::{Alu, Assembler, Register};

    use super::*;

    fn may_load() -> bool {
        rustix::process::geteuid().is_root()
    }

    #[test]
    fn attributes_are_laid_out_as_the_kernel_reads_them() {
        assert_eq!((size_of::<Load>(), size_of::<Link>(), size_of::<Iterator>()), (112, 32, 8));
        assert_eq!(std::mem::offset_of!(Load, name), 48);
        assert_eq!(std::mem::offset_of!(Load, attach), 108);
    }

    #[test]
    fn a_program_that_does_not_exist_is_refused_and_nothing_is_left_open() {
        if !may_load() {
            return;
        }
        let mut code = Assembler::new();
        code.alu_with(Alu::Move, Register::R0, Register::R7); // never set
        code.exit();
        let error = iterate(&code.finish(), TypeId(1)).unwrap_err();
        assert!(matches!(error, LoadError::Rejected { .. } | LoadError::Refused(_)), "{error}");
    }
}
