//! Encrypted buckets: what a request needs of the key management server before it can be logged, and
//! where the answer goes (`BekInfoUtils`, `OMKeyRequest.generateRequiredEncryptionInfo`).
//!
//! A bucket remembers the name of a key that only the server knows. Each of its files has a data key of
//! its own, which is stored with the file as the server encrypted it. Parts of an upload share the one
//! that the upload began with.

use om_proto::{
    BucketEncryptionInfoProto, FileEncryptionInfoProto, KeyArgs, OmRequest, Status, Type,
};

use crate::command::multipart;
use crate::error::{Failure, OmError};
use crate::layout::Bucket;
use crate::namespace::Namespace;
use crate::rules::Rules;

/// What the server is to be asked.
#[derive(Clone, PartialEq, Debug)]
pub enum Wanted {
    /// What kind of key this is; a bucket is to be encrypted with it.
    Cipher {
        /// Its name.
        key_name: String,
    },
    /// A data key for a file or upload of a bucket that is encrypted like this.
    DataKey(BucketEncryptionInfoProto),
}

/// Refuses to make a bucket encrypted where there is no server to ask.
pub(crate) fn check_provider(
    wanted: Option<&BucketEncryptionInfoProto>,
    rules: &Rules,
) -> Result<(), OmError> {
    if wanted.is_none() || rules.key_provider {
        return Ok(());
    }
    Err(OmError::new(
        Status::InvalidKmsProvider,
        "Invalid KMS provider, check configuration hadoop.security.key.provider.path",
    ))
}

/// What a prepared request needs. Only to be asked where there is a key provider: a bucket is read
/// for it.
///
/// # Errors
/// The store failed.
pub fn wanted(request: &OmRequest, ns: &Namespace<'_>) -> Result<Option<Wanted>, Failure> {
    if let Some(info) = bucket_info(request) {
        return Ok(Some(Wanted::Cipher { key_name: info.key_name.clone() }));
    }
    let Some(args) = new_file(request) else { return Ok(None) };
    let bucket = ns.bucket(&args.volume_name, &args.bucket_name)?;
    Ok(bucket.info.beinfo.clone().map(Wanted::DataKey))
}

/// Puts in what a bucket is to be encrypted with.
pub fn provide_cipher(request: &mut OmRequest, info: BucketEncryptionInfoProto) {
    if let Some(create) = &mut request.create_bucket_request {
        create.bucket_info.beinfo = Some(info);
    } else if let Some(set) = &mut request.set_bucket_property_request
        && let Some(args) = &mut set.bucket_args
    {
        args.bek_info = Some(info);
    }
}

/// Puts in the data key of a new file.
pub fn provide_data_key(request: &mut OmRequest, info: FileEncryptionInfoProto) {
    let args = if let Some(create) = &mut request.create_key_request {
        &mut create.key_args
    } else if let Some(create) = &mut request.create_file_request {
        &mut create.key_args
    } else if let Some(initiate) = &mut request.initiate_multi_part_upload_request {
        &mut initiate.key_args
    } else {
        return;
    };
    args.file_encryption_info = Some(info);
}

/// Gives a part the data key of its upload (`getFileEncryptionInfoForMpuKey`). Of an upload that does
/// not exist, apply tells.
pub(crate) fn share_with_part(
    args: &mut KeyArgs,
    bucket: &Bucket,
    ns: &Namespace<'_>,
) -> Result<(), Failure> {
    if !ns.rules.key_provider {
        return Ok(());
    }
    let upload_id = args.multipart_upload_id.as_deref().unwrap_or_default();
    match multipart::open_key(ns, bucket, &args.key_name, upload_id) {
        Ok(open) => {
            if open.file_encryption_info.is_some() {
                args.file_encryption_info = open.file_encryption_info;
            }
            Ok(())
        }
        Err(Failure::Refused(_)) => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// The encryption that a bucket is to have.
fn bucket_info(request: &OmRequest) -> Option<&BucketEncryptionInfoProto> {
    match Type::try_from(request.cmd_type) {
        Ok(Type::CreateBucket) => {
            request.create_bucket_request.as_ref()?.bucket_info.beinfo.as_ref()
        }
        Ok(Type::SetBucketProperty) => {
            let set = request.set_bucket_property_request.as_ref()?;
            set.bucket_args.as_ref()?.bek_info.as_ref()
        }
        _ => None,
    }
}

/// The arguments of a request that begins a file or an upload.
fn new_file(request: &OmRequest) -> Option<&KeyArgs> {
    match Type::try_from(request.cmd_type) {
        Ok(Type::CreateKey) => {
            let args = &request.create_key_request.as_ref()?.key_args;
            (!args.is_multipart_key.unwrap_or(false)).then_some(args)
        }
        Ok(Type::CreateFile) => Some(&request.create_file_request.as_ref()?.key_args),
        Ok(Type::InitiateMultiPartUpload) => {
            Some(&request.initiate_multi_part_upload_request.as_ref()?.key_args)
        }
        _ => None,
    }
}
