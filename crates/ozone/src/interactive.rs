//! Commands one after the other in one process: `ozone interactive`, and `--interactive` or
//! `--execute` of `ozone sh` and `ozone s3` (`Shell`, `REPL`).
//!
//! ```text
//!  line ─► words, quoted as in a shell ─► cli::parse of  ozone [TOOL] WORDS ─► run, with the settings of
//!                                                                             the outer command line
//! ```
//! On a terminal lines can be edited, are remembered, and commands and options completed; otherwise they
//! are read from stdin as they come. A batch (`--execute`) ends at the first command that fails; a line
//! that is no command is told, and the next one runs.

use std::ffi::OsString;
use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use crate::cli::{self, Cli, Command, GlobalArgs};
use crate::failure::{EXIT_FAILED, EXIT_USAGE};

/// How a tool takes several commands.
#[derive(Args, Clone, Debug, Default)]
pub struct ManyArgs {
    /// Take commands from a prompt, or from standard input
    #[arg(long, conflicts_with = "execute")]
    pub interactive: bool,
    /// Run this command; may be given several times
    #[arg(long, value_name = "command")]
    pub execute: Vec<String>,
}

impl ManyArgs {
    /// Whether either was asked for.
    pub fn any(&self) -> bool {
        self.interactive || !self.execute.is_empty()
    }
}

/// What the first word of a line names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tool {
    /// Any tool.
    All,
    /// A noun of `ozone sh`.
    Sh,
    /// A verb of `ozone s3`.
    S3,
}

impl Tool {
    /// Words before those of a line.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::All => &["ozone"],
            Self::Sh => &["ozone", "sh"],
            Self::S3 => &["ozone", "s3"],
        }
    }

    fn prompt(self) -> String {
        format!("{}> ", self.words().join(" "))
    }

    /// The part of the tree of commands that lines are about.
    fn tree(self) -> clap::Command {
        let mut tree = Cli::command();
        tree.build();
        for word in &self.words()[1..] {
            if let Some(below) = tree.find_subcommand(word) {
                tree = below.clone();
            }
        }
        tree
    }
}

/// How a line ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    /// Well, or it was not run at all.
    Done,
    /// The command failed.
    Failed,
    /// No more lines are wanted.
    Leave,
}

