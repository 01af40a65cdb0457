//! Access control entries: text, wire, and the four operations on them.

use std::fmt;

use bytes::Bytes;
use om_proto::ozone_acl_info::{OzoneAclScope, OzoneAclType};
use om_proto::ozone_obj::{ObjectType, StoreType};
use om_proto::{
    AddAclRequest, GetAclRequest, OmRequest, OzoneAclInfo, OzoneObj, RemoveAclRequest,
    SetAclRequest, Status, Type,
};

use crate::{ClientError, OzoneClient};

/// Rights in the order of their bits: name and letter (`IAccessAuthorizer.ACLType`).
const RIGHTS: [(&str, char); 10] = [
    ("READ", 'r'),
    ("WRITE", 'w'),
    ("CREATE", 'c'),
    ("LIST", 'l'),
    ("DELETE", 'd'),
    ("READ_ACL", 'x'),
    ("WRITE_ACL", 'y'),
    ("ALL", 'a'),
    ("NONE", 'n'),
    ("ASSUME_ROLE", 'm'),
];

/// Who may do what.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Acl {
    /// Kind of identity.
    pub kind: OzoneAclType,
    /// User or group; the kind's name for WORLD and ANONYMOUS.
    pub name: String,
    /// Rights as bits, in the order of the wire.
    pub rights: u16,
    /// DEFAULT entries are inherited by what is created below.
    pub scope: OzoneAclScope,
}

/// What an ACL is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AclObject {
    /// Volume, bucket, key or prefix.
    pub kind: ObjectType,
    /// Ozone's own or S3's store.
    pub store: StoreType,
    /// `/volume/bucket/key`.
    pub path: String,
}

impl Acl {
    /// Reads `user:name:rw[DEFAULT]`.
    ///
    /// # Errors
    /// What is wrong with it, in the words of the genuine client.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("ACLs cannot be null or empty".to_owned());
        }
        let parts: Vec<&str> = text.trim().split(':').collect();
        let [kind, name, rights, ..] = parts[..] else {
            return Err("ACLs are not in expected format".to_owned());
        };
        let kind = OzoneAclType::from_str_name(&kind.to_uppercase()).ok_or_else(|| {
            format!(
                "No enum constant org.apache.hadoop.ozone.security.acl.IAccessAuthorizer.\
                 ACLIdentityType.{}",
                kind.to_uppercase()
            )
        })?;
        if rights.is_empty() {
            return Err("ACLs are not in expected format".to_owned());
        }
        let (letters, scope) = match rights.strip_suffix(']').and_then(|r| r.split_once('[')) {
            Some((letters, "ACCESS")) => (letters, OzoneAclScope::Access),
            Some((letters, "DEFAULT")) => (letters, OzoneAclScope::Default),
            _ => (rights, OzoneAclScope::Access),
        };
        let mut bits = 0;
        for letter in letters.chars() {
            let bit = RIGHTS
                .iter()
                .position(|(_, known)| *known == letter)
                .ok_or_else(|| format!("[{letter}] ACL right is not recognized"))?;
            bits |= 1 << bit;
        }
        let name = check_name(kind, name)?;
        Ok(Self { kind, name, rights: bits, scope })
    }

    /// Names of the rights, in the order of their bits.
    pub fn right_names(&self) -> Vec<&'static str> {
        self.set_rights().map(|(name, _)| name).collect()
    }

    /// Without the scope when it is ACCESS, as `getacl --no-json` prints it.
    pub fn short(&self) -> String {
        let text = self.to_string();
        text.strip_suffix("[ACCESS]").map_or(text.clone(), str::to_owned)
    }

    fn set_rights(&self) -> impl Iterator<Item = (&'static str, char)> {
        let rights = self.rights;
        RIGHTS.into_iter().enumerate().filter(move |(bit, _)| rights & (1 << bit) != 0).map(|x| x.1)
    }

    pub(crate) fn to_wire(&self) -> OzoneAclInfo {
        let [low, high] = self.rights.to_le_bytes();
        let rights = if high == 0 { vec![low] } else { vec![low, high] };
        OzoneAclInfo {
            r#type: self.kind.into(),
            name: self.name.clone(),
            rights: Bytes::from(rights),
            acl_scope: self.scope.into(),
        }
    }

    pub(crate) fn from_wire(info: &OzoneAclInfo) -> Option<Self> {
        let byte = |at: usize| info.rights.get(at).copied().unwrap_or(0);
        Some(Self {
            kind: OzoneAclType::try_from(info.r#type).ok()?,
            name: info.name.clone(),
            rights: u16::from_le_bytes([byte(0), byte(1)]),
            scope: OzoneAclScope::try_from(info.acl_scope).ok()?,
        })
    }
}

