//! `ozone fs`: files and directories of `ofs://`, `o3fs://` and this machine.
//!
//! ```text
//!  words ─► generic options ─► table: name ─► Command ─► walk: options, globbing, paths, recursion
//!                                                            │ one trouble is told, the walk goes on
//!                                                            ▼
//!                                              system: Ozone or local, called from plain code
//! ```
//! Output, messages and exit codes are those of Hadoop's shell, recorded in `golden/transcripts/fs.txt`;
//! help texts are our own. Start reading at [`run`], then [`walk`].

mod attributes;
mod copy;
mod crc;
mod delete;
mod display;
mod find;
mod local;
mod ls;
mod merge;
mod options;
mod path;
mod pattern;
mod permissions;
mod sequence;
mod shell;
mod small;
mod system;
mod table;
mod text;
mod trash;
mod trouble;
mod usage;
mod walk;

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use crate::cli::GlobalArgs;
use crate::failure::EXIT_FAILED;
use shell::Shell;
use trouble::Trouble;

/// Exit code of a command that told of an error.
const EXIT_ERRORS: u8 = 1;

/// `ozone fs`.
#[derive(Args, Debug)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub struct FsArgs {
    /// A command with a dash, its options and paths; `-help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "-COMMAND ...")]
    pub words: Vec<String>,
}

/// Runs `ozone fs …`.
pub fn run(global: &GlobalArgs, args: FsArgs) -> ExitCode {
    let mut global = global.clone();
    let mut words = args.words;
    if let Err(text) = take_generic_options(&mut global, &mut words) {
        eprintln!("{text}");
        return ExitCode::from(EXIT_FAILED);
    }
    if words.is_empty() {
        eprint!("{}", table::usage());
        return ExitCode::from(EXIT_FAILED);
    }
    let word = words.remove(0);
    match word.strip_prefix('-') {
        Some("help") => return help("help", &words, table::help),
        Some("usage") => return help("usage", &words, table::usage_of),
        _ => {}
    }
    let name = word.strip_prefix('-').unwrap_or_default();
    let Some(mut command) = table::command(name) else { return unknown(&word) };
    let outcome = global
        .configuration()
        .map_err(|error| error.to_string())
        .and_then(|conf| Shell::new(conf, name).map_err(|error| error.to_string()));
    match outcome {
        Ok(mut shell) => execute(&mut *command, &mut shell, words),
        Err(text) => {
            eprintln!("{word}: {text}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn execute(command: &mut dyn walk::Command, shell: &mut Shell, words: Vec<String>) -> ExitCode {
    let outcome = walk::run(command, shell, words);
    let flushed = shell.out.flush();
    let name = shell.name.clone();
    match outcome {
        Ok(()) if shell.errors > 0 => ExitCode::from(EXIT_ERRORS),
        Ok(()) if flushed.is_err() => ExitCode::from(EXIT_ERRORS),
        Ok(()) => ExitCode::from(shell.exit_code),
        Err(Trouble::BrokenPipe) => ExitCode::from(EXIT_ERRORS),
        Err(Trouble::Illegal(text)) => {
            for line in text.lines() {
                eprintln!("-{name}: {line}");
            }
            eprint!("{}{}", table::usage(), table::usage_of(&name).unwrap_or_default());
            ExitCode::from(EXIT_FAILED)
        }
        Err(other) => {
            eprintln!("-{name}: Fatal internal error");
            eprintln!("{}", other.text());
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn unknown(word: &str) -> ExitCode {
    if word != "-" {
        eprintln!("{word}: Unknown command");
    }
    if table::command(word).is_some() {
        eprintln!("Did you mean -{word}?  This command begins with a dash.");
    }
    eprint!("{}", table::usage());
    ExitCode::from(EXIT_FAILED)
}

fn help(command: &str, names: &[String], one: fn(&str) -> Option<String>) -> ExitCode {
    if names.is_empty() {
        print!("{}", table::usage());
        return ExitCode::SUCCESS;
    }
    for name in names {
        match one(name.trim_start_matches('-')) {
            Some(text) => print!("{text}"),
            None => {
                eprintln!("-{command}: `{name}': Unknown command");
                eprint!("{}", table::usage());
                return ExitCode::from(EXIT_FAILED);
            }
        }
    }
    ExitCode::SUCCESS
}

/// Options for all of Hadoop's tools, in front of the command.
fn take_generic_options(global: &mut GlobalArgs, words: &mut Vec<String>) -> Result<(), String> {
    while let Some(first) = words.first().cloned() {
        if let Some(pair) = first.strip_prefix("-D").filter(|pair| pair.contains('=')) {
            global.set.push(pair.to_owned());
            words.remove(0);
            continue;
        }
        let option = first.trim_start_matches('-');
        if !matches!(option, "D" | "conf" | "fs" | "jt" | "files" | "libjars" | "archives") {
            return Ok(());
        }
        if words.len() < 2 {
            return Err(format!("Missing argument for option: {option}"));
        }
        let value = words.remove(1);
        words.remove(0);
        match option {
            "D" => global.set.push(value),
            "conf" => global.conf = Some(value.into()),
            "fs" => global.set.push(format!("fs.defaultFS={value}")),
            // These are about jobs; the shell runs none.
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generic_options_come_before_the_command() {
        let mut global = GlobalArgs::default();
        let text = "-D a=b -Dc=d -fs ofs://s/ -files x -ls -D e=f";
        let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
        take_generic_options(&mut global, &mut words).unwrap();
        assert_eq!(global.set, ["a=b", "c=d", "fs.defaultFS=ofs://s/"]);
        assert_eq!(words, ["-ls", "-D", "e=f"]);
        let mut words = vec!["-D".to_owned()];
        assert!(take_generic_options(&mut global, &mut words).is_err());
    }
}
