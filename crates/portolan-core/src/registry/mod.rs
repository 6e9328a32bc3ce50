//! Floor 2, what a port number means: IANA's assignments, common uses, security notes.
