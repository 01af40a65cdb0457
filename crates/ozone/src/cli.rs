//! The command line: options for all commands, the tree of commands, and what is said about a wrong
//! one. First lines of errors and exit codes are those of the genuine tools; the help is ours.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, CommandFactory, Parser, Subcommand};
use ozone_config::{ConfigError, Configuration, Sources};
#[cfg(feature = "daemons")]
use ozone_daemon::logging;

use crate::admin::AdminArgs;
use crate::completion::CompletionArgs;
#[cfg(feature = "daemons")]
use crate::daemon::{DatanodeArgs, OmArgs, ScmArgs};
use crate::daemonlog::DaemonlogArgs;
use crate::failure::EXIT_USAGE;
use crate::fs::FsArgs;
use crate::getconf::GetconfArgs;
#[cfg(feature = "daemons")]
use crate::local::LocalArgs;
use crate::repair::RepairArgs;
use crate::s3::S3Args;
use crate::sh::ShArgs;

/// Apache Ozone, in one program.
#[derive(Parser, Debug)]
#[command(name = "ozone", version = crate::version::SHORT, propagate_version = true)]
#[command(subcommand_value_name = "COMMAND", max_term_width = 100)]
pub struct Cli {
    /// Options for all commands.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options for all commands.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "For all commands")]
pub struct GlobalArgs {
    /// Directory with ozone-site.xml (default: $OZONE_CONF_DIR)
    #[arg(long, global = true, value_name = "DIR")]
    pub config: Option<PathBuf>,
    /// One more file of settings, on top of ozone-site.xml
    #[arg(long, global = true, value_name = "FILE")]
    pub conf: Option<PathBuf>,
    /// Set one configuration key for this call
    #[arg(short = 'D', long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<String>,
    /// Level of a daemon's log: INFO, or by target: om=debug,info (default: $OZONE_LOG, $RUST_LOG)
    #[arg(long = "loglevel", global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Write a daemon's log as JSON, one object a line (default: $OZONE_LOG_FORMAT)
    #[arg(long = "log-json", global = true)]
    pub log_json: bool,
    /// Tell more: what was done, and the chain of causes of a failure
    #[arg(long, global = true)]
    pub verbose: bool,
}

impl GlobalArgs {
    /// Begins the log of a daemon; `default` is the level where none is named.
    #[cfg(feature = "daemons")]
    pub fn begin_log(&self, default: &str) {
        logging::init_with(logging::Options {
            level: self.log_level.as_deref(),
            default,
            json: self.log_json,
        });
    }

    /// The settings of this call.
    ///
    /// # Errors
    /// A file cannot be read, or is no configuration.
    pub fn configuration(&self) -> Result<Configuration, ConfigError> {
        Configuration::load(&Sources {
            directory: self.config.clone(),
            files: self.conf.iter().cloned().collect(),
            overrides: self.set.clone(),
        })
    }
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Volumes, buckets and keys
    #[command(visible_alias = "shell")]
    Sh(ShArgs),
    /// Secrets of S3 users
    S3(S3Args),
    /// Commands one after the other, with completion
    Interactive,
    /// Load generators
    Freon(freon::FreonArgs),
    /// Files and directories: ls, put, get, mv, rm and others, as `hadoop fs`
    Fs(FsArgs),
    /// What operators ask of a running cluster: upgrades, roles, open files
    Admin(AdminArgs),
    /// What mends a cluster: accounts of quotas
    Repair(RepairArgs),
    /// A whole cluster in this process
    #[cfg(feature = "daemons")]
    Local(LocalArgs),
    /// Storage Container Manager: start it, or prepare its directory with --init
    #[cfg(feature = "daemons")]
    Scm(ScmArgs),
    /// Ozone Manager: start it, or prepare its directory with --init
    #[cfg(feature = "daemons")]
    Om(OmArgs),
    /// Datanode: start it
    #[cfg(feature = "daemons")]
    Datanode(DatanodeArgs),
    /// Log levels of a running daemon
    Daemonlog(DaemonlogArgs),
    /// Values of the configuration
    Getconf(GetconfArgs),
    /// This program's version and that of Apache Ozone it is compatible with
    Version,
    /// Completion of commands and options for a shell
    Completion(CompletionArgs),
}

impl Command {
    /// Whether it needs a word more: a verb, or how to take several.
    fn lacks_subcommand(&self) -> bool {
        match self {
            Self::Sh(args) => args.command.is_none() && !args.many.any(),
            Self::S3(args) => args.command.is_none() && !args.many.any(),
            _ => false,
        }
    }
}

/// Understands a command line, or says on stderr what is wrong with it (or prints the help that
/// was asked for) and gives the exit code.
///
/// # Errors
/// The exit code to leave with.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, ExitCode> {
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    // The words behind `fs` are its own.
    let own = arguments.iter().position(|word| word == "fs").unwrap_or(arguments.len());
    let admin = arguments.iter().position(|word| word == "admin").unwrap_or(own);
    for (position, argument) in arguments[..own].iter_mut().enumerate() {
        let modern = if position > admin { modern_admin } else { modern };
        *argument = modern(std::mem::take(argument));
    }
    let cli = Cli::try_parse_from(&arguments).map_err(|error| refuse(&error, &arguments))?;
    if cli.command.lacks_subcommand() {
        return Err(refuse(&clap::Error::new(ErrorKind::MissingSubcommand), &arguments));
    }
    Ok(cli)
}

