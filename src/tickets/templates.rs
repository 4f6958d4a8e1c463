//! The templates of ticket texts. In: the built-in ones, and files of the user's folder that take
//! their place by name. Out: templates that parse, use only names that tickets have, and could be
//! rendered for targets of every kind, before any log is read.
//!
//! A file of another name is refused, since a slip in a name would pass for a template that works;
//! `own_*.txt` are the user's own files to include. What the names mean is in `texts`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value};

use crate::error::{Error, Kind, Place, Result};
use crate::tickets::trial;

/// Every template by name; `include` finds them here.
pub const BUILT_IN: [(&str, &str); 19] = [
    ("summary.txt", include_str!("templates/summary.txt")),
    ("description.txt", include_str!("templates/description.txt")),
    ("remediation.txt", include_str!("templates/remediation.txt")),
    ("verification.txt", include_str!("templates/verification.txt")),
    ("rollback.txt", include_str!("templates/rollback.txt")),
    ("compromise.txt", include_str!("templates/compromise.txt")),
    ("find_logs.txt", include_str!("templates/find_logs.txt")),
    ("prepare.txt", include_str!("templates/prepare.txt")),
    ("firewall_netfilter.txt", include_str!("templates/firewall_netfilter.txt")),
    ("firewall_asa.txt", include_str!("templates/firewall_asa.txt")),
    ("firewall_fortigate.txt", include_str!("templates/firewall_fortigate.txt")),
    ("firewall_panos.txt", include_str!("templates/firewall_panos.txt")),
    ("firewall_generic.txt", include_str!("templates/firewall_generic.txt")),
    ("server_postfix.txt", include_str!("templates/server_postfix.txt")),
    ("server_exim.txt", include_str!("templates/server_exim.txt")),
    ("server_sendmail.txt", include_str!("templates/server_sendmail.txt")),
    ("server_exchange.txt", include_str!("templates/server_exchange.txt")),
    ("server_opensmtpd.txt", include_str!("templates/server_opensmtpd.txt")),
    ("server_generic.txt", include_str!("templates/server_generic.txt")),
];

/// What every template language function is called that needs no value of a ticket.
const FUNCTIONS: [&str; 4] = ["range", "dict", "debug", "namespace"];

/// How the names of files begin that the user's templates include.
const OWN: &str = "own_";

/// Longest file that is taken for a template.
const LONGEST: u64 = 1_000_000;

/// The templates of a run.
#[derive(Debug, Clone)]
pub struct Templates {
    environment: Environment<'static>,
    /// The user's files by template name.
    files: BTreeMap<String, PathBuf>,
}

impl Templates {
    /// The built-in ones.
    ///
    /// # Errors
    /// None in a build whose tests pass: a template that does not parse is found by them.
    pub fn built_in() -> Result<Self> {
        let mut environment = Environment::new();
        let mut templates = Self { environment: Environment::new(), files: BTreeMap::new() };
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .keep_trailing_newline(true)
            .build();
        environment.set_syntax(syntax.map_err(|e| templates.fault(&e))?);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        // So that an error names what it is about.
        environment.set_debug(true);
        for (name, text) in BUILT_IN {
            environment.add_template(name, text).map_err(|e| templates.fault(&e))?;
        }
        templates.environment = environment;
        Ok(templates)
    }

    /// The built-in ones, less those that the folder has a file for; checked.
    ///
    /// # Errors
    /// Of kind `Usage`, with file and line: the folder or a file cannot be read, a file's name is
    /// that of no template, a template does not parse, uses a name that tickets do not have, or
    /// cannot be rendered.
    pub fn read(folder: &Path) -> Result<Self> {
        let mut templates = Self::built_in()?;
        for (name, path) in files_of(folder)? {
            let text = read_text(&path)?;
            templates.files.insert(name.clone(), path);
            let added = templates.environment.add_template_owned(name, text);
            added.map_err(|error| templates.fault(&error))?;
        }
        let names = trial::names(&templates)?;
        for name in templates.files.keys() {
            templates.check_names(name, &names)?;
        }
        trial::check(&templates)?;
        Ok(templates)
    }

    /// The names of the templates that the user's files are, sorted.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// A template's text for these values, without blanks around it.
    ///
    /// # Errors
    /// Of kind `Usage`: a name that the template uses and that is not given, and the like.
    pub(super) fn render(&self, name: &str, values: &Value) -> Result<String> {
        let template = self.environment.get_template(name).map_err(|e| self.fault(&e))?;
        let text = template.render(values).map_err(|e| self.fault(&e))?;
        Ok(text.trim().to_owned())
    }

    /// An error about a template as a whole.
    pub(super) fn wrong(&self, name: &str, message: &str) -> Error {
        self.error(name, Place::Whole, message)
    }

