//! Finds and runs the programs that check snippets. In: a program's name. Out: what it says. A
//! tool that is missing is told on standard error and skips the check.
//!
//! `HELOTRIAGE_TOOLS` names a folder into which Debian packages were unpacked (`.ci/tools` does
//! that, without installing anything); without it the tools are looked for in `PATH` and sbin.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A program and where its package was unpacked.
#[derive(Debug)]
pub(crate) struct Tool {
    program: PathBuf,
    root: Option<PathBuf>,
    /// Whether it runs in a network of its own.
    apart: Apart,
}

/// Whose network a tool sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Apart {
    /// The machine's.
    No,
    /// Its own, in a user namespace: nft needs the rights of an administrator of one.
    Yes,
}

impl Tool {
    /// The program of one of these names; none, and a line that says so, where there is none.
    pub(crate) fn find(names: &[&str]) -> Option<Self> {
        let root = std::env::var_os("HELOTRIAGE_TOOLS").map(PathBuf::from);
        let bins = ["usr/sbin", "usr/bin", "sbin", "bin", "usr/libexec"];
        let unpacked = root.iter().flat_map(|root| bins.map(|bin| root.join(bin)));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let installed: Vec<_> = std::env::split_paths(&path)
            .chain(["/usr/sbin", "/sbin", "/usr/libexec"].map(PathBuf::from))
            .collect();
        for folder in unpacked.chain(installed) {
            for program in names.iter().map(|name| folder.join(name)) {
                if program.is_file() {
                    let root = root.filter(|root| program.starts_with(root));
                    return Some(Self { program, root, apart: Apart::No });
                }
            }
        }
        skip(&format!("no {} here", names.join(" or ")));
        None
    }

    /// The same where its rights are enough to look at a network, else in a network of its own;
    /// none, and a line that says so, where neither works.
    pub(crate) fn with_network(self, folder: &Path) -> Option<Self> {
        let works = |tool: &Self| tool.run(folder, &["list", "ruleset"], "").status.success();
        if works(&self) {
            return Some(self);
        }
        let apart = Self { apart: Apart::Yes, ..self };
        if works(&apart) {
            return Some(apart);
        }
        skip("nft may not look at a network here, not even at one of its own");
        None
    }

    /// A file or folder of the unpacked packages, else of the machine.
    pub(crate) fn file_of_tools(path: &str) -> PathBuf {
        let root = std::env::var_os("HELOTRIAGE_TOOLS").map_or_else(|| "/".into(), PathBuf::from);
        root.join(path)
    }

    /// A file or folder of the tool's packages: below the unpacked root, else below `/`.
    pub(crate) fn file(&self, path: &str) -> PathBuf {
        self.root.as_deref().unwrap_or(Path::new("/")).join(path)
    }

    /// Runs it in a folder with this on standard input.
    pub(crate) fn run(&self, folder: &Path, arguments: &[&str], input: &str) -> Output {
        let mut command = match self.apart {
            Apart::No => Command::new(&self.program),
            Apart::Yes => {
                let mut command = Command::new("unshare");
                command.args(["--user", "--map-root-user", "--net", "--"]).arg(&self.program);
                command
            }
        };
        command.args(arguments);
        self.finish(command, folder, input)
    }

    /// Runs a shell script in which `$TOOL` is the program.
    pub(crate) fn run_shell(&self, folder: &Path, script: &str) -> Output {
        let mut command = Command::new("sh");
        command.env("TOOL", &self.program);
        self.finish(command, folder, script)
    }

    fn finish(&self, mut command: Command, folder: &Path, input: &str) -> Output {
        command.current_dir(folder).env("LC_ALL", "C.UTF-8");
        if let Some(root) = &self.root {
            let libraries = Self::libraries(root);
            command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries).unwrap());
            command.env("PYTHONPATH", root.join("usr/lib/python3/dist-packages"));
            // Programs that call their neighbours, and those that write to the home folder.
            let path = std::env::var_os("PATH").unwrap_or_default();
            let own = [root.join("usr/bin"), root.join("usr/sbin")];
            let folders = own.into_iter().chain(std::env::split_paths(&path));
            command.env("PATH", std::env::join_paths(folders).unwrap()).env("HOME", folder);
        }
        self.with_users(folder, &mut command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // A program that ends before it reads everything is judged by what it says.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    fn libraries(root: &Path) -> Vec<PathBuf> {
        let mut folders = vec![root.join("usr/lib/postfix"), root.join("usr/lib")];
        for lib in ["usr/lib", "lib"] {
            let entries = std::fs::read_dir(root.join(lib)).into_iter().flatten().flatten();
            folders.extend(
                entries
                    .filter(|entry| entry.file_name().to_string_lossy().ends_with("-linux-gnu"))
                    .map(|entry| entry.path()),
            );
        }
        folders.sort();
        folders
    }

    /// The users that packages make when they are installed, and a host name, for this program
    /// only.
    fn with_users(&self, folder: &Path, command: &mut Command) {
        let Some(root) = &self.root else { return };
        let wrapper = Self::libraries(root).into_iter().map(|lib| lib.join("libnss_wrapper.so"));
        let Some(wrapper) = wrapper.into_iter().find(|file| file.is_file()) else { return };
        let names = ["Debian-exim", "postfix", "opensmtpd", "opensmtpq", "smmsp", "smmta"];
        for (file, rest) in [("passwd", ":/:/bin/false"), ("group", "")] {
            let mut text = std::fs::read_to_string(Path::new("/etc").join(file)).unwrap();
            for (number, name) in (64001..).zip(names) {
                let line = match rest {
                    "" => format!("{name}:x:{number}:\n"),
                    rest => format!("{name}:x:{number}:{number}:{rest}\n"),
                };
                text.push_str(&line);
            }
            std::fs::write(folder.join(file), text).unwrap();
        }
        // Sendmail waits a minute where the machine's own name has no dot.
        std::fs::write(folder.join("hosts"), "127.0.0.1 mx1.example.com\n").unwrap();
        command.env("NSS_WRAPPER_HOSTS", folder.join("hosts"));
        command.env("NSS_WRAPPER_HOSTNAME", "mx1.example.com");
        command.env("LD_PRELOAD", wrapper);
        command.env("NSS_WRAPPER_PASSWD", folder.join("passwd"));
        command.env("NSS_WRAPPER_GROUP", folder.join("group"));
    }
}

/// Tells why a check is skipped, past the test harness, which shows nothing of tests that pass.
pub(crate) fn skip(why: &str) {
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("{name}: skipped: {why} (bash .ci/tools fetches the tools)\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Standard output and standard error together.
pub(crate) fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8_lossy(&text).into_owned()
}
