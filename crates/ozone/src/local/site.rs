//! The configurations of a local cluster: one for each daemon and one for clients.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Context;
use ozone_config::Configuration;

use crate::local::plan::Plan;

/// Settings of every process of the cluster.
type Pairs = BTreeMap<String, String>;

/// One configuration per daemon.
pub struct Sites {
    /// SCM.
    pub scm: Configuration,
    /// Ozone Manager.
    pub om: Configuration,
    /// Datanodes.
    pub datanodes: Vec<Configuration>,
    /// Clients.
    pub client: Configuration,
}

/// Builds all configurations and writes `conf/ozone-site.xml` for clients. `overrides` (`-D`) win.
///
/// # Errors
/// No free port, or the file cannot be written.
pub fn prepare(plan: &mut Plan, overrides: &[(String, String)]) -> anyhow::Result<Sites> {
    let mut common = common(plan)?;
    common.extend(overrides.iter().cloned());
    write_client_site(plan, &common)?;

    let with = |own: Vec<(&str, String)>| {
        let mut conf = Configuration::default();
        let own = own.into_iter().map(|(key, value)| (key.to_owned(), value));
        // What was asked for on the command line also wins over the daemon's own settings.
        let all = common.clone().into_iter().chain(own).chain(overrides.iter().cloned());
        for (key, value) in all {
            conf.set(key, value);
        }
        conf
    };
    // Without these SCM listens on every interface.
    let host = plan.host.to_string();
    let scm = with(vec![
        ("ozone.metadata.dirs", plan.path("scm")),
        ("ozone.scm.client.bind.host", host.clone()),
        ("ozone.scm.block.client.bind.host", host.clone()),
        ("ozone.scm.datanode.bind.host", host),
    ]);
    let om = with(vec![("ozone.metadata.dirs", plan.path("om"))]);
    let client = with(Vec::new());
    let mut datanodes = Vec::new();
    for n in 1..=plan.datanodes {
        let mut own = vec![
            ("ozone.metadata.dirs", plan.path(&format!("dn{n}/metadata"))),
            ("ozone.scm.datanode.id.dir", plan.path(&format!("dn{n}/metadata"))),
            ("hdds.datanode.dir", plan.path(&format!("dn{n}/data"))),
            ("hdds.container.ratis.datanode.storage.dir", plan.path(&format!("dn{n}/ratis"))),
        ];
        for (key, name) in [
            ("hdds.container.ipc.port", "ipc"),
            ("hdds.container.ratis.ipc.port", "ratis"),
            ("hdds.container.ratis.admin.port", "ratis-admin"),
            ("hdds.container.ratis.server.port", "ratis-server"),
            ("hdds.datanode.replication.port", "replication"),
        ] {
            own.push((key, plan.port(&format!("dn{n}.{name}"))?.to_string()));
        }
        own.push(("hdds.datanode.client.address", plan.address(&format!("dn{n}.client"))?));
        // The first has the usual port; the others share its host.
        let http = plan.usual_address(&format!("dn{n}.http"), 9882)?;
        own.push(("hdds.datanode.http-address", http));
        datanodes.push(with(own));
    }
    plan.save()?;
    Ok(Sites { scm, om, datanodes, client })
}

/// What clients and daemons share.
fn common(plan: &mut Plan) -> anyhow::Result<Pairs> {
    let replication = plan.datanodes.min(3);
    let factor = if replication == 3 { "THREE" } else { "ONE" };
    let pairs = [
        ("ozone.om.address", plan.address("om.rpc")?),
        ("ozone.om.ratis.port", plan.port("om.ratis")?.to_string()),
        ("ozone.om.grpc.port", plan.port("om.grpc")?.to_string()),
        ("ozone.om.http-address", plan.usual_address("om.http", 9874)?),
        ("ozone.scm.client.address", plan.address("scm.client")?),
        ("ozone.scm.datanode.address", plan.address("scm.datanode")?),
        ("ozone.scm.block.client.address", plan.address("scm.block")?),
        ("ozone.scm.names", plan.address("scm.datanode")?),
        ("ozone.scm.http-address", plan.usual_address("scm.http", 9876)?),
        ("ozone.scm.security.service.address", plan.address("scm.security")?),
        ("ozone.scm.ratis.port", plan.port("scm.ratis")?.to_string()),
        ("ozone.scm.grpc.port", plan.port("scm.grpc")?.to_string()),
        ("ozone.replication", factor.to_owned()),
        ("ozone.replication.type", "RATIS".to_owned()),
        ("ozone.server.default.replication", factor.to_owned()),
        ("ozone.server.default.replication.type", "RATIS".to_owned()),
        ("hdds.scm.safemode.min.datanode", replication.to_string()),
        ("hdds.scm.wait.time.after.safemode.exit", "3s".to_owned()),
        ("hdds.heartbeat.interval", "1s".to_owned()),
        ("hdds.datanode.hostname", plan.host.to_string()),
        // Each open container reserves its size on its disk, and all datanodes share one here.
        ("ozone.scm.container.size", "1GB".to_owned()),
        // A laptop's disk is shared with everything else on it.
        ("hdds.datanode.dir.du.reserved.percent", "0".to_owned()),
    ];
    Ok(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// Puts the file in place whole: a client that comes during a restart must not read half of it.
fn write_client_site(plan: &Plan, pairs: &Pairs) -> anyhow::Result<()> {
    let directory = plan.directory.join("conf");
    let path = directory.join("ozone-site.xml");
    let draft = directory.join(".ozone-site.xml.new");
    std::fs::create_dir_all(&directory)
        .and_then(|()| std::fs::write(&draft, site_xml(pairs)))
        .and_then(|()| std::fs::rename(&draft, &path))
        .with_context(|| format!("cannot write {}", path.display()))
}

fn site_xml(pairs: &Pairs) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<configuration>\n");
    for (key, value) in pairs {
        let _ = writeln!(
            xml,
            "  <property><name>{}</name><value>{}</value></property>",
            escape(key),
            escape(value)
        );
    }
    xml.push_str("</configuration>\n");
    xml
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_site_file_for_clients_is_one_that_we_read_ourselves() {
        let dir = tempfile::tempdir().unwrap();
        let pairs = [("a.b".to_owned(), "1 < 2 & 3".to_owned())].into_iter().collect();
        std::fs::write(dir.path().join("ozone-site.xml"), site_xml(&pairs)).unwrap();
        let sources =
            ozone_config::Sources { directory: Some(dir.path().to_owned()), ..Default::default() };
        let conf = Configuration::load(&sources).unwrap();
        assert_eq!(conf.string("a.b", "").unwrap(), "1 < 2 & 3");
    }
}
