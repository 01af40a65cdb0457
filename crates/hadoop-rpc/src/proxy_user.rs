//! Who may act for whom: `hadoop.proxyuser.<real>.{users,groups,hosts}`.
//!
//! Rules of Hadoop's `DefaultImpersonationProvider`: the real user needs the effective user or one
//! of that user's groups in its lists, and must come from a listed host. `*` lists everybody.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

const PREFIX: &str = "hadoop.proxyuser.";

/// Finds the groups of a user.
pub type Groups = Arc<dyn Fn(&str) -> Vec<String> + Send + Sync>;

/// The rules of one configuration.
#[derive(Clone)]
pub struct ProxyUsers {
    rules: HashMap<String, Rule>,
    groups: Groups,
}

#[derive(Clone, Debug, Default)]
struct Rule {
    users: List,
    groups: List,
    hosts: Hosts,
}

#[derive(Clone, Debug, Default)]
enum List {
    #[default]
    Nobody,
    Everybody,
    Named(Vec<String>),
}

#[derive(Clone, Debug, Default)]
struct Hosts {
    all: bool,
    /// Network and length of its prefix in bits.
    networks: Vec<(IpAddr, u8)>,
    names: Vec<String>,
}

impl ProxyUsers {
    /// From configuration entries; others than `hadoop.proxyuser.*` are passed over. Groups come
    /// from the system's `/etc/group` and `/etc/passwd`.
    pub fn from_entries<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut rules: HashMap<String, Rule> = HashMap::new();
        for (key, value) in entries {
            let Some((real, what)) =
                key.strip_prefix(PREFIX).and_then(|rest| rest.rsplit_once('.'))
            else {
                continue;
            };
            let rule = rules.entry(real.to_owned()).or_default();
            match what {
                "users" => rule.users = List::parse(value),
                "groups" => rule.groups = List::parse(value),
                "hosts" => rule.hosts = Hosts::parse(value),
                _ => {}
            }
        }
        Self { rules, groups: Arc::new(system_groups) }
    }

    /// The same rules with another source of groups.
    #[must_use]
    pub fn with_groups(mut self, groups: Groups) -> Self {
        self.groups = groups;
        self
    }

    /// Whether `real`, coming from `remote`, may act for `effective`.
    ///
    /// # Errors
    /// The message of the `AuthorizationException`.
    pub fn check(&self, real: &str, effective: &str, remote: IpAddr) -> Result<(), String> {
        // Rules are written for short names.
        let short = |name: &str| name.split(['@', '/']).next().unwrap_or_default().to_owned();
        let rule = self.rules.get(&short(real));
        let allowed = rule.is_some_and(|rule| {
            let effective = short(effective);
            rule.users.has(&effective)
                || match &rule.groups {
                    List::Nobody => false,
                    List::Everybody => true,
                    named @ List::Named(_) => {
                        (self.groups)(&effective).iter().any(|group| named.has(group))
                    }
                }
        });
        if !allowed {
            return Err(format!("User: {real} is not allowed to impersonate {effective}"));
        }
        if rule.is_some_and(|rule| rule.hosts.has(remote)) {
            return Ok(());
        }
        Err(format!("Unauthorized connection for super-user: {real} from IP {remote}"))
    }
}

impl fmt::Debug for ProxyUsers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyUsers").field("rules", &self.rules).finish_non_exhaustive()
    }
}

