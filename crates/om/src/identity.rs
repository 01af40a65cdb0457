//! Which Ozone Manager of the configuration this process is (`OMHANodeDetails.loadOMHAConfig`).
//!
//! A service lists its nodes and their addresses. The node is the one that `ozone.om.node.id` names or,
//! where that does not decide it, the only one whose address belongs to this machine.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};

use anyhow::{Context, bail};
use hdds_client::addresses::{self, HostPort, suffixed};
use ozone_config::Configuration;

/// Service id of an OM without `ozone.om.service.ids` (`OzoneConsts.OM_SERVICE_ID_DEFAULT`).
const SERVICE_DEFAULT: &str = "omServiceIdDefault";
/// Node id of an OM without a service (`OMConfigKeys.OZONE_OM_NODE_ID_DEFAULT`).
const NODE_DEFAULT: &str = "om1";

/// Service and node id.
pub type Identity = (String, String);

/// Finds them in the configuration. `is_local` says whether an address belongs to this machine.
///
/// # Errors
/// No node, or more than one, can be this one; the message says what to set.
pub fn find(
    conf: &Configuration,
    is_local: impl Fn(&HostPort) -> bool,
) -> anyhow::Result<Identity> {
    let services = match conf.get("ozone.om.internal.service.id")? {
        Some(service) => vec![service],
        None => addresses::om_services(conf)?,
    };
    let known = conf.get("ozone.om.node.id")?;
    if services.is_empty() {
        return Ok((SERVICE_DEFAULT.to_owned(), known.unwrap_or_else(|| NODE_DEFAULT.to_owned())));
    }
    let mut every = Vec::with_capacity(services.len());
    for service in services {
        let mut nodes = nodes(conf, &service)?;
        nodes.retain(|(node, _)| known.as_ref().is_none_or(|known| known == node));
        every.push((service, nodes));
    }
    // Where the ids decide, nobody has to ask the resolver: the port cannot be opened if they are wrong.
    if every.iter().map(|(_, nodes)| nodes.len()).sum::<usize>() == 1 {
        let found = every
            .into_iter()
            .find_map(|(service, nodes)| nodes.into_iter().next().map(|(node, _)| (service, node)));
        return found.context("a node that was there is gone");
    }
    local(every, known.as_deref(), is_local)
}

/// Refuses a service of several Ozone Managers: each would be a ring of its own, and acknowledge writes
/// that the others never see.
///
/// # Errors
/// There are several.
pub fn check_alone(conf: &Configuration, service: &str) -> anyhow::Result<()> {
    if conf.get(&format!("ozone.om.nodes.{service}"))?.is_none() {
        return Ok(());
    }
    let nodes: Vec<_> = nodes(conf, service)?.into_iter().map(|(node, _)| node).collect();
    if nodes.len() > 1 {
        bail!(
            "ozone.om.nodes.{service} lists {}, but this version does not replicate Ozone Managers: \
             leave one node in the list",
            nodes.join(", ")
        );
    }
    Ok(())
}

/// The first service of which one address belongs to this machine.
fn local(
    every: Vec<(String, Vec<(String, HostPort)>)>,
    known: Option<&str>,
    is_local: impl Fn(&HostPort) -> bool,
) -> anyhow::Result<Identity> {
    let mut told = Vec::new();
    for (service, nodes) in every {
        let here: Vec<_> = nodes.iter().filter(|(_, address)| is_local(address)).collect();
        match &here[..] {
            [] => told.extend(nodes.iter().map(|(_, address)| format!("{service}: {address}"))),
            [(node, _)] => return Ok((service, node.clone())),
            several => {
                let names: Vec<_> = several.iter().map(|(node, _)| node.as_str()).collect();
                bail!(
                    "the addresses of several nodes of ozone.om.nodes.{service} belong to this \
                     machine ({}); set ozone.om.node.id to the one of this Ozone Manager",
                    names.join(", ")
                );
            }
        }
    }
    match known {
        Some(known) if told.is_empty() => bail!(
            "ozone.om.node.id = {known}, but no ozone.om.nodes.<service> of this configuration lists it"
        ),
        _ => bail!(
            "no ozone.om.address.<service>.<node> belongs to this machine ({}); correct them, or set \
             ozone.om.node.id to the one of this Ozone Manager",
            told.join(", ")
        ),
    }
}

/// The nodes of a service that are not decommissioned. Each one needs an address.
fn nodes(conf: &Configuration, service: &str) -> anyhow::Result<Vec<(String, HostPort)>> {
    let gone = conf.list(&format!("ozone.om.decommissioned.nodes.{service}"))?;
    let key = format!("ozone.om.nodes.{service}");
    let mut nodes = Vec::new();
    for node in conf.list(&key)?.into_iter().filter(|node| !gone.contains(node)) {
        let key = suffixed("ozone.om.address", service, &node);
        let text = conf.get(&key)?.with_context(|| format!("{key} is not set"))?;
        let address = HostPort::parse(&text, addresses::OM_PORT)
            .with_context(|| conf.malformed(&key, &text, "host:port").to_string())?;
        nodes.push((node, address));
    }
    if nodes.is_empty() {
        bail!("{key} names no node; list the node ids of the service there");
    }
    Ok(nodes)
}

