//! Memory for printed records, used again: fresh memory of the size of a piece costs as much as a good part of the printing.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, PoisonError};

/// So many are kept; others may be under way.
const KEPT: usize = 8;

/// Memory that waits to be used again.
#[derive(Debug, Clone, Default)]
pub(super) struct Sheets(Arc<Mutex<Vec<Vec<u8>>>>);

impl Sheets {
    /// An empty sheet, with room for so many bytes if it is a new one.
    pub(super) fn take(&self, room: usize) -> Sheet {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Sheet { text: used.unwrap_or_else(|| Vec::with_capacity(room)), home: self.clone() }
    }
}

/// Text that gives its memory back.
#[derive(Debug, Default)]
pub(in crate::dump) struct Sheet {
    text: Vec<u8>,
    home: Sheets,
}

impl Deref for Sheet {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.text
    }
}

impl DerefMut for Sheet {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }
}

impl Drop for Sheet {
    fn drop(&mut self) {
        let mut waiting = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < KEPT && self.text.capacity() > 0 {
            self.text.clear();
            waiting.push(std::mem::take(&mut self.text));
        }
    }
}
