//! `ozone admin`: what operators ask of a running cluster. So far of its Ozone Managers.

pub mod om;
mod open_files;

use clap::{Args, Subcommand};
use hdds_client::addresses::HostPort;
use ozone_client::OmAddress;

use crate::cli::GlobalArgs;
use crate::failure::Failure;
use crate::sh::Session;

/// `ozone admin`.
#[derive(Args, Debug)]
pub struct AdminArgs {
    /// Which kind of daemon.
    #[command(subcommand)]
    pub command: AdminCommand,
}

/// Kinds of daemons.
#[derive(Subcommand, Debug)]
pub enum AdminCommand {
    /// Ozone Managers
    Om(om::OmAdminArgs),
}

/// Runs `ozone admin …`.
///
/// # Errors
/// What to print, and the exit code.
pub fn run(global: &GlobalArgs, command: AdminCommand) -> Result<(), Failure> {
    let session = Session::new(global.configuration()?, global.verbose);
    match command {
        AdminCommand::Om(args) => om::run(&session, args.command),
    }
}

/// The Ozone Managers of a service.
#[derive(Args, Debug)]
pub struct Service {
    /// Service id of the Ozone Managers (default: the only one)
    #[arg(long = "service-id", visible_alias = "om-service-id", value_name = "serviceID")]
    pub id: Option<String>,
}

impl Service {
    /// Which Ozone Managers (`OMAdmin.createOmClient` of a service).
    ///
    /// # Errors
    /// The configuration does not name the service.
    pub fn address(&self, session: &Session) -> Result<OmAddress, Failure> {
        let Some(id) = &self.id else { return Ok(OmAddress::Configured) };
        let known = session.conf.list("ozone.om.service.ids")?;
        if known.contains(id) {
            return Ok(OmAddress::Named(id.clone(), None));
        }
        Err(Failure::new(format!(
            "This command works only on OzoneManager HA cluster. Service ID specified does not \
             match with ozone.om.service.ids defined in the configuration. Configured \
             ozone.om.service.ids are [{}]",
            known.join(", ")
        )))
    }
}

/// The Ozone Managers of a service, or the one on a host.
#[derive(Args, Debug)]
pub struct ServiceOrHost {
    #[command(flatten)]
    service: Service,
    /// Host of the Ozone Manager, with its port where that is not 9862
    #[arg(long = "service-host", conflicts_with = "id", value_name = "host")]
    host: Option<String>,
}

impl ServiceOrHost {
    /// Which Ozone Managers.
    ///
    /// # Errors
    /// The configuration does not name the service, or the host is none.
    pub fn address(&self, session: &Session) -> Result<OmAddress, Failure> {
        let Some(host) = &self.host else { return self.service.address(session) };
        let (name, port) = HostPort::split(host)
            .ok_or_else(|| Failure::usage(format!("'{host}' is not host:port")))?;
        Ok(OmAddress::Named(name, port))
    }
}

impl std::fmt::Display for ServiceOrHost {
    /// As it was given.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.service.id, &self.host) {
            (Some(id), _) => write!(f, "--om-service-id {id}"),
            (None, Some(host)) => write!(f, " --service-host {host}"),
            (None, None) => Ok(()),
        }
    }
}
