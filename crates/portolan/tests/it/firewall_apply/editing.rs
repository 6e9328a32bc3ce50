//! `allow` and `deny`: edits of the inventory, and what follows from them.

use std::fs;

use crate::support::{Program, require_root};

use super::stage::{SSH, Stage};

const SITE: &str = r#"portolan = 1
[hosts.box]   # this one
address = ["192.0.2.2"]
[services.web]
on = ["box"]
ports = ["80/tcp"]
from = [
  "192.0.2.0/24",   # the office
  "any"
]
[services.both]
on = ["box"]
ports = ["8080/tcp", "8081/tcp"]
from = ["any"]
[services.seen]
on = ["box"]
ports = ["9000/tcp"]
status = "observed"
"#;

fn edited(line: &str, code: i32) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.toml");
    fs::write(&path, SITE).unwrap();
    let ran = Program::line(&format!("{line} --host box --inventory {}", path.display())).run();
    let ran = ran.expect_code(code);
    (fs::read_to_string(path).unwrap(), ran.stdout + &ran.stderr)
}

#[test]
fn what_is_allowed_stands_in_the_inventory_and_nothing_else_changes() {
    let (text, said) = edited("allow 443/tcp --from 198.51.100.7", 0);
    assert!(said.contains("service https is written"), "{said}");
    let added = text.strip_prefix(SITE).unwrap();
    assert!(
        added.contains("ports = [\"443/tcp\"]") && added.contains("\"198.51.100.7\""),
        "{added}"
    );

    let (text, _) = edited("allow 80/tcp --from 198.51.100.0/24", 0);
    assert_eq!(
        text,
        SITE.replace(
            "  \"any\"\n]\n[services.both]",
            "  \"any\", \"198.51.100.0/24\"\n]\n[services.both]"
        )
    );
    assert_eq!(edited("allow 80 --from any", 0).0, SITE);

    let (text, _) = edited("allow 9000/tcp --from any", 0);
    assert!(text.contains("status = \"active\""), "{text}");
    let (text, _) = edited("allow 8443/tcp --from any --until 2h", 0);
    assert!(text.contains("approved = { until = 20"), "{text}");
}

#[test]
fn what_is_denied_goes_and_comments_stay() {
    let (text, _) = edited("deny 80/tcp --from any", 0);
    assert_eq!(text, SITE.replace("\"any\"\n]\n[services.both]", "\n]\n[services.both]"));
    let (text, said) = edited("deny 80/tcp", 0);
    assert!(said.contains("is changed") && text.contains("# the office"), "{text}");
    let (text, said) = edited("deny 4444/tcp --from any", 0);
    assert!(said.contains("no service lets anybody in"), "{said}");
    assert_eq!(text, SITE);
}

#[test]
fn what_lets_the_denied_in_all_the_same_is_told() {
    let site = "portolan = 1\n[networks]\noffice = [\"10.0.0.0/8\"]\n[management]\nfrom = [\"office\"]\n\
                ports = [\"22/tcp\"]\n[hosts.box]\naddress = [\"10.1.1.1\"]\n[services.web]\non = [\"box\"]\n\
                ports = [\"80/tcp\"]\nfrom = [\"office\", \"any\"]\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("site.toml");
    fs::write(&path, site).unwrap();
    let run = |line: &str| {
        Program::line(&format!("{line} --host box --inventory {}", path.display())).run()
    };
    let ran = run("deny 80/tcp --from office").expect_code(1);
    assert!(ran.stdout.contains("still open: service web is for any"), "{}", ran.stdout);
    let ran = run("deny 22/tcp").expect_code(1);
    assert!(ran.stdout.contains("still open: [management] lets office in"), "{}", ran.stdout);
    run("deny 80/tcp").expect_code(0);
}

#[test]
fn what_was_only_observed_is_approved_for_the_one_source() {
    let folder = tempfile::tempdir().unwrap();
    let part = folder.path().join("part.toml");
    let root = folder.path().join("site.toml");
    fs::write(
        &root,
        "portolan = 1\ninclude = [\"part.toml\"]\n[hosts.box]\naddress = [\"10.1.1.1\"]\n",
    )
    .unwrap();
    let service = "[services.db]\non = [\"box\"]\nports = [\"5432/tcp\"]\nfrom = [\"any\"]\nstatus = \"observed\"\n";
    fs::write(&part, service).unwrap();
    let line = "allow 5432/tcp --from 10.0.0.5 --host box --inventory";
    let ran = Program::line(&format!("{line} {}", root.display())).run().expect_code(0);
    let text = fs::read_to_string(part).unwrap();
    assert!(text.contains("from = [\"10.0.0.5\"]") && text.contains("\"active\""), "{text}");
    assert!(ran.stdout.contains("approved for this source alone"), "{}", ran.stdout);
    assert!(ran.stdout.contains(&format!("--inventory {}", root.display())), "{}", ran.stdout);
}

#[test]
fn more_than_was_asked_for_is_never_changed() {
    for line in ["allow 8080/tcp --from 192.0.2.1", "deny 8081/tcp --from any"] {
        let (text, said) = edited(line, 2);
        assert!(said.contains("service both has more than"), "{said}");
        assert_eq!(text, SITE);
    }
    let (text, said) = edited("deny 80/tcp --from 192.0.2.7", 2);
    assert!(said.contains("does not name 192.0.2.7"), "{said}");
    assert_eq!(text, SITE);
    let (text, _) = edited("allow 80/tcp --from nowhere", 2);
    assert_eq!(text, SITE, "what would not be valid is not written");
}

#[test]
fn an_edit_goes_on_trial_where_that_is_wanted() {
    require_root!();
    let stage = Stage::new();
    let path = stage.inventory(&SITE.replace("  \"any\"\n", ""));
    let line = format!("deny 8080/tcp --apply --yes --host box --inventory {}", path.display());
    stage.program(&line, SSH).run().expect_code(2);
    assert!(!stage.has_table(), "an edit that was refused is not applied");
    let line =
        format!("allow 22/tcp --from any --apply --yes --host box --inventory {}", path.display());
    let mut applying = stage.program(&line, SSH).command().spawn().unwrap();
    crate::support::eventually("it is on trial", || stage.log() == ["applied"]);
    stage.confirm();
    assert_eq!(applying.wait().unwrap().code(), Some(0));
    assert!(stage.table().contains("22 : jump"), "{}", stage.table());
}
