//! One ruleset from what several tools tell of the same network namespace.
//!
//! ```text
//! nft -j list ruleset     all tables of nf_tables; of iptables' own matches the names alone
//! iptables-save           what nft only names, table by table
//! iptables-legacy-save    tables that nft does not see
//! ipset save              what `-m set` asks, already read into the saves
//! ```
//! A rule that nft shows whole is nft's; one of which it only names something is that of iptables-save,
//! at the same place of the same chain. Rule by rule, for iptables-save prints what nft put between its
//! own rules wrongly and says nothing: `tcp dport { 80, 443 } accept` as `-p tcp -j ACCEPT` (measured,
//! iptables 1.8.9). Hook, priority and order of registration are nft's to know.

use std::collections::HashMap;

use super::iptables::{Save, number_registrations};
use super::{
    Chain, ChainId, Condition, Family, Origin, ReadError, Rule, RuleId, RulePlace, Ruleset,
    Statement, Table, Verdict,
};

impl Ruleset {
    /// The rules that nft only names (`xt`), and that no `iptables-save` has said: what they do is not
    /// known.
    #[must_use]
    pub fn veiled(&self) -> Vec<RulePlace> {
        let mut places = Vec::new();
        for (t, table) in self.tables.iter().enumerate() {
            for (c, chain) in table.chains.iter().enumerate() {
                let veiled = chain.rules.iter().enumerate().filter(|(_, rule)| is_veiled(rule));
                let ids = veiled.map(|(index, _)| RuleId {
                    chain: ChainId { table: t, chain: c },
                    rule: Some(index),
                });
                places.extend(ids.filter_map(|id| self.place(id)));
            }
        }
        places
    }

    /// Puts in what iptables-save and ip6tables-save say. Without a listing of nft: into an empty
    /// ruleset.
    ///
    /// # Errors
    /// A table that iptables-save could not print and nft does not show whole; the line is that of the
    /// comment.
    pub fn with_saves(mut self, saves: Vec<Save>) -> Result<Self, ReadError> {
        for save in saves {
            for incompatible in &save.incompatible {
                let known = self.table_at(save.family, &incompatible.table, save.origin);
                if known.is_none_or(|at| self.tables[at].chains.iter().any(has_veiled)) {
                    return Err(incompatible.error(save.family));
                }
            }
            for note in save.notes {
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
            }
            for table in save.tables {
                self.take(table);
            }
        }
        self.note_unknown_order();
        Ok(self)
    }

    fn table_at(&self, family: Family, name: &str, origin: Origin) -> Option<usize> {
        let is_legacy = |origin| origin == Origin::IptablesLegacy;
        self.tables.iter().position(|table| {
            table.family == family
                && *table.name == *name
                && is_legacy(table.origin) == is_legacy(origin)
        })
    }

    fn take(&mut self, table: Table) {
        match self.table_at(table.family, &table.name, table.origin) {
            Some(at) if self.tables[at].chains.iter().any(has_veiled) => {
                unveil(&mut self.tables[at], table);
            }
            Some(_) => {}
            None => {
                let bases =
                    self.tables.iter().flat_map(|t| &t.chains).filter_map(|c| c.base.as_ref());
                let next =
                    bases.map(|base| base.sequence).max().map_or(0, |last| last.saturating_add(1));
                let mut added = [table];
                number_registrations(&mut added, next);
                self.tables.extend(added);
            }
        }
    }

    /// Legacy tables and those of nf_tables stand on the same hooks, and nobody tells in which order.
    fn note_unknown_order(&mut self) {
        let is_legacy = |table: &Table| table.origin == Origin::IptablesLegacy;
        let mut notes = Vec::new();
        for legacy in self.tables.iter().filter(|table| is_legacy(table)) {
            for other in self.tables.iter().filter(|table| !is_legacy(table)) {
                let meet = other.family == legacy.family || other.family == Family::Inet;
                if meet && let Some(base) = same_place(legacy, other) {
                    notes.push(format!(
                        "whether legacy {} {} or {} {} is asked first at {base} is not known",
                        legacy.family, legacy.name, other.family, other.name
                    ));
                }
            }
        }
        self.notes.extend(notes);
    }
}

