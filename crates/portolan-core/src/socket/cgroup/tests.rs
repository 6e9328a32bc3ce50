//! Shapes of cgroup paths, as systemd and the container engines make them.

use proptest::prelude::*;

use super::*;

const ID: &str = "3f9c5ab6d7e8f901234567890abcdef1234567890abcdef1234567890abcdef0";
const INNER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// `unit | runtime id`, with `ID` and `INNER` for the long ones.
fn spoken(placement: &Placement) -> String {
    let unit = placement.unit.as_deref().unwrap_or("-");
    let container = placement
        .container
        .as_ref()
        .map_or("-".to_owned(), |container| format!("{} {}", container.runtime, container.id));
    format!("{unit} | {container}").replace(ID, "ID").replace(INNER, "INNER")
}

fn reads(path: &str) -> String {
    spoken(&of_path(&path.replace("INNER", INNER).replace("ID", ID)))
}

#[test]
fn units_are_named_as_systemctl_names_them() {
    for (path, expected) in [
        ("/", "- | -"),
        ("/init.scope", "init.scope | -"),
        ("/system.slice/ssh.service", "ssh.service | -"),
        ("/system.slice/ssh.socket", "ssh.socket | -"),
        ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service | -"),
        (
            "/system.slice/system-postgresql.slice/postgresql@16-main.service",
            "postgresql@16-main.service | -",
        ),
        (r"/system.slice/srv-my\x2ddata.mount", r"srv-my\x2ddata.mount | -"),
        ("/system.slice/systemd-udevd.service/udev", "systemd-udevd.service | -"),
        ("/system.slice/_cgroup.service", "cgroup.service | -"),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope | -"),
        ("/user.slice/user-1000.slice/user@1000.service/init.scope", "user@1000.service | -"),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/syncthing.service",
            "syncthing.service | -",
        ),
        (
            r"/user.slice/user-1000.slice/user@1000.service/app.slice/app-gnome-org.x\x2dy-77.scope",
            r"app-gnome-org.x\x2dy-77.scope | -",
        ),
        ("/system.slice", "- | -"),
        ("/../other.slice/web.service", "web.service | -"),
    ] {
        assert_eq!(reads(path), expected, "{path}");
    }
}

#[test]
fn containers_are_named_and_their_scopes_are_no_units() {
    for (path, expected) in [
        ("/system.slice/docker-ID.scope", "- | docker ID"),
        ("/docker/ID", "- | docker ID"),
        ("/docker/3f9c5ab6d7e8", "- | docker 3f9c5ab6d7e8"),
        ("/system.slice/docker.service/docker/ID", "- | docker ID"),
        ("/system.slice:docker:ID", "- | docker ID"),
        ("/ecs/0123456789abcdef0123456789abcdef/ID", "- | docker ID"),
        ("/machine.slice/libpod-ID.scope", "- | podman ID"),
        ("/machine.slice/libpod-ID.scope/container", "- | podman ID"),
        ("/libpod_parent/libpod-ID", "- | podman ID"),
        (
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
            "- | podman ID",
        ),
        ("/system.slice/cri-containerd-ID.scope", "- | containerd ID"),
        (
            "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1b2c.slice/cri-containerd-ID.scope",
            "- | containerd ID",
        ),
        (
            "/system.slice/containerd.service/kubepods-besteffort-pod1b2c.slice:cri-containerd:ID",
            "- | containerd ID",
        ),
        ("/kubepods/besteffort/pod8a1c7c1e-0b7b-4f0e-9a5f-2f4b8f6f3f11/ID", "- | kubernetes ID"),
        ("/kubepods.slice/kubepods-pod8a1c.slice/crio-ID.scope", "- | cri-o ID"),
        ("/system.slice/nerdctl-ID.scope", "- | containerd ID"),
        ("/default/ID", "- | containerd ID"),
        ("/actions_job/ID", "- | oci ID"),
        ("/lxc.payload.web-1", "- | lxc web-1"),
        ("/lxc/101/ns/system.slice/nginx.service", "nginx.service | lxc 101"),
        (r"/machine.slice/machine-web\x2d1.scope", "- | nspawn web-1"),
        ("/garden/6ad3f8c2-77d0-4b5e-5f1c", "- | garden 6ad3f8c2-77d0-4b5e-5f1c"),
        ("/system.slice/garden.service/garden/abc", "- | garden abc"),
        ("/docker/buildkit/xn3vy0q1l2m3", "- | buildkit xn3vy0q1l2m3"),
    ] {
        assert_eq!(reads(path), expected, "{path}");
    }
}

