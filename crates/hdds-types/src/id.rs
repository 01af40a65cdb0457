//! Ids. Each is a type of its own, so that a block's local id is never taken for a container id.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

macro_rules! integer_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

integer_id!(
    /// A container, numbered from 1 by SCM. On disk and on the wire a positive `int64`.
    ContainerId
);
integer_id!(
    /// A block within its container, unique in the cluster (`localID`).
    LocalId
);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new random id.
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }

            /// From Java's two halves (`UUID.getMostSignificantBits`, `getLeastSignificantBits`).
            pub fn from_halves(most: i64, least: i64) -> Self {
                Self(Uuid::from_u64_pair(most.cast_unsigned(), least.cast_unsigned()))
            }

            /// Java's two halves.
            pub fn halves(self) -> (i64, i64) {
                let (most, least) = self.0.as_u64_pair();
                (most.cast_signed(), least.cast_signed())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_id!(
    /// A datanode, made up by itself at its first start and kept in `datanode.id`.
    DatanodeId
);
uuid_id!(
    /// A pipeline; for RATIS also the id of its Raft group.
    PipelineId
);
