//! Against the layout of a real kernel (`tests/data/btf`); that a kernel takes the program is tested
//! where it is loaded.

use super::*;

const LINUX: &[u8] = include_bytes!("../../../tests/data/btf/linux-6.18");

fn layout(bytes: &[u8]) -> Result<Layout, Missing> {
    Layout::read(&Btf::parse(bytes).unwrap())
}

fn selections() -> Vec<Selection> {
    let one = Selection {
        families: vec![Family::Ipv4, Family::Ipv6],
        states: StateSet::LISTENING,
        netns: Some(4_026_531_833),
        suspects: false,
    };
    let all = Selection { states: StateSet::ALL, netns: None, ..one.clone() };
    let unix = Selection { families: vec![Family::Unix, Family::Packet], ..all.clone() };
    let suspects = Selection { suspects: true, ..one.clone() };
    let only_suspects = Selection { families: Vec::new(), ..suspects.clone() };
    vec![one, all, unix, suspects, only_suspects]
}

/// The same BTF with every name `old` replaced by one as long.
fn renamed(old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let mut bytes = LINUX.to_vec();
    let places = bytes.windows(old.len()).enumerate();
    let places: Vec<usize> = places.filter(|(_, w)| *w == old.as_bytes()).map(|(i, _)| i).collect();
    assert!(!places.is_empty());
    places.iter().for_each(|at| bytes[*at..at + new.len()].copy_from_slice(new.as_bytes()));
    bytes
}

/// An instruction's opcode and, of a jump, how far it goes.
fn jumps(program: &[Instruction]) -> impl Iterator<Item = (usize, i16)> {
    let is_jump = |code: &u8| matches!(code & 0x07, 5 | 6) && !matches!(code & 0xf0, 0x80 | 0x90);
    let jumps = program.iter().enumerate().filter(move |(_, i)| is_jump(&i[0]));
    jumps.map(|(at, i)| (at, i16::from_ne_bytes([i[2], i[3]])))
}

#[test]
fn sharing_bits_of_a_real_kernel_are_four_one_and_one_in_a_byte() {
    let layout = layout(LINUX).unwrap();
    let bits = [layout.reuse, layout.reuseport, layout.v6only];
    assert_eq!(bits.map(|b| (b.shift, b.mask)), [(0, 15), (4, 1), (5, 1)]);
    assert!(bits.iter().all(|b| b.byte == layout.reuse.byte));
}

#[test]
fn a_program_goes_forward_and_ends() {
    let layout = layout(LINUX).unwrap();
    for selection in selections() {
        let program = program(&layout, &selection);
        assert!(program.len() < 150, "{} instructions", program.len());
        assert_eq!(program.last().map(|i| i[0]), Some(0x95), "exit");
        for (at, distance) in jumps(&program) {
            let target = at + 1 + usize::try_from(distance).expect("forward");
            assert!(target < program.len(), "{selection:?}: {at} jumps to {target}");
        }
    }
}

#[test]
fn what_is_not_asked_for_costs_no_instruction() {
    let layout = layout(LINUX).unwrap();
    let length = |selection: &Selection| program(&layout, selection).len();
    let all = selections();
    assert!(length(&all[1]) < length(&all[0]) && length(&all[0]) < length(&all[3]));
}

#[test]
fn a_kernel_without_cgroups_or_namespaces_is_asked_for_the_rest() {
    for (old, new) in [("dfl_cgrp", "xxx_cgrp"), ("skc_net", "skc_xxx"), ("nsproxy", "xxproxy")] {
        let layout = layout(&renamed(old, new)).unwrap();
        for selection in selections() {
            assert!(!program(&layout, &selection).is_empty());
        }
    }
}

#[test]
fn what_cannot_be_done_without_is_named() {
    let missing = |old, new| layout(&renamed(old, new)).unwrap_err().to_string();
    assert_eq!(
        missing("skc_reuseport", "skc_reusepart"),
        "this kernel's BTF has no sock_common skc_reuseport"
    );
    assert_eq!(
        missing("bpf_iter_task_file", "bpf_iter_task_pile"),
        "this kernel's BTF has no bpf_iter_task_file at all"
    );
}

#[test]
fn a_record_is_read_field_by_field() {
    let mut bytes = [0; RECORD];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(INODE, &77u64.to_ne_bytes());
    put(CGROUP, &5u64.to_ne_bytes());
    put(CGROUPS, &u64::MAX.to_ne_bytes());
    put(COMM, b"nginx\0rest");
    for (at, value) in [(PID, 812u32), (FD, 6), (UID, 33), (SOCKET_NETNS, 8), (NETNS, 9)] {
        put(at, &value.to_ne_bytes());
    }
    put(SUBJECT, &[SOCKET, 1, 0, 1]);
    let [record] = Record::each(&bytes).collect::<Vec<_>>()[..] else { panic!("one record") };
    assert_eq!((record.pid, record.fd, record.inode, record.uid), (812, 6, 77, 33));
    assert_eq!((record.cgroup, record.cgroups), (5, u64::MAX));
    assert_eq!((record.socket_netns, record.netns), (8, 9));
    assert_eq!((record.reuse, record.v6only), (Reuse::ADDRESS, true));
    assert_eq!((record.subject, &*record.process_name()), (Subject::Socket, "nginx"));
}

#[test]
fn records_that_are_cut_short_or_of_no_kind_are_left_out() {
    let mut bytes = vec![0; 3 * RECORD - 1];
    assert_eq!(Record::each(&bytes).count(), 0);
    bytes[SUBJECT] = RING;
    bytes[RECORD + SUBJECT] = MAILBOX;
    let subjects: Vec<Subject> = Record::each(&bytes).map(|r| r.subject).collect();
    assert_eq!(subjects, [Subject::Ring, Subject::Mailbox]);
}
