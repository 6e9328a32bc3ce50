//! Classic BPF, the language of socket filters (linux/filter.h, linux/bpf_common.h): an assembler
//! with forward jumps only, and an interpreter of what it makes, to test programs with.
//!
//! ```text
//! instruction = code u16 · jump if true u8 · jump if false u8 · k u32
//! ```

/// An instruction, laid out as `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// What it does.
    pub code: u16,
    /// How many instructions a comparison skips when it holds.
    pub if_true: u8,
    /// How many it skips when it does not.
    pub if_false: u8,
    /// Its operand.
    pub k: u32,
}

/// How much is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 4 bytes.
    Word,
    /// 2 bytes.
    Half,
    /// 1 byte.
    Byte,
}

/// A place further down that is jumped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// Writes a program.
#[derive(Debug, Default)]
pub struct Assembler {
    program: Vec<Instruction>,
    /// Which labels the two jumps of each instruction go to.
    jumps: Vec<(usize, Option<Label>, Option<Label>)>,
    places: Vec<usize>,
}

impl Assembler {
    /// An empty program.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A place to be marked later.
    pub fn label(&mut self) -> Label {
        self.places.push(usize::MAX);
        Label(self.places.len() - 1)
    }

    /// Says that a label is here.
    pub fn mark(&mut self, label: Label) {
        self.places[label.0] = self.program.len();
    }

    /// Loads from a fixed offset of the packet. A packet too short for it is refused by the kernel.
    pub fn load(&mut self, width: Width, offset: u32) {
        self.plain(LD | ABS | width.code(), offset);
    }

    /// Loads from `offset` behind the index register.
    pub fn load_indexed(&mut self, width: Width, offset: u32) {
        self.plain(LD | IND | width.code(), offset);
    }

    /// Sets the index register to the length of the IPv4 header at `offset`.
    pub fn index_header_length(&mut self, offset: u32) {
        self.plain(LDX | MSH, offset);
    }

    /// Loads what the kernel knows of the packet besides its bytes (SKF_AD_*).
    pub fn load_ancillary(&mut self, what: u32) {
        self.plain(LD | ABS, ANCILLARY.wrapping_add(what));
    }

    /// Subtracts a constant.
    pub fn subtract(&mut self, k: u32) {
        self.plain(ALU_SUB, k);
    }

    /// Jumps when equal.
    pub fn if_equal(&mut self, k: u32, label: Label) {
        self.jump(JEQ, k, Some(label), None);
    }

    /// Jumps when not equal.
    pub fn if_not_equal(&mut self, k: u32, label: Label) {
        self.jump(JEQ, k, None, Some(label));
    }

    /// Jumps when at least `k`.
    pub fn if_at_least(&mut self, k: u32, label: Label) {
        self.jump(JGE, k, Some(label), None);
    }

    /// Jumps when one of the bits is set.
    pub fn if_any_bit(&mut self, k: u32, label: Label) {
        self.jump(JSET, k, Some(label), None);
    }

    /// Ends, keeping this many bytes of the packet; 0 refuses it.
    pub fn end(&mut self, keep: u32) {
        self.plain(RET, keep);
    }

    /// The program.
    ///
    /// # Panics
    /// When a label was not marked, stands before its jump, or is too far: mistakes of the writer.
    #[must_use]
    pub fn finish(mut self) -> Vec<Instruction> {
        for (at, if_true, if_false) in &self.jumps {
            let distance = |label: Label| {
                let distance = self.places[label.0].checked_sub(at + 1);
                let distance = distance.and_then(|distance| u8::try_from(distance).ok());
                distance.expect("a label stands within 255 instructions behind its jump")
            };
            let instruction = &mut self.program[*at];
            instruction.if_true = if_true.map_or(0, distance);
            instruction.if_false = if_false.map_or(0, distance);
        }
        self.program
    }

    fn plain(&mut self, code: u16, k: u32) {
        self.program.push(Instruction { code, if_true: 0, if_false: 0, k });
    }

