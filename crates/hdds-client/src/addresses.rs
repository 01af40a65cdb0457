//! Where SCM and OM listen, read from the configuration exactly as the genuine clients do.
//!
//! ```text
//!  ozone.scm.service.ids? ── yes ─► per node: ozone.scm.address.<service>.<node> + port keys
//!          │ no
//!          └─► ozone.scm.client.address, ozone.scm.block.client.address, ozone.scm.names, …
//! ```
//! Rules: `SCMNodeInfo.buildNodeInfo`, `HddsUtils.getSCMAddressForDatanodes`, `OmUtils`. A `-` is
//! never guessed: what is missing is an error that names the key.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use ozone_config::{ConfigError, Configuration};
use thiserror::Error;

/// Default of `ozone.om.address`, port part.
pub const OM_PORT: u16 = 9862;
/// Default of `ozone.scm.client.port`.
pub const SCM_CLIENT_PORT: u16 = 9860;
/// Default of `ozone.scm.datanode.port`.
pub const SCM_DATANODE_PORT: u16 = 9861;
/// Default of `ozone.scm.block.client.port`.
pub const SCM_BLOCK_CLIENT_PORT: u16 = 9863;
/// Default of `ozone.scm.security.service.port`.
pub const SCM_SECURITY_PORT: u16 = 9961;
/// Service id of an SCM that is configured without one (`OzoneConsts.SCM_DUMMY_SERVICE_ID`).
pub const SCM_LONE_SERVICE: &str = "scmServiceId";
/// Node id of such an SCM (`OzoneConsts.SCM_DUMMY_NODEID`).
pub const SCM_LONE_NODE: &str = "scm";

/// An address that cannot be found in the configuration.
#[derive(Debug, Error)]
pub enum AddressError {
    /// The key is not set.
    #[error("{key} is not set; {hint}")]
    Missing {
        /// The key.
        key: String,
        /// What to write there.
        hint: &'static str,
    },
    /// Several services are configured and none is chosen.
    #[error("{key} names several services ({found}); {hint}")]
    Ambiguous {
        /// The key.
        key: &'static str,
        /// The services.
        found: String,
        /// How to choose.
        hint: &'static str,
    },
    /// The value is no address.
    #[error("{key} = {value:?} is not an address; expected host, host:port or [ipv6]:port")]
    Malformed {
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
    /// The configuration itself is faulty.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// A host name or IP address, with a port. The name is resolved at each connection attempt, so that
/// a server that came back elsewhere is found.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostPort {
    /// Host name, IPv4 or IPv6 address (without brackets).
    pub host: String,
    /// Port.
    pub port: u16,
}

impl HostPort {
    /// From text: `host`, `host:port`, `[v6]:port`, `v6`. The port is `None` where none is written.
    pub fn split(text: &str) -> Option<(String, Option<u16>)> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix('[') {
            let (host, rest) = rest.split_once(']')?;
            let port = match rest.strip_prefix(':') {
                Some(port) => Some(port.parse().ok()?),
                None if rest.is_empty() => None,
                None => return None,
            };
            return (!host.is_empty()).then(|| (host.to_owned(), port));
        }
        let (host, port) = match text.split_once(':') {
            Some((_, rest)) if rest.contains(':') => (text, None), // a bare IPv6 address
            Some((host, port)) => (host, Some(port.parse().ok()?)),
            None => (text, None),
        };
        let valid = !host.is_empty() && !host.contains(char::is_whitespace);
        valid.then(|| (host.to_owned(), port))
    }

    /// From text, with `default_port` where none is written.
    pub fn parse(text: &str, default_port: u16) -> Option<Self> {
        let (host, port) = Self::split(text)?;
        Some(Self { host, port: port.unwrap_or(default_port) })
    }

    /// Looks the name up; addresses cost nothing.
    ///
    /// # Errors
    /// The name is unknown or the resolver does not answer.
    pub async fn resolve(&self) -> io::Result<SocketAddr> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(SocketAddr::new(ip, self.port));
        }
        let mut found = tokio::net::lookup_host((self.host.as_str(), self.port)).await?;
        // Java prefers IPv4 where a name has both.
        let first = found.next();
        let v4 = first.filter(SocketAddr::is_ipv4).or_else(|| found.find(SocketAddr::is_ipv4));
        v4.or(first).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("{} has no address", self.host))
        })
    }
}

impl From<SocketAddr> for HostPort {
    fn from(address: SocketAddr) -> Self {
        Self { host: address.ip().to_string(), port: address.port() }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// One SCM as clients see it (`SCMNodeInfo`). An address is `None` where the configuration does not
/// say it; ask through [`ScmNode::require`] for an error that says what to set.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScmNode {
    /// Service id, or [`SCM_LONE_SERVICE`].
    pub service: String,
    /// Node id, or [`SCM_LONE_NODE`].
    pub node: String,
    /// Port 9863, for OM.
    pub block_client: Option<HostPort>,
    /// Port 9860.
    pub client: Option<HostPort>,
    /// Port 9961.
    pub security: Option<HostPort>,
    /// Port 9861.
    pub datanode: Option<HostPort>,
}

/// A port of SCM.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScmPort {
    /// `ScmBlockLocationProtocol`.
    BlockClient,
    /// `StorageContainerLocationProtocol`.
    Client,
    /// `SCMSecurityProtocol`.
    Security,
    /// `StorageContainerDatanodeProtocol`.
    Datanode,
}

