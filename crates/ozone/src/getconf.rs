//! `ozone getconf`: values of the configuration, for scripts.

use clap::{Args, Subcommand};
use hdds_client::addresses;

use crate::cli::GlobalArgs;
use crate::failure::Failure;

/// `ozone getconf`.
#[derive(Args, Debug)]
pub struct GetconfArgs {
    /// What to print.
    #[command(subcommand)]
    pub command: GetconfCommand,
}

/// What `ozone getconf` prints.
#[derive(Subcommand, Debug)]
pub enum GetconfCommand {
    /// The value of a key, or its default
    #[command(name = "confKey", aliases = ["confkey", "key"])]
    ConfKey {
        /// The key
        #[arg(value_name = "confKey")]
        key: String,
    },
    /// Hosts of the Ozone Managers
    #[command(name = "ozonemanagers")]
    OzoneManagers,
    /// Hosts of the Storage Container Managers
    #[command(name = "storagecontainermanagers")]
    StorageContainerManagers,
}

/// Runs `ozone getconf …`.
///
/// # Errors
/// What to print, and the exit code.
pub fn run(global: &GlobalArgs, args: &GetconfArgs) -> Result<(), Failure> {
    let conf = global.configuration()?;
    let failed = |error: addresses::AddressError| Failure::new(error.to_string());
    match &args.command {
        GetconfCommand::ConfKey { key } => match conf.get_or_default(key)? {
            Some(value) => println!("{value}"),
            None => return Err(Failure::new(format!("Configuration {key} is missing."))),
        },
        GetconfCommand::OzoneManagers => {
            let services = addresses::om_services(&conf).map_err(failed)?;
            let services = if services.is_empty() {
                vec![None]
            } else {
                services.iter().map(|service| Some(service.as_str())).collect()
            };
            for service in services {
                for node in addresses::om_nodes(&conf, service).map_err(failed)? {
                    println!("{}", node.rpc.host);
                }
            }
        }
        GetconfCommand::StorageContainerManagers => {
            for node in addresses::scm_nodes(&conf).map_err(failed)? {
                let address = node.require(addresses::ScmPort::Client).map_err(failed)?;
                println!("{}", address.host);
            }
        }
    }
    Ok(())
}
