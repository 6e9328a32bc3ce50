//! `portolan firewall compile`.

pub(crate) const HELP: &str = "\
Prints one table, `inet portolan`, for this host or the one named with --host: a
function of the inventory, the host and what had to be resolved, which stands at
the top. Nothing is changed. What is declared is let in on its port whether a
socket or a published container answers; everything else to this machine is
dropped, and of what goes through it only translated ports (a router drops all:
firewall = { forward = \"drop\" }). Management comes before every [[block]].

Examples: portolan firewall compile
          portolan firewall compile --host web > web.nft
          portolan firewall compile --host web | nft -c -f -
          portolan firewall compile --json | jq -r .hash";