impl ScmPort {
    const fn keys(self) -> (&'static str, &'static str, u16) {
        match self {
            Self::BlockClient => (
                "ozone.scm.block.client.address",
                "ozone.scm.block.client.port",
                SCM_BLOCK_CLIENT_PORT,
            ),
            Self::Client => ("ozone.scm.client.address", "ozone.scm.client.port", SCM_CLIENT_PORT),
            Self::Security => (
                "ozone.scm.security.service.address",
                "ozone.scm.security.service.port",
                SCM_SECURITY_PORT,
            ),
            Self::Datanode => {
                ("ozone.scm.datanode.address", "ozone.scm.datanode.port", SCM_DATANODE_PORT)
            }
        }
    }
}

impl ScmNode {
    /// The address of a port.
    ///
    /// # Errors
    /// Not configured.
    pub fn require(&self, port: ScmPort) -> Result<HostPort, AddressError> {
        let address = match port {
            ScmPort::BlockClient => &self.block_client,
            ScmPort::Client => &self.client,
            ScmPort::Security => &self.security,
            ScmPort::Datanode => &self.datanode,
        };
        address.clone().ok_or_else(|| AddressError::Missing {
            key: port.keys().0.to_owned(),
            hint: "set it, or ozone.scm.client.address, to the host of SCM",
        })
    }
}

/// Appends `.service.node` to a key, as the keys of HA services are written.
pub fn suffixed(key: &str, service: &str, node: &str) -> String {
    format!("{key}.{service}.{node}")
}

/// The SCM service in use: `ozone.scm.default.service.id`, else the only one of
/// `ozone.scm.service.ids`; `None` without HA keys.
///
/// # Errors
/// Several services and no default.
pub fn scm_service(conf: &Configuration) -> Result<Option<String>, AddressError> {
    if let Some(service) = conf.get("ozone.scm.default.service.id")? {
        return Ok(Some(service));
    }
    let services = conf.list("ozone.scm.service.ids")?;
    match services.len() {
        0 | 1 => Ok(services.into_iter().next()),
        _ => Err(AddressError::Ambiguous {
            key: "ozone.scm.service.ids",
            found: services.join(", "),
            hint: "set ozone.scm.default.service.id to the one to use",
        }),
    }
}

/// Every SCM of the service in use (`SCMNodeInfo.buildNodeInfo`), in configured order.
///
/// # Errors
/// See [`AddressError`].
pub fn scm_nodes(conf: &Configuration) -> Result<Vec<ScmNode>, AddressError> {
    let Some(service) = scm_service(conf)? else { return Ok(vec![lone_scm(conf)?]) };
    let nodes_key = format!("ozone.scm.nodes.{service}");
    let nodes = conf.list(&nodes_key)?;
    if nodes.is_empty() {
        return Err(AddressError::Missing {
            key: nodes_key,
            hint: "list the node ids of the SCM service there",
        });
    }
    nodes.into_iter().map(|node| scm_of_service(conf, &service, node)).collect()
}

fn scm_of_service(
    conf: &Configuration,
    service: &str,
    node: String,
) -> Result<ScmNode, AddressError> {
    let key = suffixed("ozone.scm.address", service, &node);
    let Some(host) = conf.get(&key)? else {
        return Err(AddressError::Missing { key, hint: "set it to the host of this SCM" });
    };
    let (host, _) = HostPort::split(&host)
        .ok_or_else(|| AddressError::Malformed { key: key.clone(), value: host.clone() })?;
    let address = |port: ScmPort| -> Result<Option<HostPort>, AddressError> {
        let (address_key, port_key, default) = port.keys();
        let written = host_and_port(conf, &suffixed(address_key, service, &node))?;
        let port = match written {
            Some((_, Some(port))) => port,
            _ => {
                let general = conf.integer(port_key, default)?;
                conf.integer(&suffixed(port_key, service, &node), general)?
            }
        };
        Ok(Some(HostPort { host: host.clone(), port }))
    };
    Ok(ScmNode {
        service: service.to_owned(),
        block_client: address(ScmPort::BlockClient)?,
        client: address(ScmPort::Client)?,
        security: address(ScmPort::Security)?,
        datanode: address(ScmPort::Datanode)?,
        node,
    })
}

