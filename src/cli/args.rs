//! The command line, as typed. In: arguments. Out: [`Arguments`]; what they mean together with a
//! policy is `cli::job`'s.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::tickets::BUILT_IN;
use crate::writers::profiles::{PROFILES, Profile};

/// Finds out which SMTP findings of a Nessus scan matter, from your own firewall and mail logs.
#[derive(Debug, Parser)]
#[command(name = "helotriage", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(super) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(super) command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 published, complete; 1 published, and a ticket reached \
--fail-on; 2 usage or policy error; 3 published, but some input was unreadable or over its reject \
budget; 4 nothing published: no usable scan; 5 nothing published: output could not be written; \
6 another run holds the lock; 130/143 stopped by a signal.";

/// The commands.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Read scans and logs, correlate, and write prioritised tickets.
    Run(Box<RunArguments>),
    /// Print what the program sees in files: one JSON line per finding, flow or session.
    Inspect(InspectArguments),
    /// Print a ticket's score term by term, and the log lines that it cites.
    Explain(ExplainArguments),
    /// List the supported log formats.
    Formats,
    /// Write a starter policy or the templates of ticket texts, or check a policy.
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Look at the state of nightly runs, export it, or make it forget.
    #[command(subcommand)]
    State(StateCommand),
    /// Print a completion script for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page.
    Man,
}

/// The values of `--profile`.
fn profile_names() -> PossibleValuesParser {
    let value = |profile: &&dyn Profile| PossibleValue::new(profile.name()).help(profile.system());
    PossibleValuesParser::new(PROFILES.iter().map(value))
}

/// The names of templates.
fn template_names() -> PossibleValuesParser {
    PossibleValuesParser::new(BUILT_IN.map(|(name, _)| name))
}

/// `run`.
#[derive(Debug, Args)]
pub(super) struct RunArguments {
    /// What to read.
    #[command(flatten)]
    pub(super) reads: ReadArguments,
    /// The folder for tickets.csv and the other outputs.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Write import files for this ticket system too; repeats.
    #[arg(long, value_name = "SYSTEM", value_parser = profile_names())]
    pub(super) profile: Vec<String>,
    /// A CSV export of the issues that Jira has (all fields), so that `--profile jira` updates them
    /// and creates none twice; repeats.
    #[arg(long, value_name = "FILE")]
    pub(super) jira_export: Vec<PathBuf>,
    /// Put an apostrophe before CSV text that a spreadsheet would take for a formula; off is for
    /// importers only. On by default.
    #[arg(long, value_name = "on|off", hide_possible_values = true)]
    pub(super) csv_safe: Option<OnOff>,
    /// Exit with 1 if a ticket has this priority or a higher one.
    #[arg(long, value_name = "P1..P4")]
    pub(super) fail_on: Option<FailOn>,
}

/// What `run` and `policy suggest` read, and how.
#[derive(Debug, Args)]
pub(super) struct ReadArguments {
    /// The policy file, whose inputs section also says what to read and where to write.
    #[arg(long, value_name = "FILE", conflicts_with = "policy")]
    pub(super) config: Option<PathBuf>,
    /// A policy file, its inputs section left aside.
    #[arg(long, value_name = "FILE")]
    pub(super) policy: Option<PathBuf>,
    /// A Nessus export, a folder or a quoted glob; repeats.
    #[arg(long, value_name = "PATH")]
    pub(super) scan: Vec<String>,
    /// A firewall log, a folder or a quoted glob; `-` is standard input; repeats.
    #[arg(long, value_name = "PATH")]
    pub(super) firewall: Vec<String>,
    /// A mail-server log, a folder or a quoted glob; `-` is standard input; repeats.
    #[arg(long, value_name = "PATH")]
    pub(super) mail: Vec<String>,
    /// The file of what must outlive a run, created where it is missing: tickets are new once,
    /// then open, and resolved when scans and logs show it; logs are read on from where they ended.
    #[arg(long, value_name = "FILE")]
    pub(super) state: Option<PathBuf>,
    /// What logs do not say themselves.
    #[command(flatten)]
    pub(super) inputs: InputArguments,
    /// Which findings make targets: `smtp`, or plugin ids separated by commas.
    #[arg(long, value_name = "IDS", default_value = "smtp")]
    pub(super) plugins: String,
    /// Keep the complete hosts of a truncated export, and mark the run.
    #[arg(long)]
    pub(super) allow_truncated: bool,
    /// Leave out events before this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Leave out events after this time (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<String>,
    /// Worker threads; one per core by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
    /// Share of unreadable lines, in per cent of those of a known format, above which an input
    /// counts as unreadable (exit 3).
    #[arg(long, value_name = "PERCENT", default_value_t = 20,
          value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(super) max_reject: u8,
    /// Say nothing on standard error but errors and warnings.
    #[arg(long)]
    pub(super) quiet: bool,
}

