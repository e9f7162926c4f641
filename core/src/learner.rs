//! The small built-in model that every node of a mesh trains and shares.
pub mod classes;
pub mod digits;
pub mod mlp;
