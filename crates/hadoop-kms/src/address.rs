//! `kms://http@host1;host2:9600/kms`: where the key management servers are.

use std::fmt;

use ozone_config::{ConfigError, Configuration};

use crate::AddressError;

/// The key that names the provider, for the Ozone Manager and for clients.
pub const PROVIDER_PATH: &str = "hadoop.security.key.provider.path";
/// Servers of one provider at most.
const SERVERS_MAX: usize = 64;

/// The servers of one provider (`KMSClientProvider.Factory`): they share port and path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KmsAddress {
    text: String,
    servers: Vec<String>,
}

impl KmsAddress {
    /// Reads the address of a provider.
    ///
    /// # Errors
    /// It is another kind of provider, needs TLS, or names no host.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let refuse = |reason| AddressError { address: text.to_owned(), reason };
        let rest = text.strip_prefix("kms://").ok_or_else(|| {
            refuse("write kms://http@HOST:PORT/kms; key stores are not supported")
        })?;
        let (protocol, rest) =
            rest.split_once('@').ok_or_else(|| refuse("write kms://http@HOST:PORT/kms"))?;
        match protocol {
            "http" => {}
            "https" => {
                return Err(refuse("https is not supported; write kms://http@HOST:PORT/kms"));
            }
            _ => return Err(refuse("the part before @ must be http")),
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_end_matches('/');
        if path.contains(['?', '#']) {
            return Err(refuse("its path may have neither ? nor #"));
        }
        let (hosts, port) = split_port(authority)
            .ok_or_else(|| refuse("its port must be a number from 1 to 65535"))?;
        let hosts: Vec<&str> = hosts.split(';').collect();
        let is_host = |host: &&str| !host.is_empty() && !host.contains(char::is_whitespace);
        if hosts.len() > SERVERS_MAX || !hosts.iter().all(is_host) {
            return Err(refuse("it must name 1 to 64 hosts, with ; between them"));
        }
        let slash = if path.is_empty() { "" } else { "/" };
        let url = |host: &str| format!("http://{host}{port}{slash}{path}");
        Ok(Self { text: text.to_owned(), servers: hosts.into_iter().map(url).collect() })
    }

    /// The provider that the configuration names, as written ([`PROVIDER_PATH`]).
    ///
    /// # Errors
    /// The value refers to keys that are not there.
    pub fn configured(conf: &Configuration) -> Result<Option<String>, ConfigError> {
        let text = conf.get(PROVIDER_PATH)?;
        Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
    }

    /// URL of each server, without a slash at the end.
    pub fn servers(&self) -> &[String] {
        &self.servers
    }
}

impl fmt::Display for KmsAddress {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.text)
    }
}

/// The hosts, and `:port` or nothing.
fn split_port(authority: &str) -> Option<(&str, &str)> {
    // The colons of an IPv6 address are inside brackets.
    match authority.rfind(':').filter(|at| !authority[*at..].contains(']')) {
        None => Some((authority, "")),
        Some(at) => {
            let (hosts, port) = authority.split_at(at);
            let number: u16 = port[1..].parse().ok()?;
            (number > 0 && !hosts.is_empty()).then_some((hosts, port))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(text: &str) -> Vec<String> {
        KmsAddress::parse(text).unwrap().servers
    }

    #[test]
    fn all_hosts_share_port_and_path() {
        assert_eq!(servers("kms://http@kms1:9600/kms"), ["http://kms1:9600/kms"]);
        assert_eq!(servers("kms://http@a;b:9600/kms/"), ["http://a:9600/kms", "http://b:9600/kms"]);
        assert_eq!(servers("kms://http@a"), ["http://a"]);
        assert_eq!(servers("kms://http@[::1]:9600/kms"), ["http://[::1]:9600/kms"]);
        assert_eq!(servers("kms://http@[::1]/kms"), ["http://[::1]/kms"]);
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_the_reason() {
        for (text, reason) in [
            ("kms://https@a:9600/kms", "https is not supported"),
            ("jceks://file/tmp/keys", "key stores are not supported"),
            ("kms://a:9600/kms", "kms://http@HOST:PORT/kms"),
            ("kms://ftp@a/kms", "must be http"),
            ("kms://http@a:port/kms", "port"),
            ("kms://http@a:0/kms", "port"),
            ("kms://http@:9600/kms", "port"),
            ("kms://http@/kms", "hosts"),
            ("kms://http@a;;b:1/kms", "hosts"),
            ("kms://http@a/kms?x=y", "neither"),
        ] {
            let error = KmsAddress::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(text) && error.contains(reason), "{error}");
        }
    }
}
