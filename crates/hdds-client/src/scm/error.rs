//! What SCM says instead of an answer, and what to do about it.

use hadoop_rpc::client::CallError;
use hdds_proto::block::Status;
use thiserror::Error;

/// Why a request to SCM failed.
#[derive(Clone, Debug, Error)]
pub enum ScmError {
    /// SCM refused the request; the status is that of the block protocol (`SCMException`).
    #[error("{}: {message}", status.as_str_name())]
    Refused {
        /// Why, as a code.
        status: Status,
        /// Why, in words.
        message: String,
    },
    /// SCM, or the connection to it, failed: Java class and message.
    #[error("{class}: {message}")]
    Remote {
        /// Java class.
        class: String,
        /// First line of its message.
        message: String,
    },
    /// No SCM answered, or none leads. `last` is what the last one said.
    #[error("no SCM could serve the request after {tries} tries; last: {last}")]
    Unavailable {
        /// Calls made.
        tries: u32,
        /// The last failure.
        last: String,
    },
    /// The answer lacks what it must have.
    #[error("malformed answer of SCM: {0}")]
    Malformed(String),
}

impl ScmError {
    /// The code, where SCM gave one.
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// SCM is still in safe mode: nothing is allocated before it leaves it.
    pub fn is_safe_mode(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status == Status::SafeModeException,
            // The location protocol has no codes; the message is SafeModePrecheck's.
            Self::Remote { message, .. } => message.contains("SafeModePrecheck failed"),
            _ => false,
        }
    }

    /// The Java class, for passing the failure on.
    pub fn class(&self) -> &str {
        match self {
            Self::Refused { .. } => "org.apache.hadoop.hdds.scm.exceptions.SCMException",
            Self::Remote { class, .. } => class,
            Self::Unavailable { .. } | Self::Malformed(_) => "java.io.IOException",
        }
    }
}

/// What the genuine client does after a failure (`SCMHAUtils.getRetryAction`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Advice {
    /// Report it to the caller.
    Fail,
    /// Try the same SCM again after the retry interval.
    RetryHere,
    /// Go to another SCM: the suggested `host:port` if it is known, else the next.
    FailOver {
        /// Leader as the refusing SCM knows it.
        suggested: Option<String>,
    },
}

/// Simple names of classes after which nothing is tried again.
const FINAL: [&str; 11] = [
    "AccessControlException",
    "AuthorizationException",
    "SCMException",
    "NonRetriableException",
    "PipelineNotFoundException",
    "ContainerNotFoundException",
    "RpcNoSuchMethodException",
    "RpcNoSuchProtocolException",
    "RPC$VersionMismatch",
    "InvalidProtocolBufferException",
    "SecretManager$InvalidToken",
];

impl Advice {
    /// The advice for a failed call.
    pub fn after(error: &CallError) -> Self {
        let CallError::Remote { class, message, .. } = error else {
            return Self::FailOver { suggested: None };
        };
        let simple = class.rsplit('.').next().unwrap_or(class);
        if FINAL.contains(&simple) {
            return Self::Fail;
        }
        match simple {
            "RetriableWithNoFailoverException" => Self::RetryHere,
            "ServerNotLeaderException" => Self::FailOver { suggested: suggested_leader(message) },
            _ => Self::FailOver { suggested: None },
        }
    }
}

/// `host:port` out of `ServerNotLeaderException`'s message, if a leader is named. The first form is
/// SCM's, the second that of older servers.
fn suggested_leader(message: &str) -> Option<String> {
    let first = message.lines().next().unwrap_or_default();
    let (_, rest) = first.split_once("Suggested leader is")?;
    let rest = rest.trim_start().trim_start_matches("Server:").trim_end();
    let address = rest.strip_suffix('.').unwrap_or(rest);
    let (host, port) = address.rsplit_once(':')?;
    let valid = !host.is_empty() && port.parse::<u16>().is_ok();
    valid.then(|| address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(class: &str, message: &str) -> CallError {
        CallError::Remote { class: class.into(), message: message.into(), fatal: false }
    }

    #[test]
    fn a_suggested_leader_is_read_out_of_the_message() {
        let class = "org.apache.hadoop.hdds.ratis.ServerNotLeaderException";
        let named =
            "FOLLOWER Server:5f1d(scm2) is not the leader. Suggested leader is Server:scm1:9860.";
        let advice = Advice::after(&remote(class, named));
        assert_eq!(advice, Advice::FailOver { suggested: Some("scm1:9860".into()) });
        let unnamed = "Server:5f1d(scm2) is not the leader. Could not determine the leader node.";
        assert_eq!(Advice::after(&remote(class, unnamed)), Advice::FailOver { suggested: None });
        let traced = format!("{named}\n\tat org.apache.hadoop.X.y(X.java:1)");
        assert_eq!(Advice::after(&remote(class, &traced)), advice);
    }

    #[test]
    fn refusals_are_final_and_everything_unknown_goes_to_the_next_scm() {
        let advice = |class| Advice::after(&remote(class, "no"));
        assert_eq!(advice("org.apache.hadoop.hdds.scm.exceptions.SCMException"), Advice::Fail);
        assert_eq!(advice("org.apache.hadoop.security.AccessControlException"), Advice::Fail);
        assert_eq!(advice("org.apache.hadoop.ipc_.RPC$VersionMismatch"), Advice::Fail);
        assert_eq!(
            advice("org.apache.hadoop.hdds.scm.ha.RetriableWithNoFailoverException"),
            Advice::RetryHere
        );
        assert_eq!(advice("java.io.IOException"), Advice::FailOver { suggested: None });
    }
}
