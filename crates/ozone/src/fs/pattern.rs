//! Patterns of names: `*`, `?`, `[a-z]`, `[!a]`, `{one,two}`, `\` before a character that is meant
//! itself (`GlobPattern`, `GlobExpander`).

use std::ops::RangeInclusive;

/// Alternatives that the braces of one pattern may make.
const ALTERNATIVES_MAX: usize = 10_000;

/// A pattern for one name.
#[derive(Clone, Debug)]
pub struct Pattern {
    alternatives: Vec<Vec<Token>>,
    has_wildcard: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Char(char),
    Any,
    Star,
    Set { negated: bool, ranges: Vec<RangeInclusive<char>> },
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        let (mut alternatives, mut has_wildcard) = (Vec::new(), false);
        let flat = flatten(text, false)?;
        has_wildcard |= flat.len() > 1 || flat.first().is_some_and(|first| first != text);
        for one in flat {
            let tokens = tokens(&one)?;
            has_wildcard |= tokens.iter().any(|token| !matches!(token, Token::Char(_)));
            alternatives.push(tokens);
        }
        Ok(Self { alternatives, has_wildcard })
    }

    /// Whether it can match more than one name.
    pub fn has_wildcard(&self) -> bool {
        self.has_wildcard
    }

    /// Whether it matches all of a name.
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        self.alternatives.iter().any(|tokens| matches(tokens, &name))
    }
}

/// Goes back to the last star on a mismatch: time is bounded by the product of both lengths.
fn matches(tokens: &[Token], name: &[char]) -> bool {
    let (mut token, mut char, mut star) = (0, 0, None);
    while char < name.len() {
        match tokens.get(token) {
            Some(Token::Star) => {
                star = Some((token, char));
                token += 1;
            }
            Some(other) if one(other, name[char]) => {
                token += 1;
                char += 1;
            }
            _ => {
                let Some((at, begin)) = star else { return false };
                star = Some((at, begin + 1));
                token = at + 1;
                char = begin + 1;
            }
        }
    }
    tokens[token..].iter().all(|token| *token == Token::Star)
}

