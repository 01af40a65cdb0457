//! Options of one command: words after a dash, in front of its paths (`CommandFormat`).

use std::collections::{BTreeMap, BTreeSet};

use super::trouble::Trouble;

/// What a command understands.
pub struct Format {
    least: usize,
    most: usize,
    flags: &'static [&'static str],
    values: &'static [&'static str],
    ignores_unknown: bool,
}

/// What was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Given {
    flags: BTreeSet<String>,
    values: BTreeMap<String, String>,
}

impl Given {
    /// Whether this flag was given.
    pub fn has(&self, flag: &str) -> bool {
        self.flags.contains(flag)
    }

    /// All flags that were given.
    pub fn flags(&self) -> impl Iterator<Item = &str> {
        self.flags.iter().map(String::as_str)
    }

    /// The value that was given with this option.
    pub fn value(&self, option: &str) -> Option<&str> {
        self.values.get(option).map(String::as_str)
    }
}

impl Format {
    /// At least `least` and at most `most` paths, and these flags.
    pub const fn new(least: usize, most: usize, flags: &'static [&'static str]) -> Self {
        Self { least, most, flags, values: &[], ignores_unknown: false }
    }

    /// Options that have a value.
    #[must_use]
    pub const fn with_values(self, values: &'static [&'static str]) -> Self {
        Self { values, ..self }
    }

    /// Words with a dash that are none of the options are paths.
    #[must_use]
    pub const fn ignoring_unknown(self) -> Self {
        Self { ignores_unknown: true, ..self }
    }

    /// Takes the options away from the arguments.
    ///
    /// # Errors
    /// There is another option, or there are too few or too many paths.
    pub fn parse(&self, arguments: &mut Vec<String>) -> Result<Given, Trouble> {
        let mut given = Given::default();
        let mut at = 0;
        while at < arguments.len() {
            let word = &arguments[at];
            let Some(option) = word.strip_prefix('-').filter(|option| !option.is_empty()) else {
                break;
            };
            if option == "-" {
                arguments.remove(at);
                break;
            }
            if self.flags.contains(&option) {
                given.flags.insert(option.to_owned());
                arguments.remove(at);
            } else if self.values.contains(&option) {
                let option = option.to_owned();
                arguments.remove(at);
                let follows = arguments.len() > self.least
                    && arguments.get(at).is_some_and(|next| !next.starts_with('-'));
                let value = if follows { arguments.remove(at) } else { String::new() };
                given.values.insert(option, value);
            } else if self.ignores_unknown {
                at += 1;
            } else {
                return Err(Trouble::Illegal(format!("Illegal option {word}")));
            }
        }
        let count = arguments.len();
        if count < self.least {
            let text = format!("Not enough arguments: expected {} but got {count}", self.least);
            return Err(Trouble::Illegal(text));
        }
        if count > self.most {
            let text = format!("Too many arguments: expected {} but got {count}", self.most);
            return Err(Trouble::Illegal(text));
        }
        Ok(given)
    }
}

/// No limit to the number of paths.
pub const MANY: usize = usize::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn options_come_before_paths() {
        let format = Format::new(1, MANY, &["f", "skipTrash"]).with_values(&["t"]);
        let mut arguments = words("-f -t 4 -skipTrash a -f");
        let given = format.parse(&mut arguments).unwrap();
        assert!(given.has("f") && given.has("skipTrash"));
        assert_eq!(given.value("t"), Some("4"));
        assert_eq!(arguments, words("a -f"));
        let mut arguments = words("-- -f");
        assert_eq!(format.parse(&mut arguments).unwrap(), Given::default());
        assert_eq!(arguments, words("-f"));
        let mut arguments = words("- a");
        format.parse(&mut arguments).unwrap();
        assert_eq!(arguments, words("- a"));
    }

    #[test]
    fn wrong_command_lines_are_told_in_hadoops_words() {
        let refused = |text| {
            let format = Format::new(1, 2, &["f"]);
            format.parse(&mut words(text)).unwrap_err().text().to_owned()
        };
        assert_eq!(refused("-x a"), "Illegal option -x");
        assert_eq!(refused("-f"), "Not enough arguments: expected 1 but got 0");
        assert_eq!(refused("a b c"), "Too many arguments: expected 2 but got 3");
    }
}