/// Spellings with one dash that clap does not know.
fn modern(argument: OsString) -> OsString {
    match argument.to_str() {
        Some("-conf") => "--conf".into(),
        Some("-getlevel") => "getlevel".into(),
        Some("-setlevel") => "setlevel".into(),
        Some("-protocol") => "--protocol".into(),
        Some("-al") => "--acls".into(),
        Some("-confKey") => "confKey".into(),
        Some("-ozonemanagers") => "ozonemanagers".into(),
        Some("-storagecontainermanagers") => "storagecontainermanagers".into(),
        Some(text) if text.starts_with("-conf=") => format!("-{text}").into(),
        _ => argument,
    }
}

/// As [`modern`], for options of `ozone admin` only.
fn modern_admin(argument: OsString) -> OsString {
    match argument.to_str() {
        Some("-id") => "--service-id".into(),
        Some("-host") => "--service-host".into(),
        Some("-tawt") => "--transaction-apply-wait-timeout".into(),
        Some("-tact") => "--transaction-apply-check-interval".into(),
        Some("-pct") => "--prepare-check-interval".into(),
        Some("-pt") => "--prepare-timeout".into(),
        _ => modern(argument),
    }
}

fn refuse(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let Some(line) = first_line(error, arguments) else {
        // Help and version were asked for.
        let _ = error.print();
        return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(EXIT_USAGE));
    };
    eprintln!("{line}");
    if let Some(hint) = suggestion(error) {
        eprintln!("Did you mean {hint}?");
    }
    match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => eprintln!("{usage}"),
        _ => {
            let mut command = deepest(arguments);
            eprintln!("{}", command.render_help());
        }
    }
    ExitCode::from(EXIT_USAGE)
}

/// The first line of an error, as picocli words it; `None` where nothing is wrong.
fn first_line(error: &clap::Error, arguments: &[OsString]) -> Option<String> {
    let text = |kind| error.get(kind).map(|value| value.to_string());
    let argument = text(ContextKind::InvalidArg).unwrap_or_default();
    let prior = text(ContextKind::PriorArg).unwrap_or_default();
    Some(match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return None,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            "Missing required subcommand".to_owned()
        }
        ErrorKind::InvalidSubcommand => {
            let word = text(ContextKind::InvalidSubcommand).unwrap_or_default();
            let at = arguments.iter().position(|argument| *argument == *word);
            let rest = at.map_or(vec![word], |at| {
                arguments[at..].iter().map(|word| word.to_string_lossy().into_owned()).collect()
            });
            unmatched(&rest, arguments)
        }
        ErrorKind::UnknownArgument => unmatched(&strangers(argument, arguments), arguments),
        ErrorKind::ArgumentConflict if argument.contains("--all") || prior.contains("--all") => {
            "Error: --length=<limit>, --all are mutually exclusive (specify only one)".to_owned()
        }
        ErrorKind::MissingRequiredArgument => missing(error),
        ErrorKind::ArgumentConflict if argument.contains("--interactive") => {
            let prior = prior.replacen(' ', "=", 1);
            format!("Error: {argument}, {prior} are mutually exclusive (specify only one)")
        }
        ErrorKind::ValueValidation if argument.starts_with("--set") => {
            let value = text(ContextKind::InvalidValue).unwrap_or_default();
            format!(
                "Value for option option '--set' (<String=String>) should be in KEY=VALUE format \
                 but was {value}"
            )
        }
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            let value = text(ContextKind::InvalidValue).unwrap_or_default();
            let (name, label) = argument.split_once([' ', '=']).unwrap_or((&argument, ""));
            if value.is_empty() {
                format!("Missing required parameter for option '{name}' ({label})")
            } else {
                format!("Invalid value for option '{name}': '{value}' is not {}", expected(name))
            }
        }
        _ => {
            let rendered = error.to_string();
            let line = rendered.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    })
}