    fn jump(&mut self, code: u16, k: u32, if_true: Option<Label>, if_false: Option<Label>) {
        self.jumps.push((self.program.len(), if_true, if_false));
        self.plain(code, k);
    }
}

impl Width {
    const fn code(self) -> u16 {
        match self {
            Self::Word => 0x00,
            Self::Half => 0x08,
            Self::Byte => 0x10,
        }
    }
}

/// SKF_AD_PROTOCOL: the EtherType of the packet, in the machine's order.
pub const PROTOCOL: u32 = 0;

/// SKF_AD_PKTTYPE: whom the frame was for; 0 is us.
pub const PACKET_TYPE: u32 = 4;

/// SKF_AD_OFF.
const ANCILLARY: u32 = -0x1000_i32 as u32;
const LD: u16 = 0x00;
const LDX: u16 = 0x01;
const ABS: u16 = 0x20;
const IND: u16 = 0x40;
const MSH: u16 = 0xb0;
const ALU_SUB: u16 = 0x14;
const JEQ: u16 = 0x15;
const JGE: u16 = 0x35;
const JSET: u16 = 0x45;
const RET: u16 = 0x06;

/// What the kernel would return for a packet: how many bytes of it are kept. `ancillary` answers
/// [`Assembler::load_ancillary`].
#[cfg(test)]
pub(crate) fn run(program: &[Instruction], packet: &[u8], ancillary: impl Fn(u32) -> u32) -> u32 {
    let (mut a, mut x, mut at) = (0u32, 0u32, 0usize);
    let load = |code: u16, offset: usize| {
        let bytes = packet.get(offset..)?;
        match code & 0x18 {
            0x00 => bytes.first_chunk().map(|b| u32::from_be_bytes(*b)),
            0x08 => bytes.first_chunk().map(|b| u16::from_be_bytes(*b).into()),
            _ => bytes.first().map(|b| (*b).into()),
        }
    };
    loop {
        let Instruction { code, if_true, if_false, k } = program[at];
        at += 1;
        let condition = match code {
            _ if code & 0xe7 == LD | ABS && k >= ANCILLARY => {
                a = ancillary(k.wrapping_sub(ANCILLARY));
                continue;
            }
            _ if code & 0xe7 == LD | ABS || code & 0xe7 == LD | IND => {
                let base = if code & 0xe0 == IND { x as usize } else { 0 };
                let Some(value) = load(code, base + k as usize) else { return 0 };
                a = value;
                continue;
            }
            _ if code == LDX | MSH => {
                let Some(byte) = packet.get(k as usize) else { return 0 };
                x = u32::from(byte & 0x0f) * 4;
                continue;
            }
            ALU_SUB => {
                a = a.wrapping_sub(k);
                continue;
            }
            RET => return k,
            JEQ => a == k,
            JGE => a >= k,
            JSET => a & k != 0,
            other => panic!("an instruction that is not written here: {other:#x}"),
        };
        at += usize::from(if condition { if_true } else { if_false });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instruction_is_laid_out_as_the_kernel_reads_it() {
        assert_eq!(size_of::<Instruction>(), 8);
        assert_eq!(std::mem::offset_of!(Instruction, k), 4);
    }

    #[test]
    fn jumps_go_to_their_labels() {
        let mut code = Assembler::new();
        let (yes, no) = (code.label(), code.label());
        code.load(Width::Byte, 1);
        code.if_equal(7, yes);
        code.subtract(1);
        code.if_not_equal(8, no);
        code.mark(yes);
        code.end(100);
        code.mark(no);
        code.end(0);
        let program = code.finish();
        let run = |packet: &[u8]| run(&program, packet, |_| 0);
        assert_eq!((run(&[0, 7]), run(&[0, 9]), run(&[0, 3])), (100, 100, 0));
        assert_eq!(run(&[0]), 0, "a packet that is too short is refused");
    }
}
