//! `reach --live`: a real packet is followed, to where it ends.

use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::lab::{RTR, SRC};
use crate::support::{Netns, Program, Ran, eventually, require_root, skip};

use super::{UFW_AND_DOCKER, connects, iptables, lab};

/// Follows packets while `work` goes on in another namespace.
fn following(host: &Netns, words: &str, work: impl FnOnce() + Send) -> Ran {
    let line = format!("reach {words} --live --yes --wait 8s");
    thread::scope(|scope| {
        let following = scope.spawn(|| Program::line(&line).inside(host).run());
        eventually("the table is there", || {
            host.output("nft list tables").contains("portolan_trace")
        });
        // The table's rules come after the table.
        thread::sleep(Duration::from_millis(400));
        work();
        following.join().expect("it ends")
    })
}

/// What is told of them in JSON.
fn followed(host: &Netns, words: &str, code: i32, work: impl FnOnce() + Send) -> Value {
    following(host, &format!("{words} --json"), work).expect_code(code).json()
}

#[test]
fn a_real_packet_is_followed_to_the_rule_that_drops_it_and_the_table_is_gone_again() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python("listener('0.0.0.0:22')\nlistener('0.0.0.0:9000')");
    iptables(&lab.rtr, UFW_AND_DOCKER);
    let knock = |port| {
        connects(&lab.src, RTR, port);
    };
    let from = format!("--from {SRC}");

    let report = followed(&lab.rtr, &format!("9000/tcp {from}"), 1, || knock(9000));
    let live = &report["live"];
    assert_eq!(
        (&live["arrived"], &live["outcome"]),
        (&true.into(), &"dropped".into()),
        "{report:#}"
    );
    assert_eq!(
        (&live["rule"]["chain"], &live["rule"]["text"]),
        (&"INPUT".into(), &"policy drop".into())
    );
    assert_eq!(report["answer"], "no");

    let report = followed(&lab.rtr, &format!("22/tcp {from}"), 0, || knock(22));
    assert_eq!(report["live"]["outcome"], "delivered");
    assert_eq!(report["live"]["replied"], "accepts");

    let report = followed(&lab.rtr, &format!("8080/tcp {from}"), 0, || knock(8080));
    assert_eq!(report["live"]["outcome"], "forwarded");
    let steps = report["live"]["steps"].as_array().expect("steps");
    let texts: Vec<&str> = steps.iter().filter_map(|s| s["rule"]["text"].as_str()).collect();
    assert!(
        texts.iter().any(|text| text.contains("DNAT --to-destination 10.78.0.2:80")),
        "{texts:?}"
    );
    assert!(!lab.rtr.output("nft list tables").contains("portolan"));
}

#[test]
fn a_packet_whose_answer_is_dropped_on_its_way_back_has_not_reached_the_port() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python("listener('0.0.0.0:443')\nlistener('0.0.0.0:8443')");
    lab.rtr.rules(
        "table ip r { chain pre { type nat hook prerouting priority -100
         tcp dport 444 redirect to :8443
         tcp dport 8080 dnat to 10.78.0.2:80
 }\n}",
    );
    lab.rtr.filter_output("tcp sport { 443, 8443 } drop");
    lab.rtr.filter_forward("tcp sport 80 drop");
    let ends = |port: u16, outcome: &str, chain: &str| {
        let report = followed(&lab.rtr, &format!("{port}/tcp --from {SRC}"), 1, || {
            connects(&lab.src, RTR, port);
        });
        let live = &report["live"];
        assert_eq!((&live["arrived"], &live["outcome"]), (&true.into(), &outcome.into()));
        assert_eq!(live["answer_rule"]["chain"], chain, "{report:#}");
        assert_eq!(report["answer"], "no");
    };
    ends(443, "delivered", "output_chain");
    ends(444, "delivered", "output_chain");
    ends(8080, "forwarded", "forward_chain");
    // Nobody is there: what came was refused.
    let report = followed(&lab.rtr, &format!("9/tcp --from {SRC}"), 1, || {
        connects(&lab.src, RTR, 9);
    });
    assert_eq!(report["live"]["replied"], "refuses", "{report:#}");
}

