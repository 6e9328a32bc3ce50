//! Chains that ask each other in a circle: the kernel refuses them, a file may hold them.

use super::words::Line;
use crate::firewall::ReadError;

/// A jump of a chain, to the chain of this index, and the line it stands in.
pub(super) type Jump = (usize, usize);

/// # Errors
/// Names a line of a circle.
pub(super) fn refuse_circles(
    jumps: &[Vec<Jump>],
    name: impl Fn(usize) -> String,
) -> Result<(), ReadError> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        Not,
        Open,
        Done,
    }
    let mut seen = vec![Seen::Not; jumps.len()];
    for start in 0..jumps.len() {
        if seen[start] != Seen::Not {
            continue;
        }
        seen[start] = Seen::Open;
        let mut path = vec![(start, 0)];
        while let Some((chain, next)) = path.last_mut() {
            let Some(&(to, line)) = jumps[*chain].get(*next) else {
                seen[*chain] = Seen::Done;
                path.pop();
                continue;
            };
            *next += 1;
            match seen[to] {
                Seen::Done => {}
                Seen::Not => {
                    seen[to] = Seen::Open;
                    path.push((to, 0));
                }
                Seen::Open => {
                    let problem = format!("chain `{}` asks itself: a circle of jumps", name(to));
                    let error = Line { number: line, text: "" }.error(0, problem);
                    return Err(error.hinting("no kernel loads this: save the rules again"));
                }
            }
        }
    }
    Ok(())
}
