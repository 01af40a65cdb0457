use super::*;

fn conf(entries: &[(&str, &str)]) -> Configuration {
    let mut conf = Configuration::default();
    for (key, value) in entries {
        conf.set(*key, *value);
    }
    conf
}

fn at(host: &str, port: u16) -> Option<HostPort> {
    Some(HostPort { host: host.to_owned(), port })
}

#[test]
fn addresses_are_read_in_all_their_forms() {
    let split = |text| HostPort::split(text).map(|(host, port)| format!("{host} {port:?}"));
    assert_eq!(split("om1:9862").unwrap(), "om1 Some(9862)");
    assert_eq!(split(" om1 ").unwrap(), "om1 None");
    assert_eq!(split("[::1]:9862").unwrap(), "::1 Some(9862)");
    assert_eq!(split("fe80::1").unwrap(), "fe80::1 None");
    assert_eq!(HostPort::parse("::1", 7).unwrap().to_string(), "[::1]:7");
    for bad in ["", ":9862", "om1:port", "om1:99999", "[::1", "[]:1", "[::1]x", "a b"] {
        assert_eq!(split(bad), None, "{bad:?}");
    }
}

#[test]
fn a_lone_scm_lends_its_client_host_to_the_other_ports_but_not_its_port() {
    let conf = conf(&[
        ("ozone.scm.client.address", "scm:1"),
        ("ozone.scm.block.client.address", "blocks:2"),
        ("ozone.scm.datanode.port", "3"),
    ]);
    let nodes = scm_nodes(&conf).unwrap();
    assert_eq!(nodes.len(), 1);
    assert_eq!(nodes[0].client, at("scm", 1));
    assert_eq!(nodes[0].block_client, at("blocks", 2));
    assert_eq!(nodes[0].datanode, at("scm", 3));
    assert_eq!(nodes[0].security, at("scm", SCM_SECURITY_PORT));
    assert_eq!((nodes[0].service.as_str(), nodes[0].node.as_str()), ("scmServiceId", "scm"));
}

#[test]
fn scm_names_alone_serve_datanodes_only() {
    let conf = conf(&[("ozone.scm.names", "a, b:7")]);
    let nodes = scm_nodes(&conf).unwrap();
    assert_eq!(nodes[0].client, None);
    let error = nodes[0].require(ScmPort::Client).unwrap_err().to_string();
    assert!(error.contains("ozone.scm.client.address"), "{error}");
    let found = scm_addresses_for_datanodes(&conf).unwrap();
    assert_eq!(found, [at("a", SCM_DATANODE_PORT).unwrap(), at("b", 7).unwrap()]);
}

#[test]
fn an_scm_service_takes_hosts_from_the_address_keys_and_ports_from_the_nearest_key() {
    let conf = conf(&[
        ("ozone.scm.service.ids", "s"),
        ("ozone.scm.nodes.s", "n1,n2"),
        ("ozone.scm.address.s.n1", "h1"),
        ("ozone.scm.address.s.n2", "h2"),
        ("ozone.scm.client.port", "100"),
        ("ozone.scm.client.port.s.n2", "200"),
        ("ozone.scm.datanode.address.s.n1", "ignored:300"),
    ]);
    let nodes = scm_nodes(&conf).unwrap();
    assert_eq!(nodes[0].client, at("h1", 100));
    assert_eq!(nodes[1].client, at("h2", 200));
    assert_eq!(nodes[0].datanode, at("h1", 300));
    assert_eq!(nodes[1].block_client, at("h2", SCM_BLOCK_CLIENT_PORT));
    assert_eq!(scm_addresses_for_datanodes(&conf).unwrap().len(), 2);
}

#[test]
fn what_is_missing_or_ambiguous_is_named() {
    let text = |entries| scm_nodes(&conf(entries)).unwrap_err().to_string();
    assert!(text(&[("ozone.scm.service.ids", "a,b")]).contains("ozone.scm.default.service.id"));
    assert!(text(&[("ozone.scm.service.ids", "a")]).contains("ozone.scm.nodes.a"));
    let incomplete = [("ozone.scm.service.ids", "a"), ("ozone.scm.nodes.a", "n")];
    assert!(text(&incomplete).contains("ozone.scm.address.a.n"));
    assert!(text(&[("ozone.scm.client.address", "h:x")]).contains("is not an address"));
    assert!(scm_addresses_for_datanodes(&conf(&[])).unwrap_err().to_string().contains("names"));
    let chosen = [
        ("ozone.scm.service.ids", "a,b"),
        ("ozone.scm.default.service.id", "b"),
        ("ozone.scm.nodes.b", "n"),
        ("ozone.scm.address.b.n", "h"),
    ];
    assert_eq!(scm_nodes(&conf(&chosen)).unwrap()[0].service, "b");
}

#[test]
fn oms_are_found_by_service_or_by_the_lone_address() {
    let rpc = |nodes: Vec<OmNode>| nodes.iter().map(|n| n.rpc.to_string()).collect::<Vec<_>>();
    assert_eq!(rpc(om_nodes(&conf(&[]), None).unwrap()), ["0.0.0.0:9862"]);
    assert_eq!(rpc(om_nodes(&conf(&[("ozone.om.address", "om")]), None).unwrap()), ["om:9862"]);
    let conf = conf(&[
        ("ozone.om.service.ids", "s"),
        ("ozone.om.nodes.s", "om1,om2,om3,om4"),
        ("ozone.om.decommissioned.nodes.s", "om4"),
        ("ozone.om.address.s.om1", "h1:1"),
        ("ozone.om.address.s.om2", "h2"),
        ("ozone.om.address.s.om4", "h4"),
    ]);
    let nodes = om_nodes(&conf, Some("s")).unwrap();
    assert_eq!(nodes[0].node.as_deref(), Some("om1"));
    assert_eq!(rpc(nodes), ["h1:1", "h2:9862"]);
    assert!(om_nodes(&conf, Some("other")).is_err());
}
