//! Whole files: every key, every mistake with its place, includes.

use super::*;

const TOML: &str = include_str!("../../../tests/data/inventory/every-key.toml");
const JSON: &str = include_str!("../../../tests/data/inventory/every-key.json");

/// An inventory without the places its parts stand at.
fn without_places(inventory: &Inventory) -> String {
    let mut text = format!("{:?}", Inventory { files: Vec::new(), ..inventory.clone() });
    while let Some(start) = text.find("Location {") {
        let end = start + text[start..].find('}').unwrap();
        text.replace_range(start..=end, "_");
    }
    text
}

fn accepted(path: &str, text: &str) -> Inventory {
    parse(path, text.as_bytes()).unwrap_or_else(|refused| panic!("{:#?}", refused.problems))
}

#[test]
fn toml_and_json_of_the_same_shape_are_the_same_inventory() {
    let (toml, json) = (accepted("a.toml", TOML), accepted("a.json", JSON));
    assert_eq!(toml.services.len(), 6);
    assert_eq!(without_places(&toml), without_places(&json));
}
