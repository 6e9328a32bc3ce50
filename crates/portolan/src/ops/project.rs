//! Which project a folder belongs to: the git worktree around it, else the folder itself.
//!
//! A worktree is recognised by what git leaves in it, a folder `.git` with a `HEAD` or, in linked
//! worktrees and submodules, a file `.git` that says `gitdir:` (gitrepository-layout(5)). Git itself
//! is not run: it may not be there, and it refuses worktrees of other users.

use std::env;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::fault::Hinted as _;

/// The project of the working folder.
///
/// # Errors
/// When that folder is gone.
pub(crate) fn here() -> Result<PathBuf> {
    let folder = env::current_dir()
        .hinted("find the working folder", "it was removed: cd to one that is there")?;
    Ok(root_of(&folder))
}

/// The project `folder` belongs to, its path without links.
pub(crate) fn root_of(folder: &Path) -> PathBuf {
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    let root = folder.ancestors().find(|f| is_worktree(f)).unwrap_or(&folder);
    root.to_owned()
}

fn is_worktree(folder: &Path) -> bool {
    let git = folder.join(".git");
    match fs::metadata(&git) {
        Ok(found) if found.is_dir() => git.join("HEAD").exists(),
        Ok(found) if found.is_file() => begins_with(&git, b"gitdir:"),
        _ => false,
    }
}

fn begins_with(file: &Path, start: &[u8]) -> bool {
    let mut read = vec![0; start.len()];
    let result = File::open(file).and_then(|mut file| file.read_exact(&mut read));
    result.is_ok() && read == start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worktree_is_found_from_any_folder_inside() {
        let top = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(top.path()).unwrap();
        let (main, linked) = (top.join("main"), top.join("main/.trees/linked"));
        fs::create_dir_all(main.join(".git")).unwrap();
        fs::write(main.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::create_dir_all(linked.join("src/deep")).unwrap();
        fs::write(linked.join(".git"), "gitdir: /elsewhere\n").unwrap();
        fs::create_dir_all(top.join("plain/folder/.git")).unwrap();
        assert_eq!(root_of(&main.join(".trees")), main);
        assert_eq!(root_of(&linked.join("src/deep")), linked);
        assert_eq!(root_of(&top.join("plain/folder")), top.join("plain/folder"));
        assert_eq!(root_of(&top.join("plain")), top.join("plain"));
    }

    #[test]
    fn a_link_into_a_project_is_that_project() {
        let top = tempfile::tempdir().unwrap();
        let top = fs::canonicalize(top.path()).unwrap();
        fs::create_dir(top.join("real")).unwrap();
        std::os::unix::fs::symlink(top.join("real"), top.join("link")).unwrap();
        assert_eq!(root_of(&top.join("link")), top.join("real"));
    }
}