fn check_name(kind: OzoneAclType, name: &str) -> Result<String, String> {
    match kind {
        OzoneAclType::World | OzoneAclType::Anonymous => {
            if ["", "WORLD", "ANONYMOUS"].contains(&name) {
                Ok(kind.as_str_name().to_owned())
            } else {
                Err(format!("Expected name {}, but was: {name}", kind.as_str_name()))
            }
        }
        OzoneAclType::User | OzoneAclType::Group if name.is_empty() => {
            Err(format!("{} name is required", kind.as_str_name().to_lowercase()))
        }
        _ => Ok(name.to_owned()),
    }
}

impl fmt::Display for Acl {
    /// `user:name:rw[ACCESS]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letters: String = self.set_rights().map(|(_, letter)| letter).collect();
        let kind = match self.kind {
            OzoneAclType::ClientIp => "ip".to_owned(),
            other => other.as_str_name().to_lowercase(),
        };
        write!(f, "{kind}:{}:{letters}[{}]", self.name, self.scope.as_str_name())
    }
}

impl AclObject {
    fn to_wire(&self) -> OzoneObj {
        OzoneObj {
            res_type: self.kind.into(),
            store_type: self.store.into(),
            path: self.path.clone(),
        }
    }
}

impl OzoneClient {
    /// The entries of an object.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn acls(&self, object: &AclObject) -> Result<Vec<Acl>, ClientError> {
        let request = OmRequest {
            cmd_type: Type::GetAcl.into(),
            get_acl_request: Some(Box::new(GetAclRequest { obj: object.to_wire() })),
            ..Default::default()
        };
        let response = self.om.submit(request).await?;
        let acls = response.get_acl_response.map(|found| found.acls).unwrap_or_default();
        Ok(acls.iter().filter_map(Acl::from_wire).collect())
    }

    /// Adds an entry; `false` if it was there.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn add_acl(&self, object: &AclObject, acl: &Acl) -> Result<bool, ClientError> {
        let add = AddAclRequest { obj: object.to_wire(), acl: acl.to_wire(), ..Default::default() };
        let request = OmRequest {
            cmd_type: Type::AddAcl.into(),
            add_acl_request: Some(Box::new(add)),
            ..Default::default()
        };
        let response = self.om.submit(request).await?;
        Ok(response.add_acl_response.is_some_and(|answer| answer.response))
    }

    /// Takes an entry's rights away; `false` if it was not there.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn remove_acl(&self, object: &AclObject, acl: &Acl) -> Result<bool, ClientError> {
        let remove =
            RemoveAclRequest { obj: object.to_wire(), acl: acl.to_wire(), ..Default::default() };
        let request = OmRequest {
            cmd_type: Type::RemoveAcl.into(),
            remove_acl_request: Some(Box::new(remove)),
            ..Default::default()
        };
        let response = self.om.submit(request).await?;
        Ok(response.remove_acl_response.is_some_and(|answer| answer.response))
    }

    /// Replaces all entries.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn set_acls(&self, object: &AclObject, acls: &[Acl]) -> Result<bool, ClientError> {
        let set = SetAclRequest {
            obj: object.to_wire(),
            acl: acls.iter().map(Acl::to_wire).collect(),
            ..Default::default()
        };
        let request = OmRequest {
            cmd_type: Type::SetAcl.into(),
            set_acl_request: Some(Box::new(set)),
            ..Default::default()
        };
        let response = self.om.submit(request).await?;
        Ok(response.status == i32::from(Status::Ok))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_acl_is_read_and_written_as_the_shell_does() {
        let acl = Acl::parse("user:anna:rwl[DEFAULT]").unwrap();
        assert_eq!(acl.right_names(), ["READ", "WRITE", "LIST"]);
        assert_eq!(acl.to_string(), "user:anna:rwl[DEFAULT]");
        let all = Acl::parse("group:staff:a").unwrap();
        assert_eq!(all.to_string(), "group:staff:a[ACCESS]");
        assert_eq!(all.short(), "group:staff:a");
        assert_eq!(Acl::from_wire(&all.to_wire()), Some(all));
        assert_eq!(Acl::parse("world::n").unwrap().to_wire().rights.as_ref(), [0, 1]);
    }

    #[test]
    fn a_wrong_acl_is_refused_with_a_reason() {
        assert_eq!(Acl::parse("user:anna").unwrap_err(), "ACLs are not in expected format");
        assert_eq!(Acl::parse("user:anna:q").unwrap_err(), "[q] ACL right is not recognized");
        assert_eq!(Acl::parse("user::r").unwrap_err(), "user name is required");
        assert_eq!(Acl::parse("user:anna:").unwrap_err(), "ACLs are not in expected format");
    }
}