fn one(token: &Token, char: char) -> bool {
    match token {
        Token::Char(wanted) => *wanted == char,
        Token::Any => true,
        Token::Star => false,
        Token::Set { negated, ranges } => {
            ranges.iter().any(|range| range.contains(&char)) != *negated
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        match chars[at] {
            '\\' => {
                at += 1;
                let char =
                    chars.get(at).ok_or_else(|| wrong("Missing escaped character", text, at))?;
                tokens.push(Token::Char(*char));
            }
            '*' => tokens.push(Token::Star),
            '?' => tokens.push(Token::Any),
            '[' => {
                let (set, end) = set(&chars, at)
                    .ok_or_else(|| wrong("Unclosed character class", text, chars.len()))?;
                tokens.push(set);
                at = end;
            }
            char => tokens.push(Token::Char(char)),
        }
        at += 1;
    }
    Ok(tokens)
}

/// The set that begins at `[`, and where its `]` is.
fn set(chars: &[char], begin: usize) -> Option<(Token, usize)> {
    let mut at = begin + 1;
    let negated = matches!(chars.get(at), Some('!' | '^'));
    at += usize::from(negated);
    let mut ranges = Vec::new();
    loop {
        let mut first = *chars.get(at)?;
        if first == ']' {
            return Some((Token::Set { negated, ranges }, at));
        }
        if first == '\\' {
            at += 1;
            first = *chars.get(at)?;
        }
        let last = match (chars.get(at + 1), chars.get(at + 2)) {
            (Some('-'), Some(last)) if *last != ']' => {
                at += 2;
                *last
            }
            _ => first,
        };
        ranges.push(first..=last);
        at += 1;
    }
}

/// As the genuine client words it, position included.
fn wrong(what: &str, text: &str, at: usize) -> String {
    format!("Illegal file pattern: error parsing regexp: {what} at pos {at}: `{text}`")
}

/// The patterns that a path stands for when a brace holds parts of several names: `/{a/b,c}/d`.
///
/// # Errors
/// There are too many, or a backslash at the end protects nothing.
pub fn expand(path: &str) -> Result<Vec<String>, String> {
    let at_end = path.chars().rev().take_while(|char| *char == '\\').count();
    if at_end % 2 == 1 {
        return Err(format!(
            "Illegal file pattern: An escaped character does not present for glob {path} at {}",
            path.encode_utf16().count()
        ));
    }
    flatten(path, true)
}

/// All ways to choose between the alternatives of braces; only of those with a slash if asked.
fn flatten(text: &str, only_slashes: bool) -> Result<Vec<String>, String> {
    let mut done = Vec::new();
    let mut open = vec![(text.to_owned(), 0)];
    while let Some((text, from)) = open.pop() {
        let Some((begin, end)) = brace(&text, from, only_slashes)? else {
            done.push(text);
            if done.len() > ALTERNATIVES_MAX {
                return Err("Illegal file pattern: too many alternatives".to_owned());
            }
            continue;
        };
        let parts = alternatives(&text[begin + 1..end]);
        for part in parts.into_iter().rev() {
            let next = format!("{}{part}{}", &text[..begin], &text[end + 1..]);
            open.push((next, begin));
        }
    }
    Ok(done)
}

/// The first outer brace at or after `from`, as byte positions of `{` and `}`.
fn brace(text: &str, from: usize, only_slashes: bool) -> Result<Option<(usize, usize)>, String> {
    let (mut depth, mut begin, mut slash, mut escaped) = (0_usize, 0, false, false);
    for (at, char) in text.char_indices().filter(|(at, _)| *at >= from) {
        if std::mem::take(&mut escaped) {
            continue;
        }
        match char {
            '\\' => escaped = true,
            '{' => {
                if depth == 0 {
                    begin = at;
                    slash = false;
                }
                depth += 1;
            }
            '}' if depth > 0 => {
                depth -= 1;
                if depth == 0 && (slash || !only_slashes) {
                    return Ok(Some((begin, at)));
                }
            }
            '/' if depth > 0 => slash = true,
            _ => {}
        }
    }
    if depth > 0 && !only_slashes {
        Err(wrong("Unclosed group", text, text.chars().count()))
    } else {
        Ok(None)
    }
}

fn alternatives(inside: &str) -> Vec<String> {
    let (mut parts, mut part, mut depth, mut escaped) = (Vec::new(), String::new(), 0, false);
    for char in inside.chars() {
        if char == ',' && depth == 0 && !escaped {
            parts.push(std::mem::take(&mut part));
            continue;
        }
        match char {
            '{' if !escaped => depth += 1,
            '}' if !escaped => depth -= 1,
            _ => {}
        }
        escaped = char == '\\' && !escaped;
        part.push(char);
    }
    parts.push(part);
    parts
}

/// A name without the backslashes that protect its characters.
pub fn unescape(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut chars = name.chars();
    while let Some(char) = chars.next() {
        match char {
            '\\' => out.extend(chars.next()),
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(pattern: &str, names: &[&str]) -> Vec<String> {
        let pattern = Pattern::new(pattern).unwrap();
        names.iter().filter(|name| pattern.matches(name)).map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn wildcards_match_whole_names() {
        let names = ["a", "ab", "abc", "b.txt", "b-txt", ""];
        assert_eq!(hits("a*", &names), ["a", "ab", "abc"]);
        assert_eq!(hits("a?", &names), ["ab"]);
        assert_eq!(hits("*.txt", &names), ["b.txt"]);
        assert_eq!(hits("*b*c*", &names), ["abc"]);
        assert_eq!(hits("[a-b]*[!c]", &names), ["ab", "b.txt", "b-txt"]);
        assert_eq!(hits("{a,b.{txt,csv}}", &names), ["a", "b.txt"]);
        assert_eq!(hits("\\*", &["*", "a"]), ["*"]);
        assert_eq!(hits("a{b,}c", &["abc", "ac", "aac"]), ["abc", "ac"]);
    }

    #[test]
    fn only_patterns_count_as_wildcards() {
        for plain in ["a", "a.b", "a}b", "a\\*"] {
            assert!(!Pattern::new(plain).unwrap().has_wildcard(), "{plain}");
        }
        for wild in ["*", "a?", "[ab]", "{a,b}", "{a}"] {
            assert!(Pattern::new(wild).unwrap().has_wildcard(), "{wild}");
        }
        assert!(Pattern::new("[a").is_err());
        assert!(Pattern::new("{a").is_err());
        assert!(Pattern::new("a\\").is_err());
    }

    #[test]
    fn braces_with_slashes_are_paths_of_their_own() {
        assert_eq!(expand("/{a/b,c}/d").unwrap(), ["/a/b/d", "/c/d"]);
        assert_eq!(expand("/{a,b}/c").unwrap(), ["/{a,b}/c"]);
        assert_eq!(expand("/{a/{x,y},b}/{c,d}").unwrap(), ["/a/{x,y}/{c,d}", "/b/{c,d}"]);
        assert_eq!(unescape("a\\*b"), "a*b");
        let told = "An escaped character does not present for glob /é\\ at 3";
        assert_eq!(expand("/é\\").unwrap_err(), format!("Illegal file pattern: {told}"));
    }

    #[test]
    fn a_hostile_pattern_is_refused() {
        let bomb = "{a,b}".repeat(40);
        assert!(Pattern::new(&bomb).is_err());
    }
}
