//! What the running kernel is like: its types, and where the fields lie that our programs read.

pub mod btf;
pub mod layout;
