//! Paths as Hadoop reads them: `scheme://authority/path`, or a path alone.

use std::fmt;

/// A path, maybe with the file system it is in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct FsPath {
    /// `ofs`, `o3fs`, `file`.
    pub scheme: Option<String>,
    /// What stands between `//` and the path.
    pub authority: Option<String>,
    /// The path, without doubled slashes, `.` and `..` parts, or a slash at its end; relative if it does not
    /// begin with one.
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

    /// As [`Self::parse`], for a text of the command line.
    ///
    /// # Errors
    /// It is empty, or has a colon that begins neither a file system nor stands behind a slash, in the words of
    /// `Path` and `java.net.URI`.
    pub fn given(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("Can not create a Path from an empty string".to_owned());
        }
        check_colon(text)?;
        Ok(Self::parse(text))
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
        match (&self.authority, self.scheme.as_deref()) {
            (Some(authority), _) => write!(f, "//{authority}")?,
            (None, Some("file")) => f.write_str("//")?,
            (None, _) => {}
        }
        f.write_str(&self.path)
    }
}

/// Refuses a colon in front of the first slash that a slash does not follow.
///
/// # Errors
/// In the words of `java.net.URI`.
pub fn check_colon(text: &str) -> Result<(), String> {
    let (Some(colon), slash) = (text.find(':'), text.find('/')) else { return Ok(()) };
    if slash.is_some_and(|slash| slash <= colon + 1) {
        return Ok(());
    }
    let what = match (&text[..colon], &text[colon + 1..]) {
        ("", "") => "Expected scheme name at index 0".to_owned(),
        (_, "") => format!("Expected scheme-specific part at index {}", colon + 1),
        _ => "Relative path in absolute URI".to_owned(),
    };
    Err(format!("java.net.URISyntaxException: {what}: {text}"))
}

/// A path without doubled slashes, a slash at its end, `.` parts, or `..` parts that have something to lead out of.
fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let root = if path.starts_with('/') { "/" } else { "" };
    format!("{root}{}", parts.join("/"))
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
    fn dots_lead_where_they_say_and_no_further() {
        let path = |text| FsPath::parse(text).path;
        assert_eq!(path("ofs://svc/v/b/./k/../l/."), "/v/b/l");
        assert_eq!(path("/.."), "/..");
        assert_eq!(path("/a/../../b"), "/../b");
        assert_eq!(path("./a/b/.."), "a");
        assert_eq!(path("../a"), "../a");
        assert_eq!(path("."), "");
    }

    #[test]
    fn what_is_no_path_is_refused_in_javas_words() {
        let refused = |text| FsPath::given(text).unwrap_err();
        assert_eq!(refused(""), "Can not create a Path from an empty string");
        let begin = "java.net.URISyntaxException:";
        assert_eq!(refused(":"), format!("{begin} Expected scheme name at index 0: :"));
        assert_eq!(refused("a:"), format!("{begin} Expected scheme-specific part at index 2: a:"));
        assert_eq!(refused("a:b/c"), format!("{begin} Relative path in absolute URI: a:b/c"));
        assert!(FsPath::given("./a:b").is_ok() && FsPath::given("ofs:/v").is_ok());
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
