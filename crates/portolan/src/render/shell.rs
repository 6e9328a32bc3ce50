//! Names from outside as words of a command that somebody may paste into a shell.
//!
//! A unit's name is the name of a folder that its user may have chosen, and a container's or an
//! interface's is somebody's too: none of them may become a second command or an option.

use std::borrow::Cow;

/// A name as one operand of a command (sh(1): what is in single quotes means itself). After `--`
/// where it would be taken for an option.
pub(crate) fn operand(name: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !name.is_empty() && !name.starts_with('-') && name.chars().all(is_plain) {
        return Cow::Borrowed(name);
    }
    let end = if name.starts_with('-') { "-- " } else { "" };
    Cow::Owned(format!("{end}'{}'", name.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_stays_as_it_is() {
        for name in ["nginx.service", "getty@tty1.service", "shop_web-1", "eth0.100"] {
            assert_eq!(operand(name), name);
        }
    }

    #[test]
    fn a_name_is_one_word_for_a_shell_whatever_is_in_it() {
        for name in ["a;touch x.service", "$(id)", "it's", "`id`", "", "a b", "\"", "*", "-rf", "ü"]
        {
            let script = format!("printf %s {}", operand(name).trim_start_matches("-- "));
            let said = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(said.stdout).unwrap(), name);
        }
        assert_eq!(operand("-rf"), "-- '-rf'");
    }
}
