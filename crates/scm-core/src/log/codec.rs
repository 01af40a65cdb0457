//! Arguments of calls: class name and bytes (`ScmCodecFactory`).

use bytes::Bytes;
use hdds_proto::scm_log::{ListArgument, MethodArgument};
use prost::Message;

use super::LogError;

/// Java class names as they stand on the wire.
pub mod class {
    macro_rules! hdds {
        ($name:literal) => {
            concat!("org.apache.hadoop.hdds.protocol.proto.HddsProtos$", $name)
        };
    }

    pub const CONTAINER_INFO: &str = hdds!("ContainerInfoProto");
    pub const CONTAINER_ID: &str = hdds!("ContainerID");
    pub const LIFE_CYCLE_EVENT: &str = hdds!("LifeCycleEvent");
    pub const LIFE_CYCLE_STATE: &str = hdds!("LifeCycleState");
    pub const PIPELINE: &str = hdds!("Pipeline");
    pub const PIPELINE_ID: &str = hdds!("PipelineID");
    pub const PIPELINE_STATE: &str = hdds!("PipelineState");
    pub const SUMMARY: &str = hdds!("DeletedBlocksTransactionSummary");
    pub const TRANSACTION: &str = concat!(
        "org.apache.hadoop.hdds.protocol.proto.",
        "StorageContainerDatanodeProtocolProtos$DeletedBlocksTransaction"
    );
    pub const BOOLEAN: &str = "java.lang.Boolean";
    pub const INTEGER: &str = "java.lang.Integer";
    pub const LONG: &str = "java.lang.Long";
    pub const STRING: &str = "java.lang.String";
    pub const OBJECT: &str = "java.lang.Object";
    pub const LIST: &str = "java.util.ArrayList";
    pub const BYTE_STRING: &str = "com.google.protobuf.ByteString";
}

fn argument(class: &str, value: impl Into<Bytes>) -> MethodArgument {
    MethodArgument { r#type: Some(class.to_owned()), value: Some(value.into()) }
}

pub fn message(class: &str, message: &impl Message) -> MethodArgument {
    argument(class, message.encode_to_vec())
}

/// Enums travel as their number in four bytes.
pub fn enumeration(class: &str, number: i32) -> MethodArgument {
    argument(class, number.to_be_bytes().to_vec())
}

pub fn integer(number: i32) -> MethodArgument {
    argument(class::INTEGER, number.to_be_bytes().to_vec())
}

pub fn long(number: i64) -> MethodArgument {
    argument(class::LONG, number.to_be_bytes().to_vec())
}

pub fn string(text: &str) -> MethodArgument {
    argument(class::STRING, text.as_bytes().to_vec())
}

pub fn byte_string(value: &Bytes) -> MethodArgument {
    argument(class::BYTE_STRING, value.clone())
}

pub fn messages<M: Message>(class: &str, items: &[M]) -> MethodArgument {
    list(class, items.iter().map(|item| item.encode_to_vec().into()).collect())
}

pub fn longs(items: &[i64]) -> MethodArgument {
    list(class::LONG, items.iter().map(|n| n.to_be_bytes().to_vec().into()).collect())
}

fn list(class: &str, value: Vec<Bytes>) -> MethodArgument {
    let class = if value.is_empty() { class::OBJECT } else { class };
    let list = ListArgument { r#type: Some(class.to_owned()), value };
    argument(class::LIST, list.encode_to_vec())
}

/// The arguments of one call, read by position.
pub struct Arguments<'a> {
    pub method: &'a str,
    pub args: &'a [MethodArgument],
}

impl Arguments<'_> {
    pub fn wrong(&self, at: usize, message: impl Into<String>) -> LogError {
        LogError::Argument { method: self.method.to_owned(), at, message: message.into() }
    }

    pub fn bytes(&self, at: usize) -> Result<Bytes, LogError> {
        self.args
            .get(at)
            .and_then(|argument| argument.value.clone())
            .ok_or_else(|| self.wrong(at, "missing"))
    }

    pub fn message<M: Message + Default>(&self, at: usize) -> Result<M, LogError> {
        M::decode(self.bytes(at)?).map_err(|e| self.wrong(at, e.to_string()))
    }

    pub fn integer(&self, at: usize) -> Result<i32, LogError> {
        let bytes = self.bytes(at)?;
        let bytes = bytes.as_ref().try_into().map_err(|_| self.wrong(at, "not four bytes"))?;
        Ok(i32::from_be_bytes(bytes))
    }

    pub fn long(&self, at: usize) -> Result<i64, LogError> {
        read_long(&self.bytes(at)?).ok_or_else(|| self.wrong(at, "not eight bytes"))
    }

    pub fn string(&self, at: usize) -> Result<String, LogError> {
        String::from_utf8(self.bytes(at)?.to_vec()).map_err(|_| self.wrong(at, "not UTF-8"))
    }

    pub fn messages<M: Message + Default>(&self, at: usize) -> Result<Vec<M>, LogError> {
        let list: ListArgument = self.message(at)?;
        list.value
            .into_iter()
            .map(|item| M::decode(item).map_err(|e| self.wrong(at, e.to_string())))
            .collect()
    }

    pub fn longs(&self, at: usize) -> Result<Vec<i64>, LogError> {
        let list: ListArgument = self.message(at)?;
        list.value
            .iter()
            .map(|item| read_long(item).ok_or_else(|| self.wrong(at, "not eight bytes")))
            .collect()
    }
}

fn read_long(bytes: &[u8]) -> Option<i64> {
    bytes.try_into().ok().map(i64::from_be_bytes)
}
