//! Where rules and what surrounds them come from, the same for every command about the firewall.

use clap::Args;

use crate::ops::firewall::source;

/// A command with words of its own (`simulate tcp 10.0.0.1 …`) takes those back that came behind the files:
/// [`Sources::before`].
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Sources {
    /// Read these rules and not the live ones: `nft -j list ruleset`, `.nft`, `iptables-save`,
    /// `ip6tables-save`, `-` for standard input; what a file is, its content says. Several make one
    /// ruleset: FILE FILE or FILE,FILE. v4:FILE and v6:FILE say the family of an iptables-save
    /// that does not
    #[arg(long, value_name = "SOURCE", num_args = 1..)]
    pub(crate) rules: Vec<String>,
    /// With --rules: addresses of the machine they are of, such as 10.0.0.5/24 or
    /// 10.0.0.5/24@eth0
    #[arg(long, value_name = "ADDRESS", requires = "rules", value_delimiter = ',')]
    pub(crate) local: Vec<String>,
    /// With --rules: what `ip -j addr`, `ip -j route` or `ip -j -6 route` printed there
    #[arg(long, value_name = "FILE", requires = "rules")]
    pub(crate) world: Vec<String>,
}

impl Sources {
    /// As the operations take them.
    pub(crate) fn asked(&self) -> source::Sources {
        let Self { rules, local, world } = self.clone();
        source::Sources { rules, local, world }
    }

    /// The files without the words of the command that came behind them, as in `--rules a.nft b.txt tcp
    /// 10.0.0.1 10.0.0.2`; and these words, in place of those that are missing at the end of `words`. One
    /// file stays, and what `is_word` does not hold for.
    pub(crate) fn before<const N: usize>(
        &self,
        words: [&Option<String>; N],
        is_word: impl Fn(&str) -> bool,
    ) -> (source::Sources, [Option<String>; N]) {
        let mut sources = self.asked();
        let missing = words.iter().rev().take_while(|word| word.is_none()).count();
        let behind = sources.rules.iter().skip(1).rev().take(missing);
        let found = behind.take_while(|word| is_word(word) && !source::is_there(word)).count();
        let mut found = sources.rules.split_off(sources.rules.len() - found).into_iter();
        (sources, words.map(|word| word.clone().or_else(|| found.next())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(rules: &[&str], words: [Option<&str>; 3]) -> (Vec<String>, [Option<String>; 3]) {
        let rules = rules.iter().map(|&word| word.to_owned()).collect();
        let words = words.map(|word| word.map(str::to_owned));
        let [one, two, three] = &words;
        let (sources, words) =
            Sources { rules, ..Sources::default() }.before([one, two, three], |_| true);
        (sources.rules, words)
    }

    #[test]
    fn words_behind_the_files_are_those_of_the_command_that_are_missing() {
        let all = ["tcp", "10.0.0.1", "10.0.0.2:22"];
        let wanted = all.map(|word| Some(word.to_owned()));
        let files = |count: usize| vec!["none.nft".to_owned(); count];
        assert_eq!(
            told(&["none.nft", all[0], all[1], all[2]], [None; 3]),
            (files(1), wanted.clone())
        );
        let of_two = ["none.nft", "none.nft", all[0], all[1], all[2]];
        assert_eq!(told(&of_two, [None; 3]), (files(2), wanted.clone()));
        let last = [Some(all[0]), Some(all[1]), None];
        assert_eq!(told(&["none.nft", all[2]], last), (files(1), wanted.clone()));
        assert_eq!(told(&["none.nft", "none.nft"], all.map(Some)), (files(2), wanted));
    }

    #[test]
    fn one_file_stays_and_what_is_there_is_one() {
        assert_eq!(
            told(&["none.nft"], [None; 3]),
            (vec!["none.nft".to_owned()], [const { None }; 3])
        );
        let here = ["none.nft", "-", "tcp", "v6:-"];
        assert_eq!(told(&here, [None; 3]).1, [const { None }; 3]);
    }
}
