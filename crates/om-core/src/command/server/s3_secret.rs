//! S3 secrets: `GetS3Secret`, `SetS3Secret`, `RevokeS3Secret`.
//!
//! The leader draws a new secret; it travels in the log, so that every replica stores the same.

use om_proto::{
    GetS3SecretRequest, GetS3SecretResponse, OmResponse, RevokeS3SecretRequest, S3Secret,
    SetS3SecretRequest, SetS3SecretResponse, Status, UpdateGetS3SecretRequest,
};
use sha2::{Digest, Sha256};

use crate::command::{BlocksWanted, Caller, Write};
use crate::error::{Failure, OmError};
use crate::namespace::{At, Namespace};
use crate::tables;

/// Shortest secret, in characters (`OzoneConsts.S3_SECRET_KEY_MIN_LENGTH`).
const SECRET_CHARS_MIN: usize = 8;

/// Everybody sees to his own secret, an administrator to all.
fn check_caller(caller: &Caller<'_>, ns: &Namespace<'_>, access_id: &str) -> Result<(), OmError> {
    if access_id.is_empty() {
        return Err(OmError::new(Status::InvalidRequest, "The access id is empty"));
    }
    if caller.user == access_id || ns.rules.is_admin(caller) {
        return Ok(());
    }
    Err(OmError::new(
        Status::UserMismatch,
        format!(
            "Requested accessId '{access_id}' doesn't match current user '{}', nor does current \
             user has administrator privilege.",
            caller.user
        ),
    ))
}

/// A secret for an access id: 64 hexadecimal digits.
pub(crate) fn draw(caller: &Caller<'_>, access_id: &str) -> UpdateGetS3SecretRequest {
    let digest = Sha256::digest((caller.random)());
    let aws_secret = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    UpdateGetS3SecretRequest { kerberos_id: access_id.to_owned(), aws_secret }
}

/// Early checks of `GetS3Secret`; whether a new secret is needed.
pub(crate) fn prepare_get(
    request: &mut GetS3SecretRequest,
    ns: &Namespace<'_>,
    caller: &Caller<'_>,
) -> Result<bool, OmError> {
    check_caller(caller, ns, &request.kerberos_id)?;
    Ok(*request.create_if_not_exist.get_or_insert(true))
}

/// Gives a secret out once, when it is made.
pub(crate) fn apply_get(
    request: GetS3SecretRequest,
    drawn: Option<UpdateGetS3SecretRequest>,
    ns: &mut Namespace<'_>,
    reply: &mut OmResponse,
) -> Result<(), Failure> {
    let id = request.kerberos_id;
    if ns.has(&tables::S3_SECRET, id.as_bytes())? {
        let message = format!("Secret for '{id}' already exists");
        return Err(Failure::new(Status::S3SecretAlreadyExists, message));
    }
    let Some(drawn) = drawn.filter(|_| request.create_if_not_exist.unwrap_or(true)) else {
        let message = format!("accessId '{id}' doesn't exist");
        return Err(Failure::new(Status::AccessIdNotFound, message));
    };
    let s3_secret = S3Secret { kerberos_id: id.clone(), aws_secret: drawn.aws_secret };
    ns.put(&tables::S3_SECRET, id.into_bytes(), &s3_secret);
    reply.get_s3_secret_response = Some(Box::new(GetS3SecretResponse { s3_secret }));
    Ok(())
}

fn not_found(id: &str) -> Failure {
    Failure::new(Status::AccessIdNotFound, format!("accessId '{id}' not found."))
}

impl Write for SetS3SecretRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        let invalid = |message: String| Err(Failure::new(Status::InvalidRequest, message));
        if !ns.has(&tables::S3_SECRET, self.access_id().as_bytes())? {
            return Err(not_found(self.access_id()));
        }
        if self.secret_key().is_empty() {
            return invalid("Secret key should not be empty".to_owned());
        }
        if self.secret_key().chars().count() < SECRET_CHARS_MIN {
            return invalid(format!(
                "Secret key length should be at least {SECRET_CHARS_MIN} characters"
            ));
        }
        check_caller(caller, ns, self.access_id())?;
        Ok(None)
    }

    fn apply(
        self,
        _: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let row = self.access_id().as_bytes().to_vec();
        if !ns.has(&tables::S3_SECRET, &row)? {
            return Err(not_found(self.access_id()));
        }
        let (id, secret) = (self.access_id().to_owned(), self.secret_key().to_owned());
        ns.put(&tables::S3_SECRET, row, &S3Secret { kerberos_id: id, aws_secret: secret });
        reply.set_s3_secret_response = Some(Box::new(SetS3SecretResponse {
            access_id: self.access_id,
            secret_key: self.secret_key,
        }));
        Ok(())
    }
}

impl Write for RevokeS3SecretRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        check_caller(caller, ns, &self.kerberos_id)?;
        Ok(None)
    }

    fn apply(
        self,
        _: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        let row = self.kerberos_id.into_bytes();
        if ns.has(&tables::S3_SECRET, &row)? {
            ns.remove(&tables::S3_SECRET, row);
        } else {
            // The genuine answer: a success with this status and no words.
            reply.status = Status::S3SecretNotFound.into();
        }
        Ok(())
    }
}
