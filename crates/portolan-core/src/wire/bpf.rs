//! Instructions of the kernel's BPF machine (RFC 9669; include/uapi/linux/bpf.h), written by hand.
//!
//! ```text
//! instruction = opcode u8 · registers u8 (source, destination) · offset i16 · immediate i32
//! ```
//!
//! Only forward jumps exist here, to a place that is named before and marked later: a program
//! without a way back ends, and the kernel's verifier has an easy time.

/// One instruction, as the kernel reads it.
pub type Instruction = [u8; 8];

/// A register. R0 is what a call answers, R1 to R5 its arguments and lost in it; R6 to R9 are kept;
/// R10 is the end of the stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "a register is its number")]
pub enum Register {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

/// How much of memory an instruction moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 1 byte.
    Byte,
    /// 2 bytes.
    Half,
    /// 4 bytes.
    Word,
    /// 8 bytes.
    Double,
}

impl Width {
    const fn code(self) -> u8 {
        match self {
            Self::Word => 0x00,
            Self::Half => 0x08,
            Self::Byte => 0x10,
            Self::Double => 0x18,
        }
    }
}

/// Arithmetic with a constant or another register, on all 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alu {
    /// Adds.
    Add,
    /// Keeps the bits that both have.
    And,
    /// Shifts towards the high bits.
    ShiftLeft,
    /// Shifts towards the low bits, zeros come in.
    ShiftRight,
    /// Copies.
    Move,
}

impl Alu {
    const fn code(self) -> u8 {
        match self {
            Self::Add => 0x00,
            Self::And => 0x50,
            Self::ShiftLeft => 0x60,
            Self::ShiftRight => 0x70,
            Self::Move => 0xb0,
        }
    }
}

/// When to jump.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Test {
    /// They are the same.
    Equal,
    /// They are not.
    Different,
}

impl Test {
    const fn code(self) -> u8 {
        match self {
            Self::Equal => 0x10,
            Self::Different => 0x50,
        }
    }
}

/// A place in the program that is jumped to, see [`Assembler::place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// A program in the making.
#[derive(Debug, Default)]
pub struct Assembler {
    code: Vec<Instruction>,
    /// Where each label stands, once it is placed.
    labels: Vec<Option<usize>>,
    /// Jumps by their position, and where to.
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    /// An empty program.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A place to jump to that is still to come.
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// What comes next is what `label` stands for.
    pub fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.code.len());
    }

    /// `to = *(from + offset)`
    pub fn load(&mut self, width: Width, to: Register, from: Register, offset: i16) {
        self.put(LDX | MEM | width.code(), to, from, offset, 0);
    }

    /// `*(to + offset) = from`
    pub fn store(&mut self, width: Width, to: Register, offset: i16, from: Register) {
        self.put(STX | MEM | width.code(), to, from, offset, 0);
    }

    /// `*(to + offset) = value`
    pub fn store_value(&mut self, width: Width, to: Register, offset: i16, value: i32) {
        self.put(ST | MEM | width.code(), to, Register::R0, offset, value);
    }

    /// `to = to OPERATION value`, or `to = value`
    pub fn alu(&mut self, operation: Alu, to: Register, value: i32) {
        self.put(ALU64 | operation.code(), to, Register::R0, 0, value);
    }

    /// `to = to OPERATION other`, or `to = other`
    pub fn alu_with(&mut self, operation: Alu, to: Register, other: Register) {
        self.put(ALU64 | BY_REGISTER | operation.code(), to, other, 0, 0);
    }

    /// Jumps if all 64 bits of `register` and the sign-extended `value` compare so.
    pub fn jump_if(&mut self, test: Test, register: Register, value: i32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.put(JMP | test.code(), register, Register::R0, 0, value);
    }

    /// The same of the low 32 bits.
    pub fn jump_if_word(&mut self, test: Test, register: Register, value: i32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.put(JMP32 | test.code(), register, Register::R0, 0, value);
    }

    /// Jumps.
    pub fn jump(&mut self, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.put(JMP, Register::R0, Register::R0, 0, 0);
    }

    /// Calls a helper of the kernel by its number (BPF_FUNC_* of include/uapi/linux/bpf.h).
    pub fn call(&mut self, helper: i32) {
        self.put(JMP | CALL, Register::R0, Register::R0, 0, helper);
    }

    /// Ends; the answer is R0.
    pub fn exit(&mut self) {
        self.put(JMP | EXIT, Register::R0, Register::R0, 0, 0);
    }

    /// The program.
    ///
    /// # Panics
    /// When a label was jumped to and never placed, or too far away: the program is one of ours.
    #[must_use]
    pub fn finish(mut self) -> Vec<Instruction> {
        for (at, label) in self.jumps {
            let target = self.labels[label.0].expect("every label is placed");
            // Jumps count from the instruction after them.
            let distance = target.checked_sub(at + 1).expect("jumps go forward");
            let distance = i16::try_from(distance).expect("the program is short");
            self.code[at][2..4].copy_from_slice(&distance.to_ne_bytes());
        }
        self.code
    }

    fn put(&mut self, opcode: u8, to: Register, from: Register, offset: i16, value: i32) {
        let registers = if cfg!(target_endian = "little") {
            (from as u8) << 4 | to as u8
        } else {
            (to as u8) << 4 | from as u8
        };
        let [a, b] = offset.to_ne_bytes();
        let [c, d, e, f] = value.to_ne_bytes();
        self.code.push([opcode, registers, a, b, c, d, e, f]);
    }
}

