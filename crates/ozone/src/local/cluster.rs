//! Starts, awaits and stops the daemons of a local cluster.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use datanode::Datanode;
use om::Om;
use ozone_config::Configuration;
use scm::Scm;

use crate::local::RunArgs;
use crate::local::plan::Plan;
use crate::local::site;

/// How often readiness is asked for while the cluster starts.
const READY_POLL: Duration = Duration::from_millis(20);

/// SCM, OM and datanodes in this process.
pub struct LocalCluster {
    directory: PathBuf,
    scm: Scm,
    om: Om,
    datanodes: Vec<Datanode>,
    client: Configuration,
}

impl LocalCluster {
    /// Initializes what is new and starts every daemon; returns when all listen.
    ///
    /// # Errors
    /// A daemon cannot start; the text says which and why.
    pub async fn start(args: &RunArgs, overrides: &[(String, String)]) -> anyhow::Result<Self> {
        let mut plan = Plan::new(args)?;
        let sites = site::prepare(&mut plan, overrides)?;
        scm::init(&sites.scm).context("initializing SCM")?;
        let scm = Scm::start(&sites.scm).await.context("starting SCM")?;
        om::init(&sites.om).await.context("initializing the Ozone Manager")?;
        let mut datanodes = Vec::new();
        for (n, conf) in sites.datanodes.iter().enumerate() {
            let datanode = Datanode::start(conf).await;
            datanodes.push(datanode.with_context(|| format!("starting datanode {}", n + 1))?);
        }
        let om = Om::start(&sites.om).await.context("starting the Ozone Manager")?;
        Ok(Self { directory: plan.directory, scm, om, datanodes, client: sites.client })
    }

    /// Waits until keys can be written.
    ///
    /// # Errors
    /// Not within `timeout`; the text says what is missing.
    pub async fn ready(&self, timeout: Duration) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + timeout;
        loop {
            let missing = match self.scm.missing() {
                None => return Ok(()),
                Some(missing) => missing,
            };
            if tokio::time::Instant::now() > deadline {
                anyhow::bail!("the cluster is not ready after {timeout:?}: {missing}");
            }
            tokio::time::sleep(READY_POLL).await;
        }
    }

    /// Ends when a daemon cannot go on, with the reason. (A failed Ozone Manager ends the process itself, a datanode goes on
    /// without the disk or pipeline that failed.)
    pub async fn failed(&self) -> String {
        format!("SCM cannot go on: {}", self.scm.failed().await)
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Settings for clients of this cluster.
    pub fn client_conf(&self) -> &Configuration {
        &self.client
    }

    /// Where the Ozone Manager answers.
    pub fn om_address(&self) -> SocketAddr {
        self.om.rpc_address()
    }

    /// Where SCM answers clients.
    pub fn scm_address(&self) -> SocketAddr {
        self.scm.rpc_address()
    }

    /// HTTP ports: of the Ozone Manager, SCM, and each datanode; `None` where switched off.
    pub fn http_addresses(&self) -> (Option<SocketAddr>, Option<SocketAddr>, Vec<SocketAddr>) {
        let datanodes = self.datanodes.iter().filter_map(Datanode::http_address).collect();
        (self.om.http_address(), self.scm.http_address(), datanodes)
    }

    /// Number of datanodes.
    pub fn datanodes(&self) -> usize {
        self.datanodes.len()
    }

    /// Stops every daemon, the ones that others need last.
    ///
    /// # Errors
    /// A daemon could not close its files properly.
    pub async fn shutdown(self) -> anyhow::Result<()> {
        self.om.shutdown().await.context("stopping the Ozone Manager")?;
        for datanode in self.datanodes {
            datanode.shutdown().await.context("stopping a datanode")?;
        }
        self.scm.shutdown().await.context("stopping SCM")
    }
}
