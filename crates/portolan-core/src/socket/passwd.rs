//! Login names from the text of /etc/passwd (passwd(5)). Users of other name services are not in it.

use std::collections::HashMap;
use std::sync::Arc;

/// The login name of each user id. The first line of an id counts, as in getpwuid(3); lines that
/// are no account (comments, `+` of NIS, a name with control characters) are skipped.
#[must_use]
pub fn users(text: &[u8]) -> HashMap<u32, Arc<str>> {
    let mut users = HashMap::new();
    for (uid, name) in text.split(|byte| *byte == b'\n').filter_map(entry) {
        users.entry(uid).or_insert_with(|| name.into());
    }
    users
}

/// Who a process runs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
}

/// The first account with a login name, or with a user id in digits.
#[must_use]
pub fn account(text: &[u8], wanted: &str) -> Option<Account> {
    let id: Option<u32> = wanted.parse().ok();
    text.split(|byte| *byte == b'\n').find_map(|line| {
        let (uid, name) = entry(line)?;
        let gid = line.split(|byte| *byte == b':').nth(3);
        let gid = gid.and_then(|gid| std::str::from_utf8(gid).ok()?.parse().ok())?;
        (name == wanted || Some(uid) == id).then_some(Account { uid, gid })
    })
}

/// `name:password:uid:…`
fn entry(line: &[u8]) -> Option<(u32, &str)> {
    let mut fields = line.split(|byte| *byte == b':');
    let name = std::str::from_utf8(fields.next()?).ok()?;
    let uid = std::str::from_utf8(fields.nth(1)?).ok()?;
    let is_name =
        !name.is_empty() && !name.starts_with(['#', '+', '-']) && name.chars().all(is_plain);
    is_name.then_some((uid.parse().ok()?, name))
}

fn is_plain(character: char) -> bool {
    !character.is_control() && !character.is_whitespace()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn accounts_are_found_by_id_and_the_first_name_of_an_id_counts() {
        let users = users(b"root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:\n");
        assert_eq!(users.len(), 2);
        assert_eq!(users[&0].as_ref(), "root");
        assert_eq!(users[&1000].as_ref(), "ann");
    }

    #[test]
    fn lines_that_are_no_account_are_skipped() {
        let text = b"#off:x:1:\n+::::::\n\nshort\n:x:2:\nbad\x1b[2J:x:3:\n\xff:x:4:\nneg:x:-1:\nhigh:x:4294967296:\nok:x:5:5\r\n";
        let found: Vec<_> = users(text).into_iter().collect();
        assert_eq!(found, [(5, "ok".into())]);
    }

    #[test]
    fn an_account_is_found_by_name_and_by_number() {
        let text = b"root:x:0:0:root:/root:/bin/bash\nann:x:1000:100::/home/ann:\n7:x:8:9::/:\n";
        let ann = Some(Account { uid: 1000, gid: 100 });
        assert_eq!(account(text, "ann"), ann);
        assert_eq!(account(text, "1000"), ann);
        assert_eq!(account(text, "7"), Some(Account { uid: 8, gid: 9 }));
        assert_eq!(account(text, "bob"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (users(&bytes), account(&bytes, "a"));
        }
    }
}
