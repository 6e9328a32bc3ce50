//! Whose files decide what is let in: root's alone, and in folders of root's alone.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, lchown, symlink};
use std::path::Path;

use crate::support::{Ran, require_root};

use super::stage::{OPEN, SSH, Stage};

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[track_caller]
fn planned(stage: &Stage, path: &Path, code: i32) -> Ran {
    let line = format!("apply --dry-run --host box --inventory {}", path.display());
    stage.firewall(&line, SSH).run().expect_code(code)
}

#[track_caller]
fn refused(stage: &Stage, path: &Path, words: &[&str]) {
    let said = planned(stage, path, 2).stderr;
    for word in words {
        assert!(said.contains(word), "{word}: {said}");
    }
}

#[test]
fn an_inventory_that_others_may_write_is_not_applied() {
    require_root!();
    let stage = Stage::new();
    let path = stage.inventory(OPEN);
    let shown = path.display().to_string();
    mode(&path, 0o666);
    let mends = format!("chown root {shown} && chmod go-w {shown}");
    refused(&stage, &path, &[&shown, "by others than root", "owner root, mode 0666", &mends]);
    mode(&path, 0o644);
    chown(&path, Some(4711), None).unwrap();
    refused(&stage, &path, &["owner user 4711, mode 0644"]);
    chown(&path, Some(0), None).unwrap();
    let folder = path.parent().unwrap();
    let ran = stage.firewall("apply --yes --host box", SSH).folder(folder).run().expect_code(2);
    assert!(ran.stderr.contains("was not named"), "{}", ran.stderr);
    planned(&stage, &path, 0);
    assert!(!stage.has_table());
}

#[test]
fn a_folder_in_which_others_could_exchange_the_inventory_is_not_trusted() {
    require_root!();
    let stage = Stage::new();
    let site = stage.inventory(OPEN);
    let outer = site.with_file_name("outer");
    let inner = outer.join("inner");
    fs::create_dir_all(&inner).unwrap();
    let path = inner.join("site.toml");
    fs::write(&path, OPEN).unwrap();
    planned(&stage, &path, 0);

    mode(&outer, 0o775);
    let folder = outer.display().to_string();
    let mends = format!("chmod go-w {folder}");
    refused(&stage, &path, &["can be exchanged", &folder, "owner root, mode 0775", &mends]);
    // Sticky: nobody can move what is root's.
    mode(&outer, 0o1777);
    planned(&stage, &path, 0);
    chown(&inner, Some(4711), None).unwrap();
    refused(&stage, &path, &[&inner.display().to_string(), "owner user 4711", "/etc/portolan"]);
    assert!(!stage.has_table());
}

#[test]
fn every_link_on_the_way_to_the_inventory_is_looked_at() {
    require_root!();
    let stage = Stage::new();
    let site = stage.inventory(OPEN);
    let outer = site.with_file_name("outer");
    fs::create_dir(&outer).unwrap();
    let link = outer.join("site.toml");
    symlink("../portolan.toml", &link).unwrap();
    planned(&stage, &link, 0);
    mode(&outer, 0o777);
    refused(&stage, &link, &["can be exchanged", &outer.display().to_string(), "mode 0777"]);
    mode(&outer, 0o1777);
    planned(&stage, &link, 0);
    lchown(&link, Some(4711), None).unwrap();
    // With fs.protected_symlinks the kernel itself does not follow it (proc_sys_fs(5)).
    let protects = fs::read_to_string("/proc/sys/fs/protected_symlinks").unwrap_or_default();
    if protects.trim() == "1" {
        refused(&stage, &link, &["cannot read the inventory"]);
    } else {
        refused(&stage, &link, &["can be exchanged", "link ", "chown -h root"]);
    }
}

#[test]
fn lists_and_includes_are_looked_at_like_the_inventory() {
    require_root!();
    let stage = Stage::new();
    let text = r#"
portolan = 1
include = ["hosts.d/*.toml"]
[networks]
bad = { file = "lists/bad.txt" }
[management]
from = ["192.0.2.0/24"]
ports = ["22/tcp"]
[[block]]
from = ["bad"]
"#;
    let path = stage.inventory(text);
    let beside = |name: &str| path.with_file_name(name);
    for (folder, file, text) in [
        ("hosts.d", "box.toml", "portolan = 1\n[hosts.box]\naddress = [\"192.0.2.2\"]\n"),
        ("lists", "bad.txt", "198.51.100.0/24\n"),
    ] {
        fs::create_dir(beside(folder)).unwrap();
        fs::write(beside(folder).join(file), text).unwrap();
    }
    planned(&stage, &path, 0);
    for (folder, file) in [("hosts.d", "box.toml"), ("lists", "bad.txt")] {
        let file = beside(folder).join(file);
        mode(&file, 0o664);
        refused(&stage, &path, &[&file.display().to_string(), "mode 0664"]);
        mode(&file, 0o644);
        mode(&beside(folder), 0o777);
        refused(&stage, &path, &[&beside(folder).display().to_string(), "mode 0777"]);
        mode(&beside(folder), 0o755);
    }
    planned(&stage, &path, 0);
}
