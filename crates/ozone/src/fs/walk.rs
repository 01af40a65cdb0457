//! How a command goes over its paths (`Command` of Hadoop's shell).
//!
//! ```text
//!  arguments ─ expand ─► items ─► argument ─┬ exists ─► path_argument ─► paths ─► path, recurse, after
//!                                           └ not ────► missing
//! ```
//! Each step can be replaced; the functions of this file are what a step does otherwise. A trouble
//! with one path is told, and the walk goes on with the next.

use super::shell::{Item, Shell};
use super::trouble::Trouble;

/// What every step gives.
pub type Outcome = Result<(), Trouble>;

/// One command of the shell.
pub trait Command {
    /// Takes its options from the arguments, and leaves those that are paths.
    ///
    /// # Errors
    /// [`Trouble::Illegal`] for a wrong command line.
    fn options(&mut self, shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome;

    /// The items that an argument stands for.
    fn expand(&mut self, shell: &mut Shell, argument: &str) -> Result<Vec<Item>, Trouble> {
        expand(shell, argument)
    }

    /// Works on all of them.
    fn arguments(&mut self, shell: &mut Shell, items: Vec<Item>) -> Outcome {
        arguments(self, shell, items)
    }

    /// Works on what an argument names.
    fn path_argument(&mut self, shell: &mut Shell, item: &Item) -> Outcome {
        path_argument(self, shell, item)
    }

    /// An argument that names nothing.
    fn missing(&mut self, _shell: &mut Shell, item: &Item) -> Outcome {
        Err(Trouble::missing(&item.text))
    }

    /// Works on some entries of a directory, or on an argument.
    fn paths(&mut self, shell: &mut Shell, _parent: Option<&Item>, items: Vec<Item>) -> Outcome {
        each(self, shell, &items)
    }

    /// Works on one path.
    fn path(&mut self, shell: &mut Shell, item: &Item) -> Outcome;

    /// Works on one path after all that is below it.
    fn after(&mut self, _shell: &mut Shell, _item: &Item) -> Outcome {
        Ok(())
    }

    /// Works on the entries of a directory.
    fn recurse(&mut self, shell: &mut Shell, item: &Item) -> Outcome {
        recurse(self, shell, item)
    }

    /// Whether directories are entered.
    fn is_recursive(&self) -> bool {
        false
    }

    /// Whether the entries of a directory are needed at once and in order.
    fn is_sorted(&self) -> bool {
        false
    }

    /// How many entries of a directory that is not sorted [`Command::paths`] gets at once.
    fn group(&self) -> usize {
        1
    }

    /// The command that took its place.
    fn replacement(&self) -> Option<&'static str> {
        None
    }
}

/// Runs a command with its arguments.
pub fn run(command: &mut dyn Command, shell: &mut Shell, mut arguments: Vec<String>) -> Outcome {
    if let Some(other) = command.replacement() {
        shell.warn(&format!("DEPRECATED: Please use '{other}' instead."));
    }
    let outcome = command.options(shell, &mut arguments).and_then(|()| {
        let mut items = Vec::new();
        for argument in &arguments {
            match command.expand(shell, argument) {
                Ok(found) => items.extend(found),
                Err(trouble) => shell.report(trouble)?,
            }
        }
        command.arguments(shell, items)
    });
    outcome.or_else(|trouble| shell.report(trouble))
}

/// The items that match.
pub fn expand(shell: &mut Shell, argument: &str) -> Result<Vec<Item>, Trouble> {
    let items = shell.glob(argument)?;
    if items.is_empty() { Err(Trouble::missing(argument)) } else { Ok(items) }
}

/// One after the other.
pub fn arguments<C: Command + ?Sized>(
    command: &mut C,
    shell: &mut Shell,
    items: Vec<Item>,
) -> Outcome {
    for item in &items {
        let done = if item.exists() {
            command.path_argument(shell, item)
        } else {
            command.missing(shell, item)
        };
        done.or_else(|trouble| shell.report(trouble))?;
    }
    Ok(())
}

/// The argument itself.
pub fn path_argument<C: Command + ?Sized>(
    command: &mut C,
    shell: &mut Shell,
    item: &Item,
) -> Outcome {
    shell.depth = 0;
    command.paths(shell, None, vec![item.clone()])
}

/// Each, with what is below it.
pub fn each<C: Command + ?Sized>(command: &mut C, shell: &mut Shell, items: &[Item]) -> Outcome {
    for item in items {
        one(command, shell, item).or_else(|trouble| shell.report(trouble))?;
    }
    Ok(())
}

fn one<C: Command + ?Sized>(command: &mut C, shell: &mut Shell, item: &Item) -> Outcome {
    command.path(shell, item)?;
    if command.is_recursive() && item.is_directory() {
        command.recurse(shell, item)?;
    }
    command.after(shell, item)
}

/// The entries of a directory, all of them sorted or as they come.
pub fn recurse<C: Command + ?Sized>(command: &mut C, shell: &mut Shell, item: &Item) -> Outcome {
    shell.depth += 1;
    let done = entries(command, shell, item);
    shell.depth -= 1;
    match done {
        // Somebody deleted it since it was listed.
        Err(Trouble::NotFound(text)) => {
            tracing::debug!(text, "a directory has gone");
            Ok(())
        }
        other => other,
    }
}

fn entries<C: Command + ?Sized>(command: &mut C, shell: &mut Shell, item: &Item) -> Outcome {
    if !item.is_directory() {
        return Err(Trouble::is_not_directory(&item.text));
    }
    if command.is_sorted() {
        let mut found = item.system.list(&item.path)?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        let items = found.into_iter().map(|status| item.listed(status)).collect();
        return command.paths(shell, Some(item), items);
    }
    let mut start = None;
    loop {
        let page = item.system.list_page(&item.path, start.as_deref())?;
        let mut rest: Vec<Item> = page.entries.into_iter().map(|s| item.listed(s)).collect();
        while !rest.is_empty() {
            let more = rest.split_off(rest.len().min(command.group().max(1)));
            command.paths(shell, Some(item), rest)?;
            rest = more;
        }
        start = page.next;
        if start.is_none() {
            return Ok(());
        }
    }
}