fn lone_scm(conf: &Configuration) -> Result<ScmNode, AddressError> {
    let address = |port: ScmPort, hosts: &[&str]| -> Result<Option<HostPort>, AddressError> {
        let (address_key, port_key, default) = port.keys();
        for key in hosts {
            if let Some((host, _)) = host_and_port(conf, key)? {
                let written = host_and_port(conf, address_key)?.and_then(|(_, port)| port);
                let port = match written {
                    Some(port) => port,
                    None => conf.integer(port_key, default)?,
                };
                return Ok(Some(HostPort { host, port }));
            }
        }
        Ok(None)
    };
    let client = "ozone.scm.client.address";
    Ok(ScmNode {
        service: SCM_LONE_SERVICE.to_owned(),
        node: SCM_LONE_NODE.to_owned(),
        block_client: address(ScmPort::BlockClient, &["ozone.scm.block.client.address", client])?,
        client: address(ScmPort::Client, &[client])?,
        security: address(ScmPort::Security, &["ozone.scm.security.service.address", client])?,
        datanode: address(
            ScmPort::Datanode,
            &["ozone.scm.datanode.address", client, "ozone.scm.names"],
        )?,
    })
}

/// Where datanodes report (`HddsUtils.getSCMAddressForDatanodes`): all SCMs of the HA service, else
/// every host of `ozone.scm.names`.
///
/// # Errors
/// See [`AddressError`].
pub fn scm_addresses_for_datanodes(conf: &Configuration) -> Result<Vec<HostPort>, AddressError> {
    let found: BTreeSet<HostPort> = if scm_service(conf)?.is_some() {
        let nodes = scm_nodes(conf)?;
        nodes.iter().map(|node| node.require(ScmPort::Datanode)).collect::<Result<_, _>>()?
    } else {
        let key = "ozone.scm.names";
        let port = conf.integer("ozone.scm.datanode.port", SCM_DATANODE_PORT)?;
        let parse = |name: &String| {
            HostPort::parse(name, port)
                .ok_or_else(|| AddressError::Malformed { key: key.to_owned(), value: name.clone() })
        };
        conf.list(key)?.iter().map(parse).collect::<Result<_, _>>()?
    };
    if found.is_empty() {
        return Err(AddressError::Missing {
            key: "ozone.scm.names".to_owned(),
            hint: "set it to the host names of all SCMs, comma separated",
        });
    }
    Ok(found.into_iter().collect())
}

/// Where a datanode reports to Recon: `ozone.recon.address`, if set.
///
/// # Errors
/// See [`AddressError`].
pub fn recon_address_for_datanodes(conf: &Configuration) -> Result<Option<HostPort>, AddressError> {
    let found = host_and_port(conf, "ozone.recon.address")?;
    Ok(found.map(|(host, port)| HostPort { host, port: port.unwrap_or(9891) }))
}

/// One OM as clients see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OmNode {
    /// Node id; `None` for an OM without a service.
    pub node: Option<String>,
    /// Hadoop RPC, 9862.
    pub rpc: HostPort,
}

/// Every service of `ozone.om.service.ids`.
///
/// # Errors
/// See [`AddressError`].
pub fn om_services(conf: &Configuration) -> Result<Vec<String>, AddressError> {
    Ok(conf.list("ozone.om.service.ids")?)
}

/// The OMs of a service (`ozone.om.nodes.<service>` without `ozone.om.decommissioned.nodes.<service>`),
/// or for `None` the one of `ozone.om.address` (default `0.0.0.0:9862`).
///
/// # Errors
/// See [`AddressError`].
pub fn om_nodes(conf: &Configuration, service: Option<&str>) -> Result<Vec<OmNode>, AddressError> {
    let Some(service) = service else {
        let key = "ozone.om.address";
        let found = host_and_port(conf, key)?;
        let (host, port) = found.unwrap_or_else(|| ("0.0.0.0".to_owned(), None));
        let rpc = HostPort { host, port: port.unwrap_or(OM_PORT) };
        return Ok(vec![OmNode { node: None, rpc }]);
    };
    let nodes_key = format!("ozone.om.nodes.{service}");
    let gone = conf.list(&format!("ozone.om.decommissioned.nodes.{service}"))?;
    let mut nodes = Vec::new();
    for node in conf.list(&nodes_key)?.into_iter().filter(|node| !gone.contains(node)) {
        let key = suffixed("ozone.om.address", service, &node);
        // The genuine client skips a node without an address.
        if let Some((host, port)) = host_and_port(conf, &key)? {
            let rpc = HostPort { host, port: port.unwrap_or(OM_PORT) };
            nodes.push(OmNode { node: Some(node), rpc });
        }
    }
    if nodes.is_empty() {
        return Err(AddressError::Missing {
            key: nodes_key,
            hint: "list the OM node ids there, and each one's ozone.om.address.<service>.<node>",
        });
    }
    Ok(nodes)
}

/// Host and port of an address key, if set.
fn host_and_port(
    conf: &Configuration,
    key: &str,
) -> Result<Option<(String, Option<u16>)>, AddressError> {
    // `ozone.scm.names` is a list; its first host stands for it.
    let Some(value) = conf.list(key)?.into_iter().next() else { return Ok(None) };
    HostPort::split(&value)
        .map(Some)
        .ok_or_else(|| AddressError::Malformed { key: key.to_owned(), value })
}

#[cfg(test)]
mod tests;
