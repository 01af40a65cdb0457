//! `ozone getconf`: values of the configuration, for scripts.

use std::net::{IpAddr, SocketAddr};

use clap::{Args, Subcommand};
use hdds_client::addresses;

use crate::cli::GlobalArgs;
use crate::failure::Failure;
use crate::output;

/// Bytes for the longest host name (`NI_MAXHOST`).
const HOST_NAME_BYTES_MAX: usize = 1025;

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
            Some(value) => output::line(&value)?,
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
                    output::line(&host_name(&node.rpc.host))?;
                }
            }
        }
        GetconfCommand::StorageContainerManagers => {
            for node in addresses::scm_nodes(&conf).map_err(failed)? {
                let address = node.require(addresses::ScmPort::Client).map_err(failed)?;
                output::line(&host_name(&address.host))?;
            }
        }
    }
    Ok(())
}

/// The name of an address, as Java's `getHostName` finds it; what is no address stays as it is.
fn host_name(host: &str) -> String {
    let found = host.parse().ok().and_then(|ip: IpAddr| reverse(SocketAddr::new(ip, 0)));
    found.unwrap_or_else(|| host.to_owned())
}

/// Asks the resolver (hosts file, DNS) for the name of an IPv4 address.
fn reverse(address: SocketAddr) -> Option<String> {
    let SocketAddr::V4(v4) = address else { return None };
    // SAFETY: all-zero is a valid address structure, on every system.
    let mut native: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    native.sin_family = libc::AF_INET as libc::sa_family_t;
    native.sin_addr.s_addr = u32::from(*v4.ip()).to_be();
    let mut name = vec![0_u8; HOST_NAME_BYTES_MAX];
    // SAFETY: the address and the buffer live through the call, and both lengths are theirs.
    let code = unsafe {
        libc::getnameinfo(
            (&raw const native).cast(),
            size_of::<libc::sockaddr_in>() as libc::socklen_t,
            name.as_mut_ptr().cast(),
            HOST_NAME_BYTES_MAX as libc::socklen_t,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    if code != 0 {
        return None;
    }
    let end = name.iter().position(|byte| *byte == 0)?;
    String::from_utf8(name[..end].to_vec()).ok()
}
