//! The datanode from the outside: commands and their result codes, pipelines applied again, and three
//! datanodes with an SCM that only says what the test wants.

mod cluster;
mod commands;
mod pipeline;
mod support;
