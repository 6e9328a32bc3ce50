//! Running the program in a known surrounding, and what came of it.

use std::ffi::OsString;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::Netns;

/// The program under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_portolan");

/// One run of the program, to be described and then started.
///
/// Without further words it runs in an empty folder of its own, with an environment that holds
/// nothing but `PATH`, a home that is not there, UTC and UTF-8: no inventory, no terminal width, no
/// colour settings of whoever runs the tests.
#[derive(Debug)]
pub(crate) struct Program {
    arguments: Vec<OsString>,
    folder: Option<PathBuf>,
    environment: Vec<(OsString, OsString)>,
    wrapper: Vec<OsString>,
    namespace: Option<PathBuf>,
    user: Option<u32>,
    input: Option<Vec<u8>>,
}

impl Program {
    /// `portolan ARGUMENTS…`
    pub(crate) fn new<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> Self {
        Self {
            arguments: arguments.into_iter().map(Into::into).collect(),
            folder: None,
            environment: Vec::new(),
            wrapper: Vec::new(),
            namespace: None,
            user: None,
            input: None,
        }
    }

    /// A command line as one would type it, split at blanks: `portolan("sockets -l --json")`.
    pub(crate) fn line(line: &str) -> Self {
        Self::new(line.split_whitespace())
    }

    /// Runs in this folder.
    pub(crate) fn folder(mut self, folder: impl AsRef<Path>) -> Self {
        self.folder = Some(folder.as_ref().to_owned());
        self
    }

    /// With this variable too.
    pub(crate) fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// With more arguments.
    pub(crate) fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Without the arguments that are exactly this.
    pub(crate) fn without(mut self, argument: &str) -> Self {
        self.arguments.retain(|a| a != argument);
        self
    }

    /// Inside this network namespace (entered with `nsenter`, which leaves every mount as it is).
    pub(crate) fn inside(mut self, namespace: &Netns) -> Self {
        self.namespace = Some(namespace.path());
        self
    }

    /// As this user, without groups or capabilities. Needs root.
    pub(crate) fn by_user(mut self, uid: u32) -> Self {
        self.user = Some(uid);
        self
    }

    /// Through another program that runs the rest of its arguments, such as
    /// `["unshare", "-m", "sh", "-c", "mount …; exec \"$@\"", "sh"]`.
    pub(crate) fn through<A: Into<OsString>>(
        mut self,
        wrapper: impl IntoIterator<Item = A>,
    ) -> Self {
        self.wrapper = wrapper.into_iter().map(Into::into).collect();
        self
    }

    /// With these bytes on standard input.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Ran {
        let shown = format!("portolan {:?}", self.arguments);
        let own_folder = self.folder.is_none().then(open_folder);
        let mut command = self.command();
        if let Some(folder) = &own_folder {
            command.current_dir(folder.path());
        }
        let mut child = command.spawn().expect("the program starts");
        if let (Some(mut pipe), Some(bytes)) = (child.stdin.take(), self.input) {
            std::thread::spawn(move || pipe.write_all(&bytes));
        }
        Ran::new(shown, child.wait_with_output().expect("the program ends"))
    }

    /// The command, for a test that starts it itself (a closed output, a signal).
    pub(crate) fn command(&self) -> Command {
        let mut words = self.before();
        // Another user may not be able to walk to the build folder; through a descriptor it can.
        let by_descriptor = self.user.is_some();
        words.push(if by_descriptor { "/proc/self/fd/0".into() } else { BINARY.into() });
        words.extend(self.arguments.iter().cloned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.envs([("LANG", "C.UTF-8"), ("TZ", "UTC"), ("HOME", "/nonexistent")]);
        command.envs(self.environment.iter().map(|(n, v)| (n, v)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        command.stdin(match &self.input {
            _ if by_descriptor => File::open(BINARY).expect("the program is built").into(),
            Some(_) => Stdio::piped(),
            None => Stdio::null(),
        });
        command
    }

    /// What stands before the program on the command line.
    fn before(&self) -> Vec<OsString> {
        let mut words = Vec::new();
        if let Some(namespace) = &self.namespace {
            words.push("nsenter".into());
            words.push(format!("--net={}", namespace.display()).into());
        }
        words.extend(self.wrapper.iter().cloned());
        if let Some(uid) = self.user {
            let become_user = ["setpriv", "--reuid", &uid.to_string(), "--regid", &uid.to_string()]
                .map(Into::into);
            words.extend(become_user);
            words.extend(["--clear-groups", "--inh-caps=-all"].map(Into::into));
        }
        words
    }
}

/// An empty folder that any user may read.
fn open_folder() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let everyone = std::fs::Permissions::from_mode(0o755);
    tempfile::Builder::new().permissions(everyone).tempdir().expect("a folder in /tmp")
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    shown: String,
    /// The exit code; 128 + N after signal N, as a shell tells it.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl Ran {
    fn new(shown: String, output: Output) -> Self {
        let code = output.status.code().or(output.status.signal().map(|s| 128 + s));
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!stderr.contains("panicked at"), "{shown} panicked:\n{stderr}");
        Self {
            shown,
            code: code.expect("an ended process has a code or a signal"),
            stdout: String::from_utf8(output.stdout).expect("output is UTF-8"),
            stderr,
        }
    }

    /// Panics, with all that was printed, unless it ended with `code`.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert!(
            self.code == code,
            "{} ended with {}, not {code}\n--- stdout\n{}\n--- stderr\n{}",
            self.shown,
            self.code,
            self.stdout,
            self.stderr
        );
        self
    }

    /// The one JSON document on standard output.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| {
            panic!("{}: {e}\n--- stdout\n{}\n--- stderr\n{}", self.shown, self.stdout, self.stderr)
        })
    }
}

/// Runs its arguments under a seccomp filter that refuses AF_NETLINK sockets, as sandboxes do
/// (RestrictAddressFamilies= of systemd): EAFNOSUPPORT from socket(2).
pub(crate) const WITHOUT_NETLINK: &str = r#"
import ctypes, os, platform, struct, sys
SOCKET = {"x86_64": 41, "aarch64": 198}[platform.machine()]
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, REFUSE = 0x7fff0000, 0x00050000 | 97
program = b"".join(struct.pack("HBBI", *step) for step in [
    (LOAD, 0, 0, 0), (EQUAL, 0, 3, SOCKET), (LOAD, 0, 0, 16), (EQUAL, 0, 1, 16),
    (RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)])
buffer = ctypes.create_string_buffer(program)
fprog = ctypes.create_string_buffer(struct.pack("H6xP", len(program) // 8, ctypes.addressof(buffer)))
libc = ctypes.CDLL(None, use_errno=True)
NO_NEW_PRIVS, SECCOMP, FILTER = 38, 22, 2
assert libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert libc.prctl(SECCOMP, FILTER, fprog) == 0, ctypes.get_errno()
os.execvp(sys.argv[1], sys.argv[1:])
"#;
