//! An allocator that counts, where a process asks for it.
//!
//! Processes that measure time leave the counters off: then the only cost is one load of a flag that never changes.

#![allow(unsafe_code, reason = "an allocator cannot be written without it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering::Relaxed};

#[global_allocator]
static COUNTING: Counting = Counting;

static ENABLED: AtomicBool = AtomicBool::new(false);
static CALLS: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicI64 = AtomicI64::new(0);

/// Starts counting; what was allocated before is not in the numbers.
pub fn enable() {
    ENABLED.store(true, Relaxed);
}

/// Allocations (and reallocations) so far.
pub fn calls() -> u64 {
    CALLS.load(Relaxed)
}

/// Bytes allocated and not yet given back.
pub fn live_bytes() -> i64 {
    LIVE.load(Relaxed)
}

struct Counting;

fn note(calls: u64, bytes: i64) {
    if ENABLED.load(Relaxed) {
        CALLS.fetch_add(calls, Relaxed);
        LIVE.fetch_add(bytes, Relaxed);
    }
}

// SAFETY: every method hands its arguments to the system allocator as they are and returns what that returns.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as i64);
        // SAFETY: the caller's duty is the same as ours.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as i64);
        // SAFETY: the caller's duty is the same as ours.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        note(0, -(layout.size() as i64));
        // SAFETY: the caller's duty is the same as ours.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note(1, new_size as i64 - layout.size() as i64);
        // SAFETY: the caller's duty is the same as ours.
        unsafe { System.realloc(ptr, layout, new_size) }
    }
}