    fn error(&self, name: &str, place: Place, message: &str) -> Error {
        if let Some(path) = self.files.get(name) {
            return Error::input(path, place, message).with_kind(Kind::Usage);
        }
        let line = match place {
            Place::Line(line) => format!(" line {line}:"),
            Place::Whole | Place::Byte(_) => String::new(),
        };
        Error::usage(format!("the built-in template {name}:{line} {message}"))
    }

    /// Refuses names that no ticket has, wherever they stand: most branches of a template are for
    /// other tickets than those of tomorrow.
    fn check_names(&self, name: &str, known: &[String]) -> Result<()> {
        let template = self.environment.get_template(name).map_err(|e| self.fault(&e))?;
        let mut used: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        used.retain(|used| !known.contains(used) && !FUNCTIONS.contains(&used.as_str()));
        let place = |used: &String| (line_of(template.source(), used), used.clone());
        let Some((line, used)) = used.iter().map(place).min() else { return Ok(()) };
        let near = known
            .iter()
            .map(|known| (strsim::damerau_levenshtein(&used, known), known))
            .min()
            .filter(|(distance, known)| *distance <= known.len() / 3 + 1)
            .map(|(_, known)| format!("{known:?}, the nearest of "))
            .unwrap_or_default();
        let message = format!(
            "{used:?} is a name that tickets do not have; expected {near}those that \
             docs/templates.md lists"
        );
        Err(self.error(name, Place::Line(line), &message))
    }

    /// What the template engine says, with the place of the innermost template that it names.
    fn fault(&self, error: &minijinja::Error) -> Error {
        let mut innermost = error;
        let mut cause = std::error::Error::source(error);
        while let Some(inner) = cause {
            if let Some(named) = inner.downcast_ref::<minijinja::Error>()
                && named.name().is_some()
            {
                innermost = named;
            }
            cause = inner.source();
        }
        let mut message = innermost.kind().to_string();
        if let Some(detail) = innermost.detail() {
            message = format!("{message}: {detail}");
        }
        let place = innermost.line().map_or(Place::Whole, |line| Place::Line(line as u64));
        self.error(innermost.name().unwrap_or("(none)"), place, &message)
    }
}

/// The templates in a folder by name. Files that do not end in `.txt` are none.
fn files_of(folder: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let unread = |error: std::io::Error| {
        let message = format!("cannot read the folder of [templates]: {error}");
        Error::input(folder, Place::Whole, message).with_kind(Kind::Usage)
    };
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let is_template = path.extension().is_some_and(|end| end == "txt");
        if is_template && !name.starts_with('.') {
            files.insert(name.to_owned(), path);
        }
    }
    let known = |name: &str| {
        name.starts_with(OWN) || BUILT_IN.iter().any(|(built_in, _)| *built_in == name)
    };
    match files.iter().find(|(name, _)| !known(name)) {
        None => Ok(files),
        Some((name, path)) => {
            Err(Error::input(path, Place::Whole, unknown(name)).with_kind(Kind::Usage))
        }
    }
}

/// What is wrong with the name of a file.
fn unknown(name: &str) -> String {
    let names = BUILT_IN.map(|(name, _)| name);
    let near = names
        .iter()
        .min_by_key(|known| (strsim::damerau_levenshtein(name, known), **known))
        .copied()
        .unwrap_or_default();
    format!(
        "no template has this name; expected {near:?}, the nearest of {}, or {OWN}*.txt for a file \
         that your own templates include",
        names.join(", ")
    )
}

/// A template's text; line ends of Windows as those of Unix, as in the built-in ones.
fn read_text(path: &Path) -> Result<String> {
    let wrong = |message: String| Error::input(path, Place::Whole, message).with_kind(Kind::Usage);
    let unread = |error: std::io::Error| wrong(format!("cannot read the template: {error}"));
    if fs::metadata(path).map_err(unread)?.len() > LONGEST {
        return Err(wrong(format!("more than {LONGEST} bytes; expected a template of a ticket")));
    }
    let text = String::from_utf8(fs::read(path).map_err(unread)?).map_err(|_| {
        wrong("text that is no UTF-8; expected a template saved as UTF-8".to_owned())
    })?;
    Ok(text.trim_start_matches('\u{feff}').replace("\r\n", "\n"))
}

