//! Owners, permissions and replication. Ozone keeps none of these for files: as with the genuine
//! client, changes are accepted and have no effect there; native ACLs are what `ozone sh` edits.

use super::options::{Format, MANY};
use super::shell::{Item, Shell};
use super::text;
use super::trouble::Trouble;
use super::walk::{Command, Outcome};

/// `-chmod`.
#[derive(Default)]
pub struct Chmod {
    recursive: bool,
    mode: Option<Mode>,
}

/// What a mode changes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Mode {
    Octal(u16),
    Symbolic(Vec<Clause>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Clause {
    who: u16,
    operation: char,
    bits: u16,
    sticky: bool,
    only_if_executable: bool,
}

impl Mode {
    fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().trim_start_matches('+');
        if (3..=4).contains(&digits.len()) && digits.chars().all(|c| c.is_digit(8)) {
            let value = u16::from_str_radix(digits, 8).ok()?;
            return Some(Self::Octal(value)).filter(|_| value <= 0o1777);
        }
        let clauses: Option<Vec<Clause>> =
            text.split(',').map(|clause| Clause::parse(clause.trim())).collect();
        clauses.map(Self::Symbolic)
    }

    fn apply(&self, old: u16, is_directory: bool) -> u16 {
        let clauses = match self {
            Self::Octal(value) => return *value,
            Self::Symbolic(clauses) => clauses,
        };
        clauses.iter().fold(old, |mode, clause| clause.apply(mode, is_directory))
    }
}

impl Clause {
    fn parse(text: &str) -> Option<Self> {
        let at = text.find(['+', '-', '='])?;
        let (who, rest) = text.split_at(at);
        let operation = rest.chars().next()?;
        let mut clause =
            Self { who: 0, operation, bits: 0, sticky: false, only_if_executable: false };
        for letter in who.chars() {
            clause.who |= match letter {
                'u' => 0o700,
                'g' => 0o070,
                'o' => 0o007,
                'a' => 0o777,
                _ => return None,
            };
        }
        if who.is_empty() {
            clause.who = 0o777;
        }
        let letters = &rest[1..];
        if letters.is_empty() {
            return None;
        }
        for letter in letters.chars() {
            match letter {
                'r' => clause.bits |= 0o444,
                'w' => clause.bits |= 0o222,
                'x' => clause.bits |= 0o111,
                'X' => clause.only_if_executable = true,
                't' => clause.sticky = true,
                _ => return None,
            }
        }
        Some(clause)
    }

    fn apply(&self, old: u16, is_directory: bool) -> u16 {
        let mut bits = self.bits;
        if self.only_if_executable && (is_directory || old & 0o111 != 0) {
            bits |= 0o111;
        }
        let mut bits = bits & self.who;
        if self.sticky {
            bits |= 0o1000;
        }
        match self.operation {
            '+' => old | bits,
            '-' => old & !bits,
            _ => (old & !self.who) | bits,
        }
    }
}

impl Command for Chmod {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        let format = Format::new(2, MANY, &["R"]).ignoring_unknown();
        self.recursive = format.parse(arguments)?.has("R");
        let text = arguments.remove(0);
        self.mode = Some(Mode::parse(&text).ok_or_else(|| {
            Trouble::Illegal(format!("chmod : mode '{text}' does not match the expected pattern."))
        })?);
        Ok(())
    }

    fn path(&mut self, _shell: &mut Shell, item: &Item) -> Outcome {
        let (Some(status), Some(mode)) = (&item.status, &self.mode) else { return Ok(()) };
        let new = mode.apply(status.mode, status.is_directory);
        if new == status.mode {
            return Ok(());
        }
        item.system.set_mode(&item.path, new).map_err(|error| {
            Trouble::Message(format!("changing permissions of '{}': {error}", item.text))
        })
    }

    fn is_recursive(&self) -> bool {
        self.recursive
    }
}

/// `-chown` and `-chgrp`.
pub struct Chown {
    recursive: bool,
    only_group: bool,
}

impl Chown {
    /// `-chown`, or `-chgrp`.
    pub fn new(only_group: bool) -> Self {
        Self { recursive: false, only_group }
    }
}

