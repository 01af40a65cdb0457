//! Directories and ports of a local cluster. Ports are chosen once and kept in the data directory,
//! so that addresses stay valid over restarts.

use std::collections::BTreeMap;
use std::net::{IpAddr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use ozone_daemon::properties;

use crate::local::{Format, RunArgs};

/// Kept in the data directory: name of a listener to its port.
const PORTS_FILE: &str = "ports";

/// Where everything is.
pub struct Plan {
    /// The data directory.
    pub directory: PathBuf,
    /// Listens and is advertised.
    pub host: IpAddr,
    /// Number of datanodes.
    pub datanodes: u16,
    ports: BTreeMap<String, String>,
    /// A port of 0 was asked for: then no other is the usual one either.
    random: bool,
}

impl Plan {
    /// Makes or finds the data directory.
    ///
    /// # Errors
    /// The directory cannot be used, or `--format never` and there is no cluster.
    pub fn new(args: &RunArgs) -> anyhow::Result<Self> {
        let directory = directory(args)?;
        let ports_file = directory.join(PORTS_FILE);
        let exists = ports_file.exists();
        match args.format {
            Format::Never if !exists => {
                bail!("there is no cluster in {}; leave out --format never", directory.display())
            }
            Format::Always => clear(&directory, exists)?,
            Format::Never | Format::IfNeeded => {}
        }
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create {}", directory.display()))?;
        let directory = directory.canonicalize()?;
        let ports_file = directory.join(PORTS_FILE);
        let host = args
            .host
            .parse()
            .with_context(|| format!("--host {:?} is not an IP address", args.host))?;
        let mut ports = properties::read(&ports_file)?.unwrap_or_default();
        // A port that was asked for wins over the one of last time.
        for (name, port) in [("scm.client", args.scm_port), ("om.rpc", args.om_port)] {
            if port != 0 {
                ports.insert(name.to_owned(), port.to_string());
            }
        }
        let random = args.scm_port == 0 || args.om_port == 0;
        Ok(Self { directory, host, datanodes: args.datanodes, ports, random })
    }

    /// The port of a listener; picks a free one the first time.
    ///
    /// # Errors
    /// No port is free.
    pub fn port(&mut self, name: &str) -> anyhow::Result<u16> {
        if let Some(port) = self.ports.get(name).and_then(|text| text.parse().ok()) {
            return Ok(port);
        }
        loop {
            let port = TcpListener::bind((self.host, 0))?.local_addr()?.port().to_string();
            if !self.ports.values().any(|taken| *taken == port) {
                self.ports.insert(name.to_owned(), port.clone());
                return Ok(port.parse()?);
            }
        }
    }

    /// As [`Self::port`], but the first time it is `usual` if that is free and ports are not random.
    ///
    /// # Errors
    /// No port is free.
    pub fn usual_port(&mut self, name: &str, usual: u16) -> anyhow::Result<u16> {
        let taken = self.ports.values().any(|port| *port == usual.to_string());
        let wanted = !self.random && !taken && !self.ports.contains_key(name);
        if wanted && TcpListener::bind((self.host, usual)).is_ok() {
            self.ports.insert(name.to_owned(), usual.to_string());
        }
        self.port(name)
    }

    /// `host:port` of a listener that has a usual port.
    ///
    /// # Errors
    /// See [`Self::port`].
    pub fn usual_address(&mut self, name: &str, usual: u16) -> anyhow::Result<String> {
        let port = self.usual_port(name, usual)?;
        Ok(format!("{}:{port}", self.host))
    }

    /// `host:port` of a listener.
    ///
    /// # Errors
    /// See [`Self::port`].
    pub fn address(&mut self, name: &str) -> anyhow::Result<String> {
        let port = self.port(name)?;
        Ok(format!("{}:{port}", self.host))
    }

    /// A directory of a daemon.
    pub fn path(&self, name: &str) -> String {
        self.directory.join(name).display().to_string()
    }

    /// Keeps the ports for the next start.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self) -> anyhow::Result<()> {
        properties::write(&self.directory.join(PORTS_FILE), &self.ports)?;
        Ok(())
    }
}

fn directory(args: &RunArgs) -> anyhow::Result<PathBuf> {
    if let Some(directory) = &args.data_dir {
        return Ok(directory.clone());
    }
    let home = std::env::var_os("HOME").context("HOME is not set; name a directory: --data-dir")?;
    Ok(Path::new(&home).join(".ozone/local"))
}

/// Deletes a cluster; refuses to delete a directory that is none.
fn clear(directory: &Path, is_cluster: bool) -> anyhow::Result<()> {
    let is_empty = match std::fs::read_dir(directory) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => true,
    };
    if is_empty {
        return Ok(());
    }
    if !is_cluster {
        bail!("{} is not empty and holds no local cluster; not deleting it", directory.display());
    }
    std::fs::remove_dir_all(directory)
        .with_context(|| format!("cannot delete {}", directory.display()))
}
