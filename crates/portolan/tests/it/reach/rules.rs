//! What rules refuse, let through and redirect, and who may not read them.

use crate::support::lab::{RTR, RTR6};
use crate::support::{Program, require_root};

use super::{SRC6, agrees, asked, lab, told};

#[test]
fn rules_of_nft_that_close_ipv4_and_forget_ipv6_are_told_apart() {
    require_root!();
    let (lab, _inside) = lab();
    let _servers = lab
        .rtr
        .python("listener('[::]:5432')\nlistener('127.0.0.1:6379')\nlistener('[fd77::fe]:7000')");
    lab.rtr.rules(
        "table ip t { set office { type ipv4_addr; flags interval; elements = { 10.9.0.0/16 } }
         chain in { type filter hook input priority 0; policy drop
         iif lo accept
         ct state established accept
         ip saddr @office tcp dport 5432 accept
 }\n}",
    );
    agrees(&lab.rtr, (&lab.src, "10.77.0.1"), RTR, &[(5432, false), (6379, false)]);
    agrees(&lab.rtr, (&lab.src, SRC6), RTR6, &[(5432, true), (6379, false), (7000, true)]);
    assert_eq!(told(&lab.rtr, 5432, "10.9.1.1"), ("no".into(), "no-route".into()));
    lab.rtr.ip("route add default via 10.77.0.1");
    assert_eq!(told(&lab.rtr, 5432, "10.9.1.1").0, "yes");
    assert_eq!(told(&lab.rtr, 6379, "10.77.0.1").1, "bound-elsewhere");
    let any = asked(&lab.rtr, "5432/tcp --from any");
    assert_eq!(any["ports"][0]["reach"][0]["answer"], "depends");
}

#[test]
fn an_answer_that_cannot_leave_is_no_connection() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python("listener('0.0.0.0:443')\nlistener('0.0.0.0:444')");
    lab.rtr.filter_output("tcp sport 443 drop");
    agrees(&lab.rtr, (&lab.src, "10.77.0.1"), RTR, &[(443, false), (444, true)]);
    assert_eq!(told(&lab.rtr, 443, "10.77.0.1").1, "rule-refuses-answer");
}

#[test]
fn a_redirected_port_leads_to_the_one_that_listens() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.listen("0.0.0.0:8443");
    lab.rtr.rules(
        "table ip r { chain pre { type nat hook prerouting priority -100
         tcp dport 443 redirect to :8443
 }\n}",
    );
    agrees(&lab.rtr, (&lab.src, "10.77.0.1"), RTR, &[(443, true), (8443, true)]);
    let report = asked(&lab.rtr, "8443/tcp --from 10.77.0.1");
    let ports: Vec<_> =
        report["ports"].as_array().expect("ports").iter().map(|p| p["port"].clone()).collect();
    assert_eq!(ports, [8443, 443]);
    assert_eq!(report["ports"][1]["leads_to"], 8443);
}

#[test]
fn who_may_not_read_the_rules_is_never_told_that_a_port_is_reachable() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python("listener('0.0.0.0:443')\nlistener('127.0.0.1:25')");
    let by_nobody = |port: u16| {
        let line = format!("reach {port} --from 10.77.0.1 --json");
        Program::line(&line).inside(&lab.rtr).by_user(65534).run()
    };
    let report = by_nobody(443).expect_code(3).json();
    assert_eq!(report["answer"], "unknown");
    let gaps = report["gaps"].as_array().expect("gaps");
    assert!(gaps.iter().any(|gap| gap["why"] == "not-permitted"), "{gaps:?}");
    assert!(gaps.iter().any(|gap| gap["why"] == "upstream"), "{gaps:?}");
    assert_eq!(by_nobody(25).json()["answer"], "no", "loopback is not reached whatever rules say");
}

/// The folder of nft covered by one with links to all else that is there.
#[test]
fn tables_that_only_nft_could_tell_leave_the_answer_unknown_and_where_there_are_none_nothing_is() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python("listener('0.0.0.0:443')");
    let hide = "mount -t tmpfs none /mnt && mkdir /mnt/all && mount --bind /usr/sbin /mnt/all && \
                mount -t tmpfs none /usr/sbin && ln -s /mnt/all/* /usr/sbin && rm /usr/sbin/nft && \
                exec \"$@\"";
    let run = |line: &str| {
        let program = Program::line(line).inside(&lab.rtr);
        program.through(["unshare", "-m", "sh", "-c", hide, "sh"]).run()
    };
    let reach = "reach 443/tcp --from 10.77.0.1 --json";
    assert_eq!(run(reach).expect_code(0).json()["answer"], "yes", "the kernel has no tables");
    lab.rtr.output("iptables-nft -A INPUT -p tcp --dport 443 -j DROP");
    assert_eq!(run(reach).expect_code(1).json()["answer"], "no", "iptables tells its own");
    lab.rtr.output("iptables-nft -F INPUT");
    lab.rtr.rules(
        "table inet mine { chain in { type filter hook input priority 0; tcp dport 443 drop\n }\n}",
    );
    let ran = run(reach).expect_code(3);
    let report = ran.json();
    assert_eq!(report["answer"], "unknown");
    assert!(report["gaps"].to_string().contains("inet mine"), "{report:#}");
    let chart = run("--json").json();
    assert_eq!(chart["ports"][0]["reach"][0]["answer"], "unknown", "{chart:#}");
    for line in ["firewall search --to-port 443/tcp", "firewall show"] {
        let ran = run(line).expect_code(2);
        assert!(ran.stdout.is_empty(), "{line}: {}", ran.stdout);
        assert!(ran.stderr.contains("nft is not installed"), "{line}: {}", ran.stderr);
    }
}

#[test]
fn a_check_that_our_own_rules_stop_names_the_rule() {
    require_root!();
    let (lab, _inside) = lab();
    let _server = lab.rtr.python("listener('0.0.0.0:443')");
    lab.rtr.filter_input("iif lo tcp dport 443 drop");
    lab.rtr.filter_output("ip daddr 10.78.0.2 tcp dport 80 drop");
    lab.rtr.filter_input("ip saddr 10.78.0.2 tcp sport 81 drop");
    let check = |target: &str| {
        let line = format!("check {target} --timeout 1s --json");
        let report = Program::line(&line).inside(&lab.rtr).run().json();
        report["results"][0]["own_rule"].clone()
    };
    assert_eq!(check("10.77.0.254:443")["chain"], "input_chain");
    assert_eq!(check("10.78.0.2:80")["chain"], "output_chain");
    // The other end answers; the answer is dropped here.
    assert_eq!(check("10.78.0.2:81")["chain"], "input_chain");
    let text = Program::line("check 10.78.0.2:81 --timeout 1s").inside(&lab.rtr).run().stdout;
    assert!(
        text.contains("No answer gets in: one of this machine's own rules drops it."),
        "{text}"
    );
    assert!(!text.contains("input rules of 10.78.0.2"), "{text}");
}
