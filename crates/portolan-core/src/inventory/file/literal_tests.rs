//! Literals as a file writes them: what is accepted, and what is refused with its place.
