//! Secrets of S3 users: what `ozone s3` asks for.

use om_proto::{GetS3SecretRequest, OmRequest, RevokeS3SecretRequest, SetS3SecretRequest, Type};

use crate::{ClientError, OzoneClient};

/// What an S3 client signs its requests with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct S3Secret {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret: String,
}

impl OzoneClient {
    /// A new secret for a user who has none; it is given out this once.
    ///
    /// # Errors
    /// `S3_SECRET_ALREADY_EXISTS`, `USER_MISMATCH` for another user's unless an administrator asks,
    /// or see [`ClientError`].
    pub async fn get_s3_secret(&self, access_id: &str) -> Result<S3Secret, ClientError> {
        let get = GetS3SecretRequest { kerberos_id: access_id.to_owned(), ..Default::default() };
        let request = OmRequest {
            cmd_type: Type::GetS3Secret.into(),
            get_s3_secret_request: Some(Box::new(get)),
            ..Default::default()
        };
        let answer = self.om.submit(request).await?.get_s3_secret_response;
        let found = answer.ok_or(ClientError::Malformed("getS3SecretResponse"))?.s3_secret;
        Ok(S3Secret { access_id: found.kerberos_id, secret: found.aws_secret })
    }

    /// Sets a user's secret.
    ///
    /// # Errors
    /// `INVALID_REQUEST` for a short one, `USER_MISMATCH`, or see [`ClientError`].
    pub async fn set_s3_secret(
        &self,
        access_id: &str,
        secret: &str,
    ) -> Result<S3Secret, ClientError> {
        let set = SetS3SecretRequest {
            access_id: Some(access_id.to_owned()),
            secret_key: Some(secret.to_owned()),
        };
        let request = OmRequest {
            cmd_type: Type::SetS3Secret.into(),
            set_s3_secret_request: Some(Box::new(set)),
            ..Default::default()
        };
        let answer = self.om.submit(request).await?.set_s3_secret_response;
        let set = answer.ok_or(ClientError::Malformed("setS3SecretResponse"))?;
        Ok(S3Secret {
            access_id: set.access_id.unwrap_or_default(),
            secret: set.secret_key.unwrap_or_default(),
        })
    }

    /// Forgets a user's secret.
    ///
    /// # Errors
    /// `ACCESS_ID_NOT_FOUND`, `USER_MISMATCH`, or see [`ClientError`].
    pub async fn revoke_s3_secret(&self, access_id: &str) -> Result<(), ClientError> {
        let revoke = RevokeS3SecretRequest { kerberos_id: access_id.to_owned() };
        let request = OmRequest {
            cmd_type: Type::RevokeS3Secret.into(),
            revoke_s3_secret_request: Some(Box::new(revoke)),
            ..Default::default()
        };
        self.om.submit(request).await.map(drop)
    }
}
