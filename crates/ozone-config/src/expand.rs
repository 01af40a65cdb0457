//! `${name}`, as Hadoop's `Configuration.substituteVars`.

use std::env;

use crate::{ConfigError, Configuration, default_of};

/// `Configuration.MAX_SUBST`.
const NESTING_MAX: usize = 20;

/// Replaces `${key}`, `${env.VAR}`, `${env.VAR:-fallback}` and the few JVM properties that site
/// files use. A name that means nothing stays as written.
pub fn expand(conf: &Configuration, key: &str, text: &str) -> Result<String, ConfigError> {
    let mut value = text.to_owned();
    for _ in 0..NESTING_MAX {
        let Some((start, end, replacement)) = next_reference(conf, &value) else {
            return Ok(value);
        };
        value.replace_range(start..end, &replacement);
    }
    if next_reference(conf, &value).is_none() {
        return Ok(value);
    }
    Err(ConfigError::Loop { key: key.to_owned(), max: NESTING_MAX, value })
}

/// The first innermost reference that means something: its range and value.
fn next_reference(conf: &Configuration, text: &str) -> Option<(usize, usize, String)> {
    let mut from = 0;
    while let Some(open) = text.get(from..).and_then(|rest| rest.find("${")).map(|at| at + from) {
        let close = text[open..].find('}')? + open;
        // `${a${b}}`: take the inner one first.
        let start = text[open..close].rfind("${").map_or(open, |inner| open + inner);
        let name = &text[start + 2..close];
        if let Some(value) = lookup(conf, name) {
            return Some((start, close + 1, value));
        }
        from = close + 1;
    }
    None
}

fn lookup(conf: &Configuration, name: &str) -> Option<String> {
    if let Some(variable) = name.strip_prefix("env.") {
        let (variable, fallback) = match variable.split_once(":-") {
            Some((variable, fallback)) => (variable, Some(fallback)),
            None => match variable.split_once('-') {
                Some((variable, fallback)) => (variable, Some(fallback)),
                None => (variable, None),
            },
        };
        let value = env::var(variable).ok().filter(|value| !value.is_empty());
        return value.or_else(|| fallback.map(str::to_owned));
    }
    match name {
        "user.name" => env::var("USER").or_else(|_| env::var("LOGNAME")).ok(),
        "user.home" => env::var("HOME").ok(),
        "user.dir" => env::current_dir().ok().map(|dir| dir.display().to_string()),
        "java.io.tmpdir" => Some(env::temp_dir().display().to_string()),
        _ => conf
            .entries
            .get(name)
            .map(|entry| entry.raw.trim().to_owned())
            .or_else(|| default_of(name).map(str::to_owned)),
    }
}
