//! The namespace and its rules: pure.
