//! The known word nearest to one that nobody knows, for "did you mean".

/// The candidate that differs least from `found`, if it is near enough to be meant.
///
/// Distance counts insertions, deletions, substitutions and swaps of neighbours; a word of up to
/// five letters may be off by one, a longer one by two, from nine letters on by three. Of equally
/// near ones it is the first by the alphabet, so that the answer never depends on their order.
pub fn nearest<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found = found.to_lowercase();
    let allowed = match found.chars().count() {
        0..=5 => 1,
        6..=8 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .filter(|c| c.len().abs_diff(found.len()) <= allowed)
        .map(|c| (strsim::osa_distance(&found, &c.to_lowercase()), c))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swapped_pair_of_letters_is_understood() {
        assert_eq!(nearest("prots", ["on", "ports", "from"]), Some("ports"));
    }

    #[test]
    fn a_word_far_from_all_has_no_neighbour() {
        assert_eq!(nearest("xyzzy", ["on", "ports", "from"]), None);
    }
}
