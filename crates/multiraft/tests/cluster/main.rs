//! Clusters of one and three members in one process, over real sockets and disks.

mod crash;
mod machine;
mod node;
mod one;
mod own_thread;
mod services;
mod three;
