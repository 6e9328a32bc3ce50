//! Text from outside made harmless for a terminal.
//!
//! Process names, paths, command lines, host names and banners are chosen by strangers. Escape
//! sequences could repaint the screen, and bidirectional marks could reorder it; both are shown as
//! what they are. A newline is kept only where a caller prints several lines on purpose.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` with control, bidirectional and invisible characters written out as escapes.
pub(crate) fn sanitize(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| matches!(b, 0x20..=0x7e)) || !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => clean.push_str("\\n"),
            '\r' => clean.push_str("\\r"),
            '\t' => clean.push_str("\\t"),
            c if is_hostile(c) && u32::from(c) < 0x100 => {
                let _ = write!(clean, "\\x{:02x}", u32::from(c));
            }
            c if is_hostile(c) => {
                let _ = write!(clean, "\\u{{{:x}}}", u32::from(c));
            }
            c => clean.push(c),
        }
    }
    Cow::Owned(clean)
}

/// Control characters, bidirectional controls (Unicode TR9), zero-width and other invisible ones.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_sequence_in_a_process_name_is_shown_not_obeyed() {
        assert_eq!(sanitize("a\x1b[2Jb\u{202e}c"), "a\\x1b[2Jb\\u{202e}c");
    }

    #[test]
    fn ordinary_text_in_any_language_is_left_alone() {
        assert_eq!(sanitize("serveur été 端口"), "serveur été 端口");
    }
}