#[test]
fn a_port_that_another_one_is_translated_to_is_followed_by_its_own_name() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.listen("0.0.0.0:8443");
    lab.rtr.rules(
        "table ip r { chain pre { type nat hook prerouting priority -100
         tcp dport 443 redirect to :8443
 }\n}",
    );
    for port in [8443, 443] {
        let report = followed(&lab.rtr, &format!("{port}/tcp --from {SRC}"), 0, || {
            connects(&lab.src, RTR, port);
        });
        assert_eq!(report["port"], port);
        assert_eq!(report["live"]["replied"], "accepts", "{report:#}");
    }
    // Without the rights nothing is planned.
    let line = "reach 8443/tcp --live --yes --from 10.77.0.1";
    let ran = Program::line(line).inside(&lab.rtr).by_user(65534).run().expect_code(2);
    assert!(ran.stderr.contains("run with sudo"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("add the table"), "{}", ran.stderr);
}

#[test]
fn rules_of_legacy_iptables_that_no_trace_tells_of_are_named() {
    require_root!();
    if Command::new("iptables-legacy").arg("--version").output().is_err() {
        skip!("iptables-legacy is not installed");
    }
    let (lab, _inside) = lab();
    let _server = lab.rtr.listen("0.0.0.0:443");
    lab.rtr.output("iptables-legacy -A INPUT -p tcp --dport 443 -j DROP");
    let report = followed(&lab.rtr, &format!("443/tcp --from {SRC}"), 1, || {
        connects(&lab.src, RTR, 443);
    });
    let live = &report["live"];
    assert_eq!(live["untraced"], serde_json::json!(["ip filter"]), "{report:#}");
    assert_eq!(live["outcome"], "not-routed");
    assert_eq!(report["answer"], "no", "they are read and simulated all the same");
    let on_screen = following(&lab.rtr, &format!("443/tcp --from {SRC}"), || {
        connects(&lab.src, RTR, 443);
    });
    let told = on_screen.expect_code(1).stdout;
    assert!(told.contains("by what was read of them"), "{told}");
    assert!(told.contains("ip filter INPUT"), "{told}");
}

#[test]
fn a_packet_of_this_machine_is_sent_and_followed_through_loopback() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.listen("0.0.0.0:443");
    lab.rtr.filter_input("iif lo tcp dport 443 drop");
    let line = "reach 443/tcp --live --yes --from 10.77.0.254 --json";
    let report = Program::line(line).inside(&lab.rtr).run().expect_code(1).json();
    assert_eq!(report["live"]["outcome"], "dropped", "{report:#}");
    assert_eq!(report["live"]["rule"]["chain"], "input_chain");
    assert_eq!(report["answer"], "no");
}

#[test]
fn nothing_is_followed_without_a_yes_and_nothing_is_left_after_a_kill() {
    require_root!();
    let (lab, _inside) = lab();
    let line = "reach 443/tcp --live --from 10.77.0.1 --wait 20s";
    let ran = Program::line(line).inside(&lab.rtr).run().expect_code(2);
    assert!(ran.stderr.contains("add --yes"), "{}", ran.stderr);
    let dry = Program::line(&format!("{line} --dry-run")).inside(&lab.rtr).run().expect_code(0);
    assert!(dry.stderr.contains("add the table"), "{}", dry.stderr);
    let tables = || lab.rtr.output("nft list tables");
    assert_eq!(tables(), "");
    let mut command = Program::line(&format!("{line} --yes")).inside(&lab.rtr).command();
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("it starts");
    eventually("the table is there", || tables().contains("portolan_trace"));
    child.kill().expect("it runs");
    child.wait().expect("it ended");
    eventually("the table is gone", || tables().is_empty());
}
