//! BTF, the kernel's description of its own types (Documentation/bpf/btf.rst): where a field stands.
//!
//! ```text
//! header = magic u16 · version u8 · flags u8 · header length u32 · types at u32 · their length u32
//!        · strings at u32 · their length u32
//! type   = name u32 · info u32 · size or type u32 · what its kind adds
//! member = name u32 · type u32 · offset u32
//! ```
//!
//! Types are numbered from 1 in their order, so one walk over them finds where each begins; names
//! are compared where they stand, and nothing is copied. A kernel describes some 150,000 types in
//! 5 MB. Pointers are taken to be eight bytes wide: BTF does not say.

use std::ops::Range;

/// A kernel's types.
#[derive(Debug)]
pub struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where each type begins in `types`; number 1 is the first.
    starts: Vec<u32>,
}

/// The number of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeId(pub u32);

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A structure or a union.
    Composite,
    /// A function.
    Function,
}

/// Where a field stands in its structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Bits from the beginning of the structure.
    pub bit: u32,
    /// Its width in bits.
    pub bits: u32,
}

impl Field {
    /// Bytes from the beginning of the structure to the byte in which it begins.
    #[must_use]
    pub const fn byte(self) -> u32 {
        self.bit / 8
    }
}

/// Why bytes are no BTF that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BtfError {
    /// The magic number of this machine's byte order is missing.
    #[error("it is no BTF")]
    Foreign,
    /// A section or a type reaches beyond its end.
    #[error("BTF is cut short")]
    Truncated,
    /// A kind this reader has never heard of: how long it is cannot be known.
    #[error("BTF has a type of unknown kind {kind}")]
    UnknownKind {
        /// Its number.
        kind: u32,
    },
}

impl<'a> Btf<'a> {
    /// Reads the table of contents.
    ///
    /// # Errors
    /// When it is cut short, of another byte order, or has kinds that are not known.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, BtfError> {
        if bytes.first_chunk() != Some(&MAGIC.to_ne_bytes()) {
            return Err(BtfError::Foreign);
        }
        let header = word(bytes, 4).ok_or(BtfError::Truncated)?;
        let section = |at| section(bytes, header, at).ok_or(BtfError::Truncated);
        let (types, strings) = (section(8)?, section(16)?);
        Ok(Self { types, strings, starts: starts(types)? })
    }

    /// The first type of each name.
    #[must_use]
    pub fn find<const N: usize>(&self, wanted: [(Kind, &str); N]) -> [Option<TypeId>; N] {
        let mut found = [None; N];
        for (number, at) in (1..).zip(&self.starts) {
            let kind = self.info(*at).and_then(named_kind);
            let Some((kind, name)) = kind.zip(self.name_bytes(*at)) else { continue };
            for (place, (wanted_kind, wanted)) in found.iter_mut().zip(&wanted) {
                if place.is_none() && kind == *wanted_kind && is_name(name, wanted) {
                    *place = Some(TypeId(number));
                }
            }
        }
        found
    }

    /// Where the field at `path` stands in the structure `of`: names joined by dots, each a member
    /// of the one before. Members without a name are looked through. `None` where there is none.
    #[must_use]
    pub fn field(&self, of: TypeId, path: &str) -> Option<Field> {
        let (mut bit, mut member) = (0u32, None);
        let mut within = of;
        for name in path.split('.') {
            let found = self.member(within, name, NESTING)?;
            bit = bit.checked_add(found.bit)?;
            within = self.resolve(found.kind)?;
            member = Some(found);
        }
        let found = member?;
        let bits = match found.bits {
            0 => self.bits(found.kind, NESTING)?,
            bits => bits,
        };
        Some(Field { bit, bits })
    }

    /// The member `name` of a structure or of one without a name inside it.
    fn member(&self, of: TypeId, name: &str, depth: u32) -> Option<Member> {
        let depth = depth.checked_sub(1)?;
        let at = self.start(of)?;
        let info = self.info(at)?;
        if !matches!(kind(info), STRUCT | UNION) {
            return None;
        }
        for index in 0..count(info) {
            let place = at as usize + HEAD + MEMBER * index as usize;
            let (named, kind) = (word(self.types, place)?, TypeId(word(self.types, place + 4)?));
            let (bit, bits) = bits_of(info, word(self.types, place + 8)?);
            if named != 0 {
                if is_name(self.string(named)?, name) {
                    return Some(Member { bit, bits, kind });
                }
            } else if let Some(inner) = self.resolve(kind)
                && let Some(found) = self.member(inner, name, depth)
            {
                return Some(Member { bit: bit.checked_add(found.bit)?, ..found });
            }
        }
        None
    }

    /// The type behind typedefs and qualifiers.
    fn resolve(&self, mut of: TypeId) -> Option<TypeId> {
        for _ in 0..NESTING {
            let at = self.start(of)?;
            match kind(self.info(at)?) {
                TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG => of = self.operand(at)?,
                _ => return Some(of),
            }
        }
        None
    }

    /// How wide a value of a type is.
    fn bits(&self, of: TypeId, depth: u32) -> Option<u32> {
        let depth = depth.checked_sub(1)?;
        let at = self.start(self.resolve(of)?)?;
        match kind(self.info(at)?) {
            INT | STRUCT | UNION | ENUM | ENUM64 | FLOAT => self.operand(at)?.0.checked_mul(8),
            POINTER => Some(64),
            ARRAY => {
                let place = at as usize + HEAD;
                let element = TypeId(word(self.types, place)?);
                word(self.types, place + 8)?.checked_mul(self.bits(element, depth)?)
            }
            _ => None,
        }
    }

    fn start(&self, id: TypeId) -> Option<u32> {
        self.starts.get((id.0 as usize).checked_sub(1)?).copied()
    }

    fn info(&self, at: u32) -> Option<u32> {
        word(self.types, at as usize + 4)
    }

    /// The third word of a type: its size, or the type it is made of.
    fn operand(&self, at: u32) -> Option<TypeId> {
        word(self.types, at as usize + 8).map(TypeId)
    }

    fn name_bytes(&self, at: u32) -> Option<&'a [u8]> {
        self.string(word(self.types, at as usize)?)
    }

    /// What begins at a place among the strings; it ends with a zero.
    fn string(&self, at: u32) -> Option<&'a [u8]> {
        self.strings.get(at as usize..)
    }
}

