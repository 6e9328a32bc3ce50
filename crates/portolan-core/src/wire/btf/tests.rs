//! A small made-up kernel, read whole, cut at every length and damaged in every word.

use proptest::prelude::*;

use super::*;

/// Writes BTF.
#[derive(Default)]
struct Writer {
    types: Vec<u8>,
    strings: Vec<u8>,
}

impl Writer {
    fn new() -> Self {
        Self { types: Vec::new(), strings: vec![0] }
    }

    fn name(&mut self, name: &str) -> u32 {
        if name.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(name.as_bytes());
        self.strings.push(0);
        at
    }

    fn put(&mut self, name: &str, kind: u32, flag: u32, operand: u32, extra: &[[u32; 3]]) {
        let words = [self.name(name), flag << 31 | kind << 24 | extra.len() as u32, operand];
        for word in words.iter().chain(extra.as_flattened()) {
            self.types.extend(word.to_ne_bytes());
        }
    }

    fn finish(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_ne_bytes().to_vec();
        bytes.extend([1, 0]);
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        for word in [24, 0, types, types, strings] {
            bytes.extend(word.to_ne_bytes());
        }
        [bytes, self.types, self.strings].concat()
    }
}

/// ```c
/// typedef unsigned int u32;
/// struct inner { u32 a; union { u32 b; char *c; }; const u32 d[3]; };
/// struct outer { u32 x:4, y:1; struct inner in; };
/// int walk();
/// ```
fn kernel() -> Vec<u8> {
    let mut btf = Writer::new();
    btf.put("unsigned int", INT, 0, 4, &[]);
    btf.types.extend(32u32.to_ne_bytes());
    btf.put("u32", TYPEDEF, 0, 1, &[]); // 2
    btf.put("", POINTER, 0, 1, &[]); // 3
    let (b, c) = (btf.name("b"), btf.name("c"));
    btf.put("", UNION, 0, 8, &[[b, 2, 0], [c, 3, 0]]); // 4
    btf.put("", CONST, 0, 2, &[]); // 5
    btf.put("", ARRAY, 0, 0, &[]); // 6
    for word in [5u32, 1, 3] {
        btf.types.extend(word.to_ne_bytes());
    }
    let (a, d) = (btf.name("a"), btf.name("d"));
    btf.put("inner", STRUCT, 0, 32, &[[a, 2, 0], [0, 4, 64], [d, 6, 128]]); // 7
    let (x, y, inside) = (btf.name("x"), btf.name("y"), btf.name("in"));
    let fields = [[x, 2, 4 << 24], [y, 2, 1 << 24 | 4], [inside, 7, 64]];
    btf.put("outer", STRUCT, 1, 40, &fields); // 8
    btf.put("walk", FUNCTION, 0, 1, &[]); // 9
    btf.put("outer", FUNCTION, 0, 1, &[]); // 10
    btf.finish()
}

const OUTER: TypeId = TypeId(8);

#[test]
fn names_are_found_by_what_they_stand_for() {
    let bytes = kernel();
    let btf = Btf::parse(&bytes).unwrap();
    let wanted = [(Kind::Composite, "outer"), (Kind::Function, "walk"), (Kind::Function, "outer")];
    assert_eq!(btf.find(wanted), [8, 9, 10].map(|id| Some(TypeId(id))));
    assert_eq!(btf.find([(Kind::Composite, "oute"), (Kind::Function, "inner")]), [None; 2]);
}

#[test]
fn fields_are_found_through_members_without_a_name_and_in_bits() {
    let bytes = kernel();
    let btf = Btf::parse(&bytes).unwrap();
    for (path, bit, bits) in [
        ("x", 0, 4),
        ("y", 4, 1),
        ("in", 64, 256),
        ("in.a", 64, 32),
        ("in.b", 128, 32),
        ("in.c", 128, 64),
        ("in.d", 192, 96),
    ] {
        assert_eq!(btf.field(OUTER, path), Some(Field { bit, bits }), "{path}");
    }
    for path in ["", "z", "in.z", "in.a.b", "x.a", "in."] {
        assert_eq!(btf.field(OUTER, path), None, "{path}");
    }
}

#[test]
fn what_is_no_btf_is_refused_by_what_is_wrong() {
    assert_eq!(Btf::parse(b"").unwrap_err(), BtfError::Foreign);
    assert_eq!(Btf::parse(&MAGIC.swap_bytes().to_ne_bytes()).unwrap_err(), BtfError::Foreign);
    let mut novel = Writer::new();
    novel.put("", 31, 0, 0, &[]);
    let novel = novel.finish();
    assert_eq!(Btf::parse(&novel).unwrap_err(), BtfError::UnknownKind { kind: 31 });
}

#[test]
fn a_kernel_cut_anywhere_is_refused() {
    let bytes = kernel();
    for length in 0..bytes.len() {
        assert!(Btf::parse(&bytes[..length]).is_err(), "{length}");
    }
}

#[test]
fn a_structure_within_itself_has_an_end() {
    let mut btf = Writer::new();
    btf.put("loop", STRUCT, 0, 4, &[[0, 1, 0], [0, 1, 0]]);
    btf.put("", TYPEDEF, 0, 2, &[]);
    let bytes = btf.finish();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.field(TypeId(1), "a"), None);
    assert_eq!(btf.field(TypeId(2), "a"), None);
}

proptest! {
    #[test]
    fn damage_is_no_panic(places in prop::collection::vec((0usize..512, any::<u8>()), 1..6)) {
        let mut bytes = kernel();
        for (place, value) in places {
            let length = bytes.len();
            bytes[place % length] = value;
        }
        if let Ok(btf) = Btf::parse(&bytes) {
            let _ = btf.find([(Kind::Composite, "outer"), (Kind::Function, "walk")]);
            for id in 0..12 {
                for path in ["x", "in.a", "in.b", "in.d"] {
                    let _ = btf.field(TypeId(id), path);
                }
            }
        }
    }
}