/// Whether an address belongs to this machine. A name that is not known does not.
pub fn is_local(address: &HostPort) -> bool {
    let found = (address.host.as_str(), address.port).to_socket_addrs();
    found.is_ok_and(|mut found| found.any(|address| is_local_ip(address.ip())))
}

/// Only an own address can be bound; the port is any free one, and is let go at once.
fn is_local_ip(ip: IpAddr) -> bool {
    UdpSocket::bind(SocketAddr::new(ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conf(pairs: &[(&str, &str)]) -> Configuration {
        let mut conf = Configuration::default();
        for (key, value) in [
            ("ozone.om.nodes.first", "om1,om2,om3"),
            ("ozone.om.address.first.om1", "a:9862"),
            ("ozone.om.address.first.om2", "b"),
            ("ozone.om.address.first.om3", "c"),
            ("ozone.om.nodes.second", "om1"),
            ("ozone.om.address.second.om1", "d"),
        ]
        .iter()
        .chain(pairs)
        {
            conf.set(*key, *value);
        }
        conf
    }

    /// Of a machine with these addresses.
    fn on(hosts: &[&str], pairs: &[(&str, &str)]) -> Result<String, String> {
        let here = |address: &HostPort| hosts.contains(&address.host.as_str());
        match find(&conf(pairs), here) {
            Ok((service, node)) => Ok(format!("{service}/{node}")),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn without_a_service_the_usual_names_hold() {
        assert_eq!(on(&[], &[]).unwrap(), "omServiceIdDefault/om1");
        assert_eq!(on(&[], &[("ozone.om.node.id", "x")]).unwrap(), "omServiceIdDefault/x");
    }

    #[test]
    fn an_ozone_manager_finds_itself_by_its_address() {
        let ids = ("ozone.om.service.ids", "first,second");
        assert_eq!(on(&["b"], &[ids]).unwrap(), "first/om2");
        assert_eq!(on(&["d"], &[ids]).unwrap(), "second/om1");
        let gone = ("ozone.om.decommissioned.nodes.first", "om2");
        assert_eq!(on(&["b", "c"], &[ids, gone]).unwrap(), "first/om3");
    }

    #[test]
    fn ids_decide_without_a_look_at_addresses() {
        let ids = ("ozone.om.service.ids", "first,second");
        let second = ("ozone.om.internal.service.id", "second");
        assert_eq!(on(&[], &[ids, second]).unwrap(), "second/om1");
        assert_eq!(on(&[], &[ids, ("ozone.om.node.id", "om3")]).unwrap(), "first/om3");
        // Both services have one of this name.
        assert_eq!(on(&["d"], &[ids, ("ozone.om.node.id", "om1")]).unwrap(), "second/om1");
    }

    #[test]
    fn what_does_not_decide_it_is_told() {
        let ids = ("ozone.om.service.ids", "first");
        let several = on(&["a", "b"], &[ids]).unwrap_err();
        assert!(several.contains("(om1, om2); set ozone.om.node.id"), "{several}");
        let none = on(&["elsewhere"], &[ids]).unwrap_err();
        assert!(none.contains("belongs to this machine (first: a:9862, first: b:9862"), "{none}");
        let unknown = on(&["a"], &[ids, ("ozone.om.node.id", "om9")]).unwrap_err();
        assert!(unknown.contains("ozone.om.node.id = om9, but no"), "{unknown}");
        let empty = on(&[], &[("ozone.om.service.ids", "third")]).unwrap_err();
        assert!(empty.contains("ozone.om.nodes.third names no node"), "{empty}");
        let bare =
            on(&[], &[("ozone.om.service.ids", "x"), ("ozone.om.nodes.x", "n")]).unwrap_err();
        assert_eq!(bare, "ozone.om.address.x.n is not set");
    }

    #[test]
    fn a_service_of_several_is_refused_until_they_are_replicated() {
        let refused = check_alone(&conf(&[]), "first").unwrap_err().to_string();
        assert!(refused.starts_with("ozone.om.nodes.first lists om1, om2, om3, but"), "{refused}");
        let gone = ("ozone.om.decommissioned.nodes.first", "om2,om1");
        check_alone(&conf(&[gone]), "first").unwrap();
        check_alone(&conf(&[]), "second").unwrap();
        check_alone(&conf(&[]), SERVICE_DEFAULT).unwrap();
    }

    #[test]
    fn loopback_is_local_and_a_documentation_address_is_not() {
        assert!(is_local(&HostPort { host: "127.0.0.1".to_owned(), port: 1 }));
        assert!(!is_local(&HostPort { host: "192.0.2.1".to_owned(), port: 1 }));
    }
}