impl Command for Chown {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        self.recursive = Format::new(2, MANY, &["R"]).parse(arguments)?.has("R");
        let text = arguments.remove(0);
        let allowed =
            |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "-+_./@".contains(c));
        let given = text.trim();
        if self.only_group {
            if given.is_empty() || !allowed(given) {
                return Err(Trouble::Illegal(format!(
                    "'{text}' does not match expected pattern for group"
                )));
            }
            return Ok(());
        }
        let (owner, group) = given.split_once(':').unwrap_or((given, ""));
        if !allowed(owner) || !allowed(group) {
            return Err(Trouble::Illegal(format!(
                "'{text}' does not match expected pattern for [owner][:group]."
            )));
        }
        if owner.is_empty() && group.is_empty() {
            return Err(Trouble::Illegal(format!("'{text}' does not specify owner or group.")));
        }
        Ok(())
    }

    fn path(&mut self, _shell: &mut Shell, item: &Item) -> Outcome {
        if item.system.is_local() {
            return Err(Trouble::Message(format!(
                "changing ownership of '{}': use chown of the system for local files",
                item.text
            )));
        }
        Ok(())
    }

    fn is_recursive(&self) -> bool {
        self.recursive
    }
}

/// `-setrep`.
#[derive(Default)]
pub struct SetReplication {
    copies: i16,
    wait: bool,
}

impl Command for SetReplication {
    fn options(&mut self, shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        self.wait = Format::new(2, MANY, &["R", "w"]).parse(arguments)?.has("w");
        let text = arguments.remove(0);
        self.copies = text.parse().map_err(|_| {
            shell.warn("Illegal replication, a positive integer expected");
            Trouble::Illegal(match text.parse::<i32>() {
                Ok(_) => format!("Value out of range. Value:\"{text}\" Radix:10"),
                Err(_) => format!("For input string: \"{text}\""),
            })
        })?;
        if self.copies < 1 {
            return Err(Trouble::Illegal("replication must be >= 1".to_owned()));
        }
        Ok(())
    }

    fn path(&mut self, shell: &mut Shell, item: &Item) -> Outcome {
        let Some(status) = item.status.as_ref().filter(|status| !status.is_directory) else {
            return Ok(());
        };
        if status.is_erasure_coded {
            return shell.line(&format!(
                "Did not set replication for: {}, because it's an erasure coded file.",
                item.text
            ));
        }
        shell.line(&format!("Replication {} set: {}", self.copies, item.text))?;
        if self.wait {
            // Nothing has changed that could be waited for.
            shell.line(&format!("Waiting for {} ... done", item.text))?;
        }
        Ok(())
    }

    fn is_recursive(&self) -> bool {
        true
    }
}

/// `-getfacl`.
#[derive(Default)]
pub struct GetAcl {
    recursive: bool,
}

impl Command for GetAcl {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        self.recursive = Format::new(0, MANY, &["R"]).parse(arguments)?.has("R");
        match arguments.len() {
            0 => Err(Trouble::Illegal("<path> is missing".to_owned())),
            1 => Ok(()),
            _ => Err(Trouble::Illegal("Too many arguments".to_owned())),
        }
    }

    fn path(&mut self, shell: &mut Shell, item: &Item) -> Outcome {
        let Some(status) = &item.status else { return Err(Trouble::missing(&item.text)) };
        shell.line(&format!("# file: {}", item.text))?;
        shell.line(&format!("# owner: {}", status.owner))?;
        shell.line(&format!("# group: {}", status.group))?;
        if status.mode & 0o1000 != 0 {
            let letter = if status.mode & 1 != 0 { 't' } else { 'T' };
            shell.line(&format!("# flags: --{letter}"))?;
        }
        let letters = text::mode(status.mode & 0o777);
        for (who, from) in [("user::", 0), ("group::", 3), ("other::", 6)] {
            shell.line(&format!("{who}{}", &letters[from..from + 3]))?;
        }
        shell.line("")
    }

    fn is_recursive(&self) -> bool {
        self.recursive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal_or_letters() {
        let apply = |text, old| Mode::parse(text).unwrap().apply(old, false);
        assert_eq!(apply("755", 0o644), 0o755);
        assert_eq!(apply("1777", 0), 0o1777);
        assert_eq!(apply("u+x,go-w", 0o666), 0o744);
        assert_eq!(apply("o=r", 0o777), 0o774);
        assert_eq!(apply("+t", 0o777), 0o1777);
        assert_eq!(apply("a+X", 0o644), 0o644);
        assert_eq!(Mode::parse("a+X").unwrap().apply(0o644, true), 0o755);
        for wrong in ["888", "77", "u+", "z+x", "u*x", ""] {
            assert_eq!(Mode::parse(wrong), None, "{wrong}");
        }
    }
}
