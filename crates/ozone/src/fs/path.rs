//! Paths as Hadoop reads them: `scheme://authority/path`, or a path alone.

use std::fmt;

/// A path, maybe with the file system it is in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct FsPath {
    /// `ofs`, `o3fs`, `file`.
    pub scheme: Option<String>,
    /// What stands between `//` and the path.
    pub authority: Option<String>,
    /// The path, without doubled slashes or one at its end; relative if it does not begin with one.
    pub path: String,
}

impl FsPath {
    /// Takes a text apart. A scheme ends with `:/`, so that a colon in a name makes none.
    pub fn parse(text: &str) -> Self {
        let (scheme, rest) = match (text.find(':'), text.find('/')) {
            (Some(colon), Some(slash)) if colon > 0 && slash == colon + 1 => {
                (Some(text[..colon].to_owned()), &text[slash..])
            }
            _ => (None, text),
        };
        let (authority, path) = match rest.strip_prefix("//").filter(|rest| !rest.is_empty()) {
            // Two slashes without a scheme are slashes.
            Some(rest) if scheme.is_some() => {
                let end = rest.find('/').unwrap_or(rest.len());
                (Some(rest[..end].to_owned()), &rest[end..])
            }
            _ => (None, rest),
        };
        let authority = authority.filter(|authority| !authority.is_empty());
        Self { scheme, authority, path: normal(path) }
    }

    /// Begins with a slash.
    pub fn is_absolute(&self) -> bool {
        self.path.starts_with('/')
    }

    /// Last part of the path; empty for a root.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The directory it is in; `None` for a root.
    pub fn parent(&self) -> Option<Self> {
        if self.path == "/" || self.path.is_empty() {
            return None;
        }
        let path = match self.path.rfind('/') {
            Some(0) => "/",
            Some(end) => &self.path[..end],
            None => "",
        };
        Some(Self { path: path.to_owned(), ..self.clone() })
    }

    /// What is in it by this name.
    #[must_use]
    pub fn child(&self, name: &str) -> Self {
        let path = format!("{}/{name}", self.path.trim_end_matches('/'));
        Self { path: normal(&path), ..self.clone() }
    }

    /// The same file system, another path.
    #[must_use]
    pub fn with_path(&self, path: &str) -> Self {
        Self { path: path.to_owned(), ..self.clone() }
    }
}

impl fmt::Display for FsPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = &self.scheme {
            write!(f, "{scheme}:")?;
        }
        if let Some(authority) = &self.authority {
            write!(f, "//{authority}")?;
        }
        f.write_str(&self.path)
    }
}

/// A path without doubled slashes, `.` parts at its begin, or a slash at its end.
fn normal(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for char in path.chars() {
        if char != '/' || !out.ends_with('/') {
            out.push(char);
        }
    }
    if out.len() > 1 && out.ends_with('/') {
        out.pop();
    }
    out
}

/// A path without `.` and `..` parts, as names are resolved against a directory.
pub fn resolve(directory: &str, path: &str) -> String {
    let full = if path.starts_with('/') { path.to_owned() } else { format!("{directory}/{path}") };
    let mut parts: Vec<&str> = Vec::new();
    for part in full.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// `path` as seen from `directory`, both absolute.
pub fn relative(directory: &str, path: &str) -> String {
    if directory == path {
        return ".".to_owned();
    }
    let parts = |text: &str| -> Vec<String> {
        text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let (from, to) = (parts(directory), parts(path));
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..".to_owned(), from.len() - common);
    up.chain(to[common..].iter().cloned()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_a_scheme_an_authority_and_a_path() {
        let parts = |text| {
            let path = FsPath::parse(text);
            (path.scheme.unwrap_or_default(), path.authority.unwrap_or_default(), path.path)
        };
        let owned = |a: &str, b: &str, c: &str| (a.to_owned(), b.to_owned(), c.to_owned());
        assert_eq!(parts("ofs://svc:9862/v//b/"), owned("ofs", "svc:9862", "/v/b"));
        assert_eq!(parts("ofs://svc"), owned("ofs", "svc", ""));
        assert_eq!(parts("file:///tmp/x"), owned("file", "", "/tmp/x"));
        assert_eq!(parts("ofs:/v/b"), owned("ofs", "", "/v/b"));
        assert_eq!(parts("a:b/c"), owned("", "", "a:b/c"));
        assert_eq!(parts("//x/y"), owned("", "", "/x/y"));
        assert_eq!(parts("/"), owned("", "", "/"));
    }

    #[test]
    fn parents_and_children_are_found_by_their_names() {
        let path = FsPath::parse("ofs://svc/v/b");
        assert_eq!(path.child("k").to_string(), "ofs://svc/v/b/k");
        assert_eq!(path.parent().unwrap().to_string(), "ofs://svc/v");
        assert_eq!(FsPath::parse("ofs://svc/v").parent().unwrap().path, "/");
        assert_eq!(FsPath::parse("/").parent(), None);
        assert_eq!(path.name(), "b");
    }

    #[test]
    fn names_are_resolved_against_a_directory_and_back() {
        assert_eq!(resolve("/user/me", "a/../b/./c"), "/user/me/b/c");
        assert_eq!(resolve("/user/me", "."), "/user/me");
        assert_eq!(relative("/user/me", "/user/me/a/b"), "a/b");
        assert_eq!(relative("/user/me", "/user/you"), "../you");
        assert_eq!(relative("/user/me", "/user/me"), ".");
    }
}