/// Runs a batch, or takes lines until they end.
pub fn run(global: &GlobalArgs, tool: Tool, batch: &[String]) -> ExitCode {
    if !batch.is_empty() {
        for text in batch {
            match line(global, tool, text) {
                Ended::Done => {}
                Ended::Failed => return ExitCode::from(EXIT_FAILED),
                Ended::Leave => break,
            }
        }
        return ExitCode::SUCCESS;
    }
    let taken = if io::stdin().is_terminal() { converse(global, tool) } else { read(global, tool) };
    match taken {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lines cannot be read: {error}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// Lines of a file or pipe.
fn read(global: &GlobalArgs, tool: Tool) -> io::Result<()> {
    // Not locked while a command runs: it may have a question to ask.
    let mut text = String::new();
    loop {
        text.clear();
        if io::stdin().lock().read_line(&mut text)? == 0 {
            return Ok(());
        }
        if line(global, tool, &text) == Ended::Leave {
            return Ok(());
        }
    }
}

/// Lines that a person types.
fn converse(global: &GlobalArgs, tool: Tool) -> io::Result<()> {
    if tool == Tool::All {
        println!("Ozonide {}: commands of `ozone`, without that word.", crate::version::SHORT);
        println!("`help` lists them, Tab completes, `exit` or Ctrl-D ends.");
    }
    let config =
        Config::builder().auto_add_history(true).completion_type(CompletionType::List).build();
    let mut editor: Editor<Tree, MemHistory> =
        Editor::with_history(config, MemHistory::new()).map_err(io::Error::other)?;
    editor.set_helper(Some(Tree(tool.tree())));
    let prompt = tool.prompt();
    loop {
        match editor.readline(&prompt) {
            Ok(text) if line(global, tool, &text) == Ended::Leave => return Ok(()),
            // Ctrl-C gives up a line, not the conversation.
            Ok(_) | Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

/// One line.
fn line(global: &GlobalArgs, tool: Tool, text: &str) -> Ended {
    let Some(mut words) = shlex::split(text) else {
        eprintln!("A quote is not closed: {}", text.trim());
        return Ended::Done;
    };
    match words.first().map(String::as_str) {
        None => return Ended::Done,
        Some("exit" | "quit") => return Ended::Leave,
        Some("help") => {
            words.remove(0);
            words.push("--help".to_owned());
        }
        Some(_) => {}
    }
    let arguments = tool.words().iter().map(OsString::from);
    match cli::parse(arguments.chain(words.iter().map(OsString::from))) {
        // What is wrong has been told, or the help printed.
        Err(_) => Ended::Done,
        Ok(inner) => execute(global, inner),
    }
}

fn execute(global: &GlobalArgs, mut inner: Cli) -> Ended {
    let nested = match &inner.command {
        Command::Interactive => true,
        Command::Sh(args) => args.command.is_none(),
        Command::S3(args) => args.command.is_none(),
        #[cfg(feature = "daemons")]
        Command::Scm(_) | Command::Om(_) | Command::Datanode(_) | Command::Local(_) => true,
        _ => false,
    };
    if nested {
        eprintln!("Not available in here");
        return Ended::Done;
    }
    inner.global = under(global, inner.global);
    let code = crate::execute(inner);
    let fine = [ExitCode::SUCCESS, ExitCode::from(EXIT_USAGE)];
    if fine.contains(&code) { Ended::Done } else { Ended::Failed }
}

/// The options of a line on top of those that all lines are under.
fn under(outer: &GlobalArgs, inner: GlobalArgs) -> GlobalArgs {
    let mut set = outer.set.clone();
    set.extend(inner.set);
    GlobalArgs {
        config: inner.config.or_else(|| outer.config.clone()),
        conf: inner.conf.or_else(|| outer.conf.clone()),
        set,
        log_level: inner.log_level.or_else(|| outer.log_level.clone()),
        log_json: inner.log_json || outer.log_json,
        verbose: inner.verbose || outer.verbose,
    }
}

/// Completes words from the tree of commands.
struct Tree(clap::Command);

impl Tree {
    /// What may stand where the last of `words`, which may be empty, has been begun.
    fn candidates(&self, words: &[&str]) -> Vec<String> {
        let Some((begun, before)) = words.split_last() else { return Vec::new() };
        let mut command = &self.0;
        for word in before {
            if let Some(below) = command.find_subcommand(word) {
                command = below;
            }
        }
        let names: Vec<String> = if begun.starts_with('-') {
            let shown = command.get_arguments().filter(|option| !option.is_hide_set());
            shown.filter_map(|option| option.get_long().map(|name| format!("--{name}"))).collect()
        } else {
            let below = command.get_subcommands().filter(|below| !below.is_hide_set());
            below.map(|below| below.get_name().to_owned()).collect()
        };
        names.into_iter().filter(|name| name.starts_with(begun)).collect()
    }
}

impl Completer for Tree {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let line = &line[..at];
        let begin = line.rfind(char::is_whitespace).map_or(0, |space| space + 1);
        let mut words: Vec<&str> = line[..begin].split_whitespace().collect();
        words.push(&line[begin..]);
        let found = self.candidates(&words).into_iter();
        // A word that is complete is followed by another one.
        let found = found.map(|name| Pair { replacement: format!("{name} "), display: name });
        Ok((begin, found.collect()))
    }
}

impl Hinter for Tree {
    type Hint = String;
}

impl Highlighter for Tree {}
impl Validator for Tree {}
impl Helper for Tree {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_completed_from_the_tree_of_commands() {
        let tree = Tree(Tool::Sh.tree());
        assert_eq!(tree.candidates(&["vol"]), ["volume"]);
        assert_eq!(tree.candidates(&["volume", "cr"]), ["create"]);
        assert_eq!(tree.candidates(&["volume", "create", "--space"]), ["--space-quota"]);
        assert_eq!(Tree(Tool::All.tree()).candidates(&["sh", "key", "pu"]), ["put"]);
        assert!(Tree(Tool::S3.tree()).candidates(&["x"]).is_empty());
    }

    #[test]
    fn lines_that_are_no_commands_do_not_end_a_batch() {
        let global = GlobalArgs::default();
        for text in ["", "  ", "'open", "bogus", "volume bogus"] {
            assert_eq!(line(&global, Tool::Sh, text), Ended::Done, "{text}");
        }
        assert_eq!(line(&global, Tool::All, "interactive"), Ended::Done);
        assert_eq!(line(&global, Tool::Sh, "exit"), Ended::Leave);
    }

    #[test]
    fn a_command_that_fails_is_told_apart() {
        let mut global = GlobalArgs::default();
        global.set.push("ozone.om.service.ids=a,b".to_owned());
        assert_eq!(line(&global, Tool::Sh, "volume info /v"), Ended::Failed);
    }

    #[test]
    fn settings_of_the_outer_command_line_hold_for_every_line() {
        let outer = GlobalArgs {
            config: Some("outer".into()),
            set: vec!["a=1".to_owned()],
            ..GlobalArgs::default()
        };
        let inner = GlobalArgs { set: vec!["a=2".to_owned()], ..GlobalArgs::default() };
        let both = under(&outer, inner);
        assert_eq!(both.config, Some("outer".into()));
        assert_eq!(both.set, ["a=1", "a=2"]);
    }
}
