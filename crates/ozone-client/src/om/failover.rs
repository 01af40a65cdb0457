//! Which Ozone Manager is asked next, and after which wait: the rules of Ozone's failover proxies
//! (om-ha.md §2) as a pure step function.
//!
//! | failure | next |
//! |---|---|
//! | not the leader | the suggested one, else the next; a wait only after a full round |
//! | leader, but not ready | the same again, waiting longer each time |
//! | access denied | every one once |
//! | method, protocol or message unknown | fail at once |
//! | anything else | the next |

use std::time::Duration;

use hadoop_rpc::client::CallError;

use super::OmTarget;
use crate::settings::FailoverSettings;

/// What a failed call means for the search of the leader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Another one leads.
    NotLeader {
        /// Which, if it said so and we know it.
        suggested: Option<usize>,
    },
    /// It leads, but cannot serve yet.
    NotReady,
    /// Identity refused.
    Denied,
    /// It will never understand this call.
    Unsupported,
    /// Connection refused, timeout, anything unknown.
    Unreachable,
}

/// What to do now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// Ask [`Failover::target`] after this wait.
    Retry {
        /// The wait.
        wait: Duration,
    },
    /// Report this error.
    Fail,
    /// Enough tries.
    GiveUp,
}

/// The search of one call.
#[derive(Debug)]
pub struct Failover<'a> {
    count: usize,
    target: usize,
    settings: &'a FailoverSettings,
    attempts: u32,
    moves: usize,
    not_ready: u32,
    denied: usize,
}

impl<'a> Failover<'a> {
    /// A search among `count` targets that begins at `target`.
    pub fn new(count: usize, target: usize, settings: &'a FailoverSettings) -> Self {
        Self { count, target, settings, attempts: 0, moves: 0, not_ready: 0, denied: 0 }
    }

    /// Whom to ask.
    pub fn target(&self) -> usize {
        self.target
    }

    /// What follows from a failure of the current target.
    pub fn on(&mut self, outcome: Outcome) -> Next {
        self.attempts += 1;
        match outcome {
            Outcome::Unsupported => return Next::Fail,
            Outcome::Denied => {
                self.denied += 1;
                if self.denied >= self.count {
                    return Next::Fail;
                }
            }
            _ => {}
        }
        if self.attempts > self.settings.attempts_max {
            return Next::GiveUp;
        }
        match outcome {
            Outcome::NotReady => {
                self.not_ready += 1;
                return Next::Retry { wait: self.settings.wait * self.not_ready };
            }
            Outcome::NotLeader { suggested: Some(leader) } if leader != self.target => {
                self.target = leader;
            }
            _ => self.target = (self.target + 1) % self.count,
        }
        self.not_ready = 0;
        self.moves += 1;
        let round_done = self.moves.is_multiple_of(self.count);
        Next::Retry { wait: if round_done { self.settings.wait } else { Duration::ZERO } }
    }
}

/// What an error means.
pub fn classify(error: &CallError, targets: &[OmTarget]) -> Outcome {
    let CallError::Remote { class, message, .. } = error else { return Outcome::Unreachable };
    let name = class.rsplit(['.', '$']).next().unwrap_or(class);
    match name {
        "OMNotLeaderException" => Outcome::NotLeader { suggested: suggested(message, targets) },
        "OMLeaderNotReadyException" => Outcome::NotReady,
        "AccessControlException" | "InvalidToken" => Outcome::Denied,
        "RpcNoSuchMethodException"
        | "RpcNoSuchProtocolException"
        | "VersionMismatch"
        | "InvalidProtocolBufferException" => Outcome::Unsupported,
        _ => Outcome::Unreachable,
    }
}

/// `… Suggested leader is OM:om2[host:9862].`
fn suggested(message: &str, targets: &[OmTarget]) -> Option<usize> {
    let rest = message.split_once("Suggested leader is OM:")?.1;
    let node = rest.split_once('[')?.0;
    targets.iter().position(|target| target.node == node)
}

#[cfg(test)]
mod tests {
    use hdds_client::addresses::HostPort;

    use super::*;

    fn settings() -> FailoverSettings {
        FailoverSettings { attempts_max: 7, ..FailoverSettings::default() }
    }

    fn remote(class: &str, message: &str) -> CallError {
        CallError::Remote { class: class.to_owned(), message: message.to_owned(), fatal: false }
    }

    fn targets() -> Vec<OmTarget> {
        let rpc = HostPort { host: "localhost".to_owned(), port: 9862 };
        ["om1", "om2", "om3"].map(|node| OmTarget::new(node, rpc.clone())).to_vec()
    }

    #[test]
    fn followers_are_left_at_once_and_a_full_round_waits() {
        let settings = settings();
        let mut failover = Failover::new(3, 0, &settings);
        let not_leader = || Outcome::NotLeader { suggested: None };
        let at_once = Next::Retry { wait: Duration::ZERO };
        assert_eq!(failover.on(not_leader()), at_once);
        assert_eq!(failover.on(not_leader()), at_once);
        assert_eq!(failover.on(not_leader()), Next::Retry { wait: settings.wait });
        assert_eq!(failover.target(), 0);
    }

    #[test]
    fn a_suggested_leader_is_asked_next() {
        let settings = settings();
        let mut failover = Failover::new(3, 0, &settings);
        let error = remote(
            "org.apache.hadoop.ozone.om.exceptions.OMNotLeaderException",
            "OM:om1 is not the leader. Suggested leader is OM:om3[localhost/127.0.0.1:9862].",
        );
        failover.on(classify(&error, &targets()));
        assert_eq!(failover.target(), 2);
    }

    #[test]
    fn a_leader_that_is_not_ready_is_asked_again_with_growing_waits() {
        let settings = settings();
        let mut failover = Failover::new(3, 1, &settings);
        assert_eq!(failover.on(Outcome::NotReady), Next::Retry { wait: settings.wait });
        assert_eq!(failover.on(Outcome::NotReady), Next::Retry { wait: settings.wait * 2 });
        assert_eq!(failover.target(), 1);
    }

    #[test]
    fn the_search_ends() {
        let settings = settings();
        let mut failover = Failover::new(1, 0, &settings);
        for _ in 0..settings.attempts_max {
            assert!(matches!(failover.on(Outcome::Unreachable), Next::Retry { .. }));
        }
        assert_eq!(failover.on(Outcome::Unreachable), Next::GiveUp);

        let mut denied = Failover::new(2, 0, &settings);
        assert!(matches!(denied.on(Outcome::Denied), Next::Retry { .. }));
        assert_eq!(denied.on(Outcome::Denied), Next::Fail);

        let unknown = remote("org.apache.hadoop.ipc_.RPC$VersionMismatch", "");
        let mut failover = Failover::new(3, 0, &settings);
        assert_eq!(failover.on(classify(&unknown, &targets())), Next::Fail);
    }
}
