//! Containers on the disks of a datanode.
