//! The part of a plan that is about other tools' rules that ask for a connection's mark.

use std::io::Write as _;

use anyhow::Result;
use portolan_core::firewall::RulePlace;

use crate::render::sanitize::sanitize;
use crate::render::screen::Screen;

/// Prints it; nothing where no rule does.
pub(super) fn text(screen: &mut Screen, rules: &[RulePlace]) -> Result<()> {
    if rules.is_empty() {
        return Ok(());
    }
    let told = "rules that meet the bit 0x08000000 of `ct mark`, which a new connection to another machine's \
                address has until it is routed; with the mask 0xf7ffffff they do what they did:";
    screen.hanging("", told)?;
    for rule in rules {
        writeln!(screen, "  {}", sanitize(&rule.to_string()))?;
    }
    Ok(())
}
