//! `[[never]]` means the same to everything that asks it: `allow`, the proof, `apply` and the audit.

use serde_json::Value;

use crate::support::require_root;

use super::stage::{SSH, Stage};

/// The neighbour's network has a name, and so has the network that is everybody.
const SITE: &str = "portolan = 1\n[networks]\nlan = \"192.0.2.0/24\"\ninternet = \"any\"\n\
                    [hosts.box]\naddress = [\"192.0.2.2\"]\n[management]\nfrom = [\"lan\"]\n\
                    ports = [\"22/tcp\"]\n";

/// What `db` lets in.
fn database(from: &str) -> String {
    format!("[services.db]\non = [\"box\"]\nports = [\"3306/tcp\"]\nfrom = [\"{from}\"]\n")
}

/// Whether the `[[never]]` with this `from` forbids that `service` lets in, by the word of each.
fn forbids(stage: &Stage, from: &str, service: &str) -> [bool; 4] {
    let never = format!("{SITE}[[never]]\nports = [\"3306/tcp\"]\n{from}\nreason = \"data\"\n");
    let path = stage.inventory(&never);
    let line = |what: &str| format!("{what} --host box --inventory {}", path.display());
    let allow = stage.program(&line(&format!("allow 3306 --from {service} --json")), SSH).run();
    stage.inventory(&(never + &database(service)));
    let prove = stage.firewall(&line("prove --json"), SSH).run();
    let apply = stage.firewall(&line("apply --yes --dry-run --json"), SSH).run();
    let audit = stage.program(&line("audit --json"), SSH).run();
    let has = |said: Value, key: &str| !said[key].as_array().unwrap().is_empty();
    let findings = audit.json()["findings"].as_array().unwrap().clone();
    [
        has(allow.json(), "violations"),
        has(prove.json(), "violations"),
        has(apply.json(), "violations"),
        findings.iter().any(|finding| finding["rule"] == "P122"),
    ]
}

#[test]
fn a_never_means_the_same_to_allow_prove_apply_and_audit() {
    require_root!();
    let stage = Stage::new();
    // The firewall that is loaded lets in whom `db` is for.
    let _database = stage.here.listen("0.0.0.0:3306");
    let only = "table inet only { chain in { type filter hook input priority 0; \
                iifname v0 tcp dport 3306 ip saddr != 192.0.2.0/24 drop; }; }";
    stage.nft(only);
    stage.here.ip("route add default via 192.0.2.1");
    for from in ["", "from = [\"any\"]", "from = [\"0.0.0.0/0\"]", "from = [\"lan\"]"] {
        assert_eq!(forbids(&stage, from, "lan"), [true; 4], "{from}");
    }
    // People write the name of the network that is everybody for those outside.
    let outside = "from = [\"internet\"]";
    assert_eq!(forbids(&stage, outside, "lan"), [false; 4]);
    stage.nft("flush table inet only");
    assert_eq!(forbids(&stage, outside, "any"), [true; 4]);
}