/// The first hook and priority that two tables share.
fn same_place(one: &Table, other: &Table) -> Option<String> {
    let bases = |table: &Table| -> Vec<_> {
        let bases = table.chains.iter().filter_map(|chain| chain.base.as_ref());
        bases.map(|base| (base.hook, base.priority)).collect()
    };
    let theirs = bases(other);
    let shared = bases(one).into_iter().find(|place| theirs.contains(place));
    shared.map(|(hook, priority)| format!("{hook} {priority}"))
}

/// Puts the rules of iptables-save into the chains that nft lists.
fn unveil(table: &mut Table, saved: Table) {
    let at: HashMap<Box<str>, usize> =
        table.chains.iter().enumerate().map(|(at, chain)| (chain.name.clone(), at)).collect();
    for chain in saved.chains {
        let listed = at.get(&chain.name).map(|at| &mut table.chains[*at].rules);
        // Two programs were asked one after the other: where a rule came between them, none is known to
        // be the same, and what is veiled stays so.
        let Some(listed) = listed.filter(|listed| listed.len() == chain.rules.len()) else {
            continue;
        };
        for (listed, saved) in listed.iter_mut().zip(chain.rules) {
            if is_veiled(listed) && is_named_in(listed, &saved) || says_the_same(listed, &saved) {
                let handle = listed.handle;
                let counter = saved.counter.or(listed.counter);
                *listed = Rule { handle, counter, ..saved };
            }
        }
    }
    for set in saved.sets {
        if table.set(&set.name).is_none() {
            table.sets.push(set);
        }
    }
    table.origin = Origin::IptablesNft;
}

/// Whether two rules are the same comparisons and the same verdict: then the words of iptables are
/// those its author knows.
fn says_the_same(listed: &Rule, saved: &Rule) -> bool {
    let is_plain =
        |statement: &&Statement| matches!(statement, Statement::Match(_) | Statement::Verdict(_));
    let plain = |rule: &Rule| rule.statements.iter().all(|statement| is_plain(&statement));
    let within =
        |one: &Rule, other: &Rule| one.statements.iter().all(|s| other.statements.contains(s));
    plain(listed) && plain(saved) && within(listed, saved) && within(saved, listed)
}

/// Whether a rule of iptables-save can be the one of which nft tells these names: the matches and targets
/// in the same order, and the same verdict. Another rule at the same place is none of it.
fn is_named_in(listed: &Rule, saved: &Rule) -> bool {
    let mut words = saved.text.split_ascii_whitespace();
    let mut named = std::iter::from_fn(|| {
        words.find(|word| matches!(*word, "-m" | "--match" | "-j" | "--jump" | "-g" | "--goto"))?;
        words.next()
    });
    let mut names = listed.statements.iter().filter_map(veiled_name);
    names.all(|name| named.any(|word| is_same_extension(name, word)))
        && plain_verdict(listed) == plain_verdict(saved)
}

/// The name in `xt match NAME`; not of those that a protocol brings along, which need not be said.
fn veiled_name(statement: &Statement) -> Option<&str> {
    const IMPLIED: [&str; 7] = ["tcp", "udp", "udplite", "sctp", "dccp", "icmp", "icmp6"];
    let (Statement::Condition(Condition { text, .. }) | Statement::Opaque { text, .. }) = statement
    else {
        return None;
    };
    let name = text.strip_prefix("xt ")?.split_ascii_whitespace().nth(1)?;
    let name = name.trim_matches('"');
    (!IMPLIED.contains(&name)).then_some(name)
}

/// Whether the kernel's name is that of the program: some have two (`real_name` in iptables' extensions).
fn is_same_extension(kernel: &str, program: &str) -> bool {
    let alias = match program {
        "state" => "conntrack",
        "NOTRACK" => "CT",
        same => same,
    };
    kernel == program || kernel == alias
}