// Classes and modes of opcodes, RFC 9669 §3.
const LDX: u8 = 0x01;
const ST: u8 = 0x02;
const STX: u8 = 0x03;
const JMP: u8 = 0x05;
const JMP32: u8 = 0x06;
const ALU64: u8 = 0x07;
const MEM: u8 = 0x60;
const BY_REGISTER: u8 = 0x08;
const CALL: u8 = 0x80;
const EXIT: u8 = 0x90;

#[cfg(all(test, target_endian = "little"))]
mod tests {
    use super::Register::{R0, R1, R2, R10};
    use super::*;

    #[test]
    fn instructions_are_the_bytes_of_the_standard() {
        let mut code = Assembler::new();
        code.load(Width::Double, R2, R1, 8);
        code.store(Width::Half, R10, -8, R2);
        code.store_value(Width::Word, R10, -4, -1);
        code.alu(Alu::Move, R0, 1);
        code.alu(Alu::ShiftRight, R2, 4);
        code.alu_with(Alu::And, R2, R1);
        code.call(127);
        code.exit();
        let expected: [Instruction; 8] = [
            [0x79, 0x12, 8, 0, 0, 0, 0, 0],
            [0x6b, 0x2a, 0xf8, 0xff, 0, 0, 0, 0],
            [0x62, 0x0a, 0xfc, 0xff, 0xff, 0xff, 0xff, 0xff],
            [0xb7, 0x00, 0, 0, 1, 0, 0, 0],
            [0x77, 0x02, 0, 0, 4, 0, 0, 0],
            [0x5f, 0x12, 0, 0, 0, 0, 0, 0],
            [0x85, 0x00, 0, 0, 127, 0, 0, 0],
            [0x95, 0x00, 0, 0, 0, 0, 0, 0],
        ];
        assert_eq!(code.finish(), expected);
    }

    #[test]
    fn a_jump_counts_from_the_instruction_after_it() {
        let mut code = Assembler::new();
        let end = code.label();
        code.jump_if(Test::Equal, R1, 0, end);
        code.jump_if_word(Test::Different, R1, -1, end);
        code.jump(end);
        code.place(end);
        code.exit();
        let code = code.finish();
        assert_eq!(code[0], [0x15, 0x01, 2, 0, 0, 0, 0, 0]);
        assert_eq!(code[1], [0x56, 0x01, 1, 0, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(code[2], [0x05, 0, 0, 0, 0, 0, 0, 0]);
    }
}
