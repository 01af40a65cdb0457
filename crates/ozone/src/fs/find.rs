//! `-find`.

use super::options::{Format, MANY};
use super::pattern::Pattern;
use super::shell::{Item, Shell};
use super::trouble::Trouble;
use super::walk::{self, Command, Outcome};

/// `-find`: all expressions have to hold, one after the other.
#[derive(Default)]
pub struct Find {
    expressions: Vec<Expression>,
}

#[derive(Debug)]
enum Expression {
    Name { pattern: Pattern, any_case: bool },
    Print { end: char },
}

impl Find {
    fn parse(words: Vec<String>) -> Result<Vec<Expression>, Trouble> {
        let mut expressions = Vec::new();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match &word[..] {
                // There is no "or", so that what belongs together makes no difference.
                "(" | ")" => {}
                "-a" | "-and" => {
                    let next = words.as_slice().first();
                    if expressions.is_empty() || next.is_none_or(|next| !next.starts_with('-')) {
                        return Err(Trouble::Fatal(format!("Not enough arguments for {word}")));
                    }
                }
                "-print" => expressions.push(Expression::Print { end: '\n' }),
                "-print0" => expressions.push(Expression::Print { end: '\0' }),
                "-name" | "-iname" => {
                    let any_case = word == "-iname";
                    let text = words.next().ok_or_else(|| {
                        Trouble::Fatal(format!("Not enough arguments for {word}"))
                    })?;
                    let text = if any_case { text.to_lowercase() } else { text };
                    let pattern = Pattern::new(&text).map_err(Trouble::Fatal)?;
                    expressions.push(Expression::Name { pattern, any_case });
                }
                _ => return Err(Trouble::Message(format!("Unexpected argument: {word}"))),
            }
        }
        if !expressions.iter().any(|one| matches!(one, Expression::Print { .. })) {
            expressions.push(Expression::Print { end: '\n' });
        }
        Ok(expressions)
    }
}

impl Command for Find {
    fn options(&mut self, _shell: &mut Shell, arguments: &mut Vec<String>) -> Outcome {
        Format::new(1, MANY, &["L", "H"]).ignoring_unknown().parse(arguments)?;
        let paths = arguments.iter().position(|word| word.starts_with('-'));
        let words = paths.map(|at| arguments.split_off(at)).unwrap_or_default();
        if arguments.is_empty() {
            arguments.push(".".to_owned());
        }
        self.expressions = Self::parse(words)?;
        Ok(())
    }

    fn path(&mut self, shell: &mut Shell, item: &Item) -> Outcome {
        use std::io::Write as _;
        for expression in &self.expressions {
            match expression {
                Expression::Name { pattern, any_case } => {
                    let name = item.path.name();
                    let holds = if *any_case {
                        pattern.matches(&name.to_lowercase())
                    } else {
                        pattern.matches(name)
                    };
                    if !holds {
                        return Ok(());
                    }
                }
                Expression::Print { end } => write!(shell.out, "{}{end}", item.text)?,
            }
        }
        Ok(())
    }

    fn is_recursive(&self) -> bool {
        true
    }

    fn arguments(&mut self, shell: &mut Shell, items: Vec<Item>) -> Outcome {
        walk::arguments(self, shell, items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_end_with_printing() {
        let parse = |text: &str| Find::parse(text.split(' ').map(str::to_owned).collect());
        assert_eq!(parse("-name a* -and -iname B").unwrap().len(), 3);
        assert_eq!(parse("-name a* -print0").unwrap().len(), 2);
        assert_eq!(parse("-size 3").unwrap_err().text(), "Unexpected argument: -size");
        for fatal in ["-name", "-name [", "-a", "-a -name x", "-name x -and"] {
            assert!(matches!(parse(fatal), Err(Trouble::Fatal(_))), "{fatal}");
        }
    }
}
