#![no_std]
//! What the kernel programs of both objects share.

pub mod kernel;