/// The last verdict that both programs write as one.
fn plain_verdict(rule: &Rule) -> Option<&Verdict> {
    rule.statements.iter().rev().find_map(|statement| match statement {
        Statement::Verdict(Verdict::Reject(_)) => None,
        Statement::Verdict(verdict) => Some(verdict),
        _ => None,
    })
}

fn has_veiled(chain: &Chain) -> bool {
    chain.rules.iter().any(is_veiled)
}

/// Whether nft only names a part of it: its text then says `xt match conntrack`.
fn is_veiled(rule: &Rule) -> bool {
    rule.statements.iter().any(|statement| match statement {
        Statement::Condition(Condition { text, .. }) | Statement::Opaque { text, .. } => {
            text.starts_with("xt ") || **text == *"xt"
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Hook;
    use super::*;

    const UFW: &str = include_str!("../../tests/data/firewall/docker-ufw/iptables-save");
    const UFW6: &str = include_str!("../../tests/data/firewall/docker-ufw/ip6tables-save");
    const NFT: &[u8] = include_bytes!("../../tests/data/firewall/docker-ufw/nft.json");

    fn save(text: &str) -> Save {
        Save::read(text, None, None).expect("a whole file")
    }

    fn listed() -> Ruleset {
        Ruleset::from_nft_json(NFT).expect("nft's own output")
    }

    #[test]
    fn what_nft_only_names_is_listed_until_iptables_save_says_it() {
        assert!(listed().veiled().len() > 50);
        let whole =
            listed().with_saves(vec![save(UFW), save(UFW6)]).expect("all tables are printed");
        assert_eq!(whole.veiled(), []);
        let half = listed().with_saves(vec![save(UFW)]).expect("all tables are printed");
        assert!(half.veiled().iter().all(|place| place.family == Family::Ip6));
    }

    #[test]
    fn hooks_and_order_stay_as_nft_lists_them_and_rules_get_their_numbers() {
        let before = listed();
        let after =
            before.clone().with_saves(vec![save(UFW), save(UFW6)]).expect("all are printed");
        assert_eq!(after.tables.len(), before.tables.len());
        for is_v6 in [false, true] {
            for hook in [Hook::Prerouting, Hook::Input, Hook::Forward, Hook::Output] {
                assert_eq!(after.at(hook, is_v6), before.at(hook, is_v6));
            }
        }
        let mut rules = after.tables.iter().flat_map(|t| &t.chains).flat_map(|c| &c.rules);
        assert!(rules.all(|rule| rule.handle.is_some()));
        assert_eq!(after.rule_count(), before.rule_count());
    }

    #[test]
    fn what_nft_shows_whole_is_not_taken_from_iptables_save() {
        let json = |expr: &str| {
            format!(
                r#"{{"nftables": [{{"table": {{"family": "ip", "name": "filter", "handle": 1}}}},
                {{"chain": {{"family": "ip", "table": "filter", "name": "INPUT", "handle": 1, "type": "filter",
                "hook": "input", "prio": 0, "policy": "drop"}}}},
                {{"rule": {{"family": "ip", "table": "filter", "chain": "INPUT", "handle": 2, "expr": [
                {{"xt": {{"type": "match", "name": "conntrack"}}}}, {{"accept": null}}]}}}},
                {{"rule": {{"family": "ip", "table": "filter", "chain": "INPUT", "handle": 3, "expr": [
                {{"match": {{"op": "==", "left": {{"payload": {{"protocol": "tcp", "field": "dport"}}}},
                "right": {expr}}}}}, {{"accept": null}}]}}}}]}}"#
            )
        };
        let read = |expr: &str, rule: &str| {
            let text = format!(
                "*filter\n:INPUT DROP [0:0]\n-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT\n\
                 -A INPUT {rule}\nCOMMIT\n"
            );
            let listed = Ruleset::from_nft_json(json(expr).as_bytes()).expect("as nft prints it");
            let whole = listed.with_saves(vec![save(&text)]).expect("a whole file");
            assert_eq!(whole.veiled(), []);
            whole.tables[0].chains[0].rules[1].clone()
        };
        // As iptables-save 1.8.9 prints it.
        let set = read(r#"{"set": [80, 443]}"#, "-p tcp -j ACCEPT");
        assert_eq!(set.statements.len(), 3);
        assert!(!set.text.starts_with("-A"), "{}", set.text);
        let same = read("80", "-p tcp -m tcp --dport 80 -j ACCEPT");
        assert_eq!(&*same.text, "-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT");
        assert_eq!(same.handle, Some(3));
    }

    #[test]
    fn another_rule_at_the_same_place_says_nothing_of_the_one_that_nft_names() {
        let json = |of: &str, verdict: &str| {
            let text = format!(
                r#"{{"nftables": [{{"table": {{"family": "ip", "name": "filter", "handle": 1}}}},
                {{"chain": {{"family": "ip", "table": "filter", "name": "INPUT", "handle": 1, "type": "filter",
                "hook": "input", "prio": 0, "policy": "drop"}}}},
                {{"rule": {{"family": "ip", "table": "filter", "chain": "INPUT", "handle": 2, "expr": [
                {{"xt": {{"type": "match", "name": "{of}"}}}}, {{"{verdict}": null}}]}}}}]}}"#
            );
            Ruleset::from_nft_json(text.as_bytes()).expect("as nft prints it")
        };
        let veiled = |of: &str, verdict: &str, rule: &str| {
            let text = format!("*filter\n:INPUT DROP [0:0]\n-A INPUT {rule}\nCOMMIT\n");
            json(of, verdict).with_saves(vec![save(&text)]).expect("a whole file").veiled().len()
        };
        assert_eq!(veiled("recent", "drop", "-m recent --name k --rcheck -j DROP"), 0);
        assert_eq!(veiled("conntrack", "drop", "-m state --state INVALID -j DROP"), 0);
        assert_eq!(veiled("tcp", "drop", "-p tcp --dport 80 -j DROP"), 0);
        assert_eq!(veiled("recent", "drop", "-p tcp -j ACCEPT"), 1);
        assert_eq!(veiled("recent", "drop", "-m mac --mac-source 00:11:22:33:44:55 -j DROP"), 1);
        assert_eq!(veiled("recent", "drop", "-m recent --name k --rcheck -j ACCEPT"), 1);
    }

    #[test]
    fn files_alone_make_a_ruleset() {
        let alone =
            Ruleset::default().with_saves(vec![save(UFW), save(UFW6)]).expect("whole files");
        let input = alone.at(Hook::Input, false);
        assert_eq!(alone.chain(input[0]).map(|chain| &*chain.name), Some("INPUT"));
    }

    #[test]
    fn a_table_that_nobody_shows_whole_is_an_error() {
        let text = "# Generated by iptables-save v1.8.9 (nf_tables)\n# Table `filter' is incompatible, use 'nft' tool.\n";
        let error = Ruleset::default().with_saves(vec![save(text)]).expect_err("nobody shows it");
        assert_eq!(error.line, 2);
        assert!(listed().with_saves(vec![save(text)]).is_err());
        let mut native = listed();
        for chain in native.tables.iter_mut().flat_map(|table| &mut table.chains) {
            chain.rules = vec![Rule {
                statements: vec![Statement::Verdict(Verdict::Drop)],
                ..Rule::default()
            }];
        }
        assert!(native.with_saves(vec![save(text)]).is_ok());
    }

    #[test]
    fn legacy_tables_stand_beside_those_of_nft() {
        let text = UFW.replace("(nf_tables)", "(legacy)");
        let both = listed().with_saves(vec![save(&text)]).expect("whole files");
        assert_eq!(both.tables.len(), listed().tables.len() + save(UFW).tables.len());
        assert!(both.notes.iter().any(|note| note.contains("legacy ip filter or ip filter")));
    }
}
