//! Fuzz targets for all that is read from servers and files. `scripts/fuzz` runs them.

mod targets;

pub use targets::*;

/// A few bytes must not take more memory than this, in bytes.
pub const MOST_MEMORY: usize = 64 << 20;

/// The program that feeds a target.
#[macro_export]
macro_rules! target {
    ($name:ident) => {
        #[global_allocator]
        static MEMORY: peak_alloc::PeakAlloc = peak_alloc::PeakAlloc;

        libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
            $crate::$name(bytes);
            let taken = MEMORY.peak_usage();
            assert!(taken < $crate::MOST_MEMORY, "{taken} bytes of memory");
        });
    };
}
