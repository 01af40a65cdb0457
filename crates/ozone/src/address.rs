//! Addresses of volumes, buckets and keys: `/vol/bucket/key`, `o3://service/vol/bucket/key`,
//! `o3://host:port/…` (`OzoneAddress`).

use om_proto::ozone_obj::{ObjectType, StoreType};
use ozone_client::OmAddress;
use ozone_client::acl::AclObject;

/// What an address names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// Scheme other than `o3`, which no command can serve.
    pub foreign_scheme: Option<String>,
    /// Which cluster.
    pub om: OmAddress,
    /// Volume; empty if not named.
    pub volume: String,
    /// Bucket; empty if not named.
    pub bucket: String,
    /// Key, as written: slashes in it count.
    pub key: String,
}

/// What a command needs its address to name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing below the cluster.
    Root,
    /// A volume.
    Volume,
    /// A bucket.
    Bucket,
    /// A key.
    Key,
    /// A volume or a bucket.
    VolumeOrBucket,
    /// A prefix of keys.
    Prefix,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// The port is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once(':') {
            Some((scheme, rest)) if !scheme.is_empty() && rest.starts_with('/') => {
                (Some(scheme), rest)
            }
            _ => (None, text),
        };
        let (authority, path) = match rest.strip_prefix("//").filter(|rest| !rest.is_empty()) {
            Some(rest) => rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash)),
            None => ("", rest),
        };
        let path = path.trim_start_matches('/');
        let (volume, rest) = path.split_once('/').unwrap_or((path, ""));
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Self {
            foreign_scheme: scheme.filter(|scheme| *scheme != "o3").map(str::to_owned),
            om: om_address(authority)?,
            volume: volume.to_owned(),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }

    /// Refuses what does not name what a command needs, in the words of the genuine shell.
    ///
    /// # Errors
    /// What is missing or too much.
    pub fn require(self, kind: Kind) -> Result<Self, String> {
        let (volume, bucket, key) =
            (!self.volume.is_empty(), !self.bucket.is_empty(), !self.key.is_empty());
        let wrong = match kind {
            Kind::Root if volume || bucket || key => {
                "Invalid URI. Volume/bucket/key elements should not been used"
            }
            Kind::Volume if key || volume && bucket => {
                "Invalid volume name. Delimiters (/) not allowed in volume name"
            }
            Kind::Volume if !volume => "Volume name is required",
            Kind::Bucket if key => "Invalid bucket name. Delimiters (/) not allowed in bucket name",
            Kind::Bucket if !volume => "Volume name is required.",
            Kind::Bucket if !bucket => "Bucket name is required.",
            Kind::Key if !key => "Key name is missing.",
            Kind::Prefix if !key => "prefix name is missing.",
            Kind::Key | Kind::Prefix if !volume => "Volume name is missing",
            Kind::Key | Kind::Prefix if !bucket => "Bucket name is missing",
            Kind::VolumeOrBucket if key && !is_snapshot(&self.key) => {
                "Key address is not supported."
            }
            Kind::VolumeOrBucket if !volume => "Volume name is missing.",
            _ => return Ok(self),
        };
        Err(wrong.to_owned())
    }

    /// Refuses another scheme than `o3`; the genuine shell does so only when it connects.
    ///
    /// # Errors
    /// What to use instead.
    pub fn require_scheme(&self) -> Result<(), String> {
        match self.foreign_scheme.as_deref() {
            None => Ok(()),
            Some("http") => {
                Err("REST schema is not supported any more. Please use AWS S3 protocol \
                                 if you need REST interface."
                    .to_owned())
            }
            Some(other) => Err(format!(
                "Invalid URI, unknown protocol scheme: {other}. Use o3:// as the scheme"
            )),
        }
    }

    /// The object for commands about access.
    pub fn acl_object(&self, store: StoreType, prefix: bool) -> AclObject {
        let (kind, path) = if !self.key.is_empty() {
            let kind = if prefix { ObjectType::Prefix } else { ObjectType::Key };
            (kind, format!("/{}/{}/{}", self.volume, self.bucket, self.key))
        } else if !self.bucket.is_empty() {
            (ObjectType::Bucket, format!("/{}/{}", self.volume, self.bucket))
        } else {
            (ObjectType::Volume, format!("/{}", self.volume))
        };
        AclObject { kind, store, path }
    }
}

/// `.snapshot/name`, the root of a snapshot.
fn is_snapshot(key: &str) -> bool {
    key.strip_prefix(".snapshot/").is_some_and(|name| !name.trim_end_matches('/').contains('/'))
}

fn om_address(authority: &str) -> Result<OmAddress, String> {
    if authority.is_empty() {
        return Ok(OmAddress::Configured);
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            let number = port.parse().ok().filter(|port: &u16| *port != 0);
            let number = number.ok_or_else(|| format!("Invalid URI: {port:?} is not a port"))?;
            (host, Some(number))
        }
        _ => (authority, None),
    };
    Ok(OmAddress::Named(host.trim_matches(['[', ']']).to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> (String, String, String) {
        let address = Address::parse(text).unwrap();
        (address.volume, address.bucket, address.key)
    }

    fn owned(volume: &str, bucket: &str, key: &str) -> (String, String, String) {
        (volume.to_owned(), bucket.to_owned(), key.to_owned())
    }

    #[test]
    fn short_and_full_forms_name_the_same() {
        for text in ["v/b/k", "/v/b/k", "//v/b/k", "o3:///v/b/k", "o3://svc/v/b/k"] {
            let expected =
                if text == "//v/b/k" { owned("b", "k", "") } else { owned("v", "b", "k") };
            assert_eq!(parts(text), expected, "{text}");
        }
        assert_eq!(parts("v/b//a/ b#?"), owned("v", "b", "/a/ b#?"));
        assert_eq!(parts("v/b/colon:key/"), owned("v", "b", "colon:key/"));
        assert_eq!(parts(""), owned("", "", ""));
    }

    #[test]
    fn the_cluster_is_a_service_or_a_host() {
        let om = |text| Address::parse(text).unwrap().om;
        assert_eq!(om("/v"), OmAddress::Configured);
        assert_eq!(om("o3://svc/v"), OmAddress::Named("svc".to_owned(), None));
        assert_eq!(om("o3://[::1]:9862/"), OmAddress::Named("::1".to_owned(), Some(9862)));
        let foreign = Address::parse("hdfs://h/v").unwrap().require_scheme().unwrap_err();
        assert!(foreign.contains("unknown protocol scheme: hdfs"));
    }

    #[test]
    fn what_an_address_lacks_is_told_in_the_genuine_words() {
        let refused = |text, kind| Address::parse(text).unwrap().require(kind).unwrap_err();
        assert_eq!(refused("v", Kind::Bucket), "Bucket name is required.");
        assert_eq!(refused("v/b", Kind::Key), "Key name is missing.");
        assert_eq!(refused("/", Kind::Volume), "Volume name is required");
        assert!(refused("v/b", Kind::Volume).starts_with("Invalid volume name."));
        assert!(refused("v/b/k", Kind::Bucket).starts_with("Invalid bucket name."));
        assert!(Address::parse("v/b/.snapshot/s").unwrap().require(Kind::VolumeOrBucket).is_ok());
    }
}