fn items(value: &str) -> Vec<String> {
    value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

impl List {
    fn parse(value: &str) -> Self {
        let items = items(value);
        match items.as_slice() {
            [] => Self::Nobody,
            items if items.iter().any(|item| item == "*") => Self::Everybody,
            _ => Self::Named(items),
        }
    }

    fn has(&self, name: &str) -> bool {
        match self {
            Self::Nobody => false,
            Self::Everybody => true,
            Self::Named(names) => names.iter().any(|item| item == name),
        }
    }
}

impl Hosts {
    fn parse(value: &str) -> Self {
        let mut hosts = Self::default();
        for item in items(value) {
            let (address, bits) = match item.split_once('/') {
                Some((address, bits)) => (address, bits.parse::<u8>().ok()),
                None => (item.as_str(), Some(u8::MAX)),
            };
            match (address.parse::<IpAddr>(), bits) {
                _ if item == "*" => hosts.all = true,
                (Ok(address), Some(bits)) => hosts.networks.push((address, bits)),
                _ => hosts.names.push(item),
            }
        }
        hosts
    }

    fn has(&self, remote: IpAddr) -> bool {
        let remote = remote.to_canonical();
        self.all
            || self.networks.iter().any(|(network, bits)| within(remote, *network, *bits))
            || self.names.iter().any(|name| {
                // A name's addresses may change, so it is looked up each time: rare, at the
                // start of a proxied connection.
                (name.as_str(), 0).to_socket_addrs().is_ok_and(|mut found| {
                    found.any(|address| address.ip().to_canonical() == remote)
                })
            })
    }
}

/// Whether the first `bits` bits agree.
fn within(address: IpAddr, network: IpAddr, bits: u8) -> bool {
    let shared = |a: u128, b: u128, width: u32| {
        let different = width.saturating_sub(u32::from(bits));
        different >= width || (a >> different) == (b >> different)
    };
    match (address, network) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            shared(u32::from(a).into(), u32::from(b).into(), u32::BITS)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => shared(a.into(), b.into(), u128::BITS),
        _ => false,
    }
}

/// Groups by the system's files, as `id -Gn` prints them.
fn system_groups(user: &str) -> Vec<String> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let passwd = read("/etc/passwd");
    let primary = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(user)).then(|| fields.nth(2).unwrap_or_default().to_owned())
    });
    let groups = read("/etc/group");
    let member = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, _, id, members, ..] = fields[..] else { return None };
        let belongs =
            primary.as_deref() == Some(id) || members.split(',').any(|member| member == user);
        belongs.then(|| name.to_owned())
    };
    groups.lines().filter_map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(entries: &[(&str, &str)], real: &str, effective: &str, ip: &str) -> bool {
        let groups: Groups = Arc::new(|user| match user {
            "alice" => vec!["staff".to_owned()],
            _ => Vec::new(),
        });
        let policy = ProxyUsers::from_entries(entries.iter().copied()).with_groups(groups);
        policy.check(real, effective, ip.parse().unwrap()).is_ok()
    }

    #[test]
    fn nobody_acts_for_others_unless_user_or_group_and_host_allow_it() {
        let ip = "10.1.2.3";
        assert!(!check(&[], "httpfs", "alice", ip));
        assert!(!check(&[("hadoop.proxyuser.httpfs.users", "*")], "httpfs", "alice", ip));
        assert!(!check(&[("hadoop.proxyuser.httpfs.hosts", "*")], "httpfs", "alice", ip));
        let by_user = [
            ("hadoop.proxyuser.httpfs.users", "bob, alice"),
            ("hadoop.proxyuser.httpfs.hosts", "*"),
        ];
        assert!(check(&by_user, "httpfs", "alice", ip));
        assert!(!check(&by_user, "httpfs", "carol", ip));
        assert!(!check(&by_user, "other", "alice", ip));
        let by_group = [
            ("hadoop.proxyuser.httpfs.groups", "staff"),
            ("hadoop.proxyuser.httpfs.hosts", "10.1.0.0/16,127.0.0.1"),
        ];
        assert!(check(&by_group, "httpfs/host@REALM", "alice@REALM", ip));
        assert!(check(&by_group, "httpfs", "alice", "127.0.0.1"));
        assert!(check(&by_group, "httpfs", "alice", "::ffff:127.0.0.1"));
        assert!(!check(&by_group, "httpfs", "alice", "10.2.0.1"));
        assert!(!check(&by_group, "httpfs", "bob", ip));
    }

    #[test]
    fn a_host_may_be_a_name() {
        let entries =
            [("hadoop.proxyuser.h.users", "*"), ("hadoop.proxyuser.h.hosts", "localhost")];
        assert!(check(&entries, "h", "alice", "127.0.0.1"));
        assert!(!check(&entries, "h", "alice", "10.1.2.3"));
    }
}
