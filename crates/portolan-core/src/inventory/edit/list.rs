//! Items of a list put in and taken out, every other byte left alone: comments between them, too.

use toml_edit::{Array, Item, Key, Value};

use super::{EditError, Splice, apply, parse, quoted};

/// `text` with the string `item` at the end of the list at `key`; as it is where the list has it. Where
/// there is no such list it is set, as by [`super::set`].
///
/// # Errors
/// Where the text is not TOML, the path is none, or something other than a list stands there.
pub fn add_to_list(text: &str, key: &str, item: &str) -> Result<String, EditError> {
    let document = parse(text)?;
    let path = path(key)?;
    let Some(found) = child(document.as_item(), &path) else {
        return super::set(text, key, &format!("[{}]", quoted(item)));
    };
    let list = array(found, key)?;
    if position(list, item).is_some() {
        return Ok(text.to_owned());
    }
    let shape = || EditError::Shape { path: key.to_owned() };
    let span = list.span().ok_or_else(shape)?;
    let splice = match list.iter().filter_map(Value::span).map(|s| s.end).max() {
        Some(end) => Splice { span: end..end, text: format!(", {}", quoted(item)) },
        // There may be comments inside: it goes before them.
        None => Splice { span: span.start + 1..span.start + 1, text: quoted(item) },
    };
    checked(apply(text, vec![splice]), &path, item, true)
}

/// `text` without the string `item` in the list at `key`; as it is where the list has it not.
///
/// # Errors
/// As for [`add_to_list`].
pub fn remove_from_list(text: &str, key: &str, item: &str) -> Result<String, EditError> {
    let document = parse(text)?;
    let path = path(key)?;
    let Some(found) = child(document.as_item(), &path) else { return Ok(text.to_owned()) };
    let list = array(found, key)?;
    let Some(at) = position(list, item) else { return Ok(text.to_owned()) };
    let shape = || EditError::Shape { path: key.to_owned() };
    let span = list.get(at).and_then(Value::span).ok_or_else(shape)?;
    let before = at.checked_sub(1).and_then(|n| list.get(n)).and_then(Value::span);
    let after = &text[span.end..];
    let rest = after.trim_start_matches([' ', '\t']);
    let splice = match (rest.strip_prefix(','), before) {
        // The comma behind it goes with it, and one blank.
        (Some(behind), _) => {
            let blanks = usize::from(behind.starts_with(' '));
            let end = span.end + (after.len() - rest.len()) + 1 + blanks;
            Splice { span: span.start..end, text: String::new() }
        }
        // The last one: the comma before it, where nothing else is between them.
        (None, Some(before)) if text[before.end..span.start].trim() == "," => {
            Splice { span: before.end..span.end, text: String::new() }
        }
        // A comma at the end of a list is no fault (TOML 1.0 "Array").
        (None, _) => Splice { span, text: String::new() },
    };
    checked(apply(text, vec![splice]), &path, item, false)
}

/// The changed text, where it says what it is to say.
fn checked(text: String, path: &[String], item: &str, has: bool) -> Result<String, EditError> {
    let shape = || EditError::Shape { path: path.join(".") };
    let says = {
        let document = parse(&text).map_err(|_| shape())?;
        let list = child(document.as_item(), path).and_then(Item::as_array).ok_or_else(shape)?;
        position(list, item).is_some()
    };
    if says == has { Ok(text) } else { Err(shape()) }
}

fn path(key: &str) -> Result<Vec<String>, EditError> {
    Key::parse(key)
        .map(|keys| keys.iter().map(|k| k.get().to_owned()).collect())
        .map_err(|_| EditError::Key { found: key.to_owned() })
}

fn child<'a>(root: &'a Item, path: &[String]) -> Option<&'a Item> {
    path.iter().try_fold(root, |item, key| item.get(key.as_str()))
}

fn array<'a>(item: &'a Item, key: &str) -> Result<&'a Array, EditError> {
    item.as_array().ok_or_else(|| EditError::Shape { path: key.to_owned() })
}

fn position(list: &Array, item: &str) -> Option<usize> {
    list.iter().position(|value| value.as_str() == Some(item))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITE: &str = "[services.web]\non = [\"a\"] # here\nfrom = [\n  \"office\", # the people\n  \"vpn\" # at home\n]\n";

    #[test]
    fn an_item_is_added_and_comments_stay() {
        let added = add_to_list(SITE, "services.web.from", "10.0.0.0/8").unwrap();
        assert_eq!(added, SITE.replace("\"vpn\" #", "\"vpn\", \"10.0.0.0/8\" #"));
        assert_eq!(add_to_list(SITE, "services.web.from", "vpn").unwrap(), SITE);
        let none = SITE.split("from").next().unwrap();
        let set = add_to_list(none, "services.web.from", "vpn").unwrap();
        assert!(set.starts_with(none) && set.contains("from = [\"vpn\"]"), "{set}");
        let empty = add_to_list("[a]\nb = [ # none\n]\n", "a.b", "c").unwrap();
        assert_eq!(empty, "[a]\nb = [\"c\" # none\n]\n");
    }

    #[test]
    fn an_item_is_removed_and_comments_stay() {
        let removed = remove_from_list(SITE, "services.web.from", "office").unwrap();
        assert_eq!(removed, SITE.replace("\"office\", #", "#"));
        let removed = remove_from_list(SITE, "services.web.from", "vpn").unwrap();
        assert_eq!(removed, SITE.replace("\"vpn\" #", " #"));
        assert_eq!(remove_from_list(SITE, "services.web.from", "x").unwrap(), SITE);
        let line = "[a]\nb = [\"c\", \"d\", \"e\"]\n";
        for (item, left) in
            [("c", "[\"d\", \"e\"]"), ("d", "[\"c\", \"e\"]"), ("e", "[\"c\", \"d\"]")]
        {
            let removed = remove_from_list(line, "a.b", item).unwrap();
            assert_eq!(removed, format!("[a]\nb = {left}\n"));
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        assert!(add_to_list("a = 1\n", "a", "x").is_err());
        assert!(remove_from_list("a = 1\n", "a", "x").is_err());
        assert!(add_to_list("a = [", "a", "x").is_err());
    }
}