#[test]
fn what_runs_a_container_is_not_in_it() {
    for (path, expected) in [
        ("/system.slice/docker.service", "docker.service | -"),
        ("/machine.slice/libpod-conmon-ID.scope", "libpod-conmon-ID.scope | -"),
        ("/system.slice/crio-conmon-ID.scope", "crio-conmon-ID.scope | -"),
        ("/lxc.monitor.web", "- | -"),
        ("/machine.slice/systemd-nspawn@web.service/supervisor", "systemd-nspawn@web.service | -"),
        (r"/machine.slice/machine-qemu\x2d1\x2dweb.scope", r"machine-qemu\x2d1\x2dweb.scope | -"),
    ] {
        assert_eq!(reads(path), expected, "{path}");
    }
}

#[test]
fn a_unit_that_is_for_its_container_is_named_with_it() {
    for (path, expected) in [
        ("/system.slice/web.service/libpod-payload-ID", "web.service | podman ID"),
        (
            "/user.slice/user-1000.slice/user@1000.service/app.slice/web.service/libpod-payload-ID",
            "web.service | podman ID",
        ),
        (
            "/machine.slice/systemd-nspawn@web.service/payload/system.slice/nginx.service",
            "nginx.service | nspawn web",
        ),
        (
            "/machine.slice/systemd-nspawn@web.service/payload",
            "systemd-nspawn@web.service | nspawn web",
        ),
        ("/lxc.payload.web/system.slice/nginx.service", "nginx.service | lxc web"),
        ("/docker/ID/system.slice/containerd.service", "containerd.service | docker ID"),
        ("/docker/ID/docker/INNER", "- | docker INNER"),
        ("/docker/ID/kubepods/besteffort/pod1/INNER", "- | kubernetes INNER"),
    ] {
        assert_eq!(reads(path), expected, "{path}");
    }
}

#[test]
fn names_that_are_not_well_formed_are_passed_over() {
    for path in [
        "/system.slice/.service",
        "/system.slice/..service",
        "/system.slice/evil\u{1b}[2J.service",
        "/system.slice/two words.service",
        "/system.slice/no-suffix",
        "/docker/short",
        "/docker/not-hexadecimal-at-all",
        "/system.slice/docker-.scope/x",
        "/lxc.payload.",
        "/lxc/..",
        "/:::::",
        "/deadbeefdead",
    ] {
        let placement = of_path(path);
        let unit = placement.unit.as_deref();
        assert!(unit.is_none_or(|unit| unit == "docker-.scope"), "{path}: {unit:?}");
        assert_eq!(placement.container, None, "{path}");
    }
    assert_eq!(reads(&format!("/system.slice/{}.service", "a".repeat(300))), "- | -");
}

#[test]
fn the_unified_hierarchy_is_believed_before_the_others() {
    let text = b"12:pids:/system.slice/old.service\n1:name=systemd:/system.slice/mid.service\n0::/system.slice/new.service\n";
    assert_eq!(spoken(&of_process(text)), "new.service | -");
}

#[test]
fn version_one_hierarchies_fill_what_the_unified_one_leaves_open() {
    let hybrid = b"11:memory:/docker/3f9c5ab6d7e8f901\n2:cpu,cpuacct:/\n1:name=systemd:/system.slice/ssh.service\n0::/\n";
    assert_eq!(spoken(&of_process(hybrid)), "ssh.service | docker 3f9c5ab6d7e8f901");
}

#[test]
fn a_removed_cgroup_keeps_its_name() {
    assert_eq!(spoken(&of_process(b"0::/system.slice/web.service (deleted)\n")), "web.service | -");
}

#[test]
fn lines_that_are_no_hierarchy_are_skipped() {
    assert_eq!(of_process(b"\n0:\n0::\n::\nx\n\xff\xfe::/a.service\n"), Placement::default());
}

proptest! {
    #[test]
    fn any_bytes_are_a_placement(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = of_process(&bytes);
    }

    #[test]
    fn whatever_is_named_is_plain_text(path in "(/[-a-f0-9:._@\\\\\u{1b} ]{0,70}(\\.service|\\.scope)?){0,5}") {
        let placement = of_path(&path);
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        prop_assert!(placement.unit.is_none_or(|unit| plain(&unit)));
        prop_assert!(placement.container.is_none_or(|container| plain(&container.id)));
    }
}
