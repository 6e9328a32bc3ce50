//! The help of every command: what it says, and that it fits.

use crate::support::Program;

/// The help of `portolan WORDS… --help` and, after it, of every command below.
fn helps(words: &[String]) -> Vec<(String, String)> {
    let asked = words.iter().cloned().chain(["--help".to_owned()]);
    let help = Program::new(asked).run().expect_code(0).stdout;
    let name = ["portolan".to_owned()].into_iter().chain(words.iter().cloned());
    let mut all = vec![(name.collect::<Vec<_>>().join("-"), help.clone())];
    for command in commands_in(&help) {
        let below: Vec<String> = words.iter().cloned().chain([command]).collect();
        all.extend(helps(&below));
    }
    all
}

/// The names under `Commands:`. clap indents a name by two blanks and its text by more.
fn commands_in(help: &str) -> Vec<String> {
    let listed =
        help.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| !l.is_empty());
    let names = listed.filter_map(|l| l.strip_prefix("  ")).filter(|l| !l.starts_with(' '));
    names.filter_map(|l| l.split_whitespace().next()).map(str::to_owned).collect()
}

#[test]
fn the_help_of_every_command_is_as_reviewed() {
    for (name, help) in helps(&[]) {
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, help);
        });
    }
}

#[test]
fn help_fits_80_columns() {
    for (name, help) in helps(&[]) {
        let wide: Vec<&str> = help.lines().filter(|l| l.chars().count() > 80).collect();
        assert!(wide.is_empty(), "{name}: {wide:#?}");
    }
}

#[test]
fn every_command_that_does_something_shows_an_example() {
    for (name, help) in helps(&[]) {
        let only_groups = help.contains("Usage: ") && help.contains("<COMMAND>");
        assert!(only_groups || help.contains("portolan "), "{name} has no example");
        assert!(
            only_groups || help.contains("Example") || help.contains("Start with"),
            "{name} has no example"
        );
    }
}