/// What logs do not say themselves; flags override the input blocks of the policy.
#[derive(Debug, Args)]
pub(super) struct InputArguments {
    /// Force a log format; repeats.
    #[arg(long, value_name = "GLOB=NAME")]
    pub(super) format: Vec<String>,
    /// The time zone of logs that name none: an IANA name or an offset; repeats.
    #[arg(long, value_name = "GLOB=ZONE")]
    pub(super) zone: Vec<String>,
    /// The mail server that wrote a log which does not say so; repeats.
    #[arg(long, value_name = "GLOB=HOST")]
    pub(super) server: Vec<String>,
    /// The reference time (RFC 3339) for years that logs leave out, instead of each file's
    /// modification time: makes runs reproducible.
    #[arg(long, value_name = "TIME")]
    pub(super) now: Option<String>,
}

/// `inspect`.
#[derive(Debug, Args)]
pub(super) struct InspectArguments {
    /// Logs or Nessus exports; `-` is standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<String>,
    /// A policy whose input blocks and verdicts apply.
    #[arg(long, value_name = "FILE")]
    pub(super) policy: Option<PathBuf>,
    /// What logs do not say themselves.
    #[command(flatten)]
    pub(super) inputs: InputArguments,
    /// Worker threads; one per core by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) threads: Option<u16>,
}

/// `explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    /// The ticket's id, as in tickets.csv.
    pub(super) ticket_id: String,
    /// The folder that the run wrote to.
    #[arg(long, value_name = "DIR", default_value = "out")]
    pub(super) out: PathBuf,
}

/// `policy`.
#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Print a commented starter policy, or write it to a new file.
    Init {
        /// The file to write; it must not exist. Standard output if left out.
        file: Option<PathBuf>,
    },
    /// Print what the scans and logs suggest for the policy, as commented TOML.
    Suggest(Box<ReadArguments>),
    /// Check a policy and say what it resolves to.
    Check {
        /// The policy file.
        file: PathBuf,
    },
    /// Write the built-in templates of ticket texts out, to begin your own with. Delete those that
    /// you do not change: they stay as they are when later versions have better ones.
    Templates {
        /// The folder to write to, created where it is missing; no file in it is overwritten.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Only these.
        #[arg(value_name = "NAME", value_parser = template_names())]
        names: Vec<String>,
    },
}

/// `state`.
#[derive(Debug, Subcommand)]
pub(super) enum StateCommand {
    /// Print the tickets by status and how much the state holds; or what became of one ticket.
    Show {
        /// Which state.
        #[command(flatten)]
        file: StateFile,
        /// A ticket's id: prints each run that changed its status or priority.
        #[arg(value_name = "TICKET_ID")]
        ticket: Option<String>,
    },
    /// Print every row as a JSON object on a line of its own.
    Export {
        /// Which state.
        #[command(flatten)]
        file: StateFile,
    },
    /// Forget tickets, or what logs said of a server, for good: all that is named, or nothing.
    Forget {
        /// Which state.
        #[command(flatten)]
        file: StateFile,
        /// Ticket ids, as `state show` prints them; addresses and names of servers, as logs have them.
        #[arg(required = true, value_name = "TICKET_ID|HOST")]
        what: Vec<String>,
    },
}

/// A state file, named or by its policy.
#[derive(Debug, Args)]
pub(super) struct StateFile {
    /// The state file.
    #[arg(long, value_name = "FILE")]
    pub(super) state: Option<PathBuf>,
    /// The policy whose inputs section names it.
    #[arg(long, value_name = "FILE", conflicts_with = "state")]
    pub(super) config: Option<PathBuf>,
}

/// A switch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OnOff {
    /// Done.
    On,
    /// Left.
    Off,
}

/// The lowest priority that makes a run exit with 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    /// Critical.
    #[value(name = "P1", alias = "p1")]
    P1,
    /// High.
    #[value(name = "P2", alias = "p2")]
    P2,
    /// Medium.
    #[value(name = "P3", alias = "p3")]
    P3,
    /// Low.
    #[value(name = "P4", alias = "p4")]
    P4,
}

impl FailOn {
    /// 1 to 4.
    pub(super) fn band(self) -> u8 {
        match self {
            Self::P1 => 1,
            Self::P2 => 2,
            Self::P3 => 3,
            Self::P4 => 4,
        }
    }
}
