//! The rules a command was asked about, as the options of the next one.

use crate::ops::firewall::source::Sources;
use crate::render::sanitize::sanitize;

/// ` --rules FILE --local ADDRESS`, ready to be pasted behind a command; nothing for the live rules.
pub(super) fn options(sources: &Sources) -> String {
    options_with(sources, None)
}

/// The same with one file more.
pub(super) fn options_with(sources: &Sources, more: Option<&str>) -> String {
    let option = |name: &str, values: Vec<&str>| match values.is_empty() {
        true => String::new(),
        false => format!(" --{name} {}", shell_word(&values.join(","))),
    };
    let each =
        |all: &'_ [String]| all.iter().map(|one| option("world", vec![one])).collect::<String>();
    let rules = sources.rules.iter().map(String::as_str).chain(more).collect();
    let local = sources.local.iter().map(String::as_str).collect();
    option("rules", rules) + &option("local", local) + &each(&sources.world)
}

/// A word as a shell takes it for itself (POSIX.1-2024, 2.2 Quoting).
pub(super) fn shell_word(word: &str) -> String {
    let word = sanitize(word);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./_-".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_string(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_stands_behind_the_next_command_ready_to_be_pasted() {
        let all = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        let sources = Sources {
            rules: all(&["a.json", "v6:b.txt"]),
            local: all(&["10.0.0.5/24@eth0"]),
            world: all(&["my addr.json", "it's"]),
        };
        assert_eq!(
            options(&sources),
            " --rules a.json,v6:b.txt --local 10.0.0.5/24@eth0 --world 'my addr.json' --world 'it'\\''s'"
        );
        assert_eq!(options(&Sources::default()), "");
        assert_eq!(options_with(&Sources::default(), Some("new.nft")), " --rules new.nft");
    }
}