/// A member of a structure.
#[derive(Clone, Copy, Debug)]
struct Member {
    bit: u32,
    /// The width of a bit field, 0 for what is none.
    bits: u32,
    kind: TypeId,
}

/// Bit and width of a member: structures with bit fields keep both in one word.
const fn bits_of(info: u32, offset: u32) -> (u32, u32) {
    if info >> 31 == 1 { (offset & 0x00ff_ffff, offset >> 24) } else { (offset, 0) }
}

/// Where each type begins.
fn starts(types: &[u8]) -> Result<Vec<u32>, BtfError> {
    let mut starts = Vec::with_capacity(types.len() / 20);
    let mut at = 0;
    while at < types.len() {
        let info = word(types, at + 4).ok_or(BtfError::Truncated)?;
        let length = HEAD + extra(info)?;
        starts.push(u32::try_from(at).map_err(|_| BtfError::Truncated)?);
        at += length;
    }
    if at == types.len() { Ok(starts) } else { Err(BtfError::Truncated) }
}

/// What the kind of a type adds to its three words, in bytes.
const fn extra(info: u32) -> Result<usize, BtfError> {
    let count = count(info) as usize;
    match kind(info) {
        POINTER | FORWARD | TYPEDEF | VOLATILE | CONST | RESTRICT | FUNCTION | FLOAT | TYPE_TAG => {
            Ok(0)
        }
        INT | VARIABLE | DECL_TAG => Ok(4),
        ARRAY => Ok(12),
        STRUCT | UNION | SECTION | ENUM64 => Ok(MEMBER * count),
        ENUM | PROTOTYPE => Ok(8 * count),
        kind => Err(BtfError::UnknownKind { kind }),
    }
}

const fn kind(info: u32) -> u32 {
    info >> 24 & 0x1f
}

const fn count(info: u32) -> u32 {
    info & 0xffff
}

const fn named_kind(info: u32) -> Option<Kind> {
    match kind(info) {
        STRUCT | UNION => Some(Kind::Composite),
        FUNCTION => Some(Kind::Function),
        _ => None,
    }
}

/// Whether the string that begins here is `name`.
fn is_name(bytes: &[u8], name: &str) -> bool {
    bytes.strip_prefix(name.as_bytes()).and_then(<[u8]>::first) == Some(&0)
}

/// The part of the file that the two words at `at` tell of, counted from the end of the header.
fn section(bytes: &[u8], header: u32, at: usize) -> Option<&[u8]> {
    let start = (header as usize).checked_add(word(bytes, at)? as usize)?;
    let end = start.checked_add(word(bytes, at + 4)? as usize)?;
    bytes.get(Range { start, end })
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map(|word| u32::from_ne_bytes(*word))
}

const MAGIC: u16 = 0xeb9f;
const HEAD: usize = 12;
const MEMBER: usize = 12;

/// Deeper than any structure of a kernel, and an end for types that contain themselves.
const NESTING: u32 = 16;

// BTF_KIND_* of include/uapi/linux/btf.h.
const INT: u32 = 1;
const POINTER: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FORWARD: u32 = 7;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const RESTRICT: u32 = 11;
const FUNCTION: u32 = 12;
const PROTOTYPE: u32 = 13;
const VARIABLE: u32 = 14;
const SECTION: u32 = 15;
const FLOAT: u32 = 16;
const DECL_TAG: u32 = 17;
const TYPE_TAG: u32 = 18;
const ENUM64: u32 = 19;

#[cfg(test)]
mod tests;
