//! Where the Ozone Managers are.

use std::net::{IpAddr, SocketAddr};

use hadoop_rpc::client::CallError;
use hdds_client::addresses::{self, HostPort, OM_PORT};
use ozone_config::Configuration;

use crate::ClientError;

/// Which Ozone Managers a client means.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum OmAddress {
    /// Those of the configuration: its only service, else `ozone.om.address`.
    #[default]
    Configured,
    /// A service id or host, with an optional port, as in `o3://NAME[:PORT]/…`.
    Named(String, Option<u16>),
}

/// One Ozone Manager.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OmTarget {
    /// Node id; `host:port` outside of a service.
    pub node: String,
    /// RPC address.
    pub rpc: HostPort,
}

impl OmTarget {
    /// An Ozone Manager at this place.
    pub fn new(node: impl Into<String>, rpc: HostPort) -> Self {
        Self { node: node.into(), rpc }
    }

    /// Whether it is known by a name, which somebody has to know the address of.
    pub(super) fn is_name(&self) -> bool {
        self.rpc.host.parse::<IpAddr>().is_err()
    }

    fn lone(rpc: HostPort) -> Self {
        Self { node: rpc.to_string(), rpc }
    }

    /// Its address now; names are looked up on every call, since they may move.
    pub(super) async fn resolve(&self) -> Result<SocketAddr, CallError> {
        self.rpc.resolve().await.map_err(|error| CallError::Connection {
            address: SocketAddr::from(([0, 0, 0, 0], self.rpc.port)),
            message: format!("{}: {error}", self.rpc),
        })
    }
}

/// The targets of `address`, at least one.
pub(super) fn find(
    conf: &Configuration,
    address: &OmAddress,
) -> Result<Vec<OmTarget>, ClientError> {
    let services = addresses::om_services(conf)?;
    match address {
        OmAddress::Named(name, port) if services.contains(name) => match port {
            Some(port) => Err(ClientError::Invalid(format!(
                "Port {port} specified in URI but host '{name}' is a logical (HA) OzoneManager \
                 and does not use port information."
            ))),
            None => service(conf, name),
        },
        OmAddress::Named(host, port) => {
            let port = match port {
                Some(port) => *port,
                None => lone(conf)?.map_or(OM_PORT, |target| target.rpc.port),
            };
            Ok(vec![OmTarget::lone(HostPort { host: host.clone(), port })])
        }
        OmAddress::Configured => {
            if let Some(own) = conf.get("ozone.om.internal.service.id")? {
                return service(conf, &own);
            }
            match &services[..] {
                [only] => service(conf, only),
                [] => lone(conf)?.map(|target| vec![target]).ok_or_else(|| {
                    ClientError::Invalid(
                        "ozone.om.address must be defined: name the cluster's configuration \
                         directory with --config DIR or OZONE_CONF_DIR"
                            .to_owned(),
                    )
                }),
                _ => Err(ClientError::Invalid(
                    "Service ID or host name must not be omitted when multiple \
                     ozone.om.service.ids is defined."
                        .to_owned(),
                )),
            }
        }
    }
}

/// The Ozone Manager of `ozone.om.address`, if that is set.
fn lone(conf: &Configuration) -> Result<Option<OmTarget>, ClientError> {
    if conf.get("ozone.om.address")?.is_none() {
        return Ok(None);
    }
    let nodes = addresses::om_nodes(conf, None)?;
    Ok(nodes.into_iter().next().map(|node| OmTarget::lone(node.rpc)))
}

/// The voting members of a service: clients never contact listeners.
fn service(conf: &Configuration, service: &str) -> Result<Vec<OmTarget>, ClientError> {
    let listeners = conf.list(&format!("ozone.om.listener.nodes.{service}"))?;
    let nodes = addresses::om_nodes(conf, Some(service))?;
    let targets: Vec<OmTarget> = nodes
        .into_iter()
        .filter_map(|found| Some(OmTarget::new(found.node?, found.rpc)))
        .filter(|target| !listeners.contains(&target.node))
        .collect();
    if targets.is_empty() {
        let text = format!("every Ozone Manager of service {service} is a listener");
        return Err(ClientError::Invalid(text));
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(pairs: &[(&str, &str)]) -> Configuration {
        let mut conf = Configuration::default();
        for (key, value) in pairs {
            conf.set(*key, *value);
        }
        conf
    }

    #[test]
    fn a_service_lists_its_voting_members() {
        let conf = conf(&[
            ("ozone.om.service.ids", "omsvc"),
            ("ozone.om.nodes.omsvc", "om1,om2,om3,om4"),
            ("ozone.om.decommissioned.nodes.omsvc", "om3"),
            ("ozone.om.listener.nodes.omsvc", "om4"),
            ("ozone.om.address.omsvc.om1", "a:1"),
            ("ozone.om.address.omsvc.om2", "b"),
        ]);
        let at = |host: &str, port| HostPort { host: host.to_owned(), port };
        let expected =
            vec![OmTarget::new("om1", at("a", 1)), OmTarget::new("om2", at("b", OM_PORT))];
        assert_eq!(find(&conf, &OmAddress::Configured).unwrap(), expected);
        let named = OmAddress::Named("omsvc".to_owned(), None);
        assert_eq!(find(&conf, &named).unwrap(), expected);
        let with_port = OmAddress::Named("omsvc".to_owned(), Some(1));
        assert!(find(&conf, &with_port).unwrap_err().to_string().contains("logical (HA)"));
    }

    #[test]
    fn a_host_takes_its_port_from_the_address_or_the_configuration() {
        let conf = conf(&[("ozone.om.address", "here:4711")]);
        let port_of = |address| find(&conf, &address).unwrap()[0].rpc.port;
        assert_eq!(port_of(OmAddress::Configured), 4711);
        assert_eq!(port_of(OmAddress::Named("there".to_owned(), None)), 4711);
        assert_eq!(port_of(OmAddress::Named("there".to_owned(), Some(5))), 5);
    }

    #[test]
    fn nothing_configured_says_what_to_do() {
        let error = find(&conf(&[]), &OmAddress::Configured).unwrap_err().to_string();
        assert!(error.contains("ozone.om.address must be defined"), "{error}");
    }
}