/// What `-D` takes.
fn key_value(text: &str) -> Result<String, String> {
    if text.contains('=') { Ok(text.to_owned()) } else { Err("it has no `=`".to_owned()) }
}

/// What an option's value has to be, in Java's words.
fn expected(option: &str) -> &'static str {
    match option {
        "--length" | "--threads" | "--clients" | "--batch-size" | "--buffer" => "an int",
        "--expectedGeneration" | "--number-of-tests" => "a long",
        _ => "valid",
    }
}

/// All words that nothing takes, beginning with `first`: clap tells of one, picocli of all.
fn strangers(first: String, arguments: &[OsString]) -> Vec<String> {
    let (mut rest, mut found, mut stranger) = (arguments.to_vec(), Vec::new(), first);
    while let Some(at) = rest.iter().position(|word| *word == *stranger) {
        rest.remove(at);
        found.push(stranger);
        let Err(error) = Cli::try_parse_from(&rest) else { return found };
        match error.get(ContextKind::InvalidArg) {
            Some(next) if error.kind() == ErrorKind::UnknownArgument => stranger = next.to_string(),
            _ => return found,
        }
    }
    // It stands there with a value behind it, or in a cluster of letters.
    if found.is_empty() { vec![stranger] } else { found }
}

/// Picocli counts the arguments after the name of the tool (`ozone sh`).
fn unmatched(words: &[String], arguments: &[OsString]) -> String {
    let plural = if words.len() == 1 { "" } else { "s" };
    let quoted = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ");
    let Some(first) = words.first().filter(|first| !first.starts_with('-')) else {
        return format!("Unknown option{plural}: {quoted}");
    };
    const TOOLS: [&str; 7] = ["sh", "shell", "s3", "freon", "getconf", "admin", "repair"];
    let is_tool = |argument: &OsString| argument.to_str().is_some_and(|a| TOOLS.contains(&a));
    let tool = arguments.iter().position(is_tool);
    let begin = tool.map_or(1, |index| index + 1);
    let after = arguments.get(begin..).unwrap_or_default();
    let index = after.iter().position(|argument| **argument == **first).unwrap_or(0);
    let place = if words.len() == 1 { "at" } else { "from" };
    format!("Unmatched argument{plural} {place} index {index}: {quoted}")
}

fn missing(error: &clap::Error) -> String {
    let names = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::Strings(names)) => names.clone(),
        Some(other) => vec![other.to_string()],
        None => Vec::new(),
    };
    let quoted = |names: Vec<String>| -> String {
        names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ")
    };
    let plural = |names: &[String]| if names.len() == 1 { "" } else { "s" };
    let (options, parameters): (Vec<_>, Vec<_>) =
        names.into_iter().partition(|name| name.starts_with('-'));
    if parameters.is_empty() {
        let options: Vec<String> = options.iter().map(|name| name.replacen(' ', "=", 1)).collect();
        return format!("Missing required option{}: {}", plural(&options), quoted(options));
    }
    format!("Missing required parameter{}: {}", plural(&parameters), quoted(parameters))
}

fn suggestion(error: &clap::Error) -> Option<String> {
    let quoted = |value: &ContextValue| match value {
        ContextValue::String(text) => Some(format!("'{text}'")),
        ContextValue::Strings(texts) => texts.first().map(|text| format!("'{text}'")),
        _ => None,
    };
    [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg]
        .into_iter()
        .find_map(|kind| error.get(kind).and_then(quoted))
}

