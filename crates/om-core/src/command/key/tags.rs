//! Object tags: `PutObjectTagging`, `GetObjectTagging`, `DeleteObjectTagging`.

use hdds_proto::hdds::KeyValue;
use om_proto::{
    DeleteObjectTaggingRequest, GetObjectTaggingRequest, GetObjectTaggingResponse, KeyArgs,
    KeyInfo, OmResponse, PutObjectTaggingRequest, Status, Type,
};

use crate::command::{BlocksWanted, Caller, Read, Write};
use crate::error::Failure;
use crate::layout::{Bucket, Leaf};
use crate::names;
use crate::namespace::{At, Namespace};

fn find(
    ns: &Namespace<'_>,
    bucket: &Bucket,
    name: &str,
    verb: Type,
    missing: impl FnOnce() -> Failure,
) -> Result<KeyInfo, Failure> {
    match bucket.walk(ns, &bucket.key_name(name), false)?.leaf {
        Leaf::File(key) => Ok(key),
        Leaf::Folder(_) if bucket.layout.is_tree() => Err(Failure::new(
            Status::NotSupportedOperation,
            format!("{} is not currently supported for FSO directory", verb.as_str_name()),
        )),
        Leaf::Free | Leaf::Folder(_) | Leaf::BelowFile(_) => Err(missing()),
    }
}

fn set(
    ns: &mut Namespace<'_>,
    args: &KeyArgs,
    tags: Vec<KeyValue>,
    at: At,
    verb: Type,
) -> Result<(), Failure> {
    let bucket = ns.bucket(&args.volume_name, &args.bucket_name)?;
    let missing = || {
        let message = if bucket.layout.is_tree() {
            format!("Key not found. Key: {}", args.key_name)
        } else {
            "Key not found".to_owned()
        };
        Failure::new(Status::KeyNotFound, message)
    };
    let mut key = find(ns, &bucket, &args.key_name, verb, missing)?;
    let row = bucket.row_of(&key);
    key.tags = tags;
    key.update_id = Some(at.index);
    if bucket.layout.is_tree() {
        key.key_name = names::leaf(&key.key_name).to_owned();
    }
    ns.put(bucket.layout.keys(), row, &key);
    Ok(())
}

impl Write for PutObjectTaggingRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        super::prepare_existing_checked(&mut self.key_args, ns, caller).map(|_| None)
    }

    fn apply(
        self,
        at: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        set(ns, &self.key_args, self.key_args.tags.clone(), at, Type::PutObjectTagging)?;
        reply.put_object_tagging_response = Some(Box::default());
        Ok(())
    }
}

impl Write for DeleteObjectTaggingRequest {
    fn prepare(
        &mut self,
        ns: &Namespace<'_>,
        caller: &Caller<'_>,
    ) -> Result<Option<BlocksWanted>, Failure> {
        super::prepare_existing_checked(&mut self.key_args, ns, caller).map(|_| None)
    }

    fn apply(
        self,
        at: At,
        _: &str,
        ns: &mut Namespace<'_>,
        reply: &mut OmResponse,
    ) -> Result<(), Failure> {
        set(ns, &self.key_args, Vec::new(), at, Type::DeleteObjectTagging)?;
        reply.delete_object_tagging_response = Some(Box::default());
        Ok(())
    }
}

pub(crate) fn read(
    request: &GetObjectTaggingRequest,
    ns: &Namespace<'_>,
    reply: &mut OmResponse,
) -> Result<Read, Failure> {
    let args = &request.key_args;
    let bucket = ns.resolve(&args.volume_name, &args.bucket_name)?;
    let name = bucket.new_key_name(&args.key_name)?;
    let tags = match bucket.walk(ns, &name, false)?.leaf {
        Leaf::File(key) => key.tags,
        // A folder of a tree has no place for any.
        Leaf::Folder(_) if bucket.layout.is_tree() => Vec::new(),
        Leaf::Free | Leaf::Folder(_) | Leaf::BelowFile(_) => {
            return Err(super::not_found(&name));
        }
    };
    reply.get_object_tagging_response = Some(Box::new(GetObjectTaggingResponse { tags }));
    Ok(Read::Reply)
}
