//! Where the port opens, and what it may tell.

use std::net::SocketAddr;

use anyhow::Context;
use ozone_config::{Configuration, default_of};
use tokio::net::lookup_host;

/// Names of the keys of one daemon; those of a node in a ring are resolved by the daemon.
#[derive(Clone, Debug)]
pub struct HttpKeys {
    /// E.g. `ozone.om.http-address`.
    pub address: String,
    /// E.g. `ozone.om.http-bind-host`.
    pub bind_host: String,
    /// E.g. `ozone.om.http.enabled`.
    pub enabled: &'static str,
    /// Port where none is written.
    pub port: u16,
}

/// What an HTTP port needs to know.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// `host:port` to listen on; `None` when the port is switched off.
    pub address: Option<String>,
    /// The key that names the address, for errors.
    pub address_key: String,
    /// `hdds.prometheus.endpoint.enabled`, true.
    pub prometheus: bool,
    /// `hdds.prometheus.endpoint.token`: what `Authorization: Bearer` must hold; none is asked for when
    /// it is not set.
    pub prometheus_token: Option<String>,
}

impl HttpSettings {
    /// Reads them (`BaseHttpServer`). With `ozone.http.policy=HTTPS_ONLY` no port opens: TLS is not
    /// there yet, and plain text was not wanted.
    ///
    /// # Errors
    /// A value is malformed.
    pub fn read(conf: &Configuration, keys: &HttpKeys) -> anyhow::Result<Self> {
        let policy = conf.typed(
            "ozone.http.policy",
            true,
            "HTTP_ONLY, HTTPS_ONLY or HTTP_AND_HTTPS",
            |text| match text {
                "HTTP_ONLY" | "HTTP_AND_HTTPS" => Some(true),
                "HTTPS_ONLY" => Some(false),
                _ => None,
            },
        )?;
        if !policy {
            tracing::warn!("ozone.http.policy is HTTPS_ONLY, which is not supported; no HTTP port");
        }
        let enabled = conf.boolean(keys.enabled, true)? && policy;
        let text = conf.string(&keys.address, "")?;
        let malformed = || conf.malformed(&keys.address, &text, "host:port, e.g. 0.0.0.0:9874");
        let (host, port) = match text.rsplit_once(':') {
            None => (text.as_str(), keys.port),
            Some((host, port)) => (host, port.parse().ok().with_context(malformed)?),
        };
        let bind = conf.get(&keys.bind_host)?;
        let host = bind.as_deref().filter(|host| !host.is_empty()).unwrap_or(host);
        let host = if host.is_empty() { "0.0.0.0" } else { host };
        let token_key = "hdds.prometheus.endpoint.token";
        debug_assert!(default_of(token_key).is_some());
        Ok(Self {
            address: enabled.then(|| format!("{host}:{port}")),
            address_key: keys.address.clone(),
            prometheus: conf.boolean("hdds.prometheus.endpoint.enabled", true)?,
            prometheus_token: conf.get(token_key)?,
        })
    }

    /// The socket to listen on; `None` when the port is switched off.
    ///
    /// # Errors
    /// The host has no address.
    pub(crate) async fn resolve(&self) -> anyhow::Result<Option<SocketAddr>> {
        let Some(address) = &self.address else { return Ok(None) };
        let found = lookup_host(address).await.ok().and_then(|mut found| found.next());
        let key = &self.address_key;
        found.map(Some).with_context(|| format!("{key}: {address} has no address"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> HttpKeys {
        HttpKeys {
            address: "ozone.om.http-address".to_owned(),
            bind_host: "ozone.om.http-bind-host".to_owned(),
            enabled: "ozone.om.http.enabled",
            port: 9874,
        }
    }

    #[test]
    fn the_bind_host_wins_over_the_host_of_the_address() {
        let mut conf = Configuration::default();
        let read = |conf: &Configuration| HttpSettings::read(conf, &keys()).unwrap().address;
        assert_eq!(read(&conf).as_deref(), Some("0.0.0.0:9874"));
        conf.set("ozone.om.http-address", "om.example:1234");
        assert_eq!(read(&conf).as_deref(), Some("om.example:1234"));
        conf.set("ozone.om.http-bind-host", "127.0.0.1");
        assert_eq!(read(&conf).as_deref(), Some("127.0.0.1:1234"));
        conf.set("ozone.om.http.enabled", "false");
        assert_eq!(read(&conf), None);
    }

    #[test]
    fn plain_text_is_not_served_when_only_https_is_wanted() {
        let mut conf = Configuration::default();
        conf.set("ozone.http.policy", "HTTPS_ONLY");
        assert_eq!(HttpSettings::read(&conf, &keys()).unwrap().address, None);
        conf.set("ozone.http.policy", "FTP");
        assert!(HttpSettings::read(&conf, &keys()).is_err());
    }
}