/// The command that the arguments name, as far as they do.
fn deepest(arguments: &[OsString]) -> clap::Command {
    let mut command = Cli::command();
    command.build();
    for argument in arguments.iter().skip(1).filter_map(|argument| argument.to_str()) {
        if let Some(next) = command.find_subcommand(argument) {
            command = next.clone();
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> String {
        let arguments: Vec<OsString> = text.split(' ').map(|w| modern(w.into())).collect();
        match Cli::try_parse_from(&arguments) {
            Ok(cli) if cli.command.lacks_subcommand() => {
                first_line(&clap::Error::new(ErrorKind::MissingSubcommand), &arguments)
                    .unwrap_or_default()
            }
            Ok(_) => "understood".to_owned(),
            Err(error) => first_line(&error, &arguments).unwrap_or("help".to_owned()),
        }
    }

    #[test]
    fn the_tree_of_commands_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_command_lines_are_answered_as_picocli_does() {
        assert_eq!(
            line("ozone sh key put"),
            "Missing required parameters: '<value>', '<fileName>'"
        );
        assert_eq!(line("ozone sh key put v/b/k"), "Missing required parameter: '<fileName>'");
        assert_eq!(line("ozone sh key put v/b/k f --nope"), "Unknown option: '--nope'");
        assert_eq!(
            line("ozone sh --interactive --execute list"),
            "Error: --interactive, --execute=<command> are mutually exclusive (specify only one)"
        );
        assert_eq!(line("ozone sh key bogus"), "Unmatched argument at index 1: 'bogus'");
        assert_eq!(line("ozone sh key rm v"), "Unmatched arguments from index 1: 'rm', 'v'");
        assert_eq!(line("ozone sh volume info v -q 5"), "Unknown options: '-q', '5'");
        assert_eq!(line("ozone sh volume info --no v"), "Unknown option: '--no'");
        assert_eq!(
            line("ozone sh volume info a b c"),
            "Unmatched arguments from index 3: 'b', 'c'"
        );
        assert_eq!(
            line("ozone sh -D a volume info b"),
            "Value for option option '--set' (<String=String>) should be in KEY=VALUE format but was a"
        );
        let exclusive = "Error: --length=<limit>, --all are mutually exclusive (specify only one)";
        assert_eq!(line("ozone sh volume list --length 1 -a"), exclusive);
        assert_eq!(line("ozone sh volume list -a -l 1"), exclusive);
        for text in ["ozone sh bucket", "ozone sh", "ozone s3"] {
            assert_eq!(line(text), "Missing required subcommand");
        }
        assert_eq!(line("ozone sh volume delete v --recursive"), "Unknown option: '--recursive'");
        assert_eq!(
            line("ozone sh key rewrite v/b/k"),
            "Missing required options: '--type=<type>', '--replication=<replication>'"
        );
    }

    #[test]
    fn genuine_spellings_are_understood() {
        for text in [
            "ozone --config /etc sh volume create /v",
            "ozone sh -D a=b vol ls --length -1",
            "ozone sh -conf /x.xml key ls /v/b -l 5 -p a -s b",
            "ozone sh key put /v/b/k f -t RATIS -r ONE --stream",
            "ozone sh key put /v/b/k f --replication-type=RATIS --replication=ONE",
            "ozone sh bucket create /v/b --layout obs --quota 1GB -u me",
            "ozone sh bucket setacl /v/b -al user:a:rw,group:b:r",
            "ozone sh volume getacl /v --json=false",
            "ozone sh bucket getacl /v/b --source --json",
            "ozone sh bucket getacl /v/b --source=false",
            "ozone sh volume delete -r -y -t 4 /v",
            "ozone getconf -confKey ozone.om.address",
            "ozone getconf -ozonemanagers",
            "ozone shell key cat /v/b/k --verbose",
            "ozone sh --interactive",
            "ozone sh --execute volume\u{a0}list --execute exit",
            "ozone s3 get-secret -u anna -e --om-service-id first",
            "ozone s3 setsecret --secretKey=12345678",
            "ozone s3 revokesecret -y",
            "ozone freon ockg -n10 --thread 4 -s 10KB -p x -F THREE -f",
            "ozone freon ozone-client-key-generator --replication-type=RATIS -r ONE --enable-streaming",
            "ozone freon -D a=b ommg --operation CREATE_KEY -n 25000 --duration 180s --verbose",
            "ozone freon --server ome --payload-req 1 --ratis",
            "ozone freon rk --numOfVolumes 1 --num-of-buckets=2 --numOfKeys 3 --validateWrites",
            "ozone daemonlog -getlevel h:9874 org.apache.hadoop.ozone.om -protocol http",
            "ozone daemonlog -setlevel h:9874 om DEBUG",
        ] {
            assert_eq!(line(text), "understood", "{text}");
        }
    }

    #[cfg(feature = "daemons")]
    #[test]
    fn genuine_spellings_of_daemons_are_understood() {
        for text in ["ozone scm --init --clusterid x", "ozone --loglevel DEBUG om"] {
            assert_eq!(line(text), "understood", "{text}");
        }
    }

    #[test]
    fn a_misspelt_command_gets_a_suggestion() {
        let error = Cli::try_parse_from(["ozone", "sh", "key", "putt"]).unwrap_err();
        assert_eq!(suggestion(&error).as_deref(), Some("'put'"));
    }
}
