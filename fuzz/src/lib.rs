//! What the fuzz targets have in common: a bound on memory, and bytes as a source of choices.
//!
//! A target is a file in `fuzz_targets/`; it takes bytes, does with them what the server does with what strangers send, and
//! asserts what must hold for any bytes at all. libFuzzer makes the bytes, guided by coverage. `run.sh` builds and runs.
//!
//! A target that needs something structured reads its bytes as [`Choices`]: each byte decides something, and where they end
//! so does the work.

use cap::Cap;
use std::alloc::System;

/// Memory that a target may hold at a time, in bytes. None of the inputs is longer than a few kilobytes.
const MEMORY: usize = 128 * 1024 * 1024;

/// Ends the process where more is asked for.
#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, MEMORY);

/// Bytes in use.
pub fn allocated() -> usize {
    ALLOCATOR.allocated()
}

/// Decisions, one byte each.
#[derive(Clone, Copy, Debug)]
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    /// Reads these bytes.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next byte, while there are any.
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// One of `count`.
    pub fn below(&mut self, count: usize) -> Option<usize> {
        self.byte().map(|byte| usize::from(byte) % count.max(1))
    }

    /// The next `length` bytes, or as many as there are.
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (first, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        first
    }
}
