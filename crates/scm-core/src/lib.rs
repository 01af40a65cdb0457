//! The state of SCM and its rules: pure.
