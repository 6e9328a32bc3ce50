//! A rule or policy in JSON, the same in every document: `{family,table,chain,index,text}`.

use portolan_core::firewall::RulePlace;
use serde::Serialize;

/// Where a rule stands and what it says. The index counts from 0 and is null for a policy.
#[derive(Debug, Serialize)]
pub(crate) struct PlaceJson {
    family: &'static str,
    table: String,
    chain: String,
    index: Option<usize>,
    text: String,
}

impl From<&RulePlace> for PlaceJson {
    fn from(place: &RulePlace) -> Self {
        Self {
            family: place.family.as_str(),
            table: place.table.to_string(),
            chain: place.chain.to_string(),
            index: place.index,
            text: place.text.to_string(),
        }
    }
}
