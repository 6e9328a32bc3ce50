//! Small questions to JSON: what nft writes is a word, a list or an object with one key.

use serde_json::Value;

/// The one key of an object and what stands behind it.
pub(super) fn single(value: &Value) -> Option<(&str, &Value)> {
    value.as_object()?.iter().next().map(|(key, body)| (key.as_str(), body))
}

/// The word behind a key.
pub(super) fn word<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}

/// A number behind a key.
pub(super) fn number(value: &Value, key: &str) -> Option<u64> {
    value.get(key).and_then(Value::as_u64)
}

/// What may be written alone or as a list: one flag, several flags (nft before and after 1.0.7).
pub(super) fn several(value: &Value) -> &[Value] {
    match value {
        Value::Array(list) => list,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

/// The words behind a key, alone or in a list.
pub(super) fn words<'v>(value: &'v Value, key: &str) -> Vec<&'v str> {
    let found = value.get(key).map_or(&[][..], several);
    found.iter().filter_map(Value::as_str).collect()
}
