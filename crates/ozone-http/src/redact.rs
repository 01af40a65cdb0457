//! Which settings are secrets (`ConfigRedactor`).

use ozone_config::Configuration;

/// What stands for a secret.
pub const REDACTED: &str = "<redacted>";
/// The setting with patterns of one's own.
const PATTERNS_KEY: &str = "hadoop.security.sensitive-config-keys";
/// Hadoop's patterns, and tokens.
const PATTERNS: [&str; 12] = [
    "secret$",
    "password$",
    "ssl.keystore.pass$",
    "token$",
    "fs.s3.*[Ss]ecret.?[Kk]ey",
    "fs.s3a.*.encryption.key",
    "fs.s3a.*.secret.key",
    "fs.s3a.*.session.key",
    "fs.azure.account.key.*",
    "credential$",
    "oauth.*",
    "hadoop.security.sensitive-config-keys",
];

/// Knows the patterns of one configuration.
pub struct Redactor(Vec<Pattern>);

/// Pieces that must follow each other in a key; the subset of regular expressions that such settings
/// use: text, `.*`, and `$` at the end.
struct Pattern {
    pieces: Vec<String>,
    at_end: bool,
}

impl Pattern {
    fn new(text: &str) -> Self {
        let at_end = text.ends_with('$');
        let text = text.trim_start_matches('^').trim_end_matches('$').replace("\\.", ".");
        let text = text.replace("[Ss]", "s").replace("[Kk]", "k").replace(".?", ".*");
        let pieces = text.split(".*").filter(|piece| !piece.is_empty());
        Self { pieces: pieces.map(str::to_lowercase).collect(), at_end }
    }

    fn matches(&self, key: &str) -> bool {
        let mut rest = key;
        for piece in &self.pieces {
            let Some(at) = rest.find(piece.as_str()) else { return false };
            rest = rest.get(at + piece.len()..).unwrap_or_default();
        }
        let last = self.pieces.last().map(String::as_str).unwrap_or_default();
        !self.pieces.is_empty() && (!self.at_end || key.ends_with(last))
    }
}

impl Redactor {
    /// The patterns of Hadoop and of `hadoop.security.sensitive-config-keys`.
    pub fn new(conf: &Configuration) -> Self {
        let own = conf.string(PATTERNS_KEY, "").unwrap_or_default();
        let own = own.split([',', ' ', '\n', '\t']).filter(|text| !text.is_empty());
        Self(PATTERNS.into_iter().chain(own).map(Pattern::new).collect())
    }

    /// The value, or what stands for it.
    pub fn shown<'a>(&self, key: &str, value: &'a str) -> &'a str {
        let key = key.to_lowercase();
        let secret = !value.is_empty() && self.0.iter().any(|pattern| pattern.matches(&key));
        if secret { REDACTED } else { value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let mut conf = Configuration::default();
        conf.set(PATTERNS_KEY, "ozone\\.private\\..*");
        let redactor = Redactor::new(&conf);
        for key in [
            "ssl.server.keystore.password",
            "hadoop.http.authentication.signature.secret",
            "fs.s3a.bucket.x.secret.key",
            "hdds.prometheus.endpoint.token",
            "ozone.private.thing",
            "fs.azure.account.key.me",
        ] {
            assert_eq!(redactor.shown(key, "hush"), REDACTED, "{key}");
        }
        for key in ["ozone.om.address", "hdds.block.token.enabled", "ozone.secret.lifetime"] {
            assert_eq!(redactor.shown(key, "open"), "open", "{key}");
        }
    }
}