/// The first line on which a tag of a template uses a name.
fn line_of(text: &str, name: &str) -> u64 {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let uses = |at: usize| {
        let (before, rest) = text.split_at_checked(at).unwrap_or_default();
        let after = rest.get(name.len()..).unwrap_or_default();
        let whole = !before.ends_with(|c| is_word(c) || c == '.' || c == '"' || c == '\'')
            && !after.starts_with(is_word);
        let opened = before.rfind("{{").max(before.rfind("{%"));
        whole && opened > before.rfind("}}").max(before.rfind("%}"))
    };
    let found = text.match_indices(name).map(|(at, _)| at).find(|at| uses(*at));
    let before = text.get(..found.unwrap_or(0)).unwrap_or_default();
    memchr::memchr_iter(b'\n', before.as_bytes()).count() as u64 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder with these files.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn the_built_in_ones_pass_as_the_users() {
        let folder = folder(&BUILT_IN);
        let templates = Templates::read(folder.path()).unwrap();
        assert_eq!(templates.files().count(), BUILT_IN.len());
    }

    #[test]
    fn any_subset_and_own_files_are_taken_and_other_files_left() {
        let folder = folder(&[
            ("rollback.txt", "\u{feff}Ask {{ owner or 'us' }}.\r\n{% include 'own_end.txt' %}\r\n"),
            ("own_end.txt", "{% for n in range(2) %}{{ n }}{{ port }} {% endfor %}"),
            ("summary.txt.orig", "{{"),
            (".summary.txt", "{{"),
            ("README.md", "{{"),
        ]);
        let templates = Templates::read(folder.path()).unwrap();
        assert_eq!(templates.files().collect::<Vec<_>>(), ["own_end.txt", "rollback.txt"]);
        let values = minijinja::context! { owner => "ops", port => 25 };
        assert_eq!(templates.render("rollback.txt", &values).unwrap(), "Ask ops.\n025 125");
    }

    #[test]
    fn what_is_wrong_is_told_with_file_and_line() {
        let cases: [(&str, &str, &str); 11] = [
            (
                "sumary.txt",
                "x",
                "no template has this name; expected \"summary.txt\", the nearest of",
            ),
            ("summary.txt", "a\n{% if port %}\nx", "line 3: syntax error: unexpected end of input"),
            (
                "summary.txt",
                "a\n\n{{ prot }}",
                "line 3: \"prot\" is a name that tickets do not have; expected \"port\", the nearest of those that docs/templates.md lists",
            ),
            ("summary.txt", "prot\n{% if false %}{{ prot }}{% endif %}x", "line 2: \"prot\" is"),
            (
                "summary.txt",
                "{{ zzzzzzzzzzzz }}",
                "line 1: \"zzzzzzzzzzzz\" is a name that tickets do not have; expected those that",
            ),
            (
                "description.txt",
                "x\n{% for s in sources %}{{ s.ipp }}{% endfor %}",
                "line 2: undefined value: `s.ipp` is undefined",
            ),
            ("description.txt", "x\n{{ port|frobnicate }}", "line 2: unknown filter"),
            ("description.txt", "x{% include 'own_x.txt' %}", "line 1: template not found"),
            ("description.txt", "x{{ port / 0 }}", "line 1: "),
            ("own_x.txt", "\n{{ nope_nope }}", "line 2: \"nope_nope\" is a name"),
            ("summary.txt", "{% if port == 465 %}x{% endif %}", "the summary of a ticket is empty"),
        ];
        for (name, text, expected) in cases {
            let folder = folder(&[(name, text)]);
            let error = Templates::read(folder.path()).unwrap_err();
            let place = folder.path().join(name).display().to_string();
            let told = error.to_string();
            assert!(told.starts_with(&format!("{place}: {expected}")), "{name}: {text}: {told}");
            assert_eq!(error.exit_code(), 2);
        }
    }

    #[test]
    fn an_error_in_an_included_file_names_that_file() {
        let files =
            [("rollback.txt", "{% include 'own_a.txt' %}"), ("own_a.txt", "\n{{ port.x.y }}")];
        let folder = folder(&files);
        let told = Templates::read(folder.path()).unwrap_err().to_string();
        assert!(told.contains("own_a.txt: line 2: undefined value"), "{told}");
    }

    #[test]
    fn the_documentation_lists_every_name_and_every_template() {
        let page = include_str!("../../docs/templates.md");
        let names = trial::names(&Templates::built_in().unwrap()).unwrap();
        let rows = page.lines().filter(|line| line.starts_with("| `"));
        let cells = rows.filter_map(|row| row.split('|').nth(1));
        let mut told: Vec<&str> =
            cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
        told.sort_unstable();
        assert_eq!(told, names);
        assert!(BUILT_IN.iter().all(|(name, _)| page.contains(name)));
    }

    #[test]
    fn folders_and_files_that_cannot_be_read_are_told() {
        let empty = folder(&[]);
        let told = Templates::read(&empty.path().join("no")).unwrap_err().to_string();
        assert!(told.contains("/no: cannot read the folder of [templates]: "), "{told}");
        fs::write(empty.path().join("summary.txt"), b"\xff").unwrap();
        let told = Templates::read(empty.path()).unwrap_err().to_string();
        assert!(told.contains("summary.txt: text that is no UTF-8; expected"), "{told}");
    }
}
